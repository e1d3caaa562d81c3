//! Which unsigned values every int can have: an interval for each value, narrower in the blocks that a branch guards.
//!
//! A walk in dominator order is exact up to the precision of intervals if there are no loops. What comes round a loop is first left out of
//! account, then joined in, then widened to the next power of 2^8, so that a few walks are enough; the last one is right because nothing comes
//! round that it did not expect. A counter needs none of that: below `N` in the body, it comes round as at most `N - 1` and the step. A
//! bool is an interval of 0 and 1. What a branch tells (`x < 10` on one side, `x >= 10` on the other, also through `not`, `and_b`
//! and `or_b`) holds in the block behind it and in all that it dominates; where ways meet, what was told on all of them. Not done: signed
//! intervals, known bits, relations between values.

use std::collections::HashMap;

use crate::cfg::Cfg;
use crate::entities::{Block, Value};
use crate::limits::MAX_PACKET;
use crate::loops::{Counted, counted, definitions, passed_back, step_of};
use crate::module::{BinaryOp, BlockData, BoolOp, CompareOp, Filter, Module, Op, TerminatorKind, Type};

/// The values from `min` to `max`, both included; `min <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub min: u64,
    /// The greatest.
    pub max: u64,
}

impl Range {
    /// Any int.
    pub const FULL: Range = Range { min: 0, max: u64::MAX };
    /// Either bool.
    pub const BOOL: Range = Range { min: 0, max: 1 };

    /// Exactly this.
    pub fn exactly(value: u64) -> Range {
        Range { min: value, max: value }
    }

    /// From 0 to `max`.
    pub fn up_to(max: u64) -> Range {
        Range { min: 0, max }
    }

    /// The only value, if there is only one.
    pub fn constant(self) -> Option<u64> {
        (self.min == self.max).then_some(self.min)
    }

    /// Whether `value` is one of them.
    pub fn contains(self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }

    /// The least range around both.
    #[must_use]
    pub fn join(self, other: Range) -> Range {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// What is in both, if anything is.
    pub fn meet(self, other: Range) -> Option<Range> {
        let (min, max) = (self.min.max(other.min), self.max.min(other.max));
        (min <= max).then_some(Range { min, max })
    }
}

/// The ranges of the values of one filter.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// For each value its range from a place of the dominator order on, until the next.
    history: Vec<Vec<(u32, Range)>>,
    places: Vec<u32>,
}

impl Ranges {
    /// The ranges of a filter of a checked module.
    ///
    /// # Panics
    ///
    /// If the filter's graph has cycles, unreachable blocks or references to blocks that are not there. No checked one has.
    pub fn of(module: &Module, filter: &Filter) -> Ranges {
        let cfg = Cfg::of(filter).expect("the filter has been verified");
        Ranges::of_with(module, filter, &cfg)
    }

    /// The same for a graph at hand.
    pub fn of_with(module: &Module, filter: &Filter, cfg: &Cfg) -> Ranges {
        let definitions = definitions(filter);
        let mut expected = Expectations::new(filter, cfg, &definitions);
        loop {
            let now = filter
                .values
                .iter()
                .map(|ty| if *ty == Type::Bool { Range::BOOL } else { Range::FULL })
                .collect();
            let mut walk = Walk {
                module,
                filter,
                definitions: &definitions,
                expected: &expected,
                now,
                incoming: vec![None; filter.values.len()],
                around: HashMap::new(),
                history: vec![Vec::new(); filter.values.len()],
                told: vec![Vec::new(); filter.blocks.len()],
                undo: Vec::new(),
                place: 0,
            };
            for &block in cfg.order() {
                walk.block(block, cfg);
            }
            let (history, around) = (walk.history, walk.around);
            if !expected.widen(&around) {
                let places =
                    (0..filter.blocks.len()).map(|index| cfg.place(Block::from_index(index))).collect();
                return Ranges { history, places };
            }
        }
    }

    /// What a value can be in a block that its definition dominates. Windows and entries have the full range.
    pub fn at(&self, block: Block, value: Value) -> Range {
        find(&self.history[value.index()], self.places[block.index()]).unwrap_or(Range::FULL)
    }

