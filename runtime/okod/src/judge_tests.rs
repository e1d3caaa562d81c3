//! The cache against the tables: for random tables, filters, bursts and changes in between, every packet has the same
//! fate, every counter the same value, and every filter has run as often, with the cache as without.

use std::collections::BTreeMap;
use std::iter;
use std::sync::{Arc, LazyLock};

use oko_compiler::{NoFiles, Options, Source};
use oko_filter::{Instance, LoadOptions};
use oko_flow_table::{FlowTables, Groups, Limits, Meters};
use oko_openflow::meter::{Band, BandAction, MeterFlags, MeterMod, MeterModCommand};
use oko_openflow::{
    Action, CopyField, Field as Oxm, FilterId, FilterMatch, FlowMod, FlowModCommand, FlowStatsRequest,
    Instructions, Match, MatchField, MetadataWrite, MeterId, PortNo, TableId,
};
use oko_packet::edit::{Editor, FrameBuf, NoRoom};
use proptest::prelude::*;

use super::*;
use crate::forward::Forwarder;
use crate::leaves::Laundry;
use crate::plan::{Effect, Plan};
use crate::snapshot::{FilterSet, FilterSlot, Generation};

const NOW: Nanos = Nanos(5_000_000_000);
const FILTERS: usize = 4;
const NAMES: [&str; FILTERS] = ["even", "third", "size", "turn"];

/// Filters without memory, with memory of each kind of packet, with classes, and with memory and classes. Kinds of packets differ in `id`.
const SOURCE: &str = r#"
use std.net.ipv4;

state seen: map[u16, counter] { capacity: 1_024, when_full: refuse, expire: never };

filter even -> bool {
    match pkt {
        ipv4 => ipv4.id mod 2 == 0,
        _ => false,
    }
}

filter third -> bool {
    match pkt {
        ipv4 => (seen[ipv4.id].add(1) ?? 0) mod 3 == 0,
        _ => true,
    }
}

state turns: map[u16, counter] { capacity: 1_024, when_full: refuse, expire: never };

enum Turn { First, Second, Third, Later }

filter turn -> Turn {
    match pkt {
        ipv4 => {
            let turn = (turns[ipv4.id].add(1) ?? 0) mod 7;
            if turn == 1 { First } else if turn == 2 { Second } else if turn < 5 { Third } else { Later }
        }
        _ => First,
    }
}

enum Size { Small, Middle, Large }

filter size -> Size {
    match pkt {
        ipv4 if ipv4.ttl < 2 => Small,
        ipv4 if ipv4.id mod 3 == 0 => Middle,
        _ => Large,
    }
}
"#;

/// Packets and bytes of each entry, lookups and matches of each table, runs and matches of each filter, packets of each meter and its bands.
type Counts = (Vec<(u64, u64, u64)>, Vec<(u64, u64)>, Vec<String>, Vec<Vec<u64>>);

/// What a switch does, with or without a cache.
struct Side {
    forwarder: Forwarder,
    tables: FlowTables,
    meters: Meters,
    instance: Arc<Instance>,
    generation: u64,
    /// When something else than entries changed last.
    lasting: u64,
    /// Whether the packets of a burst came at different instants.
    spread: bool,
}

/// A meter that drops, one that drops by bytes and seldom, one that remarks, one that does both.
fn meters() -> Meters {
    let drop = |rate, burst| Band { rate, burst, action: BandAction::Drop };
    let remark = |rate, burst| Band { rate, burst, action: BandAction::DscpRemark(1) };
    let mut meters = Meters::default();
    for (number, flags, bands) in [
        (1, MeterFlags::PKTPS, vec![drop(1, 40)]),
        (2, MeterFlags::KBPS, vec![drop(8, 100)]),
        (3, MeterFlags::PKTPS, vec![remark(1, 3)]),
        (4, MeterFlags::PKTPS, vec![drop(2, 30), remark(1, 5)]),
    ] {
        let flags = flags | MeterFlags::BURST;
        let request = MeterMod { command: MeterModCommand::Add, flags, meter: MeterId(number), bands };
        meters.apply(&request, 0).expect("a meter");
    }
    meters
}

/// What was done with a packet: each effect and the bytes that it had for it.
type Fate = Vec<(Effect, Vec<u8>)>;

/// Packets in vectors, of which it is written down what is done with them.
struct Noted {
    in_port: PortNo,
    frames: Vec<Vec<u8>>,
    fates: Vec<Option<Fate>>,
    /// The last packet that left by each port.
    last: BTreeMap<PortNo, usize>,
    spread: bool,
}

impl Noted {
    fn note(&mut self, at: usize, fate: Fate) {
        for (effect, _) in &fate {
            if let Effect::Output(port) = effect {
                let last = self.last.insert(*port, at);
                assert!(
                    last.is_none_or(|last| last <= at),
                    "packets leave a port in the order in which they came"
                );
            }
        }
        assert!(self.fates[at].replace(fate).is_none(), "something is done with each packet once");
    }
}

