//! IR to native code.
//!
//! The code of a filter is one function: a loop over the burst whose body is the filter's graph. An int is an `i64`, a bool an
//! `i8` of 0 or 1, a window a pointer to its first byte, an entry a pointer to its value and, in hash tables, the generation of its place
//! (see `oko_state`). Packet loads and fields need no checks: the IR verifier has shown that they are in place.

mod ahead;
mod arithmetic;
mod captured;
mod choices;
mod entries;
mod invariants;
mod lists;
mod lookup;
mod quotients;
mod repeats;
mod scratch;
mod source;
mod words;

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, MemFlagsData, Type};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use oko_ir::{
    Block, BlockCall, BlockData, Checked, Filter, Inst, Op, State, StateKind, TerminatorKind, Type as IrType,
    Value, Width,
};

use self::repeats::Repeats;
use self::source::Source;
use crate::abi::{CTX_PARAMS, PACKET_IN_PORT, PACKET_WIRE_LEN};
use crate::burst::{Burst, constant_memory, packet_memory};
use crate::code::Code;
use crate::error::CompileError;
use crate::helpers::Helper;
use crate::host::{self, Effort};

/// Up to so many operations everything is done for fast code; the largest example has 300.
const FULL_EFFORT_UP_TO: usize = 8_192;
/// Filters of more operations are not compiled.
const MOST_OPERATIONS: usize = 98_304;
/// A look-up is so much code as this many operations.
const LOOK_UP_OPERATIONS: usize = 16;

/// Compiles a filter of a module, by its index. A large one is compiled [quickly](Effort::Quick), because whoever loads it waits.
///
/// # Errors
///
/// There is no such filter, it is too large, or Cranelift or the system fail.
pub fn compile_ir(checked: &Checked, filter: usize) -> Result<Code, CompileError> {
    let operations = checked.module().filters.get(filter).map_or(0, operations);
    let effort = if operations <= FULL_EFFORT_UP_TO { Effort::Full } else { Effort::Quick };
    compile_ir_with(checked, filter, effort)
}

/// How much code a filter is about.
fn operations(filter: &Filter) -> usize {
    let of_block = |block: &BlockData| {
        block.insts.len() + 1 + LOOK_UP_OPERATIONS * usize::from(block.term.kind.lookup().is_some())
    };
    filter.blocks.iter().map(of_block).sum()
}

/// The same with the effort given.
///
/// # Errors
///
/// As of [`compile_ir`].
pub fn compile_ir_with(checked: &Checked, filter: usize, effort: Effort) -> Result<Code, CompileError> {
    let found = checked.module().filters.get(filter).map_or(0, operations);
    if found > MOST_OPERATIONS {
        return Err(CompileError::TooLarge { found, limit: MOST_OPERATIONS });
    }
    host::contained(|| {
        let isa = host::isa_with(effort)?;
        let source = Source::of(checked.module(), filter)?;
        let run = source.translate(&*isa);
        let ahead = if effort == Effort::Full { ahead::translate(&*isa, &source) } else { None };
        match ahead {
            Some((function, states)) => Ok(host::finish(&*isa, vec![run, function])?.with_ahead(1, states)),
            None => host::finish(&*isa, vec![run]),
        }
    })
}

/// The Cranelift IR of a filter of a module, as text, before any optimisation.
///
/// # Errors
///
/// There is no such filter, or Cranelift does not know this machine.
pub fn clif(checked: &Checked, filter: usize) -> Result<String, CompileError> {
    host::contained(|| {
        let isa = host::isa()?;
        Ok(Source::of(checked.module(), filter)?.translate(&*isa).display().to_string())
    })
}

/// An entry as native code holds it.
#[derive(Clone, Copy)]
struct Entry {
    /// Points to the value; to the ghost from the moment when the entry turned out to be gone.
    value: Variable,
    /// The generation that the look-up gave, if it may change: an `i64`.
    generation: Option<ir::Value>,
    /// Its lock word while it is locked.
    held: Variable,
}

struct Translator<'a, 'b> {
    builder: FunctionBuilder<'b>,
    convention: CallConv,
    source: &'a Source<'a>,
    burst: Burst,
    /// The packet's bytes.
    data: ir::Value,
    /// How many bytes are there.
    captured: ir::Value,
    blocks: Vec<ir::Block>,
    /// Ints, bools and windows.
    values: HashMap<Value, ir::Value>,
    entries: HashMap<Value, Entry>,
    /// Numbers in network order, by the same in host order: to compare them with constants, these can be swapped instead.
    network: HashMap<ir::Value, ir::Value>,
    /// Look-ups whose key was looked up before.
    repeats: Repeats,
    /// The block that is being translated.
    place: Block,
}