    /// What a value can be wherever it is defined.
    pub fn of_value(&self, value: Value) -> Range {
        self.history[value.index()].first().map_or(Range::FULL, |(_, range)| *range)
    }
}

/// What is expected to come round the loops: for each parameter of a header that is not its counter.
struct Expectations {
    around: HashMap<Value, Option<Range>>,
    /// For each counter, the most that comes round.
    counters: HashMap<Value, u64>,
    walks: u32,
}

/// In so many walks, what comes round is taken as it is.
const EXACT_WALKS: u32 = 2;
/// After so many walks that were not enough, everything may come round.
const MAX_WALKS: u32 = 12;

impl Expectations {
    fn new(filter: &Filter, cfg: &Cfg, definitions: &[Option<&Op>]) -> Expectations {
        let mut this = Expectations { around: HashMap::new(), counters: HashMap::new(), walks: 0 };
        for around in cfg.loops() {
            this.around
                .extend(filter.blocks[around.header.index()].params.iter().map(|&param| (param, None)));
            let Some(Counted { counter, position: Some(position), count, .. }) = counted(filter, around)
            else {
                continue;
            };
            let steps: Option<Vec<u64>> = passed_back(filter, around, position)
                .map(|value| step_of(definitions, counter, value?))
                .collect();
            if let Some(longest) = steps.and_then(|steps| steps.into_iter().max()) {
                this.around.remove(&counter);
                this.counters.insert(counter, u64::from(count.saturating_sub(1)) + longest);
            }
        }
        this
    }

    /// Takes in what came round. Gives whether that was more than expected, so that a walk is to be made again.
    fn widen(&mut self, found: &HashMap<Value, Range>) -> bool {
        self.walks += 1;
        let mut more = false;
        for (param, expected) in &mut self.around {
            let Some(&found) = found.get(param) else { continue };
            let wider = match *expected {
                None => found,
                Some(before) => before.join(found),
            };
            if *expected != Some(wider) {
                more = true;
                *expected = Some(if self.walks <= EXACT_WALKS { wider } else { widened(*expected, wider) });
            }
        }
        if more && self.walks >= MAX_WALKS {
            self.around.values_mut().for_each(|expected| *expected = Some(Range::FULL));
        }
        more
    }
}

/// A range at least as wide as `wider`, which is wider than `before`: an end that moved moves on to the next width of scalars.
fn widened(before: Option<Range>, wider: Range) -> Range {
    const ENDS: [u64; 4] = [u8::MAX as u64, u16::MAX as u64, u32::MAX as u64, u64::MAX];
    let moved = |end: fn(Range) -> u64| before.is_none_or(|before| end(before) != end(wider));
    let next = ENDS.into_iter().find(|&end| wider.max <= end).unwrap_or(u64::MAX);
    Range {
        min: if moved(|range| range.min) { 0 } else { wider.min },
        max: if moved(|range| range.max) { next } else { wider.max },
    }
}

struct Walk<'a> {
    module: &'a Module,
    filter: &'a Filter,
    definitions: &'a [Option<&'a Op>],
    expected: &'a Expectations,
    /// What holds at the current place.
    now: Vec<Range>,
    /// For block parameters: what the predecessors passed so far.
    incoming: Vec<Option<Range>>,
    /// For parameters of headers but counters: what came round the loop.
    around: HashMap<Value, Range>,
    history: Vec<Vec<(u32, Range)>>,
    /// For each block the values of which something was told on the way in.
    told: Vec<Vec<Value>>,
    /// What to restore behind which place.
    undo: Vec<(u32, Value, Range)>,
    place: u32,
}

