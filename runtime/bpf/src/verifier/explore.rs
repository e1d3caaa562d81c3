//! The exploration of all paths.
//!
//! The states wait in a queue ordered by position: for each call in progress the topological order of its call, then that
//! of the next instruction. So when a place where paths meet comes up, all states that can reach it are there, and are
//! reduced at once: those that another one covers go, and if more than `width` are left, some are merged. Each place is
//! therefore passed at most `width` times for each chain of calls, however many paths there are.
//!
//! Merging loses precision, never soundness; so a program that fails with a small width is tried again with a larger one
//! before it is refused ([`super::verify`]).
//!
//! A loop is followed round by round: the states that begin it anew wait behind all of the round before, and in front of
//! what comes after the loop. No state is dropped for the sake of one of an earlier round, so the exploration
//! comes to an end only if every path of the program does, and the longest path is known then.

use std::collections::BTreeMap;

use crate::isa::Insn;

use super::{
    Limits,
    cfg::Graph,
    error::Reason,
    explain::Facts,
    rounds::Rounds,
    state::{Frame, State},
    value::{Id, Proofs, Target, Value},
};
use crate::{
    isa::Reg,
    program::{MapDef, MapId, Program},
    verified::{Effort, Note, Region},
};

/// A step of a path: the slot, and the step before (an index into the trail).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) slot: u32,
    pub(crate) before: u32,
}

/// The end of a chain of steps.
pub(crate) const NO_STEP: u32 = u32::MAX;

/// Why an attempt ended early.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) slot: usize,
    pub(crate) reason: Reason,
    /// The slots of the path, in order; the last one is `slot`.
    pub(crate) path: Vec<usize>,
}

/// What was found out of a program, all of whose paths were followed.
pub(crate) struct Shown {
    pub(crate) notes: Vec<Note>,
    /// For each function the bytes of its frame that are used.
    pub(crate) stack_bytes: Vec<u32>,
    /// The bytes of the frames of nested calls together, at most.
    pub(crate) max_stack: u32,
    /// For each function the longest path through it, if there are loops.
    pub(crate) longest: Vec<u64>,
    pub(crate) effort: Effort,
}

/// One attempt to verify a program.
pub(crate) struct Explorer<'p> {
    pub(crate) program: &'p Program,
    pub(crate) graph: &'p Graph,
    limits: &'p Limits,
    width: usize,
    queue: BTreeMap<Vec<u32>, Vec<State>>,
    queued_bytes: usize,
    trail: Vec<Step>,
    counter: u32,
    pub(crate) notes: Vec<Note>,
    /// For each function the bytes of its frame that are used.
    pub(crate) stack_bytes: Vec<u32>,
    pub(crate) steps: u64,
    pub(crate) states: usize,
    pub(crate) pruned: u64,
    /// For each function the longest path through it.
    pub(crate) longest: Vec<u64>,
    /// The rounds of the loops that are being followed.
    pub(crate) rounds: Rounds,
    /// What is known before each slot, if somebody wants to see it.
    pub(crate) facts: Option<Facts>,
    /// All states before each slot, if a test asks for them.
    #[cfg(test)]
    pub(crate) seen: Option<Vec<Vec<State>>>,
}

/// What follows an instruction.
pub(crate) enum Next {
    /// The state goes on at its `pc`.
    Go,
    /// The path ends, or its states are queued already.
    Done,
}

