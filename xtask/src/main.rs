//! The chores of the Oko repository: set-up, demo, tests, benchmarks.

fn main() {}
