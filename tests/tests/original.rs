//! Programs of the first Oko: our own, corrected versions of its five samples, compiled by clang, load in the mode for its ABI and say of packets what their
//! comments promise, on both engines.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::PathBuf;

use oko_bpf::object::Abi;
use oko_filter::{Engine, Instance, LoadError, LoadOptions, Packet};
use oko_tests::{clang, examples};

const SECOND: u64 = 1_000_000_000;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn sample(name: &str) -> PathBuf {
    examples::folder().join("original").join(name).with_extension("c")
}

/// One sample as each compiler and instruction set has it, on both engines.
fn all(name: &str) -> Vec<(String, Instance)> {
    let options = LoadOptions { abi: Abi::Original, seed: Some(1), ..LoadOptions::default() };
    // Not every program uses all of the helpers in the header.
    clang::instances(&clang::installed(), &sample(name), &["-Wno-unused-variable"], &options)
}

/// Asks all of them; they must agree.
fn ask(all: &[(String, Instance)], packet: &[u8], now: u64) -> bool {
    let answers = all.iter().map(|(_, instance)| {
        let entry = instance.filter("entry").unwrap();
        instance.run(entry, Packet::new(packet, 1), now).is_match()
    });
    let answers: Vec<bool> = answers.collect();
    let first = answers.first().copied().unwrap_or_default();
    for ((what, _), answer) in all.iter().zip(&answers) {
        assert_eq!(*answer, first, "{what} differs from {} on {packet:02x?}", all[0].0);
    }
    first
}

/// A segment from one end to another.
#[derive(Clone)]
struct Tcp {
    from: (u32, u16),
    to: (u32, u16),
    flags: u8,
    seq: u32,
    ack: u32,
    window: u16,
    ttl: u8,
    fragment: u16,
    options: Vec<u8>,
    data: usize,
}

const CLIENT: (u32, u16) = (0x0a00_0001, 40_000);
const SERVER: (u32, u16) = (0x0a00_0002, 80);

fn tcp(from: (u32, u16), to: (u32, u16), flags: u8) -> Tcp {
    let (seq, ack, window, ttl) = (0, 0, 65_535, 64);
    Tcp { from, to, flags, seq, ack, window, ttl, fragment: 0, options: Vec::new(), data: 0 }
}

impl Tcp {
    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0]);
        let total = 40 + self.options.len() + self.data;
        frame.extend((total as u16).to_be_bytes());
        frame.extend([0, 1]);
        frame.extend(self.fragment.to_be_bytes());
        frame.extend([self.ttl, 6, 0, 0]);
        frame.extend(self.from.0.to_be_bytes());
        frame.extend(self.to.0.to_be_bytes());
        frame.extend(self.from.1.to_be_bytes());
        frame.extend(self.to.1.to_be_bytes());
        frame.extend(self.seq.to_be_bytes());
        frame.extend(self.ack.to_be_bytes());
        frame.push((((20 + self.options.len()) / 4) << 4) as u8);
        frame.push(self.flags);
        frame.extend(self.window.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(&self.options);
        frame.resize(14 + total, 0xda);
        frame
    }
}

#[test]
fn the_firewall_matches_established_connections() {
    let all = all("stateful_firewall");
    if all.is_empty() {
        return;
    }
    let say = |from, to, flags| ask(&all, &tcp(from, to, flags).frame(), SECOND);
    assert!(!say(SERVER, CLIENT, ACK), "nothing was opened");
    assert!(!say(CLIENT, SERVER, SYN) && !say(CLIENT, SERVER, ACK), "the server has not answered");
    assert!(!say(CLIENT, SERVER, SYN | ACK), "the client cannot answer itself");
    assert!(!say(SERVER, CLIENT, SYN | ACK) && say(CLIENT, SERVER, ACK));
    assert!(say(SERVER, CLIENT, ACK) && say(CLIENT, SERVER, ACK), "from both ends");
    // The original's key had 4 of these 12 bytes, and ports ordered by themselves: these were the same connection to it.
    assert!(!say((CLIENT.0, SERVER.1), (SERVER.0, CLIENT.1), ACK), "ports the other way round");
    assert!(!say((CLIENT.0, 40_001), SERVER, ACK), "another port");
    assert!(say(CLIENT, SERVER, FIN | ACK) && !say(SERVER, CLIENT, ACK), "closed");
    // A connection that is reset half open.
    assert!(!say(CLIENT, SERVER, SYN) && !say(SERVER, CLIENT, RST) && !say(SERVER, CLIENT, SYN | ACK));
    assert!(!say(CLIENT, SERVER, ACK));
    let (_, instance) = &all[0];
    assert_eq!(instance.state_snapshot("connections", SECOND).unwrap().entries.len(), 0);
    // Shorter than its headers.
    let frame = tcp(CLIENT, SERVER, SYN).frame();
    assert!((0..frame.len()).all(|len| !ask(&all, &frame[..len], SECOND)));
    // A later fragment has no header of TCP.
    assert!(!ask(&all, &Tcp { fragment: 5, ..tcp(CLIENT, SERVER, SYN) }.frame(), SECOND));
    assert_eq!(instance.state_snapshot("connections", SECOND).unwrap().entries.len(), 0);
}

