//! Facts about whole compilations: what the examples give, what is said of bad programs, and what keeps the same.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::HashMap;

use oko_bpf_backend::Clock;
use oko_compiler::{Artifact, Failed, Failure, Loader, NoFiles, Options, Source, parse};

fn build(name: &str, text: &str, loader: &dyn Loader) -> Result<Artifact, Box<Failed>> {
    parse(Source::new(name, text), loader).check()?.optimize().assemble(&Options::default())
}

fn examples() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "oko"))
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(found.len() >= 3, "the examples are gone");
    found
}

/// Modules in memory.
struct Modules(HashMap<&'static str, &'static str>);

impl Loader for Modules {
    fn load(&self, module: &str) -> Option<Source> {
        self.0.get(module).map(|text| Source::new(format!("{module}.oko"), *text))
    }
}

#[test]
fn every_example_becomes_an_artifact_that_verifies() {
    for (name, text) in examples() {
        let artifact = build(&name, &text, &NoFiles).unwrap_or_else(|failed| {
            let text = oko_diagnostics::render_all(
                &failed.diagnostics,
                &failed.sources,
                oko_diagnostics::Colour::None,
            );
            panic!("{name}: {failed}\n{text}")
        });
        let object = oko_bpf::object::read(&artifact.bytes).unwrap();
        assert_eq!(object.programs.len(), artifact.ir.module().filters.len(), "{name}");
        for program in object.programs.clone() {
            let verified =
                oko_bpf::verifier::verify(program).unwrap_or_else(|error| panic!("{name}: {error}"));
            let cert =
                artifact.cert.filters.iter().find(|filter| filter.name == verified.program().name).unwrap();
            assert!(cert.steps > 0 && !cert.fields_read.is_empty(), "{name}: {cert:?}");
            assert!(
                verified.max_stack() <= cert.stack_bytes,
                "{name}: {} bytes of stack",
                verified.max_stack()
            );
            assert!(program_has_source(&verified, &text), "{name}: no line of the source");
        }
        let ir = std::str::from_utf8(object.section(".oko.ir").unwrap()).unwrap();
        assert_eq!(&oko_ir::text::read(ir).unwrap(), artifact.ir.module(), "{name}");
        assert_eq!(artifact.schema.source_hash.len(), 64);
    }
}

fn program_has_source(program: &oko_bpf::verified::Verified, text: &str) -> bool {
    let lines = &program.program().lines;
    !lines.is_empty() && lines.iter().any(|line| !line.text.is_empty() && text.contains(&line.text))
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    for (name, text) in examples() {
        let [one, two] = [(); 2].map(|()| build(&name, &text, &NoFiles).unwrap());
        assert_eq!(one.bytes, two.bytes, "{name}");
    }
    let (name, text) = &examples()[0];
    let elsewhere = build(&format!("somewhere/{name}"), text, &NoFiles).unwrap();
    assert_eq!(elsewhere.schema.source_hash, build(name, text, &NoFiles).unwrap().schema.source_hash);
    assert_ne!(
        elsewhere.schema.source_hash,
        build(name, &format!("{text}\n// more"), &NoFiles).unwrap().schema.source_hash
    );
}

#[test]
fn the_clock_of_tests_is_a_variable() {
    let (name, text) = examples().into_iter().find(|(_, text)| text.contains("expire")).unwrap();
    let options = Options { clock: Clock::Injected, ..Options::default() };
    let artifact =
        parse(Source::new(name, text), &NoFiles).check().unwrap().optimize().assemble(&options).unwrap();
    let object = oko_bpf::object::read(&artifact.bytes).unwrap();
    assert!(object.variable("oko_now").is_some());
    assert!(!artifact.listing.contains("call 5\n"), "{}", artifact.listing);
}

#[test]
fn a_program_without_filter_cannot_be_built() {
    let failed = build("limits.oko", "const limit: u32 = 5;", &NoFiles).unwrap_err();
    assert_eq!(failed.failure, Failure::NoFilter { file: "limits.oko".into() });
}

#[test]
fn errors_of_all_files_are_told_at_once() {
    let modules =
        Modules(HashMap::from([("limits", "const shortest: u32 = ;\nconst longest: u32 = 1500;\n")]));
    let text = "use limits.{shortest, longest};\nfilter odd -> bool { pkt.len < nothing }\nfilter even -> bool { 5 }\n";
    let failed = build("odd.oko", text, &modules).unwrap_err();
    let files: Vec<_> = failed
        .diagnostics
        .iter()
        .map(|diagnostic| failed.sources.get(diagnostic.span().unwrap().file).unwrap().name())
        .collect();
    assert!(files.contains(&"odd.oko") && files.contains(&"limits.oko"), "{files:?}");
    assert_eq!(failed.failure, Failure::Source { count: failed.diagnostics.len() });
}

#[test]
fn modules_come_from_the_loader() {
    let modules = Modules(HashMap::from([("limits", "const longest: u32 = 1500;\n")]));
    let text = "use limits.{longest};\nfilter long -> bool { pkt.len > longest }\n";
    let artifact = build("long.oko", text, &modules).unwrap();
    assert_eq!(artifact.schema.filters[0].name, "long");
    let failed = build("long.oko", text, &NoFiles).unwrap_err();
    assert!(failed.diagnostics[0].headline.contains("limits"), "{}", failed.diagnostics[0].headline);
}

