//! Tests across the parts of Oko.

#[cfg(target_os = "linux")]
pub mod kernel;
