//! Writes a syntax tree as indented text, for people: a line for each node with its bytes, `start..end`.

use std::fmt::{self, Write};

use oko_diagnostics::Span;

use crate::ast::*;

/// The tree as text; `okoc --emit ast` prints it.
pub fn dump(file: &File) -> String {
    let mut out = Dump { text: String::new(), depth: 0 };
    out.node("file", file.span, |out| {
        out.doc(file.docs.as_ref());
        file.items.iter().for_each(|item| out.item(item));
    });
    out.text
}

struct Dump {
    text: String,
    depth: usize,
}

impl Dump {
    fn line(&mut self, text: fmt::Arguments<'_>, span: Span) {
        let indent = self.depth * 2;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{text} @{}..{}", "", span.start, span.end);
    }

    fn node(&mut self, name: &str, span: Span, parts: impl FnOnce(&mut Self)) {
        self.line(format_args!("{name}"), span);
        self.depth += 1;
        parts(self);
        self.depth -= 1;
    }

    /// A node with a name, such as a declaration.
    fn named(&mut self, kind: &str, name: &Ident, span: Span, parts: impl FnOnce(&mut Self)) {
        self.node(&format!("{kind} {}", name.name), span, parts);
    }

    fn doc(&mut self, doc: Option<&Doc>) {
        if let Some(doc) = doc {
            self.line(format_args!("doc {:?}", doc.text), doc.span);
        }
    }

    fn ident(&mut self, kind: &str, ident: &Ident) {
        self.line(format_args!("{kind} {}", ident.name), ident.span);
    }

    fn path(&mut self, kind: &str, path: &Path) {
        self.line(format_args!("{kind} {path}"), path.span);
    }

