//! Every example compiles to IR that the verifier accepts, without a warning.

mod support;

#[test]
fn all_examples_compile() {
    let folder = format!("{}/../../examples", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "oko") {
            let text = std::fs::read_to_string(&path).expect("a text");
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let compiled = support::compile(&name, &text);
            let messages = oko_diagnostics::render_all(
                &compiled.diagnostics,
                &compiled.sources,
                oko_diagnostics::Colour::None,
            );
            assert!(messages.is_empty(), "{messages}");
            support::verified(&text);
            count += 1;
        }
    }
    assert!(count >= 16, "{count}");
}

/// Passes are run together and verified once; what one leaves wrong the next one might make look right.
#[test]
fn each_pass_leaves_all_examples_verifiable() {
    let folder = format!("{}/../../examples", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "oko") {
            continue;
        }
        let mut checked = support::verified(&std::fs::read_to_string(&path).expect("a text"));
        for _ in 0..2 {
            for (name, pass) in PASSES {
                checked = apply(*pass, checked.clone()).unwrap_or_else(|errors| {
                    // What proved a class to be one may be gone.
                    let expected =
                        |error: &VerifyError| matches!(error.problem, Problem::ClassOutOfRange { .. });
                    assert!(errors.iter().all(expected), "{name}, {}: {errors:?}", path.display());
                    checked
                });
            }
        }
    }
}

use oko_ir::State;
use oko_ir::interp::TableKey;
use oko_ir::passes::{PASSES, apply};
use oko_ir::verify::{Problem, VerifyError};
use support::packets::{A, ACK, B, FIN, Ipv4, RST, SYN, ethernet, segment, tcp};
use support::{Fast, SECOND};

fn example(name: &str) -> Fast {
    let path = format!("{}/../../examples/{name}.oko", env!("CARGO_MANIFEST_DIR"));
    Fast::new(&std::fs::read_to_string(path).expect("an example"), 4711)
}

/// A UDP datagram of so many bytes of data.
fn datagram(src: [u8; 4], dst_port: u16, length: usize) -> Vec<u8> {
    let mut udp = [5_353u16, dst_port, 8 + length as u16, 0].map(u16::to_be_bytes).concat();
    udp.resize(8 + length, 0);
    Ipv4 { src, dst: B, protocol: 17, fragment: 0, options: 0, payload: udp }.frame(0)
}

fn address(bytes: [u8; 4]) -> u64 {
    u64::from(u32::from_be_bytes(bytes))
}

#[test]
fn a_scanner_is_found_and_told_once() {
    let mut filter = example("scan");
    for port in 0..2_000 {
        filter.run(&segment(B, 4000, A, 80, SYN), SECOND);
        let found = filter.run(&segment(A, 4000, B, port, SYN), SECOND);
        // 64 within the standard error, three times over.
        assert!(port < 45 && found == 0 || (45..85).contains(&port) || port >= 85 && found == 1, "{port}");
    }
    assert_eq!(
        filter.run(&segment(B, 4000, A, 80, SYN), SECOND),
        0,
        "many connections to one service are no scan"
    );
    let events = filter.store.take_events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].values[..3], [4, 0, address(A)]);
    assert!(events[0].values[3] > 64);
}

#[test]
fn a_heavy_flow_is_found_among_many() {
    let mut filter = example("heavy_hitter");
    filter.store.set_param(oko_ir::Param(0), 10_000).expect("within its range");
    for port in 0..500 {
        assert_eq!(filter.run(&segment(B, 4000, A, port, ACK), SECOND), 0);
    }
    let heavy = datagram(A, 443, 1_000);
    let answers: Vec<u32> = (0..12).map(|_| filter.run(&heavy, SECOND)).collect();
    assert_eq!(answers, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1], "1,042 bytes each");
    assert_eq!(filter.run(&heavy, 4 * SECOND), 0, "a second later it begins anew");
}

#[test]
fn an_elephant_is_found_and_gets_an_entry() {
    let mut filter = example("elephant");
    filter.store.set_param(oko_ir::Param(0), 5_000).expect("within its range");
    let answers: Vec<u32> = (0..7).map(|_| filter.run(&datagram(A, 443, 958), SECOND)).collect();
    assert_eq!(answers, [0, 0, 0, 0, 0, 1, 1], "1,000 bytes each");
    assert_eq!(filter.run(&datagram(A, 444, 958), SECOND), 0);
    assert_eq!(filter.entries(1, SECOND).len(), 1, "only the large flow has an entry");
    assert_eq!(filter.store.take_events().len(), 1);
}

