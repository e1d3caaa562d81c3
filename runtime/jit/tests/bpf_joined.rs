//! Tests of neighbouring bytes of a packet are made together: with the answers of the interpreter, and without a look behind the packet.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;

use engines::{Maps, run, same_answers, verified};
use oko_bpf::program::Program;
use oko_bpf::{asm, verifier};
use oko_jit::abi::Packet;
use oko_jit::{Answer, compile_bpf};
use proptest::prelude::*;

/// Bytes right before memory that nobody may read.
struct AtTheEdge {
    base: *mut libc::c_void,
}

const PAGE: usize = 4096;

impl AtTheEdge {
    fn new() -> AtTheEdge {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), 2 * PAGE, protection, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        // SAFETY: the second page is part of the mapping.
        assert_eq!(unsafe { libc::mprotect(base.byte_add(PAGE), PAGE, libc::PROT_NONE) }, 0);
        AtTheEdge { base }
    }

    /// A copy that ends there.
    fn copy(&mut self, bytes: &[u8]) -> &[u8] {
        // SAFETY: the first page can be read and written, and the packets are shorter.
        let page = unsafe { std::slice::from_raw_parts_mut(self.base.cast::<u8>(), PAGE) };
        let copy = &mut page[PAGE - bytes.len()..];
        copy.copy_from_slice(bytes);
        copy
    }
}

impl Drop for AtTheEdge {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length.
        unsafe { libc::munmap(self.base, 2 * PAGE) };
    }
}

/// One test of a number of the packet.
#[derive(Clone, Copy, Debug)]
struct Step {
    at: usize,
    size: usize,
    mask: Option<i32>,
    /// Bits that must not be set; else the number is compared with what the packet of zeros and ones has there, or with something else.
    set: Option<i32>,
    wrong: Option<i32>,
    /// Where it leaves to.
    to: &'static str,
    narrow: bool,
}

/// Where tests leave to: with a verdict, with another one, with what was read.
fn places() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("out"), Just("aside"), Just("read")]
}

fn step(length: usize, mostly: &'static str) -> impl Strategy<Value = Step> {
    let masks =
        || prop_oneof![Just(0x1f), Just(0xff), Just(0xff1f), Just(0x7fff_ffff), Just(-256), any::<i32>()];
    let rarely = |strategy| proptest::option::weighted(0.2, strategy);
    let to = prop_oneof![8 => Just(mostly), 1 => places()];
    let options = (rarely(masks().boxed()), rarely(masks().boxed()), rarely(any::<i32>().boxed()));
    (0..length, 0..3_u32, options, to, any::<bool>()).prop_map(
        move |(at, size, (mask, set, wrong), to, narrow)| {
            let size = 1_usize << size.min(length.ilog2());
            Step { at: at.min(length - size), size, mask, set, wrong, to, narrow }
        },
    )
}

/// A program over packets of a length that makes tests one after the other, and what packet passes them, as far as one does.
fn program(length: usize, steps: &[Step], good: &[u8]) -> String {
    let mut text = format!(
        "ldxw %r2, [%r1]
         ldxw %r3, [%r1+4]
         mov %r4, %r2
         add %r4, {length}
         mov %r0, 77
         mov %r5, 0
         jgt %r4, %r3, out\n"
    );
    for &Step { at, size, mask, set, wrong, to, narrow } in steps {
        let mut number = [0; 4];
        number[..size].copy_from_slice(&good[at..at + size]);
        let mut number = i32::from_le_bytes(number);
        let suffix = ["b", "h", "", "w"][size - 1];
        text += &format!("ldx{suffix} %r5, [%r2+{at}]\n");
        if let Some(mask) = mask {
            text += &format!("and32 %r5, {mask}\n");
            number &= mask;
        }
        let width = if narrow { "32" } else { "" };
        text += &match set {
            Some(bits) => format!("jset{width} %r5, {bits}, {to}\n"),
            None => format!("jne{width} %r5, {}, {to}\n", wrong.unwrap_or(number)),
        };
    }
    text += "read: mov %r0, %r5\n";
    if steps.iter().any(|step| step.to == "aside") {
        text += "ja out\n aside: mov %r0, 78\n";
    }
    text + "out: exit"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn tests_of_neighbouring_bytes_answer_as_one_by_one(
        (length, steps) in (1..24_usize, places()).prop_flat_map(|(length, mostly)| {
            (Just(length), proptest::collection::vec(step(length, mostly), 1..8))
        }),
        good in proptest::collection::vec(0..2_u8, 24),
        sorted in any::<bool>(),
    ) {
        let mut steps = steps;
        if sorted {
            steps.sort_by_key(|step| step.at);
        }
        let insns = asm::assemble(&program(length, &steps, &good)).unwrap();
        let verified = verifier::verify(Program { name: "test".to_owned(), insns, ..Program::default() });
        // Behind a test that no packet passes there is nothing to come to.
        prop_assume!(!matches!(&verified, Err(error) if error.to_string().contains("no path leads")));
        let program = verified.unwrap();
        let mut packets = Vec::new();
        for captured in [length.saturating_sub(1), length, 24] {
            packets.push(good[..captured].to_vec());
            for at in 0..captured {
                let mut packet = good[..captured].to_vec();
                packet[at] ^= 1 << (at % 8);
                packets.push(packet);
            }
        }
        let answers = same_answers(&program, &packets);
        let (code, maps) = (compile_bpf(&program, Answer::Value).unwrap(), Maps::new(&[]));
        let mut edge = AtTheEdge::new();
        for (packet, answer) in packets.iter().zip(answers) {
            let packet = Packet::new(edge.copy(packet), 7);
            prop_assert_eq!(run(&code, &maps, &[packet], 1), [answer]);
        }
    }
}

/// Eight tests of a byte are two of four.
#[test]
fn neighbouring_tests_take_less_code() {
    let code = |ends: [&str; 2]| {
        let tests = (0..8).map(|at| format!("ldxb %r5, [%r2+{at}]\n jne %r5, 3, {}\n", ends[at % 2]));
        let text = format!(
            "ldxw %r2, [%r1]
             ldxw %r3, [%r1+4]
             mov %r4, %r2
             add %r4, 8
             mov %r0, 1
             jgt %r4, %r3, out
             {}
             mov %r0, 2
             {}
             out: exit",
            tests.collect::<String>(),
            if ends.contains(&"aside") { "ja out\n aside: mov %r0, 3" } else { "" },
        );
        compile_bpf(&verified(&text, Vec::new()), Answer::Value).unwrap().bytes()
    };
    // With two verdicts in turn, none can be made together with the next one.
    let (together, one_by_one) = (code(["out", "out"]), code(["out", "aside"]));
    assert!(together + 40 < one_by_one, "{together} and {one_by_one} bytes");
}
