//! The plain remedies for a mistake: what was probably meant, as tokens to read instead, with the suggestion to write it.
//!
//! A remedy is only a guess; it is taken where the parser comes further with it than it came before.

use oko_diagnostics::{Code, Diagnostic, Span, codes::syntax as codes};

use crate::ast::Item;
use crate::habits::put_in;
use crate::parser::{Failure, Reader};
use crate::token::{Spanned, Token};

/// A remedy: the tokens after it, and what to tell about it.
pub(crate) type Remedy = (Vec<Spanned>, Diagnostic);

/// Signs that are easily mistaken: as written, as meant.
const SIGNS: &[(Token, &str, Token)] = &[
    (Token::ThinArrow, "=>", Token::Arrow),
    (Token::Assign, "=>", Token::Arrow),
    (Token::Colon, "=>", Token::Arrow),
    (Token::Arrow, "->", Token::ThinArrow),
    (Token::Colon, "->", Token::ThinArrow),
    (Token::Semi, ",", Token::Comma),
    (Token::Comma, ";", Token::Semi),
    (Token::Assign, ":", Token::Colon),
    (Token::Colon, "=", Token::Assign),
    (Token::Colon, ",", Token::Comma),
    (Token::Eq, "=", Token::Assign),
];

/// A word that other languages write otherwise.
struct Word {
    others: &'static [&'static str],
    oko: &'static str,
    tokens: &'static [Token],
}

const WORDS: &[Word] = &[
    Word { others: &["elif", "elsif", "elseif"], oko: "else if", tokens: &[Token::Else, Token::If] },
    Word { others: &["import", "include", "using", "require"], oko: "use", tokens: &[Token::Use] },
    Word { others: &["var", "auto", "val"], oko: "let", tokens: &[Token::Let] },
    Word { others: &["switch", "select", "case"], oko: "match", tokens: &[Token::Match] },
    Word { others: &["function", "func", "def"], oko: "fn", tokens: &[Token::Fn] },
    Word { others: &["foreach"], oko: "for", tokens: &[Token::For] },
    Word { others: &["assert", "expects", "verify"], oko: "expect", tokens: &[Token::Expect] },
    Word { others: &["sleep", "wait", "delay"], oko: "advance", tokens: &[Token::Advance] },
];

pub(crate) fn stray_doc_comment(place: Span) -> Diagnostic {
    Diagnostic::error(codes::STRAY_DOC_COMMENT, "this doc comment describes nothing")
        .label(place, "no declaration, field or variant follows")
        .help("write `//` for an ordinary comment")
}

