//! Calls of helpers and of the program's own functions.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, StackSlotData, StackSlotKind};
use oko_bpf::helper::{Arg, Helper as BpfHelper};
use oko_bpf::isa::{Insn, Reg};
use oko_bpf::program::MapId;
use oko_bpf::verified::Note;

use super::look_ups::is_bare_lock;
use super::{Translator, local_signature, row_of};
use crate::abi::{CTX_SEED, CTX_VALUES, PACKET_CAPTURED};
use crate::burst::constant_memory;
use crate::detour::{self, RESULTS_BYTES};
use crate::error::CompileError;
use crate::helpers::Helper;
use crate::{host, locks};

pub(super) const ARGUMENTS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

impl Translator<'_, '_> {
    /// Translates the call of a helper; gives whether the next instruction can come after it.
    pub(super) fn call_helper(&mut self, slot: usize, number: u32) -> Result<bool, CompileError> {
        let (helper, map) = match self.source.note(slot) {
            Some(Note::Helper { helper, map }) => (Some(helper), map),
            _ => (BpfHelper::from_number(number), None),
        };
        let helper = helper.ok_or(CompileError::Unsupported { slot, what: "a call of an unknown helper" })?;
        if helper.signature().args.contains(&Arg::Buffer) {
            self.frame.forget_stores();
        }
        let result = match helper {
            BpfHelper::MapLookupElem => return Ok(self.look_up(slot, map)),
            BpfHelper::MapUpdateElem | BpfHelper::OriginalMapUpdate => {
                let [map, key, value] = [Reg::R1, Reg::R2, Reg::R3].map(|reg| self.argument(reg));
                let flags = match helper {
                    BpfHelper::MapUpdateElem => self.get(Reg::R4),
                    _ => self.constant(0),
                };
                let now = self.row.now(&mut self.builder);
                self.frame.updated = true;
                let args = [map, key, value, flags, now];
                if self.frame.missed {
                    self.detour(Helper::Update, &args)
                } else {
                    self.call(Helper::Update, &args)
                }
            }
            BpfHelper::MapDeleteElem => {
                let [map, key] = [Reg::R1, Reg::R2].map(|reg| self.argument(reg));
                self.call(Helper::Delete, &[map, key])
            }
            BpfHelper::KtimeGetNs | BpfHelper::KtimeGetBootNs | BpfHelper::KtimeGetCoarseNs => self.now(),
            BpfHelper::GetPrandomU32 => self.call(Helper::Random, &[]),
            // The context is the same for all workers where they share all maps.
            BpfHelper::GetSmpProcessorId => self.call(Helper::Worker, &[]),
            BpfHelper::XdpGetBuffLen => {
                self.builder.ins().uload32(constant_memory(), self.row.packet, PACKET_CAPTURED)
            }
            BpfHelper::XdpLoadBytes => {
                let [offset, to, size] = [Reg::R2, Reg::R3, Reg::R4].map(|reg| self.argument(reg));
                self.call(Helper::LoadBytes, &[self.row.packet, offset, to, size])
            }
            BpfHelper::MapPushElem => {
                let [map, value, flags] = [Reg::R1, Reg::R2, Reg::R3].map(|reg| self.argument(reg));
                self.call(Helper::Push, &[map, value, flags])
            }
            BpfHelper::MapPeekElem => {
                let [map, value] = [Reg::R1, Reg::R2].map(|reg| self.argument(reg));
                self.call(Helper::Peek, &[map, value])
            }
            BpfHelper::OriginalMapAdd => {
                let [map, element] = [Reg::R1, Reg::R2].map(|reg| self.argument(reg));
                self.call(Helper::Add, &[map, element])
            }
            BpfHelper::OriginalHash => {
                let [bytes, size] = [Reg::R1, Reg::R2].map(|reg| self.argument(reg));
                let context = self.row.context(&mut self.builder);
                let seed = self.builder.ins().load(I64, constant_memory(), context, CTX_SEED);
                self.call(Helper::Hash, &[bytes, size, seed])
            }
            BpfHelper::RingbufOutput => {
                let [ring, data, size] = [Reg::R1, Reg::R2, Reg::R3].map(|reg| self.argument(reg));
                self.call(Helper::RingOutput, &[ring, data, size])
            }
            BpfHelper::RingbufReserve => {
                let [ring, size] = [Reg::R1, Reg::R2].map(|reg| self.argument(reg));
                self.call(Helper::RingReserve, &[ring, size])
            }
            BpfHelper::RingbufSubmit | BpfHelper::RingbufDiscard => {
                let record = self.get(Reg::R1);
                let submit = self.constant(i64::from(helper == BpfHelper::RingbufSubmit));
                self.call(Helper::RingHand, &[record, submit]);
                return Ok(true);
            }
            BpfHelper::SpinLock => {
                self.take_lock();
                return Ok(true);
            }
            BpfHelper::SpinUnlock => {
                self.release_lock();
                return Ok(true);
            }
        };
        self.set(Reg::R0, result);
        Ok(true)
    }

