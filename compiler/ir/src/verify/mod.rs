//! The verifier: a [`Module`] goes in, a [`Checked`] one or the list of what is wrong comes out.
//!
//! It is a trust boundary. A switch runs it on modules from strangers and then generates native code without run-time
//! checks, so it assumes nothing, and these are all the things that it checks. A module is accepted if and only if they hold.
//!
//! **Declarations**
//!
//! 1. Nothing is larger than [`limits`](crate::limits) has it; a capacity, a number of classes and of key parts is at least 1.
//! 2. Names of params, states and filters are symbols: a letter or `_`, then letters, digits, `_` and `.`; no two are the
//!    same, whatever they name (an object file has one symbol table). Names of key parts and fields are not empty and no
//!    name nor file contains a control character.
//! 3. A param's `min <= default <= max`. An array's key has one part; words have neither key nor fields. A table has no copies for
//!    workers. All states together fit [`MAX_STATE_BYTES`](crate::limits::MAX_STATE_BYTES).
//!
//! **Each filter**
//!
//! 4. Every reference is to something that there is: files, params, states, fields, events, blocks, values. Every window type is of
//!    a possible size.
//! 5. The entry block has no parameters and no predecessors. Every block can be reached from it. An edge that leads back leads to
//!    a block that dominates where it starts and ends in `repeat`: the header of a loop. There are no other cycles.
//! 6. Every value is defined exactly once, as a block parameter or as the result of an instruction, and an instruction has a
//!    result if and only if its operation gives one. Every use of a value is dominated by its definition: it is
//!    after it in the same block, or in a block that the defining block dominates. Arguments of a block count as used at
//!    the end of the block that passes them.
//! 7. Operands and results have the types that the operation says (crate documentation). An edge passes as many
//!    arguments as the target has parameters, of their types; on the `ok` edge of `window` and the `found` edge of `find` and `slot`
//!    the first parameter is the window or entry and has exactly its type. A `find` or `slot` gives one int for each part of the key,
//!    an `emit` one for each field of the event.
//! 8. A load lies within its window. `get` and `set` name a field of one scalar.
//! 9. `return` gives a bool, or for a filter with classes an int which the range analysis ([`ranges`](crate::ranges)) proves
//!    to be below their number. It proves as well that the index of `get.at` and `set.at` is below the field's number of scalars, and the index of
//!    an operation on words below their number.
//! 10. Nothing is looked up in a state of words, and entries of it do not exist; operations on words name no other state. `slot`, `lock`, `set`,
//!     `set.at` and `unlock` name no table.
//!
//! **Locks**, along every path
//!
//! 11. Not more than one entry is locked at a time. `get`, `set`, `get.at`, `set.at` and `unlock` name the locked entry by the very value that was
//!     locked; only entries of tables are read without. The paths that meet in a block agree on what is locked.
//! 12. While an entry is locked there is no `window`, `find`, `slot`, `emit` or `return`, it is not passed to a block, and no loop is entered or gone
//!     round.
//! 13. An entry is not locked after a later `slot` of the same state if that is a hash table: the slot may have taken its memory for
//!     another key. An entry that was passed to a block is as old as the value that was passed. On the way into a loop with such a slot, every
//!     entry of the state counts as older than the slot, because it is the second time round.
//!
//! **Loops**
//!
//! 14. What the header's `repeat` counts is a parameter of the header, every edge back passes for it the sum of that parameter and a constant from
//!     1 to 2^32, and the `done` edge leads out of the loop. So a loop that counts to N goes round at most N times ([`loops`](crate::loops)).
//! 15. A block is in at most [`MAX_LOOP_DEPTH`](crate::limits::MAX_LOOP_DEPTH) loops, and a filter's [cost](crate::cost()) is at most
//!     [`MAX_STEPS`](crate::limits::MAX_STEPS).
//!
//! If 4 to 8 or 10 fail for a filter, the others are not looked at, because they would make no sense; if 14 or 15, then not 9 and 11 to 13.

mod declarations;
mod error;
mod locks;
mod loops;
mod structure;

pub use error::{Expected, Place, Problem, VerifyError};

use crate::cfg::Cfg;
use crate::entities::{Block, Field, State, Value};
use crate::limits::{MAX_ERRORS, MAX_NAME};
use crate::module::{Filter, FilterResult, Module, Op, TerminatorKind, Type};
use crate::ranges::Ranges;

