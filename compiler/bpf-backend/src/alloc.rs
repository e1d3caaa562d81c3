//! Linear scan: a register for each interval, or a stack slot for the whole of it.
//!
//! Intervals are taken by their start. When no register is free, the one of those at hand that is needed longest goes to the
//! stack. Stack slots are 8 bytes, 8-aligned, and are used again when their interval is over.

use oko_bpf::isa::Reg;

use crate::Registers;
use crate::error::BackendError;
use crate::live::Interval;
use crate::plan::VReg;

/// Bytes of a BPF stack frame.
const FRAME: u32 = 512;
/// Kept by calls.
const SAVED: [Reg; 4] = [Reg::R6, Reg::R7, Reg::R8, Reg::R9];
/// Lost in calls.
const LOST: [Reg; 4] = [Reg::R2, Reg::R3, Reg::R4, Reg::R5];

/// Where a virtual register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Reg(Reg),
    /// At this offset from `r10`.
    Stack(i16),
}

/// The place of every virtual register.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allocation {
    slots: Vec<Option<Slot>>,
    /// A stack slot for breaking cycles of moves.
    pub(crate) shuffle: i16,
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
    top: u32,
    registers: Registers,
    filter: &str,
) -> Result<Allocation, BackendError> {
    let (saved, lost) = match registers {
        Registers::All => (&SAVED[..], &LOST[..]),
        Registers::Few => (&SAVED[..1], &LOST[..1]),
    };
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
    // Slots are given out afterwards, by start again: which interval is spilled is known only now.
    spilled.sort_by_key(|interval| interval.start);
    let mut ends: Vec<u32> = Vec::new();
    for interval in spilled {
        let free = ends.iter().position(|&end| end < interval.start);
        let at = free.unwrap_or(ends.len());
        match free {
            Some(at) => ends[at] = interval.end,
            None => ends.push(interval.end),
        }
        let offset = top + (at as u32 + 1) * 8;
        if offset + 8 <= FRAME {
            // Below 512.
            allocation.set(interval.vreg, Slot::Stack(-(offset as i16)));
        }
    }
    let needed = top + (ends.len() as u32 + 1) * 8;
    if needed > FRAME {
        return Err(BackendError::Stack { filter: filter.into(), needed, limit: FRAME });
    }
    allocation.shuffle = -(needed as i16);
    allocation.frame = needed;
    Ok(allocation)
}
