//! Regions: the headers in one by one, its bytes, and its length.

use oko_diagnostics::codes::{packets, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{Binding, BodyChecker};
use super::loops::Turns;
use crate::hir::{Expr, ExprKind, HeaderId, Layer, LayerId, Over};
use crate::types::{NumKind, Ty};

impl BodyChecker<'_, '_, '_> {
    /// The layer whose region an expression names, such as `tcp.options`.
    pub(super) fn region_of(&self, of: &ast::Expr) -> Option<LayerId> {
        let ast::ExprKind::Field { base, name } = &of.kind else { return None };
        let ast::ExprKind::Name(owner) = &base.kind else { return None };
        let Some(Binding::Layer(layer)) = self.binding(&owner.name) else { return None };
        let [header] = self.layers[layer.index()].headers.as_slice() else { return None };
        let region = self.checker.program.headers[header.index()].region.as_ref()?;
        (region.name == name.name).then_some(layer)
    }

    fn region_header(&self, layer: LayerId) -> Option<HeaderId> {
        self.layers[layer.index()].headers.first().copied()
    }

    /// `for opt in tcp.options with … { … }`
    pub(super) fn for_region(
        &mut self,
        layer: LayerId,
        name: &ast::Ident,
        of: &ast::Expr,
        carried: &[ast::Carried],
        body: &ast::Block,
        span: Span,
    ) -> Expr {
        let Some(header) = self.region_header(layer) else { return Expr::error(span) };
        if let Some(update) = self.locked {
            self.report(
                Diagnostic::error(
                    oko_diagnostics::codes::state::IN_UPDATE,
                    "a region cannot be gone through within an `update`",
                )
                .label(of.span, "looks into the packet while the entry is being replaced")
                .label(update, "this `update` computes the entry's new value")
                .help("give what the loop finds a name with `let` in front of the `update`"),
            );
            return Expr::error(span);
        }
        let Some(region) = &self.checker.program.headers[header.index()].region else {
            return Expr::error(span);
        };
        let longest = region.bytes.range().map_or(0, |range| range.max);
        let Some(element) = region.element else {
            self.report(
                Diagnostic::error(packets::BAD_REGION, "this region consists of bytes")
                    .label(of.span, "a loop goes over headers in a region")
                    .help("read a byte with `[0]`, or declare the region with a header: `[tcp_option in …]`"),
            );
            return Expr::error(span);
        };
        let program = &self.checker.program;
        let forms = program.headers[element.index()].forms.iter().map(|form| form.header);
        let mut headers: Vec<HeaderId> = forms.collect();
        if headers.is_empty() {
            headers.push(element);
        }
        let shortest = headers.iter().map(|header| {
            let def = &program.headers[header.index()];
            let region =
                def.region.as_ref().and_then(|region| region.bytes.range()).map_or(0, |range| range.min);
            i128::from(def.size) + region
        });
        let shortest = shortest.min().unwrap_or(1).max(1);
        let turns = (longest / shortest).max(1);
        let what = format!("at most {longest} bytes, in elements of {shortest} or more");
        self.layers[layer.index()].placed = true;
        let Some(most) = self.few_turns(turns, of.span, what, Some("a shorter region takes fewer")) else {
            return Expr::error(span);
        };
        let turns = Turns { carried, body, most, span };
        self.carried_loop(&turns, &mut |body| {
            let id = LayerId::from_index(body.layers.len());
            body.layers.push(Layer::new(headers.clone(), &body.checker.program));
            body.names.push((name.name.clone(), Binding::Layer(id)));
            body.learn_rules(id);
            Some(Over::Region { region: layer, element: id, header: element, most })
        })
    }

    /// `tcp.options[0]`: a byte, or `none` where there is none.
    pub(super) fn region_byte(&mut self, layer: LayerId, index: &ast::Expr, span: Span) -> Expr {
        let index = self.expr(index, None);
        let index = self.must_have_value(index);
        match index.ty.num() {
            _ if index.ty.is_error() => return Expr::error(span),
            Some(num) if num.kind == NumKind::Int && num.range.min >= 0 => {}
            _ => {
                let found = self.describe(&index.ty);
                self.report(
                    Diagnostic::error(types::BAD_OPERAND, "a byte of a region has a number from 0 on")
                        .label(index.span, format!("this is `{found}`")),
                );
                return Expr::error(span);
            }
        }
        self.layers[layer.index()].placed = true;
        Expr::new(ExprKind::RegionByte(layer, Box::new(index)), Ty::uint(8).optional(), span)
    }

    /// `tcp.options.len`: the length that the header says.
    pub(super) fn region_len(&mut self, layer: LayerId, name: &ast::Ident, span: Span) -> Expr {
        if name.name != "len" {
            return self.no_field("a region", span, name, &["len".into()]);
        }
        let header = self.region_header(layer);
        let region = header.and_then(|header| self.checker.program.headers[header.index()].region.as_ref());
        match region {
            Some(region) => Expr::new(ExprKind::RegionLen(layer), region.bytes.ty.clone(), span),
            None => Expr::error(span),
        }
    }
}
