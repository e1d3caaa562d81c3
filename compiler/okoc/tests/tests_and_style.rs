//! `okoc test`, `okoc fmt` and diagnostics as JSON, as users and other programs meet them.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(TempDir::new().unwrap());
        for (name, content) in files {
            fs::write(folder.0.path().join(name), content).unwrap();
        }
        folder
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_okoc"));
        command.args(args).current_dir(self.0.path()).env_remove("NO_COLOR");
        command
    }

    /// Exit code, stdout, stderr.
    fn okoc(&self, args: &[&str]) -> (i32, String, String) {
        told(&self.command(args).output().unwrap())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const PROGRAM: &str = "filter short -> bool {
    pkt.len < 64
}

test \"an empty frame is short\" {
    expect short(packet(\"ffff ffff ffff 0200 0000 0001 0800\"));
}

test \"a frame of zeros is not\" {
    expect short(packet(\"00\")) == false;
}
";

#[test]
fn tests_that_pass_and_fail_are_told_apart() {
    let folder = Folder::with(&[("short.oko", PROGRAM)]);
    let (code, out, err) = folder.okoc(&["test", "short.oko"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("ok    an empty frame is short\n"), "{out}");
    assert!(out.contains("FAIL  a frame of zeros is not\n"), "{out}");
    assert!(
        err.contains("E0708") && err.contains("this is `true`") && err.contains("1 of 2 tests failed"),
        "{err}"
    );

    let (code, out, err) = folder.okoc(&["test", "--filter", "empty", "--coverage"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.ends_with("1 test passed on 4 engines\n"), "{out}");

    let (code, _, err) = folder.okoc(&["test", "--filter", "nothing"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("no test to run with `nothing` in its name"), "{err}");
}

#[test]
fn captures_lie_beside_the_program() {
    let text = "filter f -> bool { true }\ntest \"a\" { expect f(replay \"no.pcap\") == 1; }\n";
    let folder = Folder::with(&[("f.oko", text)]);
    let (code, _, err) = folder.okoc(&["test", "f.oko"]);
    assert_eq!(code, 1);
    assert!(err.contains("E0710") && err.contains("no.pcap"), "{err}");
}

#[test]
fn fmt_formats_in_place_checks_and_reads_from_standard_input() {
    let folder = Folder::with(&[("a.oko", "filter  a{true} // why\n"), ("b.oko", "filter b { true }\n")]);
    let (code, out, err) = folder.okoc(&["fmt", "--check", "a.oko", "b.oko"]);
    assert_eq!((code, out.as_str()), (1, "a.oko\n"), "{err}");
    assert!(err.contains("1 of 2 programs are not in the one style"), "{err}");
    assert_eq!(folder.read("a.oko"), "filter  a{true} // why\n");

    assert_eq!(folder.okoc(&["fmt", "a.oko", "b.oko"]).0, 0);
    assert_eq!(folder.read("a.oko"), "filter a { true }  // why\n");
    assert_eq!(folder.okoc(&["fmt", "--check", "a.oko", "b.oko"]).0, 0);

    let mut child = folder
        .command(&["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"const  a:u8=1;").unwrap();
    let (code, out, _) = told(&child.wait_with_output().unwrap());
    assert_eq!((code, out.as_str()), (0, "const a: u8 = 1;\n"));

    let broken = Folder::with(&[("a.oko", "filter a { let }\n")]);
    let (code, _, err) = broken.okoc(&["fmt", "a.oko"]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(broken.read("a.oko"), "filter a { let }\n");
}

#[test]
fn diagnostics_are_json_for_who_asks() {
    let folder = Folder::with(&[("a.oko", "param limit: u32 in 1..=5 = 3;\nfilter a { pkt.len < limt }\n")]);
    let (code, out, err) = folder.okoc(&["--error-format", "json", "check", "a.oko"]);
    assert_eq!((code, out.as_str()), (1, ""));
    let line = err.lines().next().unwrap();
    for part in [
        "{\"code\":\"E0201\",\"severity\":\"error\",\"headline\":\"there is no `limt` here\"",
        "\"labels\":[{\"file\":\"a.oko\",\"start\":{\"byte\":52,\"line\":2,\"column\":22},\"end\":{\"byte\":56,\"line\":2,\"column\":26},\"text\":\"not known here\"}]",
        "\"replacement\":\"limit\"",
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
}
