//! Packets of tests: builders, `reply`, `with`, and bytes in hexadecimal.
//!
//! A packet is no value: it can be named, built upon and given to filters. Its headers are known when the test is checked, so a field
//! that is not there is reported where it is written.

use oko_diagnostics::codes::{names, tests, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{Binding, BodyChecker};
use crate::hir::{Expr, ExprKind, HeaderId};
use crate::packets::graph;
use crate::plan::{Build, Change, Layer, PacketId, Payload, StepKind, ValueId};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Num, NumKind, Range, Ty};

/// The names of what makes packets without being a header.
const MAKERS: &[&str] = &["reply", "packet", "payload"];

/// The most bytes of a packet that a test builds.
const MAX_BYTES: u64 = 65_535;

impl BodyChecker<'_, '_, '_> {
    /// Whether an expression makes a packet, as far as its form tells.
    pub(super) fn is_packet(&self, expr: &ast::Expr) -> bool {
        if self.test.is_none() {
            return false;
        }
        match &expr.kind {
            ast::ExprKind::Name(name) => matches!(self.binding(&name.name), Some(Binding::Packet(_))),
            ast::ExprKind::Paren(inner) => self.is_packet(inner),
            ast::ExprKind::Binary { op: ast::BinaryOp::Div, left, right, .. } => {
                self.is_packet(left) || self.begins_unknown(left) && self.is_packet(right)
            }
            ast::ExprKind::Call { callee, .. } => match &callee.kind {
                ast::ExprKind::Name(name) => self.makes_packet(name),
                ast::ExprKind::Field { base, .. } => self.is_packet(base),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a chain of calls begins with one of something that nothing is called: a header by a name that it does not have.
    fn begins_unknown(&self, expr: &ast::Expr) -> bool {
        match &expr.kind {
            ast::ExprKind::Binary { op: ast::BinaryOp::Div, left, .. } => self.begins_unknown(left),
            ast::ExprKind::Call { callee, .. } => {
                matches!(&callee.kind, ast::ExprKind::Name(name) if self.def(&name.name).is_none() && self.binding(&name.name).is_none())
            }
            _ => false,
        }
    }

    fn makes_packet(&self, name: &ast::Ident) -> bool {
        match self.def(&name.name) {
            Some((Def::Header(_) | Def::Union(_), _)) => true,
            Some(_) => false,
            None => MAKERS.contains(&name.name.as_str()) || self.builder(&name.name).is_some(),
        }
    }

    /// The header that a builder of this name makes: one that is in scope, or any header of the program, by its name or the name that
    /// `#[builder]` gives.
    fn builder(&self, name: &str) -> Option<HeaderId> {
        if let Some((Def::Header(id), _)) = self.def(name) {
            return Some(id);
        }
        let headers = &self.checker.program.headers;
        let by_name = headers.iter().position(|header| header.name == name && !header.is_form);
        let found =
            by_name.or_else(|| headers.iter().position(|header| header.builder.as_deref() == Some(name)));
        found.map(HeaderId::from_index)
    }

    /// The header that a union stands for here: the first of its members that has all the fields that are given, with types that their
    /// addresses have.
    fn union_member(&self, name: &str, args: &[ast::Arg]) -> Option<HeaderId> {
        let Some((Def::Union(id), _)) = self.def(name) else { return None };
        let members = &self.checker.program.unions.get(id.index())?.headers;
        let fits = |header: &&HeaderId| {
            let def = &self.checker.program.headers[header.index()];
            args.iter().all(|arg| {
                let field = arg
                    .name
                    .as_ref()
                    .and_then(|name| def.fields.iter().find(|field| field.name == name.name));
                match (field, &arg.value.kind) {
                    (None, _) => false,
                    (Some(field), ast::ExprKind::Literal(literal)) => match literal.kind {
                        ast::LiteralKind::Ip4 { .. } => field.ty == Ty::Ip4,
                        ast::LiteralKind::Ip6 { .. } => field.ty == Ty::Ip6,
                        _ => true,
                    },
                    _ => true,
                }
            })
        };
        members.iter().find(fits).or_else(|| members.first()).copied()
    }

    /// A packet, with the steps that make it; `None` where something was reported.
    pub(super) fn packet(&mut self, expr: &ast::Expr) -> Option<PacketId> {
        match &expr.kind {
            ast::ExprKind::Name(name) => match self.binding(&name.name) {
                Some(Binding::Packet(packet)) => Some(packet),
                Some(Binding::Local(id)) if self.locals[id.index()].ty.is_error() => None,
                _ => self.no_packet(expr),
            },
            ast::ExprKind::Paren(inner) => self.packet(inner),
            ast::ExprKind::Call { callee, args } => match &callee.kind {
                ast::ExprKind::Name(name) if name.name == "reply" && self.def("reply").is_none() => {
                    self.reply(args, expr.span)
                }
                ast::ExprKind::Name(name) if name.name == "packet" && self.def("packet").is_none() => {
                    self.packet_of_bytes(args, expr.span)
                }
                ast::ExprKind::Name(name) if self.makes_packet(name) => self.build(expr),
                ast::ExprKind::Field { base, name } if self.is_packet(base) => {
                    self.changed(base, name, args, expr.span)
                }
                _ => self.no_packet(expr),
            },
            ast::ExprKind::Binary { op: ast::BinaryOp::Div, .. } if self.is_packet(expr) => self.build(expr),
            _ => self.no_packet(expr),
        }
    }

    fn no_packet(&mut self, expr: &ast::Expr) -> Option<PacketId> {
        if let ast::ExprKind::Call { callee, args } = &expr.kind
            && let ast::ExprKind::Name(name) = &callee.kind
            && self.def(&name.name).is_none()
        {
            self.unknown_builder(name);
            self.look_at(args);
            return None;
        }
        let value = self.expr(expr, None);
        if !value.ty.is_error() {
            let found = self.describe(&value.ty);
            self.report(
                Diagnostic::error(tests::NOT_A_PACKET, "a packet is needed here")
                    .label(value.span, format!("this is `{found}`"))
                    .help("build one: `ipv4(src: 10.0.0.1) / tcp(dst_port: 80)`"),
            );
        }
        None
    }

    fn unknown_builder(&mut self, name: &ast::Ident) {
        if let Some((def, declared)) = self.def(&name.name).filter(|_| MAKERS.contains(&name.name.as_str())) {
            self.report(
                Diagnostic::error(names::UNKNOWN, format!("`{}` builds nothing in this file", name.name))
                    .label(name.span, format!("this is {} here", def.describe()))
                    .label(declared, "named here")
                    .help("give what is declared another name: tests build parts of packets by this one"),
            );
            return;
        }
        let headers = &self.checker.program.headers;
        let known = (headers.iter())
            .flat_map(|header| [Some(header.name.as_str()), header.builder.as_deref()])
            .flatten()
            .chain(MAKERS.iter().copied());
        let diagnostic =
            Diagnostic::error(names::UNKNOWN, format!("there is no header `{}` to build", name.name))
                .label(name.span, "not known here");
        let near = nearest(&name.name, known).map(str::to_owned);
        let near = near.or_else(|| match name.name.as_str() {
            "eth" | "ether" | "Ether" => self.builder("ethernet").map(|_| "ethernet".to_owned()),
            _ => None,
        });
        self.report(match near {
            Some(near) => diagnostic.suggest(name.span, near.clone(), format!("did you mean `{near}`?")),
            None => diagnostic.help(
                "headers are those of the modules that this file uses, such as `use std.net.{ip, tcp};`",
            ),
        });
    }

    fn made_packet(&mut self, build: Build, layers: Option<Vec<HeaderId>>, span: Span) -> PacketId {
        let text = self.checker.sources.snippet(span).unwrap_or_default().to_owned();
        let packet = self.new_packet(text, span, layers);
        self.step(StepKind::Build(packet, build), span);
        packet
    }

    /// The headers of a packet; reports where it was given as bytes.
    pub(super) fn layers_of(&mut self, packet: PacketId, what: &str, span: Span) -> Option<Vec<HeaderId>> {
        let def = self.test.as_ref()?.packets.get(packet.0)?;
        let (layers, made) = (def.layers.clone(), def.span);
        if layers.is_none() {
            self.report(
                Diagnostic::error(
                    tests::BYTES_ONLY,
                    format!("{what} needs a packet that was built from headers"),
                )
                .label(span, "of this packet only the bytes are known")
                .label(made, "made here"),
            );
        }
        layers
    }

    /// `reply(packet)`
    fn reply(&mut self, args: &[ast::Arg], span: Span) -> Option<PacketId> {
        let [ast::Arg { name: None, value, .. }] = args else {
            self.report(
                Diagnostic::error(types::ARGUMENTS, "`reply` takes one packet")
                    .label(span, format!("{} given", args.len())),
            );
            return None;
        };
        let packet = self.packet(value)?;
        let mut layers = self.layers_of(packet, "`reply`", value.span)?;
        for layer in &mut layers {
            *layer = self.checker.program.headers[layer.index()].reply.unwrap_or(*layer);
        }
        Some(self.made_packet(Build::Reply(packet), Some(layers), span))
    }

    /// `packet("0200 0000 0001 …")`
    fn packet_of_bytes(&mut self, args: &[ast::Arg], span: Span) -> Option<PacketId> {
        let [ast::Arg { name: None, value, .. }] = args else {
            self.report(
                Diagnostic::error(types::ARGUMENTS, "`packet` takes the bytes of a packet in hexadecimal")
                    .label(span, format!("{} given", args.len()))
                    .help("write them as a text: `packet(\"ffff ffff ffff 0200 0000 0001 0800\")`"),
            );
            return None;
        };
        let bytes = self.hex(value)?;
        Some(self.made_packet(Build::Bytes(bytes), None, span))
    }

    /// A text of hexadecimal digits as bytes.
    fn hex(&mut self, expr: &ast::Expr) -> Option<Vec<u8>> {
        let diagnostic =
            Diagnostic::error(tests::BAD_BYTES, "bytes are written as a text of hexadecimal digits");
        let ast::ExprKind::Literal(ast::Literal { kind: ast::LiteralKind::Str(text), .. }) = &expr.kind
        else {
            if !matches!(expr.kind, ast::ExprKind::Error) {
                self.report(diagnostic.label(expr.span, "write something like `\"0a 00 00 01\"`"));
            }
            return None;
        };
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(wrong) = digits.iter().find(|c| !c.is_ascii_hexdigit()) {
            self.report(
                diagnostic.label(expr.span, format!("`{}` is no such digit", wrong.escape_default())),
            );
            return None;
        }
        if !digits.len().is_multiple_of(2) {
            self.report(diagnostic.label(expr.span, format!("{} digits, and two make a byte", digits.len())));
            return None;
        }
        let value = |c: &char| c.to_digit(16).unwrap_or(0) as u8;
        Some(digits.chunks_exact(2).map(|pair| value(&pair[0]) << 4 | value(&pair[1])).collect())
    }

    /// `ipv4(src: …) / tcp(…) / payload("…")`
    fn build(&mut self, expr: &ast::Expr) -> Option<PacketId> {
        let mut parts = Vec::new();
        let mut rest = expr;
        while let ast::ExprKind::Binary { op: ast::BinaryOp::Div, left, right, .. } = &rest.kind {
            parts.push(&**right);
            rest = left;
        }
        parts.push(rest);
        parts.reverse();
        let mut layers: Vec<Layer> = Vec::new();
        let mut payload: Option<(Payload, Span)> = None;
        let mut failed = false;
        // A chain can begin with a packet, whose headers go in front.
        let mut base: Option<(PacketId, Vec<HeaderId>)> = None;
        if let [first, _, ..] = parts.as_slice()
            && self.is_whole_packet(first)
        {
            let packet = self.packet(first)?;
            base = Some((packet, self.layers_of(packet, "what is built upon it", first.span)?));
            parts.remove(0);
        }
        for part in parts {
            if let Some((_, span)) = payload {
                self.report(
                    Diagnostic::error(tests::CANNOT_FOLLOW, "nothing follows the payload")
                        .label(part.span, "behind the payload")
                        .label(span, "the payload"),
                );
                return None;
            }
            let ast::ExprKind::Call { callee, args } = &part.kind else {
                self.report(
                    Diagnostic::error(tests::NOT_A_PACKET, "a header is needed here")
                        .label(part.span, "this is no header")
                        .help("write the name of a header and brackets: `tcp(dst_port: 80)`"),
                );
                return None;
            };
            let ast::ExprKind::Name(name) = &callee.kind else {
                self.report(
                    Diagnostic::error(tests::NOT_A_PACKET, "a header is needed here")
                        .label(callee.span, "this is no header"),
                );
                return None;
            };
            if name.name == "payload" && self.def("payload").is_none() {
                match self.payload(args, part.span) {
                    Some(found) => payload = Some((found, part.span)),
                    None => failed = true,
                }
                continue;
            }
            let Some(header) = self.builder(&name.name).or_else(|| self.union_member(&name.name, args))
            else {
                self.unknown_builder(name);
                self.look_at(args);
                failed = true;
                continue;
            };
            let below = layers.last().map(|layer| layer.header);
            let below = below.or_else(|| base.as_ref().and_then(|(_, headers)| headers.last().copied()));
            match self.way(below, header, name) {
                Some(between) => layers.extend(between.into_iter().map(|header| Layer {
                    header,
                    fields: Vec::new(),
                    region: None,
                })),
                None => failed = true,
            }
            match self.header_args(header, args) {
                Some((fields, region)) => layers.push(Layer { header, fields, region }),
                None => failed = true,
            }
        }
        if failed {
            return None;
        }
        let payload = payload.map_or(Payload::Bytes(Vec::new()), |(payload, _)| payload);
        let own = layers.iter().map(|layer| layer.header);
        let (build, headers) = match base {
            Some((packet, below)) => {
                let headers = below.into_iter().chain(own).collect();
                (Build::Upon(packet, layers, payload), headers)
            }
            None => {
                let headers = own.collect();
                (Build::Layers(layers, payload), headers)
            }
        };
        Some(self.made_packet(build, Some(headers), expr.span))
    }

    /// Whether this is a packet rather than one of the headers that a packet is built from.
    fn is_whole_packet(&self, expr: &ast::Expr) -> bool {
        let is_header = match &expr.kind {
            ast::ExprKind::Call { callee, .. } => match &callee.kind {
                ast::ExprKind::Name(name) => {
                    !matches!(name.name.as_str(), "reply" | "packet") || self.def(&name.name).is_some()
                }
                _ => false,
            },
            _ => false,
        };
        !is_header && self.is_packet(expr)
    }

    /// The headers that lie between two that a packet is built from, by the shortest way; from the packet's start if there is
    /// none below.
    fn way(&mut self, from: Option<HeaderId>, to: HeaderId, name: &ast::Ident) -> Option<Vec<HeaderId>> {
        let program = &self.checker.program;
        let found = match from {
            None if program.root == Some(to) => Some(Vec::new()),
            None => program.root.and_then(|root| graph::shortest(program, root, to)).map(|mut way| {
                way.insert(0, program.root.unwrap_or(to));
                way
            }),
            Some(from) => graph::shortest(program, from, to),
        };
        if found.is_none() {
            let below = match from {
                Some(from) => format!("`{}`", program.headers[from.index()].name),
                None => "the start of a packet".to_owned(),
            };
            let declared = from.map(|from| program.headers[from.index()].span);
            let diagnostic = Diagnostic::error(
                tests::CANNOT_FOLLOW,
                format!("`{}` cannot come behind {below}", program.headers[to.index()].name),
            )
            .label(name.span, "no header leads here");
            self.report(match declared {
                Some(declared) => diagnostic.label(declared, "what follows this is said by its `next by`"),
                None => diagnostic,
            });
        }
        found
    }

    /// What is given for a header: its fields and the bytes of its region.
    #[allow(clippy::type_complexity)]
    fn header_args(
        &mut self,
        header: HeaderId,
        args: &[ast::Arg],
    ) -> Option<(Vec<(usize, ValueId)>, Option<Vec<u8>>)> {
        let mut fields: Vec<(usize, ValueId)> = Vec::new();
        let mut region = None;
        let mut failed = false;
        for arg in args {
            let def = &self.checker.program.headers[header.index()];
            let (header_name, declared) = (def.name.clone(), def.span);
            let Some(name) = &arg.name else {
                let example = def.fields.first().map_or("field", |field| field.name.as_str()).to_owned();
                // `flags: SYN, ACK`
                let bit = match &arg.value.kind {
                    ast::ExprKind::Name(name) => {
                        def.fields.iter().find(|field| self.variant_of(&field.ty, &name.name).is_some())
                    }
                    _ => None,
                };
                let bits = bit.map(|field| field.name.clone());
                let value = bits.is_none().then(|| self.expr(&arg.value, None));
                // One message for all of them, with a field that such a value is for.
                let more =
                    args.iter().take_while(|other| other.span != arg.span).any(|other| other.name.is_none());
                if std::mem::replace(&mut failed, true) && more {
                    continue;
                }
                let fields = &self.checker.program.headers[header.index()].fields;
                let like =
                    value.filter(|value| !matches!(value.ty, Ty::Num(_) | Ty::Error)).and_then(|value| {
                        fields.iter().find(|field| field.ty == value.ty).map(|field| field.name.clone())
                    });
                let example = like.unwrap_or(example);
                self.report(
                    Diagnostic::error(
                        types::ARGUMENTS,
                        format!("the fields of `{header_name}` are given by name"),
                    )
                    .label(arg.span, "which field is this?")
                    .help(match bits {
                        Some(field) => format!("several bits are joined with `|`: `{field}: SYN | ACK`"),
                        None => format!("write `{header_name}({example}: …)`"),
                    }),
                );
                continue;
            };
            if def.region.as_ref().is_some_and(|region| region.name == name.name) {
                match self.hex(&arg.value) {
                    Some(bytes) => region = Some(bytes),
                    None => failed = true,
                }
                continue;
            }
            match self.field_value(header, name, &arg.value) {
                Some((field, _)) if fields.iter().any(|(known, _)| *known == field) => {
                    self.report(
                        Diagnostic::error(names::DUPLICATE, format!("`{}` is given twice", name.name))
                            .label(name.span, "given again here")
                            .label(declared, "the header"),
                    );
                    failed = true;
                }
                Some((field, value)) => fields.push((field, value)),
                None => failed = true,
            }
        }
        (!failed).then_some((fields, region))
    }

    /// A value for a field: any that fits on the wire, so that packets can be built that the header's rules refuse.
    fn field_value(
        &mut self,
        header: HeaderId,
        name: &ast::Ident,
        value: &ast::Expr,
    ) -> Option<(usize, ValueId)> {
        let def = &self.checker.program.headers[header.index()];
        let Some(field) = def.fields.iter().position(|field| field.name == name.name) else {
            let (what, declared) = (format!("the header `{}`", def.name), def.span);
            let mut known: Vec<String> = def.fields.iter().map(|field| field.name.clone()).collect();
            known.extend(def.region.as_ref().map(|region| region.name.clone()));
            self.expr(value, None);
            self.no_field(&what, declared, name, &known);
            return None;
        };
        let declared = def.fields[field].span;
        let ty = match &def.fields[field].ty {
            Ty::Num(Num { kind: NumKind::Int, bits, .. }) => Ty::uint(*bits),
            other => other.clone(),
        };
        let value = self.expr(value, Some(&ty));
        let value = self.coerce(value, &ty, declared);
        if value.ty.is_error() || ty.is_error() {
            return None;
        }
        Some((field, self.test_value(value)))
    }

    /// `payload("text")`, `payload(hex: "00 ff")`, `payload(len: 100)`
    fn payload(&mut self, args: &[ast::Arg], span: Span) -> Option<Payload> {
        if let [arg] = args {
            match (arg.name.as_ref().map(|name| name.name.as_str()), &arg.value.kind) {
                (None, ast::ExprKind::Literal(ast::Literal { kind: ast::LiteralKind::Str(text), .. })) => {
                    return Some(Payload::Bytes(text.clone().into_bytes()));
                }
                (Some("hex"), _) => return self.hex(&arg.value).map(Payload::Bytes),
                (Some("len"), _) => {
                    let ty = Ty::Num(Num::computed(NumKind::Int, Range::new(0, i128::from(MAX_BYTES))));
                    let value = self.expect(&arg.value, &ty, span);
                    return (!value.ty.is_error()).then(|| Payload::Zeros(self.test_value(value)));
                }
                _ => {}
            }
        }
        self.look_at(args);
        self.report(
            Diagnostic::error(types::ARGUMENTS, "a payload is a text, bytes or a number of zeros")
                .label(span, "none of them")
                .help("write `payload(\"GET /\")`, `payload(hex: \"00 ff\")` or `payload(len: 100)`"),
        );
        None
    }

    /// `packet.with(flags: SYN | ACK)`
    fn changed(
        &mut self,
        base: &ast::Expr,
        name: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Option<PacketId> {
        if name.name != "with" {
            let diagnostic = Diagnostic::error(
                names::UNKNOWN_METHOD,
                format!("a packet has no operation `{}`", name.name),
            )
            .label(name.span, "not known here");
            self.report(match nearest(&name.name, ["with"]) {
                Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
                None => diagnostic.help("`.with(field: value)` makes a packet that differs in a field"),
            });
            return None;
        }
        let from = self.packet(base)?;
        let known = self.test.as_ref()?.packets.get(from.0)?.layers.clone();
        let mut changes = Vec::new();
        let mut failed = false;
        for arg in args {
            let Some(field) = &arg.name else {
                self.look_at(std::slice::from_ref(arg));
                self.report(
                    Diagnostic::error(types::ARGUMENTS, "what differs is given by name")
                        .label(arg.span, "which field is this?")
                        .help("write `.with(flags: SYN)`"),
                );
                failed = true;
                continue;
            };
            match self.change(from, field, arg) {
                Some(change) => changes.push(change),
                None => failed = true,
            }
        }
        (!failed).then(|| self.made_packet(Build::With(from, changes), known, span))
    }

    fn change(&mut self, from: PacketId, name: &ast::Ident, arg: &ast::Arg) -> Option<Change> {
        if name.name == "in_port" {
            let value = self.expect(&arg.value, &Ty::uint(32), name.span);
            return (!value.ty.is_error()).then(|| Change::InPort(self.test_value(value)));
        }
        let layers = self.layers_of(from, "`.with`", name.span)?;
        if name.name == "payload" {
            // `payload: "text"`, or `payload: payload(len: 100)`.
            if let ast::ExprKind::Call { callee, args } = &arg.value.kind
                && matches!(&callee.kind, ast::ExprKind::Name(name) if name.name == "payload")
            {
                return self.payload(args, arg.span).map(Change::Payload);
            }
            let unnamed = ast::Arg { name: None, ..arg.clone() };
            return self.payload(&[unnamed], arg.span).map(Change::Payload);
        }
        let headers = &self.checker.program.headers;
        let has =
            |header: &HeaderId| headers[header.index()].fields.iter().any(|field| field.name == name.name);
        let Some(layer) = layers.iter().rposition(has) else {
            let mut known: Vec<&str> = (layers.iter())
                .flat_map(|header| headers[header.index()].fields.iter().map(|field| field.name.as_str()))
                .collect();
            known.extend(["in_port", "payload"]);
            let near = nearest(&name.name, known).map(str::to_owned);
            let diagnostic = Diagnostic::error(
                names::UNKNOWN_FIELD,
                format!("no header of this packet has a field `{}`", name.name),
            )
            .label(name.span, "not in this packet");
            self.look_at(std::slice::from_ref(arg));
            self.report(match near {
                Some(near) => diagnostic.suggest(name.span, near.clone(), format!("did you mean `{near}`?")),
                None => diagnostic,
            });
            return None;
        };
        let (field, value) = self.field_value(layers[layer], name, &arg.value)?;
        Some(Change::Field(layer, field, value))
    }

    /// A packet where a value is needed.
    pub(super) fn packet_as_value(&mut self, name: &ast::Ident) -> Expr {
        self.report(
            Diagnostic::error(tests::NOT_A_PACKET, format!("the packet `{}` is no value", name.name))
                .label(name.span, "filters are asked about it")
                .help(format!("write `expect NAME({})` with the name of a filter", name.name)),
        );
        Expr { kind: ExprKind::Error, ty: Ty::Error, span: name.span }
    }
}
