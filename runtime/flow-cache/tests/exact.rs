//! The cache against a plain map, and what a scan does to it.

use std::collections::HashMap;

use oko_flow_cache::{ExactCache, Key, Layouts};
use oko_packet::{Field, FlowKey};

const SECRETS: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];

/// The key of a UDP packet of a flow.
fn key(layouts: &Layouts, flow: u32) -> Key {
    let mut frame = [0_u8; 60];
    frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
    frame[17] = 46;
    frame[23] = 17;
    frame[26..30].copy_from_slice(&flow.to_be_bytes());
    layouts.key(&frame, 1).expect("few words")
}

fn layouts() -> Layouts {
    let mut mask = FlowKey::ZERO;
    mask.set(Field::IPV4_SRC, u128::MAX);
    Layouts::new(&mask, 1)
}

#[test]
fn what_is_found_is_what_was_stored() {
    let layouts = layouts();
    let mut cache = ExactCache::new(1024, SECRETS);
    let mut stored = HashMap::new();
    let mut next = 0_u32;
    for flow in (0..5_000_u32).map(|i| i.wrapping_mul(2_654_435_761) % 2_000) {
        let key = key(&layouts, flow);
        let hash = cache.hash(&key);
        match cache.find(&key, hash, 1) {
            Some(found) => assert_eq!(Some(&found.value), stored.get(&flow), "flow {flow}"),
            None => {
                next += 1;
                let value = next;
                let (_, out) = cache.insert(&key, hash, 1, value);
                if let Some(out) = out {
                    stored.retain(|_, value| *value != out);
                }
                stored.insert(flow, value);
                assert_eq!(cache.find(&key, hash, 1).map(|found| found.value), Some(value));
            }
        }
    }
    assert_eq!(cache.capacity(), 1024);
    assert!(stored.len() > 900, "nearly all ways are used: {}", stored.len());
}

#[test]
fn another_epoch_finds_nothing() {
    let layouts = layouts();
    let mut cache = ExactCache::new(64, SECRETS);
    let key = key(&layouts, 1);
    let hash = cache.hash(&key);
    cache.insert(&key, hash, 1, 5);
    assert_eq!(cache.find(&key, hash, 2), None);
}

#[test]
fn keys_in_use_survive_a_scan() {
    let layouts = layouts();
    let mut cache = ExactCache::new(1024, SECRETS);
    let hot: Vec<Key> = (0..256).map(|flow| key(&layouts, flow)).collect();
    let mut misses = 0;
    for round in 0..200_u32 {
        for hot in &hot {
            let hash = cache.hash(hot);
            if cache.find(hot, hash, 1).is_none() {
                misses += u32::from(round > 0);
                cache.insert(hot, hash, 1, 0);
            }
        }
        // Four times as many packets that nobody sends twice.
        for flow in 0..1024 {
            let cold = key(&layouts, 1_000_000 + round * 1024 + flow);
            let hash = cache.hash(&cold);
            if cache.find(&cold, hash, 1).is_none() {
                cache.insert(&cold, hash, 1, 0);
            }
        }
    }
    let share = f64::from(misses) / (256.0 * 199.0);
    assert!(share < 0.15, "{:.1} % of the packets of flows in use missed", share * 100.0);
}
