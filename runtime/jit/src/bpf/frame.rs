//! What is known of the stack frame: the values that were stored there last, so that loads need not wait for the stores, and registers that point
//! there, so that keys of look-ups are put together in registers. And what else is known of the way: what was looked up, how long the packet is.
//!
//! All of it holds on the one way that leads here: it is forgotten at each block that can be jumped to. The stores themselves stay, unless they are
//! [late](super::late_stores).

use std::collections::BTreeMap;
use std::ops::Range;

use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData};
use oko_bpf::isa::{Insn, Reg, Size};
use oko_bpf::verified::{Note, Region};

use super::Translator;
use super::pointers::Pointers;
use crate::tidy;

/// Bytes of a value that a register can hold.
pub(super) const WORD: i32 = 8;

/// What is known at a place of the program. Offsets are from the frame pointer, in bytes.
pub(super) struct Frame {
    /// By where they begin: how many bytes were stored, and of what, lowest first. They do not overlap.
    stores: BTreeMap<i32, (i32, ir::Value)>,
    pub(super) pointers: Pointers,
    /// Whether a key was looked up on the way here that is not in its map.
    pub(super) missed: bool,
    /// Whether a map was updated on the way here.
    pub(super) updated: bool,
    /// How long the packet is at least: it was compared on the way here.
    pub(super) length: i64,
}

impl Frame {
    /// Nothing but the frame pointer.
    pub(super) fn unknown() -> Frame {
        let pointers = Pointers::unknown();
        Frame { stores: BTreeMap::new(), pointers, missed: false, updated: false, length: 0 }
    }

    pub(super) fn forget(&mut self, from: i32, bytes: i32) {
        self.stores.retain(|&at, &mut (size, _)| at >= from + bytes || at + size <= from);
    }

    /// Something may have been written anywhere.
    pub(super) fn forget_stores(&mut self) {
        self.stores.clear();
    }
}

impl Translator<'_, '_> {
    /// Follows an instruction that was translated, with what pointed where before it.
    pub(super) fn follow(&mut self, slot: usize, insn: Insn, before: Pointers) {
        self.frame.pointers = before.after(insn);
        match insn {
            Insn::Store { size, src, .. } => match self.source.note(slot) {
                Some(Note::Access(Region::Frame { off })) => {
                    let bytes = size.bytes() as i32;
                    let value = self.operand(src);
                    self.frame.forget(off, bytes);
                    self.frame.stores.insert(off, (bytes, value));
                }
                Some(Note::Access(Region::Packet | Region::MapValue(_) | Region::Record)) => {}
                _ => self.frame.forget_stores(),
            },
            Insn::Atomic { .. } => self.frame.forget_stores(),
            _ => {}
        }
    }

    /// Bytes of the frame that were stored on the way here, at once or in pieces: as a zero-extended `i64`. A load of what was stored in pieces would wait
    /// until all of these have left the core.
    pub(super) fn stored(&mut self, from: i32, size: Size) -> Option<ir::Value> {
        self.assembled(from, size.bytes() as i32)
    }

    /// The constant that so many bytes of the frame are, at most eight, if they were all stored on the way here.
    pub(super) fn constant_bytes(&self, from: i32, bytes: u32) -> Option<u64> {
        (0..bytes.cast_signed()).try_fold(0, |word, byte| {
            let at = from + byte;
            let (&start, &(size, value)) = self.frame.stores.range(..=at).next_back()?;
            let stored = tidy::constant(self.builder.func, value).filter(|_| at < start + size)?;
            Some(word | (stored.cast_unsigned() >> (8 * (at - start)) & 0xff) << (8 * byte))
        })
    }

    /// Some bytes of a value, lowest first, zero-extended.
    fn part(&mut self, value: ir::Value, skipped: i32, bytes: i32) -> ir::Value {
        let value =
            if skipped == 0 { value } else { self.builder.ins().ushr_imm_u(value, i64::from(skipped) * 8) };
        let narrow = match bytes {
            1 => I8,
            2 => I16,
            4 => I32,
            _ => return value,
        };
        let value = self.builder.ins().ireduce(narrow, value);
        self.builder.ins().uextend(I64, value)
    }

