//! Loads, stores, atomics, and the fields of the context.

use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{self, AtomicRmwOp, InstBuilder, MemFlagsData, Type};
use oko_bpf::isa::{AtomicOp, Operand, Reg, Size, Width};
use oko_bpf::xdp::CtxField;

use super::Translator;
use crate::abi::PACKET_IN_PORT;
use crate::burst::constant_memory;
use crate::locks::{self, Wanted};

/// Memory that the verifier has shown to be there, at any alignment.
fn verified_memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

fn type_of(size: Size) -> Type {
    match size {
        Size::B => I8,
        Size::H => I16,
        Size::W => I32,
        Size::Dw => I64,
    }
}

impl Translator<'_, '_> {
    /// A field of `struct xdp_md`.
    pub(super) fn context_field(&mut self, field: CtxField) -> ir::Value {
        let packet = self.row.packet;
        match field {
            CtxField::Data | CtxField::DataMeta => self.data,
            CtxField::DataEnd => {
                let end = self.builder.ins().iadd(self.data, self.captured);
                self.note_end(end);
                end
            }
            CtxField::IngressIfindex => self.builder.ins().uload32(constant_memory(), packet, PACKET_IN_PORT),
            CtxField::RxQueueIndex => self.constant(0),
        }
    }

    pub(super) fn load(&mut self, size: Size, signed: bool, base: Reg, off: i16) -> ir::Value {
        let base = self.get(base);
        self.load_at(size, signed, base, off)
    }

    /// A load from the frame, by the distance from the frame pointer: no register points there.
    pub(super) fn load_frame(&mut self, size: Size, off: i32) -> ir::Value {
        let at = self.frame_address(off);
        self.load_at(size, false, at, 0)
    }

    fn load_at(&mut self, size: Size, signed: bool, base: ir::Value, off: i16) -> ir::Value {
        let (off, memory) = (i32::from(off), verified_memory());
        let ins = self.builder.ins();
        match (size, signed) {
            (Size::B, false) => ins.uload8(I64, memory, base, off),
            (Size::B, true) => ins.sload8(I64, memory, base, off),
            (Size::H, false) => ins.uload16(I64, memory, base, off),
            (Size::H, true) => ins.sload16(I64, memory, base, off),
            (Size::W, false) => ins.uload32(memory, base, off),
            (Size::W, true) => ins.sload32(memory, base, off),
            (Size::Dw, _) => ins.load(I64, memory, base, off),
        }
    }

    pub(super) fn store(&mut self, size: Size, base: Reg, off: i16, src: Operand) {
        let base = self.get(base);
        self.store_at(size, base, off, src);
    }

    /// A store to the frame, as [`load_frame`](Self::load_frame).
    pub(super) fn store_frame(&mut self, size: Size, off: i32, src: Operand) -> ir::Inst {
        let at = self.frame_address(off);
        self.store_at(size, at, 0, src)
    }

    /// A store of the lowest bytes of a value to the frame.
    pub(super) fn store_lowest(&mut self, bytes: i32, off: i32, value: ir::Value) -> ir::Inst {
        let size = [Size::B, Size::H, Size::W].into_iter().find(|size| size.bytes() as i32 == bytes);
        let at = self.frame_address(off);
        self.store_value(size.unwrap_or(Size::Dw), at, 0, value)
    }

    fn store_at(&mut self, size: Size, base: ir::Value, off: i16, src: Operand) -> ir::Inst {
        let value = self.operand(src);
        self.store_value(size, base, off, value)
    }

    fn store_value(&mut self, size: Size, base: ir::Value, off: i16, value: ir::Value) -> ir::Inst {
        let value = if size == Size::Dw { value } else { self.builder.ins().ireduce(type_of(size), value) };
        self.builder.ins().store(verified_memory(), value, base, i32::from(off))
    }

    pub(super) fn atomic(&mut self, width: Width, op: AtomicOp, base: Reg, off: i16, src: Reg) {
        let ty = if width == Width::W64 { I64 } else { I32 };
        let base = self.get(base);
        let at = self.builder.ins().iadd_imm_s(base, i64::from(off));
        let operand = self.get(src);
        let operand = self.low(ty, operand);
        let (operation, fetch) = match op {
            AtomicOp::Add { fetch } => (AtomicRmwOp::Add, fetch),
            AtomicOp::Or { fetch } => (AtomicRmwOp::Or, fetch),
            AtomicOp::And { fetch } => (AtomicRmwOp::And, fetch),
            AtomicOp::Xor { fetch } => (AtomicRmwOp::Xor, fetch),
            AtomicOp::Xchg => (AtomicRmwOp::Xchg, true),
            AtomicOp::Cmpxchg => {
                let expected = self.get(Reg::R0);
                let expected = self.low(ty, expected);
                let old = self.builder.ins().atomic_cas(MemFlagsData::trusted(), at, expected, operand);
                let old = self.extended(old);
                self.set(Reg::R0, old);
                return;
            }
        };
        let change = (operation, Wanted::Before);
        let old = locks::change(&mut self.builder, self.row, ty, change, at, operand);
        if fetch {
            let old = self.extended(old);
            self.set(src, old);
        }
    }

    /// The lowest 32 bits of a number, zero-extended.
    pub(super) fn lowest(&mut self, value: ir::Value) -> ir::Value {
        let low = self.low(I32, value);
        self.extended(low)
    }

    fn low(&mut self, ty: Type, value: ir::Value) -> ir::Value {
        if ty == I64 { value } else { self.builder.ins().ireduce(ty, value) }
    }

    fn extended(&mut self, value: ir::Value) -> ir::Value {
        let wide = self.builder.func.dfg.value_type(value) == I64;
        if wide { value } else { self.builder.ins().uextend(I64, value) }
    }
}
