//! Stores to the stack frame of what hardly anybody reads.
//!
//! A look-up that is code of its own has its key in registers. Only where it calls for the look-up after all, or where a key that is not there is inserted,
//! the key is read from memory: it is written there again on those ways, which packets seldom take, and the stores before the look-up are left out if nothing
//! else reads what they write. Which bytes of the frame are read later is worked out when all of the code is there, backwards from instruction to instruction.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use cranelift_codegen::ir::{Function, Inst};
use oko_bpf::isa::Insn;

use super::by_slot::BySlot;
use super::cells::Access;
use super::source::Source;

/// Words of 64 bits that have a bit for each byte of the largest frame.
const WORDS: usize = 8;

/// How often all instructions are gone through at most; once, if none jumps back, and once more to see that nothing has changed.
const MOST_PASSES: usize = 16;

/// Some bytes of the frame: the first bit is that of the byte right below the frame pointer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Bytes([u64; WORDS]);

impl Bytes {
    /// The bytes of a range of distances from the frame pointer. None if not all of them are in the frame.
    fn of(range: &Range<i32>) -> Option<Bytes> {
        let mut bytes = Bytes::default();
        for at in range.clone() {
            let bit = usize::try_from(-1 - at).ok()?;
            *bytes.0.get_mut(bit / 64)? |= 1 << (bit % 64);
        }
        Some(bytes)
    }

    fn meets(&self, other: &Bytes) -> bool {
        self.0.iter().zip(other.0).any(|(one, other)| one & other != 0)
    }

    fn add(&mut self, other: &Bytes) {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one |= other);
    }

    fn remove(&mut self, other: &Bytes) {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one &= !other);
    }
}

/// A look-up with its key in registers.
pub(super) struct LookUp {
    pub(super) key: Range<i32>,
    /// Where it goes on without an entry, if that is known, with the stores that write the key again on the way there.
    pub(super) absent: Option<(usize, Vec<Inst>)>,
}

/// What the translation of a function has seen of its frame.
#[derive(Default)]
pub(super) struct LateStores {
    /// The stores to the frame, by their slots.
    pub(super) stores: BTreeMap<usize, Inst>,
    /// The loads that were given what was stored.
    pub(super) forwarded: BTreeSet<usize>,
    pub(super) look_ups: BTreeMap<usize, LookUp>,
}

impl LateStores {
    /// Removes the stores that write nothing that is read.
    pub(super) fn remove_unread(
        &self,
        function: &mut Function,
        source: &Source<'_>,
        accesses: &BySlot<Access>,
    ) {
        if self.look_ups.is_empty() {
            return;
        }
        let Some(uses) = self.uses(source, accesses) else { return };
        let Some(before) = read_before(&uses) else { return };
        for (&slot, &store) in &self.stores {
            if let Some(Use { behind, written, .. }) = uses.get(slot)
                && !read_behind(&before, behind).meets(written)
            {
                function.layout.remove_inst(store);
            }
        }
        for (&slot, look_up) in &self.look_ups {
            if let (Some((absent, stores)), Some(Use { shown, .. })) = (&look_up.absent, uses.get(slot))
                && !before.get(*absent).is_some_and(|read| read.meets(shown))
            {
                stores.iter().for_each(|&store| function.layout.remove_inst(store));
            }
        }
    }

    /// What each instruction does. None if it is not known of one.
    fn uses(&self, source: &Source<'_>, accesses: &BySlot<Access>) -> Option<BySlot<Use>> {
        let slots = accesses.slots();
        let mut uses = BySlot::new(&slots);
        for slot in slots.filter(|&slot| !source.is_dead(slot)) {
            let insn = source.insns[slot];
            let mut touched = Bytes::default();
            match accesses.get(slot)? {
                Access::Number { offset, bytes } => touched = Bytes::of(&(*offset..offset + bytes))?,
                Access::Bytes(ranges) => {
                    for range in ranges {
                        touched.add(&Bytes::of(range)?);
                    }
                }
            }
            let mut found = Use { behind: insn.successors(slot), ..Use::default() };
            match insn {
                Insn::Store { .. } => found.written = touched,
                _ if self.forwarded.contains(&slot) => {}
                _ => match self.look_ups.get(&slot) {
                    Some(look_up) => {
                        found.shown = Bytes::of(&look_up.key)?;
                        found.absent = look_up.absent.as_ref().map(|(absent, _)| *absent);
                    }
                    None => found.read = touched,
                },
            }
            uses.set(slot, found);
        }
        Some(uses)
    }
}

/// What an instruction does to the frame, and where it goes on.
#[derive(Default)]
struct Use {
    read: Bytes,
    written: Bytes,
    /// The key of a look-up that has it in registers, and where that goes on without an entry.
    shown: Bytes,
    absent: Option<usize>,
    behind: Behind,
}

/// The slots where it goes on behind an instruction.
type Behind = [Option<usize>; 2];

fn read_behind(before: &BySlot<Bytes>, behind: &Behind) -> Bytes {
    let mut read = Bytes::default();
    behind.iter().flatten().filter_map(|&slot| before.get(slot)).for_each(|bytes| read.add(bytes));
    read
}

/// The bytes that are read from a slot on before they are written.
///
/// The key of a look-up counts as read only if it is read where there is an entry: on the other ways it has been written again.
///
/// None if that takes long: code that jumps back again and again, as a stranger's may, keeps all of its stores.
fn read_before(uses: &BySlot<Use>) -> Option<BySlot<Bytes>> {
    let slots = uses.slots();
    let mut before: BySlot<Bytes> = BySlot::new(&slots);
    for _ in 0..MOST_PASSES {
        let mut changed = false;
        for slot in slots.clone().rev() {
            let Some(found) = uses.get(slot) else { continue };
            let mut read = read_behind(&before, &found.behind);
            let in_any_case = match found.absent {
                // The test behind a look-up reads nothing.
                Some(absent) => {
                    let tests = found.behind.iter().flatten().filter_map(|&slot| uses.get(slot));
                    tests.fold(Bytes::default(), |mut all, test| {
                        let there = test.behind.map(|slot| slot.filter(|&slot| slot != absent));
                        all.add(&read_behind(&before, &there));
                        all
                    })
                }
                None => read,
            };
            if !in_any_case.meets(&found.shown) {
                read.remove(&found.shown);
            } else {
                read.add(&found.shown);
            }
            read.remove(&found.written);
            read.add(&found.read);
            if before.get(slot) != Some(&read) {
                before.set(slot, read);
                changed = true;
            }
        }
        if !changed {
            return Some(before);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions of which the first or the last one reads a byte, and each of the others goes on with the one beside it.
    fn chain(is_reversed: bool) -> BySlot<Use> {
        let slots = 0..100;
        let mut uses = BySlot::new(&slots);
        for slot in slots.clone() {
            let next = if is_reversed {
                slot.checked_sub(1)
            } else {
                Some(slot + 1).filter(|next| slots.contains(next))
            };
            let read = if next.is_none() { Bytes([1, 0, 0, 0, 0, 0, 0, 0]) } else { Bytes::default() };
            uses.set(slot, Use { read, behind: [next, None], ..Use::default() });
        }
        uses
    }

    #[test]
    fn code_that_jumps_back_again_and_again_is_given_up() {
        let before = read_before(&chain(false)).expect("nothing jumps back");
        assert!(before.values().all(|read| *read == Bytes([1, 0, 0, 0, 0, 0, 0, 0])));
        assert!(read_before(&chain(true)).is_none());
    }
}
