//! The cache against the tables: for random tables, filters, bursts and changes in between, every packet has the same
//! fate, every counter the same value, and every filter has run as often, with the cache as without.

mod random;
mod side;

use oko_flow_table::Meters;
use oko_openflow::meter::{Band, BandAction, MeterFlags, MeterMod, MeterModCommand};
use oko_openflow::{
    Action, CopyField, Field as Oxm, FlowMod, FlowModCommand, Instructions, Match, MatchField, MeterId,
    PortNo, TableId,
};
use proptest::prelude::*;

use self::random::{ODD, all_masks, changes, changes_of_few_masks, entry, filtered, frame};
use self::side::{Fate, NOW, Side};
use super::*;
use crate::plan::Effect;
use crate::snapshot::Generation;

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
