//! What the algorithms of this crate are written against: atomics, fences and a pause. The models under `tests/` compile the same sources
//! against those of a model checker.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

pub(crate) use crate::barrier::{heavy_fence, light_fence};

/// Lets another thread go on.
#[inline]
pub(crate) fn pause() {
    std::hint::spin_loop();
}

/// Lets another thread go on that may need this one's processor.
pub(crate) fn step_aside() {
    std::thread::yield_now();
}