impl Reader<'_> {
    /// Tries the plain remedies. The first with which the parser comes further is reported and kept.
    pub(crate) fn mend(
        &mut self,
        tokens: &[Spanned],
        failure: &Failure,
    ) -> Option<(Vec<Spanned>, Result<Item, Failure>)> {
        let remedies = [
            self.without_doc_comments(tokens, failure),
            self.with_other_brackets(tokens, failure),
            self.with_each_carried(tokens, failure),
            self.with_old(tokens, failure),
            self.with_update_in_front(tokens, failure),
            self.without_delete(tokens, failure),
            self.with_tuple_as_key(tokens, failure),
            self.without_if_let(tokens, failure),
            self.with_any(tokens, failure),
            self.without_variant_values(tokens, failure),
            self.without_part_number(tokens, failure),
            self.without_bit_field(tokens, failure),
            self.without_bit_types(tokens, failure),
            self.with_list(tokens, failure),
            self.without_lambda(tokens, failure),
            self.without_type_params(tokens, failure),
            self.without_power(tokens, failure),
            self.without_not_has(tokens, failure),
            self.without_is(tokens, failure),
            self.with_block_in_arm(tokens, failure),
            self.without_case(tokens, failure),
            self.with_const(tokens, failure),
            self.without_apply(tokens, failure),
            self.without_inner_state(tokens, failure),
            self.without_setting_in_type(tokens, failure),
            self.without_c_loop(tokens, failure),
            self.with_guard(tokens, failure),
            self.with_slash(tokens, failure),
            self.without_any_header(tokens, failure),
            self.without_field_patterns(tokens, failure),
            self.without_more_fields(tokens, failure),
            self.with_match(tokens, failure),
            self.with_named_argument(tokens, failure),
            self.without_length(tokens, failure),
            self.without_repetition(tokens, failure),
            self.without_rest(tokens, failure),
            self.with_type(tokens, failure),
            self.with_value(tokens, failure),
            self.without_mut(tokens, failure),
            self.without_cast(tokens, failure),
            self.without_step(tokens, failure),
            self.with_joined_sign(tokens, failure),
            self.without_endless(tokens, failure),
            self.with_dots(tokens, failure),
            self.with_square_brackets(tokens, failure),
            self.without_question(tokens, failure),
            self.with_new_name(tokens, failure),
            self.with_other_word(tokens, failure),
            self.with_missing(tokens, failure, ";", Token::Semi, codes::MISSING_SEMICOLON),
            self.with_missing(tokens, failure, ",", Token::Comma, codes::MISSING_COMMA),
            self.with_missing(tokens, failure, ":", Token::Colon, codes::UNEXPECTED),
            self.with_comparison(tokens, failure),
            self.without_change(tokens, failure),
            self.with_other_sign(tokens, failure),
            self.with_word_as_name(tokens, failure),
        ];
        // How far it came, counted from the end, since remedies change the number of tokens in front.
        let left = tokens.len() - failure.at;
        for (next, diagnostic) in remedies.into_iter().flatten() {
            let result = self.read(&next);
            let further = match &result {
                Ok(_) => true,
                Err(failure) => next.len() - failure.at < left,
            };
            if further {
                self.report(tokens, failure.at, diagnostic);
                return Some((next, result));
            }
        }
        None
    }

    fn without_doc_comments(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let is_doc = |token: &&Spanned| token.token == Token::Doc;
        let from = failure.at - tokens[..failure.at].iter().rev().take_while(is_doc).count();
        let to = failure.at + tokens[failure.at..].iter().take_while(is_doc).count();
        let (first, last) = (*tokens[from..to].first()?, *tokens[from..to].last()?);
        let next = [&tokens[..from], &tokens[to..]].concat();
        let place = self.span(first).to(self.span(last));
        let behind_attribute = from > 0 && tokens[from - 1].token == Token::RBracket;
        let diagnostic = if behind_attribute && failure.expected.has("#") {
            Diagnostic::error(codes::STRAY_DOC_COMMENT, "a doc comment stands in front of the attributes")
                .label(place, "behind an attribute")
                .help("move it above the `#[…]`")
        } else {
            stray_doc_comment(place)
        };
        Some((next, diagnostic))
    }

    /// Where a whole declaration has been read, leaves out what stands behind it.
    fn without_rest(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let token = *tokens.get(failure.at)?;
        if failure.at == 0 || !failure.expected.is_empty() {
            return None;
        }
        let place = self.span(token);
        let diagnostic = if token.token == Token::Semi {
            Diagnostic::error(codes::UNEXPECTED, "this `;` ends nothing")
                .label(place, "the declaration has already ended")
                .suggest(place, "", "remove it")
        } else {
            self.unexpected(tokens, failure)
        };
        Some((tokens[..failure.at].to_vec(), diagnostic))
    }

    /// Puts in `sign`.
    fn with_missing(
        &self,
        tokens: &[Spanned],
        failure: &Failure,
        sign: &str,
        token: Token,
        code: Code,
    ) -> Option<Remedy> {
        let before = *tokens.get(failure.at.checked_sub(1)?)?;
        if !failure.expected.has(sign) {
            return None;
        }
        let behind = self.span(before).at_end();
        let diagnostic = Diagnostic::error(code, format!("a `{sign}` is missing"))
            .label(behind, format!("expected `{sign}` here"))
            .suggest(behind, sign, format!("add `{sign}`"));
        Some((put_in(tokens, failure.at, &[token]), diagnostic))
    }

    fn with_comparison(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let token = *tokens.get(failure.at).filter(|token| token.token == Token::Assign)?;
        if !failure.expected.has("==") {
            return None;
        }
        let diagnostic = Diagnostic::error(codes::ASSIGNMENT, "`=` is no comparison")
            .label(self.span(token), "compares nothing and changes nothing here")
            .suggest(self.span(token), "==", "write `==` to compare")
            .note("state is changed by `update` and by the operations of its type");
        let mut next = tokens.to_vec();
        next[failure.at].token = Token::Eq;
        Some((next, diagnostic))
    }

    /// Takes one sign for another that is easily mistaken for it.
    fn with_other_sign(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let token = *tokens.get(failure.at)?;
        let (_, sign, meant) =
            SIGNS.iter().find(|(written, sign, _)| *written == token.token && failure.expected.has(sign))?;
        let found = self.source(token);
        let diagnostic = Diagnostic::error(codes::UNEXPECTED, format!("expected `{sign}`, found `{found}`"))
            .label(self.span(token), "not expected here")
            .suggest(self.span(token), *sign, format!("write `{sign}`"));
        let mut next = tokens.to_vec();
        next[failure.at].token = *meant;
        Some((next, diagnostic))
    }

    /// Takes a word of another language for Oko's.
    fn with_other_word(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let here = failure.at.checked_sub(1).into_iter().chain([failure.at]);
        let mut candidates = here.filter_map(|at| Some((at, *tokens.get(at)?))).filter_map(|(at, token)| {
            let source = self.source(token);
            let word =
                WORDS.iter().find(|word| word.others.contains(&source) && token.token == Token::Ident)?;
            Some((at, token, word))
        });
        let (at, token, word) = candidates.next()?;
        let (found, oko) = (self.source(token), word.oko);
        let diagnostic =
            Diagnostic::error(codes::OTHER_SPELLING, format!("Oko writes `{oko}`, not `{found}`"))
                .label(self.span(token), format!("this is `{oko}` in Oko"))
                .suggest(self.span(token), oko, format!("write `{oko}`"));
        let meant: Vec<_> = word.tokens.iter().map(|&meant| Spanned { token: meant, ..token }).collect();
        Some(([&tokens[..at], &meant, &tokens[at + 1..]].concat(), diagnostic))
    }

    /// Takes a word of the language for a name, where only a name can stand.
    fn with_word_as_name(&self, tokens: &[Spanned], failure: &Failure) -> Option<Remedy> {
        let token = *tokens.get(failure.at)?;
        let word = self.source(token);
        let is_word = word.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !is_word || token.token == Token::Ident || !failure.expected.is_name() || is_literal(token.token) {
            return None;
        }
        let diagnostic =
            Diagnostic::error(codes::RESERVED_WORD, format!("`{word}` is a word of the language"))
                .label(self.span(token), "cannot be a name")
                .suggest(
                    self.span(token),
                    format!("{word}_"),
                    format!("choose another name, such as `{word}_`"),
                );
        let mut next = tokens.to_vec();
        next[failure.at].token = Token::Ident;
        Some((next, diagnostic))
    }
}

fn is_literal(token: Token) -> bool {
    use Token::*;
    matches!(token, Malformed | Int(_) | Str | Percent(_) | Duration(_) | Rate(_) | Ip4(_) | Ip6(_) | Mac(_))
}
