//! What is wrong with a flow's text.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, SourceCode};

/// A flow's text that cannot be read: the problem and the part of the text that it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FlowError {
    /// The whole text.
    pub text: String,
    /// The part that is wrong, as byte offsets.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub problem: FlowProblem,
}

/// The ways in which a flow's text can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowProblem {
    /// No field or setting has this name.
    #[error("unknown field `{found}`")]
    UnknownField {
        /// The name.
        found: String,
        /// The known name nearest to it.
        suggestion: Option<String>,
    },
    /// Open vSwitch or OpenFlow 1.0 has it, OpenFlow 1.3 does not.
    #[error("`{found}` is not in OpenFlow 1.3")]
    NotInOpenFlow {
        /// The name.
        found: String,
        /// What to write instead, if there is something.
        instead: Option<String>,
    },
    /// No action has this name.
    #[error("unknown action `{found}`")]
    UnknownAction {
        /// The name.
        found: String,
        /// The known name nearest to it.
        suggestion: Option<String>,
    },
    /// The value is no such value.
    #[error("`{found}` is no value for {key}")]
    BadValue {
        /// Of what it is the value.
        key: String,
        /// The value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A value is missing.
    #[error("{key} has no value")]
    NoValue {
        /// Of what.
        key: String,
        /// What it may be.
        expected: String,
    },
    /// There is a value where none can be.
    #[error("{key} takes no value")]
    ValueNotAllowed {
        /// Where.
        key: String,
    },
    /// The field cannot be masked.
    #[error("{key} cannot be masked")]
    NotMaskable {
        /// The field.
        key: String,
    },
    /// The same thing is given twice.
    #[error("{key} is given twice")]
    Duplicate {
        /// What.
        key: String,
    },
    /// A field needs another beside it.
    #[error("{key} needs {needs}")]
    Prerequisite {
        /// The field.
        key: String,
        /// What is missing.
        needs: String,
        /// What to add.
        add: Option<&'static str>,
    },
    /// No port has this name.
    #[error("no port is called `{found}`")]
    UnknownPort {
        /// The name.
        found: String,
        /// The ports that there are.
        known: Vec<String>,
        /// The known name nearest to it.
        suggestion: Option<String>,
    },
    /// No filter has this name.
    #[error("no filter is called `{found}`")]
    UnknownFilter {
        /// The name.
        found: String,
        /// The filters that there are.
        known: Vec<String>,
        /// The known name nearest to it.
        suggestion: Option<String>,
    },
    /// The filter has no such class.
    #[error("filter {filter} has no class `{found}`")]
    UnknownClass {
        /// The filter.
        filter: String,
        /// The name.
        found: String,
        /// The classes that it has.
        known: Vec<String>,
    },
    /// The filter answers classes, and which one is wanted is not said.
    #[error("filter {filter} answers classes; which one?")]
    ClassNeeded {
        /// The filter.
        filter: String,
        /// The classes that it has.
        known: Vec<String>,
    },
    /// A flow without actions.
    #[error("the flow has no actions")]
    NoActions,
    /// Actions where there can be none.
    #[error("{command} takes no actions")]
    ActionsNotAllowed {
        /// The command.
        command: &'static str,
    },
    /// A setting that this command does not have.
    #[error("{command} does not use {key}")]
    NotUsed {
        /// The command.
        command: &'static str,
        /// The setting.
        key: String,
    },
    /// Something that is executed earlier stands later.
    #[error("{later} must come before {earlier}")]
    Order {
        /// What stands too late.
        later: String,
        /// What it must stand before.
        earlier: &'static str,
    },
    /// `drop` beside other actions.
    #[error("drop must be the only action")]
    DropWithOthers,
    /// A parenthesis is missing.
    #[error("a parenthesis is not closed")]
    Unclosed,
}

