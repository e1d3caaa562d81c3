//! The commands as users meet them: what they print, how they end, and what they leave behind.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

/// A folder with files of its own, in which commands run.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(TempDir::new().unwrap());
        for (name, content) in files {
            folder.write(name, content.as_bytes());
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn okoc(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_okoc"))
            .args(args)
            .current_dir(self.0.path())
            .env_remove("NO_COLOR")
            .output()
            .unwrap()
    }

    /// Exit code, stdout and stderr as one text.
    fn shows(&self, args: &[&str]) -> String {
        let output = self.okoc(args);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
        let timeless: String =
            out.lines()
                .map(|line| {
                    if line.starts_with("  engine ") { "  engine TIME\n".into() } else { format!("{line}\n") }
                })
                .collect();
        format!("exit {}\n--- stdout\n{timeless}--- stderr\n{err}", output.status.code().unwrap())
    }
}

fn example(name: &str) -> String {
    Path::new(EXAMPLES).join(name).canonicalize().unwrap().display().to_string()
}

const SHORT: &str = "/// Frames below the minimum.\nfilter short -> bool { pkt.len < 64 }\n";

/// A capture of Ethernet frames of these lengths.
fn capture(lens: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for (second, &len) in lens.iter().enumerate() {
        for word in [second as u32, 0, len as u32, len as u32] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend(std::iter::repeat_n(0x2a, len));
    }
    bytes
}

#[test]
fn check_is_silent_about_good_programs() {
    let folder = Folder::with(&[("short.oko", SHORT), ("lib.oko", "const longest: u32 = 1500;\n")]);
    assert_eq!(folder.shows(&["check", "short.oko", "lib.oko"]), "exit 0\n--- stdout\n--- stderr\n");
    assert_eq!(folder.names(), ["lib.oko", "short.oko"]);
}

#[test]
fn check_tells_all_errors_of_all_programs() {
    let folder = Folder::with(&[
        ("a.oko", "filter a -> bool { pkt.len < nothing }\nfilter b -> bool { 5 }\n"),
        ("short.oko", SHORT),
        ("c.oko", "filter c -> bool { pkt.len < }\n"),
    ]);
    let shown = folder.shows(&["check", "a.oko", "short.oko", "c.oko"]);
    assert!(shown.starts_with("exit 1\n--- stdout\n--- stderr\n"), "{shown}");
    let expected = [
        "a.oko:1:30",
        "a.oko:2:20",
        "`a.oko` was refused: 2 errors",
        "c.oko:1:30",
        "2 of 3 programs were refused",
    ];
    let mut rest = shown.as_str();
    for part in expected {
        let (_, after) =
            rest.split_once(part).unwrap_or_else(|| panic!("no {part:?}, or not in this order:\n{shown}"));
        rest = after;
    }
}

#[test]
fn build_writes_the_object_and_says_what_it_costs() {
    let folder = Folder::with(&[("short.oko", SHORT)]);
    insta::assert_snapshot!(folder.shows(&["build", "short.oko"]));
    assert!(fs::read(folder.path("short.o")).unwrap().starts_with(b"\x7fELF"));
    insta::assert_snapshot!(folder.shows(&["verify", "short.o"]));
    let named = folder.okoc(&["build", "short.oko", "-o", "other.o"]);
    assert!(named.status.success());
    assert_eq!(fs::read(folder.path("other.o")).unwrap(), fs::read(folder.path("short.o")).unwrap());
    assert_eq!(folder.names(), ["other.o", "short.o", "short.oko"], "nothing else is left behind");
}

/// What is wrong a thousand times over is not shown a thousand times, and errors come before warnings.
#[test]
fn people_are_shown_a_hundred_messages_and_tools_all() {
    let warned: String = (0..150).map(|n| format!("const POWER_{n}: u8 = 2 ^ 4;\n")).collect();
    let folder = Folder::with(&[(
        "many.oko",
        &format!("{warned}filter f -> bool {{ now > 5 and pkt.len > nothing }}\n"),
    )]);
    let shown = folder.okoc(&["check", "many.oko"]);
    let text = String::from_utf8(shown.stderr).unwrap();
    assert!(text.starts_with("[E0305] Error"), "{text}");
    assert_eq!(text.matches("] Warning").count(), 98);
    assert!(text.contains("and 52 more errors and warnings\n"), "{text}");
    let all = folder.okoc(&["--error-format", "json", "check", "many.oko"]);
    assert_eq!(String::from_utf8(all.stderr).unwrap().matches("{\"code\"").count(), 152);
}

