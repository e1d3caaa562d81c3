//! States of words, events and the seed.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, AtomicRmwOp, InstBuilder, MemFlagsData};
use oko_ir::{Event, State, Value};

use super::Translator;
use crate::abi::{CTX_EVENTS, CTX_SEED_WORDS, CTX_VALUES};
use crate::burst::constant_memory;
use crate::detour;
use crate::helpers::Helper;
use crate::locks::{self, Wanted};

impl Translator<'_, '_> {
    /// The address of a word; the verifier has shown that there is one of this index.
    fn word(&mut self, state: State, index: Value) -> ir::Value {
        let first = self.burst.row.table(&mut self.builder, CTX_VALUES, state.index());
        let index = self.value(index);
        let bytes = self.builder.ins().ishl_imm_u(index, 3);
        self.builder.ins().iadd(first, bytes)
    }

    pub(super) fn word_get(&mut self, state: State, index: Value) -> ir::Value {
        let word = self.word(state, index);
        self.builder.ins().atomic_load(I64, MemFlagsData::trusted(), word)
    }

    pub(super) fn word_add(&mut self, state: State, index: Value, by: Value) -> ir::Value {
        let (word, by) = (self.word(state, index), self.value(by));
        let change = (AtomicRmwOp::Add, Wanted::After);
        locks::change(&mut self.builder, self.burst.row, I64, change, word, by)
    }

    pub(super) fn word_or(&mut self, state: State, index: Value, bits: Value) -> ir::Value {
        let (word, bits) = (self.word(state, index), self.value(bits));
        let change = (AtomicRmwOp::Or, Wanted::Before);
        locks::change(&mut self.builder, self.burst.row, I64, change, word, bits)
    }

    pub(super) fn word_cas(&mut self, state: State, index: Value, expected: Value, new: Value) -> ir::Value {
        let word = self.word(state, index);
        let (expected, new) = (self.value(expected), self.value(new));
        self.builder.ins().atomic_cas(MemFlagsData::trusted(), word, expected, new)
    }

    pub(super) fn seed(&mut self, word: u32) -> ir::Value {
        let context = self.burst.row.context(&mut self.builder);
        self.builder.ins().load(I64, constant_memory(), context, CTX_SEED_WORDS + 8 * word as i32)
    }

    /// Puts a record together on the stack and hands it to the ring buffer.
    pub(super) fn emit(&mut self, event: Event, values: &[Value]) {
        let decl = &self.source.module.events[event.index()];
        let now = self.burst.row.now(&mut self.builder);
        let mut words = vec![self.int(u64::from(event.0)), now];
        for (&value, field) in values.iter().zip(&decl.fields) {
            let mut bits = self.value(value);
            if self.source.ranges.at(self.place, value).max > field.width.max() {
                bits = self.builder.ins().band_imm_u(bits, field.width.max().cast_signed());
            }
            words.push(bits);
        }
        let record = self.record_place();
        for (index, &word) in words.iter().enumerate() {
            self.builder.ins().store(MemFlagsData::trusted(), word, record, index as i32 * 8);
        }
        let context = self.burst.row.context(&mut self.builder);
        let ring = self.builder.ins().load(I64, constant_memory(), context, CTX_EVENTS);
        let count = self.int(words.len() as u64);
        detour::call(&mut self.builder, Helper::Emit, &[ring, record, count], |_| record);
    }
}
