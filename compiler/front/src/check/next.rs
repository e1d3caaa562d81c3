//! What follows a header: the lines of its own `next by`, and those that `extend` adds to it from elsewhere.
//!
//! What holds in the order of lines, of which the first that fits decides:
//! - Each of them decides for some packet, all others in front of it considered.
//! - A header's own lines stand in front of those of extensions. So an extension decides only where the header leaves open what follows,
//!   and closes no circle among headers that were in none together: whatever headers a program finds without an extension, it finds with it, where they
//!   were. Lines marked `#[first]` stand in front of the header's own; they are the one way to change what is found.
//!   Where one leaves nothing to a line of the header, and an arm asks for that, it is told of (`replaced`).
//! - No two lines of extensions in different files that lead to different headers decide for the same packets, so it does not matter in
//!   which order files are read.

use std::collections::BTreeMap;

use oko_diagnostics::codes::{names, packets, results};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, PatternKind};

use super::Checker;
use super::body::{BodyChecker, Place};
use super::exhaustive::covered;
use crate::hir::{HeaderId, KeyPattern, Next, NextArm, Pattern};
use crate::packets::circles::{self, Change};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Range, Ty};

/// The most lines that say what follows a header.
const MAX_LINES: usize = 256;

/// What is marked on a line.
#[derive(Clone, Copy, Default)]
struct Marks {
    tunnel: bool,
    first: bool,
}

/// A line of an extension.
struct Line {
    /// The file that it stands in.
    module: usize,
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

impl Checker<'_, '_> {
    /// The `next by` of a header.
    pub(super) fn next(&mut self, module: usize, id: HeaderId, next: &ast::Next) -> Option<Next> {
        let by = self.selector(id, &next.by);
        let mut arms = Vec::new();
        for arm in &next.arms {
            let Some(header) = self.next_header(module, &arm.header) else { continue };
            let Marks { tunnel, .. } = self.line_marks(arm, false);
            let span = arm.pattern.span.to(arm.header.span);
            let line = |keys| NextArm { keys, header, tunnel, extends: false, span };
            match by.as_ref().and_then(|by| self.next_keys(module, id, by, &arm.pattern)) {
                Some(found) => arms.extend(found.into_iter().map(line)),
                None => self.broken_lines.push((id, line(Vec::new()))),
            }
        }
        let by = by?;
        self.not_too_many(id, arms.len(), next.span);
        for at in 0..arms.len().min(MAX_LINES) {
            if let Some(taken) = self.taken(id, &by, &arms[at], &arms[..at]) {
                let diagnostic = Diagnostic::error(packets::NEVER_DECIDES, "this line never decides")
                    .label(arms[at].span, "no packet is left for it")
                    .label(taken, "taken here")
                    .help("the first line that fits counts: remove this one, or put it in front");
                self.report(diagnostic);
            }
        }
        Some(Next { by, arms })
    }

    /// The fields that a `next by` names, each of them once; `None` where something was reported.
    fn selector(&mut self, id: HeaderId, by: &ast::Expr) -> Option<Vec<usize>> {
        let fields: Vec<&ast::Expr> = match &by.kind {
            ast::ExprKind::Tuple(parts) => parts.iter().collect(),
            ast::ExprKind::Paren(inner) => vec![inner],
            _ => vec![by],
        };
        let found: Vec<Option<usize>> = fields.iter().map(|field| self.next_field(id, field)).collect();
        let found: Vec<usize> = found.into_iter().collect::<Option<_>>()?;
        let before = |at: usize| found[..at].iter().position(|field| *field == found[at]);
        let Some((first, second)) = (0..found.len()).find_map(|at| Some((before(at)?, at))) else {
            return Some(found);
        };
        let name = &self.program.headers[id.index()].fields[found[first]].name;
        let diagnostic = Diagnostic::error(names::DUPLICATE, format!("`{name}` is named twice"))
            .label(fields[second].span, "named again here")
            .label(fields[first].span, "first named here")
            .help("a field has one value: name another one, or leave it out here and in each line");
        self.report(diagnostic);
        None
    }

