//! Pairs the brackets of a file.
//!
//! What holds for the tokens that [`balance`] returns: brackets are paired by kind, at most [`MAX_BRACKETS`] deep, and
//! no declaration begins inside one. To that end missing closing brackets are put in (tokens of no width) and stray
//! ones left out, each with a diagnostic.

use oko_diagnostics::{Diagnostic, FileId, Span, codes::syntax as codes};

use crate::ast::MAX_BRACKETS;
use crate::lex::Lexed;
use crate::token::{Spanned, Token};

/// The tokens of a file with paired brackets.
#[derive(Debug)]
pub(crate) struct Balanced {
    pub(crate) tokens: Vec<Spanned>,
    /// Byte ranges in which something was mended; what else is wrong there is likely to come from it.
    pub(crate) mended: Vec<(u32, u32)>,
}

/// Pairs the brackets of the tokens of `text`. Of those that are open at the end of a text that is cut off nothing is said.
pub(crate) fn balance(
    file: FileId,
    text: &str,
    lexed: &Lexed,
    diagnostics: &mut Vec<Diagnostic>,
) -> Balanced {
    let tokens = lexed.tokens.as_slice();
    let mut state = Balancer {
        file,
        text,
        diagnostics,
        open: Vec::new(),
        out: Vec::with_capacity(tokens.len()),
        mended: Vec::new(),
        askew: None,
        stray_at: None,
        deep: None,
    };
    for (at, &token) in tokens.iter().enumerate() {
        if !state.open.is_empty() && begins_declaration(text, tokens, at) {
            state.close_before_declaration(token);
        }
        state.take(token);
    }
    if lexed.cut_off {
        state.close_down_to(0, state.out.len());
    } else {
        state.finish();
    }
    Balanced { tokens: state.out, mended: state.mended }
}

/// True where a declaration seems to begin: its word at the start of a line, with a name behind it.
fn begins_declaration(text: &str, tokens: &[Spanned], at: usize) -> bool {
    let token = tokens[at];
    let line_start = token.start == 0 || text.as_bytes().get(token.start as usize - 1) == Some(&b'\n');
    let next = tokens.get(at + 1).map(|next| next.token);
    let named = match next {
        Some(Token::Str | Token::Malformed) => token.token == Token::Test,
        Some(next) => next == Token::Ident || next.is_word_of_items(),
        None => false,
    };
    line_start && token.token.begins_item() && named
}

struct Balancer<'t> {
    file: FileId,
    text: &'t str,
    diagnostics: &'t mut Vec<Diagnostic>,
    /// Indices in `out` of the brackets that are open.
    open: Vec<usize>,
    out: Vec<Spanned>,
    mended: Vec<(u32, u32)>,
    /// The first bracket at the end of a line that was closed by one at the beginning of a line that stands further left, as indices in `out`:
    /// if brackets are missing, it is probably there.
    askew: Option<(usize, usize)>,
    /// The length of `out` at the last bracket that closed nothing, to tell only the first of several in a row.
    stray_at: Option<usize>,
    /// Brackets open beyond [`MAX_BRACKETS`], while what is in them is left out.
    deep: Option<usize>,
}

