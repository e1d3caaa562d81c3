//! Look-ups in hash tables: the first place that may hold the key is looked at inline, and only if that is not it, a helper is called. See
//! [`oko_state::probe`] for what is where.
//!
//! The generation is read before the key. If the place is given to another key meanwhile, the generation is another one when the entry is
//! locked, so the second look at it that a helper takes is not needed here.

use std::mem::offset_of;

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData};
use oko_ir::{BlockCall, State, StateKind};
use oko_state::probe::{BUCKET_RECORDS, BUCKET_SIZE, GENERATION, KEY_END, Probe, TAG_LOW_BITS};
use oko_state::{Header, Kind, Shape, WhenFull};

use super::Translator;
use crate::abi::CTX_MAPS;
use crate::burst::constant_memory;
use crate::helpers::Helper;

/// Longer keys are hashed and compared by the helper.
const MOST_WORDS: usize = 6;
/// Filters with more look-ups have calls only: the code of a stranger's filter must not grow beyond measure.
pub(super) const MOST_LOOK_UPS: usize = 64;

impl Translator<'_, '_> {
    /// Goes to `found` with the value and, if it may go away, its generation, or to `absent`.
    pub(super) fn look_up_map(
        &mut self,
        state: State,
        key: &[ir::Value],
        make: bool,
        found: &BlockCall,
        absent: &BlockCall,
    ) {
        let decl = &self.module.states[state.index()];
        let inline = self.look_ups <= MOST_LOOK_UPS
            && key.len() <= MOST_WORDS
            && matches!(decl.kind, StateKind::Hash(_) | StateKind::Table(oko_ir::Match::Exact));
        let map = self.row.table(&mut self.builder, CTX_MAPS, state.index());
        if inline {
            let call = self.builder.create_block();
            self.builder.set_cold_block(call);
            self.probe(state, map, key, found, call);
            self.builder.switch_to_block(call);
        }
        let slot = self.store_key(key);
        let key = self.builder.ins().stack_addr(I64, slot, 0);
        let call = if make {
            let now = self.row.now(&mut self.builder);
            self.call(Helper::Slot, &[map, key, now])
        } else {
            self.call(Helper::Find, &[map, key])
        };
        let &[value, generation] = self.builder.inst_results(call) else {
            unreachable!("look-ups return two words");
        };
        let token = self.token(state, value, generation);
        self.branch(value, found, &token, absent);
    }

    fn token(&self, state: State, value: ir::Value, generation: ir::Value) -> Vec<ir::Value> {
        if self.has_generations(state) { vec![value, generation] } else { vec![value] }
    }

