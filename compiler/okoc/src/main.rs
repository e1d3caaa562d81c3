//! The Oko compiler.

fn main() {}
