//! Tokens, and how the text is split into them.
//!
//! Tokens are small copies without text: a name's or string's text is read from the source by its span. Literals are
//! read here, so that a malformed one is found where it stands; [`Token::Malformed`] then takes its place and lexing
//! goes on.

use logos::{Lexer, Logos};

use crate::ast::RateUnit;
use crate::literal::{self, LexError};

/// A place in the tokens that the grammar reads: the byte, and which token it belongs to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Loc {
    /// Offset in the file.
    pub(crate) byte: u32,
    /// Index in the tokens given to the grammar.
    pub(crate) index: u32,
}

/// A MAC address in wire order.
pub(crate) type MacBytes = [u8; 6];

/// A token.
#[derive(Logos, Clone, Copy, PartialEq, Debug)]
#[logos(error = LexError)]
#[logos(skip r"[ \t\r\n\f]+")]
pub(crate) enum Token {
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*", priority = 1)]
    Ident,
    /// `/// text`; four strokes are an ordinary comment.
    Doc,
    #[regex(r"//[^\n]*", comment, allow_greedy = true)]
    Comment(CommentKind),
    /// A comment as other languages have it: `# text`, `/* text */`.
    #[regex(r"#[ \t]*[^\[ \t\r\n][^\n]*", allow_greedy = true)]
    #[token("/*", block_comment)]
    ForeignComment,
    /// In place of a literal that has been reported.
    Malformed,
    /// In place of tokens that were cut out after an error in them.
    Removed,

    /// Any number without a point, until its unit has said which of the following it is.
    #[regex(r"[0-9][0-9A-Za-z_]*", |lex| literal::number(lex.slice()))]
    Number(literal::Number),
    Int(u128),
    #[regex(r#""([^"\\\n]|\\[^\n])*""#, |lex| literal::check_string(lex.slice()))]
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#, open_string)]
    #[regex(r"'[^'\n]*'", single_quotes)]
    Str,
    #[regex(r"[0-9][0-9_]*(\.[0-9]+)?%", |lex| literal::percent(lex.slice()))]
    Percent(u64),
    Duration(u64),
    Rate((u64, RateUnit)),
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9A-Za-z_]*)+(/[0-9]+)?", |lex| literal::ip4(lex.slice()))]
    Ip4((u32, Option<u8>)),
    #[regex(r"[0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4}){7}(/[0-9]+)?", |lex| literal::ip6(lex.slice()))]
    #[regex(
        r"([0-9a-fA-F]+(:[0-9a-fA-F]+){0,8})?::([0-9a-fA-F]+(:[0-9a-fA-F]+)*)?((:|::)?[0-9]+(\.[0-9]+){3})?(/[0-9]+)?",
        |lex| literal::ip6(lex.slice())
    )]
    Ip6((u128, Option<u8>)),
    #[regex(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", |lex| literal::mac(lex.slice()))]
    Mac(MacBytes),

    #[token("use")]
    Use,
    #[token("const")]
    Const,
    #[token("param")]
    Param,
    #[token("type")]
    Type,
    #[token("enum")]
    Enum,
    #[token("bits")]
    Bits,
    #[token("struct")]
    Struct,
    #[token("header")]
    Header,
    #[token("extend")]
    Extend,
    #[token("union")]
    Union,
    #[token("state")]
    State,
    #[token("table")]
    Table,
    #[token("event")]
    Event,
    #[token("fn")]
    Fn,
    #[token("filter")]
    Filter,
    #[token("test")]
    Test,
    #[token("next")]
    Next,
    #[token("by")]
    By,
    #[token("limit")]
    Limit,
    #[token("each")]
    Each,
    #[token("per")]
    Per,
    #[token("with")]
    With,
    #[token("emitted")]
    Emitted,
    #[token("replay")]
    Replay,
    #[token("where")]
    Where,
    #[token("let")]
    Let,
    #[token("return")]
    Return,
    #[token("emit")]
    Emit,
    #[token("if")]
    If,
    #[token("else")]
    Else,
    #[token("match")]
    Match,
    #[token("for")]
    For,
    #[token("in")]
    In,
    #[token("update")]
    Update,
    #[token("has")]
    Has,
    #[token("mod")]
    Mod,
    #[token("and")]
    And,
    #[token("or")]
    Or,
    #[token("not")]
    Not,
    #[token("none")]
    None,
    #[token("true")]
    True,
    #[token("false")]
    False,
    #[token("as")]
    As,
    #[token("expect")]
    Expect,
    #[token("advance")]
    Advance,
    #[token("break")]
    Break,

    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token(",")]
    Comma,
    #[token(";")]
    Semi,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("..=")]
    DotDotEq,
    #[token("=")]
    Assign,
    #[token("=>")]
    Arrow,
    #[token("->")]
    ThinArrow,
    #[token("?")]
    Question,
    #[token("??")]
    Coalesce,
    #[token("#")]
    Hash,
    #[token("_")]
    Underscore,
    #[token("==")]
    Eq,
    #[token("!=")]
    Ne,
    #[token("<")]
    Lt,
    #[token("<=")]
    Le,
    #[token(">")]
    Gt,
    #[token(">=")]
    Ge,
    #[token("|")]
    Pipe,
    #[token("^")]
    Caret,
    #[token("&")]
    Amp,
    #[token("<<")]
    Shl,
    #[token(">>")]
    Shr,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("+|")]
    AddSat,
    #[token("-|")]
    SubSat,
    #[token("+%")]
    AddWrap,
    #[token("-%")]
    SubWrap,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("~")]
    Tilde,

    /// `&&`, which is read as `and`.
    #[token("&&")]
    ForeignAnd,
    /// `||`, which is read as `or`.
    #[token("||")]
    ForeignOr,
    /// `!`, which is read as `not`.
    #[token("!")]
    ForeignNot,
    /// `%`, which is read as `mod`.
    #[token("%")]
    ForeignMod,
}

