//! Tests of neighbouring bytes of the packet, made at once.
//!
//! Compilers for BPF test the fields of a header one by one, each by a load and a branch, and go to the same place wherever one is not as it should be.
//! Of four adjacent bytes, one load and one comparison under a mask do. The tests have no effects, so their order does not count; and which bytes may be read
//! early is known from the code itself: those below a length that was compared with the packet's on the one way that leads here.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{self, InstBuilder};
use oko_bpf::isa::{AluOp, Cond, Insn, Operand, Reg, Size};
use oko_bpf::verified::{Note, Region};

use super::Translator;
use crate::burst::packet_memory;

/// Bytes that are tested at once.
const WINDOW: i64 = 4;

/// A test of a number from the packet: a load, an instruction that masks if there is one, and a branch to the end with a verdict unless it is as it should be.
#[derive(Clone, Copy)]
struct Test {
    /// From the begin of the packet, in bytes.
    at: i64,
    bytes: i64,
    /// The bits that count, and what they should be.
    mask: u32,
    value: u32,
    branch: usize,
}

impl Test {
    /// Mask and value in a window that begins at some place.
    fn in_window(&self, start: i64) -> (u32, u32) {
        let shift = 8 * (self.at - start) as u32;
        (self.mask << shift, self.value << shift)
    }
}

impl Translator<'_, '_> {
    /// Makes the tests that begin at a slot, if there are several and they can be made together: their branches are left out then. Goes on in a new block.
    pub(super) fn join_tests(&mut self, slot: usize) {
        if slot < self.looked_at || self.frame.length < WINDOW {
            return;
        }
        let Some((leaving, tests, next)) = self.tests(slot) else { return };
        self.looked_at = next;
        let mut left = tests;
        left.sort_by_key(|test| test.at);
        while let Some(&first) = left.first() {
            let start = first.at.min(self.frame.length - WINDOW);
            let mut end = first.at;
            let fitting = left.iter().take_while(|test| {
                let fits = test.at >= end && test.at + test.bytes <= start + WINDOW;
                end = test.at + test.bytes;
                fits
            });
            let count = fitting.count().max(1);
            let joined: Vec<Test> = left.drain(..count).collect();
            if count > 1 {
                self.test_together(start, &joined, leaving);
            }
        }
    }

    fn test_together(&mut self, start: i64, tests: &[Test], leaving: ir::Block) {
        let places = tests.iter().map(|test| test.in_window(start));
        let (mask, value) =
            places.fold((0, 0), |(mask, value), (more, wanted)| (mask | more, value | wanted));
        let next = self.builder.create_block();
        let loaded = self.builder.ins().load(I32, packet_memory(), self.data, start as i32);
        let masked = match mask {
            u32::MAX => loaded,
            mask => self.builder.ins().band_imm_s(loaded, i64::from(mask.cast_signed())),
        };
        let other = self.builder.ins().icmp_imm_s(IntCC::NotEqual, masked, i64::from(value.cast_signed()));
        self.builder.ins().brif(other, leaving, &[], next, &[]);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
        self.tested.extend(tests.iter().map(|test| test.branch));
    }

    /// The tests that come one after the other from a slot on and go to the same block that ends the packet, with the slot behind the last one.
    fn tests(&mut self, slot: usize) -> Option<(ir::Block, Vec<Test>, usize)> {
        let mut at = slot;
        let mut tests = Vec::new();
        let mut to = None;
        let mut written = Vec::new();
        while at == slot || !self.jumped_to.contains(&at) {
            let Some((test, dst, next)) = self.test(at, &written) else { break };
            written.push(dst);
            let Some(block) = self.leaving_at(test.branch, &written) else { break };
            if *to.get_or_insert(block) != block {
                break;
            }
            tests.push(test);
            at = next;
        }
        (tests.len() > 1).then_some((to?, tests, at))
    }

    /// The test that begins at a slot, which register it writes, and the slot behind it.
    fn test(&mut self, slot: usize, written: &[Reg]) -> Option<(Test, Reg, usize)> {
        let live = |at: usize| {
            let insn = self.source.insns.get(at).copied().filter(|_| self.slots.contains(&at));
            insn.filter(|_| !self.source.is_dead(at) && (at == slot || !self.jumped_to.contains(&at)))
        };
        let Insn::Load { size, signed: false, dst, base, off } = live(slot)? else { return None };
        if self.source.note(slot) != Some(Note::Access(Region::Packet))
            || written.contains(&base)
            || dst == base
        {
            return None;
        }
        let all = match size {
            Size::B => 0xff,
            Size::H => 0xffff,
            Size::W => u32::MAX,
            Size::Dw => return None,
        };
        let mut branch = slot + 1;
        let mut mask = all;
        if let Insn::Alu { op: AluOp::And, dst: masked, src: Operand::Imm(imm), .. } = live(branch)?
            && masked == dst
        {
            mask &= imm.cast_unsigned();
            branch += 1;
        }
        let Insn::Branch { cond, dst: compared, src: Operand::Imm(imm), .. } = live(branch)? else {
            return None;
        };
        let number = u32::try_from(imm).ok().filter(|_| compared == dst && !self.skips.contains(&branch))?;
        let (mask, value) = match cond {
            Cond::Ne if number & !mask == 0 => (mask, number),
            Cond::Set => (mask & number, 0),
            _ => return None,
        };
        let pointer = self.get(base);
        let at = self.in_packet(pointer)?.checked_add(i64::from(off))?;
        let bytes = i64::from(size.bytes());
        (at >= 0 && at + bytes <= self.frame.length).then_some((
            Test { at, bytes, mask, value, branch },
            dst,
            branch + 1,
        ))
    }
}
