//! Says whether texts are tokens and whether tokens are sentences, straight from the rules: slow, but with nothing in common with
//! the generated parser. No rule may begin with itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Expr::{self, Choice, Class, Many, Optional, Repeated, Rule, Seq, Text};
use super::{Grammar, is_token};

/// A token of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// The name of its rule; none for what stands in quotes in the grammar.
    pub rule: Option<String>,
    /// How it is written.
    pub text: String,
}

impl Grammar {
    /// Whether the token `name` can be written as `text`.
    pub fn matches(&self, name: &str, text: &str) -> bool {
        let letters: Vec<char> = text.chars().collect();
        Search::new(self, &letters, &letter).ends(self.rule(name), 0).contains(&letters.len())
    }

    /// The tokens of a text without those that `between` names, which stand between others. None where no token begins.
    pub fn scan(&self, text: &str, between: &[&str]) -> Option<Vec<Token>> {
        let letters: Vec<char> = text.chars().collect();
        let texts = self.texts().into_iter().map(|text| (None, Text(text.to_owned())));
        let named: BTreeSet<&str> = self
            .rules
            .iter()
            .filter(|(name, _)| !is_token(name))
            .flat_map(|(_, body)| {
                let mut named = Vec::new();
                body.visit(&mut |part| {
                    if let Rule(name) = part
                        && is_token(name)
                    {
                        named.push(name.as_str());
                    }
                });
                named
            })
            .chain(between.iter().copied())
            .collect();
        let rules = named.into_iter().map(|name| (Some(name.to_owned()), Rule(name.to_owned())));
        // Of two of the same length the first wins: words before names.
        let all: Vec<(Option<String>, Expr)> = texts.chain(rules).collect();
        let mut search = Search::new(self, &letters, &letter);
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < letters.len() {
            let mut longest: Option<(usize, &Option<String>)> = None;
            for (rule, body) in &all {
                if let Some(&end) = search.ends(body, at).last()
                    && end > longest.map_or(at, |(end, _)| end)
                {
                    longest = Some((end, rule));
                }
            }
            let (end, rule) = longest?;
            if rule.as_deref().is_none_or(|rule| !between.contains(&rule)) {
                tokens.push(Token { rule: rule.clone(), text: letters[at..end].iter().collect() });
            }
            at = end;
        }
        Some(tokens)
    }

    /// Whether tokens are a sentence of the first rule.
    pub fn accepts(&self, tokens: &[Token]) -> bool {
        let (start, _) = &self.rules[0];
        Search::new(self, tokens, &whole).ends(&Rule(start.clone()), 0).contains(&tokens.len())
    }
}

/// Where a leaf of the grammar ends that begins at an element; the outer `None` for what is no leaf.
type Leaf<T> = dyn Fn(&Expr, &[T]) -> Option<Option<usize>>;

/// Letters: of a text one after the other, of a class one.
fn letter(expr: &Expr, letters: &[char]) -> Option<Option<usize>> {
    match expr {
        Text(text) => {
            let length = text.chars().count();
            let there = letters.get(..length).is_some_and(|have| text.chars().eq(have.iter().copied()));
            Some(there.then_some(length))
        }
        Class(ranges, negated) => {
            let within = |&c: &char| ranges.iter().any(|&(from, to)| from <= c && c <= to) != *negated;
            Some(letters.first().is_some_and(within).then_some(1))
        }
        _ => None,
    }
}

/// Tokens.
fn whole(expr: &Expr, tokens: &[Token]) -> Option<Option<usize>> {
    let there = |want: &dyn Fn(&Token) -> bool| Some(tokens.first().is_some_and(want).then_some(1));
    match expr {
        Text(text) => there(&|token| token.rule.is_none() && token.text == *text),
        Rule(name) if is_token(name) => there(&|token| token.rule.as_ref() == Some(name)),
        _ => None,
    }
}

/// Tries all ways through the rules.
struct Search<'g, T> {
    grammar: &'g Grammar,
    elements: &'g [T],
    leaf: &'g Leaf<T>,
    /// Where each rule can end that begins at an element.
    known: BTreeMap<(String, usize), BTreeSet<usize>>,
}

impl<'g, T> Search<'g, T> {
    fn new(grammar: &'g Grammar, elements: &'g [T], leaf: &'g Leaf<T>) -> Self {
        Search { grammar, elements, leaf, known: BTreeMap::new() }
    }

    /// Where `expr` can end if it begins at `at`.
    fn ends(&mut self, expr: &Expr, at: usize) -> BTreeSet<usize> {
        if let Some(end) = (self.leaf)(expr, &self.elements[at..]) {
            return end.map(|length| at + length).into_iter().collect();
        }
        match expr {
            Text(_) | Class(..) => BTreeSet::new(),
            Rule(name) => {
                let key = (name.clone(), at);
                if let Some(known) = self.known.get(&key) {
                    return known.clone();
                }
                let ends = self.ends(self.grammar.rule(name), at);
                self.known.insert(key, ends.clone());
                ends
            }
            Seq(parts) => parts.iter().fold(BTreeSet::from([at]), |from, part| {
                from.into_iter().flat_map(|at| self.ends(part, at)).collect()
            }),
            Choice(parts) => parts.iter().flat_map(|part| self.ends(part, at)).collect(),
            Optional(part) => &self.ends(part, at) | &BTreeSet::from([at]),
            Many(part) => self.repeated(part, BTreeSet::from([at])),
            Repeated(part) => {
                let first = self.ends(part, at);
                self.repeated(part, first)
            }
        }
    }

    fn repeated(&mut self, part: &Expr, mut all: BTreeSet<usize>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = all.iter().copied().collect();
        while let Some(at) = open.pop() {
            open.extend(self.ends(part, at).into_iter().filter(|&end| all.insert(end)));
        }
        all
    }
}
