//! Calls that leave all registers as they are.
//!
//! Cranelift's allocator of registers does not know that a cold block is cold: whatever a packet needs after a call that is hardly ever made
//! would be kept in memory from its definition on, or in registers that the entry has to save. So cold code takes a
//! *detour*: a function of its own that saves every register, calls the helper, and writes down what it returns. The way past the cold
//! block is then compiled as if there were no call.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, Value};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use crate::helpers::Helper;
use crate::host;

/// The most words that a helper returns.
const MOST_RESULTS: usize = 2;
/// Bytes of memory where a detour can write whatever its helper returns.
pub(crate) const RESULTS_BYTES: u32 = MOST_RESULTS as u32 * 8;

/// The signature of a detour: the helper's parameters and, if it returns anything, where that goes.
pub(crate) fn signature(helper: Helper) -> Signature {
    let mut signature = helper.signature(CallConv::PreserveAll);
    if !signature.returns.is_empty() {
        signature.returns.clear();
        signature.params.push(AbiParam::new(I64));
    }
    signature
}

/// The detour to a helper, by its place among the functions that are compiled together.
pub(crate) fn function(isa: &dyn TargetIsa, index: usize, helper: Helper) -> Function {
    let mut function = host::function(index, signature(helper));
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    let params = builder.block_params(block).to_vec();
    let target = host::import_helper(&mut builder, helper, isa.default_call_conv());
    let taken = helper.signature(isa.default_call_conv()).params.len();
    let (args, results) = params.split_at(taken);
    let call = builder.ins().call(target, args);
    if let &[results] = results {
        for (place, result) in builder.inst_results(call).to_vec().into_iter().enumerate() {
            builder.ins().store(MemFlagsData::trusted(), result, results, place as i32 * 8);
        }
    }
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
    function
}

/// Calls a helper by its detour, with where results go if it has any; gives what it returns.
pub(crate) fn call(
    builder: &mut FunctionBuilder<'_>,
    helper: Helper,
    args: &[Value],
    results: impl FnOnce(&mut FunctionBuilder<'_>) -> Value,
) -> Vec<Value> {
    let detour = host::import_detour(builder, helper);
    let count = helper.signature(CallConv::PreserveAll).returns.len();
    debug_assert!(count <= MOST_RESULTS);
    if count == 0 {
        builder.ins().call(detour, args);
        return Vec::new();
    }
    let results = results(builder);
    let args: Vec<Value> = args.iter().copied().chain([results]).collect();
    builder.ins().call(detour, &args);
    let place = |place: usize| place as i32 * 8;
    (0..count).map(|at| builder.ins().load(I64, MemFlagsData::trusted(), results, place(at))).collect()
}
