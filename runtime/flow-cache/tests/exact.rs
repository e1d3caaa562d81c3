//! The cache against a plain map, and what a scan does to it.

use std::collections::HashMap;

use oko_flow_cache::{ExactCache, Key, Layouts, Lookups, Together};
use oko_packet::{Field, FlowKey};

const SECRETS: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];

/// A UDP packet of a flow, over IPv4 or IPv6.
fn frame(flow: u32, v6: bool) -> Vec<u8> {
    let mut frame = vec![0_u8; 80];
    if v6 {
        frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
        frame[19] = 26;
        frame[20] = 17;
        frame[34..38].copy_from_slice(&flow.to_be_bytes());
        frame[50..54].copy_from_slice(&flow.to_be_bytes());
    } else {
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[17] = 46;
        frame[23] = 17;
        frame[26..30].copy_from_slice(&flow.to_be_bytes());
    }
    frame
}

/// The key of a UDP packet of a flow.
fn key(layouts: &Layouts, flow: u32) -> Key {
    layouts.key(&frame(flow, false), 1).expect("few words")
}

fn layouts() -> Layouts {
    let mut mask = FlowKey::ZERO;
    mask.set(Field::IPV4_SRC, u128::MAX);
    Layouts::new(&mask)
}

#[test]
fn what_is_found_is_what_was_stored() {
    let layouts = layouts();
    let mut cache = ExactCache::new(512, SECRETS);
    cache.begin(1, &layouts);
    let mut stored = HashMap::new();
    let mut next = 0_u32;
    for flow in (0..5_000_u32).map(|i| i.wrapping_mul(2_654_435_761) % 2_000) {
        let key = key(&layouts, flow);
        let hash = cache.hash(&key);
        match cache.find(&key, hash) {
            Some(found) => assert_eq!(Some(&found.value), stored.get(&flow), "flow {flow}"),
            None => {
                next += 1;
                let value = next;
                let out = cache.insert(&key, hash, value);
                if let Some(out) = out {
                    stored.retain(|_, value| *value != out);
                }
                stored.insert(flow, value);
                assert_eq!(cache.find(&key, hash).map(|found| found.value), Some(value));
            }
        }
    }
    assert_eq!(cache.ways(), 1024);
    assert!(stored.len() > 900, "nearly all ways are used: {}", stored.len());
}

#[test]
fn a_new_beginning_lets_go_of_all_keys_and_a_later_epoch_says_whose_they_are() {
    let layouts = layouts();
    let mut cache = ExactCache::new(64, SECRETS);
    cache.begin(1, &layouts);
    let key = key(&layouts, 1);
    let hash = cache.hash(&key);
    cache.insert(&key, hash, 5);
    cache.advance(2);
    let found = cache.find(&key, hash).expect("it is there still");
    assert_eq!((found.value, found.epoch), (5, 1));
    cache.renew(found.way, 6);
    assert_eq!(cache.find(&key, hash).map(|found| (found.value, found.epoch)), Some((6, 2)));
    cache.begin(3, &layouts);
    assert_eq!(cache.find(&key, hash), None);
}

#[test]
fn a_cache_grows_while_keys_push_each_other_out() {
    let layouts = layouts();
    let mut cache = ExactCache::new(1 << 16, SECRETS);
    cache.begin(1, &layouts);
    assert!(cache.ways() < 1 << 14);
    let mut misses = 0;
    for round in 0..16 {
        for flow in 0..40_000 {
            let key = key(&layouts, flow);
            let hash = cache.hash(&key);
            if cache.find(&key, hash).is_none() {
                misses += u32::from(round > 11);
                cache.insert(&key, hash, flow);
            }
        }
    }
    assert!(cache.ways() >= 1 << 16);
    assert!(misses < 4 * 400, "{misses} misses when it has room");
}

/// Bursts find what single lookups find, whether keys are short or long, the same or not, and whatever was pushed out.
#[test]
fn a_burst_finds_what_is_there() {
    let wide =
        [Field::ETH_SRC, Field::ETH_DST, Field::IPV6_SRC, Field::IPV6_DST, Field::L4_SRC, Field::IPV4_SRC];
    for fields in
        [&[Field::IN_PORT][..], &[Field::IPV4_SRC], &[Field::IPV4_SRC, Field::ETH_SRC, Field::L4_DST], &wide]
    {
        let mut mask = FlowKey::ZERO;
        fields.iter().for_each(|field| mask.set(*field, u128::MAX));
        let layouts = Layouts::new(&mask);
        let (mut cache, mut lookups) = (ExactCache::new(256, SECRETS), Lookups::new());
        cache.begin(1, &layouts);
        for round in 0..400_u32 {
            let frames: Vec<Vec<u8>> = (0..1 + round % 32)
                .map(|at| {
                    // Now and then one flow only, or at first; otherwise a few hundred, of different kinds.
                    let at_first = if round % 5 == 1 { round % 13 } else { 0 };
                    let is_one = round % 5 == 0 || at < at_first;
                    let flow = if is_one { round % 7 } else { (round * 31 + at * at) % 300 };
                    frame(flow, flow % 3 == 0)
                })
                .collect();
            let of = |at: usize| Some(frames[at].as_slice()).filter(|_| round % 11 != 10 || at % 4 != 1);
            let mut fetched = Vec::new();
            let together =
                lookups.look_up(&layouts, &mut cache, frames.len(), of, 1, |value| fetched.push(value));
            let expected: Vec<Option<u32>> = (0..frames.len())
                .map(|at| {
                    let key = layouts.key(of(at)?, 1).expect("few words");
                    let hash = cache.hash(&key);
                    assert_eq!(lookups.key(at), Some((&key, hash)), "fields {fields:?}");
                    cache.find(&key, hash).map(|found| found.value)
                })
                .collect();
            assert_eq!((0..frames.len()).map(|at| lookups.value(at)).collect::<Vec<_>>(), expected);
            match together {
                Together::Same(value) => assert!(expected.iter().all(|found| *found == Some(value))),
                Together::Nothing => {
                    assert_eq!(fetched, expected.iter().flatten().copied().collect::<Vec<_>>());
                }
            }
            for at in 0..frames.len() {
                if let Some((key, hash)) = lookups.key(at)
                    && cache.find(key, hash).is_none()
                {
                    cache.insert(key, hash, round * 32 + at as u32);
                }
            }
        }
    }
}

#[test]
fn keys_in_use_survive_a_scan() {
    let layouts = layouts();
    let mut cache = ExactCache::new(512, SECRETS);
    cache.begin(1, &layouts);
    let hot: Vec<Key> = (0..256).map(|flow| key(&layouts, flow)).collect();
    let mut misses = 0;
    for round in 0..200_u32 {
        for hot in &hot {
            let hash = cache.hash(hot);
            if cache.find(hot, hash).is_none() {
                misses += u32::from(round > 0);
                cache.insert(hot, hash, 0);
            }
        }
        // Four times as many packets that nobody sends twice.
        for flow in 0..1024 {
            let cold = key(&layouts, 1_000_000 + round * 1024 + flow);
            let hash = cache.hash(&cold);
            if cache.find(&cold, hash).is_none() {
                cache.insert(&cold, hash, 0);
            }
        }
    }
    let share = f64::from(misses) / (256.0 * 199.0);
    assert!(share < 0.15, "{:.1} % of the packets of flows in use missed", share * 100.0);
}
