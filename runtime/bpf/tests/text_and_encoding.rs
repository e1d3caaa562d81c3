//! Encoding and text form: each is the exact inverse of its reader, and no input makes a reader panic.

use oko_bpf::{asm, disasm, isa};
use proptest::prelude::*;

/// Each pattern of one or two slots either is refused, or encodes back to the same bytes and reads back from its text.
fn round_trip(bytes: &[u8]) -> bool {
    let Ok(insns) = isa::decode(bytes) else { return false };
    assert_eq!(isa::encode(&insns), bytes, "{insns:?}");
    let text = disasm::disassemble(&insns);
    assert_eq!(asm::assemble(&text).as_ref(), Ok(&insns), "{text}");
    true
}

#[test]
fn every_opcode_round_trips_or_is_refused() {
    let offsets = [0i16, 1, 8, 16, 32, -1, i16::MIN, i16::MAX];
    let immediates =
        [0i32, 1, 5, 16, 32, 64, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1, -1, i32::MIN, i32::MAX];
    let mut accepted = std::collections::BTreeSet::new();
    for opcode in 0..=u8::MAX {
        for regs in [0x00, 0x10, 0x20, 0x01, 0x1a, 0xa1, 0x60, 0x70, 0x0b, 0xb0] {
            for off in offsets {
                for imm in immediates {
                    let mut bytes = vec![opcode, regs];
                    bytes.extend(off.to_le_bytes());
                    bytes.extend(imm.to_le_bytes());
                    if opcode == 0x18 {
                        bytes.extend([0, 0, 0, 0]);
                        bytes.extend(imm.to_le_bytes());
                    }
                    if round_trip(&bytes) {
                        accepted.insert(opcode);
                    }
                }
            }
        }
    }
    // RFC 9669: per width 12 operations with two sources each and `neg`, three byte swaps; 11 conditions with two sources
    // and widths, two jumps, helper and register calls, exit, 4 + 3 loads, 4 + 4 stores, 2 atomics, one wide load. Of Linux's own: `may_goto`.
    let alu = 2 * (12 * 2 + 1) + 3;
    assert_eq!(accepted.len(), alu + 44 + 2 + 3 + 7 + 8 + 2 + 1 + 1, "{accepted:x?}");
}

#[test]
fn a_64_bit_load_cut_off_is_refused() {
    let error = isa::decode(&[0x18, 0, 0, 0, 1, 0, 0, 0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "instruction 0: a 64-bit immediate load needs a second slot, but the program ends"
    );
}

#[test]
fn legacy_packet_access_is_refused_by_name() {
    let error = isa::decode(&[0x20, 0, 0, 0, 0, 0, 0, 0]).unwrap_err();
    assert!(error.to_string().contains("legacy packet access"), "{error}");
}

#[test]
fn a_length_that_is_no_multiple_of_a_slot_is_refused() {
    let error = isa::decode(&[0x95, 0, 0, 0, 0, 0, 0]).unwrap_err();
    assert!(error.to_string().contains("7 bytes"), "{error}");
}

#[test]
fn assembler_errors_name_the_line_and_what_was_expected() {
    let cases = [
        ("mov %r1, 1\nfrob %r0", "line 2: `frob` is no instruction"),
        ("mov %r1", "line 1: `mov` takes a register and a register or constant, found 1 operands"),
        ("mov %r11, 1", "line 1: `%r11` is no register; registers are %r0 to %r10"),
        ("mov %r1, 4294967295", "line 1: `4294967295` does not fit a signed 32-bit constant"),
        ("mov %r1, 99999999999999999999999", "line 1: `99999999999999999999999` does not fit 64 bits"),
        ("ldxw %r1, [%r2+40000]", "line 1: `+40000` does not fit a signed 16-bit offset"),
        ("ldxw %r1, %r2", "line 1: expected a memory operand such as [%r1+4], found `%r2`"),
        ("\n\nja nowhere", "line 3: label `nowhere` is not defined"),
        ("a: exit\na: exit", "line 2: label `a` is defined twice"),
        ("ja 5", "line 1: expected a label or an offset such as +2, found `5`"),
    ];
    for (text, expected) in cases {
        assert_eq!(asm::assemble(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_short_jump_that_is_too_far_says_so() {
    let text = format!("ja end\n{}end: exit", "mov %r0, 0\n".repeat(40_000));
    let error = asm::assemble(&text).unwrap_err().to_string();
    assert_eq!(error, "line 1: the jump to `end` is 40000 slots, which does not fit 16 bits; use ja32");
    assert!(asm::assemble(&text.replacen("ja end", "ja32 end", 1)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn random_slots_round_trip_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..4 * 8)) {
        round_trip(&bytes);
        let whole = bytes.len() / 8 * 8;
        round_trip(&bytes[..whole]);
    }

    #[test]
    fn no_text_makes_the_assembler_panic(text in "([a-z0-9%\\[\\]+\\-:, #]{0,12}[\n ]?){0,6}") {
        let _ = asm::assemble(&text);
    }

    #[test]
    fn no_unicode_makes_the_assembler_panic(text in ".{0,40}") {
        let _ = asm::assemble(&text);
    }
}
