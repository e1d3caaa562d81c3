//! Walks through the entries, while they change: what reads of a million entries are made of.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use oko_flow_table::{FlowModError, FlowTables, Limits, Walk};
use oko_openflow::{
    Action, Field, FlowMod, FlowModCommand, FlowStatsRequest, Instructions, Match, MatchField, PortNo,
    TableId,
};

/// Matches of several masks, so that there are several hash tables.
fn matching(number: u64) -> Match {
    let ip = Match::any().with(Field::EthType, 0x800);
    match number % 5 {
        0 => ip.with(Field::Ipv4Dst, number.into()),
        1 => ip.with(Field::Ipv4Src, number.into()).with(Field::InPort, 3),
        2 => Match::any().with(Field::EthDst, number.into()),
        3 => Match::any().with(Field::EthSrc, number.into()),
        _ => Match::any().with(Field::Metadata, number.into()),
    }
}

fn apply(tables: &mut FlowTables, command: FlowModCommand, table: u8, number: u64) {
    let flow_mod = FlowMod {
        table: TableId(table),
        priority: (number % 7) as u16,
        matching: matching(number),
        cookie: number,
        cookie_mask: if command == FlowModCommand::Add { 0 } else { u64::MAX },
        instructions: Instructions::apply(vec![Action::output(PortNo(1 + number as u32 % 2))]),
        ..FlowMod::new(command)
    };
    tables.apply(&flow_mod, 0).unwrap();
}

/// Tables 1 and 4 large, 2 and 9 small, 3 empty.
fn filled() -> FlowTables {
    let mut tables = FlowTables::new(Limits::default());
    for (table, count) in [(1, 5_000), (2, 300), (3, 1), (4, 9_000), (9, 4_096)] {
        (0..count).for_each(|number| apply(&mut tables, FlowModCommand::Add, table, number));
    }
    apply(&mut tables, FlowModCommand::DeleteStrict, 3, 0);
    tables
}

/// Which entries are met, by table and cookie, and how often.
fn walk(
    tables: &mut FlowTables,
    request: &FlowStatsRequest,
    mut between: impl FnMut(&mut FlowTables),
) -> BTreeMap<(u8, u64), usize> {
    let (mut walk, mut met) = (Walk::new(request), BTreeMap::new());
    while let Some(entries) = tables.step(&mut walk) {
        assert!(entries.len() < 5_000, "{} entries in one step", entries.len());
        for entry in entries {
            *met.entry((entry.table.0, entry.cookie)).or_default() += 1;
        }
        between(tables);
    }
    met
}

#[test]
fn a_walk_meets_what_a_selection_has() {
    let mut tables = filled();
    let all = FlowStatsRequest::default();
    let requests = [
        all.clone(),
        FlowStatsRequest { table: TableId(4), ..all.clone() },
        FlowStatsRequest { table: TableId(9), ..all.clone() },
        FlowStatsRequest { table: TableId(3), ..all.clone() },
        FlowStatsRequest { table: TableId(77), ..all.clone() },
        FlowStatsRequest { matching: Match::any().with(Field::EthType, 0x800), ..all.clone() },
        FlowStatsRequest { out_port: PortNo(2), ..all.clone() },
        FlowStatsRequest { cookie: 5, cookie_mask: 0xf, ..all },
    ];
    for request in requests {
        let selected: Vec<(u8, u64)> =
            tables.select(&request).iter().map(|entry| (entry.table.0, entry.cookie)).collect();
        let met = walk(&mut tables, &request, |_| ());
        assert!(met.values().all(|times| *times == 1));
        assert_eq!(met.len(), selected.len(), "{request:?}");
        assert!(selected.iter().all(|entry| met.contains_key(entry)), "{request:?}");
    }
}

#[test]
fn small_tables_are_met_as_their_entries_are_tried() {
    let tables = filled();
    let request = FlowStatsRequest { table: TableId(2), ..FlowStatsRequest::default() };
    let met = tables.step(&mut Walk::new(&request)).unwrap();
    assert!(met.iter().map(|e| e.cookie).eq(tables.select(&request).iter().map(|e| e.cookie)));
}

