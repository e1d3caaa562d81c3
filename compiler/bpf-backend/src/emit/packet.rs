//! Windows and what is read through them.
//!
//! A window's register holds the address of its end: the very register that was compared with `data_end`.

use oko_bpf::isa::{AluOp, ByteOrder, Cond, Insn, Reg, Size, SwapBits};
use oko_bpf::xdp::CtxField;
use oko_ir::{BlockCall, Type, Value, Width};

use super::{Emitter, Spot};
use crate::maps;
use crate::plan::{MAX_PACKET_OFFSET, Place};

impl Emitter<'_> {
    /// The register of a window holds the address of its end.
    pub(super) fn packet_load(&mut self, width: Width, window: Value, offset: u32, dst: Reg) {
        let Some(Type::Window(len)) = self.filter.type_of(window) else {
            unreachable!("loads are of windows")
        };
        let distance = i64::from(offset) - i64::from(len);
        let mut base = self.reg(window, Reg::R0);
        let mut near = distance;
        if i16::try_from(distance).is_err() {
            self.put(Spot::Reg(Reg::R0), Spot::Reg(base));
            self.alu(AluOp::Add, Reg::R0, distance as i32);
            (base, near) = (Reg::R0, 0);
        }
        self.load(maps::size(width), dst, base, near as i16);
        let bits = match width {
            Width::W8 => return,
            Width::W16 => SwapBits::B16,
            Width::W32 => SwapBits::B32,
            Width::W64 => SwapBits::B64,
        };
        self.asm.push(Insn::Swap { order: ByteOrder::Be, bits, dst });
    }

    pub(super) fn window(&mut self, offset: Value, len: u32, ok: &BlockCall, short: &BlockCall) {
        if !self.plan.window_can_be(offset, len) {
            return self.edge(short, &[]);
        }
        let way = self.second_edge(short);
        let target = self.plan.options.target;
        let (data, data_end) = (target.offset(CtxField::Data), target.offset(CtxField::DataEnd));
        let context = self.plan.context();
        match self.plan.place(offset) {
            Place::Const(offset) => {
                let context = self.reg_of(context, Reg::R1);
                self.load(Size::W, Reg::R0, context, data);
                self.load(Size::W, Reg::R1, context, data_end);
                self.alu(AluOp::Add, Reg::R0, (offset + u64::from(len)) as i32);
            }
            Place::VReg(_) => {
                let add = self.reg(offset, Reg::R1);
                let room = MAX_PACKET_OFFSET - u64::from(len);
                if self.bound(offset).is_none_or(|bound| bound > room) {
                    self.asm.branch(Cond::Gt, add, (room as i32).into(), way.0);
                }
                let at = self.reg_of(context, Reg::R0);
                self.load(Size::W, Reg::R0, at, data);
                self.alu(AluOp::Add, Reg::R0, add);
                self.alu(AluOp::Add, Reg::R0, len as i32);
                let at = self.reg_of(context, Reg::R1);
                self.load(Size::W, Reg::R1, at, data_end);
            }
        }
        self.asm.branch(Cond::Gt, Reg::R0, Reg::R1.into(), way.0);
        self.edges(ok, &[Spot::Reg(Reg::R0)], short, way);
    }
}
