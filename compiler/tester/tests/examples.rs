//! The tests in the examples pass on every engine.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::Path;

use oko_compiler::{NoFiles, Source, parse};
use oko_diagnostics::{Colour, render};
use oko_tester::{Captured, Captures, Engine, run};
use pcap_file::pcap::PcapReader;

/// The captures beside the examples.
struct Beside<'a>(&'a Path);

impl Captures for Beside<'_> {
    fn capture(&self, name: &str) -> Result<Vec<Captured>, String> {
        let file = fs::File::open(self.0.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let mut reader = PcapReader::new(file).map_err(|error| format!("{name}: {error}"))?;
        let (mut packets, mut begin) = (Vec::new(), None);
        // Those that were cut off are longer than the reader's checks allow.
        while let Some(packet) = reader.next_raw_packet() {
            let packet = packet.map_err(|error| format!("{name}: {error}"))?;
            let time = u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_frac) * 1_000;
            packets.push(Captured {
                bytes: packet.data.into_owned(),
                wire_len: packet.orig_len,
                time: time - *begin.get_or_insert(time),
            });
        }
        Ok(packets)
    }
}

#[test]
fn the_tests_in_the_examples_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let (mut tests, mut asked) = (0, 0);
    let mut failed = String::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "oko") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let checked = parse(Source::new(name.as_str(), text), &NoFiles).check().unwrap();
        for at in 0..checked.tests().len() {
            let report = run(&checked, at, &Engine::ALL, &Beside(&folder));
            tests += 1;
            asked += report.asked;
            for failure in report.failures {
                failed += &render(&failure.diagnostic, checked.sources(), Colour::None);
                failed += &failure.packets;
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
    println!("{tests} tests, {asked} questions to filters on each engine");
    assert!(tests >= 16, "only {tests} tests");
}
