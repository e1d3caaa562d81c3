//! What each flow-mod does, as OpenFlow 1.3.5, section 6.4, says it.

#![allow(clippy::unwrap_used)]

use oko_flow_table::{FlowEntry, FlowModError, FlowTables, Limits};
use oko_openflow::{
    Action, Field, FilterId, FilterMatch, FlowMod, FlowModCommand, FlowModFlags, FlowRemovedReason,
    FlowStatsRequest, GroupId, Instructions, Match, MeterId, PortNo, TableId,
};
use oko_packet::{Field as Key, FlowKey};

const SECOND: u64 = 1_000_000_000;

fn tcp(port: u128) -> Match {
    Match::any().with(Field::EthType, 0x800).with(Field::IpProto, 6).with(Field::TcpDst, port)
}

fn flow_mod(command: FlowModCommand, priority: u16, matching: Match, out: u32) -> FlowMod {
    FlowMod {
        table: TableId(0),
        priority,
        matching,
        instructions: Instructions::apply(vec![Action::output(PortNo(out))]),
        ..FlowMod::new(command)
    }
}

fn add(tables: &mut FlowTables, priority: u16, matching: Match, out: u32) {
    tables.apply(&flow_mod(FlowModCommand::Add, priority, matching, out), 0).unwrap();
}

fn filtered(mut matching: Match, filter: u32, class: u32) -> Match {
    matching.filter = Some(FilterMatch { filter: FilterId(filter), class });
    matching
}

fn packet(port: u128) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.set(Key::ETH_TYPE, 0x800);
    key.set(Key::IP_PROTO, 6);
    key.set(Key::L4_DST, port);
    key
}

/// The port that a packet leaves by, filters answering what `filter` says.
fn out(tables: &mut FlowTables, key: &FlowKey, filter: impl FnMut(FilterMatch) -> bool) -> Option<u32> {
    let snapshot = tables.snapshot();
    let entry = snapshot.table(TableId(0))?.lookup(key, filter)?.clone();
    match entry.instructions.apply.as_slice() {
        [Action::Output { port, .. }] => Some(port.0),
        other => panic!("{other:?}"),
    }
}

fn entries(tables: &FlowTables) -> Vec<FlowEntry> {
    tables.select(&FlowStatsRequest::default()).iter().map(|entry| FlowEntry::clone(entry)).collect()
}

#[test]
fn the_highest_priority_wins() {
    let mut tables = FlowTables::new(Limits::default());
    add(&mut tables, 1, Match::any(), 1);
    add(&mut tables, 20, tcp(80), 2);
    add(&mut tables, 10, Match::any().with(Field::EthType, 0x800), 3);
    assert_eq!(out(&mut tables, &packet(80), |_| unreachable!()), Some(2));
    assert_eq!(out(&mut tables, &packet(81), |_| unreachable!()), Some(3));
    assert_eq!(out(&mut tables, &FlowKey::ZERO, |_| unreachable!()), Some(1));
}

#[test]
fn a_filter_that_does_not_hold_falls_through_and_is_asked_only_behind_its_fields() {
    let mut tables = FlowTables::new(Limits::default());
    add(&mut tables, 30, filtered(tcp(443), 9, 1), 9);
    add(&mut tables, 20, filtered(tcp(80), 1, 1), 1);
    add(&mut tables, 15, filtered(tcp(80), 2, 1), 2);
    add(&mut tables, 10, tcp(80), 3);
    let mut asked = Vec::new();
    let mut ask = |truths: &[u32]| {
        asked.clear();
        let port = out(&mut tables, &packet(80), |condition| {
            asked.push(condition.filter.0);
            truths.contains(&condition.filter.0)
        });
        (port, asked.clone())
    };
    assert_eq!(ask(&[1, 2]), (Some(1), vec![1]));
    assert_eq!(ask(&[2]), (Some(2), vec![1, 2]));
    assert_eq!(ask(&[]), (Some(3), vec![1, 2]));
}

#[test]
fn the_same_match_with_other_filters_is_another_entry() {
    let mut tables = FlowTables::new(Limits::default());
    add(&mut tables, 10, tcp(80), 1);
    add(&mut tables, 10, filtered(tcp(80), 1, 1), 2);
    add(&mut tables, 10, filtered(tcp(80), 2, 1), 3);
    add(&mut tables, 10, filtered(tcp(80), 2, 2), 4);
    assert_eq!(entries(&tables).len(), 4);
    assert_eq!(tables.users_of_filter(FilterId(2)), 2);
    // Those with filters come first, in the order they were added.
    assert_eq!(out(&mut tables, &packet(80), |_| true), Some(2));
    assert_eq!(out(&mut tables, &packet(80), |condition| condition.class == 2), Some(4));
    assert_eq!(out(&mut tables, &packet(80), |_| false), Some(1));
}

