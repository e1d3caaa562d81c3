//! A generator of well-typed programs: whatever the seed, the source compiles.
//!
//! Every expression is made to a width: its value fits in so many bits, whatever its parts are, so nothing has to be tried. The programs
//! declare their own headers, of odd widths, and use functions, loops that carry values, regions, arrays, slices, wide integers, patterns,
//! all kinds of state, tables, and events.

use std::fmt::Write;

use crate::random::Random;

/// A program and how many of each construct it has.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The source, with one filter `f`.
    pub source: String,
    /// How many of each of [`CONSTRUCTS`] it has.
    pub constructs: [u32; 7],
}

/// What is counted.
pub const CONSTRUCTS: [&str; 7] = [
    "loops",
    "arrays and calls",
    "operations on maps, sets and arrays",
    "operations on cells",
    "sketches and Bloom filters",
    "lookups in tables",
    "events",
];

/// The program of a seed.
pub fn program(seed: u64) -> Typed {
    let mut maker = Maker {
        random: Random(seed ^ 0x9e37_79b9_7f4a_7c15),
        names: Vec::new(),
        fresh: 0,
        fns: 0,
        pure: true,
        region: false,
        locked: false,
        loops: 0,
        made: [0; 7],
    };
    let source = maker.file();
    Typed { source, constructs: maker.made }
}

/// The fields of the header `h`, with their widths; all of `h` has 40 bytes.
const FIELDS: &[(&str, u32)] =
    &[("h.kind", 8), ("h.b", 16), ("h.c", 32), ("h.d", 64), ("h.four", 4), ("h.twelve", 12), ("h.odd", 17)];

struct Maker {
    random: Random,
    /// Names of numbers in scope, with their widths.
    names: Vec<(String, u32)>,
    fresh: u32,
    /// The functions `f0`, `f1` … that may be called: each takes two numbers of 16 bits and gives one of 32.
    fns: u32,
    /// Whether there is no packet and no state here.
    pure: bool,
    /// Whether `k` is at hand.
    region: bool,
    /// Whether an entry is being replaced here: nothing else is looked at.
    locked: bool,
    loops: u32,
    made: [u32; 7],
}

