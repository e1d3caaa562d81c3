//! Filters whose headers are found out by a test of a few words, beside the interpreter, on frames of the kinds that this is for, and nearly.

#![allow(clippy::unwrap_used)]

/// Not all of it is used here.
#[allow(dead_code)]
mod rig;

use oko_ir::interp::{self, Store, TableKey};
use oko_ir::passes::{apply, go_straight};
use oko_ir::testing::chain::chain;
use oko_ir::{Checked, text, verify};
use oko_jit::abi::Packet;
use oko_jit::compile_ir;
use proptest::prelude::*;
use rig::Rig;

/// Ethernet, IPv4 or IPv6, one transport; what is said of its ports depends on what was met on the way.
fn source(protocol: u8, capacity: u32) -> String {
    format!(
        "oko.ir 1
state m0 s: hash evict_oldest, capacity {capacity}, key(k: u64), fields(n: u32)
filter f -> classes 4 {{
block0:
    v0 = const 0
    window v0, 14, block1, block9
block1(v1: window 14):
    v2 = load.be16 v1, 12
    v3 = const 14
    v4 = const 2048
    v5 = eq v2, v4
    branch v5, block2(v3), block3
block2(v6: int):
    window v6, 20, block4, block9
block3:
    v7 = const 34525
    v8 = eq v2, v7
    branch v8, block10(v3), block9
block4(v9: window 20):
    v10 = load.be8 v9, 0
    v11 = const 4
    v12 = ushr v10, v11
    v13 = eq v12, v11
    branch v13, block5, block9
block5:
    v14 = const 15
    v15 = and v10, v14
    v16 = const 5
    v17 = ule v16, v15
    branch v17, block6, block9
block6:
    v18 = mul v15, v11
    v19 = load.be16 v9, 2
    v20 = ule v18, v19
    branch v20, block7, block9
block7:
    v21 = load.be8 v9, 9
    v22 = load.be16 v9, 6
    v23 = const 8191
    v24 = and v22, v23
    v25 = add v6, v18
    v26 = const {protocol}
    v27 = eq v21, v26
    v28 = eq v24, v0
    v29 = and_b v27, v28
    branch v29, block8(v25, v19), block9
block8(v30: int, v31: int):
    window v30, 8, block13(v31), block9
block9:
    return v0
block10(v32: int):
    window v32, 40, block11, block9
block11(v33: window 40):
    v34 = load.be16 v33, 4
    v35 = load.be8 v33, 6
    v36 = const {protocol}
    v37 = eq v35, v36
    v38 = const 54
    branch v37, block12, block9
block12:
    v39 = const 7
    v40 = ult v34, v39
    branch v40, block9, block8(v38, v0)
block13(v41: window 8, v42: int):
    v43 = load.be16 v41, 0
    v44 = load.be16 v41, 2
    v45 = xor v43, v44
    v46 = add v45, v42
    slot m0(v46), block14, block9
block14(v47: entry m0):
    v48 = lock v47
    v49 = get v47, f0
    v50 = const 1
    v51 = add v49, v50
    set v47, f0, v51
    v52 = const {never}
    unlock.touch v47, v52
    v53 = const 3
    v54 = and v51, v53
    return v54
}}",
        never = u64::MAX
    )
}

/// A frame of a kind, or nearly: some bytes are others, and some are cut off.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop_oneof![Just(6_u8), Just(17), Just(1)];
    let change = (12..30_usize, prop_oneof![any::<u8>(), Just(0), Just(0x45), Just(0x46), Just(0x60)]);
    let changes = proptest::collection::vec(change, 0..3);
    let end = prop_oneof![4 => Just(64_usize), 1 => 0..64_usize];
    (any::<bool>(), protocol, 0..90_u16, 0..3_u8, changes, end).prop_map(
        |(is_ipv6, protocol, length, port, changes, end)| {
            let mut bytes = vec![0_u8; 64];
            let [high, low] = length.to_be_bytes();
            if is_ipv6 {
                bytes[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
                (bytes[18], bytes[19], bytes[20], bytes[55]) = (high, low, protocol, port);
            } else {
                bytes[12..15].copy_from_slice(&[0x08, 0, 0x45]);
                (bytes[16], bytes[17], bytes[23], bytes[35]) = (high, low, protocol, port);
            }
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(end);
            bytes
        },
    )
}

