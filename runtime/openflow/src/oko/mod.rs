//! Filter operations: experimenter messages with the id [`EXPERIMENTER`]. Network byte order throughout.
//!
//! Every message is an `OFPT_EXPERIMENTER` with this layout:
//!
//! ```text
//! byte  0  ofp_header     8 bytes; a reply has its request's transaction id
//!       8  u32  0x4f4b4f00 (experimenter id, "OKO\0")
//!      12  u32  operation; replies have the highest bit set (0x8000_0000 | operation)
//!      16  u16  flags: bit 0 MORE, another part of the same request or reply follows
//!      18  u16  zero
//!      20  body
//! ```
//!
//! Operations:
//!
//! ```text
//! 0x01 FILTER_LOAD    0x10 STATE_READ     0x20 TABLE_READ    0x30 PARAM_GET   0x40 EVENT_SUBSCRIBE
//! 0x02 FILTER_REPLACE 0x11 STATE_WRITE    0x21 TABLE_WRITE   0x31 PARAM_SET   0x41 EVENT_UNSUBSCRIBE
//! 0x03 FILTER_UNLOAD  0x12 STATE_DELETE   0x22 TABLE_DELETE                   0x42 EVENT (from the switch)
//! 0x04 FILTER_LIST    0x13 STATE_CLEAR    0x23 TABLE_CLEAR
//! 0x06 FILTER_SCHEMA  0x14 STATE_LIST
//!                     0x15 STATE_GET      0x25 TABLE_GET                      0x50 PORT_ADD
//!                                                                             0x51 PORT_REMOVE
//! ```
//!
//! A *request* whose body is longer than one message (an artifact, as a rule) is cut anywhere; the parts follow each
//! other on the connection with the same transaction id, and [`Assembler`] puts them together. The parts of a *reply*
//! are cut between records, so that each can be read and shown as it comes; only the JSON of `FILTER_SCHEMA` is cut
//! anywhere. Errors are `OFPT_ERROR` messages, see [`OkoError`].
//!
//! The bodies are laid out in [`Request`] and [`Reply`]. In them, a *text* is a u16 length in bytes and that many bytes of
//! UTF-8, without padding.

mod error;
mod records;
mod reply;
mod request;

pub use error::{OkoError, OkoErrorCode};
pub use records::{Event, StateEntry, StateInfo, Store};
pub use reply::{ClassInfo, Fate, FilterInfo, ParamValue, Replaced, Reply};
pub use request::{Abi, Request};

use std::fmt;

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::message::{HEADER_LEN, Message};
use crate::wire::{Reader, Writer};

/// The experimenter id of our match condition and messages.
pub const EXPERIMENTER: u32 = 0x4f4b_4f00;

/// Bytes of a body that one message can hold.
pub const PART_ROOM: usize = u16::MAX as usize - HEADER_LEN - 12;

const MORE: u16 = 1;
const REPLY: u32 = 0x8000_0000;

macro_rules! operations {
    ($( $(#[$doc:meta])* $variant:ident = $number:literal, $name:literal; )*) => {
        /// What is asked of the switch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Operation { $( $(#[$doc])* $variant = $number, )* }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Operation] = &[$( Operation::$variant, )*];

            fn name(self) -> &'static str {
                match self { $( Operation::$variant => $name, )* }
            }
        }
    };
}

operations! {
    /// Loads an artifact.
    FilterLoad = 0x01, "FILTER_LOAD";
    /// Replaces an artifact by another version, which keeps the state that fits.
    FilterReplace = 0x02, "FILTER_REPLACE";
    /// Unloads a filter.
    FilterUnload = 0x03, "FILTER_UNLOAD";
    /// Lists the loaded filters.
    FilterList = 0x04, "FILTER_LIST";
    /// The schema in a filter's artifact.
    FilterSchema = 0x06, "FILTER_SCHEMA";
    /// Reads all entries of a state.
    StateRead = 0x10, "STATE_READ";
    /// Writes entries of a state.
    StateWrite = 0x11, "STATE_WRITE";
    /// Deletes entries of a state.
    StateDelete = 0x12, "STATE_DELETE";
    /// Deletes all entries of a state.
    StateClear = 0x13, "STATE_CLEAR";
    /// Lists the states and tables of a filter.
    StateList = 0x14, "STATE_LIST";
    /// Reads entries of a state by their keys.
    StateGet = 0x15, "STATE_GET";
    /// Reads all entries of a table.
    TableRead = 0x20, "TABLE_READ";
    /// Writes entries of a table.
    TableWrite = 0x21, "TABLE_WRITE";
    /// Deletes entries of a table.
    TableDelete = 0x22, "TABLE_DELETE";
    /// Deletes all entries of a table.
    TableClear = 0x23, "TABLE_CLEAR";
    /// Reads entries of a table by their keys.
    TableGet = 0x25, "TABLE_GET";
    /// Reads the params of a filter.
    ParamGet = 0x30, "PARAM_GET";
    /// Sets params of a filter.
    ParamSet = 0x31, "PARAM_SET";
    /// Asks for events.
    EventSubscribe = 0x40, "EVENT_SUBSCRIBE";
    /// Asks for no more events.
    EventUnsubscribe = 0x41, "EVENT_UNSUBSCRIBE";
    /// Events, sent by the switch.
    Event = 0x42, "EVENT";
    /// Adds a port.
    PortAdd = 0x50, "PORT_ADD";
    /// Removes a port.
    PortRemove = 0x51, "PORT_REMOVE";
}