impl Maker {
    fn file(&mut self) -> String {
        let mut text = String::from(
            "#[root]\nheader h {\n    kind: u8,\n    b: u16,\n    c: u32,\n    d: u64,\n    four: u4,\n    twelve: u12,\n    odd: u17,\n    \
             rest: u7,\n    w: u128,\n    seq: seq,\n} next by kind { 0..=127 => k }\n\nheader k { x: u16 where x >= 3, addr: ip4, count: u8, items: [item in count & 7] }\n\
             header item by tag: u8 {\n    0 => nothing {},\n    _ => value { len: u8 where len >= 1, rest: [u8 in len - 1] },\n}\n\n\
             enum Class { Low, Middle, High }\nstruct Pair { left: u16, right: u32 }\n",
        );
        let table: Vec<String> = (0..16).map(|_| self.random.below(256).to_string()).collect();
        let _ = write!(
            text,
            "const TABLE: [u8; 16] = [{}];\nconst NETS: [prefix; 2] = [10.0.0.0/8, 192.168.{}.0/24];\n\n",
            table.join(", "),
            self.random.below(256)
        );
        for (state, content) in
            [("words", "map[u16, u32]"), ("pairs", "map[(u8, u32), Pair]"), ("keys", "set[u16]")]
        {
            let _ = writeln!(
                text,
                "state {state}: {content} {{ capacity: 16_384, when_full: refuse, expire: 60s }};"
            );
        }
        text += "state total: counter;\nstruct Cells { count: counter, recent: window, rate: tokens, kinds: distinct[u32], mean: ewma }\n\
             state cells: map[u8, Cells] {\n    capacity: 512, when_full: refuse, expire: 40s, window: 10s, init: tokens(rate: 2pps, burst: 5), error: 20%, time_constant: 30s,\n};\n\
             state slots: array[u64] { capacity: 16 };\nstate own: counter per core { merge: sum };\n\
             state volume: sketch[(u16, u8)] { error: 4%, confidence: 90%, window: 20s };\nstate ever: sketch[u32] { error: 10%, confidence: 95% };\n\
             state seen: bloom[u16] { capacity: 100, error: 5%, expire: 15s };\n\
             table nets: map[prefix, u16] { capacity: 64 };\ntable exact: map[(u8, bool), Pair] { capacity: 64 };\ntable listed: set[u16] { capacity: 64 };\n\
             event odd { key: u16, value: u32, sure: bool } limit 2 each 10s per key;\nevent plain { wide: u64, class: Class } limit 3 each 5s;\n\nfn class(n: u32) -> Class { match n { 0..=99 => Low, 100 | 200..=299 => Middle, _ => High } }\n";
        for at in 0..3 {
            self.names = vec![("a".into(), 16), ("b".into(), 16)];
            let body = self.number(32, 4);
            let _ = writeln!(text, "fn f{at}(a: u16, b: u16) -> u32 {{ {body} }}");
            self.fns = at + 1;
        }
        self.pure = false;
        let mut arms = String::new();
        for (layers, inner) in [("h / k", true), ("h", false)] {
            self.names = FIELDS.iter().map(|(name, bits)| ((*name).to_owned(), *bits)).collect();
            self.names.push(("pkt.len".into(), 32));
            if inner {
                self.names.push(("k.x".into(), 16));
            }
            self.region = inner;
            let guard = self.condition(2);
            let mut body = String::new();
            for _ in 0..3 {
                let bits = [8, 16, 32, 64][self.random.below(4) as usize];
                let value = self.number(bits, 4);
                let name = self.name();
                let _ = writeln!(body, "            let {name}: u{bits} = {value};");
                self.names.push((name, bits));
            }
            self.changes(&mut body);
            let answer = self.condition(4);
            let inner = if inner { " or k.addr in NETS" } else { "" };
            let _ = writeln!(
                arms,
                "        {layers} if {guard} => {{\n{body}            {answer}{inner}\n        }}"
            );
        }
        let _ =
            writeln!(text, "\nfilter f -> bool {{\n    match pkt {{\n{arms}        _ => false,\n    }}\n}}");
        text
    }

    fn name(&mut self) -> String {
        self.fresh += 1;
        format!("v{}", self.fresh)
    }

    /// Statements that change state, and those that tell events.
    fn changes(&mut self, body: &mut String) {
        for _ in 0..1 + self.random.below(3) {
            self.made[2] += 1;
            let key = self.number(16, 2);
            match self.random.below(5) {
                0 => {
                    let (value, name) = (self.while_locked(32, 3), self.name());
                    let _ = writeln!(
                        body,
                        "            let {name} = (update words[{key}] |old| (old ?? 7) +% {value}) ?? 1;"
                    );
                    self.names.push((name, 32));
                }
                1 => {
                    let name = self.name();
                    let _ = writeln!(
                        body,
                        "            let {name} = if keys.insert({key}) == none {{ 0 }} else {{ 1 }};"
                    );
                    self.names.push((name, 1));
                }
                2 => {
                    let (small, wide) = (self.while_locked(16, 2), self.while_locked(32, 2));
                    let (second, name) = (self.number(32, 1), self.name());
                    let _ = writeln!(
                        body,
                        "            let {name}s = update pairs[({key} & 0xff, {second})] |old| match old {{\n                none => Pair(left: {small}, right: {wide}),\n                \
                         Pair(left: 0..=9, right: let r) => Pair(left: {small}, right: r),\n                let p => Pair(left: p.left -| 1, right: p.right +| 1),\n            }};\n            let {name} = match {name}s {{\n                \
                         none => 3,\n                let p => p.right,\n            }};"
                    );
                    self.names.push((name, 32));
                }
                3 => {
                    let (value, name) = (self.while_locked(64, 2), self.name());
                    let _ = writeln!(
                        body,
                        "            let {name} = update slots[{key} & 15] |old| (old ?? 9) +% {value};"
                    );
                    let _ = writeln!(body, "            let {name}w = {name} ?? 0;");
                    self.names.push((format!("{name}w"), 64));
                }
                _ => {
                    let name = self.name();
                    let state = ["total", "own"][self.random.below(2) as usize];
                    let _ = writeln!(body, "            let {name} = {state}.add(({key}) & 0xff);");
                }
            }
        }
        for _ in 0..self.random.below(3) {
            self.cell(body);
        }
        for _ in 0..self.random.below(3) {
            self.estimate(body);
        }
        if self.random.below(2) == 0 {
            self.told(body);
        }
    }

