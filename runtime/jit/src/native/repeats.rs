//! Look-ups of a key that was looked up before: `servers[x].opened.add(1)` and then `servers[x].closed.total`.
//!
//! The IR merges two look-ups where the first one's entry is at hand on all ways. Here are the others: whether the entry was found is known only
//! when the filter runs, so it is kept in two variables, a value (0 if there is none) and its generation. It is forgotten at each
//! `slot` of the same state, which may take the entry's memory. Look-ups in loops are left alone: their keys are others each time round.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::I64;
use cranelift_frontend::{FunctionBuilder, Variable};
use oko_ir::cfg::Cfg;
use oko_ir::{Block, Filter, State, TerminatorKind, Value};

/// The look-ups of each key that is looked up more than once.
#[derive(Default)]
pub(super) struct Repeats {
    groups: Vec<Group>,
}

struct Group {
    state: State,
    /// The blocks that end in them, each after those from which it can be reached.
    sites: Vec<Block>,
    value: Variable,
    generation: Variable,
}

/// A look-up whose key is looked up elsewhere, too.
#[derive(Clone, Copy)]
pub(super) struct Site {
    pub(super) group: usize,
    /// Whether no other one comes before it.
    pub(super) is_first: bool,
    /// Whether it hardly ever has to find what one before it has not: that would have made the entry, or it makes it itself.
    pub(super) is_covered: bool,
}

impl Repeats {
    /// The groups of a filter, at the start of whose code the builder is; none of states that are not `wanted`.
    pub(super) fn of(
        builder: &mut FunctionBuilder<'_>,
        filter: &Filter,
        cfg: &Cfg,
        wanted: impl Fn(State) -> bool,
    ) -> Repeats {
        let mut keys: Vec<(State, &[Value], Vec<Block>)> = Vec::new();
        for &block in cfg.order() {
            let (TerminatorKind::Find { state, key, .. } | TerminatorKind::Slot { state, key, .. }) =
                &filter.blocks[block.index()].term.kind
            else {
                continue;
            };
            if !wanted(*state) || cfg.loop_of(block).is_some() {
                continue;
            }
            match keys.iter_mut().find(|known| known.0 == *state && known.1 == &**key) {
                Some((.., sites)) => sites.push(block),
                None => keys.push((*state, key, vec![block])),
            }
        }
        keys.retain(|(.., sites)| sites.len() > 1);
        let groups = keys.into_iter().map(|(state, _, sites)| {
            let (value, generation) = (builder.declare_var(I64), builder.declare_var(I64));
            let zero = builder.ins().iconst(I64, 0);
            builder.def_var(value, zero);
            builder.def_var(generation, zero);
            Group { state, sites, value, generation }
        });
        Repeats { groups: groups.collect() }
    }

    /// The place of the look-up that a block ends in.
    pub(super) fn site(&self, filter: &Filter, cfg: &Cfg, block: Block) -> Option<Site> {
        let makes =
            |block: Block| filter.blocks[block.index()].term.kind.lookup().is_some_and(|(_, makes)| makes);
        self.groups.iter().enumerate().find_map(|(group, data)| {
            let place = data.sites.iter().position(|&site| site == block)?;
            let mut before = data.sites[..place].iter().filter(|&&site| cfg.dominates(site, block));
            let is_covered = before.any(|&site| makes(site) || makes(block));
            Some(Site { group, is_first: place == 0, is_covered })
        })
    }

    /// Value and generation of the entry.
    pub(super) fn variables(&self, group: usize) -> (Variable, Variable) {
        (self.groups[group].value, self.groups[group].generation)
    }

    /// The groups of a state.
    pub(super) fn groups_of(&self, state: State) -> Vec<usize> {
        (0..self.groups.len()).filter(|&group| self.groups[group].state == state).collect()
    }
}
