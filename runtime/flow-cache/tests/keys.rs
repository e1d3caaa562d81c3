//! Keys say neither too little nor too much: frames with the same key have the same relevant fields, and frames of one shape
//! with the same relevant fields have the same key.

use oko_flow_cache::{Changes, Layouts, Shape};
use oko_packet::{FIELDS, Field, FlowKey, extract};
use proptest::prelude::*;

/// A frame that looks like one of the common shapes, or nearly.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let ip = prop_oneof![Just(4_u8), Just(6)];
    let protocol = prop_oneof![4 => Just(6_u8), 4 => Just(17), 1 => Just(1), 1 => Just(58), 1 => any::<u8>()];
    (prop::option::weighted(0.3, any::<u16>()), ip, protocol, 0_usize..40, any::<[u8; 96]>(), any::<u64>())
        .prop_map(|(tag, version, protocol, payload, noise, few)| {
            let mut frame = noise[..12].to_vec();
            if let Some(tag) = tag {
                frame.extend([if few & 1 == 0 { 0x81 } else { 0x88 }, if few & 1 == 0 { 0 } else { 0xa8 }]);
                frame.extend(tag.to_be_bytes());
            }
            let transport = if protocol == 6 { 20 } else { 8 };
            if version == 4 {
                frame.extend([0x08, 0x00, 0x45, noise[13], 0]);
                frame.push(20 + transport + payload as u8);
                frame.extend([noise[14], noise[15], 0, 0, 64, protocol]);
                frame.extend(&noise[20..30]);
            } else {
                frame.extend([0x86, 0xdd, 0x60 | noise[13] & 15, noise[14], noise[15], noise[16], 0]);
                frame.extend([transport + payload as u8, protocol, 64]);
                frame.extend(&noise[20..52]);
            }
            frame.extend(&noise[52..52 + usize::from(transport)]);
            frame.resize(frame.len() + payload, 0);
            frame
        })
}

/// Changes of single bytes, and perhaps a cut.
fn changed() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let changes = prop::collection::vec((0_usize..80, any::<u8>()), 0..4);
    (frame(), changes, prop::option::weighted(0.2, 0_usize..100)).prop_map(|(frame, changes, cut)| {
        let mut other = frame.clone();
        for (at, byte) in changes {
            if let Some(place) = other.get_mut(at) {
                *place = byte;
            }
        }
        other.truncate(cut.unwrap_or(usize::MAX));
        (frame, other)
    })
}

/// A mask over a few fields.
fn mask() -> impl Strategy<Value = FlowKey> {
    prop::collection::vec((0..FIELDS.len(), any::<u128>(), any::<bool>()), 0..6).prop_map(|fields| {
        let mut mask = FlowKey::ZERO;
        for (field, bits, all) in fields {
            mask.set(FIELDS[field], if all { u128::MAX } else { bits });
        }
        mask
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn frames_with_one_key_are_one_to_the_tables((a, b) in changed(), mask in mask(), ports in (1_u32..3, 1_u32..3)) {
        let layouts = Layouts::new(&mask);
        let (Some(key_a), Some(key_b)) = (layouts.key(&a, ports.0), layouts.key(&b, ports.1)) else { return Ok(()) };
        let relevant = |frame: &[u8], port| extract(frame, port).key.masked(&mask);
        if key_a == key_b {
            prop_assert_eq!(relevant(&a, ports.0), relevant(&b, ports.1));
        } else if ports.0 == ports.1 && Shape::of(&a) == Shape::of(&b) {
            prop_assert_ne!(relevant(&a, ports.0), relevant(&b, ports.1));
        }
    }

    #[test]
    fn packets_that_a_changed_entry_matches_are_concerned((a, b) in changed(), mask in mask(), more in mask()) {
        // The entry looks for what one frame has, in bits that are relevant.
        let layouts = Layouts::new(&mask.union(&more));
        let value = extract(&a, 1).key.masked(&mask);
        let mut changes = Changes::default();
        changes.note(&layouts, &value, &mask, 5);
        let Some(key) = layouts.key(&b, 1) else { return Ok(()) };
        if extract(&b, 1).key.masked(&mask) == value {
            prop_assert!(changes.concern(&key, 4));
        }
        prop_assert!(!changes.concern(&key, 5), "what is confirmed since is not concerned any more");
    }

    #[test]
    fn a_shape_says_which_headers_there_are(frame in frame()) {
        if let Some(shape) = Shape::of(&frame) {
            let found = extract(&frame, 1);
            prop_assert_eq!(found.l3.map(usize::from), Some(shape.network_offset()));
            prop_assert_eq!(found.l4.map(usize::from), Some(shape.transport_offset()));
            prop_assert!(frame.len() >= shape.min_len());
        }
    }
}

#[test]
fn other_flows_are_not_concerned() {
    let mut mask = FlowKey::ZERO;
    for field in [Field::ETH_TYPE, Field::IP_PROTO, Field::IPV4_SRC, Field::L4_DST] {
        mask.set(field, u128::MAX);
    }
    let layouts = Layouts::new(&mask);
    let udp = |host: u8, port: u16| {
        let mut frame = vec![0_u8; 60];
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        (frame[17], frame[23], frame[29]) = (46, 17, host);
        frame[36..38].copy_from_slice(&port.to_be_bytes());
        frame
    };
    let mut changes = Changes::default();
    for host in 0..100 {
        changes.note(&layouts, &extract(&udp(host, 53), 1).key.masked(&mask), &mask, u64::from(host));
    }
    let concern = |frame: &[u8], epoch| changes.concern(&layouts.key(frame, 1).expect("few words"), epoch);
    assert!(concern(&udp(50, 53), 49) && !concern(&udp(50, 53), 50));
    assert!(!concern(&udp(50, 54), 0) && !concern(&udp(100, 53), 0));
    let mut arp = udp(50, 53);
    arp[13] = 6;
    assert!(!concern(&arp, 0));
}

#[test]
fn without_conditions_on_the_frame_it_is_not_looked_at() {
    let mut mask = FlowKey::ZERO;
    mask.set(Field::IN_PORT, u128::MAX);
    let layouts = Layouts::new(&mask);
    assert_eq!(layouts.key(&[], 1), layouts.key(&[1, 2, 3], 1));
    assert_ne!(layouts.key(&[], 1), layouts.key(&[], 2));
}
