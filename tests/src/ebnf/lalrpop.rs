//! The language's grammar as people read it, from the source that the parser is generated from.
//!
//! What is told differently, with the same sentences: places and actions are left out, and the alternatives that only stand for
//! mistakes; macros are written out; a rule that begins with itself becomes a repetition; alternatives that begin alike are joined;
//! rules that only name another one, or few tokens, are put in where they are used; names of tokens and some rules become
//! others (`RENAMED`).

use std::collections::{BTreeMap, BTreeSet};

use super::Expr::{self, Choice, Many, Optional, Repeated, Rule, Seq, Text};
use super::{Grammar, is_token, one_or};

/// Tokens that no text is made of: they stand in place of a mistake.
const MISTAKES: [&str; 2] = ["<error>", "<bad>"];

/// The rule whose alternatives are told as rules of their own, named as in the syntax tree.
const SPLIT: &str = "ItemKind";

/// Names of the source, and what readers call them. A rule that then only names itself is none.
const RENAMED: &[(&str, &str)] = &[
    ("ItemKind", "Declaration"),
    ("Ident", "Name"),
    ("PathParts", "Path"),
    ("Stmt", "Statement"),
    ("Expr", "Expression"),
    ("OpExpr", "OpExpression"),
    ("BlockExpr", "BlockExpression"),
    ("Arg", "Argument"),
    ("AttributeArg", "AttributeArgument"),
    ("PatternAlt", "Patterns"),
    ("RangeOr", "RangeOrValue"),
];

/// The grammar in the text of `oko.lalrpop`. Quoted terminals are told by their text if they are among `texts`; all others are
/// tokens with rules elsewhere.
///
/// # Panics
///
/// If the source has a shape that is not known here.
pub fn read(source: &str, texts: &BTreeSet<String>) -> Grammar {
    let words = words(source);
    let definitions = definitions(&words);
    // The parser is given one declaration after the other; a file is told here.
    let declarations = [Rule("FILE_COMMENT".to_owned()), Rule("Item".to_owned())];
    let file = Seq(declarations.map(|part| Many(Box::new(part))).to_vec());
    let mut grammar = Grammar { rules: vec![("File".to_owned(), file)] };
    for name in definitions.order.iter().filter(|name| definitions.rules[*name].params.is_empty()) {
        let mut body = Body::new(&definitions, texts, name);
        let (alternatives, variants) = body.alternatives();
        if *name != SPLIT {
            grammar.rules.push((renamed(name), whole(name, alternatives)));
            continue;
        }
        let mut split: Vec<(String, Vec<Expr>)> = Vec::new();
        for (alternative, variant) in alternatives.into_iter().zip(variants) {
            match split.iter_mut().find(|(known, _)| *known == variant) {
                Some((_, all)) => all.push(alternative),
                None => split.push((variant, vec![alternative])),
            }
        }
        let names = split.iter().map(|(name, _)| Rule(name.clone())).collect();
        grammar.rules.push((renamed(name), Choice(names)));
        grammar.rules.extend(split.into_iter().map(|(name, all)| (name, Choice(all))));
    }
    grammar.rules.retain(|(name, body)| *body != Rule(name.clone()));
    for (_, body) in &mut grammar.rules {
        *body = simple(body.clone());
    }
    while put_in(&mut grammar) {}
    grammar
}

/// The texts that the lexer in the text of `token.rs` takes as tokens of the language; not those of other languages, which it only
/// knows to say what is written here.
pub fn texts(lexer: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = lexer.lines().map(str::trim).collect();
    let ours = lines.windows(2).filter(|pair| !pair[1].starts_with("Foreign"));
    ours.filter_map(|pair| pair[0].strip_prefix("#[token(\"")?.strip_suffix("\")]").map(str::to_owned))
        .collect()
}

fn renamed(name: &str) -> String {
    RENAMED.iter().find(|(known, _)| *known == name).map_or(name, |(_, to)| to).to_owned()
}

/// A piece of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Word<'s> {
    Quoted(&'s str),
    Name(&'s str),
    Sign(&'s str),
}

use Word::{Name, Quoted, Sign};

fn words(source: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let length;
        if rest.starts_with("//") {
            length = rest.find('\n').unwrap_or(rest.len());
        } else if first == '"' {
            let text = rest[1..].split('"').next().unwrap_or_default();
            length = text.len() + 2;
            words.push(Quoted(text));
        } else if first.is_alphanumeric() || matches!(first, '_' | '@') {
            let end = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_');
            length = end.map_or(rest.len(), |end| end + 1);
            words.push(Name(&rest[..length]));
        } else {
            length =
                if ["=>", "::"].iter().any(|sign| rest.starts_with(sign)) { 2 } else { first.len_utf8() };
            words.push(Sign(&rest[..length]));
        }
        rest = rest[length..].trim_start();
    }
    words
}

/// A rule or macro of the source.
struct Definition<'s> {
    params: Vec<&'s str>,
    /// The words behind `=`, without the `;`.
    body: &'s [Word<'s>],
}

