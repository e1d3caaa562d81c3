//! Taking parameters away from blocks.

use crate::entities::Value;
use crate::module::Filter;

/// Removes the block parameters that are not kept, and what is passed for them. A parameter that a terminator gives must be kept.
pub(super) fn remove_params(filter: &mut Filter, is_kept: impl Fn(Value) -> bool) {
    let kept: Vec<Vec<bool>> = filter
        .blocks
        .iter()
        .map(|block| block.params.iter().map(|&param| is_kept(param)).collect())
        .collect();
    for (block, kept_here) in filter.blocks.iter_mut().zip(&kept) {
        let mut stays = kept_here.iter();
        block.params.retain(|_| stays.next() != Some(&false));
        let given: Vec<usize> =
            block.term.kind.edges().map(|edge| usize::from(edge.gives.is_some())).collect();
        for (call, given) in block.term.kind.calls_mut().zip(given) {
            let mut stays = kept[call.block.index()].iter().skip(given);
            call.args.retain(|_| stays.next() != Some(&false));
        }
    }
}
