//! The types that sources name.

use oko_diagnostics::codes::{names, state, types};
use oko_diagnostics::{Diagnostic, Span};
use oko_grammar::ast;

use super::Checker;
use crate::hir::FieldKind;
use crate::resolve::Def;
use crate::suggest::nearest;
use crate::types::{Num, NumKind, Range, Ty};

/// The most scalars that a value, key or entry may consist of.
pub(super) const MAX_SCALARS: usize = 64;

/// The most scalars that a constant array may consist of.
const MAX_TABLE: usize = 4_096;

/// The types that are no declarations.
const BUILT_IN: &[&str] = &[
    "bool", "u8", "u16", "u32", "u64", "duration", "instant", "rate", "seq", "ip4", "ip6", "mac", "prefix",
    "map", "set", "array", "sketch", "bloom", "counter", "window", "tokens", "distinct", "ewma",
];

/// The types of what states hold.
const OF_STATES: &[&str] =
    &["map", "set", "array", "sketch", "bloom", "counter", "window", "tokens", "distinct", "ewma"];

impl Checker<'_, '_> {
    /// The type of values that a name stands for; cells and containers are none.
    pub(super) fn value_type(&mut self, module: usize, ty: &ast::Type) -> Ty {
        self.type_up_to(module, ty, MAX_SCALARS)
    }

    /// The type of a constant, which can be a table.
    pub(super) fn const_type(&mut self, module: usize, ty: &ast::Type) -> Ty {
        let limit = if matches!(ty.kind, ast::TypeKind::Array { .. }) { MAX_TABLE } else { MAX_SCALARS };
        self.type_up_to(module, ty, limit)
    }

    fn type_up_to(&mut self, module: usize, ty: &ast::Type, limit: usize) -> Ty {
        let resolved = match &ty.kind {
            ast::TypeKind::Error => return Ty::Error,
            ast::TypeKind::Named { path, args } => self.named_type(module, ty, path, args),
            ast::TypeKind::Optional(inner) => self.value_type(module, inner).optional(),
            ast::TypeKind::Tuple(parts) => {
                Ty::Tuple(parts.iter().map(|part| self.value_type(module, part)).collect())
            }
            ast::TypeKind::Array { element, count } => self.array_type(module, element, count),
            ast::TypeKind::Region { .. } => {
                self.report(
                    Diagnostic::error(types::NOT_A_VALUE_TYPE, "a region is no value")
                        .label(ty.span, "only the last field of a header can be a region"),
                );
                Ty::Error
            }
        };
        if crate::hir::scalars(&resolved, &self.program) > limit {
            let diagnostic = Diagnostic::error(types::TOO_WIDE, "this type has too many parts")
                .label(ty.span, format!("more than {limit} numbers and truth values"));
            self.report(match resolved {
                Ty::Array(..) if limit == MAX_SCALARS => {
                    diagnostic.note(format!("a `const` array can have {MAX_TABLE}"))
                }
                _ => diagnostic,
            });
            return Ty::Error;
        }
        resolved
    }

    fn array_type(&mut self, module: usize, element: &ast::Type, count: &ast::Expr) -> Ty {
        let element = self.value_type(module, element);
        let most = Ty::Num(Num { kind: NumKind::Int, bits: 32, range: Range::new(1, MAX_TABLE as i128) });
        let count = self.constant(module, count, &most, "the number of elements", count.span);
        match count.and_then(|count| count.constant()) {
            Some(count) if !element.is_error() => Ty::Array(Box::new(element), count as u32),
            _ => Ty::Error,
        }
    }

    /// What is wrong with a value of the type if it has more scalars than allowed.
    pub(super) fn too_wide(&self, ty: &Ty, span: Span) -> Option<Diagnostic> {
        (crate::hir::scalars(ty, &self.program) > MAX_SCALARS).then(|| {
            Diagnostic::error(types::TOO_WIDE, "this value has too many parts")
                .label(span, format!("more than {MAX_SCALARS} numbers and truth values"))
        })
    }