impl Walk<'_> {
    fn block(&mut self, block: Block, cfg: &Cfg) {
        self.place = cfg.place(block);
        while let Some(&(last, value, range)) = self.undo.last()
            && last < self.place
        {
            self.undo.pop();
            self.set(value, range);
        }
        let filter = self.filter;
        let data = &filter.blocks[block.index()];
        for &param in &data.params {
            // Nothing comes in: a token, or no predecessor can be left this way.
            let unknown = self.now[param.index()];
            let mut range = self.incoming[param.index()];
            if let Some(&last) = self.expected.counters.get(&param) {
                range = range.map(|range| Range { min: range.min, max: range.max.max(last) });
            } else if let Some(&Some(around)) = self.expected.around.get(&param) {
                range = range.map(|range| range.join(around).meet(unknown).unwrap_or(unknown));
            }
            self.set(param, range.unwrap_or(unknown));
        }
        for (value, range) in self.facts_on_entry(block, cfg) {
            if range != self.now[value.index()] {
                self.undo.push((cfg.last_dominated(block), value, self.now[value.index()]));
                self.set(value, range);
                self.told[block.index()].push(value);
            }
        }
        for inst in &data.insts {
            if let Some(result) = inst.result {
                let range = self.eval(&inst.op);
                self.set(result, range);
            }
        }
        self.pass_arguments(block, cfg);
    }

    fn set(&mut self, value: Value, range: Range) {
        self.now[value.index()] = range;
        let history = &mut self.history[value.index()];
        match history.last_mut() {
            Some((place, last)) if *place == self.place => *last = range,
            Some((_, last)) if *last == range => {}
            _ => history.push((self.place, range)),
        }
    }

    /// Joins what each edge passes into the target's parameters.
    fn pass_arguments(&mut self, block: Block, cfg: &Cfg) {
        let filter = self.filter;
        let data = &filter.blocks[block.index()];
        for (index, edge) in data.term.kind.edges().enumerate() {
            let (facts, possible) = self.facts_of(data, index == 0, self.place);
            if !possible {
                continue;
            }
            let target = edge.call.block;
            let params = &filter.blocks[target.index()].params;
            for (param, arg) in params.iter().skip(usize::from(edge.gives.is_some())).zip(&edge.call.args) {
                let range = latest(&facts, *arg).unwrap_or(self.now[arg.index()]);
                if cfg.leads_back(block, target) {
                    self.around.entry(*param).and_modify(|other| *other = other.join(range)).or_insert(range);
                } else {
                    let incoming = &mut self.incoming[param.index()];
                    *incoming = Some(incoming.map_or(range, |other| other.join(range)));
                }
            }
        }
    }

    /// What the predecessors tell of values, as far as they agree. What is told on the ways into a loop holds all the time, because it is told
    /// of values from outside, which stay the same.
    fn facts_on_entry(&self, block: Block, cfg: &Cfg) -> Vec<(Value, Range)> {
        let mut preds: Vec<Block> =
            cfg.preds(block).iter().copied().filter(|&pred| !cfg.leads_back(pred, block)).collect();
        preds.dedup();
        // Each edge that can be taken, with its facts in terms of what holds at its start.
        let mut edges = Vec::new();
        for &pred in &preds {
            let data = &self.filter.blocks[pred.index()];
            for (index, edge) in data.term.kind.edges().enumerate() {
                if edge.call.block == block {
                    let (facts, possible) = self.facts_of(data, index == 0, cfg.place(pred));
                    if possible {
                        edges.push((cfg.place(pred), facts));
                    }
                }
            }
        }
        let Some((_, first)) = edges.first() else { return Vec::new() };
        let mut candidates: Vec<Value> = first.iter().map(|(value, _)| *value).collect();
        // What was told on the way from the immediate dominator to the first predecessor.
        let Some(&(mut above)) = preds.first() else { return Vec::new() };
        for _ in 0..MAX_ABOVE {
            if Some(above) == cfg.idom(block) || candidates.len() > MAX_FACTS {
                break;
            }
            candidates.extend(&self.told[above.index()]);
            let Some(next) = cfg.idom(above) else { break };
            above = next;
        }
        candidates.sort_unstable();
        candidates.dedup();
        let joined = |value: Value| {
            let on_edge = |(place, facts): &(u32, Vec<(Value, Range)>)| {
                latest(facts, value).unwrap_or_else(|| self.range_at(*place, value))
            };
            edges.iter().map(on_edge).reduce(Range::join)
        };
        candidates
            .into_iter()
            .filter_map(|value| Some((value, joined(value)?.meet(self.now[value.index()])?)))
            .collect()
    }

    fn range_at(&self, place: u32, value: Value) -> Range {
        find(&self.history[value.index()], place).unwrap_or(self.now[value.index()])
    }

    /// What holds behind the first or the other edge of the block at `place`, and whether it can be taken at all.
    fn facts_of(&self, data: &BlockData, first: bool, place: u32) -> (Vec<(Value, Range)>, bool) {
        let mut facts = Facts { walk: self, place, list: Vec::new(), possible: true };
        match data.term.kind {
            TerminatorKind::Branch { cond, .. } => facts.assume(cond, first),
            TerminatorKind::Repeat { counter, count, .. } => {
                let below = Range::up_to(u64::from(count).saturating_sub(1));
                let above = Range { min: count.into(), max: u64::MAX };
                facts.narrow(counter, if first { below } else { above });
            }
            TerminatorKind::Window { offset, len, .. } if first => {
                facts.narrow(offset, Range::up_to(MAX_PACKET.saturating_sub(u64::from(len))));
            }
            _ => {}
        }
        (facts.list, facts.possible)
    }

    fn eval(&self, op: &Op) -> Range {
        let now = |value: Value| self.now[value.index()];
        let bool_op = |op: BoolOp, a: Range, b: Range| match (op, a.constant(), b.constant()) {
            (BoolOp::And, Some(0), _) | (BoolOp::And, _, Some(0)) => Range::exactly(0),
            (BoolOp::Or, Some(1), _) | (BoolOp::Or, _, Some(1)) => Range::exactly(1),
            (_, Some(a), Some(b)) => Range::exactly(op.eval(a == 1, b == 1).into()),
            _ => Range::BOOL,
        };
        match *op {
            Op::Const(value) => Range::exactly(value),
            Op::ConstBool(value) => Range::exactly(value.into()),
            Op::Binary(op, a, b) if a == b && matches!(op, BinaryOp::Sub | BinaryOp::Xor) => {
                Range::exactly(0)
            }
            Op::Binary(op, a, b) => binary(op, now(a), now(b)),
            Op::Compare(op, a, b) if a == b => Range::exactly(op.eval(0, 0).into()),
            Op::Compare(op, a, b) => {
                compare(op, now(a), now(b)).map_or(Range::BOOL, |known| Range::exactly(known.into()))
            }
            Op::Bool(op, a, b) => bool_op(op, now(a), now(b)),
            Op::Not(a) => now(a).constant().map_or(Range::BOOL, |a| Range::exactly(1 - a.min(1))),
            Op::Select(c, a, b) => match now(c).constant() {
                Some(0) => now(b),
                Some(_) => now(a),
                None => now(a).join(now(b)),
            },
            Op::IntOfBool(a) => now(a),
            Op::Load(width, ..) => Range::up_to(width.max()),
            Op::PacketLen => Range::up_to(MAX_PACKET),
            Op::InPort => Range::up_to(u32::MAX.into()),
            Op::Now => Range { min: 1, max: u64::MAX },
            Op::Seed(_) | Op::WordGet(..) | Op::WordAdd(..) | Op::WordOr(..) | Op::WordCas(..) => Range::FULL,
            Op::Param(param) => {
                let decl = &self.module.params[param.index()];
                // The verifier comes here also when a declaration is wrong.
                Range { min: decl.min.min(decl.max), max: decl.max.max(decl.min) }
            }
            Op::Get(entry, field) | Op::GetAt(entry, field, _) => match self.filter.values[entry.index()] {
                Type::Entry(state) => {
                    Range::up_to(self.module.states[state.index()].fields[field.index()].width.max())
                }
                _ => Range::FULL,
            },
            Op::Lock(_) => Range::BOOL,
            Op::Set(..) | Op::SetAt(..) | Op::Unlock(..) | Op::Emit(..) => Range::FULL,
        }
    }
}

