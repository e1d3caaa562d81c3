//! The bodies of requests.

use super::records::{StateEntry, Store, decode_key, encode_key};
use super::{OkoError, OkoErrorCode, Operation, cut, messages_of, read_text, write_text};
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::message::Message;
use crate::wire::{Reader, Writer};

/// What the programs of an artifact were written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
pub enum Abi {
    /// Linux's XDP, and what `okoc` makes.
    #[default]
    Linux = 0,
    /// The first Oko: `entry(packet, length)`.
    Original = 1,
}

/// A filter operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// Loads the filters of an artifact. Answered by [`super::Reply::Filters`] with those that it loaded.
    ///
    /// Body: text name, u32 ABI, then the artifact to the end.
    Load {
        /// The name to load it under; empty for the filters' own names. Only for artifacts with one filter.
        name: String,
        /// What its programs were written for.
        abi: Abi,
        /// The ELF object.
        artifact: Vec<u8>,
    },
    /// Replaces the artifact that a filter came from by another version, for all filters of the artifact, whose numbers stay. State that fits goes
    /// on. Answered by [`super::Reply::Replaced`]. If anything is wrong, nothing has changed.
    ///
    /// Body: text name, u32 ABI, then the artifact to the end.
    Replace {
        /// The filter.
        name: String,
        /// What its programs were written for.
        abi: Abi,
        /// The ELF object.
        artifact: Vec<u8>,
    },
    /// Unloads a filter that no flow entry names. Answered by [`super::Reply::Done`].
    ///
    /// Body: text name.
    Unload {
        /// The filter.
        name: String,
    },
    /// Lists the loaded filters. Answered by [`super::Reply::Filters`].
    ///
    /// Body: empty.
    List,
    /// Asks for the schema in the artifact of a filter. Answered by [`super::Reply::Schema`].
    ///
    /// Body: text name.
    Schema {
        /// The filter.
        name: String,
    },
    /// Lists the states and tables of a filter's artifact. Answered by [`super::Reply::States`].
    ///
    /// Body: text filter.
    StateList {
        /// The filter.
        filter: String,
    },
    /// Reads the live entries of a state or table. Answered by [`super::Reply::Entries`], in as many parts as it takes; each entry is
    /// as it was at one moment, and those that come or go meanwhile may be missed.
    ///
    /// Body: text filter, text name.
    Read {
        /// STATE_READ or TABLE_READ.
        store: Store,
        /// The filter.
        filter: String,
        /// The state or table.
        name: String,
    },
    /// Reads the entries under some keys. Answered by [`super::Reply::Entries`] with those that are there.
    ///
    /// Body: text filter, text name, then for each key: u16 number of scalars, 6 bytes of zero, the scalars as u64. Scalars are as in replies:
    /// a key that ends in a prefix has the prefix's length as one more.
    Get {
        /// STATE_GET or TABLE_GET.
        store: Store,
        /// The filter.
        filter: String,
        /// The state or table.
        name: String,
        /// The keys.
        keys: Vec<Vec<u64>>,
    },
    /// Writes entries, in the place of those that are there under their keys. If one of them does not fit, none is written. Answered by
    /// [`super::Reply::Written`], for there may be no room.
    ///
    /// Body: text filter, text name, then entries as in [`super::Reply::Entries`], whose age is not looked at. Entries of tables never expire.
    Write {
        /// STATE_WRITE or TABLE_WRITE.
        store: Store,
        /// The filter.
        filter: String,
        /// The state or table.
        name: String,
        /// The entries.
        entries: Vec<StateEntry>,
    },
    /// Deletes the entries under some keys. Answered by [`super::Reply::Deleted`].
    ///
    /// Body: as of [`Request::Get`].
    Delete {
        /// STATE_DELETE or TABLE_DELETE.
        store: Store,
        /// The filter.
        filter: String,
        /// The state or table.
        name: String,
        /// The keys.
        keys: Vec<Vec<u64>>,
    },
    /// Deletes all entries. Answered by [`super::Reply::Done`].
    ///
    /// Body: text filter, text name.
    Clear {
        /// STATE_CLEAR or TABLE_CLEAR.
        store: Store,
        /// The filter.
        filter: String,
        /// The state or table.
        name: String,
    },
    /// Asks for the events of a filter's artifact from now on. Answered by [`super::Reply::Done`], and by [`super::Reply::Events`] whenever there are some.
    ///
    /// Body: text filter; empty for all filters, also those that are loaded later.
    EventSubscribe {
        /// The filter.
        filter: String,
    },
    /// Takes a subscription back. Answered by [`super::Reply::Done`].
    ///
    /// Body: text filter; empty for all subscriptions.
    EventUnsubscribe {
        /// The filter.
        filter: String,
    },
    /// Reads the values of all params of a filter. Answered by [`super::Reply::Params`].
    ///
    /// Body: text filter.
    ParamGet {
        /// The filter.
        filter: String,
    },
    /// Sets params, all or none. Answered by [`super::Reply::Params`] with the new values of all params.
    ///
    /// Body: text filter, then for each: text name, u64 value.
    ParamSet {
        /// The filter.
        filter: String,
        /// Names and new values.
        values: Vec<(String, u64)>,
    },
    /// Opens a device and adds it as a port, under a running switch. Controllers hear of it by a port-status message. Answered by
    /// [`super::Reply::Done`].
    ///
    /// Body: u32 number, u8 1 if it carries packets from the start, 3 bytes of zero, text name, text device.
    PortAdd {
        /// Its OpenFlow number; 0 for the lowest that is free.
        number: u32,
        /// Whether it carries packets from the start.
        up: bool,
        /// Its name, 1 to 15 bytes.
        name: String,
        /// The DPDK device.
        device: String,
    },
    /// Removes a port and closes its device. Packets that are on their way are sent before; flow entries that name the port stay, and drop. Controllers
    /// hear of it by a port-status message. Answered by [`super::Reply::Done`].
    ///
    /// Body: u32 number.
    PortRemove {
        /// Its OpenFlow number.
        number: u32,
    },
}

