//! The control-flow graph of a filter: predecessors, loops, an order and dominance.
//!
//! The graph is reducible: an edge that leads back leads to a block that dominates where it starts, the *header* of a loop. So
//! without these edges there are no cycles, and what dominates what is the same with and without them. (Why: cut out of a path every
//! piece between two visits of one header, and a path without back edges is left, through no other blocks.)
//!
//! One order serves everything: the *dominator order*, a preorder walk of the dominator tree whose siblings come in topological order, is
//! itself topological but for back edges. So a pass that goes through it sees a block after all of its predecessors that are
//! not further round a loop, and right below everything that dominates it. (Why: a predecessor of `b` lies under a sibling of
//! `b`, or is `b`'s immediate dominator; there is a path from that sibling to `b`, so the sibling comes first, with its whole subtree.)

use crate::entities::Block;
use crate::module::{Filter, TerminatorKind};

/// The graph of one filter.
#[derive(Clone, Debug)]
pub struct Cfg {
    /// For each block the blocks that lead to it, once for each edge.
    preds: Vec<Vec<Block>>,
    idom: Vec<Option<Block>>,
    order: Vec<Block>,
    /// For each block its place in `order`.
    first: Vec<u32>,
    /// For each block the last place in `order` of what it dominates.
    last: Vec<u32>,
    loops: Vec<Loop>,
    /// For each block the innermost loop that it is in.
    loop_of: Vec<Option<u32>>,
}

/// A loop: its header, and all blocks from which the header can be reached again without leaving what it dominates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loop {
    /// The only block by which it is entered.
    pub header: Block,
    /// The blocks that lead back to the header, once for each edge.
    pub latches: Vec<Block>,
    /// The innermost loop around it, an index into [`Cfg::loops`].
    pub parent: Option<u32>,
    /// How many loops there are around its blocks, itself counted.
    pub depth: u32,
}

/// Why there is no graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CfgError {
    /// A filter needs an entry block.
    #[error("there are no blocks")]
    Empty,
    /// A terminator names a block that is not there.
    #[error("{from} leads to {to}, which does not exist")]
    NoSuchBlock {
        /// The block with the terminator.
        from: Block,
        /// The block that is not there.
        to: Block,
    },
    /// An edge leads back, but not to where a loop may start.
    #[error("{from} leads back to {to}, which does not end in `repeat`")]
    Cycle {
        /// Where the edge starts.
        from: Block,
        /// Where it ends; `from` can be reached from here.
        to: Block,
    },
    /// A loop has more than one way in.
    #[error("{from} leads back to {to}, but can be reached without it")]
    Irreducible {
        /// Where the edge starts.
        from: Block,
        /// Where it ends; this block does not dominate `from`.
        to: Block,
    },
    /// No path from the entry leads here.
    #[error("{block} cannot be reached")]
    Unreachable {
        /// The block.
        block: Block,
    },
}

impl Cfg {
    /// The graph of a filter.
    ///
    /// # Errors
    ///
    /// All reasons why there is none; never for a filter of a [`Checked`](crate::Checked) module.
    pub fn of(filter: &Filter) -> Result<Cfg, Vec<CfgError>> {
        let successors = successors(filter)?;
        let (topological, back) = topological_order(&successors)?;
        let no_header =
            |to: Block| !matches!(filter.blocks[to.index()].term.kind, TerminatorKind::Repeat { .. });
        let astray: Vec<_> = back.iter().filter(|(_, to)| no_header(*to)).collect();
        if !astray.is_empty() {
            return Err(astray.into_iter().map(|&(from, to)| CfgError::Cycle { from, to }).collect());
        }
        let count = successors.len();
        let mut preds = vec![Vec::new(); count];
        for (from, to) in successors.iter().enumerate() {
            for to in to {
                preds[to.index()].push(Block::from_index(from));
            }
        }
        let mut times = vec![0; count];
        for (time, block) in topological.iter().enumerate() {
            times[block.index()] = time;
        }
        let idom = immediate_dominators(&topological, &times, &preds);
        let mut children = vec![Vec::new(); count];
        for &block in topological.iter().rev() {
            if let Some(parent) = idom[block.index()] {
                children[parent.index()].push(block); // last child first, as the walk's stack wants it
            }
        }
        let mut order = Vec::with_capacity(count);
        let (mut first, mut last) = (vec![0; count], vec![0; count]);
        let mut stack = vec![(Block(0), false)];
        while let Some((block, done)) = stack.pop() {
            if done {
                last[block.index()] = order.len() as u32 - 1;
            } else {
                first[block.index()] = order.len() as u32;
                order.push(block);
                stack.push((block, true));
                stack.extend(children[block.index()].iter().map(|&child| (child, false)));
            }
        }
        let mut cfg = Cfg { preds, idom, order, first, last, loops: Vec::new(), loop_of: vec![None; count] };
        let irreducible = back.iter().filter(|(from, to)| !cfg.dominates(*to, *from));
        let irreducible: Vec<_> = irreducible.map(|&(from, to)| CfgError::Irreducible { from, to }).collect();
        if !irreducible.is_empty() {
            return Err(irreducible);
        }
        cfg.find_loops();
        Ok(cfg)
    }

