//! What filters remember.

mod support;

use proptest::prelude::*;
use support::packets::{A, ACK, B, FIN, Ipv4, RST, SYN, segment, segment6, tcp};
use support::{Machine, SECOND};

/// A packet whose IPv4 source ends in this byte.
fn from(last: u8) -> Vec<u8> {
    segment([10, 0, 0, last], 4000, B, 80, SYN)
}

fn address(last: u8) -> u64 {
    u64::from(u32::from_be_bytes([10, 0, 0, last]))
}

const SEEN: &str = "
    use std.net.ipv4;
    state seen: map[ip4, counter] { capacity: 2, when_full: POLICY, expire: 10s };
    filter f -> bool { match pkt { ipv4 => ANSWER, _ => false } }";

fn seen(policy: &str, answer: &str) -> Machine {
    Machine::new(&SEEN.replace("POLICY", policy).replace("ANSWER", answer))
}

#[test]
fn a_counter_counts_per_key() {
    let mut machine = seen("evict_oldest", "seen[ipv4.src].add(1) == 3");
    let answers: Vec<bool> =
        [1, 1, 2, 1, 2].iter().map(|last| machine.matches(&from(*last), SECOND)).collect();
    assert_eq!(answers, [false, false, false, true, false]);
    assert_eq!(machine.entries(0, SECOND), [(vec![address(1)], vec![3]), (vec![address(2)], vec![2])]);
}

#[test]
fn an_entry_expires_so_long_after_its_last_write() {
    let mut machine = seen("evict_oldest", "seen[ipv4.src].add(1) == 1");
    assert!(machine.matches(&from(1), SECOND));
    assert!(!machine.matches(&from(1), 11 * SECOND - 1), "renewed just in time");
    assert!(machine.matches(&from(1), 21 * SECOND - 1), "expired at that very instant");
}

#[test]
fn reading_does_not_renew() {
    let mut machine = seen(
        "evict_oldest",
        "if ipv4.src == 10.0.0.1 { seen[10.0.0.1].add(1) == 1 } else { seen[10.0.0.1].total == 1 }",
    );
    assert!(machine.matches(&from(1), SECOND));
    assert!(machine.matches(&from(2), 10 * SECOND));
    assert!(!machine.matches(&from(2), 11 * SECOND));
}

#[test]
fn the_oldest_entry_makes_room() {
    let mut machine = seen("evict_oldest", "seen[ipv4.src].add(1) == 1");
    for (at, last) in [1, 2, 1, 3].into_iter().enumerate() {
        machine.matches(&from(last), (at as u64 + 1) * SECOND);
    }
    let keys: Vec<u64> = machine.entries(0, 4 * SECOND).iter().map(|(key, _)| key[0]).collect();
    assert_eq!(keys, [address(1), address(3)]);
}

#[test]
fn a_refused_key_has_no_value() {
    let mut machine = seen("refuse", "seen[ipv4.src].add(1) == none");
    let answers: Vec<bool> = [1, 2, 3, 1].iter().map(|last| machine.matches(&from(*last), SECOND)).collect();
    assert_eq!(answers, [false, false, true, false]);
    assert!(!machine.matches(&from(3), 12 * SECOND), "dead entries make room");
}

#[test]
fn a_single_counter_counts_all_packets() {
    let mut machine = Machine::new("state all: counter; filter f -> bool { all.add(2) > 4 }");
    let answers: Vec<bool> = (0..3).map(|_| machine.matches(&[], SECOND)).collect();
    assert_eq!(answers, [false, false, true]);
    assert_eq!(machine.entries(0, u64::MAX - 1), [(vec![0], vec![6])]);
}

#[test]
fn counters_stay_at_their_greatest_value() {
    let text = "param step: u64 = 1; state all: counter;
        filter f -> bool { all.add(step) == 0xffff_ffff_ffff_ffff }";
    let mut machine = Machine::new(text);
    machine.set_param(0, u64::MAX - 1);
    assert!(!machine.matches(&[], SECOND));
    assert!(machine.matches(&[], SECOND));
}

