//! Values: numbers, addresses, ports, each with an optional mask.

use std::net::{Ipv4Addr, Ipv6Addr};

use oko_openflow::oxm::{FieldSpec, Format};
use oko_openflow::{MatchField, PortNo};

use crate::error::{FlowError, FlowProblem, nearest};
use crate::names::Names;
use crate::piece::Piece;

/// A number in base 10, or with `0x` in base 16.
pub(crate) fn number(text: &str) -> Option<u128> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u128::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+')),
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
}

/// A number that must fit a type and be at most `max`.
pub(crate) fn bounded<T>(key: &str, piece: Piece<'_>, max: T) -> Result<T, FlowError>
where
    T: Copy + Into<u128> + TryFrom<u128>,
{
    if piece.is_empty() {
        let expected = format!("a number from 0 to {}", max.into());
        return Err(piece.error(FlowProblem::NoValue { key: key.to_owned(), expected }));
    }
    number(piece.text()).filter(|n| *n <= max.into()).and_then(|n| T::try_from(n).ok()).ok_or_else(|| {
        piece.error(FlowProblem::BadValue {
            key: key.to_owned(),
            found: piece.text().to_owned(),
            expected: format!("a number from 0 to {}", max.into()),
        })
    })
}

/// A port: a number, a reserved name in either case, or a name of the switch.
pub(crate) fn port(piece: Piece<'_>, names: &Names) -> Result<PortNo, FlowError> {
    let text = piece.text();
    if text.is_empty() {
        let expected = "a port number or name".to_owned();
        return Err(piece.error(FlowProblem::NoValue { key: "the port".to_owned(), expected }));
    }
    if let Some(number) = number(text) {
        return u32::try_from(number).map(PortNo).map_err(|_| {
            piece.error(FlowProblem::BadValue {
                key: "the port".to_owned(),
                found: text.to_owned(),
                expected: "a port number of 32 bits".to_owned(),
            })
        });
    }
    let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if let Some(port) = names.port(bare) {
        return Ok(port);
    }
    if let Some((port, _)) = PortNo::RESERVED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        return Ok(*port);
    }
    let known: Vec<String> = names.ports.iter().map(|(_, name)| name.clone()).collect();
    let suggestion = nearest(bare, known.iter().map(String::as_str));
    Err(piece.error(FlowProblem::UnknownPort { found: bare.to_owned(), known, suggestion }))
}

/// A field's value, with a mask where the field can have one. Value bits outside of the mask are dropped, so that
/// `10.1.2.3/8` is `10.0.0.0/8`.
pub(crate) fn condition(
    key: &str,
    spec: &FieldSpec,
    piece: Piece<'_>,
    names: &Names,
) -> Result<MatchField, FlowError> {
    let (value, mask) = match piece.split_once('/') {
        Some((value, mask)) => (value, Some(mask)),
        None => (piece, None),
    };
    let value = plain(key, spec, value, names)?;
    let full = spec.full_mask();
    let Some(mask) = mask else {
        return MatchField::exact(spec.field, value).map_err(|_| bad(key, spec, piece));
    };
    let mask = mask_bits(spec, mask).ok_or_else(|| {
        mask.error(FlowProblem::BadValue {
            key: format!("the mask of {key}"),
            found: mask.text().to_owned(),
            expected: mask_text(spec),
        })
    })?;
    if mask != full && !spec.maskable {
        return Err(piece.error(FlowProblem::NotMaskable { key: key.to_owned() }));
    }
    MatchField::masked(spec.field, value & mask, mask).map_err(|_| bad(key, spec, piece))
}

/// A field's value without a mask.
pub(crate) fn plain(key: &str, spec: &FieldSpec, piece: Piece<'_>, names: &Names) -> Result<u128, FlowError> {
    if piece.is_empty() {
        return Err(piece.error(FlowProblem::NoValue { key: key.to_owned(), expected: value_text(spec) }));
    }
    let text = piece.text();
    let value = match spec.format {
        Format::Port => return port(piece, names).map(|p| p.0.into()),
        Format::Mac => mac(text),
        Format::Ipv4 => text.parse::<Ipv4Addr>().ok().map(|a| u128::from(a.to_bits())),
        Format::Ipv6 => text.parse::<Ipv6Addr>().ok().map(Ipv6Addr::to_bits),
        Format::Decimal | Format::Hex => number(text),
    };
    value.filter(|v| *v <= spec.full_mask()).ok_or_else(|| bad(key, spec, piece))
}

fn mask_bits(spec: &FieldSpec, piece: Piece<'_>) -> Option<u128> {
    let text = piece.text();
    let prefix = |bits: u32| {
        let length = number(text).filter(|n| *n <= u128::from(bits))?;
        let host = bits - length as u32;
        Some(if host >= 128 { 0 } else { (spec.full_mask() >> host) << host })
    };
    let mask = match spec.format {
        Format::Mac => mac(text),
        Format::Ipv4 => text.parse::<Ipv4Addr>().ok().map(|a| u128::from(a.to_bits())).or_else(|| prefix(32)),
        Format::Ipv6 => text.parse::<Ipv6Addr>().ok().map(Ipv6Addr::to_bits).or_else(|| prefix(128)),
        Format::Decimal | Format::Hex | Format::Port => number(text),
    };
    mask.filter(|m| *m <= spec.full_mask())
}

fn mac(text: &str) -> Option<u128> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    if parts.len() != 6 {
        return None;
    }
    parts.iter().try_fold(0, |acc, part| {
        let in_range = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
        in_range.then(|| u128::from_str_radix(part, 16).ok()).flatten().map(|byte| (acc << 8) | byte)
    })
}

fn bad(key: &str, spec: &FieldSpec, piece: Piece<'_>) -> FlowError {
    piece.error(FlowProblem::BadValue {
        key: key.to_owned(),
        found: piece.text().to_owned(),
        expected: value_text(spec),
    })
}

fn value_text(spec: &FieldSpec) -> String {
    match spec.format {
        Format::Port => "a port number or name".to_owned(),
        Format::Mac => "an Ethernet address such as 02:00:00:00:00:01".to_owned(),
        Format::Ipv4 => "an IPv4 address such as 10.0.0.1 or 10.0.0.0/8".to_owned(),
        Format::Ipv6 => "an IPv6 address such as 2001:db8::1 or 2001:db8::/32".to_owned(),
        Format::Decimal => format!("a number from 0 to {}", spec.full_mask()),
        Format::Hex => format!("a number from 0 to {:#x}", spec.full_mask()),
    }
}

fn mask_text(spec: &FieldSpec) -> String {
    match spec.format {
        Format::Mac => "a mask such as ff:ff:ff:00:00:00".to_owned(),
        Format::Ipv4 => "a prefix length from 0 to 32 or a mask such as 255.255.0.0".to_owned(),
        Format::Ipv6 => "a prefix length from 0 to 128 or a mask such as ffff::".to_owned(),
        Format::Decimal | Format::Hex | Format::Port => format!("a mask from 0 to {:#x}", spec.full_mask()),
    }
}
