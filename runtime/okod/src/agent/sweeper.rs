//! The sweeper: expired entries of states go, a few at a time.
//!
//! Nobody ever sees an expired entry, and its place is given away when it is needed; so nothing depends on this. But who looks how full a
//! state is sees what is left of the past, and a worker that needs a place in a full state has to search for one. So the control thread frees
//! some at each tick, going round all states of all artifacts.

use super::control::Control;

/// About how many entries are looked at in a tick, over all artifacts: a millisecond's work if none is in a cache.
const ENTRIES: u32 = 16_384;
/// The least for one artifact, so that those with few entries are not behind for long where there are many.
const LEAST: u32 = 256;

impl Control {
    /// Sweeps a part of each state.
    pub(super) fn sweep_states(&self) {
        let instances = self.filters.instances();
        let (count, now) = (instances.len() as u32, self.filter_now());
        for instance in instances {
            let freed = instance.sweep(now, (ENTRIES / count).max(LEAST));
            if freed > 0 {
                tracing::trace!(freed, "expired entries");
            }
        }
    }
}