impl Carrier for Noted {
    fn count(&self) -> usize {
        self.frames.len()
    }

    fn frame(&self, at: usize) -> Option<&[u8]> {
        assert!(self.fates[at].is_none(), "packets that are gone are not looked at");
        Some(&self.frames[at])
    }

    fn len(&self, at: usize) -> usize {
        self.frames[at].len()
    }

    fn time(&self, at: usize, now: Nanos) -> Nanos {
        if self.spread { Nanos(now.0 + at as u64 / 3) } else { now }
    }

    fn output(&mut self, packets: Places, port: PortNo) {
        for at in packets {
            self.note(at, vec![(Effect::Output(port), self.frames[at].clone())]);
        }
    }

    fn discard(&mut self, packets: Places) {
        packets.into_iter().for_each(|at| self.note(at, Vec::new()));
    }

    fn change(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut FrameBuf<'_>) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        assert!(self.fates[at].is_none(), "packets that are gone are not changed");
        let frame = &self.frames[at];
        let mut buffer = [vec![0; 128], frame.clone(), vec![0; 128]].concat();
        let mut packet = FrameBuf::new(&mut buffer, 128, 128 + frame.len());
        work(&mut packet)?;
        self.frames[at] = packet.bytes().to_vec();
        Ok(())
    }

    fn rewrite(&mut self, at: usize, plan: &mut Plan, work: impl FnOnce(&mut Editor<'_>, &mut Plan)) {
        let frame = &self.frames[at];
        let mut buffer = [vec![0; 128], frame.clone(), vec![0; 128]].concat();
        let mut packet = Editor::new(FrameBuf::new(&mut buffer, 128, 128 + frame.len()), self.in_port.0);
        work(&mut packet, plan);
        let bytes = |copy: Option<usize>| copy.map_or(packet.bytes(), |copy| plan.copy(copy)).to_vec();
        let fate = plan.all().iter().map(|planned| (planned.effect, bytes(planned.copy))).collect();
        self.note(at, fate);
    }
}

/// The filters, compiled once.
static ARTIFACT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let parsed = oko_compiler::parse(Source::new(String::from("test.oko"), SOURCE.to_owned()), &NoFiles);
    match parsed.check().map(|checked| checked.optimize().assemble(&Options::default())) {
        Ok(Ok(artifact)) => artifact.bytes,
        Ok(Err(failed)) | Err(failed) => panic!("{failed}"),
    }
});

fn instance() -> Arc<Instance> {
    let loaded = Instance::load(&ARTIFACT, &LoadOptions::default());
    Arc::new(loaded.expect("what the compiler makes is accepted"))
}

impl Side {
    fn new(cached: Option<usize>) -> Side {
        let laundry = Arc::new(Laundry::new(cached.unwrap_or(0)));
        Side {
            forwarder: Forwarder::new(
                FlowCache::new(cached.unwrap_or(0), [3, 5, 7, 11], laundry),
                Arc::default(),
            ),
            tables: FlowTables::new(Limits::default()),
            meters: meters(),
            instance: instance(),
            generation: 0,
            lasting: 0,
            spread: false,
        }
    }

    fn apply(&mut self, change: &FlowMod) {
        // What the tables refuse, both refuse.
        let _ = self.tables.apply(change, 0);
        self.generation += 1;
    }

    /// Gives a meter another rate, or deletes it.
    fn remeter(&mut self, number: u32, rate: u32) {
        let bands = vec![Band { rate: rate.max(1), burst: 9, action: BandAction::Drop }];
        let command = if rate == 0 { MeterModCommand::Delete } else { MeterModCommand::Modify };
        let flags = MeterFlags::PKTPS | MeterFlags::BURST;
        let _ = self.meters.apply(&MeterMod { command, flags, meter: MeterId(number), bands }, 0);
        self.generation += 1;
        self.lasting = self.generation;
    }

    fn snapshot(&mut self) -> Snapshot {
        let slots = NAMES.iter().enumerate().map(|(id, name)| FilterSlot {
            id: FilterId(id as u32 + 1),
            instance: Arc::clone(&self.instance),
            filter: self.instance.filter(name).expect("a filter of the source"),
        });
        Snapshot {
            generation: Generation(self.generation),
            lasting: Generation(self.lasting),
            tables: self.tables.snapshot(),
            filters: FilterSet::new(slots.collect()),
            groups: Groups::default(),
            meters: self.meters.clone(),
            ..Snapshot::empty()
        }
    }

    /// The effects on each packet of some bursts, and its bytes for each.
    fn run(&mut self, bursts: &[Vec<(Vec<u8>, u32)>]) -> Vec<Fate> {
        let snapshot = self.snapshot();
        self.run_under(&snapshot, bursts)
    }

