//! XDP programs that clang makes of C load as filters: those of all examples in C are accepted, whichever version and instruction set, and
//! say of every packet what the example in Oko says.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use oko_compiler::Clock;
use oko_filter::{Instance, LoadOptions, Packet};
use oko_tests::{captures, clang, examples};

/// The most packets of a capture; later ones bring little new and take long on interpreters.
const PACKETS: usize = 1_200;
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
            let c = clang::instances(&compilers, &source, &[&define], &LoadOptions::default());
            let artifact = examples::compile(&program, Clock::Helper).bytes;
            let oko = Instance::load(&artifact, &LoadOptions::default()).unwrap();
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
    assert_eq!(examples.len(), 9, "an example in C got lost");
    let (mut asked, mut matched) = (0_u64, 0_u64);
    for example in &examples {
        if example.c.is_empty() {
            eprintln!("skipped: {}.c, for there is no clang", example.name);
            continue;
        }
        let mut now = 0;
        // The way through headers in C knows neither MPLS nor tunnels, of which `headers.pcap` is full.
        let captures = examples::captures();
        for capture in captures.iter().filter(|capture| examples::name(capture) != "headers") {
            let frames = captures::read(capture);
            // One capture after the other, hours later: what was remembered has expired.
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
