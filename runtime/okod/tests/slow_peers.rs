//! Connections that ask for much and read nothing cost a bounded amount of memory, and nobody else anything.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod testbed;

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use oko_openflow::message::Message;
use oko_openflow::monitor::{MonitorCommand, MonitorFlags, MonitorRequest};
use oko_openflow::multipart::{MultipartReply, MultipartRequest};
use oko_openflow::{Field, FlowModCommand, FlowStatsRequest, GroupId, Match, PortNo, TableId};
use testbed::{Controller, TestSwitch, flow, output};

const MIB: usize = 1 << 20;

/// Held by a test, so that it has the memory of the process for itself.
static ALONE: Mutex<()> = Mutex::new(());

/// Resident memory of this process, in which the switch runs, in bytes.
fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap() * 4096
}

fn monitor(id: u32) -> MonitorRequest {
    let flags =
        MonitorFlags::INITIAL | MonitorFlags::ADD | MonitorFlags::REMOVED | MonitorFlags::INSTRUCTIONS;
    MonitorRequest {
        id,
        command: MonitorCommand::Add,
        flags,
        out_port: PortNo::ANY,
        out_group: GroupId::ANY,
        table: TableId::ALL,
        matching: Match::any(),
    }
}

fn address(number: u32) -> Match {
    Match::any().with(Field::EthType, 0x800).with(Field::Ipv4Dst, number.into())
}

fn fill(controller: &mut Controller, count: u32) {
    for number in 0..count {
        controller.send(&Message::FlowMod(flow(1, address(number), output(2))));
    }
    assert!(controller.tell(&Message::EchoReply(Vec::new())).is_empty());
}

#[test]
fn whoever_asks_for_everything_and_reads_nothing_takes_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let mut other = switch.connect();
    let count = 30_000;
    fill(&mut other, count);
    let before = memory();
    let dump = Message::request(MultipartRequest::Flow(FlowStatsRequest::default()));
    let sum = Message::request(MultipartRequest::Aggregate(FlowStatsRequest::default()));
    let watch = Message::request(MultipartRequest::FlowMonitor((0..300).map(monitor).collect()));
    let greedy: Vec<Controller> = (0..12).map(|_| switch.connect()).collect();
    for (i, peer) in greedy.iter().enumerate() {
        // Nine million records, or as many dumps and sums as the socket takes at once.
        let first = if i % 2 == 0 { &watch } else { &sum };
        let asked = [first].into_iter().chain(std::iter::repeat_n([&sum, &dump], 200).flatten());
        let bytes: Vec<u8> = asked.flat_map(|message| message.encode(7).unwrap()).collect();
        (&peer.stream).write_all(&bytes).unwrap();
    }
    let mut reader = switch.connect();
    reader.send(&sum);
    reader.send(&dump);
    // Changes that the monitors would be told of.
    for number in 0..200 {
        let mut delete = flow(1, address(number), vec![]);
        delete.command = FlowModCommand::DeleteStrict;
        other.send(&Message::FlowMod(delete));
        other.send(&Message::FlowMod(flow(1, address(count + number), output(1))));
    }
    assert!(other.tell(&Message::EchoReply(Vec::new())).is_empty());
    assert_eq!(other.flows().len(), count as usize);
    let took = memory().saturating_sub(before);
    assert!(took < 100 * MIB, "{} MiB", took / MIB);
    // One that reads after all gets what it asked for; entries that came or went meanwhile may be among them, or not.
    let possible = count as usize - 200..=count as usize + 200;
    let mut flows = 0;
    while let Message::MultipartReply { more, reply } = reader.receive().1 {
        match reply {
            MultipartReply::Aggregate(sum) => {
                assert!(possible.contains(&(sum.flows as usize)), "{} entries", sum.flows);
            }
            MultipartReply::Flow(part) => flows += part.len(),
            other => panic!("unexpected {other:?}"),
        }
        if !more && flows > 0 {
            break;
        }
    }
    assert!(possible.contains(&flows), "{flows}");
    switch.stop();
}

#[test]
fn a_watcher_that_is_too_far_behind_is_cut_off() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut switch = TestSwitch::start(&[&[], &[]]);
    let (mut watcher, mut other) = (switch.connect(), switch.connect());
    assert_eq!(
        watcher.ask(&Message::request(MultipartRequest::FlowMonitor(vec![monitor(1)]))),
        Message::MultipartReply { more: false, reply: MultipartReply::FlowUpdates(Vec::new()) }
    );
    // Forty megabytes, said of the removals alone.
    let actions = vec![output(2)[0].clone(); 1_000];
    for number in 0..2_600 {
        other.send(&Message::FlowMod(flow(1, address(number), actions.clone())));
    }
    assert!(other.tell(&Message::EchoReply(Vec::new())).is_empty());
    let mut delete = flow(0, Match::any(), vec![]);
    delete.command = FlowModCommand::Delete;
    delete.table = TableId::ALL;
    assert!(other.tell(&Message::FlowMod(delete)).is_empty());
    assert!(other.flows().is_empty());
    let mut told = 0;
    while let Some((_, message)) = watcher.try_receive() {
        told += message.encode(0).unwrap().len();
    }
    assert!(told < 4 * MIB, "{told} bytes");
    switch.stop();
}
