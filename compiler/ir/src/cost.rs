//! The worst-case cost of a filter: the longest way through it.
//!
//! A loop that counts to `N` costs `N` times the longest way round, and then the way on from its header; or, if it is left from within,
//! `N - 1` times round and the way out.

use crate::cfg::Cfg;
use crate::entities::Block;
use crate::loops::counted;
use crate::module::{Filter, Loc, Op};
use crate::verify::Checked;

/// What one packet costs at most. The maxima may be of different ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions and terminators, as the interpreter counts them. `u64::MAX` stands for more than that.
    pub steps: u64,
    /// `find`s and `slot`s.
    pub state_ops: u64,
}

impl Cost {
    fn plus(self, other: Cost) -> Cost {
        Cost {
            steps: self.steps.saturating_add(other.steps),
            state_ops: self.state_ops.saturating_add(other.state_ops),
        }
    }

    fn times(self, count: u64) -> Cost {
        Cost { steps: self.steps.saturating_mul(count), state_ops: self.state_ops.saturating_mul(count) }
    }

    fn max(self, other: Cost) -> Cost {
        Cost { steps: self.steps.max(other.steps), state_ops: self.state_ops.max(other.state_ops) }
    }
}

/// The cost of each filter of a module, in order.
pub fn cost(checked: &Checked) -> Vec<Cost> {
    let filters = checked.module().filters.iter();
    filters.map(|filter| cost_of(filter, &Cfg::of(filter).expect("the filter has been verified"))).collect()
}

/// How long an entry stays locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The steps behind the `lock` up to the `unlock`, this included.
    pub steps: u64,
    /// Where the `lock` comes from.
    pub loc: Option<Loc>,
}

/// The longest way from a `lock` to its `unlock` in a verified filter, if it locks anything: so many steps does another core wait that wants the
/// same entry. There are no loops on such ways.
pub fn longest_section(filter: &Filter, cfg: &Cfg) -> Option<Section> {
    let longer = |a: Option<Section>, b: Option<Section>| match (a, b) {
        (Some(a), Some(b)) => Some(if a.steps >= b.steps { a } else { b }),
        (a, b) => a.or(b),
    };
    let mut longest = None;
    // The section that is open at the beginning of each block; blocks come after those that they are come to from.
    let mut open: Vec<Option<Section>> = vec![None; filter.blocks.len()];
    for &block in cfg.order() {
        let data = &filter.blocks[block.index()];
        let mut section = open[block.index()].take();
        for inst in &data.insts {
            section = section.map(|section| Section { steps: section.steps + 1, ..section });
            match inst.op {
                Op::Lock(_) => section = Some(Section { steps: 0, loc: inst.loc }),
                Op::Unlock(..) => longest = longer(longest, section.take()),
                _ => {}
            }
        }
        let Some(section) = section else { continue };
        let section = Section { steps: section.steps + 1, ..section };
        for edge in data.term.kind.edges() {
            let into = &mut open[edge.call.block.index()];
            *into = longer(*into, Some(section));
        }
    }
    longest
}

/// What one loop costs at most, each time that it is come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopCost {
    /// The block that ends in `repeat`.
    pub header: Block,
    /// How often it goes round at most.
    pub count: u32,
    /// What going round once costs; inner loops are in it as a whole.
    pub round: Cost,
}

/// The cost of each loop of a filter, inner ones before those around them.
pub fn loop_costs(filter: &Filter, cfg: &Cfg) -> Vec<LoopCost> {
    walk(filter, cfg, &|_| true).1
}

/// The cost of what comes from certain places of the source alone: the most that one packet can spend there. Parts do not add up to
/// the whole, since their maxima may be of different ways.
pub fn cost_where(filter: &Filter, cfg: &Cfg, counts: &dyn Fn(Option<Loc>) -> bool) -> Cost {
    walk(filter, cfg, counts).0
}

