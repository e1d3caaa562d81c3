//! Grammars in the notation of the W3C's specifications (EBNF as in XML 1.0, section 6): printed, read, and tried out.
//!
//! A rule whose name has no small letter is a token: between its parts stands no space. [`Grammar::derive`] writes sentences of
//! a grammar, [`Grammar::scan`] splits a text into tokens, and [`Grammar::accepts`] says whether they are a sentence.

pub mod lalrpop;
mod recognize;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub use recognize::Token;

use crate::random::Random;

/// The longest line of a printed grammar, in letters.
const WIDTH: usize = 100;

/// The tokens after which a random sentence comes to its end.
const LENGTH: usize = 60;

/// The right side of a rule, or a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// `"text"`
    Text(String),
    /// `[0-9_]`: one letter of a range or set; `[^…]`: one that is in none.
    Class(Vec<(char, char)>, bool),
    /// The name of a rule.
    Rule(String),
    /// One after the other; nothing, if there is none.
    Seq(Vec<Expr>),
    /// One of these: `a | b`.
    Choice(Vec<Expr>),
    /// `a?`
    Optional(Box<Expr>),
    /// `a*`
    Many(Box<Expr>),
    /// `a+`
    Repeated(Box<Expr>),
}

use Expr::{Choice, Class, Many, Optional, Repeated, Rule, Seq, Text};

/// Rules in the order in which they are told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Grammar {
    /// Name and right side of each. The first is the start.
    pub rules: Vec<(String, Expr)>,
}

/// Whether a rule is a token.
pub fn is_token(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_lowercase())
}

impl Expr {
    /// What it directly consists of.
    pub fn parts(&self) -> &[Expr] {
        match self {
            Text(_) | Class(..) | Rule(_) => &[],
            Seq(parts) | Choice(parts) => parts,
            Optional(part) | Many(part) | Repeated(part) => std::slice::from_ref(part),
        }
    }

    /// Calls `look` with this and everything in it.
    pub fn visit<'e>(&'e self, look: &mut dyn FnMut(&'e Expr)) {
        look(self);
        for part in self.parts() {
            part.visit(look);
        }
    }

    /// As text; `tight`: 0 stands alone, 1 in a sequence, 2 in front of `?`, `*` or `+`.
    fn show(&self, tight: u8) -> String {
        let all = |parts: &[Expr], between: &str, within| {
            parts.iter().map(|part| part.show(within)).collect::<Vec<_>>().join(between)
        };
        let (text, own) = match self {
            Text(text) if text.contains('"') => (format!("'{text}'"), 2),
            Text(text) => (format!("\"{text}\""), 2),
            Class(ranges, negated) => {
                let letter = |c: char| {
                    if c.is_ascii_graphic() { c.to_string() } else { format!("#x{:X}", u32::from(c)) }
                };
                let range = |&(from, to): &(char, char)| {
                    if from == to { letter(from) } else { format!("{}-{}", letter(from), letter(to)) }
                };
                let ranges: String = ranges.iter().map(range).collect();
                (format!("[{}{ranges}]", if *negated { "^" } else { "" }), 2)
            }
            Rule(name) => (name.clone(), 2),
            Seq(parts) => (all(parts, " ", 1), 1),
            Choice(parts) => (all(parts, " | ", 1), 0),
            Optional(part) => (format!("{}?", part.show(2)), 2),
            Many(part) => (format!("{}*", part.show(2)), 2),
            Repeated(part) => (format!("{}+", part.show(2)), 2),
        };
        if own < tight { format!("( {text} )") } else { text }
    }
}

