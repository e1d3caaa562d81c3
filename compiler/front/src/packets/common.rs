//! Fields that several headers have in common.

use crate::hir::{CommonField, HeaderId, Layer, Program};
use crate::types::Ty;

impl Layer {
    /// A header, or one of several.
    pub(crate) fn new(headers: Vec<HeaderId>, program: &Program) -> Layer {
        let common = match headers.as_slice() {
            [first, rest @ ..] if !rest.is_empty() => common_fields(program, *first, rest),
            _ => Vec::new(),
        };
        Layer { headers, common, placed: false }
    }
}

/// The fields that have the same name in all headers, and types that a type holds the values of.
fn common_fields(program: &Program, first: HeaderId, rest: &[HeaderId]) -> Vec<CommonField> {
    let mut common = Vec::new();
    for field in &program.headers[first.index()].fields {
        let joined = rest.iter().try_fold(field.ty.clone(), |ty, header| {
            let other =
                program.headers[header.index()].fields.iter().find(|other| other.name == field.name)?;
            common_type(&ty, &other.ty)
        });
        if let Some(ty) = joined {
            common.push(CommonField { name: field.name.clone(), ty });
        }
    }
    common
}

fn common_type(a: &Ty, b: &Ty) -> Option<Ty> {
    match (a, b) {
        (Ty::Ip4, Ty::Ip6) | (Ty::Ip6, Ty::Ip4) => Some(Ty::Addr),
        (Ty::Error, _) | (_, Ty::Error) => None,
        _ => a.join(b),
    }
}
