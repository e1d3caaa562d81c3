//! Invariants 1 to 3: sizes, names and declarations.

use std::collections::HashSet;

use super::{Errors, Place, Problem};
use crate::entities::{Event, Param, State};
use crate::limits::{
    MAX_BLOCK_PARAMS, MAX_BLOCKS, MAX_CLASSES, MAX_ENTRY_SIZE, MAX_EVENT_FIELDS, MAX_EVENTS, MAX_FIELD_COUNT,
    MAX_FIELDS, MAX_FILE_NAME, MAX_FILES, MAX_FILTERS, MAX_INSTS, MAX_KEY_PARTS, MAX_KEY_SIZE, MAX_NAME,
    MAX_PARAMS, MAX_STATE_BYTES, MAX_STATES, MAX_VALUES,
};
use crate::module::{EventDecl, Filter, FilterResult, Module, Op, StateDecl, StateKind};

/// Checks the declarations. Gives whether all tables are small enough to be walked.
pub(super) fn check(module: &Module, errors: &mut Errors) -> bool {
    let mut fits = true;
    let whole = Place::Whole;
    fits &= at_most(errors, whole, "files", MAX_FILES, module.files.len());
    fits &= at_most(errors, whole, "params", MAX_PARAMS, module.params.len());
    fits &= at_most(errors, whole, "states", MAX_STATES, module.states.len());
    fits &= at_most(errors, whole, "events", MAX_EVENTS, module.events.len());
    fits &= at_most(errors, whole, "filters", MAX_FILTERS, module.filters.len());
    if !fits {
        return false;
    }
    for file in &module.files {
        at_most(errors, whole, "bytes in the name of a file", MAX_FILE_NAME, file.len());
        if !is_text(file) {
            errors.push(whole, Problem::BadText { what: "file" });
        }
    }
    let mut names = HashSet::new();
    for (index, param) in module.params.iter().enumerate() {
        let place = Place::Param(Param::from_index(index));
        symbol(errors, place, "param", &param.name, &mut names);
        if !(param.min <= param.default && param.default <= param.max) {
            let problem = Problem::BadParamRange { min: param.min, default: param.default, max: param.max };
            errors.push(place, problem);
        }
    }
    let mut bytes = 0u64;
    for (index, state) in module.states.iter().enumerate() {
        let place = Place::State(State::from_index(index));
        symbol(errors, place, "state", &state.name, &mut names);
        match check_state(state, place, errors) {
            // At most MAX_STATES times 2^32 times a few KiB.
            Some(size) => bytes = bytes.saturating_add(size),
            None => fits = false,
        }
    }
    if bytes > MAX_STATE_BYTES {
        errors.push(whole, Problem::TooMany { what: "bytes of state", limit: MAX_STATE_BYTES, found: bytes });
    }
    for (index, event) in module.events.iter().enumerate() {
        let place = Place::Event(Event::from_index(index));
        symbol(errors, place, "event", &event.name, &mut names);
        fits &= check_event(event, place, errors);
    }
    for (index, filter) in module.filters.iter().enumerate() {
        errors.enter(index, filter);
        symbol(errors, whole, "filter", &filter.name, &mut names);
        fits &= check_filter_sizes(filter, errors);
        errors.filter = None;
    }
    fits
}

/// Gives the bytes that a state takes, unless its tables are too large to be laid out.
fn check_state(state: &StateDecl, place: Place, errors: &mut Errors) -> Option<u64> {
    let parts_fit = at_most(errors, place, "parts of a key", MAX_KEY_PARTS, state.key.len());
    let fields_fit = at_most(errors, place, "fields", MAX_FIELDS, state.fields.len());
    if !(parts_fit && fields_fit) {
        return None;
    }
    let scalars = [
        ("key part", state.key.iter().map(|part| &part.name).collect::<Vec<_>>()),
        ("field", state.fields.iter().map(|field| &field.name).collect()),
    ];
    for (what, names) in scalars {
        for name in names {
            scalar_name(errors, place, what, name);
        }
    }
    let mut counts_fit = true;
    for field in &state.fields {
        counts_fit &=
            at_most(errors, place, "scalars in a field", MAX_FIELD_COUNT as usize, field.count as usize);
        if field.count == 0 {
            errors.push(place, Problem::None { what: "the scalars of a field" });
        }
    }
    if !counts_fit {
        return None;
    }
    if state.per_core.is_some() && matches!(state.kind, StateKind::Table(_)) {
        errors.push(place, Problem::TablePerCore);
    }
    if state.kind == StateKind::Words {
        if !(state.key.is_empty() && state.fields.is_empty()) {
            errors.push(place, Problem::WordsWithEntries);
        }
    } else if state.key.is_empty() {
        errors.push(place, Problem::None { what: "the parts of a key" });
    } else if state.kind == StateKind::Array && state.key.len() != 1 {
        errors.push(place, Problem::ArrayKey { found: state.key.len() });
    }
    if state.capacity == 0 {
        errors.push(place, Problem::None { what: "the entries of a state" });
    }
    let (key, entry) = (state.key_layout().size, state.entry_layout().size);
    at_most(errors, place, "bytes in a key", MAX_KEY_SIZE as usize, key as usize);
    at_most(errors, place, "bytes in an entry", MAX_ENTRY_SIZE as usize, entry as usize);
    Some(state.bytes())
}