    fn run_under(&mut self, snapshot: &Snapshot, bursts: &[Vec<(Vec<u8>, u32)>]) -> Vec<Fate> {
        self.forwarder.take_up(snapshot, NOW);
        let mut fates = Vec::new();
        for burst in bursts {
            // All packets of a burst come in by one port.
            let in_port = PortNo(burst.first().map_or(1, |(_, port)| *port));
            let frames: Vec<Vec<u8>> = burst.iter().map(|(frame, _)| frame.clone()).collect();
            let mut carrier = Noted {
                in_port,
                fates: vec![None; frames.len()],
                frames,
                last: BTreeMap::new(),
                spread: self.spread,
            };
            self.forwarder.burst(&mut carrier, Scene { snapshot, in_port, now: NOW });
            fates.extend(
                carrier.fates.into_iter().map(|fate| fate.expect("something is done with each packet")),
            );
        }
        self.forwarder.judge.cache.flush(snapshot, NOW);
        fates
    }

    fn counts(&self) -> Counts {
        let entries = self.tables.select(&FlowStatsRequest::default());
        let entries =
            entries.iter().map(|e| (e.cookie, e.counters.packets(), e.counters.bytes())).collect::<Vec<_>>();
        let load =
            |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let tables = self.tables.tables().map(|(_, _, c)| (load(&c.lookups), load(&c.matched))).collect();
        let filters = NAMES.map(|name| {
            format!("{:?}", self.instance.stats(self.instance.filter(name).expect("a filter of the source")))
        });
        let meters = self.meters.sorted().into_iter().map(|meter| {
            let bands = meter.bands.iter().map(|band| band.counters.counts().packets);
            iter::once(meter.counters.counts().bytes).chain(bands).collect()
        });
        (entries, tables, filters.to_vec(), meters.collect())
    }
}

/// Frames of a few kinds, each with an `id` of its own. From `ODD` on there are some that have no IPv4 header, or no transport header.
fn frame(kind: u16) -> Vec<u8> {
    let mut frame = plain_frame(kind);
    let l3 = match kind / 4 % 4 {
        1 => 18,
        2 => 22,
        _ => 14,
    };
    match kind.checked_sub(ODD).map(|odd| odd % 4) {
        // ARP with the addresses.
        Some(0) => {
            let addresses: [u8; 8] = frame[l3 + 12..l3 + 20].try_into().expect("eight bytes");
            frame[l3 - 2..l3].copy_from_slice(&[0x08, 0x06]);
            frame.truncate(l3);
            frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 6, 0, 0, 0, 0, 1]);
            frame.extend(&addresses[..4]);
            frame.extend([0; 6]);
            frame.extend(&addresses[4..]);
        }
        // A later fragment.
        Some(1) => frame[l3 + 7] = 9,
        Some(2) => frame.truncate(l3 + 10),
        // IPv6, or IPv4 with options.
        Some(3) if !kind.is_multiple_of(3) => {
            let (proto, transport) = (frame[l3 + 9], frame.split_off(l3 + 20));
            frame[l3 - 2..l3].copy_from_slice(&[0x86, 0xdd]);
            frame.truncate(l3);
            frame.extend([0x60, 0, 0, 0, 0, transport.len() as u8, proto, 64]);
            frame.extend([[0xfd; 16], [kind as u8 % 2; 16]].concat());
            frame.extend(transport);
        }
        Some(3) => {
            frame[l3] = 0x46;
            frame.splice(l3 + 20..l3 + 20, [1; 4]);
        }
        _ => {}
    }
    frame
}

/// The first kind of frames of which not all have what IPv4 packets have.
const ODD: u16 = 60;

fn plain_frame(kind: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, (kind % 2) as u8 + 1, 6, 0, 0, 0, 0, (kind / 2 % 2) as u8];
    match kind / 4 % 4 {
        1 => frame.extend([0x81, 0, 0, 5]),
        2 => frame.extend([0x88, 0xa8, 0, 5, 0x81, 0, 0, (kind % 3) as u8 + 1]),
        _ => {}
    }
    let tcp = kind.is_multiple_of(3);
    frame.extend([0x08, 0, 0x45, 0, 0, 46]);
    frame.extend(kind.to_be_bytes());
    frame.extend([0, 0, if kind.is_multiple_of(5) { 1 } else { 64 }, if tcp { 6 } else { 17 }, 0, 0]);
    frame.extend([10, 0, 0, (kind % 4) as u8, 10, 0, 1, (kind % 7) as u8]);
    frame.extend([0, (kind % 3) as u8, 0, (kind % 5) as u8]);
    frame.resize(frame.len() + if kind.is_multiple_of(11) { 3 } else { 22 }, 0x50);
    frame
}

