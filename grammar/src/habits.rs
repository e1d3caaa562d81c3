//! Remedies for what other languages have and Oko has not: each says once what Oko has instead, and has the rest of the text read as if
//! that, or nothing, stood there.
//!
//! What is read in its place is never a guess at a value: where one would be needed stands [`Token::Malformed`], about which nothing more is
//! said.

use std::ops::Range;

use oko_diagnostics::{Diagnostic, Span, codes::syntax as codes};

use crate::mend::Remedy;
use crate::parser::{Failure, Reader, item_word, partners};
use crate::token::{Spanned, Token};

/// How many tokens the brackets of a type hold at most: `map<(ip4, ip4, u8), window>`.
const TYPE_TOKENS: usize = 40;

/// The types of [`type_of`] that a `param` can have.
const PARAM_TYPES: [&str; 4] = ["u32", "u64", "duration", "rate"];

impl Reader<'_> {
    /// `const N = 5`, `fn f(a)`: a declaration says its type.
    pub(crate) fn with_type(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let name = *tokens.get(failure.at.checked_sub(1)?)?;
        let before = tokens.get(failure.at.checked_sub(2)?)?.token;
        let found = tokens.get(failure.at)?.token;
        let declared = match found {
            Token::Assign => matches!(before, Token::Const | Token::Param),
            Token::Comma | Token::RParen | Token::RBrace => {
                matches!(before, Token::LParen | Token::LBrace | Token::Comma) && declares_fields(tokens)
            }
            _ => false,
        };
        if !declared || !failure.expected.has(":") {
            return None;
        }
        let behind = self.span(name).at_end();
        let shown = self.source(name);
        let diagnostic = Diagnostic::error(codes::UNEXPECTED, format!("the type of `{shown}` is missing"))
            .label(behind, "its type stands here");
        let value = tokens.get(failure.at + 1).map(|token| token.token);
        let alone = tokens.get(failure.at + 2).is_some_and(|token| token.token == Token::Semi);
        let value = value.filter(|_| alone && found == Token::Assign);
        let ty = value.and_then(type_of);
        let diagnostic = match ty.filter(|ty| before != Token::Param || PARAM_TYPES.contains(ty)) {
            None if before == Token::Param => {
                diagnostic.help(format!("a param is an integer, a `duration` or a `rate`, such as `{shown}: u32`; anything else is a `const`"))
            }
            Some(ty) => diagnostic.suggest(behind, format!(": {ty}"), format!("write `{shown}: {ty}`")),
            None => diagnostic.help(format!("write it behind the name, such as `{shown}: u32`")),
        };
        Some((put_in(tokens, failure.at, &[Token::Colon, Token::Malformed]), diagnostic))
    }

    /// `let a;`: a name has a value from the beginning.
    pub(crate) fn with_value(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let token = *tokens.get(failure.at).filter(|token| token.token == Token::Semi)?;
        let start = start_of_statement(tokens, failure.at);
        if !failure.expected.has("=") || tokens[start].token != Token::Let {
            return None;
        }
        let names = tokens.get(start + 1..failure.at)?;
        let names = names.split(|token| token.token == Token::Colon).next()?;
        let name = self.text(self.span(*names.first()?).to(self.span(*names.last()?)));
        let diagnostic = Diagnostic::error(codes::UNEXPECTED, format!("`{name}` is given no value"))
            .label(self.span(token), "expected `=` and a value")
            .help(format!("declare it where its value is known: `let {name} = if … {{ … }} else {{ … }};`"));
        Some((put_in(tokens, failure.at, &[Token::Assign, Token::Malformed]), diagnostic))
    }

    /// `let mut a`
    pub(crate) fn without_mut(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let at = failure.at.checked_sub(1)?;
        let (word, name) = (*tokens.get(at)?, *tokens.get(failure.at)?);
        if self.source(word) != "mut" || at == 0 || tokens[at - 1].token != Token::Let {
            return None;
        }
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "names keep their values: there is no `mut`")
                .label(self.span(word), "nothing changes later")
                .suggest(Span { end: name.start, ..self.span(word) }, "", "remove it")
                .note("a loop carries values from turn to turn: `for i in 0..10 with sum = 0 { sum + i }`");
        let mut next = tokens.to_vec();
        next.remove(at);
        Some((next, diagnostic))
    }

    /// `x as u32`
    pub(crate) fn without_cast(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let cast = *tokens.get(failure.at).filter(|token| token.token == Token::As)?;
        if !failure.expected.has("+") || tokens.get(failure.at + 1)?.token != Token::Ident {
            return None;
        }
        let before = *tokens.get(failure.at.checked_sub(1)?)?;
        let ty = tokens[failure.at + 1];
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "there is no `as` in expressions")
            .label(self.span(cast).to(self.span(ty)), "nothing is converted")
            .suggest(
                Span { start: before.end, end: ty.end, ..self.span(cast) },
                "",
                "remove it: numbers of different widths go together",
            )
            .note("a number that must become smaller is cut, as in `x & 0xff`, or compared first");
        Some(([&tokens[..failure.at], &tokens[failure.at + 2..]].concat(), diagnostic))
    }

    /// `place += 1`, read as a comparison, so that nothing else is said about it.
    pub(crate) fn without_change(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let at = failure.at.checked_sub(1)?;
        let (sign, assign) = (*tokens.get(at)?, *tokens.get(failure.at)?);
        let changes = matches!(sign.token, Token::Plus | Token::Minus | Token::Star | Token::Pipe);
        if !changes || assign.token != Token::Assign || sign.end != assign.start {
            return None;
        }
        let start = start_of_statement(tokens, at);
        let diagnostic = self.no_change(self.span(sign).to(self.span(assign)), tokens.get(start..at)?);
        let mut next = tokens.to_vec();
        next[at] = Spanned { token: Token::Eq, end: assign.end, ..sign };
        next.remove(failure.at);
        if is_place(&tokens[start..at]) {
            next = unknown(&next, start..at);
        }
        Some((next, diagnostic))
    }

    /// `place++`, `--place`, `a ++ b`
    pub(crate) fn without_step(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let doubled = |at: usize| {
            let (first, second) = (*tokens.get(at)?, *tokens.get(at + 1)?);
            let steps = matches!(first.token, Token::Plus | Token::Minus);
            (steps && second.token == first.token && first.end == second.start).then_some(at)
        };
        // Behind the place, where a `-` can begin a value, or in front of it, where a `+` cannot.
        let at = (failure.at.saturating_sub(2)..=failure.at).find_map(doubled)?;
        let (first, second) = (tokens[at], tokens[at + 1]);
        let behind =
            tokens.get(at + 2).is_none_or(|next| next.token == Token::Semi || next.token.is_closer());
        let next = [&tokens[..at], &tokens[at + 2..]].concat();
        let signs = self.span(first).to(self.span(second));
        let value = at.checked_sub(1).is_some_and(|before| ends_value(tokens[before].token));
        if value && !behind && !first.first_on_line {
            let sign = self.source(first);
            let diagnostic =
                Diagnostic::error(codes::OTHER_SPELLING, format!("there is no `{}`", self.text(signs)))
                    .label(signs, "joins nothing in Oko")
                    .suggest(signs, sign, format!("write `{sign}`"));
            return Some((put_in(&next, at, &[first.token]), diagnostic));
        }
        let start = start_of_statement(tokens, at);
        let diagnostic = self.no_change(signs, tokens.get(start..at)?);
        if behind && is_place(&tokens[start..at]) {
            return Some((unknown(&next, start..at), diagnostic));
        }
        let meant: &[Token] = if behind { &[Token::Eq, Token::Malformed] } else { &[] };
        Some((put_in(&next, at, meant), diagnostic))
    }

    /// `a > = b`
    pub(crate) fn with_joined_sign(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let at = failure.at.checked_sub(1)?;
        let (sign, assign) = (*tokens.get(at)?, *tokens.get(failure.at)?);
        let (meant, joined) = match (sign.token, assign.token) {
            (Token::Lt, Token::Assign) => ("<=", Token::Le),
            (Token::Gt, Token::Assign) => (">=", Token::Ge),
            _ => return None,
        };
        let both = self.span(sign).to(self.span(assign));
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, format!("the parts of `{meant}` stand apart"))
                .label(both, "one sign is meant")
                .suggest(both, meant, format!("write `{meant}`"));
        let mut next = tokens.to_vec();
        next[at] = Spanned { token: joined, end: assign.end, ..sign };
        next.remove(failure.at);
        Some((next, diagnostic))
    }

    fn no_change(&self, sign: Span, place: &[Spanned]) -> Diagnostic {
        // What is changed, if that can be an entry of a state or a state.
        let named = is_place(place) && matches!(place, [_] | [.., Spanned { token: Token::RBracket, .. }]);
        let shown = self.text_of(place);
        let (counter, entry) = if named { (shown, shown) } else { ("seen[key]", "hits[key]") };
        Diagnostic::error(codes::ASSIGNMENT, format!("there is no `{}`", self.text(sign)))
            .label(sign, "nothing can be changed like this")
            .help(format!("a counter has `add`: `{counter}.add(1)`; other state is replaced: `update {entry} |old| (old ?? 0) +| 1`"))
    }

    /// `place = value;` as a statement.
    pub(crate) fn with_new_name(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let assign = *tokens.get(failure.at).filter(|token| token.token == Token::Assign)?;
        let start = start_of_statement(tokens, failure.at);
        let end = end_of_value(tokens, failure.at + 1);
        let is_statement = tokens.get(end).is_some_and(|token| token.token == Token::Semi);
        let place = &tokens[start..failure.at];
        let (first, last) = (*place.first()?, *place.last()?);
        let is_place = first.token == Token::Ident
            && (place.len() == 1 || matches!(last.token, Token::Ident | Token::RBracket));
        if !failure.expected.has("==") || !is_statement || !is_place {
            return None;
        }
        let place_span = self.span(first).to(self.span(last));
        let diagnostic = Diagnostic::error(codes::ASSIGNMENT, "there is no assignment")
            .label(self.span(assign), "`=` changes nothing here");
        if place.len() == 1 {
            let diagnostic = diagnostic
                .suggest(place_span.at_start(), "let ", "declare a new name, which may be the same")
                .note("a loop carries values from turn to turn: `for i in 0..10 with sum = 0 { sum + i }`");
            return Some((put_in(tokens, start, &[Token::Let]), diagnostic));
        }
        let index = place.iter().rposition(|token| token.token == Token::RBracket);
        let diagnostic = if let Some(index) = index {
            let entry = self.text_of(&place[..=index]);
            diagnostic.help(format!(
                "a counter has `add`: `{entry}.add(1)`; other state is replaced by a function of its old value: `update {entry} |old| …`"
            ))
        } else if self.is_of_packet(tokens, start) {
            diagnostic.help("filters change no packet: the actions of flow entries do")
        } else if item_word(tokens) == Some(Token::Test) {
            let (packet, field) = (self.source(first), self.source(last));
            diagnostic.help(format!(
                "a packet that differs in a field is another one: `let other = {packet}.with({field}: …);`"
            ))
        } else {
            diagnostic.help("what has a value keeps it: give the new value a name of its own with `let`")
        };
        if last.token == Token::RBracket {
            // What is computed from the entry is part of the same mistake.
            return Some((unknown(tokens, start..end), diagnostic));
        }
        let mut next = tokens.to_vec();
        next[failure.at].token = Token::Eq;
        if last.token != Token::RBracket {
            // An entry may be `none`, which has no fields, and packets are no values.
            next[failure.at - 1].token = Token::Malformed;
            next.drain(start..failure.at - 1);
        }
        Some((next, diagnostic))
    }

    /// Whether the name at `at` is the packet, or a header that an arm before it finds.
    fn is_of_packet(&self, tokens: &[Spanned], at: usize) -> bool {
        let name = self.source(tokens[at]);
        let arrows = (0..at).filter(|&arrow| tokens[arrow].token == Token::Arrow);
        let found = |arrow: usize| {
            let pattern = &tokens[start_of_statement(tokens, arrow)..arrow];
            let pattern = pattern.split(|token| token.token == Token::If).next().unwrap_or_default();
            let named = pattern.iter().position(|&token| self.source(token) == name);
            named.is_some_and(|named| named == 0 || pattern[named - 1].token != Token::Let)
        };
        name == "pkt" || arrows.into_iter().any(found)
    }

    /// `while x < 5 { … }`, `loop { … }`
    pub(crate) fn without_endless(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let start = start_of_statement(tokens, failure.at);
        let word = *tokens.get(start).filter(|token| token.token == Token::Ident)?;
        if !matches!(self.source(word), "while" | "loop") {
            return None;
        }
        let open = (failure.at..tokens.len())
            .find(|at| matches!(tokens[*at].token, Token::LBrace | Token::Semi | Token::RBrace))?;
        if tokens[open].token != Token::LBrace {
            return None;
        }
        let end = partners(tokens)[open];
        let shown = self.source(word);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, format!("there is no `{shown}`"))
            .label(self.span(word), "it could go on without end")
            .help("a loop has a greatest number of turns: `for i in 0..100 { if … { break; } … }`");
        let removed = Spanned { token: Token::Removed, end: tokens[end].end, ..word };
        Some(([&tokens[..start], &[removed], &tokens[end + 1..]].concat(), diagnostic))
    }

    /// `std::net::ipv4`. The lexer may have taken a `::` with what follows for an address: `::e` and `thernet`.
    pub(crate) fn with_dots(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let before = *tokens.get(failure.at.checked_sub(1)?)?;
        let first = *tokens.get(failure.at).filter(|first| first.start == before.end)?;
        let mut parts = Vec::new();
        let mut end = first.start;
        while self.text[end as usize..].starts_with("::") {
            parts.push(Spanned { token: Token::Dot, start: end, end: end + 2, first_on_line: false });
            end += 2;
            let name = self.text[end as usize..].bytes();
            let name = name.take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count() as u32;
            if name == 0 {
                break;
            }
            let as_read = tokens[failure.at..].iter().find(|token| token.start == end);
            let token =
                as_read.filter(|token| token.end == end + name).map_or(Token::Ident, |read| read.token);
            parts.push(Spanned { token, start: end, end: end + name, first_on_line: false });
            end += name;
        }
        let behind = failure.at + tokens[failure.at..].iter().take_while(|token| token.start < end).count();
        if parts.is_empty() || tokens[behind - 1].end != end {
            return None;
        }
        let path = Span { start: before.start, end, ..self.span(before) };
        let meant = self.text(path).replace("::", ".");
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "Oko writes `.`, not `::`")
            .label(self.span(parts[0]), "this is `.` in Oko")
            .suggest(path, meant.clone(), format!("write `{meant}`"));
        Some(([&tokens[..failure.at], &parts, &tokens[behind..]].concat(), diagnostic))
    }

    /// `map<ip4, u32>`
    pub(crate) fn with_square_brackets(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let open = *tokens.get(failure.at).filter(|token| token.token == Token::Lt)?;
        // Where an operator can stand, too, it is a comparison.
        if !failure.expected.has("[") || failure.expected.has("==") {
            return None;
        }
        let inner = tokens[failure.at + 1..].iter().take(TYPE_TOKENS);
        let length = inner
            .take_while(|token| !matches!(token.token, Token::Semi | Token::LBrace | Token::Lt))
            .position(|token| token.token == Token::Gt)?;
        let close = failure.at + 1 + length;
        let whole = self.span(open).to(self.span(tokens[close]));
        let shown = self.text(whole);
        let meant = format!("[{}]", shown.trim_start_matches('<').trim_end_matches('>'));
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "the parts of a type stand in square brackets")
                .label(whole, "in `<` and `>`")
                .suggest(whole, meant.clone(), format!("write `{meant}`"));
        let mut next = tokens.to_vec();
        (next[failure.at].token, next[close].token) = (Token::LBracket, Token::RBracket);
        Some((next, diagnostic))
    }

    /// `c ? a : b`
    pub(crate) fn without_question(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let question = *tokens.get(failure.at).filter(|token| token.token == Token::Question)?;
        let colon = end_of_value(tokens, failure.at + 1);
        if !failure.expected.has("or") || tokens.get(colon)?.token != Token::Colon {
            return None;
        }
        // What is chosen may be a choice of its own.
        let mut end = colon;
        while tokens.get(end).is_some_and(|token| token.token == Token::Colon) {
            end = end_of_value(tokens, end + 1);
        }
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "there is no `? :`")
            .label(self.span(question), "chooses nothing in Oko")
            .help("`if` has a value: `if … { … } else { … }`");
        let next = [&tokens[..failure.at], &tokens[end..]].concat();
        Some((put_in(&next, failure.at, &[Token::Or, Token::Malformed]), diagnostic))
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        &self.text[span.range()]
    }

    /// The text of tokens in a row, with the space between them.
    pub(crate) fn text_of(&self, tokens: &[Spanned]) -> &str {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => self.text(self.span(*first).to(self.span(*last))),
            _ => "",
        }
    }
}

