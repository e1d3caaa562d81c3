//! What the verifier knows at each instruction, for people.
//!
//! A line for each state that was followed there: the registers that are needed from there on, with their ranges. States that read alike
//! are one line; of many, the first few are shown.

use std::fmt::Write;

use super::{Limits, error::VerifyError, state::State};
use crate::{
    isa::{Insn, Reg},
    program::Program,
    verified::Verified,
};

/// Lines that are shown for one instruction, at most.
const SHOWN: usize = 4;

/// The lines of each slot.
pub(crate) struct Facts {
    slots: Vec<Slot>,
}

#[derive(Clone, Default)]
struct Slot {
    lines: Vec<String>,
    /// States that are not shown.
    more: usize,
}

impl Facts {
    pub(crate) fn new(slots: usize) -> Facts {
        Facts { slots: vec![Slot::default(); slots] }
    }

    /// Takes note of a state that is followed; `live` has a bit for each register that is needed.
    pub(crate) fn add(&mut self, state: &State, live: u16) {
        let slot = &mut self.slots[state.pc];
        if slot.lines.len() >= SHOWN {
            slot.more += 1;
            return;
        }
        let needed = Reg::all().filter(|reg| *reg != Reg::R10 && live & (1 << reg.index()) != 0);
        let values: Vec<String> = needed.map(|reg| format!("{reg} is {}", state.get(reg))).collect();
        let mut line = if values.is_empty() { "no register matters".to_owned() } else { values.join("; ") };
        if state.held.is_some() {
            line.push_str("; a spin lock is held");
        }
        if !slot.lines.contains(&line) {
            slot.lines.push(line);
        }
    }
}

/// The program with what is known at each of its instructions, and the verdict. If it is refused, what was known on the way there is
/// shown.
pub fn explain(program: Program) -> (String, Result<Verified, Box<VerifyError>>) {
    let limits = Limits::default();
    match super::prepare(&program, &limits) {
        Ok(graph) => {
            let (judged, facts) = super::judge(&program, &graph, &limits, true);
            let text = facts.map(|facts| listing(&program, &facts)).unwrap_or_default();
            (text, super::decide(program, &graph, judged))
        }
        Err(failure) => (String::new(), Err(super::refusal(&program, failure))),
    }
}

fn listing(program: &Program, facts: &Facts) -> String {
    let mut out = String::new();
    let mut line = None;
    for (slot, insn) in program.insns.iter().enumerate() {
        if *insn == Insn::HighHalf {
            continue;
        }
        // Writing to a string does not fail.
        if let Some(source) = program.line_of(slot).filter(|source| Some(source.slot) != line) {
            line = Some(source.slot);
            let _ = writeln!(out, "  ; {}:{} {}", source.file, source.line, source.text.trim());
        }
        let known = &facts.slots[slot];
        for state in &known.lines {
            let _ = writeln!(out, "         {state}");
        }
        match known.more {
            0 => {}
            1 => out.push_str("         and another state\n"),
            more => {
                let _ = writeln!(out, "         and {more} other states");
            }
        }
        if known.lines.is_empty() {
            out.push_str("         nothing comes here\n");
        }
        let _ = writeln!(out, "{slot:6}: {insn}");
    }
    out
}
