//! What happens to a packet, without ports: frames in, effects and counters out.

use oko_flow_table::{FlowTables, Limits};
use oko_openflow::{Field as Oxm, FlowMod, FlowModCommand, Instructions, Match, MetadataWrite};
use oko_packet::extract;

use super::*;
use crate::snapshot::{FilterSet, Generation};

const NOW: Nanos = Nanos(5_000_000_000);

struct Bench {
    tables: FlowTables,
    pipeline: Pipeline,
}

impl Bench {
    fn new() -> Self {
        Self { tables: FlowTables::new(Limits::default()), pipeline: Pipeline::default() }
    }

    fn add(&mut self, table: u8, priority: u16, matching: Match, instructions: Instructions) {
        let flow_mod = FlowMod {
            table: TableId(table),
            priority,
            matching,
            instructions,
            cookie: u64::from(priority),
            ..FlowMod::new(FlowModCommand::Add)
        };
        self.tables.apply(&flow_mod, 0).unwrap();
    }

    fn run(&mut self, frame: &[u8], in_port: u32) -> Vec<Effect> {
        let snapshot = Snapshot {
            generation: Generation(1),
            tables: self.tables.snapshot(),
            filters: FilterSet::default(),
        };
        self.pipeline.take_up(&snapshot);
        let mut effects = Vec::new();
        let mut hits = Hits::new(NOW);
        let key = extract(frame, in_port).key;
        self.pipeline.process(
            &snapshot,
            Arrival { frame, in_port: PortNo(in_port), now: NOW },
            key,
            &mut hits,
            &mut effects,
        );
        hits.write();
        self.pipeline.count_tables(&snapshot);
        effects
    }

    /// Packets and bytes by cookie, in the order of tables and priorities.
    fn counts(&self) -> Vec<(u64, u64, u64)> {
        let entries = self.tables.select(&oko_openflow::FlowStatsRequest::default());
        entries.iter().map(|e| (e.cookie, e.counters.packets(), e.counters.bytes())).collect()
    }
}

fn outputs(ports: &[u32]) -> Vec<Action> {
    ports.iter().map(|port| Action::output(PortNo(*port))).collect()
}

/// A UDP packet.
fn udp() -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&[0, 46]);
    frame[22] = 64;
    frame[23] = 17;
    frame[38..40].copy_from_slice(&[0, 26]);
    frame
}

#[test]
fn a_packet_that_no_entry_matches_is_dropped() {
    let mut bench = Bench::new();
    assert_eq!(bench.run(&udp(), 1), []);
    bench.add(0, 5, Match::any().with(Oxm::InPort, 2), Instructions::apply(outputs(&[3])));
    assert_eq!(bench.run(&udp(), 1), []);
    assert_eq!(bench.counts(), [(5, 0, 0)]);
}

#[test]
fn actions_are_done_in_order_and_counted_once() {
    let mut bench = Bench::new();
    bench.add(0, 5, Match::any(), Instructions::apply(outputs(&[3, 2])));
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(3)), Effect::Output(PortNo(2))]);
    assert_eq!(bench.counts(), [(5, 1, 60)]);
}

#[test]
fn a_packet_goes_back_only_where_that_is_said() {
    let mut bench = Bench::new();
    bench.add(0, 5, Match::any(), Instructions::apply(outputs(&[1, 2])));
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(2))]);
    bench.add(0, 6, Match::any(), Instructions::apply(vec![Action::output(PortNo::IN_PORT)]));
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(1))]);
}

#[test]
fn goto_table_goes_on_and_ends_in_a_miss_without_undoing() {
    let mut bench = Bench::new();
    let on = Instructions { goto_table: Some(TableId(7)), ..Instructions::apply(outputs(&[2])) };
    bench.add(0, 5, Match::any(), on);
    bench.add(7, 6, Match::any().with(Oxm::InPort, 1), Instructions::apply(outputs(&[3])));
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(2)), Effect::Output(PortNo(3))]);
    assert_eq!(bench.run(&udp(), 4), [Effect::Output(PortNo(2))]);
    assert_eq!(bench.counts(), [(5, 2, 120), (6, 1, 60)]);
    let tables: Vec<_> = bench
        .tables
        .tables()
        .map(|(id, _, counters)| {
            use std::sync::atomic::Ordering::Relaxed;
            (id.0, counters.lookups.load(Relaxed), counters.matched.load(Relaxed))
        })
        .collect();
    assert_eq!(tables, [(0, 2, 2), (7, 2, 1)]);
}

