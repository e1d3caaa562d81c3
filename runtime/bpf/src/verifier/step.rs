//! The abstract effect of each instruction.

use super::{
    arithmetic, condition,
    error::Reason,
    explore::{Explorer, Next},
    scalar::Scalar,
    state::State,
    value::{Id, Length, MAX_OFFSET, MIN_OFFSET, Pointer, Target, Value},
};
use crate::{
    isa::{AluOp, Cond, Imm64, Insn, Operand, Reg, Width},
    program::MapId,
    semantics,
    verified::Note,
};

pub(crate) type Checked<T = ()> = Result<T, Reason>;

impl Explorer<'_> {
    /// Executes the instruction at `state.pc`.
    pub(crate) fn step(&mut self, state: &mut State) -> Checked<Next> {
        let pc = state.pc;
        let insn = self.program.insns[pc];
        state.pc = pc + insn.slots();
        match insn {
            Insn::Alu { width, op, dst, src } => {
                self.note(pc, Note::Plain)?;
                let value = self.alu(state, width, op, dst, src)?;
                assign(state, dst, value)?;
            }
            Insn::Neg { width, dst } => {
                self.note(pc, Note::Plain)?;
                let range = number(state, dst, "negation")?;
                let value = self.number(arithmetic::neg(width, &range));
                assign(state, dst, value)?;
            }
            Insn::MovSx { width, from, dst, src } => {
                self.note(pc, Note::Plain)?;
                let range = number(state, src, "sign extension")?;
                let value = self.number(arithmetic::mov_sx(width, from, &range));
                assign(state, dst, value)?;
            }
            Insn::Swap { order, bits, dst } => {
                self.note(pc, Note::Plain)?;
                let range = number(state, dst, "a byte swap")?;
                let value = self.number(arithmetic::swap(order, bits, &range));
                assign(state, dst, value)?;
            }
            Insn::LoadImm64 { dst, imm } => {
                let (value, note) = self.imm64(imm)?;
                self.note(pc, note)?;
                assign(state, dst, value)?;
            }
            Insn::HighHalf => return Err(Reason::TornWideLoad),
            Insn::Load { size, signed, dst, base, off } => {
                let value = self.load(state, pc, size, signed, base, off)?;
                assign(state, dst, value)?;
            }
            Insn::Store { size, base, off, src } => {
                let value = operand(state, src)?;
                self.store(state, pc, size, base, off, value)?;
            }
            Insn::Atomic { width, op, base, off, src } => {
                self.atomic(state, pc, width, op, base, off, src)?;
            }
            Insn::Jump { .. } => {
                self.note(pc, Note::Plain)?;
                state.pc = insn.jump_target(pc).unwrap_or(usize::MAX);
            }
            Insn::Branch { width, cond, dst, src, .. } => {
                self.note(pc, Note::Plain)?;
                let target = insn.jump_target(pc).unwrap_or(usize::MAX);
                return self.branch(state, pc, width, cond, dst, src, target);
            }
            Insn::MayGoto { .. } => {
                self.note(pc, Note::Plain)?;
                for to in [pc + 1, insn.jump_target(pc).unwrap_or(usize::MAX)] {
                    let state = State { pc: to, ..state.clone() };
                    self.enqueue(state, self.graph.leads_back(pc, to));
                }
                return Ok(Next::Done);
            }
            Insn::CallHelper { helper } => self.call_helper(state, pc, helper)?,
            Insn::CallLocal { .. } => {
                let target = insn.call_target(pc).unwrap_or(usize::MAX);
                self.call_local(state, pc, target)?;
            }
            Insn::CallBtf { .. } => return Err(Reason::Unsupported { what: "a call by BTF id" }),
            Insn::CallReg { .. } => {
                return Err(Reason::Unsupported { what: "a call through a register" });
            }
            Insn::Exit => {
                self.note(pc, Note::Plain)?;
                return self.exit(state);
            }
        }
        Ok(Next::Go)
    }

    fn imm64(&mut self, imm: Imm64) -> Checked<(Value, Note)> {
        match imm {
            Imm64::Value(value) => Ok((Value::constant(value), Note::Plain)),
            Imm64::Map(map) => {
                let map = self.map_id(map)?;
                Ok((Value::pointer(Target::Map(map)), Note::Map(map)))
            }
            Imm64::MapValue { map, off } => {
                let map = self.map_id(map)?;
                let def = self.map(map);
                if def.max_entries != 1 || def.kind != crate::program::MapKind::Array {
                    return Err(Reason::NotVariables { map: self.map_name(map) });
                }
                if off >= def.value_size {
                    let (map, size) = (self.map_name(map), def.value_size);
                    return Err(Reason::MapValueBounds { map, off: off.to_string(), bytes: 1, size });
                }
                let target = Target::MapValue { map, lookup: Id::NONE };
                let pointer = Pointer { target, off: Scalar::constant(u64::from(off)) };
                Ok((Value::Pointer(pointer), Note::MapValue { map, off }))
            }
            Imm64::Variable(_) => Err(Reason::Unsupported { what: "the address of a platform variable" }),
            Imm64::Code(_) => Err(Reason::Unsupported { what: "the address of a function" }),
            Imm64::MapIndex(_) | Imm64::MapIndexValue { .. } => {
                Err(Reason::Unsupported { what: "a map reference by index (kinds 5 and 6)" })
            }
        }
    }

    fn map_id(&self, map: u32) -> Checked<MapId> {
        let maps = self.program.maps.len();
        if (map as usize) < maps { Ok(MapId(map)) } else { Err(Reason::NoSuchMap { map, maps }) }
    }

    fn alu(&mut self, state: &mut State, width: Width, op: AluOp, dst: Reg, src: Operand) -> Checked<Value> {
        let right = operand(state, src)?;
        if op == AluOp::Mov {
            return match right {
                Value::Scalar { range, .. } if width == Width::W32 && !range.fits_32() => {
                    Ok(self.number(arithmetic::truncate_32(&range)))
                }
                Value::Pointer(_) if width == Width::W32 => Err(misused(src, right, "a 32-bit move")),
                // A copy: what is learnt of one is learnt of the other.
                right => Ok(right),
            };
        }
        let left = read(state, dst)?;
        match (left, right) {
            (Value::Scalar { range: a, id }, Value::Scalar { range: b, .. }) => {
                let result = self.number(arithmetic::alu(width, op, &a, &b));
                if let (Some(Length { base, less, .. }), Some(by)) =
                    (state.proofs.length(id), b.as_constant())
                    && width == Width::W64
                    && let Some(less) = match op {
                        AluOp::Sub => less.checked_add(by.cast_signed()),
                        AluOp::Add => less.checked_sub(by.cast_signed()),
                        _ => None,
                    }
                {
                    is_length(state, &result, base, less);
                }
                Ok(result)
            }
            (Value::Pointer(pointer), Value::Scalar { range, id })
                if width == Width::W64 && matches!(op, AluOp::Add | AluOp::Sub) =>
            {
                self.moved(dst, pointer, op, range, id)
            }
            (Value::Scalar { range, id }, Value::Pointer(pointer))
                if width == Width::W64 && op == AluOp::Add =>
            {
                self.moved(dst, pointer, op, range, id)
            }
            (Value::Pointer(a), Value::Pointer(b)) if op == AluOp::Sub => {
                let range = distance(dst, a, b)?;
                // In 32 bits it is the lower half; nothing of where the object is is left in either.
                let whole = width == Width::W64 || range.fits_32();
                let result = self.number(if whole { range } else { arithmetic::truncate_32(&range) });
                if whole && let (Target::PacketEnd, Target::Packet { id, fixed }) = (a.target, b.target) {
                    is_length(state, &result, id, fixed);
                }
                Ok(result)
            }
            (Value::Pointer(_), _) => Err(misused(Operand::Reg(dst), left, "this operation")),
            _ => Err(misused(src, right, "this operation")),
        }
    }

    /// `pointer ± number`.
    fn moved(&mut self, reg: Reg, pointer: Pointer, op: AluOp, by: Scalar, id: Id) -> Checked<Value> {
        let off = arithmetic::alu(Width::W64, op, &pointer.off, &by);
        let target = match pointer.target {
            Target::Context | Target::Frame(_) | Target::MapValue { .. } | Target::Record { .. } => {
                pointer.target
            }
            Target::Packet { id: variable, fixed } => match by.as_constant() {
                Some(by) => {
                    let fixed = semantics::alu(Width::W64, op, fixed.cast_unsigned(), by).cast_signed();
                    Target::Packet { id: variable, fixed }
                }
                None => {
                    let named = variable == Id::NONE && op == AluOp::Add && id != Id::NONE;
                    let id = if named { id } else { self.mint() };
                    Target::Packet { id, fixed }
                }
            },
            Target::PacketEnd
            | Target::Map(_)
            | Target::MapValueOrNull { .. }
            | Target::RecordOrNull { .. } => {
                return Err(misused(Operand::Reg(reg), Value::Pointer(pointer), "arithmetic"));
            }
        };
        if off.wide.smin < MIN_OFFSET || off.wide.smax > MAX_OFFSET {
            return Err(Reason::PointerOffset { found: off.to_string() });
        }
        Ok(Value::Pointer(Pointer { target, off }))
    }

    /// Gives a number that has no id one, so that it can be narrowed.
    fn name(&mut self, state: &mut State, reg: Reg) -> Checked {
        if let Value::Scalar { range, id: Id::NONE } = read(state, reg)? {
            let value = self.number(range);
            state.set(reg, value);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    fn branch(
        &mut self,
        state: &mut State,
        from: usize,
        width: Width,
        cond: Cond,
        dst: Reg,
        src: Operand,
        target: usize,
    ) -> Checked<Next> {
        self.name(state, dst)?;
        if let Operand::Reg(src) = src {
            self.name(state, src)?;
        }
        let (left, right) = (read(state, dst)?, operand(state, src)?);
        for (taken, pc) in [(false, from + 1), (true, target)] {
            let mut state = state.clone();
            state.pc = pc;
            if assume(&mut state, width, cond, taken, &left, &right)? {
                self.enqueue(state, self.graph.leads_back(from, pc));
            }
        }
        Ok(Next::Done)
    }
}

/// Narrows a state by the outcome of a comparison; gives whether the outcome is possible.
fn assume(
    state: &mut State,
    width: Width,
    cond: Cond,
    taken: bool,
    left: &Value,
    right: &Value,
) -> Checked<bool> {
    let null = |value: &Value| matches!(value, Value::Scalar { range, .. } if range.as_constant() == Some(0));
    let refused = || Reason::PointerComparison { left: left.to_string(), right: right.to_string() };
    let equality = width == Width::W64 && matches!(cond, Cond::Eq | Cond::Ne);
    match (left, right) {
        (Value::Scalar { range: a, id: x }, Value::Scalar { range: b, id: y }) => {
            let Some((a, b)) = condition::assume(width, cond, taken, a, b) else { return Ok(false) };
            Ok(state.narrow(*x, &a).and_then(|()| state.narrow(*y, &b)).is_some())
        }
        (Value::Pointer(pointer), other) | (other, Value::Pointer(pointer)) if equality && null(other) => {
            if let Target::MapValueOrNull { lookup: id, .. } | Target::RecordOrNull { id, .. } =
                pointer.target
            {
                state.resolve_null(id, taken == (cond == Cond::Eq));
            }
            Ok(true)
        }
        (Value::Pointer(a), Value::Pointer(b)) if width == Width::W64 && cond != Cond::Set => {
            match (a.target, b.target) {
                (Target::Packet { id, fixed }, Target::PacketEnd) => {
                    prove(state, id, fixed, cond, taken);
                }
                (Target::PacketEnd, Target::Packet { id, fixed }) => {
                    prove(state, id, fixed, cond.mirrored(), taken);
                }
                (Target::Packet { .. }, Target::Packet { .. }) | (Target::PacketEnd, Target::PacketEnd) => {}
                _ => return Err(refused()),
            }
            Ok(true)
        }
        _ => Err(refused()),
    }
}

/// What `data + variable + fixed COND data_end` tells: how many bytes from `data + variable` are in the packet.
fn prove(state: &mut State, id: Id, fixed: i64, cond: Cond, taken: bool) {
    let bytes = match (cond, taken) {
        (Cond::Le | Cond::Eq, true) | (Cond::Gt | Cond::Ne, false) => fixed,
        (Cond::Lt, true) | (Cond::Ge, false) => fixed.saturating_add(1),
        _ => return,
    };
    if bytes > 0 {
        state.proofs.add(id, u32::try_from(bytes).unwrap_or(u32::MAX));
    }
}

/// `a - b`, where the result does not depend on addresses.
fn distance(reg: Reg, a: Pointer, b: Pointer) -> Checked<Scalar> {
    Ok(match (a.target, b.target) {
        (Target::Packet { .. }, Target::Packet { .. }) => {
            arithmetic::alu(Width::W64, AluOp::Sub, &a.off, &b.off)
        }
        (Target::Frame(x), Target::Frame(y)) if x == y => {
            arithmetic::alu(Width::W64, AluOp::Sub, &a.off, &b.off)
        }
        (Target::PacketEnd, Target::PacketEnd) => Scalar::constant(0),
        // The length of the packet is below 2^32.
        (Target::PacketEnd, Target::Packet { .. }) => {
            let len = Scalar::unsigned(0, u64::from(u32::MAX)).unwrap_or(Scalar::UNKNOWN);
            arithmetic::alu(Width::W64, AluOp::Sub, &len, &b.off)
        }
        (Target::Packet { .. }, Target::PacketEnd) => {
            let len = Scalar::unsigned(0, u64::from(u32::MAX)).unwrap_or(Scalar::UNKNOWN);
            arithmetic::alu(Width::W64, AluOp::Sub, &a.off, &len)
        }
        _ => return Err(misused(Operand::Reg(reg), Value::Pointer(a), "this difference")),
    })
}

/// Takes note that a new number is the distance from `data + variable` to the end of the packet, less a constant.
fn is_length(state: &mut State, number: &Value, base: Id, less: i64) {
    if let Value::Scalar { id, .. } = number {
        state.proofs.add_length(Length { number: *id, base, less });
    }
}

/// The value of a register, which must have one.
pub(crate) fn read(state: &State, reg: Reg) -> Checked<Value> {
    match state.get(reg) {
        Value::Unwritten => Err(Reason::Unwritten { reg }),
        Value::Conflict => Err(Reason::Conflict { reg }),
        value => Ok(value),
    }
}

fn operand(state: &State, src: Operand) -> Checked<Value> {
    match src {
        Operand::Reg(reg) => read(state, reg),
        Operand::Imm(imm) => Ok(Value::constant(semantics::immediate(imm))),
    }
}

/// The value of a register, which must be a number.
pub(crate) fn number(state: &State, reg: Reg, what: &'static str) -> Checked<Scalar> {
    match read(state, reg)? {
        Value::Scalar { range, .. } => Ok(range),
        value => Err(misused(Operand::Reg(reg), value, what)),
    }
}

pub(crate) fn assign(state: &mut State, reg: Reg, value: Value) -> Checked {
    if reg == Reg::R10 {
        return Err(Reason::FramePointerWritten);
    }
    state.set(reg, value);
    Ok(())
}

fn misused(operand: Operand, value: Value, what: &'static str) -> Reason {
    let reg = match operand {
        Operand::Reg(reg) => reg,
        Operand::Imm(_) => Reg::R0,
    };
    Reason::PointerArithmetic { reg, found: value.to_string(), what }
}