impl<'a> Translator<'a, '_> {
    /// Goes to the filter's first block.
    fn enter(&mut self) {
        self.builder.ins().jump(self.blocks[0], &[]);
    }

    /// Translates a block, after those that dominate it.
    fn block(&mut self, block: Block) {
        let data = self.open(block);
        for inst in &data.insts {
            self.define(inst);
        }
        self.terminator(&data.term.kind);
    }

    /// Goes to a block.
    fn open(&mut self, block: Block) -> &'a BlockData {
        self.place = block;
        let filter = self.source.filter;
        let data = &filter.blocks[block.index()];
        self.builder.switch_to_block(self.blocks[block.index()]);
        for &param in &data.params {
            self.define_param(param);
        }
        data
    }

    fn define(&mut self, inst: &Inst) {
        if let Some(value) = inst.result
            && self.source.has_frame()
        {
            if let Some(place) = self.source.invariants.place(value) {
                let kept = self.burst.row.number(&mut self.builder, place);
                self.values.insert(value, kept);
                return;
            }
            if self.source.invariants.is_inner(value) {
                return;
            }
        }
        if inst.result.is_some_and(|value| self.source.quotients.has(value)) {
            return;
        }
        if let Some(value) = inst.result
            && let Some(result) = self.in_list(value)
        {
            self.values.insert(value, result);
            return;
        }
        if let Some(result) = self.instruction(&inst.op)
            && let Some(value) = inst.result
        {
            self.values.insert(value, result);
        }
    }

    fn define_param(&mut self, param: Value) {
        let block = self.blocks[self.place.index()];
        match self.source.filter.values[param.index()] {
            IrType::Int => self.append_param(block, param, I64),
            IrType::Bool => self.append_param(block, param, I8),
            IrType::Window(_) => self.append_param(block, param, I64),
            IrType::Entry(state) => {
                let pointer = self.builder.append_block_param(block, I64);
                let generation =
                    self.has_generations(state).then(|| self.builder.append_block_param(block, I64));
                let value = self.builder.declare_var(I64);
                self.builder.def_var(value, pointer);
                let held = self.builder.declare_var(I32);
                self.entries.insert(param, Entry { value, generation, held });
            }
        }
    }

    fn append_param(&mut self, block: ir::Block, param: Value, ty: Type) {
        let value = self.builder.append_block_param(block, ty);
        self.values.insert(param, value);
    }

    fn has_generations(&self, state: State) -> bool {
        matches!(self.source.module.states[state.index()].kind, StateKind::Hash(_))
    }

    /// The Cranelift value of an int, bool or window.
    fn value(&mut self, value: Value) -> ir::Value {
        self.values[&value]
    }

    fn call(&mut self, helper: Helper, args: &[ir::Value]) -> ir::Inst {
        let function = host::import_helper(&mut self.builder, helper, self.convention);
        self.builder.ins().call(function, args)
    }

    fn int(&mut self, value: u64) -> ir::Value {
        int(&mut self.builder, value)
    }

    fn instruction(&mut self, op: &Op) -> Option<ir::Value> {
        let result = match *op {
            Op::Const(value) => self.int(value),
            Op::ConstBool(value) => self.builder.ins().iconst(I8, i64::from(value)),
            Op::Binary(op, a, b) => self.binary(op, a, b),
            Op::Compare(op, a, b) => self.compare(op, a, b),
            Op::Bool(op, a, b) => self.boolean(op, a, b),
            Op::Not(a) => {
                let a = self.value(a);
                self.builder.ins().bxor_imm_u(a, 1)
            }
            Op::Select(c, a, b) => {
                let (c, a, b) = (self.value(c), self.value(a), self.value(b));
                self.builder.ins().select(c, a, b)
            }
            Op::IntOfBool(a) => {
                let a = self.value(a);
                self.builder.ins().uextend(I64, a)
            }
            Op::Load(width, window, offset) => self.load(width, window, offset),
            Op::PacketLen => {
                self.builder.ins().uload32(constant_memory(), self.burst.row.packet, PACKET_WIRE_LEN)
            }
            Op::InPort => {
                self.builder.ins().uload32(constant_memory(), self.burst.row.packet, PACKET_IN_PORT)
            }
            Op::Now => self.burst.row.now(&mut self.builder),
            Op::Param(param) => {
                let context = self.burst.row.context(&mut self.builder);
                let params = self.builder.ins().load(I64, constant_memory(), context, CTX_PARAMS);
                // The control plane may change it at any time, so this load stays where it is.
                self.builder.ins().load(I64, MemFlagsData::trusted(), params, param.0 as i32 * 8)
            }
            Op::Lock(entry) => self.lock(entry),
            Op::Seed(word) => self.seed(word),
            Op::Get(entry, field) => self.get(entry, field, None),
            Op::GetAt(entry, field, index) => self.get(entry, field, Some(index)),
            Op::Set(entry, field, value) => {
                self.set(entry, field, None, value);
                return None;
            }
            Op::SetAt(entry, field, index, value) => {
                self.set(entry, field, Some(index), value);
                return None;
            }
            Op::WordGet(state, index) => self.word_get(state, index),
            Op::WordAdd(state, index, by) => self.word_add(state, index, by),
            Op::WordOr(state, index, bits) => self.word_or(state, index, bits),
            Op::WordCas(state, index, expected, new) => self.word_cas(state, index, expected, new),
            Op::Emit(event, ref values) => {
                self.emit(event, values);
                return None;
            }
            Op::Unlock(entry, how) => {
                self.unlock(entry, how);
                return None;
            }
        };
        Some(result)
    }

    fn load(&mut self, width: Width, window: Value, offset: u32) -> ir::Value {
        let at = self.value(window);
        self.load_at(width, at, offset)
    }

    /// A number of the packet, from where it lies.
    fn load_at(&mut self, width: Width, at: ir::Value, offset: u32) -> ir::Value {
        let offset = offset as i32;
        if width == Width::W8 {
            return self.builder.ins().uload8(I64, packet_memory(), at, offset);
        }
        let loaded = self.builder.ins().load(type_of(width), packet_memory(), at, offset);
        let host = self.builder.ins().bswap(loaded);
        let host = if width == Width::W64 { host } else { self.builder.ins().uextend(I64, host) };
        self.network.insert(host, loaded);
        host
    }

    fn terminator(&mut self, kind: &TerminatorKind) {
        match kind {
            TerminatorKind::Jump(call) => self.jump(call, &[]),
            TerminatorKind::Branch { cond, then, other } => self.branch_by(*cond, then, other),
            TerminatorKind::Window { offset, len, ok, short } => {
                let (shown, start) = self.window(*offset, *len);
                match shown {
                    Some(shown) => self.branch(shown, ok, &[start], short),
                    None => self.jump(ok, &[start]),
                }
            }
            TerminatorKind::Find { state, key, found, absent } => {
                self.look_up(*state, key, false, found, absent);
            }
            TerminatorKind::Slot { state, key, found, full } => self.look_up(*state, key, true, found, full),
            TerminatorKind::Repeat { counter, count, body, done } => {
                let (counter, count) = (self.value(*counter), self.int(u64::from(*count)));
                let below = self.builder.ins().icmp(IntCC::UnsignedLessThan, counter, count);
                self.branch(below, body, &[], done);
            }
            TerminatorKind::Return(value) => {
                let value = self.value(*value);
                self.burst.end(&mut self.builder, value);
            }
        }
    }

    fn jump(&mut self, call: &BlockCall, token: &[ir::Value]) {
        let args = self.args(call, token);
        self.builder.ins().jump(self.blocks[call.block.index()], &args);
    }

    fn args(&mut self, call: &BlockCall, token: &[ir::Value]) -> Vec<BlockArg> {
        let mut args: Vec<BlockArg> = token.iter().map(|&value| value.into()).collect();
        for arg in &call.args {
            if let Some(&Entry { value, generation, .. }) = self.entries.get(arg) {
                args.push(self.builder.use_var(value).into());
                args.extend(generation.map(BlockArg::from));
            } else {
                args.push(self.value(*arg).into());
            }
        }
        args
    }

    /// Whether a window is in the packet, if it is not known to be, and where it starts.
    fn window(&mut self, offset: Value, len: u32) -> (Option<ir::Value>, ir::Value) {
        let range = self.source.ranges.at(self.place, offset);
        let at = self.value(offset);
        let start = self.builder.ins().iadd(self.data, at);
        let last = range.max.checked_add(u64::from(len));
        if last.is_some_and(|end| end <= self.source.least_captured[self.place.index()]) {
            return (None, start);
        }
        let end = self.builder.ins().iadd_imm_s(at, i64::from(len));
        let mut shown = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, self.captured);
        if last.is_none() {
            // The sum may wrap.
            let whole = self.builder.ins().icmp(IntCC::UnsignedLessThan, at, end);
            shown = self.builder.ins().band(shown, whole);
        }
        (Some(shown), start)
    }

    /// The low bits of an int.
    fn narrow(&mut self, value: Value, width: Width) -> ir::Value {
        let value = self.value(value);
        if width == Width::W64 { value } else { self.builder.ins().ireduce(type_of(width), value) }
    }
}

/// The number that a value always is.
fn constant(definitions: &[Option<&Op>], value: Value) -> Option<u64> {
    match definitions[value.index()] {
        Some(&Op::Const(number)) => Some(number),
        _ => None,
    }
}

/// A constant.
fn int(builder: &mut FunctionBuilder<'_>, value: u64) -> ir::Value {
    builder.ins().iconst(I64, value.cast_signed())
}

/// The Cranelift type of a scalar in memory.
fn type_of(width: Width) -> Type {
    match width {
        Width::W8 => I8,
        Width::W16 => ir::types::I16,
        Width::W32 => I32,
        Width::W64 => I64,
    }
}
