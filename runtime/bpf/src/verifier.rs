//! The verifier: proves by abstract interpretation that a program is safe, or says why it cannot.
//!
//! It is the trust boundary: it assumes nothing about who made the program. A program that it accepts, run on any packet
//! and any content of its maps, keeps these promises:
//! 1. It ends, after at most [`Verified::max_steps`] instructions: every loop has been followed to its end, and there is no
//!    recursion.
//! 2. Every access is inside of a live object: a stack frame of at most 512 bytes, the packet (only read, and only
//!    bytes that a comparison with `data_end` has shown to exist), a map value, a variable, a field of the context.
//! 3. No register and no stack byte is read before it is written.
//! 4. A result of a lookup is tested for null before it is used; a map is used only as an argument of helpers.
//! 5. Helpers are known and get what their signatures ask for.
//! 6. At most one spin lock is held, no helper or function is called meanwhile, and every path releases it; its bytes
//!    are not accessed otherwise.
//! 7. No address leaves the program: not by return, not into a map, not by comparisons that depend on where objects are.
//! 8. It returns a number.
//!
//! How: the states of all paths are followed in order (`explore`); a value is a set of numbers (`scalar`) or a
//! pointer with its region and a set of offsets (`value`). Where many paths meet, states that others cover are
//! dropped and the rest merged, so effort grows with the program and not with its paths. At first all are merged to one; if that
//! shows too little, more are kept apart.
//!
//! The promises are checked by running accepted programs on [`crate::interp`], which relies on none of this.

mod access;
mod arithmetic;
mod call;
mod cfg;
mod condition;
mod error;
mod explain;
mod explore;
mod loops;
mod path;
mod rounds;
mod scalar;
mod stack;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod tnum;
mod value;

pub use error::{PathStep, Reason, VerifyError};
pub use explain::explain;

use self::{
    cfg::Graph,
    explain::Facts,
    explore::{Explorer, Failure, Shown},
};
use crate::{
    object::is_ring_size,
    program::{MapDef, MapKind, Program},
    verified::{Function, Verified},
};

/// What the verifier may spend on one program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Slots of the program.
    pub slots: usize,
    /// Instructions interpreted abstractly, for each of the attempts; the first, hasty one gets a sixteenth.
    pub steps: u64,
    /// Bytes for the states that wait.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { slots: 1 << 16, steps: 1 << 20, bytes: 48 << 20 }
    }
}

/// The first attempt keeps one state where paths meet. Nearly all programs are shown to be safe so, in a fraction of the time; that one is not
/// says nothing, and is forgotten.
const HASTY_WIDTH: usize = 1;
/// It gets this share of the steps, for a program that uses up the others' takes not much longer then.
const HASTY_SHARE: u64 = 16;
/// How many states are kept apart where paths meet, in one attempt after the other.
const WIDTHS: [usize; 3] = [4, 32, 128];

/// The stack that the frames of nested calls may take together.
const STACK_TOTAL: u32 = 512;

/// Verifies a program with the default [`Limits`].
///
/// # Errors
/// The first fault that is found, with the path to it; or that a limit was reached.
pub fn verify(program: Program) -> Result<Verified, Box<VerifyError>> {
    verify_within(program, &Limits::default())
}

/// Verifies a program.
///
/// # Errors
/// As [`verify`].
pub fn verify_within(program: Program, limits: &Limits) -> Result<Verified, Box<VerifyError>> {
    match prepare(&program, limits) {
        Ok(graph) => {
            let (judged, _) = judge(&program, &graph, limits, false);
            decide(program, &graph, judged)
        }
        Err(failure) => Err(refusal(&program, failure)),
    }
}

/// What is checked before any attempt; gives the way through the program.
fn prepare(program: &Program, limits: &Limits) -> Result<Graph, Failure> {
    let refuse = |slot, reason| Failure { slot, reason, path: Vec::new() };
    if program.insns.len() > limits.slots {
        return Err(refuse(0, Reason::TooLong { found: program.insns.len(), limit: limits.slots }));
    }
    check_maps(&program.maps).map_err(|reason| refuse(0, reason))?;
    Graph::new(&program.insns).map_err(|(slot, reason)| refuse(slot, reason))
}

/// Makes one attempt after the other until one succeeds. Gives what was shown, or why not; and what was known in the attempt that has
/// decided, if that is wanted.
fn judge(
    program: &Program,
    graph: &Graph,
    limits: &Limits,
    facts: bool,
) -> (Result<Shown, Failure>, Option<Facts>) {
    let mut refused = None;
    let hasty = Limits { steps: limits.steps / HASTY_SHARE, ..*limits };
    for (width, limits) in [(HASTY_WIDTH, &hasty)].into_iter().chain(WIDTHS.map(|width| (width, limits))) {
        let Attempt { explorer, failed, facts } = attempt(program, graph, limits, width, facts);
        let shown = explorer.into_shown();
        let failure = failed.or_else(|| {
            let reason = Reason::StackTotal { bytes: shown.max_stack };
            (shown.max_stack > STACK_TOTAL).then_some(Failure { slot: 0, reason, path: Vec::new() })
        });
        let Some(failure) = failure else { return (Ok(shown), facts) };
        if width == HASTY_WIDTH {
            continue;
        }
        // With more states kept apart it would only be reached sooner; and it says less than a fault found before.
        let budget = failure.reason.is_budget();
        if !(budget && refused.is_some()) {
            refused = Some((failure, facts));
        }
        if budget {
            break;
        }
    }
    let (failure, facts) = refused.expect("there are attempts behind the hasty one");
    (Err(failure), facts)
}