/// The window's arithmetic as the manual states it, over events at rising times.
fn window_model(events: &[(u64, u64)], length: u64) -> Vec<u64> {
    let mut counts: std::collections::HashMap<u64, u64> = std::collections::HashMap::new();
    let mut totals = Vec::new();
    for (now, amount) in events {
        let number = now / length;
        *counts.entry(number).or_default() += amount;
        let previous = number.checked_sub(1).and_then(|number| counts.get(&number)).copied().unwrap_or(0);
        let part = (u128::from(length - now % length) << 16) / u128::from(length);
        let covered = (u128::from(previous) * part) >> 16;
        totals.push(counts[&number] + covered as u64);
    }
    totals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_window_forgets_as_stated(steps in prop::collection::vec((0u64..15_000_000_000, 1u64..1_000), 1..30)) {
        let text = "param step: u32 = 1; param expected: u64 = 0;
            state recent: window { window: 5s };
            filter f -> bool { recent.add(step) == expected }";
        let mut machine = Machine::new(text);
        let mut now = SECOND;
        let events: Vec<(u64, u64)> = steps.iter().map(|(wait, amount)| {
            now += wait;
            (now, *amount)
        }).collect();
        for ((now, amount), total) in events.iter().zip(window_model(&events, 5 * SECOND)) {
            machine.set_param(0, *amount);
            machine.set_param(1, total);
            prop_assert!(machine.matches(&[], *now), "{total} at {now}");
        }
    }

    /// A bucket lets through what an exact model over 128 bits lets through.
    #[test]
    fn a_bucket_fills_and_empties_exactly(
        rate in 1u64..2_000_000,
        burst in 1u64..1_000,
        steps in prop::collection::vec((0u64..3_000_000_000, 0u64..4), 1..40),
    ) {
        let text = "param rate: rate in 1pps..=2_000_000pps = 1pps; param burst: u32 in 1..=1_000 = 1; param n: u8 = 1;
            state bucket: tokens { init: tokens(rate: rate, burst: burst) };
            filter f -> bool { bucket.take(n) }";
        let mut machine = Machine::new(text);
        machine.set_param(0, rate);
        machine.set_param(1, burst);
        let most = u128::from(burst) * 1_000_000_000;
        let (mut level, mut last, mut now) = (most, 0u64, SECOND);
        for (wait, amount) in steps {
            now += wait;
            if last != 0 {
                level = most.min(level + u128::from(now - last) * u128::from(rate));
            }
            last = now;
            let needed = u128::from(amount) * 1_000_000_000;
            let enough = level >= needed;
            level -= if enough { needed } else { 0 };
            machine.set_param(2, amount);
            prop_assert_eq!(machine.matches(&[], now), enough, "{} tokens at {}", amount, now);
        }
    }
}

#[test]
fn a_window_is_read_without_counting() {
    let text = "use std.net.{ipv4, tcp};
        state recent: map[ip4, window] { capacity: 8, when_full: evict_oldest, expire: 60s, window: 10s };
        filter f -> bool {
            match pkt {
                ipv4 / tcp if tcp.flags == SYN => recent[ipv4.src].add(4) == 4,
                ipv4 => recent[ipv4.src].total == 2,
                _ => false,
            }
        }";
    let mut machine = Machine::new(text);
    assert!(machine.matches(&segment(A, 1, B, 2, SYN), 20 * SECOND));
    // Half of the bucket before is still covered.
    assert!(machine.matches(&segment(A, 1, B, 2, ACK), 35 * SECOND));
    assert!(!machine.matches(&segment(A, 1, B, 2, ACK), 40 * SECOND));
    assert!(!machine.matches(&segment(B, 1, A, 2, ACK), 35 * SECOND), "another key");
}

const STEPS: &str = "
    use std.net.{ipv4, tcp};
    struct Step { count: u8, last: instant }
    state steps: map[ip4, Step] { capacity: 2, when_full: refuse, expire: 10s };
    filter f -> bool {
        match pkt {
            ipv4 / tcp => {
                let after = update steps[ipv4.src] |old| match old {
                    none if tcp.flags == SYN => Step(count: 1, last: now),
                    none => none,
                    let step if tcp.flags has RST => none,
                    let step => Step(count: step.count +| 200, last: now),
                };
                match after { none => false, let step => step.count == 255 }
            }
            _ => false,
        }
    }";