#[test]
fn check_says_what_a_packet_costs_and_where() {
    let text = "fn mixed(a: u32, b: u32) -> u32 {\n    let first = (a ^ b) * 3 mod 1_000;\n    first + (a & b) mod 100\n}\n
state seen: set[u32] { capacity: 1_024, when_full: evict_oldest, expire: 1s };\n
filter odd -> bool {\n    let key = mixed(pkt.len, pkt.in_port);\n    seen.insert(key)\n}\n";
    let folder = Folder::with(&[("odd.oko", text)]);
    insta::assert_snapshot!(folder.shows(&["check", "--cost", "odd.oko"]));
    let lock = "state gap: map[u32, instant] { capacity: 1_024, when_full: evict_oldest, expire: 1s };\n
filter late -> bool {\n    let before = gap[pkt.in_port];\n    update gap[pkt.in_port] |old| match old {\n        none => now,
        let old => if old + 1s < now { now } else { old },\n    };\n    before == none\n}\n";
    let folder = Folder::with(&[("late.oko", lock)]);
    insta::assert_snapshot!(folder.shows(&["check", "--cost", "late.oko"]));
}

#[test]
fn modules_beside_the_program_are_found() {
    let folder = Folder::with(&[
        (
            "in/long.oko",
            "use limits.{longest};\nuse deep.er.{shortest};\nfilter odd -> bool { pkt.len > longest or pkt.len < shortest }\n",
        ),
        ("in/limits.oko", "const longest: u32 = 1500;\n"),
        ("in/deep/er.oko", "const shortest: u32 = 60;\n"),
    ]);
    assert_eq!(folder.shows(&["check", "in/long.oko"]), "exit 0\n--- stdout\n--- stderr\n");
    folder.write("in/limits.oko", b"const longest: u32 = 15\xff00;\n");
    insta::assert_snapshot!(folder.shows(&["check", "in/long.oko"]));
    fs::remove_file(folder.path("in/limits.oko")).unwrap();
    let shown = folder.shows(&["check", "in/long.oko"]);
    assert!(shown.starts_with("exit 1\n") && shown.contains("there is no module `limits`"), "{shown}");
}

#[test]
fn each_phase_can_be_looked_at() {
    let folder = Folder::with(&[("short.oko", SHORT)]);
    for phase in ["ast", "ir", "bpf"] {
        insta::assert_snapshot!(
            format!("emit_{phase}"),
            folder.shows(&["check", "short.oko", "--emit", phase])
        );
    }
    let clif = folder.shows(&["check", "short.oko", "--emit", "clif"]);
    assert!(clif.contains("; short\nfunction ") && clif.starts_with("exit 0\n"), "{clif}");
}

#[test]
fn files_that_are_no_programs_are_named() {
    let folder = Folder::with(&[("empty.oko", ""), ("dir/x.oko", SHORT)]);
    folder.write("latin1.oko", b"// Gr\xfc\xdfe\nfilter a -> bool { true }\n");
    folder.write("object.oko", b"\x7fELF\x02\x01\x01");
    for (name, file) in [
        ("missing", "missing.oko"),
        ("directory", "dir"),
        ("empty", "empty.oko"),
        ("not_text", "latin1.oko"),
        ("object", "object.oko"),
    ] {
        insta::assert_snapshot!(format!("file_{name}"), folder.shows(&["check", file]));
    }
}