    /// An operation of a cell.
    fn cell(&mut self, body: &mut String) {
        self.made[3] += 1;
        let (key, value, name) = (self.number(8, 2), self.number(16, 2), self.name());
        let (operation, bits) = match self.random.below(8) {
            0 => (format!("count.add({value}) ?? 5"), 64),
            1 => (format!("recent.add({value}) ?? 5"), 64),
            2 => (format!("kinds.insert({value}) ?? 5"), 64),
            3 => (format!("mean.add({value}) ?? 5"), 64),
            4 => ("recent.total".to_owned(), 64),
            5 => ("mean.average".to_owned(), 64),
            6 => ("kinds.total".to_owned(), 64),
            _ => (format!("rate.take({value} & 3 | 1) == true"), 1),
        };
        let value = format!("cells[{key}].{operation}");
        let value = if bits == 1 { format!("if {value} {{ 1 }} else {{ 0 }}") } else { value };
        let _ = writeln!(body, "            let {name}: u64 = {value};");
        self.names.push((name, 64));
    }

    /// An operation of a sketch or Bloom filter.
    fn estimate(&mut self, body: &mut String) {
        self.made[4] += 1;
        let (key, value, name) = (self.number(16, 2), self.number(16, 2), self.name());
        let value = match self.random.below(5) {
            0 => format!("volume[({key}, 7)].add({value})"),
            1 => format!("volume[({key} & 15, 9)].estimate"),
            2 => format!("ever[{key}].add({value})"),
            3 => format!("if seen.insert({key}) {{ 1 }} else {{ 0 }}"),
            _ => format!("if {key} in seen {{ 3 }} else {{ 4 }}"),
        };
        let _ = writeln!(body, "            let {name}: u64 = {value};");
        self.names.push((name, 64));
    }

    /// An event, on a condition.
    fn told(&mut self, body: &mut String) {
        self.made[6] += 1;
        let condition = self.condition(1);
        if self.random.below(2) == 0 {
            let (key, value, sure) = (self.number(16, 1), self.number(32, 2), self.condition(1));
            let _ = writeln!(
                body,
                "            if {condition} {{\n                emit odd {{ value: {value}, key: {key} & 3, sure: {sure} }};\n            }}"
            );
        } else {
            let (wide, class) = (self.number(64, 2), self.number(32, 1));
            let _ = writeln!(
                body,
                "            if {condition} {{\n                emit plain {{ wide: {wide}, class: class({class}) }};\n            }}"
            );
        }
    }

    /// What a table says, as a number of 16 bits.
    fn in_table(&mut self) -> String {
        self.made[5] += 1;
        let key = self.number(16, 1);
        match self.random.below(if self.region { 3 } else { 2 }) {
            0 => format!(
                "(match exact[({key} & 3, {})] {{ none => 6, Pair(left: let left, right: _) => left }})",
                self.condition(1)
            ),
            1 => format!("(if {key} & 7 in listed {{ {key} }} else {{ 1 }})"),
            _ => "(nets[k.addr] ?? 11)".to_owned(),
        }
    }

    /// What a loop over a region finds, as a number of 16 bits.
    fn over_region(&mut self) -> String {
        self.made[0] += 1;
        let (item, sum) = (self.name(), self.name());
        match self.random.below(3) {
            0 => "(k.items[2] ?? 9)".to_owned(),
            1 => "k.items.len".to_owned(),
            _ => format!(
                "(for {item} in k.items with {sum}: u16 = 3 {{\n                match {item} {{ value => {sum} +% value.len, nothing => {sum} +| 1 }}\n            }})"
            ),
        }
    }

