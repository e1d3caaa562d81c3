//! Look-ups in tables of addresses by prefix: what the [direct table](oko_state::direct) answers is found inline, the rest by a call.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value};
use cranelift_frontend::FunctionBuilder;
use oko_state::direct::{FAMILIES, Form, RANGE_BYTES, RANGES, UNKNOWN};
use oko_state::probe::Probe;

use crate::probe::go_on_if;
use crate::tidy;

/// The bit in which the families differ.
const DIFFERENCE: u8 = 2;
/// From what a slot holds to the first address of the first range that it leads to: a word behind their number.
const FIRST: i32 = 8 - RANGES as i32;

/// An address: its family as an `i64`, if keys tell it, and its first 64 bits, filled up with 0 behind.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) family: Option<Value>,
    pub(crate) high: Value,
}

/// Looks an address up in a table of this form. Goes on in a new block with what is there: the address of a value, or 0; or goes on where that is unclear.
pub(crate) fn answer(
    builder: &mut FunctionBuilder<'_>,
    map: Value,
    form: Form,
    address: Address,
    unclear: Block,
) -> Value {
    let index = number(builder, map, offset_of!(Probe, index));
    let slot = builder.ins().ushr_imm_u(address.high, 64 - i64::from(form.slot_bits));
    let slot = match address.family {
        Some(family) => {
            let first = first_slot(builder, form, family, unclear);
            builder.ins().bor(slot, first)
        }
        None => slot,
    };
    let offset = builder.ins().ishl_imm_u(slot, 3);
    let place = builder.ins().iadd(index, offset);
    let found = builder.ins().atomic_load(I64, MemFlagsData::trusted(), place);
    let (search, done) = (builder.create_block(), builder.create_block());
    let answer = builder.append_block_param(done, I64);
    let leads_on = builder.ins().band_imm_u(found, RANGES.cast_signed());
    builder.ins().brif(leads_on, search, &[], done, &[found.into()]);

    builder.switch_to_block(search);
    builder.seal_block(search);
    let in_range = last_before(builder, found, address.high);
    let is_unknown = builder.ins().icmp_imm_u(IntCC::Equal, in_range, UNKNOWN.cast_signed());
    builder.ins().brif(is_unknown, unclear, &[], done, &[in_range.into()]);

    builder.switch_to_block(done);
    builder.seal_block(done);
    answer
}

/// The first slot of a family; a family that has none is unclear.
fn first_slot(builder: &mut FunctionBuilder<'_>, form: Form, family: Value, unclear: Block) -> Value {
    const { assert!(FAMILIES[0] ^ FAMILIES[1] == DIFFERENCE) };
    let others = u64::from(1_u32 << form.slot_bits);
    if let Some(known) = tidy::constant(builder.func, family)
        && let Some(place) = FAMILIES.iter().position(|&family| i64::from(family) == known)
    {
        return builder.ins().iconst(I64, (place as u64 * others).cast_signed());
    }
    let without = builder.ins().band_imm_u(family, !i64::from(DIFFERENCE));
    let is_known = builder.ins().icmp_imm_u(IntCC::Equal, without, i64::from(FAMILIES[0] & !DIFFERENCE));
    go_on_if(builder, is_known, unclear);
    let which = builder.ins().band_imm_u(family, i64::from(DIFFERENCE));
    builder.ins().ishl_imm_u(which, i64::from(form.slot_bits - DIFFERENCE.ilog2()))
}

/// The answer of the last range that begins at an address or before.
///
/// The half that has it is chosen without a branch: nobody can foresee it.
fn last_before(builder: &mut FunctionBuilder<'_>, slot: Value, high: Value) -> Value {
    let memory = MemFlagsData::trusted();
    let count = builder.ins().load(I64, memory, slot, -(RANGES as i32));
    let (turn, halve, done) = (builder.create_block(), builder.create_block(), builder.create_block());
    // As far before the range as the slot's word is before the first one.
    let at = builder.append_block_param(turn, I64);
    let left = builder.append_block_param(turn, I64);
    builder.ins().jump(turn, &[slot.into(), count.into()]);

    builder.switch_to_block(turn);
    let more = builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, left, 1);
    builder.ins().brif(more, halve, &[], done, &[]);

    builder.switch_to_block(halve);
    builder.seal_block(halve);
    let half = builder.ins().ushr_imm_u(left, 1);
    let distance = builder.ins().ishl_imm_u(half, i64::from(RANGE_BYTES.ilog2()));
    let middle = builder.ins().iadd(at, distance);
    let first = builder.ins().load(I64, memory, middle, FIRST);
    let is_before = builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, first, high);
    let at_next = builder.ins().select(is_before, middle, at);
    let left_next = builder.ins().isub(left, half);
    builder.ins().jump(turn, &[at_next.into(), left_next.into()]);
    builder.seal_block(turn);

    builder.switch_to_block(done);
    builder.seal_block(done);
    builder.ins().load(I64, memory, at, FIRST + 8)
}

/// A number of the map's.
fn number(builder: &mut FunctionBuilder<'_>, map: Value, offset: usize) -> Value {
    builder.ins().load(I64, MemFlagsData::trusted().with_readonly(), map, offset as i32)
}
