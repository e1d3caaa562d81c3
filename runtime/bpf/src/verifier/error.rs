//! Why a program is refused: the reason, the place, the steps that led there, and what to change.

use std::fmt;

use thiserror::Error;

use crate::{interp::MAX_FRAMES, isa::Reg, program::LineInfo};

/// A program that is not safe, or not provably so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct VerifyError {
    /// Name of the program.
    pub program: String,
    /// The slot of the instruction.
    pub slot: usize,
    /// The instruction as text; empty if the program has none there.
    pub insn: String,
    /// Where it comes from, if known.
    pub source_line: Option<LineInfo>,
    /// What is wrong.
    pub reason: Reason,
    /// The steps of the path that led there and matter, in order.
    pub path: Vec<PathStep>,
}

/// A step of the path to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The slot.
    pub slot: usize,
    /// The instruction as text.
    pub insn: String,
    /// For a conditional jump, whether it is taken.
    pub taken: Option<bool>,
    /// Where it comes from, if known.
    pub source_line: Option<LineInfo>,
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5}: {}", self.slot, self.insn)?;
        match self.taken {
            Some(true) => f.write_str("  (taken)")?,
            Some(false) => f.write_str("  (not taken)")?,
            None => {}
        }
        match &self.source_line {
            Some(line) => write!(f, "  ; {}:{}", line.file, line.line),
            None => Ok(()),
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program `{}`, instruction {}", self.program, self.slot)?;
        if !self.insn.is_empty() {
            write!(f, " (`{}`)", self.insn)?;
        }
        writeln!(f, ": {}", self.reason)?;
        if let Some(LineInfo { file, line, text, .. }) = &self.source_line {
            writeln!(f, "  source: {file}:{line}: {}", text.trim())?;
        }
        if !self.path.is_empty() {
            writeln!(f, "  steps that led here:")?;
            for step in &self.path {
                writeln!(f, "  {step}")?;
            }
        }
        write!(f, "  help: {}", self.reason.help())
    }
}

