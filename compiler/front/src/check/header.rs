//! Headers: where fields lie, what a packet must have to have the header, and what follows.

use oko_diagnostics::codes::{names, packets, results, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use super::body::{BodyChecker, Place};
use super::facts::Facts;
use super::fill::builder_name;
use crate::hir::{
    Compare, Expr, ExprKind, Fill, Form, HeaderDef, HeaderField, HeaderId, InReply, LayerId, Region, Rule,
};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Num, NumKind, Range, Ty, Wide};

/// The longest header without its region, in bytes.
const MAX_SIZE: u32 = 1024;

/// The most headers of a program: the way through a packet is looked for among all of them.
const MAX_HEADERS: usize = 256;

/// How often a header can be repeated at most.
const MAX_TIMES: u128 = 32;

/// The attributes of a header.
#[derive(Default)]
struct Marks {
    is_root: bool,
    extension: bool,
    peek: bool,
    repeat: Option<u8>,
}

/// The longest region, in bytes.
const MAX_REGION: i128 = 65_535;

impl Checker<'_, '_> {
    /// The fields of all headers, without what their rules say about them.
    pub(super) fn header_fields(&mut self) {
        if let Some(first) = self.decls.headers.get(MAX_HEADERS) {
            let span = first.ast.name.span;
            self.report(
                Diagnostic::error(results::TOO_MANY, format!("a program has at most {MAX_HEADERS} headers"))
                    .label(span, format!("there are {}", self.decls.headers.len())),
            );
        }
        for at in 0..self.decls.headers.len() {
            let source = &self.decls.headers[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            let Marks { is_root, extension, peek, repeat } = self.header_attributes(item);
            let builder = builder_name(item);
            let reply = self.header_in_reply(module, item);
            let mut header = HeaderDef {
                name: ast.name.name.clone(),
                span: ast.name.span,
                is_root,
                extension,
                peek,
                repeat,
                fields: Vec::new(),
                size: 1,
                rules: Vec::new(),
                region: None,
                next: None,
                builder,
                reply,
                forms: Vec::new(),
                is_form: false,
            };
            match &ast.body {
                ast::HeaderBody::Fields(fields) => self.fill_fields(module, &ast.name, fields, &mut header),
                ast::HeaderBody::Tagged { tag, ty, .. } => self.fill_tag(module, tag, ty, &mut header),
            }
            self.program.headers.push(header);
        }
        for at in 0..self.decls.headers.len() {
            self.form_fields(at);
        }
    }

    /// The fields of a header in wire order, behind those that it has.
    fn fill_fields(
        &mut self,
        module: usize,
        name: &ast::Ident,
        fields: &[ast::HeaderField],
        header: &mut HeaderDef,
    ) {
        let mut bit: u32 = header.fields.iter().map(|field| field.bits).sum();
        let mut seen: Vec<(String, Span)> =
            header.fields.iter().map(|field| (field.name.clone(), field.span)).collect();
        let mut region: Option<Span> = None;
        // Whether the width of a field is not known, or that of the tag is wrong: what was reported already.
        let mut unread = !bit.is_multiple_of(8);
        for field in fields {
            if self.field_twice(&field.name, seen.iter().map(|(name, span)| (name.as_str(), *span))) {
                continue;
            }
            seen.push((field.name.name.clone(), field.name.span));
            if let Some(region) = region {
                self.report(
                    Diagnostic::error(packets::BAD_REGION, "a region ends its header")
                        .label(field.span, "a field behind the region")
                        .label(region, "the region")
                        .help("declare what is behind the region as a header of its own"),
                );
                break;
            }
            if matches!(field.ty.kind, ast::TypeKind::Region { .. }) {
                region = Some(field.span);
                continue;
            }
            let ty = self.value_type(module, &field.ty);
            let Some(bits) = self.wire_bits(&ty, field.ty.span) else {
                unread = true;
                continue;
            };
            let (name, span) = (field.name.name.clone(), field.span);
            let (fill, pseudo, reply) = self.field_fill(field, &ty, bit, bits);
            header.fields.push(HeaderField { name, span, ty, bit, bits, fill, pseudo, reply });
            bit = bit.saturating_add(bits);
        }
        self.check_replies(header, fields);
        header.size = self.header_size(name, if unread { bit.next_multiple_of(8) } else { bit });
    }

    /// The field that decides which form a header has.
    fn fill_tag(&mut self, module: usize, tag: &ast::Ident, ty: &ast::Type, header: &mut HeaderDef) {
        let span = ty.span;
        let ty = self.value_type(module, ty);
        if let Ty::Num(Num { kind: NumKind::Int, bits, .. }) = ty {
            let bits = u32::from(bits);
            if !bits.is_multiple_of(8) {
                self.report(
                    Diagnostic::error(packets::NOT_WHOLE_BYTES, "a tag has whole bytes")
                        .label(span, format!("{bits} bits"))
                        .help("take the whole byte as tag, `by kind: u8`, with ranges in front of the forms: `0..=15 => small`"),
                );
            }
            header.size = bits.div_ceil(8);
            header.fields.push(HeaderField {
                name: tag.name.clone(),
                span: tag.span,
                ty,
                bit: 0,
                bits,
                fill: Fill::Least,
                pseudo: false,
                reply: InReply::AsNamed,
            });
        } else if !ty.is_error() {
            let found = ty.describe(&self.program);
            self.report(
                Diagnostic::error(packets::BAD_FIELD, "which form a header has is decided by an integer")
                    .label(span, format!("this is `{found}`")),
            );
        }
    }

    /// The forms of a header with a tag, each as a header of its own.
    fn form_fields(&mut self, at: usize) {
        let (module, ast) = (self.decls.headers[at].module, self.decls.headers[at].ast);
        let ast::HeaderBody::Tagged { forms, .. } = &ast.body else { return };
        let mut seen: Vec<&ast::Ident> = Vec::new();
        for form in forms {
            if let Some(first) = seen.iter().find(|other| other.name == form.name.name) {
                let first = first.span;
                self.report(
                    Diagnostic::error(
                        names::DUPLICATE,
                        format!("the form `{}` is declared twice", form.name.name),
                    )
                    .label(form.name.span, "declared again here")
                    .label(first, "first declared here"),
                );
            }
            seen.push(&form.name);
            let tag = self.program.headers[at].fields.first().cloned();
            let mut header = HeaderDef {
                name: form.name.name.clone(),
                span: form.name.span,
                is_root: false,
                extension: false,
                peek: false,
                repeat: None,
                fields: tag.into_iter().collect(),
                size: 1,
                rules: Vec::new(),
                region: None,
                next: None,
                builder: None,
                reply: None,
                forms: Vec::new(),
                is_form: true,
            };
            self.fill_fields(module, &form.name, &form.fields, &mut header);
            self.program.headers.push(header);
        }
        if forms.is_empty() {
            self.report(
                Diagnostic::error(types::EMPTY, format!("`{}` has no forms", ast.name.name))
                    .label(ast.name.span, "at least one is needed"),
            );
        }
        if let Some(next) = &ast.next {
            self.report(
                Diagnostic::error(packets::BAD_NEXT, "nothing follows a header with forms")
                    .label(next.span, "what follows is decided by the region that it is in"),
            );
        }
    }

    /// What stands in front of a header.
    fn header_attributes(&mut self, item: &ast::Item) -> Marks {
        let mut marks = Marks::default();
        for attribute in &item.attributes {
            match (attribute.name.name.as_str(), attribute.args.as_slice()) {
                ("root", []) => marks.is_root = true,
                ("extension", []) => marks.extension = true,
                ("peek", []) => marks.peek = true,
                ("builder" | "reply", [ast::AttributeArg { value: None, .. }]) => {}
                ("repeat", [max]) if max.name.name == "max" => {
                    match max.value.as_ref().map(|value| &value.kind) {
                        Some(ast::LiteralKind::Int(times @ 1..=MAX_TIMES)) => {
                            marks.repeat = u8::try_from(*times).ok();
                        }
                        _ => self.report(
                            Diagnostic::error(packets::BAD_REPEAT, "a header is repeated a few times")
                                .label(max.span, format!("a number from 1 to {MAX_TIMES} is expected here"))
                                .help("write `#[repeat(max = 8)]`"),
                        ),
                    }
                }
                ("repeat", _) => self.report(
                    Diagnostic::error(
                        packets::BAD_REPEAT,
                        "this does not say how often a header is repeated",
                    )
                    .label(attribute.span, "`max` is expected here")
                    .help("write `#[repeat(max = 8)]`"),
                ),
                (name, _) => {
                    let diagnostic = Diagnostic::error(
                        names::UNKNOWN_ATTRIBUTE,
                        format!("there is no attribute `{name}` for this"),
                    )
                    .label(attribute.span, "means nothing here");
                    self.report(match name {
                        "root" | "extension" | "peek" => {
                            diagnostic.help(format!("it stands alone: `#[{name}]`"))
                        }
                        _ => diagnostic.help("`#[root]` says that packets begin with a header"),
                    });
                }
            }
        }
        marks
    }

    /// The whole bytes that so many bits of fields take.
    fn header_size(&mut self, name: &ast::Ident, bits: u32) -> u32 {
        if bits == 0 {
            return 1;
        }
        if !bits.is_multiple_of(8) {
            self.report(
                Diagnostic::error(
                    packets::NOT_WHOLE_BYTES,
                    format!("the header `{}` ends within a byte", name.name),
                )
                .label(
                    name.span,
                    format!("its fields have {bits} bits, {} too many for whole bytes", bits % 8),
                )
                .help(format!(
                    "declare the missing {} bits as a field, such as `reserved: u{0}`",
                    8 - bits % 8
                )),
            );
        }
        let size = bits.div_ceil(8);
        if size > MAX_SIZE {
            self.report(
                Diagnostic::error(packets::TOO_LONG, format!("the header `{}` is too long", name.name))
                    .label(name.span, format!("{size} bytes, and at most {MAX_SIZE} are allowed"))
                    .help("declare bytes that are only skipped as a region: `rest: [u8 in 2000]`"),
            );
        }
        size.min(MAX_SIZE)
    }

    /// How many bits values of the type take on the wire.
    fn wire_bits(&mut self, ty: &Ty, span: Span) -> Option<u32> {
        let bits = match ty {
            Ty::Error => return None,
            Ty::Bool => 1,
            Ty::Num(Num { kind: NumKind::Int, bits, .. }) | Ty::Wide(Wide { bits, .. }) => u32::from(*bits),
            Ty::Seq | Ty::Ip4 => 32,
            Ty::Ip6 => 128,
            Ty::Mac => 48,
            Ty::Bits(id) => u32::from(self.program.bits[id.index()].bits),
            other => {
                let found = other.describe(self.program_ref());
                let diagnostic = Diagnostic::error(
                    packets::BAD_FIELD,
                    format!("a field of a header cannot be a `{found}`"),
                )
                .label(span, "no type of what is on the wire");
                self.report(match other {
                    Ty::Enum(_) => diagnostic.help(
                        "a packet can bring any number: declare an integer such as `u8` and compare it with constants",
                    ),
                    Ty::Addr => diagnostic.help("on the wire an address is an `ip4` or an `ip6`"),
                    _ => diagnostic.help("use `u1` to `u128`, `ip4`, `ip6`, `mac`, `seq` or a `bits` type"),
                });
                return None;
            }
        };
        Some(bits)
    }

    fn program_ref(&self) -> &crate::hir::Program {
        &self.program
    }

    /// The rules, regions and followers of all headers.
    pub(super) fn header_rules(&mut self) {
        // The forms stand behind all declared headers, in order.
        let mut next_form = self.decls.headers.len();
        for at in 0..self.decls.headers.len() {
            let source = &self.decls.headers[at];
            let (module, ast) = (source.module, source.ast);
            let id = HeaderId::from_index(at);
            match &ast.body {
                ast::HeaderBody::Fields(fields) => self.rules_and_region(module, id, fields),
                ast::HeaderBody::Tagged { forms, .. } => {
                    let first = next_form;
                    next_form += forms.len();
                    for (at, form) in forms.iter().enumerate() {
                        let header = HeaderId::from_index(first + at);
                        self.rules_and_region(module, header, &form.fields);
                        if self.program.headers[id.index()].fields.is_empty() {
                            continue;
                        }
                        if let Some(tag) = self.next_key(module, id, 0, &form.pattern) {
                            self.program.headers[id.index()].forms.push(Form { tag, header });
                        }
                    }
                }
            }
            if let (Some(next), ast::HeaderBody::Fields(_)) = (&ast.next, &ast.body) {
                let next = self.next(module, id, next);
                self.program.headers[at].next = next;
            }
        }
    }

    fn rules_and_region(&mut self, module: usize, id: HeaderId, fields: &[ast::HeaderField]) {
        for field in fields {
            self.field_rule(module, id, field);
        }
        for field in fields {
            if let ast::TypeKind::Region { element, bytes } = &field.ty.kind {
                self.region(module, id, field, element, bytes);
            }
        }
    }

    fn field_rule(&mut self, module: usize, id: HeaderId, field: &ast::HeaderField) {
        let Some(rule) = &field.rule else { return };
        let header = &self.program.headers[id.index()];
        let index = header.fields.iter().position(|known| known.span == field.span);
        let condition = match rule {
            ast::FieldRule::Where(condition) => {
                let mut body = BodyChecker::new(self, module, Place::Rule(id));
                body.condition(condition)
            }
            ast::FieldRule::Fixed(value) => {
                let Some(index) = index else {
                    if matches!(field.ty.kind, ast::TypeKind::Region { .. }) {
                        self.report(
                            Diagnostic::error(packets::BAD_REGION, "a region has no fixed value")
                                .label(value.span, "only fields have"),
                        );
                    }
                    return;
                };
                let ty = header.fields[index].ty.clone();
                let Some(value) = self.constant(module, value, &ty, "a fixed value", field.ty.span) else {
                    return;
                };
                let span = value.span;
                let read = Expr::new(ExprKind::Field(LayerId(0), index), ty, field.name.span);
                Expr::new(ExprKind::Compare(Compare::Eq, Box::new(read), Box::new(value)), Ty::Bool, span)
            }
        };
        if condition.ty != Ty::Bool {
            return;
        }
        // What the rule says about the fields is known wherever the header was found.
        let mut facts = Facts::default();
        facts.learn(&condition, true);
        for (at, field) in self.program.headers[id.index()].fields.iter_mut().enumerate() {
            if let Ty::Num(num) = &mut field.ty {
                num.range = facts.narrow(super::facts::Subject::Field(LayerId(0), at), num.range);
            }
        }
        self.program.headers[id.index()].rules.push(Rule { condition });
    }

    fn region(
        &mut self,
        module: usize,
        id: HeaderId,
        field: &ast::HeaderField,
        element: &ast::Type,
        bytes: &ast::Expr,
    ) {
        let element = self.region_element(module, element);
        let mut body = BodyChecker::new(self, module, Place::Rule(id));
        let bytes = body.expr(bytes, None);
        let allowed = Range::new(0, MAX_REGION);
        match &bytes.ty {
            Ty::Error => return,
            Ty::Num(num) if num.kind == NumKind::Int && num.range.within(allowed) => {}
            Ty::Num(num) if num.kind == NumKind::Int => {
                let range = num.range;
                let diagnostic =
                    Diagnostic::error(packets::BAD_REGION, "the length of a region may be impossible")
                        .label(bytes.span, format!("this can be {range} bytes"))
                        .label(field.name.span, format!("a region has 0 to {MAX_REGION} bytes"));
                self.report(if range.min < 0 {
                    diagnostic
                        .help("say with `where` which headers are valid, such as `ihl: u4 where ihl >= 5`")
                } else {
                    diagnostic
                });
                return;
            }
            other => {
                let found = other.describe(&self.program);
                self.report(
                    Diagnostic::error(types::MISMATCH, "a number of bytes is expected here")
                        .label(bytes.span, format!("this is `{found}`")),
                );
                return;
            }
        }
        self.program.headers[id.index()].region =
            Some(Region { name: field.name.name.clone(), bytes, element });
    }

    /// The element of a region is a header, or bytes.
    fn region_element(&mut self, module: usize, element: &ast::Type) -> Option<HeaderId> {
        if let ast::TypeKind::Named { path, args } = &element.kind
            && let ([name], []) = (path.parts.as_slice(), args.as_slice())
        {
            if name.name == "u8" {
                return None;
            }
            match self.decls.scopes[module].get(&name.name) {
                Some((Def::Header(id), _)) => return Some(id),
                Some((Def::Error, _)) => return None,
                _ => {}
            }
        }
        self.report(
            Diagnostic::error(packets::BAD_REGION, "a region consists of headers, or of bytes")
                .label(element.span, "the name of a header, or `u8`, is expected here"),
        );
        None
    }

    /// The header that a name stands for.
    pub(super) fn header_named(&mut self, module: usize, spelled: &str, span: Span) -> Option<HeaderId> {
        let diagnostic = match self.decls.scopes[module].get(spelled) {
            Some((Def::Header(id), _)) => return Some(id),
            Some((Def::Error, _)) => return None,
            Some((other, declared)) => {
                Diagnostic::error(packets::BAD_LAYER, format!("`{spelled}` is no header"))
                    .label(span, format!("this is {}", other.describe()))
                    .label(declared, "named here")
            }
            None => {
                let scope = &self.decls.scopes[module];
                let known =
                    scope.names().filter(|(_, def)| matches!(def, Def::Header(_))).map(|(name, _)| name);
                let diagnostic =
                    Diagnostic::error(packets::BAD_LAYER, format!("there is no header `{spelled}` here"))
                        .label(span, "not known here");
                match nearest(spelled, known) {
                    Some(near) => diagnostic.suggest(span, near, format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!(
                        "headers are declared in the file or brought in: `use std.net.{spelled};` for one of the standard library",
                    )),
                }
            }
        };
        self.report(diagnostic);
        None
    }
}
