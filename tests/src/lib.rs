//! Tests across the parts of Oko: what they share.

pub mod captures;
pub mod clang;
pub mod ebnf;
pub mod examples;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod made;
#[cfg(target_os = "linux")]
pub mod network;
#[cfg(target_os = "linux")]
pub mod peer;
pub mod programs;
pub mod random;
#[cfg(target_os = "linux")]
pub mod rig;
#[cfg(target_os = "linux")]
pub mod switch;
pub mod typed;
