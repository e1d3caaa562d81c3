//! Patterns for values.

use oko_diagnostics::Diagnostic;
use oko_diagnostics::codes::{names, types, unsupported};
use oko_grammar::ast::{self, PatternKind};

use super::body::{BodyChecker, Place};
use super::compare::prefix_ranges;
use crate::hir::{Expr, ExprKind, Pattern};
use crate::resolve::{Def, not_yet};
use crate::suggest::nearest;
use crate::types::{NumKind, Ty};

impl BodyChecker<'_, '_, '_> {
    /// A pattern for values of type `ty`; its names come into scope.
    pub(super) fn pattern(&mut self, ast: &ast::Pattern, ty: &Ty) -> Option<Pattern> {
        self.pattern_in(ast, ty, true)
    }

    fn pattern_in(&mut self, ast: &ast::Pattern, ty: &Ty, may_bind: bool) -> Option<Pattern> {
        match (&ast.kind, ty) {
            (PatternKind::Any, _) => Some(Pattern::Any),
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
            (PatternKind::Bind(name), _) if may_bind => {
                Some(Pattern::Bind(self.bind_local(name, ty.clone())))
            }
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
            (PatternKind::Range { start, end }, Ty::Num(num)) if num.kind == NumKind::Int => {
                let (Ok(low), Ok(high)) = (u64::try_from(start.value), u64::try_from(end.value)) else {
                    self.report(
                        Diagnostic::error(types::OVERFLOW, "this number needs more than 64 bits")
                            .label(ast.span, format!("the greatest number is {}", u64::MAX)),
                    );
                    return None;
                };
                if low > high {
                    self.report(
                        Diagnostic::error(types::EMPTY, "this range is empty")
                            .label(ast.span, "no value lies in it")
                            .help("write the smaller bound first"),
                    );
                    return None;
                }
                Some(Pattern::Ranges(vec![(low, high)]))
            }
            (PatternKind::Path(path), _) => self.path_pattern(path, ty),
            (PatternKind::Tuple(parts), Ty::Tuple(types)) if parts.len() == types.len() => {
                let parts: Vec<_> =
                    parts.iter().zip(types).map(|(part, ty)| self.pattern_in(part, ty, may_bind)).collect();
                Some(Pattern::Tuple(parts.into_iter().collect::<Option<_>>()?))
            }
            (PatternKind::Parts { .. }, _) => {
                self.report(not_yet(
                    unsupported::VARIANT_PATTERN,
                    "patterns with parts in round brackets",
                    ast.span,
                ));
                self.bind_all(ast);
                None
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
            PatternKind::Tuple(parts) | PatternKind::Or(parts) => {
                for part in parts {
                    self.bind_all(part);
                }
            }
            PatternKind::Parts { parts, .. } => {
                for part in parts {
                    self.bind_all(&part.pattern);
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
    fn constant_pattern(&mut self, span: oko_diagnostics::Span, value: Expr, ty: &Ty) -> Option<Pattern> {
        let goes = match (&value.ty, ty) {
            (Ty::Num(a), Ty::Num(b)) => a.kind == b.kind,
            (a, b) => a == b,
        };
        let ExprKind::Const(words) = value.kind else { return None };
        if !goes {
            return None;
        }
        if let (Ty::Num(found), Ty::Num(wanted)) = (&value.ty, ty)
            && found.range.meet(wanted.range).is_none()
            && !matches!(self.place, Place::Rule(_))
        {
            let wanted = wanted.range;
            self.report(
                Diagnostic::warning(types::UNREACHABLE_ARM, "this pattern can never match")
                    .label(span, format!("the value that is matched is in {wanted}")),
            );
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
        self.report(match nearest(&name.name, known.iter().map(String::as_str)) {
            Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
            None if known.is_empty() => {
                diagnostic.help(format!("`let {}` matches every value and names it", name.name))
            }
            None => diagnostic.note(format!(
                "it has {}",
                known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
            )),
        });
        None
    }
}

fn exactly(value: u64) -> Pattern {
    Pattern::Ranges(vec![(value, value)])
}
