//! Look-ups in hash tables: the key's own way, the tags of both buckets and the first place that may hold the key are looked at inline, and only if that is
//! not it, a helper is called. See [`oko_state::probe`] for what is where.
//!
//! A processor foresees that a key is in its own way, and reads on there while it compares the tag. Which of all tags is the wanted one it has to wait for, and
//! for the record of that; with a small filter that is most of the time that a packet takes. Keys that are often not there are looked for in all ways at once.
//!
//! The generation is read before the key. If the place is given to another key meanwhile, the generation is another one when the entry is
//! locked; who does not compare it then looks at it a second time here.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8X16, I16X8, I32, I64, I64X2, I128};
use cranelift_codegen::ir::{Block, ConstantData, Endianness, InstBuilder, MemFlagsData, Value};
use cranelift_frontend::FunctionBuilder;
use oko_state::probe::{
    BUCKET_OVERFLOWED, BUCKET_RECORDS, BUCKET_SIZE, GENERATION, KEY_END, MOST_KEY_WORDS, OWN_WAY, Probe,
    ROTATION, STARTS, TAGGED, WAYS,
};

use crate::tidy;

/// Longer keys are hashed and compared by the helper.
pub(crate) const MOST_WORDS: usize = MOST_KEY_WORDS;
/// Programs with more look-ups have calls only: the code of a stranger's program must not grow beyond measure.
pub(crate) const MOST_LOOK_UPS: usize = 64;

/// Whether keys of so many bytes are looked up inline, in a program with so many look-ups.
pub(crate) fn is_inline(look_ups: usize, key_size: u32) -> bool {
    look_ups <= MOST_LOOK_UPS && key_size.div_ceil(8) as usize <= MOST_WORDS
}

/// What to do with a key that is not where it is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Otherwise {
    /// No tag is that of the key: it is not in the map.
    pub(crate) absent: Block,
    /// The first place that may hold the key does not, and another one might.
    pub(crate) unclear: Block,
}

/// Whether an entry that was found is locked by a lock word and then compared with the generation that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// It is.
    AtLock,
    /// It may be used without.
    Here,
}

/// What is foreseen of the keys that are looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// They are nearly always there: who looks them up makes an entry if there is none.
    There,
    /// Nothing.
    Any,
}

/// Looks a key up in a map. Goes on in a new block with the value and its generation, or
/// to where `otherwise` says.
pub(crate) fn probe(
    builder: &mut FunctionBuilder<'_>,
    map: Value,
    (key, keys): (&[Value], Keys),
    comparison: Comparison,
    otherwise: Otherwise,
) -> (Value, Value) {
    let hash = fold_key(builder, map, key);
    let mask = number(builder, map, offset_of!(Probe, mask));
    let index = number(builder, map, offset_of!(Probe, index));
    let first_line = builder.ins().band(hash, mask);
    let bucket = builder.ins().iadd(index, first_line);
    let wanted = Wanted { map, key, comparison };
    if keys == Keys::Any {
        return search(builder, &wanted, (hash, mask, index), (first_line, bucket), otherwise, false);
    }
    let (elsewhere, found) = (builder.create_block(), builder.create_block());
    let record = own_record(builder, bucket, hash);
    let (value, generation) = wanted.compare(builder, record, elsewhere, false);
    builder.ins().jump(found, &[value.into(), generation.into()]);
    // Whoever does not find the key in its own way goes a way apart.
    builder.set_cold_block(elsewhere);
    builder.switch_to_block(elsewhere);
    builder.seal_block(elsewhere);
    let (value, generation) =
        search(builder, &wanted, (hash, mask, index), (first_line, bucket), otherwise, true);
    builder.ins().jump(found, &[value.into(), generation.into()]);
    let results = [builder.append_block_param(found, I64), builder.append_block_param(found, I64)];
    builder.switch_to_block(found);
    builder.seal_block(found);
    results.into()
}

