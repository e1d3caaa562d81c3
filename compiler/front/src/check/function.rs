//! Functions: their types, their bodies, and the search for calls in circles.
//!
//! A function is looked at when somebody asks for it: for a constant that calls it, before what is declared after the constants is known.
//! A function depends on its arguments and on params only, so this is early enough.

use std::collections::{HashMap, HashSet};

use oko_diagnostics::codes::types;
use oko_diagnostics::{Diagnostic, Span};

use super::body::{BodyChecker, Place};
use super::walk::walk;
use super::{Checker, Progress};
use crate::cost::{Area, AreaKind};
use crate::hir::{Body, Expr, ExprKind, FnDef, FnId};
use crate::types::Ty;

/// The longest chain of functions that call one another.
const MAX_CALLS: usize = 32;

/// How far a function is.
pub(super) struct Function {
    signature: Progress,
    body: Progress,
    /// The functions that its body calls, each once, and where first.
    callees: Vec<(FnId, Span)>,
    /// Whether calls of it can be computed while the program is compiled, once somebody has asked.
    known: Option<bool>,
}

impl Checker<'_, '_> {
    /// The names of functions, and nothing else of them.
    pub(super) fn fn_names(&mut self) {
        for source in &self.decls.fns {
            let (name, span) = (source.ast.name.name.clone(), source.ast.name.span);
            let value = Expr::error(source.ast.body.span);
            let body = Body { locals: Vec::new(), layers: Vec::new(), value };
            self.program.fns.push(FnDef { name, span, params: Vec::new(), result: Ty::Error, body });
            let (signature, body) = (Progress::Unseen, Progress::Unseen);
            self.fns.push(Function { signature, body, callees: Vec::new(), known: None });
        }
    }

    /// The parameters and result types of functions.
    pub(super) fn fn_signatures(&mut self) {
        for at in 0..self.decls.fns.len() {
            let item = self.decls.fns[at].item;
            self.no_attributes(item);
            self.fn_signature(at, self.decls.fns[at].ast.name.span);
        }
    }

    /// Sees to it that the parameters and the result type of a function are known, which is asked for at `span`.
    pub(super) fn fn_signature(&mut self, at: usize, span: Span) {
        match self.fns[at].signature {
            Progress::Known => return,
            Progress::Open => return self.fn_of_itself(at, span),
            Progress::Unseen => {}
        }
        self.fns[at].signature = Progress::Open;
        let (module, ast) = (self.decls.fns[at].module, self.decls.fns[at].ast);
        let (params, result) = self.aloud(|checker| {
            let params = (ast.params.iter())
                .map(|param| (param.name.name.clone(), checker.value_type(module, &param.ty)))
                .collect();
            (params, checker.value_type(module, &ast.result))
        });
        let def = &mut self.program.fns[at];
        (def.params, def.result) = (params, result);
        self.fns[at].signature = Progress::Known;
    }

    /// The bodies of functions.
    pub(super) fn fn_bodies(&mut self) {
        for at in 0..self.decls.fns.len() {
            self.fn_body(at, self.decls.fns[at].ast.name.span);
        }
    }

    /// Sees to it that the body of a function is known, which is asked for at `span`.
    fn fn_body(&mut self, at: usize, span: Span) {
        match self.fns[at].body {
            Progress::Known => return,
            Progress::Open => return self.fn_of_itself(at, span),
            Progress::Unseen => {}
        }
        self.fn_signature(at, span);
        self.fns[at].body = Progress::Open;
        self.aloud(|checker| checker.read_body(at));
        self.fns[at].body = Progress::Known;
    }

    fn read_body(&mut self, at: usize) {
        let (module, ast) = (self.decls.fns[at].module, self.decls.fns[at].ast);
        let result = self.program.fns[at].result.clone();
        let id = FnId::from_index(at);
        let mut body = BodyChecker::new(self, module, Place::Function(id));
        body.result = Some((result.clone(), ast.result.span));
        for param in &ast.params {
            let ty = body.checker.program.fns[at].params[body.locals.len()].1.clone();
            body.bind_local(&param.name, ty);
        }
        let value = body.block_of(&ast.body, &result, ast.result.span);
        let kind = AreaKind::Function(ast.name.name.clone());
        let area = Area { kind, place: ast.name.span, span: ast.name.span.to(ast.body.span) };
        body.checker.program.areas.push(area);
        let (locals, layers, mut callees) = (body.locals, body.layers, body.callees);
        let mut seen = HashSet::new();
        callees.retain(|(callee, _)| seen.insert(*callee));
        self.program.fns[at].body = Body { locals, layers, value };
        self.fns[at].callees = callees;
    }