/// Matches, with what their fields need. Without `network` they look at no header behind Ethernet's, so that packets of all kinds have one key.
fn matches(network: bool) -> impl Strategy<Value = Match> {
    let masked = |field, values: Range<u128>, masks: &'static [u128]| {
        prop::option::weighted(0.4, (values, prop::sample::select(masks))).prop_map(move |some| {
            some.and_then(|(value, mask)| MatchField::masked(field, value & mask, mask).ok())
        })
    };
    let exact = |field, values: &'static [u128]| {
        prop::option::weighted(0.3, prop::sample::select(values))
            .prop_map(move |some| some.and_then(|value| MatchField::exact(field, value).ok()))
    };
    (
        exact(Oxm::InPort, &[1, 2]),
        masked(Oxm::EthDst, 0x0200_0000_0000..0x0200_0000_0004, &[1, 3, 0xffff_ffff_ffff]),
        exact(Oxm::VlanVid, &[0, 0x1001, 0x1005, 0x1002]),
        exact(Oxm::EthType, &[0x0800, 0x0806, 0x86dd]),
        masked(Oxm::Ipv4Src, 0x0a00_0000..0x0a00_0004, &[1, 0xffff_ff00, 0xffff_ffff]),
        exact(Oxm::IpProto, &[6, 17]),
        exact(Oxm::UdpDst, &[0, 1, 2, 3]),
        exact(Oxm::Metadata, &[0, 1]),
        exact(Oxm::Reg0, &[0, 2, 0x0a00_0001]),
        prop::option::weighted(0.4, (1..=FILTERS as u32, 0..4_u32)),
    )
        .prop_map(move |(port, mac, vlan, mut ty, ip, mut proto, udp, metadata, reg, filter)| {
            let (ip, udp) = (ip.filter(|_| network), udp.filter(|_| network));
            if !network {
                (ty, proto) = (None, None);
            }
            let exactly = |field, value| MatchField::exact(field, value).ok();
            if udp.is_some() {
                proto = exactly(Oxm::IpProto, 17);
            }
            if ip.is_some() || proto.is_some() {
                ty = exactly(Oxm::EthType, 0x0800);
            }
            let fields = [port, mac, vlan, ty, ip, proto, udp, metadata, reg];
            let mut matching: Match = fields.into_iter().flatten().collect();
            matching.filter = filter.map(|(filter, class)| FilterMatch { filter: FilterId(filter), class });
            matching
        })
}

fn actions() -> impl Strategy<Value = Action> {
    let set = |field, value| MatchField::exact(field, value).map(Action::SetField);
    prop_oneof![
        5 => (1..4_u32).prop_map(|port| Action::output(PortNo(port))),
        1 => Just(Action::output(PortNo::IN_PORT)),
        1 => Just(Action::output(PortNo::CONTROLLER)),
        1 => Just(Action::output(PortNo::NORMAL)),
        1 => Just(Action::DecNwTtl),
        1 => Just(Action::SetNwTtl(9)),
        1 => Just(Action::SetTpDst(3)),
        1 => Just(Action::PopVlan),
        1 => Just(Action::PushVlan(0x8100)),
        1 => (1..6_u32).prop_map(|meter| Action::Meter(MeterId(meter))),
        3 => prop::sample::select(vec![
            set(Oxm::VlanVid, 0x1001),
            set(Oxm::Ipv4Dst, 0x0a00_0109),
            set(Oxm::ArpTpa, 0x0a00_0109),
            set(Oxm::Ipv4Src, 0x0a00_0001),
            set(Oxm::UdpDst, 2),
            set(Oxm::IpProto, 6),
            set(Oxm::EthDst, 0x0200_0000_0001),
            set(Oxm::IpDscp, 10),
            set(Oxm::Ipv6Dst, 9),
            MatchField::masked(Oxm::EthSrc, 0x0600_0000_0000, 0xff00_0000_00ff).map(Action::SetField),
            MatchField::masked(Oxm::Ipv4Dst, 0x0b00_0002, 0xff00_0007).map(Action::SetField),
        ]).prop_filter_map("a field with its value", Result::ok),
        1 => prop::sample::select(vec![
            CopyField::new((Oxm::Ipv4Src, 0), (Oxm::UdpDst, 0), 2),
            CopyField::new((Oxm::UdpSrc, 0), (Oxm::UdpDst, 0), 16),
            CopyField::new((Oxm::EthSrc, 0), (Oxm::EthDst, 0), 3),
            CopyField::new((Oxm::Ipv4Src, 0), (Oxm::Reg0, 0), 32),
            CopyField::new((Oxm::UdpDst, 0), (Oxm::Reg0, 0), 16),
            CopyField::new((Oxm::ArpSpa, 0), (Oxm::Reg0, 0), 32),
        ]).prop_filter_map("bits that are there", |copy| copy.ok().map(Action::CopyField)),
        1 => (0..2_u8).prop_map(|table| Action::Resubmit { port: PortNo::IN_PORT, table: TableId(table + 1) }),
    ]
}

