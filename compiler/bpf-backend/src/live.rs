//! From where to where each virtual register is needed, in the order in which code is written.
//!
//! Every item has four points: operands that it reads at once, the call that it may hold, operands that it reads after that and results, and
//! one that is free. Without cycles a value is needed in no block but those written between its definition and its last
//! use, so one interval is exact enough. A block parameter starts with its block: an edge writes it just before it
//! jumps there, when nothing else runs in between.

use oko_ir::{Module, Op, TerminatorKind, Unlock, Value};

use crate::plan::{Item, Place, Plan, VReg};

/// From the definition to the last use, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) vreg: VReg,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Whether a call lies between.
    pub(crate) crosses_call: bool,
}

/// The intervals of all virtual registers that are used, by their start.
pub(crate) fn intervals(_module: &Module, plan: &Plan<'_>) -> Vec<Interval> {
    let mut scan = Scan { plan, defs: vec![None; plan.vregs], ends: vec![None; plan.vregs] };
    let mut calls = Vec::new();
    scan.defs[plan.context().index()] = Some(0);
    let mut point = 4;
    for &block in &plan.order {
        let data = &plan.filter.blocks[block.index()];
        for &param in &data.params {
            scan.define(param, point + 2);
        }
        for &item in &plan.items[block.index()] {
            point += 4;
            if plan.calls(block, item) {
                calls.push(point + 1);
            }
            match item {
                Item::ReadClock => scan.defs[plan.now().index()] = Some(point + 2),
                Item::Inst(index) => {
                    let inst = &data.insts[index];
                    scan.inst(&inst.op, point);
                    if let Some(result) = inst.result {
                        scan.define(result, point + 2);
                    }
                }
                Item::Term => scan.terminator(&data.term.kind, point),
            }
        }
        point += 4;
    }
    let mut intervals: Vec<_> = (0..plan.vregs)
        .filter_map(|index| {
            let (start, end) = (scan.defs[index]?, scan.ends[index]?);
            let next_call = calls.partition_point(|&call| call <= start);
            let crosses_call = calls.get(next_call).is_some_and(|&call| call < end);
            Some(Interval { vreg: VReg(index as u32), start, end, crosses_call })
        })
        .collect();
    intervals.sort_by_key(|interval| (interval.start, interval.vreg));
    intervals
}

struct Scan<'p, 'a> {
    plan: &'p Plan<'a>,
    defs: Vec<Option<u32>>,
    ends: Vec<Option<u32>>,
}

impl Scan<'_, '_> {
    fn define(&mut self, value: Value, point: u32) {
        if let Place::VReg(vreg) = self.plan.place(value)
            && vreg != self.plan.now()
        {
            self.defs[vreg.index()] = Some(point);
        }
        if let Some(lock) = self.plan.lock_of(value) {
            self.defs[lock.index()] = Some(point);
        }
    }

    fn need(&mut self, vreg: VReg, point: u32) {
        let end = &mut self.ends[vreg.index()];
        *end = Some(end.map_or(point, |end| end.max(point)));
    }

    fn read(&mut self, value: Value, point: u32) {
        if let Some((_, a, b)) = self.plan.fused(value) {
            self.read(a, point);
            self.read(b, point);
        } else if let Place::VReg(vreg) = self.plan.place(value) {
            self.need(vreg, point);
        }
    }

    /// An argument of a block: an entry goes with its lock.
    fn pass(&mut self, value: Value, point: u32) {
        self.read(value, point);
        if let Some(lock) = self.plan.lock_of(value) {
            self.need(lock, point);
        }
    }

    fn inst(&mut self, op: &Op, point: u32) {
        op.for_each_operand(|value| self.read(value, point));
        match op {
            Op::PacketLen | Op::InPort => self.need(self.plan.context(), point),
            // The call comes first; then the entry is looked at.
            Op::Lock(entry) => {
                self.read(*entry, point + 2);
                self.need(self.plan.now(), point + 2);
            }
            Op::Unlock(_, Unlock::Touch(_)) => self.need(self.plan.now(), point),
            _ => {}
        }
        if let Op::Lock(entry) | Op::Unlock(entry, _) = op
            && let Some(lock) = self.plan.lock_of(*entry)
        {
            self.need(lock, point);
        }
    }

    fn terminator(&mut self, kind: &TerminatorKind, point: u32) {
        for &input in kind.inputs() {
            self.read(input, point);
        }
        if matches!(kind, TerminatorKind::Window { .. }) {
            self.need(self.plan.context(), point);
        }
        for edge in kind.edges() {
            for &arg in &edge.call.args {
                self.pass(arg, point + 2);
            }
        }
    }
}
