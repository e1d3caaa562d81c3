//! What the algorithms of this crate are written against: atomics and a pause. The models under `tests/` compile the same sources
//! against those of a model checker.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Lets another thread go on.
#[inline]
pub(crate) fn pause() {
    std::hint::spin_loop();
}