fn changes(network: bool) -> impl Strategy<Value = FlowMod> {
    (
        0..3_u8,
        0..4_u16,
        matches(network),
        prop::collection::vec(actions(), 0..3),
        prop::collection::vec(actions(), 0..2),
        prop::option::weighted(0.5, 1..3_u8),
        prop::option::weighted(0.2, 0..2_u64),
        (any::<bool>(), 0..8_u8, any::<u16>(), prop::option::weighted(0.2, 1..6_u32)),
    )
        .prop_map(
            |(table, priority, matching, apply, write, goto, metadata, (clear, command, cookie, meter))| {
                let write: Vec<Action> =
                    write.into_iter().filter(|action| !matches!(action, Action::Resubmit { .. })).collect();
                let instructions = Instructions {
                    write,
                    clear,
                    meter: meter.map(MeterId),
                    metadata: metadata.map(|value| MetadataWrite { value, mask: 1 }),
                    goto_table: goto.filter(|goto| *goto > table).map(TableId),
                    ..Instructions::apply(apply)
                };
                let command = match command {
                    0 => FlowModCommand::DeleteStrict,
                    1 => FlowModCommand::Modify,
                    _ => FlowModCommand::Add,
                };
                FlowMod {
                    table: TableId(table),
                    priority,
                    matching,
                    instructions,
                    cookie: u64::from(cookie),
                    ..FlowMod::new(command)
                }
            },
        )
}

/// An entry of table 0.
fn entry(priority: u16, matching: Match, port: u32) -> FlowMod {
    FlowMod {
        table: TableId(0),
        priority,
        matching,
        cookie: u64::from(priority),
        instructions: Instructions::apply(vec![Action::output(PortNo(port))]),
        ..FlowMod::new(FlowModCommand::Add)
    }
}

fn filtered(filter: u32, class: u32) -> Match {
    let mut matching = Match::any();
    matching.filter = Some(FilterMatch { filter: FilterId(filter), class });
    matching
}

/// Changes of the tables and the kinds of the packets of the bursts that follow.
type Phase<'a> = (Vec<FlowMod>, Vec<&'a [u16]>);

/// Goes through phases with and without the cache and compares. What was done with the packets of the last phase comes back.
fn compare(phases: &[Phase<'_>]) -> Vec<Vec<Effect>> {
    let (mut with, mut without) = (Side::new(Some(256)), Side::new(None));
    let mut last = Vec::new();
    for (changes, kinds) in phases {
        for change in changes {
            with.apply(change);
            without.apply(change);
        }
        let burst = |kinds: &&[u16]| kinds.iter().map(|kind| (frame(*kind), 1)).collect();
        let bursts: Vec<Vec<(Vec<u8>, u32)>> = kinds.iter().map(burst).collect();
        let fates = with.run(&bursts);
        assert_eq!(fates, without.run(&bursts));
        assert_eq!(with.counts(), without.counts());
        last = fates.iter().map(|fate| fate.iter().map(|(effect, _)| *effect).collect()).collect();
    }
    last
}

fn all_kinds() -> Vec<u16> {
    (0..32).collect()
}

#[test]
fn in_a_burst_of_hits_and_misses_each_packet_has_its_own_answer() {
    let rules = vec![entry(2, filtered(1, 1).with(Oxm::EthType, 0x0800), 2), entry(1, Match::any(), 3)];
    compare(&[(rules, vec![&[0, 2, 4, 6, 9], &all_kinds(), &[31, 1, 1, 30, 0, 5]])]);
}

#[test]
fn any_number_of_a_burst_may_miss() {
    let rules =
        vec![entry(2, filtered(2, 1).with(Oxm::EthDst, 0x0200_0000_0001), 2), entry(1, Match::any(), 3)];
    compare(&[(rules, vec![&all_kinds(), &all_kinds()])]);
}

#[test]
fn a_cached_flow_gets_a_new_answer_for_each_packet() {
    let rules = vec![entry(2, filtered(2, 1), 2), entry(1, Match::any(), 3)];
    let fates = compare(&[(rules, vec![&[4; 6]])]);
    let ports = [3, 3, 2, 3, 3, 2].map(|port| vec![Effect::Output(PortNo(port))]);
    assert_eq!(fates, ports, "every third packet matches");
}

#[test]
fn a_change_of_the_tables_is_seen_by_the_next_packet_of_a_cached_flow() {
    let first = vec![entry(1, Match::any(), 3)];
    let second = vec![entry(2, Match::any().with(Oxm::InPort, 1), 2)];
    let fates = compare(&[(first, vec![&[6, 6]]), (second, vec![&[6, 6]])]);
    assert_eq!(fates, [vec![Effect::Output(PortNo(2))], vec![Effect::Output(PortNo(2))]]);
}

/// Entries of a few masks, so that the bits that keys have stay the same while entries come and go.
fn changes_of_few_masks() -> impl Strategy<Value = FlowMod> {
    let udp = || Match::any().with(Oxm::EthType, 0x0800).with(Oxm::IpProto, 17);
    let matching = prop_oneof![
        4 => (0..4_u128).prop_map(|host| Match::any().with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0000 + host)),
        2 => (0..5_u128).prop_map(move |port| udp().with(Oxm::UdpDst, port)),
        1 => (1..3_u128).prop_map(|station| Match::any().with(Oxm::EthDst, 0x0200_0000_0000 + station)),
        1 => (0..3_u32).prop_map(|class| filtered(2, class).with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0001)),
    ];
    (
        matching,
        1..4_u16,
        prop::collection::vec(actions(), 0..2),
        0..3_u8,
        0..2_u8,
        prop::option::weighted(0.3, Just(TableId(1))),
    )
        .prop_map(|(matching, priority, apply, command, table, goto)| FlowMod {
            table: TableId(table),
            priority,
            matching,
            cookie: u64::from(priority),
            instructions: Instructions {
                goto_table: goto.filter(|_| table == 0),
                ..Instructions::apply(apply)
            },
            ..FlowMod::new(match command {
                0 => FlowModCommand::DeleteStrict,
                1 => FlowModCommand::Modify,
                _ => FlowModCommand::Add,
            })
        })
}

