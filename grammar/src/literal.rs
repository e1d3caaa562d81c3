//! Reads literals: numbers with their units, addresses, strings.
//!
//! Units: durations become nanoseconds, rates a number a second (`k`, `M`, `G` are powers of 1,000), percentages
//! millionths of one. `Ki`, `Mi` and `Gi` are powers of 1,024.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ast::RateUnit;

/// Why a piece of text is no token.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum LexError {
    /// No token begins like this.
    #[default]
    Unknown,
    /// A string without its closing quote.
    OpenString,
    /// A comment of another language without its end.
    OpenComment,
    /// A string in single quotes.
    SingleQuotes,
    /// A backslash before a character that is no escape; where, in bytes from the string's start.
    Escape(u32),
    /// A number with something behind it that is no unit.
    Unit,
    /// A `0x` without digits, or with other characters than hexadecimal digits.
    Hex,
    /// A fraction that is no percentage.
    Fraction,
    /// A percentage with more than four places behind the point.
    PercentPlaces,
    /// Larger than its type holds.
    TooLarge,
    /// Not four parts from 0 to 255.
    Ip4,
    /// Not an IPv6 address.
    Ip6,
    /// A prefix length beyond the address; the most it can be.
    PrefixLength(u8),
    /// A prefix with bits beyond its length.
    HostBits,
}

/// A number, as its unit says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Number {
    Int(u128),
    Duration(u64),
    Rate(u64, RateUnit),
}

const DURATIONS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const RATES: &[(&str, u64, RateUnit)] = &[
    ("pps", 1, RateUnit::Packets),
    ("kpps", 1_000, RateUnit::Packets),
    ("Mpps", 1_000_000, RateUnit::Packets),
    ("Gpps", 1_000_000_000, RateUnit::Packets),
    ("bps", 1, RateUnit::Bits),
    ("kbps", 1_000, RateUnit::Bits),
    ("Mbps", 1_000_000, RateUnit::Bits),
    ("Gbps", 1_000_000_000, RateUnit::Bits),
];

const SIZES: &[(&str, u128)] = &[("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];

/// A number that begins with a digit and goes on with digits, letters and `_`.
pub(crate) fn number(text: &str) -> Result<Number, LexError> {
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16).map(Number::Int).map_err(|error| match error {
            LexError::TooLarge => LexError::TooLarge,
            _ => LexError::Hex,
        });
    }
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let value = digits(number, 10)?;
    if unit.is_empty() {
        return Ok(Number::Int(value));
    }
    let scaled = |factor: u64| {
        let value = value.checked_mul(u128::from(factor)).ok_or(LexError::TooLarge)?;
        u64::try_from(value).map_err(|_| LexError::TooLarge)
    };
    if let Some(&(_, factor)) = DURATIONS.iter().find(|(name, _)| *name == unit) {
        return scaled(factor).map(Number::Duration);
    }
    if let Some(&(_, factor, of)) = RATES.iter().find(|(name, ..)| *name == unit) {
        return scaled(factor).map(|value| Number::Rate(value, of));
    }
    if let Some(&(_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) {
        return value.checked_mul(factor).map(Number::Int).ok_or(LexError::TooLarge);
    }
    Err(LexError::Unit)
}

/// Digits with `_` between them.
fn digits(text: &str, radix: u32) -> Result<u128, LexError> {
    let mut value: u128 = 0;
    let mut any = false;
    for c in text.chars().filter(|&c| c != '_') {
        let digit = c.to_digit(radix).ok_or(LexError::Unit)?;
        let shifted = value.checked_mul(u128::from(radix)).and_then(|v| v.checked_add(u128::from(digit)));
        value = shifted.ok_or(LexError::TooLarge)?;
        any = true;
    }
    if any { Ok(value) } else { Err(LexError::Unit) }
}

/// `0.01%` in millionths of one.
pub(crate) fn percent(text: &str) -> Result<u64, LexError> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let (whole, places) = number.split_once('.').unwrap_or((number, ""));
    if places.len() > 4 {
        return Err(LexError::PercentPlaces);
    }
    let fraction =
        if places.is_empty() { 0 } else { digits(places, 10)? * 10u128.pow(4 - places.len() as u32) };
    let value = digits(whole, 10)?.checked_mul(10_000).and_then(|whole| whole.checked_add(fraction));
    value.and_then(|value| u64::try_from(value).ok()).ok_or(LexError::TooLarge)
}

/// Numbers with points between them: an IPv4 address with or without a prefix length, or a mistake.
pub(crate) fn ip4(text: &str) -> Result<(u32, Option<u8>), LexError> {
    let (address, length) = split_prefix(text);
    if length.is_none() && address.matches('.').count() == 1 {
        return Err(LexError::Fraction);
    }
    let address: Ipv4Addr = address.parse().map_err(|_| LexError::Ip4)?;
    let bits = u32::from(address);
    let length = prefix_length(length, 32)?;
    if length.is_some_and(|length| bits.checked_shl(u32::from(length)).unwrap_or(0) != 0) {
        return Err(LexError::HostBits);
    }
    Ok((bits, length))
}

/// An IPv6 address with or without a prefix length.
pub(crate) fn ip6(text: &str) -> Result<(u128, Option<u8>), LexError> {
    let (address, length) = split_prefix(text);
    let address: Ipv6Addr = address.parse().map_err(|_| LexError::Ip6)?;
    let bits = u128::from(address);
    let length = prefix_length(length, 128)?;
    if length.is_some_and(|length| bits.checked_shl(u32::from(length)).unwrap_or(0) != 0) {
        return Err(LexError::HostBits);
    }
    Ok((bits, length))
}

