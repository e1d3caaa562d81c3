//! What can go wrong around the compiler: files, captures, objects, names. What is wrong with a program is told by its diagnostics.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

/// Why a command failed.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum Error {
    /// Programs with errors; the diagnostics have been printed.
    #[error("{summary}")]
    #[diagnostic(code(okoc::refused), help("`okoc explain CODE` tells more about a code"))]
    Refused { summary: String },
    /// A program that is right and yet cannot be compiled.
    #[error("`{path}`: {reason}")]
    #[diagnostic(code(okoc::compile))]
    Compile { path: PathBuf, reason: String },
    /// A file that is not there, or not to be read.
    #[error("cannot read `{path}`: {error}")]
    #[diagnostic(code(okoc::file::read))]
    Read { path: PathBuf, error: io::Error },
    /// A directory where a file is wanted.
    #[error("cannot read `{path}`: it is a directory")]
    #[diagnostic(code(okoc::file::directory), help("name a file in it"))]
    Directory { path: PathBuf },
    /// A source that is not text.
    #[error("`{path}` is not UTF-8 text: byte {offset} (line {line}) is 0x{byte:02x}")]
    #[diagnostic(
        code(okoc::file::not_text),
        help("save the program as UTF-8; comments may hold any language")
    )]
    NotText { path: PathBuf, offset: usize, line: usize, byte: u8 },
    /// A source without anything in it.
    #[error("`{path}` is empty")]
    #[diagnostic(
        code(okoc::file::empty),
        help("a program has at least one filter: `filter short -> bool {{ pkt.len < 64 }}`")
    )]
    Empty { path: PathBuf },
    /// An object where a source is wanted.
    #[error("`{path}` is an object file, not a program")]
    #[diagnostic(code(okoc::file::object), help("`okoc verify` and `okoc run` take objects"))]
    IsObject { path: PathBuf },
    /// A file that could not be written. What was there before is unchanged.
    #[error("cannot write `{path}`: {error}")]
    #[diagnostic(
        code(okoc::file::write),
        help("nothing was written; a file that was there before is unchanged")
    )]
    Write { path: PathBuf, error: io::Error },
    /// Standard output is gone.
    #[error("cannot write to standard output: {error}")]
    #[diagnostic(code(okoc::output))]
    Output { error: io::Error },
    /// A capture that is malformed.
    #[error("`{path}` is not a sound capture: {reason}")]
    #[diagnostic(code(okoc::capture))]
    Capture {
        path: PathBuf,
        reason: String,
        #[help]
        help: Option<String>,
    },
    /// An object that is refused.
    #[error("`{path}` was refused: {reason}")]
    #[diagnostic(code(okoc::object))]
    Object { path: PathBuf, reason: String },
    /// No filter of this name.
    #[error("`{path}` has no filter `{name}`")]
    #[diagnostic(code(okoc::filter::unknown), help("it has {known}"))]
    UnknownFilter { path: PathBuf, name: String, known: String },
    /// Several filters and none chosen.
    #[error("`{path}` has several filters: {known}")]
    #[diagnostic(code(okoc::filter::several), help("choose one with `--filter NAME`"))]
    SeveralFilters { path: PathBuf, known: String },
    /// A param that cannot be set.
    #[error("`--param {given}`: {reason}")]
    #[diagnostic(code(okoc::param))]
    Param { given: String, reason: String },
    /// Tests that failed; what went wrong has been printed.
    #[error("{summary}")]
    #[diagnostic(code(okoc::test::failed))]
    TestsFailed { summary: String },
    /// Programs that are not in the one style.
    #[error("{summary}")]
    #[diagnostic(code(okoc::fmt::check), help("`okoc fmt FILE` brings a program into it"))]
    NotFormatted { summary: String },
    /// Nothing to test.
    #[error("there is no test to run{place}")]
    #[diagnostic(
        code(okoc::test::none),
        help("a test is written in the program: `test \"what it shows\" {{ expect … }}`")
    )]
    NoTests { place: String },
    /// A verdict for the kernel where the switch decides.
    #[error("`--on-match` goes with `--target xdp` or `--target tc`")]
    #[diagnostic(
        code(okoc::on_match),
        help("in a switch, flow entries say what becomes of packets that match")
    )]
    OnMatch,
    /// No error code of this name.
    #[error("there is no error code `{code}`")]
    #[diagnostic(code(okoc::explain), help("`okoc explain` lists all codes"))]
    UnknownCode { code: String },
}

impl Error {
    /// The exit code, as in the documentation of `main`.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::Refused { .. }
            | Error::Compile { .. }
            | Error::TestsFailed { .. }
            | Error::NotFormatted { .. }
            | Error::Capture { .. }
            | Error::Object { .. }
            | Error::NotText { .. }
            | Error::Empty { .. } => 1,
            Error::IsObject { .. }
            | Error::UnknownFilter { .. }
            | Error::SeveralFilters { .. }
            | Error::Param { .. }
            | Error::NoTests { .. }
            | Error::OnMatch
            | Error::UnknownCode { .. } => 2,
            Error::Read { .. } | Error::Directory { .. } | Error::Write { .. } | Error::Output { .. } => 3,
        }
    }
}
