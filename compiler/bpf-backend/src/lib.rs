//! From checked IR to BPF: instructions that the Linux kernel and our own verifier accept, and the object that holds them.
//!
//! [`compile`] makes instructions of every filter of a module; [`object`] turns them into an object file. The stages for a
//! filter, a module each: `plan` decides what each value is (a register's business, a constant, another name of a value),
//! `live` says from where to where, `alloc` gives out registers and stack slots, `emit` writes instructions with `asm`'s
//! labels and `moves`'s parallel moves.
//!
//! # The code
//!
//! - ISA v3, program type XDP: `r1` is the `xdp_md`. The result is 1 plus the class: `XDP_DROP` (1) for no match, `XDP_PASS` (2) for
//!   a match of a bool filter.
//! - `r6` to `r9` and `r2` to `r5` hold values, the latter not across calls; `r0` and `r1` are for the moment. Values without a
//!   register live in 8-byte stack slots, one for its lifetime; constants live nowhere and are written where they are used.
//! - A window is the address of its *end*, which is the very register that was compared with `data_end`; its bytes are at
//!   negative offsets. Windows beyond byte 65,535 are never there: the kernel proves no further. So behind a packet's first
//!   64 KiB a filter sees nothing.
//! - `pkt.len` is what lies between `data` and `data_end`; of a packet captured in part, that is the part.
//! - A key is built at the top of the frame, gaps zeroed. A new entry is `oko_zero` of `.rodata`, inserted unless one is
//!   there (`BPF_NOEXIST`), then looked up.
//! - Entries are locked by the `struct bpf_spin_lock` that they start with. Linux allows none in an LRU hash map, so for
//!   [`EvictOldest`](oko_ir::WhenFull::EvictOldest) the lock is an element of the array [`LOCKS_MAP`], chosen by a hash of the key.
//! - `now` is read once, on the ways that need it, before the first of them.

mod alloc;
mod asm;
mod emit;
mod error;
mod listing;
mod live;
mod maps;
mod moves;
pub mod object;
mod plan;

use oko_bpf::isa::Insn;
use oko_bpf::program::LineInfo;
use oko_ir::Checked;

pub use error::BackendError;
pub use listing::listing;
pub use maps::data_variables;
pub use oko_artifact::{LOCKS_MAP, NOW_VARIABLE, ZERO_VARIABLE};

/// How to compile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where `now` comes from.
    pub clock: Clock,
    /// How many registers hold values.
    pub registers: Registers,
}

/// How many registers hold values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registers {
    /// All eight.
    #[default]
    All,
    /// Two: for tests, so that small filters have their values on the stack.
    Few,
}

/// Where `now` comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// From helper 5, `bpf_ktime_get_ns`.
    #[default]
    Helper,
    /// From the variable [`NOW_VARIABLE`] in `.data`, which whoever runs the program sets: for tests against a recorded clock.
    Injected,
}

/// All filters of a module as BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The filters, in the module's order.
    pub programs: Vec<CompiledFilter>,
    /// How they were compiled.
    pub options: Options,
}

/// One filter as BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledFilter {
    /// Its name, the symbol.
    pub name: String,
    /// The instructions. Map `i` is state `i`; behind the states come [`LOCKS_MAP`] if there is any LRU hash, then `.data` and `.rodata` if
    /// they are not empty.
    pub insns: Vec<Insn>,
    /// Where the instructions come from, ascending by slot; the texts of the lines are empty.
    pub lines: Vec<LineInfo>,
    /// Bytes of stack that it takes.
    pub stack_bytes: u32,
    /// For the listing: the slots at which parts of the IR start.
    marks: Vec<(usize, emit::Mark)>,
}

/// Compiles all filters of a module.
///
/// # Errors
///
/// A filter that does not fit: its stack, a jump; or a name that we need ourselves.
pub fn compile(checked: &Checked, options: Options) -> Result<Compiled, BackendError> {
    let module = checked.module();
    if let Some(&feature) = oko_ir::features::features(module).first() {
        return Err(BackendError::NotYet { feature });
    }
    let maps = maps::Maps::of(module, options)?;
    let programs = module
        .filters
        .iter()
        .map(|filter| {
            let plan = plan::Plan::of(module, filter, options);
            let frame = maps.frame(module, filter);
            let intervals = live::intervals(module, &plan);
            let allocation = alloc::allocate(&intervals, frame.top, options.registers, &filter.name)?;
            emit::emit(module, &maps, &plan, &allocation, frame)
        })
        .collect::<Result<_, _>>()?;
    Ok(Compiled { programs, options })
}