/// One entry of each mask, in both tables, below all others.
fn all_masks() -> Vec<FlowMod> {
    let matches = [
        Match::any().with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0b00_0000),
        Match::any().with(Oxm::EthType, 0x0800).with(Oxm::IpProto, 17).with(Oxm::UdpDst, 99),
        Match::any().with(Oxm::EthDst, 0x0300_0000_0000),
    ];
    let in_both = |matching: &Match| {
        [0, 1].map(|table| FlowMod { table: TableId(table), ..entry(0, matching.clone(), 9) })
    };
    matches.iter().flat_map(in_both).collect()
}

#[test]
fn a_changed_entry_is_seen_by_its_packets_and_others_stay_cached() {
    let host = |priority, host: u128, port| {
        entry(priority, Match::any().with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0000 + host), port)
    };
    let delete = |flow_mod: FlowMod| FlowMod { command: FlowModCommand::DeleteStrict, ..flow_mod };
    let kinds = all_kinds();
    compare(&[
        ([all_masks(), vec![host(5, 1, 2), host(5, 2, 2), entry(1, Match::any(), 3)]].concat(), vec![&kinds]),
        (vec![host(6, 1, 4)], vec![&kinds, &kinds]),
        (vec![delete(host(6, 1, 4)), host(5, 3, 2)], vec![&kinds]),
        (vec![delete(host(5, 1, 2)), host(5, 2, 7)], vec![&kinds, &[1, 1, 1]]),
    ]);
}

#[test]
fn more_than_255_entries_may_have_filters() {
    let rules = (0..600_u16).map(|priority| {
        let matching = filtered(u32::from(priority % 3) + 1, u32::from(priority % 2));
        let matching =
            matching.with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0000 + u128::from(priority % 7));
        entry(priority, matching, u32::from(priority) + 2)
    });
    compare(&[(rules.collect(), vec![&all_kinds(), &all_kinds(), &all_kinds()])]);
}

/// Changes the tables of both, and lets bursts go through: ports and kinds of frames.
fn step(
    with: &mut Side,
    without: &mut Side,
    changes: &[FlowMod],
    bursts: impl IntoIterator<Item = (u32, Vec<u16>)>,
) -> Result<(), TestCaseError> {
    for change in changes {
        with.apply(change);
        without.apply(change);
    }
    let bursts: Vec<Vec<(Vec<u8>, u32)>> = bursts
        .into_iter()
        .map(|(port, kinds)| kinds.into_iter().map(|kind| (frame(kind), port)).collect())
        .collect();
    prop_assert_eq!(with.run(&bursts), without.run(&bursts));
    prop_assert_eq!(with.counts(), without.counts());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn with_the_cache_everything_is_as_without(
        steps in any::<bool>().prop_flat_map(|network| prop::collection::vec(
            (
                prop::collection::vec(changes(network), 1..12),
                prop::collection::vec((1..3_u32, prop::collection::vec(0..100_u16, 1..33)), 1..5),
                prop::option::weighted(0.2, (1..5_u32, 0..3_u32)),
            ),
            1..4,
        )),
        keys in prop::sample::select(vec![8_usize, 256]),
        spread in prop::bool::weighted(0.2),
    ) {
        let (mut with, mut without) = (Side::new(Some(keys)), Side::new(None));
        (with.spread, without.spread) = (spread, spread);
        for (changes, bursts, meter) in steps {
            if let Some((number, rate)) = meter {
                with.remeter(number, rate);
                without.remeter(number, rate);
            }
            step(&mut with, &mut without, &changes, bursts)?;
        }
    }

    #[test]
    fn what_stays_cached_while_entries_come_and_go_is_as_without(
        steps in prop::collection::vec(
            (
                prop::collection::vec(changes_of_few_masks(), 0..4),
                prop::collection::vec(prop::collection::vec(0..100_u16, 1..33), 1..3),
            ),
            2..8,
        ),
    ) {
        let (mut with, mut without) = (Side::new(Some(256)), Side::new(None));
        for change in all_masks() {
            with.apply(&change);
            without.apply(&change);
        }
        for (changes, bursts) in steps {
            step(&mut with, &mut without, &changes, bursts.into_iter().map(|kinds| (1, kinds)))?;
        }
    }
}

