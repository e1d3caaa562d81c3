//! What the blocks from some block on use and do not define: a way that leads there has to bring it along.
//!
//! Which block a way should lead to is found out from its end backwards. There, each block leads to the next one, so what was found of that one holds, and
//! only what is new has to be looked at: all ways of a walk together take one pass over the code.

use super::{MOST_SHARED, Walk, reach};
use crate::entities::{Block, Value};

pub(super) struct Behind<'a> {
    walk: &'a Walk<'a>,
    /// By block: whether it can be reached.
    reached: Vec<bool>,
    /// By value: whether it is defined in a block that can be reached.
    defined: Vec<bool>,
    /// By value: whether it was used before a block was reached that defines it.
    used: Vec<bool>,
    /// How many values are used and not defined, and the walk does not know them.
    unknown: usize,
    /// How many it knows that are no constants.
    shared: usize,
}

impl<'a> Behind<'a> {
    /// No block yet.
    pub(super) fn of(walk: &'a Walk<'a>) -> Behind<'a> {
        let filter = walk.filter;
        Behind {
            walk,
            reached: vec![false; filter.blocks.len()],
            defined: vec![false; filter.values.len()],
            used: vec![false; filter.values.len()],
            unknown: 0,
            shared: 0,
        }
    }

    /// Begins at a block that leads to where it began up to now. Gives how many blocks are reached that were not.
    pub(super) fn extend(&mut self, from: Block) -> usize {
        let filter = self.walk.filter;
        let new = reach(filter, from, &mut self.reached);
        for &block in &new {
            for value in filter.blocks[block.index()].defined() {
                self.defined[value.index()] = true;
                if self.used[value.index()]
                    && let Some(count) = self.count_of(value)
                {
                    *count -= 1;
                }
            }
        }
        for &block in &new {
            let data = &filter.blocks[block.index()];
            let mut used = |value: Value| {
                if !self.defined[value.index()]
                    && !std::mem::replace(&mut self.used[value.index()], true)
                    && let Some(count) = self.count_of(value)
                {
                    *count += 1;
                }
            };
            data.insts.iter().for_each(|inst| inst.op.for_each_operand(&mut used));
            data.term.kind.for_each_operand(used);
        }
        new.len()
    }

    /// Where a value is counted while it is used and not defined.
    fn count_of(&mut self, value: Value) -> Option<&mut usize> {
        if self.walk.of(value).given().is_none() {
            Some(&mut self.unknown)
        } else if self.walk.constants[value.index()].is_some() {
            None
        } else {
            Some(&mut self.shared)
        }
    }

    /// Whether all that is used and not defined can be brought along.
    pub(super) fn can_be_given(&self) -> bool {
        self.unknown == 0 && self.shared <= MOST_SHARED
    }

    /// What is used and not defined, in the order of its numbers.
    pub(super) fn values(&self) -> impl Iterator<Item = Value> {
        (0..)
            .map(Value)
            .zip(self.used.iter().zip(&self.defined))
            .filter_map(|(value, (used, defined))| (*used && !defined).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MOST_BLOCKS, SAMPLES, Straight, walk};
    use super::*;
    use crate::cfg::Cfg;
    use crate::{text, verify};
    use oko_ir::testing::chain::chain;

    fn with_walk<T>(text: &str, check: impl FnOnce(Walk<'_>, Vec<Straight>) -> T) -> T {
        let checked = verify(text::read(text).unwrap()).unwrap();
        let filter = &checked.module().filters[0];
        let (cfg, constants) = (Cfg::of(filter).unwrap(), filter.constants());
        let mut walk = walk(filter, &cfg, &constants, SAMPLES[0]);
        let ways = walk.ways();
        check(walk, ways)
    }

    #[test]
    fn however_long_the_way_is_each_block_is_looked_at_once() {
        for blocks in [10, 1_000, 4_000] {
            with_walk(&chain(blocks, 1, 0), |walk, ways| {
                // The first one leads to the third block: two bytes that decide are no reason.
                assert_eq!(ways.len(), MOST_BLOCKS.min(blocks as usize + 4) - 2);
                let mut behind = Behind::of(&walk);
                let looked_at: usize = ways.iter().rev().map(|way| behind.extend(way.target)).sum();
                // All but the first three.
                assert_eq!(looked_at, walk.filter.blocks.len() - 3);
            });
        }
    }

    #[test]
    fn what_is_found_from_the_end_on_is_what_is_found_at_once() {
        for loads in [0, 3, 40] {
            with_walk(&chain(50, 1, loads), |walk, ways| {
                let mut behind = Behind::of(&walk);
                for way in ways.iter().rev() {
                    behind.extend(way.target);
                    let mut fresh = Behind::of(&walk);
                    fresh.extend(way.target);
                    assert!(behind.values().eq(fresh.values()), "{:?}", way.target);
                    assert_eq!((behind.unknown, behind.shared), (fresh.unknown, fresh.shared));
                }
            });
        }
    }

    #[test]
    fn a_way_ends_where_it_does_not_bring_too_much_along() {
        let target = |loads| {
            with_walk(&chain(50, 1, loads), |walk, ways| {
                let mut behind = Behind::of(&walk);
                ways.into_iter().rev().find_map(|way| {
                    behind.extend(way.target);
                    behind.can_be_given().then_some(way.target)
                })
            })
        };
        // Bytes are known where they come from, what is made of them is not.
        assert_eq!(target(30), Some(Block(5)));
        assert_eq!(target(40), Some(Block(3)));
    }
}
