//! The verifier as a trust boundary: random modules are damaged, and whatever it still accepts runs on the checking interpreter over random
//! packets and states, without any bug.
//!
//! A few seconds; `OKO_SOUNDNESS_SECONDS` says how many.

use std::time::{Duration, Instant};

use oko_ir::interp::{RunError, Store, run};
use oko_ir::testing::generate::{self, Options};
use oko_ir::verify::verify;
use oko_ir::{
    BinaryOp, Block, BlockCall, CompareOp, Field, FilterResult, Match, Merge, Module, Op, State, StateKind,
    TerminatorKind, Type, Unlock, Value, WhenFull, Width, text,
};

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    fn choices(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.next() as u32).collect()
    }

    fn int(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            1 => 1 << self.below(64),
            _ => self.below(20) as u64,
        }
    }
}

/// Changes one thing.
fn damage(module: &mut Module, random: &mut Random) {
    if random.below(6) == 0 {
        return damage_declaration(module, random);
    }
    let (states, events) = (module.states.len(), module.events.len());
    let filter = random.below(module.filters.len());
    let filter = &mut module.filters[filter];
    let (values, blocks) = (filter.values.len(), filter.blocks.len());
    let any = |random: &mut Random| Value::from_index(random.below(values + 1));
    match random.below(12) {
        0 => {
            let value = random.below(values);
            filter.values[value] = match random.below(4) {
                0 => Type::Int,
                1 => Type::Bool,
                2 => Type::Window(random.below(24) as u32),
                _ => Type::Entry(State::from_index(random.below(states + 1))),
            };
        }
        1 => filter.result = FilterResult::Classes(random.below(9) as u32),
        2 | 3 => {
            // An edge leads elsewhere, or passes something else.
            let block = random.below(blocks);
            let target = Block::from_index(random.below(blocks));
            let mut calls: Vec<&mut BlockCall> = filter.blocks[block].term.kind.calls_mut().collect();
            if !calls.is_empty() {
                let at = random.below(calls.len());
                match random.below(3) {
                    0 => calls[at].block = target,
                    1 if !calls[at].args.is_empty() => {
                        let arg = random.below(calls[at].args.len());
                        calls[at].args[arg] = any(random);
                    }
                    _ => {
                        calls[at].args.pop();
                    }
                }
            }
        }
        4 => {
            let block = random.below(blocks);
            let (term, other) = (filter.blocks[block].term.clone(), random.below(blocks));
            filter.blocks[block].term = std::mem::replace(&mut filter.blocks[other].term, term);
        }
        5 => {
            let block = random.below(blocks);
            match &mut filter.blocks[block].term.kind {
                TerminatorKind::Repeat { counter, count, body, done } => match random.below(3) {
                    0 => *counter = any(random),
                    1 => *count = random.below(70_000) as u32,
                    _ => std::mem::swap(body, done),
                },
                TerminatorKind::Window { offset, len, .. } => match random.below(2) {
                    0 => *offset = any(random),
                    _ => *len = random.below(40) as u32,
                },
                TerminatorKind::Find { state, key, .. } | TerminatorKind::Slot { state, key, .. } => {
                    match random.below(2) {
                        0 => *state = State::from_index(random.below(states + 1)),
                        _ => key.push(any(random)),
                    }
                }
                kind => kind.for_each_operand_mut(|value| *value = any(random)),
            }
        }
        6 => {
            // An instruction is lost, doubled or moved.
            let block = random.below(blocks);
            let other = random.below(blocks);
            let insts = &mut filter.blocks[block].insts;
            if !insts.is_empty() {
                let at = random.below(insts.len());
                let inst = insts.remove(at);
                match random.below(3) {
                    0 => {}
                    1 => {
                        let to = random.below(filter.blocks[other].insts.len() + 1);
                        filter.blocks[other].insts.insert(to, inst);
                    }
                    _ => {
                        let to = random.below(insts.len() + 1);
                        insts.insert(to, inst);
                    }
                }
            }
        }
        7..=9 => {
            let block = random.below(blocks);
            let insts = &mut filter.blocks[block].insts;
            if !insts.is_empty() {
                let at = random.below(insts.len());
                let mut which = random.below(3);
                insts[at].op.for_each_operand_mut(|value| {
                    if which == 0 {
                        *value = any(random);
                    }
                    which = which.wrapping_sub(1);
                });
            }
        }
        _ => {
            let block = random.below(blocks);
            let insts = &mut filter.blocks[block].insts;
            if !insts.is_empty() {
                let at = random.below(insts.len());
                let op = &mut insts[at].op;
                match op {
                    Op::Const(value) => *value = random.int(),
                    Op::Load(width, _, offset) => match random.below(2) {
                        0 => *width = [Width::W8, Width::W16, Width::W32, Width::W64][random.below(4)],
                        _ => *offset = random.below(30) as u32,
                    },
                    Op::Binary(op, ..) => *op = BinaryOp::ALL[random.below(BinaryOp::ALL.len())],
                    Op::Compare(op, ..) => *op = CompareOp::ALL[random.below(CompareOp::ALL.len())],
                    Op::Get(entry, field) => {
                        *op = match random.below(2) {
                            0 => Op::Get(*entry, Field::from_index(random.below(5))),
                            _ => Op::GetAt(*entry, *field, any(random)),
                        }
                    }
                    Op::Set(entry, field, value) => *op = Op::SetAt(*entry, *field, any(random), *value),
                    Op::GetAt(entry, field, _) => *op = Op::Get(*entry, *field),
                    Op::Unlock(entry, how) => {
                        *how = [Unlock::Keep, Unlock::Clear, Unlock::Touch(any(random))][random.below(3)];
                        if random.below(4) == 0 {
                            *op = Op::Lock(*entry);
                        }
                    }
                    Op::WordGet(_, index) | Op::WordAdd(_, index, _) => {
                        *op = Op::WordOr(State::from_index(random.below(states + 1)), *index, any(random));
                    }
                    Op::Emit(event, values) => {
                        event.0 = random.below(events + 1) as u32;
                        values.pop();
                    }
                    _ => *op = Op::Not(any(random)),
                }
            }
        }
    }
}

