//! What becomes of each value before registers are given out, and in which order code is written.
//!
//! What holds afterwards: every use of an IR value is a [`Place`]: a constant, or a virtual register. Values that are the same
//! thing under another name (`now`, `int b`) share one virtual register. Comparisons that one branch or `select` of the same
//! block uses are written there and have none, and so have a few of them that a branch uses together.

use oko_ir::cfg::Cfg;
use oko_ir::loops::{counted, steps};
use oko_ir::{
    BinaryOp, Block, BoolOp, CompareOp, Filter, Module, Op, State, StateKind, TerminatorKind, Type, Value,
    WhenFull,
};

use crate::maps::needs_now;
use crate::{Clock, Options};

/// The last packet byte that the kernel lets programs look behind: `MAX_PACKET_OFF` of its verifier.
pub(crate) const MAX_PACKET_OFFSET: u64 = 0xffff;

/// Conditions of up to so many comparisons are jumps: a processor foresees which header follows. What is made of more is a list, of which no one knows
/// where it ends.
const MOST_COMPARISONS: u32 = 4;

/// A virtual register: an index into the plan's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct VReg(pub(crate) u32);

impl VReg {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where the code finds a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Const(u64),
    VReg(VReg),
}

/// One thing to write code for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Item {
    /// The instruction at this index of the block.
    Inst(usize),
    /// Reads the clock.
    ReadClock,
    /// Makes verifiers forget what numbers come to this block, at the beginning of a loop all but its counter ([`forget`](crate::forget)).
    ///
    /// They walk through a loop turn by turn, on all ways at once, and leave a way where they have been before, knowing the same or less. A number that
    /// differs from way to way, as the place that a loop over options has come to, makes all ways new ones, and with each turn there are more of them.
    Forget,
    /// Leaves the filter if the kernel has had enough of it, at the beginning of a loop.
    ///
    /// It has not, for the loop is counted, too. But by this its verifier knows that it ends and need not go through every turn: if a turn begins with nothing else known
    /// than the last one, the counter included, that is the last that it looks at.
    Guard,
    /// The terminator.
    Term,
}

/// The decisions for one filter.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) options: Options,
    pub(crate) cfg: Cfg,
    /// The blocks in the order in which they are written, each after its predecessors but those further round a loop. Those that no way leads to are
    /// not among them.
    pub(crate) order: Vec<Block>,
    /// The items of each block, by [`Block`].
    pub(crate) items: Vec<Vec<Item>>,
    /// How many virtual registers there are: one for each IR value, then [`Plan::context`], [`Plan::now`], then addresses of locks.
    pub(crate) vregs: usize,
    places: Vec<Place>,
    defs: Vec<Option<&'a Op>>,
    fused: Vec<bool>,
    locks: Vec<Option<VReg>>,
    counters: Vec<bool>,
    /// Whether loops have guards.
    pub(crate) guarded: bool,
}

