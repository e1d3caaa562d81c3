//! Tables: what the control plane writes and filters look up.

use std::collections::BTreeMap;

use crate::module::{Match, StateDecl, StateKind};

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
    pub(super) entries: BTreeMap<TableKey, Vec<u64>>,
}

impl Table {
    pub(super) fn new(decl: &StateDecl) -> Table {
        Table { decl: decl.clone(), entries: BTreeMap::new() }
    }

    /// The entry that belongs to a key whose parts have been cut to their widths.
    pub(super) fn find(&self, key: &[u64]) -> Option<&TableKey> {
        let belongs = |entry: &&TableKey| cut(&self.decl, key, entry.bits) == entry.parts;
        self.entries.keys().filter(belongs).max_by_key(|entry| entry.bits)
    }

    pub(super) fn put(&mut self, key: TableKey, fields: &[u64]) -> Result<(), TableError> {
        key.check(&self.decl)?;
        check_fields(&self.decl, fields)?;
        let capacity = self.decl.capacity;
        if self.entries.len() >= capacity as usize && !self.entries.contains_key(&key) {
            return Err(TableError::Full { capacity });
        }
        self.entries.insert(key, fields.to_vec());
        Ok(())
    }

    /// Gives whether there was one.
    pub(super) fn remove(&mut self, key: &TableKey) -> Result<bool, TableError> {
        key.check(&self.decl)?;
        Ok(self.entries.remove(key).is_some())
    }
}

impl TableKey {
    /// Looks whether a table of this declaration may have an entry under this key.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit.
    pub fn check(&self, decl: &StateDecl) -> Result<(), TableError> {
        let (expected, found) = (decl.key.len(), self.parts.len());
        if expected != found {
            return Err(TableError::KeyParts { expected, found });
        }
        let limits: Vec<u64> = decl.key.iter().map(|part| part.width.max()).collect();
        fit("part", &self.parts, &limits)?;
        let all = decl.key_bits();
        let fits = match decl.kind {
            StateKind::Table(Match::Prefix) => self.bits <= all,
            _ => self.bits == all,
        };
        if !fits {
            return Err(TableError::Bits { expected: all, found: self.bits });
        }
        if cut(decl, &self.parts, self.bits) != self.parts {
            return Err(TableError::BitsBehind { bits: self.bits });
        }
        Ok(())
    }
}

/// Looks whether the entries of a state of this declaration may have these scalars.
///
/// # Errors
///
/// There are more or fewer, or one has more bits than its field.
pub fn check_fields(decl: &StateDecl, fields: &[u64]) -> Result<(), TableError> {
    let limits = decl.scalar_limits();
    if fields.len() != limits.len() {
        return Err(TableError::Fields { expected: limits.len(), found: fields.len() });
    }
    fit("scalar", fields, &limits)
}

/// A key with zeros behind its first bits.
fn cut(decl: &StateDecl, key: &[u64], bits: u32) -> Vec<u64> {
    let mut rest = bits;
    let cut = decl.key.iter().zip(key).map(|(part, &value)| {
        let width = part.width.bits();
        let kept = rest.min(width);
        rest -= kept;
        // Of no bits, nothing is left.
        value & (part.width.max() & part.width.max().checked_shl(width - kept).unwrap_or(0))
    });
    cut.collect()
}

fn fit(what: &'static str, values: &[u64], limits: &[u64]) -> Result<(), TableError> {
    for (index, (&found, &max)) in values.iter().zip(limits).enumerate() {
        if found > max {
            return Err(TableError::TooWide { what, index, max, found });
        }
    }
    Ok(())
}
