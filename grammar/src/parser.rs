//! Reads a file, one declaration after the other, and goes on after mistakes.
//!
//! The generated parser stops at its first mistake. What is done about it, in this order:
//! 1. a mistake with one plain remedy (a missing `;` or `,`, `=` for `==`, a word of the language for a name, a stray doc
//!    comment) is mended, where the parser then comes further than before;
//! 2. otherwise the smallest statement, arm or list element that holds it is cut out;
//! 3. where that helps nothing, the whole declaration is left out.
//!
//! Then the declaration is read again. The number of mistakes reported, the attempts at a declaration and the tokens
//! read in all have a limit, so the time is linear in the length of the file.

use std::cell::Cell;

use oko_diagnostics::{Diagnostic, FileId, Sink, Span, codes::lex::TEXT_TOO_LONG, codes::syntax as codes};

use crate::ast::{File, Item, MAX_DEPTH};
use crate::brackets::balance;
use crate::builder::Builder;
use crate::expected::{Expected, describe};
use crate::habits::start_of_statement;
use crate::lex::lex;
use crate::mend::stray_doc_comment;
use crate::oko;
use crate::token::{Loc, Spanned, Token};

/// Mistakes of one kind (characters, brackets, syntax) in a file after which no more are told, and syntax errors after
/// which the rest of a file is not read.
const MAX_ERRORS: usize = 100;

/// How often each token of a file may be read, on average, to mend mistakes; short files may take more.
const READS: usize = 60;
const MIN_READS: usize = 1_000_000;

/// Mistakes in one declaration after which it is left out.
const MAX_ERRORS_IN_ITEM: usize = 20;

/// Reads `text`, the text of `file`.
///
/// The tree holds everything that could be read; it lacks nothing where there is no error among the diagnostics, which
/// come sorted by place. Any text is accepted; of one longer than `u32::MAX` bytes nothing is read, as no
/// [`oko_diagnostics::SourceMap`] takes such a file.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    let Ok(length) = u32::try_from(text.len()) else {
        let error = Diagnostic::error(TEXT_TOO_LONG, "this file has 4 GiB or more");
        return (File { docs: None, items: Vec::new(), span: Span::new(file, 0, 0) }, vec![error]);
    };
    let mut diagnostics = Vec::new();
    let lexed = lex(file, text, &mut diagnostics);
    diagnostics.truncate(MAX_ERRORS);
    let balanced = balance(file, text, &lexed, &mut diagnostics);
    diagnostics.truncate(2 * MAX_ERRORS);
    let mut reader = Reader {
        file,
        text,
        grammar: oko::ItemParser::new(),
        builder: Builder::new(file, text),
        mended: balanced.mended.into_iter().chain(lexed.unknown).collect(),
        diagnostics,
        errors: 0,
        tokens_left: Cell::new(MIN_READS.max(READS * balanced.tokens.len())),
    };
    let mut items = Vec::new();
    for tokens in declarations(&balanced.tokens) {
        if reader.errors >= MAX_ERRORS {
            if let Some(last) = reader.diagnostics.pop() {
                reader
                    .diagnostics
                    .push(last.note("after so many mistakes the rest of the file was not read"));
            }
            break;
        }
        items.extend(reader.item(tokens));
    }
    let too_deep = reader.builder.too_deep().map(too_deep);
    let mut sink = Sink::new();
    sink.extend(reader.diagnostics.into_iter().chain(too_deep));
    (File { docs: lexed.docs, items, span: Span::new(file, 0, length) }, sink.finish())
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(codes::TOO_DEEP, format!("more than {MAX_DEPTH} operations lie within one another"))
        .label(span, "too deep")
        .help("give a part a name with `let`, or move it into a `fn`")
}

/// Splits the tokens of a file into those of each declaration.
fn declarations(tokens: &[Spanned]) -> Vec<&[Spanned]> {
    let mut all = Vec::new();
    let mut start = 0;
    let mut depth = 0usize;
    // So far there were only doc comments and attributes.
    let mut in_front = true;
    for (at, spanned) in tokens.iter().enumerate() {
        if depth == 0 && at > start && !in_front && begins_here(tokens, at) {
            all.push(&tokens[start..at]);
            (start, in_front) = (at, true);
        }
        let in_attribute = depth > 0 || (at > start && tokens[at - 1].token == Token::Hash);
        let attribute = spanned.token == Token::Hash
            && matches!(tokens.get(at + 1), Some(Spanned { token: Token::LBracket, .. }));
        in_front &= spanned.token == Token::Doc || attribute || in_attribute;
        depth += usize::from(spanned.token.closer().is_some());
        depth = depth.saturating_sub(usize::from(spanned.token.is_closer()));
    }
    if start < tokens.len() {
        all.push(&tokens[start..]);
    }
    all
}