#[test]
fn adding_again_replaces_and_keeps_the_counters_unless_told_otherwise() {
    let mut tables = FlowTables::new(Limits::default());
    add(&mut tables, 10, tcp(80), 1);
    entries(&tables)[0].counters.count(3, 300, 5);
    let mut again = flow_mod(FlowModCommand::Add, 10, tcp(80), 2);
    tables.apply(&again, 7).unwrap();
    let all = entries(&tables);
    assert_eq!(
        (all.len(), all[0].counters.packets(), all[0].counters.bytes(), all[0].created),
        (1, 3, 300, 7)
    );
    again.flags = FlowModFlags::RESET_COUNTS;
    tables.apply(&again, 9).unwrap();
    assert_eq!(entries(&tables)[0].counters.packets(), 0);
    assert_eq!(out(&mut tables, &packet(80), |_| true), Some(2));
}

#[test]
fn modify_changes_what_the_match_covers_and_strict_only_the_one() {
    let mut tables = FlowTables::new(Limits::default());
    add(&mut tables, 10, tcp(80), 1);
    add(&mut tables, 10, tcp(81), 1);
    add(&mut tables, 20, tcp(80), 1);
    add(&mut tables, 5, Match::any(), 1);
    let ports = |tables: &FlowTables| {
        let port = |e: &FlowEntry| match e.instructions.apply[0] {
            Action::Output { port, .. } => (e.priority, port.0),
            _ => unreachable!(),
        };
        entries(tables).iter().map(port).collect::<Vec<_>>()
    };
    tables.apply(&flow_mod(FlowModCommand::ModifyStrict, 20, tcp(80), 2), 0).unwrap();
    assert_eq!(ports(&tables), [(20, 2), (10, 1), (10, 1), (5, 1)]);
    tables
        .apply(&flow_mod(FlowModCommand::Modify, 0, Match::any().with(Field::EthType, 0x800), 3), 0)
        .unwrap();
    assert_eq!(ports(&tables), [(20, 3), (10, 3), (10, 3), (5, 1)]);
    // A modification that finds nothing adds nothing.
    let none = tables.apply(&flow_mod(FlowModCommand::Modify, 0, tcp(99), 3), 0).unwrap();
    assert_eq!((none.written.len(), entries(&tables).len()), (0, 4));
}

#[test]
fn delete_selects_by_match_cookie_port_and_filter() {
    let fill = || {
        let mut tables = FlowTables::new(Limits::default());
        for (cookie, port, out) in [(0x10, 80, 1), (0x11, 81, 2), (0x21, 82, 1)] {
            let entry = FlowMod { cookie, ..flow_mod(FlowModCommand::Add, 10, tcp(port), out) };
            tables.apply(&entry, 0).unwrap();
        }
        add(&mut tables, 10, filtered(tcp(80), 7, 1), 1);
        tables
    };
    let delete = |change: FlowMod| {
        let mut tables = fill();
        let removed = tables.apply(&change, 0).unwrap().removed;
        assert!(removed.iter().all(|(_, reason)| *reason == FlowRemovedReason::Delete));
        assert_eq!(removed.len() + entries(&tables).len(), 4);
        removed.len()
    };
    let all = FlowMod::new(FlowModCommand::Delete);
    assert_eq!(delete(all.clone()), 4);
    assert_eq!(delete(FlowMod { cookie: 0x10, cookie_mask: 0xf0, ..all.clone() }), 2);
    assert_eq!(delete(FlowMod { out_port: PortNo(1), ..all.clone() }), 3);
    assert_eq!(delete(FlowMod { matching: tcp(80), ..all.clone() }), 2);
    assert_eq!(delete(FlowMod { matching: filtered(tcp(80), 7, 1), ..all.clone() }), 1);
    assert_eq!(delete(FlowMod { matching: filtered(Match::any(), 7, 1), ..all.clone() }), 1);
    assert_eq!(delete(FlowMod { matching: filtered(Match::any(), 7, 0), ..all.clone() }), 0);
    assert_eq!(delete(FlowMod { table: TableId(3), ..all.clone() }), 0);
    let strict = FlowMod { command: FlowModCommand::DeleteStrict, priority: 10, matching: tcp(80), ..all };
    assert_eq!(delete(strict.clone()), 1);
    assert_eq!(delete(FlowMod { priority: 11, ..strict }), 0);
}

