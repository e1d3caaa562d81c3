//! Remedies for what other languages have, too, and write in another shape: values of structs, entries of maps, updates, events.
//!
//! As in [`crate::habits`], each says once how Oko writes it; here the rest of the text is read as if it had been written so.

use oko_diagnostics::{Diagnostic, Span, codes::syntax as codes};

use crate::habits::{put_in, start_of_statement, unknown};
use crate::mend::Remedy;
use crate::parser::{Failure, Reader, partners};
use crate::token::{Spanned, Token};

/// The most tokens of a value that is looked through for its end.
const VALUE_TOKENS: usize = 400;

impl Reader<'_> {
    /// `Entry { count: 1 }`, and `emit scan(source: ip.src)`.
    pub(crate) fn with_other_brackets(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let at = self.read_as_block(tokens, failure).unwrap_or(failure.at);
        let open = *tokens.get(at)?;
        let name = *tokens.get(at.checked_sub(1)?).filter(|name| name.token == Token::Ident)?;
        let close = close_of(tokens, at)?;
        let emitted = at >= 2 && tokens[at - 2].token == Token::Emit;
        let field = |at: usize| tokens.get(at).is_some_and(|token| token.token == Token::Ident);
        let named = field(at + 1)
            && matches!(tokens.get(at + 2).map(|token| token.token), Some(Token::Colon | Token::Comma));
        let (signs, what, wanted) = match open.token {
            Token::LBrace if named && !emitted => {
                ((Token::LParen, Token::RParen), "the fields of a value stand in round brackets", ("(", ")"))
            }
            Token::LParen if emitted && failure.expected.has("{") => {
                ((Token::LBrace, Token::RBrace), "the fields of an event stand in braces", (" { ", " }"))
            }
            _ => return None,
        };
        let inside = self.text(self.between(open, tokens[close])).trim();
        let inside = inside.strip_suffix(',').unwrap_or(inside);
        let meant = format!("{}{}{inside}{}", self.source(name), wanted.0, wanted.1);
        let whole = self.span(name).to(self.span(tokens[close]));
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, what)
            .label(self.span(open).to(self.span(tokens[close])), "in other brackets")
            .suggest(whole, meant.clone(), format!("write `{}`", one_line(&meant)));
        let mut next = tokens.to_vec();
        (next[at].token, next[close].token) = signs;
        Some((next, diagnostic))
    }

    /// Where the bracket of a value opens whose fields were taken for a block, as in `for i in 0..4 with sum = Entry { count: 1 } { … }`: at the colon behind the
    /// first field it turns out that they are none. Types have names with a capital.
    fn read_as_block(&self, tokens: &[Spanned], failure: &Failure) -> Option<usize> {
        let open = failure.at.checked_sub(2)?;
        let signs = [Token::LBrace, Token::Ident, Token::Colon];
        let name = tokens.get(open.checked_sub(1)?).filter(|name| name.token == Token::Ident)?;
        let here = tokens.get(open..=failure.at)?.iter().map(|token| token.token).eq(signs);
        (here && self.source(*name).starts_with(char::is_uppercase)).then_some(open)
    }

    /// `update hits[key] = 1`, `update hits[key] 1`: what the entry holds has a name, and the new value stands behind it.
    pub(crate) fn with_old(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let start = start_of_statement(tokens, failure.at);
        let update = (start..failure.at).rfind(|at| tokens[*at].token == Token::Update)?;
        let place = tokens.get(update + 1..failure.at)?;
        let (first, last) = (*place.first()?, *place.last()?);
        let shown = self.text_of(place);
        if !failure.expected.has("|") || place.iter().any(|token| token.token == Token::Pipe) {
            return None;
        }
        let found = *tokens.get(failure.at)?;
        let assigned = found.token == Token::Assign;
        if !assigned && matches!(found.token, Token::Semi | Token::RBrace | Token::Comma) {
            return None;
        }
        let (place, text, rest) = if assigned {
            (self.span(found), "|_old|", failure.at + 1)
        } else {
            (self.span(last).at_end(), " |_old|", failure.at)
        };
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "an `update` names what the entry holds")
            .label(place, "the name stands here, in `|` and `|`")
            .note("the old value, or `none`, has this name in the new value; a name that begins with `_` is not used")
            .suggest(place, text, format!("write `update {shown} |_old| …`"));
        let mut next = tokens[..failure.at].to_vec();
        // The name is put over the name of the state: no other text is there to be one.
        next.extend([Token::Pipe, Token::Ident, Token::Pipe].map(|token| Spanned { token, ..first }));
        next.extend(&tokens[rest..]);
        Some((next, diagnostic))
    }

    /// `hits[key].update(|old| …)`
    pub(crate) fn with_update_in_front(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let update = *tokens.get(failure.at).filter(|token| token.token == Token::Update)?;
        let dot = failure.at.checked_sub(1).filter(|at| tokens[*at].token == Token::Dot)?;
        let start = start_of_place(tokens, dot)?;
        let open = failure.at + 1;
        if tokens.get(open)?.token != Token::LParen {
            return None;
        }
        let close = close_of(tokens, open)?;
        let inner = &tokens[open + 1..close];
        let [bar, name, end, value @ ..] = inner else { return None };
        let bars = bar.token == Token::Pipe && name.token == Token::Ident && end.token == Token::Pipe;
        if !bars || value.is_empty() {
            return None;
        }
        let place = self.text_of(&tokens[start..dot]);
        let meant = format!("update {place} |{}| {}", self.source(*name), self.text_of(value));
        let whole = self.span(tokens[start]).to(self.span(tokens[close]));
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "`update` stands in front of its place")
            .label(self.span(update), "not an operation of the place")
            .suggest(whole, meant.clone(), format!("write `{}`", one_line(&meant)));
        let word = Spanned { token: Token::Update, ..tokens[start] };
        let next = [&tokens[..start], &[word], &tokens[start..dot], inner, &tokens[close + 1..]].concat();
        Some((next, diagnostic))
    }

    /// `for i in 0..4 with (a, b): (u8, u16) = (0, 1) { … }`: what is carried round has names of its own.
    pub(crate) fn with_each_carried(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let carried = failure.at.checked_sub(1).filter(|at| tokens[*at].token == Token::With);
        carried.filter(|_| tokens.get(failure.at).is_some_and(|token| token.token == Token::LParen))?;
        let names_end = close_of(tokens, failure.at)?;
        let names = at_commas(&tokens[failure.at + 1..names_end]);
        let (mut types, mut at) = (Vec::new(), names_end + 1);
        if tokens.get(at)?.token == Token::Colon {
            let end = close_of(tokens, at + 1)?;
            (types, at) = (at_commas(&tokens[at + 2..end]), end + 1);
        }
        tokens.get(at).filter(|token| token.token == Token::Assign)?;
        let end = close_of(tokens, at + 1)?;
        let values = at_commas(&tokens[at + 2..end]);
        let fits = names.len() == values.len() && (types.is_empty() || types.len() == names.len());
        let named = names.iter().all(|name| matches!(name, [name] if name.token == Token::Ident));
        if !fits || !named || values.iter().chain(&types).any(|part| part.is_empty()) {
            return None;
        }
        let (mut meant, mut next) = (Vec::new(), tokens[..failure.at].to_vec());
        let sign = |token: Token, near: Spanned| Spanned { token, ..near };
        for (number, (name, value)) in names.iter().zip(&values).enumerate() {
            if number > 0 {
                next.push(sign(Token::Comma, name[0]));
            }
            next.push(name[0]);
            let mut one = self.source(name[0]).to_owned();
            if let Some(ty) = types.get(number) {
                next.push(sign(Token::Colon, ty[0]));
                next.extend_from_slice(ty);
                one += &format!(": {}", self.text_of(ty));
            }
            next.push(sign(Token::Assign, value[0]));
            let text = self.text_of(value);
            // In front of a body, what has one itself stands in brackets.
            if matches!(value[0].token, Token::LBrace | Token::If | Token::Match | Token::For) {
                next.push(sign(Token::LParen, value[0]));
                next.extend_from_slice(value);
                next.push(sign(Token::RParen, value[0]));
                meant.push(format!("{one} = ({text})"));
            } else {
                next.extend_from_slice(value);
                meant.push(format!("{one} = {text}"));
            }
        }
        next.extend_from_slice(&tokens[end + 1..]);
        let meant = meant.join(", ");
        let whole = self.span(tokens[failure.at]).to(self.span(tokens[end]));
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "each value that a loop carries has its own name")
                .label(whole, "a tuple")
                .suggest(whole, meant.clone(), format!("write `with {}`", one_line(&meant)));
        Some((next, diagnostic))
    }

    /// `delete hits[key];`
    pub(crate) fn without_delete(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let at = failure.at.checked_sub(1)?;
        let word = *tokens.get(at).filter(|token| token.token == Token::Ident)?;
        let known = matches!(self.source(word), "delete" | "del" | "remove" | "erase" | "unset");
        let name = *tokens.get(failure.at).filter(|name| name.token == Token::Ident)?;
        let open = failure.at + 1;
        if !known || start_of_statement(tokens, at) != at || tokens.get(open)?.token != Token::LBracket {
            return None;
        }
        let close = close_of(tokens, open)?;
        let key = self.text(self.between(tokens[open], tokens[close]));
        let meant = format!("{}.remove({key})", self.source(name));
        let whole = self.span(word).to(self.span(tokens[close]));
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, format!("there is no `{}`", self.source(word)))
                .label(self.span(word), "takes nothing away")
                .suggest(whole, meant.clone(), format!("write `{meant}`"))
                .note("an `update` whose new value is `none` takes its entry away, too");
        // `hits[key]` is read as a statement that reads: nothing more is said about it.
        let mut next = tokens.to_vec();
        next[failure.at].token = Token::Malformed;
        next.remove(at);
        Some((next, diagnostic))
    }

    /// `seen[a, b]`: a key of several parts is a tuple.
    pub(crate) fn with_tuple_as_key(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        tokens.get(failure.at).filter(|token| token.token == Token::Comma)?;
        let (open, close) = square_brackets(tokens, failure.at)?;
        if !failure.expected.has("]") || !failure.expected.has(":") {
            return None;
        }
        let inside = self.between(tokens[open], tokens[close]);
        let key = self.text(inside);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "a key of several parts is a tuple")
            .label(inside, "several values")
            .suggest(inside, format!("({key})"), format!("write `[({key})]`"));
        let next = put_in(&put_in(tokens, close, &[Token::RParen]), open + 1, &[Token::LParen]);
        Some((next, diagnostic))
    }

    /// `if let n = hits[key] { … }`
    pub(crate) fn without_if_let(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = *tokens.get(failure.at).filter(|token| token.token == Token::Let)?;
        let at = failure.at.checked_sub(1).filter(|at| tokens[*at].token == Token::If)?;
        let partners = partners(tokens);
        let open = body_behind(tokens, &partners, failure.at)?;
        let mut end = partners[open];
        while tokens.get(end + 1).is_some_and(|token| token.token == Token::Else) {
            let again = tokens.get(end + 2).is_some_and(|token| token.token == Token::If);
            let body = if again {
                body_behind(tokens, &partners, end + 3)
            } else {
                Some(end + 2).filter(|at| is_closed_brace(tokens, &partners, *at))
            };
            let Some(body) = body else { break };
            end = partners[body];
            if !again {
                break;
            }
        }
        let parts: Vec<&[Spanned]> =
            tokens[failure.at + 1..open].splitn(2, |token| token.token == Token::Assign).collect();
        let [pattern, value] = parts.as_slice() else { return None };
        let shown = if value.is_empty() { "…" } else { self.text_of(value) };
        let name = pattern.iter().rfind(|token| token.token == Token::Ident);
        let name = name.map_or("value", |name| self.source(*name));
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "there is no `if let`")
            .label(self.span(tokens[at]).to(self.span(word)), "an `if` has a condition")
            .help(format!("write `match {shown} {{ let {name} => …, none => … }}`"));
        let next =
            [&tokens[..at], &[Spanned { token: Token::Malformed, ..word }], &tokens[end + 1..]].concat();
        Some((next, diagnostic))
    }

    /// `else => …` as the last arm.
    pub(crate) fn with_any(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = *tokens.get(failure.at).filter(|token| token.token == Token::Else)?;
        if tokens.get(failure.at + 1)?.token != Token::Arrow || !failure.expected.has("_") {
            return None;
        }
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "Oko writes `_`, not `else`, for all other values")
                .label(self.span(word), "this is `_` in Oko")
                .suggest(self.span(word), "_", "write `_`");
        let mut next = tokens.to_vec();
        next[failure.at].token = Token::Underscore;
        Some((next, diagnostic))
    }

    /// `ipv4(src = 10.0.0.1)`
    pub(crate) fn with_named_argument(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let sign = *tokens.get(failure.at).filter(|token| token.token == Token::Assign)?;
        let name = failure.at.checked_sub(1).filter(|at| tokens[*at].token == Token::Ident)?;
        let before = tokens.get(name.checked_sub(1)?)?.token;
        let open = enclosing(tokens, failure.at).filter(|at| tokens[*at].token == Token::LParen)?;
        let called = open.checked_sub(1).is_some_and(|at| tokens[at].token == Token::Ident);
        if !called || !matches!(before, Token::LParen | Token::Comma) {
            return None;
        }
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "an argument is named with `:`")
            .label(self.span(sign), "not expected here")
            .suggest(
                Span { start: tokens[name].end, ..self.span(sign) },
                ":",
                format!("write `{}: …`", self.source(tokens[name])),
            );
        let mut next = tokens.to_vec();
        next[failure.at].token = Token::Colon;
        Some((next, diagnostic))
    }

    /// `[0; 4]` as a value
    pub(crate) fn without_repetition(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        /// The most elements that are written out in the suggestion.
        const MOST: u128 = 16;
        let sign = *tokens.get(failure.at).filter(|token| token.token == Token::Semi)?;
        let (open, close) = square_brackets(tokens, failure.at)?;
        let Token::Int(count) = tokens.get(failure.at + 1)?.token else { return None };
        if failure.at + 2 != close || !failure.expected.has(",") {
            return None;
        }
        let element = self.text(self.between(tokens[open], sign)).trim();
        let inside = self.between(tokens[open], tokens[close]);
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "the elements of an array are written one by one")
                .label(self.span(sign).to(self.span(tokens[close - 1])), "repeats nothing in Oko");
        let diagnostic = if (1..=MOST).contains(&count) {
            let meant = vec![element; count as usize].join(", ");
            diagnostic.suggest(inside, meant.clone(), format!("write `[{}]`", one_line(&meant)))
        } else {
            diagnostic.help("a state of many entries is an `array`, whose entries begin at 0")
        };
        Some((unknown(tokens, open..close + 1), diagnostic))
    }

    /// `array[u32; 10]`
    pub(crate) fn without_length(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let sign = *tokens.get(failure.at).filter(|token| token.token == Token::Semi)?;
        let (open, close) = square_brackets(tokens, failure.at)?;
        let name = open.checked_sub(1).map(|at| self.source(tokens[at]))?;
        if name != "array" || failure.at + 2 != close {
            return None;
        }
        let length = tokens[close - 1];
        let element = self.text(self.between(tokens[open], sign)).trim();
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "how many entries an array has is a setting")
                .label(self.span(sign).to(self.span(length)), "not part of the type")
                .help(format!("write `array[{element}] {{ capacity: {} }}`", self.source(length)));
        // Nothing more is said about a type that was meant otherwise.
        Some((unknown(tokens, open - 1..close + 1), diagnostic))
    }

    /// What stands between two tokens; nothing if a mended token stands out of order.
    fn between(&self, before: Spanned, behind: Spanned) -> Span {
        Span { start: before.end, end: behind.start.max(before.end), ..self.span(before) }
    }
}