/// True where a new declaration begins outside of all brackets.
fn begins_here(tokens: &[Spanned], at: usize) -> bool {
    use Token::*;
    let Spanned { token, first_on_line, .. } = tokens[at];
    match tokens[at - 1].token {
        Semi => token != Semi,
        before if token.begins_item() => {
            let named = matches!(tokens.get(at + 1), Some(Spanned { token: Ident | Str | Malformed, .. }));
            let separate = first_on_line || before == RBrace;
            if token.is_word_of_items() { named && separate } else { named || separate }
        }
        _ if matches!(token, Doc | Hash) => first_on_line,
        RBrace => first_on_line && !matches!(token, Next | Limit | Each | Per | Semi | ThinArrow | LBrace),
        _ => false,
    }
}

/// Where and why the generated parser stopped.
pub(crate) struct Failure {
    /// Index of the token that it could not read; the number of tokens for their end.
    pub(crate) at: usize,
    pub(crate) expected: Expected,
}

/// Reads the declarations of a file.
pub(crate) struct Reader<'t> {
    file: FileId,
    pub(crate) text: &'t str,
    grammar: oko::ItemParser,
    builder: Builder<'t>,
    mended: Vec<(u32, u32)>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    /// How many tokens may still be read again after a mistake.
    tokens_left: Cell<usize>,
}

