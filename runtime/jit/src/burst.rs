//! The loop over a burst that each entry function is, and access to the context and the packet's description.
//!
//! What is the same for all packets of a burst lies on the stack, in the *frame*: what the entry function was called with, and what a function with state reads so
//! often that it is put there at the start, whether a packet needs it or not. It is read from there anew for each packet. Else Cranelift would take all that depends on it alone out of the
//! loop: the numbers of all maps, shares of time windows. These are far more than there are registers, so they would go to the stack in front of
//! the loop, needed or not, which costs a single packet more than the filter itself. What no code reads is not put there: a packet may come alone, and then
//! each of these stores is for it.
//!
//! Meanwhile the packet's address is in Cranelift's pinned register, and what the caller had there in the frame.

use std::cmp::Ordering;
use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    Block, BlockArg, Function, Inst, InstBuilder, InstructionData, MemFlagsData, StackSlot, StackSlotData,
    StackSlotKind, Type, Value,
};
use cranelift_frontend::FunctionBuilder;

use crate::abi::{PACKET_CAPTURED, PACKET_DATA, PACKET_SIZE};
use crate::tidy;

/// Where in the frame the context's address is.
const CONTEXT: i32 = 0;
/// The end of the packets.
const END: i32 = 8;
/// Where the packet's results go.
const RESULTS: i32 = 16;
/// What was in the register that the packet's address is in, for whoever called.
const CALLERS: i32 = 24;
/// The instant.
const NOW: i32 = 32;
/// Whether no other thread runs code.
const ALONE: i32 = 40;
/// The rest of what is kept: rows of tables, then numbers, then the scratch memory.
const REST: i32 = 48;

/// So many verdicts have an end of their own.
const MOST_ENDS: usize = 8;

/// Memory that nobody changes during a burst: contexts, packet descriptions.
pub(crate) fn constant_memory() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

/// Bytes of packets: readable at any alignment, and nobody changes them during a burst.
pub(crate) fn packet_memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap().with_readonly()
}

/// What the frame keeps besides what the entry function was called with.
pub(crate) struct Kept<'a> {
    /// The table that each of the first rows is read from. No other table is asked for these rows then.
    pub(crate) tables: &'a [i32],
    /// Computes numbers from the context and the instant.
    pub(crate) numbers: &'a dyn Fn(&mut FunctionBuilder<'_>, Value, Value) -> Vec<Value>,
    /// How many bytes there are for what cold code puts together.
    pub(crate) scratch: u32,
    /// Whether other functions are [given](Row::frame) the frame.
    pub(crate) is_shared: bool,
}

impl Kept<'_> {
    /// Nothing.
    pub(crate) const NONE: Kept<'static> =
        Kept { tables: &[], numbers: &|_, _, _| Vec::new(), scratch: 0, is_shared: false };

    fn is_none(&self) -> bool {
        self.tables.is_empty() && self.scratch == 0 && !self.is_shared
    }
}

/// The frame and one packet's description.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) packet: Value,
    place: Place,
}

/// Where the frame is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In this function, which keeps so many rows of tables there, and scratch memory if it has any.
    Here { slot: StackSlot, rows: usize, scratch: Option<i32> },
    /// At an address.
    At(Value),
}

impl Row {
    /// A row of a function that was called with the [address](Self::frame) of a frame.
    pub(crate) fn of(frame: Value, packet: Value) -> Row {
        Row { packet, place: Place::At(frame) }
    }

    /// The frame's address, for functions that are called from here.
    pub(crate) fn frame(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        match self.place {
            Place::Here { slot, .. } => builder.ins().stack_addr(I64, slot, 0),
            Place::At(frame) => frame,
        }
    }

    /// What lies in the frame whatever the function keeps.
    fn given(&self, builder: &mut FunctionBuilder<'_>, ty: Type, offset: i32) -> Value {
        match self.place {
            Place::Here { slot, .. } => on_stack(builder, ty, slot, offset),
            Place::At(frame) => builder.ins().load(ty, constant_memory(), frame, offset),
        }
    }

    /// Where the packet's bytes are, and how many of them are there.
    pub(crate) fn bytes(&self, builder: &mut FunctionBuilder<'_>) -> (Value, Value) {
        let data = builder.ins().load(I64, constant_memory(), self.packet, PACKET_DATA);
        let captured = builder.ins().uload32(constant_memory(), self.packet, PACKET_CAPTURED);
        (data, captured)
    }

    /// The context's address.
    pub(crate) fn context(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        self.given(builder, I64, CONTEXT)
    }

    /// A row of one of the context's tables.
    pub(crate) fn table(&self, builder: &mut FunctionBuilder<'_>, table: i32, row: usize) -> Value {
        if let Place::Here { slot, rows, .. } = self.place
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
        self.given(builder, I64, NOW)
    }