/// The bracket that closes the one at `open`.
pub(crate) fn close_of(tokens: &[Spanned], open: usize) -> Option<usize> {
    tokens.get(open)?.token.closer()?;
    let close = *partners(tokens).get(open)?;
    (close > open).then_some(close)
}

/// What stands between commas that are in no further brackets.
fn at_commas(tokens: &[Spanned]) -> Vec<&[Spanned]> {
    let mut depth = 0usize;
    let parts = tokens.split(|token| {
        if token.token.is_closer() {
            depth = depth.saturating_sub(1);
        } else if token.token.closer().is_some() {
            depth += 1;
        }
        depth == 0 && token.token == Token::Comma
    });
    parts.collect()
}

/// Whether a brace that is closed stands at `at`.
fn is_closed_brace(tokens: &[Spanned], partners: &[usize], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| token.token == Token::LBrace) && partners[at] > at
}

/// The brace that opens the body behind a condition that begins at `from`. Braces within other brackets belong to the condition, and so do
/// those directly in front of others: `match x { … } { … }`.
fn body_behind(tokens: &[Spanned], partners: &[usize], from: usize) -> Option<usize> {
    let behind = |at: usize| match tokens.get(at)?.token {
        Token::LBrace | Token::Semi => None,
        token if token.is_closer() => None,
        token if token.closer().is_some() => (partners[at] > at).then(|| partners[at] + 1),
        _ => Some(at + 1),
    };
    let ahead = std::iter::successors(Some(from), |&at| behind(at));
    let first = ahead.take_while(|at| at - from < VALUE_TOKENS).last()?;
    std::iter::successors(Some(first), |&at| partners.get(at).map(|close| close + 1))
        .take_while(|at| is_closed_brace(tokens, partners, *at))
        .last()
}

