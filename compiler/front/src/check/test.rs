//! Tests: their statements, and filters asked from within expressions.
//!
//! Names, types and ranges are those of filter bodies. What a filter answers is taken out of the expression that asks: a step in
//! front of it asks the filter, the expression reads the answer from a local without name. So one expression asks its filters from left
//! to right, all of them, and what remains of it is an ordinary expression.

use oko_diagnostics::codes::{names, tests, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use super::body::{BodyChecker, Place};
use crate::hir::{Content, EventId, Expr, ExprKind, LocalId, Shape, StructId};
use crate::plan::{Expect, PacketDef, PacketId, Plan, Step, StepKind, ValueId};
use crate::resolve::Def;
use crate::types::{Num, NumKind, Range, Ty};

/// The most values that a test computes; each becomes a filter of its own.
const MAX_VALUES: usize = 200;

/// The most tests in a file.
const MAX_TESTS: usize = 4096;

/// What the check of a test has gathered so far.
#[derive(Default)]
pub(super) struct TestBody {
    pub(super) steps: Vec<Step>,
    pub(super) packets: Vec<PacketDef>,
    values: Vec<Expr>,
    /// The packets that filters were asked about since the last statement began.
    asked: Vec<PacketId>,
    /// How many branches, blocks and updates lie around the expression.
    pub(super) branches: u32,
}

impl Checker<'_, '_> {
    /// The tests of the root file.
    pub(super) fn tests(&mut self) {
        let mut seen: Vec<&ast::StrLiteral> = Vec::new();
        for at in 0..self.decls.tests.len() {
            let source = &self.decls.tests[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            self.no_attributes(item);
            if module == 0 {
                if let Some(first) = seen.iter().find(|first| first.text == ast.name.text) {
                    let first = first.span;
                    self.report(
                        Diagnostic::error(names::DUPLICATE, "two tests have the same name")
                            .label(ast.name.span, "named again here")
                            .label(first, "first named here")
                            .help("say in each name what the test shows"),
                    );
                }
                seen.push(&ast.name);
                if seen.len() == MAX_TESTS + 1 {
                    self.report(
                        Diagnostic::error(tests::TOO_LARGE, format!("a file has at most {MAX_TESTS} tests"))
                            .label(ast.name.span, "one too many"),
                    );
                }
            }
            let mut body = BodyChecker::new(self, module, Place::Test);
            body.test = Some(Box::default());
            body.test_block(&ast.body);
            let (locals, layers, test) = (body.locals, body.layers, body.test.take().unwrap_or_default());
            let computed = (test.values.iter())
                .filter(|value| !matches!(value.kind, ExprKind::Const(_) | ExprKind::Local(_)))
                .count();
            if computed > MAX_VALUES {
                self.report(
                    Diagnostic::error(tests::TOO_LARGE, "this test computes too much")
                        .label(
                            ast.name.span,
                            format!("{computed} values that are not constants, and at most {MAX_VALUES} are allowed"),
                        )
                        .help("split it into several tests, or repeat with `for`"),
                );
            }
            if module == 0 {
                let TestBody { steps, packets, values, .. } = *test;
                let (name, span) = (ast.name.text.clone(), ast.name.span);
                self.program.tests.push(Plan { name, span, locals, layers, packets, values, steps });
            }
        }
    }
}

impl BodyChecker<'_, '_, '_> {
    pub(super) fn step(&mut self, kind: StepKind, span: Span) {
        if let Some(test) = &mut self.test {
            test.steps.push(Step { kind, span });
        }
    }

    /// An expression as one of the test's values.
    pub(super) fn test_value(&mut self, expr: Expr) -> ValueId {
        let Some(test) = &mut self.test else { return ValueId(0) };
        test.values.push(expr);
        ValueId(test.values.len() - 1)
    }

    /// Checks the statements of a block as steps of their own.
    fn steps_of(&mut self, check: impl FnOnce(&mut Self)) -> Vec<Step> {
        let outer = self.test.as_mut().map(|test| std::mem::take(&mut test.steps)).unwrap_or_default();
        self.scoped(check);
        self.test.as_mut().map(|test| std::mem::replace(&mut test.steps, outer)).unwrap_or_default()
    }

    fn test_block(&mut self, block: &ast::Block) {
        for stmt in &block.stmts {
            self.test_stmt(&stmt.kind, stmt.span);
        }
        // An `if` or block at the end is a statement here.
        if let Some(value) = &block.value {
            self.test_expr_stmt(value);
        }
    }

    fn test_stmt(&mut self, kind: &ast::StmtKind, span: Span) {
        if let Some(test) = &mut self.test {
            test.asked.clear();
        }
        match kind {
            ast::StmtKind::Error => {}
            ast::StmtKind::Let { name, ty, value } => self.test_let(name, ty.as_ref(), value, span),
            ast::StmtKind::Expr(expr) => self.test_expr_stmt(expr),
            ast::StmtKind::Expect(expr) => self.test_expect(expr, span),
            ast::StmtKind::Advance(expr) => {
                let value = self.expect(expr, &Ty::duration(), span);
                if !value.ty.is_error() {
                    let value = self.test_value(value);
                    self.step(StepKind::Advance(value), span);
                }
            }
            ast::StmtKind::ExpectEmitted { emitted, event, fields } => {
                if let Some((id, values)) = self.expected_event(event, fields) {
                    let step = if *emitted { StepKind::ExpectEmitted } else { StepKind::ExpectNotEmitted };
                    self.step(step(id, values), span);
                }
            }
            ast::StmtKind::LetParts { names, value } => self.test_let_parts(names, value, span),
            ast::StmtKind::Return(_) | ast::StmtKind::Break(_) | ast::StmtKind::Emit { .. } => {
                self.not_in_tests(
                    "this cannot stand in a test",
                    span,
                    "a test goes through all of its steps",
                );
            }
        }
    }

    /// The event of `expect emitted scan { source: 10.0.0.1 };`, and the values of its fields.
    fn expected_event(
        &mut self,
        event: &ast::Path,
        inits: &[ast::FieldInit],
    ) -> Option<(EventId, Vec<(usize, ValueId)>)> {
        let Some((id, declared)) = self.event(event) else {
            for init in inits {
                self.init_value(init, None);
            }
            return None;
        };
        let def = self.checker.program.events.get(id.index())?;
        let (fields, name) = (def.fields.clone(), def.name.clone());
        let mut values: Vec<(usize, ValueId)> = Vec::new();
        for init in inits {
            let Some(at) = fields.iter().position(|(field, _)| *field == init.name.name) else {
                self.init_value(init, None);
                let known: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
                self.no_field(&format!("the event `{name}`"), declared, &init.name, &known);
                continue;
            };
            let ty = fields[at].1.clone();
            let value = self.init_value(init, Some(&ty));
            let value = self.coerce(value, &ty, declared);
            if values.iter().any(|(given, _)| *given == at) {
                self.report(
                    Diagnostic::error(names::DUPLICATE, format!("`{}` is given twice", init.name.name))
                        .label(init.name.span, "given again here"),
                );
            } else if !value.ty.is_error() && !ty.is_error() {
                let value = self.test_value(value);
                values.push((at, value));
            }
        }
        Some((id, values))
    }

    /// `emitted`: how many events there were that no `expect emitted` has taken.
    pub(super) fn emitted(&mut self, span: Span) -> Expr {
        let local = self.hidden_local(span, Ty::uint(32));
        self.step(StepKind::Emitted(local), span);
        Expr::new(ExprKind::Local(local), Ty::uint(32), span)
    }

    /// The table of `inside.insert(…)` and `inside.remove(…)`.
    fn written_table(&self, callee: &ast::Expr) -> Option<crate::hir::StateId> {
        let ast::ExprKind::Field { base, name } = &callee.kind else { return None };
        let ast::ExprKind::Name(owner) = &base.kind else { return None };
        let writes = matches!(name.name.as_str(), "insert" | "remove") && self.binding(&owner.name).is_none();
        match self.def(&owner.name) {
            Some((Def::Table(id), _)) if writes => Some(id),
            _ => None,
        }
    }

    /// Writes a table, as the operator would.
    fn write_table(&mut self, id: crate::hir::StateId, callee: &ast::Expr, args: &[ast::Arg], span: Span) {
        let ast::ExprKind::Field { name, .. } = &callee.kind else { return };
        let Some(def) = self.checker.program.states.get(id.index()) else { return };
        let declared = def.span;
        let Shape::Table { key, .. } = &def.shape else { return };
        let key = key.clone();
        let value = match &def.content {
            Content::Value(ty) if name.name == "insert" => Some(ty.clone()),
            _ => None,
        };
        let wanted = 1 + usize::from(value.is_some());
        if args.len() != wanted {
            self.look_at(args);
            let what = if wanted == 2 { "a key and a value" } else { "a key" };
            self.report(
                Diagnostic::error(types::ARGUMENTS, format!("`{}` takes {what} here", name.name))
                    .label(span, format!("{} given", args.len()))
                    .label(declared, "declared here"),
            );
            return;
        }
        let given = self.expect(&args[0].value, &key, declared);
        let mut failed = given.ty.is_error() || key.is_error();
        let key = self.test_value(given);
        let value = value.map(|ty| {
            let given = self.expect(&args[1].value, &ty, declared);
            failed |= given.ty.is_error() || ty.is_error();
            self.test_value(given)
        });
        if failed {
            return;
        }
        let kind = match name.name.as_str() {
            "insert" => StepKind::TablePut(id, key, value),
            _ => StepKind::TableRemove(id, key),
        };
        self.step(kind, span);
    }

    /// `session(packet)`: a struct that is computed from headers, of those that a packet has.
    pub(super) fn struct_of_packet(&mut self, id: StructId, arg: &ast::Arg, span: Span) -> Expr {
        let Some(packet) = self.packet(&arg.value) else { return Expr::error(span) };
        let Some(layers) = self.layers_of(packet, "this", arg.span) else { return Expr::error(span) };
        let source = &self.checker.decls.structs[id.index()];
        let (module, name) = (source.module, source.ast.name.name.clone());
        let Some(computed) = &self.checker.program.structs[id.index()].computed else {
            return Expr::error(span);
        };
        // For each header that the struct is computed from, the next one of the packet that it can be.
        let mut places: Vec<usize> = Vec::new();
        for (param, declared) in &computed.params {
            let members: Vec<crate::hir::HeaderId> = match self.checker.decls.scopes[module].get(param) {
                Some((Def::Header(id), _)) => vec![id],
                Some((Def::Union(id), _)) => self
                    .checker
                    .program
                    .unions
                    .get(id.index())
                    .map(|def| def.headers.clone())
                    .unwrap_or_default(),
                _ => Vec::new(),
            };
            let from = places.last().map_or(0, |at| at + 1);
            let found = (from..layers.len()).find(|at| members.contains(&layers[*at]));
            let Some(found) = found else {
                let (param, declared) = (param.clone(), *declared);
                self.report(
                    Diagnostic::error(tests::NOT_A_PACKET, format!("this packet has no `{param}`"))
                        .label(arg.span, "not among its headers")
                        .label(declared, format!("`{name}` is computed from it")),
                );
                return Expr::error(span);
            };
            places.push(found);
        }
        let ident = |name: &str| ast::Ident { name: name.to_owned(), span };
        // The names of the params are known in the module of the struct; a header between two of them is called by its own.
        let params: Vec<String> = computed.params.iter().map(|(param, _)| param.clone()).collect();
        let header = |at: usize| match places.iter().position(|place| *place == at) {
            Some(param) => params[param].clone(),
            None => self.checker.program.headers[layers[at].index()].name.clone(),
        };
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Expr::error(span) };
        let path = (*first..=*last)
            .map(|at| ast::Layer {
                header: ast::Path { parts: vec![ident(&header(at))], span },
                alias: None,
                span,
            })
            .collect();
        let args = params.iter().map(|param| ident(param)).collect();
        let expr = ast::match_layers(path, ident(&name), args, span);
        // As in a filter of the module that declares the struct, which knows all the headers.
        let (place, test, here) = (self.place, self.test.take(), self.module);
        (self.place, self.module) = (Place::Filter, module);
        let value = self.expr(&expr, None);
        (self.place, self.test, self.module) = (place, test, here);
        if value.ty.is_error() {
            return Expr::error(span);
        }
        let ty = Ty::Struct(id);
        let value = self.test_value(value);
        let local = self.hidden_local(span, ty.clone());
        self.step(StepKind::LetOf(local, value, packet), span);
        Expr::new(ExprKind::Local(local), ty, span)
    }

    pub(super) fn not_in_tests(&mut self, what: &str, span: Span, help: &str) {
        self.report(
            Diagnostic::error(tests::NOT_IN_TESTS, what).label(span, "not possible in a test").help(help),
        );
    }

    fn test_let(&mut self, name: &ast::Ident, ty: Option<&ast::Type>, value: &ast::Expr, span: Span) {
        if self.is_packet(value) {
            if let Some(ty) = ty {
                self.report(
                    Diagnostic::error(types::MISMATCH, "a packet has no type that could be written")
                        .label(ty.span, "leave the type away"),
                );
            }
            if let Some(packet) = self.packet(value) {
                if let Some(test) = &mut self.test
                    && let Some(def) = test.packets.get_mut(packet.0)
                {
                    def.name.clone_from(&name.name);
                }
                self.names.push((name.name.clone(), super::body::Binding::Packet(packet)));
            } else {
                self.bind_local(name, Ty::Error);
            }
            return;
        }
        let (stmt, _) = self.let_stmt(name, ty, value);
        if let crate::hir::Stmt::Let(local, value) = stmt
            && !value.ty.is_error()
        {
            let value = self.test_value(value);
            self.step(StepKind::Let(local, value), span);
        }
    }

    /// `let (a, _, b) = …;`: a step for the whole, and one for each name.
    fn test_let_parts(&mut self, names: &[Option<ast::Ident>], value: &ast::Expr, span: Span) {
        let (stmt, _) = self.let_parts(names, value, span);
        let crate::hir::Stmt::LetParts(ids, value) = stmt else { return };
        let Ty::Tuple(types) = value.ty.clone() else { return };
        let ty = value.ty.clone();
        let whole = self.hidden_local(span, ty.clone());
        let value = self.test_value(value);
        self.step(StepKind::Let(whole, value), span);
        for (at, (id, part)) in ids.into_iter().zip(types).enumerate() {
            let Some(id) = id else { continue };
            let from = Expr::new(ExprKind::Local(whole), ty.clone(), span);
            let value = self.test_value(Expr::new(ExprKind::Part(Box::new(from), at), part, span));
            self.step(StepKind::Let(id, value), span);
        }
    }

    fn test_expr_stmt(&mut self, expr: &ast::Expr) {
        match &expr.kind {
            ast::ExprKind::If { condition, then, otherwise } => {
                let condition = self.condition(condition);
                let then = self.steps_of(|body| body.test_block(then));
                let otherwise = match otherwise {
                    Some(otherwise) => self.steps_of(|body| body.test_expr_stmt(otherwise)),
                    None => Vec::new(),
                };
                if !condition.ty.is_error() {
                    let condition = self.test_value(condition);
                    self.step(StepKind::If(condition, then, otherwise), expr.span);
                }
            }
            ast::ExprKind::For { name, over, carried, body } if carried.is_empty() => {
                self.test_for(name, over, body, expr.span);
            }
            ast::ExprKind::Block(block) => self.scoped(|body| body.test_block(block)),
            ast::ExprKind::Call { callee, args } if self.is_set_param(callee) => {
                self.set_param(callee, args, expr.span);
            }
            ast::ExprKind::Call { callee, args } if self.written_table(callee).is_some() => {
                if let Some(id) = self.written_table(callee) {
                    self.write_table(id, callee, args, expr.span);
                }
            }
            _ if self.is_packet(expr) => {
                self.not_in_tests(
                    "nothing is done with this packet",
                    expr.span,
                    "ask a filter about it: `expect NAME(packet)`",
                );
            }
            _ => {
                let before = self.test.as_ref().map_or(0, |test| test.steps.len());
                let value = self.expr(expr, None);
                let after = self.test.as_ref().map_or(0, |test| test.steps.len());
                if before == after && !value.ty.is_error() {
                    self.not_in_tests(
                        "this statement does nothing",
                        expr.span,
                        "write `expect` in front, or ask a filter about a packet",
                    );
                }
            }
        }
    }

    fn test_expect(&mut self, expr: &ast::Expr, span: Span) {
        let holds = self.condition(expr);
        if holds.ty.is_error() {
            return;
        }
        let sides = match &holds.kind {
            ExprKind::Compare(_, left, right) => Some(((**left).clone(), (**right).clone())),
            _ => None,
        };
        let sides = sides.map(|(left, right)| (self.test_value(left), self.test_value(right)));
        let holds = self.test_value(holds);
        let packets = self.test.as_ref().map(|test| test.asked.clone()).unwrap_or_default();
        self.step(StepKind::Expect(Expect { holds, sides, packets }), span);
    }

    fn test_for(&mut self, name: &ast::Ident, over: &ast::RangeOr, body: &ast::Block, span: Span) {
        match over {
            ast::RangeOr::Range(range) => {
                let start = self.expr(&range.start, None);
                let end = self.expr(&range.end, None);
                let int = |value: &Expr| value.ty.num().filter(|num| num.kind == NumKind::Int);
                let bounds = int(&start).zip(int(&end));
                if bounds.is_none() && !start.ty.is_error() && !end.ty.is_error() {
                    self.report(
                        Diagnostic::error(types::MISMATCH, "a loop counts from one integer to another")
                            .label(range.span, "not a range of integers"),
                    );
                }
                let last = bounds.map(|(start, end)| {
                    let last = end.range.max - i128::from(!range.inclusive);
                    Range::new(start.range.min, last.max(start.range.min))
                });
                let ty = match last {
                    Some(range) => Ty::Num(Num::computed(NumKind::Int, range)),
                    None => Ty::Error,
                };
                let mut local = LocalId(0);
                let steps = self.steps_of(|checker| {
                    local = checker.bind_local(name, ty);
                    checker.test_block(body);
                });
                if bounds.is_none() {
                    return;
                }
                let end = if range.inclusive {
                    let one = Expr::new(ExprKind::Const(vec![1]), Ty::uint(1), end.span);
                    let ty = Ty::Num(Num::computed(
                        NumKind::Int,
                        Range::new(0, end.range().map_or(1, |range| range.max + 1)),
                    ));
                    let span = end.span;
                    Expr::new(ExprKind::Arith(crate::hir::Arith::Add, Box::new(end), Box::new(one)), ty, span)
                } else {
                    end
                };
                let (start, end) = (self.test_value(start), self.test_value(end));
                self.step(StepKind::For(local, start, end, steps), span);
            }
            ast::RangeOr::Expr(expr) => {
                let ast::ExprKind::Replay(file) = &expr.kind else {
                    self.expr(expr, None);
                    self.steps_of(|checker| {
                        checker.bind_local(name, Ty::Error);
                        checker.test_block(body);
                    });
                    self.not_in_tests(
                        "nothing can be gone through here",
                        expr.span,
                        "write a range such as `0..100`, or `replay \"capture.pcap\"` for the packets of a capture",
                    );
                    return;
                };
                let packet = self.new_packet(name.name.clone(), name.span, None);
                let steps = self.steps_of(|checker| {
                    checker.names.push((name.name.clone(), super::body::Binding::Packet(packet)));
                    checker.test_block(body);
                });
                self.step(StepKind::ForPackets(file.text.clone(), packet, steps), span);
            }
        }
    }

    /// A packet that some step will make.
    pub(super) fn new_packet(
        &mut self,
        name: String,
        span: Span,
        layers: Option<Vec<crate::hir::HeaderId>>,
    ) -> PacketId {
        let Some(test) = &mut self.test else { return PacketId(0) };
        test.packets.push(PacketDef { name, span, layers });
        PacketId(test.packets.len() - 1)
    }

    /// `limit.set(5)` with a param.
    fn is_set_param(&self, callee: &ast::Expr) -> bool {
        let ast::ExprKind::Field { base, name } = &callee.kind else { return false };
        let ast::ExprKind::Name(owner) = &base.kind else { return false };
        name.name == "set"
            && self.binding(&owner.name).is_none()
            && matches!(self.def(&owner.name), Some((Def::Param(_), _)))
    }

    fn set_param(&mut self, callee: &ast::Expr, args: &[ast::Arg], span: Span) {
        let ast::ExprKind::Field { base, .. } = &callee.kind else { return };
        let ast::ExprKind::Name(owner) = &base.kind else { return };
        let Some((Def::Param(id), declared)) = self.def(&owner.name) else { return };
        let [arg] = args else {
            self.look_at(args);
            self.report(
                Diagnostic::error(types::ARGUMENTS, "`set` takes the new value of the param")
                    .label(span, format!("{} given", args.len())),
            );
            return;
        };
        let ty = self.checker.program.params[id.index()].ty.clone();
        let value = self.expect(&arg.value, &ty, declared);
        if !value.ty.is_error() && !ty.is_error() {
            let value = self.test_value(value);
            self.step(StepKind::SetParam(id, value), span);
        }
    }

    /// `tracked(packet)`: a step that asks, and the local with the answer.
    pub(super) fn ask_filter(&mut self, name: &ast::Ident, args: &[ast::Arg], span: Span) -> Expr {
        let found =
            (self.checker.program.filters.iter()).position(|filter| filter.name == name.name).map(|at| {
                (at, self.checker.program.filters[at].result.clone(), self.checker.program.filters[at].span)
            });
        let Some((filter, result, declared)) = found else {
            self.look_at_packets(args);
            self.report(
                Diagnostic::error(tests::NOT_IN_TESTS, "only filters of the same file can be asked")
                    .label(name.span, "declared in another file")
                    .help("move the test into the file that declares the filter"),
            );
            return Expr::error(span);
        };
        if self.test.as_ref().is_some_and(|test| test.branches > 0) {
            self.look_at_packets(args);
            self.report(
                Diagnostic::error(
                    tests::NOT_IN_TESTS,
                    "a filter cannot be asked from within a branch or block",
                )
                .label(span, "asked only sometimes")
                .help("give the answer a name with `let` first"),
            );
            return Expr::error(span);
        }
        let [ast::Arg { name: None, value: arg, .. }] = args else {
            self.look_at_packets(args);
            self.report(
                Diagnostic::error(types::ARGUMENTS, format!("`{}` is asked about one packet", name.name))
                    .label(span, format!("{} given", args.len()))
                    .label(declared, "declared here")
                    .help("write the packet, or `replay \"capture.pcap\"`, in the brackets"),
            );
            return Expr::error(span);
        };
        if let ast::ExprKind::Replay(file) = &arg.kind {
            if result != Ty::Bool {
                self.report(
                    Diagnostic::error(types::MISMATCH, "only matches of `bool` filters can be counted")
                        .label(span, "this filter answers with a class")
                        .label(declared, "declared here")
                        .help(format!(
                            "look at each packet: `for p in replay \"{}\" {{ expect {}(p) == …; }}`",
                            file.text, name.name
                        )),
                );
                return Expr::error(span);
            }
            let local = self.hidden_local(span, Ty::uint(32));
            self.step(StepKind::Replay(filter, file.text.clone(), local), span);
            return Expr::new(ExprKind::Local(local), Ty::uint(32), span);
        }
        let Some(packet) = self.packet(arg) else { return Expr::error(span) };
        if result.is_error() {
            return Expr::error(span);
        }
        if let Some(test) = &mut self.test {
            test.asked.push(packet);
        }
        let local = self.hidden_local(span, result.clone());
        self.step(StepKind::Ask(filter, packet, local), span);
        Expr::new(ExprKind::Local(local), result, span)
    }

    /// Checks arguments that nobody takes, packets among them.
    fn look_at_packets(&mut self, args: &[ast::Arg]) {
        for arg in args {
            if self.is_packet(&arg.value) {
                self.packet(&arg.value);
            } else if !matches!(arg.value.kind, ast::ExprKind::Replay(_)) {
                self.expr(&arg.value, None);
            }
        }
    }
}
