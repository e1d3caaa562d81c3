//! Says in users' words what could have stood at a place, and what stands there.

use crate::token::Token;

/// What the grammar could have read at a place, as it names its tokens.
#[derive(Clone, Debug)]
pub(crate) struct Expected(Vec<String>);

/// Tokens that begin something, and what to call that. The first whose tokens are all there is taken; then its
/// tokens are left out of the list.
const GROUPS: &[(&str, &[&str], &[&str])] = &[
    ("a declaration", &["use", "const", "filter"], DECLARATION),
    ("a statement", &["let", "return", "(", "none"], STATEMENT),
    ("an expression", &["not", "(", "none", "["], EXPRESSION),
    ("a pattern", &["_", "let", "none"], PATTERN),
    ("a type", &["name", "(", "["], &["name", "(", "["]),
    ("an operator", &["+", "*", "."], OPERATOR),
    ("an operator", &["+", "*"], OPERATOR),
];

const DECLARATION: &[&str] = &[
    "use",
    "const",
    "param",
    "type",
    "enum",
    "bits",
    "struct",
    "header",
    "extend",
    "union",
    "state",
    "table",
    "event",
    "fn",
    "filter",
    "test",
    "doc comment",
    "#",
];
const EXPRESSION: &[&str] = &[
    "not",
    "-",
    "~",
    "(",
    "[",
    "none",
    "true",
    "false",
    "name",
    "number",
    "string",
    "percentage",
    "duration",
    "rate",
    "IPv4 address",
    "IPv6 address",
    "MAC address",
    "replay",
    "emitted",
    "if",
    "match",
    "for",
    "{",
    "update",
];
const STATEMENT: &[&str] = &[
    "let",
    "return",
    "emit",
    "expect",
    "advance",
    "break",
    "for",
    "not",
    "-",
    "~",
    "(",
    "[",
    "none",
    "true",
    "false",
    "name",
    "number",
    "string",
    "percentage",
    "duration",
    "rate",
    "IPv4 address",
    "IPv6 address",
    "MAC address",
    "replay",
    "emitted",
    "if",
    "match",
    "{",
    "update",
];
const PATTERN: &[&str] = &[
    "_",
    "let",
    "none",
    "true",
    "false",
    "name",
    "number",
    "string",
    "percentage",
    "duration",
    "rate",
    "IPv4 address",
    "IPv6 address",
    "MAC address",
    "(",
];
const OPERATOR: &[&str] = &[
    "or", "and", "==", "!=", "<", "<=", ">", ">=", "has", "in", "not", "??", "|", "^", "&", "<<", ">>", "+",
    "-", "+|", "-|", "+%", "-%", "*", "/", "mod", ".", "(", "[",
];
/// Words that are names almost everywhere; saying "a name" is enough.
const NAMES: &[&str] = &[
    "limit", "each", "per", "next", "by", "with", "bits", "table", "event", "state", "header", "extend",
    "type", "union", "test", "emitted", "replay",
];
/// What is named first in a list.
const FIRST: &[&str] = &["name", ";", ",", ")", "]", "}", "=>", "->", "=", ":", "{", "in"];
/// Tokens that no text is made of.
const INTERNAL: &[&str] = &["<error>", "<bad>"];
/// Tokens that are named in words, not by their text.
const IN_WORDS: &[(&str, &str)] = &[
    ("name", "a name"),
    ("number", "a number"),
    ("string", "a string"),
    ("percentage", "a percentage"),
    ("duration", "a duration"),
    ("rate", "a rate"),
    ("IPv4 address", "an IPv4 address"),
    ("IPv6 address", "an IPv6 address"),
    ("MAC address", "a MAC address"),
    ("doc comment", "a doc comment"),
];

impl Expected {
    /// From the generated parser's list, whose tokens stand in quotes.
    pub(crate) fn new(tokens: &[String]) -> Self {
        let mut tokens: Vec<String> = tokens.iter().map(|token| token.trim_matches('"').to_owned()).collect();
        if tokens.iter().any(|token| token == "name") && !tokens.iter().any(|token| token == "const") {
            tokens.retain(|token| !NAMES.contains(&token.as_str()));
        }
        tokens.retain(|token| !INTERNAL.contains(&token.as_str()));
        Expected(tokens)
    }

    /// True where this token could have stood.
    pub(crate) fn has(&self, token: &str) -> bool {
        self.0.iter().any(|expected| expected == token)
    }

    /// True where only the end of the declaration could have stood.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where a name could have stood, but no expression, statement, pattern or type.
    pub(crate) fn is_name(&self) -> bool {
        self.has("name") && !self.has("[") && !self.has("none")
    }

    /// The list in words, such as "`;` or an operator".
    pub(crate) fn in_words(&self) -> String {
        let mut tokens: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let mut words: Vec<String> = Vec::new();
        for (name, sign, all) in GROUPS {
            if sign.iter().all(|token| tokens.contains(token)) {
                tokens.retain(|token| !all.contains(token));
                words.push((*name).to_owned());
            }
        }
        // What ends or separates something is missing most often; it comes first.
        tokens.sort_by_key(|token| FIRST.iter().position(|first| first == token).unwrap_or(FIRST.len()));
        let mut plain: Vec<String> = tokens.iter().map(|token| word(token)).collect();
        plain.append(&mut words);
        match plain.split_last() {
            None => "nothing more".to_owned(),
            Some((only, [])) => only.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }
}

fn word(token: &str) -> String {
    let known = IN_WORDS.iter().find(|(name, _)| *name == token);
    known.map_or_else(|| format!("`{token}`"), |(_, words)| (*words).to_owned())
}

/// What stands there: a kind of token and its text.
pub(crate) fn describe(token: Token, text: &str) -> String {
    let kind = match token {
        Token::Ident => "the name ",
        Token::Int(_) => "the number ",
        Token::Percent(_) => "the percentage ",
        Token::Duration(_) => "the duration ",
        Token::Rate(_) => "the rate ",
        Token::Ip4(_) | Token::Ip6(_) | Token::Mac(_) => "the address ",
        Token::Str => return "a string".to_owned(),
        Token::Doc => return "a doc comment".to_owned(),
        _ => "",
    };
    if text.is_empty() {
        return "the end of this part".to_owned();
    }
    format!("{kind}`{text}`")
}