/// The verdict, by what the attempts came to.
fn decide(
    program: Program,
    graph: &Graph,
    judged: Result<Shown, Failure>,
) -> Result<Verified, Box<VerifyError>> {
    let Shown { notes, stack_bytes, max_stack, longest, effort } = match judged {
        Ok(shown) => shown,
        Err(failure) => return Err(refusal(&program, failure)),
    };
    let longest = if graph.loops.is_empty() { &graph.max_steps } else { &longest };
    let functions = graph.functions.iter().zip(&stack_bytes).zip(longest);
    let functions = functions
        .map(|((slots, &stack_bytes), &max_steps)| Function { slots: slots.clone(), stack_bytes, max_steps })
        .collect();
    Ok(Verified { program, notes, functions, max_stack, effort })
}

/// One attempt, with so many states kept apart where paths meet.
struct Attempt<'p> {
    explorer: Explorer<'p>,
    failed: Option<Failure>,
    /// What was known at each slot, if that was wanted.
    facts: Option<Facts>,
}

fn attempt<'p>(
    program: &'p Program,
    graph: &'p Graph,
    limits: &'p Limits,
    width: usize,
    facts: bool,
) -> Attempt<'p> {
    let mut explorer = Explorer::new(program, graph, limits, width);
    explorer.facts = facts.then(|| Facts::new(program.insns.len()));
    let failed = explorer.run().err();
    let facts = explorer.facts.take();
    Attempt { explorer, failed, facts }
}

/// The maps are part of the input too: what the rest relies on is checked here.
fn check_maps(maps: &[MapDef]) -> Result<(), Reason> {
    for def in maps {
        let wrong = |what| Err(Reason::BadMap { map: def.name.clone(), what });
        if def.max_entries == 0 || def.kind != MapKind::RingBuf && def.value_size == 0 {
            return wrong("its value size and capacity must not be 0");
        }
        if def.kind.has_keys() != (def.key_size > 0) {
            return wrong("maps with entries have keys, ring buffers and Bloom filters have none");
        }
        if def.key_size > MAX_KEY || def.value_size > MAX_VALUE {
            return wrong("its key is larger than 512 bytes or its value larger than 16 MiB");
        }
        if def.kind.is_array() && def.key_size != 4 {
            return wrong("the key of an array has 4 bytes");
        }
        if def.kind == MapKind::LpmTrie && !(5..=260).contains(&def.key_size) {
            return wrong("the key of an LPM trie has 5 to 260 bytes");
        }
        if def.kind == MapKind::RingBuf && (def.value_size != 0 || !is_ring_size(def.max_entries)) {
            return wrong("a ring buffer has no values, and a size that is a power of two from 4096 to 2^30");
        }
        let hashed = def.kind == MapKind::BloomFilter || def.kind.is_sketch();
        if hashed != (1..=15).contains(&def.hashes) {
            return wrong("a Bloom filter or sketch has 1 to 15 hash functions, other maps have none");
        }
        if def.kind.is_sketch() && def.value_size != 4 {
            return wrong("a look-up in a sketch gives 4 bytes");
        }
        // Linux allows none in LRU hashes, whose entries go away by themselves; here a lock that is held keeps its entry.
        if def.lock_offset.is_some() && !matches!(def.kind, MapKind::Hash | MapKind::LruHash | MapKind::Array)
        {
            return wrong("spin locks are for hash maps, LRU hash maps and arrays only");
        }
        if let Some(lock) = def.lock_offset
            && (!lock.is_multiple_of(4) || lock.checked_add(4).is_none_or(|end| end > def.value_size))
        {
            return wrong("its spin lock must be 4-aligned and inside of the value");
        }
        if let Some(data) = &def.data {
            let single = def.kind == MapKind::Array && def.max_entries == 1;
            if !single || data.init.len() != def.value_size as usize {
                return wrong("a section of variables is an array with one entry of its size");
            }
        }
    }
    Ok(())
}

/// Bytes of a key, at most; Linux has the same limit.
const MAX_KEY: u32 = 512;
/// Bytes of a value, at most.
const MAX_VALUE: u32 = 1 << 24;

fn refusal(program: &Program, failure: Failure) -> Box<VerifyError> {
    let Failure { slot, reason, path } = failure;
    Box::new(VerifyError {
        program: program.name.clone(),
        slot,
        insn: program.insns.get(slot).map(ToString::to_string).unwrap_or_default(),
        source_line: program.line_of(slot).cloned(),
        path: path::relevant(program, &path, &reason),
        reason,
    })
}