#[test]
fn the_action_set_is_done_at_the_end_and_can_be_overwritten_or_cleared() {
    let mut bench = Bench::new();
    let write = |ports: &[u32], goto| Instructions {
        write: outputs(ports),
        goto_table: Some(TableId(goto)),
        ..Instructions::none()
    };
    bench.add(0, 5, Match::any(), write(&[2], 1));
    bench.add(
        1,
        5,
        Match::any(),
        Instructions { write: outputs(&[3]), ..Instructions::apply(outputs(&[4])) },
    );
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(4)), Effect::Output(PortNo(3))]);
    bench.add(1, 6, Match::any(), Instructions { clear: true, ..Instructions::none() });
    assert_eq!(bench.run(&udp(), 1), []);
}

#[test]
fn metadata_is_seen_by_the_next_table() {
    let mut bench = Bench::new();
    let metadata = Some(MetadataWrite { value: 0x12, mask: 0xff });
    bench.add(
        0,
        5,
        Match::any(),
        Instructions { metadata, goto_table: Some(TableId(1)), ..Instructions::none() },
    );
    bench.add(1, 5, Match::any().with(Oxm::Metadata, 0x12), Instructions::apply(outputs(&[2])));
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(2))]);
}

#[test]
fn a_packet_for_the_controller_says_who_sent_it_and_why() {
    let mut bench = Bench::new();
    let to_controller =
        || Instructions::apply(vec![Action::Output { port: PortNo::CONTROLLER, max_len: 64 }]);
    bench.add(0, 0, Match::any(), to_controller());
    bench.add(0, 9, Match::any().with(Oxm::InPort, 2), to_controller());
    let effect = |cookie, reason| Effect::Controller { max_len: 64, table: TableId(0), cookie, reason };
    assert_eq!(bench.run(&udp(), 1), [effect(0, PacketInReason::NoMatch)]);
    assert_eq!(bench.run(&udp(), 2), [effect(9, PacketInReason::Action)]);
}

#[test]
fn a_truncated_packet_goes_its_way() {
    let mut bench = Bench::new();
    bench.add(0, 0, Match::any(), Instructions::apply(outputs(&[2])));
    let whole = udp();
    for len in 0..whole.len() {
        assert_eq!(bench.run(&whole[..len], 1), [Effect::Output(PortNo(2))], "{len} bytes");
    }
}

#[test]
fn hits_of_a_burst_are_counted_exactly() {
    let mut bench = Bench::new();
    bench.add(0, 5, Match::any().with(Oxm::InPort, 1), Instructions::none());
    bench.add(0, 6, Match::any().with(Oxm::InPort, 2), Instructions::none());
    let snapshot = Snapshot {
        generation: Generation(1),
        tables: bench.tables.snapshot(),
        filters: FilterSet::default(),
    };
    let mut hits = Hits::new(NOW);
    for in_port in [1, 1, 2, 1, 2, 2, 2, 1] {
        let key = extract(&udp(), in_port).key;
        let (frame, mut effects) = (udp(), Vec::new());
        bench.pipeline.process(
            &snapshot,
            Arrival { frame: &frame, in_port: PortNo(in_port), now: NOW },
            key,
            &mut hits,
            &mut effects,
        );
    }
    hits.write();
    assert_eq!(bench.counts(), [(6, 4, 240), (5, 4, 240)]);
    let entries = bench.tables.select(&oko_openflow::FlowStatsRequest::default());
    assert!(entries.iter().all(|entry| entry.counters.last_used() == NOW.0));
}