/// A frame without a field and then one with it, of which the tables look at nothing.
fn after_one_without(rules: Vec<FlowMod>) -> Vec<Vec<Effect>> {
    compare(&[(rules, vec![&[ODD], &[1, ODD, 1], &[ODD + 1, 3], &[ODD + 13, 10], &[ODD + 2, 3, 1]])])
}

#[test]
fn a_field_that_a_packet_does_not_have_is_copied_from_the_next_one() {
    let copy = |source| Action::CopyField(CopyField::new((source, 0), (Oxm::Reg0, 0), 16).expect("bits"));
    for source in [Oxm::Ipv4Src, Oxm::UdpSrc] {
        let instructions =
            Instructions { goto_table: Some(TableId(1)), ..Instructions::apply(vec![copy(source)]) };
        let of_reg = |value, port| {
            let matching = Match::any().with(Oxm::Reg0, value);
            FlowMod { table: TableId(1), ..entry(2, matching, port) }
        };
        let fates = after_one_without(vec![
            FlowMod { instructions, ..entry(1, Match::any(), 0) },
            of_reg(1, 2),
            of_reg(0, 3),
        ]);
        let last = fates.last().expect("some packets");
        assert_eq!(*last, [Effect::Output(PortNo(2))]);
    }
}

#[test]
fn a_field_that_a_packet_does_not_have_is_set_in_the_next_one() {
    let set = |field, value| Action::SetField(MatchField::exact(field, value).expect("a value"));
    let fields = [set(Oxm::Ipv4Dst, 0x0a00_0009), set(Oxm::UdpDst, 9), set(Oxm::VlanVid, 0x1003)];
    for action in fields.into_iter().chain([Action::SetTpDst(9)]) {
        let instructions = Instructions {
            goto_table: Some(TableId(1)),
            ..Instructions::apply(vec![action, Action::output(PortNo(2))])
        };
        let in_table_1 = |matching, port| FlowMod { table: TableId(1), ..entry(2, matching, port) };
        let of_ip = Match::any().with(Oxm::EthType, 0x0800);
        let rules = vec![FlowMod { instructions, ..entry(1, Match::any(), 0) }];
        after_one_without(rules.clone());
        let more = vec![
            in_table_1(of_ip.clone().with(Oxm::Ipv4Dst, 0x0a00_0009), 3),
            in_table_1(of_ip.with(Oxm::IpProto, 17).with(Oxm::UdpDst, 9), 4),
            in_table_1(Match::any().with(Oxm::VlanVid, 0x1003), 5),
        ];
        after_one_without([rules, more].concat());
    }
}

/// Of packets that agree in all that tables look at, a meter remarks only some.
#[test]
fn a_remarked_packet_is_looked_up_as_it_is() {
    let side = |cached| {
        let mut side = Side::new(cached);
        let meter = Some(MeterId(1));
        let instructions = Instructions { goto_table: Some(TableId(1)), meter, ..Instructions::default() };
        let dscp = Match::any().with(Oxm::EthType, 0x0800).with(Oxm::IpDscp, 20);
        side.apply(&FlowMod { instructions, ..entry(1, Match::any(), 0) });
        side.apply(&FlowMod { table: TableId(1), ..entry(2, dscp, 2) });
        side.apply(&FlowMod { table: TableId(1), ..entry(1, Match::any(), 3) });
        let mut meters = Meters::default();
        let band = Band { rate: 1, burst: 3, action: BandAction::DscpRemark(1) };
        let flags = MeterFlags::PKTPS | MeterFlags::BURST;
        let request = MeterMod { command: MeterModCommand::Add, flags, meter: MeterId(1), bands: vec![band] };
        meters.apply(&request, 0).expect("a meter");
        let snapshot = Snapshot { meters, ..side.snapshot() };
        let mut frame = frame(1);
        frame[15] = 18 << 2;
        side.run_under(&snapshot, &[vec![(frame.clone(), 1); 6], vec![(frame, 1)]])
    };
    let ports = |fates: Vec<Fate>| fates.into_iter().map(|fate| fate[0].0).collect::<Vec<_>>();
    let expected = [3, 3, 3, 2, 2, 2, 2].map(|port| Effect::Output(PortNo(port)));
    assert_eq!(ports(side(None)), expected);
    assert_eq!(ports(side(Some(256))), expected);
}

