//! Random flow-mods, one by one and in bundles, against a model of OpenFlow 1.3.5, section 6.4, that knows matches by the packets that they match: what a
//! bundle does is all of it in its order, and nothing at all if one of its messages cannot be done.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::collections::BTreeSet;

use oko_openflow::bundle::{BundleAdd, BundleCommand, BundleControl, BundleFlags};
use oko_openflow::message::Message;
use oko_openflow::{
    Action, ErrorCode, ErrorMsg, Field, FlowMod, FlowModCommand, FlowModFlags, Instructions, Match,
    MatchField, PortNo, TableId,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use testbed::{Controller, TestSwitch, flow};

/// Entries that a table takes.
const CAPACITY: usize = 6;

/// What a packet of the model is: a port of 1 to 3, an Ethernet address of three bits, and of IPv4 packets a source address of two.
#[derive(Clone, Copy)]
struct Packet {
    port: u128,
    mac: u128,
    ip: Option<u128>,
}

fn packets() -> impl Iterator<Item = Packet> {
    let ips = || std::iter::once(None).chain((0..4).map(Some));
    (1..=3).flat_map(move |port| (0..8).flat_map(move |mac| ips().map(move |ip| Packet { port, mac, ip })))
}

fn accepts(matching: &Match, packet: Packet) -> bool {
    matching.fields().iter().all(|condition| {
        let value = match condition.field() {
            Field::InPort => packet.port,
            Field::EthDst => packet.mac,
            Field::EthType => packet.ip.map_or(0x88b5, |_| 0x0800),
            Field::Ipv4Src => packet.ip.unwrap_or(u128::MAX),
            other => unreachable!("{other:?} is in no match here"),
        };
        value & condition.mask() == condition.value()
    })
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    table: u8,
    priority: u16,
    matching: Match,
    cookie: u64,
    instructions: Instructions,
}

/// The tables as the specification has them.
#[derive(Clone, Debug, Default)]
struct Model(Vec<Entry>);

impl Model {
    /// Does a flow-mod; says whether it can be done.
    fn apply(&mut self, wanted: &FlowMod) -> bool {
        use FlowModCommand::{Add, Delete, DeleteStrict, Modify, ModifyStrict};
        let same = |entry: &Entry| entry.priority == wanted.priority && entry.matching == wanted.matching;
        let covered = |entry: &Entry| {
            packets().all(|packet| accepts(&wanted.matching, packet) || !accepts(&entry.matching, packet))
        };
        let in_table = |entry: &Entry| wanted.table == TableId::ALL || entry.table == wanted.table.0;
        let cookie = |entry: &Entry| (entry.cookie ^ wanted.cookie) & wanted.cookie_mask == 0;
        let outputs = |entry: &Entry| {
            wanted.out_port == PortNo::ANY
                || entry.instructions.apply.contains(&Action::output(wanted.out_port))
        };
        let strict = matches!(wanted.command, DeleteStrict | ModifyStrict);
        let chosen = |entry: &Entry| {
            in_table(entry) && cookie(entry) && if strict { same(entry) } else { covered(entry) }
        };
        if matches!(wanted.command, Delete | DeleteStrict) {
            self.0.retain(|entry| !(chosen(entry) && outputs(entry)));
            return true;
        }
        let goes_back =
            wanted.instructions.goto_table.is_some_and(|to| to <= wanted.table || to > TableId(253));
        let unknown_port = |action: &Action| *action == Action::output(PortNo(9));
        if wanted.table > TableId(253) || goes_back || wanted.instructions.apply.iter().any(unknown_port) {
            return false;
        }
        if matches!(wanted.command, Modify | ModifyStrict) {
            for entry in self.0.iter_mut().filter(|entry| chosen(entry)) {
                entry.instructions = wanted.instructions.clone();
            }
            return true;
        }
        assert_eq!(wanted.command, Add);
        let overlaps = |entry: &Entry| {
            entry.priority == wanted.priority
                && packets()
                    .any(|packet| accepts(&wanted.matching, packet) && accepts(&entry.matching, packet))
        };
        let there: Vec<&Entry> = self.0.iter().filter(|entry| in_table(entry)).collect();
        let replaces = there.iter().any(|entry| same(entry));
        let refused = wanted.flags.contains(FlowModFlags::CHECK_OVERLAP) && there.iter().any(|e| overlaps(e));
        if refused || (there.len() >= CAPACITY && !replaces) {
            return false;
        }
        self.0.retain(|entry| !(in_table(entry) && same(entry)));
        self.0.push(Entry {
            table: wanted.table.0,
            priority: wanted.priority,
            matching: wanted.matching.clone(),
            cookie: wanted.cookie,
            instructions: wanted.instructions.clone(),
        });
        true
    }
}

fn matches() -> impl Strategy<Value = Match> {
    let port = prop::option::weighted(0.4, 1..=3_u128);
    let mac =
        prop::option::weighted(0.4, (0..8_u128, prop::sample::select(&[1_u128, 3, 6, 0xffff_ffff_ffff][..])));
    let ip = prop::option::weighted(
        0.4,
        prop::option::of((0..4_u128, prop::sample::select(&[1_u128, 2, 0xffff_ffff][..]))),
    );
    (port, mac, ip).prop_map(|(port, mac, ip)| {
        let mut matching = Match::any();
        if let Some(port) = port {
            matching.set(MatchField::exact(Field::InPort, port).unwrap());
        }
        if let Some((value, mask)) = mac {
            matching.set(MatchField::masked(Field::EthDst, value & mask, mask).unwrap());
        }
        if let Some(source) = ip {
            matching.set(MatchField::exact(Field::EthType, 0x0800).unwrap());
            if let Some((value, mask)) = source {
                matching.set(MatchField::masked(Field::Ipv4Src, value & mask, mask).unwrap());
            }
        }
        matching
    })
}

fn flow_mods() -> impl Strategy<Value = FlowMod> {
    use FlowModCommand::{Add, Delete, DeleteStrict, Modify, ModifyStrict};
    let command = prop::sample::select(&[Add, Add, Add, Add, Modify, ModifyStrict, Delete, DeleteStrict][..]);
    let table = prop_oneof![20 => 0..2_u8, 1 => Just(254_u8), 1 => Just(255_u8)];
    let cookie = (0..4_u64, prop::sample::select(&[0_u64, 0, 1, u64::MAX][..]));
    let outputs = (prop_oneof![15 => 1..=2_u32, 1 => Just(9_u32)], prop::option::weighted(0.1, 0..3_u8));
    let rest = (prop::bool::weighted(0.2), prop::option::weighted(0.3, 1..=2_u32));
    (command, table, 0..3_u16, matches(), cookie, outputs, rest).prop_map(
        |(command, table, priority, matching, (cookie, cookie_mask), (port, goto), (check, out_port))| {
            let mut instructions = Instructions::apply(testbed::output(port));
            instructions.goto_table = goto.map(TableId);
            FlowMod {
                table: TableId(table),
                priority,
                matching,
                cookie,
                cookie_mask,
                instructions,
                flags: if check { FlowModFlags::CHECK_OVERLAP } else { FlowModFlags::empty() },
                out_port: out_port.map_or(PortNo::ANY, PortNo),
                ..FlowMod::new(command)
            }
        },
    )
}

/// What becomes of flow-mods.
#[derive(Clone, Copy, Debug)]
enum How {
    OneByOne,
    Committed { closed: bool },
    Discarded,
}

fn batches() -> impl Strategy<Value = Vec<(How, Vec<FlowMod>)>> {
    let how = prop_oneof![
        2 => Just(How::OneByOne),
        3 => any::<bool>().prop_map(|closed| How::Committed { closed }),
        1 => Just(How::Discarded),
    ];
    prop::collection::vec((how, prop::collection::vec(flow_mods(), 1..9)), 1..9)
}

fn control(controller: &mut Controller, command: BundleCommand) -> u32 {
    let flags = BundleFlags::ATOMIC | BundleFlags::ORDERED;
    controller.send(&Message::BundleControl(BundleControl { bundle: 7, command, flags, extension: true }))
}

/// Asks something of the bundle; whether it was done.
fn ask(controller: &mut Controller, command: BundleCommand, reply: BundleCommand) {
    let sent = control(controller, command);
    match controller.receive() {
        (xid, Message::BundleControl(BundleControl { command, .. })) => {
            assert_eq!((xid, command), (sent, reply));
        }
        other => panic!("unexpected {other:?}"),
    }
}

/// Opens the bundle and puts flow-mods into it; their transaction ids.
fn fill(controller: &mut Controller, flow_mods: &[FlowMod]) -> Vec<u32> {
    ask(controller, BundleCommand::OpenRequest, BundleCommand::OpenReply);
    let flags = BundleFlags::ATOMIC | BundleFlags::ORDERED;
    let add = |controller: &mut Controller, flow_mod: &FlowMod| {
        // The message in the bundle has the transaction id of that which brings it.
        let message = Message::FlowMod(flow_mod.clone()).encode(controller.next_xid()).unwrap();
        controller.send(&Message::BundleAdd(BundleAdd { bundle: 7, flags, message, extension: true }))
    };
    flow_mods.iter().map(|flow_mod| add(controller, flow_mod)).collect()
}

/// The extension's experimenter and its `ONFERR_ET_MSG_FAILED`.
const FAILED: (u32, u16) = (0x4f4e_4600, 2313);

/// Whether a message says that one in the bundle cannot be done.
fn is_refusal(message: &Message) -> bool {
    matches!(message, Message::Error(ErrorMsg::Standard { ty, code, .. }) if ErrorCode::from_wire(*ty, *code).is_some())
}

/// Whether a message says that nothing of the bundle was done.
fn is_failure(message: &Message) -> bool {
    matches!(message, Message::Error(ErrorMsg::Experimenter { experimenter, exp_type, .. }) if (*experimenter, *exp_type) == FAILED)
}

fn run(controller: &mut Controller, model: &mut Model, how: How, flow_mods: &[FlowMod]) {
    match how {
        How::OneByOne => {
            for flow_mod in flow_mods {
                let done = controller.tell(&Message::FlowMod(flow_mod.clone())).is_empty();
                assert_eq!(done, model.apply(flow_mod), "{flow_mod:?}");
            }
        }
        How::Discarded => {
            fill(controller, flow_mods);
            ask(controller, BundleCommand::DiscardRequest, BundleCommand::DiscardReply);
        }
        How::Committed { closed } => {
            let xids = fill(controller, flow_mods);
            if closed {
                ask(controller, BundleCommand::CloseRequest, BundleCommand::CloseReply);
            }
            let mut after = model.clone();
            match flow_mods.iter().position(|flow_mod| !after.apply(flow_mod)) {
                None => {
                    ask(controller, BundleCommand::CommitRequest, BundleCommand::CommitReply);
                    *model = after;
                }
                Some(bad) => {
                    let sent = control(controller, BundleCommand::CommitRequest);
                    let (xid, error) = controller.receive();
                    assert_eq!(xid, xids[bad], "{error:?}");
                    assert!(is_refusal(&error), "{error:?}");
                    let (xid, error) = controller.receive();
                    assert!(xid == sent && is_failure(&error), "{error:?}");
                }
            }
        }
    }
}

fn sorted(entries: impl Iterator<Item = Entry>) -> BTreeSet<String> {
    entries.map(|entry| format!("{entry:?}")).collect()
}

#[test]
fn random_bundles_do_all_or_nothing_as_the_model_says() {
    let mut switch = TestSwitch::start_with(&[&[], &[]], &format!("table_capacity = {CAPACITY}"), "");
    let controller = std::cell::RefCell::new(switch.connect());
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let result = runner.run(&batches(), |batches| {
        let mut controller = controller.borrow_mut();
        let mut delete = flow(0, Match::any(), vec![]);
        (delete.command, delete.table) = (FlowModCommand::Delete, TableId::ALL);
        assert!(controller.tell(&Message::FlowMod(delete)).is_empty());
        let mut model = Model::default();
        for (how, flow_mods) in batches {
            run(&mut controller, &mut model, how, &flow_mods);
            let told = controller.flows().into_iter().map(|flow| Entry {
                table: flow.table.0,
                priority: flow.priority,
                matching: flow.matching,
                cookie: flow.cookie,
                instructions: flow.instructions,
            });
            prop_assert_eq!(sorted(told), sorted(model.0.iter().cloned()));
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    switch.stop();
}
