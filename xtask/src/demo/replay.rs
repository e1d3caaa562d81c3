//! The demo on a capture: any user can run it, and every number is checked.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::Programs;
use super::capture::{Expected, for_each_packet, take_and_count};
use super::switch::Switch;
use crate::run::root;

/// The filter's `excess` as the example declares it.
const EXCESS: u64 = 1_000;
/// How long the switch may take for the capture.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(programs: &Programs) -> Result<()> {
    let capture = root().join("examples/captures/syn_flood.pcap");
    let (outside, to_server) = (programs.file("from_outside.pcap"), programs.file("to_server.pcap"));

    heading("A filter, compiled and proved");
    let object = programs.build_filter()?;

    heading("A switch, its way in held until everything is in place");
    let expected = take_and_count(&capture, &outside, EXCESS)?;
    let switch = Switch::start(programs, &[], &config(programs))?;
    switch.tell(&["filter", "load", &object.to_string_lossy()])?;
    switch.tell(&["flow", "add", "priority=100,in_port=1,tcp,filter=syn_flood,actions=drop"])?;
    switch.tell(&["flow", "add", "priority=10,in_port=1,actions=output:2"])?;

    heading("The flood");
    replay(&switch, &expected)?;
    switch.tell(&["flow", "list"])?;
    switch.tell(&["state", "dump", "syn_flood", "servers"])?;
    switch.stop()?;

    heading("Who was dropped, and why");
    let forwarded = compare(&outside, &to_server, &expected)?;
    explain(&expected);
    report(&expected, forwarded)
}

fn heading(text: &str) {
    println!("\n\x1b[1;36m{text}\x1b[0m");
}

fn config(programs: &Programs) -> String {
    let file = |name: &str| programs.file(name).display().to_string();
    format!(
        r#"log = "warn"

[worker]
clock = "capture"      # filters see the time at which a packet was recorded

[openflow]
socket = "{socket}"

[[port]]
number = 1
name = "outside"
device = "net_pcap0,rx_pcap={outside}"
up = false

[[port]]
number = 2
name = "server"
device = "net_pcap1,tx_pcap={to_server}"
"#,
        socket = file("okod.sock"),
        outside = file("from_outside.pcap"),
        to_server = file("to_server.pcap"),
    )
}

/// Lets the capture in and waits until the switch has seen all of them.
fn replay(switch: &Switch<'_>, expected: &Expected) -> Result<()> {
    let total = expected.packets;
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len} packets {msg}")?;
    let bar = ProgressBar::new(total).with_style(style);
    switch.tell(&["port", "up", "outside"])?;
    let start = Instant::now();
    loop {
        let (received, sent) = (switch.port("outside")?.rx, switch.port("server")?.tx);
        bar.set_position(received);
        bar.set_message(format!("{sent} forwarded"));
        if received >= total {
            break;
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "the switch has taken {received} of {total} packets and no more come"
        );
        sleep(Duration::from_millis(50));
    }
    bar.finish();
    println!();
    Ok(())
}

/// Holds what came out against what went in, packet by packet: exactly the expected ones may be missing. How many came out.
fn compare(sent: &Path, received: &Path, expected: &Expected) -> Result<u64> {
    let mut wanted = Vec::new();
    let mut index = 0;
    for_each_packet(sent, |packet| {
        if !expected.matched.contains(&index) {
            wanted.push(packet.data.to_vec());
        }
        index += 1;
        Ok(())
    })?;
    let mut forwarded = 0;
    for_each_packet(received, |packet| {
        let place: usize = forwarded as usize;
        ensure!(
            wanted.get(place).is_some_and(|wanted| *wanted == *packet.data),
            "packet {place} that reached the server is not the one that an independent count expects"
        );
        forwarded += 1;
        Ok(())
    })?;
    ensure!(
        forwarded == wanted.len() as u64,
        "{forwarded} packets reached the server; an independent count expects {}",
        wanted.len()
    );
    let clients_hit: HashSet<Ipv4Addr> =
        expected.dropped_sources.intersection(&expected.clients).copied().collect();
    ensure!(clients_hit.is_empty(), "clients with connections were dropped: {clients_hit:?}");
    Ok(forwarded)
}

fn explain(expected: &Expected) {
    let mut sources: Vec<_> = expected.dropped_sources.iter().collect();
    sources.sort_unstable();
    let some: Vec<String> = sources.iter().take(4).map(ToString::to_string).collect();
    let mut clients: Vec<String> = expected.clients.iter().map(ToString::to_string).collect();
    clients.sort();
    println!(
        "Within 10 s the server got {} SYNs, over {EXCESS} more than connections were closed: a flood.",
        expected.syns
    );
    println!(
        "From then on SYNs of strangers are dropped: {} sources, such as {}.",
        sources.len(),
        some.join(", ")
    );
    println!("Clients that had answered the server go on undisturbed: {}.", clients.join(", "));
}

fn report(expected: &Expected, forwarded: u64) -> Result<()> {
    let matched = expected.matched.len() as u64;
    let dropped = expected.packets - forwarded;
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["", "packets in", "matched", "dropped", "forwarded"]);
    let counts = [expected.packets, matched, dropped, forwarded];
    let cells = counts.map(|count| comfy_table::Cell::new(count).set_alignment(CellAlignment::Right));
    table.add_row(std::iter::once(comfy_table::Cell::new("outside → server")).chain(cells));
    println!("\n{table}");
    ensure!(dropped == matched, "the sums do not agree");
    println!(
        "Checked against an independent count over the capture, packet by packet: \x1b[1;32mall agree\x1b[0m."
    );
    Ok(())
}
