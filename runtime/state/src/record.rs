//! Where a record is: what an index leads to, what lists of records hold, and all that it takes to get at its words.

/// A record of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// How many words of 8 bytes it is from the first record.
    words: usize,
}

impl Record {
    /// The first one, which in hash tables is nobody's: what memory begins with.
    pub(crate) const NOBODYS: Record = Record { words: 0 };

    /// So many words from the first one.
    #[inline]
    pub(crate) fn after(words: usize) -> Record {
        Record { words }
    }

    /// The one at a [distance](Self::distance).
    #[inline]
    pub(crate) fn at(distance: u32) -> Record {
        Record { words: distance as usize }
    }

    /// How far it is from the first one, in words: of hash tables, whose records take less than 2^32 words.
    pub(crate) fn distance(self) -> u32 {
        debug_assert!(u32::try_from(self.words).is_ok(), "the shape was checked");
        self.words as u32
    }

    /// The same in bytes.
    #[inline]
    pub(crate) fn offset(self) -> usize {
        self.words * 8
    }
}
