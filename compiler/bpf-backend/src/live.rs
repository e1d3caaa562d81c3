//! From where to where each virtual register is needed, in the order in which code is written.
//!
//! Every item has four points: operands that it reads at once, the call that it may hold, operands that it reads after that and results, and
//! one that is free. Without loops a value is needed in no block but those written between its definition and its last
//! use, so one interval is exact enough. A block parameter starts with its block: an edge writes it just before it
//! jumps there, when nothing else runs in between.
//!
//! What is defined before a loop begins and needed after that, inside or behind, is needed to the loop's end: the loop goes round. (What is
//! defined inside is not: it is defined again before it is used again.) The blocks of a loop need not be written in a row; its end is that of the
//! last one.

use oko_ir::{Op, TerminatorKind, Unlock, Value};

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

/// What is needed where.
#[derive(Debug)]
pub(crate) struct Live {
    /// The intervals of all virtual registers that are used, by their start.
    pub(crate) intervals: Vec<Interval>,
    /// First and last point of each virtual register that is used.
    pub(crate) spans: Vec<Option<(u32, u32)>>,
    /// The point at which each block begins that is written: where its parameters do.
    pub(crate) begins: Vec<Option<u32>>,
}

/// Says so of a filter.
pub(crate) fn live(plan: &Plan<'_>) -> Live {
    let mut scan = Scan { plan, defs: vec![None; plan.vregs], ends: vec![None; plan.vregs] };
    let mut calls = Vec::new();
    let mut spans = vec![None; plan.filter.blocks.len()];
    scan.defs[plan.context().index()] = Some(0);
    let mut point = 4;
    for &block in &plan.order {
        let data = &plan.filter.blocks[block.index()];
        let begin = point + 2;
        for &param in &data.params {
            scan.define(param, begin);
        }
        for &item in &plan.items[block.index()] {
            point += 4;
            if plan.calls(block, item) {
                calls.push(point + 1);
            }
            match item {
                Item::ReadClock => scan.defs[plan.now().index()] = Some(point + 2),
                Item::Forget => scan.need(plan.context(), point),
                Item::Guard => {}
                Item::Inst(index) => {
                    let inst = &data.insts[index];
                    scan.inst(&inst.op, point);
                    if plan.hides(&inst.op) {
                        // Behind the result.
                        scan.need(plan.context(), point + 3);
                    }
                    if let Some(result) = inst.result {
                        scan.define(result, point + 2);
                    }
                }
                Item::Term => scan.terminator(&data.term.kind, point),
            }
        }
        point += 4;
        spans[block.index()] = Some((begin, point - 1));
    }
    let loops = loop_spans(plan, &spans);
    let of_vreg = |index: usize| {
        let (start, end) = (scan.defs[index]?, scan.ends[index]?);
        Some((start, around_loops(&loops, start, end)))
    };
    let of_vregs: Vec<Option<(u32, u32)>> = (0..plan.vregs).map(of_vreg).collect();
    let mut intervals: Vec<_> = (0..plan.vregs)
        .filter_map(|index| {
            let (start, end) = of_vregs[index]?;
            let next_call = calls.partition_point(|&call| call <= start);
            let crosses_call = calls.get(next_call).is_some_and(|&call| call < end);
            Some(Interval { vreg: VReg(index as u32), start, end, crosses_call })
        })
        .collect();
    intervals.sort_by_key(|interval| (interval.start, interval.vreg));
    let begins = spans.iter().map(|span| span.map(|(begin, _)| begin)).collect();
    Live { intervals, spans: of_vregs, begins }
}

/// For each loop that is written the point at which its header begins and the last point of its blocks.
fn loop_spans(plan: &Plan<'_>, spans: &[Option<(u32, u32)>]) -> Vec<(u32, u32)> {
    let mut loops: Vec<Option<(u32, u32)>> =
        plan.cfg.loops().iter().map(|this| spans[this.header.index()]).collect();
    for &block in &plan.order {
        let Some((_, last)) = spans[block.index()] else { continue };
        for around in plan.cfg.loops_around(block) {
            if let Some((_, end)) = &mut loops[around as usize] {
                *end = last.max(*end);
            }
        }
    }
    loops.into_iter().flatten().collect()
}

/// The end of what is needed from `start` to `end`, given that loops go round.
fn around_loops(loops: &[(u32, u32)], start: u32, mut end: u32) -> u32 {
    loop {
        let across = |&&(begin, last): &&(u32, u32)| start < begin && begin <= end && end < last;
        match loops.iter().filter(across).map(|(_, last)| *last).max() {
            Some(last) => end = last,
            None => return end,
        }
    }
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
        if let Some(condition) = self.plan.fused(value) {
            for operand in condition.operands() {
                self.read(operand, point);
            }
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
        match op {
            // The call comes first: the look-up of the word, the reservation of the record.
            Op::WordGet(_, index) => self.read(*index, point),
            Op::WordAdd(_, index, value) | Op::WordOr(_, index, value) => {
                self.read(*index, point);
                self.read(*value, point + 2);
            }
            Op::WordCas(_, index, expected, value) => {
                self.read(*index, point);
                self.read(*expected, point + 2);
                self.read(*value, point + 2);
            }
            Op::Emit(_, values) => {
                for &value in values {
                    self.read(value, point + 2);
                }
                self.need(self.plan.now(), point + 2);
            }
            _ => op.for_each_operand(|value| self.read(value, point)),
        }
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
