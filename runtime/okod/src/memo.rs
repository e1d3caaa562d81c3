//! The answers that filters have given about the packet at hand.
//!
//! A filter has memory: running it twice on one packet would count the packet twice. Its answer is therefore kept with
//! the packet, and whatever asks again, in whichever table, gets that answer.

/// Answers by filter slot. Starting with the next packet costs the same for any number of filters.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// The number of the packet at hand; an answer that carries another number is an earlier packet's.
    packet: u64,
    answers: Vec<(u64, u32)>,
}

impl Memo {
    /// Makes room for a number of filters. Allocates only when there are more than ever before.
    pub(crate) fn fit(&mut self, filters: usize) {
        if self.answers.len() < filters {
            self.answers.resize(filters, (0, 0));
        }
    }

    /// Forgets all answers.
    #[inline]
    pub(crate) fn next_packet(&mut self) {
        self.packet += 1;
    }

    /// The filter in a slot has given this answer about the packet at hand.
    #[inline]
    pub(crate) fn learn(&mut self, slot: usize, answer: u32) {
        self.answers[slot] = (self.packet, answer);
    }

    /// The answer of the filter in a slot about the packet at hand: the one it gave, or else what `run` finds.
    #[inline]
    pub(crate) fn answer(&mut self, slot: usize, run: impl FnOnce() -> u32) -> u32 {
        let (packet, answer) = &mut self.answers[slot];
        if *packet != self.packet {
            *answer = run();
            *packet = self.packet;
        }
        *answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_runs_once_for_each_packet() {
        let mut memo = Memo::default();
        memo.fit(2);
        let mut runs = 0;
        for packet in 1..=3 {
            memo.next_packet();
            for _ in 0..4 {
                let answer = memo.answer(1, || {
                    runs += 1;
                    packet * 10
                });
                assert_eq!(answer, packet * 10);
            }
            assert_eq!(runs, packet);
        }
        assert_eq!(memo.answer(0, || 7), 7, "another filter has an answer of its own");
    }
}