/// How many conditions one branch is taken apart into.
const MAX_FACTS: usize = 64;

/// How many blocks above the first of several predecessors are asked what was told there.
const MAX_ABOVE: usize = 8;

/// The range that a history has at a place.
fn find(history: &[(u32, Range)], place: u32) -> Option<Range> {
    let next = history.partition_point(|(start, _)| *start <= place);
    next.checked_sub(1).map(|index| history[index].1)
}

/// The last fact about a value: each is narrower than the one before.
fn latest(facts: &[(Value, Range)], value: Value) -> Option<Range> {
    facts.iter().rev().find(|(known, _)| *known == value).map(|(_, range)| *range)
}

struct Facts<'a> {
    walk: &'a Walk<'a>,
    /// The place of the dominator order where the branch is.
    place: u32,
    list: Vec<(Value, Range)>,
    possible: bool,
}

impl Facts<'_> {
    fn range(&self, value: Value) -> Range {
        latest(&self.list, value).unwrap_or_else(|| self.walk.range_at(self.place, value))
    }

    fn narrow(&mut self, value: Value, to: Range) {
        match self.range(value).meet(to) {
            Some(range) => self.list.push((value, range)),
            // Nobody comes here; what held before still does.
            None => self.possible = false,
        }
    }

    fn assume(&mut self, cond: Value, holds: bool) {
        let mut conditions = vec![(cond, holds)];
        while let Some((cond, holds)) = conditions.pop() {
            if self.list.len() > MAX_FACTS {
                return;
            }
            self.narrow(cond, Range::exactly(holds.into()));
            match self.walk.definitions[cond.index()] {
                Some(&Op::Not(a)) => conditions.push((a, !holds)),
                Some(&Op::Bool(BoolOp::And, a, b)) if holds => conditions.extend([(b, true), (a, true)]),
                Some(&Op::Bool(BoolOp::Or, a, b)) if !holds => conditions.extend([(b, false), (a, false)]),
                Some(&Op::Compare(op, a, b)) => self.assume_compare(op, a, b, holds),
                _ => {}
            }
        }
    }

    fn assume_compare(&mut self, op: CompareOp, a: Value, b: Value, holds: bool) {
        const POSITIVE: u64 = i64::MAX as u64;
        let both_positive = self.range(a).max <= POSITIVE && self.range(b).max <= POSITIVE;
        match (op, holds) {
            (CompareOp::Eq, true) | (CompareOp::Ne, false) => {
                self.narrow(a, self.range(b));
                self.narrow(b, self.range(a));
            }
            (CompareOp::Eq, false) | (CompareOp::Ne, true) => {
                self.differ(a, self.range(b));
                self.differ(b, self.range(a));
            }
            (CompareOp::ULt, true) => self.less(a, b),
            (CompareOp::ULt, false) => self.less_or_equal(b, a),
            (CompareOp::ULe, true) => self.less_or_equal(a, b),
            (CompareOp::ULe, false) => self.less(b, a),
            (CompareOp::SLt, true) if both_positive => self.less(a, b),
            (CompareOp::SLt, false) if both_positive => self.less_or_equal(b, a),
            (CompareOp::SLe, true) if both_positive => self.less_or_equal(a, b),
            (CompareOp::SLe, false) if both_positive => self.less(b, a),
            (CompareOp::SLt | CompareOp::SLe, _) => {}
        }
    }

    fn differ(&mut self, value: Value, other: Range) {
        let Some(not) = other.constant() else { return };
        let range = self.range(value);
        if range.constant() == Some(not) {
            self.possible = false;
        } else if range.min == not {
            self.narrow(value, Range { min: not + 1, max: range.max }); // below range.max
        } else if range.max == not {
            self.narrow(value, Range { min: range.min, max: not - 1 }); // above range.min
        }
    }

    fn less_or_equal(&mut self, a: Value, b: Value) {
        self.narrow(a, Range::up_to(self.range(b).max));
        self.narrow(b, Range { min: self.range(a).min, max: u64::MAX });
    }

    fn less(&mut self, a: Value, b: Value) {
        match (self.range(b).max.checked_sub(1), self.range(a).min.checked_add(1)) {
            (Some(max), Some(min)) => {
                self.narrow(a, Range::up_to(max));
                self.narrow(b, Range { min, max: u64::MAX });
            }
            _ => self.possible = false,
        }
    }
}