    fn named_type(&mut self, module: usize, ty: &ast::Type, path: &ast::Path, args: &[ast::Type]) -> Ty {
        let Some(first) = path.parts.first() else { return Ty::Error };
        if let [name] = path.parts.as_slice() {
            if let Some(found) = built_in(&name.name) {
                if !args.is_empty() {
                    self.report(
                        Diagnostic::error(types::TYPE_ARGUMENTS, format!("`{}` takes no types", name.name))
                            .label(ty.span, "nothing may stand in square brackets here"),
                    );
                }
                return found;
            }
            if OF_STATES.contains(&name.name.as_str()) {
                self.report(
                    Diagnostic::error(
                        types::NOT_A_VALUE_TYPE,
                        format!("`{}` is something that states hold", name.name),
                    )
                    .label(ty.span, "a type of plain values is expected here")
                    .help(match name.name.as_str() {
                        "map" | "set" | "array" | "sketch" | "bloom" => {
                            "make one state whose key has all parts: `map[(ip4, u16), counter]`, used as `seen[(a, b)]`"
                        }
                        _ => "declare a `state` and use its operations",
                    }),
                );
                return Ty::Error;
            }
            if let Some(bits) = bits_of(&name.name) {
                self.report(bad_width(bits, ty));
                return Ty::Error;
            }
        }
        let def = match path.parts.len() {
            1 => self.decls.scopes[module].get(&first.name),
            _ => self.decls.owned(module, path),
        };
        if let Some((Def::Alias(at), _)) = def {
            return self.alias(at, ty.span);
        }
        match (self.decls.scopes[module].get(&first.name).map(|(def, _)| def), path.parts.len()) {
            (Some(Def::Error), _) => Ty::Error,
            (Some(Def::Enum(id)), 1) => Ty::Enum(id),
            (Some(Def::Bits(id)), 1) => Ty::Bits(id),
            (Some(Def::Struct(id)), 1) => {
                if !self.struct_fields(id.index()) {
                    self.report(
                        Diagnostic::error(
                            types::CIRCLE,
                            format!("the struct `{}` would hold itself", first.name),
                        )
                        .label(ty.span, "which holds the one that is declared here")
                        .help("refer to another entry by its key"),
                    );
                    return Ty::Error;
                }
                let cells = self.program.structs.get(id.index()).is_some_and(|def| {
                    def.fields.iter().any(|field| matches!(field.kind, FieldKind::Cell(_)))
                });
                if cells {
                    self.report(
                        Diagnostic::error(state::CELLS_ARE_NO_VALUE, "a struct of cells is no value")
                            .label(ty.span, "can only be what a state holds"),
                    );
                    return Ty::Error;
                }
                Ty::Struct(id)
            }
            (Some(def), 1) => {
                let diagnostic = Diagnostic::error(names::NOT_A_TYPE, format!("`{}` is no type", first.name))
                    .label(ty.span, format!("this is {}", def.describe()));
                self.report(match def {
                    Def::Header(_) | Def::Union(_) => diagnostic.help(
                        "name the type of its field, such as `ip4` for an address, or compute a struct from it: `struct ends(ip: ip) { src: ip.addr = ip.src }`",
                    ),
                    _ => diagnostic,
                });
                Ty::Error
            }
            _ => {
                self.report(self.unknown_type(module, ty, path));
                Ty::Error
            }
        }
    }

    fn unknown_type(&self, module: usize, ty: &ast::Type, path: &ast::Path) -> Diagnostic {
        let name = path.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(".");
        let diagnostic = Diagnostic::error(names::UNKNOWN_TYPE, format!("there is no type `{name}`"))
            .label(ty.span, "not known here");
        if name == "int" || name == "uint" {
            return diagnostic
                .help("numbers have a width: `u8`, `u16`, `u32`, `u64` or any other up to 128 bits");
        }
        let suggests = self.suggests();
        let declared = (suggests.then(|| self.decls.scopes[module].names()).into_iter().flatten())
            .filter(|(_, def)| matches!(def, Def::Enum(_) | Def::Bits(_) | Def::Struct(_) | Def::Alias(_)));
        let declared: Vec<&str> = declared.map(|(name, _)| name).collect();
        let owned = if suggests { self.decls.owned_names(module) } else { Vec::default() };
        let known = BUILT_IN.iter().copied().chain(declared).chain(owned.iter().map(String::as_str));
        match nearest(&name, known) {
            Some(near) => diagnostic.suggest(path.span, near, format!("did you mean `{near}`?")),
            None if matches!(name.as_str(), "packet" | "pkt" | "frame") => {
                diagnostic.help("a packet is given to nobody: give the fields that are needed")
            }
            None if matches!(name.as_str(), "string" | "str" | "String" | "text") => {
                diagnostic.help("filters have no texts: declare an `enum` with a name for each")
            }
            None if matches!(name.as_str(), "float" | "double" | "f32" | "f64") => diagnostic
                .help("numbers are whole; shares are compared by multiplying: `part * 100 > whole * 5`"),
            None => diagnostic,
        }
    }
}

/// The type of a word that no declaration can give another meaning.
fn built_in(name: &str) -> Option<Ty> {
    Some(match name {
        "bool" => Ty::Bool,
        "duration" => Ty::duration(),
        "instant" => Ty::instant(),
        "rate" => Ty::rate(),
        "seq" => Ty::Seq,
        "ip4" => Ty::Ip4,
        "ip6" => Ty::Ip6,
        "mac" => Ty::Mac,
        "prefix" => Ty::Prefix,
        _ => match bits_of(name)? {
            bits @ 1..=64 => Ty::uint(bits as u8),
            bits @ 65..=128 => Ty::wide(bits as u8),
            _ => return None,
        },
    })
}

/// The number behind the `u` of an integer type.
fn bits_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('u')?;
    if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn bad_width(bits: u32, ty: &ast::Type) -> Diagnostic {
    Diagnostic::error(types::BAD_WIDTH, format!("there is no integer of {bits} bits"))
        .label(ty.span, "an integer has 1 to 128 bits")
}
