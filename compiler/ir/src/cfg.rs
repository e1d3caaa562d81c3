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

/// The algorithm of Cooper, Harvey and Kennedy, which needs a single round without cycles.
fn immediate_dominators(topological: &[Block], preds: &[Vec<Block>]) -> Vec<Option<Block>> {
    let mut place = vec![0; topological.len()];
    for (index, block) in topological.iter().enumerate() {
        place[block.index()] = index;
    }
    let mut idom: Vec<Option<Block>> = vec![None; topological.len()];
    for &block in topological {
        idom[block.index()] = preds[block.index()].iter().copied().reduce(|mut a, mut b| {
            while a != b {
                let lower = if place[a.index()] > place[b.index()] { &mut a } else { &mut b };
                // The entry has the least place, so it is never the lower of two different blocks.
                *lower = idom[lower.index()].unwrap_or(Block(0));
            }
            a
        });
    }
    idom
}
