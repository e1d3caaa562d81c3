//! Linear scan: a register for each interval, or a stack slot for the whole of it.
//!
//! Intervals are taken by their start. When no register is free, the one of those at hand that is needed longest goes to the
//! stack. Stack slots are 8 bytes, 8-aligned, and are used again when their interval is over.
//!
//! If the frame is too small for that, all is done again with a *spill area* in a map: the frame keeps its address, [`SPILL_BASE`] is for
//! reaching it, and numbers that find no place in the frame go there. Addresses and the counters of loops have the frame for themselves
//! before: verifiers lose track of what goes through a map.

use oko_bpf::isa::Reg;

use crate::Registers;
use crate::error::BackendError;
use crate::live::Interval;
use crate::plan::{Plan, VReg};

/// Bytes of a BPF stack frame.
const FRAME: u32 = 512;
/// What the kernel takes of it where loops have guards, to count and to look at the clock.
const GUARDS: u32 = 16;
/// Kept by calls.
const SAVED: [Reg; 4] = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
/// Lost in calls.
const LOST: [Reg; 4] = [Reg::R2, Reg::R3, Reg::R4, Reg::R5];
/// Holds the address of the spill area for the moment, in filters that have one.
pub(crate) const SPILL_BASE: Reg = Reg::R5;

/// Where a virtual register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Reg(Reg),
    /// At this offset from `r10`.
    Stack(i16),
    /// At this offset in the spill area.
    Far(i16),
}

/// The place of every virtual register.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allocation {
    slots: Vec<Option<Slot>>,
    /// A stack slot for breaking cycles of moves.
    pub(crate) shuffle: i16,
    /// The stack slot with the address of the spill area, if there is one.
    pub(crate) spill_base: Option<i16>,
    /// Bytes of the spill area.
    pub(crate) spill_bytes: u32,
    /// Bytes of the frame in use.
    pub(crate) frame: u32,
}

impl Allocation {
    /// Where a virtual register is; none if nothing needs it.
    pub(crate) fn slot(&self, vreg: VReg) -> Option<Slot> {
        self.slots.get(vreg.index()).copied().flatten()
    }

    fn set(&mut self, vreg: VReg, slot: Slot) {
        if self.slots.len() <= vreg.index() {
            self.slots.resize(vreg.index() + 1, None);
        }
        self.slots[vreg.index()] = Some(slot);
    }
}

/// Gives out registers and stack slots; the topmost `top` bytes of the frame are taken.
pub(crate) fn allocate(
    intervals: &[Interval],
    plan: &Plan<'_>,
    top: u32,
    registers: Registers,
) -> Result<Allocation, BackendError> {
    let (saved, lost) = match registers {
        Registers::All => (&SAVED[..], &LOST[..]),
        Registers::Few => (&SAVED[..1], &LOST[..1]),
    };
    let (mut allocation, mut spilled) = registers_for(intervals, saved, lost);
    // Slots are given out afterwards, by start again: which interval is spilled is known only now.
    spilled.sort_by_key(|interval| interval.start);
    let slots = slots_for(&spilled);
    let count = slots.iter().max().map_or(0, |&most| most + 1);
    let needed = top + (count + 1) * 8;
    if needed <= frame_of(plan) {
        for (interval, at) in spilled.iter().zip(slots) {
            allocation.set(interval.vreg, Slot::Stack(stack_slot(top, at)));
        }
        allocation.shuffle = stack_slot(top, count);
        allocation.frame = needed;
        return Ok(allocation);
    }
    let lost: Vec<Reg> = lost.iter().copied().filter(|reg| *reg != SPILL_BASE).collect();
    let (allocation, spilled) = registers_for(intervals, saved, &lost);
    with_spill_area(allocation, spilled, plan, top)
}

/// Bytes of the frame that a filter has for itself.
fn frame_of(plan: &Plan<'_>) -> u32 {
    if plan.guarded { FRAME - GUARDS } else { FRAME }
}

