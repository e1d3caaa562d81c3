//! Look-ups in maps.
//!
//! What comes after a look-up is nearly always a test whether there is an entry. The look-up knows that already where it ends, so then it goes on
//! where that test would go, and the test itself is left out; of an index that is certainly in an array, so is the other way.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{self, Block, Function, InstBuilder, InstructionData, Opcode, Type, ValueDef};
use oko_bpf::helper::Helper as BpfHelper;
use oko_bpf::isa::{Cond, Insn, Operand, Reg, Width};
use oko_bpf::program::{MapDef, MapId, MapKind};
use oko_ir::layout::PREFIX_BITS_SIZE;
use oko_ir::ranges::all_ones;
use oko_state::direct::Form;

use super::late_stores::LookUp;
use super::{Cell, Translator};
use crate::abi::CTX_VALUES;
use crate::direct::{self, Address};
use crate::helpers::Helper;
use crate::probe::{self, Comparison, MOST_LOOK_UPS, Otherwise};
use crate::tidy;

/// So many instructions are looked at to see how great a number may be.
pub(super) const MOST_STEPS: u32 = 96;

/// Bytes of a `struct bpf_spin_lock`.
const LOCK_BYTES: u32 = 4;
/// Bytes of the index of an array.
pub(super) const INDEX_BYTES: i32 = 4;

/// Whether what is looked up in a map is an index of an array.
pub(super) fn is_indexed(def: &MapDef) -> bool {
    def.kind == MapKind::Array && def.key_size == INDEX_BYTES.cast_unsigned()
}

/// Whether the values of a map are locks and nothing else: what they protect lies elsewhere.
pub(super) fn is_bare_lock(def: &MapDef) -> bool {
    is_indexed(def) && def.lock_offset == Some(0) && def.value_size == LOCK_BYTES
}

/// Where it goes on after a look-up.
#[derive(Clone, Copy)]
enum Next {
    /// With the next instruction: a block that takes `r0`.
    Joined(Block),
    /// Where the test goes that comes next, by its slot and where it goes to: slots that have blocks.
    Tested { test: usize, absent: usize, found: usize },
}

impl Translator<'_, '_> {
    /// Translates a look-up; gives whether the next instruction can come after it.
    pub(super) fn look_up(&mut self, slot: usize, map: Option<MapId>) -> bool {
        let def = map.and_then(|map| Some((map, self.source.maps.get(map.index())?)));
        let next = self.next(slot);
        match def {
            Some((map, def)) if is_indexed(def) => self.look_up_array(map, def, next),
            // What was just inserted is looked up by a call: for code that has called already that is no great matter, and of a look-up of the same key once
            // more, what both have in common would be kept on the stack for it, by all who never come here.
            Some((_, def)) if self.is_probed(def) && !self.frame.updated => {
                self.look_up_probed(slot, def, next);
            }
            Some((_, def)) if self.look_up_address(slot, def, next) => {}
            _ => self.look_up_by_call(next, self.frame.missed),
        }
        let Next::Joined(block) = next else {
            if let Next::Tested { test, absent, .. } = next
                && absent == test + 1
            {
                self.frame.missed = true;
                if self.inserts(absent) {
                    self.builder.set_cold_block(self.blocks[&absent]);
                }
            }
            return false;
        };
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
        let result = self.builder.block_params(block)[0];
        self.set(Reg::R0, result);
        true
    }

    /// What comes after a look-up.
    fn next(&mut self, slot: usize) -> Next {
        let test = slot + 1;
        // Behind a test that only leaves out a move there is no block to go to.
        let is_own = !self.jumped_to.contains(&test) && !self.skips.contains(&test);
        if self.slots.contains(&test) && is_own && !self.source.is_dead(test) {
            let insn = self.source.insns[test];
            if let Insn::Branch { width: Width::W64, cond, dst: Reg::R0, src: Operand::Imm(0), .. } = insn
                && let Ok(target) = self.target(test)
            {
                let other = test + 1;
                match cond {
                    // Both ways are one: what is so on one of them only is not known there.
                    _ if target == other => {}
                    Cond::Eq => return Next::Tested { test, absent: target, found: other },
                    Cond::Ne => return Next::Tested { test, absent: other, found: target },
                    _ => {}
                }
            }
        }
        let block = self.builder.create_block();
        self.builder.append_block_param(block, I64);
        Next::Joined(block)
    }

