//! Writes tokens and comments out as lines.

use super::WIDTH;
use super::space::{Between, Old, is_unary, space};
use super::tree::{Kind, Node, Tok, elements};
use crate::token::Token;

/// The program as text.
pub(super) fn print(tokens: &[Tok<'_>], nodes: &[Node]) -> String {
    let mut printer = Printer { tokens, out: String::new(), column: 0, pending: None };
    printer.lines(nodes, Kind::Items, 0, false);
    let last = tokens.last().map(|last| last.above.as_slice()).unwrap_or_default();
    for comment in last {
        printer.line_start(0, comment.breaks > 1);
        printer.write(comment.text);
    }
    printer.comment_behind();
    if !printer.out.is_empty() {
        printer.out.push('\n');
    }
    printer.out
}

struct Printer<'s, 't> {
    tokens: &'s [Tok<'t>],
    out: String,
    /// Letters in the line so far.
    column: usize,
    /// The comment that ends the line.
    pending: Option<&'t str>,
}

/// Where an element is being printed.
#[derive(Clone, Copy)]
struct Place {
    /// How far its lines are indented, in steps.
    indent: usize,
    /// The bracket around it.
    within: Option<Token>,
}

impl<'t> Printer<'_, 't> {
    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn comment_behind(&mut self) {
        if let Some(comment) = self.pending.take() {
            self.out.push_str("  ");
            self.out.push_str(comment);
        }
    }

    /// Begins a new line.
    fn line_start(&mut self, indent: usize, empty_line: bool) {
        self.comment_behind();
        if !self.out.is_empty() {
            self.out.push('\n');
            if empty_line {
                self.out.push('\n');
            }
        }
        self.column = indent * 4;
        self.out.extend(std::iter::repeat_n(' ', indent * 4));
    }

    fn token(&self, node: &Node) -> Token {
        self.tokens[node.first()].token
    }

    /// The elements of a group, each on lines of its own.
    fn lines(&mut self, nodes: &[Node], kind: Kind, indent: usize, nested: bool) {
        let all = elements(self.tokens, nodes, kind);
        let mut several_lines_before = false;
        for (order, element) in all.iter().enumerate() {
            let Some(first) = element.first() else { continue };
            let first = &self.tokens[first.first()];
            let several_lines = kind == Kind::Items && self.has_lines(element);
            let mut breaks = first.above.first().map_or(first.breaks, |comment| comment.breaks);
            if order > 0 && (several_lines || several_lines_before) {
                breaks = 2;
            }
            several_lines_before = several_lines;
            let mut at_start = order == 0;
            for comment in &first.above {
                self.line_start(indent, breaks.max(comment.breaks) > 1 && !at_start);
                self.write(comment.text);
                (breaks, at_start) = (0, false);
            }
            let breaks = if first.above.is_empty() { breaks } else { first.breaks };
            self.line_start(indent, breaks > 1 && !at_start);
            let within = if nested { Some(Token::LBrace) } else { None };
            self.element(element, Place { indent, within });
        }
    }

    /// Whether an element is printed on several lines.
    fn has_lines(&self, element: &[Node]) -> bool {
        element.iter().any(|node| match node {
            // What is said about the file stands above its first item, but is no part of that.
            Node::Token(at) => self.tokens[*at].above.iter().any(|comment| !comment.text.starts_with("//!")),
            Node::Group { open, inner, close } => {
                self.breaks_by_itself(*open, inner, *close, self.kind(element, node)) || self.has_lines(inner)
            }
        }) || self.flat_width(element) > WIDTH
    }

    /// What braces hold, by what stands in front of them in their element.
    fn kind(&self, element: &[Node], group: &Node) -> Kind {
        let Node::Group { open, .. } = group else { return Kind::List };
        if self.tokens[*open].token != Token::LBrace {
            return Kind::List;
        }
        let at = element.iter().position(|node| node.first() == *open).unwrap_or(0);
        let before = &element[..at];
        let has = |token: Token| before.iter().any(|node| self.token(node) == token);
        // The words since the last brace say what this one is.
        let since = before.iter().rposition(|node| self.token(node) == Token::LBrace).map_or(0, |at| at + 1);
        let recent = |token: Token| before[since..].iter().any(|node| self.token(node) == token);
        if recent(Token::Match) {
            return Kind::Arms;
        }
        let Some(last) = before.last() else { return Kind::Block };
        if has(Token::Emit) || has(Token::Emitted) {
            return Kind::List;
        }
        match self.token(last) {
            Token::Arrow
            | Token::Assign
            | Token::Pipe
            | Token::Else
            | Token::Return
            | Token::Comma
            | Token::Colon => return Kind::Block,
            Token::Dot => return Kind::List,
            _ => {}
        }
        if recent(Token::If) || recent(Token::For) || recent(Token::Else) {
            return Kind::Block;
        }
        // Attributes and documentation aside, a declaration begins with its word.
        let mut words = before.iter().map(|node| self.token(node));
        let mut first = words.next();
        while first == Some(Token::Hash) {
            words.next();
            first = words.next();
        }
        match first {
            Some(Token::Fn | Token::Filter | Token::Test | Token::Expect | Token::Advance | Token::Let) => {
                Kind::Block
            }
            _ => Kind::List,
        }
    }

    /// Whether a group's content stands on lines of its own whatever its length.
    fn breaks_by_itself(&self, open: usize, inner: &[Node], close: usize, kind: Kind) -> bool {
        if !self.tokens[close].above.is_empty() || self.tokens[open].behind.is_some() {
            return true;
        }
        let Some(first) = inner.first() else { return false };
        let first = &self.tokens[first.first()];
        if first.breaks > 0 || !first.above.is_empty() {
            return true;
        }
        let own_comment = inner.iter().any(|node| {
            let (first, last) = (&self.tokens[node.first()], &self.tokens[node.last()]);
            !first.above.is_empty() || first.behind.is_some() || last.behind.is_some()
        });
        own_comment
            || match kind {
                Kind::Block => elements(self.tokens, inner, kind).len() > 1,
                Kind::Arms | Kind::Items => true,
                Kind::List => false,
            }
    }

    /// One element. Its first token's comments are printed already.
    fn element(&mut self, nodes: &[Node], place: Place) {
        let mut before: Option<Token> = None;
        let mut earlier: Option<Token> = None;
        let mut unary = false;
        // Of `update place |old| …`: 1 until the first `|`, 2 until the second.
        let mut old = 0;
        let mut deeper = false;
        for (order, node) in nodes.iter().enumerate() {
            let first = &self.tokens[node.first()];
            let token = first.token;
            let mut around = Old::No;
            match (old, token) {
                (_, Token::Update) => old = 1,
                (1, Token::Pipe) => old = 2,
                (2, Token::Pipe) => (old, around) = (0, Old::Close),
                (2, _) => around = Old::Inside,
                _ => {}
            }
            let behind_attribute = order >= 2
                && self.token(&nodes[order - 2]) == Token::Hash
                && matches!(nodes[order - 1], Node::Group { .. });
            if order > 0 {
                let kept =
                    first.breaks > 0 && (begins_line(token) && !is_unary(token, before) && around == Old::No);
                if behind_attribute {
                    for comment in &first.above {
                        self.line_start(place.indent, false);
                        self.write(comment.text);
                    }
                    self.line_start(place.indent, false);
                } else if !first.above.is_empty() || self.pending.is_some() || kept {
                    deeper = true;
                    for comment in &first.above {
                        self.line_start(place.indent + 1, false);
                        self.write(comment.text);
                    }
                    self.line_start(place.indent + 1, false);
                } else if space(Between { before, earlier, token, within: place.within, unary, old: around })
                    && !(before == Some(Token::Dot))
                {
                    self.write(" ");
                }
            }
            unary = is_unary(token, before);
            match node {
                Node::Token(at) => {
                    self.write(self.tokens[*at].text);
                    self.behind(*at);
                }
                Node::Group { open, inner, close } => {
                    let indent = place.indent + usize::from(deeper);
                    let kind = self.kind(nodes, node);
                    let rest = self.width_until_break(&nodes[order + 1..]);
                    self.group(*open, inner, *close, kind, indent, rest, before);
                }
            }
            (earlier, before) = (before, Some(token));
        }
    }

    fn behind(&mut self, at: usize) {
        if let Some(comment) = self.tokens[at].behind {
            // Two comments for one line can only come together where tokens do; both are kept.
            if let Some(other) = self.pending.replace(comment) {
                self.out.push_str("  ");
                self.out.push_str(other);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn group(
        &mut self,
        open: usize,
        inner: &[Node],
        close: usize,
        kind: Kind,
        indent: usize,
        rest: usize,
        before: Option<Token>,
    ) {
        let token = self.tokens[open].token;
        let padded = token == Token::LBrace && before != Some(Token::Dot) && !inner.is_empty();
        let own = self.breaks_by_itself(open, inner, close, kind);
        let width = self.flat_width(inner) + 2 + if padded { 2 } else { 0 };
        let broken = own || !inner.is_empty() && !self.has_lines(inner) && self.column + width + rest > WIDTH;
        self.write(self.tokens[open].text);
        self.behind(open);
        if !broken {
            if padded {
                self.write(" ");
            }
            // A comma behind the last element is for lists on several lines.
            let nodes = match (kind, inner.split_last()) {
                (Kind::List, Some((last, rest))) if self.token(last) == Token::Comma && !rest.is_empty() => {
                    rest
                }
                _ => inner,
            };
            self.element(nodes, Place { indent, within: Some(token) });
            if padded {
                self.write(" ");
            }
        } else if !inner.is_empty() || !self.tokens[close].above.is_empty() {
            self.broken(token, inner, kind, indent + 1);
            let mut first = inner.is_empty();
            for comment in &self.tokens[close].above {
                self.line_start(indent + 1, comment.breaks > 1 && !first);
                self.write(comment.text);
                first = false;
            }
            self.line_start(indent, false);
        } else if self.pending.is_some() {
            self.line_start(indent, false);
        }
        self.write(self.tokens[close].text);
        self.behind(close);
    }

    fn broken(&mut self, token: Token, inner: &[Node], kind: Kind, indent: usize) {
        let count = elements(self.tokens, inner, kind).len();
        let Some(last) = inner.last() else { return };
        let ends = self.token(last) == Token::Comma;
        self.lines(inner, kind, indent, true);
        let takes_comma = match (kind, token) {
            (Kind::List, Token::LBracket) => count > 1,
            (Kind::List, _) => true,
            (Kind::Arms, _) => {
                let arms = elements(self.tokens, inner, kind);
                let value = arms.last().and_then(|arm| arm.last());
                !value.is_some_and(|node| self.token(node) == Token::LBrace)
            }
            _ => false,
        };
        // Types in square brackets and regions have no place for one.
        let takes_comma = takes_comma && token != Token::LBracket;
        // One expression in round brackets is not a list.
        let takes_comma = takes_comma && !(token == Token::LParen && count < 2);
        if takes_comma && !ends {
            self.write(",");
        }
    }

    /// How long nodes are in one line.
    fn flat_width(&self, nodes: &[Node]) -> usize {
        nodes
            .iter()
            .map(|node| match node {
                Node::Token(at) => self.tokens[*at].text.chars().count() + 1,
                Node::Group { inner, .. } => self.flat_width(inner) + 4,
            })
            .sum::<usize>()
            .saturating_sub(1)
    }

    /// How long nodes are until the line can break.
    fn width_until_break(&self, nodes: &[Node]) -> usize {
        let mut width = 0;
        for node in nodes {
            match node {
                Node::Token(at) if self.tokens[*at].breaks > 0 && begins_line(self.tokens[*at].token) => {
                    break;
                }
                Node::Token(at) => width += self.tokens[*at].text.chars().count() + 1,
                Node::Group { .. } => {
                    width += 1;
                    break;
                }
            }
        }
        width
    }
}

/// Whether a line that the author begins with this token stays one.
fn begins_line(token: Token) -> bool {
    use Token::*;
    matches!(
        token,
        And | Or
            | Plus
            | Minus
            | AddSat
            | SubSat
            | AddWrap
            | SubWrap
            | Star
            | Slash
            | Pipe
            | Caret
            | Amp
            | Shl
            | Shr
            | Coalesce
            | Dot
            | Limit
            | Eq
            | Ne
            | Lt
            | Le
            | Gt
            | Ge
            | Has
    )
}