/// Looks for the key in all ways of its buckets: by the hash, all bits of distances and where the index is, and the distance of the first bucket and that itself.
fn search(
    builder: &mut FunctionBuilder<'_>,
    wanted: &Wanted<'_>,
    (hash, mask, index): (Value, Value, Value),
    (first_line, bucket): (Value, Value),
    otherwise: Otherwise,
    is_apart: bool,
) -> (Value, Value) {
    let (not_first, second, compare) =
        (builder.create_block(), builder.create_block(), builder.create_block());
    // So what is found goes straight on.
    builder.set_cold_block(second);
    if is_apart {
        [not_first, compare].into_iter().for_each(|block| builder.set_cold_block(block));
    }
    let hash = builder.ins().bor_imm_u(hash, TAGGED.cast_signed());
    let tags = tags_of(builder, hash);
    compare_first(builder, bucket, tags, compare, not_first, is_apart);
    builder.switch_to_block(not_first);
    builder.seal_block(not_first);
    let overflowed = builder.ins().load(I32, MemFlagsData::trusted(), bucket, BUCKET_OVERFLOWED);
    builder.ins().brif(overflowed, second, &[], otherwise.absent, &[]);

    // The second one is another one, for the step is odd.
    builder.switch_to_block(second);
    builder.seal_block(second);
    let step = builder.ins().ushr_imm_u(hash, 32 - i64::from(BUCKET_SIZE.ilog2()));
    let step = builder.ins().bor_imm_u(step, i64::from(BUCKET_SIZE));
    let step = builder.ins().band(step, mask);
    let second_line = builder.ins().bxor(first_line, step);
    let bucket = builder.ins().iadd(index, second_line);
    compare_first(builder, bucket, tags, compare, otherwise.absent, true);

    let record = builder.append_block_param(compare, I64);
    builder.switch_to_block(compare);
    builder.seal_block(compare);
    wanted.compare(builder, record, otherwise.unclear, is_apart)
}

/// A key in a map.
struct Wanted<'a> {
    map: Value,
    key: &'a [Value],
    comparison: Comparison,
}

impl Wanted<'_> {
    /// Goes on with value and generation of a record, by its distance in words, if it is the key's.
    fn compare(
        &self,
        builder: &mut FunctionBuilder<'_>,
        record: Value,
        otherwise: Block,
        is_apart: bool,
    ) -> (Value, Value) {
        let go_on_if = |builder: &mut FunctionBuilder<'_>, holds| {
            go_on_if(builder, holds, otherwise);
            if let Some(block) = builder.current_block().filter(|_| is_apart) {
                builder.set_cold_block(block);
            }
        };
        let values = number(builder, self.map, offset_of!(Probe, values));
        let distance = builder.ins().ishl_imm_u(record, 3);
        let value = builder.ins().iadd(values, distance);
        let generation = generation_of(builder, value);
        let odd = builder.ins().band_imm_s(generation, 1);
        go_on_if(builder, odd);
        for (index, &word) in self.key.iter().enumerate() {
            let offset = KEY_END - 8 * (self.key.len() - index) as i32;
            let there = builder.ins().load(I64, MemFlagsData::trusted(), value, offset);
            let same = builder.ins().icmp(IntCC::Equal, word, there);
            go_on_if(builder, same);
        }
        if self.comparison == Comparison::Here {
            // The words may be of two keys.
            if cfg!(not(target_arch = "x86_64")) {
                builder.ins().fence();
            }
            let now = generation_of(builder, value);
            let same = builder.ins().icmp(IntCC::Equal, now, generation);
            go_on_if(builder, same);
        }
        (value, generation)
    }
}

/// Goes on in a new block if something is not 0, and otherwise in another one.
pub(crate) fn go_on_if(builder: &mut FunctionBuilder<'_>, holds: Value, otherwise: Block) {
    let next = builder.create_block();
    builder.ins().brif(holds, next, &[], otherwise, &[]);
    builder.switch_to_block(next);
    builder.seal_block(next);
}

/// Where the record is that the key's own way leads to, whether the way is in use or not: a record tells itself whose it is.
fn own_record(builder: &mut FunctionBuilder<'_>, bucket: Value, hash: Value) -> Value {
    const { assert!(WAYS == 1 << (u64::BITS - OWN_WAY)) };
    let own = builder.ins().ushr_imm_u(hash, i64::from(OWN_WAY));
    let distance = builder.ins().ishl_imm_u(own, 2);
    let at = builder.ins().iadd(bucket, distance);
    builder.ins().uload32(MemFlagsData::trusted(), at, BUCKET_RECORDS)
}

/// Goes on to `compare` with the first record with an equal tag, or to where there is none.
fn compare_first(
    builder: &mut FunctionBuilder<'_>,
    bucket: Value,
    wanted: Value,
    compare: Block,
    none: Block,
    is_apart: bool,
) {
    let equal = equal_tags(builder, bucket, wanted);
    go_on_if(builder, equal, none);
    if let Some(block) = builder.current_block().filter(|_| is_apart) {
        builder.set_cold_block(block);
    }
    let byte = builder.ins().ctz(equal);
    // A tag is of two bytes, a record of four.
    let distance = builder.ins().ishl_imm_u(byte, 1);
    let at = builder.ins().iadd(bucket, distance);
    let record = builder.ins().uload32(MemFlagsData::trusted(), at, BUCKET_RECORDS);
    builder.ins().jump(compare, &[record.into()]);
}

