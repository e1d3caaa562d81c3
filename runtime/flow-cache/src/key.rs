//! Keys: what a packet is looked up by.

/// The numbers of words that the code for keys is made for; a key with another number is filled up with zeroes to the next.
pub(crate) const WIDTHS: [usize; 7] = [1, 2, 3, 4, 6, 10, 14];

/// What is looked up: where a packet came from and what it looks like, and the relevant bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub(crate) tag: u64,
    pub(crate) words: [u64; Key::WORDS],
}

impl Key {
    /// How many words of relevant bits a key has room for.
    pub const WORDS: usize = 14;
    /// The key of nothing.
    pub(crate) const ZERO: Key = Key { tag: 0, words: [0; Key::WORDS] };

    /// The bits in which two keys of `N` words differ, all together; 0 if they are the same.
    #[inline]
    pub(crate) fn difference<const N: usize>(&self, other: &Key) -> u64 {
        let mut difference = self.tag ^ other.tag;
        for i in 0..N {
            difference |= self.words[i] ^ other.words[i];
        }
        difference
    }
}

/// The least width that has room for so many words; none if no key has.
pub(crate) fn width_for(words: usize) -> Option<usize> {
    WIDTHS.into_iter().find(|width| *width >= words)
}

/// Does something with code made for the width at hand.
macro_rules! with_width {
    ($width:expr, $n:ident => $code:expr) => {
        match $width {
            1 => {
                const $n: usize = 1;
                $code
            }
            2 => {
                const $n: usize = 2;
                $code
            }
            3 => {
                const $n: usize = 3;
                $code
            }
            4 => {
                const $n: usize = 4;
                $code
            }
            6 => {
                const $n: usize = 6;
                $code
            }
            10 => {
                const $n: usize = 10;
                $code
            }
            _ => {
                const $n: usize = 14;
                $code
            }
        }
    };
}
pub(crate) use with_width;
