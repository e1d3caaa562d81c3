//! Names in expressions, and the fields behind a dot.

use oko_diagnostics::codes::{names, packets, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{Binding, BodyChecker, Place};
use super::facts::{Subject, subject_of};
use crate::hir::{Content, Expr, ExprKind, FieldKind, LayerId, ParamId, Shape};
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{NOW_MAX, Num, NumKind, Range, Ty, Wide, WideRange};

/// What to do where a filter is named as if it were a value or a function.
pub(super) const FILTERS_ARE_ASKED: &str =
    "filters are asked by flow entries; what several of them need is computed by a `fn`";

impl BodyChecker<'_, '_, '_> {
    /// What a name in this body stands for.
    pub(super) fn binding(&self, name: &str) -> Option<Binding> {
        self.names.get(name)
    }

    /// What a name stands for that no body has given a meaning.
    pub(super) fn def(&self, name: &str) -> Option<(Def, Span)> {
        self.checker.decls.scopes[self.module].get(name)
    }

    /// A name as a value.
    pub(super) fn name(&mut self, name: &ast::Ident, expected: Option<&Ty>) -> Expr {
        let span = name.span;
        match self.binding(&name.name) {
            Some(Binding::Local(id)) => {
                if let Some((_, used)) = self.checker.bindings.get_mut(&self.locals[id.index()].span) {
                    *used = true;
                }
                let ty = self.locals[id.index()].ty.clone();
                return Expr::new(ExprKind::Local(id), self.narrowed(Subject::Local(id), ty), span);
            }
            Some(Binding::Layer(_)) => {
                self.report(
                    Diagnostic::error(
                        packets::HEADER_AS_VALUE,
                        format!("the header `{}` is no value", name.name),
                    )
                    .label(span, "only its fields are")
                    .help(format!("write `{}.` and the name of a field", name.name)),
                );
                return Expr::error(span);
            }
            Some(Binding::Sometimes(_)) => return self.only_sometimes(name),
            Some(Binding::Packet(_)) => return self.packet_as_value(name),
            None => {}
        }
        if let Place::Rule(header) = self.place
            && let Some(field) = self.checker.program.headers[header.index()]
                .fields
                .iter()
                .position(|field| field.name == name.name)
        {
            return self.layer_field(LayerId(0), field, span);
        }
        if name.name == "now" {
            return self.packet_value(ExprKind::Now, "`now`", now_type(), span);
        }
        if name.name == "emitted" && self.test.is_some() && self.def("emitted").is_none() {
            return self.emitted(span);
        }
        if name.name == "pkt" {
            self.report(
                Diagnostic::error(packets::HEADER_AS_VALUE, "the packet is no value")
                    .label(span, "its headers are found with `match pkt { … }`")
                    .help("`pkt.len` is its length in bytes, `pkt.in_port` the port it came in by"),
            );
            return Expr::error(span);
        }
        match self.def(&name.name) {
            Some((def, declared)) => self.declared(name, def, declared, expected),
            None => match self.variant(&name.name, expected, span) {
                Some(value) => value,
                // Compared with something that was reported: the name may be a variant of its type.
                None if expected == Some(&Ty::Error) => Expr::error(span),
                None => self.unknown_name(name),
            },
        }
    }

    fn declared(&mut self, name: &ast::Ident, def: Def, declared: Span, expected: Option<&Ty>) -> Expr {
        let span = name.span;
        match def {
            Def::Error => Expr::error(span),
            Def::Const(at) => self.checker.const_value(at, span),
            Def::Param(id) => self.param(id, span),
            Def::State(id) | Def::Table(id) => {
                if let Some(value) = self.read_single(name, id) {
                    return value;
                }
                if let Some(def) = self.checker.program.states.get(id.index())
                    && let (Shape::Single, Content::Cell(cell)) = (&def.shape, &def.content)
                {
                    let kind = cell.kind;
                    return self.cell_as_value(kind, span);
                }
                self.report(
                    Diagnostic::error(
                        oko_diagnostics::codes::state::STATE_AS_VALUE,
                        format!("the {} `{}` is no value", kind_of(def), name.name),
                    )
                    .label(span, "only its entries are")
                    .label(declared, format!("declared as {} here", def.describe()))
                    .help(format!("read an entry with `{}[key]`", name.name)),
                );
                Expr::error(span)
            }
            other => {
                if let Some(value) = self.variant(&name.name, expected, span) {
                    return value;
                }
                let diagnostic =
                    Diagnostic::error(names::NOT_A_VALUE, format!("`{}` is no value", name.name))
                        .label(span, format!("this is {}", other.describe()))
                        .label(declared, "named here");
                self.report(match other {
                    Def::Header(_) if self.test.is_some() => diagnostic.help(format!(
                        "a packet is built by calls: `{0}()`, or `{0}(…)` with values for its fields",
                        name.name
                    )),
                    Def::Header(_) | Def::Union(_) => diagnostic.help(format!(
                        "the fields of `{0}` can be named where it was found: `match pkt {{ {0} => … }}`",
                        name.name
                    )),
                    Def::Fn(_) => diagnostic.help(format!("call it: `{}(…)`", name.name)),
                    Def::Filter => diagnostic.help(FILTERS_ARE_ASKED),
                    _ => diagnostic,
                });
                Expr::error(span)
            }
        }
    }

    fn param(&mut self, id: ParamId, span: Span) -> Expr {
        if matches!(self.place, Place::Constant | Place::Rule(_)) {
            self.report(
                Diagnostic::error(types::NOT_CONSTANT, "a param can change while packets come")
                    .label(span, "a value that stays the same is needed here")
                    .help("use a `const`"),
            );
            return Expr::error(span);
        }
        self.checker.param(id.index(), span);
        let ty = self.checker.program.params[id.index()].ty.clone();
        Expr::new(ExprKind::Param(id), self.narrowed(Subject::Param(id), ty), span)
    }

    /// Something that every packet brings.
    fn packet_value(&mut self, kind: ExprKind, what: &str, ty: Ty, span: Span) -> Expr {
        match self.place {
            Place::Filter => Expr::new(kind, ty, span),
            Place::Computed(_) => {
                self.report(
                    Diagnostic::error(
                        packets::ONLY_IN_FILTERS,
                        format!("{what} can only be asked for in a filter"),
                    )
                    .label(span, "a struct is computed from headers only")
                    .help("use a tuple of the struct and this as the key"),
                );
                Expr::error(span)
            }
            Place::Test if matches!(kind, ExprKind::Now) => Expr::new(kind, ty, span),
            Place::Test => {
                self.not_in_tests(
                    "there is no packet here",
                    span,
                    "ask a filter about a packet: `expect NAME(packet)`",
                );
                Expr::error(span)
            }
            Place::Function(_) => {
                self.report(
                    Diagnostic::error(
                        packets::ONLY_IN_FILTERS,
                        format!("{what} can only be asked for in a filter"),
                    )
                    .label(span, "a function depends on its arguments only")
                    .help("give it to the function as an argument"),
                );
                Expr::error(span)
            }
            _ => {
                self.report(
                    Diagnostic::error(types::NOT_CONSTANT, format!("{what} is different for every packet"))
                        .label(span, "a value that is known beforehand is needed here")
                        .help("what is remembered from one packet to the next is a `state`"),
                );
                Expr::error(span)
            }
        }
    }

    /// The variant of an enum or bits type with this name: of the expected type, or of the only type in sight that has it.
    pub(super) fn variant(&mut self, name: &str, expected: Option<&Ty>, span: Span) -> Option<Expr> {
        let expected = match expected {
            Some(Ty::Option(inner)) => Some(&**inner),
            other => other,
        };
        if let Some(ty @ (Ty::Enum(_) | Ty::Bits(_))) = expected
            && let Some(value) = self.variant_of(ty, name)
        {
            return Some(Expr::new(ExprKind::Const(vec![value]), ty.clone(), span));
        }
        let known = self.checker.variants_in_sight(self.module).get(name).cloned().unwrap_or_default();
        let mut found: Vec<(Ty, u64)> = Vec::new();
        for (owner, ty, value) in known {
            // The type is used by the name of its variant.
            self.def(&owner);
            found.push((ty, value));
        }
        match found.as_slice() {
            [] => None,
            [(ty, value)] => Some(Expr::new(ExprKind::Const(vec![*value]), ty.clone(), span)),
            several => {
                let mut types: Vec<String> =
                    several.iter().map(|(ty, _)| format!("`{}.{name}`", self.describe(ty))).collect();
                types.sort();
                self.report(
                    Diagnostic::error(names::AMBIGUOUS, format!("`{name}` can mean several things"))
                        .label(span, "nothing here says which one is meant")
                        .help(format!("write one of {}", types.join(", "))),
                );
                Some(Expr::error(span))
            }
        }
    }

    /// The number of a variant of a type.
    pub(super) fn variant_of(&self, ty: &Ty, name: &str) -> Option<u64> {
        self.variants(ty).iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// All variants of a type; none of one that is not looked at yet, since types may name each other.
    pub(super) fn variants(&self, ty: &Ty) -> &[(String, u64)] {
        let program = &self.checker.program;
        match ty {
            Ty::Enum(id) => program.enums.get(id.index()).map_or(&[], |def| &def.variants),
            Ty::Bits(id) => program.bits.get(id.index()).map_or(&[], |def| &def.variants),
            _ => &[],
        }
    }

    fn unknown_name(&mut self, name: &ast::Ident) -> Expr {
        let suggestion = if self.checker.suggests() { self.near_name(&name.name) } else { None };
        let diagnostic = Diagnostic::error(names::UNKNOWN, format!("there is no `{}` here", name.name))
            .label(name.span, "not known here");
        let header = self.checker.program.headers.iter().any(|header| header.name == name.name);
        self.report(match suggestion {
            Some(near) => diagnostic.suggest(name.span, near.clone(), format!("did you mean `{near}`?")),
            None if header => diagnostic.help(format!(
                "a header's fields can be named where it was found: `match pkt {{ {} => … }}`",
                name.name
            )),
            None => match foreign(&name.name) {
                Some(oko) => diagnostic.suggest(name.span, oko, format!("Oko writes `{oko}`")),
                None if matches!(name.name.as_str(), "s" | "sec" | "second") => diagnostic.help(
                    "a rate has its unit behind its number: `10pps`, `10Mbps`; so has a duration: `10s`",
                ),
                None => match name.name.as_str() {
                    "hdr" | "hdrs" | "headers" | "meta" | "standard_metadata" | "ctx" => diagnostic
                        .help("headers are found where they are used: `match pkt { ipv4 => ipv4.ttl < 5, _ => false }`"),
                    "continue" => diagnostic.help(
                        "the value of a turn is that of its body: `if … { sum } else { sum + 1 }` goes on with `sum` as it was",
                    ),
                    _ => diagnostic,
                },
            },
        });
        Expr::error(name.span)
    }

    /// The name in scope that is nearest to one that is unknown.
    fn near_name(&self, name: &str) -> Option<String> {
        let scope = &self.checker.decls.scopes[self.module];
        let mut known: Vec<&str> = self.names.iter().map(|(name, _)| name.as_str()).collect();
        known.extend(scope.names().map(|(name, _)| name));
        known.extend(["now", "pkt"]);
        for (_, def) in scope.names() {
            match def {
                Def::Enum(id) => {
                    known.extend(self.variants(&Ty::Enum(id)).iter().map(|(name, _)| name.as_str()));
                }
                Def::Bits(id) => {
                    known.extend(self.variants(&Ty::Bits(id)).iter().map(|(name, _)| name.as_str()));
                }
                _ => {}
            }
        }
        nearest(name, known).map(str::to_owned)
    }

    /// What stands behind a dot.
    pub(super) fn field(&mut self, base: &ast::Expr, name: &ast::Ident, span: Span) -> Expr {
        if self.state_root(base).is_some() {
            return self.state_field(base, name, span);
        }
        if let Some(layer) = self.region_of(base) {
            return self.region_len(layer, name, span);
        }
        if let ast::ExprKind::Name(owner) = &base.kind {
            match self.binding(&owner.name) {
                Some(Binding::Layer(layer)) => return self.header_field(layer, owner, name, span),
                Some(Binding::Sometimes(_)) => return self.only_sometimes(owner),
                Some(Binding::Local(_)) => {}
                Some(Binding::Packet(_)) => return self.packet_as_value(owner),
                None => match (owner.name.as_str(), self.def(&owner.name)) {
                    ("pkt", _) => return self.packet_field(name, span),
                    (_, Some((Def::Enum(id), declared))) => {
                        return self.variant_path(Ty::Enum(id), name, declared, span);
                    }
                    (_, Some((Def::Bits(id), declared))) => {
                        return self.variant_path(Ty::Bits(id), name, declared, span);
                    }
                    (_, Some((Def::Header(_) | Def::Union(_), _))) => {
                        return self.header_not_found(owner, name, span);
                    }
                    (_, None) if self.checker.program.headers.iter().any(|h| h.name == owner.name) => {
                        return self.header_not_found(owner, name, span);
                    }
                    _ => {}
                },
            }
        }
        let value = self.expr(base, None);
        match &value.ty {
            Ty::Error => Expr::error(span),
            Ty::Struct(id) => {
                let def = &self.checker.program.structs[id.index()];
                let found = def.fields.iter().enumerate().find(|(_, field)| field.name == name.name);
                match found.map(|(at, field)| (at, field.kind.clone())) {
                    Some((at, FieldKind::Value(ty))) => {
                        let part = Expr::new(ExprKind::Part(Box::new(value), at), ty.clone(), span);
                        let ty = subject_of(&part).map_or(ty.clone(), |subject| self.narrowed(subject, ty));
                        Expr { ty, ..part }
                    }
                    _ => {
                        let (what, declared) = (format!("`{}`", def.name), def.span);
                        let known: Vec<String> = def.fields.iter().map(|field| field.name.clone()).collect();
                        self.no_field(&what, declared, name, &known)
                    }
                }
            }
            Ty::Option(_) => {
                self.report(
                    Diagnostic::error(types::MAYBE_NONE, "this value can be `none`, which has no fields")
                        .label(value.span, "can be `none`")
                        .help("use `match`: `none => …, let value => …`"),
                );
                Expr::error(span)
            }
            other => {
                let what = self.describe(other);
                let diagnostic = Diagnostic::error(names::UNKNOWN_FIELD, format!("`{what}` has no fields"))
                    .label(name.span, "nothing has this name here");
                let bit = name.name.to_uppercase();
                let asked =
                    self.variant_of(other, &bit).and_then(|_| self.checker.sources.snippet(base.span));
                let asked =
                    asked.filter(|_| matches!(other, Ty::Bits(_))).map(|base| format!("{base} has {bit}"));
                self.report(match asked {
                    Some(asked) => diagnostic.suggest(span, asked.clone(), format!("write `{asked}`")),
                    None => diagnostic,
                });
                Expr::error(span)
            }
        }
    }

    fn packet_field(&mut self, name: &ast::Ident, span: Span) -> Expr {
        let (kind, subject, what) = match name.name.as_str() {
            "len" => (ExprKind::PacketLen, Subject::PacketLen, "the packet's length"),
            "in_port" => (ExprKind::InPort, Subject::InPort, "the packet's port"),
            _ => return self.no_field("a packet", span, name, &["len".into(), "in_port".into()]),
        };
        let ty = self.narrowed(subject, Ty::uint(32));
        self.packet_value(kind, what, ty, span)
    }

    fn variant_path(&mut self, ty: Ty, name: &ast::Ident, declared: Span, span: Span) -> Expr {
        match self.variant_of(&ty, &name.name) {
            Some(value) => Expr::new(ExprKind::Const(vec![value]), ty, span),
            None => {
                let what = format!("`{}`", self.describe(&ty));
                let known: Vec<String> = self.variants(&ty).iter().map(|(name, _)| name.clone()).collect();
                self.no_field(&what, declared, name, &known)
            }
        }
    }

    fn header_field(&mut self, layer: LayerId, owner: &ast::Ident, name: &ast::Ident, span: Span) -> Expr {
        let found = &self.layers[layer.index()];
        let header = match found.headers.as_slice() {
            [header] => *header,
            [] => return Expr::error(span),
            _ => return self.common_field(layer, owner, name, span),
        };
        let def = &self.checker.program.headers[header.index()];
        if let Some(at) = def.fields.iter().position(|field| field.name == name.name) {
            return self.layer_field(layer, at, span);
        }
        if def.region.as_ref().is_some_and(|region| region.name == name.name) {
            self.report(
                Diagnostic::error(
                    packets::REGION_AS_VALUE,
                    format!("the region `{}` is no value", name.name),
                )
                .label(span, "only its parts are")
                .help(format!(
                    "`for … in {0}.{1}` goes over it, `{0}.{1}[0]` is a byte, `{0}.{1}.len` its length",
                    owner.name, name.name
                )),
            );
            return Expr::error(span);
        }
        let (what, declared) = (format!("the header `{}`", owner.name), def.span);
        let known: Vec<String> = def.fields.iter().map(|field| field.name.clone()).collect();
        // `tcp.syn`, where it is the name of a bit in one of the fields.
        let bit = name.name.to_uppercase();
        let field = def.fields.iter().find(|field| self.variant_of(&field.ty, &bit).is_some());
        if let Some(asked) = field.map(|field| format!("{}.{} has {bit}", owner.name, field.name)) {
            self.report(
                Diagnostic::error(names::UNKNOWN_FIELD, format!("{what} has no `{}`", name.name))
                    .label(name.span, "a bit of one of its fields")
                    .suggest(span, asked.clone(), format!("write `{asked}`")),
            );
            return Expr::error(span);
        }
        self.no_field(&what, declared, name, &known)
    }

    /// A field of a header that is there.
    pub(super) fn layer_field(&mut self, layer: LayerId, field: usize, span: Span) -> Expr {
        let header = match self.place {
            Place::Rule(header) => Some(header),
            _ => match self.layers[layer.index()].headers.as_slice() {
                [header] => Some(*header),
                _ => None,
            },
        };
        let ty = match header {
            Some(header) => self.checker.program.headers[header.index()].fields[field].ty.clone(),
            None => self.layers[layer.index()].common[field].ty.clone(),
        };
        Expr::new(ExprKind::Field(layer, field), self.narrowed(Subject::Field(layer, field), ty), span)
    }

    /// A field that all headers have that a layer can be.
    fn common_field(&mut self, layer: LayerId, owner: &ast::Ident, name: &ast::Ident, span: Span) -> Expr {
        let found = &self.layers[layer.index()];
        if let Some(at) = found.common.iter().position(|field| field.name == name.name) {
            return self.layer_field(layer, at, span);
        }
        let program = &self.checker.program;
        let headers: Vec<_> = found.headers.iter().map(|id| &program.headers[id.index()]).collect();
        let have = |header: &&&crate::hir::HeaderDef| {
            let region = header.region.as_ref().is_some_and(|region| region.name == name.name);
            region || header.fields.iter().any(|field| field.name == name.name)
        };
        let example = headers.iter().find(have).map(|header| header.name.clone());
        let with: Vec<String> =
            headers.iter().filter(have).map(|header| format!("`{}`", header.name)).collect();
        let known: Vec<String> = found.common.iter().map(|field| field.name.clone()).collect();
        if with.is_empty() {
            return self.no_field(&format!("`{}`", owner.name), owner.span, name, &known);
        }
        let without: Vec<String> = headers
            .iter()
            .filter(|header| !have(header))
            .map(|header| format!("`{}`", header.name))
            .collect();
        let diagnostic = Diagnostic::error(
            packets::NOT_COMMON,
            format!("not every header that `{}` stands for has such a `{}`", owner.name, name.name),
        )
        .label(
            name.span,
            if without.is_empty() {
                "of types that have nothing in common".to_owned()
            } else {
                format!("{} has it, {} has not", with.join(", "), without.join(", "))
            },
        )
        .help(match example {
            Some(header) => format!(
                "ask which one it is, and name it: `match {} {{ {header} => … {header}.{} …, _ => … }}`",
                owner.name, name.name
            ),
            None => "write an arm for each header".to_owned(),
        });
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        self.report(if known.is_empty() {
            diagnostic
        } else {
            diagnostic.note(format!("they have {} in common", known.join(", ")))
        });
        Expr::error(span)
    }

    fn header_not_found(&mut self, owner: &ast::Ident, name: &ast::Ident, span: Span) -> Expr {
        let here: Vec<String> = self
            .names
            .iter()
            .filter(|(_, binding)| matches!(binding, Binding::Layer(_)))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let diagnostic = Diagnostic::error(
            packets::NOT_MATCHED,
            format!("`{}.{}` is only known where the header was found", owner.name, name.name),
        )
        .label(span, format!("no arm around this has matched `{}`", owner.name))
        .help(format!("write it in an arm: `match pkt {{ {} => … }}`", owner.name));
        self.report(match here.as_slice() {
            [] => diagnostic,
            found => diagnostic.note(format!("headers found here: {}", found.join(", "))),
        });
        Expr::error(span)
    }

    /// Reports a name behind a dot that does not exist.
    pub(super) fn no_field(
        &mut self,
        what: &str,
        declared: Span,
        name: &ast::Ident,
        known: &[String],
    ) -> Expr {
        let mut diagnostic =
            Diagnostic::error(names::UNKNOWN_FIELD, format!("{what} has no `{}`", name.name))
                .label(name.span, "nothing has this name here");
        if declared != name.span && !declared.is_empty() && declared.end <= name.span.start
            || declared.file != name.span.file
        {
            diagnostic = diagnostic.label(declared, "declared here");
        }
        let near = nearest(&name.name, known.iter().map(String::as_str)).or_else(|| {
            let length = matches!(name.name.as_str(), "length" | "size" | "count" | "bytes");
            (length && known.iter().any(|known| known == "len")).then_some("len")
        });
        self.report(match near {
            Some(near) => diagnostic.suggest(name.span, near, format!("did you mean `{near}`?")),
            None if matches!(name.name.as_str(), "payload" | "data" | "body") => diagnostic
                .help("bytes are read as fields of a header: declare one, and say behind which it comes, as in `extend udp next by dst_port { 4000 => mine }`"),
            None => {
                let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                diagnostic.note(format!("it has {}", known.join(", ")))
            }
        });
        Expr::error(name.span)
    }

    /// The type with what the facts say about the subject.
    fn narrowed(&self, subject: Subject, ty: Ty) -> Ty {
        match ty {
            Ty::Num(num) => Ty::Num(Num { range: self.facts.narrow(subject, num.range), ..num }),
            Ty::Wide(wide) => {
                let range = self.facts.narrow(subject, wide.range.shifted());
                Ty::Wide(Wide { range: WideRange::of_shifted(range), ..wide })
            }
            other => other,
        }
    }
}

/// The type of `now`.
fn now_type() -> Ty {
    Ty::Num(Num { kind: NumKind::Instant, bits: 63, range: Range::new(1, i128::from(NOW_MAX)) })
}

/// What to call a state or table.
fn kind_of(def: Def) -> &'static str {
    if matches!(def, Def::Table(_)) { "table" } else { "state" }
}

/// What a name that other languages have is in Oko.
fn foreign(name: &str) -> Option<&'static str> {
    Some(match name {
        "null" | "nil" | "None" | "NULL" | "undefined" => "none",
        "True" | "TRUE" => "true",
        "False" | "FALSE" => "false",
        "packet" | "skb" | "frame" => "pkt",
        "time" | "timestamp" | "nsecs" | "ktime" | "clock" => "now",
        _ => return None,
    })
}
