//! Tokens with the comments around them, and the tree of their brackets.

use logos::Logos;

use crate::token::{CommentKind, Token};

/// A token and what stands around it. The last one of a file is no token: it holds the comments at the end.
#[derive(Clone, Debug)]
pub(super) struct Tok<'t> {
    pub(super) token: Token,
    pub(super) text: &'t str,
    /// The comments on lines of their own in front of it, documentation among them.
    pub(super) above: Vec<Comment<'t>>,
    /// How many line breaks lie between it and what is before it.
    pub(super) breaks: usize,
    /// The comment behind it on its line.
    pub(super) behind: Option<&'t str>,
}

/// A comment.
#[derive(Clone, Debug)]
pub(super) struct Comment<'t> {
    pub(super) text: &'t str,
    /// How many line breaks lie between it and what is before it.
    pub(super) breaks: usize,
}

/// A token, or a pair of brackets with all between them; by index.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Token(usize),
    Group { open: usize, inner: Vec<Node>, close: usize },
}

impl Node {
    /// The first of its tokens.
    pub(super) fn first(&self) -> usize {
        match self {
            Node::Token(at) => *at,
            Node::Group { open, .. } => *open,
        }
    }

    /// The last of its tokens.
    pub(super) fn last(&self) -> usize {
        match self {
            Node::Token(at) => *at,
            Node::Group { close, .. } => *close,
        }
    }
}

/// The tokens of a text that can be read.
pub(super) fn tokens(text: &str) -> Vec<Tok<'_>> {
    let mut tokens: Vec<Tok<'_>> = Vec::new();
    let mut above: Vec<Comment<'_>> = Vec::new();
    let mut end = 0;
    for (token, range) in Token::lexer(text).spanned() {
        let breaks = text[end..range.start].matches('\n').count();
        end = range.end;
        let own = text[range.clone()].trim_end();
        let Ok(token) = token else { continue };
        match token {
            Token::Comment(CommentKind::Plain)
                if breaks == 0
                    && above.is_empty()
                    && tokens.last().is_some_and(|last| last.behind.is_none()) =>
            {
                if let Some(last) = tokens.last_mut() {
                    last.behind = Some(own);
                }
            }
            Token::Comment(_) | Token::Doc => above.push(Comment { text: own, breaks }),
            // They stand behind what they end, comments behind them: also where the author begins lines with commas.
            Token::Comma | Token::Semi => {
                let behind = tokens.last_mut().and_then(|last| last.behind.take());
                tokens.push(Tok { token, text: own, above: Vec::new(), breaks, behind });
            }
            _ => {
                tokens.push(Tok {
                    token,
                    text: own,
                    above: std::mem::take(&mut above),
                    breaks,
                    behind: None,
                });
            }
        }
    }
    tokens.push(Tok { token: Token::Removed, text: "", above, breaks: 1, behind: None });
    tokens
}

/// The tree of the brackets, without the last token.
pub(super) fn nodes(tokens: &[Tok<'_>]) -> Vec<Node> {
    let mut open: Vec<(usize, Vec<Node>)> = Vec::new();
    let mut nodes = Vec::new();
    for (at, tok) in tokens.iter().enumerate().take(tokens.len().saturating_sub(1)) {
        if tok.token.closer().is_some() {
            open.push((at, std::mem::take(&mut nodes)));
        } else if tok.token.is_closer()
            && let Some((start, outer)) = open.pop()
        {
            let inner = std::mem::replace(&mut nodes, outer);
            nodes.push(Node::Group { open: start, inner, close: at });
        } else {
            nodes.push(Node::Token(at));
        }
    }
    // A text that can be read has its brackets in pairs.
    while let Some((start, outer)) = open.pop() {
        let inner = std::mem::replace(&mut nodes, outer);
        nodes.push(Node::Token(start));
        nodes.extend(inner);
    }
    nodes
}

/// What the braces of a group hold, which says where its lines end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Elements with commas between them.
    List,
    /// Statements.
    Block,
    /// Arms of a `match`.
    Arms,
    /// Declarations: the file itself.
    Items,
}

/// Splits what a group holds into its elements; separators are with the element in front.
pub(super) fn elements<'n>(tokens: &[Tok<'_>], nodes: &'n [Node], kind: Kind) -> Vec<&'n [Node]> {
    let mut found = Vec::new();
    let mut start = 0;
    let token = |at: usize| match nodes.get(at) {
        Some(Node::Token(index)) => Some(tokens[*index].token),
        Some(Node::Group { open, .. }) => Some(tokens[*open].token),
        None => None,
    };
    let mut arrow = false;
    for at in 0..nodes.len() {
        let here = token(at);
        let next = token(at + 1);
        let brace = matches!(nodes[at], Node::Group { .. }) && here == Some(Token::LBrace);
        let ends = match kind {
            Kind::List => here == Some(Token::Comma),
            Kind::Items => {
                here == Some(Token::Semi)
                    || brace
                        && !matches!(next, Some(Token::Semi | Token::Next | Token::Limit | Token::LBrace))
            }
            Kind::Block => {
                let begins =
                    matches!(token(start), Some(Token::If | Token::Match | Token::For | Token::LBrace));
                here == Some(Token::Semi)
                    || brace && begins && !matches!(next, Some(Token::Else | Token::Semi))
            }
            Kind::Arms => {
                let block = arrow.then(|| token_behind_arrow(tokens, &nodes[start..])).flatten();
                let begins = matches!(block, Some(Token::If | Token::Match | Token::For | Token::LBrace));
                here == Some(Token::Comma)
                    || brace && begins && !matches!(next, Some(Token::Else | Token::Comma))
            }
        };
        arrow |= here == Some(Token::Arrow);
        if ends {
            found.push(&nodes[start..=at]);
            start = at + 1;
            arrow = false;
        }
    }
    if start < nodes.len() {
        found.push(&nodes[start..]);
    }
    found
}

/// The token that an arm's value begins with.
fn token_behind_arrow(tokens: &[Tok<'_>], nodes: &[Node]) -> Option<Token> {
    let is_arrow = |node: &Node| matches!(node, Node::Token(at) if tokens[*at].token == Token::Arrow);
    let arrow = nodes.iter().position(is_arrow)?;
    nodes.get(arrow + 1).map(|node| tokens[node.first()].token)
}
