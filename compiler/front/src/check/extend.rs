//! What `extend` adds to the lines that say what follows a header.
//!
//! What holds in the order of all lines, of which the first that fits decides:
//! - A header's own lines stand in front of those of extensions. So an extension decides only where the header leaves open what follows,
//!   and closes no circle among headers that were in none together: whatever headers a program finds without an extension, it finds with it, where they
//!   were. Lines marked `#[first]` stand in front of the header's own; they are the one way to change what is found.
//!   Where one leaves nothing to a line of the header, and an arm asks for that, it is told of (`replaced`).
//! - No two lines of extensions in different files that lead to different headers decide for the same packets, so it does not matter in
//!   which order files are read.

use std::collections::BTreeMap;
use std::ops::Range;

use oko_diagnostics::codes::packets;
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use super::exhaustive::covered;
use super::next::{FIRST_COUNTS, MAX_LINES, Marks, key_pattern, never_decides};
use crate::hir::{HeaderId, KeyPattern, Next, NextArm};
use crate::packets::circles::{self, Change};
use crate::resolve::Def;
use crate::types::Ty;

/// A line of an extension.
struct Line {
    /// Whether it is looked at in front of the header's own lines.
    first: bool,
    /// The deciding fields, and their values.
    keys: Vec<(usize, KeyPattern)>,
    header: HeaderId,
    tunnel: bool,
    span: Span,
}

impl Line {
    /// As a line of a header that decides by these fields.
    fn arm(&self, by: &[usize]) -> NextArm {
        let key = |field| self.keys.iter().find(|(known, _)| *known == field).map(|(_, key)| key.clone());
        NextArm {
            keys: by.iter().map(|field| key(*field).unwrap_or(KeyPattern::Any)).collect(),
            header: self.header,
            tunnel: self.tunnel,
            extends: true,
            span: self.span,
        }
    }
}

/// All lines that say what follows a header, in their order.
struct Lines {
    by: Vec<usize>,
    arms: Vec<NextArm>,
    /// The header's own: behind those marked `#[first]`, in front of all others.
    own: Range<usize>,
}

