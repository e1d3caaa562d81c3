//! Entries: locking, fields, unlocking. See `oko_state` for lock words and generations.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData};
use cranelift_frontend::{FunctionBuilder, Variable};
use oko_ir::layout::{EXPIRES_OFFSET, HEADER_SIZE, LOCK_OFFSET, WRITTEN_OFFSET};
use oko_ir::{Field, StateDecl, StateKind, Type as IrType, Unlock, Value, Width};
use oko_state::probe::GENERATION;

use super::{Entry, Translator, int, type_of};
use crate::burst::Row;
use crate::detour;
use crate::helpers::Helper;
use crate::locks;

/// Up to so many bytes of fields are zeroed word by word, more by a call, for which the way of live entries keeps nothing in memory.
const INLINE_ZEROES: u32 = 128;

impl Translator<'_, '_> {
    fn decl_of(&self, entry: Value) -> &StateDecl {
        match self.source.filter.values[entry.index()] {
            IrType::Entry(state) => &self.source.module.states[state.index()],
            other => unreachable!("the verifier has shown that {entry} is an entry, not {other:?}"),
        }
    }

    fn pointer(&mut self, entry: Value) -> ir::Value {
        self.builder.use_var(self.entries[&entry].value)
    }

    /// Locks an entry; gives whether it is live and zeroes its fields if not.
    pub(super) fn lock(&mut self, entry: Value) -> ir::Value {
        let Entry { value: variable, generation, held: held_variable } = self.entries[&entry];
        let pointer = self.builder.use_var(variable);
        let row = self.burst.row;
        let ghost = self.ghost_offset();
        let check = |builder: &mut FunctionBuilder<'_>, held| {
            if let Some(generation) = generation {
                check_generation(builder, row, (variable, pointer), held, generation, ghost);
            }
        };
        let held = if self.is_just_found(entry) {
            // Only other threads can have given its place to another key meanwhile.
            locks::take_and(&mut self.builder, row, pointer, check)
        } else {
            let held = locks::take(&mut self.builder, row, pointer);
            check(&mut self.builder, held);
            held
        };
        self.builder.def_var(held_variable, held);

