//! What the control plane sees of a map: copies of entries, in batches.

/// A copy of an entry at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryCopy {
    /// The key.
    pub key: Box<[u8]>,
    /// The value, its lock word (if it has one) as 0.
    pub value: Box<[u8]>,
}

/// How far a scan of a map has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// Before the first entry.
    pub const START: Cursor = Cursor(0);

    /// Copies what is at the places below `end` until there are `limit` copies.
    pub(crate) fn advance(
        &mut self,
        end: u64,
        limit: usize,
        copy: impl Fn(u64) -> Option<EntryCopy>,
    ) -> Vec<EntryCopy> {
        let mut copies = Vec::new();
        while self.0 < end && copies.len() < limit {
            copies.extend(copy(self.0));
            self.0 += 1;
        }
        copies
    }
}
