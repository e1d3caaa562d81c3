//! Patterns for values.

use oko_diagnostics::codes::{names, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast::{self, PatternKind};

use super::body::{BodyChecker, Place};
use super::compare::prefix_ranges;
use super::wide::rectangles;
use crate::hir::{Expr, ExprKind, Pattern};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Num, NumKind, Range, Ty};

impl BodyChecker<'_, '_, '_> {
    /// A pattern for values of type `ty`; its names come into scope.
    pub(super) fn pattern(&mut self, ast: &ast::Pattern, ty: &Ty) -> Option<Pattern> {
        self.pattern_in(ast, ty, true)
    }

    fn pattern_in(&mut self, ast: &ast::Pattern, ty: &Ty, may_bind: bool) -> Option<Pattern> {
        match (&ast.kind, ty) {
            (PatternKind::Any, _) => Some(Pattern::Any),
            (PatternKind::Error, _) => None,
            (PatternKind::Or(parts), _) => {
                let parts: Vec<_> = parts.iter().map(|part| self.pattern_in(part, ty, false)).collect();
                Some(Pattern::Or(parts.into_iter().collect::<Option<_>>()?))
            }
            (_, Ty::Error) => {
                self.bind_all(ast);
                None
            }
            (PatternKind::None, Ty::Option(_)) => Some(Pattern::None),
            (PatternKind::None, _) => {
                let found = self.describe(ty);
                self.report(
                    Diagnostic::error(types::NEVER_NONE, format!("a `{found}` is never `none`"))
                        .label(ast.span, "can never match"),
                );
                None
            }
            (_, Ty::Option(inner)) => Some(Pattern::Some(Box::new(self.pattern_in(ast, inner, may_bind)?))),
            (PatternKind::Bind(name), _) if may_bind => Some(Pattern::Bind(self.bind_used(name, ty.clone()))),
            (PatternKind::Bind(name), _) => {
                self.report(
                    Diagnostic::error(types::BAD_PATTERN, "no name can be given within alternatives")
                        .label(ast.span, format!("`{}` would only sometimes have a value", name.name))
                        .help("write an arm of its own, or `_`"),
                );
                self.bind_local(name, Ty::Error);
                None
            }
            (PatternKind::Bool(value), Ty::Bool) => Some(exactly(u64::from(*value))),
            (PatternKind::Literal(literal), _) => self.literal_pattern(ast, literal, ty),
            (PatternKind::Range { start, end }, Ty::Wide(_)) => {
                if start.value > end.value {
                    self.empty_pattern(ast.span);
                    return None;
                }
                let parts = rectangles(start.value, end.value);
                let parts: Vec<Pattern> = parts.into_iter().map(Pattern::Ranges).collect();
                Some(match <[Pattern; 1]>::try_from(parts) {
                    Ok([only]) => only,
                    Err(parts) => Pattern::Or(parts),
                })
            }
            (PatternKind::Range { start, end }, Ty::Num(Num { kind: NumKind::Int, .. }) | Ty::Seq) => {
                let (Ok(low), Ok(high)) = (u64::try_from(start.value), u64::try_from(end.value)) else {
                    self.report(
                        Diagnostic::error(types::OVERFLOW, "this number needs more than 64 bits")
                            .label(ast.span, format!("the greatest number is {}", u64::MAX)),
                    );
                    return None;
                };
                if low > high {
                    self.empty_pattern(ast.span);
                    return None;
                }
                let known = ty.num().map_or(Range::of_bits(32), |num| num.range);
                self.can_match(ast.span, Range::new(i128::from(low), i128::from(high)), known);
                Some(Pattern::Ranges(vec![(low, high)]))
            }
            (PatternKind::Path(path), _) => self.path_pattern(path, ty),
            (PatternKind::Tuple(parts), Ty::Tuple(types)) if parts.len() == types.len() => {
                let parts: Vec<_> =
                    parts.iter().zip(types).map(|(part, ty)| self.pattern_in(part, ty, may_bind)).collect();
                Some(Pattern::Tuple(parts.into_iter().collect::<Option<_>>()?))
            }
            (PatternKind::Parts { path, parts }, _) => {
                let pattern = self.struct_pattern(ast.span, path, parts, ty, may_bind);
                if pattern.is_none() {
                    self.bind_all(ast);
                }
                pattern
            }
            (PatternKind::Layers(_), _) => {
                self.report(
                    Diagnostic::error(types::BAD_PATTERN, "headers are matched in `match pkt` only")
                        .label(ast.span, "this is not a packet's arm"),
                );
                None
            }
            _ => {
                self.bind_all(ast);
                self.wrong_pattern(ast, ty)
            }
        }
    }

    fn empty_pattern(&mut self, span: Span) {
        self.report(
            Diagnostic::error(types::EMPTY, "this range is empty")
                .label(span, "no value lies in it")
                .help("write the smaller bound first"),
        );
    }

    /// Warns of a pattern for numbers that the value cannot be.
    fn can_match(&mut self, span: Span, pattern: Range, value: Range) {
        if pattern.meet(value).is_none() && !matches!(self.place, Place::Rule(_)) {
            self.report(
                Diagnostic::warning(types::UNREACHABLE_ARM, "this pattern can never match")
                    .label(span, format!("the value that is matched is in {value}")),
            );
        }
    }

    /// `Last(pause: 0s)`: the fields that are not named can be anything.
    fn struct_pattern(
        &mut self,
        whole: Span,
        path: &ast::Path,
        parts: &[ast::PatternPart],
        ty: &Ty,
        may_bind: bool,
    ) -> Option<Pattern> {
        let [name] = path.parts.as_slice() else {
            let found = self.describe(ty);
            self.report(
                Diagnostic::error(types::BAD_PATTERN, format!("this pattern is not for a `{found}`"))
                    .label(path.span, format!("the value that is matched is `{found}`")),
            );
            return None;
        };
        let id = match (self.def(&name.name), ty) {
            (Some((Def::Struct(named), _)), Ty::Struct(id)) if named == *id => *id,
            (Some((Def::Error, _)), _) => return None,
            _ => {
                let found = self.describe(ty);
                let diagnostic =
                    Diagnostic::error(types::BAD_PATTERN, format!("this pattern is not for a `{found}`"))
                        .label(path.span, format!("the value that is matched is `{found}`"));
                self.report(match parts {
                    [ast::PatternPart { name: None, pattern, .. }]
                        if is_some(path)
                            && let Some(value) = only_name(pattern) =>
                    {
                        let meant = format!("let {}", value.name);
                        diagnostic.suggest(
                            whole,
                            meant.clone(),
                            format!("write `{meant}`: it matches a value and names it, `none` its absence"),
                        )
                    }
                    _ if is_some(path) => {
                        diagnostic.help("`let x` matches a value and names it, `none` its absence")
                    }
                    _ => {
                        diagnostic.help("the name of a struct stands in front of the patterns of its fields")
                    }
                });
                return None;
            }
        };
        let def = &self.checker.program.structs[id.index()];
        let declared = def.span;
        let fields: Vec<(String, Ty)> =
            def.fields.iter().map(|field| (field.name.clone(), field.value_type())).collect();
        let mut patterns: Vec<Pattern> = fields.iter().map(|_| Pattern::Any).collect();
        let mut seen: Vec<&ast::Ident> = Vec::new();
        let mut failed = false;
        for part in parts {
            let Some(given) = &part.name else {
                self.report(
                    Diagnostic::error(
                        types::BAD_PATTERN,
                        format!("the fields of `{}` are given by name", name.name),
                    )
                    .label(part.span, "which field is this?")
                    .label(declared, "declared here")
                    .help(format!(
                        "write `{}({}: …)`",
                        name.name,
                        fields.first().map_or("", |(name, _)| name.as_str())
                    )),
                );
                return None;
            };
            let Some(at) = fields.iter().position(|(field, _)| *field == given.name) else {
                let known: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
                self.no_field(&format!("`{}`", name.name), declared, given, &known);
                return None;
            };
            if let Some(first) = seen.iter().find(|other| other.name == given.name) {
                self.report(
                    Diagnostic::error(names::DUPLICATE, format!("`{}` is given twice", given.name))
                        .label(given.span, "given again here")
                        .label(first.span, "first given here"),
                );
                failed = true;
            }
            seen.push(given);
            match self.pattern_in(&part.pattern, &fields[at].1, may_bind) {
                Some(pattern) => patterns[at] = pattern,
                None => failed = true,
            }
        }
        (!failed).then_some(Pattern::Tuple(patterns))
    }

    fn wrong_pattern(&mut self, ast: &ast::Pattern, ty: &Ty) -> Option<Pattern> {
        let found = self.describe(ty);
        self.report(
            Diagnostic::error(types::BAD_PATTERN, format!("this pattern is not for a `{found}`"))
                .label(ast.span, format!("the value that is matched is `{found}`")),
        );
        None
    }

    /// Brings the names of a pattern that was reported into scope.
    fn bind_all(&mut self, ast: &ast::Pattern) {
        match &ast.kind {
            PatternKind::Bind(name) => {
                self.bind_local(name, Ty::Error);
            }
            // The form of a header, perhaps, whose fields the arm names.
            PatternKind::Path(path) if path.parts.len() == 1 => {
                self.bind_local(&path.parts[0], Ty::Error);
            }
            PatternKind::Tuple(parts) | PatternKind::Or(parts) => {
                for part in parts {
                    self.bind_all(part);
                }
            }
            PatternKind::Parts { path, parts } => {
                for part in parts {
                    match only_name(&part.pattern).filter(|_| is_some(path)) {
                        Some(name) => _ = self.bind_local(name, Ty::Error),
                        None => self.bind_all(&part.pattern),
                    }
                }
            }
            _ => {}
        }
    }

    fn literal_pattern(&mut self, ast: &ast::Pattern, literal: &ast::Literal, ty: &Ty) -> Option<Pattern> {
        let value = self.literal(literal);
        if value.ty.is_error() {
            return None;
        }
        if let Some(ranges) = prefix_ranges(&value, ty) {
            return Some(Pattern::Ranges(ranges));
        }
        self.constant_pattern(ast.span, value, ty).or_else(|| self.wrong_pattern(ast, ty))
    }

    /// The pattern that matches one constant, if it is one for such values.
    fn constant_pattern(&mut self, span: Span, value: Expr, ty: &Ty) -> Option<Pattern> {
        let value = match ty {
            Ty::Wide(wide) => self.fit(value, &Ty::wide(wide.bits)).unwrap_or_else(|value| value),
            Ty::Addr => self.fit(value, ty).unwrap_or_else(|value| value),
            _ => value,
        };
        let goes = match (&value.ty, ty) {
            (Ty::Wide(_), Ty::Wide(_)) => true,
            (Ty::Num(a), Ty::Num(b)) => a.kind == b.kind,
            (Ty::Num(num), Ty::Seq) => num.is_seq(),
            (a, b) => a == b,
        };
        let ExprKind::Const(words) = value.kind else { return None };
        if !goes {
            return None;
        }
        if let (Ty::Num(found), Ty::Num(wanted)) = (&value.ty, ty) {
            self.can_match(span, found.range, wanted.range);
        }
        Some(Pattern::Ranges(words.into_iter().map(|word| (word, word)).collect()))
    }

    /// The name of a variant or constant.
    fn path_pattern(&mut self, path: &ast::Path, ty: &Ty) -> Option<Pattern> {
        let (owner, name) = match path.parts.as_slice() {
            [name] => (None, name),
            [owner, name] => (Some(owner), name),
            _ => (None, path.parts.last()?),
        };
        if let Some(owner) = owner {
            let named = match self.def(&owner.name) {
                Some((Def::Enum(id), _)) => Some(Ty::Enum(id)),
                Some((Def::Bits(id), _)) => Some(Ty::Bits(id)),
                _ => None,
            };
            if named.as_ref() != Some(ty) {
                let found = self.describe(ty);
                self.report(
                    Diagnostic::error(types::BAD_PATTERN, format!("this pattern is not for a `{found}`"))
                        .label(path.span, format!("the value that is matched is `{found}`")),
                );
                return None;
            }
        }
        if let Some(value) = self.variant_of(ty, &name.name) {
            return Some(exactly(value));
        }
        if owner.is_none()
            && let Some((Def::Const(at), _)) = self.def(&name.name)
        {
            let value = self.checker.const_value(at, path.span);
            if value.ty.is_error() {
                return None;
            }
            if let Some(ranges) = prefix_ranges(&value, ty) {
                return Some(Pattern::Ranges(ranges));
            }
            let found = self.describe(&value.ty);
            let pattern = self.constant_pattern(path.span, value, ty);
            if pattern.is_none() {
                let wanted = self.describe(ty);
                self.report(
                    Diagnostic::error(types::BAD_PATTERN, format!("this pattern is not for a `{wanted}`"))
                        .label(path.span, format!("this constant is `{found}`")),
                );
            }
            return pattern;
        }
        if owner.is_none() && matches!(self.def(&name.name), Some((Def::Error, _))) {
            return None;
        }
        let known: Vec<String> = self.variants(ty).iter().map(|(name, _)| name.clone()).collect();
        let found = self.describe(ty);
        let diagnostic = Diagnostic::error(names::UNKNOWN, format!("`{found}` has no value `{}`", name.name))
            .label(name.span, "not a value of what is matched");
        let names = known.is_empty() && path.parts.len() == 1;
        let diagnostic = match nearest(&name.name, known.iter().map(String::as_str)) {
            Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
            None if matches!(name.name.as_str(), "None" | "null" | "nil") => {
                diagnostic.suggest(name.span, "none", "Oko writes `none`")
            }
            None if matches!(name.name.as_str(), "default" | "otherwise" | "any" | "other") => {
                diagnostic.suggest(name.span, "_", "`_` matches all other values")
            }
            None if names => {
                let meant = format!("let {}", name.name);
                diagnostic.suggest(
                    name.span,
                    meant.clone(),
                    format!("write `{meant}`, which matches every value and names it"),
                )
            }
            None if known.is_empty() => diagnostic,
            None => diagnostic.note(format!(
                "it has {}",
                known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
            )),
        };
        self.report(diagnostic);
        if names {
            self.bind_local(name, Ty::Error);
        }
        None
    }
}

/// Whether this begins `Some(n)`, as other languages name a value that may be absent.
fn is_some(path: &ast::Path) -> bool {
    matches!(path.parts.as_slice(), [name] if matches!(name.name.as_str(), "Some" | "some"))
}

/// The name that a pattern is, if it is nothing else.
fn only_name(pattern: &ast::Pattern) -> Option<&ast::Ident> {
    match &pattern.kind {
        PatternKind::Path(path) if path.parts.len() == 1 => path.parts.first(),
        _ => None,
    }
}

fn exactly(value: u64) -> Pattern {
    Pattern::Ranges(vec![(value, value)])
}
