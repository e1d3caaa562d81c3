//! The strongest check of soundness: at every instruction of a run, the registers are in one of the states that the
//! verifier has considered there. A hole shows even if no access happens to fall through it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    interp::{Interpreter, Options, PacketMeta, Place, Snapshot},
    isa::Reg,
    program::Program,
    verifier::{
        Limits,
        cfg::Graph,
        explore::Explorer,
        state::State,
        value::{Id, Pointer, Target, Value},
    },
};

#[allow(clippy::duplicate_mod, reason = "integration tests use it too")]
#[path = "../../../tests/env/mod.rs"]
mod env;
#[allow(clippy::duplicate_mod, reason = "integration tests use it too")]
#[path = "../../../tests/generator/mod.rs"]
mod generator;

use env::{TestMaps, Watched, Watcher};
use generator::Rng;

/// Whether a register's content is one that the verifier considered.
fn is_in(value: &Value, content: Option<u64>, step: &Snapshot<'_>, state: &State) -> bool {
    let content = match (value, content) {
        (Value::Unwritten | Value::Conflict, _) => return true,
        (_, None) => return false,
        (_, Some(content)) => content,
    };
    let pointer = match value {
        Value::Scalar { range, .. } => return range.contains(content),
        Value::Pointer(pointer) => pointer,
        Value::Unwritten | Value::Conflict => return true,
    };
    let may_be_null = matches!(pointer.target, Target::MapValueOrNull { .. } | Target::RecordOrNull { .. });
    let null = may_be_null && content == 0;
    let Some((place, off)) = step.pointee(content) else { return null };
    let inside = pointer.off.contains(off.cast_unsigned());
    match (pointer.target, place) {
        (Target::Context, Place::Context) => inside,
        (Target::Frame(frame), Place::Frame(other)) => inside && frame == other,
        (Target::Packet { id, fixed }, Place::Packet) => {
            let proven = i64::from(state.proofs.get(id));
            inside && (proven == 0 || off - fixed + proven <= step.packet_len() as i64)
        }
        (Target::PacketEnd, Place::Packet) => off == step.packet_len() as i64,
        (Target::Map(map), Place::Map(other)) => map == other && off == 0,
        (Target::MapValue { map, .. }, Place::Value { map: other, .. }) => inside && map == other,
        (Target::MapValueOrNull { map, .. }, Place::Value { map: other, .. }) => inside && map == other,
        (Target::Record { map, .. } | Target::RecordOrNull { map, .. }, Place::Record { map: other, .. }) => {
            inside && map == other
        }
        _ => false,
    }
}

/// All values of a state with the content that the run has there: the registers of the running function, and the
/// stacks of all.
fn contents(state: &State, step: &Snapshot<'_>) -> Vec<(Value, Option<u64>)> {
    let registers = Reg::all().map(|reg| (state.get(reg), step.register(reg)));
    let stacks = state.frames.iter().enumerate().flat_map(|(frame, content)| {
        content
            .stack
            .claims()
            .into_iter()
            .map(move |(off, size, value)| (value, step.stack(frame, off, size)))
    });
    registers.chain(stacks).collect()
}

/// Values with the same id are equal.
fn ids_agree(contents: &[(Value, Option<u64>)]) -> bool {
    let mut known: Vec<(Id, u64)> = Vec::new();
    for content in contents {
        let (Value::Scalar { id, .. }, Some(content)) = content else { continue };
        if id.0 == 0 {
            continue;
        }
        match known.iter().find(|(other, _)| other == id) {
            Some((_, other)) if other != content => return false,
            Some(_) => {}
            None => known.push((*id, *content)),
        }
    }
    true
}

/// Numbers that are said to be the distance from a pointer to the end of the packet are, and no more bytes are proven than there are.
fn lengths_agree(contents: &[(Value, Option<u64>)], step: &Snapshot<'_>, state: &State) -> bool {
    let len = step.packet_len() as i64;
    // The variable parts that packet pointers have.
    let part = |base: Id| {
        let of = |(value, content): &(Value, Option<u64>)| match (value, content) {
            (Value::Pointer(Pointer { target: Target::Packet { id, fixed }, .. }), Some(content))
                if *id == base =>
            {
                step.pointee(*content).map(|(_, off)| off - fixed)
            }
            _ => None,
        };
        if base == Id::NONE { Some(0) } else { contents.iter().find_map(of) }
    };
    let exact = |(value, content): &(Value, Option<u64>)| match (value, content) {
        (Value::Scalar { id, .. }, Some(content)) => {
            let length = state.proofs.length(*id);
            let is = length.and_then(|length| Some(len - part(length.base)? - length.less));
            is.is_none_or(|is| content.cast_signed() == is)
        }
        _ => true,
    };
    i64::from(state.proofs.get(Id::NONE)) <= len && contents.iter().all(exact)
}

