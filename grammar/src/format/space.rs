//! Where a space stands between two tokens of a line.

use crate::token::Token;

/// What the space in front of a token depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    /// The token in front; `None` at the start of a bracket's content.
    pub(super) before: Option<Token>,
    /// The one in front of that, within the same brackets.
    pub(super) earlier: Option<Token>,
    /// The token itself.
    pub(super) token: Token,
    /// The bracket around them.
    pub(super) within: Option<Token>,
    /// Whether `before` is an operator in front of its only operand.
    pub(super) unary: bool,
    /// Whether `before` opens, or `token` closes, the name of an old value: `|old|`.
    pub(super) old: Old,
}

/// Places around the name of an old value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Old {
    /// Elsewhere.
    No,
    /// Behind the first `|`.
    Inside,
    /// The second `|`.
    Close,
}

/// Whether a token that is an operator between two operands stands in front of its only one here.
pub(super) fn is_unary(token: Token, before: Option<Token>) -> bool {
    match token {
        Token::Tilde => true,
        Token::Minus => match before {
            None => true,
            Some(before) => !ends_operand(before),
        },
        _ => false,
    }
}

/// Whether a value can end with this token. Closing brackets are told by the opening one.
fn ends_operand(token: Token) -> bool {
    use Token::*;
    matches!(
        token,
        Ident
            | Int(_)
            | Str
            | Percent(_)
            | Duration(_)
            | Rate(_)
            | Number(_)
            | Ip4(_)
            | Ip6(_)
            | Mac(_)
            | None
            | True
            | False
            | LParen
            | LBracket
            | LBrace
            | RParen
            | RBracket
            | RBrace
            | Question
    ) || token.is_word_of_items()
        || matches!(token, Emitted | Replay)
}

/// Whether a space stands in front of `token`.
pub(super) fn space(at: Between) -> bool {
    use Token::*;
    let Between { before, earlier, token, within, unary, old } = at;
    let Some(before) = before else { return false };
    if old == Old::Inside || old == Old::Close {
        return false;
    }
    match token {
        Comma | Semi | Dot | Question | DotDot | DotDotEq => return false,
        Colon => return false,
        _ => {}
    }
    match before {
        Dot | DotDot | DotDotEq | Hash => return false,
        Colon if within == Some(LBracket) => return false,
        _ if unary => return false,
        _ => {}
    }
    match token {
        // Calls, entries and types with parts; behind words that are no names, brackets begin something.
        LParen | LBracket => {
            let named = match before {
                Ident | RParen | RBracket | LParen | LBracket | Question => true,
                By => earlier != Some(Next),
                Emitted | Replay | Test => true,
                With => earlier == Some(Dot),
                word => word.is_word_of_items(),
            };
            !named
        }
        _ => true,
    }
}
