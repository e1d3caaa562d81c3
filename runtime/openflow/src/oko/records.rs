//! Records of what filters keep and tell: states and tables, their entries, events.

use super::{Operation, read_text, write_text};
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::ids::FilterId;
use crate::wire::{Reader, Writer};

/// What keeps entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Store {
    /// A state: filters write it, and the control plane may.
    State,
    /// A table: only the control plane writes it.
    Table,
}

impl Store {
    /// The operation that reads all entries.
    pub fn read(self) -> Operation {
        match self {
            Store::State => Operation::StateRead,
            Store::Table => Operation::TableRead,
        }
    }

    /// The operation that reads entries by their keys.
    pub fn get(self) -> Operation {
        match self {
            Store::State => Operation::StateGet,
            Store::Table => Operation::TableGet,
        }
    }

    /// The operation that writes entries.
    pub fn write(self) -> Operation {
        match self {
            Store::State => Operation::StateWrite,
            Store::Table => Operation::TableWrite,
        }
    }

    /// The operation that deletes entries by their keys.
    pub fn delete(self) -> Operation {
        match self {
            Store::State => Operation::StateDelete,
            Store::Table => Operation::TableDelete,
        }
    }

    /// The operation that deletes all entries.
    pub fn clear(self) -> Operation {
        match self {
            Store::State => Operation::StateClear,
            Store::Table => Operation::TableClear,
        }
    }

    /// What an operation is about, if it is about entries.
    pub(super) fn of(operation: Operation) -> Option<Store> {
        match operation {
            Operation::StateRead
            | Operation::StateGet
            | Operation::StateWrite
            | Operation::StateDelete
            | Operation::StateClear => Some(Store::State),
            Operation::TableRead
            | Operation::TableGet
            | Operation::TableWrite
            | Operation::TableDelete
            | Operation::TableClear => Some(Store::Table),
            _ => None,
        }
    }

    /// The word for it.
    pub fn noun(self) -> &'static str {
        match self {
            Store::State => "state",
            Store::Table => "table",
        }
    }
}

/// A state or table and how full it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateInfo {
    /// Which of the two.
    pub store: Store,
    /// Its name.
    pub name: String,
    /// How many entries it can hold.
    pub capacity: u32,
    /// How many it holds, expired ones that have not made room yet among them.
    pub entries: u32,
    /// How many keys got no entry for want of room.
    pub refused: u64,
    /// How many live entries made room for others.
    pub evicted: u64,
    /// What it takes in memory, in bytes.
    pub bytes: u64,
}

impl StateInfo {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<StateInfo, DecodeError> {
        let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
        let mut r = r.sub(len, "state record", ErrorCode::RequestBadLen)?;
        let store = match r.u8()? {
            0 => Store::State,
            1 => Store::Table,
            found => {
                let expected = "0 for a state or 1 for a table";
                let problem = Problem::Value { field: "kind", found: found.into(), expected };
                return Err(r.error(ErrorCode::RequestBadLen, problem));
            }
        };
        r.skip(3)?;
        let (capacity, entries) = (r.u32()?, r.u32()?);
        let (refused, evicted, bytes) = (r.u64()?, r.u64()?, r.u64()?);
        // Bytes that follow are of a newer switch.
        Ok(StateInfo { store, name: read_text(&mut r, "name")?, capacity, entries, refused, evicted, bytes })
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        let mut body = Writer::default();
        body.u8(u8::from(self.store == Store::Table));
        body.zeros(3);
        body.u32(self.capacity);
        body.u32(self.entries);
        body.u64(self.refused);
        body.u64(self.evicted);
        body.u64(self.bytes);
        write_text(&self.name, &mut body);
        w.u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        w.bytes(&body.out);
    }
}

/// An entry of a state or table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateEntry {
    /// Nanoseconds since it was last written. Not looked at in requests.
    pub age: u64,
    /// Nanoseconds until it expires; none for never.
    pub expires_in: Option<u64>,
    /// The scalars of its key.
    pub key: Vec<u64>,
    /// The scalars of its value.
    pub value: Vec<u64>,
}

/// The wire form of "never expires".
const NEVER: u64 = u64::MAX;

impl StateEntry {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<StateEntry, DecodeError> {
        let (age, expires_in) = (r.u64()?, r.u64()?);
        let (n_key, n_value) = (usize::from(r.u16()?), usize::from(r.u16()?));
        r.skip(4)?;
        let (key, value) = (scalars(n_key, r)?, scalars(n_value, r)?);
        Ok(StateEntry { age, expires_in: (expires_in != NEVER).then_some(expires_in), key, value })
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.u64(self.age);
        w.u64(self.expires_in.unwrap_or(NEVER));
        // A state's key and value have a handful of scalars each.
        w.u16(self.key.len() as u16);
        w.u16(self.value.len() as u16);
        w.u32(0);
        for scalar in self.key.iter().chain(&self.value) {
            w.u64(*scalar);
        }
    }
}

fn scalars(n: usize, r: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    (0..n).map(|_| r.u64()).collect()
}

/// A key record: u16 number of scalars, 6 bytes of zero, the scalars.
pub(super) fn decode_key(r: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    let n = usize::from(r.u16()?);
    r.skip(6)?;
    scalars(n, r)
}

pub(super) fn encode_key(key: &[u64], w: &mut Writer) {
    w.u16(key.len() as u16);
    w.zeros(6);
    key.iter().for_each(|scalar| w.u64(*scalar));
}

/// What a filter told of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// The instant of the packet, in nanoseconds on the switch's clock.
    pub time: u64,
    /// The filter that tells it; of an artifact with several, the first one that was subscribed to.
    pub filter: FilterId,
    /// Its name.
    pub filter_name: String,
    /// The event's name.
    pub name: String,
    /// Its scalars, in the order of the schema.
    pub values: Vec<u64>,
}

impl Event {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Event, DecodeError> {
        let (time, filter, n) = (r.u64()?, FilterId(r.u32()?), usize::from(r.u16()?));
        r.skip(2)?;
        let values = scalars(n, r)?;
        let (filter_name, name) = (read_text(r, "filter")?, read_text(r, "event")?);
        Ok(Event { time, filter, filter_name, name, values })
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.u64(self.time);
        w.u32(self.filter.0);
        w.u16(self.values.len() as u16);
        w.u16(0);
        self.values.iter().for_each(|value| w.u64(*value));
        write_text(&self.filter_name, w);
        write_text(&self.name, w);
    }
}