impl<'a> Plan<'a> {
    pub(crate) fn of(module: &Module, filter: &'a Filter, options: Options) -> Plan<'a> {
        let cfg = Cfg::of(filter).expect("a checked filter has a sound graph");
        let count = filter.values.len();
        let mut plan = Plan {
            filter,
            options,
            order: cfg.order().to_vec(),
            items: filter
                .blocks
                .iter()
                .map(|block| (0..block.insts.len()).map(Item::Inst).chain([Item::Term]).collect())
                .collect(),
            vregs: count + 2,
            places: (0..count).map(|index| Place::VReg(VReg(index as u32))).collect(),
            defs: vec![None; count],
            fused: vec![false; count],
            locks: vec![None; count],
            counters: vec![false; count],
            guarded: false,
            cfg,
        };
        plan.name_values();
        plan.drop_unreached();
        plan.drop_unused();
        plan.fuse_comparisons();
        plan.place_clock();
        plan.find_counters();
        for (index, ty) in filter.values.iter().enumerate() {
            if matches!(ty, Type::Entry(state) if lock_place(module, *state) == LockPlace::Apart) {
                plan.locks[index] = Some(VReg(plan.vregs as u32));
                plan.vregs += 1;
            }
        }
        plan
    }

    /// The address of the `xdp_md`.
    pub(crate) fn context(&self) -> VReg {
        VReg(self.filter.values.len() as u32)
    }

    /// The packet's instant.
    pub(crate) fn now(&self) -> VReg {
        VReg(self.filter.values.len() as u32 + 1)
    }

    pub(crate) fn place(&self, value: Value) -> Place {
        self.places[value.index()]
    }

    /// The address of the lock of an entry, where that is not the entry itself.
    pub(crate) fn lock_of(&self, entry: Value) -> Option<VReg> {
        self.locks[entry.index()]
    }

    /// Whether verifiers have to keep track of what a virtual register holds: an address, or the counter of a loop.
    pub(crate) fn stays_near(&self, vreg: VReg) -> bool {
        match self.filter.values.get(vreg.index()) {
            Some(Type::Int | Type::Bool) => self.counters[vreg.index()],
            Some(Type::Window(_) | Type::Entry(_)) => true,
            None => vreg != self.now(),
        }
    }

    /// The counters of loops, and what they are counted on to.
    fn find_counters(&mut self) {
        for this in self.cfg.loops() {
            if let Some(counted) = counted(self.filter, this) {
                self.counters[counted.counter.index()] = true;
            }
        }
        for step in steps(self.filter, &self.cfg) {
            self.counters[step.index()] = true;
        }
    }

    /// Whether an instruction is written as a jump whose ways meet at once, which Linux's verifier is not to see.
    pub(crate) fn hides(&self, op: &Op) -> bool {
        let chooses =
            matches!(op, Op::Compare(..) | Op::Select(..) | Op::Binary(BinaryOp::UMin | BinaryOp::UMax, ..));
        self.options.for_linux() && chooses
    }

    /// Whether verifiers may forget what a value is.
    pub(crate) fn is_forgettable(&self, value: Value) -> bool {
        matches!(self.filter.type_of(value), Some(Type::Int | Type::Bool))
            && (self.guarded || !self.counters[value.index()])
    }

    /// The virtual register of a value that is no constant.
    pub(crate) fn vreg(&self, value: Value) -> Option<VReg> {
        match self.place(value) {
            Place::VReg(vreg) => Some(vreg),
            Place::Const(_) => None,
        }
    }

    /// The condition that is written where this value is used.
    pub(crate) fn fused(&self, value: Value) -> Option<Condition> {
        if !self.fused[value.index()] {
            return None;
        }
        match *self.defs[value.index()]? {
            Op::Compare(op, a, b) => Some(Condition::Compare(op, a, b)),
            Op::Bool(op, a, b) => Some(Condition::Two(op, a, b)),
            Op::Not(a) => Some(Condition::Not(a)),
            _ => None,
        }
    }

    /// An upper bound of a value that the kernel's verifier finds as well: by arithmetic on loads and constants only, and small steps of it. It knows
    /// nothing of what is `unknown`.
    pub(crate) fn bound(&self, value: Value, unknown: &dyn Fn(VReg) -> bool) -> Option<u64> {
        self.bound_within(value, 16, unknown)
    }

    fn bound_within(&self, value: Value, depth: u32, unknown: &dyn Fn(VReg) -> bool) -> Option<u64> {
        match self.place(value) {
            Place::Const(constant) => return Some(constant),
            Place::VReg(vreg) if unknown(vreg) => return None,
            Place::VReg(_) => {}
        }
        let depth = depth.checked_sub(1)?;
        let constant = |value| match self.place(value) {
            Place::Const(constant) => Some(constant),
            Place::VReg(_) => None,
        };
        let below_2_32 = |bound: u64| (bound <= u64::from(u32::MAX)).then_some(bound);
        match self.defs[value.index()]? {
            Op::Load(width, ..) => Some(oko_ir::Width::max(*width)),
            Op::Binary(BinaryOp::And, a, b) => constant(*a).or(constant(*b)),
            Op::Binary(BinaryOp::Add, a, b) => below_2_32(self.bound_within(*a, depth, unknown)?)?
                .checked_add(below_2_32(self.bound_within(*b, depth, unknown)?)?),
            Op::Binary(BinaryOp::Mul, a, b) => {
                below_2_32(self.bound_within(*a, depth, unknown)?)?.checked_mul(below_2_32(constant(*b)?)?)
            }
            Op::Binary(BinaryOp::Shl, a, b) => below_2_32(self.bound_within(*a, depth, unknown)?)?
                .checked_mul(1u64.checked_shl(constant(*b)?.try_into().ok()?)?),
            Op::Binary(BinaryOp::UShr, a, b) => {
                Some(self.bound_within(*a, depth, unknown)? >> (constant(*b)? & 63))
            }
            _ => None,
        }
    }

    /// Constants have no register; `int b` is `b`, and all `now` are one.
    fn name_values(&mut self) {
        let filter = self.filter;
        for &block in &self.order {
            for inst in &filter.blocks[block.index()].insts {
                let Some(result) = inst.result else { continue };
                self.defs[result.index()] = Some(&inst.op);
                self.places[result.index()] = match inst.op {
                    Op::Const(value) => Place::Const(value),
                    Op::ConstBool(value) => Place::Const(value.into()),
                    Op::IntOfBool(value) => self.places[value.index()],
                    Op::Now => Place::VReg(VReg(filter.values.len() as u32 + 1)),
                    _ => continue,
                };
            }
        }
    }

    /// The ways out of a block that can be taken, by their place among the terminator's edges: a branch on a constant has one, and so has a
    /// window that lies too far behind.
    pub(crate) fn ways(&self, block: Block) -> [bool; 2] {
        match self.filter.blocks[block.index()].term.kind {
            TerminatorKind::Branch { cond, .. } => match self.place(cond) {
                Place::Const(constant) => [constant != 0, constant == 0],
                Place::VReg(_) => [true, true],
            },
            TerminatorKind::Window { offset, len, .. } => [self.window_can_be(offset, len), true],
            TerminatorKind::Repeat { counter, count, .. } => match self.place(counter) {
                Place::Const(constant) => [constant < count.into(), constant >= count.into()],
                Place::VReg(_) => [true, true],
            },
            _ => [true, true],
        }
    }

    /// Whether a window may be within what the kernel lets programs see.
    pub(crate) fn window_can_be(&self, offset: Value, len: u32) -> bool {
        match (self.place(offset), MAX_PACKET_OFFSET.checked_sub(len.into())) {
            (Place::Const(offset), Some(room)) => offset <= room,
            (Place::VReg(_), Some(_)) => true,
            (_, None) => false,
        }
    }

    /// Takes out the blocks that no way leads to: the kernel refuses code that cannot be reached.
    fn drop_unreached(&mut self) {
        let filter = self.filter;
        let mut reached = vec![false; filter.blocks.len()];
        reached[0] = true;
        // Each block comes after its predecessors.
        for &block in &self.order {
            if reached[block.index()] {
                let edges = filter.blocks[block.index()].term.kind.edges();
                for (edge, _) in edges.zip(self.ways(block)).filter(|(_, open)| *open) {
                    reached[edge.call.block.index()] = true;
                }
            }
        }
        self.order.retain(|block| reached[block.index()]);
    }

    /// Takes out what needs no code: what only names, and what nothing uses.
    fn drop_unused(&mut self) {
        let filter = self.filter;
        let mut used = vec![false; filter.values.len()];
        for &block in self.order.iter().rev() {
            let data = &filter.blocks[block.index()];
            data.term.kind.for_each_operand(|value| used[value.index()] = true);
            let mut kept: Vec<_> = vec![Item::Term];
            for (index, inst) in data.insts.iter().enumerate().rev() {
                let effect = inst.op.has_effect();
                if !effect && !inst.result.is_some_and(|result| used[result.index()]) {
                    continue;
                }
                inst.op.for_each_operand(|value| used[value.index()] = true);
                if !matches!(inst.op, Op::Const(_) | Op::ConstBool(_) | Op::IntOfBool(_) | Op::Now) {
                    kept.push(Item::Inst(index));
                }
            }
            kept.reverse();
            self.items[block.index()] = kept;
        }
    }

    /// Finds the comparisons that are written as jumps where what they are used for is: for choices, and for the branch at the end of their block, alone or a few together.
    fn fuse_comparisons(&mut self) {
        let filter = self.filter;
        let mut uses = vec![0u32; filter.values.len()];
        let mut home = vec![None; filter.values.len()];
        for (index, data) in filter.blocks.iter().enumerate() {
            for inst in &data.insts {
                inst.op.for_each_operand(|value| uses[value.index()] += 1);
                if let Some(result) = inst.result {
                    home[result.index()] = Some(index);
                }
            }
            data.term.kind.for_each_operand(|value| uses[value.index()] += 1);
        }
        for (index, data) in filter.blocks.iter().enumerate() {
            let is_free = |value: Value| uses[value.index()] == 1 && home[value.index()] == Some(index);
            for inst in &data.insts {
                if let Op::Select(cond, ..) = inst.op
                    && is_free(cond)
                    && matches!(self.defs[cond.index()], Some(Op::Compare(..)))
                {
                    self.fused[cond.index()] = true;
                }
            }
            if let TerminatorKind::Branch { cond, .. } = data.term.kind {
                for value in self.condition(cond, &is_free) {
                    self.fused[value.index()] = true;
                }
            }
            let fused = &self.fused;
            self.items[index].retain(|item| match item {
                Item::Inst(at) => !data.insts[*at].result.is_some_and(|result| fused[result.index()]),
                _ => true,
            });
        }
    }

    /// What a condition is made of and can be jumps, if that is not too much.
    fn condition(&self, cond: Value, is_free: &dyn Fn(Value) -> bool) -> Vec<Value> {
        let (mut found, mut open, mut compared) = (Vec::new(), vec![cond], 0);
        while let Some(value) = open.pop() {
            let of = self.defs[value.index()].filter(|_| is_free(value));
            match of {
                Some(Op::Compare(..)) => compared += 1,
                Some(&Op::Bool(BoolOp::Or, a, b)) if self.equals_either(a, b) => {
                    compared += 1;
                    continue;
                }
                Some(&Op::Bool(BoolOp::And | BoolOp::Or, a, b)) => open.extend([a, b]),
                Some(&Op::Not(a)) => open.push(a),
                _ => {
                    compared += 1;
                    continue;
                }
            }
            found.push(value);
        }
        if compared > MOST_COMPARISONS {
            // The whole is a number then, and so are its parts.
            found.clear();
        }
        found
    }

    /// Whether two conditions ask whether one number equals this or that. As jumps, they make two ways on which verifiers know different numbers, so that
    /// they follow both of them to the end.
    fn equals_either(&self, a: Value, b: Value) -> bool {
        match (self.defs[a.index()], self.defs[b.index()]) {
            (Some(Op::Compare(CompareOp::Eq, x, _)), Some(Op::Compare(CompareOp::Eq, y, _))) => x == y,
            _ => false,
        }
    }

    /// Puts the reading of the clock before the first thing that needs it, in the closest block through which all ways to such things go.
    ///
    /// It is never in a loop, so that there is one instant. It is never under a lock, where calls are forbidden: locking needs the instant itself, and
    /// dominates what is under it; and no lock is held where a loop begins.
    fn place_clock(&mut self) {
        let (filter, cfg) = (self.filter, &self.cfg);
        let needs = |block: Block| filter.blocks[block.index()].insts.iter().any(|inst| needs_now(&inst.op));
        let common = |a: Block, b: Block| {
            let mut at = a;
            while !cfg.dominates(at, b) {
                at = cfg.idom(at).expect("the entry dominates every block");
            }
            at
        };
        let Some(mut block) = self.order.iter().copied().filter(|&block| needs(block)).reduce(common) else {
            return;
        };
        while cfg.loop_of(block).is_some() {
            block = cfg.idom(block).expect("the entry block is in no loop");
        }
        let data = &filter.blocks[block.index()];
        let first = data.insts.iter().position(|inst| needs_now(&inst.op)).unwrap_or(data.insts.len());
        let items = &mut self.items[block.index()];
        let at = items.iter().position(|item| !matches!(item, Item::Inst(index) if *index < first));
        items.insert(at.expect("a block has a terminator"), Item::ReadClock);
    }

    /// Whether a word is used while an entry is locked.
    pub(crate) fn uses_word_under_lock(&self) -> bool {
        let mut held = vec![false; self.filter.blocks.len()];
        for &block in &self.order {
            let data = &self.filter.blocks[block.index()];
            let mut locked = held[block.index()];
            for inst in &data.insts {
                match inst.op {
                    Op::Lock(_) => locked = true,
                    Op::Unlock(..) => locked = false,
                    Op::WordGet(..) | Op::WordAdd(..) | Op::WordOr(..) | Op::WordCas(..) if locked => {
                        return true;
                    }
                    _ => {}
                }
            }
            // All ways to a block agree, and none holds a lock where a loop begins.
            for edge in data.term.kind.edges() {
                held[edge.call.block.index()] |= locked;
            }
        }
        false
    }

    /// Whether an item is or holds a call, which leaves nothing in `r0` to `r5`.
    pub(crate) fn calls(&self, block: Block, item: Item) -> bool {
        let data = &self.filter.blocks[block.index()];
        match item {
            Item::ReadClock => self.options.clock == Clock::Helper,
            Item::Forget | Item::Guard => false,
            Item::Inst(index) => matches!(
                data.insts[index].op,
                Op::Lock(_)
                    | Op::Unlock(..)
                    | Op::WordGet(..)
                    | Op::WordAdd(..)
                    | Op::WordOr(..)
                    | Op::WordCas(..)
                    | Op::Emit(..)
            ),
            Item::Term => data.term.kind.lookup().is_some(),
        }
    }
}

/// A condition that is written as jumps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Condition {
    Compare(CompareOp, Value, Value),
    /// Both or one of two; the operator is no `xor`.
    Two(BoolOp, Value, Value),
    Not(Value),
}

impl Condition {
    /// What it looks at.
    pub(crate) fn operands(self) -> impl Iterator<Item = Value> {
        let (first, second) = match self {
            Condition::Compare(_, a, b) | Condition::Two(_, a, b) => (a, Some(b)),
            Condition::Not(a) => (a, None),
        };
        std::iter::once(first).chain(second)
    }
}

/// Where the lock of an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LockPlace {
    /// At its beginning.
    Entry,
    /// In the array of locks: Linux allows none in an LRU hash map.
    Apart,
    /// Nowhere: nobody else writes the entry. Linux allows no locks in these maps either.
    None,
}

/// Where the locks of a state's entries are.
pub(crate) fn lock_place(module: &Module, state: State) -> LockPlace {
    let state = &module.states[state.index()];
    match state.kind {
        _ if state.per_core.is_some() => LockPlace::None,
        StateKind::Hash(WhenFull::EvictOldest) => LockPlace::Apart,
        StateKind::Hash(WhenFull::Refuse) | StateKind::Array => LockPlace::Entry,
        StateKind::Words | StateKind::Table(_) => LockPlace::None,
    }
}
