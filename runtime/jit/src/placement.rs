//! Where functions are put, so that short loops lie in one line of the cache.
//!
//! Processors fetch code, decoded or not, by lines: a loop that lies across two of them takes two steps a turn. Of a loop over the bytes of a packet, a turn of which
//! takes a single cycle, the whole filter is a third slower then. A filter that most packets leave soon takes as many cycles as lines are fetched on
//! the way. Cranelift aligns functions and nothing in them, so what there is to choose is where a function begins.

use std::ops::Range;

use cranelift_codegen::CompiledCode;

/// Bytes of a line. Functions begin in the first one of as many that they are not moved away from.
pub(crate) const LINE: usize = 64;

/// How far from the begin of a line a function is to be put.
pub(crate) fn offset(compiled: &CompiledCode) -> usize {
    offset_for(&loops(compiled), &Blocks::of(compiled), compiled.buffer.alignment as usize)
}

/// The first offset, of those at the function's own alignment, at which most loops lie in one line, and of these one at which the fewest lines are fetched.
fn offset_for(loops: &[Range<usize>], blocks: &Blocks, alignment: usize) -> usize {
    let is_split = |at: &Range<usize>, offset| (at.start + offset) / LINE != (at.end - 1 + offset) / LINE;
    let split = |offset| loops.iter().filter(|at| is_split(at, offset)).count();
    let offsets = (0..LINE).step_by(alignment.clamp(1, LINE));
    let costs = offsets.map(|offset| (split(offset), blocks.fetches(offset), offset));
    let best = costs
        .min_by(|(split, fetches, _), (others, more, _)| split.cmp(others).then(fetches.total_cmp(more)));
    best.map_or(0, |(.., offset)| offset)
}

/// The blocks of a function in the order in which they lie, and how often each is run in one way through the function, each way of a branch being
/// taken as often as the other. Loops are run once.
struct Blocks {
    places: Vec<Range<usize>>,
    runs: Vec<f64>,
    /// How often each is come to from the one in front of it.
    from_before: Vec<f64>,
}

impl Blocks {
    fn of(compiled: &CompiledCode) -> Blocks {
        let starts: Vec<usize> = compiled.bb_starts.iter().map(|&start| start as usize).collect();
        let ends = starts.iter().skip(1).copied().chain([compiled.buffer.data().len()]);
        let places = starts.iter().zip(ends).map(|(&start, end)| start..end).collect();
        let mut ways = vec![Vec::new(); starts.len()];
        let block_at = |offset: u32| starts.binary_search(&(offset as usize)).ok();
        for &(from, to) in &compiled.bb_edges {
            if let (Some(from), Some(to)) = (block_at(from), block_at(to)) {
                ways[from].push(to);
            }
        }
        Blocks::with(places, &ways)
    }

    fn with(places: Vec<Range<usize>>, ways: &[Vec<usize>]) -> Blocks {
        let (mut runs, mut from_before) = (vec![0.0; places.len()], vec![0.0; places.len()]);
        let order = in_order(ways);
        let mut rank = vec![usize::MAX; places.len()];
        order.iter().enumerate().for_each(|(at, &block)| rank[block] = at);
        if let Some(first) = runs.first_mut() {
            *first = 1.0;
        }
        for &block in &order {
            let on = ways[block].iter().filter(|&&to| rank[to] > rank[block]);
            let share = runs[block] / on.clone().count().max(1) as f64;
            for &to in on {
                runs[to] += share;
                if to == block + 1 {
                    from_before[to] += share;
                }
            }
        }
        Blocks { places, runs, from_before }
    }

    /// How many lines are fetched on the way, if the function begins so far from the begin of a line.
    fn fetches(&self, offset: usize) -> f64 {
        let blocks = self.places.iter().zip(&self.runs).zip(&self.from_before);
        let fetches = blocks.map(|((place, runs), from_before)| {
            let (start, last) = (place.start + offset, place.end.max(place.start + 1) - 1 + offset);
            let lines = last / LINE - start / LINE + 1;
            // Whoever comes from the block in front has the line already in which that ends.
            let shared = if start.is_multiple_of(LINE) { 0.0 } else { *from_before };
            runs * lines as f64 - shared
        });
        fetches.sum()
    }
}