    /// Inner loops first, so that an outer one meets them whole and no block is walked over twice.
    fn find_loops(&mut self) {
        let mut waiting: Vec<Block> = Vec::new();
        for place in (0..self.order.len()).rev() {
            let header = self.order[place];
            let latches: Vec<Block> =
                self.preds(header).iter().copied().filter(|&pred| self.dominates(header, pred)).collect();
            if latches.is_empty() {
                continue;
            }
            let index = self.loops.len() as u32;
            waiting.extend(&latches);
            self.loops.push(Loop { header, latches, parent: None, depth: 0 });
            self.loop_of[header.index()] = Some(index);
            while let Some(block) = waiting.pop() {
                let Some(inner) = self.loop_of[block.index()] else {
                    self.loop_of[block.index()] = Some(index);
                    waiting.extend(&self.preds[block.index()]);
                    continue;
                };
                let outermost = self.outermost(inner);
                if outermost != index {
                    self.loops[outermost as usize].parent = Some(index);
                    let header = self.loops[outermost as usize].header;
                    waiting.extend(
                        self.preds[header.index()].iter().filter(|&&pred| !self.dominates(header, pred)),
                    );
                }
            }
        }
        // Outer loops come later in the list.
        for index in (0..self.loops.len()).rev() {
            let above = self.loops[index].parent.map_or(0, |parent| self.loops[parent as usize].depth);
            self.loops[index].depth = above + 1;
        }
    }

    fn outermost(&self, mut index: u32) -> u32 {
        while let Some(parent) = self.loops[index as usize].parent {
            index = parent;
        }
        index
    }

    /// The loops, inner ones before those around them.
    pub fn loops(&self) -> &[Loop] {
        &self.loops
    }

    /// The innermost loop that `block` is in, by its index in [`loops`](Self::loops).
    pub fn loop_of(&self, block: Block) -> Option<u32> {
        self.loop_of[block.index()]
    }

    /// The loops that `block` is in, innermost first.
    pub fn loops_around(&self, block: Block) -> impl Iterator<Item = u32> {
        std::iter::successors(self.loop_of(block), |&index| self.loops[index as usize].parent)
    }

    /// The loop whose header `block` is.
    pub fn loop_at(&self, block: Block) -> Option<&Loop> {
        self.loop_of(block).map(|index| &self.loops[index as usize]).filter(|this| this.header == block)
    }

    /// Whether an edge from `from` to `to` leads back to the header of a loop.
    pub fn leads_back(&self, from: Block, to: Block) -> bool {
        self.dominates(to, from)
    }

    /// All blocks in dominator order: each after its predecessors but those that lead back to it, and in one run with what it dominates.
    pub fn order(&self) -> &[Block] {
        &self.order
    }

    /// The blocks that lead to `block`, once for each edge.
    pub fn preds(&self, block: Block) -> &[Block] {
        &self.preds[block.index()]
    }

    /// The closest block that is on every path to `block`; none for the entry.
    pub fn idom(&self, block: Block) -> Option<Block> {
        self.idom[block.index()]
    }

