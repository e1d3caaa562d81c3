//! Tables, which the control plane writes and filters read; and what each core keeps for itself.

mod support;

use oko_ir::State;
use oko_ir::interp::TableKey;
use support::packets::{B, SYN, segment, segment6};
use support::{Fast, SECOND};

fn from(source: [u8; 4], port: u16) -> Vec<u8> {
    segment(source, 4000, B, port, SYN)
}

/// A prefix as a table has it: 4 for the family, the address at the most significant end, and how many bits count.
fn prefix(address: [u8; 4], length: u32) -> TableKey {
    let high = u64::from(u32::from_be_bytes(address)) << 32;
    TableKey { parts: vec![4, high, 0], bits: 8 + length }
}

#[test]
fn the_longest_prefix_counts() {
    let text = "use std.net.ipv4;
        enum Zone { Unknown, Office, Lab }
        table zones: map[prefix, Zone] { capacity: 8 };
        filter f -> Zone { match pkt { ipv4 => zones[ipv4.src] ?? Unknown, _ => Unknown } }";
    let mut filter = Fast::new(text, 1);
    assert_eq!(filter.run(&from([10, 1, 2, 3], 80), SECOND), 0, "the table is empty");
    filter.store.put(State(0), prefix([10, 0, 0, 0], 8), &[1]).expect("it fits");
    filter.store.put(State(0), prefix([10, 1, 0, 0], 16), &[2]).expect("it fits");
    for (source, zone) in [([10, 1, 2, 3], 2), ([10, 2, 2, 3], 1), ([11, 1, 2, 3], 0)] {
        assert_eq!(filter.run(&from(source, 80), SECOND), zone, "{source:?}");
    }
    assert!(filter.store.remove(State(0), &prefix([10, 1, 0, 0], 16)).expect("a key of the table"));
    assert_eq!(filter.run(&from([10, 1, 2, 3], 80), 100 * SECOND), 1, "and nothing expires");
}

/// One table holds the prefixes of both families, and `::/0` is not `0.0.0.0/0`.
#[test]
fn addresses_of_either_family_are_looked_up() {
    let text = "use std.net.ip;
        table inside: set[prefix] { capacity: 8 };
        filter f -> bool { match pkt { ip => ip.src in inside, _ => false } }";
    let mut filter = Fast::new(text, 1);
    filter.store.put(State(0), prefix([10, 0, 0, 0], 8), &[]).expect("it fits");
    filter
        .store
        .put(State(0), TableKey { parts: vec![6, 0x2001_0db8_0000_0000, 0], bits: 8 + 32 }, &[])
        .expect("it fits");
    let six = |first: u128| segment6(first << 96 | 7, 1, 80, SYN);
    let packets = [
        from([10, 9, 9, 9], 80),
        from([11, 9, 9, 9], 80),
        six(0x2001_0db8),
        six(0x2001_0db9),
        six(0x0a09_0909),
    ];
    assert_eq!(packets.map(|packet| filter.run(&packet, SECOND)), [1, 0, 1, 0, 0]);
}

#[test]
fn what_stands_in_front_of_a_prefix_must_be_equal() {
    let text = "use std.net.{ipv4, tcp};
        table open: set[(u16, prefix)] { capacity: 8 };
        filter f -> bool { match pkt { ipv4 / tcp => (tcp.dst_port, ipv4.src) in open, _ => false } }";
    let mut filter = Fast::new(text, 1);
    let high = u64::from(u32::from_be_bytes([10, 0, 0, 0])) << 32;
    filter
        .store
        .put(State(0), TableKey { parts: vec![80, 4, high, 0], bits: 16 + 8 + 8 }, &[])
        .expect("it fits");
    let answers = [([10, 9, 9, 9], 80), ([10, 9, 9, 9], 81), ([11, 9, 9, 9], 80)];
    assert_eq!(answers.map(|(source, port)| filter.run(&from(source, port), SECOND)), [1, 0, 0]);
}

#[test]
fn an_exact_table_is_read_by_its_key() {
    let text = "use std.net.ipv4;
        struct Limit { packets: u32, is_server: bool }
        table limits: map[ip4, Limit] { capacity: 8 };
        filter f -> bool { match pkt { ipv4 => match limits[ipv4.src] {
            none => false,
            let limit => limit.is_server and limit.packets > 5,
        }, _ => false } }";
    let mut filter = Fast::new(text, 1);
    let key = |address: [u8; 4]| TableKey { parts: vec![u64::from(u32::from_be_bytes(address))], bits: 32 };
    filter.store.put(State(0), key([10, 0, 0, 1]), &[6, 1]).expect("it fits");
    filter.store.put(State(0), key([10, 0, 0, 2]), &[6, 0]).expect("it fits");
    assert_eq!([1, 2, 3].map(|last| filter.run(&from([10, 0, 0, last], 80), SECOND)), [1, 0, 0]);
}

#[test]
fn each_core_counts_for_itself_and_the_control_plane_sees_the_sum() {
    let text = "use std.net.ipv4;
        state hits: map[ip4, counter] per core { capacity: 8, when_full: evict_oldest, expire: 1h, merge: sum };
        state last: instant per core { merge: latest };
        filter f -> bool { match pkt { ipv4 => { update last |old| now; hits[ipv4.src].add(1) == 2 }, _ => false } }";
    let mut filter = Fast::new(text, 1);
    let mut answers = Vec::new();
    for (at, worker) in [0, 1, 0, 1, 1].into_iter().enumerate() {
        filter.store.set_worker(worker);
        answers.push(filter.run(&from([10, 0, 0, 1], 80), (at as u64 + 1) * SECOND));
    }
    assert_eq!(answers, [0, 0, 1, 1, 0]);
    let merged = filter.store.merged(6 * SECOND);
    assert_eq!(merged[0].entries[0].fields, [5]);
    assert_eq!(merged[1].entries[0].fields, [5 * SECOND]);
}

/// What memory a program takes, and what was derived from the accuracy that it declares.
#[test]
fn the_footprint_is_told() {
    let text = "use std.net.ipv4;
        table inside: set[prefix] { capacity: 1_024 };
        state tried: map[ip4, distinct[u16]] { capacity: 16_384, when_full: evict_oldest, expire: 60s, error: 10% };
        state volume: sketch[ip4] { error: 0.01%, confidence: 99.9%, window: 1s };
        state seen: bloom[ip4] { capacity: 1_000_000, error: 1%, expire: 60s };
        state total: counter per core { merge: sum };
        event seen_it { source: ip4 } limit 1 each 1s per source;
        filter f -> bool { match pkt { ipv4 => ipv4.src in inside, _ => false } }";
    let output = support::compile("test.oko", text).output.expect("it compiles");
    insta::assert_snapshot!(output.schema.footprint(), @r"
    inside: table of prefixes of 1,024 entries, 221.5 KiB
    tried: map of 16,384 entries, 3.1 MiB
        128 registers, standard error 7.4%
    volume: sketch of 7 rows of 27,183 counters, twice for the window, 2.9 MiB
    seen: Bloom filter of 11,034,720 bits and 8 hashes, two generations, 3.5 MiB
    total: one entry, 32 bytes for each core
    seen_it.limit: limit of an event, for 16,384 values at one time, 1.1 MiB
    all: 10.9 MiB
    ");
    let bytes: u64 = output.module.states.iter().map(oko_ir::StateDecl::bytes).sum();
    assert_eq!(output.schema.states.iter().map(|state| state.bytes).sum::<u64>(), bytes);
}