#[test]
fn entries_leave_when_their_time_is_over() {
    let mut tables = FlowTables::new(Limits::default());
    let hard = FlowMod { hard_timeout: 10, ..flow_mod(FlowModCommand::Add, 10, tcp(80), 1) };
    let idle = FlowMod { idle_timeout: 5, ..flow_mod(FlowModCommand::Add, 10, tcp(81), 1) };
    tables.apply(&hard, SECOND).unwrap();
    tables.apply(&idle, SECOND).unwrap();
    entries(&tables).iter().for_each(|entry| entry.counters.count(1, 60, 5 * SECOND));
    let expired = |tables: &mut FlowTables, now| {
        let reasons = tables.expire(now, 100).removed;
        reasons.iter().map(|(entry, reason)| (entry.idle_timeout, *reason)).collect::<Vec<_>>()
    };
    assert_eq!(expired(&mut tables, 10 * SECOND - 1), []);
    assert_eq!(expired(&mut tables, 10 * SECOND), [(5, FlowRemovedReason::IdleTimeout)]);
    assert_eq!(expired(&mut tables, 11 * SECOND), [(0, FlowRemovedReason::HardTimeout)]);
    assert!(entries(&tables).is_empty());
    assert_eq!(out(&mut tables, &packet(80), |_| true), None);
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let mut tables = FlowTables::new(Limits { entries_per_table: 2 });
    add(&mut tables, 10, tcp(80), 1);
    add(&mut tables, 10, Match::any().with(Field::EthType, 0x86dd), 1);
    let before = entries(&tables).len();
    let good = flow_mod(FlowModCommand::Add, 10, tcp(81), 1);
    let mut refuse = |change: FlowMod| {
        let error = tables.apply(&change, 0).unwrap_err();
        assert_eq!(entries(&tables).len(), before, "{error}");
        error
    };
    assert_eq!(refuse(good.clone()), FlowModError::TableFull { table: TableId(0), limit: 2 });
    let overlapping = Match::any().with(Field::EthType, 0x800);
    assert_eq!(
        refuse(FlowMod { flags: FlowModFlags::CHECK_OVERLAP, matching: overlapping, ..good.clone() }),
        FlowModError::Overlap { table: TableId(0), priority: 10 }
    );
    assert_eq!(
        refuse(FlowMod { table: TableId::ALL, ..good.clone() }),
        FlowModError::BadTable { found: TableId::ALL }
    );
    let back = Instructions { goto_table: Some(TableId(0)), ..Instructions::none() };
    assert_eq!(
        refuse(FlowMod { instructions: back, ..good.clone() }),
        FlowModError::BadGoto { table: TableId(0), found: TableId(0) }
    );
    // A full table still takes an entry in the place of another.
    add(&mut tables, 10, tcp(80), 2);
    assert_eq!(entries(&tables).len(), 2);
}

#[test]
fn a_snapshot_stays_as_it_was_and_shares_the_counters() {
    let mut tables = FlowTables::new(Limits::default());
    add(&mut tables, 10, tcp(80), 1);
    let before = tables.snapshot();
    tables.apply(&flow_mod(FlowModCommand::Modify, 0, Match::any(), 2), 0).unwrap();
    let old = before.table(TableId(0)).unwrap().lookup(&packet(80), |_| true).unwrap();
    assert_eq!(old.instructions, Instructions::apply(vec![Action::output(PortNo(1))]));
    old.counters.count(1, 60, 1);
    assert_eq!(entries(&tables)[0].counters.packets(), 1);
    assert_eq!(out(&mut tables, &packet(80), |_| true), Some(2));
    before.count(TableId(0), 2, 1);
    let (_, active, counters) = tables.tables().next().unwrap();
    assert_eq!((active, counters.lookups.load(std::sync::atomic::Ordering::Relaxed)), (1, 2));
}

