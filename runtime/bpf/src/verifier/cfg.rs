//! The control-flow graph: functions, order, liveness, and the longest path.
//!
//! What [`Graph::new`] finds out holds for the rest of the verifier:
//! - Every jump and call lands on the first slot of an instruction, jumps inside of their function.
//! - No path runs off a function's end, every slot is reachable from its function's entry (ignoring conditions), and
//!   every function but the entry is called.
//! - Every loop has one header ([`super::loops`]); there is no recursion, and calls are at most [`MAX_FRAMES`] deep.
//!
//! It does not look at values: a branch that is never taken counts as one that is.

use std::{collections::BTreeSet, ops::Range};

use super::{
    error::Reason,
    loops::{self, Loop},
};
use crate::{
    helper::Helper,
    interp::MAX_FRAMES,
    isa::{AluOp, AtomicOp, Insn, Operand, Reg},
};

/// An error before any state exists: where and why.
pub(crate) type At<T> = Result<T, (usize, Reason)>;

pub(crate) struct Graph {
    /// The slots of each function, by entry; the program's entry first.
    pub(crate) functions: Vec<Range<usize>>,
    /// For each slot its position in an order of its function in which all edges but those of loops lead forward.
    pub(crate) order: Vec<u32>,
    /// For each header of a loop the position at which the loop begins anew.
    pub(crate) again: Vec<u32>,
    /// The loops of all functions.
    pub(crate) loops: Vec<Loop>,
    /// For each slot whether several edges lead to it.
    pub(crate) is_join: Vec<bool>,
    /// For each slot a bit for each register that may be read before it is written, from there on.
    pub(crate) live: Vec<u16>,
    /// For each function the longest path through it, callees included; without meaning if there are loops.
    pub(crate) max_steps: Vec<u64>,
    /// The functions in an order in which callees come before callers.
    pub(crate) callees_first: Vec<usize>,
}

impl Graph {
    pub(crate) fn new(insns: &[Insn]) -> At<Graph> {
        let functions = functions(insns)?;
        let mut graph = Graph {
            order: vec![0; insns.len()],
            again: vec![0; insns.len()],
            loops: Vec::new(),
            is_join: vec![false; insns.len()],
            live: vec![0; insns.len()],
            max_steps: vec![0; functions.len()],
            callees_first: Vec::new(),
            functions,
        };
        for function in graph.functions.clone() {
            let ordered = graph.sort(insns, function)?;
            graph.liveness(insns, &ordered);
        }
        graph.callees_first = graph.call_order(insns)?;
        for function in graph.callees_first.clone() {
            graph.max_steps[function] = graph.longest_path(insns, function);
        }
        Ok(graph)
    }

    /// The function that is entered at a slot.
    pub(crate) fn function_at(&self, entry: usize) -> Option<usize> {
        self.functions.binary_search_by_key(&entry, |function| function.start).ok()
    }

