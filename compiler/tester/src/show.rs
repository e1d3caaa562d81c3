//! Values as the language writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

use oko_front::hir::{FieldKind, Program, scalars};
use oko_front::types::{NumKind, Ty};

/// A value by its scalars.
pub(crate) fn show(ty: &Ty, words: &[u64], program: &Program) -> String {
    let first = words.first().copied().unwrap_or(0);
    match ty {
        Ty::Bool => (first != 0).to_string(),
        Ty::Num(num) => match num.kind {
            NumKind::Duration => duration(first),
            NumKind::Instant => format!("{} after the clock began", duration(first)),
            NumKind::Rate => format!("{first} a second"),
            NumKind::Int if num.range.min < 0 => (first as i64).to_string(),
            NumKind::Int => grouped(first),
        },
        Ty::Seq => first.to_string(),
        Ty::Ip4 => Ipv4Addr::from(first as u32).to_string(),
        Ty::Ip6 => {
            let low = words.get(1).copied().unwrap_or(0);
            Ipv6Addr::from(u128::from(first) << 64 | u128::from(low)).to_string()
        }
        Ty::Addr => {
            let rest = words.get(1..).unwrap_or_default();
            match first {
                4 => show(&Ty::Ip4, rest.get(1..).unwrap_or_default(), program),
                _ => show(&Ty::Ip6, rest, program),
            }
        }
        Ty::Prefix => {
            let address = show(&Ty::Addr, words, program);
            format!("{address}/{}", words.get(3).copied().unwrap_or(0))
        }
        Ty::Wide(_) => {
            let low = words.get(1).copied().unwrap_or(0);
            (u128::from(first) << 64 | u128::from(low)).to_string()
        }
        Ty::Array(element, _) => {
            let count = scalars(element, program).max(1);
            let values: Vec<String> =
                words.chunks(count).map(|value| show(element, value, program)).collect();
            format!("[{}]", values.join(", "))
        }
        Ty::Mac => {
            let bytes: Vec<String> =
                (0..6).rev().map(|at| format!("{:02x}", first >> (8 * at) & 0xff)).collect();
            bytes.join(":")
        }
        Ty::Enum(id) => {
            let variants = &program.enums[id.index()].variants;
            let found = variants.iter().find(|(_, value)| *value == first);
            found.map_or_else(|| first.to_string(), |(name, _)| name.clone())
        }
        Ty::Bits(id) => {
            let mut rest = first;
            let mut names = Vec::new();
            for (name, mask) in &program.bits[id.index()].variants {
                if *mask != 0 && first & mask == *mask {
                    names.push(name.clone());
                    rest &= !mask;
                }
            }
            if rest != 0 || names.is_empty() {
                names.push(if rest == 0 { "0".to_owned() } else { format!("{rest:#x}") });
            }
            names.join(" | ")
        }
        Ty::Option(inner) => match (first, &**inner) {
            (0, _) | (_, Ty::Never) => "none".to_owned(),
            _ => show(inner, words.get(1..).unwrap_or_default(), program),
        },
        Ty::Tuple(parts) => {
            let parts = split(parts.iter(), words, program);
            format!("({})", parts.join(", "))
        }
        Ty::Struct(id) => {
            let def = &program.structs[id.index()];
            let fields = def.fields.iter().filter_map(|field| match &field.kind {
                FieldKind::Value(ty) => Some((field.name.as_str(), ty)),
                FieldKind::Cell(_) => None,
            });
            let (names, types): (Vec<&str>, Vec<&Ty>) = fields.unzip();
            let parts = split(types.into_iter(), words, program);
            let parts: Vec<String> =
                names.iter().zip(parts).map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{}({})", def.name, parts.join(", "))
        }
        _ => {
            let words: Vec<String> = words.iter().map(u64::to_string).collect();
            words.join(" ")
        }
    }
}

fn split<'t>(types: impl Iterator<Item = &'t Ty>, words: &[u64], program: &Program) -> Vec<String> {
    let mut rest = words;
    types
        .map(|ty| {
            let count = scalars(ty, program).min(rest.len());
            let (own, more) = rest.split_at(count);
            rest = more;
            show(ty, own, program)
        })
        .collect()
}

/// `1_000_000`
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.len() > 4 {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// In the largest unit that divides it.
fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    if ns == 0 {
        return "0s".to_owned();
    }
    let (size, unit) = UNITS.into_iter().find(|(size, _)| ns.is_multiple_of(*size)).unwrap_or((1, "ns"));
    format!("{}{unit}", grouped(ns / size))
}