#[test]
fn what_was_begun_can_be_undone() {
    let mut tables = FlowTables::new(Limits::default());
    let add =
        |priority, cookie| FlowMod { priority, cookie, idle_timeout: 5, ..FlowMod::new(FlowModCommand::Add) };
    tables.apply(&add(1, 1), 0).unwrap();
    tables.apply(&add(2, 2), 0).unwrap();
    let listed = |tables: &FlowTables| -> Vec<(u16, u64)> {
        tables.select(&FlowStatsRequest::default()).iter().map(|e| (e.priority, e.cookie)).collect()
    };
    let before = listed(&tables);
    tables.begin();
    tables.apply(&add(3, 3), 0).unwrap();
    tables.apply(&add(1, 9), 0).unwrap();
    let drop_all = FlowMod { table: TableId::ALL, ..FlowMod::new(FlowModCommand::Delete) };
    tables.apply(&drop_all, 0).unwrap();
    tables.apply(&add(4, 4), 0).unwrap();
    assert_eq!(listed(&tables), [(4, 4)]);
    tables.rollback();
    assert_eq!(listed(&tables), before);
    // Timeouts count the same entries as before.
    assert_eq!(tables.expire(6_000_000_000, 100).removed.len(), 2);
    assert!(listed(&tables).is_empty());
}

#[test]
fn the_least_important_gives_way_in_a_full_table() {
    let mut tables = FlowTables::new(Limits { entries_per_table: 2 });
    let add = |priority, importance| FlowMod { priority, importance, ..FlowMod::new(FlowModCommand::Add) };
    tables.apply(&add(1, 5), 0).unwrap();
    tables.apply(&add(2, 3), 0).unwrap();
    assert!(matches!(tables.apply(&add(3, 9), 0), Err(FlowModError::TableFull { .. })));
    tables.set_eviction(TableId(0), true).unwrap();
    let changes = tables.apply(&add(3, 9), 0).unwrap();
    let gone: Vec<_> = changes.removed.iter().map(|(e, reason)| (e.priority, *reason)).collect();
    assert_eq!(gone, [(2, FlowRemovedReason::Eviction)]);
    // None is less important than the new one.
    assert!(matches!(tables.apply(&add(4, 1), 0), Err(FlowModError::TableFull { .. })));
}

#[test]
fn entries_end_in_time_however_often_they_are_used_or_replaced() {
    let mut tables = FlowTables::new(Limits::default());
    let add = |tables: &mut FlowTables, port: u32, idle_timeout, hard_timeout, now| {
        let flow_mod = FlowMod {
            matching: Match::any().with(Field::InPort, port.into()),
            idle_timeout,
            hard_timeout,
            ..FlowMod::new(FlowModCommand::Add)
        };
        tables.apply(&flow_mod, now).unwrap();
    };
    add(&mut tables, 1, 10, 0, 0);
    add(&mut tables, 2, 0, 15, 0);
    add(&mut tables, 3, 10, 15, 0);
    // Replaced over and over, of which only the last version counts; more often than what is kept of old deadlines.
    for i in 0..5_000 {
        add(&mut tables, 4, 5, 0, i);
    }
    let gone = |tables: &mut FlowTables, now: u64| {
        let changes = tables.expire(now * SECOND, usize::MAX);
        let mut ports: Vec<_> = changes
            .removed
            .iter()
            .map(|(entry, reason)| (entry.matching.get(Field::InPort).unwrap().value(), *reason))
            .collect();
        ports.sort_by_key(|(port, _)| *port);
        ports
    };
    assert_eq!(gone(&mut tables, 4), []);
    let used = |tables: &FlowTables, port: u128, now: u64| {
        let all = tables.select(&FlowStatsRequest::default());
        let entry = all.iter().find(|e| e.matching.get(Field::InPort).unwrap().value() == port).unwrap();
        entry.counters.count(1, 60, now * SECOND);
    };
    used(&tables, 1, 8);
    used(&tables, 3, 9);
    assert_eq!(gone(&mut tables, 6), [(4, FlowRemovedReason::IdleTimeout)]);
    assert_eq!(gone(&mut tables, 11), []);
    assert_eq!(
        gone(&mut tables, 15),
        [(2, FlowRemovedReason::HardTimeout), (3, FlowRemovedReason::HardTimeout)]
    );
    assert_eq!(gone(&mut tables, 17), []);
    assert_eq!(gone(&mut tables, 18), [(1, FlowRemovedReason::IdleTimeout)]);
    assert_eq!(gone(&mut tables, 100), []);
}