impl Reader<'_> {
    fn item(&mut self, tokens: &[Spanned]) -> Option<Item> {
        if tokens.iter().all(|token| token.token == Token::Doc) {
            let place = self.place(tokens, 0).to(self.place(tokens, tokens.len()));
            self.report(tokens, 0, stray_doc_comment(place));
            return None;
        }
        let first = self.read(tokens);
        let mut failure = match first {
            Ok(item) => return Some(item),
            Err(failure) => failure,
        };
        let mut tokens = tokens.to_vec();
        for _ in 0..MAX_ERRORS_IN_ITEM {
            if self.tokens_left.get() == 0 {
                let diagnostic = self.unexpected(&tokens, &failure);
                self.report(&tokens, failure.at, diagnostic);
                return None;
            }
            let (next, result) = match self.mend(&tokens, &failure) {
                Some((next, result)) => (next, result),
                None => {
                    let diagnostic = self.unexpected(&tokens, &failure);
                    self.report(&tokens, failure.at, diagnostic);
                    self.cut_out(&tokens, failure.at)?
                }
            };
            tokens = next;
            match result {
                Ok(item) => return Some(item),
                Err(next) => failure = next,
            }
        }
        None
    }

    /// Has the generated parser read a declaration.
    pub(crate) fn read(&self, tokens: &[Spanned]) -> Result<Item, Failure> {
        self.tokens_left.set(self.tokens_left.get().saturating_sub(tokens.len()));
        let located = tokens.iter().enumerate().map(|(index, spanned)| {
            let index = index as u32;
            let loc = |byte| Loc { byte, index };
            Ok((loc(spanned.start), spanned.token, loc(spanned.end)))
        });
        use lalrpop_util::ParseError::*;
        self.grammar.parse(&self.builder, located).map_err(|error| match error {
            UnrecognizedToken { token: (loc, ..), expected } => {
                Failure { at: loc.index as usize, expected: Expected::new(&expected) }
            }
            UnrecognizedEof { expected, .. } => {
                Failure { at: tokens.len(), expected: Expected::new(&expected) }
            }
            ExtraToken { token: (loc, ..) } => {
                Failure { at: loc.index as usize, expected: Expected::new(&[]) }
            }
            InvalidToken { location } => {
                Failure { at: location.index as usize, expected: Expected::new(&[]) }
            }
            User { error } => match error {},
        })
    }

    pub(crate) fn span(&self, token: Spanned) -> Span {
        Span::new(self.file, token.start, token.end)
    }

    pub(crate) fn source(&self, token: Spanned) -> &str {
        &self.text[token.start as usize..token.end as usize]
    }

    /// The place of the token at `at`; behind the last one where there is none.
    fn place(&self, tokens: &[Spanned], at: usize) -> Span {
        match (tokens.get(at), tokens.last()) {
            (Some(&token), _) => self.span(token),
            (None, Some(&last)) => self.span(last).at_end(),
            (None, None) => Span::new(self.file, 0, 0),
        }
    }

    /// Adds a diagnostic, unless what it tells is likely to come from something already reported.
    pub(crate) fn report(&mut self, tokens: &[Spanned], at: usize, diagnostic: Diagnostic) {
        self.errors += 1;
        let place = self.place(tokens, at);
        let by_bracket = self.mended.iter().any(|&(start, end)| start <= place.start && place.start <= end);
        let by_literal = tokens.get(at).is_some_and(|token| token.token == Token::Malformed);
        if !by_bracket && !by_literal {
            self.diagnostics.push(diagnostic);
        }
    }

    pub(crate) fn unexpected(&self, tokens: &[Spanned], failure: &Failure) -> Diagnostic {
        let expected = failure.expected.in_words();
        let Some(&token) = tokens.get(failure.at) else {
            let place = self.place(tokens, failure.at);
            return Diagnostic::error(codes::UNEXPECTED_END, "this declaration ends too early")
                .label(place, format!("expected {expected}"));
        };
        let found = describe(token.token, self.source(token));
        if is_comparison(token.token) && failure.expected.has("and") {
            return Diagnostic::error(codes::COMPARISON_CHAIN, "comparisons do not chain")
                .label(self.span(token), "a second comparison")
                .help("join two comparisons with `and`: `a < b and b < c`");
        }
        let diagnostic = Diagnostic::error(codes::UNEXPECTED, format!("expected {expected}, found {found}"))
            .label(self.span(token), "not expected here");
        let before = failure.at.checked_sub(1).map(|at| tokens[at].token);
        let declared = item_word(tokens);
        match token.token {
            Token::Else => diagnostic.help("`else` stands directly behind the block of an `if`"),
            _ if failure.at == 0 => {
                diagnostic.help("a declaration begins with `use`, `const`, `param`, `filter` …")
            }
            word if word.begins_item() && failure.expected.has("}") => {
                diagnostic.help("declarations stand outside of all brackets")
            }
            Token::Semi if before == Some(Token::Return) => {
                diagnostic.help("a filter or function always says what it gives: `return false;`")
            }
            Token::DotDot if matches!(before, Some(Token::Comma | Token::LParen)) => {
                diagnostic.help("nothing fills in the rest: give every field by its name")
            }
            Token::Int(_) if failure.at >= 2 && self.source(tokens[failure.at - 2]) == "array" => {
                diagnostic.help("an array says its type, and how many entries it has as a setting: `array[u32] { capacity: 10 }`")
            }
            Token::Per if declared == Some(Token::State) && before == Some(Token::RBrace) => {
                diagnostic.help("`per core` stands in front of the braces")
            }
            Token::Semi if declared == Some(Token::Table) && failure.expected.has("{") => {
                diagnostic.help("a table says how many entries it has: `{ capacity: 1_024 }`")
            }
            _ if failure.expected.has("each") && declared == Some(Token::Event) => {
                diagnostic.help("a limit is a number of events in a time: `limit 1 each 10s`")
            }
            _ if failure.expected.has("limit") && declared == Some(Token::Event) => diagnostic.help(
                "an event says how often it is told: `limit 1 each 10s`, or `limit 1 each 10s per FIELD`",
            ),
            Token::LBrace if failure.expected.has("->") => {
                diagnostic.help("a function says what it gives: `-> u32 {`")
            }
            _ if failure.expected.has("string") && before == Some(Token::Test) => {
                diagnostic.help("a test has a sentence as its name: `test \"a slow sender passes\" { … }`")
            }
            _ if failure.expected.has("{")
                && !failure.expected.has("none")
                && is_headed(tokens, failure.at) =>
            {
                diagnostic.help("what it does stands in braces: `if … { … }`, `for … { … }`")
            }
            _ => diagnostic,
        }
    }

    /// Cuts out the smallest part around the token at `at` with which the parser comes further. `None` where none helps.
    fn cut_out(&self, tokens: &[Spanned], at: usize) -> Option<(Vec<Spanned>, Result<Item, Failure>)> {
        let partners = partners(tokens);
        if let Some((start, end)) = attribute(tokens, &partners, at) {
            let next = [&tokens[..start], &tokens[end..]].concat();
            let result = self.read(&next);
            return Some((next, result));
        }
        let enclosing = (0..at.min(tokens.len())).rev();
        let braces = enclosing.filter(|&open| tokens[open].token == Token::LBrace && partners[open] >= at);
        for open in braces {
            let Some((start, end)) = element(tokens, &partners, open, at) else { continue };
            let removed = Spanned {
                token: Token::Removed,
                start: tokens[start].start,
                end: tokens[end - 1].end,
                first_on_line: tokens[start].first_on_line,
            };
            let next = [&tokens[..start], &[removed], &tokens[end..]].concat();
            let result = self.read(&next);
            match &result {
                Err(failure) if failure.at <= start => {}
                _ => return Some((next, result)),
            }
        }
        None
    }
}

