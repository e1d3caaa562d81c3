//! Runs the `test`s of a program: each on every engine, and all must agree.
//!
//! The compiler checks tests and compiles each to an object that holds the program's filters and a filter for each value that the test
//! computes. [`run`] goes through the steps of a test once for each [`Engine`] and once more on the IR before optimisation, whose
//! marks tell which arms of matches were taken. It compares every answer, every value that was looked at and, at the end, all entries of
//! all states.
//!
//! This is a crate of its own because it joins the compiler and the runtime, and both `okoc` and the product's own tests use it.
//!
//! What holds:
//! - Nothing is read or printed: captures come from the caller, time is the test's own and begins at [`BEGIN`].
//! - No test makes it panic or run without end.

mod machine;
mod packets;
mod run;
mod show;

use oko_compiler::Checked;
use oko_diagnostics::{Diagnostic, Span};

pub use oko_filter::Engine;
pub use packets::show_packet;

/// The instant at which tests begin, in nanoseconds: 1,000 seconds, so that things may have happened before.
pub const BEGIN: u64 = 1_000_000_000_000;

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// What was captured of it.
    pub bytes: Vec<u8>,
    /// How long it was on the wire.
    pub wire_len: u32,
    /// When it came, in nanoseconds.
    pub time: u64,
}

/// Gives the captures that tests `replay`.
pub trait Captures {
    /// The packets of a capture by the name that the test gives it, or why there are none.
    ///
    /// # Errors
    ///
    /// A sentence for people.
    fn capture(&self, name: &str) -> Result<Vec<Captured>, String>;
}

/// No captures.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCaptures;

impl Captures for NoCaptures {
    fn capture(&self, _: &str) -> Result<Vec<Captured>, String> {
        Err("there are no captures here".to_owned())
    }
}

/// What came of a test.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub span: Span,
    /// What went wrong; empty if the test passed.
    pub failures: Vec<Failure>,
    /// How many `expect`s were looked at on each engine.
    pub expectations: u64,
    /// How many times filters were asked on each engine.
    pub asked: u64,
    /// The arms of matches in the program, and whether the test took each.
    pub arms: Vec<(Span, bool)>,
}

/// Something that went wrong in a test.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What and where.
    pub diagnostic: Diagnostic,
    /// The packets concerned, decoded and in hexadecimal.
    pub packets: String,
}

/// Runs one of the program's tests, given by its index, on these engines.
pub fn run(checked: &Checked, test: usize, engines: &[Engine], captures: &dyn Captures) -> Report {
    run::run(checked, test, engines, captures)
}
