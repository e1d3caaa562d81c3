//! Values of states and params as people write them: by the types in a filter's schema.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use oko_artifact::{Ewma, NamedType, ScalarType};
use serde_json::{Value, json};

/// A value for people and for programs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// For a table.
    pub(crate) text: String,
    /// For JSON: a number where it is one, otherwise the text.
    pub(crate) json: Value,
}

impl Shown {
    fn text(text: String) -> Shown {
        Shown { json: Value::String(text.clone()), text }
    }

    fn number(number: u64) -> Shown {
        Shown { text: number.to_string(), json: json!(number) }
    }
}

/// A value of this type, of which `scalars` are what the switch sent. `now` is the switch's monotonic time.
pub(crate) fn show(ty: &ScalarType, scalars: &[u64], now: u64) -> Shown {
    match (ty, scalars) {
        (ScalarType::Bool, [0]) => Shown { text: "false".to_owned(), json: Value::Bool(false) },
        (ScalarType::Bool, [_]) => Shown { text: "true".to_owned(), json: Value::Bool(true) },
        (ScalarType::Ip4, [bits]) => Shown::text(Ipv4Addr::from_bits(*bits as u32).to_string()),
        (ScalarType::Ip6, [high, low]) => {
            Shown::text(Ipv6Addr::from_bits(u128::from(*high) << 64 | u128::from(*low)).to_string())
        }
        (ScalarType::Addr, [4, _, bits]) => Shown::text(Ipv4Addr::from_bits(*bits as u32).to_string()),
        (ScalarType::Addr, [_, high, low]) => {
            Shown::text(Ipv6Addr::from_bits(u128::from(*high) << 64 | u128::from(*low)).to_string())
        }
        (ScalarType::Mac, [bits]) => {
            let bytes = &bits.to_be_bytes()[2..];
            Shown::text(bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"))
        }
        (ScalarType::Duration, [nanos]) => Shown { text: duration(*nanos), json: json!(nanos) },
        (ScalarType::Instant, [at]) => {
            let text = match now.checked_sub(*at) {
                Some(ago) => format!("{} ago", duration(ago)),
                None => format!("in {}", duration(at - now)),
            };
            Shown { text, json: json!(at) }
        }
        (ScalarType::Rate, [rate]) => Shown { text: format!("{rate}pps"), json: json!(rate) },
        (ScalarType::Enum(names), [value]) => match names.iter().find(|(_, number)| number == value) {
            Some((name, _)) => Shown::text(name.clone()),
            None => Shown::number(*value),
        },
        (ScalarType::Bits(names), [value]) => Shown::text(bits(names, *value)),
        (ScalarType::Window(length), [bucket, current, previous]) => {
            Shown::number(window_total(*length, *bucket, *current, *previous, now))
        }
        (ScalarType::Tokens, [level, last_take]) => tokens(*level, *last_take),
        (ScalarType::Distinct(_), [estimate, ..]) => Shown::number(estimate.saturating_add(1 << 15) >> 16),
        (ScalarType::Ewma(of), [sum, weight, at]) => average(*of, of.read(*sum, *weight, *at, now)),
        (ScalarType::Prefix, [family, high, low, length]) => Shown::text(match family {
            4 => format!("{}/{length}", Ipv4Addr::from_bits((high >> 32) as u32)),
            _ => format!("{}/{length}", Ipv6Addr::from_bits(u128::from(*high) << 64 | u128::from(*low))),
        }),
        (_, [number]) => Shown::number(*number),
        (_, several) => Shown {
            text: several.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
            json: json!(several),
        },
    }
}

/// The named bits that are set; the others as a number.
fn bits(names: &[(String, u64)], value: u64) -> String {
    let mut left = value;
    let mut parts = Vec::new();
    for (name, mask) in names {
        if *mask != 0 && value & mask == *mask {
            parts.push(name.clone());
            left &= !mask;
        }
    }
    if left != 0 || parts.is_empty() {
        parts.push(format!("{left:#x}"));
    }
    parts.join("|")
}

/// What a window counts at `now`, as the compiled filter computes it: buckets are as long as the window and numbered from
/// time 0; of the bucket before the current one, the 65,536ths count that the window still covers.
fn window_total(length: u64, bucket: u64, current: u64, previous: u64, now: u64) -> u64 {
    if length == 0 {
        return current;
    }
    let number = now / length;
    let (current, previous) = if bucket >= number {
        (current, previous)
    } else if bucket + 1 == number {
        (0, current)
    } else {
        (0, 0)
    };
    let part = (u128::from(length - now % length) << 16) / u128::from(length);
    current.saturating_add(((u128::from(previous) * part) >> 16) as u64)
}

/// The level of a token bucket after its last take; one that nobody took from is full.
fn tokens(level: u64, last_take: u64) -> Shown {
    if last_take == 0 {
        return Shown::text("full".to_owned());
    }
    let (whole, tenth) = (level / 1_000_000_000, level % 1_000_000_000 / 100_000_000);
    let text = if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") };
    Shown { text, json: json!(level as f64 / 1e9) }
}

/// An average, and of numbers what is added in a second.
fn average(of: Ewma, (average, rate): (f64, f64)) -> Shown {
    if of.of_durations {
        let nanos = average.round() as u64;
        return Shown { text: duration(nanos), json: json!({ "average": nanos }) };
    }
    Shown { text: format!("{average:.1} ({rate:.1}/s)"), json: json!({ "average": average, "rate": rate }) }
}

/// Splits the scalars of a key or value by its parts, each with its name. What the types do not account for (a schema
/// of another compiler) is shown as numbers.
pub(crate) fn show_parts(
    parts: &[NamedType],
    alone: &str,
    scalars: &[u64],
    now: u64,
) -> Vec<(String, Shown)> {
    let mut out = Vec::new();
    let mut left = scalars;
    for part in parts {
        let name = if part.name.is_empty() { alone } else { &part.name };
        let (mine, rest) = left.split_at(scalars_of(&part.ty).min(left.len()));
        left = rest;
        out.push((name.to_owned(), show(&part.ty, mine, now)));
    }
    for (index, scalar) in left.iter().enumerate() {
        out.push((format!("{alone}.{index}"), Shown::number(*scalar)));
    }
    out
}

/// How many scalars the switch tells of a part: a prefix comes with its length.
fn scalars_of(ty: &ScalarType) -> usize {
    ty.scalars() + usize::from(*ty == ScalarType::Prefix)
}

/// Nanoseconds with a unit that leaves few digits: `850ns`, `1.5ms`, `10s`, `2m5s`, `3h0m`, `2d4h`.
pub(crate) fn duration(nanos: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let seconds = nanos / 1_000_000_000;
    match seconds {
        86_400.. => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
        3_600.. => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        60.. => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => {
            let (unit, name) = UNITS.into_iter().find(|(unit, _)| nanos >= *unit).unwrap_or((1, "ns"));
            let tenths = u128::from(nanos) * 10 / u128::from(unit);
            match tenths % 10 {
                0 => format!("{}{name}", tenths / 10),
                tenth => format!("{}.{tenth}{name}", tenths / 10),
            }
        }
    }
}

/// A number of bytes: `512 B`, `1.5 KiB`, `64 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_023.95 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let number = format!("{value:.1}");
    format!("{} {}", number.strip_suffix(".0").unwrap_or(&number), UNITS[unit])
}