#[test]
fn an_update_inserts_replaces_and_deletes() {
    let mut machine = Machine::new(STEPS);
    let packet = |flags| segment(A, 1, B, 2, flags);
    assert!(!machine.matches(&packet(ACK), SECOND));
    assert_eq!(machine.entries(0, SECOND), [], "nothing is made where nothing is inserted");
    assert!(!machine.matches(&packet(SYN), SECOND));
    let key = u64::from(u32::from_be_bytes(A));
    assert_eq!(machine.entries(0, SECOND), [(vec![key], vec![1, SECOND])]);
    assert!(!machine.matches(&packet(ACK), 2 * SECOND));
    assert!(machine.matches(&packet(ACK), 3 * SECOND), "saturated");
    assert_eq!(machine.entries(0, 3 * SECOND), [(vec![key], vec![255, 3 * SECOND])]);
    assert!(!machine.matches(&packet(RST), 3 * SECOND));
    assert_eq!(machine.entries(0, 3 * SECOND), []);
    assert!(!machine.matches(&packet(ACK), 3 * SECOND));
}

#[test]
fn an_update_of_a_new_key_is_none_when_there_is_no_room() {
    let text = "use std.net.ipv4;
        state a: map[ip4, u8] { capacity: 1, when_full: refuse, expire: never };
        filter f -> bool { match pkt { ipv4 => (update a[ipv4.src] |old| 7) == none, _ => false } }";
    let mut machine = Machine::new(text);
    assert!(!machine.matches(&from(1), SECOND));
    assert!(machine.matches(&from(2), SECOND));
    assert!(!machine.matches(&from(1), 1_000_000 * SECOND), "never expires");
}

#[test]
fn an_expired_entry_is_none_in_an_update() {
    let text = "state a: map[u8, u8] { capacity: 1, when_full: refuse, expire: 5s };
        filter f -> bool { (update a[1] |old| match old { none => 1, let n => n +| 1 }) == 1 }";
    let mut machine = Machine::new(text);
    let answers: Vec<bool> = [1, 2, 7, 11].iter().map(|now| machine.matches(&[], now * SECOND)).collect();
    assert_eq!(answers, [true, false, true, false]);
}

#[test]
fn sets_know_their_keys() {
    let text = "use std.net.{ipv4, tcp};
        state asked: set[(ip4, u16)] { capacity: 8, when_full: evict_oldest, expire: 5s };
        enum Answer { Other, New, Again, Answered, Unasked }
        filter f -> Answer {
            match pkt {
                ipv4 / tcp if tcp.flags == SYN => if asked.insert((ipv4.src, tcp.src_port)) { New } else { Again },
                ipv4 / tcp if (ipv4.dst, tcp.dst_port) in asked =>
                    if asked.remove((ipv4.dst, tcp.dst_port)) { Answered } else { Other },
                ipv4 / tcp if not asked.contains((ipv4.dst, tcp.dst_port)) => Unasked,
                _ => Other,
            }
        }";
    let mut machine = Machine::new(text);
    let out = segment(A, 1, B, 2, SYN);
    let back = segment(B, 2, A, 1, ACK);
    let answers: Vec<u32> = [(&back, 1), (&out, 1), (&out, 2), (&back, 3), (&back, 3), (&out, 3), (&back, 8)]
        .into_iter()
        .map(|(packet, now)| machine.class(packet, now * SECOND))
        .collect();
    assert_eq!(answers, [4, 1, 2, 3, 4, 1, 4]);
}

#[test]
fn a_function_of_the_value_says_how_long_it_stays() {
    let text = "use std.net.{ipv4, tcp};
        enum Kind { Short, Long }
        fn stay(kind: Kind) -> duration { match kind { Short => 1s, Long => 100s } }
        state kinds: map[u8, Kind] { capacity: 8, when_full: refuse, expire: stay };
        filter f -> bool {
            match pkt {
                ipv4 / tcp if tcp.flags == SYN => (update kinds[0] |old| Short) == Short,
                ipv4 / tcp if tcp.flags == ACK => (update kinds[0] |old| Long) == Long,
                _ => kinds[0] == none,
            }
        }";
    let mut machine = Machine::new(text);
    let packet = |flags| segment(A, 1, B, 2, flags);
    assert!(machine.matches(&packet(SYN), SECOND));
    assert!(machine.matches(&packet(FIN), 2 * SECOND), "gone after a second");
    assert!(machine.matches(&packet(ACK), 2 * SECOND));
    assert!(!machine.matches(&packet(FIN), 101 * SECOND));
    assert!(machine.matches(&packet(FIN), 102 * SECOND));
}

