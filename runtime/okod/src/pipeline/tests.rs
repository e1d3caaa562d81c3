//! What happens to a packet, without ports: frames in, effects and counters out.

use oko_flow_table::{FlowTables, Groups, Limits, Live, Meters};
use oko_openflow::group::{Bucket, GroupMod, GroupModCommand, GroupType};
use oko_openflow::meter::{Band, BandAction, MeterFlags, MeterMod, MeterModCommand};
use oko_openflow::{
    CopyField, Field as Oxm, FlowMod, FlowModCommand, GroupId, Instructions, Match, MatchField, MetadataWrite,
};
use oko_packet::edit::FrameBuf;

use super::*;

const NOW: Nanos = Nanos(5_000_000_000);

struct Bench {
    tables: FlowTables,
    groups: Groups,
    meters: Meters,
    live_ports: Vec<PortNo>,
    pipeline: Pipeline,
    now: Nanos,
}

impl Bench {
    fn new() -> Self {
        Self {
            tables: FlowTables::new(Limits::default()),
            groups: Groups::default(),
            meters: Meters::default(),
            live_ports: Vec::new(),
            pipeline: Pipeline::default(),
            now: NOW,
        }
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

    fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            tables: self.tables.snapshot(),
            groups: self.groups.clone(),
            meters: self.meters.clone(),
            live: Arc::new(Live::new(&self.groups, self.live_ports.clone())),
            ..Snapshot::empty()
        }
    }

    fn run(&mut self, frame: &[u8], in_port: u32) -> Vec<Effect> {
        self.sent(frame, in_port).into_iter().map(|(effect, _)| effect).collect()
    }

    /// The effects and the packet for each.
    fn sent(&mut self, frame: &[u8], in_port: u32) -> Vec<(Effect, Vec<u8>)> {
        let snapshot = self.snapshot();
        self.pipeline.take_up(&snapshot);
        let mut plan = Plan::default();
        let mut buffer = [vec![0; 128], frame.to_vec(), vec![0; 128]].concat();
        let mut packet = Editor::new(FrameBuf::new(&mut buffer, 128, 128 + frame.len()), in_port);
        let arrival = Arrival { in_port: PortNo(in_port), now: self.now };
        self.pipeline.process(&snapshot, arrival, &mut packet, &[], &mut plan);
        self.pipeline.count_tables(&snapshot);
        let bytes = |copy: Option<usize>| copy.map_or(packet.bytes(), |copy| plan.copy(copy)).to_vec();
        plan.all().iter().map(|planned| (planned.effect, bytes(planned.copy))).collect()
    }

    fn group(&mut self, id: u32, ty: GroupType, buckets: Vec<Bucket>) {
        let request = GroupMod { command: GroupModCommand::Add, ty, group: GroupId(id), buckets };
        self.groups.apply(&request, 0).unwrap();
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
    let effect = |cookie, reason| {
        let (table, miss) = (TableId(0), false);
        Effect::Controller(ToController {
            max_len: 64,
            table,
            cookie,
            reason,
            miss,
            metadata: 0,
            tunnel_id: 0,
        })
    };
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
    let snapshot = bench.snapshot();
    let mut plan = Plan::default();
    for in_port in [1, 1, 2, 1, 2, 2, 2, 1] {
        let mut frame = udp();
        let len = frame.len();
        let mut packet = Editor::new(FrameBuf::new(&mut frame, 0, len), in_port);
        let arrival = Arrival { in_port: PortNo(in_port), now: NOW };
        bench.pipeline.process(&snapshot, arrival, &mut packet, &[], &mut plan);
    }
    assert_eq!(bench.counts(), [(6, 4, 240), (5, 4, 240)]);
    let entries = bench.tables.select(&oko_openflow::FlowStatsRequest::default());
    assert!(entries.iter().all(|entry| entry.counters.last_used() == NOW.0));
}

fn set(field: Oxm, value: u128) -> Action {
    Action::SetField(MatchField::exact(field, value).unwrap())
}

fn out(port: u32) -> Action {
    Action::output(PortNo(port))
}

fn bucket(actions: Vec<Action>) -> Bucket {
    Bucket { id: 0, weight: 1, watch_port: PortNo::ANY, watch_group: GroupId::ANY, actions }
}

/// The ports and the last byte of the destination address that the packet had there.
fn marks(sent: &[(Effect, Vec<u8>)]) -> Vec<(Effect, u8)> {
    sent.iter().map(|(effect, bytes)| (*effect, bytes[5])).collect()
}

fn to(port: u32, mark: u8) -> (Effect, u8) {
    (Effect::Output(PortNo(port)), mark)
}

#[test]
fn each_output_gets_the_packet_as_it_was_then() {
    let mut bench = Bench::new();
    let actions = vec![out(2), set(Oxm::EthDst, 1), out(3), out(4), set(Oxm::EthDst, 2), out(5)];
    bench.add(0, 5, Match::any(), Instructions::apply(actions));
    let sent = bench.sent(&udp(), 1);
    assert_eq!(marks(&sent), [to(2, 0), to(3, 1), to(4, 1), to(5, 2)]);
}