/// Looks for the registers among the states that were considered.
struct Considered {
    seen: Vec<Vec<State>>,
    hole: Option<String>,
    checked: u64,
}

impl Watcher for Considered {
    fn before(&mut self, step: &Snapshot<'_>) {
        self.checked += 1;
        let considered = self.seen[step.slot()].iter().any(|state| {
            let contents = contents(state, step);
            state.depth() == step.depth()
                && ids_agree(&contents)
                && lengths_agree(&contents, step, state)
                && contents.iter().all(|(value, content)| is_in(value, *content, step, state))
        });
        if !considered && self.hole.is_none() {
            let registers: Vec<_> = Reg::all().map(|reg| step.register(reg)).collect();
            let states: Vec<String> = self.seen[step.slot()]
                .iter()
                .map(|state| Reg::all().map(|reg| format!("    {reg} = {}\n", state.get(reg))).collect())
                .collect();
            self.hole = Some(format!(
                "slot {}: {registers:x?} is in none of\n{}",
                step.slot(),
                states.join("  or\n")
            ));
        }
    }
}

/// Explores with the given width and runs; `None` if the program is refused.
fn check(program: &Program, width: usize, rng: &mut Rng) -> Option<(u64, Result<(), String>)> {
    let graph = Graph::new(&program.insns).ok()?;
    let limits = Limits { steps: 1 << 13, ..Limits::default() };
    let mut explorer = Explorer::new(program, &graph, &limits, width);
    explorer.seen = Some(vec![Vec::new(); program.insns.len()]);
    explorer.run().ok()?;
    let seen = explorer.seen.unwrap_or_default();
    let watcher = Considered { seen, hole: None, checked: 0 };
    let mut watch = Watched { maps: TestMaps::new(&program.maps), watcher };
    for _ in 0..3 {
        let len = rng.below(120);
        let packet: Vec<u8> = (0..len).map(|_| rng.next() as u8 & rng.next() as u8).collect();
        let meta = PacketMeta { ingress_ifindex: rng.next() as u32, rx_queue_index: rng.below(70) as u32 };
        let outcome = Interpreter::new(program, Options::default()).run(&packet, meta, &mut watch);
        if let Err(fault) = outcome {
            return Some((watch.watcher.checked, Err(fault.to_string())));
        }
        if let Some(hole) = watch.watcher.hole.take() {
            return Some((watch.watcher.checked, Err(hole)));
        }
    }
    Some((watch.watcher.checked, Ok(())))
}

fn check_all(seeds: std::ops::Range<u64>) -> (u64, u64) {
    let (mut accepted, mut steps) = (0, 0);
    for seed in seeds {
        let program = generator::program(seed);
        // Small widths merge a lot: that is where holes would be.
        for width in [1, 2, 4] {
            let result = catch_unwind(AssertUnwindSafe(|| check(&program, width, &mut Rng(seed))));
            match result.unwrap_or_else(|_| panic!("seed {seed}, width {width} panics")) {
                None => {}
                Some((checked, Ok(()))) => {
                    accepted += 1;
                    steps += checked;
                }
                Some((_, Err(hole))) => {
                    panic!("seed {seed}, width {width}: {hole}\n{}", crate::disasm::listing(&program.insns));
                }
            }
        }
    }
    (accepted, steps)
}

#[test]
fn every_concrete_state_was_considered() {
    let (accepted, steps) = check_all(1_000_000..1_001_500);
    assert!(accepted > 1500 && steps > 50_000, "{accepted} accepted, {steps} steps checked");
}

/// `OKO_SOUNDNESS_PROGRAMS=1000000 cargo test --release -p oko-bpf --lib -- --ignored considered --nocapture`
#[test]
#[ignore = "takes as long as it is told to"]
fn every_concrete_state_was_considered_for_long() {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok()).unwrap_or(default)
    };
    let (start, programs) =
        (number("OKO_SOUNDNESS_START", 1 << 33), number("OKO_SOUNDNESS_PROGRAMS", 100_000));
    let (accepted, steps) = check_all(start..start + programs);
    println!("{programs} programs at three widths, {accepted} accepted, {steps} steps checked");
}