fn damage_declaration(module: &mut Module, random: &mut Random) {
    let state = random.below(module.states.len());
    let decl = &mut module.states[state];
    match random.below(5) {
        0 => {
            decl.kind = [
                StateKind::Hash(WhenFull::Refuse),
                StateKind::Hash(WhenFull::EvictOldest),
                StateKind::Array,
                StateKind::Words,
                StateKind::Table(Match::Exact),
                StateKind::Table(Match::Prefix),
            ][random.below(6)];
        }
        1 => decl.capacity = random.below(6) as u32,
        2 if !decl.fields.is_empty() => {
            let field = random.below(decl.fields.len());
            decl.fields[field].count = random.below(5) as u32;
        }
        3 if !decl.fields.is_empty() => drop(decl.fields.pop()),
        _ => decl.per_core = [None, Some(Merge::Sum)][random.below(2)],
    }
}

#[test]
fn what_is_accepted_runs_without_a_bug() {
    let seconds = std::env::var("OKO_SOUNDNESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let (start, patience) = (Instant::now(), Duration::from_secs(seconds));
    let mut random =
        Random(std::env::var("OKO_SOUNDNESS_START").ok().and_then(|text| text.parse().ok()).unwrap_or(1));
    let (mut tried, mut accepted, mut runs) = (0_u64, 0_u64, 0_u64);
    while start.elapsed() < patience || accepted < 50 {
        let choices = 100 + random.below(900);
        let original = generate::module(&random.choices(choices), Options::ALL);
        for _ in 0..8 {
            let mut module = original.clone();
            for _ in 0..1 + random.below(3) {
                damage(&mut module, &mut random);
            }
            tried += 1;
            // What cannot be printed and read is no module that a switch could be given.
            let printed = module.to_string();
            let Ok(read) = text::read(&printed) else { continue };
            let Ok(checked) = verify(read) else { continue };
            accepted += 1;
            let mut store = Store::new(&checked);
            let count = random.below(200);
            generate::fill(&mut store, &generate::table_entries(checked.module(), &random.choices(count)));
            for arrival in generate::traffic(&random.choices(400)) {
                let packet = arrival.packet();
                for filter in 0..checked.module().filters.len() {
                    runs += 1;
                    let outcome = run(&checked, filter, &mut store, packet, arrival.now);
                    assert!(!matches!(outcome, Err(RunError::Internal { .. })), "{outcome:?}\n{printed}");
                }
            }
        }
    }
    println!("{tried} modules tried, {accepted} accepted, {runs} runs");
    assert!(accepted * 20 > tried, "only {accepted} of {tried} are accepted, so little is tried");
}