/// Eight times the tag of a hash: its highest two bytes.
fn tags_of(builder: &mut FunctionBuilder<'_>, hash: Value) -> Value {
    let little = MemFlagsData::new().with_endianness(Endianness::Little);
    let vector = builder.ins().scalar_to_vector(I64X2, hash);
    let bytes = builder.ins().bitcast(I8X16, little, vector);
    let highest: Vec<u8> = [6, 7].repeat(8);
    let highest = builder.func.dfg.immediates.push(ConstantData::from(highest));
    let tags = builder.ins().shuffle(bytes, bytes, highest);
    builder.ins().bitcast(I16X8, little, tags)
}

/// A bit for each byte of a bucket's tags, lowest first: set if the tag is the wanted one. What a torn load shows is no worse than what
/// another moment would have shown.
fn equal_tags(builder: &mut FunctionBuilder<'_>, bucket: Value, wanted: Value) -> Value {
    let tags = builder.ins().load(I16X8, MemFlagsData::trusted(), bucket, 0);
    let equal = builder.ins().icmp(IntCC::Equal, tags, wanted);
    let bytes = builder.ins().bitcast(I8X16, MemFlagsData::new().with_endianness(Endianness::Little), equal);
    builder.ins().vhigh_bits(I64, bytes)
}

/// The generation, with the four bytes of zero that follow it.
fn generation_of(builder: &mut FunctionBuilder<'_>, value: Value) -> Value {
    let generation = builder.ins().iadd_imm_s(value, i64::from(GENERATION));
    builder.ins().atomic_load(I64, MemFlagsData::trusted(), generation)
}

/// The hash of a key: what `oko_state` computes of the same words.
pub(crate) fn hash(builder: &mut FunctionBuilder<'_>, map: Value, key: &[Value]) -> Value {
    let hash = fold_key(builder, map, key);
    builder.ins().bor_imm_u(hash, TAGGED.cast_signed())
}

/// The same without the bit [`TAGGED`], which no address depends on.
fn fold_key(builder: &mut FunctionBuilder<'_>, map: Value, key: &[Value]) -> Value {
    let factor = |builder: &mut FunctionBuilder<'_>| number(builder, map, offset_of!(Probe, factor));
    let (alone, pairs) = key.as_rchunks::<2>();
    let mut summands = Vec::new();
    for (pair, &[first, second]) in pairs.iter().rev().enumerate() {
        let start = number(builder, map, offset_of!(Probe, starts) + 8 * (pair % STARTS));
        let start = match (pair / STARTS) as u32 * ROTATION {
            0 => start,
            by => builder.ins().rotl_imm_u(start, i64::from(by)),
        };
        let factor = factor(builder);
        let (first, second) = (builder.ins().bxor(start, first), builder.ins().bxor(factor, second));
        summands.push(fold(builder, first, second));
    }
    let last = |builder: &mut FunctionBuilder<'_>| number(builder, map, offset_of!(Probe, last));
    if let [word] = *alone {
        summands.push(if tidy::constant(builder.func, word) == Some(0) {
            number(builder, map, offset_of!(Probe, zero))
        } else {
            let (last, factor) = (last(builder), factor(builder));
            let word = builder.ins().bxor(last, word);
            fold(builder, word, factor)
        });
    }
    let sum = summands.into_iter().reduce(|sum, summand| builder.ins().iadd(sum, summand));
    let sum = sum.unwrap_or_else(|| builder.ins().iconst(I64, 0));
    let last = last(builder);
    fold(builder, sum, last)
}

fn fold(builder: &mut FunctionBuilder<'_>, a: Value, b: Value) -> Value {
    let (a, b) = (builder.ins().uextend(I128, a), builder.ins().uextend(I128, b));
    let product = builder.ins().imul(a, b);
    let (low, high) = builder.ins().isplit(product);
    builder.ins().bxor(low, high)
}

/// A number of the map's. It stays where it is used: there are more than registers.
fn number(builder: &mut FunctionBuilder<'_>, map: Value, offset: usize) -> Value {
    builder.ins().load(I64, MemFlagsData::trusted().with_readonly(), map, offset as i32)
}
