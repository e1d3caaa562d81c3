//! One body: its names in scope, its facts, and what may stand in it.

use oko_diagnostics::codes::{results, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use super::coerce::fits;
use super::facts::Facts;
use super::loops::LoopScope;
use super::names::Names;
use crate::hir::{Expr, ExprKind, FnId, HeaderId, Layer, LayerId, Local, LocalId, Stmt, StructId};
use crate::types::Ty;

/// What kind of body an expression stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The value of a constant, the capacity of a state and their like.
    Constant,
    /// A setting of a state that may change with params.
    Setting,
    /// The rule of a header, over its fields so far.
    Rule(HeaderId),
    /// A function.
    Function(FnId),
    /// A struct that is computed from headers.
    Computed(StructId),
    /// A filter.
    Filter,
    /// A test: as in a filter, but state is only read and there is no packet.
    Test,
}

/// What a name in a body stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binding {
    /// A value.
    Local(LocalId),
    /// A header that an arm found.
    Layer(LayerId),
    /// A header that only some alternatives of an arm have; here is one that has not.
    Sometimes(Span),
    /// A packet of a test.
    Packet(crate::plan::PacketId),
}

/// The check of one body.
pub(super) struct BodyChecker<'c, 'a, 's> {
    pub(super) checker: &'c mut Checker<'a, 's>,
    pub(super) module: usize,
    pub(super) place: Place,
    /// The answer's type and where it was declared; `None` where nothing can be returned.
    pub(super) result: Option<(Ty, Span)>,
    pub(super) locals: Vec<Local>,
    pub(super) layers: Vec<Layer>,
    /// The names in scope, the innermost last.
    pub(super) names: Names,
    pub(super) facts: Facts,
    /// The `update` whose value is being computed, if any.
    pub(super) locked: Option<Span>,
    /// Which places in state named values were computed from.
    pub(super) origins: Vec<(LocalId, super::stale::Origin)>,
    /// The loops around the place that is being checked, the innermost last.
    pub(super) loops: Vec<LoopScope>,
    /// The functions that are called, and where.
    pub(super) callees: Vec<(FnId, Span)>,
    /// What the check of a test gathers; `None` elsewhere.
    pub(super) test: Option<Box<super::test::TestBody>>,
}

impl<'c, 'a, 's> BodyChecker<'c, 'a, 's> {
    pub(super) fn new(checker: &'c mut Checker<'a, 's>, module: usize, place: Place) -> Self {
        BodyChecker {
            checker,
            module,
            place,
            result: None,
            locals: Vec::new(),
            layers: Vec::new(),
            names: Names::default(),
            facts: if place == Place::Test { Facts::of_test() } else { Facts::default() },
            locked: None,
            origins: Vec::new(),
            loops: Vec::new(),
            callees: Vec::new(),
            test: None,
        }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.checker.report(diagnostic);
    }

    /// How a type is called in messages.
    pub(super) fn describe(&self, ty: &Ty) -> String {
        ty.describe(&self.checker.program)
    }

    /// Brings a named value into scope.
    pub(super) fn bind_local(&mut self, name: &ast::Ident, ty: Ty) -> LocalId {
        let id = LocalId::from_index(self.locals.len());
        self.locals.push(Local { name: name.name.clone(), span: name.span, ty });
        self.names.push((name.name.clone(), Binding::Local(id)));
        self.facts.undefine(id);
        id
    }

    /// A value that has no name in the source.
    pub(super) fn hidden_local(&mut self, span: Span, ty: Ty) -> LocalId {
        let id = LocalId::from_index(self.locals.len());
        self.locals.push(Local { name: String::new(), span, ty });
        self.facts.undefine(id);
        id
    }

    /// Learns what the rules of a layer's header say about several of its fields.
    pub(super) fn learn_rules(&mut self, layer: LayerId) {
        let [header] = self.layers[layer.index()].headers.as_slice() else { return };
        for rule in &self.checker.program.headers[header.index()].rules {
            self.facts.learn_rule(&rule.condition, layer);
        }
    }

    /// Brings a named value into scope that ought to be used.
    pub(super) fn bind_used(&mut self, name: &ast::Ident, ty: Ty) -> LocalId {
        if self.checker.quiet == 0 && !ty.is_error() {
            self.checker.bindings.entry(name.span).or_insert_with(|| (name.name.clone(), false));
        }
        self.bind_local(name, ty)
    }

    /// Runs a step in a scope of its own: its names and facts end with it.
    pub(super) fn scoped<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> T {
        let (names, facts) = (self.names.len(), self.facts.mark());
        let result = step(self);
        self.names.truncate(names);
        self.facts.reset(facts);
        result
    }

    /// The value of a whole body, which must have the type `ty`, declared at `because`.
    pub(super) fn block_of(&mut self, block: &ast::Block, ty: &Ty, because: Span) -> Expr {
        let value = self.block(block, Some(ty));
        if value.ty == Ty::Unit {
            self.no_answer(block, &value, ty, because);
            return Expr::error(value.span);
        }
        self.coerce(value, ty, because)
    }

