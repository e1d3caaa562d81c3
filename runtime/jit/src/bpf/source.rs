//! What is known of a program before it is translated.

use std::ops::Range;

use oko_bpf::isa::Insn;
use oko_bpf::program::MapDef;
use oko_bpf::verified::Note;

use crate::answer::Answer;

/// What is compiled.
pub(super) struct Source<'a> {
    pub(super) insns: &'a [Insn],
    pub(super) maps: &'a [MapDef],
    /// The verifier's notes; none for tests of instructions.
    pub(super) notes: Option<&'a [Note]>,
    /// How many look-ups the verifier has noted.
    pub(super) look_ups: usize,
    /// The entry function first.
    pub(super) functions: Vec<FunctionPlan>,
    pub(super) convention: Convention,
}

/// A function of the program.
pub(super) struct FunctionPlan {
    pub(super) slots: Range<usize>,
    /// Bytes of its frame.
    pub(super) frame: u32,
}

impl FunctionPlan {
    /// Bytes from the begin of its frame to the frame pointer.
    pub(super) fn top(&self) -> i32 {
        self.frame.next_multiple_of(8).max(8) as i32
    }
}

/// How the entry function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Convention {
    Filter(Answer),
    Memory,
}

impl Source<'_> {
    pub(super) fn note(&self, slot: usize) -> Option<Note> {
        self.notes.map(|notes| notes.get(slot).copied().unwrap_or(Note::Dead))
    }

    pub(super) fn is_dead(&self, slot: usize) -> bool {
        self.note(slot) == Some(Note::Dead) || slot >= self.insns.len() || self.insns[slot] == Insn::HighHalf
    }
}
