//! Look-ups in hash tables: the key's own way, the tags of both buckets and the first place that may hold the key are looked at inline, and only if that is
//! not it, a helper is called. See [`oko_state::probe`] for what is where.
//!
//! Most keys are in their own way, so the record there is compared with the key at once, whatever the tag says: what a processor waits for is the bucket
//! and then the record. Which of all tags is the wanted one takes it as long again, so that is asked apart, of a key that is not there.
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

/// Looks a key up in a map. Goes on in a new block with the value and its generation, or
/// to where `otherwise` says.
pub(crate) fn probe(
    builder: &mut FunctionBuilder<'_>,
    map: Value,
    key: &[Value],
    comparison: Comparison,
    otherwise: Otherwise,
) -> (Value, Value) {
    let hash = fold_key(builder, map, key);
    let wanted = Wanted { map, key, comparison };
    let mask = number(builder, map, offset_of!(Probe, mask));
    let index = number(builder, map, offset_of!(Probe, index));
    let distance = builder.ins().band(hash, mask);
    let bucket = builder.ins().iadd(index, distance);
    let (elsewhere, found) = (builder.create_block(), builder.create_block());
    let record = own_record(builder, bucket, hash);
    let (value, generation) = wanted.compare(builder, record, elsewhere);
    builder.ins().jump(found, &[value.into(), generation.into()]);

    // All ways of both buckets, apart from what goes straight on.
    builder.switch_to_block(elsewhere);
    builder.seal_block(elsewhere);
    let [none_here, second, compare] = std::array::from_fn(|_| builder.create_block());
    let apart = [elsewhere, none_here, second, compare];
    apart.into_iter().for_each(|block| builder.set_cold_block(block));
    let hash = builder.ins().bor_imm_u(hash, TAGGED.cast_signed());
    let tags = tags_of(builder, hash);
    compare_tags(builder, bucket, tags, compare, none_here);
    builder.switch_to_block(none_here);
    builder.seal_block(none_here);
    let overflowed = builder.ins().load(I32, MemFlagsData::trusted(), bucket, BUCKET_OVERFLOWED);
    builder.ins().brif(overflowed, second, &[], otherwise.absent, &[]);

    // The second one is another one, for the step is odd.
    builder.switch_to_block(second);
    builder.seal_block(second);
    let step = builder.ins().ushr_imm_u(hash, 32 - i64::from(BUCKET_SIZE.ilog2()));
    let step = builder.ins().bor_imm_u(step, i64::from(BUCKET_SIZE));
    let step = builder.ins().band(step, mask);
    let distance = builder.ins().bxor(distance, step);
    let bucket = builder.ins().iadd(index, distance);
    compare_tags(builder, bucket, tags, compare, otherwise.absent);

    let record = builder.append_block_param(compare, I64);
    builder.switch_to_block(compare);
    builder.seal_block(compare);
    let (value, generation) = wanted.compare(builder, record, otherwise.unclear);
    builder.ins().jump(found, &[value.into(), generation.into()]);

    let results = [builder.append_block_param(found, I64), builder.append_block_param(found, I64)];
    builder.switch_to_block(found);
    builder.seal_block(found);
    results.into()
}

/// A key that is looked for in a map.
struct Wanted<'a> {
    map: Value,
    key: &'a [Value],
    comparison: Comparison,
}

impl Wanted<'_> {
    /// Goes on with value and generation of a record, by its distance from the first one in words, if it is the key's.
    fn compare(&self, builder: &mut FunctionBuilder<'_>, record: Value, otherwise: Block) -> (Value, Value) {
        let values = number(builder, self.map, offset_of!(Probe, values));
        let distance = builder.ins().ishl_imm_u(record, 3);
        let value = builder.ins().iadd(values, distance);
        let generation = generation_of(builder, value);
        // What tells most keys apart comes first, so that whoever looks for a key that is not there leaves at the same place each time.
        let words = self.key.iter().enumerate();
        let (known, unknown): (Vec<_>, Vec<_>) =
            words.partition(|&(_, &word)| tidy::constant(builder.func, word).is_some());
        for (index, &word) in unknown.into_iter().rev().chain(known) {
            let offset = KEY_END - 8 * (self.key.len() - index) as i32;
            let there = builder.ins().load(I64, MemFlagsData::trusted(), value, offset);
            let same = builder.ins().icmp(IntCC::Equal, word, there);
            go_on_if(builder, same, otherwise);
        }
        let odd = builder.ins().band_imm_s(generation, 1);
        go_on_if(builder, odd, otherwise);
        if self.comparison == Comparison::Here {
            // The words may be of two keys.
            if cfg!(not(target_arch = "x86_64")) {
                builder.ins().fence();
            }
            let now = generation_of(builder, value);
            let same = builder.ins().icmp(IntCC::Equal, now, generation);
            go_on_if(builder, same, otherwise);
        }
        (value, generation)
    }
}

/// Goes on in a new block if something is not 0, and otherwise in another one. Behind a cold block it is cold, too.
pub(crate) fn go_on_if(builder: &mut FunctionBuilder<'_>, holds: Value, otherwise: Block) {
    let next = builder.create_block();
    if builder.current_block().is_some_and(|here| builder.func.layout.is_cold(here)) {
        builder.set_cold_block(next);
    }
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
fn compare_tags(
    builder: &mut FunctionBuilder<'_>,
    bucket: Value,
    wanted: Value,
    compare: Block,
    none: Block,
) {
    let equal = equal_tags(builder, bucket, wanted);
    go_on_if(builder, equal, none);
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

/// The generation, with what else its word says.
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
