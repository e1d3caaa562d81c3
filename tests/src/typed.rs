//! A generator of well-typed programs: whatever the seed, the source compiles.
//!
//! Every expression is made to a width: its value fits in so many bits, whatever its parts are, so nothing has to be tried. The programs
//! declare their own headers, of odd widths, and use functions, loops that carry values, arrays and tables, slices, wide integers,
//! patterns and state.

use std::fmt::Write;

/// A program and how many of each construct it has.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The source, with one filter `f`.
    pub source: String,
    /// Loops, arrays and operations on state in it.
    pub constructs: [u32; 3],
}

/// The program of a seed.
pub fn program(seed: u64) -> Typed {
    let mut maker = Maker {
        random: Random(seed ^ 0x9e37_79b9_7f4a_7c15),
        names: Vec::new(),
        fresh: 0,
        fns: 0,
        pure: true,
        loops: 0,
        made: [0; 3],
    };
    let source = maker.file();
    Typed { source, constructs: maker.made }
}

/// Random numbers that depend on the seed only.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next one (SplitMix64).
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit.max(1)
    }
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
    loops: u32,
    made: [u32; 3],
}

impl Maker {
    fn file(&mut self) -> String {
        let mut text = String::from(
            "#[root]\nheader h {\n    kind: u8,\n    b: u16,\n    c: u32,\n    d: u64,\n    four: u4,\n    twelve: u12,\n    odd: u17,\n    \
             rest: u7,\n    w: u128,\n    seq: seq,\n} next by kind { 0..=127 => k }\n\nheader k { x: u16 where x >= 3, addr: ip4 }\n\n\
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
        text += "state total: counter {};\n\nfn class(n: u32) -> Class { match n { 0..=99 => Low, 100 | 200..=299 => Middle, _ => High } }\n";
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

    /// Statements that change state.
    fn changes(&mut self, body: &mut String) {
        for _ in 0..1 + self.random.below(3) {
            self.made[2] += 1;
            let key = self.number(16, 2);
            match self.random.below(4) {
                0 => {
                    let (value, name) = (self.number(32, 3), self.name());
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
                    let (small, wide) = (self.number(16, 2), self.number(32, 2));
                    let (second, name) = (self.number(32, 1), self.name());
                    let _ = writeln!(
                        body,
                        "            let {name}s = update pairs[({key} & 0xff, {second})] |old| match old {{\n                none => Pair(left: {small}, right: {wide}),\n                \
                         Pair(left: 0..=9, right: let r) => Pair(left: {small}, right: r),\n                let p => Pair(left: p.left -| 1, right: p.right +| 1),\n            }};\n            let {name} = match {name}s {{\n                \
                         none => 3,\n                let p => p.right,\n            }};"
                    );
                    self.names.push((name, 32));
                }
                _ => {
                    let name = self.name();
                    let _ = writeln!(body, "            let {name} = total.add(({key}) & 0xff);");
                }
            }
        }
    }

    /// A number of at most so many bits.
    fn number(&mut self, bits: u32, depth: u32) -> String {
        if depth == 0 {
            return self.leaf(bits);
        }
        let next = depth - 1;
        match self.random.below(16) {
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
            15 => self.looked_up(bits, next),
            _ => self.leaf(bits),
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