    /// Reports a body that ends without a value; `checked` is what it was found to be.
    fn no_answer(&mut self, block: &ast::Block, checked: &Expr, ty: &Ty, because: Span) {
        if !self.checker.decls.whole[self.module] {
            // The answer may be what could not be read.
            return;
        }
        let end = Span { start: block.span.end.saturating_sub(1), ..block.span };
        let at = block.value.as_ref().map_or(end, |value| value.span);
        let diagnostic = Diagnostic::error(results::NO_ANSWER, "this body can end without a value")
            .label(at, "nothing is answered here")
            .label(because, "a value of this type is needed");
        let last = block.stmts.last().filter(|_| block.value.is_none());
        let last_value = match &checked.kind {
            ExprKind::Block(stmts, _) => stmts.last(),
            _ => None,
        };
        let fitting =
            matches!(last_value, Some(Stmt::Expr(value)) if value.ty != Ty::Unit && fits(&value.ty, ty));
        self.report(match (block.value.as_deref().map(|value| &value.kind), last.map(|last| &last.kind)) {
            (Some(ast::ExprKind::If { otherwise: None, .. }), _) => {
                diagnostic.help("say what holds otherwise: `if … { … } else { … }`")
            }
            (None, Some(ast::StmtKind::Expr(value)))
                if fitting && value.span.end < last.map_or(0, |last| last.span.end) =>
            {
                let sign =
                    Span { start: value.span.end, end: last.map_or(0, |last| last.span.end), ..value.span };
                diagnostic.suggest(sign, "", "remove the `;`, and what stands there is the answer")
            }
            _ if *ty == Ty::Bool => {
                diagnostic.help("end the block with an expression without `;`, such as `false`")
            }
            _ => {
                let wanted = self.describe(ty);
                diagnostic.help(format!("end the block with an expression without `;` that is a `{wanted}`"))
            }
        });
    }

    /// A block: its statements and value.
    pub(super) fn block(&mut self, block: &ast::Block, expected: Option<&Ty>) -> Expr {
        self.scoped(|body| body.open_block(block, expected))
    }

    fn open_block(&mut self, block: &ast::Block, expected: Option<&Ty>) -> Expr {
        let mut stmts = Vec::new();
        let mut ends = false;
        for stmt in &block.stmts {
            if let Some(checked) = self.stmt(stmt) {
                ends |= checked.1;
                stmts.push(checked.0);
            }
        }
        let value = match &block.value {
            Some(value) => self.expr(value, expected),
            // The value may be what could not be read.
            None if matches!(block.stmts.last(), Some(ast::Stmt { kind: ast::StmtKind::Error, .. })) => {
                Expr::error(block.span)
            }
            None => {
                let ty = if ends { Ty::Never } else { Ty::Unit };
                Expr::new(ExprKind::Nothing, ty, block.span)
            }
        };
        let ty = if ends { Ty::Never } else { value.ty.clone() };
        if stmts.is_empty() {
            return Expr { ty, ..value };
        }
        Expr::new(ExprKind::Block(stmts, Box::new(value)), ty, block.span)
    }

    /// A statement, and whether control never goes on behind it.
    fn stmt(&mut self, stmt: &ast::Stmt) -> Option<(Stmt, bool)> {
        match &stmt.kind {
            ast::StmtKind::Error => {
                self.name_of_unreadable(stmt);
                Some((Stmt::Expr(Expr::error(stmt.span)), false))
            }
            ast::StmtKind::Let { name, ty, value } => Some(self.let_stmt(name, ty.as_ref(), value)),
            ast::StmtKind::Return(value) => {
                let value = self.return_stmt(value, stmt.span);
                Some((Stmt::Expr(value), true))
            }
            ast::StmtKind::Expr(expr) => {
                let value = self.expr(expr, None);
                let ends = value.ty == Ty::Never;
                self.learn_from_guard(&value);
                Some((Stmt::Expr(value), ends))
            }
            ast::StmtKind::Emit { event, fields } => Some((self.emit(event, fields, stmt.span)?, false)),
            ast::StmtKind::LetParts { names, value } => Some(self.let_parts(names, value, stmt.span)),
            ast::StmtKind::Break(value) => {
                let value = self.break_stmt(value.as_ref(), stmt.span);
                Some((Stmt::Expr(value), true))
            }
            ast::StmtKind::Expect(_) | ast::StmtKind::ExpectEmitted { .. } | ast::StmtKind::Advance(_) => {
                self.report(
                    Diagnostic::error(results::ONLY_IN_TESTS, "this can only stand in a test")
                        .label(stmt.span, "not in a filter or function"),
                );
                None
            }
        }
    }

