//! How far records are from the one that is nobody's, in words of 8 bytes; those with numbers lie behind it.

/// The distance of the record that is nobody's: what memory begins with.
pub(crate) const NOBODYS: u32 = 0;

/// The distances of the records of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distances {
    words: u32,
    /// How often these can be halved, and what the rest is to be multiplied by to give 1 modulo 2^32: so numbers come back without a division.
    halvings: u32,
    inverse: u32,
}

impl Distances {
    /// Of records of so many words, not 0. The last one is less than 2^32 words away.
    pub(crate) fn new(words: u32) -> Distances {
        let halvings = words.trailing_zeros();
        let odd = words >> halvings;
        // Each of Newton's steps doubles the lowest bits that are right; the inverse of an odd number modulo 8 is itself.
        let inverse = (0..4)
            .fold(odd, |inverse, _| inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse))));
        Distances { words, halvings, inverse }
    }

    /// How far away a record is.
    pub(crate) fn of(self, record: u32) -> u32 {
        (record + 1) * self.words
    }

    /// The record at a distance.
    #[inline]
    pub(crate) fn record(self, distance: u32) -> u32 {
        // Of nobody's record, which somebody may see who reads while it is put there, any record will do: its key says whose it is.
        (distance >> self.halvings).wrapping_mul(self.inverse).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_from_their_distances() {
        for words in (1..=1_024).chain([8_193, 0xffff_ffff]) {
            let distances = Distances::new(words);
            let count = u32::MAX / words;
            for record in (0..count.min(100)).chain(count.saturating_sub(100)..count) {
                assert_eq!(distances.record(distances.of(record)), record, "{words} words");
            }
        }
    }
}