impl Request {
    /// The operation's number.
    pub fn operation(&self) -> Operation {
        match self {
            Request::Load { .. } => Operation::FilterLoad,
            Request::Replace { .. } => Operation::FilterReplace,
            Request::Unload { .. } => Operation::FilterUnload,
            Request::List => Operation::FilterList,
            Request::Schema { .. } => Operation::FilterSchema,
            Request::StateList { .. } => Operation::StateList,
            Request::Read { store, .. } => store.read(),
            Request::Get { store, .. } => store.get(),
            Request::Write { store, .. } => store.write(),
            Request::Delete { store, .. } => store.delete(),
            Request::Clear { store, .. } => store.clear(),
            Request::EventSubscribe { .. } => Operation::EventSubscribe,
            Request::EventUnsubscribe { .. } => Operation::EventUnsubscribe,
            Request::ParamGet { .. } => Operation::ParamGet,
            Request::ParamSet { .. } => Operation::ParamSet,
            Request::PortAdd { .. } => Operation::PortAdd,
            Request::PortRemove { .. } => Operation::PortRemove,
        }
    }

    /// Reads a body that [`super::Assembler`] has put together. An operation that only the
    /// switch sends is [`OkoErrorCode::Unsupported`], a malformed body [`OkoErrorCode::BadRequest`].
    pub fn decode(operation: Operation, body: &[u8]) -> Result<Request, OkoError> {
        let mut r = Reader::new(body, 20, "operation", ErrorCode::RequestBadLen);
        let request = match decode(operation, &mut r) {
            Ok(Some(request)) => request,
            Ok(None) => {
                return Err(OkoError::new(
                    OkoErrorCode::Unsupported,
                    format!("{operation} is for the switch to send"),
                ));
            }
            Err(e) => return Err(bad_request(operation, &e)),
        };
        r.end().map_err(|e| bad_request(operation, &e))?;
        Ok(request)
    }

