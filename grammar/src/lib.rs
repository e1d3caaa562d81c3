//! Lexer, grammar and syntax tree of the Oko language.

pub mod ast;
