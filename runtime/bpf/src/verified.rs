//! A program that passed the verifier, with what the engines need to know of it.
//!
//! What holds here: a [`Verified`] is made by [`crate::verifier`] only, its parts cannot be changed afterwards,
//! and the instructions of all slots whose note is not [`Note::Dead`] keep every promise of the verifier on every input.
//! So an engine may run it without checks of its own.

use std::ops::Range;

use crate::{
    helper::Helper,
    isa::Insn,
    program::{MapDef, MapId, Program},
    xdp::CtxField,
};

/// What the verifier found out about one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Note {
    /// No path reaches it (the second slot of a 64-bit immediate load included). Engines need not translate it.
    #[default]
    Dead,
    /// Reached; there is nothing to add to the instruction.
    Plain,
    /// A 4-byte load of this field of the context; pointers come as 64 bits.
    CtxLoad(CtxField),
    /// A load, store or atomic operation on memory of this kind.
    Access(Region),
    /// A 64-bit immediate load of a map.
    Map(MapId),
    /// A 64-bit immediate load of an address in the (only) value of a map with one entry, `off` bytes from its start.
    MapValue {
        /// Which map.
        map: MapId,
        /// Bytes from the start of the value, below its size.
        off: u32,
    },
    /// A call of a helper. `map` is the map in `r1` if the helper takes one and it is the same one on all paths.
    Helper {
        /// Which helper.
        helper: Helper,
        /// The map it works on.
        map: Option<MapId>,
    },
    /// A call of a function of the program: an index into [`Verified::functions`].
    LocalCall(usize),
}

/// The memory that an access goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Region {
    /// Stack frame of the running function, at a constant distance `off < 0` from its `r10`.
    Frame {
        /// Bytes from the frame pointer.
        off: i32,
    },
    /// Some stack frame, or the running one's at an offset that differs between paths.
    Stack,
    /// The packet (read only).
    Packet,
    /// A value of this map (a section of variables included).
    MapValue(MapId),
    /// A record of a ring buffer.
    Record,
    /// Several of these kinds, on different paths; never the context.
    Mixed,
}

/// A function of a verified program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its slots; it is entered at the first one, and no jump leaves or enters the range.
    pub slots: Range<usize>,
    /// Bytes of its stack frame that it uses, rounded up to 8; at most 512.
    pub stack_bytes: u32,
    /// The longest path through it, in instructions, calls of functions included (a helper counts as one).
    pub max_steps: u64,
}

/// A program that is safe to run.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(crate) program: Program,
    pub(crate) notes: Vec<Note>,
    pub(crate) functions: Vec<Function>,
    pub(crate) max_stack: u32,
    pub(crate) effort: Effort,
}

/// What verification took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effort {
    /// Instructions interpreted abstractly.
    pub steps: u64,
    /// Abstract states kept for pruning, at the end.
    pub states: usize,
    /// Paths cut short because an earlier state covered them.
    pub pruned: u64,
}

impl Verified {
    /// The program as it was loaded.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its instructions by slot.
    pub fn insns(&self) -> &[Insn] {
        &self.program.insns
    }

    /// Its maps.
    pub fn maps(&self) -> &[MapDef] {
        &self.program.maps
    }

    /// What is known of each slot; as long as [`Verified::insns`].
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Its functions; the first one is the entry, at slot 0.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Instructions on the longest path, calls included.
    pub fn max_steps(&self) -> u64 {
        self.functions.first().map_or(0, |entry| entry.max_steps)
    }

    /// Bytes of stack on the deepest chain of calls; at most 512.
    pub fn max_stack(&self) -> u32 {
        self.max_stack
    }

    /// What verification took.
    pub fn effort(&self) -> Effort {
        self.effort
    }
}