#[test]
fn the_rate_limit_lets_a_burst_and_then_its_rate_through() {
    let all = all("rate_limit");
    if all.is_empty() {
        return;
    }
    let frame = tcp(CLIENT, SERVER, ACK).frame();
    let over = |now| u32::from(ask(&all, &frame, now));
    assert_eq!((0..10_000).map(|_| over(SECOND)).sum::<u32>(), 0, "the burst");
    assert_eq!((0..50).map(|_| over(SECOND)).sum::<u32>(), 50);
    // A hundredth of a second later there is room for a hundred; the original lost the tokens that it computed.
    assert_eq!((0..150).map(|_| over(SECOND + SECOND / 100)).sum::<u32>(), 50);
    // Packet by packet at the rate, all pass; at twice the rate, one half.
    let at = |start: u64, step: u64| (1..=1_000).map(|n| over(start + n * step)).sum::<u32>();
    assert_eq!(at(2 * SECOND - 9_900 * 100_000, 100_000), 0);
    // Another source has a bucket of its own.
    assert!(!ask(&all, &tcp((7, 1), SERVER, ACK).frame(), SECOND));
    assert!(!ask(&all, &frame[..33], SECOND), "too short to have a source");
}

#[test]
fn the_address_table_is_the_control_planes() {
    let all = all("address_table");
    if all.is_empty() {
        return;
    }
    let frame = tcp(CLIENT, SERVER, ACK).frame();
    assert!(ask(&all, &frame, SECOND), "not in the table");
    assert!(!ask(&all, &frame[..20], SECOND), "no address at all");
    for (_, instance) in &all {
        // Written as raw bytes: nobody knows what foreign values mean.
        instance.state_write_raw("addresses", &SERVER.0.to_ne_bytes(), &2_u32.to_ne_bytes(), SECOND).unwrap();
    }
    assert!(!ask(&all, &frame, SECOND), "may pass");
    for (_, instance) in &all {
        instance.state_write_raw("addresses", &SERVER.0.to_ne_bytes(), &1_u32.to_ne_bytes(), SECOND).unwrap();
    }
    assert!(ask(&all, &frame, SECOND), "is dropped");
}

#[test]
fn the_fingerprint_is_that_of_one_family() {
    let all = all("fingerprint");
    if all.is_empty() {
        return;
    }
    let options = vec![2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2];
    let whole = Tcp {
        window: 8_192,
        ttl: 128,
        fragment: 0x4000,
        options: options.clone(),
        ..tcp(CLIENT, SERVER, SYN)
    };
    assert!(ask(&all, &whole.frame(), 1) && ask(&all, &Tcp { ttl: 94, ..whole.clone() }.frame(), 1));
    let others = [
        Tcp { window: 32, ..whole.clone() },
        // 8,192 is 0x2000: what the original compared with.
        Tcp { window: 0x0020, ..whole.clone() },
        Tcp { ttl: 64, ..whole.clone() },
        Tcp { ttl: 129, ..whole.clone() },
        Tcp { fragment: 0, ..whole.clone() },
        Tcp { flags: SYN | ACK, ..whole.clone() },
        Tcp { data: 1, ..whole.clone() },
        Tcp { options: options.iter().rev().copied().collect(), ..whole.clone() },
    ];
    assert!(others.iter().all(|other| !ask(&all, &other.frame(), 1)));
    let frame = whole.frame();
    assert!((0..frame.len()).all(|len| !ask(&all, &frame[..len], 1)), "less than all of it");
}