#[test]
fn the_next_table_sees_the_packet_as_it_is_then() {
    let mut bench = Bench::new();
    let push = vec![Action::PushVlan(0x8100), set(Oxm::VlanVid, 0x1064)];
    bench.add(0, 5, Match::any(), Instructions { goto_table: Some(TableId(1)), ..Instructions::apply(push) });
    bench.add(
        1,
        5,
        Match::any().with(Oxm::VlanVid, 0x1064),
        Instructions::apply(vec![Action::PopVlan, out(2)]),
    );
    let sent = bench.sent(&udp(), 1);
    assert_eq!(sent, [(Effect::Output(PortNo(2)), udp())]);
    // The entry of table 1 counted the tag.
    assert_eq!(bench.counts(), [(5, 1, 60), (5, 1, 64)]);
}

#[test]
fn the_action_set_is_done_in_its_own_order() {
    let mut bench = Bench::new();
    let write = vec![out(9), set(Oxm::VlanVid, 0x1005), Action::PushVlan(0x88a8), out(2)];
    bench.add(0, 5, Match::any(), Instructions { write, ..Instructions::none() });
    let sent = bench.sent(&udp(), 1);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].0, &sent[0].1[12..18]), (Effect::Output(PortNo(2)), &[0x88, 0xa8, 0, 5, 8, 0][..]));
}

#[test]
fn buckets_get_copies_and_leave_the_packet_alone() {
    let mut bench = Bench::new();
    let first = bucket(vec![out(2), set(Oxm::EthDst, 1), Action::PushVlan(0x8100)]);
    bench.group(
        1,
        GroupType::All,
        vec![first, bucket(vec![out(3)]), bucket(vec![set(Oxm::EthDst, 7), out(4)])],
    );
    bench.add(0, 5, Match::any(), Instructions::apply(vec![Action::Group(GroupId(1)), out(5)]));
    let sent = bench.sent(&udp(), 1);
    // A bucket's actions are an action set: the output comes last.
    assert_eq!(marks(&sent), [to(2, 1), to(3, 0), to(4, 7), to(5, 0)]);
    assert_eq!((sent[0].1.len(), sent[3].1.clone()), (64, udp()));
    let group = bench.groups.get(GroupId(1)).unwrap();
    assert_eq!(group.counters.counts().packets, 1);
    assert!(group.buckets.iter().all(|bucket| bucket.counters.counts().packets == 1));
}

#[test]
fn failover_follows_the_links() {
    let mut bench = Bench::new();
    let watching = |port| Bucket { watch_port: PortNo(port), ..bucket(vec![out(port)]) };
    bench.group(1, GroupType::FastFailover, vec![watching(2), watching(3)]);
    bench.add(0, 5, Match::any(), Instructions::apply(vec![Action::Group(GroupId(1))]));
    assert_eq!(bench.run(&udp(), 1), []);
    bench.live_ports = vec![PortNo(3)];
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(3))]);
    bench.live_ports = vec![PortNo(2), PortNo(3)];
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(2))]);
}

#[test]
fn meters_drop_and_remark() {
    let mut bench = Bench::new();
    let mut meter = |id, action| {
        let flags = MeterFlags::PKTPS | MeterFlags::BURST;
        let bands = vec![Band { rate: 1, burst: 1, action }];
        let request = MeterMod { command: MeterModCommand::Add, flags, meter: MeterId(id), bands };
        bench.meters.apply(&request, 0).unwrap();
    };
    meter(1, BandAction::Drop);
    meter(2, BandAction::DscpRemark(1));
    let through = |id| Instructions { meter: Some(MeterId(id)), ..Instructions::apply(outputs(&[3])) };
    bench.add(0, 5, Match::any().with(Oxm::InPort, 1), through(1));
    bench.add(0, 5, Match::any().with(Oxm::InPort, 2), through(2));
    assert_eq!((bench.run(&udp(), 1).len(), bench.run(&udp(), 1).len()), (1, 0));
    // AF21 becomes AF22.
    let mut frame = udp();
    frame[15] = 18 << 2;
    assert_eq!(bench.sent(&frame, 2)[0].1[15], 18 << 2);
    assert_eq!(bench.sent(&frame, 2)[0].1[15], 20 << 2);
}

#[test]
fn a_packet_whose_time_is_over_goes_to_the_controller_and_no_further() {
    let mut bench = Bench::new();
    bench.add(0, 5, Match::any(), Instructions::apply(vec![out(2), Action::DecNwTtl, out(3)]));
    let mut frame = udp();
    assert_eq!(bench.sent(&frame, 1)[1].1[22], 63);
    frame[22] = 1;
    let effects = bench.run(&frame, 1);
    assert_eq!(effects[0], Effect::Output(PortNo(2)));
    assert!(matches!(
        effects[1..],
        [Effect::Controller(ToController { reason: PacketInReason::InvalidTtl, .. })]
    ));
}