/// Reads a value of one scalar as people write it. The error says what was expected.
pub(crate) fn parse(ty: &ScalarType, text: &str) -> Result<u64, String> {
    let plain = || number(text);
    match ty {
        ScalarType::Bool => match text {
            "true" => Ok(1),
            "false" => Ok(0),
            _ => Err("true or false".to_owned()),
        },
        ScalarType::Ip4 => text
            .parse::<Ipv4Addr>()
            .map(|address| u64::from(address.to_bits()))
            .map_err(|_| "an IPv4 address such as 10.0.0.1".to_owned()),
        ScalarType::Mac => {
            mac(text).ok_or_else(|| "an Ethernet address such as 02:00:00:00:00:01".to_owned())
        }
        ScalarType::Duration => {
            parse_duration(text).ok_or_else(|| "a duration such as 500ms, 10s, 5min or 1h".to_owned())
        }
        ScalarType::Rate => text
            .strip_suffix("pps")
            .map_or_else(plain, number)
            .ok_or_else(|| "a rate such as 1000pps".to_owned()),
        ScalarType::Enum(names) => {
            names.iter().find(|(name, _)| name == text).map(|(_, value)| *value).ok_or_else(|| {
                format!("one of {}", names.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", "))
            })
        }
        ScalarType::Bits(names) => parse_bits(names, text).ok_or_else(|| {
            let known = names.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ");
            format!("names of bits with | between them, of {known}, or a number")
        }),
        _ => plain().ok_or_else(|| "a number".to_owned()),
    }
}

