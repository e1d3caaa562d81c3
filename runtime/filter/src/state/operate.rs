//! States and tables as an operator addresses them: by the scalars of keys, many at a time.
//!
//! An operator does not know how wide the parts of a key are. So where a table is of prefixes, its keys have the length of the prefix as one more
//! scalar, counted from the first bit of the last 128 bits of the key, which are an address in tables that `okoc` has made. Keys and values of an object without a
//! schema are their bytes, a scalar each.

use oko_ir::interp::{TableError, TableKey};
use oko_ir::{Match, StateDecl, StateKind};
use oko_state::{Cursor, Update, UpdateError};

use super::bound::{Row, States};
use super::scalars::{key_bytes, table_key_bytes, value_bytes};
use super::view::{StateEntry, entries, entry, is_live, taken_apart};
use crate::error::StateError;

/// Who writes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Filters, of a state. The control plane may, too.
    Filters,
    /// The control plane alone, of a table.
    ControlPlane,
}

/// An entry to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The scalars of its key.
    pub key: Vec<u64>,
    /// The scalars of its value.
    pub value: Vec<u64>,
    /// When it expires, nanoseconds; `u64::MAX` for never. Entries of tables never do.
    pub expires_at: u64,
}

/// What became of entries to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// So many were.
    pub written: u32,
    /// For so many there was no room.
    pub refused: u32,
}

/// How far a reader of all entries has come.
#[derive(Debug)]
pub struct Batches(Progress);

#[derive(Debug)]
enum Progress {
    Scan(Cursor),
    /// The copies of several workers can only be put together as a whole.
    Whole(std::vec::IntoIter<StateEntry>),
}

impl Default for Batches {
    fn default() -> Self {
        Batches(Progress::Scan(Cursor::START))
    }
}

impl States {
    pub(crate) fn owner(&self, name: &str) -> Result<Owner, StateError> {
        let row = self.row(name)?;
        let table = row.decl().is_some_and(|decl| matches!(decl.kind, StateKind::Table(_)));
        Ok(if table { Owner::ControlPlane } else { Owner::Filters })
    }

    /// The next entries, up to `limit`; none if there are no more.
    pub(crate) fn batch(
        &self,
        name: &str,
        batches: &mut Batches,
        limit: usize,
        now: u64,
    ) -> Result<Vec<StateEntry>, StateError> {
        let row = self.row(name)?;
        if let Progress::Scan(cursor) = &mut batches.0 {
            if row.map.copies().len() == 1 {
                loop {
                    let copies = row.map.scan(cursor, limit);
                    if copies.is_empty() {
                        return Ok(Vec::new());
                    }
                    let apart =
                        copies.into_iter().map(|copy| taken_apart(copy, row.map.shape().header, row.decl()));
                    let live: Vec<StateEntry> = apart
                        .filter(|entry| is_live(entry, now, row.decl()))
                        .map(|entry| shown(row.decl(), entry))
                        .collect();
                    if !live.is_empty() {
                        return Ok(live);
                    }
                }
            }
            batches.0 = Progress::Whole(entries(&row.map, row.decl(), now).into_iter());
        }
        let Progress::Whole(rest) = &mut batches.0 else { return Ok(Vec::new()) };
        Ok(rest.take(limit).map(|entry| shown(row.decl(), entry)).collect())
    }

    /// The live entries under some keys.
    pub(crate) fn get(&self, name: &str, keys: &[Vec<u64>], now: u64) -> Result<Vec<StateEntry>, StateError> {
        let row = self.row(name)?;
        let keys = keys.iter().map(|key| row.key(key)).collect::<Result<Vec<_>, _>>()?;
        let found = keys.iter().filter_map(|key| entry(&row.map, row.decl(), key, now));
        Ok(found.map(|entry| shown(row.decl(), entry)).collect())
    }

    /// Writes entries; nothing if one of them does not fit.
    pub(crate) fn set(&self, name: &str, new: &[NewEntry], now: u64) -> Result<Written, StateError> {
        let row = self.row(name)?;
        if row.map.copies().len() > 1 {
            return Err(StateError::PerCore { name: name.to_owned() });
        }
        let prepared = new
            .iter()
            .map(|entry| Ok((row.key(&entry.key)?, row.value(&entry.value, entry.expires_at, now)?)))
            .collect::<Result<Vec<_>, StateError>>()?;
        let mut done = Written::default();
        for (key, value) in prepared {
            match row.map.update(&key, &value, Update::Any, now) {
                Ok(()) => done.written += 1,
                Err(UpdateError::Full) => done.refused += 1,
                // An index that is too great was refused with its key.
                Err(_) => return Err(row.no_entry()),
            }
        }
        Ok(done)
    }

