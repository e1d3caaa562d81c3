//! From checked IR to BPF: instructions that the Linux kernel and our own verifier accept, and the object that holds them.
//!
//! [`compile`] makes instructions of every filter of a module; [`object`] turns them into an object file. The stages for a
//! filter, a module each: `plan` decides what each value is (a register's business, a constant, another name of a value), `forget` what verifiers are to
//! forget, `live` says from where to where, `alloc` gives out registers and stack slots, `emit` writes instructions with `asm`'s
//! labels and `moves`'s parallel moves.
//!
//! # The code
//!
//! - ISA v3, program type XDP: `r1` is the `xdp_md`. The result is 1 plus the class: `XDP_DROP` (1) for no match, `XDP_PASS` (2) for
//!   a match of a bool filter. For the kernel alone it is what the kernel is to do ([`Target`]), in an XDP program or one of traffic control, whose `r1` is
//!   the `__sk_buff`.
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
//! - `now` is read once, on the ways that need it, before the first of them and outside of loops.
//! - A loop is a loop: its counter goes up to a constant, so verifiers that follow it round by round come to an end. For Linux, which would come to it too
//!   late where many rounds are possible, it has a guard besides ([`Verifier::Linux`]).
//! - An index that verifiers do not see the bounds of is compared with them once more, and is 0 beyond.
//! - Words are entries of an array, changed by atomic instructions. Tables are hash maps and LPM tries; nobody locks their entries. An event is a record of
//!   the ring buffer [`EVENTS_MAP`]. What each worker has for itself are per-cpu maps, without locks.
//! - The seed is the variable [`SEED_VARIABLE`]. If nobody has set it, the first packet does, at random, and it makes the seed's words, [`SEED_WORDS_VARIABLE`].
//! - Numbers for which neither registers nor the frame have room are in an array of which each worker has its own, [`SPILL_MAP`]. Verifiers know nothing of
//!   what is read from there, so addresses and counters of loops stay in the frame.

mod alloc;
mod asm;
mod emit;
mod error;
mod forget;
mod listing;
mod live;
mod maps;
mod moves;
pub mod object;
mod plan;
mod target;

use oko_bpf::isa::{Imm64, Insn};
use oko_bpf::program::LineInfo;
use oko_ir::Checked;

pub use error::BackendError;
pub use listing::listing;
pub use maps::data_variables;
pub use oko_artifact::{
    EVENTS_MAP, LOCKS_MAP, NOW_VARIABLE, SEED_VARIABLE, SEED_WORDS_VARIABLE, SPILL_MAP, ZERO_VARIABLE,
};
pub use target::{OnMatch, Target};

/// How to compile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where `now` comes from.
    pub clock: Clock,
    /// How many registers hold values.
    pub registers: Registers,
    /// Who runs the programs.
    pub target: Target,
    /// Whose verifier the programs are made for. Those for the kernel alone are made for Linux's.
    pub verifier: Verifier,
}

impl Options {
    /// Whether Linux's verifier is to have it easy.
    pub(crate) fn for_linux(self) -> bool {
        self.verifier == Verifier::Linux || self.target != Target::Switch
    }
}

/// Who proves the programs safe before they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verifier {
    /// Ours, which takes ways together where they meet.
    #[default]
    Oko,
    /// Linux's, which follows each way by itself, and each turn of a loop, until it has seen a million instructions. So that it leaves ways early, numbers are
    /// unknown where ways meet; and loops of many turns have a guard, `may_goto` (Linux 6.9), by which it knows that they end. Ours proves
    /// such loops no more ([`Linux::V6_9`]).
    Linux,
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
    /// Bytes of the values of one worker that frames have no room for: the entry of [`SPILL_MAP`]; 0 if there is none.
    pub spill_bytes: u32,
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
    /// The version of Linux that it takes, if not every one will do that has XDP as we use it.
    pub linux: Option<Linux>,
    /// For the listing: the slots at which parts of the IR start.
    marks: Vec<(usize, emit::Mark)>,
}

/// Versions of Linux with something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linux {
    /// Jumps over more than 10,922 instructions.
    V6_6,
    /// `may_goto`, which ends loops. Our verifier takes none that end by it alone.
    V6_9,
}

/// Compiles all filters of a module.
///
/// # Errors
///
/// A filter that does not fit the stack, or has more maps than Linux takes; or a name that we need ourselves.
pub fn compile(checked: &Checked, options: Options) -> Result<Compiled, BackendError> {
    let module = checked.module();
    let mut maps = maps::Maps::of(module, options)?;
    let mut planned = Vec::new();
    for filter in &module.filters {
        if !options.target.takes(filter.result) {
            return Err(BackendError::Classes { filter: filter.name.clone() });
        }
        let mut plan = plan::Plan::of(module, filter, options);
        if plan.uses_word_under_lock() {
            return Err(BackendError::WordUnderLock { filter: filter.name.clone() });
        }
        forget::place(&mut plan);
        let frame = maps.frame(module, filter);
        let live = live::live(&plan);
        let allocation = alloc::allocate(&live.intervals, &plan, frame.top, options.registers)?;
        let forgetting = forget::Forgetting::of(&plan, &live);
        maps.spill_to(allocation.spill_bytes);
        planned.push((plan, allocation, forgetting, frame));
    }
    let spill_bytes = planned.iter().map(|(_, allocation, ..)| allocation.spill_bytes).max().unwrap_or(0);
    let programs: Vec<CompiledFilter> = planned
        .iter()
        .map(|(plan, allocation, forgetting, frame)| {
            emit::emit(module, &maps, plan, allocation, forgetting, *frame)
        })
        .collect();
    if options.target != Target::Switch {
        programs.iter().try_for_each(has_few_maps)?;
    }
    Ok(Compiled { programs, options, spill_bytes })
}

/// Whether Linux takes as many maps as a program uses.
fn has_few_maps(program: &CompiledFilter) -> Result<(), BackendError> {
    /// `MAX_USED_MAPS` of its verifier.
    const LIMIT: usize = 64;
    let used = program.insns.iter().filter_map(|insn| match *insn {
        Insn::LoadImm64 { imm: Imm64::Map(map) | Imm64::MapValue { map, .. }, .. } => Some(map),
        _ => None,
    });
    let maps = used.collect::<std::collections::BTreeSet<_>>().len();
    if maps <= LIMIT {
        Ok(())
    } else {
        Err(BackendError::Maps { filter: program.name.clone(), maps, limit: LIMIT })
    }
}