impl Checker<'_, '_> {
    /// What `extend` adds to headers, and whether the parse graph stays what it was where it said something.
    pub(super) fn extensions(&mut self) {
        let mut added: BTreeMap<HeaderId, Vec<Line>> = BTreeMap::new();
        for at in 0..self.decls.extends.len() {
            let source = &self.decls.extends[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            self.no_attributes(item);
            let arms: Vec<_> = (ast.next.arms.iter())
                .map(|arm| (arm, self.next_header(module, &arm.header), self.line_marks(arm, true)))
                .collect();
            for path in &ast.headers {
                for id in self.extended(module, path) {
                    let lines = self.lines_of_extension(module, id, &ast.next, &arms);
                    if !lines.is_empty() {
                        added.entry(id).or_default().extend(lines);
                    }
                }
            }
        }
        let any = !added.is_empty();
        for (id, lines) in added {
            self.extend_header(id, &lines);
        }
        if any {
            self.circles_of_extensions();
        }
        for (id, mut line) in std::mem::take(&mut self.broken_lines) {
            let next = self.program.headers[id.index()].next.get_or_insert_default();
            line.keys.resize(next.by.len(), KeyPattern::Any);
            next.arms.push(line);
        }
    }

    /// The headers that an extension names: one, or those of a union.
    fn extended(&mut self, module: usize, path: &ast::Path) -> Vec<HeaderId> {
        if let Some((Def::Union(id), _)) = self.decls.scopes[module].get(&path.to_string()) {
            return self.union_headers(id);
        }
        let found = self.next_header(module, path);
        // One whose own `next by` could not be read was reported, and would only be reported again.
        let unread = |id: &HeaderId| {
            self.decls.headers.get(id.index()).is_some_and(|source| source.ast.next.is_some())
        };
        found
            .filter(|id| self.program.headers[id.index()].next.is_some() || !unread(id))
            .into_iter()
            .collect()
    }

    /// The lines that an extension has for a header. Where something is reported of one, it is kept with the broken ones.
    fn lines_of_extension(
        &mut self,
        module: usize,
        id: HeaderId,
        next: &ast::Next,
        arms: &[(&ast::NextArm, Option<HeaderId>, Marks)],
    ) -> Vec<Line> {
        let by = self.selector(id, &next.by);
        let enough = by.as_ref().is_some_and(|by| self.asks_enough(id, by, next));
        let mut lines = Vec::new();
        for &(arm, header, Marks { tunnel, first }) in arms {
            let keys = by.as_ref().and_then(|by| self.next_keys(module, id, by, &arm.pattern));
            let Some(header) = header else { continue };
            let span = arm.pattern.span.to(arm.header.span);
            let line = |keys| Line { first, keys, header, tunnel, span };
            match (&by, keys) {
                (Some(by), Some(keys)) if enough => {
                    let named = |keys| by.iter().copied().zip(keys).collect();
                    lines.extend(keys.into_iter().map(|keys: Vec<_>| line(named(keys))));
                }
                _ => self.broken_lines.push((id, line(Vec::new()).arm(&[]))),
            }
        }
        lines
    }

    /// Whether an extension asks for all fields of which each own line of the header asks something.
    fn asks_enough(&mut self, id: HeaderId, by: &[usize], next: &ast::Next) -> bool {
        let header = &self.program.headers[id.index()];
        let Some(own) = header.next.as_ref().filter(|own| !own.arms.is_empty()) else { return true };
        let asked = |at: usize| {
            let whole = key_pattern(&[KeyPattern::Any]);
            let ty = Ty::Tuple(vec![header.fields[own.by[at]].ty.clone()]);
            own.arms.iter().all(|arm| {
                let key = key_pattern(&arm.keys[at..=at]);
                !covered(&whole, &[&key], &ty, &self.program)
            })
        };
        let Some(absent) = (0..own.by.len()).find(|at| !by.contains(&own.by[*at]) && asked(*at)) else {
            return true;
        };
        let name = |field: &usize| header.fields[*field].name.as_str();
        let field = name(&own.by[absent]).to_owned();
        let fields: Vec<&str> = by.iter().map(name).chain([field.as_str()]).collect();
        // If all lines ask the same of it, an extension most likely should, too.
        let same = match own.arms.split_first() {
            Some((first, rest)) if rest.iter().all(|arm| arm.keys[absent] == first.keys[absent]) => {
                match &first.keys[absent] {
                    KeyPattern::OneOf(ranges) => match ranges.as_slice() {
                        [(low, high)] if low == high => Some(*low),
                        _ => None,
                    },
                    KeyPattern::Any => None,
                }
            }
            _ => None,
        };
        let mut diagnostic = Diagnostic::error(
            packets::LEAVES_OUT,
            format!("what follows `{}` depends on `{field}`, too", header.name),
        )
        .label(next.by.span, format!("`{field}` is left out"))
        .label(header.span, format!("each of its own lines asks for `{field}`"));
        if let Some(value) = same {
            diagnostic = diagnostic.note(format!("each of them asks for {value}"));
        }
        let diagnostic = diagnostic.help(format!("write `next by ({})`", fields.join(", ")));
        self.report(diagnostic);
        false
    }

    /// Adds the lines of extensions to those of a header.
    fn extend_header(&mut self, id: HeaderId, added: &[Line]) {
        let Next { mut by, arms: mut own } = self.program.headers[id.index()].next.take().unwrap_or_default();
        for (field, _) in added.iter().flat_map(|line| &line.keys) {
            if !by.contains(field) {
                by.push(*field);
            }
        }
        for arm in &mut own {
            arm.keys.resize(by.len(), KeyPattern::Any);
        }
        let (first, last): (Vec<&Line>, Vec<&Line>) = added.iter().partition(|line| line.first);
        let place = first.len()..first.len() + own.len();
        let arms = (first.iter().map(|line| line.arm(&by)))
            .chain(own)
            .chain(last.iter().map(|line| line.arm(&by)))
            .collect();
        let lines = Lines { by, arms, own: place };
        if let Some(line) = added.last() {
            self.not_too_many(id, lines.arms.len(), line.span);
        }
        for at in (0..lines.arms.len().min(MAX_LINES)).filter(|at| !lines.own.contains(at)) {
            let contradiction = self.contradiction(id, &lines, at);
            if let Some(diagnostic) = contradiction.or_else(|| self.extends_nothing(id, &lines, at)) {
                self.report(diagnostic);
            }
        }
        self.program.headers[id.index()].next = Some(Next { by: lines.by, arms: lines.arms });
    }

    /// That a line in front of the one at `at` stands in another file, leads elsewhere and decides for some of the same packets.
    fn contradiction(&self, id: HeaderId, lines: &Lines, at: usize) -> Option<Diagnostic> {
        let Lines { by, arms, own } = lines;
        let line = &arms[at];
        let start = if at < own.start { 0 } else { own.end };
        let (other, both) = arms[start..at].iter().find_map(|other| {
            let elsewhere = (other.header, other.tunnel) != (line.header, line.tunnel);
            if other.span.file == line.span.file || !elsewhere || !other.overlaps(line) {
                return None;
            }
            let both = NextArm { keys: both_keys(&other.keys, &line.keys), ..line.clone() };
            // The header's own lines may take all of them.
            self.taken(id, by, &both, &arms[..start]).is_none().then_some((other, both))
        })?;
        let name = |id: HeaderId| &self.program.headers[id.index()].name;
        let diagnostic = Diagnostic::error(
            packets::CONTRADICTION,
            format!("two files say what follows `{}` in the same packets", name(id)),
        )
        .label(line.span, format!("`{}` follows here", name(line.header)))
        .label(other.span, format!("`{}` follows here", name(other.header)))
        .note(self.in_words(id, by, &both.keys))
        .help("remove one of them, or write both in one file: there the first that fits counts");
        Some(diagnostic)
    }

    /// That lines in front of the one at `at` leave no packet to it.
    fn extends_nothing(&self, id: HeaderId, lines: &Lines, at: usize) -> Option<Diagnostic> {
        let Lines { by, arms, own } = lines;
        let line = arms[at].span;
        let taken = self.taken(id, by, &arms[at], &arms[..at])?;
        Some(if arms[own.clone()].iter().any(|arm| arm.span == taken) {
            let name = &self.program.headers[id.index()].name;
            never_decides(line)
                .label(taken, format!("`{name}` itself says what follows"))
                .help("write `#[first]` in front of the line to have it looked at before the header's own")
        } else {
            let help = if taken.file == line.file { FIRST_COUNTS } else { "remove one of them" };
            never_decides(line).label(taken, "taken here").help(help)
        })
    }

    /// The values of deciding fields, for a message.
    fn in_words(&self, id: HeaderId, by: &[usize], keys: &[KeyPattern]) -> String {
        let fields = &self.program.headers[id.index()].fields;
        let parts = by.iter().zip(keys).filter_map(|(field, key)| match key {
            KeyPattern::Any => None,
            KeyPattern::OneOf(ranges) => Some(format!("`{}` {}", fields[*field].name, ranges.first()?.0)),
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() {
            "both fit all packets".to_owned()
        } else {
            format!("both fit packets with {}", parts.join(" and "))
        }
    }

    /// Reports lines of extensions that close circles among headers that were in none together.
    fn circles_of_extensions(&mut self) {
        let mut found = Vec::new();
        for change in circles::changed(&self.program) {
            let name = |id: HeaderId| self.program.headers[id.index()].name.clone();
            found.push(match change {
                Change::Joined { header, line } => Diagnostic::error(
                    packets::CIRCLE,
                    format!("`{}` leads back to `{}`", name(line.header), name(header)),
                )
                .label(line.span, format!("from here a packet comes back to `{}`", name(header)))
                .help("write `#[tunnel]` in front of the line: a packet within the packet follows"),
                Change::Shortened { header, times } => Diagnostic::error(
                    packets::BAD_REPEAT,
                    format!("`{}` is repeated less often than the headers around it", name(header)),
                )
                .label(self.program.headers[header.index()].span, "an extension puts it into their circle")
                .help(format!("write `#[repeat(max = {times})]`, or a greater number")),
            });
        }
        for diagnostic in found {
            self.report(diagnostic);
        }
    }
}

/// The values that both take.
fn both_keys(a: &[KeyPattern], b: &[KeyPattern]) -> Vec<KeyPattern> {
    let both = |(a, b): (&KeyPattern, &KeyPattern)| match (a, b) {
        (KeyPattern::Any, other) | (other, KeyPattern::Any) => other.clone(),
        (KeyPattern::OneOf(a), KeyPattern::OneOf(b)) => {
            let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
            KeyPattern::OneOf(pairs.filter(|(low, high)| low <= high).collect())
        }
    };
    a.iter().zip(b).map(both).collect()
}