    /// Orders the slots of a function; its jumps and its end are checked on the way.
    fn sort(&mut self, insns: &[Insn], function: Range<usize>) -> At<Vec<usize>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; function.len()];
        let mut back = Vec::new();
        let mut stack = vec![(function.start, 0)];
        marks[0] = Mark::Open;
        let mut edges = vec![0u32; function.len()];
        while let Some((pc, branch)) = stack.pop() {
            let Some(next) = insns[pc].successors(pc).get(branch).copied() else {
                marks[pc - function.start] = Mark::Done;
                continue;
            };
            stack.push((pc, branch + 1));
            let Some(next) = next else { continue };
            if !function.contains(&next) {
                let falls = branch == 0 && !matches!(insns[pc], Insn::Jump { .. });
                let reason =
                    if falls { Reason::FallsOff } else { Reason::JumpBetweenFunctions { target: next } };
                return Err((pc, reason));
            }
            if insns[next] == Insn::HighHalf {
                return Err((pc, Reason::JumpIntoWideLoad { target: next }));
            }
            edges[next - function.start] += 1;
            match marks[next - function.start] {
                Mark::New => {
                    marks[next - function.start] = Mark::Open;
                    stack.push((next, 0));
                }
                Mark::Open => back.push((pc, next)),
                Mark::Done => {}
            }
        }
        let unreached = function
            .clone()
            .find(|&slot| marks[slot - function.start] == Mark::New && insns[slot] != Insn::HighHalf);
        if let Some(slot) = unreached {
            return Err((slot, Reason::Unreachable));
        }
        back.sort_unstable();
        back.dedup();
        let found = loops::find(insns, &function, &back)?;
        let loops::Order { slots, position, again } = loops::order(insns, &function, &found, &back);
        self.order[function.clone()].copy_from_slice(&position);
        self.again[function.clone()].copy_from_slice(&again);
        for &pc in &slots {
            self.is_join[pc] = edges[pc - function.start] > 1;
        }
        for found in &found {
            // The function's entry has one edge less than it looks.
            self.is_join[found.header] = true;
        }
        self.loops.extend(found);
        Ok(slots)
    }

    /// Whether the edge, inside of a function, begins a loop anew.
    pub(crate) fn leads_back(&self, from: usize, to: usize) -> bool {
        self.again[to] != 0 && self.order[from] >= self.order[to]
    }

    fn liveness(&mut self, insns: &[Insn], ordered: &[usize]) {
        // Without loops once is enough; what a loop adds has to go round.
        loop {
            let mut changed = false;
            for &pc in ordered.iter().rev() {
                let after = insns[pc]
                    .successors(pc)
                    .into_iter()
                    .flatten()
                    .fold(0, |live, next| live | self.live[next]);
                let (reads, writes) = uses(&insns[pc]);
                let live = after & !writes | reads;
                changed |= std::mem::replace(&mut self.live[pc], live) != live;
            }
            if !changed || self.loops.is_empty() {
                return;
            }
        }
    }

    fn calls(&self, insns: &[Insn], function: usize) -> Vec<(usize, usize)> {
        self.functions[function]
            .clone()
            .filter_map(|pc| Some((pc, self.function_at(insns[pc].call_target(pc)?)?)))
            .collect()
    }

    /// Orders the functions; refuses recursion and chains of calls that are too deep.
    fn call_order(&self, insns: &[Insn]) -> At<Vec<usize>> {
        let calls: Vec<_> = (0..self.functions.len()).map(|function| self.calls(insns, function)).collect();
        let mut depth = vec![None::<usize>; calls.len()];
        let mut open = vec![false; calls.len()];
        let mut order = Vec::new();
        let mut stack = vec![(0, 0)];
        open[0] = true;
        while let Some((function, index)) = stack.pop() {
            let Some(&(site, callee)) = calls[function].get(index) else {
                let below = calls[function].iter().filter_map(|(_, callee)| depth[*callee]).max();
                depth[function] = Some(below.unwrap_or(0) + 1);
                open[function] = false;
                order.push(function);
                continue;
            };
            stack.push((function, index + 1));
            if open[callee] {
                return Err((site, Reason::Recursion));
            }
            if depth[callee].is_none() {
                open[callee] = true;
                stack.push((callee, 0));
            }
        }
        match depth[0] {
            Some(depth) if depth > MAX_FRAMES => Err((0, Reason::CallDepth { depth })),
            _ => Ok(order),
        }
    }

    /// The bytes of stack on the deepest chain of calls, given those of each function.
    pub(crate) fn deepest_stack(&self, insns: &[Insn], frames: &[u32]) -> u32 {
        let mut total = vec![0u32; frames.len()];
        for &function in &self.callees_first {
            let below = self.calls(insns, function).into_iter().map(|(_, callee)| total[callee]).max();
            total[function] = below.unwrap_or(0).saturating_add(frames[function]);
        }
        total.first().copied().unwrap_or(0)
    }

    /// The longest path, not counting jumps that lead back.
    fn longest_path(&self, insns: &[Insn], function: usize) -> u64 {
        let mut slots: Vec<usize> =
            self.functions[function].clone().filter(|&pc| insns[pc] != Insn::HighHalf).collect();
        slots.sort_by_key(|&pc| std::cmp::Reverse(self.order[pc]));
        let start = self.functions[function].start;
        let mut steps = vec![0u64; self.functions[function].len()];
        for pc in slots {
            let rest = insns[pc].successors(pc).into_iter().flatten().map(|next| steps[next - start]).max();
            let callee = insns[pc].call_target(pc).and_then(|target| self.function_at(target));
            let inside = callee.map_or(0, |callee| self.max_steps[callee]);
            steps[pc - start] = rest.unwrap_or(0).saturating_add(inside).saturating_add(1);
        }
        steps[0]
    }
}

