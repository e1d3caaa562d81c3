//! Invariants 11 to 13: a walk over the graph that knows which entry is locked and which entries may be gone.

use super::{Errors, Place, Problem};
use crate::cfg::Cfg;
use crate::entities::{Block, State, Value};
use crate::module::{Filter, Module, Op, StateKind, TerminatorKind, Type};

/// A set of the filter's entry values, by their rank among them.
type EntrySet = Vec<u64>;

/// What holds on the way into a block.
#[derive(Clone)]
struct Flow {
    locked: Option<Value>,
    /// The entries that may have given way to others.
    stale: EntrySet,
}

/// Checks one filter that keeps invariants 4 to 8.
pub(super) fn check(module: &Module, filter: &Filter, cfg: &Cfg, errors: &mut Errors) {
    let mut ranks = vec![None; filter.values.len()];
    let mut entries = Vec::new();
    for (index, &ty) in filter.values.iter().enumerate() {
        if let Type::Entry(state) = ty {
            ranks[index] = Some(entries.len());
            entries.push(state);
        }
    }
    let mut members = vec![vec![0; entries.len().div_ceil(64)]; module.states.len()];
    for (rank, state) in entries.iter().enumerate() {
        insert(&mut members[state.index()], rank);
    }
    let mut slots = vec![Vec::new(); cfg.loops().len()];
    for (index, data) in filter.blocks.iter().enumerate() {
        if let Some(state) = taken(module, &data.term.kind) {
            for around in cfg.loops_around(Block::from_index(index)) {
                slots[around as usize].push(state);
            }
        }
    }
    for states in &mut slots {
        states.sort_unstable();
        states.dedup();
    }
    let mut flows: Vec<Option<Flow>> = vec![None; filter.blocks.len()];
    flows[0] = Some(Flow { locked: None, stale: vec![0; entries.len().div_ceil(64)] });
    let mut checker = Checker {
        module,
        filter,
        cfg,
        ranks,
        entries,
        members,
        slots,
        flows,
        disagree: vec![false; filter.blocks.len()],
        errors,
    };
    for &block in cfg.order() {
        // Each block comes after its predecessors, all of which have left their flow, but those further round a loop, which have nothing
        // new to say; it is not needed afterwards.
        if let Some(flow) = checker.flows[block.index()].take() {
            checker.block(block, flow);
        }
    }
}

struct Checker<'a> {
    module: &'a Module,
    filter: &'a Filter,
    cfg: &'a Cfg,
    /// The rank of each value among the entries.
    ranks: Vec<Option<usize>>,
    /// The state of each entry value, by rank.
    entries: Vec<State>,
    /// The entry values of each state.
    members: Vec<EntrySet>,
    /// For each loop the hash tables of which there is a `slot` in it.
    slots: Vec<Vec<State>>,
    flows: Vec<Option<Flow>>,
    /// The blocks whose disagreement has been reported.
    disagree: Vec<bool>,
    errors: &'a mut Errors,
}

