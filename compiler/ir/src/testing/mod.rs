//! For the tests of everything that executes IR: scripts that every engine must pass, random modules with random traffic, and long
//! filters. Behind the feature `testing`.

pub mod chain;
pub mod generate;
pub mod script;