/// The blocks that can be reached from the first one, each before those that it leads to, but where a loop goes back.
fn in_order(ways: &[Vec<usize>]) -> Vec<usize> {
    let (mut order, mut seen) = (Vec::with_capacity(ways.len()), vec![false; ways.len()]);
    let mut open: Vec<(usize, usize)> = Vec::new();
    if let Some(first) = seen.first_mut() {
        *first = true;
        open.push((0, 0));
    }
    while let Some((block, next)) = open.last_mut() {
        let (block, way) = (*block, ways[*block].get(*next));
        *next += 1;
        match way {
            Some(&to) => {
                if !std::mem::replace(&mut seen[to], true) {
                    open.push((to, 0));
                }
            }
            None => {
                order.push(block);
                open.pop();
            }
        }
    }
    order.reverse();
    order
}

/// The loops that fit into a line: from the block that is jumped back to, to the end of the one that does so.
fn loops(compiled: &CompiledCode) -> Vec<Range<usize>> {
    let len = compiled.buffer.data().len();
    let back = compiled.bb_edges.iter().filter(|(from, to)| to <= from);
    let found = back.map(|&(from, to)| {
        // They are in order.
        let next = compiled.bb_starts.partition_point(|&start| start <= from);
        to as usize..compiled.bb_starts.get(next).map_or(len, |&start| start as usize)
    });
    found.filter(|at| (1..=LINE).contains(&at.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offset for loops that begin and end at these places.
    fn of(loops: &[(usize, usize)], alignment: usize) -> usize {
        let loops: Vec<_> = loops.iter().map(|&(start, end)| start..end).collect();
        offset_for(&loops, &Blocks::with(Vec::new(), &[]), alignment)
    }

    #[test]
    fn loops_are_moved_into_lines() {
        assert_eq!(of(&[], 16), 0);
        assert_eq!(of(&[(70, 100)], 16), 0);
        assert_eq!(of(&[(50, 100)], 16), 16);
        // Two that want different ones, and two that one offset serves.
        assert_eq!(of(&[(0, 64), (100, 140)], 16), 0);
        assert_eq!(of(&[(0x6d, 0x90), (0x9a, 0xc2)], 16), 48);
        // What must lie at multiples of 32 stays there.
        assert_eq!([of(&[(40, 80)], 32), of(&[(50, 100)], 32)], [32, 0]);
    }

    #[test]
    fn blocks_that_all_pass_are_moved_into_lines() {
        // A head that leads to an end or past it to another block; all come to the last one.
        let (head, end, other, last) = (56..80, 80..90, 200..230, 230..250);
        let ways = [vec![1, 2], vec![3], vec![3], Vec::new()];
        let blocks = Blocks::with(vec![head, end, other, last], &ways);
        assert_eq!(blocks.runs, [1.0, 0.5, 0.5, 1.0]);
        assert_eq!(blocks.from_before, [0.0, 0.5, 0.0, 0.5]);
        // The head lies across two lines, half of all are in the second one of these already; and the last block begins in the line of the one in front of it.
        assert_eq!(blocks.fetches(0), 2.0 + 0.5 - 0.5 + 0.5 + 1.0 - 0.5);
        assert_eq!(blocks.fetches(16), 1.0 + 0.5 - 0.5 + 0.5 + 2.0 - 0.5);
        assert_eq!(blocks.fetches(32), 1.0 + 0.5 - 0.5 + 1.0 + 1.0 - 0.5);
        assert_eq!(offset_for(&[], &blocks, 16), 32);
        // Loops come first.
        assert_eq!(offset_for(&[90..110, 40..50], &blocks, 16), 0);
    }

    #[test]
    fn blocks_come_behind_those_that_lead_to_them() {
        assert_eq!(in_order(&[]), Vec::<usize>::new());
        // A loop from 2 back to 1, and a block that nothing leads to.
        let order = in_order(&[vec![1], vec![2, 3], vec![1], Vec::new(), vec![3]]);
        assert_eq!(order.len(), 4);
        let at = |block| order.iter().position(|&found| found == block).unwrap();
        assert!(at(0) < at(1) && at(1) < at(2) && at(1) < at(3));
    }
}