#[test]
fn who_uses_what_is_known_and_leaves_with_it() {
    let mut tables = FlowTables::new(Limits::default());
    let group = |n| Action::Group(GroupId(n));
    let of = |command, table: u8, port, apply, meter| FlowMod {
        table: TableId(table),
        instructions: Instructions { meter, write: vec![group(3)], ..Instructions::apply(apply) },
        ..flow_mod(command, 5, tcp(port), 1)
    };
    let add = FlowModCommand::Add;
    let meter = Some(MeterId(9));
    tables.apply(&of(add, 0, 1, vec![group(3), group(4), group(3)], meter), 0).unwrap();
    tables.apply(&of(add, 7, 2, vec![], meter), 0).unwrap();
    tables.apply(&of(add, 7, 3, vec![group(4)], None), 0).unwrap();
    let users = |tables: &FlowTables| {
        let groups = [3, 4].map(|n| tables.users_of_group(GroupId(n)));
        (groups, tables.users_of_meter(MeterId(9)))
    };
    assert_eq!(users(&tables), ([3, 2], 2), "an entry counts once");
    tables.apply(&of(FlowModCommand::ModifyStrict, 7, 3, vec![], None), 0).unwrap();
    assert_eq!(users(&tables), ([3, 1], 2));
    let gone = tables.remove_users_of_meters(&[MeterId(8), MeterId(9)]);
    assert!(gone.removed.iter().all(|(_, reason)| *reason == FlowRemovedReason::MeterDelete));
    assert_eq!((gone.removed.len(), users(&tables)), (2, ([1, 0], 0)));
    assert!(tables.remove_users_of_groups(&[GroupId(4)]).removed.is_empty());
    let gone = tables.remove_users_of_groups(&[GroupId(4), GroupId(3)]);
    assert_eq!(gone.removed[0].1, FlowRemovedReason::GroupDelete);
    assert_eq!((gone.removed.len(), users(&tables)), (1, ([0, 0], 0)));
}

/// Entries of every kind come, are used, replaced and modified, and each that gives way is the one that a look at all of them finds.
#[test]
fn who_gives_way_is_always_the_least_of_all() {
    let mut tables = FlowTables::new(Limits { entries_per_table: 60 });
    let mut random = 1_u64;
    let mut below = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let (mut evicted, mut refused) = (0, 0);
    for now in 0..6_000_u64 {
        if now == 100 {
            tables.set_eviction(TableId(0), true).unwrap();
        }
        let flow_mod = FlowMod {
            importance: below(4) as u16,
            idle_timeout: below(3) as u16 * 5_000,
            hard_timeout: below(2) as u16 * below(3) as u16 * 7_000,
            ..flow_mod(FlowModCommand::Add, 1, tcp(below(400).into()), 1)
        };
        for entry in entries(&tables) {
            if below(20) == 0 {
                entry.counters.count(1, 100, now * SECOND);
            }
        }
        let before = entries(&tables);
        let is_new = before.iter().all(|entry| entry.matching != flow_mod.matching);
        // As the heap does not look: by a scan. Entries of the same worth are in the order in which they came.
        let end = |entry: &FlowEntry| match (entry.hard_timeout, entry.idle_timeout) {
            (0, 0) => u64::MAX,
            (0, idle) => entry.counters.last_used() + u64::from(idle) * SECOND,
            (hard, _) => entry.created + u64::from(hard) * SECOND,
        };
        let worth = |entry: &FlowEntry| (entry.importance, end(entry), entry.created);
        let least = before.iter().min_by_key(|entry| worth(entry)).cloned();
        match tables.apply(&flow_mod, now * SECOND) {
            Err(FlowModError::TableFull { .. }) => {
                assert!(now < 100 || least.unwrap().importance > flow_mod.importance);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
            Ok(changes) => {
                let gone: Vec<_> = changes.removed.iter().map(|(entry, _)| worth(entry)).collect();
                let full = is_new && before.len() == 60;
                assert_eq!(gone, full.then(|| worth(&least.unwrap())).into_iter().collect::<Vec<_>>());
                evicted += gone.len();
            }
        }
        if below(10) == 0 {
            let modify = flow_mod_of(FlowModCommand::ModifyStrict, below(400));
            tables.apply(&modify, now * SECOND).unwrap();
        }
        if below(10) == 0 {
            let delete = flow_mod_of(FlowModCommand::DeleteStrict, below(400));
            tables.apply(&delete, now * SECOND).unwrap();
        }
    }
    assert!(evicted > 500 && refused > 500, "{evicted} {refused}");
}

fn flow_mod_of(command: FlowModCommand, port: u64) -> FlowMod {
    flow_mod(command, 1, tcp(port.into()), 2)
}