    /// A number of at most so many bits that is computed while an entry is replaced.
    fn while_locked(&mut self, bits: u32, depth: u32) -> String {
        self.locked = true;
        let number = self.number(bits, depth);
        self.locked = false;
        number
    }

    /// A number of at most so many bits.
    fn number(&mut self, bits: u32, depth: u32) -> String {
        if depth == 0 {
            return self.leaf(bits);
        }
        let next = depth - 1;
        match self.random.below(if self.pure || self.loops > 0 { 16 } else { 20 }) {
            0..3 => self.leaf(bits),
            choice @ 3..9 => {
                let operator = ["+%", "-%", "+|", "-|", "&", "^"][choice as usize - 3];
                format!("({} {operator} {})", self.number(bits, next), self.number(bits, next))
            }
            9 => format!("({} / ({} | 1))", self.number(bits, next), self.number(bits.min(32), next)),
            10 => format!("({} mod ({} | 1))", self.number(bits, next), self.number(bits.min(32), next)),
            11 => format!("({} >> ({} & 7))", self.number(bits, next), self.number(8, next.min(1))),
            12 if bits >= 2 => {
                let half = (bits / 2).min(32);
                format!("({} * {})", self.number(half, next), self.number(half, next))
            }
            13 => format!(
                "(if {} {{ {} }} else {{ {} }})",
                self.condition(next),
                self.number(bits, next),
                self.number(bits, next)
            ),
            14 if self.loops < 1 => self.repeated(bits, next),
            15 if self.random.below(2) == 0 => self.difference(bits),
            15 => self.looked_up(bits, next),
            16 if bits >= 16 && !self.locked => self.in_table(),
            17 if bits >= 16 && self.region && !self.locked => self.over_region(),
            18 => self.of_wide(bits, next),
            _ => self.leaf(bits),
        }
    }

    /// The difference of two names, behind a condition that says which one is greater.
    fn difference(&mut self, bits: u32) -> String {
        let fitting: Vec<String> =
            self.names.iter().filter(|(_, width)| *width <= bits).map(|(name, _)| name.clone()).collect();
        let (Some(a), Some(b)) = (fitting.first(), fitting.last()) else { return self.leaf(bits) };
        if a == b {
            return self.leaf(bits);
        }
        let at = |maker: &mut Maker| fitting[maker.random.below(fitting.len() as u64) as usize].clone();
        let (a, b) = match (at(self), at(self)) {
            (a, b) if a != b => (a, b),
            _ => (a.clone(), b.clone()),
        };
        match self.random.below(3) {
            0 => format!("(if {a} >= {b} {{ {a} - {b} }} else {{ {b} - {a} }})"),
            1 => format!("(if {a} < {b} {{ {b} - {a} - 1 }} else {{ {a} - {b} }})"),
            _ => {
                let dividend = 200.min(u64::MAX >> (64 - bits));
                format!("(if {a} > {b} {{ {dividend} / ({a} - {b}) }} else {{ 0 }})")
            }
        }
    }

    /// A number of at most so many bits from arithmetic on the wide field.
    fn of_wide(&mut self, bits: u32, depth: u32) -> String {
        let depth = depth.min(1);
        let word = |maker: &mut Maker, bits: u32| maker.number(bits, depth);
        match self.random.below(5) {
            0 => format!("(h.w / ({} | 1))[{}:0]", word(self, 64), bits - 1),
            1 if bits >= 16 => format!("(h.w mod ({} | 1))", word(self, 16)),
            2 => format!("(h.w[95:0] * ({} + 1))[{}:20]", word(self, 31), bits + 19),
            3 => format!("(0x10_0000_0000_0000_0000_0000_0000 - h.w[99:0])[{}:30]", bits + 29),
            _ => format!("(h.w / (h.w[70:0] | 0x1_0000_0000_0000_0001))[{}:0]", bits.min(50) - 1),
        }
    }