#[test]
fn the_diagnosis_sees_growth_full_windows_and_losses() {
    let all = all("tcp_diagnosis");
    if all.is_empty() {
        return;
    }
    // Sequence numbers that go round: the original compared them byte by byte reversed.
    let start = u32::MAX - 5_000;
    let from_server =
        |seq: u32, data: usize| Tcp { seq: start.wrapping_add(seq), data, ..tcp(SERVER, CLIENT, ACK) };
    let from_client =
        |ack: u32, window: u16| Tcp { ack: start.wrapping_add(ack), window, ..tcp(CLIENT, SERVER, ACK) };
    let say = |tcp: &Tcp, now| ask(&all, &tcp.frame(), now);
    assert!(!say(&tcp(CLIENT, SERVER, SYN), 1));
    assert!(!say(&Tcp { seq: start, ..tcp(SERVER, CLIENT, SYN | ACK) }, 2));
    assert!(!say(&from_server(1, 1_000), 1_000), "in flight: 1,000, less than a segment");
    assert!(say(&from_server(1_001, 1_000), 1_000), "2,000 are more than ever before");
    assert!(!say(&from_server(1, 1_000), 1_000), "sent again: nothing new");
    assert!(!say(&from_client(2_001, 65_535), 5_000), "all is acknowledged");
    let snapshot = |name: &str| {
        let (_, instance) = &all[0];
        instance.state_snapshot(name, 1).unwrap().entries
    };
    let value = snapshot("transfers")[0].raw_value.clone();
    let rtt = u64::from_ne_bytes(value[40..48].try_into().unwrap());
    assert_eq!(rtt, 4_000, "from the last byte to its acknowledgement");
    // Around the end of sequence numbers, within what was in flight before.
    assert!(!say(&from_server(2_001, 2_000), 6_000) && !say(&from_client(4_001, 65_535), 6_100));
    assert!(!say(&from_server(4_001, 2_000), 6_200) && !say(&from_client(6_001, 3_000), 6_300));
    // A window of 3,000 that is filled: the fourth packet in a row says so.
    let full = (0..5).map(|n| say(&from_server(6_001 + 1_500 * n, 1_500), 7_000));
    assert_eq!(
        full.collect::<Vec<_>>(),
        [false, true, true, true, true],
        "3,000, then more and more in flight"
    );
    // Three acknowledgements of the same byte: a loss, once.
    let repeated: Vec<bool> = (0..4).map(|_| say(&from_client(6_001, 3_000), 8_000)).collect();
    assert_eq!(repeated, [false, false, true, false]);
    assert!(!say(&tcp(CLIENT, SERVER, FIN | ACK), 9_000));
    assert_eq!(snapshot("transfers").len(), 0);
}

