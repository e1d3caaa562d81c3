//! The counters of loops: what a `repeat` at the header of a loop counts, and what comes round to it.
//!
//! The verifier demands of every loop that its header ends in `repeat i, N, body, done`, that `i` is a parameter of the header, that each edge
//! back passes `add i, c` for it with a constant `c` from 1 to [`MAX_STEP`], and that `done` leads out of the loop. So `i` grows by at least 1
//! each time round, below `N` only, and cannot wrap: for each time that the loop is come to, the body runs at most `N` times.

use crate::cfg::{Cfg, Loop};
use crate::entities::Value;
use crate::module::{BinaryOp, BlockCall, Filter, Op, TerminatorKind};

/// The most that a counter may grow by at once.
pub const MAX_STEP: u64 = 1 << 32;

/// The `repeat` at the header of a loop.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// What is counted.
    pub counter: Value,
    /// Which parameter of the header that is, if it is one.
    pub position: Option<usize>,
    /// How often the body runs at most.
    pub count: u32,
    /// The way into the body.
    pub body: &'a BlockCall,
    /// The way on when it is counted out.
    pub done: &'a BlockCall,
}

/// The `repeat` of a loop; a graph has no loops without ([`Cfg::of`]).
pub fn counted<'a>(filter: &'a Filter, this: &Loop) -> Option<Counted<'a>> {
    let header = &filter.blocks[this.header.index()];
    let TerminatorKind::Repeat { counter, count, body, done } = &header.term.kind else { return None };
    let position = header.params.iter().position(|param| param == counter);
    Some(Counted { counter: *counter, position, count: *count, body, done })
}

/// What comes round to one parameter of a header, once for each edge; `None` if it is not passed but given by the terminator.
pub fn passed_back<'a>(
    filter: &'a Filter,
    this: &Loop,
    position: usize,
) -> impl Iterator<Item = Option<Value>> + use<'a> {
    let header = this.header;
    let mut latches = this.latches.clone();
    latches.sort_unstable();
    latches.dedup();
    let edges = latches.into_iter().flat_map(move |latch| filter.blocks[latch.index()].term.kind.edges());
    edges.filter(move |edge| edge.call.block == header).map(move |edge| {
        let given = usize::from(edge.gives.is_some());
        position.checked_sub(given).and_then(|index| edge.call.args.get(index)).copied()
    })
}

/// How far `value` is behind `counter`, if it is the counter and a constant that a loop may go on by.
pub fn step_of(definitions: &[Option<&Op>], counter: Value, value: Value) -> Option<u64> {
    let Some(&Op::Binary(BinaryOp::Add, a, b)) = definitions[value.index()] else { return None };
    let other = if a == counter { b } else { Some(a).filter(|_| b == counter)? };
    match definitions[other.index()] {
        Some(&Op::Const(step)) if (1..=MAX_STEP).contains(&step) => Some(step),
        _ => None,
    }
}

/// The operation that defines each value; none for parameters of blocks.
pub fn definitions(filter: &Filter) -> Vec<Option<&Op>> {
    let mut definitions = vec![None; filter.values.len()];
    for inst in filter.blocks.iter().flat_map(|block| &block.insts) {
        if let Some(result) = inst.result {
            definitions[result.index()] = Some(&inst.op);
        }
    }
    definitions
}

/// The values that counters go on by; what they are is what makes loops end, so passes leave them as they are.
pub fn steps(filter: &Filter, cfg: &Cfg) -> Vec<Value> {
    let mut steps = Vec::new();
    for this in cfg.loops() {
        if let Some(position) = counted(filter, this).and_then(|counted| counted.position) {
            steps.extend(passed_back(filter, this, position).flatten());
        }
    }
    steps
}

/// Whether there is a `repeat`, without which there are no loops.
pub fn has_loops(filter: &Filter) -> bool {
    filter.blocks.iter().any(|block| matches!(block.term.kind, TerminatorKind::Repeat { .. }))
}