    fn probe(
        &mut self,
        state: State,
        map: ir::Value,
        key: &[ir::Value],
        found: &BlockCall,
        otherwise: ir::Block,
    ) {
        let hash = self.hash(map, key);
        // The bucket, and its first place with the key's tag.
        let mask = self.number(map, offset_of!(Probe, mask));
        let index = self.number(map, offset_of!(Probe, index));
        let line = self.builder.ins().band(hash, mask);
        let line = self.builder.ins().imul_imm_s(line, i64::from(BUCKET_SIZE));
        let bucket = self.builder.ins().iadd(index, line);
        let tag = self.builder.ins().ushr_imm_u(hash, 48);
        let one = self.int(1);
        let tag = self.builder.ins().umax(tag, one);
        let low_bits = self.int(TAG_LOW_BITS);
        let wanted = self.builder.ins().imul(tag, low_bits);
        let first = self.equal_tags(bucket, 0, wanted, low_bits);
        let second = self.equal_tags(bucket, 8, wanted, low_bits);
        let equal = self.builder.ins().select(first, first, second);
        let half = self.builder.ins().iadd_imm_s(bucket, i64::from(BUCKET_RECORDS));
        let other_half = self.builder.ins().iadd_imm_s(bucket, i64::from(BUCKET_RECORDS) + 16);
        let records = self.builder.ins().select(first, half, other_half);
        let compare = self.builder.create_block();
        self.builder.ins().brif(equal, compare, &[], otherwise, &[]);

        // The record, and whether it is the key's.
        self.builder.switch_to_block(compare);
        let bit = self.builder.ins().ctz(equal);
        let way = self.builder.ins().ushr_imm_u(bit, 4);
        let at = self.builder.ins().ishl_imm_u(way, 2);
        let at = self.builder.ins().iadd(records, at);
        let record = self.builder.ins().atomic_load(I32, MemFlagsData::trusted(), at);
        let record = self.builder.ins().uextend(I64, record);
        let values = self.number(map, offset_of!(Probe, values));
        let stride = self.stride(state) as i64;
        let distance = self.builder.ins().imul_imm_s(record, stride);
        let value = self.builder.ins().iadd(values, distance);
        let generation = self.builder.ins().iadd_imm_s(value, i64::from(GENERATION));
        let generation = self.builder.ins().atomic_load(I32, MemFlagsData::trusted(), generation);
        let generation = self.builder.ins().uextend(I64, generation);
        let mut differ = self.builder.ins().bnot(generation);
        differ = self.builder.ins().band_imm_s(differ, 1);
        for (index, &word) in key.iter().enumerate() {
            let offset = KEY_END - 8 * (key.len() - index) as i32;
            let there = self.builder.ins().load(I64, MemFlagsData::trusted(), value, offset);
            let wrong = self.builder.ins().bxor(there, word);
            differ = self.builder.ins().bor(differ, wrong);
        }
        let token = self.token(state, value, generation);
        let args = self.args(found, &token);
        let target = self.blocks[found.block.index()];
        self.builder.ins().brif(differ, otherwise, &[], target, &args);
    }

    fn number(&mut self, map: ir::Value, offset: usize) -> ir::Value {
        self.builder.ins().load(I64, constant_memory(), map, offset as i32)
    }

    fn hash(&mut self, map: ir::Value, key: &[ir::Value]) -> ir::Value {
        let factor = self.number(map, offset_of!(Probe, factor));
        let turn = self.number(map, offset_of!(Probe, turn));
        let mut hash = self.number(map, offset_of!(Probe, start));
        for &word in key {
            let mixed = self.builder.ins().bxor(hash, word);
            let folded = self.fold(mixed, factor);
            hash = self.builder.ins().iadd(folded, turn);
        }
        let last = self.number(map, offset_of!(Probe, last));
        self.fold(hash, last)
    }

    fn fold(&mut self, a: ir::Value, b: ir::Value) -> ir::Value {
        let low = self.builder.ins().imul(a, b);
        let high = self.builder.ins().umulhi(a, b);
        self.builder.ins().bxor(low, high)
    }

    /// The high bit of each tag of a word that is equal, the lowest of which is right.
    fn equal_tags(
        &mut self,
        bucket: ir::Value,
        offset: i64,
        wanted: ir::Value,
        low_bits: ir::Value,
    ) -> ir::Value {
        let at = self.builder.ins().iadd_imm_s(bucket, offset);
        let tags = self.builder.ins().atomic_load(I64, MemFlagsData::trusted(), at);
        let differing = self.builder.ins().bxor(tags, wanted);
        let borrowed = self.builder.ins().isub(differing, low_bits);
        let zeroes = self.builder.ins().band_not(borrowed, differing);
        let high_bits = self.int(TAG_LOW_BITS << 15);
        self.builder.ins().band(zeroes, high_bits)
    }

    /// Bytes from one value of a hash table to the next.
    fn stride(&self, state: State) -> u64 {
        let decl = &self.module.states[state.index()];
        let kind = match decl.kind {
            StateKind::Table(_) => Kind::Exact,
            _ => Kind::Hash(WhenFull::Refuse),
        };
        let shape = Shape {
            kind,
            capacity: decl.capacity,
            key_size: decl.key_layout().size,
            value_size: decl.entry_layout().size,
            header: Header::Oko,
        };
        shape.record_stride()
    }
}