struct Definitions<'s> {
    rules: BTreeMap<&'s str, Definition<'s>>,
    order: Vec<&'s str>,
}

/// The rest behind the next `;` outside of all brackets, and what is before it.
fn statement<'s>(words: &'s [Word<'s>]) -> (&'s [Word<'s>], &'s [Word<'s>]) {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate() {
        match word {
            Sign("(" | "[" | "{") => depth += 1,
            Sign(")" | "]" | "}") => depth -= 1,
            Sign(";") if depth == 0 => return (&words[..at], &words[at + 1..]),
            _ => {}
        }
    }
    panic!("no `;` behind {:?}", words.first());
}

fn definitions<'s>(words: &'s [Word<'s>]) -> Definitions<'s> {
    let mut found = Definitions { rules: BTreeMap::new(), order: Vec::new() };
    let mut rest = words;
    while let Some(first) = rest.first() {
        if *first == Name("extern") {
            let end = rest.iter().position(|word| *word == Quoted("name")).expect("the tokens are there");
            let end =
                end + rest[end..].iter().position(|word| *word == Sign("}")).expect("the tokens end") + 2;
            rest = &rest[end..];
            continue;
        }
        let (head, behind) = statement(rest);
        rest = behind;
        if matches!(first, Name("use" | "grammar")) {
            continue;
        }
        // How the generator takes the rule apart changes nothing in what it derives.
        let head = head
            .strip_prefix(&[Sign("#"), Sign("["), Name("inline"), Sign("]")])
            .or_else(|| head.strip_prefix(&[Name("pub")]))
            .unwrap_or(head);
        let Some((Name(name), typed)) = head.split_first() else { panic!("a rule before {head:?}") };
        let equals = typed.iter().position(|word| *word == Sign("=")).expect("a rule has a body");
        let colon = typed.iter().position(|word| *word == Sign(":")).expect("a rule has a type");
        let params = typed[..colon].iter().filter_map(|word| match word {
            Name(param) => Some(*param),
            _ => None,
        });
        let body = &typed[equals + 1..];
        found.rules.insert(*name, Definition { params: params.collect(), body });
        found.order.push(*name);
    }
    found
}

/// Reads the body of a rule.
struct Body<'s, 'd> {
    definitions: &'d Definitions<'s>,
    texts: &'d BTreeSet<String>,
    words: &'s [Word<'s>],
    /// What the macro's parameters stand for.
    given: BTreeMap<&'s str, Expr>,
    /// The macros that are being written out, as calls.
    open: Vec<String>,
}

impl<'s, 'd> Body<'s, 'd> {
    fn new(definitions: &'d Definitions<'s>, texts: &'d BTreeSet<String>, name: &str) -> Self {
        let words = definitions.rules[name].body;
        Body { definitions, texts, words, given: BTreeMap::new(), open: Vec::new() }
    }

    fn next(&mut self) -> Option<&'s Word<'s>> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = self.words.first() == Some(&Sign(sign));
        if there {
            self.words = &self.words[1..];
        }
        there
    }

    /// All alternatives but those for mistakes, and the variants of the syntax tree that their actions make.
    fn alternatives(&mut self) -> (Vec<Expr>, Vec<String>) {
        let several = self.take("{");
        let (mut alternatives, mut variants) = (Vec::new(), Vec::new());
        while !self.words.is_empty() && self.words != [Sign("}")] {
            let alternative = Seq(self.symbols());
            let variant = if self.take("=>") { self.action() } else { "" };
            assert!(
                self.take(",") || self.words.is_empty() || several,
                "an alternative before {:?}",
                self.words
            );
            let mut mistake = false;
            alternative.visit(&mut |part| {
                mistake |= matches!(part, Text(text) if MISTAKES.contains(&text.as_str()));
            });
            if !mistake {
                alternatives.push(alternative);
                variants.push(variant.to_owned());
            }
        }
        (alternatives, variants)
    }

    /// Skips an action. The variant in front of it: `Use` of `ItemKind::Use(…)`.
    fn action(&mut self) -> &'s str {
        let variant = match self.words {
            [Name(_), Sign("::"), Name(variant), ..] => *variant,
            _ => "",
        };
        let mut depth = 0;
        while let Some(word) = self.words.first() {
            match word {
                Sign("," | "}") if depth == 0 => break,
                Sign("(" | "[" | "{") => depth += 1,
                Sign(")" | "]" | "}") => depth -= 1,
                _ => {}
            }
            self.words = &self.words[1..];
        }
        variant
    }

    /// Symbols up to what cannot be one. Places are none.
    fn symbols(&mut self) -> Vec<Expr> {
        let mut symbols = Vec::new();
        while matches!(self.words.first(), Some(Quoted(_) | Name(_) | Sign("<" | "("))) {
            symbols.extend(self.symbol());
        }
        symbols
    }

    fn symbol(&mut self) -> Option<Expr> {
        let mut symbol = match self.next()? {
            Name("@L" | "@R") => None,
            Quoted(text) if MISTAKES.contains(text) || self.texts.contains(*text) => {
                Some(Text((*text).to_owned()))
            }
            Quoted("name") => Some(Rule("IDENTIFIER".to_owned())),
            Quoted(text) => Some(Rule(text.to_uppercase().replace(' ', "_"))),
            Sign("(") => {
                let inside = Seq(self.symbols());
                assert!(self.take(")"), "a `)` before {:?}", self.words.first());
                Some(inside)
            }
            Sign("<") => {
                if let [Name("mut"), Name(_), Sign(":"), rest @ ..] | [Name(_), Sign(":"), rest @ ..] =
                    self.words
                {
                    self.words = rest;
                }
                let inside = self.symbol();
                assert!(self.take(">"), "a `>` before {:?}", self.words.first());
                inside
            }
            Name(name)
                if self.words.first() == Some(&Sign("<"))
                    && self.definitions.rules.get(name).is_some_and(|rule| !rule.params.is_empty()) =>
            {
                Some(self.call(name))
            }
            Name(name) => Some(self.given.get(name).cloned().unwrap_or_else(|| Rule(renamed(name)))),
            other => panic!("a symbol instead of {other:?}"),
        };
        loop {
            let around: fn(Box<Expr>) -> Expr = match self.words.first() {
                Some(Sign("?")) => Optional,
                Some(Sign("*")) => Many,
                Some(Sign("+")) => Repeated,
                _ => return symbol,
            };
            self.words = &self.words[1..];
            symbol = symbol.map(|inside| around(Box::new(inside)));
        }
    }

    /// A macro written out.
    fn call(&mut self, name: &'s str) -> Expr {
        self.take("<");
        let mut arguments = Vec::new();
        while !self.take(">") {
            arguments.push(self.symbol().expect("places are no arguments"));
            self.take(",");
        }
        let rule = &self.definitions.rules[name];
        assert_eq!(arguments.len(), rule.params.len(), "arguments of {name}");
        let call = format!("{name}<{arguments:?}>");
        if self.open.contains(&call) {
            return Rule(call);
        }
        let given = rule.params.iter().copied().zip(arguments).collect();
        let open = self.open.iter().cloned().chain([call.clone()]).collect();
        let mut body =
            Body { definitions: self.definitions, texts: self.texts, words: rule.body, given, open };
        let (alternatives, _) = body.alternatives();
        whole(&call, alternatives)
    }
}

