//! Lock words, inline: see `oko_state`. Even is free, odd is held, each release adds one.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;

use crate::helpers::Helper;
use crate::host;

/// Takes a lock word, by a call only if it is not free. Goes on in a new block.
pub(crate) fn take(builder: &mut FunctionBuilder<'_>, convention: CallConv, word: Value) {
    let (wait, taken) = (builder.create_block(), builder.create_block());
    builder.set_cold_block(wait);
    let seen = builder.ins().load(I32, MemFlagsData::trusted(), word, 0);
    let even = builder.ins().band_imm_s(seen, -2);
    let odd = builder.ins().bor_imm_u(seen, 1);
    let old = builder.ins().atomic_cas(MemFlagsData::trusted(), word, even, odd);
    let free = builder.ins().icmp(IntCC::Equal, old, even);
    builder.ins().brif(free, taken, &[], wait, &[]);
    builder.switch_to_block(wait);
    let lock = host::import_helper(builder, Helper::Lock, convention);
    builder.ins().call(lock, &[word]);
    builder.ins().jump(taken, &[]);
    builder.switch_to_block(taken);
}

/// Gives a lock word back.
pub(crate) fn release(builder: &mut FunctionBuilder<'_>, word: Value) {
    let held = builder.ins().load(I32, MemFlagsData::trusted(), word, 0);
    let free = builder.ins().iadd_imm_s(held, 1);
    if cfg!(target_arch = "x86_64") {
        // A plain store releases on this machine; Cranelift's atomic store is sequentially consistent and waits.
        builder.ins().store(MemFlagsData::trusted(), free, word, 0);
    } else {
        builder.ins().atomic_store(MemFlagsData::trusted(), free, word);
    }
}
