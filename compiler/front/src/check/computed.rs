//! Structs that are computed from headers: `struct session(ip: ip, tcp: tcp) { … }`.

use oko_diagnostics::Diagnostic;
use oko_diagnostics::Span;
use oko_diagnostics::codes::packets;
use oko_grammar::ast;

use super::Checker;
use super::body::{Binding, BodyChecker, Place};
use crate::hir::{Body, Computed, Expr, ExprKind, FieldKind, HeaderId, Layer, StructId};
use crate::resolve::Def;
use crate::types::Ty;

impl Checker<'_, '_> {
    /// What the structs with parameters are computed from, so that they can be called.
    pub(super) fn computed_params(&mut self) {
        for at in 0..self.decls.structs.len() {
            let (module, ast) = (self.decls.structs[at].module, self.decls.structs[at].ast);
            let Some(params) = &ast.params else { continue };
            let mut names: Vec<(String, Span)> = Vec::new();
            let mut layers = Vec::new();
            for param in params {
                let headers = self.param_headers(module, &param.ty);
                layers.push(Layer::new(headers, &self.program));
                names.push((param.name.name.clone(), param.span));
            }
            let body = Body { locals: Vec::new(), layers, value: Expr::error(ast.name.span) };
            self.program.structs[at].computed = Some(Computed { params: names, body });
        }
    }

    /// The headers that a parameter can be.
    fn param_headers(&mut self, module: usize, ty: &ast::Type) -> Vec<HeaderId> {
        if let ast::TypeKind::Named { path, args } = &ty.kind
            && let ([name], []) = (path.parts.as_slice(), args.as_slice())
        {
            match self.decls.scopes[module].get(&name.name) {
                Some((Def::Header(id), _)) => return vec![id],
                Some((Def::Union(id), _)) => return self.union_headers(id),
                Some((Def::Error, _)) => return Vec::new(),
                _ => {}
            }
        }
        self.report(
            Diagnostic::error(packets::BAD_COMPUTED, "a struct is computed from headers")
                .label(ty.span, "the name of a header or of a union of headers is expected here"),
        );
        Vec::new()
    }

    /// How the structs with parameters are computed.
    pub(super) fn computed_bodies(&mut self) {
        for at in 0..self.decls.structs.len() {
            let (module, ast) = (self.decls.structs[at].module, self.decls.structs[at].ast);
            let Some(params) = &ast.params else { continue };
            let id = StructId::from_index(at);
            let declared = self.program.structs[at].computed.take();
            let layers = declared.map(|computed| computed.body.layers).unwrap_or_default();
            let mut body = BodyChecker::new(self, module, Place::Computed(id));
            body.layers = layers;
            for (at, param) in params.iter().enumerate() {
                body.names
                    .push((param.name.name.clone(), Binding::Layer(crate::hir::LayerId::from_index(at))));
            }
            let fields: Vec<(Ty, Span)> = (body.checker.program.structs[at].fields.iter())
                .map(|field| match &field.kind {
                    FieldKind::Value(ty) => (ty.clone(), field.span),
                    FieldKind::Cell(_) => (Ty::Error, field.span),
                })
                .collect();
            let mut values = Vec::new();
            let mut failed = false;
            for (ty, span) in fields {
                let source = ast.fields.iter().find(|field| field.span == span);
                let Some(value) = source.and_then(|field| field.value.as_ref()) else {
                    body.report(
                        Diagnostic::error(packets::BAD_COMPUTED, "this field is not computed")
                            .label(span, "has no value")
                            .label(ast.name.span, "all fields of a struct with parameters have one")
                            .help("write how it is computed: `port: u16 = tcp.dst_port`"),
                    );
                    failed = true;
                    continue;
                };
                let value = body.expect(value, &ty, span);
                failed |= value.ty.is_error();
                values.push(value);
            }
            let (locals, layers) = (body.locals, body.layers);
            let span = ast.name.span;
            let value = if failed {
                Expr::error(span)
            } else {
                Expr::new(ExprKind::Tuple(values), Ty::Struct(id), span)
            };
            let names = params.iter().map(|param| (param.name.name.clone(), param.span)).collect();
            let body = Body { locals, layers, value };
            self.program.structs[at].computed = Some(Computed { params: names, body });
        }
    }
}

impl BodyChecker<'_, '_, '_> {
    /// `session(ip, tcp)`
    pub(super) fn compute_struct(&mut self, id: StructId, args: &[ast::Arg], span: Span) -> Expr {
        let def = &self.checker.program.structs[id.index()];
        let (name, declared) = (def.name.clone(), def.span);
        let Some(computed) = &def.computed else { return Expr::error(span) };
        let params: Vec<(String, Vec<HeaderId>)> = (computed.params.iter().zip(&computed.body.layers))
            .map(|((name, _), layer)| (name.clone(), layer.headers.clone()))
            .collect();
        let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
        if !self.arguments_match(&name, declared, &names, args, "computed here", span) {
            return Expr::error(span);
        }
        let mut layers = Vec::new();
        for (arg, (param, headers)) in args.iter().zip(&params) {
            match self.header_argument(&arg.value, param, headers, declared) {
                Some(layer) => layers.push(layer),
                None => return Expr::error(span),
            }
        }
        Expr::new(ExprKind::Compute(id, layers), Ty::Struct(id), span)
    }

    /// The header that is given for a parameter.
    fn header_argument(
        &mut self,
        value: &ast::Expr,
        param: &str,
        headers: &[HeaderId],
        declared: Span,
    ) -> Option<crate::hir::LayerId> {
        let wanted = |body: &Self| {
            let names: Vec<String> = headers
                .iter()
                .map(|id| format!("`{}`", body.checker.program.headers[id.index()].name))
                .collect();
            names.join(" or ")
        };
        if let ast::ExprKind::Name(name) = &value.kind {
            match self.binding(&name.name) {
                Some(Binding::Layer(layer)) => {
                    let found = &self.layers[layer.index()].headers;
                    if headers.is_empty() || found.is_empty() {
                        return None;
                    }
                    if let Some(other) = found.iter().find(|header| !headers.contains(header)) {
                        let other = &self.checker.program.headers[other.index()].name;
                        let diagnostic = Diagnostic::error(
                            packets::BAD_COMPUTED,
                            format!("`{param}` cannot be the header `{other}`"),
                        )
                        .label(value.span, format!("can be `{other}`"))
                        .label(declared, format!("`{param}` is {}", wanted(self)));
                        self.report(diagnostic);
                        return None;
                    }
                    return Some(layer);
                }
                Some(Binding::Sometimes(_)) => {
                    self.only_sometimes(name);
                    return None;
                }
                Some(Binding::Local(id)) if self.locals[id.index()].ty == Ty::Error => return None,
                _ => {}
            }
        }
        let wanted = wanted(self);
        self.report(
            Diagnostic::error(packets::BAD_COMPUTED, format!("a header is expected for `{param}`"))
                .label(value.span, "no header that was found here")
                .label(declared, format!("`{param}` is {wanted}"))
                .help("name a header of the arm around this"),
        );
        None
    }
}