/// The alternatives of a rule; those that begin with itself repeated behind the others.
fn whole(name: &str, alternatives: Vec<Expr>) -> Expr {
    let own = Rule(renamed(name));
    let (mut first, mut more) = (Vec::new(), Vec::new());
    for alternative in alternatives {
        match alternative {
            Seq(parts) if parts.len() > 1 && parts[0] == own => more.push(Seq(parts[1..].to_vec())),
            other => first.push(other),
        }
    }
    if more.is_empty() { Choice(first) } else { Seq(vec![Choice(first), Many(Box::new(Choice(more)))]) }
}

/// The same in its plainest form.
fn simple(expr: Expr) -> Expr {
    match expr {
        Seq(parts) => {
            let mut flat = Vec::new();
            for part in parts {
                match simple(part) {
                    Seq(inside) => flat.extend(inside),
                    other => flat.push(other),
                }
            }
            for at in 1..flat.len() {
                if let Some(list) = list(&flat[at - 1], &flat[at]) {
                    flat.splice(at - 1..=at, [list]);
                    break;
                }
            }
            one_or(flat, Seq)
        }
        Choice(parts) => {
            let mut flat = Vec::new();
            for part in parts {
                match simple(part) {
                    Choice(inside) => flat.extend(inside),
                    other => flat.push(other),
                }
            }
            joined(&flat)
        }
        Optional(inside) => match simple(*inside) {
            nullable @ (Optional(_) | Many(_)) => nullable,
            other => Optional(Box::new(other)),
        },
        Many(inside) => Many(Box::new(simple(*inside))),
        Repeated(inside) => Repeated(Box::new(simple(*inside))),
        leaf => leaf,
    }
}

