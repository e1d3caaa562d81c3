//! What a command has to say: a table or a line for people, JSON for programs.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use miette::{Diagnostic, MietteHandlerOpts, Report, ReportHandler};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The result of a command, in both forms.
pub(crate) struct Output {
    /// For people; without a line break at its end.
    pub(crate) text: String,
    /// For programs.
    pub(crate) json: Value,
}

impl Output {
    /// All was said before.
    pub(crate) fn nothing() -> Output {
        Output { text: String::new(), json: Value::Null }
    }

    /// Prints it. A reader that has gone away is no error.
    pub(crate) fn print(&self, as_json: bool) -> io::Result<()> {
        let text =
            if as_json && !self.json.is_null() { format!("{:#}", self.json) } else { self.text.clone() };
        let mut out = io::stdout().lock();
        let written =
            if text.is_empty() { Ok(()) } else { writeln!(out, "{text}") }.and_then(|()| out.flush());
        match written {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Prints a failure to the standard error output.
pub(crate) fn print_failure(failure: Failure, as_json: bool) {
    if as_json {
        let mut error = json!({ "kind": failure.kind(), "message": failure.to_string() });
        if let Some(help) = failure.help() {
            error["help"] = Value::String(help.to_string());
        }
        eprintln!("{:#}", json!({ "error": error }));
    } else if let Some(report) = failure.report_on_filter() {
        eprintln!("the switch refused the filter:\n{report}");
    } else {
        // Lines are broken where they were meant to be; a terminal wraps the rest, and a pipe needs no wrapping.
        let handler = |_: &_| -> Box<dyn ReportHandler> {
            Box::new(MietteHandlerOpts::new().wrap_lines(false).build())
        };
        // Fails only if a hook was set before, and there is none.
        let _ = miette::set_hook(Box::new(handler));
        eprintln!("{:?}", Report::new(failure));
    }
}

/// A table without lines, one row a line. Columns whose number is in `right` are aligned to the right.
pub(crate) fn table(header: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>());
    table.add_rows(rows.iter().cloned());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}