#[test]
fn output_is_written_whole_or_not_at_all() {
    let folder = Folder::with(&[
        ("short.oko", SHORT),
        ("bad.oko", "filter a -> bool { 5 }\n"),
        ("keep.o", "as it was"),
    ]);
    // A program that is refused leaves what was there.
    assert_eq!(folder.okoc(&["build", "bad.oko", "-o", "keep.o"]).status.code(), Some(1));
    assert_eq!(fs::read(folder.path("keep.o")).unwrap(), b"as it was");
    // No folder, a folder in the way.
    for target in ["nowhere/out.o", "."] {
        let output = folder.okoc(&["build", "short.oko", "-o", target]);
        assert_eq!(output.status.code(), Some(3), "{target}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(&format!("cannot write `{target}`")),
            "{target}"
        );
    }
    assert_eq!(folder.names(), ["bad.oko", "keep.o", "short.oko"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let folder = Folder::with(&[("short.oko", SHORT)]);
    insta::assert_snapshot!(folder.shows(&["build", "short.oko", "-o", "/dev/full"]));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_okoc")).args(["explain", "E0101"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    // Devices are written to, not replaced.
    assert!(folder.okoc(&["build", "short.oko", "-o", "/dev/null"]).status.success());
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[cfg(unix)]
#[test]
fn a_link_leads_to_the_file_that_is_replaced() {
    let folder = Folder::with(&[("short.oko", SHORT), ("real.o", "old")]);
    std::os::unix::fs::symlink("real.o", folder.path("link.o")).unwrap();
    assert!(folder.okoc(&["build", "short.oko", "-o", "link.o"]).status.success());
    assert!(fs::symlink_metadata(folder.path("link.o")).unwrap().is_symlink());
    assert!(fs::read(folder.path("real.o")).unwrap().starts_with(b"\x7fELF"));
}

#[test]
fn run_counts_verdicts_and_writes_what_matched() {
    let folder = Folder::with(&[("short.oko", SHORT)]);
    folder.write("in.pcap", &capture(&[60, 64, 1500, 40]));
    for engine in ["native", "bpf-jit", "bpf", "ir"] {
        let shown = folder.shows(&[
            "run",
            "short.oko",
            "--pcap",
            "in.pcap",
            "--matched",
            "out.pcap",
            "--engine",
            engine,
        ]);
        insta::allow_duplicates! { insta::assert_snapshot!("run", shown) }
        let matched = fs::read(folder.path("out.pcap")).unwrap();
        let (all, expected) = (capture(&[60, 64, 1500, 40]), capture(&[60]));
        assert_eq!(matched[..expected.len()], expected[..], "{engine}");
        assert_eq!(
            matched[expected.len()..],
            all[all.len() - 16 - 40..],
            "{engine}: records keep their times"
        );
    }
    folder.write("none.pcap", &capture(&[]));
    let none = folder.shows(&["run", "short.oko", "--pcap", "none.pcap"]);
    assert!(none.starts_with("exit 0\n--- stdout\nfilter short on 0 packets"), "{none}");
}

#[test]
fn run_takes_objects_and_gives_the_same() {
    let folder = Folder::with(&[("short.oko", SHORT)]);
    folder.write("in.pcap", &capture(&[60, 64]));
    assert!(folder.okoc(&["build", "short.oko"]).status.success());
    let [source, object] =
        ["short.oko", "short.o"].map(|file| folder.shows(&["run", file, "--pcap", "in.pcap"]));
    assert_eq!(source, object);
}

#[test]
fn the_syn_flood_is_seen_in_its_capture_by_every_engine() {
    let folder = Folder::with(&[]);
    let (program, capture) = (example("syn_flood.oko"), example("captures/syn_flood.pcap"));
    let counts = |engine: &str| {
        let output = folder.okoc(&["run", &program, "--pcap", &capture, "--engine", engine]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| !line.starts_with("  engine")).map(str::to_owned).collect::<Vec<_>>()
    };
    let native = counts("native");
    let matched: u64 = native
        .iter()
        .find_map(|line| line.trim().strip_prefix("match ")?.split_whitespace().next()?.parse().ok())
        .unwrap();
    assert!(matched > 0, "{native:?}");
    for engine in ["bpf-jit", "bpf", "ir"] {
        assert_eq!(counts(engine), native, "{engine}");
    }
}

#[test]
fn bad_captures_are_named() {
    let folder = Folder::with(&[("short.oko", SHORT)]);
    let good = capture(&[60, 64]);
    let with_word = |at: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        bytes
    };
    let cases: [(&str, Vec<u8>); 7] = [
        ("empty", vec![]),
        ("header", good[..20].to_vec()),
        ("magic", with_word(0, 0x1234_5678)),
        ("pcapng", with_word(0, 0x0a0d_0d0a)),
        ("link_type", with_word(20, 113)),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("length", with_word(24 + 8, 0x7fff_ffff)),
    ];
    for (name, bytes) in cases {
        folder.write("in.pcap", &bytes);
        let shown = folder.shows(&["run", "short.oko", "--pcap", "in.pcap", "--matched", "out.pcap"]);
        insta::assert_snapshot!(format!("capture_{name}"), shown);
    }
    assert_eq!(folder.names(), ["in.pcap", "short.oko"], "no output of a refused capture");
}

#[test]
fn filters_and_params_are_chosen_by_name() {
    let folder = Folder::with(&[(
        "two.oko",
        "param limit: u32 in 1..=1500 = 64;\nfilter short -> bool { pkt.len < limit }\nfilter long -> bool { pkt.len > limit }\n",
    )]);
    folder.write("in.pcap", &capture(&[60, 100, 1000]));
    let run = |more: &[&str]| folder.shows(&[&["run", "two.oko", "--pcap", "in.pcap"], more].concat());
    insta::assert_snapshot!("choose_none", run(&[]));
    insta::assert_snapshot!("choose_unknown", run(&["--filter", "shrt"]));
    insta::assert_snapshot!("choose_param", run(&["--filter", "long", "--param", "limit=500"]));
    insta::assert_snapshot!("choose_param_range", run(&["--filter", "long", "--param", "limit=5000"]));
    insta::assert_snapshot!("choose_param_unknown", run(&["--filter", "long", "--param", "max=5"]));
}

#[test]
fn foreign_and_broken_objects_are_refused() {
    let folder = Folder::with(&[("short.oko", SHORT), ("text.o", "no object")]);
    assert!(folder.okoc(&["build", "short.oko"]).status.success());
    let good = fs::read(folder.path("short.o")).unwrap();
    folder.write("half.o", &good[..good.len() / 2]);
    let mut machine = good.clone();
    machine[18] = 62;
    folder.write("x86.o", &machine);
    let half = folder.shows(&["verify", "half.o"]);
    assert!(
        half.starts_with("exit 1\n") && half.contains("`half.o` was refused: object file: truncated"),
        "{half}"
    );
    for file in ["text.o", "x86.o"] {
        let name = file.trim_end_matches(".o");
        insta::assert_snapshot!(format!("verify_{name}"), folder.shows(&["verify", file]));
    }
    // An exit without a result: the last instruction but one, which sets r0, becomes another exit.
    let mut unsafe_code = good.clone();
    let exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
    let at = (0..good.len() - 8).step_by(8).find(|&at| good[at..at + 8] == exit).unwrap();
    let start = (0..at).step_by(8).rev().find(|&at| good[at] == 0x61).unwrap_or(at);
    unsafe_code[start..start + 8].copy_from_slice(&exit);
    folder.write("unsafe.o", &unsafe_code);
    let shown = folder.shows(&["verify", "unsafe.o"]);
    assert!(shown.starts_with("exit 1\n") && shown.contains("program `short`"), "{shown}");
}

/// An object of `okoc` is none of the first Oko's; what those are tests across crates show.
#[test]
fn the_abi_is_what_one_says_it_is() {
    let folder = Folder::with(&[("short.oko", "filter short -> bool { pkt.len < 64 }\n")]);
    assert!(folder.okoc(&["build", "short.oko"]).status.success());
    let shown = folder.shows(&["verify", "--abi", "original", "short.o"]);
    assert!(shown.starts_with("exit 1\n") && shown.contains("have a function `entry`"), "{shown}");
}

#[test]
fn codes_are_explained() {
    let folder = Folder::with(&[]);
    let shown = folder.shows(&["explain", "E0101"]);
    assert!(shown.starts_with("exit 0\n--- stdout\nE0101: "), "{shown}");
    let all = folder.shows(&["explain"]);
    assert!(all.contains("E0101  "), "{all}");
    insta::assert_snapshot!(folder.shows(&["explain", "E9999"]));
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let folder = Folder::with(&[("bad.oko", "filter a -> bool { 5 }\n")]);
    let has_colour = |args: &[&str]| folder.okoc(args).stderr.contains(&0x1b);
    assert!(!has_colour(&["check", "bad.oko"]));
    assert!(has_colour(&["check", "bad.oko", "--color", "always"]));
    assert!(!has_colour(&["check", "missing.oko", "--color", "never"]));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let folder = Folder::with(&[]);
    for args in [&["frobnicate"][..], &["check"], &["run", "x.oko"], &["check", "x.oko", "--emit", "asm"]] {
        assert_eq!(folder.okoc(args).status.code(), Some(2), "{args:?}");
    }
}
