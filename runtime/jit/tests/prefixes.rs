//! Look-ups by prefix, inline and by calls: beside the interpreters, which ask the trie or a list, while prefixes come and go.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod engines;
/// Not all of it is used here.
#[allow(dead_code)]
mod rig;

use engines::{Maps, interpret, over, verified};
use oko_bpf::program::{MapDef, MapKind};
use oko_ir::interp::{self, Store, TableKey};
use oko_ir::{State, text, verify};
use oko_jit::abi::Packet;
use oko_jit::{Answer, Effort, compile_bpf, compile_ir_with};
use oko_state::Update;
use proptest::prelude::*;
use rig::Rig;

/// An address as a packet has it, and what is to be done with it as a prefix of so many bits of key.
#[derive(Clone, Debug)]
struct Step {
    address: [u8; 17],
    bits: u32,
    put: bool,
}

fn address() -> impl Strategy<Value = [u8; 17]> {
    // Few different bytes, so that prefixes meet.
    let byte = || prop_oneof![6 => Just(0_u8), 2 => Just(0x80), 2 => Just(0xff), 1 => any::<u8>()];
    let family = prop_oneof![5 => Just(4_u8), 5 => Just(6), 1 => any::<u8>()];
    (family, prop::array::uniform16(byte())).prop_map(|(family, address)| {
        let mut bytes = [0; 17];
        bytes[0] = family;
        bytes[1..].copy_from_slice(&address);
        bytes
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bits = prop_oneof![0..=136_u32, 8..=40_u32, Just(72), Just(136)];
    let step = (address(), bits, prop::bool::weighted(0.75));
    prop::collection::vec(step.prop_map(|(address, bits, put)| Step { address, bits, put }), 1..40)
}

/// The number of a prefix, the rest of whose address is in a packet, and whether there is any, for any family and for one that is known.
const MODULE: &str = "oko.ir 1
state m0 t: table prefix, capacity 300, key(family: u8, high: u64, low: u64), fields(v: u64)
filter value -> bool {
block0:
    v0 = const 0
    window v0, 25, block2, block1
block1:
    v1 = false
    return v1
block2(v2: window 25):
    v3 = load.be8 v2, 0
    v4 = load.be64 v2, 1
    v5 = load.be64 v2, 9
    find m0(v3, v4, v5), block3, block1
block3(v6: entry m0):
    v7 = get v6, f0
    v8 = load.be64 v2, 17
    v9 = eq v7, v8
    return v9
}
filter any -> bool {
block0:
    v0 = const 0
    window v0, 25, block2, block1
block1:
    v1 = false
    return v1
block2(v2: window 25):
    v3 = load.be8 v2, 0
    v4 = load.be64 v2, 1
    v5 = load.be64 v2, 9
    find m0(v3, v4, v5), block3, block4
block3(v6: entry m0):
    v7 = true
    jump block5(v7)
block4:
    v8 = false
    jump block5(v8)
block5(v9: bool):
    return v9
}
filter number -> classes 16 {
block0:
    v0 = const 0
    window v0, 25, block2, block1
block1:
    v1 = const 0
    return v1
block2(v2: window 25):
    v3 = const 6
    v4 = load.be64 v2, 1
    v5 = load.be64 v2, 9
    v6 = load.be8 v2, 16
    v7 = const 7
    v8 = and v6, v7
    find m0(v3, v4, v5), block3, block4
block3(v9: entry m0):
    v10 = const 8
    jump block5(v10, v8)
block4:
    v11 = const 1
    jump block5(v8, v11)
block5(v12: int, v13: int):
    v14 = ult v12, v13
    branch v14, block6(v12, v13), block6(v13, v12)
block6(v15: int, v16: int):
    v17 = sub v16, v15
    v18 = const 15
    v19 = and v17, v18
    return v19
}
";

fn key(bits: u32, address: &[u8; 17]) -> TableKey {
    let word = |at: usize| u64::from_be_bytes(address[at..at + 8].try_into().unwrap());
    let mut parts = [(u64::from(address[0]), 8), (word(1), 64), (word(9), 64)];
    let mut left = bits;
    for (part, width) in &mut parts {
        let kept = left.min(*width);
        left -= kept;
        *part = if kept == 0 { 0 } else { *part >> (*width - kept) << (*width - kept) };
    }
    TableKey { parts: parts.map(|(part, _)| part).to_vec(), bits }
}

/// The packets that ask for each address that was met, and for those beside it.
fn packets(steps: &[Step]) -> Vec<Vec<u8>> {
    let near = |step: &Step| {
        let bit = step.bits.min(135) as usize;
        let mut other = step.address;
        other[bit / 8] ^= 0x80 >> (bit % 8);
        let mut last = step.address;
        (bit..136).for_each(|bit| last[bit / 8] |= 0x80 >> (bit % 8));
        [step.address, other, last]
    };
    let asked = steps.iter().flat_map(near).zip((0..8_u64).cycle());
    asked.map(|(address, value)| [&address[..], &value.to_be_bytes()].concat()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn native_code_finds_what_the_interpreter_finds(steps in steps()) {
        let checked = verify(text::read(MODULE).unwrap()).unwrap();
        let (rig, mut store) = (Rig::new(&checked), Store::new(&checked));
        let packets = packets(&steps);
        for (value, step) in (0..8).cycle().zip(&steps) {
            let key = key(step.bits, &step.address);
            if step.put {
                prop_assert!(rig.put(0, &key, &[value]));
                store.put(State(0), key, &[value]).unwrap();
            } else {
                prop_assert_eq!(rig.remove(0, &key), store.remove(State(0), &key).unwrap());
            }
        }
        for bytes in &packets {
            for filter in 0..checked.module().filters.len() {
                let packet = interp::Packet { bytes, wire_len: bytes.len() as u32, in_port: 1 };
                let expected = interp::run(&checked, filter, &mut store, packet, 1).unwrap().class;
                let found = rig.run(filter, &[Packet::new(bytes, 1)], 1);
                prop_assert_eq!(found, [expected], "filter {}, {:02x?}", filter, bytes);
            }
        }
    }

    /// Addresses of 4, 8 and 16 bytes, of 16 behind a family, and keys that are no addresses; put together by words, by bytes, and with a length that is in the packet.
    #[test]
    fn bpf_code_finds_what_the_interpreter_finds(steps in steps(), bytes in prop_oneof![Just(4_u32), Just(8), Just(16), Just(17), 1..17_u32], by_bytes: bool, length: bool, numbers: bool) {
        let def = MapDef { name: "t".to_owned(), kind: MapKind::LpmTrie, key_size: 4 + bytes, value_size: 8, max_entries: 300, ..MapDef::default() };
        let program = verified(&program(bytes, by_bytes, length, numbers), vec![def]);
        let code = compile_bpf(&program, Answer::Value).unwrap();
        let maps = Maps::new(program.maps());
        // Without a family, the address is what is behind it.
        let skipped = 17 - bytes as usize;
        for (value, step) in (1..).zip(&steps) {
            let key = [&step.bits.min(8 * bytes).to_ne_bytes()[..], &step.address[skipped..]].concat();
            if step.put {
                maps.0[0].update(&key, &u64::to_ne_bytes(value), Update::Any, 1).unwrap();
            } else {
                maps.0[0].delete(&key);
            }
        }
        for packet in packets(&steps) {
            let packet = [&packet[skipped..17], &packet[17..]].concat();
            let found = engines::run(&code, &maps, &[Packet::new(&packet, 7)], 1)[0];
            prop_assert_eq!(found, interpret(&program, &maps, &packet, 1), "{:02x?}", packet);
        }
    }
}

/// A filter that looks so many addresses up, one after the other, until one is there.
fn one_of(addresses: usize) -> String {
    let mut text = "oko.ir 1\nstate m0 t: table prefix, capacity 300, key(family: u8, high: u64, low: u64), fields(v: u64)\nfilter f -> bool {\n\
        block0:\n    v0 = const 4\n    v1 = const 0\n    v2 = pkt.len\n    v3 = true\n    v4 = false\n    jump block3\nblock1:\n    return v4\n".to_owned();
    let entry = 5 + addresses;
    text += &format!("block2(v{entry}: entry m0):\n    return v3\n");
    for at in 0..addresses {
        let (block, high) = (3 + at, 5 + at);
        let next = if at + 1 == addresses { 1 } else { block + 1 };
        text += &format!(
            "block{block}:\n    v{high} = const {}\n    find m0(v0, v{high}, v2), block2, block{next}\n",
            (at as u64) << 56
        );
    }
    text + "}\n"
}

#[test]
fn a_filter_that_looks_very_many_addresses_up_stays_small() {
    let small = |addresses: usize| {
        let checked = verify(text::read(&one_of(addresses)).unwrap()).unwrap();
        let rig = Rig::new(&checked);
        let last = TableKey { parts: vec![4, (addresses as u64 - 1) << 56, 0], bits: 16 };
        assert_eq!(rig.run(0, &[Packet::new(&[0; 60], 1)], 1), [0]);
        assert!(rig.put(0, &last, &[1]));
        assert_eq!(rig.run(0, &[Packet::new(&[0; 60], 1)], 1), [1]);
        compile_ir_with(&checked, 0, Effort::Full).unwrap().bytes()
    };
    let (inline, by_calls) = (small(64), small(65));
    assert!(by_calls < inline, "{by_calls} bytes for 65 addresses, {inline} for 64");
}

/// A program that looks the first bytes of a packet up: their value, or a number that tells whether there is any.
fn program(bytes: u32, by_bytes: bool, length: bool, numbers: bool) -> String {
    // It ends where a word ends.
    let start = -(bytes.cast_signed());
    let mut copies = String::new();
    let mut at = 0;
    while at < bytes.cast_signed() {
        let place = start + at;
        let fits = |size: i32| place % size == 0 && at + size <= bytes.cast_signed();
        let (size, letter) = [(8, "dw"), (4, "w"), (2, "h")]
            .into_iter()
            .find(|(size, _)| !by_bytes && fits(*size))
            .unwrap_or((1, "b"));
        copies += &format!("ldx{letter} %r5, [%r2+{at}]\n stx{letter} [%r10-{}], %r5\n", -place);
        at += size;
    }
    let whole = 8 * bytes;
    let lengths: String = (0..4).map(|byte| {
        let at = 4 - byte - start;
        match (byte, length) {
            // Some bits less than all, sometimes.
            (0, true) => format!("ldxb %r5, [%r2+{}]\n and %r5, 1\n mov %r4, {whole}\n sub %r4, %r5\n stxb [%r10-{at}], %r4\n", bytes - 1),
            (0, false) => format!("stb [%r10-{at}], {whole}\n"),
            _ => format!("stb [%r10-{at}], 0\n"),
        }
    }).collect();
    let end = if numbers {
        "jeq %r0, 0, absent\n mov %r6, 5\n mov %r7, 9\n ja both\n absent: mov %r6, 3\n both: mov %r0, %r6\n add %r0, %r7"
    } else {
        "jeq %r0, 0, out\n ldxdw %r0, [%r0+0]"
    };
    let body = format!(
        "mov %r7, 1
         {copies}
         {lengths}
         lddw %r1, map[0]
         mov %r2, %r10
         add %r2, {}
         call 1
         {end}",
        start - 4
    );
    over(bytes, &body)
}
