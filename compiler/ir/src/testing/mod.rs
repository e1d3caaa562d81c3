//! For the tests of everything that executes IR: scripts that every engine must pass. Behind the feature `testing`.

pub mod script;