    /// The zero-padded words of a key of so many bytes that a register points to, and where in the frame the key is if none of them had to be loaded.
    pub(super) fn key_words(&mut self, pointer: Reg, bytes: u32) -> (Vec<ir::Value>, Option<Range<i32>>) {
        let offset = self.frame.pointers.in_frame(pointer);
        let pointer = self.argument(pointer);
        let mut stored = offset.map(|offset| offset..offset + bytes as i32);
        let starts = (0..bytes as i32).step_by(WORD as usize);
        let words = starts.map(|start| {
            let size = WORD.min(bytes as i32 - start);
            let known = offset.and_then(|offset| self.assembled(offset + start, size));
            known.unwrap_or_else(|| {
                stored = None;
                self.loaded(pointer, start, size)
            })
        });
        (words.collect(), stored)
    }

    /// Whether all of some bytes of the frame were stored on the way here.
    pub(super) fn is_stored(&self, bytes: &Range<i32>) -> bool {
        bytes.clone().all(|at| {
            let store = self.frame.stores.range(..=at).next_back();
            store.is_some_and(|(start, (size, _))| at < start + size)
        })
    }

    /// Stores once more what was stored on the way here to some bytes of the frame.
    pub(super) fn store_again(&mut self, bytes: &Range<i32>) -> Vec<ir::Inst> {
        let from = bytes.start - WORD + 1;
        let stores: Vec<_> =
            self.frame.stores.range(from..bytes.end).map(|(&at, &store)| (at, store)).collect();
        let within = stores.into_iter().filter(|(at, (size, _))| at + size > bytes.start);
        within.map(|(at, (size, value))| self.store_lowest(size, at, value)).collect()
    }

    /// Up to eight bytes of the frame, if they were all stored on the way here.
    pub(super) fn assembled(&mut self, from: i32, bytes: i32) -> Option<ir::Value> {
        if let Some(constant) = self.constant_bytes(from, bytes.cast_unsigned()) {
            return Some(self.constant(constant.cast_signed()));
        }
        let mut pieces = Vec::new();
        let mut at = from;
        while at < from + bytes {
            let (&start, &(size, value)) = self.frame.stores.range(..=at).next_back()?;
            let end = (start + size).min(from + bytes);
            if end <= at {
                return None;
            }
            pieces.push((at, end, value, at - start));
            at = end;
        }
        // A piece of three bytes or the like is not worth it.
        if pieces.iter().any(|(at, end, ..)| ![1, 2, 4, 8].contains(&(end - at))) {
            return None;
        }
        let mut word = None;
        for (at, end, value, skipped) in pieces {
            let part = self.part(value, skipped, end - at);
            let part =
                if at == from { part } else { self.builder.ins().ishl_imm_u(part, i64::from(at - from) * 8) };
            word = Some(match word {
                Some(others) => self.builder.ins().bor(others, part),
                None => part,
            });
        }
        word
    }

    /// Up to eight bytes of memory.
    pub(super) fn loaded(&mut self, pointer: ir::Value, start: i32, bytes: i32) -> ir::Value {
        let memory = MemFlagsData::new().with_notrap();
        let mut word = None;
        let mut at = 0;
        for size in [8, 4, 2, 1] {
            if bytes - at < size {
                continue;
            }
            let offset = start + at;
            let part = match size {
                8 => self.builder.ins().load(I64, memory, pointer, offset),
                4 => self.builder.ins().uload32(memory, pointer, offset),
                2 => self.builder.ins().uload16(I64, memory, pointer, offset),
                _ => self.builder.ins().uload8(I64, memory, pointer, offset),
            };
            let part = if at == 0 { part } else { self.builder.ins().ishl_imm_u(part, i64::from(at) * 8) };
            word = Some(match word {
                Some(others) => self.builder.ins().bor(others, part),
                None => part,
            });
            at += size;
        }
        word.unwrap_or_else(|| self.constant(0))
    }
}
