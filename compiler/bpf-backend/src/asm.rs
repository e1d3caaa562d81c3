//! A growing list of instructions with labels for jumps.

use oko_bpf::isa::{Cond, Imm64, Insn, Operand, Reg};

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

    /// The instructions with all jumps closed. Those over more than `near` instructions have offsets of 32 bits.
    pub(crate) fn finish(self, near: i16) -> Code {
        let far = self.far_jumps(near);
        let moved = self.moved(&far);
        let mut insns = Vec::with_capacity(self.insns.len());
        let mut jumps = self.jumps.iter().zip(&far).peekable();
        for (at, &insn) in self.insns.iter().enumerate() {
            let Some((&(_, label), &is_far)) = jumps.next_if(|((from, _), _)| *from == at) else {
                insns.push(insn);
                continue;
            };
            // From one slot to another, the way is counted from behind the first one.
            let to = moved[self.target(label)] as i64;
            let distance = |from: usize| to - from as i64 - 1;
            match insn {
                Insn::Jump { .. } if is_far => insns.push(Insn::jump_long(distance(insns.len()) as i32)),
                _ if is_far => {
                    insns.push(with_offset(insn, 1));
                    insns.push(Insn::jump(1));
                    insns.push(Insn::jump_long(distance(insns.len()) as i32));
                }
                _ => insns.push(with_offset(insn, distance(insns.len()) as i16)),
            }
        }
        Code { insns, moved, has_long_jumps: far.contains(&true) }
    }

    fn target(&self, label: Label) -> usize {
        self.labels[label.0].expect("every label that is jumped to is bound")
    }

    /// Which of the jumps go further than that.
    fn far_jumps(&self, near: i16) -> Vec<bool> {
        let mut far = vec![false; self.jumps.len()];
        loop {
            let moved = self.moved(&far);
            let distance = |from: usize, label| moved[self.target(label)] as i64 - moved[from] as i64 - 1;
            let found = self
                .jumps
                .iter()
                .map(|&(from, label)| distance(from, label).unsigned_abs() > near.unsigned_abs().into());
            let now: Vec<bool> = found.zip(&far).map(|(found, &far)| found || far).collect();
            // What is far takes room, so others may be far now, and none becomes near.
            if now == far {
                return far;
            }
            far = now;
        }
    }

    /// Where each slot comes to, and the end, if these jumps are long.
    fn moved(&self, far: &[bool]) -> Vec<usize> {
        let mut jumps = self.jumps.iter().zip(far).peekable();
        let mut added = 0;
        (0..=self.insns.len())
            .map(|slot| {
                let moved = slot + added;
                let is_far = jumps.next_if(|((from, _), _)| *from == slot).is_some_and(|(_, far)| *far);
                let takes_three = is_far && !matches!(self.insns[slot], Insn::Jump { .. });
                added += if takes_three { 2 } else { 0 };
                moved
            })
            .collect()
    }
}

/// Finished instructions.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) insns: Vec<Insn>,
    /// Where each slot has come to.
    pub(crate) moved: Vec<usize>,
    /// Whether there are jumps with 32-bit offsets.
    pub(crate) has_long_jumps: bool,
}

/// The same jump over so many slots.
fn with_offset(insn: Insn, offset: i16) -> Insn {
    match insn {
        Insn::Jump { .. } => Insn::jump(offset),
        Insn::Branch { width, cond, dst, src, .. } => Insn::Branch { width, cond, dst, src, off: offset },
        Insn::MayGoto { .. } => Insn::MayGoto { off: offset },
        other => unreachable!("{other:?} is no jump"),
    }
}

#[cfg(test)]
mod tests {
    use oko_bpf::isa::Reg;

    use super::*;

    /// A branch over so many instructions, and a jump back over all of it.
    fn over(count: usize) -> Code {
        let mut asm = Asm::default();
        let (start, end) = (asm.label(), asm.label());
        asm.bind(start);
        asm.branch(Cond::Eq, Reg::R1, 0.into(), end);
        for _ in 0..count {
            asm.push(Insn::mov64(Reg::R0, 0));
        }
        asm.jump(start);
        asm.bind(end);
        asm.push(Insn::Exit);
        asm.finish(i16::MAX)
    }

    #[test]
    fn jumps_are_as_long_as_they_have_to_be() {
        let near = over(0x7ffd);
        assert!(!near.has_long_jumps);
        assert_eq!(near.insns[0].jump_target(0), Some(0x7fff));
        assert_eq!(near.insns[0x7ffe].jump_target(0x7ffe), Some(0));

        let far = over(0x7fff);
        assert!(far.has_long_jumps);
        let end = far.insns.len() - 1;
        assert_eq!(far.insns[end], Insn::Exit);
        assert_eq!(far.insns[0].jump_target(0), Some(2));
        assert_eq!(far.insns[1].jump_target(1), Some(3));
        assert_eq!(far.insns[2].jump_target(2), Some(end));
        assert_eq!(far.insns[end - 1], Insn::jump_long(-(end as i32)));
        assert_eq!((far.moved[0], far.moved[1], far.moved[0x8001]), (0, 3, end));
    }
}
