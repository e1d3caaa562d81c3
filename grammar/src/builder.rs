//! Makes nodes of the syntax tree for the grammar's actions, and watches over their depth.

use std::cell::Cell;

use oko_diagnostics::{FileId, Span};

use crate::ast::*;
use crate::lex::doc_text;
use crate::literal::unescape;
use crate::token::Loc;

/// What the grammar's actions know of the text.
#[derive(Debug)]
pub(crate) struct Builder<'t> {
    file: FileId,
    text: &'t str,
    /// The first expression that was too deep.
    too_deep: Cell<Option<Span>>,
}

impl<'t> Builder<'t> {
    pub(crate) fn new(file: FileId, text: &'t str) -> Self {
        Builder { file, text, too_deep: Cell::new(None) }
    }

    /// The first expression that was deeper than [`MAX_DEPTH`] and was left out for it.
    pub(crate) fn too_deep(&self) -> Option<Span> {
        self.too_deep.get()
    }

    pub(crate) fn span(&self, l: Loc, r: Loc) -> Span {
        Span::new(self.file, l.byte, r.byte)
    }

    fn text(&self, l: Loc, r: Loc) -> &'t str {
        self.text.get(l.byte as usize..r.byte as usize).unwrap_or_default()
    }

    pub(crate) fn ident(&self, l: Loc, r: Loc) -> Ident {
        Ident { name: self.text(l, r).to_owned(), span: self.span(l, r) }
    }

    pub(crate) fn string(&self, l: Loc, r: Loc) -> String {
        unescape(self.text(l, r))
    }

    /// The doc comments that begin at `lines` and end before `r`.
    pub(crate) fn doc(&self, lines: &[Loc], l: Loc, r: Loc) -> Option<Doc> {
        if lines.is_empty() {
            return None;
        }
        let line_at = |at: &Loc| {
            let rest = self.text.get(at.byte as usize..).unwrap_or_default();
            doc_text(rest.lines().next().unwrap_or_default())
        };
        let text = lines.iter().map(line_at).collect::<Vec<_>>().join("\n");
        Some(Doc { text, span: self.span(l, r) })
    }

    /// An expression. One that would be deeper than [`MAX_DEPTH`] becomes [`ExprKind::Error`].
    pub(crate) fn expr(&self, kind: ExprKind, l: Loc, r: Loc) -> Expr {
        let span = self.span(l, r);
        let depth = depth(&kind);
        if depth > MAX_DEPTH {
            self.too_deep.set(self.too_deep.get().or(Some(span)));
            return Expr { kind: ExprKind::Error, span, depth: 1 };
        }
        Expr { kind, span, depth }
    }

    pub(crate) fn binary(&self, left: Expr, (op, l, r): (BinaryOp, Loc, Loc), right: Expr) -> Expr {
        let at = |byte| Loc { byte, index: 0 };
        let (start, end) = (at(left.span.start), at(right.span.end));
        let (left, right) = (Box::new(left), Box::new(right));
        self.expr(ExprKind::Binary { op, op_span: self.span(l, r), left, right }, start, end)
    }

    /// `if … else if … else …`, nested from the last `else` outwards.
    pub(crate) fn if_chain(
        &self,
        first: (Loc, Expr, Block),
        more: Vec<(Loc, Expr, Block)>,
        last: Option<Block>,
        end: Loc,
    ) -> Expr {
        let mut otherwise = last.map(|block| {
            let at = |byte| Loc { byte, index: 0 };
            let (start, end) = (at(block.span.start), at(block.span.end));
            Box::new(self.expr(ExprKind::Block(block), start, end))
        });
        let mut wrap = |(start, condition, then): (Loc, Expr, Block)| {
            let otherwise_now = otherwise.take();
            let kind = ExprKind::If { condition: Box::new(condition), then, otherwise: otherwise_now };
            otherwise = Some(Box::new(self.expr(kind, start, end)));
        };
        more.into_iter().rev().for_each(&mut wrap);
        let (start, condition, then) = first;
        self.expr(ExprKind::If { condition: Box::new(condition), then, otherwise }, start, end)
    }

    /// A block; an `if`, `match` or block at its end, without `;`, is its value.
    pub(crate) fn block(&self, mut stmts: Vec<Stmt>, value: Option<Expr>, l: Loc, r: Loc) -> Block {
        let mut value = value.map(Box::new);
        if value.is_none()
            && let Some(Stmt { kind: StmtKind::Expr(expr), span }) = stmts.last()
            && is_block_like(expr)
            && expr.span == *span
            && let Some(Stmt { kind: StmtKind::Expr(expr), .. }) = stmts.pop()
        {
            value = Some(Box::new(expr));
        }
        Block { stmts, value, span: self.span(l, r) }
    }

    pub(crate) fn arm(&self, (pattern, guard): (Pattern, Option<Expr>), value: Expr, l: Loc, r: Loc) -> Arm {
        Arm { pattern, guard, value, span: self.span(l, r) }
    }

    /// In place of an arm that could not be read.
    pub(crate) fn unreadable_arm(&self, l: Loc, r: Loc) -> Arm {
        let span = self.span(l, r);
        let value = self.expr(ExprKind::Error, l, r);
        Arm { pattern: Pattern { kind: PatternKind::Error, span }, guard: None, value, span }
    }

    /// Several patterns with `|` between them, or one.
    pub(crate) fn alternatives(&self, mut patterns: Vec<Pattern>, l: Loc, r: Loc) -> Pattern {
        match (patterns.pop(), patterns.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                patterns.extend(last);
                Pattern { kind: PatternKind::Or(patterns), span: self.span(l, r) }
            }
        }
    }

    /// A layer path; one layer without an alias may as well be a variant, so it stays a path.
    pub(crate) fn layers(&self, mut layers: Vec<Layer>) -> PatternKind {
        match (layers.pop(), layers.is_empty()) {
            (Some(Layer { header, alias: None, .. }), true) => PatternKind::Path(header),
            (last, _) => {
                layers.extend(last);
                PatternKind::Layers(layers)
            }
        }
    }
}

