//! Diagnostics for other programs: one JSON object a line.
//!
//! ```text
//! {"code":"E0201","severity":"error","headline":"there is no `limt` here",
//!  "labels":[{"file":"f.oko","start":{"byte":40,"line":3,"column":9},"end":{"byte":44,"line":3,"column":13},"text":"not known here"}],
//!  "notes":[],"help":null,
//!  "suggestion":{"file":"f.oko","start":{…},"end":{…},"replacement":"limit","text":"did you mean `limit`?"}}
//! ```
//!
//! (Shown on several lines here.) `severity` is `error` or `warning`. Bytes count from 0, lines and columns from 1, columns in
//! characters; `end` is the place behind the last character. The first label is the place of the finding; a finding about no place has
//! none. `help` and `suggestion` may be `null`; a `suggestion` is a change that mends the source. Members may be added, none is taken away
//! or changed.

use std::fmt::Write;

use crate::{Diagnostic, Severity, SourceMap, Span};

/// The diagnostics as JSON, one object a line.
pub fn json(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        one(diagnostic, sources, &mut out);
        out.push('\n');
    }
    out
}

fn one(diagnostic: &Diagnostic, sources: &SourceMap, out: &mut String) {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    // Writing to a string cannot fail.
    let _ = write!(out, "{{\"code\":\"{}\",\"severity\":\"{severity}\",\"headline\":", diagnostic.code);
    text(&diagnostic.headline, out);
    out.push_str(",\"labels\":[");
    for (order, label) in diagnostic.labels.iter().enumerate() {
        out.push_str(if order > 0 { ",{" } else { "{" });
        place(label.span, sources, out);
        out.push_str(",\"text\":");
        text(&label.text, out);
        out.push('}');
    }
    out.push_str("],\"notes\":[");
    for (order, note) in diagnostic.notes.iter().enumerate() {
        if order > 0 {
            out.push(',');
        }
        text(note, out);
    }
    out.push_str("],\"help\":");
    match &diagnostic.help {
        Some(help) => text(help, out),
        None => out.push_str("null"),
    }
    out.push_str(",\"suggestion\":");
    match &diagnostic.suggestion {
        Some(suggestion) => {
            out.push('{');
            place(suggestion.span, sources, out);
            out.push_str(",\"replacement\":");
            text(&suggestion.replacement, out);
            out.push_str(",\"text\":");
            text(&suggestion.text, out);
            out.push('}');
        }
        None => out.push_str("null"),
    }
    out.push('}');
}

/// `"file":…,"start":…,"end":…`
fn place(span: Span, sources: &SourceMap, out: &mut String) {
    let file = sources.get(span.file);
    out.push_str("\"file\":");
    text(file.map_or("", |file| file.name()), out);
    for (name, byte) in [("start", span.start), ("end", span.end)] {
        let (line, column) = file.map_or((1, 1), |file| {
            let place = file.location(byte);
            (place.line, place.column)
        });
        let _ = write!(out, ",\"{name}\":{{\"byte\":{byte},\"line\":{line},\"column\":{column}}}");
    }
}

/// A JSON string (RFC 8259 section 7).
fn text(value: &str, out: &mut String) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            other if u32::from(other) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