impl Checker<'_> {
    fn block(&mut self, block: Block, mut flow: Flow) {
        let (filter, cfg) = (self.filter, self.cfg);
        if let Some(this) = cfg.loop_of(block).filter(|_| cfg.loop_at(block).is_some()) {
            if let Some(locked) = flow.locked.take() {
                self.errors.push(Place::Block(block), Problem::LockedAtLoop { locked });
            }
            // What was made before may be gone the next time round.
            for &state in &self.slots[this as usize] {
                self.make_stale(&mut flow.stale, state);
            }
        }
        let data = &filter.blocks[block.index()];
        for (index, inst) in data.insts.iter().enumerate() {
            self.inst(&inst.op, &mut flow, Place::Inst(block, index));
        }
        self.terminator(&data.term.kind, flow, Place::Terminator(block));
    }

    fn inst(&mut self, op: &Op, flow: &mut Flow, place: Place) {
        match *op {
            Op::Lock(entry) => {
                if let Some(locked) = flow.locked {
                    self.errors.push(place, Problem::LockedTwice { entry, locked });
                } else if let Some(rank) = self.ranks[entry.index()]
                    && contains(&flow.stale, rank)
                {
                    self.errors.push(place, Problem::Stale { entry, state: self.entries[rank] });
                }
                flow.locked = Some(entry);
            }
            Op::Get(entry, _) | Op::GetAt(entry, ..) if self.is_table(entry) => {}
            Op::Emit(..) => {
                if let Some(locked) = flow.locked {
                    self.errors.push(place, Problem::WhileLocked { locked, what: "emit" });
                }
            }
            Op::Get(entry, _)
            | Op::GetAt(entry, ..)
            | Op::Set(entry, ..)
            | Op::SetAt(entry, ..)
            | Op::Unlock(entry, _) => {
                if flow.locked != Some(entry) {
                    self.errors.push(place, Problem::NotLocked { entry });
                }
                if matches!(op, Op::Unlock(..)) {
                    flow.locked = None;
                }
            }
            _ => {}
        }
    }

    fn terminator(&mut self, kind: &TerminatorKind, mut flow: Flow, place: Place) {
        let forbidden = match kind {
            TerminatorKind::Jump(_) | TerminatorKind::Branch { .. } | TerminatorKind::Repeat { .. } => None,
            TerminatorKind::Window { .. } => Some("window"),
            TerminatorKind::Find { .. } => Some("find"),
            TerminatorKind::Slot { .. } => Some("slot"),
            TerminatorKind::Return(_) => Some("return"),
        };
        if let (Some(what), Some(locked)) = (forbidden, flow.locked) {
            self.errors.push(place, Problem::WhileLocked { locked, what });
            flow.locked = None; // said once
        }
        if let Some(state) = taken(self.module, kind) {
            self.make_stale(&mut flow.stale, state);
        }
        for edge in kind.edges() {
            if let Place::Terminator(block) = place
                && self.cfg.leads_back(block, edge.call.block)
            {
                if let Some(locked) = flow.locked {
                    self.errors.push(place, Problem::LockedAtLoop { locked });
                }
                continue;
            }
            let mut stale = flow.stale.clone();
            let filter = self.filter;
            let params = &filter.blocks[edge.call.block.index()].params;
            let (token, params) = params.split_at(usize::from(edge.gives.is_some()));
            // A parameter is as old as what is passed for it, whatever held of it on other ways.
            for &param in token {
                if let Some(rank) = self.ranks[param.index()] {
                    remove(&mut stale, rank);
                }
            }
            for (&param, &arg) in params.iter().zip(&edge.call.args) {
                if let (Some(param), Some(rank)) = (self.ranks[param.index()], self.ranks[arg.index()]) {
                    if contains(&flow.stale, rank) {
                        insert(&mut stale, param);
                    } else {
                        remove(&mut stale, param);
                    }
                    if flow.locked == Some(arg) {
                        let problem = Problem::PassedLocked { locked: arg, block: edge.call.block };
                        self.errors.push(place, problem);
                    }
                }
            }
            self.join(edge.call.block, Flow { locked: flow.locked, stale });
        }
    }

    /// All entries of this state may give way.
    fn make_stale(&self, stale: &mut EntrySet, state: State) {
        for (stale, members) in stale.iter_mut().zip(&self.members[state.index()]) {
            *stale |= members;
        }
    }

    fn is_table(&self, entry: Value) -> bool {
        let state = self.ranks[entry.index()].map(|rank| self.entries[rank]);
        state.is_some_and(|state| matches!(self.module.states[state.index()].kind, StateKind::Table(_)))
    }

    fn join(&mut self, block: Block, new: Flow) {
        match &mut self.flows[block.index()] {
            empty @ None => *empty = Some(new),
            Some(old) => {
                for (old, new) in old.stale.iter_mut().zip(&new.stale) {
                    *old |= new;
                }
                if old.locked != new.locked && !std::mem::replace(&mut self.disagree[block.index()], true) {
                    let problem = Problem::LocksDisagree { one: old.locked, other: new.locked };
                    self.errors.push(Place::Block(block), problem);
                }
            }
        }
    }
}

/// The hash table of which a terminator may take an entry's memory.
fn taken(module: &Module, kind: &TerminatorKind) -> Option<State> {
    let (state, makes) = kind.lookup()?;
    (makes && matches!(module.states[state.index()].kind, StateKind::Hash(_))).then_some(state)
}

fn contains(set: &[u64], rank: usize) -> bool {
    set[rank / 64] >> (rank % 64) & 1 == 1
}

fn insert(set: &mut [u64], rank: usize) {
    set[rank / 64] |= 1 << (rank % 64);
}

fn remove(set: &mut [u64], rank: usize) {
    set[rank / 64] &= !(1 << (rank % 64));
}