/// What is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum Reason {
    // The shape of the program.
    #[error("the program has no instructions")]
    Empty,
    #[error("the program has {found} slots, the limit is {limit}")]
    TooLong { found: usize, limit: usize },
    #[error("the jump or call leaves the program, which has {slots} slots")]
    JumpOutside { slots: usize },
    #[error("the jump goes to slot {target}, into another function")]
    JumpBetweenFunctions { target: usize },
    #[error("the jump or call goes to slot {target}, the second half of a 64-bit immediate load")]
    JumpIntoWideLoad { target: usize },
    #[error("half of a 64-bit immediate load is missing")]
    TornWideLoad,
    #[error("execution runs off the end of the function")]
    FallsOff,
    #[error("no path leads to this instruction")]
    Unreachable,
    #[error(
        "the jump goes back to slot {target}, but there is a way into that loop past its first instruction"
    )]
    LoopEntry { target: usize },
    #[error("a function has more than 1024 loops, or they are nested too deeply")]
    TooManyLoops,
    #[error(
        "the loop that begins here has not come to an end after {rounds} rounds, {steps} steps of verification"
    )]
    LoopUnbounded { rounds: u64, steps: u64 },
    #[error("the loop that begins here can go round without anything having changed: it need not end")]
    LoopEndless,
    #[error("the loop that begins here need not end but for `may_goto`, and that is for the Linux kernel")]
    LoopGuarded,
    #[error("the call makes the functions recursive")]
    Recursion,
    #[error("calls are {depth} deep, the limit is {MAX_FRAMES}")]
    CallDepth { depth: usize },
    #[error("the calls need {bytes} bytes of stack together, the limit is 512")]
    StackTotal { bytes: u32 },
    #[error("map `{map}`: {what}")]
    BadMap { map: String, what: &'static str },
    #[error("{what} is not supported")]
    Unsupported { what: &'static str },
    #[error("helper {number} ({name}) is not available")]
    UnknownHelper { number: u32, name: &'static str },

    // Registers and arithmetic.
    #[error("{reg} is read, but it is not written on this path")]
    Unwritten { reg: Reg },
    #[error("{reg} is read, but it is of different kinds on paths that meet before")]
    Conflict { reg: Reg },
    #[error("r10, the frame pointer, is written")]
    FramePointerWritten,
    #[error("{reg} is {found}; {what} works on numbers only")]
    PointerArithmetic { reg: Reg, found: String, what: &'static str },
    #[error("the result's distance from the start of its object ({found}) may be beyond -2^29..=2^33")]
    PointerOffset { found: String },
    #[error("{left} is compared with {right}")]
    PointerComparison { left: String, right: String },

    // Memory.
    #[error("{reg} is {found}, which cannot be dereferenced")]
    NotMemory { reg: Reg, found: String },
    #[error("{reg} may be null: it is the result of a lookup in map `{map}` that is not tested yet")]
    MaybeNull { reg: Reg, map: String },
    #[error(
        "{bytes} bytes at packet offset {off} are accessed, but only {proven} bytes there are known to exist"
    )]
    PacketBounds { off: String, bytes: u32, proven: i64 },
    #[error("the packet is written; filters only read it")]
    PacketWrite,
    #[error("{bytes} bytes at offset {off} are accessed in a value of map `{map}`, which has {size}")]
    MapValueBounds { map: String, off: String, bytes: u32, size: u32 },
    #[error("variables in `{map}` are read only")]
    ReadOnlyData { map: String },
    #[error("{bytes} bytes at offset {off} of a value of map `{map}` overlap its spin lock")]
    LockBytes { map: String, off: String, bytes: u32 },
    #[error("{bytes} bytes at stack offset {off} are accessed; a frame is -512..0")]
    StackBounds { off: String, bytes: u32 },
    #[error("{bytes} bytes at stack offset {off}: not a multiple of the size")]
    StackAlignment { off: String, bytes: u32 },
    #[error("the stack byte at offset {off} is read, but it is not written on this path")]
    StackUnwritten { off: i64 },
    #[error("a part of the pointer at stack offset {off} is accessed")]
    PartOfPointer { off: i64 },
    #[error("the context has no readable field of {bytes} bytes at offset {off}")]
    ContextField { off: String, bytes: u32 },
    #[error("the context is written")]
    ContextWrite,
    #[error("the instruction accesses the context on one path and other memory on another")]
    ContextMixed,
    #[error("{found} is stored where others can read it")]
    PointerLeak { found: String },
    #[error("a pointer to this function's stack is stored in its caller's")]
    DanglingStackPointer,
    #[error("an atomic operation of {bytes} bytes at offset {off}, which is not aligned")]
    AtomicAlignment { off: String, bytes: u32 },
    #[error("there is no map {map}; the program has {maps}")]
    NoSuchMap { map: u32, maps: usize },
    #[error("the address of a value of map `{map}` is loaded, which is no array with one entry")]
    NotVariables { map: String },

    // Calls and locks.
    #[error("argument {reg} of {helper} must be {expected}, found {found}")]
    Argument { helper: &'static str, reg: Reg, expected: &'static str, found: String },
    #[error("map `{map}` is updated through a helper, but its variables are read only")]
    ReadOnlyMap { map: String },
    #[error("{what} while a spin lock is held")]
    LockHeld { what: &'static str },
    #[error("a spin lock is released, but none is held")]
    LockNotHeld,
    #[error("the spin lock of another entry is held")]
    OtherLock,
    #[error("map `{map}` has no spin lock")]
    NoLock { map: String },
    #[error("{helper} does not work on map `{map}`, which is of type {kind}")]
    MapKind { helper: &'static str, map: String, kind: crate::program::MapKind },
    #[error("{reg} may be null: it is a record of `{map}` that is not tested yet")]
    RecordMaybeNull { reg: Reg, map: String },
    #[error("{bytes} bytes at offset {off} are accessed in a record of `{map}`, which has {size}")]
    RecordBounds { map: String, off: String, bytes: u32, size: u32 },
    #[error("the program ends, but a record that it has reserved is not submitted or discarded")]
    RecordKept,
    #[error("the record was submitted or discarded before")]
    RecordGone,
    #[error("the program returns {found}; it must return a number")]
    PointerReturned { found: String },

    // The verifier's own limits.
    #[error("verification took {steps} steps, its limit")]
    StepBudget { steps: u64 },
    #[error("verification needs more than {bytes} bytes, its limit")]
    MemoryBudget { bytes: usize },
}

impl Reason {
    /// Whether nothing wrong was found, and only the proof took too long, or the program does.
    pub fn is_budget(&self) -> bool {
        matches!(
            self,
            Reason::TooLong { .. }
                | Reason::TooManyLoops
                | Reason::LoopUnbounded { .. }
                | Reason::LoopGuarded
                | Reason::StepBudget { .. }
                | Reason::MemoryBudget { .. }
        )
    }

    /// What to change, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Reason::Empty => "the entry function needs at least `mov %r0, 2` and `exit`",
            Reason::TooLong { .. } => "split the filter, or move common code into functions",
            Reason::JumpOutside { .. }
            | Reason::JumpBetweenFunctions { .. }
            | Reason::JumpIntoWideLoad { .. }
            | Reason::TornWideLoad => "the object is damaged or was changed by hand: compile it again",
            Reason::FallsOff => "end every path with `exit`",
            Reason::Unreachable => "remove the instruction, or jump to it",
            Reason::LoopEntry { .. } => "enter the loop at its beginning only; in C, do not jump into loops",
            Reason::TooManyLoops => "move some of the loops into functions of their own",
            Reason::LoopUnbounded { .. } => {
                "give the loop a counter in a register, with a constant limit that it is compared with in every round"
            }
            Reason::LoopEndless => {
                "let every round change what the loop's condition tests, such as a counter"
            }
            Reason::LoopGuarded => {
                "count the loop's rounds besides, in a register that it tests; or let the Linux kernel run the program alone: Oko runs what is proved to end"
            }
            Reason::Recursion => "turn the recursion into straight code",
            Reason::CallDepth { .. } => "inline some of the functions (in C: `__always_inline`)",
            Reason::StackTotal { .. } => "use less stack: smaller local variables, or fewer nested calls",
            Reason::BadMap { .. } => "correct the map's definition",
            Reason::Unsupported { .. } => "compile for BPF with `-mcpu=v3`, without kernel-only features",
            Reason::UnknownHelper { .. } => {
                "filters may call the helpers for maps and ring buffers, for time, random numbers, spin locks and reading the packet; the \
                 book's chapter on the verifiers lists them"
            }
            Reason::MapKind { .. } => "use the helpers that are made for this type of map",
            Reason::RecordMaybeNull { .. } => "test the result for null right after bpf_ringbuf_reserve",
            Reason::RecordBounds { .. } => "reserve a larger record, or bound the offset with a comparison",
            Reason::RecordKept => "call bpf_ringbuf_submit or bpf_ringbuf_discard on every path",
            Reason::RecordGone => "hand each record over once",
            Reason::Unwritten { .. } => "write the register on every path; calls lose r1 to r5",
            Reason::Conflict { .. } => "let the value be a number, or the same kind of pointer, on all paths",
            Reason::FramePointerWritten => "copy r10 to another register and change the copy",
            Reason::PointerArithmetic { .. } => {
                "only add numbers to, and subtract numbers from, pointers, in 64 bits"
            }
            Reason::PointerOffset { .. } => {
                "bound the number with a comparison before adding it to the pointer"
            }
            Reason::PointerComparison { .. } => {
                "compare packet pointers with data_end or each other, and results of lookups with 0, in 64 bits"
            }
            Reason::NotMemory { .. } => "use a pointer to the context, stack, packet or a map value",
            Reason::MaybeNull { .. } => "test the result for null right after the lookup",
            Reason::PacketBounds { .. } => {
                "compare this very pointer, plus the bytes that are accessed, with data_end before"
            }
            Reason::PacketWrite => "filters decide; OpenFlow actions change packets",
            Reason::MapValueBounds { .. } => "bound the offset with a comparison, or enlarge the value",
            Reason::ReadOnlyData { .. } | Reason::ReadOnlyMap { .. } => "use a variable that is not const",
            Reason::LockBytes { .. } => "access the lock with bpf_spin_lock and bpf_spin_unlock only",
            Reason::StackBounds { .. } => "keep within the 512 bytes below r10",
            Reason::StackAlignment { .. } => "align the variable to its size",
            Reason::StackUnwritten { .. } => "initialise the whole variable, its padding included",
            Reason::PartOfPointer { .. } => "store and load pointers as 8 bytes",
            Reason::ContextField { .. } => {
                "read data, data_end, data_meta, ingress_ifindex or rx_queue_index as 4 bytes"
            }
            Reason::ContextWrite => "the context is read only",
            Reason::ContextMixed => "load the context's fields at instructions of their own",
            Reason::PointerLeak { .. } => "store numbers only; pointers may be kept on the stack",
            Reason::DanglingStackPointer => "let the caller pass memory of its own",
            Reason::AtomicAlignment { .. } => "align the variable to its size",
            Reason::NoSuchMap { .. } => "the object is damaged: compile it again",
            Reason::NotVariables { .. } => "look the value up with bpf_map_lookup_elem",
            Reason::Argument { .. } => "pass what the helper's signature asks for",
            Reason::LockHeld { .. } => "release the lock before",
            Reason::LockNotHeld => "take the lock on every path that leads here",
            Reason::OtherLock => "release the lock that was taken, on the same entry",
            Reason::NoLock { .. } => "put a `struct bpf_spin_lock` into the map's value, with BTF",
            Reason::PointerReturned { .. } => "return XDP_PASS (2) for a match, XDP_DROP (1) for none",
            Reason::StepBudget { .. } | Reason::MemoryBudget { .. } => {
                "simplify the program: fewer branches whose outcomes must be told apart later"
            }
        }
    }
}