    /// What a line is marked with.
    fn line_marks(&mut self, arm: &ast::NextArm, extends: bool) -> Marks {
        let mut marks = Marks::default();
        for attribute in &arm.attributes {
            let name = &attribute.name.name;
            if name == "tunnel" && attribute.args.is_empty() {
                marks.tunnel = true;
            } else if name == "first" && attribute.args.is_empty() && extends {
                marks.first = true;
            } else {
                let help = match name.as_str() {
                    "first" if !extends => {
                        "the lines of a header are looked at in order: put this one in front"
                    }
                    _ if extends => {
                        "`#[tunnel]` says that a packet within the packet follows, `#[first]` that the line is looked at in front of the header's own"
                    }
                    _ => "`#[tunnel]` says that a packet within the packet follows",
                };
                self.report(
                    Diagnostic::error(
                        names::UNKNOWN_ATTRIBUTE,
                        format!("there is no attribute `{name}` for this"),
                    )
                    .label(attribute.span, "means nothing here")
                    .help(help),
                );
            }
        }
        marks
    }

    /// Reports more lines than a header can have.
    fn not_too_many(&mut self, id: HeaderId, count: usize, span: Span) {
        if count > MAX_LINES {
            let name = &self.program.headers[id.index()].name;
            let diagnostic = Diagnostic::error(
                results::TOO_MANY,
                format!("at most {MAX_LINES} lines say what follows `{name}`"),
            )
            .label(span, format!("there are {count}"));
            self.report(diagnostic);
        }
    }

    /// Where the packets of a line are taken, if lines before it leave none to it: by one of them, if there is one that takes all.
    pub(super) fn taken(
        &self,
        id: HeaderId,
        by: &[usize],
        line: &NextArm,
        before: &[NextArm],
    ) -> Option<Span> {
        let fields = &self.program.headers[id.index()].fields;
        let ty = Ty::Tuple(by.iter().map(|field| fields[*field].ty.clone()).collect());
        let near: Vec<&NextArm> = before.iter().filter(|other| other.overlaps(line)).collect();
        let patterns: Vec<Pattern> = near.iter().map(|other| key_pattern(&other.keys)).collect();
        let own = key_pattern(&line.keys);
        let all: Vec<&Pattern> = patterns.iter().collect();
        if near.is_empty() || !covered(&own, &all, &ty, &self.program) {
            return None;
        }
        let alone = all.iter().position(|one| covered(&own, &[*one], &ty, &self.program));
        near.get(alone.unwrap_or(0)).map(|other| other.span)
    }

