//! The interpreter on programs that nobody verified: each forbidden step is a fault that names it, and nothing else happens.

mod env;

use std::sync::atomic::{AtomicU32, Ordering};

use env::TestMaps;
use oko_bpf::{
    asm,
    interp::{Env, Fault, Interpreter, MapMemory, Options, Outcome, PacketMeta},
    program::{DataSection, MapDef, MapId, MapKind, Program},
};

fn maps() -> Vec<MapDef> {
    let locked = MapDef {
        name: "locked".to_owned(),
        kind: MapKind::Array,
        key_size: 4,
        value_size: 16,
        max_entries: 2,
        hashes: 0,
        lock_offset: Some(0),
        data: None,
    };
    let constants = MapDef {
        name: ".rodata".to_owned(),
        max_entries: 1,
        hashes: 0,
        lock_offset: None,
        data: Some(DataSection { readonly: true, init: (0..16).collect() }),
        ..locked.clone()
    };
    vec![locked, constants]
}

fn program(text: &str) -> Program {
    let insns = asm::assemble(text).expect("the test's program assembles");
    Program { name: "test".to_owned(), insns, maps: maps(), lines: Vec::new() }
}

fn run(text: &str, packet: &[u8], env: &mut dyn Env) -> Result<Outcome, Fault> {
    let meta = PacketMeta { ingress_ifindex: 3, rx_queue_index: 5 };
    Interpreter::new(&program(text), Options { max_steps: 1000, ..Options::default() }).run(packet, meta, env)
}

/// The address of value 0 of map 0 in `r6`.
const LOOKUP: &str = "stw [%r10-4], 0\nlddw %r1, map[0]\nmov %r2, %r10\nadd %r2, -4\ncall 1\nmov %r6, %r0\n";

#[test]
fn every_forbidden_step_is_a_fault() {
    let cases = [
        ("", "instruction 0: execution leaves the program (it has 0 slots)"),
        ("mov %r0, 0", "instruction 1: execution leaves the program (it has 1 slots)"),
        ("ja -2", "instruction 0: execution leaves the program (it has 1 slots)"),
        ("exit", "instruction 0: r0 is read before it is written"),
        ("mov %r0, %r5\nexit", "instruction 0: r5 is read before it is written"),
        ("mov %r10, 5\nexit", "instruction 0: r10, the frame pointer, is written"),
        ("a: ja a", "instruction 0: the budget of 1000 instructions is used up"),
        ("f: call local f\nexit", "instruction 0: calls are more than 8 deep"),
        ("mov %r1, 64\nldxb %r0, [%r1]\nexit", "instruction 1: address 0x40 belongs to no object"),
        (
            "ldxdw %r0, [%r10-8]\nexit",
            "instruction 0: 8 stack bytes at offset -8 are read before they are written",
        ),
        ("stb [%r10+0], 1\nexit", "instruction 0: 1 bytes at offset 0 of stack frame 0, which has 512"),
        ("stdw [%r10-520], 1\nexit", "instruction 0: 8 bytes at offset -520 of stack frame 0, which has 512"),
        (
            "mov %r2, 1\nlock add [%r10-12], %r2\nexit",
            "instruction 1: an atomic access of 8 bytes at offset -12 is not aligned",
        ),
        ("ldxw %r0, [%r1+2]\nexit", "instruction 0: the context has no field of 4 bytes at offset 2"),
        ("ldxh %r0, [%r1]\nexit", "instruction 0: the context has no field of 2 bytes at offset 0"),
        ("stw [%r1], 0\nexit", "instruction 0: the context is accessed as memory"),
        (
            "ldxw %r2, [%r1]\nldxw %r0, [%r2+1]\nexit",
            "instruction 1: 4 bytes at offset 1 of the packet, which has 4",
        ),
        (
            "ldxw %r2, [%r1]\nldxb %r0, [%r2-1]\nexit",
            "instruction 1: 1 bytes at offset -1 of the packet, which has 4",
        ),
        ("ldxw %r2, [%r1]\nstb [%r2], 1\nexit", "instruction 1: the packet is read only"),
        ("lddw %r1, map[7]\nexit", "instruction 0: there is no map 7; the program has 2"),
        (
            "lddw %r1, map[0]\nldxw %r0, [%r1]\nexit",
            "instruction 2: the handle of map0 is accessed as memory",
        ),
        ("mov %r1, 5\nmov %r2, %r10\ncall 1\nexit", "instruction 2: r1 is 0x5, not a map"),
        (
            "lddw %r1, map[0]\nmov %r2, %r10\nadd %r2, -4\ncall 1\nexit",
            "instruction 4: 1 stack bytes at offset -4 are read before they are written",
        ),
        ("lddw %r1, map_value[1]+0\nstb [%r1], 1\nexit", "instruction 2: a value of map1 is read only"),
        (
            "lddw %r1, map_value[1]+16\nldxb %r0, [%r1]\nexit",
            "instruction 2: 1 bytes at offset 16 of a value of map1",
        ),
        ("call 12\nexit", "instruction 0: there is no helper 12"),
        ("call btf 3\nexit", "instruction 0: the instruction is not supported"),
        ("lddw %r0, variable[1]\nexit", "instruction 0: the instruction is not supported"),
        (
            "mov %r1, %r10\ncall 93\nexit",
            "instruction 1: r1 is not the address of the spin lock of a map value",
        ),
        (
            "call local f\nldxb %r0, [%r0-8]\nexit\nf: stdw [%r10-8], 1\nmov %r0, %r10\nexit",
            "instruction 1: address 0x27ffffffff8 belongs to no object",
        ),
        ("call 5\nmov %r0, %r1\nexit", "instruction 1: r1 is read before it is written"),
    ];
    for (text, expected) in cases {
        let fault = run(text, &[1, 2, 3, 4], &mut TestMaps::new(&maps())).expect_err(text).to_string();
        assert!(fault.starts_with(expected), "{text}\n  {fault}\n  {expected}");
    }
}