/// What a `//` begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommentKind {
    /// `// text`
    Plain,
    /// `/// text`
    Doc,
    /// `//! text`
    FileDoc,
}

fn open_string(_: &mut Lexer<'_, Token>) -> Result<(), LexError> {
    Err(LexError::OpenString)
}

/// Takes everything to the `*/`, which is looked for only once: where there is none, the rest of the text is the comment.
fn block_comment(lex: &mut Lexer<'_, Token>) -> Result<(), LexError> {
    let rest = lex.remainder();
    let end = rest.find("*/").map(|at| at + 2);
    lex.bump(end.unwrap_or(rest.len()));
    end.map(|_| ()).ok_or(LexError::OpenComment)
}

fn single_quotes(_: &mut Lexer<'_, Token>) -> Result<(), LexError> {
    Err(LexError::SingleQuotes)
}

fn comment(lex: &mut Lexer<'_, Token>) -> CommentKind {
    let text = lex.slice();
    if text.starts_with("//!") {
        CommentKind::FileDoc
    } else if text.starts_with("///") && !text.starts_with("////") {
        CommentKind::Doc
    } else {
        CommentKind::Plain
    }
}

impl Token {
    /// True for the words that begin a declaration.
    pub(crate) fn begins_item(self) -> bool {
        use Token::*;
        matches!(
            self,
            Use | Const
                | Param
                | Type
                | Enum
                | Bits
                | Struct
                | Header
                | Extend
                | Union
                | State
                | Table
                | Event
                | Fn
                | Filter
                | Test
        )
    }

    /// True for the words that mean something only between declarations' brackets, and are names inside of them.
    pub(crate) fn is_word_of_items(self) -> bool {
        use Token::*;
        matches!(
            self,
            Type | Bits
                | Header
                | Extend
                | Union
                | State
                | Table
                | Event
                | Test
                | Next
                | By
                | Limit
                | Each
                | Per
        )
    }

    /// True for the words that begin a statement; `for` can begin a value, too, but hardly at the start of a line.
    pub(crate) fn begins_statement(self) -> bool {
        use Token::*;
        matches!(self, Let | Return | Emit | Expect | Advance | Break | For)
    }

    /// The bracket that closes this one.
    pub(crate) fn closer(self) -> Option<Token> {
        match self {
            Token::LParen => Some(Token::RParen),
            Token::LBracket => Some(Token::RBracket),
            Token::LBrace => Some(Token::RBrace),
            _ => None,
        }
    }

    /// True for `)`, `]` and `}`.
    pub(crate) fn is_closer(self) -> bool {
        matches!(self, Token::RParen | Token::RBracket | Token::RBrace)
    }
}

/// A token with its place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    /// First byte.
    pub(crate) start: u32,
    /// The byte behind the last.
    pub(crate) end: u32,
    /// No other token stands before it on its line.
    pub(crate) first_on_line: bool,
}