    /// Whether every path to `b` goes through `a`. A block dominates itself.
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        let place = self.first[b.index()];
        self.first[a.index()] <= place && place <= self.last[a.index()]
    }

    /// The place of `block` in [`order`](Self::order).
    pub fn place(&self, block: Block) -> u32 {
        self.first[block.index()]
    }

    /// The last place in [`order`](Self::order) that `block` dominates; they start with its own.
    pub fn last_dominated(&self, block: Block) -> u32 {
        self.last[block.index()]
    }
}

fn successors(filter: &Filter) -> Result<Vec<Vec<Block>>, Vec<CfgError>> {
    if filter.blocks.is_empty() {
        return Err(vec![CfgError::Empty]);
    }
    let successors: Vec<Vec<Block>> = filter
        .blocks
        .iter()
        .map(|block| block.term.kind.edges().map(|edge| edge.call.block).collect())
        .collect();
    let missing: Vec<_> = successors
        .iter()
        .enumerate()
        .flat_map(|(from, to)| to.iter().map(move |&to| (Block::from_index(from), to)))
        .filter(|(_, to)| to.index() >= filter.blocks.len())
        .map(|(from, to)| CfgError::NoSuchBlock { from, to })
        .collect();
    if missing.is_empty() { Ok(successors) } else { Err(missing) }
}

/// The blocks in topological order, and the edges without which there is one.
type Topology = (Vec<Block>, Vec<(Block, Block)>);

/// The blocks so that each comes after its predecessors: the reverse of the order in which a depth-first walk leaves them. Besides, the
/// edges that lead back to a block that is being walked from; if the graph is reducible, these are the back edges of its loops.
fn topological_order(successors: &[Vec<Block>]) -> Result<Topology, Vec<CfgError>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut back = Vec::new();
    let mut marks = vec![Mark::New; successors.len()];
    let mut order = Vec::with_capacity(successors.len());
    marks[0] = Mark::Open;
    let mut stack = vec![(Block(0), 0)];
    while let Some((block, next)) = stack.last_mut() {
        let block = *block;
        // The second successor first: reversed, the first one comes out first.
        let ways = &successors[block.index()];
        if *next < ways.len() {
            let to = ways[ways.len() - 1 - *next];
            *next += 1;
            match marks[to.index()] {
                Mark::New => {
                    marks[to.index()] = Mark::Open;
                    stack.push((to, 0));
                }
                Mark::Open => back.push((block, to)),
                Mark::Done => {}
            }
        } else {
            marks[block.index()] = Mark::Done;
            order.push(block);
            stack.pop();
        }
    }
    let unreachable = (0..successors.len()).filter(|&index| marks[index] == Mark::New);
    let errors: Vec<_> =
        unreachable.map(|index| CfgError::Unreachable { block: Block::from_index(index) }).collect();
    if errors.is_empty() {
        order.reverse();
        Ok((order, back))
    } else {
        Err(errors)
    }
}

/// Without back edges one round is enough: the immediate dominator of a block is the closest common ancestor of its predecessors in the
/// tree so far. Ancestors are found by jump pointers (Myers' skew-binary lists), so that no graph takes quadratic time.
fn immediate_dominators(topological: &[Block], times: &[usize], preds: &[Vec<Block>]) -> Vec<Option<Block>> {
    // The entry is its own parent at depth 0.
    let mut tree = vec![Node { parent: Block(0), jump: Block(0), depth: 0 }; topological.len()];
    let mut idom = vec![None; topological.len()];
    for &block in topological {
        let forward =
            preds[block.index()].iter().copied().filter(|pred| times[pred.index()] < times[block.index()]);
        let Some(parent) = forward.reduce(|a, b| common_ancestor(&tree, a, b)) else { continue };
        let above = &tree[parent.index()];
        let far = &tree[above.jump.index()];
        let farther = &tree[far.jump.index()];
        let jump = if above.depth - far.depth == far.depth - farther.depth { far.jump } else { parent };
        tree[block.index()] = Node { parent, jump, depth: above.depth + 1 };
        idom[block.index()] = Some(parent);
    }
    idom
}

#[derive(Clone, Copy)]
struct Node {
    parent: Block,
    /// Some ancestor; which one depends on the depth alone.
    jump: Block,
    depth: u32,
}

