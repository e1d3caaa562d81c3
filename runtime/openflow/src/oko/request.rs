//! The bodies of requests.

use super::{OkoError, OkoErrorCode, Operation, cut, messages_of, read_text, write_text};
use crate::error::{DecodeError, ErrorCode};
use crate::message::Message;
use crate::wire::{Reader, Writer};

/// A filter operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// Loads the filters of an artifact. Answered by [`super::Reply::Filters`] with those that it loaded.
    ///
    /// Body: text name, then the artifact to the end.
    Load {
        /// The name to load it under; empty for the filters' own names. Only for artifacts with one filter.
        name: String,
        /// The ELF object.
        artifact: Vec<u8>,
    },
    /// Replaces the artifact that a filter came from by another version, for all filters of the artifact, whose numbers stay. State that fits goes
    /// on. Answered by [`super::Reply::Replaced`]. If anything is wrong, nothing has changed.
    ///
    /// Body: text name, then the artifact to the end.
    Replace {
        /// The filter.
        name: String,
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
    /// Reads the live entries of a state. Answered by [`super::Reply::State`].
    ///
    /// Body: text filter, text state.
    StateRead {
        /// The filter.
        filter: String,
        /// The state.
        state: String,
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
            Request::StateRead { .. } => Operation::StateRead,
            Request::ParamGet { .. } => Operation::ParamGet,
            Request::ParamSet { .. } => Operation::ParamSet,
        }
    }

    /// Reads a body that [`super::Assembler`] has put together. A reserved operation is
    /// [`OkoErrorCode::Unsupported`], a malformed body [`OkoErrorCode::BadRequest`].
    pub fn decode(operation: Operation, body: &[u8]) -> Result<Request, OkoError> {
        let mut r = Reader::new(body, 20, "operation", ErrorCode::RequestBadLen);
        let request = match decode(operation, &mut r) {
            Ok(Some(request)) => request,
            Ok(None) => {
                return Err(OkoError::new(
                    OkoErrorCode::Unsupported,
                    format!("{operation} is not supported"),
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
            Request::Load { name, artifact } | Request::Replace { name, artifact } => {
                write_text(name, &mut w);
                w.bytes(artifact);
            }
            Request::Unload { name } | Request::Schema { name } => write_text(name, &mut w),
            Request::List => {}
            Request::StateRead { filter, state } => {
                write_text(filter, &mut w);
                write_text(state, &mut w);
            }
            Request::ParamGet { filter } => write_text(filter, &mut w),
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
    Ok(Some(match operation {
        Operation::FilterLoad => Request::Load { name: read_text(r, "name")?, artifact: r.rest().to_vec() },
        Operation::FilterReplace => {
            Request::Replace { name: read_text(r, "name")?, artifact: r.rest().to_vec() }
        }
        Operation::FilterUnload => Request::Unload { name: read_text(r, "name")? },
        Operation::FilterList => Request::List,
        Operation::FilterSchema => Request::Schema { name: read_text(r, "name")? },
        Operation::StateRead => {
            Request::StateRead { filter: read_text(r, "filter")?, state: read_text(r, "state")? }
        }
        Operation::ParamGet => Request::ParamGet { filter: read_text(r, "filter")? },
        Operation::ParamSet => {
            let filter = read_text(r, "filter")?;
            let mut values = Vec::new();
            while !r.is_empty() {
                values.push((read_text(r, "param")?, r.u64()?));
            }
            Request::ParamSet { filter, values }
        }
        Operation::FilterStats
        | Operation::StateWrite
        | Operation::StateDelete
        | Operation::StateClear
        | Operation::TableRead
        | Operation::TableWrite
        | Operation::TableDelete
        | Operation::TableClear
        | Operation::EventSubscribe
        | Operation::EventUnsubscribe
        | Operation::Event => return Ok(None),
    }))
}

fn bad_request(operation: Operation, e: &DecodeError) -> OkoError {
    OkoError::new(OkoErrorCode::BadRequest, format!("{operation}: {e}"))
}
