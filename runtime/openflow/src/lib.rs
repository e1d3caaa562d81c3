//! The OpenFlow wire format: messages to bytes and back.
//!
//! OpenFlow 1.3 (specification 1.3.5, whose sections the documentation cites), and the experimenter messages by which
//! filters are operated ([`oko`]). The crate is a pure codec: it knows nothing of sockets, threads or tables.
//!
//! The types are those of 1.3. Messages of 1.4 and 1.5 are read into them and written from them where their form differs
//! ([`Message::decode_in`], [`Message::encode_in`]); those of 1.0, with Nicira's extensions to it, in a module of their own.
//!
//! - [`frame`] finds the messages in a byte stream, [`Message::decode`] reads one, [`Message::encode`] writes one.
//! - No input makes it panic, and nothing is accepted whose lengths do not add up. A [`DecodeError`] carries the
//!   OpenFlow error to answer with, the place in the message, and the reason.
//! - What is decoded from a request is what a switch may rely on: match values lie within their masks and widths, and a
//!   flow-mod's match has its prerequisites. Limits that depend on the switch (tables, ports, groups) are the switch's.
//! - All match fields are rows of one table, [`oxm::FIELDS`].

pub mod action;
pub mod bundle;
mod copy_field;
pub mod error;
pub mod flow;
pub mod flow_match;
pub mod group;
pub mod ids;
pub mod instruction;
pub mod message;
pub mod meter;
pub mod monitor;
pub mod multipart;
mod nicira;
pub mod oko;
pub mod oxm;
pub mod packet;
pub mod port;
pub mod switch;
pub mod table;
mod v10;
mod wire;

pub use action::Action;
pub use bundle::{BundleAdd, BundleCommand, BundleControl, BundleFlags};
pub use copy_field::CopyField;
pub use error::{DecodeError, ErrorCode, ErrorMsg, Problem};
pub use flow::{
    AggregateStats, FlowMod, FlowModCommand, FlowModFlags, FlowRemoved, FlowRemovedReason, FlowStats,
    FlowStatsRequest,
};
pub use flow_match::{FieldError, FilterMatch, Match, MatchField};
pub use ids::{FilterId, GroupId, MeterId, PortNo, TableId};
pub use instruction::{Instructions, MetadataWrite};
pub use message::{Frame, HEADER_LEN, Header, Message, TooLong, frame};
pub use multipart::{MultipartReply, MultipartRequest};
pub use oxm::{Field, FieldSpec};
pub use packet::{PacketIn, PacketInReason, PacketOut};
pub use port::{Port, PortStats, PortStatus};
pub use switch::{Dialect, Hello, Version};
pub use v10::SessionOption;
