//! XDP programs that clang makes of C load as filters: those of all examples in C are accepted, whichever version and instruction set, and
//! say of every packet what the example in Oko says.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_filter::{Instance, LoadOptions, Packet};
use oko_tests::examples::{self, Build};
use oko_tests::{captures, clang, made, peer};

/// The most packets of a capture; later ones bring little new and take long on interpreters.
const PACKETS: usize = 1_200;
/// The most packets of made traffic.
const MADE: usize = 300;
/// Every so many packets one is cut short, at another place each time.
const CUT: usize = 5;
struct Example {
    name: String,
    oko: Instance,
    /// What it was compiled by, and the filter.
    c: Vec<(String, Instance)>,
}

impl Example {
    fn all() -> Vec<Example> {
        let compilers = clang::installed();
        let folder = examples::folder().join("c");
        let source = folder.join("xdp/xdp.c");
        let mut all = Vec::new();
        for program in examples::programs() {
            let name = examples::name(&program);
            if !folder.join(&name).with_extension("c").exists() {
                continue;
            }
            let define = format!("-DFILTER=\"../{name}.c\"");
            let seed = format!("-DSEED={}", peer::SEED);
            let options = LoadOptions { seed: Some(peer::SEED), ..LoadOptions::default() };
            let c = clang::instances(&compilers, &source, &[&define, &seed], &options);
            let artifact = examples::compile(&program, Build::Switch).bytes;
            let oko = Instance::load(&artifact, &options).unwrap();
            let (table, keys) = examples::table_entries(&name);
            for key in &keys {
                oko.table_put(table, key, &[]).unwrap();
                // The networks inside are a trie in C, with keys as the kernel has them.
                if let [family, high, low] = key.parts[..] {
                    let mut raw = key.bits.to_ne_bytes().to_vec();
                    raw.push(family as u8);
                    raw.extend([high, low].into_iter().flat_map(u64::to_be_bytes));
                    c.iter().for_each(|(_, c)| c.state_write_raw("prefixes_map", &raw, &[0], 0).unwrap());
                }
            }
            all.push(Example { name, oko, c });
        }
        all
    }

    /// Asks all about a packet; gives whether they say that it matches.
    fn ask(&self, bytes: &[u8], now: u64) -> bool {
        let matches = |instance: &Instance| {
            let filter = instance.filters()[0].id;
            instance.run(filter, Packet::new(bytes, 1), now).class() != 0
        };
        let expected = matches(&self.oko);
        for (by, instance) in &self.c {
            assert_eq!(matches(instance), expected, "{by} about {bytes:02x?} at {now}");
        }
        expected
    }
}

#[test]
fn the_examples_in_c_are_accepted_and_say_the_same() {
    let examples = Example::all();
    let in_c = std::fs::read_dir(examples::folder().join("c")).unwrap();
    let in_c = in_c.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "c"));
    assert_eq!(examples.len(), in_c.count(), "each program in C is an example");
    let (mut asked, mut matched) = (0_u64, 0_u64);
    for example in &examples {
        if example.c.is_empty() {
            eprintln!("skipped: {}.c, for there is no clang", example.name);
            continue;
        }
        let mut now = 0;
        // The way through headers in C knows neither MPLS nor tunnels, of which `headers.pcap` is full.
        let captures = examples::captures();
        let captures = captures.iter().filter(|capture| examples::name(capture) != "headers");
        let recorded = captures.map(|capture| captures::read(capture));
        let made = made::NAMES.map(|name| made::traffic(name).into_iter().take(MADE).collect());
        for frames in recorded.chain(made) {
            // One after the other, hours later: what was remembered has expired.
            let begin = now + 7_200_000_000_000;
            let first = frames.first().map_or(0, |frame| frame.now);
            for (number, frame) in frames.iter().take(PACKETS).enumerate() {
                now = begin + (frame.now - first);
                let len = match number % CUT {
                    0 => number / CUT % (frame.bytes.len() + 1),
                    _ => frame.bytes.len(),
                };
                asked += 1;
                matched += u64::from(example.ask(&frame.bytes[..len], now));
            }
        }
    }
    assert!(examples[0].c.is_empty() || (asked > 10_000 && matched > 500), "{matched} of {asked} match");
}