/// `( A "," )* A?` as `( A ( "," A )* ","? )?`.
fn list(many: &Expr, last: &Expr) -> Option<Expr> {
    let (Many(many), Optional(last)) = (many, last) else { return None };
    let Seq(parts) = many.as_ref() else { return None };
    let (comma, element) = parts.split_last()?;
    if *comma != Text(",".to_owned()) || one_or(element.to_vec(), Seq) != **last {
        return None;
    }
    let more = Many(Box::new(simple(Seq(vec![comma.clone(), (**last).clone()]))));
    let whole = simple(Seq(vec![(**last).clone(), more, Optional(Box::new(comma.clone()))]));
    Some(Optional(Box::new(whole)))
}

/// A choice in which alternatives that begin with the same rule are one.
fn joined(alternatives: &[Expr]) -> Expr {
    let parts = |expr: &Expr| match expr {
        Seq(parts) => parts.clone(),
        other => vec![other.clone()],
    };
    let mut groups: Vec<Vec<Vec<Expr>>> = Vec::new();
    for alternative in alternatives {
        let own = parts(alternative);
        let alike = |group: &&mut Vec<Vec<Expr>>| {
            matches!(own.first(), Some(Rule(_))) && group[0].first() == own.first()
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(own),
            None => groups.push(vec![own]),
        }
    }
    let together = groups.into_iter().map(|mut group| {
        if group.len() == 1 {
            return one_or(group.remove(0), Seq);
        }
        let shortest = group.iter().map(Vec::len).min().unwrap_or_default();
        let common = (0..shortest).take_while(|&at| group.iter().all(|own| own[at] == group[0][at])).count();
        let mut all = group[0][..common].to_vec();
        let (ended, rest): (Vec<_>, Vec<_>) =
            group.iter().map(|own| &own[common..]).partition(|rest| rest.is_empty());
        let rest: Vec<Expr> = rest.into_iter().map(|rest| one_or(rest.to_vec(), Seq)).collect();
        let rest = joined(&rest);
        all.push(if ended.is_empty() { rest } else { Optional(Box::new(rest)) });
        simple(Seq(all))
    });
    one_or(together.collect(), Choice)
}

/// Puts one rule in where it is used; false if none is left that should be.
fn put_in(grammar: &mut Grammar) -> bool {
    let uses = |name: &str| {
        let mut count = 0;
        for (_, body) in &grammar.rules {
            body.visit(&mut |part| count += usize::from(*part == Rule(name.to_owned())));
        }
        count
    };
    // A rule that is only another name of one that nobody else uses takes its body.
    let alias =
        grammar.rules.iter().position(|(_, body)| matches!(body, Rule(to) if !is_token(to) && uses(to) == 1));
    if let Some(at) = alias {
        let Rule(to) = grammar.rules[at].1.clone() else { return false };
        grammar.rules[at].1 = grammar.rule(&to).clone();
        grammar.rules.retain(|(name, _)| *name != to);
        return true;
    }
    let small = grammar.rules.iter().skip(1).position(|(name, body)| {
        let (mut size, mut flat) = (0, true);
        body.visit(&mut |part| {
            size += 1;
            flat &= !matches!(part, Rule(name) if !is_token(name));
        });
        size <= 2 || (flat && uses(name) == 1)
    });
    let Some(at) = small else { return false };
    let (gone, by) = grammar.rules.remove(at + 1);
    for (_, body) in &mut grammar.rules {
        *body = simple(replaced(body, &gone, &by));
    }
    true
}

fn replaced(expr: &Expr, name: &str, by: &Expr) -> Expr {
    let all = |parts: &[Expr]| parts.iter().map(|part| replaced(part, name, by)).collect();
    let inside = |part: &Expr| Box::new(replaced(part, name, by));
    match expr {
        Rule(found) if found == name => by.clone(),
        Seq(parts) => Seq(all(parts)),
        Choice(parts) => Choice(all(parts)),
        Optional(part) => Optional(inside(part)),
        Many(part) => Many(inside(part)),
        Repeated(part) => Repeated(inside(part)),
        leaf => leaf.clone(),
    }
}
