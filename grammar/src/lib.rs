//! Lexer, grammar and syntax tree of the Oko language.
//!
//! [`parse`] turns a text into a tree and diagnostics. It accepts any text: what cannot be read is reported and left
//! out, everything else is in the tree.
//!
//! How it works: `lex` splits the text into tokens; `brackets` pairs the brackets, and mends where one is missing or too
//! much; `parser` splits the tokens into declarations and has the generated LR(1) parser (`oko.lalrpop`) read each; where
//! that fails, it reports, mends (`mend`) or cuts out the smallest statement, arm or list element around the mistake, and lets
//! the parser read the declaration again.

pub mod ast;
mod brackets;
mod builder;
mod dump;
mod expected;
mod foreign;
mod format;
mod habits;
mod lex;
mod literal;
mod mend;
mod parser;
mod shapes;
mod token;

pub use dump::dump;
pub use format::{WIDTH, format};
pub use parser::parse;

lalrpop_util::lalrpop_mod!(
    #[allow(
        missing_docs,
        unused_qualifications,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::unwrap_used
    )]
    oko
);