    /// Reports a function that is needed to find out what it is itself.
    fn fn_of_itself(&mut self, at: usize, span: Span) {
        let (name, declared) = (self.program.fns[at].name.clone(), self.program.fns[at].span);
        self.report(
            Diagnostic::error(
                types::CIRCLE,
                format!("the function `{name}` depends on what it computes itself"),
            )
            .label(span, "its value is needed here")
            .label(declared, "to say what this function is"),
        );
    }

    /// Whether the calls of a function can be computed while the program is compiled. If not, it has been said why, or will be.
    pub(super) fn known_fn(&mut self, id: FnId, span: Span) -> bool {
        if let Some(known) = self.fns[id.index()].known {
            return known;
        }
        let known = self.aloud(|checker| checker.is_known(id, span));
        self.fns[id.index()].known = Some(known);
        known
    }

    fn is_known(&mut self, id: FnId, span: Span) -> bool {
        let mut all = vec![id];
        let mut seen = HashSet::from([id]);
        let mut next = 0;
        while let Some(&function) = all.get(next) {
            next += 1;
            self.fn_body(function.index(), span);
            for (callee, _) in &self.fns[function.index()].callees {
                if seen.insert(*callee) {
                    all.push(*callee);
                }
            }
        }
        // What has errors, or calls itself, is reported elsewhere.
        let mut usable = all.iter().all(|id| matches!(self.fns[id.index()].body, Progress::Known));
        let mut param = None;
        for function in &all {
            walk(&self.program.fns[function.index()].body.value, &mut |part| match part.kind {
                ExprKind::Error => usable = false,
                ExprKind::Param(_) => param = param.or(Some(part.span)),
                _ => {}
            });
        }
        if let Some(param) = param {
            let name = self.program.fns[id.index()].name.clone();
            self.report(
                Diagnostic::error(
                    types::NOT_CONSTANT,
                    format!("what `{name}` answers is not known before packets come"),
                )
                .label(span, "a value that stays the same is needed here")
                .label(param, "a param can change while packets come")
                .help("give the function the number as an argument"),
            );
            return false;
        }
        usable && self.ends(&all)
    }

    /// Whether no function of these, which call only one another, calls itself, over whatever detour.
    fn ends(&self, all: &[FnId]) -> bool {
        let mut callers: HashMap<FnId, Vec<FnId>> = HashMap::new();
        let mut calls: HashMap<FnId, usize> = HashMap::new();
        for &caller in all {
            let callees = &self.fns[caller.index()].callees;
            calls.insert(caller, callees.len());
            callees.iter().for_each(|(callee, _)| callers.entry(*callee).or_default().push(caller));
        }
        // A function whose callees all end does so, too.
        let mut ending: Vec<FnId> = all.iter().copied().filter(|id| calls[id] == 0).collect();
        let mut next = 0;
        while let Some(id) = ending.get(next) {
            next += 1;
            for caller in callers.remove(id).unwrap_or_default() {
                let left = calls.entry(caller).or_default();
                *left -= 1;
                if *left == 0 {
                    ending.push(caller);
                }
            }
        }
        ending.len() == all.len()
    }

    /// Reports functions that call themselves, over whatever detour, and chains of calls that are too long.
    pub(super) fn fn_circles(&mut self) {
        let count = self.program.fns.len();
        // Depth-first search without recursion: the height of a function is the longest chain of calls from it.
        let mut heights: Vec<Option<usize>> = vec![None; count];
        let mut open = vec![false; count];
        for start in 0..count {
            let mut stack = vec![(start, 0usize)];
            while let Some((function, next)) = stack.pop() {
                open[function] = true;
                if let Some(&(callee, span)) = self.fns[function].callees.get(next) {
                    let callee = callee.index();
                    stack.push((function, next + 1));
                    if open[callee] {
                        let (name, declared) =
                            (self.program.fns[callee].name.clone(), self.program.fns[callee].span);
                        self.report(
                            Diagnostic::error(types::CIRCLE, format!("the function `{name}` calls itself"))
                                .label(span, "calls it again")
                                .label(declared, "this function would never end")
                                .help("every filter must end: write what it does without repetition"),
                        );
                    } else if heights[callee].is_none() {
                        stack.push((callee, 0));
                    }
                    continue;
                }
                open[function] = false;
                let below =
                    self.fns[function].callees.iter().filter_map(|(callee, _)| heights[callee.index()]);
                let height = below.max().map_or(0, |h| h + 1);
                heights[function] = Some(height);
                if height == MAX_CALLS {
                    let declared = self.program.fns[function].span;
                    self.report(
                        Diagnostic::error(types::CIRCLE, "functions call one another in too long a chain")
                            .label(declared, format!("more than {MAX_CALLS} calls lie below this function")),
                    );
                }
            }
        }
    }
}