/// Reads a value of any number of scalars, the inverse of [`show`]; a prefix has its length behind it. `now` is the switch's monotonic time.
pub(crate) fn parse_scalars(ty: &ScalarType, text: &str, now: u64) -> Result<Vec<u64>, String> {
    let halves = |address: u128| [(address >> 64) as u64, address as u64];
    match ty {
        ScalarType::Ip6 => text
            .parse::<Ipv6Addr>()
            .map(|address| halves(address.to_bits()).to_vec())
            .map_err(|_| "an IPv6 address such as 2001:db8::1".to_owned()),
        ScalarType::Addr => match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => Ok(vec![4, 0, address.to_bits().into()]),
            Ok(IpAddr::V6(address)) => {
                let [high, low] = halves(address.to_bits());
                Ok(vec![6, high, low])
            }
            Err(_) => Err("an address such as 10.0.0.1 or 2001:db8::1".to_owned()),
        },
        ScalarType::Prefix => parse_prefix(text),
        ScalarType::Instant => match text {
            "now" => Ok(vec![now]),
            _ => parse_duration(text.strip_suffix(" ago").unwrap_or(text))
                .map(|ago| vec![now.saturating_sub(ago)])
                .ok_or_else(|| "now, or how long ago it was, such as 10s".to_owned()),
        },
        ScalarType::Window(length) => number(text)
            .map(|count| vec![now.checked_div(*length).unwrap_or(0), count, 0])
            .ok_or_else(|| "a number".to_owned()),
        ScalarType::Tokens => {
            if text == "full" {
                return Ok(vec![0, 0]);
            }
            number(text)
                .and_then(|level| level.checked_mul(1_000_000_000))
                .map(|level| vec![level, now])
                .ok_or_else(|| "a number of tokens, or full".to_owned())
        }
        ScalarType::Distinct(_) | ScalarType::Ewma(_) => {
            Err("nothing: only filters can write such a cell; delete the entry instead".to_owned())
        }
        _ => parse(ty, text).map(|scalar| vec![scalar]),
    }
}

/// A prefix in the scalars of a key, and its length.
fn parse_prefix(text: &str) -> Result<Vec<u64>, String> {
    let bad = || "a prefix such as 10.0.0.0/8 or 2001:db8::/32".to_owned();
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| bad())?)),
        None => (text, None),
    };
    // An IPv4 address is in the most significant bits.
    let (family, bits, longest) = match address.parse::<IpAddr>().map_err(|_| bad())? {
        IpAddr::V4(address) => (4, u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (6, address.to_bits(), 128),
    };
    let length = length.unwrap_or(longest);
    if length > longest {
        return Err(format!("a length of at most {longest}"));
    }
    let behind = u128::MAX.checked_shr(length).unwrap_or(0);
    if bits & behind != 0 {
        return Err(format!("no bits behind the first {length} of the address"));
    }
    Ok(vec![family, (bits >> 64) as u64, bits as u64, length.into()])
}

fn parse_bits(names: &[(String, u64)], text: &str) -> Option<u64> {
    text.split('|').map(str::trim).try_fold(0, |all, part| {
        let named = names.iter().find(|(name, _)| name == part).map(|(_, mask)| *mask);
        named.or_else(|| number(part)).map(|bits| all | bits)
    })
}

/// A number in base 10 or, with `0x`, 16; `_` may stand between digits.
fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    match digits.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
        None if !digits.starts_with('+') => digits.parse().ok(),
        _ => None,
    }
}