#[test]
fn what_stays_is_met_once_whatever_changes_meanwhile() {
    let mut tables = filled();
    let mut new = 9_000;
    let met = walk(&mut tables, &FlowStatsRequest::default(), |tables| {
        for _ in 0..1_500 {
            // New ones, every third of the old ones goes, and of the others some do something else.
            apply(tables, FlowModCommand::Add, 4, new);
            apply(tables, FlowModCommand::DeleteStrict, 4, (new - 9_000) * 3);
            apply(tables, FlowModCommand::ModifyStrict, 1, (new - 9_000) * 3 + 1);
            new += 1;
        }
    });
    assert!(new > 12_000, "only {new}: the tables hardly changed");
    assert!(met.values().all(|times| *times == 1));
    let stay = |table: u8, count: u64| (0..count).map(move |number| (table, number));
    let stays = stay(1, 5_000).chain(stay(2, 300)).chain(stay(9, 4_096));
    let stays = stays.chain(stay(4, 9_000).filter(|(_, number)| number % 3 != 0));
    for entry in stays {
        assert!(met.contains_key(&entry), "{entry:?}");
    }
}

/// Bundles that fail change nothing, for a walk too: neither where entries are nor whether they are met.
#[test]
fn what_is_undone_meanwhile_is_met_once() {
    let mut tables = filled();
    let before = contents(&tables);
    let mut number = 0;
    let mut steps = 0;
    let met = walk(&mut tables, &FlowStatsRequest::default(), |tables| {
        steps += 1;
        tables.begin();
        for table in [1, 4] {
            for _ in 0..400 {
                number = (number + 37) % 5_000;
                apply(tables, FlowModCommand::DeleteStrict, table, number);
                apply(tables, FlowModCommand::Add, table, number + 1);
                apply(tables, FlowModCommand::ModifyStrict, table, number + 2);
                apply(tables, FlowModCommand::Add, table, 20_000 + number);
            }
        }
        // All of a hash table's entries, so that it goes and comes back.
        let mask = Match::any().with(Field::EthDst, 0).with(Field::InPort, 1);
        let delete =
            FlowMod { matching: mask.clone(), table: TableId(4), ..FlowMod::new(FlowModCommand::Delete) };
        tables.apply(&delete, 0).unwrap();
        tables.rollback();
    });
    assert!(steps > 3);
    assert_eq!(contents(&tables), before);
    assert!(met.values().all(|times| *times == 1));
    assert_eq!(met.len(), before.len());
}

/// An entry may be alone in a hash table, because there was no room with its neighbours. When there is, undoing its modification does not move it to where the
/// walk has been.
#[test]
fn an_entry_that_is_put_back_is_where_it_was() {
    const TABLES: u8 = 6;
    let prefix = |bits: u32, value: u32| {
        let mask = u32::MAX << (32 - bits);
        let mut matching = Match::any().with(Field::EthType, 0x800);
        matching.set(MatchField::masked(Field::Ipv4Dst, (value & mask).into(), mask.into()).unwrap());
        matching
    };
    let apply = |tables: &mut FlowTables, table: u8, matching, command, cookie: u32| {
        let cookie = cookie.into();
        let flow_mod = FlowMod { table: TableId(table), matching, cookie, ..FlowMod::new(command) };
        tables.apply(&flow_mod, 0).unwrap();
    };
    // Of nine prefixes within one of 16 bits, eight share a bucket, and one has to go elsewhere.
    let neighbour = |table: u8, n: u32| prefix(17 + n, 0x0b00_0000 | u32::from(table) << 16);
    let mut tables = FlowTables::new(Limits::default());
    for table in 0..TABLES {
        (0..9).for_each(|n| apply(&mut tables, table, neighbour(table, n), FlowModCommand::Add, n));
        for other in 0..4_200 {
            apply(
                &mut tables,
                table,
                prefix(17, 0x2000_0000 | other << 16),
                FlowModCommand::Add,
                100 + other,
            );
        }
    }
    let met = walk(&mut tables, &FlowStatsRequest::default(), |tables| {
        for table in 0..TABLES {
            // Room for the ninth.
            apply(tables, table, neighbour(table, 0), FlowModCommand::DeleteStrict, 0);
        }
        tables.begin();
        for table in 0..TABLES {
            for command in [FlowModCommand::ModifyStrict, FlowModCommand::Add, FlowModCommand::DeleteStrict] {
                apply(tables, table, neighbour(table, 8), command, 0);
            }
        }
        tables.rollback();
    });
    for table in 0..TABLES {
        for cookie in (1..9).chain(100..4_300) {
            assert_eq!(met.get(&(table, cookie)), Some(&1), "{cookie} in table {table}");
        }
    }
}