    fn attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            self.named("attribute", &attribute.name, attribute.span, |out| {
                for arg in &attribute.args {
                    out.named("argument", &arg.name, arg.span, |out| {
                        arg.value.iter().for_each(|value| out.literal(value));
                    });
                }
            });
        }
    }

    fn item(&mut self, item: &Item) {
        let span = item.span;
        self.doc(item.docs.as_ref());
        self.attributes(&item.attributes);
        match &item.kind {
            ItemKind::Use(node) => self.node(&format!("use {}", node.path), span, |out| {
                node.names.iter().flatten().for_each(|name| out.ident("name", name));
            }),
            ItemKind::Const(node) => self.named("const", &node.name, span, |out| {
                out.ty(&node.ty);
                out.expr(&node.value);
            }),
            ItemKind::Param(node) => self.named("param", &node.name, span, |out| {
                out.ty(&node.ty);
                node.range.iter().for_each(|range| out.range(range));
                out.expr(&node.value);
            }),
            ItemKind::TypeAlias(node) => self.node(&format!("type {}", node.name), span, |out| {
                node.alternatives.iter().for_each(|ty| out.ty(ty));
            }),
            ItemKind::Enum(node) => self.named("enum", &node.name, span, |out| {
                node.ty.iter().for_each(|ty| out.ty(ty));
                out.variants(&node.variants);
            }),
            ItemKind::Bits(node) => self.named("bits", &node.name, span, |out| {
                out.ty(&node.ty);
                out.variants(&node.variants);
            }),
            ItemKind::Struct(node) => self.named("struct", &node.name, span, |out| {
                out.fields("param", node.params.iter().flatten());
                for field in &node.fields {
                    out.doc(field.docs.as_ref());
                    out.named("field", &field.name, field.span, |out| {
                        out.ty(&field.ty);
                        field.value.iter().for_each(|value| out.expr(value));
                    });
                }
            }),
            ItemKind::Header(node) => self.named("header", &node.name, span, |out| out.header(node)),
            ItemKind::Extend(node) => self.node("extend", span, |out| {
                node.headers.iter().for_each(|header| out.path("header", header));
                out.next(&node.next);
            }),
            ItemKind::Union(node) => self.named("union", &node.name, span, |out| {
                node.members.iter().for_each(|member| out.path("member", member));
            }),
            ItemKind::State(node) => self.named("state", &node.name, span, |out| {
                out.ty(&node.ty);
                node.per.iter().for_each(|per| out.ident("per", per));
                out.settings(&node.settings);
            }),
            ItemKind::Table(node) => self.named("table", &node.name, span, |out| {
                out.ty(&node.ty);
                out.settings(&node.settings);
            }),
            ItemKind::Event(node) => self.named("event", &node.name, span, |out| {
                out.fields("field", &node.fields);
                out.node("limit", node.limit.span, |out| out.expr(&node.limit));
                out.node("each", node.each.span, |out| out.expr(&node.each));
                node.per.iter().for_each(|per| out.ident("per", per));
            }),
            ItemKind::Fn(node) => self.named("fn", &node.name, span, |out| {
                out.fields("param", &node.params);
                out.ty(&node.result);
                out.block(&node.body);
            }),
            ItemKind::Filter(node) => self.named("filter", &node.name, span, |out| {
                out.fields("param", node.params.iter().flatten());
                node.result.iter().for_each(|ty| out.ty(ty));
                out.block(&node.body);
            }),
            ItemKind::Test(node) => self.node(&format!("test {:?}", node.name.text), span, |out| {
                out.block(&node.body);
            }),
        }
    }

    fn variants(&mut self, variants: &[Variant]) {
        for variant in variants {
            self.doc(variant.docs.as_ref());
            let value = variant.value.map_or_else(String::new, |value| format!(" = {}", value.value));
            self.line(format_args!("variant {}{value}", variant.name.name), variant.span);
        }
    }

    fn fields<'a>(&mut self, kind: &str, fields: impl IntoIterator<Item = &'a Field>) {
        for field in fields {
            self.doc(field.docs.as_ref());
            self.named(kind, &field.name, field.span, |out| out.ty(&field.ty));
        }
    }

    fn settings(&mut self, settings: &[Setting]) {
        for setting in settings {
            self.doc(setting.docs.as_ref());
            self.named("setting", &setting.name, setting.span, |out| out.expr(&setting.value));
        }
    }

    fn header(&mut self, header: &Header) {
        match &header.body {
            HeaderBody::Fields(fields) => self.header_fields(fields),
            HeaderBody::Tagged { tag, ty, forms } => {
                self.ident("tag", tag);
                self.ty(ty);
                for form in forms {
                    self.doc(form.docs.as_ref());
                    self.named("form", &form.name, form.span, |out| {
                        out.pattern(&form.pattern);
                        out.header_fields(&form.fields);
                    });
                }
            }
        }
        header.next.iter().for_each(|next| self.next(next));
    }

    fn next(&mut self, next: &Next) {
        self.node("next", next.span, |out| {
            out.expr(&next.by);
            for arm in &next.arms {
                out.attributes(&arm.attributes);
                out.node("arm", arm.span, |out| {
                    out.pattern(&arm.pattern);
                    out.path("header", &arm.header);
                });
            }
        });
    }

    fn header_fields(&mut self, fields: &[HeaderField]) {
        for field in fields {
            self.doc(field.docs.as_ref());
            self.attributes(&field.attributes);
            self.named("field", &field.name, field.span, |out| {
                out.ty(&field.ty);
                match &field.rule {
                    Some(FieldRule::Fixed(value)) => out.node("fixed", value.span, |out| out.expr(value)),
                    Some(FieldRule::Where(rule)) => out.node("where", rule.span, |out| out.expr(rule)),
                    None => {}
                }
            });
        }
    }

    fn ty(&mut self, ty: &Type) {
        let span = ty.span;
        match &ty.kind {
            TypeKind::Error => self.node("type error", span, |_| {}),
            TypeKind::Named { path, args } => self.node(&format!("type {path}"), span, |out| {
                args.iter().for_each(|arg| out.ty(arg));
            }),
            TypeKind::Optional(inner) => self.node("type ?", span, |out| out.ty(inner)),
            TypeKind::Tuple(parts) => {
                self.node("type ()", span, |out| parts.iter().for_each(|ty| out.ty(ty)));
            }
            TypeKind::Array { element, count } => self.node("type array", span, |out| {
                out.ty(element);
                out.expr(count);
            }),
            TypeKind::Region { element, bytes } => self.node("type region", span, |out| {
                out.ty(element);
                out.expr(bytes);
            }),
        }
    }

    fn range(&mut self, range: &Range) {
        let sign = if range.inclusive { "..=" } else { ".." };
        self.node(&format!("range {sign}"), range.span, |out| {
            out.expr(&range.start);
            out.expr(&range.end);
        });
    }

    fn range_or(&mut self, within: &RangeOr) {
        match within {
            RangeOr::Range(range) => self.range(range),
            RangeOr::Expr(expr) => self.expr(expr),
        }
    }

    fn block(&mut self, block: &Block) {
        self.node("block", block.span, |out| {
            block.stmts.iter().for_each(|stmt| out.stmt(stmt));
            if let Some(value) = &block.value {
                out.node("value", value.span, |out| out.expr(value));
            }
        });
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let span = stmt.span;
        match &stmt.kind {
            StmtKind::Error => self.line(format_args!("error"), span),
            StmtKind::Let { name, ty, value } => self.named("let", name, span, |out| {
                ty.iter().for_each(|ty| out.ty(ty));
                out.expr(value);
            }),
            StmtKind::Return(expr) => self.node("return", span, |out| out.expr(expr)),
            StmtKind::Emit { event, fields } => {
                self.node(&format!("emit {event}"), span, |out| out.inits(fields));
            }
            StmtKind::LetParts { names, value } => self.node("let ()", span, |out| {
                for name in names {
                    match name {
                        Some(name) => out.ident("name", name),
                        None => out.line(format_args!("unnamed"), span),
                    }
                }
                out.expr(value);
            }),
            StmtKind::Break(value) => self.node("break", span, |out| {
                value.iter().for_each(|value| out.expr(value));
            }),
            StmtKind::Expect(expr) => self.node("expect", span, |out| out.expr(expr)),
            StmtKind::ExpectEmitted { emitted, event, fields } => {
                let what = if *emitted { "emitted" } else { "not emitted" };
                self.node(&format!("expect {what} {event}"), span, |out| out.inits(fields));
            }
            StmtKind::Advance(expr) => self.node("advance", span, |out| out.expr(expr)),
            StmtKind::Expr(expr) => self.node("do", span, |out| out.expr(expr)),
        }
    }

    fn inits(&mut self, fields: &[FieldInit]) {
        for field in fields {
            self.named("field", &field.name, field.span, |out| {
                field.value.iter().for_each(|value| out.expr(value));
            });
        }
    }

    fn expr(&mut self, expr: &Expr) {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Error => self.line(format_args!("error"), span),
            ExprKind::Name(name) => self.ident("name", name),
            ExprKind::Literal(literal) => self.literal(literal),
            ExprKind::Bool(value) => self.line(format_args!("{value}"), span),
            ExprKind::None => self.line(format_args!("none"), span),
            ExprKind::Range(range) => self.range(range),
            ExprKind::List(parts) => self.exprs("list", span, parts),
            ExprKind::Tuple(parts) => self.exprs("tuple", span, parts),
            ExprKind::Paren(inner) => self.exprs("paren", span, [&**inner]),
            ExprKind::Unary { op, operand, .. } => self.exprs(op.symbol(), span, [&**operand]),
            ExprKind::Binary { op, left, right, .. } => self.exprs(op.symbol(), span, [&**left, &**right]),
            ExprKind::In { value, negated, within } => {
                self.node(if *negated { "not in" } else { "in" }, span, |out| {
                    out.expr(value);
                    out.range_or(within);
                });
            }
            ExprKind::Field { base, name } => self.named("field", name, span, |out| out.expr(base)),
            ExprKind::Call { callee, args } => self.node("call", span, |out| {
                out.expr(callee);
                for arg in args {
                    match &arg.name {
                        Some(name) => out.named("argument", name, arg.span, |out| out.expr(&arg.value)),
                        None => out.node("argument", arg.span, |out| out.expr(&arg.value)),
                    }
                }
            }),
            ExprKind::Index { base, index } => self.exprs("index", span, [&**base, &**index]),
            ExprKind::Slice { base, from, to } => self.exprs("slice", span, [&**base, &**from, &**to]),
            ExprKind::Update { place, old, value } => {
                self.node(&format!("update |{}|", old.name), span, |out| {
                    out.expr(place);
                    out.expr(value);
                });
            }
            ExprKind::If { condition, then, otherwise } => self.node("if", span, |out| {
                out.expr(condition);
                out.block(then);
                otherwise.iter().for_each(|otherwise| out.expr(otherwise));
            }),
            ExprKind::Match { subject, arms } => self.node("match", span, |out| {
                out.expr(subject);
                for arm in arms {
                    out.node("arm", arm.span, |out| {
                        out.pattern(&arm.pattern);
                        if let Some(guard) = &arm.guard {
                            out.node("guard", guard.span, |out| out.expr(guard));
                        }
                        out.expr(&arm.value);
                    });
                }
            }),
            ExprKind::For { name, over, carried, body } => self.named("for", name, span, |out| {
                out.range_or(over);
                for carried in carried {
                    out.named("with", &carried.name, carried.span, |out| {
                        carried.ty.iter().for_each(|ty| out.ty(ty));
                        out.expr(&carried.value);
                    });
                }
                out.block(body);
            }),
            ExprKind::Block(block) => self.block(block),
            ExprKind::Replay(file) => self.line(format_args!("replay {:?}", file.text), span),
        }
    }

    fn exprs<'a>(&mut self, name: &str, span: Span, parts: impl IntoIterator<Item = &'a Expr>) {
        self.node(name, span, |out| parts.into_iter().for_each(|part| out.expr(part)));
    }

    fn pattern(&mut self, pattern: &Pattern) {
        let span = pattern.span;
        let patterns = |out: &mut Self, parts: &[Pattern]| parts.iter().for_each(|part| out.pattern(part));
        match &pattern.kind {
            PatternKind::Error => self.line(format_args!("error"), span),
            PatternKind::Any => self.line(format_args!("pattern _"), span),
            PatternKind::None => self.line(format_args!("pattern none"), span),
            PatternKind::Bool(value) => self.line(format_args!("pattern {value}"), span),
            PatternKind::Literal(literal) => self.node("pattern", span, |out| out.literal(literal)),
            PatternKind::Range { start, end } => {
                self.line(format_args!("pattern {}..={}", start.value, end.value), span);
            }
            PatternKind::Path(path) => self.path("pattern", path),
            PatternKind::Layers(layers) => self.node("pattern layers", span, |out| {
                for layer in layers {
                    let alias =
                        layer.alias.as_ref().map_or_else(String::new, |alias| format!(" as {}", alias.name));
                    out.line(format_args!("layer {}{alias}", layer.header), layer.span);
                }
            }),
            PatternKind::Bind(name) => self.line(format_args!("pattern let {}", name.name), span),
            PatternKind::Parts { path, parts } => self.node(&format!("pattern {path} ()"), span, |out| {
                for part in parts {
                    match &part.name {
                        Some(name) => out.named("part", name, part.span, |out| out.pattern(&part.pattern)),
                        None => out.pattern(&part.pattern),
                    }
                }
            }),
            PatternKind::Tuple(parts) => self.node("pattern ()", span, |out| patterns(out, parts)),
            PatternKind::Or(parts) => self.node("pattern |", span, |out| patterns(out, parts)),
        }
    }

    fn literal(&mut self, literal: &Literal) {
        let span = literal.span;
        match &literal.kind {
            LiteralKind::Int(value) => self.line(format_args!("int {value}"), span),
            LiteralKind::Str(text) => self.line(format_args!("string {text:?}"), span),
            LiteralKind::Percent(millionths) => {
                self.line(format_args!("percent {millionths} millionths"), span);
            }
            LiteralKind::Duration(ns) => self.line(format_args!("duration {ns} ns"), span),
            LiteralKind::Rate { per_second, unit } => {
                let unit = match unit {
                    RateUnit::Packets => "packets",
                    RateUnit::Bits => "bits",
                };
                self.line(format_args!("rate {per_second} {unit} a second"), span);
            }
            LiteralKind::Ip4 { addr, prefix } => {
                let addr = std::net::Ipv4Addr::from(*addr);
                self.line(format_args!("ip4 {addr}{}", prefix_text(*prefix)), span);
            }
            LiteralKind::Ip6 { addr, prefix } => {
                let addr = std::net::Ipv6Addr::from(*addr);
                self.line(format_args!("ip6 {addr}{}", prefix_text(*prefix)), span);
            }
            LiteralKind::Mac(bytes) => self.line(format_args!("mac {bytes:02x?}"), span),
        }
    }
}

fn prefix_text(prefix: Option<u8>) -> String {
    prefix.map_or_else(String::new, |length| format!("/{length}"))
}
