//! Scripts: the comments of a text module that say what running it gives. The same lines go through every engine.
//!
//! Each is one line; they are executed in order against one instance of the module.
//!
//! ```text
//! ; run: flooding packet=00ff.12 len=60 port=3 now=5s => 1
//! ; param: excess = 20
//! ; live: servers now=6s: (1, 2) -> (3) expires=65s written=5s; (4, 5) -> (0) expires=never written=5s
//! ; refused: servers 1
//! ; evicted: servers 0
//! ; seed: 7
//! ; put: routes (167772160)/8 -> (3)
//! ; remove: routes (167772160)/8
//! ; events: scan now=5s (1, 2); scan now=6s (1, 3)
//! ; dropped: 0
//! ```
//!
//! `packet` is in hexadecimal, dots mean nothing, `xN` behind a byte repeats it N times in all (`00x20`). What is left out is: an empty packet,
//! its own length, port 0, `now` of 1 ns. Times are in ns, or `s`. `live` lists the entries that are live at an instant in the order of their
//! keys; `->` separates key and the scalars of fields. Words that are not 0 are listed like entries. `put` and `remove` change tables; `/N`
//! is how many bits of a prefix table's key count. `events` lists what was reported since the last such line.

use crate::interp::{EntryDump, TableKey};

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the text, from 1.
    pub number: u32,
    /// What it says.
    pub step: Step,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A filter answers so for this packet.
    Run {
        /// The filter's name.
        filter: String,
        /// The bytes that are there.
        packet: Vec<u8>,
        /// The length on the wire.
        wire_len: u32,
        /// The port it comes in by.
        in_port: u32,
        /// The instant.
        now: u64,
        /// The answer.
        class: u32,
    },
    /// A param is set from here on.
    Param {
        /// Its name.
        name: String,
        /// Its value.
        value: u64,
    },
    /// These entries of a state are live and no others.
    Live {
        /// The state's name.
        state: String,
        /// The instant.
        now: u64,
        /// The entries in the order of their keys.
        entries: Vec<EntryDump>,
    },
    /// So many new keys have been refused.
    Refused {
        /// The state's name.
        state: String,
        /// How many.
        count: u64,
    },
    /// So many live entries have been evicted.
    Evicted {
        /// The state's name.
        state: String,
        /// How many.
        count: u64,
    },
    /// The number that the words of the seed are made of, before anything runs.
    Seed {
        /// The number.
        seed: u64,
    },
    /// An entry of a table is written.
    Put {
        /// The state's name.
        state: String,
        /// Its key; for an exact table, of all bits that there are: `u32::MAX`.
        key: TableKey,
        /// Its scalars.
        fields: Vec<u64>,
    },
    /// An entry of a table is removed, which is there.
    Remove {
        /// The state's name.
        state: String,
        /// Its key.
        key: TableKey,
    },
    /// These events have been reported and wait.
    Events {
        /// Name, instant and values of each.
        events: Vec<(String, u64, Vec<u64>)>,
    },
    /// So many events have been dropped.
    Dropped {
        /// How many.
        count: u64,
    },
}

/// The script in the comments of a text.
///
/// # Errors
///
/// The line that makes no sense.
pub fn read(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some((word, rest)) = line.trim().strip_prefix("; ").and_then(|line| line.split_once(": ")) else {
            continue;
        };
        let step = match word {
            "run" => run(rest),
            "param" => param(rest),
            "live" => live(rest),
            "refused" => counter(rest).map(|(state, count)| Step::Refused { state, count }),
            "evicted" => counter(rest).map(|(state, count)| Step::Evicted { state, count }),
            "seed" => rest.trim().parse().ok().map(|seed| Step::Seed { seed }),
            "put" => put(rest),
            "remove" => rest.trim().split_once(' ').and_then(|(state, key)| {
                Some(Step::Remove { state: state.to_owned(), key: table_key(key)? })
            }),
            "events" => events(rest),
            "dropped" => rest.trim().parse().ok().map(|count| Step::Dropped { count }),
            _ => continue,
        };
        let step = step.ok_or_else(|| format!("line {number} makes no sense: {line}"))?;
        lines.push(Line { number, step });
    }
    Ok(lines)
}