    /// What `extend` adds to headers, and whether the parse graph stays what it was where it said something.
    pub(super) fn extensions(&mut self) {
        let mut added: BTreeMap<HeaderId, Vec<Line>> = BTreeMap::new();
        for at in 0..self.decls.extends.len() {
            let source = &self.decls.extends[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            self.no_attributes(item);
            let lines: Vec<_> = (ast.next.arms.iter())
                .map(|arm| (arm, self.next_header(module, &arm.header), self.line_marks(arm, true)))
                .collect();
            for path in &ast.headers {
                for id in self.extended(module, path) {
                    let by = self.selector(id, &ast.next.by);
                    let enough = by.as_ref().is_some_and(|by| self.asks_enough(id, by, &ast.next));
                    for &(arm, header, marks) in &lines {
                        let by = by.as_deref().unwrap_or_default();
                        let keys =
                            if by.is_empty() { None } else { self.next_keys(module, id, by, &arm.pattern) };
                        let (Some(header), Marks { tunnel, first }) = (header, marks) else { continue };
                        let span = arm.pattern.span.to(arm.header.span);
                        let line = |keys| Line { module, first, keys, header, tunnel, span };
                        match keys.filter(|_| enough) {
                            Some(keys) => added.entry(id).or_default().extend(
                                keys.into_iter().map(|keys| line(by.iter().copied().zip(keys).collect())),
                            ),
                            None => self.broken_lines.push((id, line(Vec::new()).arm(&[]))),
                        }
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
    fn extend_header(&mut self, id: HeaderId, lines: &[Line]) {
        let own = self.program.headers[id.index()].next.take();
        let Next { mut by, mut arms } = own.unwrap_or_default();
        for (field, _) in lines.iter().flat_map(|line| &line.keys) {
            if !by.contains(field) {
                by.push(*field);
            }
        }
        for arm in &mut arms {
            arm.keys.resize(by.len(), KeyPattern::Any);
        }
        let (first, last): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.first);
        let own = arms.len();
        let arms: Vec<NextArm> = (first.iter().map(|line| line.arm(&by)))
            .chain(arms)
            .chain(last.iter().map(|line| line.arm(&by)))
            .collect();
        if let Some(line) = lines.last() {
            self.not_too_many(id, arms.len(), line.span);
        }
        // The files that the lines stand in; none for the header's own.
        let files: Vec<Option<usize>> = (first.iter().map(|line| Some(line.module)))
            .chain((0..own).map(|_| None))
            .chain(last.iter().map(|line| Some(line.module)))
            .collect();
        let own = first.len()..first.len() + own;
        for at in 0..arms.len().min(MAX_LINES) {
            let Some(file) = files[at] else { continue };
            let (line, before) = (&arms[at], &arms[..at]);
            if let Some((other, between)) = self.contradiction(id, &by, at, &arms, &files, &own) {
                let name = &self.program.headers[id.index()].name;
                let follows = |arm: &NextArm| {
                    format!("`{}` follows here", self.program.headers[arm.header.index()].name)
                };
                let diagnostic = Diagnostic::error(
                    packets::CONTRADICTION,
                    format!("two files say what follows `{name}` in the same packets"),
                )
                .label(line.span, follows(line))
                .label(arms[other].span, follows(&arms[other]))
                .note(between)
                .help("remove one of them, or write both in one file: there the first that fits counts");
                self.report(diagnostic);
            } else if let Some(taken) = self.taken(id, &by, line, before) {
                let name = &self.program.headers[id.index()].name;
                let diagnostic = Diagnostic::error(packets::NEVER_DECIDES, "this line never decides")
                    .label(line.span, "no packet is left for it");
                let same_file =
                    before.iter().zip(&files).any(|(arm, of)| arm.span == taken && *of == Some(file));
                self.report(if arms[own.clone()].iter().any(|arm| arm.span == taken) {
                    diagnostic.label(taken, format!("`{name}` itself says what follows")).help(
                        "write `#[first]` in front of the line to have it looked at before the header's own",
                    )
                } else if same_file {
                    diagnostic
                        .label(taken, "taken here")
                        .help("the first line that fits counts: remove this one, or put it in front")
                } else {
                    diagnostic.label(taken, "taken here").help("remove one of them")
                });
            }
        }
        self.program.headers[id.index()].next = Some(Next { by, arms });
    }

    /// A line in front of the one at `at` that stands in another file, leads elsewhere and decides for some of the same packets, and such packets in words.
    fn contradiction(
        &self,
        id: HeaderId,
        by: &[usize],
        at: usize,
        arms: &[NextArm],
        files: &[Option<usize>],
        own: &std::ops::Range<usize>,
    ) -> Option<(usize, String)> {
        let line = &arms[at];
        let start = if at < own.start { 0 } else { own.end };
        (start..at).find_map(|other| {
            let before = &arms[other];
            let elsewhere = (before.header, before.tunnel) != (line.header, line.tunnel);
            if files[other] == files[at] || !elsewhere || !before.overlaps(line) {
                return None;
            }
            let both = NextArm { keys: both_keys(&before.keys, &line.keys), ..line.clone() };
            // The header's own lines may take all of them.
            if self.taken(id, by, &both, &arms[..start]).is_some() {
                return None;
            }
            Some((other, self.in_words(id, by, &both.keys)))
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

    fn next_field(&mut self, id: HeaderId, field: &ast::Expr) -> Option<usize> {
        let header = &self.program.headers[id.index()];
        let diagnostic = match &field.kind {
            ast::ExprKind::Error => return None,
            ast::ExprKind::Name(name) => {
                let found = header.fields.iter().position(|known| known.name == name.name);
                match found.map(|at| (at, &header.fields[at].ty)) {
                    Some((at, Ty::Num(_) | Ty::Bool)) => return Some(at),
                    Some((at, _)) => {
                        Diagnostic::error(packets::BAD_NEXT, "what follows is decided by integers")
                            .label(field.span, "this is no integer")
                            .label(header.fields[at].span, "declared here")
                    }
                    None => {
                        let known = header.fields.iter().map(|field| field.name.as_str());
                        let diagnostic = Diagnostic::error(
                            names::UNKNOWN_FIELD,
                            format!("the header `{}` has no `{}`", header.name, name.name),
                        )
                        .label(name.span, "no field of this header");
                        match nearest(&name.name, known) {
                            Some(near) => {
                                diagnostic.suggest(name.span, near, format!("did you mean `{near}`?"))
                            }
                            None => diagnostic,
                        }
                    }
                }
            }
            _ => Diagnostic::error(packets::BAD_NEXT, "what follows is decided by fields")
                .label(field.span, "the name of a field of this header is expected here"),
        };
        self.report(diagnostic);
        None
    }

    fn next_header(&mut self, module: usize, path: &ast::Path) -> Option<HeaderId> {
        if let Some((Def::Header(id), declared)) = self.decls.scopes[module].get(&path.to_string())
            && matches!(self.decls.headers[id.index()].ast.body, ast::HeaderBody::Tagged { .. })
        {
            self.report(
                Diagnostic::error(packets::BAD_NEXT, "a header with forms stands in a region")
                    .label(path.span, "cannot follow another header")
                    .label(declared, "named here")
                    .help(format!("declare a region of such headers: `[{path} in …]`")),
            );
            return None;
        }
        let spelled = path.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(".");
        self.header_named(module, &spelled, path.span)
    }

    /// The values of the deciding fields that a line is for; several where it has alternatives. `None` where something was reported.
    fn next_keys(
        &mut self,
        module: usize,
        id: HeaderId,
        by: &[usize],
        pattern: &ast::Pattern,
    ) -> Option<Vec<Vec<KeyPattern>>> {
        let alternatives = match &pattern.kind {
            PatternKind::Or(parts) if by.len() > 1 => parts.as_slice(),
            _ => std::slice::from_ref(pattern),
        };
        let found: Vec<_> = alternatives.iter().map(|one| self.keys_of(module, id, by, one)).collect();
        found.into_iter().collect()
    }

    fn keys_of(
        &mut self,
        module: usize,
        id: HeaderId,
        by: &[usize],
        pattern: &ast::Pattern,
    ) -> Option<Vec<KeyPattern>> {
        let parts: Vec<&ast::Pattern> = match &pattern.kind {
            PatternKind::Tuple(parts) => parts.iter().collect(),
            PatternKind::Any => return Some(vec![KeyPattern::Any; by.len()]),
            _ => vec![pattern],
        };
        if parts.len() != by.len() {
            self.report(
                Diagnostic::error(packets::BAD_NEXT, "a pattern needs one value for each field")
                    .label(pattern.span, format!("{} given, {} needed", parts.len(), by.len())),
            );
            return None;
        }
        parts.into_iter().zip(by).map(|(part, field)| self.next_key(module, id, *field, part)).collect()
    }

    /// The values of a field that a pattern takes.
    pub(super) fn next_key(
        &mut self,
        module: usize,
        id: HeaderId,
        field: usize,
        pattern: &ast::Pattern,
    ) -> Option<KeyPattern> {
        let ty = self.program.headers[id.index()].fields[field].ty.clone();
        let mut body = BodyChecker::new(self, module, Place::Rule(id));
        let checked = body.pattern(pattern, &ty)?;
        let declared = self.program.headers[id.index()].fields[field].span;
        let mut ranges = Vec::new();
        if !key_ranges(&checked, &mut ranges) {
            return match checked {
                Pattern::Any => Some(KeyPattern::Any),
                _ => {
                    self.report(
                        Diagnostic::error(packets::BAD_NEXT, "only numbers decide what follows")
                            .label(pattern.span, "a number, a range or `_` is expected here"),
                    );
                    None
                }
            };
        }
        if let Ty::Num(num) = &ty
            && let Some((low, _)) = ranges
                .iter()
                .find(|(low, high)| num.range.meet(Range::new(i128::from(*low), i128::from(*high))).is_none())
        {
            let range = num.range;
            self.report(
                Diagnostic::error(packets::BAD_NEXT, format!("the field can never be {low}"))
                    .label(pattern.span, "never matches")
                    .label(declared, format!("this is in {range}")),
            );
            return None;
        }
        Some(KeyPattern::OneOf(ranges))
    }
}

/// The values of deciding fields as a pattern of a tuple.
fn key_pattern(keys: &[KeyPattern]) -> Pattern {
    let of = |key: &KeyPattern| match key {
        KeyPattern::Any => Pattern::Any,
        KeyPattern::OneOf(ranges) => {
            Pattern::Or(ranges.iter().map(|range| Pattern::Ranges(vec![*range])).collect())
        }
    };
    Pattern::Tuple(keys.iter().map(of).collect())
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

/// The ranges of a pattern for one number; `false` if it is not one.
fn key_ranges(pattern: &Pattern, ranges: &mut Vec<(u64, u64)>) -> bool {
    match pattern {
        Pattern::Ranges(words) if words.len() == 1 => {
            ranges.push(words[0]);
            true
        }
        Pattern::Or(parts) => parts.iter().all(|part| key_ranges(part, ranges)),
        _ => false,
    }
}