fn is_block_like(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::If { .. } | ExprKind::Match { .. } | ExprKind::For { .. } | ExprKind::Block(_)
    )
}

/// 1 more than the deepest part. Looks only at the parts themselves, which carry their own depth.
fn depth(kind: &ExprKind) -> u16 {
    let of = |exprs: &[Expr]| exprs.iter().map(|expr| expr.depth).max().unwrap_or(0);
    let parts = match kind {
        ExprKind::Error
        | ExprKind::Name(_)
        | ExprKind::Literal(_)
        | ExprKind::Bool(_)
        | ExprKind::None
        | ExprKind::Replay(_) => 0,
        ExprKind::List(elements) | ExprKind::Tuple(elements) => of(elements),
        ExprKind::Range(range) => range.start.depth.max(range.end.depth),
        ExprKind::Paren(inner) => inner.depth,
        ExprKind::Unary { operand, .. } => operand.depth,
        ExprKind::Binary { left, right, .. } => left.depth.max(right.depth),
        ExprKind::In { value, within, .. } => value.depth.max(range_depth(within)),
        ExprKind::Field { base, .. } => base.depth,
        ExprKind::Call { callee, args } => {
            args.iter().map(|arg| arg.value.depth).max().unwrap_or(0).max(callee.depth)
        }
        ExprKind::Index { base, index } => base.depth.max(index.depth),
        ExprKind::Slice { base, from, to } => base.depth.max(from.depth).max(to.depth),
        ExprKind::Update { place, value, .. } => place.depth.max(value.depth),
        ExprKind::If { condition, then, otherwise } => {
            let otherwise = otherwise.as_ref().map_or(0, |expr| expr.depth);
            condition.depth.max(block_depth(then)).max(otherwise)
        }
        ExprKind::Match { subject, arms } => {
            let arm = |arm: &Arm| arm.value.depth.max(arm.guard.as_ref().map_or(0, |guard| guard.depth));
            arms.iter().map(arm).max().unwrap_or(0).max(subject.depth)
        }
        ExprKind::For { over, carried, body, .. } => {
            let first = |one: &Carried| one.value.depth.max(one.ty.as_ref().map_or(0, type_depth));
            let carried = carried.iter().map(first).max().unwrap_or(0);
            range_depth(over).max(carried).max(block_depth(body))
        }
        ExprKind::Block(block) => block_depth(block),
    };
    parts.saturating_add(1)
}

fn block_depth(block: &Block) -> u16 {
    let stmts = block.stmts.iter().map(stmt_depth).max().unwrap_or(0);
    stmts.max(block.value.as_ref().map_or(0, |value| value.depth))
}

fn stmt_depth(stmt: &Stmt) -> u16 {
    match &stmt.kind {
        StmtKind::Error | StmtKind::Break(None) => 0,
        StmtKind::Let { ty, value, .. } => ty.as_ref().map_or(0, type_depth).max(value.depth),
        StmtKind::Emit { fields, .. } | StmtKind::ExpectEmitted { fields, .. } => {
            fields.iter().filter_map(|field| field.value.as_ref()).map(|value| value.depth).max().unwrap_or(0)
        }
        StmtKind::LetParts { value: expr, .. }
        | StmtKind::Break(Some(expr))
        | StmtKind::Return(expr)
        | StmtKind::Expect(expr)
        | StmtKind::Advance(expr)
        | StmtKind::Expr(expr) => expr.depth,
    }
}

fn range_depth(range: &RangeOr) -> u16 {
    match range {
        RangeOr::Range(range) => range.start.depth.max(range.end.depth),
        RangeOr::Expr(expr) => expr.depth,
    }
}

/// The depth of the expressions in a type. Types nest only in brackets, of which there are at most [`MAX_BRACKETS`].
fn type_depth(ty: &Type) -> u16 {
    match &ty.kind {
        TypeKind::Error => 0,
        TypeKind::Named { args, .. } | TypeKind::Tuple(args) => {
            args.iter().map(type_depth).max().unwrap_or(0)
        }
        TypeKind::Optional(inner) => type_depth(inner),
        TypeKind::Array { element, count: expr } | TypeKind::Region { element, bytes: expr } => {
            type_depth(element).max(expr.depth)
        }
    }
}