    /// Whether no other thread runs code: an `i32`, 0 or 1.
    pub(crate) fn alone(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        self.given(builder, I32, ALONE)
    }

    /// Whether there is scratch memory.
    pub(crate) fn has_scratch(&self) -> bool {
        matches!(self.place, Place::Here { scratch: Some(_), .. })
    }

    /// The address of a place in the scratch memory.
    pub(crate) fn scratch(&self, builder: &mut FunctionBuilder<'_>, offset: i32) -> Value {
        match self.place {
            Place::Here { slot, scratch: Some(scratch), .. } => {
                builder.ins().stack_addr(I64, slot, scratch + offset)
            }
            _ => unreachable!("the function asked for scratch memory"),
        }
    }

    /// A number that was put into the frame, by its place among these.
    pub(crate) fn number(&self, builder: &mut FunctionBuilder<'_>, place: usize) -> Value {
        match self.place {
            Place::Here { slot, rows, .. } => on_stack(builder, I64, slot, REST + (rows + place) as i32 * 8),
            Place::At(_) => unreachable!("numbers are read where they are kept"),
        }
    }
}

fn row_of(builder: &mut FunctionBuilder<'_>, context: Value, table: i32, row: usize) -> Value {
    let base = builder.ins().load(I64, constant_memory(), context, table);
    builder.ins().load(I64, constant_memory(), base, row as i32 * 8)
}

/// How the loop goes from packet to packet.
#[derive(Clone, Copy, Debug)]
enum Steps {
    /// By two addresses that are handed on, up to an end.
    Handed { results: Value, end: Value },
    /// By the packet's address in the pinned register, and by what lies in the frame. Whoever keeps something there has cold code that calls, and of all
    /// values that such calls must leave alone, Cranelift may choose this one to lie in memory, though every packet waits for it.
    Pinned,
}

/// The loop around a filter.
pub(crate) struct Burst {
    pub(crate) row: Row,
    /// Takes the packet's results.
    pub(crate) latch: Block,
    /// The instant, where the loop is opened.
    pub(crate) now: Value,
    body: Block,
    exit: Block,
    frame: StackSlot,
    steps: Steps,
    /// Take packets whose verdict is known where they end, by verdict: these need no jump to the latch.
    ends: Vec<(u32, Block)>,
    /// What is put into the frame, and where; nothing if others read it, too.
    stores: Vec<(Inst, i32)>,
}

impl Burst {
    /// Opens a loop that stores values of these types for each packet, one after the other; code goes to its body afterwards.
    pub(crate) fn open(builder: &mut FunctionBuilder<'_>, types: &[Type], kept: &Kept<'_>) -> Burst {
        let entry = builder.create_block();
        let body = builder.create_block();
        let exit = builder.create_block();
        let latch = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let &[context, packets, end, first_results, now, alone] = builder.block_params(entry) else {
            unreachable!("the signature of an entry has six parameters");
        };
        let mut values = vec![(CONTEXT, context), (NOW, now), (ALONE, alone)];
        let is_pinned = !kept.is_none();
        if is_pinned {
            let callers = builder.ins().get_pinned_reg(I64);
            values.extend([(END, end), (RESULTS, first_results), (CALLERS, callers)]);
            builder.ins().set_pinned_reg(packets);
        }
        let tables = kept.tables.iter().enumerate();
        let mut rest: Vec<Value> = tables.map(|(row, &table)| row_of(builder, context, table, row)).collect();
        rest.extend((kept.numbers)(builder, context, now));
        let scratch = REST + 8 * rest.len() as i32;
        values.extend((REST..).step_by(8).zip(rest));
        let size = scratch.cast_unsigned() + kept.scratch;
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
        let frame = builder.create_sized_stack_slot(slot);
        let stores = values
            .into_iter()
            .map(|(offset, value)| (builder.ins().stack_store(I64, value, frame, offset), offset));
        let mut stores: Vec<_> = stores.collect();
        if kept.is_shared {
            stores.clear();
        }
        let handed: &[BlockArg] = if is_pinned { &[] } else { &[packets.into(), first_results.into()] };
        builder.ins().jump(body, handed);

        builder.switch_to_block(exit);
        if is_pinned {
            let callers = on_stack(builder, I64, frame, CALLERS);
            builder.ins().set_pinned_reg(callers);
        }
        builder.ins().return_(&[]);

        for &ty in types {
            builder.append_block_param(latch, ty);
        }
        builder.switch_to_block(body);
        let (packet, steps) = if is_pinned {
            (builder.ins().get_pinned_reg(I64), Steps::Pinned)
        } else {
            let packet = builder.append_block_param(body, I64);
            let results = builder.append_block_param(body, I64);
            (packet, Steps::Handed { results, end })
        };
        let place = Place::Here {
            slot: frame,
            rows: kept.tables.len(),
            scratch: (kept.scratch > 0).then_some(scratch),
        };
        let row = Row { packet, place };
        Burst { row, latch, now, body, exit, frame, steps, ends: Vec::new(), stores }
    }

