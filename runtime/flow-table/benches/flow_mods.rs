//! How many flow-mods a second the tables take, from the bytes of the messages to what workers look up in, up to a million entries; and what an
//! entry takes in memory. Prints JSON, one object a line.
//!
//! `cargo bench -p oko-flow-table --bench flow_mods`.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails is no figure")]

use std::time::Instant;

use oko_flow_table::{FlowTables, Limits, Snapshot};
use oko_openflow::message::Message;
use oko_openflow::{Action, Field, FlowMod, FlowModCommand, Instructions, Match, PortNo};

/// Entries in the end.
const MOST: u32 = 1_000_000;
/// Flow-mods between two snapshots: so many come in the pause that the switch makes between two.
const BETWEEN: u32 = 1_000;

/// The bytes of a flow-mod of an exact 5-tuple.
fn flow_mod(number: u32, command: FlowModCommand) -> Vec<u8> {
    let matching = Match::any()
        .with(Field::EthType, 0x0800)
        .with(Field::IpProto, 17)
        .with(Field::Ipv4Src, (0x0a00_0000 | number & 0xffff).into())
        .with(Field::Ipv4Dst, (0xc0a8_0000 | number >> 16).into())
        .with(Field::UdpSrc, (number % 50_021).into())
        .with(Field::UdpDst, 53);
    let instructions = Instructions::apply(vec![Action::output(PortNo(number % 4 + 1))]);
    let flow_mod = FlowMod { priority: 100, matching, instructions, ..FlowMod::new(command) };
    Message::FlowMod(flow_mod).encode(number).unwrap()
}

/// Resident memory in bytes.
fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).map_or(0, |pages: u64| pages * 4096)
}

/// Applies the flow-mods of these numbers; the rate.
fn apply(
    tables: &mut FlowTables,
    held: &mut Snapshot,
    numbers: std::ops::Range<u32>,
    command: FlowModCommand,
) -> f64 {
    let messages: Vec<Vec<u8>> = numbers.map(|number| flow_mod(number, command)).collect();
    let start = Instant::now();
    for (i, bytes) in (0..).zip(&messages) {
        let Ok(Message::FlowMod(flow_mod)) = Message::decode(bytes) else { panic!("no flow-mod") };
        tables.apply(&flow_mod, 0).unwrap();
        if i % BETWEEN == BETWEEN - 1 {
            // A worker holds the last one until it takes the next.
            *held = tables.snapshot();
        }
    }
    messages.len() as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let most = if quick { MOST / 5 } else { MOST };
    let step = most / 10;
    let mut tables = FlowTables::new(Limits { entries_per_table: most as usize });
    let mut held = tables.snapshot();
    for first in (0..most).step_by(step as usize) {
        let before = memory();
        let rate = apply(&mut tables, &mut held, first..first + step, FlowModCommand::Add);
        let bytes = memory().saturating_sub(before) / u64::from(step);
        println!(
            "{{\"did\": \"add\", \"entries\": {}, \"per_second\": {rate:.0}, \"bytes\": {bytes}}}",
            first + step
        );
    }
    let rate = apply(&mut tables, &mut held, 0..step, FlowModCommand::ModifyStrict);
    println!("{{\"did\": \"modify\", \"entries\": {most}, \"per_second\": {rate:.0}}}");
    let rate = apply(&mut tables, &mut held, 0..step, FlowModCommand::DeleteStrict);
    println!("{{\"did\": \"delete\", \"entries\": {most}, \"per_second\": {rate:.0}}}");
    drop(held);
}
