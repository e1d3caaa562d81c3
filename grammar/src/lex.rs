//! Splits a text into tokens. Every byte that is part of no token is reported, and the rest is read as if it were not
//! there; words and signs of other languages are reported and read as what they mean in Oko.

use logos::Logos;
use oko_diagnostics::{Diagnostic, FileId, Span, codes::lex as codes, codes::syntax};

use crate::ast::Doc;
use crate::literal::{LexError, Number};
use crate::token::{CommentKind, Spanned, Token};

/// The tokens of a file.
#[derive(Debug)]
pub(crate) struct Lexed {
    /// All tokens but comments; [`Token::Doc`] is the only comment among them.
    pub(crate) tokens: Vec<Spanned>,
    /// The `//!` lines at the top.
    pub(crate) docs: Option<Doc>,
    /// Byte ranges of characters that are part of no token, with the space behind them.
    pub(crate) unknown: Vec<(u32, u32)>,
    /// The rest of the text is a comment without its end, so brackets that are open here may be closed in it.
    pub(crate) cut_off: bool,
}

/// Splits `text`. It is at most `u32::MAX` bytes long.
pub(crate) fn lex(file: FileId, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Lexed {
    let tokens = Vec::with_capacity(text.len() / 4);
    let mut lexed = Lexed { tokens, docs: None, unknown: Vec::new(), cut_off: false };
    let mut unknown: Option<Span> = None;
    let mut line_end_behind = 0;
    let mut comment_end: Option<usize> = None;
    for (token, range) in Token::lexer(text).spanned() {
        let span = Span::new(file, range.start as u32, range.end as u32);
        if let Some(run) = unknown
            && (token != Err(LexError::Unknown) || span.start != run.end)
        {
            diagnostics.push(unknown_character(text, run));
            lexed.unknown.push((run.start, span.start));
            unknown = None;
        }
        let token = match token {
            Ok(Token::Comment(CommentKind::Plain)) => continue,
            Ok(Token::Comment(CommentKind::FileDoc)) => {
                if lexed.tokens.is_empty() {
                    add_file_doc(&mut lexed.docs, &text[range], span);
                } else {
                    diagnostics.push(stray_file_doc(span));
                }
                continue;
            }
            Ok(Token::ForeignComment) => {
                // One for all lines of a comment.
                if !text[comment_end.unwrap_or(0)..range.start].trim().is_empty() || comment_end.is_none() {
                    diagnostics.push(foreign_comment(span));
                }
                comment_end = Some(range.end);
                continue;
            }
            Ok(Token::Comment(CommentKind::Doc)) => Token::Doc,
            Ok(Token::Number(Number::Int(value))) => Token::Int(value),
            Ok(Token::Number(Number::Duration(ns))) => Token::Duration(ns),
            Ok(Token::Number(Number::Rate(value, unit))) => Token::Rate((value, unit)),
            Ok(Token::ForeignNot)
                if text[range.end..].starts_with('(')
                    && lexed.tokens.last().is_some_and(|before| {
                        before.end == span.start && matches!(before.token, Token::Ident | Token::Expect)
                    }) =>
            {
                diagnostics.push(
                    Diagnostic::error(syntax::OTHER_SPELLING, "there are no macros")
                        .label(span, "means nothing here")
                        .suggest(span, "", "remove it"),
                );
                continue;
            }
            Ok(token) => match foreign(token) {
                Some((meant, word)) => {
                    diagnostics.push(foreign_sign(&text[range], word, span));
                    meant
                }
                None => token,
            },
            Err(error @ LexError::OpenComment) => {
                diagnostics.push(bad_literal(error, &text[range], span));
                lexed.unknown.push((line_end_behind, span.end));
                lexed.cut_off = true;
                continue;
            }
            Err(LexError::Unknown) => {
                unknown = Some(unknown.map_or(span, |run| run.to(span)));
                continue;
            }
            Err(error) => {
                diagnostics.push(bad_literal(error, &text[range], span));
                Token::Malformed
            }
        };
        let first_on_line =
            text[line_end_behind as usize..span.start as usize].contains('\n') || lexed.tokens.is_empty();
        if token == Token::Doc && !first_on_line {
            diagnostics.push(trailing_doc(span));
            continue;
        }
        line_end_behind = span.end;
        lexed.tokens.push(Spanned { token, start: span.start, end: span.end, first_on_line });
    }
    diagnostics.extend(unknown.map(|run| unknown_character(text, run)));
    lexed
}

/// What a sign of another language means here: the token and how it is written.
fn foreign(token: Token) -> Option<(Token, &'static str)> {
    match token {
        Token::ForeignAnd => Some((Token::And, "and")),
        Token::ForeignOr => Some((Token::Or, "or")),
        Token::ForeignNot => Some((Token::Not, "not")),
        Token::ForeignMod => Some((Token::Mod, "mod")),
        _ => None,
    }
}

/// The text of a doc comment without its strokes and one space.
pub(crate) fn doc_text(comment: &str) -> &str {
    let text = comment.trim_start_matches('/').trim_start_matches('!').trim_end();
    text.strip_prefix(' ').unwrap_or(text)
}

fn add_file_doc(docs: &mut Option<Doc>, comment: &str, span: Span) {
    let line = doc_text(comment);
    match docs {
        Some(doc) => {
            doc.text.push('\n');
            doc.text.push_str(line);
            doc.span = doc.span.to(span);
        }
        None => *docs = Some(Doc { text: line.to_owned(), span }),
    }
}

fn stray_file_doc(span: Span) -> Diagnostic {
    Diagnostic::error(syntax::STRAY_DOC_COMMENT, "`//!` describes the file and stands at its top")
        .label(span, "below the first declaration")
        .help("write `///` for the declaration that follows, `//` for an ordinary comment")
}

fn trailing_doc(span: Span) -> Diagnostic {
    Diagnostic::error(syntax::STRAY_DOC_COMMENT, "a doc comment stands on a line before what it describes")
        .label(span, "behind something")
        .help("move it to a line of its own, or write `//` for an ordinary comment")
}

fn foreign_sign(sign: &str, word: &str, span: Span) -> Diagnostic {
    let replacement = if sign == "!" { format!("{word} ") } else { word.to_owned() };
    Diagnostic::error(syntax::OTHER_SPELLING, format!("Oko writes `{word}`, not `{sign}`"))
        .label(span, format!("this is `{word}` in Oko"))
        .suggest(span, replacement, format!("write `{word}`"))
}

fn foreign_comment(span: Span) -> Diagnostic {
    Diagnostic::error(syntax::OTHER_SPELLING, "comments begin with `//`")
        .label(span, "no comment in Oko")
        .help("write `//` in front of each of its lines, or `///` to describe the declaration that follows")
}

fn open_comment(span: Span) -> Diagnostic {
    let sign = Span { end: span.start + 2, ..span };
    Diagnostic::error(syntax::OTHER_SPELLING, "this comment is not closed, and comments begin with `//`")
        .label(sign, "no `*/` follows, so the rest of the file is not read")
        .help("write `//` in front of each of its lines")
}

fn unknown_character(text: &str, span: Span) -> Diagnostic {
    let run = &text[span.range()];
    let show = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    let shown: String = run.chars().take(8).map(show).collect();
    let (what, label) = if run.chars().nth(1).is_some() {
        (format!("`{shown}` are no characters of an Oko program"), "none of these can stand here")
    } else {
        (format!("`{shown}` is no character of an Oko program"), "this cannot stand here")
    };
    let diagnostic = Diagnostic::error(codes::UNKNOWN_CHARACTER, what).label(span, label);
    match run {
        "“" | "”" | "„" => diagnostic.suggest(span, "\"", "use the straight quote `\"`"),
        "–" | "—" | "−" => diagnostic.suggest(span, "-", "use `-`"),
        "≤" => diagnostic.suggest(span, "<=", "use `<=`"),
        "≥" => diagnostic.suggest(span, ">=", "use `>=`"),
        "≠" => diagnostic.suggest(span, "!=", "use `!=`"),
        "$" | "@" => diagnostic.suggest(span, "", "remove it: names have no sign in front"),
        _ => diagnostic,
    }
}

fn bad_literal(error: LexError, text: &str, span: Span) -> Diagnostic {
    match error {
        LexError::Unknown => unknown_character(text, span),
        LexError::OpenString => Diagnostic::error(codes::OPEN_STRING, "this string has no closing `\"`")
            .label(span, "runs to the end of its line")
            .help("close it with `\"`; a string stands on one line"),
        LexError::OpenComment => open_comment(span),
        LexError::SingleQuotes => {
            let inner = text.trim_matches('\'').replace('"', "\\\"");
            Diagnostic::error(codes::UNKNOWN_CHARACTER, "strings stand in double quotes")
                .label(span, "in single quotes")
                .suggest(span, format!("\"{inner}\""), format!("write `\"{inner}\"`"))
        }
        LexError::Escape(at) => {
            let from = span.start + at;
            let width = text[at as usize + 1..].chars().next().map_or(0, |c| c.len_utf8() as u32);
            let escape = Span::new(span.file, from, from + 1 + width);
            let shown: String = text[at as usize..].chars().take(2).collect();
            Diagnostic::error(codes::BAD_ESCAPE, format!("`{shown}` stands for no character"))
                .label(escape, "unknown escape")
                .help("a string may hold `\\\\`, `\\\"`, `\\n` and `\\t`; write `\\\\` for a backslash")
        }
        LexError::Unit => {
            let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
            let unit = &text[digits..];
            let diagnostic = Diagnostic::error(codes::BAD_NUMBER, format!("`{unit}` is no unit of a number"))
                .label(Span { start: span.start + digits as u32, ..span }, "not a unit");
            match intended_unit(unit) {
                Some(right) => diagnostic.suggest(
                    span,
                    format!("{}{right}", &text[..digits]),
                    format!("write `{}{right}`", &text[..digits]),
                ),
                None => diagnostic.help(UNITS),
            }
        }
        LexError::Hex => Diagnostic::error(codes::BAD_NUMBER, format!("`{text}` is no hexadecimal number"))
            .label(span, "`0x` is followed by digits and the letters `a` to `f`"),
        LexError::Fraction => Diagnostic::error(codes::BAD_NUMBER, "Oko has no fractions")
            .label(span, "a whole number is needed")
            .help("choose a smaller unit, such as `1_500ms` for one and a half seconds; only percentages have a point"),
        LexError::PercentPlaces => Diagnostic::error(codes::BAD_NUMBER, "too many digits behind the point")
            .label(span, "a percentage has at most four"),
        LexError::TooLarge => Diagnostic::error(codes::NUMBER_TOO_LARGE, "this number is too large")
            .label(span, "does not fit")
            .help("numbers have at most 128 bits; a duration is below 2^64 ns, a rate below 2^64 a second"),
        LexError::Ip4 => Diagnostic::error(codes::BAD_ADDRESS, format!("`{text}` is no IPv4 address"))
            .label(span, "an IPv4 address has four parts from 0 to 255"),
        LexError::Ip6 => Diagnostic::error(codes::BAD_ADDRESS, format!("`{text}` is no IPv6 address"))
            .label(span, "an IPv6 address has eight parts of up to four digits, or `::` for parts left out"),
        LexError::PrefixLength(most) => {
            let slash = text.find('/').unwrap_or(0) as u32;
            Diagnostic::error(codes::BAD_ADDRESS, "this prefix is longer than its address")
                .label(Span { start: span.start + slash, ..span }, format!("at most /{most}"))
                .help(format!("an address of this kind has {most} bits: the number says how many of them count"))
        }
        LexError::HostBits => host_bits(text, span),
    }
}

fn host_bits(text: &str, span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error(codes::HOST_BITS, "this prefix has bits beyond its length")
        .label(span, "the bits that the prefix does not cover must be zero");
    match network(text) {
        Some(network) => diagnostic.suggest(span, network.clone(), format!("the network is `{network}`")),
        None => diagnostic,
    }
}

/// The prefix with its host bits cleared.
fn network(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let bits: u32 = length.parse().ok()?;
    let network: std::net::IpAddr = match address.parse().ok()? {
        std::net::IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(bits)?).unwrap_or(0);
            std::net::Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        std::net::IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(bits)?).unwrap_or(0);
            std::net::Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    };
    Some(format!("{network}/{bits}"))
}