    /// Where the packet's results go.
    pub(crate) fn results(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        match self.steps {
            Steps::Handed { results, .. } => results,
            Steps::Pinned => on_stack(builder, I64, self.frame, RESULTS),
        }
    }

    /// Ends a packet with a verdict that is known.
    pub(crate) fn end_with(&mut self, builder: &mut FunctionBuilder<'_>, verdict: u32) {
        match self.end_of(builder, verdict) {
            Some(end) => builder.ins().jump(end, &[]),
            None => {
                let verdict = builder.ins().iconst(I32, i64::from(verdict));
                builder.ins().jump(self.latch, &[verdict.into()])
            }
        };
    }

    /// Ends a packet with a verdict, of whatever width.
    pub(crate) fn end(&mut self, builder: &mut FunctionBuilder<'_>, verdict: Value) {
        if let Some(verdict) = tidy::constant(builder.func, verdict) {
            return self.end_with(builder, verdict as u32);
        }
        let verdict = match builder.func.dfg.value_type(verdict).bits().cmp(&I32.bits()) {
            Ordering::Less => builder.ins().uextend(I32, verdict),
            Ordering::Equal => verdict,
            Ordering::Greater => builder.ins().ireduce(I32, verdict),
        };
        builder.ins().jump(self.latch, &[verdict.into()]);
    }

    /// The end of packets with this verdict.
    fn end_of(&mut self, builder: &mut FunctionBuilder<'_>, verdict: u32) -> Option<Block> {
        if let Some((_, end)) = self.ends.iter().find(|(of, _)| *of == verdict) {
            return Some(*end);
        }
        (self.ends.len() < MOST_ENDS).then(|| {
            let end = builder.create_block();
            self.ends.push((verdict, end));
            end
        })
    }

    /// Writes the steps to the next packet.
    pub(crate) fn close(&self, builder: &mut FunctionBuilder<'_>) {
        for &(verdict, block) in &self.ends {
            builder.switch_to_block(block);
            let verdict = builder.ins().iconst(I32, i64::from(verdict));
            self.step(builder, &[verdict]);
        }
        builder.switch_to_block(self.latch);
        let results = builder.block_params(self.latch).to_vec();
        self.step(builder, &results);
        self.remove_unread(builder.func);
    }

    /// Stores a packet's results and goes on to the next one.
    fn step(&self, builder: &mut FunctionBuilder<'_>, values: &[Value]) {
        let results = self.results(builder);
        let mut offset = 0;
        for &result in values {
            builder.ins().store(MemFlagsData::trusted(), result, results, offset);
            offset += builder.func.dfg.value_type(result).bytes() as i32;
        }
        let results = builder.ins().iadd_imm_s(results, i64::from(offset));
        // The test is at the end, so that there is one jump a packet.
        match self.steps {
            Steps::Handed { end, .. } => {
                let packet = builder.ins().iadd_imm_s(self.row.packet, PACKET_SIZE);
                let done = builder.ins().icmp(IntCC::Equal, packet, end);
                builder.ins().brif(done, self.exit, &[], self.body, &[packet.into(), results.into()]);
            }
            Steps::Pinned => {
                builder.ins().stack_store(I64, results, self.frame, RESULTS);
                let packet = builder.ins().get_pinned_reg(I64);
                let packet = builder.ins().iadd_imm_s(packet, PACKET_SIZE);
                builder.ins().set_pinned_reg(packet);
                let end = on_stack(builder, I64, self.frame, END);
                let more = builder.ins().icmp(IntCC::NotEqual, packet, end);
                builder.ins().brif(more, self.body, &[], self.exit, &[]);
            }
        }
    }

    /// Removes the stores to the frame of what nobody reads there. Whoever reads takes the address of the place.
    fn remove_unread(&self, function: &mut Function) {
        let mut taken: HashMap<i32, usize> = HashMap::new();
        for inst in tidy::instructions(function) {
            if let InstructionData::StackAddr { stack_slot, offset, .. } = function.dfg.insts[inst]
                && stack_slot == self.frame
            {
                *taken.entry(offset.into()).or_default() += 1;
            }
        }
        for &(store, offset) in &self.stores {
            // The store itself takes it once.
            if taken.get(&offset) == Some(&1) {
                function.layout.remove_inst(store);
            }
        }
    }
}

/// What lies on the stack.
fn on_stack(builder: &mut FunctionBuilder<'_>, ty: Type, slot: StackSlot, offset: i32) -> Value {
    let address = builder.ins().stack_addr(I64, slot, offset);
    builder.ins().load(ty, MemFlagsData::trusted(), address, 0)
}