/// The tables that a worker begins with are others: their snapshots have the same numbers, and say nothing of what these have changed.
#[test]
fn nothing_outlasts_the_tables_that_a_worker_begins_with() {
    let (mut with, mut without) = (Side::new(Some(256)), Side::new(None));
    let burst = vec![vec![(frame(6), 1); 4]];
    for side in [&mut with, &mut without] {
        let begin = Snapshot::empty();
        assert_eq!(side.run_under(&begin, &burst), vec![Vec::new(); 4], "there is no entry");
        side.apply(&entry(1, Match::any(), 3));
        let first = Snapshot { lasting: Generation(1), ..side.snapshot() };
        assert_eq!(first.tables.number(), begin.tables.number());
        let fates = side.run_under(&first, &burst);
        assert!(fates.iter().all(|fate| fate[0].0 == Effect::Output(PortNo(3))), "{fates:?}");
    }
    assert_eq!(with.counts(), without.counts());
}

/// A packet whose answer is new goes through the tables, where a second filter is asked about it: before it is asked about those behind.
#[test]
fn filters_see_the_packets_of_a_flow_in_order_whatever_is_new() {
    let rules = vec![
        entry(9, filtered(4, 0), 2),
        entry(8, filtered(2, 1).with(Oxm::EthType, 0x0800), 3),
        entry(7, filtered(4, 3), 4),
        entry(1, Match::any(), 5),
    ];
    compare(&[(rules, vec![&[4; 3], &[4; 32], &[4, 4, 9, 4, 9, 4, 4, 4, 9], &all_kinds()])]);
}

/// Packets of several flows and paths leave together, and are counted as if they had left alone.
#[test]
fn a_burst_that_is_split_is_counted_packet_by_packet() {
    let rules = vec![
        entry(5, filtered(1, 1).with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Dst, 0x0a00_0103), 2),
        entry(4, filtered(3, 1).with(Oxm::EthType, 0x0800), 3),
        FlowMod { instructions: Instructions::default(), ..entry(3, filtered(3, 0), 1) },
        entry(2, Match::any().with(Oxm::EthDst, 0x0200_0000_0001), 2),
        entry(1, Match::any(), 3),
    ];
    let kinds = all_kinds();
    compare(&[(rules, vec![&kinds, &kinds, &kinds])]);
}

/// A key that is pushed out while packets of the burst still go by what it led to.
#[test]
fn what_is_pushed_out_holds_until_the_burst_is_over() {
    let (mut with, mut without) = (Side::new(Some(8)), Side::new(None));
    let host = |host: u16| filtered(1, 1).with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, u128::from(host));
    let packet = |host: u16| {
        let mut packet = frame(0);
        packet[26..30].copy_from_slice(&u32::from(host).to_be_bytes());
        packet
    };
    // As many paths as there is room for, and more keys, most of which share one.
    let mut rules: Vec<FlowMod> = (1..=7).map(|n| entry(n, host(n), u32::from(n) + 1)).collect();
    rules.push(entry(0, Match::any(), 9));
    let mut random = 1_u64;
    let mut host_of = |_: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = (random >> 33) as u16;
        if n.is_multiple_of(2) { n / 2 % 7 + 1 } else { n / 2 % 40 + 8 }
    };
    let bursts = (0..1_000).map(|_| (0..32).map(|i| (packet(host_of(i)), 1)).collect());
    let bursts: Vec<Vec<(Vec<u8>, u32)>> = bursts.collect();
    for side in [&mut with, &mut without] {
        rules.iter().for_each(|rule| side.apply(rule));
    }
    assert!(with.run(&bursts) == without.run(&bursts), "each packet by the port of its host");
    assert_eq!(with.counts(), without.counts());
}

/// What filters have answered so far is not learned anew because some other entry has changed.
#[test]
fn a_tree_outlasts_changes_that_do_not_concern_it() {
    let host = |host: u128| Match::any().with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0000 + host);
    let asked = |port| {
        let matching = filtered(1, 1).with(Oxm::EthType, 0x0800).with(Oxm::Ipv4Src, 0x0a00_0002);
        entry(5, matching, port)
    };
    let mut side = Side::new(Some(256));
    for change in [asked(2), entry(5, host(1), 3), entry(1, Match::any(), 4)] {
        side.apply(&change);
    }
    // Hosts are kinds modulo 4.
    let bursts = vec![vec![(frame(2), 1), (frame(6), 1), (frame(2), 1)]; 2];
    let tree = |side: &mut Side| {
        side.run(&bursts);
        side.forwarder.judge.views.value(0).map(|value| side.forwarder.judge.cache.way(value))
    };
    let before = tree(&mut side);
    assert!(matches!(before, Some(Way::Ask(..))), "{before:?}");
    side.apply(&entry(5, host(3), 7));
    let snapshot = side.snapshot();
    side.forwarder.take_up(&snapshot, NOW);
    let Judge { cache, views, .. } = &mut side.forwarder.judge;
    assert_eq!(cache.find(views, 0), before, "another host's entry is new");
    side.apply(&asked(9));
    let snapshot = side.snapshot();
    side.forwarder.take_up(&snapshot, NOW);
    let Judge { cache, views, .. } = &mut side.forwarder.judge;
    assert_eq!(cache.find(views, 0), None, "its own entry does something else now");
}