/// The filter of a text with the straight way that the pass makes.
fn straight(text: &str) -> Checked {
    apply(go_straight, verify(text::read(text).unwrap()).unwrap()).unwrap()
}

/// How many entries are more than the caches near a core hold, so that code goes ahead to fetch them.
const FAR: u64 = 20_000;
/// Keys from here on are no packet's.
const NOBODYS: u64 = 1 << 40;

/// Demands that native code of what the pass makes says of frames what the interpreter says of the filter as it was, and leaves the same entries, beside `others` that
/// nobody asks for.
fn same(protocol: u8, capacity: u32, others: u64, frames: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let checked = verify(text::read(&source(protocol, capacity)).unwrap()).unwrap();
    let (rig, mut store) = (Rig::new(&straight(&source(protocol, capacity))), Store::new(&checked));
    for other in 0..others {
        let parts = vec![NOBODYS + other];
        assert!(rig.put(0, &TableKey { parts, bits: 64 }, &[0]));
    }
    prop_assert_eq!(rig.map("s").is_far(), others > 0);
    for (now, frames) in (1..).zip(frames.chunks(7)) {
        let packets: Vec<Packet<'_>> = frames.iter().map(|frame| Packet::new(frame, 1)).collect();
        let expected: Vec<u32> = frames
            .iter()
            .map(|bytes| {
                let packet = interp::Packet { bytes, wire_len: bytes.len() as u32, in_port: 1 };
                interp::run(&checked, 0, &mut store, packet, now).unwrap().class
            })
            .collect();
        prop_assert_eq!(rig.run(0, &packets, now), expected);
    }
    let later = 1 << 40;
    let mut found = rig.live(0, later);
    found.retain(|entry| entry.key[0] < NOBODYS);
    prop_assert_eq!(found, store.dump().remove(0).live(later).entries);
    Ok(())
}

fn protocol() -> impl Strategy<Value = u8> {
    prop_oneof![Just(6_u8), Just(17), Just(1), Just(50)]
}

/// Much code behind a way, the most that is compiled with all effort, and as much as a filter may be.
#[test]
fn long_filters_come_to_the_same() {
    for (blocks, operations) in [(1_000, 7), (2_700, 2), (8_000, 8)] {
        let checked = straight(&chain(blocks, operations, 0));
        let code = compile_ir(&checked, 0).unwrap();
        assert!(code.bytes() < 64 * (blocks * (operations + 1)) as usize, "{}", code.bytes());
        let rig = Rig::of(&checked, vec![code]);
        let frames = (0..32_u8).map(|number| {
            let mut bytes = [number; 60];
            // Every fourth one is of another kind.
            bytes[12..15].copy_from_slice(&[0x08, 0, if number % 4 == 0 { 0x46 } else { 0x45 }]);
            bytes
        });
        let frames: Vec<[u8; 60]> = frames.collect();
        let packets: Vec<Packet<'_>> = frames.iter().map(|frame| Packet::new(frame, 1)).collect();
        let expected = frames.iter().map(|bytes| {
            let packet = interp::Packet { bytes, wire_len: 60, in_port: 1 };
            interp::run(&checked, 0, &mut Store::new(&checked), packet, 1).unwrap().class
        });
        let expected: Vec<u32> = expected.collect();
        assert_eq!(checked.module().filters[0].blocks.len() > blocks as usize + 6, blocks < 1_024);
        assert!(expected.contains(&0) && expected.contains(&1), "{expected:?}");
        assert_eq!(rig.run(0, &packets, 1), expected, "{blocks} blocks of {operations}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_goes_straight_comes_to_the_same(
        protocol in protocol(),
        frames in proptest::collection::vec(frame(), 1..100),
    ) {
        same(protocol, 64, 0, &frames)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn what_goes_ahead_goes_straight(
        protocol in protocol(),
        frames in proptest::collection::vec(frame(), 100..300),
    ) {
        same(protocol, 1 << 16, FAR, &frames)?;
    }
}