/// Splits the program at the targets of its local calls.
fn functions(insns: &[Insn]) -> At<Vec<Range<usize>>> {
    if insns.is_empty() {
        return Err((0, Reason::Empty));
    }
    let mut entries = BTreeSet::from([0]);
    for (pc, insn) in insns.iter().enumerate() {
        if matches!(insn, Insn::CallLocal { .. }) {
            let target = insn.call_target(pc).filter(|&target| target < insns.len());
            let target = target.ok_or((pc, Reason::JumpOutside { slots: insns.len() }))?;
            if insns[target] == Insn::HighHalf {
                return Err((pc, Reason::JumpIntoWideLoad { target }));
            }
            entries.insert(target);
        }
        if insn.jump_offset().is_some() && insn.jump_target(pc).is_none_or(|target| target >= insns.len()) {
            return Err((pc, Reason::JumpOutside { slots: insns.len() }));
        }
        let follows_load = pc > 0 && matches!(insns[pc - 1], Insn::LoadImm64 { .. });
        if (*insn == Insn::HighHalf) != follows_load {
            return Err((pc, Reason::TornWideLoad));
        }
    }
    if matches!(insns.last(), Some(Insn::LoadImm64 { .. })) {
        return Err((insns.len() - 1, Reason::TornWideLoad));
    }
    let ends = entries.iter().copied().skip(1).chain([insns.len()]);
    Ok(entries.iter().copied().zip(ends).map(|(start, end)| start..end).collect())
}

fn bit(reg: Reg) -> u16 {
    1 << reg.index()
}

const ARGUMENTS: u16 = 0b11_1110;

/// The registers that an instruction reads and those that it writes, as bits.
pub(crate) fn uses(insn: &Insn) -> (u16, u16) {
    let operand = |src: &Operand| match src {
        Operand::Reg(reg) => bit(*reg),
        Operand::Imm(_) => 0,
    };
    match insn {
        Insn::Alu { op: AluOp::Mov, dst, src, .. } => (operand(src), bit(*dst)),
        Insn::Alu { dst, src, .. } => (bit(*dst) | operand(src), bit(*dst)),
        Insn::Neg { dst, .. } | Insn::Swap { dst, .. } => (bit(*dst), bit(*dst)),
        Insn::MovSx { dst, src, .. } => (bit(*src), bit(*dst)),
        Insn::LoadImm64 { dst, .. } => (0, bit(*dst)),
        Insn::Load { dst, base, .. } => (bit(*base), bit(*dst)),
        Insn::Store { base, src, .. } => (bit(*base) | operand(src), 0),
        Insn::Atomic { op, base, src, .. } => {
            let reads = bit(*base) | bit(*src);
            match op {
                AtomicOp::Cmpxchg => (reads | bit(Reg::R0), bit(Reg::R0)),
                AtomicOp::Xchg
                | AtomicOp::Add { fetch: true }
                | AtomicOp::Or { fetch: true }
                | AtomicOp::And { fetch: true }
                | AtomicOp::Xor { fetch: true } => (reads, bit(*src)),
                _ => (reads, 0),
            }
        }
        Insn::Branch { dst, src, .. } => (bit(*dst) | operand(src), 0),
        Insn::CallHelper { helper } => {
            let count = Helper::from_number(*helper).map_or(5, |helper| helper.signature().args.len());
            (ARGUMENTS & ((1 << (count + 1)) - 1), ARGUMENTS | bit(Reg::R0))
        }
        Insn::CallLocal { .. } | Insn::CallBtf { .. } => (ARGUMENTS, ARGUMENTS | bit(Reg::R0)),
        Insn::CallReg { target } => (ARGUMENTS | bit(*target), ARGUMENTS | bit(Reg::R0)),
        Insn::Exit => (bit(Reg::R0), 0),
        Insn::Jump { .. } | Insn::MayGoto { .. } | Insn::HighHalf => (0, 0),
    }
}
