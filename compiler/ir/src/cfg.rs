//! The control-flow graph of a filter: predecessors, a topological order and dominance.
//!
//! Filters have no cycles, which makes one order serve everything: the *dominator order*, a preorder walk of the dominator
//! tree whose siblings come in topological order, is itself topological. So a pass that goes through it sees a block after all
//! of its predecessors, and right below everything that dominates it. (Why: a predecessor of `b` lies under a sibling of
//! `b`, or is `b`'s immediate dominator; there is a path from that sibling to `b`, so the sibling comes first, with its whole subtree.)

use crate::entities::Block;
use crate::module::Filter;

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
    /// An edge leads back.
    #[error("{from} leads back to {to}: loops are not supported")]
    Cycle {
        /// Where the edge starts.
        from: Block,
        /// Where it ends; `from` can be reached from here.
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
        let topological = topological_order(&successors)?;
        let count = successors.len();
        let mut preds = vec![Vec::new(); count];
        for (from, to) in successors.iter().enumerate() {
            for to in to {
                preds[to.index()].push(Block::from_index(from));
            }
        }
        let idom = immediate_dominators(&topological, &preds);
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
        Ok(Cfg { preds, idom, order, first, last })
    }

    /// All blocks in dominator order: each after its predecessors and in one run with what it dominates.
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

/// The blocks so that each comes after its predecessors: the reverse of the order in which a depth-first walk leaves them.
fn topological_order(successors: &[Vec<Block>]) -> Result<Vec<Block>, Vec<CfgError>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut errors = Vec::new();
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
                Mark::Open => errors.push(CfgError::Cycle { from: block, to }),
                Mark::Done => {}
            }
        } else {
            marks[block.index()] = Mark::Done;
            order.push(block);
            stack.pop();
        }
    }
    let unreachable = (0..successors.len()).filter(|&index| marks[index] == Mark::New);
    errors.extend(unreachable.map(|index| CfgError::Unreachable { block: Block::from_index(index) }));
    if errors.is_empty() {
        order.reverse();
        Ok(order)
    } else {
        Err(errors)
    }
}

/// Without cycles one round is enough: the immediate dominator of a block is the closest common ancestor of its predecessors in the
/// tree so far. Ancestors are found by jump pointers (Myers' skew-binary lists), so that no graph takes quadratic time.
fn immediate_dominators(topological: &[Block], preds: &[Vec<Block>]) -> Vec<Option<Block>> {
    // The entry is its own parent at depth 0.
    let mut tree = vec![Node { parent: Block(0), jump: Block(0), depth: 0 }; topological.len()];
    let mut idom = vec![None; topological.len()];
    for &block in topological {
        let Some(parent) = preds[block.index()].iter().copied().reduce(|a, b| common_ancestor(&tree, a, b))
        else {
            continue;
        };
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
        let module = crate::text::read(text).expect("the text is a module");
        let filter = &module.filters[0];
        let cfg = Cfg::of(filter).expect("the graph is right");
        let blocks: Vec<Block> = (0..filter.blocks.len()).map(Block::from_index).collect();
        for &b in &blocks {
            for &a in &blocks {
                assert_eq!(cfg.dominates(a, b), dominates(filter, a, b), "{a} dominates {b}");
            }
            assert!(
                cfg.preds(b).iter().all(|&pred| cfg.place(pred) < cfg.place(b)),
                "{b} is after its predecessors"
            );
            let strict = |a: &&Block| **a != b && dominates(filter, **a, b);
            let closest = blocks.iter().filter(strict).max_by_key(|a| cfg.place(**a));
            assert_eq!(cfg.idom(b), closest.copied(), "the immediate dominator of {b}");
        }
    }
}