/// The word that says what these tokens declare.
pub(crate) fn item_word(tokens: &[Spanned]) -> Option<Token> {
    tokens.iter().map(|token| token.token).find(|token| token.begins_item())
}

/// Whether the statement that holds the token at `at` begins with the head of an `if` or `for`.
fn is_headed(tokens: &[Spanned], at: usize) -> bool {
    let start = start_of_statement(tokens, at);
    tokens[start..at].iter().any(|token| matches!(token.token, Token::If | Token::For))
}

fn is_comparison(token: Token) -> bool {
    use Token::*;
    matches!(token, Eq | Ne | Lt | Le | Gt | Ge | Has)
}

/// For each bracket the index of its partner, for other tokens their own index.
pub(crate) fn partners(tokens: &[Spanned]) -> Vec<usize> {
    let mut partners: Vec<usize> = (0..tokens.len()).collect();
    let mut open = Vec::new();
    for (at, spanned) in tokens.iter().enumerate() {
        if spanned.token.closer().is_some() {
            open.push(at);
        } else if spanned.token.is_closer()
            && let Some(opener) = open.pop()
        {
            partners[opener] = at;
            partners[at] = opener;
        }
    }
    partners
}

/// The attribute that holds the token at `at`, as a range of indices.
fn attribute(tokens: &[Spanned], partners: &[usize], at: usize) -> Option<(usize, usize)> {
    let start = tokens.iter().take(at).rposition(|token| token.token == Token::Hash)?;
    let end = *partners.get(start + 1)?;
    (start + 1 < end && at <= end).then_some((start, end + 1))
}

/// The statement, arm or list element in the braces that open at `open` which holds the token at `at`, as a range of
/// indices with its separator. `None` where it would be empty.
fn element(tokens: &[Spanned], partners: &[usize], open: usize, at: usize) -> Option<(usize, usize)> {
    let close = partners[open];
    let behind = |at: usize| if tokens[at].token.closer().is_some() { partners[at] + 1 } else { at + 1 };
    let level = || std::iter::successors(Some(open + 1), |&at| Some(behind(at))).take_while(|&at| at < close);
    let statements = level().any(|at| tokens[at].token == Token::Semi || tokens[at].token.begins_statement());
    let mut start = open + 1;
    let mut has_arrow = false;
    for here in level() {
        let Spanned { token, first_on_line, .. } = tokens[here];
        if statements && here > start && first_on_line && token.begins_statement() {
            if at <= here {
                return Some((start, here));
            }
            start = here;
        }
        has_arrow |= token == Token::Arrow;
        let next = behind(here);
        let ends = match token {
            Token::Semi => statements,
            Token::Comma => !statements,
            Token::LBrace if statements => {
                let block =
                    matches!(tokens[start].token, Token::If | Token::Match | Token::For | Token::LBrace);
                block && !matches!(tokens[next].token, Token::Else | Token::Semi)
            }
            Token::LBrace => {
                has_arrow && tokens[next].token != Token::Comma && tokens[next].token != Token::Else
            }
            _ => false,
        };
        if ends {
            if at < next {
                return Some((start, next));
            }
            (start, has_arrow) = (next, false);
        }
    }
    (start < close).then_some((start, close))
}