    /// The messages of this request, all to be sent with the same transaction id.
    pub fn to_messages(&self) -> Vec<Message> {
        let mut w = Writer::default();
        match self {
            Request::Load { name, abi, artifact } | Request::Replace { name, abi, artifact } => {
                write_text(name, &mut w);
                w.u32(*abi as u32);
                w.bytes(artifact);
            }
            Request::Unload { name } | Request::Schema { name } => write_text(name, &mut w),
            Request::List => {}
            Request::Read { filter, name, .. } | Request::Clear { filter, name, .. } => {
                write_text(filter, &mut w);
                write_text(name, &mut w);
            }
            Request::Get { filter, name, keys, .. } | Request::Delete { filter, name, keys, .. } => {
                write_text(filter, &mut w);
                write_text(name, &mut w);
                keys.iter().for_each(|key| encode_key(key, &mut w));
            }
            Request::Write { filter, name, entries, .. } => {
                write_text(filter, &mut w);
                write_text(name, &mut w);
                entries.iter().for_each(|entry| entry.encode(&mut w));
            }
            Request::StateList { filter }
            | Request::ParamGet { filter }
            | Request::EventSubscribe { filter }
            | Request::EventUnsubscribe { filter } => write_text(filter, &mut w),
            Request::PortAdd { number, up, name, device } => {
                w.u32(*number);
                w.bytes(&[u8::from(*up), 0, 0, 0]);
                write_text(name, &mut w);
                write_text(device, &mut w);
            }
            Request::PortRemove { number } => w.u32(*number),
            Request::ParamSet { filter, values } => {
                write_text(filter, &mut w);
                for (name, value) in values {
                    write_text(name, &mut w);
                    w.u64(*value);
                }
            }
        }
        messages_of(self.operation(), false, cut(&w.out))
    }
}

fn decode(operation: Operation, r: &mut Reader<'_>) -> Result<Option<Request>, DecodeError> {
    if let Some(store) = Store::of(operation) {
        return about_entries(store, operation, r).map(Some);
    }
    Ok(Some(match operation {
        Operation::FilterLoad => {
            let (name, abi) = (read_text(r, "name")?, read_abi(r)?);
            Request::Load { name, abi, artifact: r.rest().to_vec() }
        }
        Operation::FilterReplace => {
            let (name, abi) = (read_text(r, "name")?, read_abi(r)?);
            Request::Replace { name, abi, artifact: r.rest().to_vec() }
        }
        Operation::FilterUnload => Request::Unload { name: read_text(r, "name")? },
        Operation::FilterList => Request::List,
        Operation::FilterSchema => Request::Schema { name: read_text(r, "name")? },
        Operation::StateList => Request::StateList { filter: read_text(r, "filter")? },
        Operation::ParamGet => Request::ParamGet { filter: read_text(r, "filter")? },
        Operation::ParamSet => {
            let filter = read_text(r, "filter")?;
            let values = r.all(|r| Ok((read_text(r, "param")?, r.u64()?)))?;
            Request::ParamSet { filter, values }
        }
        Operation::EventSubscribe => Request::EventSubscribe { filter: read_text(r, "filter")? },
        Operation::EventUnsubscribe => Request::EventUnsubscribe { filter: read_text(r, "filter")? },
        Operation::PortAdd => {
            let (number, up) = (r.u32()?, r.u8()? != 0);
            r.skip(3)?;
            Request::PortAdd { number, up, name: read_text(r, "name")?, device: read_text(r, "device")? }
        }
        Operation::PortRemove => Request::PortRemove { number: r.u32()? },
        // What is about entries was read above.
        _ => return Ok(None),
    }))
}

fn read_abi(r: &mut Reader<'_>) -> Result<Abi, DecodeError> {
    match r.u32()? {
        0 => Ok(Abi::Linux),
        1 => Ok(Abi::Original),
        found => {
            let expected = "0 (Linux) or 1 (the first Oko)";
            Err(r.error(
                ErrorCode::RequestBadLen,
                Problem::Value { field: "ABI", found: found.into(), expected },
            ))
        }
    }
}

fn about_entries(store: Store, operation: Operation, r: &mut Reader<'_>) -> Result<Request, DecodeError> {
    let (filter, name) = (read_text(r, "filter")?, read_text(r, "name")?);
    Ok(match operation {
        Operation::StateGet | Operation::TableGet => {
            Request::Get { store, filter, name, keys: r.all(decode_key)? }
        }
        Operation::StateDelete | Operation::TableDelete => {
            Request::Delete { store, filter, name, keys: r.all(decode_key)? }
        }
        Operation::StateWrite | Operation::TableWrite => {
            Request::Write { store, filter, name, entries: r.all(StateEntry::decode)? }
        }
        Operation::StateClear | Operation::TableClear => Request::Clear { store, filter, name },
        _ => Request::Read { store, filter, name },
    })
}

fn bad_request(operation: Operation, e: &DecodeError) -> OkoError {
    OkoError::new(OkoErrorCode::BadRequest, format!("{operation}: {e}"))
}
