//! For the tests of everything that executes IR: scripts that every engine must pass, and random modules with random traffic. Behind
//! the feature `testing`.

pub mod generate;
pub mod script;