fn example(name: &str) -> String {
    let path = format!("{}/../../examples/{name}.oko", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("an example")
}

#[test]
fn the_firewall_tracks_connections_from_the_inside() {
    let mut machine = Machine::new(&example("firewall"));
    let out = |flags| segment([10, 0, 0, 1], 4000, [192, 0, 2, 7], 80, flags);
    let back = |flags| segment([192, 0, 2, 7], 80, [10, 0, 0, 1], 4000, flags);
    let hour = 3600 * SECOND;
    let steps = [
        (back(SYN | ACK), 1, false),
        (back(SYN), 1, false),
        (out(SYN), 1, true),
        (back(SYN | ACK), 1, true),
        (out(ACK), 1, true),
        (back(ACK), 1, true),
        (segment([192, 0, 2, 7], 80, [10, 0, 0, 1], 4001, ACK), 1, false),
    ];
    for (at, (packet, now, expected)) in steps.into_iter().enumerate() {
        assert_eq!(machine.matches(&packet, now * SECOND), expected, "step {at}");
    }
    assert!(machine.matches(&out(ACK), hour), "within an hour");
    assert!(!machine.matches(&out(ACK), 2 * hour), "an hour later");
    // A connection that is reset is forgotten soon.
    machine.matches(&out(SYN), 2 * hour);
    assert!(machine.matches(&back(RST), 2 * hour));
    assert!(!machine.matches(&back(ACK), 2 * hour + 10 * SECOND));
}

#[test]
fn a_syn_flood_is_noticed_and_ends() {
    let mut machine = Machine::new(&example("syn_flood"));
    machine.set_param(0, 10);
    let syn = |port| segment(A, port, B, 80, SYN);
    let answers: Vec<bool> = (0..15).map(|port| machine.matches(&syn(port), 100 * SECOND)).collect();
    assert_eq!(answers.iter().filter(|matched| **matched).count(), 5);
    assert!(answers[10..].iter().all(|matched| *matched));
    assert!(!machine.matches(&segment(A, 1, [192, 0, 2, 8], 80, SYN), 100 * SECOND), "another server");
    let friend = [10, 0, 0, 9];
    assert!(!machine.matches(&segment(friend, 1, B, 80, ACK), 100 * SECOND), "what is open goes on");
    assert!(!machine.matches(&segment(friend, 2, B, 80, SYN), 100 * SECOND), "and its client may open more");
    for port in 0..10 {
        assert!(!machine.matches(&segment(A, port, B, 80, FIN | ACK), 101 * SECOND));
    }
    assert!(!machine.matches(&syn(99), 101 * SECOND), "balanced again");
    assert!(!machine.matches(&syn(99), 125 * SECOND), "forgotten");
}

#[test]
fn a_source_is_held_to_its_rate() {
    let mut machine = Machine::new(&example("rate_limit"));
    machine.set_param(0, 10);
    machine.set_param(1, 5);
    let send = |machine: &mut Machine, count: usize, now: u64| {
        (0..count).filter(|_| machine.matches(&from(1), now)).count()
    };
    assert_eq!(send(&mut machine, 8, SECOND), 3, "a burst of five");
    assert_eq!(send(&mut machine, 2, SECOND + SECOND / 10), 1, "a token comes every tenth of a second");
    assert_eq!(send(&mut machine, 8, 20 * SECOND), 3, "full again, not more than full");
    assert!(!machine.matches(&from(2), SECOND));
    let six = segment6(1, 2, 80, SYN);
    let answers: Vec<bool> = (0..7).map(|_| machine.matches(&six, SECOND)).collect();
    assert_eq!(answers.iter().filter(|matched| **matched).count(), 2);
}

#[test]
fn telnet_is_found() {
    let mut machine = Machine::new(&example("telnet"));
    assert!(machine.matches(&segment(A, 4000, B, 23, SYN), SECOND));
    assert!(!machine.matches(&segment(A, 23, B, 4000, SYN), SECOND));
    assert!(machine.matches(&segment6(1, 2, 23, SYN), SECOND));
    assert!(machine.matches(&Ipv4::tcp(A, B, tcp(1, 23, SYN)).frame(2), SECOND));
}

#[test]
fn who_knocks_is_let_in() {
    let mut machine = Machine::new(&example("port_knock"));
    let syn = |port| segment(A, 4000, B, port, SYN);
    let run = |machine: &mut Machine, steps: &[(u16, u64)]| {
        steps.iter().map(|(port, now)| machine.matches(&syn(*port), now * SECOND)).collect::<Vec<bool>>()
    };
    let closed = run(&mut machine, &[(22, 1), (7000, 1), (22, 1), (9000, 2), (8000, 2), (9000, 3), (22, 3)]);
    assert!(closed.iter().all(|matched| !matched), "a wrong order");
    let slow = run(&mut machine, &[(7000, 10), (8000, 11), (9000, 16), (22, 16)]);
    assert!(slow.iter().all(|matched| !matched), "too slow");
    let opened = run(&mut machine, &[(7000, 20), (8000, 21), (9000, 22), (22, 22), (22, 81), (22, 82)]);
    assert_eq!(opened, [false, false, false, true, true, false]);
}

#[test]
fn pings_beyond_the_limit_match() {
    let mut machine = Machine::new(&example("icmp_flood"));
    machine.set_param(0, 3);
    let ping = |kind| Ipv4 { protocol: 1, ..Ipv4::tcp(A, B, vec![kind, 0, 0, 0, 0, 1, 0, 1]) }.frame(0);
    let answers: Vec<bool> = (0..5).map(|_| machine.matches(&ping(8), SECOND)).collect();
    assert_eq!(answers, [false, false, false, true, true]);
    assert!(!machine.matches(&ping(0), SECOND), "replies are not counted");
    assert!(!machine.matches(&ping(8), 3 * SECOND));
}

#[test]
fn forged_sources_match() {
    let mut machine = Machine::new(&example("blocklist"));
    let cases = [
        ([10, 255, 255, 255], true),
        ([11, 0, 0, 0], false),
        ([100, 63, 255, 255], false),
        ([100, 64, 0, 0], true),
        ([172, 31, 255, 255], true),
        ([172, 32, 0, 0], false),
        ([255, 255, 255, 255], true),
        ([8, 8, 8, 8], false),
        ([0, 0, 0, 0], true),
    ];
    for (src, forged) in cases {
        assert_eq!(machine.matches(&segment(src, 1, B, 2, SYN), SECOND), forged, "{src:?}");
    }
    for (src, forged) in [
        (0x2001_0db8_ffff_0000_0000_0000_0000_0001, true),
        (0x2001_0db9_0000_0000_0000_0000_0000_0001, false),
        (0x0100_0000_0000_0000_ffff_ffff_ffff_ffff, true),
        (0x0100_0000_0000_0001_0000_0000_0000_0000, false),
        (0xfdff_0000_0000_0000_0000_0000_0000_0000, true),
        (1, true),
    ] {
        assert_eq!(machine.matches(&segment6(src, 2, 80, SYN), SECOND), forged, "{src:x}");
    }
}

#[test]
fn the_first_owner_of_an_address_keeps_it() {
    let mut machine = Machine::new(&example("arp_guard"));
    let claim = |station: u8, frame_station: u8| {
        let mut bytes = support::packets::ethernet(0x0806);
        bytes[11] = frame_station;
        bytes.extend([0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, station, 10, 0, 0, 5]);
        bytes.extend([0; 10]);
        bytes
    };
    assert!(!machine.matches(&claim(1, 1), SECOND));
    assert!(machine.matches(&claim(2, 2), SECOND), "another station");
    assert!(machine.matches(&claim(1, 2), SECOND), "a forged sender");
    assert!(!machine.matches(&claim(1, 1), 1700 * SECOND));
    assert!(machine.matches(&claim(2, 2), 1900 * SECOND), "renewed by its owner");
}

#[test]
fn packets_are_sorted_into_classes() {
    let mut machine = Machine::new(&example("traffic_class"));
    machine.set_param(0, 1_000);
    let packet = |port| segment(A, 4000, B, port, ACK);
    assert_eq!(machine.class(&packet(22), SECOND), 1);
    assert_eq!(machine.class(&packet(80), SECOND), 0);
    let classes: Vec<u32> = (0..18).map(|_| machine.class(&packet(80), SECOND)).collect();
    assert_eq!(classes.iter().filter(|class| **class == 2).count(), 1, "54 bytes each");
}

/// Sums with the weight `exp(-age / time_constant)`, over events at rising times.
fn ewma_model(events: &[(u64, u64)], time_constant: f64) -> Vec<(f64, f64)> {
    let (mut sum, mut weight, mut last) = (0.0, 0.0, 0);
    let mut found = Vec::new();
    for (now, amount) in events {
        let factor = (-((now - last) as f64) / time_constant).exp();
        sum = sum * factor + *amount as f64;
        weight = weight * factor + 1.0;
        last = *now;
        found.push((sum / weight, sum * 1e9 / time_constant));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The integers of the filter stay within half a percent of real numbers.
    #[test]
    fn an_average_forgets_exponentially(
        steps in prop::collection::vec((0u64..4_000_000_000, 1_000u64..100_000), 1..60),
    ) {
        let text = "param sample: u32 = 0; param low: u64 = 0; param high: u64 = 0;
            param least: rate = 0pps; param most: rate = 0pps;
            state load: ewma { time_constant: 2s };
            filter f -> bool {
                let new = load.add(sample);
                let rate = load.rate;
                new == load.average and new in low..=high and rate in least..=most
            }";
        let mut machine = Machine::new(text);
        let mut now = SECOND;
        let events: Vec<(u64, u64)> = steps.iter().map(|(wait, amount)| {
            now += wait;
            (now, *amount)
        }).collect();
        for ((now, amount), (average, rate)) in events.iter().zip(ewma_model(&events, 2e9)) {
            let bounds = |value: f64| ((value * 0.995).floor() as u64, (value * 1.005).ceil() as u64);
            machine.set_param(0, *amount);
            for (param, value) in [(1, bounds(average)), (3, bounds(rate))] {
                machine.set_param(param, value.0);
                machine.set_param(param + 1, value.1);
            }
            prop_assert!(machine.matches(&[], *now), "{average} and {rate} at {now}");
        }
    }
}

#[test]
fn one_value_is_its_own_average_and_silence_ends_in_nothing() {
    let text = "param sample: u32 = 0; state load: ewma { time_constant: 10ms };
        filter f -> bool { if sample == 0 { load.average == 0 and load.rate == 0pps } else { load.add(sample) == sample } }";
    let mut machine = Machine::new(text);
    assert!(machine.matches(&[], SECOND), "nothing was added");
    machine.set_param(0, 77);
    assert!(machine.matches(&[], SECOND));
    machine.set_param(0, 0);
    assert!(!machine.matches(&[], SECOND + 10_000_000), "37% are left");
    assert!(machine.matches(&[], 2 * SECOND), "nothing is left");
}

#[test]
fn durations_have_averages() {
    let text = "state gaps: ewma[duration] { time_constant: 1s };
        filter f -> bool { gaps.add(now -| now) == 0s and gaps.add(4ms) == 2ms and gaps.average == 2ms }";
    assert!(Machine::new(text).matches(&[], SECOND));
}

#[test]
fn an_array_has_a_place_for_every_index() {
    let text = "use std.net.{ipv4, tcp};
        state ports: array[counter] { capacity: 65_536 };
        filter f -> bool { match pkt { ipv4 / tcp => ports[tcp.dst_port].add(1) == 2, _ => false } }";
    let mut machine = Machine::new(text);
    let to = |port| segment(A, 4000, B, port, SYN);
    let answers: Vec<bool> = [0, 65_535, 0, 80].map(|port| machine.matches(&to(port), SECOND)).to_vec();
    assert_eq!(answers, [false, false, true, false]);
    let found = machine.entries(0, SECOND);
    assert_eq!(found, [(vec![0], vec![2]), (vec![80], vec![1]), (vec![65_535], vec![1])]);
}

#[test]
fn a_single_value_is_read_by_its_name() {
    let text = "state last: u32; filter f -> bool {
            let before = last;
            update last |old| (old ?? 0) +| 1;
            before == 1
        }";
    let mut machine = Machine::new(text);
    let answers: Vec<bool> = (0..3).map(|_| machine.matches(&[], SECOND)).collect();
    assert_eq!(answers, [false, true, false]);
}