impl<'p> Explorer<'p> {
    pub(crate) fn new(
        program: &'p Program,
        graph: &'p Graph,
        limits: &'p Limits,
        width: usize,
    ) -> Explorer<'p> {
        Explorer {
            program,
            graph,
            limits,
            width,
            queue: BTreeMap::new(),
            queued_bytes: 0,
            trail: Vec::new(),
            counter: 0,
            notes: vec![Note::Dead; program.insns.len()],
            stack_bytes: vec![0; graph.functions.len()],
            steps: 0,
            states: 0,
            pruned: 0,
            longest: vec![0; graph.functions.len()],
            rounds: Rounds::default(),
            facts: None,
            #[cfg(test)]
            seen: None,
        }
    }

    /// Why the loop that begins at a slot, and went round without anything having changed, is refused.
    fn endless(&self, header: usize) -> Reason {
        let is_guard = |slot: &usize| matches!(self.program.insns[*slot], Insn::MayGoto { .. });
        let mut of_loop =
            self.graph.loops.iter().filter(|this| this.header == header).flat_map(|this| &this.slots);
        if of_loop.any(is_guard) { Reason::LoopGuarded } else { Reason::LoopEndless }
    }

    /// What a run without failure has shown.
    pub(crate) fn into_shown(self) -> Shown {
        let effort = Effort { steps: self.steps, states: self.states, pruned: self.pruned };
        let max_stack = self.graph.deepest_stack(&self.program.insns, &self.stack_bytes);
        Shown { notes: self.notes, stack_bytes: self.stack_bytes, max_stack, longest: self.longest, effort }
    }

    /// Explores everything that can follow the entry.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        let mut entry = Frame::new(0, 0, 0);
        entry.regs[Reg::R1.index()] = Value::pointer(Target::Context);
        let (frames, proofs) = (vec![entry], Proofs::default());
        let state =
            State { pc: 0, frames, held: None, records: Vec::new(), proofs, trail: NO_STEP, steps: 0 };
        self.enqueue(state, false);
        while let Some((place, states)) = self.queue.pop_first() {
            self.queued_bytes -= footprint(&states);
            let states = self.reduce(states);
            let at_header = states.iter().any(|state| self.graph.again[state.pc] != 0);
            if at_header && let Some(state) = self.rounds.repeated(place, &states, &self.trail) {
                let mut path = self.path(state.trail);
                path.push(state.pc);
                return Err(Failure { slot: state.pc, reason: self.endless(state.pc), path });
            }
            for state in states {
                self.states += 1;
                self.follow(state)?;
            }
        }
        Ok(())
    }

    /// Runs a state until its path ends or reaches a place where paths meet.
    fn follow(&mut self, mut state: State) -> Result<(), Failure> {
        loop {
            let slot = state.pc;
            #[cfg(test)]
            if let Some(seen) = &mut self.seen {
                seen[slot].push(state.clone());
            }
            if let Some(facts) = &mut self.facts {
                facts.add(&state, self.graph.live[slot]);
            }
            let before = state.trail;
            state.trail = self.trail.len() as u32;
            self.trail.push(Step { slot: slot as u32, before });
            self.steps += 1;
            state.steps += 1;
            let depth = state.depth();
            let next = self.within_budget().and_then(|()| self.step(&mut state));
            match next {
                Ok(Next::Done) => return Ok(()),
                Ok(Next::Go) if self.graph.is_join[state.pc] => {
                    let back = state.depth() == depth && self.graph.leads_back(slot, state.pc);
                    self.enqueue(state, back);
                    return Ok(());
                }
                Ok(Next::Go) => {}
                Err(reason) => {
                    let mut path = self.path(state.trail);
                    let at = match reason {
                        Reason::LoopUnbounded { .. } => self.rounds.longest().map(|(_, header)| header),
                        _ => None,
                    };
                    path.extend(at);
                    return Err(Failure { slot: at.unwrap_or(slot), reason, path });
                }
            }
        }
    }

    fn within_budget(&self) -> Result<(), Reason> {
        if self.steps > self.limits.steps {
            return Err(match self.rounds.longest() {
                Some((rounds, _)) => Reason::LoopUnbounded { rounds, steps: self.limits.steps },
                None => Reason::StepBudget { steps: self.limits.steps },
            });
        }
        let bytes = self.queued_bytes + self.rounds.bytes() + self.trail.len() * size_of::<Step>();
        if bytes > self.limits.bytes {
            return Err(Reason::MemoryBudget { bytes: self.limits.bytes });
        }
        Ok(())
    }

    /// Queues a state; registers that nobody will read are forgotten, so that they keep no states apart. `back` tells that it
    /// begins a loop anew.
    pub(crate) fn enqueue(&mut self, mut state: State, back: bool) {
        let live = self.graph.live[state.pc];
        for (index, value) in state.frame_mut().regs.iter_mut().enumerate() {
            if live & (1 << index) == 0 {
                *value = Value::Unwritten;
            }
        }
        state.forget_proofs();
        let calls = state.frames.iter().skip(1).map(|frame| self.graph.order[frame.call_site]);
        let place = if back { self.graph.again[state.pc] } else { self.graph.order[state.pc] };
        let key = calls.chain([place]).collect();
        self.queued_bytes += state.footprint();
        let mut waiting = self.queue.remove(&key).unwrap_or_default();
        waiting.push(state);
        // Every round of a loop may send a state to the same way out: they are not left to pile up.
        if waiting.len() > 4 * self.width.max(4) {
            self.queued_bytes -= footprint(&waiting);
            waiting = self.reduce(waiting);
            self.queued_bytes += footprint(&waiting);
        }
        self.queue.insert(key, waiting);
    }

    /// Drops covered states and merges until at most `width` of each comparable kind are left.
    fn reduce(&mut self, states: Vec<State>) -> Vec<State> {
        let mut kept: Vec<State> = Vec::new();
        for state in states {
            // Comparing states is work too, and grows with their number squared.
            self.steps += kept.len() as u64;
            if let Some(other) = kept.iter_mut().find(|other| other.covers(&state)) {
                other.absorb(&state);
                self.pruned += 1;
                continue;
            }
            let before = kept.len();
            let mut state = state;
            kept.retain(|other| {
                let covered = state.covers(other);
                if covered {
                    state.absorb(other);
                }
                !covered
            });
            self.pruned += (before - kept.len()) as u64;
            kept.push(state);
            if kept.len() > self.width {
                self.merge(&mut kept);
            }
        }
        kept
    }

    /// Merges two of the states: two of the same shape if there are such, so that no kind of value is lost.
    fn merge(&mut self, states: &mut Vec<State>) {
        let shapes: Vec<Vec<u32>> = states.iter().map(State::shape).collect();
        let pairs = || {
            (0..states.len())
                .flat_map(|first| (first + 1..states.len()).map(move |second| (first, second)))
                .filter(|&(first, second)| states[first].comparable(&states[second]))
        };
        let pair =
            pairs().find(|&(first, second)| shapes[first] == shapes[second]).or_else(|| pairs().next_back());
        let Some((first, second)) = pair else { return };
        let mut joined = states[first].join(&states[second], &mut self.counter);
        self.pruned += 1;
        states.remove(second);
        states.remove(first);
        states.retain(|other| {
            let covered = joined.covers(other);
            if covered {
                joined.absorb(other);
            }
            !covered
        });
        // First, so that the next states are merged into it too, and it grows instead of many pairs.
        states.insert(0, joined);
    }

    pub(crate) fn path(&self, last: u32) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = last;
        while let Some(step) = self.trail.get(at as usize) {
            path.push(step.slot as usize);
            at = step.before;
        }
        path.reverse();
        path
    }

    pub(crate) fn mint(&mut self) -> Id {
        self.counter += 1;
        Id(self.counter)
    }

    /// A number with an id of its own.
    pub(crate) fn number(&mut self, range: super::scalar::Scalar) -> Value {
        let id = if range.as_constant().is_some() { Id::NONE } else { self.mint() };
        Value::Scalar { range, id }
    }

    pub(crate) fn map(&self, map: MapId) -> &'p MapDef {
        &self.program.maps[map.index()]
    }

    pub(crate) fn map_name(&self, map: MapId) -> String {
        self.map(map).name.clone()
    }

    /// Records what is known of a slot, together with what other paths found.
    pub(crate) fn note(&mut self, slot: usize, note: Note) -> Result<(), Reason> {
        let merged = match (self.notes[slot], note) {
            (Note::Dead, note) => note,
            (old, new) if old == new => old,
            (Note::Access(a), Note::Access(b)) => Note::Access(merge_regions(a, b)),
            (Note::Helper { helper, .. }, Note::Helper { .. }) => Note::Helper { helper, map: None },
            _ => return Err(Reason::ContextMixed),
        };
        self.notes[slot] = merged;
        Ok(())
    }
}

/// Bytes that states take.
pub(crate) fn footprint(states: &[State]) -> usize {
    states.iter().map(State::footprint).sum()
}

fn merge_regions(a: Region, b: Region) -> Region {
    match (a, b) {
        (a, b) if a == b => a,
        (Region::Frame { .. } | Region::Stack, Region::Frame { .. } | Region::Stack) => Region::Stack,
        _ => Region::Mixed,
    }
}