/// A module that the verifier has accepted. There is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    module: Module,
}

impl Checked {
    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// The module, to be changed and verified again.
    pub fn into_module(self) -> Module {
        self.module
    }
}

/// Checks a module.
///
/// # Errors
///
/// Everything that is wrong with it, up to [`MAX_ERRORS`], in the order of the module.
pub fn verify(module: Module) -> Result<Checked, Vec<VerifyError>> {
    let errors = check(&module);
    if errors.is_empty() { Ok(Checked { module }) } else { Err(errors) }
}

fn check(module: &Module) -> Vec<VerifyError> {
    let mut errors = Errors::default();
    let sizes_fit = declarations::check(module, &mut errors);
    // Tables that are too large are not walked at all.
    if sizes_fit {
        for (index, filter) in module.filters.iter().enumerate() {
            check_filter(module, index, filter, &mut errors);
        }
    }
    errors.list
}

fn check_filter(module: &Module, index: usize, filter: &Filter, errors: &mut Errors) {
    let before = errors.count;
    errors.enter(index, filter);
    if let Some(cfg) = structure::check(module, filter, errors)
        && errors.count == before
    {
        loops::check(filter, &cfg, errors);
        if errors.count == before {
            locks::check(module, filter, &cfg, errors);
            check_ranges(module, filter, &cfg, errors);
        }
    }
    errors.filter = None;
}

/// Invariant 9, the part that needs ranges.
fn check_ranges(module: &Module, filter: &Filter, cfg: &Cfg, errors: &mut Errors) {
    let indexed =
        filter.blocks.iter().flat_map(|block| &block.insts).any(|inst| index_of(&inst.op).is_some());
    if filter.result == FilterResult::Bool && !indexed {
        return; // the analysis is not for nothing
    }
    let ranges = Ranges::of_with(module, filter, cfg);
    for (index, data) in filter.blocks.iter().enumerate() {
        let block = Block::from_index(index);
        for (index, inst) in data.insts.iter().enumerate() {
            let Some((value, of)) = index_of(&inst.op) else { continue };
            let (what, count) = match of {
                Indexed::Words(state) => ("words", module.states[state.index()].capacity),
                Indexed::Field(entry, field) => match filter.type_of(entry) {
                    Some(Type::Entry(state)) => {
                        ("scalars", module.states[state.index()].fields[field.index()].count)
                    }
                    _ => continue, // said before
                },
            };
            let max = ranges.at(block, value).max;
            if max >= u64::from(count) {
                let problem = Problem::IndexOutOfRange { value, what, count, max };
                errors.push(Place::Inst(block, index), problem);
            }
        }
        if let (TerminatorKind::Return(value), FilterResult::Classes(count)) =
            (&data.term.kind, filter.result)
        {
            let range = ranges.at(block, *value);
            if range.max >= u64::from(count) {
                let problem = Problem::ClassOutOfRange { value: *value, count, max: range.max };
                errors.push(Place::terminator(block), problem);
            }
        }
    }
}

/// What an index goes into.
enum Indexed {
    Words(State),
    Field(Value, Field),
}

fn index_of(op: &Op) -> Option<(Value, Indexed)> {
    match *op {
        Op::WordGet(state, index)
        | Op::WordAdd(state, index, _)
        | Op::WordOr(state, index, _)
        | Op::WordCas(state, index, ..) => Some((index, Indexed::Words(state))),
        Op::GetAt(entry, field, index) | Op::SetAt(entry, field, index, _) => {
            Some((index, Indexed::Field(entry, field)))
        }
        _ => None,
    }
}

/// What has been found so far, and in which filter.
#[derive(Default)]
struct Errors {
    list: Vec<VerifyError>,
    /// How many there are, also those that the list has no room for.
    count: usize,
    filter: Option<(usize, String)>,
}

impl Errors {
    /// What follows is about this filter. Its name may be of any length.
    fn enter(&mut self, index: usize, filter: &Filter) {
        self.filter = Some((index, filter.name.chars().take(MAX_NAME).collect()));
    }

    fn push(&mut self, place: Place, problem: Problem) {
        self.count += 1;
        if self.list.len() < MAX_ERRORS {
            self.list.push(VerifyError { filter: self.filter.clone(), place, problem });
        }
    }
}