#[test]
fn locks_are_watched() {
    let cases = [
        ("ldxw %r0, [%r6]\nexit", "4 bytes at offset 0 of a map value overlap its spin lock"),
        ("mov %r1, %r6\ncall 93\nmov %r0, 0\nexit", "the program ends while a spin lock is held"),
        ("mov %r1, %r6\ncall 93\ncall 5\nexit", "a helper is called while a spin lock is held"),
        (
            "mov %r1, %r6\ncall 93\nmov %r1, %r6\ncall 93\nexit",
            "a helper is called while a spin lock is held",
        ),
        ("mov %r1, %r6\ncall 94\nexit", "a spin lock is released that is not held"),
    ];
    for (text, expected) in cases {
        let mut maps = TestMaps::new(&maps());
        let fault = run(&format!("{LOOKUP}{text}"), &[], &mut maps).expect_err(text).kind.to_string();
        assert!(fault.contains(expected), "{text}: {fault}");
        // Whatever happened, the lock is free again: the next run gets it.
        let text = format!("{LOOKUP}mov %r1, %r6\ncall 93\nmov %r1, %r6\ncall 94\nmov %r0, 9\nexit");
        assert_eq!(run(&text, &[], &mut maps).map(|outcome| outcome.ret), Ok(9));
    }
}

#[test]
fn the_context_gives_the_packet_and_where_it_came_from() {
    let load = |off| run(&format!("ldxw %r0, [%r1+{off}]\nexit"), &[7; 60], &mut TestMaps::new(&maps()));
    assert_eq!(load(12).map(|outcome| outcome.ret), Ok(3));
    assert_eq!(load(16).map(|outcome| outcome.ret), Ok(5));
    assert_eq!(load(0), load(8));
    let len = "ldxw %r2, [%r1]\nldxw %r0, [%r1+4]\nsub %r0, %r2\nexit";
    let outcome = run(len, &[7; 60], &mut TestMaps::new(&maps()));
    assert_eq!(outcome, Ok(Outcome { ret: 60, steps: 4 }));
}

#[test]
fn constants_are_read_from_their_section() {
    let outcome = run("lddw %r1, map_value[1]+4\nldxw %r0, [%r1+1]\nexit", &[], &mut TestMaps::new(&maps()));
    assert_eq!(outcome.map(|outcome| outcome.ret), Ok(0x0807_0605));
}

#[test]
fn without_strictness_what_was_never_written_is_0() {
    let program = program("ldxdw %r0, [%r10-8]\nadd %r0, %r7\nexit");
    let options = Options { strict: false, ..Options::default() };
    let outcome =
        Interpreter::new(&program, options).run(&[], PacketMeta::default(), &mut TestMaps::new(&maps()));
    assert_eq!(outcome.map(|outcome| outcome.ret), Ok(0));
}

/// Two threads add to the same value under its lock, through the interpreter: no addition is lost.
#[test]
fn a_spin_lock_excludes_other_workers() {
    #[derive(Clone, Copy)]
    struct Shared(&'static [AtomicU32; 4]);
    impl Env for Shared {
        fn map_lookup(&mut self, _: MapId, _: &[u8]) -> Option<MapMemory> {
            let base = std::ptr::NonNull::from(self.0).cast();
            // SAFETY: the array is leaked, has 16 bytes, and is only accessed atomically.
            Some(unsafe { MapMemory::new(base, 16) })
        }
        fn map_update(&mut self, _: MapId, _: &[u8], _: &[u8], _: u64) -> i64 {
            -1
        }
        fn map_delete(&mut self, _: MapId, _: &[u8]) -> i64 {
            -1
        }
        fn ktime_ns(&mut self) -> u64 {
            0
        }
    }
    let cells: &'static [AtomicU32; 4] = Box::leak(Box::default());
    let text = format!(
        "{LOOKUP}mov %r1, %r6\ncall 93\nldxdw %r2, [%r6+8]\nadd %r2, 1\nstxdw [%r6+8], %r2\nmov %r1, %r6\ncall 94\nmov %r0, 2\nexit"
    );
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    run(&text, &[], &mut Shared(cells)).expect("the program faults nowhere");
                }
            });
        }
    });
    assert_eq!(cells[2].load(Ordering::Relaxed), 4000);
}
