//! Checksums: the Internet checksum, changed by differences (RFC 1624), and SCTP's CRC32c (RFC 9260, appendix A).
//!
//! A difference keeps what was wrong wrong: a packet that was damaged on its way does not leave the switch with a checksum that says
//! it was not.

/// A change of the one's complement sum over some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference(u64);

impl Difference {
    /// What it makes to have `new` instead of `old`, of the same length, `at` bytes from the start of the sum.
    pub(crate) fn between(old: &[u8], new: &[u8], at: usize) -> Difference {
        debug_assert_eq!(old.len(), new.len());
        let mut sum = 0_u64;
        for (i, (old, new)) in old.iter().zip(new).enumerate() {
            let shift = if (at + i).is_multiple_of(2) { 8 } else { 0 };
            sum += u64::from(*new) << shift;
            // The complement of a byte in its place, 0xffff being zero in this arithmetic.
            sum += 0xffff - (u64::from(*old) << shift);
        }
        Difference(sum)
    }

    /// The same of two words at an even place.
    #[inline]
    pub(crate) fn of_words(old: u32, new: u32) -> Difference {
        let halves = |word: u32| u64::from(word >> 16) + u64::from(word & 0xffff);
        // Never 0, so that equal changes give equal checksums whichever way they were found: 0 and 0xffff are the same number.
        Difference(halves(new) + halves(!old) + 0xffff)
    }

    /// Both changes.
    #[inline]
    #[must_use]
    pub(crate) fn and(self, other: Difference) -> Difference {
        Difference(self.0 + other.0)
    }

    /// The checksum that follows from `checksum`. RFC 1624, equation 3.
    #[inline]
    pub(crate) fn apply(self, checksum: u16) -> u16 {
        let mut sum = u64::from(!checksum) + self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

/// The reflected polynomial of CRC32c.
const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// The checksum field of an SCTP packet as its four bytes are on the wire; the field itself counts as 0.
pub(crate) fn sctp(packet: &[u8]) -> [u8; 4] {
    let step = |crc: u32, byte: u8| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    let mut crc = u32::MAX;
    for (i, byte) in packet.iter().enumerate() {
        crc = step(crc, if (8..12).contains(&i) { 0 } else { *byte });
    }
    (!crc).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: &[u8]) -> u16 {
        let mut sum: u32 =
            bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn a_difference_gives_what_summing_anew_gives() {
        let mut bytes: Vec<u8> = (0..40).map(|i| (i * 37 % 251) as u8).collect();
        for at in 0..30 {
            for len in 1..8 {
                let before = plain(&bytes);
                let new: Vec<u8> = (0..len).map(|i| (at * 11 + i * 53) as u8).collect();
                let change = Difference::between(&bytes[at..at + len], &new, at);
                bytes[at..at + len].copy_from_slice(&new);
                assert_eq!(change.apply(before), plain(&bytes), "{len} bytes at {at}");
            }
        }
    }

    /// RFC 3720, appendix B.4: the CRC of 32 bytes of zeroes is `aa 36 91 8a` on the wire.
    #[test]
    fn crc32c_gives_the_published_value() {
        assert_eq!(sctp(&[0; 32]), [0xaa, 0x36, 0x91, 0x8a]);
    }
}
