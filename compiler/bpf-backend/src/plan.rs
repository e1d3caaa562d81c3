//! What becomes of each value before registers are given out, and in which order code is written.
//!
//! What holds afterwards: every use of an IR value is a [`Place`]: a constant, or a virtual register. Values that are the same
//! thing under another name (`now`, `int b`) share one virtual register. Comparisons that one branch or `select` of the same
//! block uses are written there and have none.

use oko_ir::cfg::Cfg;
use oko_ir::{Block, Filter, Module, Op, State, StateKind, TerminatorKind, Type, Value, WhenFull};

use crate::maps::needs_now;
use crate::{Clock, Options};

/// The last packet byte that the kernel lets programs look behind: `MAX_PACKET_OFF` of its verifier.
pub(crate) const MAX_PACKET_OFFSET: u64 = 0xffff;

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
    /// The terminator.
    Term,
}

/// The decisions for one filter.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) options: Options,
    /// The blocks in the order in which they are written, each after its predecessors. Those that no way leads to are not among them.
    pub(crate) order: Vec<Block>,
    /// The items of each block, by [`Block`].
    pub(crate) items: Vec<Vec<Item>>,
    /// How many virtual registers there are: one for each IR value, then [`Plan::context`], [`Plan::now`], then addresses of locks.
    pub(crate) vregs: usize,
    places: Vec<Place>,
    defs: Vec<Option<&'a Op>>,
    fused: Vec<bool>,
    locks: Vec<Option<VReg>>,
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
        };
        plan.name_values();
        plan.drop_unreached();
        plan.drop_unused();
        plan.fuse_comparisons();
        plan.place_clock(&cfg);
        for (index, ty) in filter.values.iter().enumerate() {
            if matches!(ty, Type::Entry(state) if has_lock_apart(module, *state)) {
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

    /// The comparison that is written where this value is used.
    pub(crate) fn fused(&self, value: Value) -> Option<(oko_ir::CompareOp, Value, Value)> {
        match self.defs[value.index()] {
            Some(Op::Compare(op, a, b)) if self.fused[value.index()] => Some((*op, *a, *b)),
            _ => None,
        }
    }

    /// An upper bound of a value that the kernel's verifier finds as well: by arithmetic on loads and constants only, and small steps of it.
    pub(crate) fn bound(&self, value: Value) -> Option<u64> {
        self.bound_within(value, 16)
    }

    fn bound_within(&self, value: Value, depth: u32) -> Option<u64> {
        use oko_ir::BinaryOp;
        if let Place::Const(constant) = self.place(value) {
            return Some(constant);
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
            Op::Binary(BinaryOp::Add, a, b) => below_2_32(self.bound_within(*a, depth)?)?
                .checked_add(below_2_32(self.bound_within(*b, depth)?)?),
            Op::Binary(BinaryOp::Mul, a, b) => {
                below_2_32(self.bound_within(*a, depth)?)?.checked_mul(below_2_32(constant(*b)?)?)
            }
            Op::Binary(BinaryOp::Shl, a, b) => below_2_32(self.bound_within(*a, depth)?)?
                .checked_mul(1u64.checked_shl(constant(*b)?.try_into().ok()?)?),
            Op::Binary(BinaryOp::UShr, a, b) => Some(self.bound_within(*a, depth)? >> (constant(*b)? & 63)),
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
                let effect = matches!(inst.op, Op::Lock(_) | Op::Set(..) | Op::Unlock(..));
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

    fn fuse_comparisons(&mut self) {
        let filter = self.filter;
        let mut uses = vec![0u32; filter.values.len()];
        let mut home = vec![None; filter.values.len()];
        for (index, data) in filter.blocks.iter().enumerate() {
            for inst in &data.insts {
                inst.op.for_each_operand(|value| uses[value.index()] += 1);
                if let (Some(result), Op::Compare(..)) = (inst.result, &inst.op) {
                    home[result.index()] = Some(index);
                }
            }
            data.term.kind.for_each_operand(|value| uses[value.index()] += 1);
        }
        for (index, data) in filter.blocks.iter().enumerate() {
            let selects = data.insts.iter().filter_map(|inst| match inst.op {
                Op::Select(cond, ..) => Some(cond),
                _ => None,
            });
            let branch = match data.term.kind {
                TerminatorKind::Branch { cond, .. } => Some(cond),
                _ => None,
            };
            for cond in selects.chain(branch) {
                if uses[cond.index()] == 1 && home[cond.index()] == Some(index) {
                    self.fused[cond.index()] = true;
                }
            }
            let fused = &self.fused;
            self.items[index].retain(|item| match item {
                Item::Inst(at) => !data.insts[*at].result.is_some_and(|result| fused[result.index()]),
                _ => true,
            });
        }
    }

    /// Puts the reading of the clock before the first thing that needs it, in the closest block through which all ways to such things go.
    ///
    /// It is never under a lock, where calls are forbidden: locking needs the instant itself, and dominates what is under it.
    fn place_clock(&mut self, cfg: &Cfg) {
        let filter = self.filter;
        let needs = |block: Block| filter.blocks[block.index()].insts.iter().any(|inst| needs_now(&inst.op));
        let common = |a: Block, b: Block| {
            let mut at = a;
            while !cfg.dominates(at, b) {
                at = cfg.idom(at).expect("the entry dominates every block");
            }
            at
        };
        let Some(block) = self.order.iter().copied().filter(|&block| needs(block)).reduce(common) else {
            return;
        };
        let data = &filter.blocks[block.index()];
        let first = data.insts.iter().position(|inst| needs_now(&inst.op)).unwrap_or(data.insts.len());
        let items = &mut self.items[block.index()];
        let at = items.iter().position(|item| !matches!(item, Item::Inst(index) if *index < first));
        items.insert(at.expect("a block has a terminator"), Item::ReadClock);
    }

    /// Whether an item is or holds a call, which leaves nothing in `r0` to `r5`.
    pub(crate) fn calls(&self, block: Block, item: Item) -> bool {
        let data = &self.filter.blocks[block.index()];
        match item {
            Item::ReadClock => self.options.clock == Clock::Helper,
            Item::Inst(index) => matches!(data.insts[index].op, Op::Lock(_) | Op::Unlock(..)),
            Item::Term => data.term.kind.lookup().is_some(),
        }
    }
}

/// Whether the lock of a state's entries is not in them: Linux allows none in an LRU hash map.
pub(crate) fn has_lock_apart(module: &Module, state: State) -> bool {
    module.states[state.index()].kind == StateKind::Hash(WhenFull::EvictOldest)
}
