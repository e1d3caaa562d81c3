//! Remedies for what P4, bpftrace, C and Rust have and Oko has not: bit fields, variants with values, powers, nameless functions, `is`, `case`.
//!
//! As in [`crate::habits`], each says once what Oko has instead, and the rest of the text is read as if that stood there.

use oko_diagnostics::{Diagnostic, Span, codes::syntax as codes};

use crate::habits::{end_of_value, put_in, start_of_statement, type_of, unknown};
use crate::mend::Remedy;
use crate::parser::{Failure, Reader, item_word};
use crate::shapes::{close_of, enclosing, start_of_place};
use crate::token::{Spanned, Token};

impl Reader<'_> {
    /// `enum Phase { Start, Middle(u32) }`
    pub(crate) fn without_variant_values(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let name = *tokens.get(failure.at.checked_sub(1)?).filter(|name| name.token == Token::Ident)?;
        let close = close_of(tokens, failure.at)?;
        if item_word(tokens) != Some(Token::Enum) || failure.at < 3 {
            return None;
        }
        let shown = self.source(name);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "a variant has no values of its own")
            .label(self.span(tokens[failure.at]).to(self.span(tokens[close])), format!("`{shown}` is a name"))
            .help("keep them beside it, in a `struct` with the enum and a `T?` for what only some variants have");
        Some(([&tokens[..failure.at], &tokens[close + 1..]].concat(), diagnostic))
    }

    /// `pair.0`
    pub(crate) fn without_part_number(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let number = *tokens.get(failure.at).filter(|token| matches!(token.token, Token::Int(_)))?;
        let dot = failure.at.checked_sub(1).filter(|dot| tokens[*dot].token == Token::Dot)?;
        let start = start_of_place(tokens, dot)?;
        let tuple = self.text_of(&tokens[start..dot]);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "the parts of a tuple have no numbers")
            .label(self.span(tokens[dot]).to(self.span(number)), "names no part")
            .help(format!("give them names: `let (first, second) = {};`", short(tuple)));
        Some((unknown(tokens, start..failure.at + 1), diagnostic))
    }

    /// `a: u8:4` in a header
    pub(crate) fn without_bit_field(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        tokens.get(failure.at).filter(|token| token.token == Token::Colon)?;
        let ty = *tokens.get(failure.at.checked_sub(1)?).filter(|ty| ty.token == Token::Ident)?;
        let width = *tokens.get(failure.at + 1)?;
        let Token::Int(bits) = width.token else { return None };
        if item_word(tokens) != Some(Token::Header) || !(1..=128).contains(&bits) {
            return None;
        }
        let whole = self.span(ty).to(self.span(width));
        let meant = format!("u{bits}");
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "the type of a field says how many bits it has")
                .label(whole, "a type and a width")
                .suggest(whole, meant.clone(), format!("write `{}`", short(&meant)));
        Some((unknown(tokens, failure.at - 1..failure.at + 2), diagnostic))
    }

    /// `bit<8> a;` in a header: all fields of it are read as if they were written right.
    pub(crate) fn without_bit_types(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        if item_word(tokens) != Some(Token::Header) {
            return None;
        }
        let start = failure.at.checked_sub(1)?;
        let (mut at, mut next, mut meant) = (start, tokens[..start].to_vec(), String::new());
        let (mut signed, mut unfit) = (false, false);
        while let [ty, open, width, close, name, end, ..] = &tokens[at..]
            && matches!(self.source(*ty), "bit" | "int" | "varbit")
            && let (Token::Lt, Token::Int(bits), Token::Gt) = (open.token, width.token, close.token)
            && matches!(end.token, Token::Semi | Token::Comma)
        {
            let sign = |token| Spanned { token, start: end.start, end: end.start, first_on_line: false };
            next.extend([*name, sign(Token::Colon), sign(Token::Malformed), sign(Token::Comma)]);
            meant += &format!("{}: u{bits}, ", self.source(*name));
            signed |= self.source(*ty) == "int";
            unfit |= self.source(*ty) == "varbit" || !(1..=128).contains(&bits);
            at += 6;
        }
        if at == start {
            return None;
        }
        let whole = self.span(tokens[start]).to(self.span(tokens[at - 1]));
        let meant = meant.trim_end().to_owned();
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "a field's type stands behind its name")
            .label(whole, "in front of the names");
        let diagnostic = if signed {
            diagnostic.help("there are no signed fields: with `name: u8`, -1 is 255")
        } else if unfit {
            diagnostic.help("a field has 1 to 128 bits, always as many, such as `name: u8`")
        } else {
            diagnostic.suggest(whole, meant.clone(), format!("write `{}`", short(&meant)))
        };
        next.extend(&tokens[at..]);
        Some((next, diagnostic))
    }

    /// `port in {80, 443}`
    pub(crate) fn with_list(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let open = *tokens.get(failure.at).filter(|open| open.token == Token::LBrace)?;
        tokens.get(failure.at.checked_sub(1)?).filter(|before| before.token == Token::In)?;
        let close = close_of(tokens, failure.at)?;
        let whole = self.span(open).to(self.span(tokens[close]));
        let text = self.text(whole);
        let meant = format!("[{}]", text[1..text.len().max(2) - 1].trim());
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "a list stands in square brackets")
            .label(whole, "in braces")
            .suggest(whole, meant.clone(), format!("write `{}`", short(&meant)));
        let mut next = tokens.to_vec();
        (next[failure.at].token, next[close].token) = (Token::LBracket, Token::RBracket);
        Some((next, diagnostic))
    }

    /// `|x| x + 1`
    pub(crate) fn without_lambda(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let bar = *tokens.get(failure.at).filter(|bar| bar.token == Token::Pipe)?;
        let before = tokens.get(failure.at.checked_sub(1)?)?.token;
        if !matches!(before, Token::Assign | Token::LParen | Token::Comma) {
            return None;
        }
        // Behind the second bar stands the value, which a `,` between the names does not end.
        let behind = tokens.get(failure.at + 1..)?.iter().position(|token| token.token == Token::Pipe)?;
        let end = end_of_value(tokens, failure.at + behind + 2);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "every function has a name")
            .label(self.span(bar).to(self.span(tokens[failure.at + behind + 1])), "begins no function in Oko")
            .help("declare it outside: `fn next(x: u32) -> u64 { x + 1 }`");
        Some((unknown(tokens, failure.at..end), diagnostic))
    }

    /// `fn max<T>(a: T, b: T)`
    pub(crate) fn without_type_params(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let open = *tokens.get(failure.at).filter(|open| open.token == Token::Lt)?;
        let declares = matches!(item_word(tokens), Some(Token::Fn | Token::Struct | Token::Enum));
        let length = tokens[failure.at..].iter().take(16).position(|token| token.token == Token::Gt)?;
        let headed = tokens.get(failure.at.checked_sub(2)?)?.token.begins_item();
        if !declares || !headed {
            return None;
        }
        let close = failure.at + length;
        let names: Vec<&str> = (tokens[failure.at + 1..close].iter())
            .filter(|token| token.token == Token::Ident)
            .map(|token| self.source(*token))
            .collect();
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "types are given, not taken as parameters")
            .label(self.span(open).to(self.span(tokens[close])), "every type is known beforehand in Oko")
            .help("declare one for the type that is needed; numbers of all widths go with `u64`");
        let mut next = [&tokens[..failure.at], &tokens[close + 1..]].concat();
        for token in &mut next {
            if token.token == Token::Ident && names.contains(&self.source(*token)) {
                token.token = Token::Malformed;
            }
        }
        Some((next, diagnostic))
    }

    /// `2**16`
    pub(crate) fn without_power(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let first = failure.at.checked_sub(1)?;
        let (star, again) = (*tokens.get(first)?, *tokens.get(failure.at)?);
        let (base, power) = (*tokens.get(first.checked_sub(1)?)?, *tokens.get(failure.at + 1)?);
        if star.token != Token::Star || again.token != Token::Star || star.end != again.start {
            return None;
        }
        let signs = self.span(star).to(self.span(again));
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "there is no `**`").label(signs, "no operator");
        let value = match (base.token, power.token) {
            (Token::Int(base), Token::Int(power)) => {
                u32::try_from(power).ok().and_then(|power| base.checked_pow(power))
            }
            _ => None,
        };
        let diagnostic = match value {
            Some(value) => {
                let whole = self.span(base).to(self.span(power));
                diagnostic.suggest(whole, value.to_string(), format!("write the number: `{value}`"))
            }
            None => diagnostic.help("a power of 2 is a shift: `1 << bits`"),
        };
        Some((unknown(tokens, first - 1..failure.at + 2), diagnostic))
    }

    /// `flags not has SYN`
    pub(crate) fn without_not_has(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let has = *tokens.get(failure.at).filter(|has| has.token == Token::Has)?;
        let at = failure.at.checked_sub(1).filter(|at| tokens[*at].token == Token::Not)?;
        let start = start_of_place(tokens, at)?;
        tokens.get(failure.at + 1)?;
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "`not` stands in front of what it turns round")
                .label(self.span(tokens[at]).to(self.span(has)), "two operators");
        let diagnostic = match end_of_bits(tokens, failure.at + 1) {
            Some(end) => {
                let (flags, bits) =
                    (self.text_of(&tokens[start..at]), self.text_of(&tokens[failure.at + 1..end]));
                let meant = format!("not ({flags} has {bits})");
                let whole = self.span(tokens[start]).to(self.span(tokens[end - 1]));
                diagnostic.suggest(whole, meant.clone(), format!("write `{}`", short(&meant)))
            }
            None => diagnostic.help("write `not (flags has BIT)`"),
        };
        let mut next = tokens.to_vec();
        next.remove(at);
        Some((next, diagnostic))
    }

    /// `entry is none`, `entry is not none`
    pub(crate) fn without_is(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = *tokens.get(failure.at).filter(|word| self.source(**word) == "is")?;
        if !failure.expected.has("==") {
            return None;
        }
        if let Some(packet) = failure.at.checked_sub(1).filter(|at| self.source(tokens[*at]) == "pkt") {
            let header = self.source(*tokens.get(failure.at + 1)?);
            let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "there is no `is`")
                .label(self.span(word), "asks nothing of a packet")
                .help(format!("headers are found by arms: `match pkt {{ {header} => …, _ => … }}`"));
            return Some((unknown(tokens, packet..failure.at + 2), diagnostic));
        }
        let negated = tokens.get(failure.at + 1).filter(|token| token.token == Token::Not);
        let (sign, token) = if negated.is_some() { ("!=", Token::Ne) } else { ("==", Token::Eq) };
        let words = self.span(word).to(self.span(negated.copied().unwrap_or(word)));
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "there is no `is`")
            .label(words, format!("this is `{sign}` in Oko"))
            .suggest(words, sign, format!("write `{sign}`"));
        let mut next = tokens.to_vec();
        next[failure.at].token = token;
        if negated.is_some() {
            next.remove(failure.at + 1);
        }
        Some((next, diagnostic))
    }

    /// `ipv4 => return true,`
    pub(crate) fn with_block_in_arm(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = *tokens.get(failure.at)?;
        let leaves =
            matches!(word.token, Token::Return | Token::Break | Token::Emit | Token::Let | Token::Expect);
        tokens.get(failure.at.checked_sub(1)?).filter(|before| before.token == Token::Arrow)?;
        let end = end_of_value(tokens, failure.at + 1);
        let last = *tokens.get(end.checked_sub(1)?)?;
        if !leaves || end >= tokens.len() {
            return None;
        }
        let whole = self.span(word).to(self.span(last));
        let meant = format!("{{ {}; }}", self.text(whole));
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "a statement in an arm stands in braces")
            .label(whole, "no value")
            .suggest(whole, meant.clone(), format!("write `{}`", short(&meant)));
        let next = put_in(tokens, end, &[Token::Semi, Token::RBrace]);
        Some((put_in(&next, failure.at, &[Token::LBrace]), diagnostic))
    }

    /// `case 5: true,` in a `match`
    pub(crate) fn without_case(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = failure.at.checked_sub(1).filter(|at| self.source(tokens[*at]) == "case")?;
        let open = enclosing(tokens, failure.at)?;
        let close = close_of(tokens, open)?;
        let (mut next, mut depth, mut in_pattern) = (tokens[..=open].to_vec(), 0usize, false);
        for &token in &tokens[open + 1..close] {
            if token.token.is_closer() {
                depth -= 1;
            }
            match token.token {
                Token::Ident if depth == 0 && self.source(token) == "case" => {
                    in_pattern = true;
                    continue;
                }
                Token::Colon if depth == 0 && in_pattern => {
                    next.push(Spanned { token: Token::Arrow, ..token });
                    in_pattern = false;
                }
                Token::Semi if depth == 0 => next.push(Spanned { token: Token::Comma, ..token }),
                _ => next.push(token),
            }
            if token.token.closer().is_some() {
                depth += 1;
            }
        }
        next.extend(&tokens[close..]);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "there is no `case`")
            .label(self.span(tokens[word]), "an arm begins with its pattern")
            .help("write each arm as its pattern, `=>` and its value: `5 => true,`");
        Some((next, diagnostic))
    }

    /// `static X: u32 = 5;`, `let X = 5;` outside of all brackets
    pub(crate) fn with_const(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = *tokens.first().filter(|_| failure.at == 0)?;
        let (name, sign) = (*tokens.get(1)?, tokens.get(2)?.token);
        let declares =
            word.token == Token::Let || matches!(self.source(word), "static" | "var" | "val" | "auto");
        if !declares || name.token != Token::Ident || !matches!(sign, Token::Assign | Token::Colon) {
            return None;
        }
        let value = tokens.get(3).map(|value| value.token).filter(|_| sign == Token::Assign);
        let ty = value.and_then(type_of);
        let (shown, whole) = (self.source(name), self.span(word).to(self.span(name)));
        let diagnostic = Diagnostic::error(
            codes::OTHER_SPELLING,
            "a value for the whole file is a `const`, or a `param` of the operator",
        )
        .label(self.span(word), "not outside of filters and functions");
        let meant = match (ty, sign) {
            (Some(ty), _) => Some(format!("const {shown}: {ty}")),
            (None, Token::Colon) => Some(format!("const {shown}")),
            (None, _) => None,
        };
        let diagnostic = match meant {
            Some(meant) => diagnostic.suggest(whole, meant.clone(), format!("write `{}`", short(&meant))),
            None => diagnostic.help(format!("write `const {shown}: u32 = …;` with the type of the value")),
        };
        let mut next = tokens.to_vec();
        next[0].token = Token::Const;
        if sign == Token::Assign {
            next = put_in(&next, 2, &[Token::Colon, Token::Malformed]);
        }
        Some((next, diagnostic))
    }

    /// `switch (x) { … }`, which could be a call
    pub(crate) fn with_match(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        tokens.get(failure.at).filter(|open| open.token == Token::LBrace)?;
        let close = failure.at.checked_sub(1).filter(|close| tokens[*close].token == Token::RParen)?;
        let start = enclosing(tokens, close)?.checked_sub(1)?;
        let word = *tokens.get(start).filter(|word| matches!(self.source(**word), "switch" | "select"))?;
        let diagnostic = Diagnostic::error(
            codes::OTHER_SPELLING,
            format!("Oko writes `match`, not `{}`", self.source(word)),
        )
        .label(self.span(word), "this is `match` in Oko")
        .suggest(self.span(word), "match", "write `match`");
        let mut next = tokens.to_vec();
        next[start].token = Token::Match;
        Some((next, diagnostic))
    }

    /// `state seen: …;` within a filter
    pub(crate) fn without_inner_state(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = *tokens.get(failure.at.checked_sub(1)?)?;
        let start = start_of_statement(tokens, failure.at - 1);
        let declares = matches!(self.source(word), "state" | "table" | "event" | "param");
        let named = tokens.get(failure.at)?.token == Token::Ident;
        if !declares || !named || start + 1 != failure.at {
            return None;
        }
        let mut end = end_of_value(tokens, failure.at);
        while tokens.get(end).is_some_and(|token| matches!(token.token, Token::Colon | Token::Comma)) {
            end = end_of_value(tokens, end + 1);
        }
        let last = *tokens.get(end).filter(|last| last.token == Token::Semi)?;
        let shown = self.source(word);
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, format!("a `{shown}` is declared outside of filters"))
                .label(self.span(word).to(self.span(last)), "within the braces of another declaration")
                .help("move it in front of the filter, whose file's filters share it");
        let removed = Spanned { token: Token::Removed, end: last.end, ..word };
        Some(([&tokens[..start], &[removed], &tokens[end + 1..]].concat(), diagnostic))
    }

    /// `window[10s]`, `counter[65536]`
    pub(crate) fn without_setting_in_type(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let value = *tokens.get(failure.at)?;
        let open = failure.at.checked_sub(1).filter(|open| tokens[*open].token == Token::LBracket)?;
        let name = self.source(*tokens.get(open.checked_sub(1)?)?);
        let close = close_of(tokens, open).filter(|close| *close == failure.at + 1)?;
        let shown = self.source(value);
        let help = match value.token {
            Token::Duration(_) => format!(
                "say it behind the type: `{{ …, {}: {shown} }}`",
                if name == "ewma" { "time_constant" } else { "window" }
            ),
            Token::Percent(_) => format!("say it behind the type: `{{ …, error: {shown} }}`"),
            Token::Int(_) => format!(
                "an entry for each number is an `array[{name}] {{ capacity: {shown} }}`, one for each key a `map`"
            ),
            _ => return None,
        };
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "types stand in the brackets of a type")
            .label(self.span(value), "this is a setting")
            .help(help);
        Some((unknown(tokens, open - 1..close + 1), diagnostic))
    }

    /// `for (i = 0; i < 10; i++) { … }`
    pub(crate) fn without_c_loop(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = failure.at.checked_sub(1).filter(|at| tokens[*at].token == Token::For)?;
        let head = close_of(tokens, failure.at)?;
        let end = close_of(tokens, head + 1)?;
        let whole = self.span(tokens[failure.at]).to(self.span(tokens[head]));
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "a loop goes over a range or a list")
            .label(whole, "a beginning, a condition and a step")
            .help("write `for i in 0..10 { … }`; what a loop computes it carries: `for i in 0..10 with sum = 0 { sum + i }`");
        let removed = Spanned { token: Token::Removed, end: tokens[end].end, ..tokens[word] };
        Some(([&tokens[..word], &[removed], &tokens[end + 1..]].concat(), diagnostic))
    }

    /// `tcp when …`, `tcp where …` in an arm
    pub(crate) fn with_guard(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = *tokens.get(failure.at)?;
        let shown = self.source(word);
        if !matches!(shown, "when" | "where" | "unless" | "and")
            || !failure.expected.has("=>")
            || !failure.expected.has("if")
        {
            return None;
        }
        let diagnostic = Diagnostic::error(
            codes::OTHER_SPELLING,
            format!("the condition of an arm stands behind `if`, not `{shown}`"),
        )
        .label(self.span(word), "this is `if` in Oko");
        let diagnostic = if shown == "unless" {
            diagnostic.help("write `if not (…)`")
        } else {
            diagnostic.suggest(self.span(word), "if", "write `if`")
        };
        let mut next = tokens.to_vec();
        next[failure.at].token = Token::If;
        Some((next, diagnostic))
    }

    /// `ipv4, tcp => …`, and `A, B => …` where no packet is matched
    pub(crate) fn with_slash(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let comma = *tokens.get(failure.at).filter(|comma| comma.token == Token::Comma)?;
        let names = tokens.get(failure.at.checked_sub(1)?)?.token == Token::Ident
            && tokens.get(failure.at + 1)?.token == Token::Ident;
        if !names || !failure.expected.has("=>") || !failure.expected.has("/") && !failure.expected.has("if")
        {
            return None;
        }
        let mut next = tokens.to_vec();
        if !self.in_packet_arms(&tokens[..failure.at]) {
            next[failure.at].token = Token::Pipe;
            let diagnostic =
                Diagnostic::error(codes::OTHER_SPELLING, "alternatives in an arm are joined with `|`")
                    .label(self.span(comma), "this is `|` in Oko")
                    .suggest(self.span(comma), " |", "write `|`");
            return Some((next, diagnostic));
        }
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, "headers behind one another are joined with `/`")
                .label(self.span(comma), "this is `/` in Oko")
                .suggest(self.span(comma), " /", "write `/`; alternatives are joined with `|`");
        next[failure.at].token = Token::Slash;
        Some((next, diagnostic))
    }

    /// Whether what stands behind the tokens is in the arms of `match pkt { … }`.
    fn in_packet_arms(&self, tokens: &[Spanned]) -> bool {
        let mut closed = 0;
        let open = tokens.iter().rposition(|spanned| match spanned.token {
            Token::RBrace => {
                closed += 1;
                false
            }
            Token::LBrace if closed == 0 => true,
            Token::LBrace => {
                closed -= 1;
                false
            }
            _ => false,
        });
        let subject = open.and_then(|open| open.checked_sub(1)).map(|at| tokens[at]);
        subject.is_some_and(|subject| self.source(subject) == "pkt")
    }

    /// `ipv4 / _ / tcp`
    pub(crate) fn without_any_header(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let any = *tokens.get(failure.at).filter(|any| any.token == Token::Underscore)?;
        failure.at.checked_sub(1).filter(|before| tokens[*before].token == Token::Slash)?;
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "`_` stands for no header")
            .label(self.span(any), "what lies between is named")
            .help("an arm names headers that follow one another directly; extension headers may be left out");
        let mut next = tokens.to_vec();
        next.drain(failure.at - 1..=failure.at);
        Some((next, diagnostic))
    }

    /// `ipv4 / tcp(dst_port: 80) => …`
    pub(crate) fn without_field_patterns(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let header = failure.at.checked_sub(1).filter(|at| tokens[*at].token == Token::Ident)?;
        tokens.get(failure.at).filter(|open| open.token == Token::LParen)?;
        let close = close_of(tokens, failure.at)?;
        if !failure.expected.has("=>") || !failure.expected.has("/") {
            return None;
        }
        let name = self.source(tokens[header]);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "what fields are is asked behind `if`")
            .label(self.span(tokens[failure.at]).to(self.span(tokens[close])), "not part of the headers")
            .help(format!("write `{name} if {name}.FIELD == …`"));
        Some(([&tokens[..failure.at], &tokens[close + 1..]].concat(), diagnostic))
    }

    /// `… per source, port;` of an event
    pub(crate) fn without_more_fields(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let comma = *tokens.get(failure.at).filter(|comma| comma.token == Token::Comma)?;
        let per = tokens[..failure.at].iter().rposition(|token| token.token == Token::Per)?;
        let end =
            tokens.iter().rposition(|token| token.token == Token::Semi).filter(|end| *end > failure.at)?;
        if item_word(tokens) != Some(Token::Event) || per + 2 != failure.at {
            return None;
        }
        let diagnostic = Diagnostic::error(
            codes::OTHER_SPELLING,
            "an event is limited per one of its fields",
        )
        .label(self.span(comma).to(self.span(tokens[end - 1])), "a second one")
        .help("make a field of both, a tuple: `event scan { flow: (ip4, ip4) } limit 1 each 10s per flow;`");
        Some(([&tokens[..failure.at], &tokens[end..]].concat(), diagnostic))
    }

    /// `apply { … }` around what a filter does
    pub(crate) fn without_apply(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let word = failure.at.checked_sub(1).filter(|at| self.source(tokens[*at]) == "apply")?;
        close_of(tokens, failure.at)?;
        if start_of_statement(tokens, word) != word || tokens[failure.at].token != Token::LBrace {
            return None;
        }
        let name = self.span(tokens[word]);
        let diagnostic = Diagnostic::error(codes::OTHER_SPELLING, "there is no `apply`")
            .label(name, "what a filter does stands in its own braces")
            .suggest(Span { end: tokens[failure.at].start, ..name }, "", "remove it");
        let mut next = tokens.to_vec();
        next.remove(word);
        Some((next, diagnostic))
    }
}

/// Where `SYN | tcp_flags.ACK`, which begins at `from`, ends, if it is nothing but names of bits.
fn end_of_bits(tokens: &[Spanned], from: usize) -> Option<usize> {
    let names = tokens.get(from..)?.chunks(2).take_while(|pair| {
        matches!(pair, [name, sign] if name.token == Token::Ident && matches!(sign.token, Token::Dot | Token::Pipe))
    });
    let last = from + 2 * names.count();
    tokens.get(last).filter(|name| name.token == Token::Ident)?;
    let behind = tokens.get(last + 1)?.token;
    let ends = behind.is_closer()
        || matches!(
            behind,
            Token::And | Token::Or | Token::Semi | Token::Comma | Token::LBrace | Token::Arrow
        );
    ends.then_some(last + 1)
}

/// A text for a message: long ones are cut.
fn short(text: &str) -> String {
    /// The most letters that are shown.
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