/// The cost of a filter whose loops have been verified.
pub(crate) fn cost_of(filter: &Filter, cfg: &Cfg) -> Cost {
    walk(filter, cfg, &|_| true).0
}

fn walk(filter: &Filter, cfg: &Cfg, counts: &dyn Fn(Option<Loc>) -> bool) -> (Cost, Vec<LoopCost>) {
    // For each block the longest ways without going round a loop that it is in: to the end, and by depth to the headers of these loops.
    let mut ways: Vec<Ways> = vec![Ways::default(); filter.blocks.len()];
    let mut loops = Vec::new();
    // Successors first.
    for &block in cfg.order().iter().rev() {
        let data = &filter.blocks[block.index()];
        let term = u64::from(counts(data.term.loc));
        let own = Cost {
            steps: data.insts.iter().filter(|inst| counts(inst.loc)).count() as u64 + term,
            state_ops: if data.term.kind.lookup().is_some() { term } else { 0 },
        };
        let depth = depth_of(cfg, block);
        let mut found = Ways { to_end: None, to_header: vec![None; depth] };
        let edges: Vec<Block> = data.term.kind.edges().map(|edge| edge.call.block).collect();
        if edges.is_empty() {
            found.to_end = Some(own);
        }
        for &next in &edges {
            found.join(way_to(cfg, &ways, block, next, depth).after(own));
        }
        if let Some(this) = cfg.loop_at(block)
            && let Some(counted) = counted(filter, this)
        {
            // The way round starts at the header and comes back to it.
            let round = found.to_header.pop().flatten().unwrap_or_default();
            loops.push(LoopCost { header: block, count: counted.count, round });
            let count = u64::from(counted.count);
            let outside = depth - 1;
            let mut whole =
                way_to(cfg, &ways, block, counted.done.block, outside).after(own.plus(round.times(count)));
            if !cfg.leads_back(block, counted.body.block) {
                let out = way_to(cfg, &ways, block, counted.body.block, outside);
                whole.join(out.after(own.plus(round.times(count - 1))));
            }
            found = whole;
        }
        ways[block.index()] = found;
    }
    (ways[0].to_end.unwrap_or_default(), loops)
}

fn depth_of(cfg: &Cfg, block: Block) -> usize {
    cfg.loop_of(block).map_or(0, |index| cfg.loops()[index as usize].depth as usize)
}

/// What the edge from `block` to `next` adds; the block is in so many loops.
fn way_to(cfg: &Cfg, ways: &[Ways], block: Block, next: Block, depth: usize) -> Ways {
    if cfg.leads_back(block, next) {
        let mut way = Ways { to_end: None, to_header: vec![None; depth] };
        if let Some(there) = depth_of(cfg, next).checked_sub(1).and_then(|level| way.to_header.get_mut(level))
        {
            *there = Some(Cost::default());
        }
        return way;
    }
    // Loops that only one of the two is in have been taken into account at their header or cannot be gone round from here.
    let mut way = ways[next.index()].clone();
    let shared = cfg.loops_around(next).filter(|index| cfg.loops_around(block).any(|other| other == *index));
    way.to_header.truncate(shared.count());
    way.to_header.resize(depth, None);
    way
}

/// The longest ways from a block, if there are any.
#[derive(Clone, Debug, Default)]
struct Ways {
    to_end: Option<Cost>,
    /// To the header of each loop around the block, outermost first.
    to_header: Vec<Option<Cost>>,
}

impl Ways {
    fn after(mut self, cost: Cost) -> Ways {
        for way in self.to_header.iter_mut().chain([&mut self.to_end]) {
            *way = way.map(|way| way.plus(cost));
        }
        self
    }

    fn join(&mut self, other: Ways) {
        let longer = |a: Option<Cost>, b: Option<Cost>| match (a, b) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.to_end = longer(self.to_end, other.to_end);
        for (way, other) in self.to_header.iter_mut().zip(other.to_header) {
            *way = longer(*way, other);
        }
    }
}
