//! Numbers in the stack frame that are kept in registers.
//!
//! A number of 32 or 64 bits that the program writes and reads as a whole only, by its distance from the frame pointer, and that no helper is shown, is as good as a
//! register of its own: it need not be in memory at all. Compilers have few registers to give, so they put there what the whole program needs. An index
//! of an array is not shown to the look-up, which is code like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use oko_bpf::helper::{Arg, Helper};
use oko_bpf::isa::{Insn, Operand, Reg, Size};
use oko_bpf::program::MapDef;
use oko_bpf::verified::{Note, Region};

use super::by_slot::BySlot;
use super::calls::ARGUMENTS;
use super::look_ups::{INDEX_BYTES, is_indexed};
use super::pointers::{Pointer, Pointers};
use super::source::Source;

/// Bytes of the widest access.
const WORD: i32 = 8;

/// The numbers of a function's frame that are kept in registers, by their distance from the frame pointer, with their bytes.
pub(super) fn find(accesses: &BySlot<Access>) -> BTreeMap<i32, i32> {
    let (mut numbers, mut others) = (BTreeSet::new(), Vec::new());
    for access in accesses.values() {
        match access {
            Access::Number { offset, bytes } => {
                numbers.insert((*offset, *bytes));
            }
            Access::Bytes(ranges) => others.extend(ranges.iter().cloned()),
        }
    }
    let end = |(offset, bytes): (i32, i32)| offset + bytes;
    let is_alone = |number: &(i32, i32)| {
        let mut near = numbers.range((number.0 - WORD, 0)..(end(*number), 0));
        let others = others.iter().all(|other| other.end <= number.0 || other.start >= end(*number));
        others && near.all(|other| other == number || end(*other) <= number.0)
    };
    numbers.iter().copied().filter(is_alone).collect()
}

/// Where something is written to a function's frame that is not what the clock has just given.
pub(super) fn written_otherwise(
    source: &Source<'_>,
    slots: Range<usize>,
    starts: &BTreeSet<usize>,
) -> BTreeSet<i32> {
    let is_instant = |slot: usize| {
        let clock = slot.checked_sub(1).and_then(|before| source.note(before));
        matches!(clock, Some(Note::Helper { helper, .. }) if is_clock(helper))
            && !starts.contains(&slot)
            && matches!(source.insns[slot], Insn::Store { size: Size::Dw, src: Operand::Reg(Reg::R0), .. })
    };
    let others = slots.filter_map(|slot| match (source.insns[slot], source.note(slot)) {
        (Insn::Store { .. }, Some(Note::Access(Region::Frame { off }))) if !is_instant(slot) => Some(off),
        _ => None,
    });
    others.collect()
}

/// Whether a helper gives the instant.
fn is_clock(helper: Helper) -> bool {
    matches!(helper, Helper::KtimeGetNs | Helper::KtimeGetBootNs | Helper::KtimeGetCoarseNs)
}

/// What the instructions of a function do to its frame. None if one may touch any byte. `starts` are the slots to which there is more than one way.
pub(super) fn accesses(
    source: &Source<'_>,
    slots: Range<usize>,
    starts: &BTreeSet<usize>,
) -> Option<BySlot<Access>> {
    let mut accesses = BySlot::new(&slots);
    let mut pointers = Pointers::unknown();
    let mut guarded = false;
    for slot in slots {
        if starts.contains(&slot) {
            pointers = Pointers::unknown();
        }
        if source.is_dead(slot) {
            continue;
        }
        let insn = source.insns[slot];
        accesses.set(slot, access(source, slot, &pointers)?);
        pointers = pointers.after(insn);
        // It may have been left out.
        if std::mem::replace(&mut guarded, matches!(insn, Insn::Branch { .. }))
            && let Insn::Alu { dst, .. } = insn
        {
            pointers.overwrite(dst);
        }
    }
    Some(accesses)
}

/// What an instruction does to the frame.
pub(super) enum Access {
    /// It loads or stores a number as a whole.
    Number { offset: i32, bytes: i32 },
    /// It touches these bytes, or shows them to a helper.
    Bytes(Vec<Range<i32>>),
}

/// None if it may touch any byte.
fn access(source: &Source<'_>, slot: usize, pointers: &Pointers) -> Option<Access> {
    let (insn, note) = (source.insns[slot], source.note(slot)?);
    let region = match note {
        Note::Access(region) => region,
        Note::Helper { helper, map } => {
            let def = map.and_then(|map| source.maps.get(map.index()));
            if helper == Helper::MapLookupElem
                && def.is_some_and(is_indexed)
                && let Pointer::Frame(offset) = pointers.of(Reg::R2)
            {
                return Some(Access::Number { offset, bytes: INDEX_BYTES });
            }
            return Some(Access::Bytes(shown(helper, def, pointers)?));
        }
        Note::LocalCall(_) => return None,
        _ => return Some(Access::Bytes(Vec::new())),
    };
    let offset = match region {
        Region::Frame { off } => off,
        Region::Stack | Region::Mixed => return None,
        Region::Packet | Region::MapValue(_) | Region::Record => return Some(Access::Bytes(Vec::new())),
    };
    match insn {
        Insn::Load { size: size @ (Size::Dw | Size::W), signed: false, .. }
        | Insn::Store { size: size @ (Size::Dw | Size::W), .. } => {
            Some(Access::Number { offset, bytes: size.bytes() as i32 })
        }
        Insn::Load { size, .. } | Insn::Store { size, .. } => Some(Access::Bytes(one(offset, size))),
        // No access is wider than a word.
        _ => Some(Access::Bytes(one(offset, Size::Dw))),
    }
}

/// The bytes that an access of a size touches.
fn one(offset: i32, size: Size) -> Vec<Range<i32>> {
    std::iter::once(offset..offset + size.bytes() as i32).collect()
}

/// The bytes of the frame that a helper is shown; none if that is not known.
fn shown(helper: Helper, map: Option<&MapDef>, pointers: &Pointers) -> Option<Vec<Range<i32>>> {
    let mut ranges = Vec::new();
    for (arg, reg) in helper.signature().args.iter().zip(ARGUMENTS) {
        let size = match arg {
            Arg::Key => map.map(|map| map.key_size),
            Arg::Value => map.map(|map| map.value_size),
            Arg::Memory | Arg::Buffer => None,
            _ => continue,
        };
        match pointers.of(reg) {
            Pointer::Anywhere => return None,
            Pointer::Elsewhere => {}
            Pointer::Frame(offset) => {
                let end = size.and_then(|size| offset.checked_add_unsigned(size));
                ranges.push(offset..end.unwrap_or(0));
            }
        }
    }
    Some(ranges)
}
