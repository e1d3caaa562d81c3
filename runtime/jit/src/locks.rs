//! Lock words and words that are counted up, inline: see `oko_state`. An even lock word is free, an odd one is held, each release adds one.
//!
//! A locked instruction takes as long as a small filter, and whatever comes after it waits. So where the context says that this thread
//! is alone, words are read and written by plain instructions; the control plane, which copies entries meanwhile, sees the same. The other way is laid out
//! apart: beside a locked instruction a jump costs nothing.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{AtomicRmwOp, Block, InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::FunctionBuilder;

use crate::burst::Row;
use crate::helpers::Helper;
use crate::host;

/// Whether plain stores are seen in the order in which they were made.
const ORDERED: bool = cfg!(target_arch = "x86_64");

/// Takes a lock word, by a call only if it is not free. Goes on in a new block; gives what the word is while it is held, for
/// [`release`]: to read it again would mean waiting for the store.
pub(crate) fn take(builder: &mut FunctionBuilder<'_>, row: Row, word: Value) -> Value {
    take_and(builder, row, word, |_, _| ())
}

/// The same with what is to be done where other threads may have taken the lock word before: code that gets what the word is while it is held.
pub(crate) fn take_and(
    builder: &mut FunctionBuilder<'_>,
    row: Row,
    word: Value,
    shared: impl FnOnce(&mut FunctionBuilder<'_>, Value),
) -> Value {
    let taken = Taken::new(builder);
    let seen = builder.ins().load(I32, MemFlagsData::trusted(), word, 0);
    let odd = builder.ins().bor_imm_u(seen, 1);
    if ORDERED {
        let locked = go_on_if_alone(builder, row);
        builder.ins().store(MemFlagsData::trusted(), odd, word, 0);
        builder.ins().jump(taken.block, &[odd.into()]);
        builder.switch_to_block(locked);
    }
    taken.beside(builder, word, (seen, odd), shared)
}

/// The same of a lock word that nothing lies beside which is copied while it is even: where this thread is alone, nobody looks at it, so it is left as it
/// is, and nobody asks where it is. For [`release_if_held`].
pub(crate) fn take_bare(
    builder: &mut FunctionBuilder<'_>,
    row: Row,
    word: impl FnOnce(&mut FunctionBuilder<'_>) -> Value,
) -> Value {
    let taken = Taken::new(builder);
    let locked = go_on_if_alone(builder, row);
    let free = builder.ins().iconst(I32, 0);
    builder.ins().jump(taken.block, &[free.into()]);
    builder.switch_to_block(locked);
    let word = word(builder);
    let seen = builder.ins().load(I32, MemFlagsData::trusted(), word, 0);
    let odd = builder.ins().bor_imm_u(seen, 1);
    taken.beside(builder, word, (seen, odd), |_, _| ())
}

/// Where it goes on with a lock.
struct Taken {
    block: Block,
    held: Value,
}

impl Taken {
    fn new(builder: &mut FunctionBuilder<'_>) -> Taken {
        let block = builder.create_block();
        Taken { block, held: builder.append_block_param(block, I32) }
    }

    /// Takes a lock word that was seen, and is odd while it is held, beside other threads. Goes on in the block; gives what the word is then.
    fn beside(
        self,
        builder: &mut FunctionBuilder<'_>,
        word: Value,
        (seen, odd): (Value, Value),
        shared: impl FnOnce(&mut FunctionBuilder<'_>, Value),
    ) -> Value {
        let (wait, beside) = (builder.create_block(), builder.create_block());
        let held_beside = builder.append_block_param(beside, I32);
        builder.set_cold_block(wait);
        builder.set_cold_block(beside);
        let even = builder.ins().band_imm_s(seen, -2);
        let old = builder.ins().atomic_cas(MemFlagsData::trusted(), word, even, odd);
        let free = builder.ins().icmp(IntCC::Equal, old, even);
        builder.ins().brif(free, beside, &[odd.into()], wait, &[]);
        builder.switch_to_block(wait);
        builder.seal_block(wait);
        let lock = host::import_detour(builder, Helper::Lock);
        builder.ins().call(lock, &[word]);
        let waited = builder.ins().load(I32, MemFlagsData::trusted(), word, 0);
        builder.ins().jump(beside, &[waited.into()]);
        builder.switch_to_block(beside);
        builder.seal_block(beside);
        shared(builder, held_beside);
        builder.ins().jump(self.block, &[held_beside.into()]);
        builder.switch_to_block(self.block);
        builder.seal_block(self.block);
        self.held
    }
}

/// Goes on in a new block if no other thread runs code; gives the block where it goes on if one may.
fn go_on_if_alone(builder: &mut FunctionBuilder<'_>, row: Row) -> Block {
    let (plain, locked) = (builder.create_block(), builder.create_block());
    builder.set_cold_block(locked);
    let alone = row.alone(builder);
    builder.ins().brif(alone, plain, &[], locked, &[]);
    for block in [plain, locked] {
        builder.seal_block(block);
    }
    builder.switch_to_block(plain);
    locked
}

/// Gives a lock word back that is `held`.
pub(crate) fn release(builder: &mut FunctionBuilder<'_>, word: Value, held: Value) {
    let free = builder.ins().iadd_imm_s(held, 1);
    if ORDERED {
        // A plain store releases on this machine; Cranelift's atomic store is sequentially consistent and waits.
        builder.ins().store(MemFlagsData::trusted(), free, word, 0);
    } else {
        builder.ins().atomic_store(MemFlagsData::trusted(), free, word);
    }
}

/// The same of a lock word that may have been left as it was: then `held` is 0. Goes on in a new block.
pub(crate) fn release_if_held(
    builder: &mut FunctionBuilder<'_>,
    word: impl FnOnce(&mut FunctionBuilder<'_>) -> Value,
    held: Value,
) {
    let (taken, free) = (builder.create_block(), builder.create_block());
    builder.set_cold_block(taken);
    builder.ins().brif(held, taken, &[], free, &[]);
    builder.switch_to_block(taken);
    builder.seal_block(taken);
    let word = word(builder);
    release(builder, word, held);
    builder.ins().jump(free, &[]);
    builder.switch_to_block(free);
    builder.seal_block(free);
}

/// Which content of a word that is changed is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What it was.
    Before,
    /// What it is then.
    After,
}

/// Changes a word of a state in one step for all cores; gives what is wanted of it. Goes on in a new block.
pub(crate) fn change(
    builder: &mut FunctionBuilder<'_>,
    row: Row,
    ty: Type,
    (op, wanted): (AtomicRmwOp, Wanted),
    word: Value,
    operand: Value,
) -> Value {
    let simple = matches!(op, AtomicRmwOp::Add | AtomicRmwOp::Or | AtomicRmwOp::And | AtomicRmwOp::Xor);
    let changed_by = |builder: &mut FunctionBuilder<'_>, was| match op {
        AtomicRmwOp::Add => builder.ins().iadd(was, operand),
        AtomicRmwOp::Or => builder.ins().bor(was, operand),
        AtomicRmwOp::And => builder.ins().band(was, operand),
        AtomicRmwOp::Xor => builder.ins().bxor(was, operand),
        _ => operand,
    };
    let at_once = |builder: &mut FunctionBuilder<'_>| {
        let was = builder.ins().atomic_rmw(ty, MemFlagsData::trusted(), op, word, operand);
        match wanted {
            Wanted::Before => was,
            Wanted::After => changed_by(builder, was),
        }
    };
    if !ORDERED || !simple {
        return at_once(builder);
    }
    let changed = builder.create_block();
    let result = builder.append_block_param(changed, ty);
    let locked = go_on_if_alone(builder, row);
    let was = builder.ins().load(ty, MemFlagsData::new().with_notrap(), word, 0);
    let is = changed_by(builder, was);
    builder.ins().store(MemFlagsData::new().with_notrap(), is, word, 0);
    let of_both = match wanted {
        Wanted::Before => was,
        Wanted::After => is,
    };
    builder.ins().jump(changed, &[of_both.into()]);
    builder.switch_to_block(locked);
    let of_both = at_once(builder);
    builder.ins().jump(changed, &[of_both.into()]);
    builder.switch_to_block(changed);
    builder.seal_block(changed);
    result
}
