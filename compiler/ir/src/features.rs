//! What a module needs of an engine besides arithmetic, packets, hash tables and arrays, so that an engine that lacks something can say so
//! before it starts.

use std::collections::BTreeSet;
use std::fmt;

use crate::loops::has_loops;
use crate::module::{Filter, Module, Op, StateDecl, StateKind};

/// Something that not every engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Loops.
    Loops,
    /// Fields of several scalars.
    IndexedFields,
    /// States of words.
    Words,
    /// Tables.
    Tables,
    /// Events.
    Events,
    /// The seed.
    Seed,
    /// States of which each worker has a copy.
    PerCore,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Feature::Loops => "loops",
            Feature::IndexedFields => "fields of several scalars",
            Feature::Words => "states of words",
            Feature::Tables => "tables",
            Feature::Events => "events",
            Feature::Seed => "the seed",
            Feature::PerCore => "states with a copy for each worker",
        })
    }
}

/// What the declarations and filters of a module need.
pub fn features(module: &Module) -> BTreeSet<Feature> {
    let mut needed: BTreeSet<Feature> = module.states.iter().flat_map(of_state).collect();
    if !module.events.is_empty() {
        needed.insert(Feature::Events);
    }
    needed.extend(module.filters.iter().flat_map(of_filter));
    needed
}

fn of_state(decl: &StateDecl) -> Vec<Feature> {
    let kind = match decl.kind {
        StateKind::Hash(_) | StateKind::Array => None,
        StateKind::Words => Some(Feature::Words),
        StateKind::Table(_) => Some(Feature::Tables),
    };
    let indexed = decl.fields.iter().any(|field| field.count != 1).then_some(Feature::IndexedFields);
    let per_core = decl.per_core.map(|_| Feature::PerCore);
    [kind, indexed, per_core].into_iter().flatten().collect()
}

fn of_filter(filter: &Filter) -> Vec<Feature> {
    let of_op = |op: &Op| match op {
        Op::Seed(_) => Some(Feature::Seed),
        Op::GetAt(..) | Op::SetAt(..) => Some(Feature::IndexedFields),
        Op::WordGet(..) | Op::WordAdd(..) | Op::WordOr(..) | Op::WordCas(..) => Some(Feature::Words),
        Op::Emit(..) => Some(Feature::Events),
        _ => None,
    };
    let insts = filter.blocks.iter().flat_map(|block| &block.insts);
    insts.filter_map(|inst| of_op(&inst.op)).chain(has_loops(filter).then_some(Feature::Loops)).collect()
}