#[test]
fn what_no_filter_may_do_is_refused_by_name() {
    let Some(compiler) = clang::installed().pop() else { return };
    let folder = tempfile::tempdir().unwrap();
    let header = examples::folder().join("original");
    let include = format!("-I{}", header.display());
    let refusal = |body: &str| {
        let source = folder.path().join("refused.c");
        std::fs::write(&source, format!("#include \"original.h\"\n{body}")).unwrap();
        let object = clang::compile(compiler, "v2", &source, &[&include, "-Wno-unused-variable"]);
        let options = LoadOptions { abi: Abi::Original, ..LoadOptions::default() };
        match Instance::load(&object, &options) {
            Err(error) => error,
            Ok(_) => panic!("accepted: {body}"),
        }
    };
    let map = |kind: u32, hashes: u32| format!("struct ubpf_map_def m = {{ {kind}, 4, 8, 10, {hashes} }};\n");
    let cases = [
        (
            "static void (*ubpf_printf)(const char *, ...) = (void *)7;
             uint64_t entry(void *p, uint64_t n) { (void)p; ubpf_printf(\"x\"); return n; }"
                .to_owned(),
            "helper 7 (ubpf_printf) of the first Oko is not provided",
        ),
        (
            "static void *(*adjust)(void *, int) = (void *)8;
             uint64_t entry(void *p, uint64_t n) { return n && adjust(p, 4); }"
                .to_owned(),
            "helper 8 (ubpf_adjust_head)",
        ),
        (
            map(7, 0)
                + "uint64_t entry(void *p, uint64_t n) { (void)p; return n && ubpf_map_lookup(&m, &n); }",
            "map type 7 is none of the first Oko",
        ),
        (
            map(2, 0)
                + "uint64_t entry(void *p, uint64_t n) { (void)p; return n && ubpf_map_lookup(&m, &n); }",
            "nb_hash_functions: expected 1 to 15, found 0",
        ),
        (
            map(2, 3)
                + "uint64_t entry(void *p, uint64_t n) { (void)p; return ubpf_map_update(&m, &n, &n); }",
            "ubpf_map_update does not work on map `m`, which is of type bloom filter of the first Oko",
        ),
        (
            map(4, 0) + "uint64_t entry(void *p, uint64_t n) { (void)p; return ubpf_map_add(&m, &n); }",
            "ubpf_map_add does not work on map `m`, which is of type hash",
        ),
        (
            "uint64_t start(void *p, uint64_t n) { (void)p; return n; }".to_owned(),
            "objects of the first Oko have a function `entry`",
        ),
        // What the original's verifier let through: any offset behind any comparison of the length.
        (
            "uint64_t entry(void *p, uint64_t n) { return n > 20 ? ((uint8_t *)p)[2000] : 0; }".to_owned(),
            "1 bytes at packet offset 2000 are accessed, but only 0 bytes there are known to exist",
        ),
        (
            "uint64_t entry(void *p, uint64_t n) { *(uint8_t *)p = 1; return n; }".to_owned(),
            "1 bytes at packet offset 0 are accessed, but only 0 bytes",
        ),
    ];
    for (body, part) in cases {
        let error = refusal(&body).report();
        assert!(error.contains(part), "{error}\nshould say: {part}");
    }
}

/// Of each kind of sketch, and the hash: what a program sees of them.
#[test]
fn sketches_are_told_of_by_look_ups() {
    let Some(compiler) = clang::installed().pop() else { return };
    let folder = tempfile::tempdir().unwrap();
    let include = format!("-I{}", examples::folder().join("original").display());
    let source = folder.path().join("sketches.c");
    // Matches the third and later packets of a length, the first ones only counted; and hashes the same, whatever the engine.
    std::fs::write(
        &source,
        "#include \"original.h\"
         struct ubpf_map_def seen = { UBPF_MAP_TYPE_BLOOMFILTER, 0, 8, 1000, 4 };
         struct ubpf_map_def counts = { UBPF_MAP_TYPE_COUNTMIN, 0, 8, 1000, 4 };
         struct ubpf_map_def hashes = { UBPF_MAP_TYPE_ARRAY, 4, 8, 4, 0 };
         uint64_t entry(void *p, uint64_t n) {
             (void)p;
             uint32_t *known = ubpf_map_lookup(&seen, &n), *count = ubpf_map_lookup(&counts, &n), index = n % 4;
             uint64_t hash = ubpf_hash(&n, sizeof n);
             int before = known && *known, often = count && *count > 1;
             if (before != (count && *count > 0))
                 return 0;
             ubpf_map_add(&seen, &n);
             ubpf_map_add(&counts, &n);
             ubpf_map_update(&hashes, &index, &hash);
             return often ? 1ull << 40 : 0;
         }",
    )
    .unwrap();
    let object = clang::compile(compiler, "v3", &source, &[&include, "-Wno-unused-variable"]);
    let mut hashes = Vec::new();
    for engine in [Engine::BpfJit, Engine::BpfInterp] {
        let options =
            LoadOptions { abi: Abi::Original, engine: Some(engine), seed: Some(7), ..LoadOptions::default() };
        let instance = Instance::load(&object, &options).unwrap_or_else(|e| panic!("{}", e.report()));
        let entry = instance.filter("entry").unwrap();
        let ask = |len: usize| instance.run(entry, Packet::new(&vec![0; len], 1), 1).is_match();
        assert_eq!([60, 60, 61, 60, 61, 61, 60].map(ask), [false, false, false, true, false, true, true]);
        let entries = instance.state_snapshot("hashes", 1).unwrap().entries;
        hashes.push(entries.iter().map(|entry| entry.raw_value.clone()).collect::<Vec<_>>());
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0][0], hashes[0][1], "another length, another hash");
}

/// An artifact of `okoc`, or an XDP program, is no program of the first Oko, and the other way round.
#[test]
fn nothing_is_taken_for_the_other_abi() {
    let Some(compiler) = clang::installed().pop() else { return };
    let object = clang::compile(compiler, "v2", &sample("fingerprint"), &["-Wno-unused-variable"]);
    let error = Instance::load(&object, &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, LoadError::NoFilter { .. }), "{error}");
    assert!(error.report().contains("--abi original"), "{}", error.report());
    let xdp = examples::compile(&examples::programs()[0], examples::Build::Switch).bytes;
    let options = LoadOptions { abi: Abi::Original, ..LoadOptions::default() };
    let error = Instance::load(&xdp, &options).unwrap_err();
    assert!(error.to_string().contains("function `entry`"), "{error}");
}