#[test]
fn connections_are_tracked_by_what_the_control_plane_says_is_inside() {
    let mut filter = example("perimeter");
    let (out, back) = (|flags| segment(A, 4000, B, 80, flags), |flags| segment(B, 80, A, 4000, flags));
    assert_eq!(filter.run(&out(SYN), SECOND), 0, "nothing is inside yet");
    let inside = TableKey { parts: vec![4, address(A) << 32, 0], bits: 8 + 32 };
    filter.store.put(State(0), inside, &[]).expect("it fits");
    let steps = [
        (back(SYN | ACK), 0),
        (out(SYN), 1),
        (back(SYN | ACK), 1),
        (out(ACK), 1),
        (back(ACK), 1),
        (out(FIN | ACK), 1),
    ];
    for (packet, tracked) in steps {
        assert_eq!(filter.run(&packet, SECOND), tracked);
    }
    assert_eq!(filter.run(&out(ACK), 12 * SECOND), 0, "it was closing");
    filter.store.take_events();
    assert_eq!(filter.run(&back(SYN), 13 * SECOND), 0);
    assert_eq!(filter.store.take_events().len(), 1, "somebody outside knocked");
    assert_eq!(filter.run(&out(RST), 13 * SECOND), 0);
}

#[test]
fn slow_servers_are_found_by_their_handshakes() {
    let mut filter = example("tcp_rtt");
    let mut handshake = |at: u64, after: u64| {
        assert_eq!(filter.run(&segment(A, 4000, B, 80, SYN), at), 0);
        let slow = filter.run(&segment(B, 80, A, 4000, SYN | ACK), at + after);
        (slow, filter.store.take_events().len())
    };
    let milliseconds = |count: u64| count * 1_000_000;
    assert_eq!(handshake(SECOND, milliseconds(20)), (0, 0));
    assert_eq!(handshake(2 * SECOND, milliseconds(300)), (0, 0), "160 ms on average");
    assert_eq!(handshake(3 * SECOND, milliseconds(900)), (1, 1), "more than 400 ms");
    assert_eq!(handshake(4 * SECOND, milliseconds(20)), (1, 0), "told once in ten seconds");
    assert_eq!(filter.run(&segment(B, 80, A, 4000, SYN | ACK), 5 * SECOND), 0, "no SYN waits for it");
}

/// A segment with so many bytes of data.
fn data(seq: u32, length: usize) -> Vec<u8> {
    let mut bytes = tcp(4000, 80, ACK);
    bytes[4..8].copy_from_slice(&seq.to_be_bytes());
    bytes.resize(20 + length, 0);
    Ipv4::tcp(A, B, bytes).frame(0)
}

#[test]
fn segments_that_come_again_are_retransmissions() {
    let mut filter = example("retransmission");
    let start = u32::MAX - 150;
    let steps = [
        (data(start, 100), 0),
        (data(start, 100), 1),
        (data(start.wrapping_add(100), 100), 0),
        (data(start.wrapping_add(200), 100), 0),
        (data(start.wrapping_add(100), 100), 1),
        (data(start.wrapping_add(300), 0), 0),
        (data(start.wrapping_add(250), 100), 0),
    ];
    for (at, (packet, again)) in steps.into_iter().enumerate() {
        assert_eq!(filter.run(&packet, SECOND), again, "{at}");
    }
    assert!(filter.store.take_events().is_empty());
    for at in 0..200 {
        filter.run(&data(1_000_000, 100), 2 * SECOND + at);
    }
    assert_eq!(filter.store.take_events().len(), 1, "most segments come again");
}

#[test]
fn a_ttl_that_jumps_is_odd() {
    let mut filter = example("ttl_anomaly");
    let mut with_ttl = |ttl: u8| {
        let mut packet = segment(A, 4000, B, 80, SYN);
        packet[14 + 8] = ttl;
        filter.run(&packet, SECOND)
    };
    assert_eq!([57, 56, 60, 61, 40, 57].map(&mut with_ttl), [0, 0, 0, 1, 1, 0]);
    assert_eq!(filter.store.take_events().len(), 1);
}

#[test]
fn many_long_queries_are_a_tunnel() {
    let mut filter = example("dns_tunnel");
    let tenth = SECOND / 10;
    let mut query = |source, length, at| filter.run(&datagram(source, 53, length), at);
    let short: u32 = (0..900).map(|at| query(A, 40, SECOND + at * tenth)).sum();
    assert_eq!(short, 0, "ten a second, but short");
    let rare: u32 = (0..90).map(|at| query(B, 200, SECOND + at * SECOND)).sum();
    assert_eq!(rare, 0, "long, but one a second");
    let tunnel: Vec<u32> = (0..900).map(|at| query([10, 0, 0, 99], 200, SECOND + at * tenth)).collect();
    assert_eq!((tunnel[0], tunnel[899]), (0, 1));
}

#[test]
fn a_router_advertisement_from_a_host_is_rogue() {
    let mut filter = example("ra_guard");
    let mut packet = ethernet(0x86dd);
    packet.extend([0x60, 0, 0, 0, 0, 16, 58, 255]);
    packet.extend([0xfe; 32]);
    packet.extend([134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(filter.run(&packet, SECOND), 1);
    assert_eq!(filter.store.take_events()[0].values[3], 3, "the port");
    // The packets of these tests come in by port 3.
    filter.store.put(State(0), TableKey { parts: vec![3], bits: 32 }, &[]).expect("it fits");
    assert_eq!(filter.run(&packet, SECOND), 0);
    packet[14 + 40] = 135;
    assert!(filter.store.remove(State(0), &TableKey { parts: vec![3], bits: 32 }).expect("a key"));
    assert_eq!(filter.run(&packet, SECOND), 0, "neighbour solicitations are everybody's");
}