/// What a comparison says of all values of two ranges, if the same of all.
fn compare(op: CompareOp, a: Range, b: Range) -> Option<bool> {
    match op {
        CompareOp::Eq if a.meet(b).is_none() => Some(false),
        CompareOp::Eq => (a.constant()? == b.constant()?).then_some(true),
        CompareOp::Ne => compare(CompareOp::Eq, a, b).map(|equal| !equal),
        CompareOp::ULt if a.max < b.min => Some(true),
        CompareOp::ULt => (a.min >= b.max).then_some(false),
        CompareOp::ULe if a.max <= b.min => Some(true),
        CompareOp::ULe => (a.min > b.max).then_some(false),
        CompareOp::SLt | CompareOp::SLe => {
            // Both ends of the same sign: the signed order is the unsigned one with the sign turned round.
            let signed = |range: Range| {
                let same_sign = (range.min ^ range.max) >> 63 == 0;
                let turn = |value: u64| value ^ (1 << 63);
                same_sign.then(|| Range { min: turn(range.min), max: turn(range.max) })
            };
            let unsigned = if op == CompareOp::SLt { CompareOp::ULt } else { CompareOp::ULe };
            compare(unsigned, signed(a)?, signed(b)?)
        }
    }
}

/// The least value of the form 2^n - 1 that is not below `value`.
pub fn all_ones(value: u64) -> u64 {
    u64::MAX.checked_shr(value.leading_zeros()).unwrap_or(0)
}

