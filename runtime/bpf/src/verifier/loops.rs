//! The loops of a function, and an order of its slots that keeps them together.
//!
//! What holds here: every loop is a *natural* one: all ways into it lead through its header. Two loops are nested or share
//! no slot. In the order, what a loop holds comes behind its header without a gap, and where the loop begins anew has a
//! position of its own behind all of it; so whoever takes positions in order finishes one round before the next begins,
//! and all rounds before what comes after the loop.

use std::ops::Range;

use super::{cfg::At, error::Reason};
use crate::isa::Insn;

/// Loops of a function, at most.
const MAX_LOOPS: usize = 1024;
/// Slots in all loops of a function together, a slot counted for each loop that it is in.
const MAX_LOOP_SLOTS: usize = 1 << 20;

/// Marks a slot that is in no loop.
const NONE: u32 = u32::MAX;

/// A loop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Loop {
    /// The slot that all ways in lead to.
    pub(crate) header: usize,
    /// Its slots, the header included, in no order.
    pub(crate) slots: Vec<usize>,
    /// The slots that jump back to the header.
    pub(crate) latches: Vec<usize>,
}

/// The positions of the slots of a function, and where loops begin anew.
pub(crate) struct Order {
    /// The slots in order.
    pub(crate) slots: Vec<usize>,
    /// For each slot of the function its position.
    pub(crate) position: Vec<u32>,
    /// For each header the position at which its loop begins anew; for other slots 0.
    pub(crate) again: Vec<u32>,
}

/// Finds the loops, given the jumps that lead back (from, to) and the slots of a function all of which can be reached.
pub(crate) fn find(insns: &[Insn], function: &Range<usize>, back: &[(usize, usize)]) -> At<Vec<Loop>> {
    let mut loops: Vec<Loop> = Vec::new();
    for &(latch, header) in back {
        if let Some(found) = loops.iter_mut().find(|other| other.header == header) {
            found.latches.push(latch);
        } else if loops.len() == MAX_LOOPS {
            return Err((header, Reason::TooManyLoops));
        } else {
            loops.push(Loop { header, slots: Vec::new(), latches: vec![latch] });
        }
    }
    if loops.is_empty() {
        return Ok(loops);
    }
    let before = predecessors(insns, function);
    let mut total = 0;
    for found in &mut loops {
        let mut inside = vec![false; function.len()];
        inside[found.header - function.start] = true;
        found.slots.push(found.header);
        let mut open = found.latches.clone();
        while let Some(slot) = open.pop() {
            if std::mem::replace(&mut inside[slot - function.start], true) {
                continue;
            }
            // A way in that does not lead through the header: then the function's entry is found.
            if slot == function.start {
                return Err((found.latches[0], Reason::LoopEntry { target: found.header }));
            }
            found.slots.push(slot);
            total += 1;
            open.extend(&before[slot - function.start]);
        }
        if total > MAX_LOOP_SLOTS {
            return Err((found.header, Reason::TooManyLoops));
        }
    }
    Ok(loops)
}

fn predecessors(insns: &[Insn], function: &Range<usize>) -> Vec<Vec<usize>> {
    let mut before = vec![Vec::new(); function.len()];
    for slot in function.clone().filter(|&slot| insns[slot] != Insn::HighHalf) {
        for next in insns[slot].successors(slot).into_iter().flatten() {
            before[next - function.start].push(slot);
        }
    }
    before
}

/// Orders the slots of a function, given its loops and the jumps that lead back, sorted. All other edges go forward in it.
pub(crate) fn order(
    insns: &[Insn],
    function: &Range<usize>,
    loops: &[Loop],
    back: &[(usize, usize)],
) -> Order {
    let local = |slot: usize| slot - function.start;
    let home = homes(function, loops);
    let mut headed = vec![NONE; function.len()];
    for (index, found) in (0..).zip(loops) {
        headed[local(found.header)] = index;
    }
    let is_back = |from: usize, to: usize| back.binary_search(&(from, to)).is_ok();

    let mut waiting = vec![0u32; function.len()];
    let live = || function.clone().filter(|&slot| insns[slot] != Insn::HighHalf);
    for slot in live() {
        for next in insns[slot].successors(slot).into_iter().flatten().filter(|&next| !is_back(slot, next)) {
            waiting[local(next)] += 1;
        }
    }
    // What is ready, for each loop that is open; the last list is for slots outside of loops.
    let mut ready: Vec<Vec<usize>> = vec![Vec::new(); loops.len() + 1];
    let outside = loops.len();
    let list_of = |slot: usize| match home[local(slot)] {
        NONE => outside,
        index => index as usize,
    };
    let mut order = Order {
        slots: Vec::with_capacity(function.len()),
        position: vec![0; function.len()],
        again: vec![0; function.len()],
    };
    let mut counter = 0;
    let mut next_position = || {
        counter += 1;
        counter
    };
    ready[outside].push(function.start);
    let mut open = vec![outside];
    while let Some(&innermost) = open.last() {
        let Some(slot) = ready[innermost].pop() else {
            open.pop();
            if innermost != outside {
                order.again[local(loops[innermost].header)] = next_position();
            }
            continue;
        };
        order.position[local(slot)] = next_position();
        order.slots.push(slot);
        if headed[local(slot)] != NONE {
            open.push(headed[local(slot)] as usize);
        }
        for next in insns[slot].successors(slot).into_iter().flatten().filter(|&next| !is_back(slot, next)) {
            waiting[local(next)] -= 1;
            if waiting[local(next)] == 0 {
                ready[list_of(next)].push(next);
            }
        }
    }
    order
}

/// For each slot the innermost loop that it is in; of a header, the one around its own.
fn homes(function: &Range<usize>, loops: &[Loop]) -> Vec<u32> {
    let mut by_size: Vec<usize> = (0..loops.len()).collect();
    by_size.sort_by_key(|&index| std::cmp::Reverse(loops[index].slots.len()));
    let mut home = vec![NONE; function.len()];
    for index in by_size {
        for &slot in loops[index].slots.iter().filter(|&&slot| slot != loops[index].header) {
            home[slot - function.start] = index as u32;
        }
    }
    home
}