fn common_ancestor(tree: &[Node], mut a: Block, mut b: Block) -> Block {
    let node = |block: Block| tree[block.index()];
    if node(a).depth < node(b).depth {
        std::mem::swap(&mut a, &mut b);
    }
    while node(a).depth > node(b).depth {
        let far = node(a).jump;
        a = if node(far).depth >= node(b).depth { far } else { node(a).parent };
    }
    while a != b {
        let apart = node(a).jump != node(b).jump;
        (a, b) = if apart { (node(a).jump, node(b).jump) } else { (node(a).parent, node(b).parent) };
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dominance by its definition: without `a`, `b` cannot be reached.
    fn dominates(filter: &Filter, a: Block, b: Block) -> bool {
        let mut reached = vec![false; filter.blocks.len()];
        let mut waiting = vec![Block(0)];
        while let Some(block) = waiting.pop() {
            if block != a && !std::mem::replace(&mut reached[block.index()], true) {
                waiting.extend(filter.blocks[block.index()].term.kind.edges().map(|edge| edge.call.block));
            }
        }
        !reached[b.index()]
    }

    #[test]
    fn order_and_dominance_are_as_defined() {
        // An outer loop 1 with two ways back and the inner loops 3, which is its own latch, and 5 with a way out of both.
        let loops = "oko.ir 1 filter f -> bool {
            block0: v0 = true v1 = const 0 v2 = const 1 jump block1(v1)
            block1(v3: int): repeat v3, 9, block2, block10
            block2: v4 = add v3, v2 branch v0, block3(v1), block4
            block3(v5: int): v6 = add v5, v2 repeat v5, 3, block3(v6), block4
            block4: branch v0, block1(v4), block5(v1)
            block5(v7: int): repeat v7, 2, block6, block9
            block6: v8 = add v7, v2 branch v0, block7, block8
            block7: jump block10
            block8: jump block5(v8)
            block9: jump block1(v4)
            block10: return v0 }";
        check(loops);
        let module = crate::text::read(loops).expect("the text is a module");
        let cfg = Cfg::of(&module.filters[0]).expect("the graph is right");
        let found: Vec<_> = cfg.loops().iter().map(|this| (this.header.0, this.parent, this.depth)).collect();
        assert_eq!(found, [(5, Some(2), 2), (3, Some(2), 2), (1, None, 1)]);
        let of: Vec<_> = (0..11).map(|block| cfg.loop_of(Block(block))).collect();
        let (outer, three, five) = (Some(2), Some(1), Some(0));
        assert_eq!(of, [None, outer, outer, three, outer, five, five, None, five, outer, None]);
        assert_eq!(cfg.loops()[2].latches, [Block(4), Block(9)]);
        // Blocks of a reducible and an irregular part: 1 and 2 meet in 4, 3 is on one way only, 6 is reached from three levels.
        let text = "oko.ir 1 filter f -> bool {
            block0: v0 = true branch v0, block1, block2
            block1: branch v0, block3, block4
            block2: branch v0, block4, block6
            block3: branch v0, block5, block6
            block4: jump block5
            block5: branch v0, block7, block8
            block6: jump block9
            block7: jump block8
            block8: jump block9
            block9: return v0 }";
        check(text);
    }

    fn check(text: &str) {
        let module = crate::text::read(text).expect("the text is a module");
        let filter = &module.filters[0];
        let cfg = Cfg::of(filter).expect("the graph is right");
        let blocks: Vec<Block> = (0..filter.blocks.len()).map(Block::from_index).collect();
        for &b in &blocks {
            for &a in &blocks {
                assert_eq!(cfg.dominates(a, b), dominates(filter, a, b), "{a} dominates {b}");
            }
            assert!(
                cfg.preds(b).iter().all(|&pred| cfg.place(pred) < cfg.place(b) || cfg.leads_back(pred, b)),
                "{b} is after its predecessors"
            );
            let strict = |a: &&Block| **a != b && dominates(filter, **a, b);
            let closest = blocks.iter().filter(strict).max_by_key(|a| cfg.place(**a));
            assert_eq!(cfg.idom(b), closest.copied(), "the immediate dominator of {b}");
        }
    }
}