fn mac(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() != 6 {
        return None;
    }
    parts.iter().try_fold(0, |acc, part| {
        let fits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| u64::from_str_radix(part, 16).ok()).flatten().map(|byte| acc << 8 | byte)
    })
}

/// A number with a unit, as in the language; a plain number is refused, for its unit would be a guess.
fn parse_duration(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '_')?;
    let unit = match &text[at..] {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    number(&text[..at])?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 100_000_000_000;

    #[test]
    fn values_are_shown_by_their_types() {
        let names = vec![("SYN".to_owned(), 2), ("ACK".to_owned(), 0x10)];
        let cases: Vec<(ScalarType, Vec<u64>, &str, Value)> = vec![
            (ScalarType::Uint, vec![7], "7", json!(7)),
            (ScalarType::Counter, vec![8], "8", json!(8)),
            (ScalarType::Bool, vec![1], "true", json!(true)),
            (ScalarType::Ip4, vec![0x0a00_0001], "10.0.0.1", json!("10.0.0.1")),
            (ScalarType::Ip6, vec![0x2001_0db8_0000_0000, 1], "2001:db8::1", json!("2001:db8::1")),
            (ScalarType::Mac, vec![0x0200_0000_00ff], "02:00:00:00:00:ff", json!("02:00:00:00:00:ff")),
            (ScalarType::Duration, vec![1_500_000_000], "1.5s", json!(1_500_000_000_u64)),
            (ScalarType::Instant, vec![NOW - 2_000_000_000], "2s ago", json!(NOW - 2_000_000_000)),
            (ScalarType::Instant, vec![NOW + 90_000_000_000], "in 1m30s", json!(NOW + 90_000_000_000)),
            (ScalarType::Rate, vec![1_000], "1000pps", json!(1_000)),
            (ScalarType::Enum(vec![("New".to_owned(), 1)]), vec![1], "New", json!("New")),
            (ScalarType::Enum(vec![("New".to_owned(), 1)]), vec![9], "9", json!(9)),
            (ScalarType::Bits(names.clone()), vec![0x12], "SYN|ACK", json!("SYN|ACK")),
            (ScalarType::Bits(names.clone()), vec![0x41], "0x41", json!("0x41")),
            (ScalarType::Bits(names), vec![0], "0x0", json!("0x0")),
            (ScalarType::Window(10_000_000_000), vec![10, 40, 100], "140", json!(140)),
            (ScalarType::Tokens, vec![1_999_500_000_000, 7], "1999.5", json!(1_999.5)),
            (ScalarType::Tokens, vec![0, 0], "full", json!("full")),
            (ScalarType::Distinct(2), vec![3 << 16, 5, 1, 2], "3", json!(3)),
            (ScalarType::Prefix, vec![4, 0x0a00_0000 << 32, 0, 8], "10.0.0.0/8", json!("10.0.0.0/8")),
            (ScalarType::Prefix, vec![6, 0x2001_0db8 << 32, 0, 32], "2001:db8::/32", json!("2001:db8::/32")),
            (
                ScalarType::Ewma(Ewma { time_constant: 1_000_000_000, of_durations: true }),
                vec![3_000_000 << 16, 2 << 16, NOW / 676_901],
                "1.5ms",
                json!({ "average": 1_500_000 }),
            ),
        ];
        for (ty, scalars, text, json) in cases {
            let shown = show(&ty, &scalars, NOW);
            assert_eq!((shown.text.as_str(), shown.json), (text, json), "{ty:?} {scalars:?}");
        }
    }

    #[test]
    fn what_is_shown_of_a_key_can_be_written() {
        let names = vec![("SYN".to_owned(), 2), ("ACK".to_owned(), 0x10)];
        let cases: Vec<(ScalarType, Vec<u64>)> = vec![
            (ScalarType::Uint, vec![7]),
            (ScalarType::Bool, vec![1]),
            (ScalarType::Ip4, vec![0x0a00_0001]),
            (ScalarType::Ip6, vec![0x2001_0db8_0000_0000, 1]),
            (ScalarType::Addr, vec![4, 0, 0x0a00_0001]),
            (ScalarType::Addr, vec![6, 0x2001_0db8_0000_0000, 1]),
            (ScalarType::Mac, vec![0x0200_0000_00ff]),
            (ScalarType::Prefix, vec![4, 0x0a00_0000 << 32, 0, 8]),
            (ScalarType::Prefix, vec![6, 0x2001_0db8 << 32, 0, 32]),
            (ScalarType::Enum(vec![("New".to_owned(), 1)]), vec![1]),
            (ScalarType::Bits(names), vec![0x52]),
            (ScalarType::Tokens, vec![0, 0]),
            (ScalarType::Tokens, vec![5_000_000_000, NOW]),
            (ScalarType::Window(10_000_000_000), vec![10, 40, 0]),
            (ScalarType::Instant, vec![NOW - 2_000_000_000]),
        ];
        for (ty, scalars) in cases {
            let text = show(&ty, &scalars, NOW).text;
            assert_eq!(parse_scalars(&ty, &text, NOW), Ok(scalars), "{text}");
        }
        for (ty, text, expected) in [
            (ScalarType::Prefix, "10.0.0.0/33", "a length of at most 32"),
            (ScalarType::Prefix, "10.0.0.1/8", "no bits behind the first 8 of the address"),
            (ScalarType::Prefix, "ten", "a prefix such as 10.0.0.0/8 or 2001:db8::/32"),
            (ScalarType::Addr, "10.0.0", "an address such as 10.0.0.1 or 2001:db8::1"),
            (ScalarType::Tokens, "99999999999999", "a number of tokens, or full"),
        ] {
            assert_eq!(parse_scalars(&ty, text, NOW), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_window_forgets_what_it_no_longer_covers() {
        let length = 10_000_000_000;
        let total = |bucket, now| window_total(length, bucket, 40, 100, now);
        assert_eq!(total(10, NOW), 140, "at the start of a bucket, all of the one before counts");
        assert_eq!(total(10, NOW + length / 2), 90, "in its middle, half of it");
        assert_eq!(total(9, NOW), 40, "a bucket later, what was current is what was before");
        assert_eq!(total(8, NOW), 0);
    }

    #[test]
    fn durations_and_sizes_have_few_digits() {
        for (nanos, text) in [
            (0, "0ns"),
            (850, "850ns"),
            (1_500, "1.5us"),
            (2_000_000, "2ms"),
            (999_999_999, "999.9ms"),
            (59_900_000_000, "59.9s"),
            (125_000_000_000, "2m5s"),
            (7_260_000_000_000, "2h1m"),
            (u64::MAX, "213503d23h"),
        ] {
            assert_eq!(duration(nanos), text);
        }
        for (count, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (1 << 20, "1 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn params_are_read_as_they_are_written_in_the_language() {
        let names = ScalarType::Enum(vec![("Drop".to_owned(), 3)]);
        let cases = [
            (ScalarType::Uint, "1_000", Ok(1_000)),
            (ScalarType::Uint, "0x10", Ok(16)),
            (ScalarType::Uint, "-1", Err("a number")),
            (ScalarType::Uint, "+1", Err("a number")),
            (ScalarType::Bool, "true", Ok(1)),
            (ScalarType::Bool, "1", Err("true or false")),
            (ScalarType::Duration, "10s", Ok(10_000_000_000)),
            (ScalarType::Duration, "5min", Ok(300_000_000_000)),
            (ScalarType::Duration, "10", Err("a duration such as 500ms, 10s, 5min or 1h")),
            (ScalarType::Duration, "99999999999h", Err("a duration such as 500ms, 10s, 5min or 1h")),
            (ScalarType::Rate, "1_000pps", Ok(1_000)),
            (ScalarType::Rate, "1000", Ok(1_000)),
            (ScalarType::Ip4, "10.0.0.1", Ok(0x0a00_0001)),
            (ScalarType::Mac, "02:00:00:00:00:01", Ok(0x0200_0000_0001)),
            (names.clone(), "Drop", Ok(3)),
            (names, "Pass", Err("one of Drop")),
        ];
        for (ty, text, expected) in cases {
            assert_eq!(parse(&ty, text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