impl Operation {
    /// The operation with this number.
    pub fn from_wire(number: u32) -> Option<Operation> {
        Operation::ALL.iter().copied().find(|op| *op as u32 == number)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One message of an operation: a request or reply, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OkoPart {
    /// The operation.
    pub operation: Operation,
    /// A reply, not a request.
    pub reply: bool,
    /// Another part follows.
    pub more: bool,
    /// The body or a part of it.
    pub body: Vec<u8>,
}

impl OkoPart {
    pub(crate) fn decode(exp_type: u32, r: &mut Reader<'_>) -> Result<OkoPart, DecodeError> {
        let Some(operation) = Operation::from_wire(exp_type & !REPLY) else {
            let problem =
                Problem::Value { field: "operation", found: exp_type.into(), expected: "a known operation" };
            return Err(r.error(ErrorCode::RequestBadExpType, problem));
        };
        let flags = r.u16()?;
        if flags & !MORE != 0 {
            let problem = Problem::Value { field: "flags", found: flags.into(), expected: "0 or 1" };
            return Err(r.error(ErrorCode::RequestBadExpType, problem));
        }
        r.skip(2)?;
        let reply = exp_type & REPLY != 0;
        Ok(OkoPart { operation, reply, more: flags & MORE != 0, body: r.rest().to_vec() })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(EXPERIMENTER);
        w.u32(self.operation as u32 | if self.reply { REPLY } else { 0 });
        w.u16(u16::from(self.more) * MORE);
        w.u16(0);
        w.bytes(&self.body);
    }
}

/// The messages for bodies of at most [`PART_ROOM`] bytes each, all but the last with `MORE`.
fn messages_of(operation: Operation, reply: bool, bodies: Vec<Vec<u8>>) -> Vec<Message> {
    let last = bodies.len().saturating_sub(1);
    bodies
        .into_iter()
        .enumerate()
        .map(|(i, body)| Message::Oko(OkoPart { operation, reply, more: i != last, body }))
        .collect()
}

/// A body cut anywhere; at least one part.
fn cut(body: &[u8]) -> Vec<Vec<u8>> {
    if body.is_empty() {
        return vec![Vec::new()];
    }
    body.chunks(PART_ROOM).map(<[u8]>::to_vec).collect()
}

/// Puts the parts of a request together. One for each connection; what it holds is bounded.
#[derive(Debug)]
pub struct Assembler {
    limit: usize,
    open: Option<(u32, Operation, Vec<u8>)>,
}

impl Assembler {
    /// An assembler for requests of at most `limit` bytes of body.
    pub fn new(limit: usize) -> Assembler {
        Assembler { limit, open: None }
    }

    /// Takes a part with its transaction id. The request once it is complete.
    ///
    /// An error ends the request that the part belongs to; parts of it that still come start another and fail in turn.
    pub fn push(&mut self, xid: u32, part: &OkoPart) -> Result<Option<Request>, OkoError> {
        let (operation, mut body) = match self.open.take() {
            Some((open_xid, operation, body)) if open_xid == xid && operation == part.operation => {
                (operation, body)
            }
            Some((open_xid, operation, _)) => {
                let text = format!(
                    "a part of {} (transaction {xid:#x}) came before the end of {operation} (transaction {open_xid:#x})",
                    part.operation
                );
                return Err(OkoError::new(OkoErrorCode::BadRequest, text));
            }
            None => (part.operation, Vec::new()),
        };
        if part.reply {
            let text = format!("a reply to {operation} where a request is expected");
            return Err(OkoError::new(OkoErrorCode::BadRequest, text));
        }
        if body.len() + part.body.len() > self.limit {
            let text = format!("{operation} is longer than {} bytes", self.limit);
            return Err(OkoError::new(OkoErrorCode::TooLong, text));
        }
        body.extend_from_slice(&part.body);
        if part.more {
            self.open = Some((xid, operation, body));
            return Ok(None);
        }
        Request::decode(operation, &body).map(Some)
    }
}

fn read_text(r: &mut Reader<'_>, field: &'static str) -> Result<String, DecodeError> {
    let len = usize::from(r.u16()?);
    let bytes = r.bytes(len)?;
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(r.error(ErrorCode::RequestBadLen, Problem::NotText { field })),
    }
}

/// Writes a text; one of more than 65535 bytes is cut, between characters.
fn write_text(text: &str, w: &mut Writer) {
    let mut end = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    w.u16(end as u16);
    w.bytes(&text.as_bytes()[..end]);
}
