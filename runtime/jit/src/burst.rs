//! The loop over a burst that each entry function is, and access to the context and the packet's description.
//!
//! The body reads the context's address from the stack anew for each packet. Else Cranelift would take all that depends on it alone out of the
//! loop: the numbers of all maps, shares of time windows. These are far more than there are registers, so they would go to the stack in front of
//! the loop, needed or not, which costs a single packet more than the filter itself.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    Block, InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Type, Value,
};
use cranelift_frontend::FunctionBuilder;

use crate::abi::{CTX_ALONE, CTX_NOW, PACKET_SIZE};

/// Where the end of the packets is on the stack.
const END: i32 = 8;

/// Memory that nobody changes during a burst: contexts, packet descriptions.
pub(crate) fn constant_memory() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

/// The context and one packet's description.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) context: Value,
    pub(crate) packet: Value,
    /// The context for what may be read in front of the loop and kept in a register: for very little.
    pub(crate) steady: Value,
}

impl Row {
    /// A row of one of the context's tables.
    pub(crate) fn table(&self, builder: &mut FunctionBuilder<'_>, table: i32, row: usize) -> Value {
        let base = builder.ins().load(I64, constant_memory(), self.context, table);
        builder.ins().load(I64, constant_memory(), base, row as i32 * 8)
    }

    /// The same, read once a burst.
    pub(crate) fn steady_table(&self, builder: &mut FunctionBuilder<'_>, table: i32, row: usize) -> Value {
        Row { context: self.steady, ..*self }.table(builder, table, row)
    }

    /// The instant.
    pub(crate) fn now(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        builder.ins().load(I64, constant_memory(), self.context, CTX_NOW)
    }

    /// Whether no other thread runs code: an `i32`, 0 or 1.
    pub(crate) fn alone(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        builder.ins().load(I32, constant_memory(), self.context, CTX_ALONE)
    }
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
    /// Holds the context's address, and where the packets end.
    slot: StackSlot,
}

impl Burst {
    /// Opens a loop that stores values of these types for each packet, one after the other; code goes to its body afterwards.
    pub(crate) fn open(builder: &mut FunctionBuilder<'_>, types: &[Type]) -> Burst {
        let entry = builder.create_block();
        let body = builder.create_block();
        let exit = builder.create_block();
        let latch = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let &[context, packets, count, first_results] = builder.block_params(entry) else {
            unreachable!("the signature of an entry has four parameters");
        };
        let slot = builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 3));
        builder.ins().stack_store(I64, context, slot, 0);
        let bytes = builder.ins().imul_imm_s(count, PACKET_SIZE);
        let end = builder.ins().iadd(packets, bytes);
        builder.ins().stack_store(I64, end, slot, END);
        builder.ins().brif(count, body, &[packets.into(), first_results.into()], exit, &[]);

        builder.switch_to_block(exit);
        builder.ins().return_(&[]);

        for &ty in types {
            builder.append_block_param(latch, ty);
        }
        let packet = builder.append_block_param(body, I64);
        let results = builder.append_block_param(body, I64);
        builder.switch_to_block(body);
        let row = Row { context: on_stack(builder, slot, 0), packet, steady: context };
        Burst { row, results, latch, body, exit, slot }
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
        let end = on_stack(builder, self.slot, END);
        let done = builder.ins().icmp(IntCC::Equal, packet, end);
        builder.ins().brif(done, self.exit, &[], self.body, &[packet.into(), results.into()]);
    }
}

/// What lies on the stack.
fn on_stack(builder: &mut FunctionBuilder<'_>, slot: StackSlot, offset: i32) -> Value {
    let address = builder.ins().stack_addr(I64, slot, offset);
    builder.ins().load(I64, MemFlagsData::trusted(), address, 0)
}