fn run(text: &str) -> Option<Step> {
    let (left, class) = text.split_once("=>")?;
    let mut words = left.split_whitespace();
    let filter = words.next()?.to_owned();
    let (mut packet, mut wire_len, mut in_port, mut now) = (Vec::new(), None, 0, 1);
    for word in words {
        let (name, value) = word.split_once('=')?;
        match name {
            "packet" => packet = hex(value)?,
            "len" => wire_len = Some(value.parse().ok()?),
            "port" => in_port = value.parse().ok()?,
            "now" => now = time(value)?,
            _ => return None,
        }
    }
    let wire_len = wire_len.or_else(|| u32::try_from(packet.len()).ok())?;
    Some(Step::Run { filter, packet, wire_len, in_port, now, class: class.trim().parse().ok()? })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.replace('.', "");
    let mut rest = digits.as_str();
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        let byte = u8::from_str_radix(rest.get(..2)?, 16).ok()?;
        rest = &rest[2..];
        bytes.push(byte);
        if let Some(repeat) = rest.strip_prefix('x') {
            // `,` ends a count that digits follow.
            let end = repeat.find(|c: char| !c.is_ascii_digit()).unwrap_or(repeat.len());
            let count: usize = repeat[..end].parse().ok().filter(|count| (1..=65_536).contains(count))?;
            bytes.extend(std::iter::repeat_n(byte, count - 1));
            rest = repeat[end..].strip_prefix(',').unwrap_or(&repeat[end..]);
        }
    }
    Some(bytes)
}

fn time(text: &str) -> Option<u64> {
    match text.strip_suffix('s') {
        _ if text == "never" => Some(crate::NEVER),
        Some(seconds) => seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000),
        None => text.parse().ok(),
    }
}

fn param(text: &str) -> Option<Step> {
    let (name, value) = text.split_once('=')?;
    Some(Step::Param { name: name.trim().to_owned(), value: value.trim().parse().ok()? })
}

fn counter(text: &str) -> Option<(String, u64)> {
    let (state, count) = text.trim().split_once(' ')?;
    Some((state.to_owned(), count.parse().ok()?))
}

fn live(text: &str) -> Option<Step> {
    let (head, list) = text.split_once(':')?;
    let (state, now) = head.split_once(" now=")?;
    let entries =
        list.split(';').map(str::trim).filter(|entry| !entry.is_empty()).map(entry).collect::<Option<_>>()?;
    Some(Step::Live { state: state.trim().to_owned(), now: time(now)?, entries })
}

fn put(text: &str) -> Option<Step> {
    let (state, rest) = text.trim().split_once(' ')?;
    let (key, fields) = rest.split_once("->")?;
    Some(Step::Put { state: state.to_owned(), key: table_key(key)?, fields: numbers(fields)? })
}

/// `(1, 2)/8`
fn table_key(text: &str) -> Option<TableKey> {
    let (parts, bits) = match text.trim().split_once('/') {
        Some((parts, bits)) => (parts, bits.trim().parse().ok()?),
        None => (text, u32::MAX),
    };
    Some(TableKey { parts: numbers(parts)?, bits })
}

fn events(text: &str) -> Option<Step> {
    let event = |text: &str| {
        let (name, rest) = text.trim().split_once(" now=")?;
        let (now, values) = rest.split_once(' ')?;
        Some((name.to_owned(), time(now)?, numbers(values)?))
    };
    let events =
        text.split(';').filter(|event| !event.trim().is_empty()).map(event).collect::<Option<_>>()?;
    Some(Step::Events { events })
}

/// `(1, 2)`
fn numbers(text: &str) -> Option<Vec<u64>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let words = inner.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| word.parse().ok()).collect()
}

fn entry(text: &str) -> Option<EntryDump> {
    let (key, rest) = text.split_once("->")?;
    let (fields, header) = rest.split_once(')')?;
    let fields = numbers(&format!("{fields})"))?;
    // Words and entries of tables never expire.
    let mut dump = EntryDump { key: numbers(key)?, fields, expires: crate::NEVER, written: 0 };
    for word in header.split_whitespace() {
        match word.split_once('=')? {
            ("expires", value) => dump.expires = time(value)?,
            ("written", value) => dump.written = time(value)?,
            _ => return None,
        }
    }
    Some(dump)
}