    /// Brings the name of a `let` that could not be read into scope, so that its uses are not reported, too.
    fn name_of_unreadable(&mut self, stmt: &ast::Stmt) {
        let text = self.checker.sources.snippet(stmt.span).unwrap_or_default();
        for name in crate::resolve::names_behind(text, &["let"]) {
            self.bind_local(&ast::Ident { name: name.to_owned(), span: stmt.span }, Ty::Error);
        }
    }

    pub(super) fn let_stmt(
        &mut self,
        name: &ast::Ident,
        ty: Option<&ast::Type>,
        value: &ast::Expr,
    ) -> (Stmt, bool) {
        let value = match ty {
            Some(ty) => {
                let (span, ty) = (ty.span, self.checker.value_type(self.module, ty));
                let value = self.expect(value, &ty, span);
                // The declared type counts from here on, so that it can be relied on; the range stays known.
                match (&ty, &value.ty) {
                    (Ty::Num(declared), Ty::Num(found)) => {
                        let ty = Ty::Num(crate::types::Num { range: found.range, ..*declared });
                        Expr { ty, ..value }
                    }
                    (Ty::Wide(_), Ty::Wide(_)) => value,
                    _ => Expr { ty: if value.ty == Ty::Never { Ty::Never } else { ty }, ..value },
                }
            }
            None => self.expr(value, None),
        };
        if value.ty == Ty::Unit {
            self.report(
                Diagnostic::error(types::NO_VALUE, format!("there is no value to call `{}`", name.name))
                    .label(value.span, "this has no value")
                    .label(name.span, "a value is named here"),
            );
        }
        if let Some(too_wide) = self.checker.too_wide(&value.ty, value.span) {
            self.report(too_wide);
            let id = self.bind_local(name, Ty::Error);
            return (Stmt::Let(id, Expr::error(value.span)), false);
        }
        let ends = value.ty == Ty::Never;
        let ty = if matches!(value.ty, Ty::Unit | Ty::Never) { Ty::Error } else { value.ty.clone() };
        let id = self.bind_used(name, ty);
        self.remember_origin(id, &value);
        self.facts.define(id, &value);
        (Stmt::Let(id, value), ends)
    }

    /// `let (a, _, b) = …;`
    pub(super) fn let_parts(
        &mut self,
        names: &[Option<ast::Ident>],
        value: &ast::Expr,
        span: Span,
    ) -> (Stmt, bool) {
        let value = self.expr(value, None);
        let value = if value.ty == Ty::Never { value } else { self.must_have_value(value) };
        let ends = value.ty == Ty::Never;
        let types: Option<Vec<Ty>> = match &value.ty {
            Ty::Tuple(types) if types.len() == names.len() => Some(types.clone()),
            Ty::Error | Ty::Never => None,
            other => {
                let found = self.describe(other);
                self.report(
                    Diagnostic::error(
                        types::MISMATCH,
                        format!("a tuple of {} parts is needed, `{found}` is found", names.len()),
                    )
                    .label(value.span, format!("this is `{found}`"))
                    .label(span, format!("{} names are given here", names.len())),
                );
                None
            }
        };
        let failed = types.is_none() && !ends;
        let mut types = types.unwrap_or_default().into_iter();
        let first = self.locals.len();
        let mut ids = Vec::new();
        for name in names {
            let ty = types.next().unwrap_or(Ty::Error);
            ids.push(name.as_ref().map(|name| self.bind_used(name, ty)));
        }
        self.remember_parts(first, &value);
        let value = if failed { Expr::error(value.span) } else { value };
        (Stmt::LetParts(ids, value), ends)
    }

    fn return_stmt(&mut self, value: &ast::Expr, span: Span) -> Expr {
        if let Some(update) = self.locked {
            self.report(
                Diagnostic::error(
                    oko_diagnostics::codes::state::IN_UPDATE,
                    "a value cannot be returned from within an `update`",
                )
                .label(span, "returns while the entry is being replaced")
                .label(update, "this `update` computes the entry's new value")
                .help("give the update's value a name with `let` and return behind it"),
            );
            return Expr::error(span);
        }
        let Some((ty, because)) = self.result.clone() else {
            self.expr(value, None);
            self.report(
                Diagnostic::error(results::BAD_RETURN, "there is nothing to return from here")
                    .label(span, "`return` stands in filters and functions only"),
            );
            return Expr::error(span);
        };
        let value = self.expect(value, &ty, because);
        Expr::new(ExprKind::Return(Box::new(value)), Ty::Never, span)
    }

    /// Behind `if a { return … }`, `a` is false.
    fn learn_from_guard(&mut self, value: &Expr) {
        if let ExprKind::If(condition, then, otherwise) = &value.kind {
            if then.ty == Ty::Never {
                self.facts.learn(condition, false);
            } else if otherwise.ty == Ty::Never {
                self.facts.learn(condition, true);
            }
        }
    }
}
