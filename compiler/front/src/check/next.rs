//! What follows a header by its own `next by`, and how the lines of one are read; `extend` adds lines to it from elsewhere.
//!
//! The first line that fits decides. Each decides for some packet, all others in front of it considered.

use oko_diagnostics::codes::{names, packets, results};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, PatternKind};

use super::Checker;
use super::body::{BodyChecker, Place};
use super::exhaustive::covered;
use crate::hir::{HeaderId, KeyPattern, Next, NextArm, Pattern};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Range, Ty};

/// The most lines that say what follows a header.
pub(super) const MAX_LINES: usize = 256;

/// What to do about lines of one file that take each other's packets.
pub(super) const FIRST_COUNTS: &str = "the first line that fits counts: remove this one, or put it in front";

/// What is marked on a line.
#[derive(Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) tunnel: bool,
    /// Whether a line of an extension is looked at in front of the header's own.
    pub(super) first: bool,
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
                self.report(never_decides(arms[at].span).label(taken, "taken here").help(FIRST_COUNTS));
            }
        }
        Some(Next { by, arms })
    }

    /// The fields that a `next by` names, each of them once; `None` where something was reported.
    pub(super) fn selector(&mut self, id: HeaderId, by: &ast::Expr) -> Option<Vec<usize>> {
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
    pub(super) fn line_marks(&mut self, arm: &ast::NextArm, extends: bool) -> Marks {
        let mut marks = Marks::default();
        for attribute in &arm.attributes {
            let name = &attribute.name.name;
            if name == "tunnel" && attribute.args.is_empty() {
                marks.tunnel = true;
            } else if name == "first" && attribute.args.is_empty() && extends {
                marks.first = true;
            } else {
                let help = match (name.as_str(), extends) {
                    ("first", false) => "the lines of a header are looked at in order: put this one in front",
                    (_, false) => "`#[tunnel]` says that a packet within the packet follows",
                    (_, true) => {
                        "`#[tunnel]` says that a packet within the packet follows, `#[first]` that the line is looked at in front of the header's own"
                    }
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
    pub(super) fn not_too_many(&mut self, id: HeaderId, count: usize, span: Span) {
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

    pub(super) fn next_header(&mut self, module: usize, path: &ast::Path) -> Option<HeaderId> {
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
    pub(super) fn next_keys(
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

/// That no packet is left for a line, without where they are taken.
pub(super) fn never_decides(line: Span) -> Diagnostic {
    Diagnostic::error(packets::NEVER_DECIDES, "this line never decides")
        .label(line, "no packet is left for it")
}

/// The values of deciding fields as a pattern of a tuple.
pub(super) fn key_pattern(keys: &[KeyPattern]) -> Pattern {
    let of = |key: &KeyPattern| match key {
        KeyPattern::Any => Pattern::Any,
        KeyPattern::OneOf(ranges) => {
            Pattern::Or(ranges.iter().map(|range| Pattern::Ranges(vec![*range])).collect())
        }
    };
    Pattern::Tuple(keys.iter().map(of).collect())
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