        let pointer = self.builder.use_var(variable);
        let expires = self.builder.ins().load(I64, entry_memory(), pointer, EXPIRES_OFFSET as i32);
        let now = self.burst.row.now(&mut self.builder);
        let live = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, expires, now);
        let (dead, locked) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(live, locked, &[], dead, &[]);
        self.builder.switch_to_block(dead);
        let size = self.decl_of(entry).entry_layout().size;
        if is_zeroed_by_call(size) {
            self.builder.set_cold_block(dead);
        }
        self.zero_fields(pointer, size);
        self.builder.ins().jump(locked, &[]);
        self.builder.switch_to_block(locked);
        live
    }

    fn zero_fields(&mut self, pointer: ir::Value, size: u32) {
        if is_zeroed_by_call(size) {
            let fields = self.builder.ins().iadd_imm_s(pointer, i64::from(HEADER_SIZE));
            let count = self.int(u64::from(size - HEADER_SIZE));
            detour::call(&mut self.builder, Helper::Zero, &[fields, count], |_| {
                unreachable!("nothing is returned")
            });
            return;
        }
        let zero = self.int(0);
        for offset in (HEADER_SIZE..size).step_by(8) {
            self.builder.ins().store(entry_memory(), zero, pointer, offset as i32);
        }
    }

    /// Whether an entry was found where the block that is being translated was entered.
    fn is_just_found(&self, entry: Value) -> bool {
        let place = self.place;
        let filter = self.source.filter;
        let preds = self.source.cfg.preds(place).iter();
        let mut edges = preds.flat_map(|pred| filter.blocks[pred.index()].term.kind.edges());
        filter.blocks[place.index()].params.first() == Some(&entry)
            && edges.all(|edge| edge.call.block != place || edge.gives.is_some())
    }

    pub(super) fn get(&mut self, entry: Value, field: Field, index: Option<Value>) -> ir::Value {
        let (pointer, offset, width) = self.place_of(entry, field, index);
        let memory = match self.decl_of(entry).kind {
            // Nobody changes what was found in a table while code runs.
            StateKind::Table(_) => entry_memory().with_readonly(),
            _ => entry_memory(),
        };
        let loaded = self.builder.ins().load(type_of(width), memory, pointer, offset);
        if width == Width::W64 { loaded } else { self.builder.ins().uextend(I64, loaded) }
    }

    pub(super) fn set(&mut self, entry: Value, field: Field, index: Option<Value>, value: Value) {
        let (pointer, offset, width) = self.place_of(entry, field, index);
        let value = self.narrow(value, width);
        self.builder.ins().store(entry_memory(), value, pointer, offset);
    }

    /// Where a scalar of an entry is: a pointer, the offset from it, and its width. The verifier has shown that an index is in range.
    fn place_of(&mut self, entry: Value, field: Field, index: Option<Value>) -> (ir::Value, i32, Width) {
        let decl = self.decl_of(entry);
        let (offset, width) =
            (decl.entry_layout().offsets[field.index()] as i32, decl.fields[field.index()].width);
        let pointer = self.pointer(entry);
        let Some(index) = index else { return (pointer, offset, width) };
        let index = self.value(index);
        let bytes = self.builder.ins().imul_imm_s(index, i64::from(width.bytes()));
        (self.builder.ins().iadd(pointer, bytes), offset, width)
    }

    pub(super) fn unlock(&mut self, entry: Value, how: Unlock) {
        let pointer = self.pointer(entry);
        match how {
            Unlock::Keep => {}
            Unlock::Touch(expires) => {
                let (expires, now) = (self.value(expires), self.burst.row.now(&mut self.builder));
                self.builder.ins().store(entry_memory(), expires, pointer, EXPIRES_OFFSET as i32);
                self.builder.ins().store(entry_memory(), now, pointer, WRITTEN_OFFSET as i32);
            }
            Unlock::Clear => {
                let zero = self.int(0);
                self.builder.ins().store(entry_memory(), zero, pointer, EXPIRES_OFFSET as i32);
            }
        }
        let held = self.builder.use_var(self.entries[&entry].held);
        locks::release(&mut self.builder, pointer, held);
    }
}

/// Whether the fields of an entry of so many bytes are too many to be zeroed inline.
fn is_zeroed_by_call(size: u32) -> bool {
    size - HEADER_SIZE > INLINE_ZEROES
}

/// If the locked place belongs to another key by now: gives the lock back and makes the ghost the entry, dead.
fn check_generation(
    builder: &mut FunctionBuilder<'_>,
    row: Row,
    (variable, pointer): (Variable, ir::Value),
    held: ir::Value,
    generation: ir::Value,
    ghost: i32,
) {
    let (gone, here) = (builder.create_block(), builder.create_block());
    builder.set_cold_block(gone);
    let present = builder.ins().load(I64, entry_memory(), pointer, GENERATION);
    let same = builder.ins().icmp(IntCC::Equal, present, generation);
    builder.ins().brif(same, here, &[], gone, &[]);
    builder.switch_to_block(gone);
    locks::release(builder, pointer, held);
    let ghost = row.scratch(builder, ghost);
    let zero = int(builder, 0);
    // No look-up gives an even generation, so who locks the ghost again comes here again.
    builder.ins().store(entry_memory(), zero, ghost, GENERATION);
    builder.ins().store(entry_memory(), zero, ghost, LOCK_OFFSET as i32);
    builder.ins().store(entry_memory(), zero, ghost, EXPIRES_OFFSET as i32);
    builder.def_var(variable, ghost);
    builder.ins().jump(here, &[]);
    builder.switch_to_block(here);
}

/// Values of maps.
fn entry_memory() -> MemFlagsData {
    MemFlagsData::trusted()
}
