//! Tests across the parts of Oko.