    /// Deletes the entries under some keys; says how many there were.
    pub(crate) fn unset(&self, name: &str, keys: &[Vec<u64>]) -> Result<u32, StateError> {
        let row = self.row(name)?;
        let keys = keys.iter().map(|key| row.key(key)).collect::<Result<Vec<_>, _>>()?;
        Ok(keys.iter().map(|key| u32::from(row.map.delete(key))).sum())
    }
}

impl Row {
    pub(super) fn wrong(&self, source: TableError) -> StateError {
        StateError::Entry { name: self.plan.name.clone(), source }
    }

    pub(super) fn no_entry(&self) -> StateError {
        StateError::NoEntry { name: self.plan.name.clone(), capacity: self.map.shape().capacity }
    }

    /// The bytes of an operator's key.
    fn key(&self, key: &[u64]) -> Result<Vec<u8>, StateError> {
        let Some(decl) = self.decl() else {
            return self.plain(key, self.map.shape().key_size);
        };
        let indexed = matches!(decl.kind, StateKind::Array | StateKind::Words);
        if indexed && key.first().is_some_and(|index| *index >= u64::from(decl.capacity)) {
            return Err(self.no_entry());
        }
        let bytes = match table_key(decl, key) {
            Some(key) => key.and_then(|key| table_key_bytes(decl, &key)),
            None => key_bytes(decl, key),
        };
        bytes.map_err(|source| self.wrong(source))
    }

    fn value(&self, value: &[u64], expires: u64, now: u64) -> Result<Vec<u8>, StateError> {
        match self.decl() {
            Some(decl) => value_bytes(decl, value, expires, now).map_err(|source| self.wrong(source)),
            None => self.plain(value, self.map.shape().value_size),
        }
    }

    /// Bytes that were given as scalars.
    fn plain(&self, scalars: &[u64], size: u32) -> Result<Vec<u8>, StateError> {
        if scalars.len() != size as usize {
            let (expected, found) = (size as usize, scalars.len());
            return Err(self.wrong(TableError::Fields { expected, found }));
        }
        let bytes = scalars.iter().enumerate().map(|(index, &found)| {
            u8::try_from(found).map_err(|_| {
                self.wrong(TableError::TooWide { what: "byte", index, max: u8::MAX.into(), found })
            })
        });
        bytes.collect()
    }
}

/// Where the address of a key that ends in a prefix begins, in bits.
fn address_start(decl: &StateDecl) -> u32 {
    decl.key_bits().saturating_sub(128)
}

/// An operator's key of a table of prefixes; none for other keys.
fn table_key(decl: &StateDecl, key: &[u64]) -> Option<Result<TableKey, TableError>> {
    if decl.kind != StateKind::Table(Match::Prefix) {
        return None;
    }
    let expected = decl.key.len() + 1;
    let Some((&length, parts)) = key.split_last().filter(|_| key.len() == expected) else {
        return Some(Err(TableError::KeyParts { expected, found: key.len() }));
    };
    let start = address_start(decl);
    let longest = decl.key_bits() - start;
    Some(match u32::try_from(length) {
        Ok(length) if length <= longest => Ok(TableKey { parts: parts.to_vec(), bits: start + length }),
        _ => Err(TableError::Bits { expected: longest, found: u32::try_from(length).unwrap_or(u32::MAX) }),
    })
}

/// An entry as an operator sees it.
fn shown(decl: Option<&StateDecl>, mut entry: StateEntry) -> StateEntry {
    let scalars = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).collect();
    match decl {
        None => (entry.key, entry.fields) = (scalars(&entry.raw_key), scalars(&entry.raw_value)),
        Some(decl) => {
            if let StateKind::Table(of) = decl.kind
                && let Some(bits) = entry.key.pop()
                && of == Match::Prefix
            {
                entry.key.push(bits.saturating_sub(address_start(decl).into()));
            }
        }
    }
    entry
}
