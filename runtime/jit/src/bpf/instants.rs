//! What depends on the instant alone: numbers of time windows, shares of them, the end of a time to live.
//!
//! All packets of a burst have one instant, so such a number is computed once for all and kept on the stack, if it takes more than an addition or two.
//! A single packet pays for those that it does not need; therefore there are few.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    Block, Function, Inst, InstBuilder, InstructionData, MemFlagsData, Opcode, StackSlot, StackSlotData,
    StackSlotKind, Value,
};

use crate::tidy;

/// The most numbers that are kept.
const MOST: usize = 8;
/// What costs no more is computed where it is needed.
const CHEAP: u32 = 1;
/// Longer terms are computed where they are needed, too.
const MOST_COST: u32 = 64;

/// What a value depends on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Term {
    /// On something else than the instant, or it is too long.
    #[default]
    Other,
    /// On nothing, or on the instant alone.
    Known {
        is_timed: bool,
        /// About how many instructions it takes, what terms share counted again.
        cost: u32,
    },
}

/// Computes such numbers in the function's first block, where `now` is the instant. `instants` are what the body reads as that.
pub(super) fn compute_once(function: &mut Function, now: Value, instants: &HashSet<Value>) {
    let Some(entry) = function.layout.entry_block() else { return };
    if instants.is_empty() {
        return;
    }
    function.dfg.resolve_all_aliases();
    let terms = terms(function, instants);
    let uses = uses(function, &terms);
    let mut kept: Vec<Value> = Vec::new();
    for (_, value) in &uses {
        if !kept.contains(value) && kept.len() < MOST {
            kept.push(*value);
        }
    }
    if kept.is_empty() {
        return;
    }
    let room = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * kept.len() as u32, 3);
    let slot = function.create_sized_stack_slot(room);
    let mut computed: HashMap<Value, Value> = instants.iter().map(|&instant| (instant, now)).collect();
    for (place, &value) in kept.iter().enumerate() {
        let copy = copied(function, entry, value, &mut computed);
        let mut cursor = FuncCursor::new(function).at_last_inst(entry);
        let address = cursor.ins().stack_addr(I64, slot, 8 * place as i32);
        cursor.ins().store(MemFlagsData::trusted(), copy, address, 0);
    }
    let mut read: HashMap<(Block, usize), Value> = HashMap::new();
    for (user, value) in uses {
        if let Some(place) = kept.iter().position(|&known| known == value)
            && let Some(block) = function.layout.inst_block(user)
        {
            let found = *read.entry((block, place)).or_insert_with(|| loaded(function, user, slot, place));
            function.dfg.map_inst_values(user, |used| if used == value { found } else { used });
        }
    }
}

/// What each value depends on, as far as that is seen in one pass.
fn terms(function: &Function, instants: &HashSet<Value>) -> SecondaryMap<Value, Term> {
    let mut terms = SecondaryMap::new();
    for inst in tidy::instructions(function) {
        let Some(&result) = function.dfg.inst_results(inst).first() else { continue };
        terms[result] = if instants.contains(&result) {
            Term::Known { is_timed: true, cost: 0 }
        } else {
            term(function, inst, &terms)
        };
    }
    terms
}

fn term(function: &Function, inst: Inst, terms: &SecondaryMap<Value, Term>) -> Term {
    let own = match function.dfg.insts[inst].opcode() {
        Opcode::Iconst => u32::from(is_long(function, inst)),
        Opcode::Udiv | Opcode::Urem => 5,
        Opcode::Imul => 2,
        Opcode::Iadd
        | Opcode::Isub
        | Opcode::Band
        | Opcode::Bor
        | Opcode::Bxor
        | Opcode::Ishl
        | Opcode::Ushr
        | Opcode::Sshr
        | Opcode::Icmp
        | Opcode::Select
        | Opcode::Ireduce
        | Opcode::Uextend => 1,
        _ => return Term::Other,
    };
    let (mut is_timed, mut cost) = (false, own);
    for &arg in function.dfg.inst_args(inst) {
        let Term::Known { is_timed: arg_is, cost: of_arg } = terms[arg] else { return Term::Other };
        is_timed |= arg_is;
        cost += of_arg;
    }
    if cost > MOST_COST { Term::Other } else { Term::Known { is_timed, cost } }
}

/// Whether a constant does not fit into the instruction that uses it.
fn is_long(function: &Function, constant: Inst) -> bool {
    match function.dfg.insts[constant] {
        InstructionData::UnaryImm { imm, .. } => i32::try_from(imm.bits()).is_err(),
        _ => false,
    }
}

/// Where numbers are used that depend on the instant alone and take more than a little, by what depends on more.
fn uses(function: &Function, terms: &SecondaryMap<Value, Term>) -> Vec<(Inst, Value)> {
    let mut uses = Vec::new();
    for inst in tidy::instructions(function) {
        let results = function.dfg.inst_results(inst);
        if results.first().is_some_and(|&result| terms[result] != Term::Other) {
            continue;
        }
        for value in function.dfg.inst_values(inst) {
            let is_dear = matches!(terms[value], Term::Known { is_timed: true, cost } if cost > CHEAP);
            let is_new =
                uses.iter().rev().take_while(|(user, _)| *user == inst).all(|(_, used)| *used != value);
            if is_dear && is_new && function.dfg.value_type(value) == I64 {
                uses.push((inst, value));
            }
        }
    }
    uses
}

/// Computes a value once more at the end of a block, from what was computed there before.
fn copied(
    function: &mut Function,
    block: Block,
    value: Value,
    computed: &mut HashMap<Value, Value>,
) -> Value {
    if let Some(&copy) = computed.get(&value) {
        return copy;
    }
    let Some(inst) = function.dfg.value_def(value).inst() else { return value };
    for arg in function.dfg.inst_args(inst).to_vec() {
        copied(function, block, arg, computed);
    }
    let copy = function.dfg.clone_inst(inst);
    function.dfg.map_inst_values(copy, |arg| computed.get(&arg).copied().unwrap_or(arg));
    FuncCursor::new(function).at_last_inst(block).insert_inst(copy);
    let result = function.dfg.first_result(copy);
    computed.insert(value, result);
    result
}

/// Reads a number in front of an instruction.
fn loaded(function: &mut Function, user: Inst, slot: StackSlot, place: usize) -> Value {
    let mut cursor = FuncCursor::new(function).at_inst(user);
    let address = cursor.ins().stack_addr(I64, slot, 8 * place as i32);
    cursor.ins().load(I64, MemFlagsData::trusted(), address, 0)
}
