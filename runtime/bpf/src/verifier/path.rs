//! The steps of a path that matter for an error: a backward slice.
//!
//! From the registers that the failing instruction reads, the path is followed backwards; an instruction that wrote one
//! of them matters, and so does what it read in turn. Loads from the stack lead to the store they read. Conditional jumps
//! matter if they tested such a register, or all of them if the packet may be too short. It does not follow map values.

use super::{
    cfg::uses,
    error::{PathStep, Reason},
};
use crate::{
    isa::{Insn, Reg},
    program::Program,
};

/// The most steps that are shown; the last ones.
const SHOWN: usize = 16;

/// The relevant steps before the last slot of `path`.
pub(crate) fn relevant(program: &Program, path: &[usize], reason: &Reason) -> Vec<PathStep> {
    let Some((&failing, before)) = path.split_last() else { return Vec::new() };
    let insns = &program.insns;
    let mut wanted = uses(&insns[failing]).0;
    let mut slots: Vec<i16> = load_slot(&insns[failing]).into_iter().collect();
    let mut steps = Vec::new();
    // What is known of the packet's length comes from comparisons of other registers.
    let all_branches = matches!(reason, Reason::PacketBounds { .. });
    // The registers of callers and callees are different ones; at a call the slice keeps to the arguments.
    let mut next = failing;
    for &pc in before.iter().rev() {
        let insn = &insns[pc];
        let (reads, writes) = uses(insn);
        let stored = match insn {
            Insn::Store { base: Reg::R10, off, .. } if slots.contains(off) => Some(*off),
            _ => None,
        };
        let branches = matches!(insn, Insn::Branch { .. });
        if writes & wanted != 0 || stored.is_some() || branches && (all_branches || reads & wanted != 0) {
            if let Some(off) = stored {
                slots.retain(|slot| *slot != off);
            }
            if !matches!(insn, Insn::CallLocal { .. }) {
                wanted &= !writes;
            }
            wanted |= reads & !(1 << Reg::R10.index());
            slots.extend(load_slot(insn));
            let [fall, jump] = insns[pc].successors(pc);
            let taken = branches.then_some(fall != Some(next) || jump == fall);
            steps.push(PathStep {
                slot: pc,
                insn: insn.to_string(),
                taken,
                source_line: program.line_of(pc).cloned(),
            });
            if steps.len() == SHOWN {
                break;
            }
        }
        next = pc;
    }
    steps.reverse();
    steps
}

/// The stack slot that a load reads directly.
fn load_slot(insn: &Insn) -> Option<i16> {
    match insn {
        Insn::Load { base: Reg::R10, off, .. } => Some(*off),
        _ => None,
    }
}