/// The tokens with others, of no width, in front of index `at`.
pub(crate) fn put_in(tokens: &[Spanned], at: usize, new: &[Token]) -> Vec<Spanned> {
    let place = match at.checked_sub(1).and_then(|before| tokens.get(before)) {
        Some(before) => before.end,
        None => tokens.first().map_or(0, |token| token.start),
    };
    let new: Vec<Spanned> = (new.iter())
        .map(|&token| Spanned { token, start: place, end: place, first_on_line: false })
        .collect();
    [&tokens[..at], &new, &tokens[at..]].concat()
}

/// The tokens with one about which nothing more is said in place of some.
pub(crate) fn unknown(tokens: &[Spanned], gone: Range<usize>) -> Vec<Spanned> {
    let instead = Spanned { token: Token::Malformed, ..tokens[gone.start] };
    [&tokens[..gone.start], &[instead], &tokens[gone.end..]].concat()
}

/// Whether these tokens can name something that is changed.
fn is_place(tokens: &[Spanned]) -> bool {
    tokens.first().is_some_and(|first| first.token == Token::Ident)
}

/// The type that a constant of this value probably has.
pub(crate) fn type_of(value: Token) -> Option<&'static str> {
    Some(match value {
        Token::Int(value) if value <= u128::from(u32::MAX) => "u32",
        Token::Int(value) if value <= u128::from(u64::MAX) => "u64",
        Token::Int(_) => "u128",
        Token::Duration(_) => "duration",
        Token::Rate(_) => "rate",
        Token::Ip4((_, None)) => "ip4",
        Token::Ip6((_, None)) => "ip6",
        Token::Ip4(_) | Token::Ip6(_) => "prefix",
        Token::Mac(_) => "mac",
        Token::True | Token::False => "bool",
        _ => return None,
    })
}