/// The bracket around the token at `at`.
pub(crate) fn enclosing(tokens: &[Spanned], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    (0..at.min(tokens.len())).rev().find(|&before| {
        let token = tokens[before].token;
        if token.is_closer() {
            depth += 1;
        } else if token.closer().is_some() {
            if depth == 0 {
                return true;
            }
            depth -= 1;
        }
        false
    })
}

/// The square brackets around the token at `at`, if no others stand between.
fn square_brackets(tokens: &[Spanned], at: usize) -> Option<(usize, usize)> {
    let open = enclosing(tokens, at).filter(|open| tokens[*open].token == Token::LBracket)?;
    Some((open, close_of(tokens, open)?))
}

/// Where the place begins, such as `hits[key]`, that ends in front of the dot at `dot`.
pub(crate) fn start_of_place(tokens: &[Spanned], dot: usize) -> Option<usize> {
    let partners = partners(tokens);
    let mut at = dot.checked_sub(1)?;
    loop {
        if tokens[at].token.is_closer() {
            at = partners[at].checked_sub(1)?;
        } else if tokens[at].token != Token::Ident {
            return None;
        } else if at >= 2 && tokens[at - 1].token == Token::Dot {
            at -= 2;
        } else {
            return Some(at);
        }
    }
}

/// A text for a message in one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