impl Balancer<'_> {
    fn span(&self, token: Spanned) -> Span {
        Span::new(self.file, token.start, token.end)
    }

    fn text(&self, token: Spanned) -> &str {
        &self.text[token.start as usize..token.end as usize]
    }

    /// How far from the left the line of a token begins.
    fn indent(&self, token: Spanned) -> usize {
        let line = self.text[..token.start as usize].rfind('\n').map_or(0, |at| at + 1);
        self.text[line..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    /// The bracket that is probably not closed, of all that are open and the one that `askew` tells of, and the one that seems to close it.
    fn suspect(&self, first: usize) -> (Spanned, Option<Spanned>) {
        match self.askew.filter(|(opener, _)| *opener > first) {
            Some((opener, closer)) => (self.out[opener], Some(self.out[closer])),
            None => (self.out[first], None),
        }
    }

    fn take(&mut self, mut token: Spanned) {
        if let Some(depth) = self.deep {
            let depth = depth + usize::from(token.token.closer().is_some());
            let depth = depth - usize::from(token.token.is_closer());
            self.deep = (depth > 0).then_some(depth);
            return;
        }
        if token.token.closer().is_some() {
            if self.open.len() == MAX_BRACKETS {
                return self.too_deep(token);
            }
            self.open.push(self.out.len());
        } else if token.token.is_closer() {
            return self.close(token);
        } else if !self.open.is_empty() && token.token.is_word_of_items() {
            token.token = Token::Ident;
        }
        self.out.push(token);
    }

    fn too_deep(&mut self, token: Spanned) {
        if !self.diagnostics.iter().any(|d| d.code == codes::TOO_DEEP) {
            let headline = format!("brackets are nested more than {MAX_BRACKETS} deep");
            let diagnostic = Diagnostic::error(codes::TOO_DEEP, headline)
                .label(self.span(token), "one too many")
                .help("give a part a name with `let`, or move it into a `fn`");
            self.diagnostics.push(diagnostic);
        }
        self.deep = Some(1);
        self.out.push(Spanned { token: Token::Malformed, ..token });
    }

    fn close(&mut self, token: Spanned) {
        let opens = |&&at: &&usize| self.out[at].token.closer() == Some(token.token);
        let Some(&last) = self.open.last() else {
            if self.stray_at.replace(self.out.len()) == Some(self.out.len()) {
                return;
            }
            let headline = format!("this `{}` closes nothing", self.text(token));
            let diagnostic = Diagnostic::error(codes::UNMATCHED_BRACKET, headline)
                .label(self.span(token), "no bracket is open here")
                .suggest(self.span(token), "", "remove it");
            self.diagnostics.push(diagnostic);
            self.mended.push((token.start, token.end));
            return;
        };
        if self.open.last().filter(opens).is_some() {
            self.open.pop();
            if token.first_on_line && self.indent(token) < self.indent(self.out[last]) {
                // What was found within an earlier declaration does not matter any more.
                let within =
                    |&(opener, _): &(usize, usize)| self.open.first().is_some_and(|first| *first < opener);
                self.askew = self.askew.filter(within).or(Some((last, self.out.len())));
            }
            self.out.push(token);
        } else if let Some(level) = self.open.iter().rposition(|at| opens(&at)) {
            let shown = self.text(token).to_owned();
            self.report_open(last, token, &format!("this `{shown}` closes an outer bracket first"));
            self.close_down_to(level + 1, self.out.len());
            self.open.pop();
            self.out.push(token);
        } else {
            let opener = self.out[last];
            let headline = format!("`{}` is closed by `{}`", self.text(opener), self.text(token));
            let right = opener.token.closer().map_or("", closer_text);
            let diagnostic = Diagnostic::error(codes::UNMATCHED_BRACKET, headline)
                .label(self.span(token), format!("expected `{right}`"))
                .label(self.span(opener), "opened here")
                .suggest(self.span(token), right, format!("write `{right}`"));
            self.diagnostics.push(diagnostic);
            self.mended.push((opener.start, token.end));
            self.open.pop();
            self.out.push(Spanned { token: opener.token.closer().unwrap_or(token.token), ..token });
        }
    }

    /// Closes everything before a declaration that begins at `token`; its doc comments go with it.
    fn close_before_declaration(&mut self, token: Spanned) {
        self.deep = None;
        let Some(&first) = self.open.first() else { return };
        match self.suspect(first) {
            (opener, Some(closer)) => self.report_askew(opener, closer, token.end),
            _ => self.report_open(first, token, "a declaration begins here"),
        }
        let docs = self.out.iter().rev().take_while(|token| token.token == Token::Doc).count();
        self.close_down_to(0, self.out.len() - docs);
    }

    /// Reports the bracket at index `opener` of the output, which is still open where `at` stands.
    fn report_open(&mut self, opener: usize, at: Spanned, why: &str) {
        let opener = self.out[opener];
        let right = opener.token.closer().map_or("", closer_text);
        let diagnostic = Diagnostic::error(
            codes::UNMATCHED_BRACKET,
            format!("this `{}` is not closed", self.text(opener)),
        )
        .label(self.span(opener), "opened here")
        .label(self.span(at), why)
        .help(format!("close it with `{right}`"));
        self.diagnostics.push(diagnostic);
        self.mended.push((opener.start, at.end));
    }

    /// Reports a bracket that is closed by one that stands too far left; up to `end` something is wrong.
    fn report_askew(&mut self, opener: Spanned, closer: Spanned, end: u32) {
        let right = opener.token.closer().map_or("", closer_text);
        let diagnostic = Diagnostic::error(
            codes::UNMATCHED_BRACKET,
            format!("this `{}` is not closed", self.text(opener)),
        )
        .label(self.span(opener), "opened here")
        .label(self.span(closer), "stands further left, so it seems to close another one")
        .help(format!("close it with `{right}`"));
        self.diagnostics.push(diagnostic);
        self.mended.push((opener.start, end));
    }

    /// Puts in the closing brackets of all but the outermost `level` open ones, in front of index `at` of the output.
    fn close_down_to(&mut self, level: usize, at: usize) {
        let end = self.out[..at].last().map_or(0, |token| token.end);
        let closers: Vec<Spanned> = self.open[level..]
            .iter()
            .rev()
            .filter_map(|&opener| self.out[opener].token.closer())
            .map(|token| Spanned { token, start: end, end, first_on_line: false })
            .collect();
        self.open.truncate(level);
        self.out.splice(at..at, closers);
    }

    fn finish(&mut self) {
        let Some(&first) = self.open.first() else { return };
        let end = self.text.len() as u32;
        let (opener, closer) = self.suspect(first);
        if let Some(closer) = closer {
            self.report_askew(opener, closer, end);
            self.mended.push((self.out[first].start, end));
            return self.close_down_to(0, self.out.len());
        }
        let right = opener.token.closer().map_or("", closer_text);
        let diagnostic = Diagnostic::error(
            codes::UNEXPECTED_END,
            format!("the file ends before this `{}` is closed", self.text(opener)),
        )
        .label(self.span(opener), "opened here")
        .help(format!("close it with `{right}`"));
        self.diagnostics.push(diagnostic);
        self.mended.push((opener.start, end));
        self.close_down_to(0, self.out.len());
    }
}

fn closer_text(token: Token) -> &'static str {
    match token {
        Token::RParen => ")",
        Token::RBracket => "]",
        _ => "}",
    }
}
