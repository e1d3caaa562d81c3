//! The tokens of the text form.

use std::borrow::Cow;
use std::fmt;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Letters, digits, `_` and `.`: keywords, references, numbers and plain names.
    Word(&'a str),
    /// A quoted string without its quotes and escapes.
    String(Cow<'a, str>),
    /// One of `(){}[],:=@`.
    Punct(char),
    /// `->`
    Arrow,
    /// The text is over.
    End,
    /// What no token starts with, or a string that is wrong: what it is, for the message.
    Bad(Cow<'static, str>),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Long words are cut: a message should not carry what a stranger put into megabytes.
            Token::Word(word) if word.len() > 40 => write!(f, "`{}...`", &word[..40]),
            Token::Word(word) => write!(f, "`{word}`"),
            Token::String(_) => f.write_str("a string"),
            Token::Punct(c) => write!(f, "`{c}`"),
            Token::Arrow => f.write_str("`->`"),
            Token::End => f.write_str("the end"),
            Token::Bad(what) => f.write_str(what),
        }
    }
}

/// Whether a name needs no quotes.
pub(super) fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_word_byte)
}

fn is_word_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'.'
}

/// A place in the text, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// Cuts a text into tokens, one at a time.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lexer { rest: text, at: Position { line: 1, column: 1 } }
    }

    /// The next token and where it starts.
    pub(super) fn next(&mut self) -> (Token<'a>, Position) {
        self.skip_blanks();
        let position = self.at;
        let Some(c) = self.rest.chars().next() else { return (Token::End, position) };
        let token = match c {
            '(' | ')' | '{' | '}' | '[' | ']' | ',' | ':' | '=' | '@' => {
                self.take(1);
                Token::Punct(c)
            }
            '-' if self.rest.starts_with("->") => {
                self.take(2);
                Token::Arrow
            }
            '"' => self.string(),
            c if c.is_ascii() && is_word_byte(c as u8) => {
                let len = self.rest.bytes().take_while(|&c| is_word_byte(c)).count();
                Token::Word(self.take(len))
            }
            c => {
                self.take(c.len_utf8());
                Token::Bad(format!("{c:?}").into())
            }
        };
        (token, position)
    }

    /// Takes `len` bytes of one line. Columns are counted along, so that a long line costs no more than a short one.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        let chars = u32::try_from(taken.chars().count()).unwrap_or(u32::MAX);
        self.at.column = self.at.column.saturating_add(chars);
        taken
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.rest.as_bytes().first() {
                Some(b'\n') => {
                    self.rest = &self.rest[1..];
                    self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
                }
                Some(b' ' | b'\t' | b'\r') => {
                    self.take(1);
                }
                Some(b';') => self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..],
                _ => return,
            }
        }
    }

    /// A string ends on its line; inside, `\"`, `\\` and `\u{hex}` stand for characters.
    fn string(&mut self) -> Token<'a> {
        let body = &self.rest[1..];
        let mut text = Cow::Borrowed("");
        let mut at = 0;
        loop {
            let run = body[at..].find(['"', '\\', '\n']).map_or(body.len(), |len| at + len);
            if at == 0 {
                text = Cow::Borrowed(&body[..run]);
            } else {
                text.to_mut().push_str(&body[at..run]);
            }
            at = run;
            let after = &body[at..];
            if after.starts_with('"') {
                self.take(at + 2);
                return Token::String(text);
            }
            let Some((c, len)) = escape(after) else {
                self.take(at + 1);
                let closed = after.starts_with('\\');
                return Token::Bad(if closed { "an unknown escape" } else { "a string without end" }.into());
            };
            text.to_mut().push(c);
            at += len;
        }
    }
}

/// The character that an escape stands for, and how long the escape is.
fn escape(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('\\')?;
    match body.chars().next()? {
        c @ ('"' | '\\') => Some((c, 2)),
        'u' => {
            let hex = body.strip_prefix("u{")?;
            let len = hex.find('}').filter(|len| (1..=6).contains(len))?;
            let code = u32::from_str_radix(&hex[..len], 16).ok()?;
            Some((char::from_u32(code)?, len + 4))
        }
        _ => None,
    }
}

/// Writes a name or file as the reader wants it: bare if it can be, else quoted.
pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in name.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            // Line ends and the like would be lost or end the string.
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