/// Gives whether an event is small enough.
fn check_event(event: &EventDecl, place: Place, errors: &mut Errors) -> bool {
    let fits = at_most(errors, place, "fields of an event", MAX_EVENT_FIELDS, event.fields.len());
    if fits {
        for field in &event.fields {
            scalar_name(errors, place, "field", &field.name);
        }
    }
    fits
}

fn scalar_name(errors: &mut Errors, place: Place, what: &'static str, name: &str) {
    at_most(errors, place, "bytes in a name", MAX_NAME, name.len());
    if name.is_empty() || !is_text(name) {
        errors.push(place, Problem::BadText { what });
    }
}

fn check_filter_sizes(filter: &Filter, errors: &mut Errors) -> bool {
    let whole = Place::Whole;
    let mut fits = at_most(errors, whole, "blocks", MAX_BLOCKS, filter.blocks.len());
    fits &= at_most(errors, whole, "values", MAX_VALUES, filter.values.len());
    let insts = filter.blocks.iter().fold(0usize, |sum, block| sum.saturating_add(block.insts.len()));
    fits &= at_most(errors, whole, "instructions", MAX_INSTS, insts);
    for inst in filter.blocks.iter().flat_map(|block| &block.insts) {
        if let Op::Emit(_, values) = &inst.op {
            fits &= at_most(errors, whole, "values of an event", MAX_EVENT_FIELDS, values.len());
        }
    }
    for block in &filter.blocks {
        fits &= at_most(errors, whole, "parameters of a block", MAX_BLOCK_PARAMS, block.params.len());
        for call in block.term.kind.edges().map(|edge| edge.call) {
            fits &= at_most(errors, whole, "arguments of a block", MAX_BLOCK_PARAMS, call.args.len());
        }
        fits &=
            at_most(errors, whole, "operands of a terminator", MAX_KEY_PARTS, block.term.kind.inputs().len());
    }
    match filter.result {
        FilterResult::Classes(0) => errors.push(whole, Problem::None { what: "the classes" }),
        FilterResult::Classes(count) => {
            at_most(errors, whole, "classes", MAX_CLASSES as usize, count as usize);
        }
        FilterResult::Bool => {}
    }
    fits
}

fn at_most(errors: &mut Errors, place: Place, what: &'static str, limit: usize, found: usize) -> bool {
    if found > limit {
        errors.push(place, Problem::TooMany { what, limit: limit as u64, found: found as u64 });
    }
    found <= limit
}

fn is_text(name: &str) -> bool {
    !name.chars().any(char::is_control)
}

/// Whether a name can be a symbol of an object file.
fn is_symbol(name: &str) -> bool {
    name.bytes().enumerate().all(|(index, c)| {
        c.is_ascii_alphabetic() || c == b'_' || (index > 0 && (c.is_ascii_digit() || c == b'.'))
    }) && !name.is_empty()
}

fn symbol<'a>(
    errors: &mut Errors,
    place: Place,
    what: &'static str,
    name: &'a str,
    names: &mut HashSet<&'a str>,
) {
    if !at_most(errors, place, "bytes in a name", MAX_NAME, name.len()) {
        return;
    }
    if !is_symbol(name) {
        errors.push(place, Problem::BadName { what, name: name.to_owned() });
    } else if !names.insert(name) {
        errors.push(place, Problem::DuplicateName { name: name.to_owned() });
    }
}
