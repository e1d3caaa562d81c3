//! The programs of this workspace as a user runs them: found beside the test's own program, run with what they print caught.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where cargo has put a program of the workspace: `okoc`, `okoctl`, `okod`.
///
/// # Panics
///
/// If it is not built: cargo builds only libraries for the tests of another package.
pub fn path(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a program has a path");
    // target/PROFILE/deps/TEST
    let folder = test.ancestors().nth(2).expect("cargo puts tests two folders below its target folder");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build --workspace` first, or `cargo xtask test`, which does so",
        path.display()
    );
    path
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The command, as one would type it.
    pub command: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it printed as errors.
    pub err: String,
}

/// Runs a command to its end.
///
/// # Panics
///
/// If it cannot be started, or prints what is not text.
pub fn run(command: &mut Command) -> Ran {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    let shown = words.join(" ");
    command.stdin(Stdio::null()).env("NO_COLOR", "1").env_remove("OKO_SWITCH");
    let output = command.output().unwrap_or_else(|error| panic!("cannot run `{shown}`: {error}"));
    let text =
        |bytes| String::from_utf8(bytes).unwrap_or_else(|error| panic!("`{shown}` prints no text: {error}"));
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr), command: shown }
}

impl Ran {
    /// What it printed.
    ///
    /// # Panics
    ///
    /// If it failed.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "`{}` failed:\n{}{}", self.command, self.out, self.err);
        self.out
    }

    /// What it printed as JSON.
    ///
    /// # Panics
    ///
    /// If it failed, or printed none.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let command = self.command.clone();
        let out = self.succeeded();
        serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("`{command}` prints no JSON: {error}\n{out}"))
    }

    /// Expects an error: an exit code that says so, a message that has all of `words`, and neither a panic nor a signal.
    ///
    /// # Panics
    ///
    /// If it is otherwise.
    #[track_caller]
    pub fn fails_with(self, words: &[&str]) {
        let Ran { command, code, out, err } = self;
        assert!(
            code.is_some_and(|code| code != 0 && code < 100),
            "`{command}` ended with {code:?}:\n{out}{err}"
        );
        // Reports are broken into lines where they are long.
        let said: Vec<&str> = err.split_whitespace().filter(|word| *word != "│").collect();
        let said = said.join(" ");
        for word in words {
            assert!(said.contains(word), "`{command}` does not say {word:?}:\n{err}");
        }
        assert!(!err.contains("panicked"), "`{command}` panicked:\n{err}");
    }
}
