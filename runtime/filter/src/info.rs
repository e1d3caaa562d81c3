//! What an instance says: of packets, of what it is made of, and of what it has done.

use std::time::Duration;

/// What a filter answers about a packet: its class. Of a `bool` filter, 1 is a match and 0 none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Verdict(pub u32);

impl Verdict {
    /// Whether a `bool` filter matches; of others, whether the class is not the first.
    pub fn is_match(self) -> bool {
        self.0 != 0
    }

    /// The class.
    pub fn class(self) -> u32 {
        self.0
    }
}

/// A filter of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub(crate) u32);

impl FilterId {
    /// Its place among the filters of the artifact, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A filter and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterInfo {
    /// How to call it.
    pub id: FilterId,
    /// Its name.
    pub name: String,
    /// The names of its classes by number; empty for `bool`.
    pub classes: Vec<String>,
    /// Its documentation comment.
    pub doc: String,
}

impl FilterInfo {
    /// How many classes it tells apart: 2 for `bool`.
    pub fn class_count(&self) -> u32 {
        if self.classes.is_empty() { 2 } else { self.classes.len() as u32 }
    }
}

/// A param and what it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamInfo {
    /// Its name.
    pub name: String,
    /// What it is now.
    pub value: u64,
    /// The least that it may be.
    pub min: u64,
    /// The greatest that it may be.
    pub max: u64,
    /// What it was at load.
    pub default: u64,
}

/// How often a filter ran and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FilterStats {
    /// Packets that it was asked about.
    pub runs: u64,
    /// How many of these got each class.
    pub classes: Vec<u64>,
    /// How often an interpreter stopped at a step that the verifier should have refused: always 0 unless there is a defect. Such a
    /// packet gets class 0.
    pub faults: u64,
}

/// What a filter emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// The instant of the packet, nanoseconds.
    pub time: u64,
    /// Its scalars in the IR's order.
    pub values: Vec<u64>,
}

/// What loading did and took.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Reading the object and checking that its parts fit together.
    pub read: Duration,
    /// Verifying BPF and IR.
    pub verify: Duration,
    /// Compiling.
    pub compile: Duration,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Bytes that the states take.
    pub state_bytes: u64,
}
