//! Where functions are put, so that short loops lie in one line of the cache.
//!
//! Processors fetch code, decoded or not, by lines: a loop that lies across two of them takes two steps a turn. Of a loop over the bytes of a packet, a turn of which
//! takes a single cycle, the whole filter is a third slower then. Cranelift aligns functions and nothing in them, so what
//! there is to choose is where a function begins.

use std::ops::Range;

use cranelift_codegen::CompiledCode;

/// Bytes of a line. Functions begin in the first one of as many that they are not moved away from.
pub(crate) const LINE: usize = 64;

/// How far from the begin of a line a function is to be put.
pub(crate) fn offset(compiled: &CompiledCode) -> usize {
    offset_for(&loops(compiled), compiled.buffer.alignment as usize)
}

/// The first offset, of those at the function's own alignment, at which most loops lie in one line.
fn offset_for(loops: &[Range<usize>], alignment: usize) -> usize {
    let is_split = |at: &Range<usize>, offset| (at.start + offset) / LINE != (at.end - 1 + offset) / LINE;
    let split = |offset: &usize| loops.iter().filter(|at| is_split(at, *offset)).count();
    (0..LINE).step_by(alignment.clamp(1, LINE)).min_by_key(split).unwrap_or(0)
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
        offset_for(&loops, alignment)
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
}
