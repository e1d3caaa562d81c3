//! Remembers what is in the fields of a locked entry.

use std::collections::HashMap;

use super::renumber::renumber;
use super::replace_values::Replacements;
use crate::cfg::Cfg;
use crate::entities::{Field, Value};
use crate::module::{Filter, Module, Op, StateKind, Type};
use crate::ranges::Ranges;

/// How many fields are remembered from one block to the next.
const MAX_KNOWN: usize = 64;

/// Replaces a `get` by the value that an earlier `get` or `set` of the same field under the same lock has left there, if nothing
/// of the value is cut off by the field's width. Leaves out a `set` of what is in the field already.
///
/// It knows what held at the end of a block in the blocks that have no other predecessor; where ways meet it starts anew. It does not
/// remove a `set` that a later one overwrites, and leaves alone what is named with an index and what is in tables.
pub fn forward_fields(module: &Module, filter: &mut Filter) {
    let Ok(cfg) = Cfg::of(filter) else { return };
    let ranges = Ranges::of_with(module, filter, &cfg);
    let mut replacements = Replacements::new(filter);
    // What is in the fields of the locked entry at the end of each block.
    let mut at_end: Vec<HashMap<Field, Value>> = vec![HashMap::new(); filter.blocks.len()];
    for &block in cfg.order() {
        let mut fields = match cfg.preds(block) {
            [pred] => at_end[pred.index()].clone(),
            _ => HashMap::new(),
        };
        let types = &filter.values;
        let width = |entry: Value, field: Field| match types[entry.index()] {
            Type::Entry(state) => module.states[state.index()].fields[field.index()].width,
            ty => unreachable!("the filter has been verified, and {entry} is {ty}"),
        };
        filter.blocks[block.index()].insts.retain(|inst| match inst.op {
            Op::Lock(_) | Op::Unlock(..) => {
                fields.clear();
                true
            }
            Op::SetAt(_, field, ..) => {
                fields.remove(&field);
                true
            }
            Op::Get(entry, field) if !is_table(module, types, entry) => {
                let Some(result) = inst.result else { return true };
                let known = *fields.entry(field).or_insert(result);
                if known != result {
                    replacements.replace(result, known);
                }
                known == result
            }
            Op::Set(entry, field, value) => {
                let value = replacements.get(value);
                if fields.get(&field) == Some(&value) {
                    return false;
                }
                if ranges.at(block, value).max <= width(entry, field).max() {
                    fields.insert(field, value);
                } else {
                    fields.remove(&field);
                }
                true
            }
            _ => true,
        });
        // All blocks together must not take more than the filter itself does.
        if fields.len() <= MAX_KNOWN {
            at_end[block.index()] = fields;
        }
    }
    replacements.apply(filter);
    renumber(module, filter);
}

/// Whether a value is an entry of a table, which is read without a lock.
pub(super) fn is_table(module: &Module, types: &[Type], entry: Value) -> bool {
    match types[entry.index()] {
        Type::Entry(state) => matches!(module.states[state.index()].kind, StateKind::Table(_)),
        _ => false,
    }
}
