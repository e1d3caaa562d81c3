//! Attributes of headers and their fields. Those of fields say what packets that tests build have in them.

use oko_diagnostics::Diagnostic;
use oko_diagnostics::codes::{names, tests};
use oko_grammar::ast;

use super::Checker;
use crate::hir::{Fill, HeaderDef, HeaderId, InReply};
use crate::suggest::nearest;
use crate::types::Ty;

/// The attributes of fields.
const OF_FIELDS: &[&str] = &["initial", "length", "checksum", "pseudo", "reply"];

/// The name in `#[builder(name)]`.
pub(super) fn builder_name(item: &ast::Item) -> Option<String> {
    let attribute = item.attributes.iter().find(|attribute| attribute.name.name == "builder")?;
    Some(attribute.args.first()?.name.name.clone())
}

impl Checker<'_, '_> {
    /// The header in `#[reply(name)]` in front of a header: what it becomes in an answer.
    pub(super) fn header_in_reply(&mut self, module: usize, item: &ast::Item) -> Option<HeaderId> {
        let attribute = item.attributes.iter().find(|attribute| attribute.name.name == "reply")?;
        let name = &attribute.args.first().filter(|arg| arg.value.is_none())?.name;
        self.header_named(module, &name.name, name.span)
    }

    /// What packets that tests build have in a field, whether a pseudo header has the field, and what becomes of it in an answer.
    pub(super) fn field_fill(
        &mut self,
        field: &ast::HeaderField,
        ty: &Ty,
        bit: u32,
        bits: u32,
    ) -> (Fill, bool, InReply) {
        let (mut fill, mut pseudo, mut reply) = (Fill::Least, false, InReply::AsNamed);
        let number = |attribute: &ast::Attribute, name: &str| {
            let arg = attribute.args.iter().find(|arg| arg.name.name == name)?;
            match arg.value.as_ref()?.kind {
                ast::LiteralKind::Int(value) => Some(value),
                _ => None,
            }
        };
        // A number that fits the field.
        let part = |attribute: &ast::Attribute, name: &str| {
            let value = u64::try_from(number(attribute, name)?).ok()?;
            (bits == 64 || value < 1 << bits).then_some(value)
        };
        for attribute in &field.attributes {
            let given: Vec<(&str, bool)> =
                attribute.args.iter().map(|arg| (arg.name.name.as_str(), arg.value.is_some())).collect();
            let whole_words = bit.is_multiple_of(8) && bits.is_multiple_of(16);
            let found = match (attribute.name.name.as_str(), given.as_slice()) {
                ("pseudo", []) if whole_words => {
                    pseudo = true;
                    continue;
                }
                ("reply", [(name, false)]) => {
                    reply = InReply::Swapped((*name).to_owned());
                    continue;
                }
                ("reply", [("sets", false), (name, false)]) => {
                    reply = InReply::Sets((*name).to_owned());
                    continue;
                }
                ("reply", [("takes", false), (name, false)]) => {
                    reply = InReply::Takes((*name).to_owned());
                    continue;
                }
                ("reply", [("value", true)]) if bits <= 64 => {
                    match part(attribute, "value") {
                        Some(value) => reply = InReply::Always(value),
                        None => self.bad_field_attribute(attribute),
                    }
                    continue;
                }
                ("reply", [("of", true), ("value", true)]) if bits <= 64 => {
                    match (part(attribute, "of"), part(attribute, "value")) {
                        (Some(of), Some(value)) => {
                            let mut numbers = match reply {
                                InReply::Numbers(numbers) => numbers,
                                _ => Vec::new(),
                            };
                            numbers.push((of, value));
                            reply = InReply::Numbers(numbers);
                        }
                        _ => self.bad_field_attribute(attribute),
                    }
                    continue;
                }
                ("initial", [("value", true)]) if bits <= 64 => number(attribute, "value")
                    .and_then(|value| u64::try_from(value).ok())
                    .filter(|value| bits == 64 || *value < 1 << bits)
                    .map(Fill::Initial),
                ("length", [] | [("after" | "unit", true)] | [("after", true), ("unit", true)])
                    if matches!(ty, Ty::Num(_)) && bits <= 64 =>
                {
                    let part = |name, default: u32| match number(attribute, name) {
                        Some(value) => u32::try_from(value).ok().filter(|value| *value <= 65_535),
                        None => Some(default),
                    };
                    match (part("after", 0), part("unit", 1).filter(|unit| *unit > 0)) {
                        (Some(after), Some(unit)) => Some(Fill::Length { after, unit }),
                        _ => None,
                    }
                }
                ("checksum", args) if bits == 16 && bit.is_multiple_of(8) => {
                    let known =
                        matches!(args, [] | [("payload", false)] | [("payload", false), ("pseudo", false)]);
                    known.then_some(Fill::Checksum { payload: !args.is_empty(), pseudo: args.len() == 2 })
                }
                _ => None,
            };
            match found {
                Some(found) => fill = found,
                None => self.bad_field_attribute(attribute),
            }
        }
        (fill, pseudo, reply)
    }

    /// Reports fields that are to change places with one that cannot hold what they have.
    pub(super) fn check_replies(&mut self, header: &HeaderDef, fields: &[ast::HeaderField]) {
        for field in &header.fields {
            let InReply::Swapped(name) = &field.reply else { continue };
            if header.fields.iter().any(|other| other.name == *name && other.bits == field.bits) {
                continue;
            }
            let source = fields.iter().find(|source| source.name.name == field.name);
            let attributes = source.iter().flat_map(|source| &source.attributes);
            if let Some(attribute) = attributes.into_iter().find(|attribute| attribute.name.name == "reply") {
                self.bad_field_attribute(attribute);
            }
        }
    }

    fn bad_field_attribute(&mut self, attribute: &ast::Attribute) {
        let name = attribute.name.name.as_str();
        let help = match name {
            "initial" => "write `#[initial(value = 64)]` with a number that fits the field",
            "length" => {
                "write `#[length]`, or `#[length(after = 40)]` if the first 40 bytes of the header do not count; the field is an integer"
            }
            "checksum" => {
                "write `#[checksum]`, `#[checksum(payload)]` or `#[checksum(payload, pseudo)]`; the field is a `u16` at a whole byte"
            }
            "reply" => {
                "write `#[reply(target)]` with the field that it changes places with, `#[reply(of = 8, value = 0)]` or `#[reply(value = 1)]` with numbers that fit the field, `#[reply(sets, src)]` or `#[reply(takes, src)]` with a field of the headers below"
            }
            "pseudo" => "write `#[pseudo]`; the field has a multiple of 16 bits and begins at a whole byte",
            _ => {
                let diagnostic = Diagnostic::error(
                    names::UNKNOWN_ATTRIBUTE,
                    format!("there is no attribute `{name}` for a field"),
                )
                .label(attribute.name.span, "means nothing here");
                self.report(match nearest(name, OF_FIELDS.iter().copied()) {
                    Some(near) => {
                        diagnostic.suggest(attribute.name.span, near, format!("did you mean `{near}`?"))
                    }
                    None => diagnostic.help(
                        "fields have `#[initial(value = …)]`, `#[length]`, `#[checksum]`, `#[pseudo]` and `#[reply(…)]`",
                    ),
                });
                return;
            }
        };
        self.report(
            Diagnostic::error(
                tests::BAD_FIELD_ATTRIBUTE,
                format!("`#[{name}]` cannot be written like this here"),
            )
            .label(attribute.span, "does not fit the field")
            .help(help),
        );
    }
}