fn split_prefix(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)))
}

fn prefix_length(text: Option<&str>, most: u8) -> Result<Option<u8>, LexError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(length) if length <= most => Ok(Some(length)),
        _ => Err(LexError::PrefixLength(most)),
    }
}

/// Six bytes in hexadecimal with `:` between them, which the token's pattern has checked.
pub(crate) fn mac(text: &str) -> Result<[u8; 6], LexError> {
    let mut bytes = [0; 6];
    for (byte, part) in bytes.iter_mut().zip(text.split(':')) {
        *byte = u8::from_str_radix(part, 16).map_err(|_| LexError::Hex)?;
    }
    Ok(bytes)
}

/// The meaning of the character behind a backslash.
fn escape(c: char) -> Option<char> {
    match c {
        '\\' | '"' => Some(c),
        'n' => Some('\n'),
        't' => Some('\t'),
        _ => None,
    }
}

/// Checks the escapes of a string with its quotes.
pub(crate) fn check_string(text: &str) -> Result<(), LexError> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && chars.next().and_then(|(_, c)| escape(c)).is_none() {
            return Err(LexError::Escape(at as u32));
        }
    }
    Ok(())
}

/// The text of a checked string with its quotes.
pub(crate) fn unescape(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let mut chars = inner.chars();
    let mut out = String::with_capacity(inner.len());
    while let Some(c) = chars.next() {
        let meant = if c == '\\' { chars.next().and_then(escape) } else { Some(c) };
        out.extend(meant);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        let cases = [
            ("0", Number::Int(0)),
            ("1_000", Number::Int(1000)),
            ("0xFF_ff", Number::Int(0xffff)),
            ("64Ki", Number::Int(65536)),
            ("340282366920938463463374607431768211455", Number::Int(u128::MAX)),
            ("10s", Number::Duration(10_000_000_000)),
            ("5min", Number::Duration(300_000_000_000)),
            ("1h", Number::Duration(3_600_000_000_000)),
            ("3us", Number::Duration(3000)),
            ("1_000pps", Number::Rate(1000, RateUnit::Packets)),
            ("10Mbps", Number::Rate(10_000_000, RateUnit::Bits)),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), Ok(expected), "{text}");
        }
        let errors = [
            ("10sec", LexError::Unit),
            ("0x", LexError::Hex),
            ("0xfg", LexError::Hex),
            ("340282366920938463463374607431768211456", LexError::TooLarge),
            ("0x100000000000000000000000000000000", LexError::TooLarge),
            ("340282366920938463463374607431768211455Ki", LexError::TooLarge),
            ("6000000h", LexError::TooLarge),
        ];
        for (text, expected) in errors {
            assert_eq!(number(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn percentages_are_millionths() {
        assert_eq!(percent("0.01%"), Ok(100));
        assert_eq!(percent("99.9%"), Ok(999_000));
        assert_eq!(percent("100%"), Ok(1_000_000));
        assert_eq!(percent("0.00001%"), Err(LexError::PercentPlaces));
        assert_eq!(percent("99999999999999999999%"), Err(LexError::TooLarge));
    }

    #[test]
    fn addresses_are_in_network_order_and_prefixes_have_no_host_bits() {
        assert_eq!(ip4("10.0.0.1"), Ok((0x0a00_0001, None)));
        assert_eq!(ip4("10.0.0.0/8"), Ok((0x0a00_0000, Some(8))));
        assert_eq!(ip4("0.0.0.0/0"), Ok((0, Some(0))));
        assert_eq!(ip4("10.0.0.1/32"), Ok((0x0a00_0001, Some(32))));
        assert_eq!(ip4("10.0.0.1/8"), Err(LexError::HostBits));
        assert_eq!(ip4("10.0.0.0/33"), Err(LexError::PrefixLength(32)));
        assert_eq!(ip4("10.0.0.0/999"), Err(LexError::PrefixLength(32)));
        assert_eq!(ip4("10.0.0.256"), Err(LexError::Ip4));
        assert_eq!(ip4("10.0.0"), Err(LexError::Ip4));
        assert_eq!(ip4("1.5"), Err(LexError::Fraction));
        assert_eq!(ip6("2001:db8::1"), Ok((0x2001_0db8_0000_0000_0000_0000_0000_0001, None)));
        assert_eq!(ip6("fe80::/10"), Ok((0xfe80 << 112, Some(10))));
        assert_eq!(ip6("::/0"), Ok((0, Some(0))));
        assert_eq!(ip6("::ffff:10.0.0.1"), Ok((0xffff_0a00_0001, None)));
        assert_eq!(ip6("fe80::1/10"), Err(LexError::HostBits));
        assert_eq!(ip6("::/129"), Err(LexError::PrefixLength(128)));
        assert_eq!(ip6("12345::"), Err(LexError::Ip6));
        assert_eq!(mac("02:00:00:00:00:fF"), Ok([2, 0, 0, 0, 0, 255]));
    }

    #[test]
    fn strings_have_four_escapes() {
        assert_eq!(check_string(r#""a\"b\\\n\t""#), Ok(()));
        assert_eq!(unescape(r#""a\"b\\\n\tz""#), "a\"b\\\n\tz");
        assert_eq!(check_string(r#""ab\q""#), Err(LexError::Escape(3)));
    }
}