    fn take_lock(&mut self) {
        let word = self.get(Reg::R1);
        let held = match self.bare_lock(word) {
            Some((map, offset)) => {
                let (row, at, is_kept) = (self.row, self.held_at(), self.is_kept(CTX_VALUES, map.0));
                // Of what the address is made up, nothing else has to be kept until then.
                locks::take_bare(&mut self.builder, row, |builder| {
                    let first = row_of(builder, row, is_kept, (CTX_VALUES, map.0));
                    let word = builder.ins().iadd(first, offset);
                    builder.ins().stack_store(I64, word, at, 0);
                    word
                })
            }
            None => {
                // It may be given back by an address of which more is known.
                if self.has_bare_locks() {
                    let at = self.held_at();
                    self.builder.ins().stack_store(I64, word, at, 0);
                }
                locks::take(&mut self.builder, self.row, word)
            }
        };
        self.builder.def_var(self.held, held);
    }

    fn release_lock(&mut self) {
        let word = self.get(Reg::R1);
        let held = self.builder.use_var(self.held);
        if self.bare_lock(word).is_some() {
            let at = self.held_at();
            locks::release_if_held(
                &mut self.builder,
                |builder| builder.ins().stack_load(I64, I64, at, 0),
                held,
            );
        } else if self.has_bare_locks() {
            locks::release_if_held(&mut self.builder, |_| word, held);
        } else {
            locks::release(&mut self.builder, word, held);
        }
    }

    /// Whether a lock may have been left as it was.
    fn has_bare_locks(&self) -> bool {
        self.source.maps.iter().any(is_bare_lock)
    }

    /// Of the address of a lock that is the whole value of a map, which map that is, and where the lock is among its values. What is known of an address
    /// where the lock is taken is known where it is given back, unless other ways lead there.
    fn bare_lock(&self, word: ir::Value) -> Option<(MapId, ir::Value)> {
        self.bare_locks.get(&self.resolved(word)).copied()
    }

    fn held_at(&mut self) -> ir::StackSlot {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3);
        let builder = &mut self.builder;
        *self.held_at.get_or_insert_with(|| builder.create_sized_stack_slot(data))
    }

    /// Gives the result; of a helper that has none, nothing that anybody looks at.
    pub(super) fn call(&mut self, helper: Helper, args: &[ir::Value]) -> ir::Value {
        let function = host::import_helper(&mut self.builder, helper, self.convention);
        let call = self.builder.ins().call(function, args);
        match *self.builder.inst_results(call) {
            [result, ..] => result,
            [] => self.constant(0),
        }
    }

    /// The same for code that hardly any packet comes to.
    pub(super) fn detour(&mut self, helper: Helper, args: &[ir::Value]) -> ir::Value {
        let (row, slot) = (self.row, &mut self.results);
        let results = detour::call(&mut self.builder, helper, args, |builder| {
            if row.has_scratch() {
                return row.scratch(builder, 0);
            }
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, RESULTS_BYTES, 3);
            let slot = *slot.get_or_insert_with(|| builder.create_sized_stack_slot(data));
            builder.ins().stack_addr(I64, slot, 0)
        });
        results.first().copied().unwrap_or_else(|| self.constant(0))
    }

    pub(super) fn call_local(&mut self, slot: usize, insn: Insn) -> Result<(), CompileError> {
        let index = match self.source.note(slot) {
            Some(Note::LocalCall(index)) => Some(index),
            _ => insn.call_target(slot).and_then(|target| {
                self.source.functions.iter().position(|function| function.slots.start == target)
            }),
        };
        let unknown = CompileError::Unsupported { slot, what: "a call of no function of the program" };
        // The entry has another signature; verified programs do not call it, for that would be recursion.
        let index = index.filter(|&index| index > 0 && index < self.source.functions.len()).ok_or(unknown)?;
        self.frame.forget_stores();
        let function = host::import_function(&mut self.builder, index, local_signature(self.convention));
        let mut args = vec![self.row.frame(&mut self.builder), self.row.packet];
        args.extend(ARGUMENTS.map(|reg| self.argument(reg)));
        let call = self.builder.ins().call(function, &args);
        let result = self.builder.inst_results(call)[0];
        self.set(Reg::R0, result);
        Ok(())
    }
}