/// The offset of the stack slot of this number.
fn stack_slot(top: u32, number: u32) -> i16 {
    // Below 512.
    -((top + (number + 1) * 8) as i16)
}

/// Puts what is spilled into the frame as far as there is room, the rest into the spill area.
fn with_spill_area(
    mut allocation: Allocation,
    mut spilled: Vec<Interval>,
    plan: &Plan<'_>,
    top: u32,
) -> Result<Allocation, BackendError> {
    spilled.sort_by_key(|interval| interval.start);
    // One slot for cycles of moves, one for the address of the area.
    let limit = frame_of(plan);
    let room = (limit - top) / 8 - 2;
    let (near, far): (Vec<_>, Vec<_>) =
        spilled.into_iter().partition(|interval| plan.stays_near(interval.vreg));
    let near_slots = slots_for(&near);
    let taken = near_slots.iter().max().map_or(0, |&most| most + 1);
    if taken > room {
        let (filter, needed) = (plan.filter.name.clone(), top + (taken + 2) * 8);
        return Err(BackendError::Stack { filter, needed, limit });
    }
    for (interval, at) in near.iter().zip(near_slots) {
        allocation.set(interval.vreg, Slot::Stack(stack_slot(top, at)));
    }
    let far_slots = slots_for(&far);
    for (interval, at) in far.iter().zip(&far_slots) {
        let slot = match taken + at < room {
            true => Slot::Stack(stack_slot(top, taken + at)),
            false => {
                let off = (taken + at - room) * 8;
                let off = i16::try_from(off).map_err(|_| BackendError::Stack {
                    filter: plan.filter.name.clone(),
                    needed: off,
                    limit: i16::MAX as u32,
                })?;
                allocation.spill_bytes = allocation.spill_bytes.max(off as u32 + 8);
                Slot::Far(off)
            }
        };
        allocation.set(interval.vreg, slot);
    }
    allocation.spill_base = Some(stack_slot(top, room));
    allocation.shuffle = stack_slot(top, room + 1);
    allocation.frame = top + (room + 2) * 8;
    Ok(allocation)
}

/// A number for each interval, so that those with the same one do not overlap. They come by their start.
fn slots_for(intervals: &[Interval]) -> Vec<u32> {
    let mut ends: Vec<u32> = Vec::new();
    let number = |interval: &Interval| {
        let free = ends.iter().position(|&end| end < interval.start);
        let at = free.unwrap_or(ends.len());
        match free {
            Some(at) => ends[at] = interval.end,
            None => ends.push(interval.end),
        }
        at as u32
    };
    intervals.iter().map(number).collect()
}

/// Gives out registers; gives what found none, too.
fn registers_for(intervals: &[Interval], saved: &[Reg], lost: &[Reg]) -> (Allocation, Vec<Interval>) {
    let mut allocation = Allocation::default();
    let mut active: Vec<(Interval, Reg)> = Vec::new();
    let mut spilled: Vec<Interval> = Vec::new();
    for &interval in intervals {
        active.retain(|(other, _)| other.end >= interval.start);
        let is_free = |reg: &Reg| active.iter().all(|(_, taken)| taken != reg);
        let lost = lost.iter().filter(|_| !interval.crosses_call);
        if let Some(&reg) = lost.chain(saved).find(|reg| is_free(reg)) {
            allocation.set(interval.vreg, Slot::Reg(reg));
            active.push((interval, reg));
            continue;
        }
        // A saved register serves every interval; a lost one only those without calls.
        let usable = |reg: Reg| !interval.crosses_call || SAVED.contains(&reg);
        let longest = (0..active.len()).filter(|&at| usable(active[at].1)).max_by_key(|&at| active[at].0.end);
        match longest {
            Some(at) if active[at].0.end > interval.end => {
                let (other, reg) = active[at];
                spilled.push(other);
                allocation.set(interval.vreg, Slot::Reg(reg));
                active[at] = (interval, reg);
            }
            _ => spilled.push(interval),
        }
    }
    (allocation, spilled)
}