    /// Whether a map is updated at once at a slot: what takes so long need not lie on the way of the others.
    fn inserts(&self, slot: usize) -> bool {
        let insns = self.source.insns[slot..self.slots.end].iter();
        let straight = insns.take_while(|insn| insn.jump_offset().is_none() && **insn != Insn::Exit);
        let call = straight.into_iter().find(|insn| matches!(insn, Insn::CallHelper { .. }));
        call == Some(&Insn::call(BpfHelper::MapUpdateElem.number()))
    }

    /// Ends the block with what the look-up gives; `there` says whether it is an entry, if that is known here.
    fn end(&mut self, next: Next, value: ir::Value, there: Option<bool>) {
        let (test, absent, found) = match next {
            Next::Joined(block) => {
                self.builder.ins().jump(block, &[value.into()]);
                return;
            }
            Next::Tested { test, absent, found } => (test, absent, found),
        };
        self.builder.def_var(self.registers[Reg::R0.index()], value);
        let (absent, found) = (self.way(test, absent), self.way(test, found));
        match there {
            Some(true) => self.builder.ins().jump(found, &[]),
            Some(false) => self.builder.ins().jump(absent, &[]),
            None => self.builder.ins().brif(value, found, &[], absent, &[]),
        };
    }

    /// Ends the block: there is no entry.
    fn end_absent(&mut self, next: Next) {
        let null = self.constant(0);
        self.end(next, null, Some(false));
    }

    /// Ends the block with a call.
    fn look_up_by_call(&mut self, next: Next, is_cold: bool) {
        let args = [Reg::R1, Reg::R2].map(|reg| self.argument(reg));
        let value = match is_cold {
            true => self.detour(Helper::Lookup, &args),
            false => self.call(Helper::Lookup, &args),
        };
        self.end(next, value, None);
    }

    fn look_up_array(&mut self, map: MapId, def: &MapDef, next: Next) {
        let kept = self.frame.pointers.in_frame(Reg::R2).and_then(|offset| self.cells.get(&offset));
        let index = match kept {
            Some(&Cell::Number { variable, .. }) => self.builder.use_var(variable),
            Some(Cell::Instant) => self.now(),
            None => self.key_words(Reg::R2, def.key_size).0[0],
        };
        if most(self.builder.func, index, &mut { MOST_STEPS }) >= u64::from(def.max_entries) {
            let count = i64::from(def.max_entries);
            let there = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, index, count);
            let (inside, outside) = (self.builder.create_block(), self.builder.create_block());
            self.builder.ins().brif(there, inside, &[], outside, &[]);
            for block in [inside, outside] {
                self.builder.seal_block(block);
            }
            self.builder.switch_to_block(outside);
            self.end_absent(next);
            self.builder.switch_to_block(inside);
        }
        let first = self.row_of(CTX_VALUES, map.0);
        let offset = self.builder.ins().imul_imm_s(index, oko_state::array_stride(def.value_size) as i64);
        let value = self.builder.ins().iadd(first, offset);
        if is_bare_lock(def) {
            self.bare_locks.insert(value, (map, offset));
        }
        self.end(next, value, Some(true));
    }

    fn look_up_probed(&mut self, slot: usize, def: &MapDef, next: Next) {
        let map = self.get(Reg::R1);
        let (words, stored) = self.key_words(Reg::R2, def.key_size);
        let (absent, call) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(call);
        let otherwise = Otherwise { absent, unclear: call };
        let (value, _) = probe::probe(&mut self.builder, map, &words, Comparison::Here, otherwise);
        for block in [absent, call] {
            self.builder.seal_block(block);
        }
        self.end(next, value, Some(true));
        self.builder.switch_to_block(absent);
        if let Some(key) = &stored {
            let absent = match next {
                Next::Joined(_) => None,
                Next::Tested { absent, .. } => Some((absent, self.store_again(key))),
            };
            self.late.look_ups.insert(slot, LookUp { key: key.clone(), absent });
        }
        self.end_absent(next);
        self.builder.switch_to_block(call);
        if let Some(key) = stored {
            self.store_again(&key);
        }
        self.look_up_by_call(next, true);
    }

    /// Looks an address up by prefix; gives whether the map is a table of such and the whole address counts.
    fn look_up_address(&mut self, slot: usize, def: &MapDef, next: Next) -> bool {
        if def.kind != MapKind::LpmTrie || self.source.look_ups > MOST_LOOK_UPS {
            return false;
        }
        let (Some(form), Some(key)) =
            (Form::of(def.max_entries, def.key_size), self.frame.pointers.in_frame(Reg::R2))
        else {
            return false;
        };
        if self.constant_bytes(key, PREFIX_BITS_SIZE) != Some(8 * u64::from(def.key_size - PREFIX_BITS_SIZE))
        {
            return false;
        }
        let lead = PREFIX_BITS_SIZE + u32::from(form.has_family);
        let shown = form.address_bytes.min(8);
        let whole = key..key + def.key_size.cast_signed();
        let mut is_stored = self.is_stored(&whole);
        let mut bytes_of_key = |from: u32, bytes: u32| {
            let (at, size) = (key + from.cast_signed(), bytes.cast_signed());
            self.assembled(at, size).unwrap_or_else(|| {
                is_stored = false;
                let frame = self.frame_address(key);
                self.loaded(frame, from.cast_signed(), size)
            })
        };
        let family = form.has_family.then(|| bytes_of_key(PREFIX_BITS_SIZE, 1));
        let bytes = bytes_of_key(lead, shown);
        let high = self.host_order(bytes, shown);
        let map = self.get(Reg::R1);
        let call = self.builder.create_block();
        self.builder.set_cold_block(call);
        let answer = direct::answer(&mut self.builder, map, form, Address { family, high }, call);
        self.builder.seal_block(call);
        self.end(next, answer, None);
        self.builder.switch_to_block(call);
        if is_stored {
            self.store_again(&whole);
            self.late.look_ups.insert(slot, LookUp { key: whole, absent: None });
        }
        self.look_up_by_call(next, true);
        true
    }

    /// A number of four or eight bytes in network order, as the first bytes of a word in host order.
    fn host_order(&mut self, bytes: ir::Value, size: u32) -> ir::Value {
        if let Some(constant) = tidy::constant(self.builder.func, bytes) {
            return self.constant(constant.swap_bytes());
        }
        let bytes = self.resolved(bytes);
        let made_by =
            self.builder.func.dfg.value_def(bytes).inst().map(|inst| self.builder.func.dfg.insts[inst]);
        if size == 8 {
            return match made_by {
                Some(InstructionData::Unary { opcode: Opcode::Bswap, arg }) => arg,
                _ => self.builder.ins().bswap(bytes),
            };
        }
        let number = match self.swapped.get(&bytes) {
            Some(&(before, 32)) => self.builder.ins().uextend(I64, before),
            _ => self.swapped(I32, bytes),
        };
        self.builder.ins().ishl_imm_u(number, 32)
    }

    /// Whether keys of a map are looked up inline.
    fn is_probed(&self, def: &MapDef) -> bool {
        probe::is_inline(self.source.look_ups, def.key_size)
            && matches!(def.kind, MapKind::Hash | MapKind::LruHash)
    }
}

