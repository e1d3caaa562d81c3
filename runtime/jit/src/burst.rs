//! The loop over a burst that each entry function is, and access to the context and the packet's description.
//!
//! What is the same for all packets of a burst lies on the stack, in the *frame*: the context's address, and what a function with state reads so
//! often that it is put there at the start, whether a packet needs it or not. It is read from there anew for each packet. Else Cranelift would take all that depends on it alone out of the
//! loop: the numbers of all maps, shares of time windows. These are far more than there are registers, so they would go to the stack in front of
//! the loop, needed or not, which costs a single packet more than the filter itself.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    Block, InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Type, Value,
};
use cranelift_frontend::FunctionBuilder;

use crate::abi::{CTX_ALONE, CTX_NOW, PACKET_CAPTURED, PACKET_DATA, PACKET_SIZE};

/// Where in the frame the context's address is.
const CONTEXT: i32 = 0;
/// The end of the packets.
const END: i32 = 8;
/// The instant, if it is kept.
const NOW: i32 = 16;
/// Whether no other thread runs code, if that is kept.
const ALONE: i32 = 24;
/// The frame's own address: what is made of it stays where it is used.
const SELF: i32 = 32;
/// The rest of what is kept: rows of tables, then numbers, then the scratch memory.
const REST: i32 = 40;

/// Memory that nobody changes during a burst: contexts, packet descriptions.
pub(crate) fn constant_memory() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

/// Bytes of packets: readable at any alignment, and nobody changes them during a burst.
pub(crate) fn packet_memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap().with_readonly()
}

/// What the frame keeps.
pub(crate) struct Kept<'a> {
    /// Whether it keeps the instant, and whether no other thread runs code.
    pub(crate) instant: bool,
    /// The table that each of the first rows is read from. No other table is asked for these rows then.
    pub(crate) tables: &'a [i32],
    /// Computes numbers from the instant.
    pub(crate) numbers: &'a dyn Fn(&mut FunctionBuilder<'_>, Value) -> Vec<Value>,
    /// How many bytes there are for what cold code puts together.
    pub(crate) scratch: u32,
}

/// The context and one packet's description.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) packet: Value,
    place: Place,
}

/// Where the context is at hand.
#[derive(Clone, Copy, Debug)]
enum Place {
    Value(Value),
    /// That keeps so many rows of tables, and has scratch memory there.
    Frame {
        slot: StackSlot,
        rows: usize,
        scratch: i32,
        instant: bool,
    },
}

impl Row {
    /// A row of a function that has no frame.
    pub(crate) fn without_frame(context: Value, packet: Value) -> Row {
        Row { packet, place: Place::Value(context) }
    }

    /// Where the packet's bytes are, and how many of them are there.
    pub(crate) fn bytes(&self, builder: &mut FunctionBuilder<'_>) -> (Value, Value) {
        let data = builder.ins().load(I64, constant_memory(), self.packet, PACKET_DATA);
        let captured = builder.ins().uload32(constant_memory(), self.packet, PACKET_CAPTURED);
        (data, captured)
    }

    /// The context's address.
    pub(crate) fn context(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        match self.place {
            Place::Value(context) => context,
            Place::Frame { slot, .. } => on_stack(builder, I64, slot, CONTEXT),
        }
    }

    /// A row of one of the context's tables.
    pub(crate) fn table(&self, builder: &mut FunctionBuilder<'_>, table: i32, row: usize) -> Value {
        if let Place::Frame { slot, rows, .. } = self.place
            && row < rows
        {
            return on_stack(builder, I64, slot, REST + row as i32 * 8);
        }
        let context = self.context(builder);
        row_of(builder, context, table, row)
    }

    /// The same of another table than the one that is kept for this row.
    pub(crate) fn other_table(&self, builder: &mut FunctionBuilder<'_>, table: i32, row: usize) -> Value {
        let context = self.context(builder);
        row_of(builder, context, table, row)
    }

    /// The instant.
    pub(crate) fn now(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        if let Place::Frame { slot, instant: true, .. } = self.place {
            return on_stack(builder, I64, slot, NOW);
        }
        let context = self.context(builder);
        builder.ins().load(I64, constant_memory(), context, CTX_NOW)
    }

    /// Whether no other thread runs code: an `i32`, 0 or 1.
    pub(crate) fn alone(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        if let Place::Frame { slot, instant: true, .. } = self.place {
            return on_stack(builder, I32, slot, ALONE);
        }
        let context = self.context(builder);
        builder.ins().load(I32, constant_memory(), context, CTX_ALONE)
    }

    /// Whether there is scratch memory.
    pub(crate) fn has_scratch(&self) -> bool {
        matches!(self.place, Place::Frame { .. })
    }

    /// The address of a place in the scratch memory.
    pub(crate) fn scratch(&self, builder: &mut FunctionBuilder<'_>, offset: i32) -> Value {
        match self.place {
            Place::Frame { slot, scratch, .. } => {
                let frame = on_stack(builder, I64, slot, SELF);
                builder.ins().iadd_imm_s(frame, i64::from(scratch + offset))
            }
            Place::Value(_) => unreachable!("scratch memory is in frames"),
        }
    }

