//! A growing list of instructions with labels for jumps.

use oko_bpf::isa::{Cond, Imm64, Insn, Operand, Reg};

use crate::error::BackendError;

/// A place that jumps go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Instructions whose jumps are still open.
#[derive(Debug, Default)]
pub(crate) struct Asm {
    insns: Vec<Insn>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Asm {
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label is here.
    pub(crate) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.insns.len());
    }

    /// The slot of the next instruction.
    pub(crate) fn here(&self) -> usize {
        self.insns.len()
    }

    pub(crate) fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }

    pub(crate) fn load_imm64(&mut self, dst: Reg, imm: Imm64) {
        self.insns.extend(Insn::load_imm64(dst, imm));
    }

    pub(crate) fn jump(&mut self, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.insns.push(Insn::jump(0));
    }

    pub(crate) fn may_jump(&mut self, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.insns.push(Insn::MayGoto { off: 0 });
    }

    pub(crate) fn branch(&mut self, cond: Cond, a: Reg, b: Operand, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.insns.push(Insn::branch64(cond, a, b, 0));
    }

    /// The instructions with all jumps closed.
    pub(crate) fn finish(mut self, filter: &str) -> Result<Vec<Insn>, BackendError> {
        let count = self.insns.len();
        for (at, label) in self.jumps {
            let target = self.labels[label.0].expect("every label that is jumped to is bound");
            let distance = target as i64 - at as i64 - 1;
            let short = i16::try_from(distance).map_err(|_| BackendError::TooLong {
                filter: filter.into(),
                insns: count,
                distance,
            })?;
            match &mut self.insns[at] {
                Insn::Jump { off, .. } => *off = short.into(),
                Insn::Branch { off, .. } | Insn::MayGoto { off } => *off = short,
                other => unreachable!("{other:?} is no jump"),
            }
        }
        Ok(self.insns)
    }
}
