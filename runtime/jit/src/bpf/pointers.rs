//! Which registers point into the stack frame, and where: followed from instruction to instruction on the one way that leads there.

use oko_bpf::isa::{AluOp, AtomicOp, Insn, Operand, Reg, Width};

/// What is known of a register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    /// It may point anywhere.
    Anywhere,
    /// To the frame, so far from the frame pointer.
    Frame(i32),
    /// Not to the frame, if it points anywhere.
    Elsewhere,
}

/// The registers before an instruction.
#[derive(Clone, Copy)]
pub(super) struct Pointers([Pointer; Reg::COUNT]);

impl Pointers {
    /// Nothing but the frame pointer.
    pub(super) fn unknown() -> Pointers {
        let mut pointers = [Pointer::Anywhere; Reg::COUNT];
        pointers[Reg::R10.index()] = Pointer::Frame(0);
        Pointers(pointers)
    }

    pub(super) fn of(&self, reg: Reg) -> Pointer {
        self.0[reg.index()]
    }

    /// How far from the frame pointer a register points into the frame, if that is known.
    pub(super) fn in_frame(&self, reg: Reg) -> Option<i32> {
        match self.of(reg) {
            Pointer::Frame(offset) => Some(offset),
            Pointer::Anywhere | Pointer::Elsewhere => None,
        }
    }

    /// A register was written.
    pub(super) fn overwrite(&mut self, reg: Reg) {
        self.0[reg.index()] = Pointer::Anywhere;
    }

    /// The same behind an instruction.
    pub(super) fn after(mut self, insn: Insn) -> Pointers {
        let (dst, pointer) = match insn {
            Insn::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Operand::Reg(src) } => {
                (dst, self.of(src))
            }
            Insn::Alu { width: Width::W64, op: AluOp::Add, dst, src: Operand::Imm(imm) } => {
                let moved = match self.of(dst) {
                    Pointer::Frame(offset) => {
                        offset.checked_add(imm).map_or(Pointer::Anywhere, Pointer::Frame)
                    }
                    other => other,
                };
                (dst, moved)
            }
            Insn::Alu { dst, .. }
            | Insn::Neg { dst, .. }
            | Insn::MovSx { dst, .. }
            | Insn::Swap { dst, .. }
            | Insn::Load { dst, .. } => (dst, Pointer::Anywhere),
            Insn::LoadImm64 { dst, .. } => (dst, Pointer::Elsewhere),
            Insn::Atomic { op: AtomicOp::Cmpxchg, .. } => (Reg::R0, Pointer::Anywhere),
            Insn::Atomic { src, .. } => (src, Pointer::Anywhere),
            Insn::CallHelper { .. } => (Reg::R0, Pointer::Elsewhere),
            Insn::CallLocal { .. } | Insn::CallBtf { .. } | Insn::CallReg { .. } => {
                (Reg::R0, Pointer::Anywhere)
            }
            Insn::Store { .. }
            | Insn::HighHalf
            | Insn::Jump { .. }
            | Insn::Branch { .. }
            | Insn::MayGoto { .. }
            | Insn::Exit => {
                return self;
            }
        };
        self.0[dst.index()] = pointer;
        self
    }
}
