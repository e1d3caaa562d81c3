//! The worst-case cost of a filter: the longest way through it.

use crate::cfg::Cfg;
use crate::module::Filter;
use crate::verify::Checked;

/// What one packet costs at most. The maxima may be of different ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions and terminators, as the interpreter counts them.
    pub steps: u64,
    /// `find`s and `slot`s.
    pub state_ops: u64,
}

/// The cost of each filter of a module, in order.
pub fn cost(checked: &Checked) -> Vec<Cost> {
    checked.module().filters.iter().map(cost_of).collect()
}

fn cost_of(filter: &Filter) -> Cost {
    let cfg = Cfg::of(filter).expect("the filter has been verified");
    let mut to_end = vec![Cost::default(); filter.blocks.len()];
    // Successors first: the longest way from each block to the end.
    for &block in cfg.order().iter().rev() {
        let data = &filter.blocks[block.index()];
        let mut longest = Cost::default();
        for edge in data.term.kind.edges() {
            let rest = to_end[edge.call.block.index()];
            longest.steps = longest.steps.max(rest.steps);
            longest.state_ops = longest.state_ops.max(rest.state_ops);
        }
        longest.steps += data.insts.len() as u64 + 1;
        longest.state_ops += u64::from(data.term.kind.lookup().is_some());
        to_end[block.index()] = longest;
    }
    to_end[0]
}
