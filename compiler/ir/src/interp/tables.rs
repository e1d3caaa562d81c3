//! Tables: what the control plane writes and filters look up.

use std::collections::BTreeMap;

use crate::module::{Match, StateDecl};

/// Why a table does not take what the control plane wants it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// There is no table under this reference.
    #[error("no table {state}")]
    NoTable {
        /// The state asked for.
        state: crate::State,
    },
    /// The key has another number of parts.
    #[error("expected {expected} parts of a key, found {found}")]
    KeyParts {
        /// How many the table's keys have.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The entry has another number of scalars.
    #[error("expected {expected} scalars, found {found}")]
    Fields {
        /// How many the table's entries have.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A value has more bits than there is room for.
    #[error("expected at most {max} for {what} {index}, found {found}")]
    TooWide {
        /// `part` of a key or `scalar` of an entry.
        what: &'static str,
        /// Its index.
        index: usize,
        /// The greatest value.
        max: u64,
        /// The value given.
        found: u64,
    },
    /// A prefix is too long, or an exact table is given one.
    #[error("expected a prefix of {expected} bits, found {found}")]
    Bits {
        /// The greatest length; for an exact table the only one.
        expected: u32,
        /// The length given.
        found: u32,
    },
    /// The key has bits behind its prefix.
    #[error("the key has bits behind its first {bits}")]
    BitsBehind {
        /// The length of the prefix.
        bits: u32,
    },
    /// There is no room for another entry.
    #[error("the table is full: it holds {capacity} entries")]
    Full {
        /// How many entries it holds.
        capacity: u32,
    },
}

/// A key as the control plane gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableKey {
    /// Its parts; behind the prefix, their bits are 0.
    pub parts: Vec<u64>,
    /// How many of its bits count, from the most significant bit of the first part on.
    pub bits: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) decl: StateDecl,
    by: Match,
    pub(super) entries: BTreeMap<TableKey, Vec<u64>>,
}

impl Table {
    pub(super) fn new(decl: &StateDecl, by: Match) -> Table {
        Table { decl: decl.clone(), by, entries: BTreeMap::new() }
    }

    /// The entry that belongs to a key whose parts have been cut to their widths.
    pub(super) fn find(&self, key: &[u64]) -> Option<&TableKey> {
        let belongs = |entry: &&TableKey| self.cut(key, entry.bits) == entry.parts;
        self.entries.keys().filter(belongs).max_by_key(|entry| entry.bits)
    }

    pub(super) fn put(&mut self, key: TableKey, fields: &[u64]) -> Result<(), TableError> {
        self.check_key(&key)?;
        let widths: Vec<u64> = self
            .decl
            .fields
            .iter()
            .flat_map(|field| std::iter::repeat_n(field.width.max(), field.count as usize))
            .collect();
        if fields.len() != widths.len() {
            return Err(TableError::Fields { expected: widths.len(), found: fields.len() });
        }
        fit("scalar", fields, &widths)?;
        let capacity = self.decl.capacity;
        if self.entries.len() >= capacity as usize && !self.entries.contains_key(&key) {
            return Err(TableError::Full { capacity });
        }
        self.entries.insert(key, fields.to_vec());
        Ok(())
    }

    /// Gives whether there was one.
    pub(super) fn remove(&mut self, key: &TableKey) -> Result<bool, TableError> {
        self.check_key(key)?;
        Ok(self.entries.remove(key).is_some())
    }

    fn check_key(&self, key: &TableKey) -> Result<(), TableError> {
        let (expected, found) = (self.decl.key.len(), key.parts.len());
        if expected != found {
            return Err(TableError::KeyParts { expected, found });
        }
        let widths: Vec<u64> = self.decl.key.iter().map(|part| part.width.max()).collect();
        fit("part", &key.parts, &widths)?;
        let all = self.decl.key_bits();
        let fits = match self.by {
            Match::Exact => key.bits == all,
            Match::Prefix => key.bits <= all,
        };
        if !fits {
            return Err(TableError::Bits { expected: all, found: key.bits });
        }
        if self.cut(&key.parts, key.bits) != key.parts {
            return Err(TableError::BitsBehind { bits: key.bits });
        }
        Ok(())
    }

    /// A key with zeros behind its first bits.
    fn cut(&self, key: &[u64], bits: u32) -> Vec<u64> {
        let mut rest = bits;
        let cut = self.decl.key.iter().zip(key).map(|(part, &value)| {
            let width = part.width.bits();
            let kept = rest.min(width);
            rest -= kept;
            // Of no bits, nothing is left.
            value & (part.width.max() & part.width.max().checked_shl(width - kept).unwrap_or(0))
        });
        cut.collect()
    }
}

fn fit(what: &'static str, values: &[u64], widths: &[u64]) -> Result<(), TableError> {
    for (index, (&found, &max)) in values.iter().zip(widths).enumerate() {
        if found > max {
            return Err(TableError::TooWide { what, index, max, found });
        }
    }
    Ok(())
}
