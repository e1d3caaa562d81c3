//! Enums, bits, structs, params and filters.

use std::collections::HashMap;

use oko_diagnostics::codes::{names, packets, results, state, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::body::{BodyChecker, Place};
use super::typename::MAX_SCALARS;
use super::{Checker, Progress};
use crate::cost::Budget;
use crate::hir::scalars;
use crate::hir::{BitsDef, Body, EnumDef, FieldKind, FilterDef, ParamDef, StructDef, StructField};
use crate::types::{Num, NumKind, Range, Ty};

/// The longest chain of constants or structs that need one another.
pub(super) const MAX_CHAIN: u32 = 32;

impl Checker<'_, '_> {
    /// The `enum`s and `bits` types.
    pub(super) fn named_numbers(&mut self) {
        for at in 0..self.decls.enums.len() {
            let (item, ast) = (self.decls.enums[at].item, self.decls.enums[at].ast);
            self.no_attributes(item);
            let declared =
                ast.ty.as_ref().and_then(|ty| self.plain_bits(at_module(&self.decls.enums[at]), ty));
            let variants =
                self.variants(&ast.variants, declared.map(|bits| Range::of_bits(bits).max as u64), None);
            let greatest = variants.iter().map(|(_, value)| *value).max().unwrap_or(0);
            let needed = Range::one(i128::from(greatest)).bits();
            let bits =
                declared.unwrap_or_else(|| [8, 16, 32, 64].into_iter().find(|b| *b >= needed).unwrap_or(64));
            if variants.is_empty() {
                self.report(
                    Diagnostic::error(types::EMPTY, format!("`{}` has no values", ast.name.name))
                        .label(ast.name.span, "at least one is needed"),
                );
            }
            self.program.enums.push(EnumDef {
                name: ast.name.name.clone(),
                span: ast.name.span,
                bits,
                variants,
            });
        }
        for at in 0..self.decls.bits.len() {
            let (item, ast) = (self.decls.bits[at].item, self.decls.bits[at].ast);
            self.no_attributes(item);
            let bits = self.plain_bits(at_module(&self.decls.bits[at]), &ast.ty).unwrap_or(64);
            let limit = u64::from(bits) - 1;
            let masks = self.note_masks(&ast.name, &ast.variants, limit);
            let positions = self.variants(&ast.variants, Some(limit), Some(masks));
            let variants = positions.into_iter().map(|(name, bit)| (name, 1 << bit.min(63))).collect();
            self.program.bits.push(BitsDef {
                name: ast.name.name.clone(),
                span: ast.name.span,
                bits,
                variants,
            });
        }
    }

    /// Warns of `bits flags: u8 { A = 1, B = 2, C = 4 }`: these are numbers of bits, and look like masks. Where one of
    /// them is no bit of the type, that is an error. `true` where something was said.
    fn note_masks(&mut self, name: &ast::Ident, variants: &[ast::Variant], limit: u64) -> bool {
        let numbers: Vec<_> = variants.iter().filter_map(|variant| variant.value).collect();
        let written_as_mask = numbers
            .iter()
            .any(|number| self.sources.snippet(number.span).is_some_and(|text| text.starts_with("0x")));
        let in_order = numbers.iter().enumerate().all(|(at, number)| number.value == 1 << at.min(100));
        let doubled = numbers.len() >= 3 && in_order;
        let powers = numbers.iter().all(|number| number.value.is_power_of_two() && number.value < 64);
        if numbers.len() < 2 || !(doubled || written_as_mask && powers) {
            return false;
        }
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        let bit = |number: u128| match u64::try_from(number) {
            Ok(bit) if bit <= limit => format!("this is bit {bit}, the mask {:#x}", 1u128 << bit),
            _ => format!("there is no bit {number}"),
        };
        let headline = format!("the numbers of `{}` look like masks", name.name);
        let diagnostic = if numbers.iter().all(|number| number.value <= u128::from(limit)) {
            Diagnostic::warning(types::MASKS, headline)
        } else {
            Diagnostic::error(types::DOES_NOT_FIT, headline)
        };
        let diagnostic = diagnostic.label(first.span, bit(first.value)).label(last.span, bit(last.value));
        self.report(if in_order && numbers.len() == variants.len() {
            diagnostic.help("leave the numbers away: the names are bits 0, 1, 2, … in their order")
        } else {
            let number = |variant: &ast::Variant| {
                variant.value.map(|mask| format!("`{} = {}`", variant.name.name, mask.value.trailing_zeros()))
            };
            let meant: Vec<String> = variants.iter().filter_map(number).collect();
            diagnostic.help(format!("write the numbers of the bits: {}", meant.join(", ")))
        });
        true
    }

    /// The names and numbers of variants; each is one above the one before unless it is given. For bits, `masks`
    /// tells whether it was said already that the numbers are masks.
    fn variants(
        &mut self,
        variants: &[ast::Variant],
        limit: Option<u64>,
        masks: Option<bool>,
    ) -> Vec<(String, u64)> {
        let mut seen_names: HashMap<&str, Span> = HashMap::new();
        let mut seen_numbers: HashMap<u64, Span> = HashMap::new();
        let mut found = Vec::new();
        let mut next: u128 = 0;
        for variant in variants {
            let value = variant.value.map_or(next, |literal| literal.value);
            next = value.saturating_add(1);
            if let Some(first) = seen_names.insert(&variant.name.name, variant.name.span) {
                self.report(
                    Diagnostic::error(
                        names::DUPLICATE,
                        format!("the name `{}` is declared twice", variant.name.name),
                    )
                    .label(variant.name.span, "declared again here")
                    .label(first, "first declared here"),
                );
                continue;
            }
            let mask = value.is_power_of_two() && masks.is_some() && variant.value.is_some();
            let limit = limit.unwrap_or(u64::MAX);
            let Some(value) = u64::try_from(value).ok().filter(|value| *value <= limit) else {
                let bit = value.trailing_zeros();
                if let Some(literal) = variant.value.filter(|_| mask && u64::from(bit) <= limit) {
                    found.push((variant.name.name.clone(), u64::from(bit)));
                    if masks == Some(true) {
                        continue;
                    }
                    self.report(
                        Diagnostic::error(
                            types::DOES_NOT_FIT,
                            format!("`{}` has the number of its bit, not its mask", variant.name.name),
                        )
                        .label(variant.span, format!("there is no bit {value}"))
                        .suggest(literal.span, bit.to_string(), format!("write `{} = {bit}`", variant.name.name))
                        .note("bits are counted from 0, which is the lowest; without numbers they come one after another"),
                    );
                    continue;
                }
                self.report(
                    Diagnostic::error(
                        types::DOES_NOT_FIT,
                        format!("`{}` has a number that is too large", variant.name.name),
                    )
                    .label(variant.span, format!("{value} is more than {limit}"))
                    .help("declare a wider type behind the name"),
                );
                continue;
            };
            if let Some(first) = seen_numbers.insert(value, variant.span) {
                self.report(
                    Diagnostic::error(types::SAME_NUMBER, format!("two values have the number {value}"))
                        .label(variant.span, "this one")
                        .label(first, "and this one"),
                );
            }
            found.push((variant.name.name.clone(), value));
        }
        found
    }

    /// The width of a type that must be an unsigned integer.
    fn plain_bits(&mut self, module: usize, ty: &ast::Type) -> Option<u8> {
        match self.value_type(module, ty) {
            Ty::Num(num) if num.kind == NumKind::Int => Some(num.bits),
            Ty::Error => None,
            other => {
                let found = other.describe(&self.program);
                self.report(
                    Diagnostic::error(types::MISMATCH, "an integer type is expected here")
                        .label(ty.span, format!("this is `{found}`")),
                );
                None
            }
        }
    }

    /// The `struct`s, each when it is needed first.
    pub(super) fn structs(&mut self) {
        for source in &self.decls.structs {
            let (name, span) = (source.ast.name.name.clone(), source.ast.name.span);
            self.program.structs.push(StructDef {
                name,
                span,
                fields: Vec::new(),
                scalars: 0,
                computed: None,
            });
            self.structs.push(Progress::Unseen);
        }
        for at in 0..self.decls.structs.len() {
            self.no_attributes(self.decls.structs[at].item);
            self.struct_fields(at);
        }
    }

    /// Sees to it that the fields of a struct are known; `false` where it would hold itself.
    pub(super) fn struct_fields(&mut self, at: usize) -> bool {
        match self.structs.get(at) {
            Some(Progress::Unseen) => {}
            Some(Progress::Known) => return true,
            Some(Progress::Open) | None => return false,
        }
        if self.depth >= MAX_CHAIN {
            return false;
        }
        self.depth += 1;
        self.structs[at] = Progress::Open;
        let fields = self.aloud(|checker| checker.read_struct(at));
        let of_field = |field: &StructField| match &field.kind {
            FieldKind::Value(ty) => scalars(ty, &self.program),
            FieldKind::Cell(_) => 0,
        };
        self.program.structs[at].scalars = fields.iter().map(of_field).sum();
        self.program.structs[at].fields = fields;
        self.structs[at] = Progress::Known;
        self.depth -= 1;
        true
    }

    /// Whether a field of this name is among those that are known, which is reported.
    pub(super) fn field_twice<'n>(
        &mut self,
        name: &ast::Ident,
        mut known: impl Iterator<Item = (&'n str, Span)>,
    ) -> bool {
        let Some((_, first)) = known.find(|(other, _)| *other == name.name) else { return false };
        self.report(
            Diagnostic::error(names::DUPLICATE, format!("the field `{}` is declared twice", name.name))
                .label(name.span, "declared again here")
                .label(first, "first declared here"),
        );
        true
    }

    fn read_struct(&mut self, at: usize) -> Vec<StructField> {
        let (module, ast) = (self.decls.structs[at].module, self.decls.structs[at].ast);
        let mut fields: Vec<StructField> = Vec::new();
        for field in &ast.fields {
            if self.field_twice(&field.name, fields.iter().map(|other| (other.name.as_str(), other.span))) {
                continue;
            }
            if let (Some(value), None) = (&field.value, &ast.params) {
                self.report(
                    Diagnostic::error(packets::BAD_COMPUTED, "there is nothing to compute this field from")
                        .label(value.span, "a value for the field")
                        .label(ast.name.span, "the struct has no parameters")
                        .help(format!(
                            "say what it is computed from, such as `struct {}(ip: ip) {{ … }}`",
                            ast.name.name
                        )),
                );
            }
            let kind = match self.cell(module, &field.ty).filter(|_| ast.params.is_none()) {
                Some(cell) => FieldKind::Cell(cell),
                None => FieldKind::Value(self.value_type(module, &field.ty)),
            };
            fields.push(StructField { name: field.name.name.clone(), span: field.span, kind });
        }
        let cells = fields.iter().filter(|field| matches!(field.kind, FieldKind::Cell(_))).count();
        if cells > 0 && cells < fields.len() {
            self.report(
                Diagnostic::error(
                    state::MIXED_STRUCT,
                    format!("`{}` mixes cells and plain values", ast.name.name),
                )
                .label(ast.name.span, "either all fields are cells or none is")
                .help("keep the plain values in a state of their own"),
            );
            fields.retain(|field| matches!(field.kind, FieldKind::Cell(_)));
        }
        if ast.fields.is_empty() {
            self.report(
                Diagnostic::error(types::EMPTY, format!("`{}` has no fields", ast.name.name))
                    .label(ast.name.span, "at least one is needed"),
            );
        }
        if fields.len() > MAX_SCALARS {
            self.report(
                Diagnostic::error(types::TOO_WIDE, format!("`{}` has too many fields", ast.name.name))
                    .label(ast.name.span, format!("more than {MAX_SCALARS}")),
            );
            fields.truncate(MAX_SCALARS);
        }
        fields
    }

    /// The `param`s, of which only the names are known as yet.
    pub(super) fn param_names(&mut self) {
        for source in &self.decls.params {
            let (module, item, ast) = (source.module, source.item, source.ast);
            self.program.params.push(ParamDef {
                name: self.decls.public_name(module, &ast.name.name),
                span: ast.name.span,
                doc: doc_text(item),
                default: 0,
                ty: Ty::Error,
            });
            self.params.push(Progress::Unseen);
        }
    }

    /// The types and first values of the `param`s.
    pub(super) fn all_params(&mut self) {
        for at in 0..self.decls.params.len() {
            let (item, span) = (self.decls.params[at].item, self.decls.params[at].ast.name.span);
            self.no_attributes(item);
            self.param(at, span);
        }
    }

    /// Sees to it that the type of a param is known, which is asked for at `span`.
    pub(super) fn param(&mut self, at: usize, span: Span) {
        match self.params[at] {
            Progress::Known => return,
            Progress::Open => {
                let (name, declared) = (self.program.params[at].name.clone(), self.program.params[at].span);
                self.report(
                    Diagnostic::error(types::CIRCLE, format!("the param `{name}` is defined by itself"))
                        .label(span, "its value is needed here")
                        .label(declared, "to compute what this param is at first"),
                );
                return;
            }
            Progress::Unseen => {}
        }
        self.params[at] = Progress::Open;
        self.aloud(|checker| checker.read_param(at));
        self.params[at] = Progress::Known;
    }

    fn read_param(&mut self, at: usize) {
        let (module, ast) = (self.decls.params[at].module, self.decls.params[at].ast);
        let mut ty = self.value_type(module, &ast.ty);
        if !matches!(
            ty,
            Ty::Num(Num { kind: NumKind::Int | NumKind::Duration | NumKind::Rate, .. }) | Ty::Error
        ) {
            let found = ty.describe(&self.program);
            self.report(
                Diagnostic::error(state::BAD_PARAM, format!("a param cannot be a `{found}`"))
                    .label(ast.ty.span, "an integer, a `duration` or a `rate` is expected here")
                    .help(if ty == Ty::Bool {
                        "a switch is a number: `param on: u1 = 1;`, and `on == 1`"
                    } else {
                        "addresses and the like that the operator sets are entries of a `table`"
                    }),
            );
            ty = Ty::Error;
        }
        if let (Some(range), Ty::Num(num)) = (&ast.range, &ty)
            && let Some(range) = self.constant_range(module, range, &ty, ast.ty.span)
        {
            ty = Ty::Num(Num { range, ..*num });
        }
        let because = ast.range.as_ref().map_or(ast.ty.span, |range| range.span);
        let what = format!("the param `{}`", ast.name.name);
        let ends = |range: &&ast::Range| {
            !range.inclusive && self.sources.snippet(range.end.span) == self.sources.snippet(ast.value.span)
        };
        let default = if let Some(range) = ast.range.as_ref().filter(ends) {
            let op = Span { start: range.start.span.end, end: range.end.span.start, ..range.span };
            self.report(
                Diagnostic::error(types::DOES_NOT_FIT, "`..` leaves out the end of its range")
                    .label(ast.value.span, "so this does not lie in it")
                    .label(range.span, "the range")
                    .suggest(op, "..=", "write `..=`"),
            );
            None
        } else {
            self.constant(module, &ast.value, &ty, &what, because)
        };
        let def = &mut self.program.params[at];
        def.default = default.and_then(|value| value.constant()).unwrap_or(0);
        def.ty = ty;
    }

    /// The filters of the root file.
    pub(super) fn filters(&mut self) {
        for at in 0..self.decls.filters.len() {
            let source = &self.decls.filters[at];
            let (module, item, ast) = (source.module, source.item, source.ast);
            let budget = self.budget(item);
            if let Some(params) = &ast.params {
                self.filter_params(ast, params);
            }
            let (result, because) = match &ast.result {
                None => (Ty::Bool, ast.name.span),
                Some(ty) => (self.filter_result(module, ty), ty.span),
            };
            let mut body = BodyChecker::new(self, module, Place::Filter);
            body.result = Some((result.clone(), because));
            let value = body.block_of(&ast.body, &result, because);
            let body = Body { locals: body.locals, layers: body.layers, value };
            if module == 0 {
                let (name, span) = (ast.name.name.clone(), ast.name.span);
                self.program.filters.push(FilterDef {
                    name,
                    span,
                    doc: doc_text(item),
                    result,
                    budget,
                    body,
                });
            }
        }
    }

    fn filter_result(&mut self, module: usize, ty: &ast::Type) -> Ty {
        match self.value_type(module, ty) {
            Ty::Enum(id) => {
                let def = &self.program.enums[id.index()];
                let dense = def.variants.iter().enumerate().all(|(at, (_, value))| *value == at as u64);
                if dense {
                    return Ty::Enum(id);
                }
                let (name, span) = (def.name.clone(), def.span);
                self.report(
                    Diagnostic::error(
                        results::SPARSE_CLASSES,
                        format!(
                            "the classes of a filter are numbered from 0, and `{name}` has other numbers"
                        ),
                    )
                    .label(ty.span, "used as the answer of a filter here")
                    .label(span, "declared with numbers of its own here")
                    .help("leave the numbers of the variants away"),
                );
                Ty::Error
            }
            found @ (Ty::Bool | Ty::Error) => found,
            other => {
                let found = other.describe(&self.program);
                self.report(
                    Diagnostic::error(
                        results::BAD_RESULT,
                        format!("a filter cannot answer with a `{found}`"),
                    )
                    .label(ty.span, "`bool` or an enum is expected here")
                    .help("a filter is a condition of flows, `filter=NAME` or `filter=NAME:CLASS`: compare, or declare an `enum` with a name for each class"),
                );
                Ty::Error
            }
        }
    }

    /// A filter has no arguments: nobody calls it, and who asks for it says its name only.
    fn filter_params(&mut self, ast: &ast::Filter, params: &[ast::Field]) {
        let at = params.first().map_or(ast.name.span, |first| first.span);
        let diagnostic = Diagnostic::error(
            results::FILTER_PARAMS,
            format!("the filter `{}` cannot take anything", ast.name.name),
        )
        .label(at, "nobody gives this to it")
        .label(ast.name.span, "asked for by its name alone");
        self.report(match params {
            [] => diagnostic.help("leave the round brackets away"),
            [first, ..] => {
                let ty = self.sources.snippet(first.ty.span).unwrap_or("u32");
                diagnostic
                    .help(format!("declare what the operator sets: `param {}: {ty} = …;`", first.name.name))
            }
        });
    }

    /// `#[budget(steps = 500, state_ops = 2, locked = 60, stack = 128)]`
    fn budget(&mut self, item: &ast::Item) -> Budget {
        let mut budget = Budget::default();
        for attribute in &item.attributes {
            if attribute.name.name != "budget" {
                self.unknown_attribute(attribute);
                continue;
            }
            if attribute.args.is_empty() {
                self.report(
                    Diagnostic::error(results::BAD_BUDGET, "this budget limits nothing")
                        .label(attribute.span, "what is limited?")
                        .help("write `#[budget(steps = 500)]`; there are `steps`, `state_ops`, `locked` and `stack`"),
                );
            }
            for arg in &attribute.args {
                self.budget_part(arg, &mut budget);
            }
        }
        budget
    }

    fn budget_part(&mut self, arg: &ast::AttributeArg, budget: &mut Budget) {
        let limit = match arg.name.name.as_str() {
            "steps" => &mut budget.steps,
            "state_ops" => &mut budget.state_ops,
            "locked" => &mut budget.locked,
            "stack" => &mut budget.stack,
            other => {
                let near = crate::suggest::nearest(other, ["steps", "state_ops", "locked", "stack"]);
                let diagnostic = Diagnostic::error(results::BAD_BUDGET, format!("a budget has no `{other}`"))
                    .label(arg.name.span, "not something that is counted");
                self.report(match near {
                    Some(near) => diagnostic.suggest(arg.name.span, near, format!("did you mean `{near}`?")),
                    None => diagnostic.help("there are `steps`, `state_ops`, `locked` and `stack`"),
                });
                return;
            }
        };
        if let Some((_, first)) = *limit {
            self.report(
                Diagnostic::error(names::DUPLICATE, format!("`{}` is limited twice", arg.name.name))
                    .label(arg.span, "limited again here")
                    .label(first, "first limited here"),
            );
            return;
        }
        match arg.value.as_ref().map(|value| &value.kind) {
            Some(ast::LiteralKind::Int(value)) => {
                *limit = Some((u64::try_from(*value).unwrap_or(u64::MAX), arg.span));
            }
            _ => {
                let at = arg.value.as_ref().map_or(arg.span, |value| value.span);
                self.report(
                    Diagnostic::error(results::BAD_BUDGET, "a budget is a whole number")
                        .label(at, "not a number")
                        .help(format!("write `{} = 500`", arg.name.name)),
                );
            }
        }
    }

    fn unknown_attribute(&mut self, attribute: &ast::Attribute) {
        let name = &attribute.name.name;
        self.report(
            Diagnostic::error(names::UNKNOWN_ATTRIBUTE, format!("there is no attribute `{name}` for this"))
                .label(attribute.span, "means nothing here"),
        );
    }

    /// Reports attributes, which mean nothing here.
    pub(super) fn no_attributes(&mut self, item: &ast::Item) {
        for attribute in &item.attributes {
            self.unknown_attribute(attribute);
        }
    }
}

/// The text of an item's documentation.
pub(super) fn doc_text(item: &ast::Item) -> String {
    item.docs.as_ref().map(|doc| doc.text.clone()).unwrap_or_default()
}

fn at_module<T>(source: &crate::resolve::Source<'_, T>) -> usize {
    source.module
}