fn binary(op: BinaryOp, a: Range, b: Range) -> Range {
    if let (Some(a), Some(b)) = (a.constant(), b.constant()) {
        return Range::exactly(op.eval(a, b));
    }
    match op {
        BinaryOp::Add => {
            let (min, low) = a.min.overflowing_add(b.min);
            let (max, high) = a.max.overflowing_add(b.max);
            // Either no sum wraps or all do.
            if low == high { Range { min, max } } else { Range::FULL }
        }
        BinaryOp::Sub => {
            let (min, low) = a.min.overflowing_sub(b.max);
            let (max, high) = a.max.overflowing_sub(b.min);
            if low == high { Range { min, max } } else { Range::FULL }
        }
        BinaryOp::Mul => match a.max.checked_mul(b.max) {
            Some(max) => Range { min: a.min * b.min, max },
            None => Range::FULL,
        },
        BinaryOp::UDiv => {
            let min = if b.min == 0 { 0 } else { a.min / b.max };
            Range { min, max: a.max / b.min.max(1) }
        }
        BinaryOp::URem if b.min == 0 => Range::up_to(a.max),
        BinaryOp::URem if a.max < b.min => a,
        BinaryOp::URem => Range::up_to(a.max.min(b.max - 1)),
        BinaryOp::And => Range::up_to(a.max.min(b.max)),
        BinaryOp::Or => Range { min: a.min.max(b.min), max: all_ones(a.max | b.max) },
        BinaryOp::Xor => Range::up_to(all_ones(a.max | b.max)),
        BinaryOp::Shl if b.max < 64 && u64::from(a.max.leading_zeros()) >= b.max => {
            // No bit is lost, whatever the amount; a.max of 0 has 64 leading zeros and shifts by at most 63.
            Range { min: a.min << b.min, max: a.max << b.max }
        }
        BinaryOp::Shl => Range::FULL,
        BinaryOp::UShr if b.max < 64 => Range { min: a.min >> b.max, max: a.max >> b.min },
        BinaryOp::UShr => Range::up_to(a.max),
        BinaryOp::SShr if a.max >> 63 == 0 => binary(BinaryOp::UShr, a, b),
        BinaryOp::SShr => Range::FULL,
        BinaryOp::UMin => Range { min: a.min.min(b.min), max: a.max.min(b.max) },
        BinaryOp::UMax => Range { min: a.min.max(b.min), max: a.max.max(b.max) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where something changes.
    const POINTS: [u64; 14] = [
        0,
        1,
        2,
        3,
        8,
        62,
        63,
        64,
        u32::MAX as u64,
        1 << 32,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];

    fn ranges() -> Vec<Range> {
        let from = |min| POINTS.into_iter().filter(move |max| min <= *max).map(move |max| Range { min, max });
        POINTS.into_iter().flat_map(from).collect()
    }

    fn points(range: Range) -> impl Iterator<Item = u64> {
        POINTS.into_iter().filter(move |point| range.contains(*point))
    }

    #[test]
    fn results_are_within_the_range_of_the_operation() {
        for a in ranges() {
            for b in ranges() {
                for &op in BinaryOp::ALL {
                    let range = binary(op, a, b);
                    for x in points(a) {
                        for y in points(b) {
                            let result = op.eval(x, y);
                            assert!(
                                range.contains(result),
                                "{op} {x}, {y} is {result}; {a:?}, {b:?} give {range:?}"
                            );
                        }
                    }
                }
                for &op in CompareOp::ALL {
                    if let Some(known) = compare(op, a, b) {
                        let all = points(a).all(|x| points(b).all(|y| op.eval(x, y) == known));
                        assert!(all, "{op} of {a:?}, {b:?} is not always {known}");
                    }
                }
            }
        }
    }

    /// Not only right but also as narrow as intervals can be, where that is easy.
    #[test]
    fn ranges_are_narrow() {
        let range = |min, max| Range { min, max };
        let table = [
            (BinaryOp::Add, range(1, 5), range(10, 20), range(11, 25)),
            (BinaryOp::Add, range(u64::MAX - 1, u64::MAX), range(2, 3), range(0, 2)),
            (BinaryOp::Sub, range(10, 20), range(1, 5), range(5, 19)),
            (BinaryOp::Mul, range(2, 3), range(4, 5), range(8, 15)),
            (BinaryOp::UDiv, range(10, 20), range(2, 5), range(2, 10)),
            (BinaryOp::UDiv, range(10, 20), range(0, 5), range(0, 20)),
            (BinaryOp::URem, range(10, 20), range(3, 7), range(0, 6)),
            (BinaryOp::URem, range(10, 20), range(0, 7), range(0, 20)),
            (BinaryOp::And, range(0, 0xffff), range(15, 15), range(0, 15)),
            (BinaryOp::Or, range(4, 5), range(1, 2), range(4, 7)),
            (BinaryOp::Shl, range(0, 15), range(2, 2), range(0, 60)),
            (BinaryOp::UShr, range(16, 255), range(4, 4), range(1, 15)),
            (BinaryOp::UMin, range(3, 100), range(7, 9), range(3, 9)),
            (BinaryOp::UMax, range(3, 100), range(7, 9), range(7, 100)),
        ];
        for (op, a, b, expected) in table {
            assert_eq!(binary(op, a, b), expected, "{op} of {a:?}, {b:?}");
        }
    }

    /// Behind a branch the range is exactly that of the values with which one can get there.
    #[test]
    fn branches_tell_what_they_can() {
        let bounds = [(0, 5), (2, 9), (5, 5), (0, 0), (3, 4), (9, 12)];
        for &op in CompareOp::ALL {
            for (a_min, a_max) in bounds {
                for (b_min, b_max) in bounds {
                    let text = format!(
                        "oko.ir 1
                        param p0 a: {a_min} to {a_max}, default {a_min}
                        param p1 b: {b_min} to {b_max}, default {b_min}
                        filter f -> bool {{
                        block0: v0 = param p0 v1 = param p1 v2 = {op} v0, v1 branch v2, block1, block2
                        block1: return v2
                        block2: return v2 }}"
                    );
                    let module = crate::text::read(&text).expect("the text is a module");
                    let ranges = Ranges::of(&module, &module.filters[0]);
                    for (block, holds) in [(Block(1), true), (Block(2), false)] {
                        let pairs = || (a_min..=a_max).flat_map(|a| (b_min..=b_max).map(move |b| [a, b]));
                        let possible: Vec<_> = pairs().filter(|[a, b]| op.eval(*a, *b) == holds).collect();
                        for (value, index) in [(Value(0), 0), (Value(1), 1)] {
                            let all =
                                possible.iter().map(|pair| Range::exactly(pair[index])).reduce(Range::join);
                            if let Some(expected) = all {
                                assert_eq!(ranges.at(block, value), expected, "{value} in {block} of {text}");
                            }
                        }
                    }
                }
            }
        }
    }
}