const UNITS: &str = "units are ns, us, ms, s, min, h for time; pps and bps with k, M or G in front for rates; Ki, Mi, Gi for \
                     sizes";

/// The unit that was probably meant.
fn intended_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "sec" | "secs" | "second" | "seconds" | "S" => "s",
        "m" | "mins" | "minute" | "minutes" => "min",
        "hour" | "hours" | "hr" | "H" => "h",
        "msec" | "millis" => "ms",
        "usec" | "micros" => "us",
        "nsec" | "nanos" => "ns",
        "k" | "K" | "KiB" | "kiB" => "Ki",
        "M" | "MiB" => "Mi",
        "G" | "GiB" => "Gi",
        "Kbps" | "kbit" => "kbps",
        "mbps" | "Mbit" => "Mbps",
        "gbps" | "Gbit" => "Gbps",
        "Kpps" => "kpps",
        "mpps" => "Mpps",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let mut diagnostics = Vec::new();
        let lexed = lex(FileId(0), text, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        lexed.tokens.into_iter().map(|spanned| spanned.token).collect()
    }

    #[test]
    fn literals_that_share_characters_are_told_apart() {
        use Token::*;
        let ip6 = |addr| Ip6((addr, Option::None));
        let cases: [(&str, &[Token]); 14] = [
            ("x[0:16]", &[Ident, LBracket, Int(0), Colon, Int(16), RBracket]),
            ("x[a:b]", &[Ident, LBracket, Ident, Colon, Ident, RBracket]),
            ("f(flags: SYN)", &[Ident, LParen, Ident, Colon, Ident, RParen]),
            ("02:00:00:00:00:01", &[Mac([2, 0, 0, 0, 0, 1])]),
            ("fe80::1", &[ip6((0xfe80 << 112) | 1)]),
            ("::", &[ip6(0)]),
            ("1:2:3:4:5:6:7:8", &[ip6(0x0001_0002_0003_0004_0005_0006_0007_0008)]),
            ("0..=5", &[Int(0), DotDotEq, Int(5)]),
            ("0..5", &[Int(0), DotDot, Int(5)]),
            ("10.0.0.1 / 8", &[Ip4((0x0a00_0001, Option::None)), Slash, Int(8)]),
            ("a+|b +%c", &[Ident, AddSat, Ident, AddWrap, Ident]),
            ("_ _a", &[Underscore, Ident]),
            (
                "1pps..=10_000_000pps",
                &[
                    Rate((1, crate::ast::RateUnit::Packets)),
                    DotDotEq,
                    Rate((10_000_000, crate::ast::RateUnit::Packets)),
                ],
            ),
            ("/// doc\n//// none\n// none\nab", &[Doc, Ident]),
        ];
        for (text, expected) in cases {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_token_is_reported_once_a_run_and_skipped() {
        let mut diagnostics = Vec::new();
        let lexed = lex(FileId(0), "a €€ b \\ c", &mut diagnostics);
        assert_eq!(lexed.tokens.len(), 3);
        let places: Vec<_> =
            diagnostics.iter().filter_map(Diagnostic::span).map(|s| (s.start, s.end)).collect();
        assert_eq!(places, [(2, 8), (11, 12)]);
    }
}