impl FlowError {
    pub(crate) fn new(text: &str, span: Range<usize>, problem: FlowProblem) -> FlowError {
        FlowError { text: text.to_owned(), span, problem }
    }

    /// What was expected at the marked place.
    pub fn expected(&self) -> String {
        match &self.problem {
            FlowProblem::UnknownField { .. } => "expected a field or setting of a flow".to_owned(),
            FlowProblem::NotInOpenFlow { .. } => "another protocol's".to_owned(),
            FlowProblem::UnknownAction { .. } => "expected an action".to_owned(),
            FlowProblem::BadValue { expected, .. } | FlowProblem::NoValue { expected, .. } => {
                format!("expected {expected}")
            }
            FlowProblem::ValueNotAllowed { key } => format!("expected `{key}` alone"),
            FlowProblem::NotMaskable { .. } => "expected a value without mask".to_owned(),
            FlowProblem::Duplicate { .. } => "given before".to_owned(),
            FlowProblem::Prerequisite { needs, .. } => format!("has a meaning only with {needs}"),
            FlowProblem::UnknownPort { .. } => "expected a port number or name".to_owned(),
            FlowProblem::UnknownFilter { .. } => "expected the name of a loaded filter".to_owned(),
            FlowProblem::UnknownClass { known, .. } | FlowProblem::ClassNeeded { known, .. } => {
                format!("expected {}", one_of(known))
            }
            FlowProblem::NoActions => "expected actions=… at the end".to_owned(),
            FlowProblem::ActionsNotAllowed { .. } | FlowProblem::NotUsed { .. } => {
                "leave this out".to_owned()
            }
            FlowProblem::Order { .. } => "out of order".to_owned(),
            FlowProblem::DropWithOthers => "beside other actions".to_owned(),
            FlowProblem::Unclosed => "expected `)`".to_owned(),
        }
    }

    /// How to put it right, where that can be said.
    pub fn advice(&self) -> Option<String> {
        match &self.problem {
            FlowProblem::UnknownField { suggestion, .. } | FlowProblem::UnknownAction { suggestion, .. } => {
                suggestion.as_ref().map(|s| format!("did you mean `{s}`?"))
            }
            FlowProblem::NotInOpenFlow { instead, .. } => instead.as_ref().map(|s| format!("write `{s}`")),
            FlowProblem::UnknownPort { suggestion: Some(s), .. }
            | FlowProblem::UnknownFilter { suggestion: Some(s), .. } => Some(format!("did you mean `{s}`?")),
            FlowProblem::UnknownPort { known, .. } if known.is_empty() => None,
            FlowProblem::UnknownPort { known, .. } => Some(format!("the switch has the ports {}", known.join(", "))),
            FlowProblem::UnknownFilter { known, .. } if known.is_empty() => {
                Some("no filter is loaded; load one with `okoctl filter load FILE`".to_owned())
            }
            FlowProblem::UnknownFilter { known, .. } => Some(format!("loaded are {}", known.join(", "))),
            FlowProblem::ClassNeeded { filter, known } => {
                known.first().map(|class| format!("write `filter={filter}:{class}`"))
            }
            FlowProblem::Prerequisite { add, .. } => add.map(|add| format!("add `{add}`")),
            FlowProblem::NoActions => Some("to drop the packets, write `actions=drop`".to_owned()),
            FlowProblem::Order { .. } => {
                Some("the order of execution is meter, actions, clear_actions, write_actions, write_metadata, goto_table"
                    .to_owned())
            }
            _ => None,
        }
    }
}

fn one_of(known: &[String]) -> String {
    match known {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl Diagnostic for FlowError {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new(Some(self.expected()), self.span.start, self.span.len());
        Some(Box::new(std::iter::once(label)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.advice().map(|advice| Box::new(advice) as Box<dyn fmt::Display>)
    }
}

/// The known name nearest to a misspelt one, if it is near enough to be meant.
pub(crate) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let allowed = (found.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name.to_owned())
}