    fn repeated(&mut self, bits: u32, depth: u32) -> String {
        self.loops += 1;
        self.made[0] += 1;
        let (index, carried) = (self.name(), self.name());
        let first = self.number(bits, depth.min(1));
        let turns = 1 + self.random.below(5);
        let bound = if self.random.below(2) == 0 {
            turns.to_string()
        } else {
            format!("({} & 3 | 1)", self.number(16, depth.min(1)))
        };
        self.names.push((index.clone(), 3));
        self.names.push((carried.clone(), bits));
        let leave = if self.random.below(3) == 0 {
            format!("if {} {{ break {}; }} ", self.condition(1), self.number(bits, 1))
        } else {
            String::new()
        };
        let body = self.number(bits, depth.min(2));
        self.names.truncate(self.names.len() - 2);
        self.loops -= 1;
        format!("(for {index} in 0..{bound} with {carried}: u{bits} = {first} {{ {leave}{body} }})")
    }

    fn looked_up(&mut self, bits: u32, depth: u32) -> String {
        self.made[1] += 1;
        let index = self.number(16, depth.min(2));
        match self.random.below(3) {
            0 if bits >= 8 => format!("TABLE[{index} & 15]"),
            1 if bits >= 32 && self.fns > 0 && self.loops == 0 => {
                let callee = self.random.below(u64::from(self.fns));
                format!("f{callee}({}, {})", self.number(16, depth), self.number(16, depth))
            }
            _ => {
                let parts: Vec<String> = (0..4).map(|_| self.number(bits, depth.min(1))).collect();
                format!("[{}][{index} & 3]", parts.join(", "))
            }
        }
    }

    fn leaf(&mut self, bits: u32) -> String {
        let names = |wanted: &dyn Fn(u32) -> bool| -> Vec<(String, u32)> {
            self.names.iter().filter(|(_, width)| wanted(*width)).cloned().collect()
        };
        // A slice needs a declared width; the index of a loop and an `if` of two numbers have as few bits as they need.
        let (fitting, wider) = (names(&|width| width <= bits), names(&|width| width > bits && width >= 8));
        match self.random.below(4) {
            0 if !wider.is_empty() => {
                let (name, width) = &wider[self.random.below(wider.len() as u64) as usize];
                let low = self.random.below(u64::from(width - bits) + 1);
                format!("{name}[{}:{low}]", low + u64::from(bits) - 1)
            }
            1..3 if !fitting.is_empty() => {
                fitting[self.random.below(fitting.len() as u64) as usize].0.clone()
            }
            _ => {
                let most = u64::MAX >> (64 - bits);
                let value = self.random.word() & most;
                (if self.random.below(2) == 0 { value } else { value & 0xff }).to_string()
            }
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        let next = depth.saturating_sub(1);
        let bits = [8, 16, 32, 64][self.random.below(4) as usize];
        match self.random.below(if depth == 0 { 4 } else { 10 }) {
            choice @ 0..3 => {
                let operator = ["<", "==", ">="][choice as usize];
                format!("({} {operator} {})", self.number(bits, next), self.number(bits, next))
            }
            3 => {
                let (low, length) = (self.random.below(100), self.random.below(100));
                format!("({} in {low}..={})", self.number(8, next), low + length)
            }
            4 => format!("({} and {})", self.condition(next), self.condition(next)),
            5 => format!("({} or {})", self.condition(next), self.condition(next)),
            6 => format!("(not {})", self.condition(next)),
            7 => format!(
                "(class({}) == {})",
                self.number(32, next),
                ["Low", "Middle", "High"][self.random.below(3) as usize]
            ),
            8 if !self.pure => {
                let low = self.random.below(64);
                format!(
                    "((h.w +% {}) {} h.w or h.w[{}:{low}] == {} or h.seq < h.seq + {})",
                    self.number(64, next.min(1)),
                    ["<", ">"][self.random.below(2) as usize],
                    low + 63,
                    self.number(64, 0),
                    self.number(32, 0)
                )
            }
            _ => format!(
                "(match ({}, {}) {{ (0..=9, let n) => n > 5, (_, 7 | 9) => true, _ => {} }})",
                self.number(8, next.min(2)),
                self.number(16, next.min(2)),
                self.condition(next.min(1))
            ),
        }
    }
}