    /// A number that was put into the frame, by its place among these.
    pub(crate) fn number(&self, builder: &mut FunctionBuilder<'_>, place: usize) -> Value {
        match self.place {
            Place::Frame { slot, rows, .. } => on_stack(builder, I64, slot, REST + (rows + place) as i32 * 8),
            Place::Value(_) => unreachable!("numbers are put into frames"),
        }
    }
}

fn row_of(builder: &mut FunctionBuilder<'_>, context: Value, table: i32, row: usize) -> Value {
    let base = builder.ins().load(I64, constant_memory(), context, table);
    builder.ins().load(I64, constant_memory(), base, row as i32 * 8)
}

/// The loop around a filter.
pub(crate) struct Burst {
    pub(crate) row: Row,
    /// Where the packet's results go.
    pub(crate) results: Value,
    /// Takes the packet's results.
    pub(crate) latch: Block,
    body: Block,
    exit: Block,
    frame: StackSlot,
}

impl Burst {
    /// Opens a loop that stores values of these types for each packet, one after the other; code goes to its body afterwards.
    pub(crate) fn open(builder: &mut FunctionBuilder<'_>, types: &[Type], kept: Option<&Kept<'_>>) -> Burst {
        let entry = builder.create_block();
        let body = builder.create_block();
        let exit = builder.create_block();
        let latch = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let &[context, packets, count, first_results] = builder.block_params(entry) else {
            unreachable!("the signature of an entry has four parameters");
        };
        let bytes = builder.ins().imul_imm_s(count, PACKET_SIZE);
        let end = builder.ins().iadd(packets, bytes);
        let mut values = vec![(CONTEXT, context), (END, end)];
        if let Some(kept) = kept {
            let now = builder.ins().load(I64, constant_memory(), context, CTX_NOW);
            let alone = builder.ins().load(I32, constant_memory(), context, CTX_ALONE);
            if kept.instant {
                values.extend([(NOW, now), (ALONE, alone)]);
            }
            let tables = kept.tables.iter().enumerate();
            let mut rest: Vec<Value> =
                tables.map(|(row, &table)| row_of(builder, context, table, row)).collect();
            rest.extend((kept.numbers)(builder, now));
            values.extend((REST..).step_by(8).zip(rest));
        }
        let scratch = values.iter().map(|&(offset, _)| offset + 8).max().unwrap_or(0);
        let scratch = if kept.is_some() { scratch.max(REST) } else { scratch };
        let size = scratch.cast_unsigned() + kept.map_or(0, |kept| kept.scratch);
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
        let frame = builder.create_sized_stack_slot(slot);
        if kept.is_some() {
            values.push((SELF, builder.ins().stack_addr(I64, frame, 0)));
        }
        for (offset, value) in values {
            builder.ins().stack_store(I64, value, frame, offset);
        }
        builder.ins().brif(count, body, &[packets.into(), first_results.into()], exit, &[]);

        builder.switch_to_block(exit);
        builder.ins().return_(&[]);

        for &ty in types {
            builder.append_block_param(latch, ty);
        }
        let packet = builder.append_block_param(body, I64);
        let results = builder.append_block_param(body, I64);
        builder.switch_to_block(body);
        let place = match kept {
            Some(kept) => {
                let (rows, instant) = (kept.tables.len(), kept.instant);
                Place::Frame { slot: frame, rows, instant, scratch }
            }
            None => Place::Value(on_stack(builder, I64, frame, CONTEXT)),
        };
        let row = Row { packet, place };
        Burst { row, results, latch, body, exit, frame }
    }

    /// Writes the step to the next packet.
    pub(crate) fn close(&self, builder: &mut FunctionBuilder<'_>) {
        builder.switch_to_block(self.latch);
        let mut offset = 0;
        for result in builder.block_params(self.latch).to_vec() {
            builder.ins().store(MemFlagsData::trusted(), result, self.results, offset);
            offset += builder.func.dfg.value_type(result).bytes() as i32;
        }
        let packet = builder.ins().iadd_imm_s(self.row.packet, PACKET_SIZE);
        let results = builder.ins().iadd_imm_s(self.results, i64::from(offset));
        // The test is at the end, so that there is one jump a packet; compared where it is, the end needs no register.
        let end = on_stack(builder, I64, self.frame, END);
        let done = builder.ins().icmp(IntCC::Equal, packet, end);
        builder.ins().brif(done, self.exit, &[], self.body, &[packet.into(), results.into()]);
    }
}

/// What lies on the stack.
fn on_stack(builder: &mut FunctionBuilder<'_>, ty: Type, slot: StackSlot, offset: i32) -> Value {
    let address = builder.ins().stack_addr(I64, slot, offset);
    builder.ins().load(ty, MemFlagsData::trusted(), address, 0)
}
