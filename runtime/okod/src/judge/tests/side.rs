//! A switch with a cache or without: its tables, meters and filters, and packets of which it is written down what was done with them.

use std::collections::BTreeMap;
use std::iter;
use std::sync::{Arc, LazyLock};

use oko_compiler::{NoFiles, Options, Source};
use oko_filter::{Instance, LoadOptions};
use oko_flow_table::{FlowTables, Groups, Limits, Meters};
use oko_openflow::meter::{Band, BandAction, MeterFlags, MeterMod, MeterModCommand};
use oko_openflow::{FilterId, FlowMod, FlowStatsRequest, MeterId, PortNo};
use oko_packet::edit::{Editor, FrameBuf, NoRoom};

use super::*;
use crate::forward::Forwarder;
use crate::leaves::Laundry;
use crate::plan::{Effect, Plan};
use crate::snapshot::{FilterSet, FilterSlot, Generation};

pub(super) const NOW: Nanos = Nanos(5_000_000_000);
pub(super) const FILTERS: usize = 4;
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
pub(super) struct Side {
    pub(super) forwarder: Forwarder,
    pub(super) tables: FlowTables,
    meters: Meters,
    instance: Arc<Instance>,
    generation: u64,
    /// When something else than entries changed last.
    lasting: u64,
    /// Whether the packets of a burst came at different instants.
    pub(super) spread: bool,
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
pub(super) type Fate = Vec<(Effect, Vec<u8>)>;

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
    pub(super) fn new(cached: Option<usize>) -> Side {
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

    pub(super) fn apply(&mut self, change: &FlowMod) {
        // What the tables refuse, both refuse.
        let _ = self.tables.apply(change, 0);
        self.generation += 1;
    }

    /// Gives a meter another rate, or deletes it.
    pub(super) fn remeter(&mut self, number: u32, rate: u32) {
        let bands = vec![Band { rate: rate.max(1), burst: 9, action: BandAction::Drop }];
        let command = if rate == 0 { MeterModCommand::Delete } else { MeterModCommand::Modify };
        let flags = MeterFlags::PKTPS | MeterFlags::BURST;
        let _ = self.meters.apply(&MeterMod { command, flags, meter: MeterId(number), bands }, 0);
        self.generation += 1;
        self.lasting = self.generation;
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
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
    pub(super) fn run(&mut self, bursts: &[Vec<(Vec<u8>, u32)>]) -> Vec<Fate> {
        let snapshot = self.snapshot();
        self.run_under(&snapshot, bursts)
    }

    pub(super) fn run_under(&mut self, snapshot: &Snapshot, bursts: &[Vec<(Vec<u8>, u32)>]) -> Vec<Fate> {
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

    pub(super) fn counts(&self) -> Counts {
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
