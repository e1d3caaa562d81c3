//! The classifier against a model that looks at every entry: same entry, same filters asked in the same order.

#![allow(clippy::unwrap_used)]

use oko_flow_table::{FlowTables, Limits, Matcher};
use oko_openflow::{Field, FilterId, FilterMatch, FlowMod, FlowModCommand, Match, MatchField, TableId};
use oko_packet::{Field as Key, FlowKey};
use proptest::prelude::*;

/// One entry of the model, as old as its place in the list.
#[derive(Clone, Debug)]
struct Rule {
    priority: u16,
    matching: Match,
    cookie: u64,
}

/// Few fields with few values and masks, so that rules overlap often.
fn matches() -> impl Strategy<Value = Match> {
    let masked = |field, values: std::ops::Range<u128>, masks: &'static [u128]| {
        prop::option::of((values, prop::sample::select(masks))).prop_map(move |some| {
            some.map(|(value, mask)| MatchField::masked(field, value & mask, mask).unwrap())
        })
    };
    let exact = |field, values: std::ops::Range<u128>| {
        prop::option::of(values)
            .prop_map(move |some| some.map(|value| MatchField::exact(field, value).unwrap()))
    };
    (
        exact(Field::InPort, 1..3),
        masked(Field::EthDst, 0..4, &[1, 2, 3, 0xffff_ffff_ffff]),
        masked(Field::Ipv4Src, 0..8, &[4, 6, 7, 0xffff_ffff]),
        masked(Field::TcpDst, 0..4, &[2, 3, 0xffff]),
        prop::option::of((0..3_u32, 0..2_u32)),
    )
        .prop_map(|(port, mac, ip, tcp, filter)| {
            let mut matching: Match = [port, mac, ip, tcp].into_iter().flatten().collect();
            matching.filter = filter.map(|(filter, class)| FilterMatch { filter: FilterId(filter), class });
            matching
        })
}

/// The start of an address that nearly all rules and packets share, so that prefixes nest.
const NET: u128 = 0x0a80_0000;

/// Prefixes of all lengths, which share tuples, and many of them, which fill buckets.
fn prefixes() -> impl Strategy<Value = Match> {
    let prefix = |field: Field, bits: u32, base: u128| {
        prop::option::of((0..=bits, any::<u128>(), 0..bits)).prop_map(move |some| {
            some.map(|(len, noise, same)| {
                let all = (1_u128 << bits) - 1;
                let value = base ^ (noise & all) >> same;
                let mask = all & !(all >> len);
                MatchField::masked(field, value & mask, mask).unwrap()
            })
        })
    };
    (
        prefix(Field::Ipv4Src, 32, NET),
        prefix(Field::EthDst, 48, 2 << 40),
        prop::option::weighted(0.1, (0..3_u32, 0..2_u32)),
    )
        .prop_map(|(ip, mac, filter)| {
            let mut matching: Match = [ip, mac].into_iter().flatten().collect();
            matching.filter = filter.map(|(filter, class)| FilterMatch { filter: FilterId(filter), class });
            matching
        })
}

fn packets() -> impl Strategy<Value = FlowKey> {
    let ip = prop_oneof![
        0..8_u128,
        (any::<u32>(), 0..32_u32)
            .prop_map(|(noise, same)| { NET ^ u128::from(noise.checked_shr(same).unwrap_or(0)) })
    ];
    let mac = prop_oneof![
        0..4_u128,
        (any::<u32>(), 0..32_u32)
            .prop_map(|(noise, same)| { 2 << 40 ^ u128::from(noise.checked_shr(same).unwrap_or(0)) << 16 })
    ];
    (1..3_u128, mac, ip, 0..4_u128).prop_map(|(port, mac, ip, tcp)| {
        let mut key = FlowKey::ZERO;
        key.set(Key::IN_PORT, port);
        key.set(Key::ETH_DST, mac);
        key.set(Key::IPV4_SRC, ip);
        key.set(Key::L4_DST, tcp);
        key
    })
}

/// The cookie of the entry that the packet gets, and the conditions that were asked.
fn model(
    rules: &[Rule],
    key: &FlowKey,
    truth: impl Fn(FilterMatch) -> bool,
) -> (Option<u64>, Vec<FilterMatch>) {
    let mut candidates: Vec<(usize, &Rule)> = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| Matcher::new(&rule.matching).fields_accept(key))
        .collect();
    candidates
        .sort_by_key(|(age, rule)| (std::cmp::Reverse(rule.priority), rule.matching.filter.is_none(), *age));
    let mut asked = Vec::new();
    for (_, rule) in candidates {
        match rule.matching.filter {
            None => return (Some(rule.cookie), asked),
            Some(condition) => {
                asked.push(condition);
                if truth(condition) {
                    return (Some(rule.cookie), asked);
                }
            }
        }
    }
    (None, asked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn lookups_agree_with_a_look_at_every_entry(
        steps in prop_oneof![
            prop::collection::vec((0..10_u8, 0..4_u16, matches()), 1..40),
            prop::collection::vec((0..10_u8, 0..4_u16, prefixes()), 1..120),
        ],
        keys in prop::collection::vec(packets(), 8),
        answers in prop::collection::vec(0..2_u32, 3),
    ) {
        let mut tables = FlowTables::new(Limits::default());
        let mut rules: Vec<Rule> = Vec::new();
        let truth = |condition: FilterMatch| answers[condition.filter.0 as usize] == condition.class;
        for (cookie, (action, priority, matching)) in steps.into_iter().enumerate() {
            let cookie = cookie as u64;
            let (command, same) = match action {
                0..=6 => (FlowModCommand::Add, true),
                7 => (FlowModCommand::DeleteStrict, true),
                _ => (FlowModCommand::Delete, false),
            };
            let cover = Matcher::new(&matching);
            rules.retain(|rule| {
                !(if same { rule.priority == priority && rule.matching == matching } else { cover.covers(&Matcher::new(&rule.matching)) })
            });
            if command == FlowModCommand::Add {
                rules.push(Rule { priority, matching: matching.clone(), cookie });
            }
            let change = FlowMod { priority, matching, cookie, table: TableId(0), ..FlowMod::new(command) };
            tables.apply(&change, 0).unwrap();
            let snapshot = tables.snapshot();
            for key in &keys {
                let mut asked = Vec::new();
                let found = snapshot.table(TableId(0)).and_then(|table| table.lookup(key, |condition| {
                    asked.push(condition);
                    truth(condition)
                }));
                prop_assert_eq!((found.map(|entry| entry.cookie), asked), model(&rules, key, truth));
            }
        }
    }
}