/// A rule as text: in one line, or one alternative a line, or broken where a part ends.
pub fn print(name: &str, body: &Expr) -> String {
    let head = format!("{name} ::= ");
    let whole = body.show(0);
    if head.len() + whole.len() <= WIDTH {
        return format!("{head}{whole}\n");
    }
    let indent = " ".repeat(name.len() + 1);
    let words = matches!(body, Choice(parts) if parts.iter().all(|part| part.parts().is_empty()));
    let alternatives = match body {
        Choice(parts) if !words => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let mut out = String::new();
    for (at, alternative) in alternatives.iter().enumerate() {
        let mut line = if at == 0 { head.clone() } else { format!("{indent}  | ") };
        let parts = match alternative {
            Seq(parts) => parts.iter().map(|part| part.show(1)).collect(),
            other => vec![other.show(if words { 0 } else { 1 })],
        };
        for piece in parts.iter().flat_map(|part| pieces(part)) {
            if line.len() + piece.len() > WIDTH {
                let _ = writeln!(out, "{}", line.trim_end());
                line = format!("{indent}{}", if words { "  " } else { "      " });
            }
            line += piece;
            line.push(' ');
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// A part as it may be broken: in one piece, or in front of each `|`, if it is long.
fn pieces(part: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = part;
    while part.len() > WIDTH / 2
        && let Some(at) = rest.find(" | ")
    {
        pieces.push(&rest[..at]);
        rest = &rest[at + 1..];
    }
    pieces.push(rest);
    pieces
}

impl Grammar {
    /// Reads rules as [`print()`] writes them.
    pub fn read(text: &str) -> Grammar {
        let letters: Vec<char> = text.chars().collect();
        let mut reader = Reader { letters: &letters, at: 0 };
        let mut rules = Vec::new();
        while reader.peek().is_some() {
            let name = reader.name();
            assert!(reader.take("::="), "`::=` behind the name of {name}");
            rules.push((name, reader.choice()));
        }
        Grammar { rules }
    }

    /// The right side of a rule.
    pub fn rule(&self, name: &str) -> &Expr {
        let found = self.rules.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("there is no rule {name}"), |(_, body)| body)
    }

    /// The names of the rules that the right sides name.
    pub fn used(&self) -> BTreeSet<&str> {
        let mut used = BTreeSet::new();
        for (_, body) in &self.rules {
            body.visit(&mut |part| {
                if let Rule(name) = part {
                    used.insert(name.as_str());
                }
            });
        }
        used
    }

    /// The texts in quotes outside of tokens.
    pub fn texts(&self) -> BTreeSet<&str> {
        let mut texts = BTreeSet::new();
        for (_, body) in self.rules.iter().filter(|(name, _)| !is_token(name)) {
            body.visit(&mut |part| {
                if let Text(text) = part {
                    texts.insert(text.as_str());
                }
            });
        }
        texts
    }

    /// How many rules lie within one another in the flattest sentence of each.
    fn depths(&self) -> BTreeMap<&str, usize> {
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        loop {
            let mut changed = false;
            for (name, body) in &self.rules {
                if let Some(depth) = depth(body, &depths)
                    && depths.get(name.as_str()).is_none_or(|&before| depth + 1 < before)
                {
                    depths.insert(name, depth + 1);
                    changed = true;
                }
            }
            if !changed {
                return depths;
            }
        }
    }

    /// The tokens of a random sentence of the rule `name`, some `deep` rules within one another; `token` writes those that have
    /// a rule.
    pub fn derive(
        &self,
        name: &str,
        deep: usize,
        random: &mut Random,
        token: &mut dyn FnMut(&str, &mut Random) -> String,
    ) -> Vec<String> {
        let mut out = Vec::new();
        Writer { grammar: self, depths: self.depths(), random, token }.rule(name, deep, &mut out);
        out
    }

    /// A random text of the token `name`.
    pub fn spell(&self, name: &str, random: &mut Random) -> String {
        let mut out = Vec::new();
        Writer { grammar: self, depths: BTreeMap::new(), random, token: &mut |_, _| String::new() }.expr(
            self.rule(name),
            8,
            true,
            &mut out,
        );
        out.concat()
    }
}

/// The least depth of a part, as far as that of the rules in it is known.
fn depth(expr: &Expr, known: &BTreeMap<&str, usize>) -> Option<usize> {
    match expr {
        Text(_) | Class(..) | Optional(_) | Many(_) => Some(0),
        Rule(name) if is_token(name) => Some(0),
        Rule(name) => known.get(name.as_str()).copied(),
        Seq(parts) => {
            parts.iter().map(|part| depth(part, known)).try_fold(0, |most, one| Some(most.max(one?)))
        }
        Choice(parts) => parts.iter().filter_map(|part| depth(part, known)).min(),
        Repeated(part) => depth(part, known),
    }
}

/// Writes sentences.
struct Writer<'g> {
    grammar: &'g Grammar,
    depths: BTreeMap<&'g str, usize>,
    random: &'g mut Random,
    token: &'g mut dyn FnMut(&str, &mut Random) -> String,
}

impl Writer<'_> {
    fn rule(&mut self, name: &str, deep: usize, out: &mut Vec<String>) {
        let grammar = self.grammar;
        if is_token(name) {
            out.push((self.token)(name, self.random));
        } else {
            // A long sentence comes to its end.
            let deep = if out.len() > LENGTH { 0 } else { deep.saturating_sub(1) };
            self.expr(grammar.rule(name), deep, false, out);
        }
    }

    fn expr(&mut self, expr: &Expr, deep: usize, spelled: bool, out: &mut Vec<String>) {
        match expr {
            Text(text) => out.push(text.clone()),
            Class(ranges, false) => {
                let (from, to) = ranges[self.random.below(ranges.len() as u64) as usize];
                let letter = u32::from(from)
                    + self.random.below(u64::from(u32::from(to) - u32::from(from)) + 1) as u32;
                out.extend(char::from_u32(letter).map(String::from));
            }
            Class(ranges, true) => loop {
                let letter = char::from(b' ' + self.random.below(95) as u8);
                if !ranges.iter().any(|&(from, to)| from <= letter && letter <= to) {
                    break out.push(letter.to_string());
                }
            },
            Rule(name) if spelled => self.expr(self.grammar.rule(name), deep, true, out),
            Rule(name) => self.rule(name, deep, out),
            Seq(parts) => parts.iter().for_each(|part| self.expr(part, deep, spelled, out)),
            Choice(parts) => {
                let flat =
                    |part: &&Expr| spelled || depth(part, &self.depths).is_some_and(|needs| needs <= deep);
                let fits: Vec<&Expr> = parts.iter().filter(flat).collect();
                let part = if fits.is_empty() {
                    parts.iter().min_by_key(|part| depth(part, &self.depths)).expect("a choice has parts")
                } else {
                    fits[self.random.below(fits.len() as u64) as usize]
                };
                self.expr(part, deep, spelled, out);
            }
            Optional(part) => self.times(part, 0, 1, deep, spelled, out),
            Many(part) => self.times(part, 0, 3, deep, spelled, out),
            Repeated(part) => self.times(part, 1, 4, deep, spelled, out),
        }
    }

    fn times(
        &mut self,
        part: &Expr,
        least: u64,
        most: u64,
        deep: usize,
        spelled: bool,
        out: &mut Vec<String>,
    ) {
        let fits = spelled || depth(part, &self.depths).is_some_and(|needs| needs <= deep);
        let times = if fits { least + self.random.below(most - least + 1) } else { least };
        for _ in 0..times {
            self.expr(part, deep, spelled, out);
        }
    }
}

/// Reads the notation.
struct Reader<'t> {
    letters: &'t [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        while self.letters.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.letters.get(self.at).copied()
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = self.peek().is_some()
            && self.letters[self.at..].iter().copied().take(sign.len()).eq(sign.chars());
        self.at += if there { sign.len() } else { 0 };
        there
    }

    fn name(&mut self) -> String {
        self.peek();
        let rest = &self.letters[self.at..];
        let name: String = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
        assert!(!name.is_empty(), "a name before {:?}", rest.iter().take(30).collect::<String>());
        self.at += name.len();
        name
    }

    fn choice(&mut self) -> Expr {
        let mut parts = vec![self.sequence()];
        while self.take("|") {
            parts.push(self.sequence());
        }
        one_or(parts, Choice)
    }

    fn sequence(&mut self) -> Expr {
        let mut parts = Vec::new();
        while let Some(next) = self.peek() {
            let behind = self.at;
            let begins = next.is_ascii_alphabetic() && {
                self.name();
                !self.take("::=")
            };
            self.at = behind;
            if !begins && !matches!(next, '"' | '\'' | '[' | '(') {
                break;
            }
            let mut part = self.primary(next);
            loop {
                part = match self.letters.get(self.at) {
                    Some('?') => Optional(Box::new(part)),
                    Some('*') => Many(Box::new(part)),
                    Some('+') => Repeated(Box::new(part)),
                    _ => break,
                };
                self.at += 1;
            }
            parts.push(part);
        }
        one_or(parts, Seq)
    }

    fn primary(&mut self, next: char) -> Expr {
        match next {
            '(' => {
                self.at += 1;
                let inside = self.choice();
                assert!(self.take(")"), "a `)`");
                inside
            }
            '[' => self.class(),
            '"' | '\'' => {
                let text: String = self.letters[self.at + 1..].iter().take_while(|c| **c != next).collect();
                self.at += text.chars().count() + 2;
                Text(text)
            }
            _ => Rule(self.name()),
        }
    }

    fn class(&mut self) -> Expr {
        self.at += 1;
        let negated = self.take("^");
        let mut ranges = Vec::new();
        while self.letters[self.at] != ']' {
            let from = self.letter();
            let to = if self.letters[self.at] == '-' && self.letters[self.at + 1] != ']' {
                self.at += 1;
                self.letter()
            } else {
                from
            };
            ranges.push((from, to));
        }
        self.at += 1;
        Class(ranges, negated)
    }

    fn letter(&mut self) -> char {
        if self.letters[self.at..].starts_with(&['#', 'x']) {
            let digits: String =
                self.letters[self.at + 2..].iter().take_while(|c| c.is_ascii_hexdigit()).collect();
            self.at += 2 + digits.len();
            let code = u32::from_str_radix(&digits, 16).ok();
            return code.and_then(char::from_u32).expect("a letter's number in hexadecimal");
        }
        self.at += 1;
        self.letters[self.at - 1]
    }
}

/// The only part, or all of them together.
fn one_or(mut parts: Vec<Expr>, all: fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() == 1 { parts.remove(0) } else { all(parts) }
}