#[test]
fn a_resubmission_comes_back_and_cannot_go_on_for_ever() {
    let mut bench = Bench::new();
    let resubmit = |port, table| Action::Resubmit { port, table: TableId(table) };
    bench.add(0, 5, Match::any(), Instructions::apply(vec![resubmit(PortNo(7), 1), out(2)]));
    bench.add(
        1,
        5,
        Match::any().with(Oxm::InPort, 7),
        Instructions::apply(vec![set(Oxm::EthDst, 1), out(3)]),
    );
    assert_eq!(marks(&bench.sent(&udp(), 1)), [to(3, 1), to(2, 1)]);
    let twice = vec![out(4), resubmit(PortNo::IN_PORT, 3), resubmit(PortNo::IN_PORT, 3)];
    bench.add(3, 5, Match::any(), Instructions::apply(twice));
    bench.add(0, 6, Match::any(), Instructions::apply(vec![resubmit(PortNo::IN_PORT, 3)]));
    assert!(bench.run(&udp(), 1).len() < 4096);
}

#[test]
fn a_field_that_the_packet_does_not_have_is_not_set() {
    let mut bench = Bench::new();
    let actions = vec![set(Oxm::TcpDst, 80), set(Oxm::VlanPcp, 3), set(Oxm::ArpSpa, 5), out(2)];
    bench.add(0, 5, Match::any(), Instructions::apply(actions));
    assert_eq!(bench.sent(&udp(), 1)[0].1, udp());
    let actions = vec![Action::SetVlanVid(5), Action::SetTpDst(80), out(2)];
    bench.add(0, 6, Match::any(), Instructions::apply(actions));
    let sent = &bench.sent(&udp(), 1)[0].1;
    assert_eq!((&sent[12..18], &sent[40..42]), (&[0x81, 0, 0, 5, 8, 0][..], &[0, 80][..]));
}

#[test]
fn bits_of_one_field_are_copied_to_another() {
    let mut bench = Bench::new();
    let copy = |source, target, bits| Action::CopyField(CopyField::new(source, target, bits).unwrap());
    let actions = vec![
        set(Oxm::EthSrc, 0x0200_0000_abcd),
        // Sixteen bits of an address to a register, and these to a port.
        copy((Oxm::EthSrc, 0), (Oxm::Reg2, 8), 16),
        copy((Oxm::Reg2, 8), (Oxm::UdpDst, 0), 16),
        // What the packet has not is neither read nor written.
        copy((Oxm::TcpSrc, 0), (Oxm::UdpSrc, 0), 16),
        copy((Oxm::Reg2, 8), (Oxm::TcpDst, 0), 16),
    ];
    let mut instructions = Instructions::apply(actions);
    instructions.goto_table = Some(TableId(1));
    bench.add(0, 5, Match::any(), instructions);
    bench.add(1, 6, Match::any().with(Oxm::Reg2, 0x00ab_cd00), Instructions::apply(outputs(&[3])));
    let sent = bench.sent(&udp(), 1);
    assert_eq!(sent.iter().map(|(effect, _)| *effect).collect::<Vec<_>>(), [Effect::Output(PortNo(3))]);
    assert_eq!(sent[0].1[34..38], [0, 0, 0xab, 0xcd]);
}

/// Fields share places in the key, and a packet that lacks a header has zeroes there.
#[test]
fn what_a_packet_has_not_is_not_copied() {
    let mut bench = Bench::new();
    let copy =
        |source, target, bits| Action::CopyField(CopyField::new((source, 0), (target, 0), bits).unwrap());
    // A datagram over IPv6 from port 135, which would be the type of a solicitation.
    bench.add(
        0,
        5,
        Match::any().with(Oxm::EthType, 0x86dd),
        Instructions::apply(vec![copy(Oxm::NdTarget, Oxm::Ipv6Dst, 128), out(2)]),
    );
    let mut frame = vec![0x55; 70];
    frame[12..21].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 17]);
    frame[54..62].copy_from_slice(&[0, 135, 0, 0, 0, 16, 0, 0]);
    assert_eq!(bench.sent(&frame, 1)[0].1, frame);
    // A later fragment.
    let instructions = Instructions {
        goto_table: Some(TableId(1)),
        ..Instructions::apply(vec![set(Oxm::Reg0, 7), copy(Oxm::UdpSrc, Oxm::Reg0, 16)])
    };
    bench.add(0, 5, Match::any().with(Oxm::EthType, 0x0800), instructions);
    bench.add(1, 5, Match::any().with(Oxm::Reg0, 0), Instructions::apply(outputs(&[3])));
    bench.add(1, 5, Match::any().with(Oxm::Reg0, 7), Instructions::apply(outputs(&[4])));
    assert_eq!(bench.run(&udp(), 1), [Effect::Output(PortNo(3))]);
    let mut fragment = udp();
    fragment[21] = 9;
    assert_eq!(bench.run(&fragment, 1), [Effect::Output(PortNo(4))]);
}