/// A hash table does not shrink: what is left of many entries lies in as many parts as those did.
#[test]
fn a_step_is_bounded_also_where_most_entries_are_gone() {
    let mut tables = FlowTables::new(Limits::default());
    let flow_mod = |command, number: u64| FlowMod {
        matching: Match::any().with(Field::Metadata, number.into()),
        ..FlowMod::new(command)
    };
    for number in 0..70_000 {
        tables.apply(&flow_mod(FlowModCommand::Add, number), 0).unwrap();
    }
    for number in 4_200..70_000 {
        tables.apply(&flow_mod(FlowModCommand::DeleteStrict, number), 0).unwrap();
    }
    let (mut walk, mut steps, mut met) = (Walk::new(&FlowStatsRequest::default()), 0, 0);
    while let Some(entries) = tables.step(&mut walk) {
        (steps, met) = (steps + 1, met + entries.len());
    }
    assert_eq!(met, 4_200);
    assert!(steps >= 3, "{steps} steps through 8,192 parts");
}

/// Table and cookie of each entry, and where it outputs to.
fn contents(tables: &FlowTables) -> BTreeMap<(u8, u64), Vec<Action>> {
    let all = tables.select(&FlowStatsRequest::default());
    all.iter().map(|entry| ((entry.table.0, entry.cookie), entry.instructions.apply.clone())).collect()
}

#[test]
fn a_flow_mod_in_steps_does_what_it_does_at_once() {
    let delete = FlowMod { table: TableId::ALL, ..FlowMod::new(FlowModCommand::Delete) };
    let instructions = Instructions::apply(vec![Action::output(PortNo(9))]);
    let modify = FlowMod { table: TableId(4), instructions, ..FlowMod::new(FlowModCommand::Modify) };
    let ip = Match::any().with(Field::EthType, 0x800);
    let flow_mods = [
        delete.clone(),
        FlowMod { table: TableId(1), ..delete.clone() },
        FlowMod { matching: ip.clone(), ..delete.clone() },
        FlowMod { out_port: PortNo(2), ..delete.clone() },
        FlowMod { cookie: 5, cookie_mask: 0xf, ..delete },
        modify.clone(),
        FlowMod { matching: ip, ..modify.clone() },
        // A modification does not ask where an entry outputs to.
        FlowMod { out_port: PortNo(2), ..modify },
    ];
    for flow_mod in flow_mods {
        let (mut one, mut other) = (filled(), filled());
        let at_once = one.apply(&flow_mod, 0).unwrap();
        let (mut removed, mut written) = (0, 0);
        let mut walk = other.in_steps(&flow_mod).unwrap().unwrap();
        while let Some(changes) = other.go_on(&flow_mod, &mut walk) {
            assert!(changes.removed.len() + changes.written.len() < 2_000);
            removed += changes.removed.len();
            written += changes.written.len();
        }
        assert_eq!((removed, written), (at_once.removed.len(), at_once.written.len()), "{flow_mod:?}");
        assert!(removed + written > 0);
        assert_eq!(contents(&one), contents(&other), "{flow_mod:?}");
    }
}

#[test]
fn only_what_may_take_long_is_done_in_steps() {
    let tables = filled();
    let of = |command, table| FlowMod { table: TableId(table), ..FlowMod::new(command) };
    let in_steps = |flow_mod: FlowMod| tables.in_steps(&flow_mod).map(|walk| walk.is_some());
    assert_eq!(in_steps(of(FlowModCommand::Delete, 4)), Ok(true));
    assert_eq!(in_steps(of(FlowModCommand::Modify, 4)), Ok(true));
    assert_eq!(in_steps(of(FlowModCommand::Delete, 2)), Ok(false), "a small table");
    assert_eq!(in_steps(of(FlowModCommand::DeleteStrict, 4)), Ok(false));
    assert_eq!(in_steps(of(FlowModCommand::Add, 4)), Ok(false));
    let last = TableId(254);
    assert_eq!(in_steps(of(FlowModCommand::Modify, last.0)), Err(FlowModError::BadTable { found: last }));
}