#[test]
fn no_text_makes_the_compiler_panic() {
    let (_, text) = examples().swap_remove(0);
    // Cut anywhere, and with any word doubled: the parser's own tests do more.
    let cuts: Vec<_> = text.char_indices().map(|(at, _)| at).step_by(37).collect();
    for at in cuts {
        let _ = build("cut.oko", &text[..at], &NoFiles);
        let _ = build("twice.oko", &format!("{}{}", &text[..at], &text[at / 2..]), &NoFiles);
    }
}

/// The message of a budget names the limit and what the steps go to.
#[test]
fn a_filter_over_its_budget_is_refused() {
    let text = "fn mixed(a: u32, b: u32) -> u32 {
    let first = (a ^ b) * 3 mod 1_000 + (a & b) * 7 mod 100;
    let second = (first ^ a) * 5 mod 1_000 + (first & b) * 9 mod 100;
    first + second
}

state seen: counter {};

#[budget(steps = 20, state_ops = 0, locked = 2, stack = 512)]
filter odd -> bool {
    mixed(pkt.len, pkt.in_port) & 1 == 1 and seen.add(1) > 5
}
";
    let failed = build("odd.oko", text, &NoFiles).unwrap_err();
    assert_eq!(failed.failure, Failure::Source { count: 3 });
    let shown =
        oko_diagnostics::render_all(&failed.diagnostics, &failed.sources, oko_diagnostics::Colour::None);
    insta::assert_snapshot!(shown);

    let artifact = build(
        "odd.oko",
        &text
            .replace("steps = 20, state_ops = 0", "steps = 90, state_ops = 1")
            .replace("locked = 2", "locked = 30"),
        &NoFiles,
    );
    let artifact = artifact.unwrap();
    let cost = &artifact.cert.filters[0];
    let [locked, part] = artifact.parts[0].as_slice() else { panic!("{:?}", artifact.parts) };
    assert_eq!((&locked.kind, locked.line), (&oko_compiler::PartKind::Locked, 11));
    assert!((3..=30).contains(&locked.steps), "{}", locked.steps);
    assert_eq!(part.kind, oko_compiler::PartKind::Function { name: "mixed".into() });
    assert_eq!((part.line, part.state_ops), (1, 0));
    assert!(part.steps > 10 && part.steps < cost.steps, "{} of {}", part.steps, cost.steps);
}

/// The ways to `blob` differ in where it begins, as a number or as a sum, and there are more of them than the verifier keeps apart.
#[test]
fn a_filter_with_many_ways_to_a_header_can_be_loaded() {
    let text = "use std.net.{gre, gtpu, ip, ipv4, l4, mpls, udp, vlan};
header blob { id: u128, weird: u72, count: u8 where count in 1..=4, items: [item in count * 4] }
header item { kind: u8, value: u24 }
extend udp next by (src_port, dst_port) { (9000, 9001) => blob }
filter v -> bool {
    match pkt {
        udp / blob if blob.id[63:0] == 1 and blob.weird >> 8 == 5 => {
            let sum = for item in blob.items with sum: u32 = 0 { sum +| item.value };
            sum > 1_000
        }
        vlan as a / vlan as b / ip if a.vid == b.vid => true,
        mpls as top / mpls => top.ttl == 1,
        ipv4 as outer / gre / ipv4 as inner => inner.src[31:16] == outer.dst[31:16],
        gtpu / ip / l4 => l4.dst_port in [53, 80..=90],
        _ => false,
    }
}
";
    let built = build("ways.oko", text, &NoFiles).unwrap();
    let object = oko_bpf::object::read(&built.bytes).unwrap();
    oko_bpf::verifier::verify(object.programs[0].clone()).unwrap();
}

#[test]
fn what_is_built_can_be_loaded_however_long_its_loops_are() {
    let filter = |turns: u32| {
        format!(
            "filter f -> bool {{
    let sum = for i in 0..{turns} with x: u32 = 7 {{
        ((x ^ i) +% pkt.len) * 3 mod 1_000_003 ^ (i >> 3) ^ (x >> 2)
    }};
    sum > 5
}}
"
        )
    };
    let short = build("short.oko", &filter(20_000), &NoFiles).unwrap();
    let object = oko_bpf::object::read(&short.bytes).unwrap();
    oko_bpf::verifier::verify(object.programs[0].clone()).unwrap();

    let failed = build("long.oko", &filter(65_536), &NoFiles).unwrap_err();
    let shown: String = (failed.diagnostics.iter())
        .map(|found| oko_diagnostics::render(found, &failed.sources, oko_diagnostics::Colour::None))
        .collect();
    assert_eq!(failed.failure, Failure::Source { count: 1 }, "{shown}");
    for said in ["E0606", "turn by turn", "this loop takes up to 65536 turns"] {
        assert!(shown.contains(said), "no {said:?} in\n{shown}");
    }
    // As many turns as the message says are few enough, and not far from what is.
    let turns = shown.split("about ").find_map(|rest| rest.split(" turns").next()?.parse::<u32>().ok());
    let turns = turns.unwrap_or_else(|| panic!("no number of turns in\n{shown}"));
    assert!((20_000..65_536).contains(&turns), "{turns}");
    build("fewer.oko", &filter(turns), &NoFiles).unwrap();
}
