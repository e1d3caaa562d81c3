//! Where a worker's cycles go, stage by stage: with the cargo feature `profile`, which is off by default. Without it nothing of this is compiled in.
//!
//! The time-stamp counter is read at the border of each stage of a burst, a few tens of cycles for 32 packets. Rounds in which nothing came in are left out.

/// A stage of the way of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The device hands over packets.
    Receive,
    /// Keys, and the flow cache.
    LookUp,
    /// Filters are asked, and trees followed.
    Filters,
    /// The tables, for what the cache does not know, with what is done with such packets.
    Tables,
    /// What was decided is done: packets are counted, changed, put in line.
    Act,
    /// Devices take packets.
    Send,
}

pub(crate) use counting::Profile;

#[cfg(feature = "profile")]
mod counting {
    use super::Stage;

    /// A worker's cycles.
    #[derive(Debug, Default)]
    pub(crate) struct Profile {
        begin: u64,
        cycles: [u64; Profile::STAGES.len()],
        packets: u64,
    }

    impl Profile {
        const STAGES: [(Stage, &str); 6] = [
            (Stage::Receive, "receive"),
            (Stage::LookUp, "look-up"),
            (Stage::Filters, "filters"),
            (Stage::Tables, "tables"),
            (Stage::Act, "act"),
            (Stage::Send, "send"),
        ];

        pub(crate) fn new() -> Profile {
            Profile::default()
        }

        /// A stage begins.
        #[inline]
        pub(crate) fn begin(&mut self) {
            self.begin = oko_dpdk::cycles();
        }

        /// A stage ends, and the next begins.
        #[inline]
        pub(crate) fn end(&mut self, stage: Stage) {
            let now = oko_dpdk::cycles();
            self.cycles[stage as usize] += now.saturating_sub(self.begin);
            self.begin = now;
        }

        /// So many packets came in.
        #[inline]
        pub(crate) fn count(&mut self, packets: usize) {
            self.packets += packets as u64;
        }

        /// Writes to the log how many cycles each stage took for a packet.
        pub(crate) fn tell(&self, worker: usize) {
            let each = |cycles: u64| cycles as f64 / self.packets.max(1) as f64;
            let stages =
                Self::STAGES.map(|(stage, name)| format!("{name} {:.1}", each(self.cycles[stage as usize])));
            let all = each(self.cycles.iter().sum());
            tracing::info!(
                worker,
                packets = self.packets,
                "cycles a packet: {}; in all {all:.1}",
                stages.join(", ")
            );
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn each_stage_has_its_place_and_its_cycles() {
            for (place, (stage, _)) in Profile::STAGES.iter().enumerate() {
                assert_eq!(*stage as usize, place);
            }
            let mut profile = Profile::new();
            profile.begin();
            profile.end(Stage::Filters);
            profile.end(Stage::Act);
            let spent: Vec<bool> = profile.cycles.iter().map(|cycles| *cycles > 0).collect();
            assert_eq!(spent, [false, false, true, false, true, false]);
        }
    }
}

#[cfg(not(feature = "profile"))]
mod counting {
    use super::Stage;

    /// Nothing.
    #[derive(Debug)]
    pub(crate) struct Profile;

    impl Profile {
        pub(crate) fn new() -> Profile {
            Profile
        }

        #[inline(always)]
        pub(crate) fn begin(&mut self) {}

        #[inline(always)]
        pub(crate) fn end(&mut self, _: Stage) {}

        #[inline(always)]
        pub(crate) fn count(&mut self, _: usize) {}

        pub(crate) fn tell(&self, _: usize) {}
    }
}