/// Whether names with types stand in the brackets of the declaration that these tokens are.
fn declares_fields(tokens: &[Spanned]) -> bool {
    matches!(item_word(tokens), Some(Token::Fn | Token::Struct | Token::Header | Token::Event))
}

/// Whether a value can end with this token.
fn ends_value(token: Token) -> bool {
    matches!(token, Token::Ident | Token::Int(_) | Token::Malformed)
        || token.is_closer() && token != Token::RBrace
}

/// Where the statement begins that the token at `at` stands in.
pub(crate) fn start_of_statement(tokens: &[Spanned], at: usize) -> usize {
    let mut depth = 0usize;
    for before in (0..at.min(tokens.len())).rev() {
        match tokens[before].token {
            // A block that ends in front of this is a statement of its own.
            Token::RBrace if depth == 0 => return before + 1,
            token if token.is_closer() => depth += 1,
            token if token.closer().is_some() && depth == 0 => return before + 1,
            token if token.closer().is_some() => depth -= 1,
            Token::Semi | Token::Arrow | Token::Removed if depth == 0 => return before + 1,
            _ => {}
        }
    }
    0
}

/// Where the value that begins at `from` ends: the `;`, `,`, `:` or closing bracket behind it.
pub(crate) fn end_of_value(tokens: &[Spanned], from: usize) -> usize {
    let mut depth = 0usize;
    for (at, spanned) in tokens.iter().enumerate().skip(from) {
        match spanned.token {
            token if token.closer().is_some() => depth += 1,
            token if token.is_closer() && depth == 0 => return at,
            token if token.is_closer() => depth -= 1,
            Token::Semi | Token::Comma | Token::Colon if depth == 0 => return at,
            _ => {}
        }
    }
    tokens.len()
}
