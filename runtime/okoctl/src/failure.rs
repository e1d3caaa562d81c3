//! Everything that can end a command.

use std::fmt;
use std::io;
use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, SourceCode};
use oko_flow_text::FlowError;
use oko_openflow::oko::OkoErrorCode;
use okoctl::ClientError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The switch, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A flow's text.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// The switch refused one of several flows.
    #[error("{reason}\n  in: {flow}")]
    FlowRefused {
        /// The flow's text.
        flow: String,
        /// How many flows were in effect before it.
        done: usize,
        /// The switch's reason.
        reason: Box<ClientError>,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The schema that the switch sent cannot be read.
    #[error("the schema of filter {filter} cannot be read: {reason}")]
    Schema {
        /// The filter.
        filter: String,
        /// The reason.
        reason: serde_json::Error,
    },
    /// The filter has no such state.
    #[error("filter {filter} has no {noun} `{state}`")]
    NoState {
        /// The filter.
        filter: String,
        /// `state` or `table`.
        noun: &'static str,
        /// The name.
        state: String,
        /// The states that it has.
        known: Vec<String>,
    },
    /// A key, a value or a setting of an entry cannot be read.
    #[error("`{found}` is no {what}; expected {expected}")]
    BadEntry {
        /// What it was to be.
        what: String,
        /// The text.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// There is no entry under a key.
    #[error("{what} has no entry under `{key}`")]
    NoEntry {
        /// The state or table.
        what: String,
        /// The key.
        key: String,
    },
    /// There is no room for another entry.
    #[error("{what} is full: it holds {capacity} entries")]
    Full {
        /// The state or table.
        what: String,
        /// How many fit.
        capacity: u32,
    },
    /// The entries of an array are always there.
    #[error(
        "the entries of `{state}` cannot be deleted, for each index has one; `state clear` zeroes all, `state set` one"
    )]
    Stays {
        /// The state.
        state: String,
    },
    /// The filter has no such param.
    #[error("filter {filter} has no param `{param}`")]
    NoParam {
        /// The filter.
        filter: String,
        /// The name.
        param: String,
        /// The params that it has.
        known: Vec<String>,
    },
    /// A param is not written as `NAME=VALUE`.
    #[error("`{found}` sets no param; expected NAME=VALUE")]
    NoAssignment {
        /// The argument.
        found: String,
    },
    /// A param's value cannot be read.
    #[error("`{found}` is no value for {param}; expected {expected}")]
    BadParam {
        /// The param.
        param: String,
        /// The text.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// No port has this name or number.
    #[error("no port is called `{found}`")]
    NoPort {
        /// The name or number.
        found: String,
        /// The ports that there are.
        known: Vec<String>,
    },
    /// The result cannot be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// A stable name of the kind of failure, for programs.
    pub(crate) fn kind(&self) -> String {
        match self {
            Failure::Client(e) => e.kind(),
            Failure::FlowRefused { reason, .. } => reason.kind(),
            Failure::Flow(_) => "bad_flow".to_owned(),
            Failure::Read { .. } => "cannot_read".to_owned(),
            Failure::Schema { .. } => "bad_answer".to_owned(),
            Failure::NoState { .. } => "no_such_state".to_owned(),
            Failure::NoParam { .. } => "no_such_param".to_owned(),
            Failure::NoAssignment { .. } | Failure::BadParam { .. } | Failure::BadEntry { .. } => {
                "bad_value".to_owned()
            }
            Failure::NoEntry { .. } => "no_such_entry".to_owned(),
            Failure::Full { .. } => "no_room".to_owned(),
            Failure::Stays { .. } => "unsupported".to_owned(),
            Failure::NoPort { .. } => "no_such_port".to_owned(),
            Failure::Output(_) => "cannot_write".to_owned(),
        }
    }

    /// The switch's report on a filter that it refused. It is laid out already.
    pub(crate) fn report_on_filter(&self) -> Option<&str> {
        match self {
            Failure::Client(ClientError::Refused(e))
                if matches!(e.code, OkoErrorCode::VerifierRefused | OkoErrorCode::BadArtifact) =>
            {
                Some(&e.text)
            }
            _ => None,
        }
    }

    fn diagnostic(&self) -> Option<&dyn Diagnostic> {
        match self {
            Failure::Client(e) => Some(e),
            Failure::FlowRefused { reason, .. } => Some(reason.as_ref()),
            Failure::Flow(e) => Some(e),
            _ => None,
        }
    }
}

impl Diagnostic for Failure {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.diagnostic()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.diagnostic()?.labels()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self {
            Failure::NoState { known, .. } | Failure::NoParam { known, .. } if known.is_empty() => {
                Some(Box::new("it has none"))
            }
            Failure::NoState { known, .. } | Failure::NoParam { known, .. } => {
                Some(Box::new(format!("it has {}", known.join(", "))))
            }
            Failure::NoPort { known, .. } => Some(Box::new(format!("the switch has {}", known.join(", ")))),
            Failure::FlowRefused { done, .. } if *done > 0 => Some(Box::new(format!(
                "the {done} before it {} in effect",
                if *done == 1 { "is" } else { "are" }
            ))),
            _ => self.diagnostic()?.help(),
        }
    }
}
