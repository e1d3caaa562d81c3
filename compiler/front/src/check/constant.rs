//! Values that are known before packets come: constants, and whatever else is computed while a program is compiled.
//!
//! Operators on numbers are folded where they are checked. The rest, such as calls of functions, is lowered to IR and run on the checking
//! interpreter, so that a constant is what a filter would have computed.

use oko_diagnostics::codes::{results, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{BodyChecker, Place};
use super::decl::MAX_CHAIN;
use super::walk::walk;
use super::wide::from_words;
use super::{Checker, Constant};
use crate::hir::{Expr, ExprKind};
use crate::lower::Unknown;
use crate::types::{Num, Range, Ty, Wide, WideRange};

/// The most steps that all constants of a program together take to compute.
pub(super) const MAX_STEPS: u64 = 1 << 22;

impl Checker<'_, '_> {
    /// The value of every constant, so that errors in unused ones are reported too.
    pub(super) fn all_consts(&mut self) {
        for at in 0..self.consts.len() {
            let item = self.decls.consts[at].item;
            self.no_attributes(item);
            self.const_value(at, self.decls.consts[at].ast.name.span);
        }
    }

    /// The value of a constant, asked for at `span`.
    pub(super) fn const_value(&mut self, at: usize, span: Span) -> Expr {
        match &self.consts[at] {
            Constant::Known(value) => return Expr { span, ..value.clone() },
            Constant::Open => {
                let ast = self.decls.consts[at].ast;
                self.report(
                    Diagnostic::error(
                        types::CIRCLE,
                        format!("the constant `{}` is defined by itself", ast.name.name),
                    )
                    .label(span, "its value is needed here")
                    .label(ast.name.span, "to compute this constant"),
                );
                return Expr::error(span);
            }
            Constant::Unseen => {}
        }
        let (module, ast) = (self.decls.consts[at].module, self.decls.consts[at].ast);
        if self.depth >= MAX_CHAIN {
            self.report(
                Diagnostic::error(types::CIRCLE, "a long chain of constants needs one another")
                    .label(span, format!("the chain is longer than {MAX_CHAIN} here"))
                    .help("declare the constants in the order in which they are needed"),
            );
            return Expr::error(span);
        }
        self.depth += 1;
        self.consts[at] = Constant::Open;
        let value = self.aloud(|checker| {
            let ty = checker.const_type(module, &ast.ty);
            let what = format!("the constant `{}`", ast.name.name);
            checker.constant(module, &ast.value, &ty, &what, ast.ty.span)
        });
        self.depth -= 1;
        let value = value.unwrap_or_else(|| Expr::error(ast.value.span));
        self.consts[at] = Constant::Known(value.clone());
        Expr { span, ..value }
    }

    /// A constant value of a given type. `what` needs it, its type was declared at `because`.
    pub(super) fn constant(
        &mut self,
        module: usize,
        ast: &ast::Expr,
        ty: &Ty,
        what: &str,
        because: Span,
    ) -> Option<Expr> {
        let mut body = BodyChecker::new(self, module, Place::Constant);
        let value = body.expect(ast, ty, because);
        if value.ty.is_error() || ty.is_error() || value.ty == Ty::Never {
            return None;
        }
        let locals = body.locals.len();
        self.known(value, locals, what)
    }

    /// The value of an expression that depends on nothing, with so many names in it: what needs it, `what`, and says so if it cannot be computed.
    fn known(&mut self, value: Expr, locals: usize, what: &str) -> Option<Expr> {
        if matches!(value.kind, ExprKind::Const(_)) {
            return Some(value);
        }
        let mut failed = false;
        walk(&value, &mut |part| failed |= matches!(part.kind, ExprKind::Error));
        if failed {
            return None;
        }
        let span = value.span;
        match crate::lower::evaluate(&self.program, &value, locals, &mut self.left) {
            Ok(words) => Some(Expr { ty: exactly(value.ty, &words), kind: ExprKind::Const(words), span }),
            Err(Unknown::Defect(why)) => {
                self.report(
                    Diagnostic::error(
                        results::TOO_LARGE,
                        format!("{what} could not be computed, by a defect of the compiler"),
                    )
                    .label(span, "nothing that the program says is wrong here")
                    .note(format!("please report it with the program: {why}")),
                );
                None
            }
            Err(Unknown::Size) => {
                self.report(
                    Diagnostic::error(results::TOO_LARGE, format!("{what} is too much to compute"))
                        .label(span, "more code than a filter may have")
                        .help("call fewer functions from within one another"),
                );
                None
            }
            Err(Unknown::Steps) if self.left == 0 => None,
            Err(Unknown::Steps) => {
                // Said once: what comes behind would not have taken too long alone. It is not said yet where messages are thrown away.
                if self.quiet == 0 {
                    self.left = 0;
                }
                self.report(
                    Diagnostic::error(results::TOO_LARGE, format!("{what} takes too long to compute"))
                        .label(
                            span,
                            format!("more than {MAX_STEPS} steps, together with the constants before"),
                        )
                        .help("loops of fewer turns need fewer steps"),
                );
                None
            }
        }
    }

    /// The value of a call in a constant, if its arguments are known: what follows has the exact range then.
    pub(super) fn known_call(&mut self, call: Expr, args_known: bool) -> Expr {
        if !args_known {
            return call;
        }
        let span = call.span;
        self.known(call, 0, "this call").unwrap_or_else(|| Expr::error(span))
    }

    /// A range of constants of the given type.
    pub(super) fn constant_range(
        &mut self,
        module: usize,
        range: &ast::Range,
        ty: &Ty,
        because: Span,
    ) -> Option<Range> {
        let start = self.constant(module, &range.start, ty, "a range", because);
        let end = self.constant(module, &range.end, ty, "a range", because);
        let (min, max) = (i128::from(start?.constant()?), i128::from(end?.constant()?));
        let max = if range.inclusive { max } else { max - 1 };
        if min > max {
            self.report(
                Diagnostic::error(types::EMPTY, "this range is empty")
                    .label(range.span, "no value lies in it")
                    .help("write the smaller bound first; `..=` includes the upper bound, `..` does not"),
            );
            return None;
        }
        Some(Range { min, max })
    }
}

/// The type of a value that is known: a number has the only range that it can have.
fn exactly(ty: Ty, words: &[u64]) -> Ty {
    match (ty, words) {
        (Ty::Num(num), [word]) => {
            let value = if num.range.min < 0 { i128::from(*word as i64) } else { i128::from(*word) };
            Ty::Num(Num { range: Range::one(value), ..num })
        }
        (Ty::Wide(wide), words @ [_, _]) => {
            Ty::Wide(Wide { range: WideRange::one(from_words(words)), ..wide })
        }
        (ty, _) => ty,
    }
}
