//! Watches loops for rounds that change nothing.
//!
//! Then a path of the program need not end, and the exploration would end with its budget only. States are compared with
//! those of rounds 1, 2, 4, 8 and so on of the same loop, which finds every cycle (Brent). It serves the message: what is
//! missed here ends in the budget.

use std::collections::BTreeMap;

use super::{
    explore::{Step, footprint},
    state::State,
};

#[derive(Default)]
pub(crate) struct Rounds {
    /// For the place at which each loop that is being followed is entered or begins anew: how often, and the states to compare with.
    at: BTreeMap<Vec<u32>, (u64, Vec<State>)>,
    bytes: usize,
}

impl Rounds {
    /// Counts a round; gives one of its states if that was there before, and has led to itself.
    pub(crate) fn repeated<'s>(
        &mut self,
        place: Vec<u32>,
        states: &'s [State],
        trail: &[Step],
    ) -> Option<&'s State> {
        // Places are taken in order, so loops that begin anew at lower ones are inside of this one, or have ended.
        let around = self.at.split_off(&place);
        let ended = std::mem::replace(&mut self.at, around);
        self.bytes -= ended.values().map(|(_, states)| footprint(states)).sum::<usize>();
        let (rounds, known) = self.at.entry(place).or_default();
        let led = |state: &State, from: u32| {
            let before = |at: u32| trail.get(at as usize).map(|step| step.before);
            std::iter::successors(Some(state.trail), |at| before(*at)).any(|at| at == from)
        };
        let again = states.iter().find(|state| {
            let same = |old: &&State| old.covers(state) && state.covers(old);
            known.iter().find(same).is_some_and(|old| led(state, old.trail))
        });
        *rounds += 1;
        if rounds.is_power_of_two() {
            self.bytes += footprint(states);
            self.bytes -= footprint(known);
            known.clear();
            known.extend_from_slice(states);
        }
        again
    }

    /// The rounds and the header of the loop that has gone round most.
    pub(crate) fn longest(&self) -> Option<(u64, usize)> {
        let known = self.at.values().filter_map(|(rounds, states)| Some((*rounds, states.first()?.pc)));
        known.max()
    }

    /// What the states that are kept take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