/// What an unsigned number is at most, as far as the instructions say that it comes from; those of this block, for what comes from
/// others is known at the end only.
pub(super) fn most(function: &Function, value: ir::Value, steps: &mut u32) -> u64 {
    let dfg = &function.dfg;
    let value = dfg.resolve_aliases(value);
    let of_type = most_of(dfg.value_type(value));
    let ValueDef::Result(inst, 0) = dfg.value_def(value) else { return of_type };
    if *steps == 0 {
        return of_type;
    }
    *steps -= 1;
    let found = match dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => imm.bits().cast_unsigned(),
        InstructionData::Binary { opcode: Opcode::Band, args: [a, b] } => {
            most(function, a, steps).min(most(function, b, steps))
        }
        InstructionData::Binary { opcode: Opcode::Bor | Opcode::Bxor, args: [a, b] } => {
            all_ones(most(function, a, steps) | most(function, b, steps))
        }
        InstructionData::Binary { opcode: Opcode::Ushr, args: [a, by] } => {
            match tidy::constant(function, by) {
                // Taken modulo the width.
                Some(by) => {
                    most(function, a, steps) >> (by.cast_unsigned() & u64::from(dfg.value_type(a).bits() - 1))
                }
                None => of_type,
            }
        }
        InstructionData::IntCompare { .. } => 1,
        InstructionData::Ternary { opcode: Opcode::Select, args: [_, a, b] } => {
            most(function, a, steps).max(most(function, b, steps))
        }
        InstructionData::Load { opcode: Opcode::Uload8, .. } => most_of(I8),
        InstructionData::Load { opcode: Opcode::Uload16, .. } => most_of(I16),
        InstructionData::Load { opcode: Opcode::Uload32, .. } => most_of(I32),
        InstructionData::Unary { opcode: Opcode::Uextend | Opcode::Ireduce, arg } => {
            most(function, arg, steps)
        }
        _ => of_type,
    };
    found.min(of_type)
}

/// The greatest number of a type.
fn most_of(ty: Type) -> u64 {
    u64::MAX >> 64_u32.saturating_sub(ty.bits())
}
