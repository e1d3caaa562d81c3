//! The sources of Oko's standard library.
