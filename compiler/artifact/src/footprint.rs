//! What a program's states take in memory, and what was derived from declared accuracy, as lines for people.

use std::fmt::Write;

use crate::schema::{Container, NamedType, ScalarType, Schema, StateSchema};

impl Schema {
    /// A line for each state and table, with what was derived from its declared accuracy behind it, and one for all together.
    pub fn footprint(&self) -> String {
        let mut text = String::new();
        let mut total = 0u64;
        for state in &self.states {
            total = total.saturating_add(state.bytes);
            let copies = if state.merge.is_some() { " for each core" } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}: {}, {}{copies}", state.name, kind(state), bytes(state.bytes));
            for part in &state.value {
                if let ScalarType::Distinct(registers) = part.ty {
                    let error = (std::f64::consts::LN_2 / f64::from(registers)).sqrt() * 100.0;
                    let name = called(part);
                    let _ = writeln!(text, "    {name}{registers} registers, standard error {error:.1}%");
                }
            }
        }
        let _ = writeln!(text, "all: {}", bytes(total));
        text
    }
}

/// `name: `, where there is one.
fn called(part: &NamedType) -> String {
    if part.name.is_empty() { String::new() } else { format!("{}: ", part.name) }
}

fn kind(state: &StateSchema) -> String {
    let entries = |what: &str| format!("{what} of {} entries", grouped(u64::from(state.capacity)));
    match &state.container {
        _ if state.hidden => {
            format!("limit of an event, for {} values at one time", grouped(u64::from(state.capacity)))
        }
        Container::Keyed => entries(if state.value.is_empty() { "set" } else { "map" }),
        Container::Array => entries("array"),
        Container::Single => "one entry".to_owned(),
        Container::Table => entries("table"),
        Container::PrefixTable => entries("table of prefixes"),
        Container::Sketch(sketch) => {
            let twice = if sketch.window.is_some() { ", twice for the window" } else { "" };
            let (rows, width) = (sketch.rows, grouped(u64::from(sketch.width)));
            format!("sketch of {rows} rows of {width} counters{twice}")
        }
        Container::Bloom(bloom) => {
            let twice = if bloom.expire.is_some() { ", two generations" } else { "" };
            let bits = u64::from(bloom.words) * if bloom.expire.is_some() { 48 } else { 64 };
            format!("Bloom filter of {} bits and {} hashes{twice}", grouped(bits), bloom.hashes)
        }
    }
}

/// `1,024`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes for people.
fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1_024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 27_183, 1_234_567].map(grouped),
            ["0", "999", "1,000", "27,183", "1,234,567"]
        );
        assert_eq!([5, 2_048, 3_044_496].map(bytes), ["5 bytes", "2.0 KiB", "2.9 MiB"]);
    }
}
