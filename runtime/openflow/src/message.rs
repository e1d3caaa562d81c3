//! Whole messages: the header (section 7.1), framing of a byte stream, and the sum of all messages.

use crate::bundle::{self, BundleAdd, BundleControl};
use crate::error::{DecodeError, ErrorCode, ErrorMsg, Problem};
use crate::flow::{FlowMod, FlowRemoved};
use crate::group::GroupMod;
use crate::ids::PortNo;
use crate::meter::MeterMod;
use crate::monitor;
use crate::multipart::{MultipartReply, MultipartRequest};
use crate::nicira;
use crate::oko::{self, OkoPart};
use crate::packet::{PacketIn, PacketOut};
use crate::port::{PortMod, PortStatus};
use crate::switch::{AsyncConfig, Dialect, Features, Hello, QueueConfig, RoleMsg, SwitchConfig, Version};
use crate::table::TableMod;
use crate::v10::{self, SessionOption};
use crate::wire::{Reader, Writer};

/// Bytes of the header that every message begins with.
pub const HEADER_LEN: usize = 8;

/// `OFPT_*`.
pub(crate) mod msg_type {
    pub(crate) const HELLO: u8 = 0;
    pub(crate) const ERROR: u8 = 1;
    pub(crate) const ECHO_REQUEST: u8 = 2;
    pub(crate) const ECHO_REPLY: u8 = 3;
    pub(crate) const EXPERIMENTER: u8 = 4;
    pub(crate) const FEATURES_REQUEST: u8 = 5;
    pub(crate) const FEATURES_REPLY: u8 = 6;
    pub(crate) const GET_CONFIG_REQUEST: u8 = 7;
    pub(crate) const GET_CONFIG_REPLY: u8 = 8;
    pub(crate) const SET_CONFIG: u8 = 9;
    pub(crate) const PACKET_IN: u8 = 10;
    pub(crate) const FLOW_REMOVED: u8 = 11;
    pub(crate) const PORT_STATUS: u8 = 12;
    pub(crate) const PACKET_OUT: u8 = 13;
    pub(crate) const FLOW_MOD: u8 = 14;
    pub(crate) const GROUP_MOD: u8 = 15;
    pub(crate) const PORT_MOD: u8 = 16;
    pub(crate) const TABLE_MOD: u8 = 17;
    pub(crate) const MULTIPART_REQUEST: u8 = 18;
    pub(crate) const MULTIPART_REPLY: u8 = 19;
    pub(crate) const BARRIER_REQUEST: u8 = 20;
    pub(crate) const BARRIER_REPLY: u8 = 21;
    pub(crate) const QUEUE_GET_CONFIG_REQUEST: u8 = 22;
    pub(crate) const QUEUE_GET_CONFIG_REPLY: u8 = 23;
    pub(crate) const ROLE_REQUEST: u8 = 24;
    pub(crate) const ROLE_REPLY: u8 = 25;
    pub(crate) const GET_ASYNC_REQUEST: u8 = 26;
    pub(crate) const GET_ASYNC_REPLY: u8 = 27;
    pub(crate) const SET_ASYNC: u8 = 28;
    pub(crate) const METER_MOD: u8 = 29;
    pub(crate) const BUNDLE_CONTROL: u8 = 33;
    pub(crate) const BUNDLE_ADD: u8 = 34;
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The version that the message is in.
    pub version: Version,
    /// `OFPT_*` of that version.
    pub ty: u8,
    /// Bytes of the message, this header included.
    pub length: u16,
    /// The transaction; a reply has its request's.
    pub xid: u32,
}

impl Header {
    /// Reads a header. `None` if there are fewer than [`HEADER_LEN`] bytes.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let [version, ty, l0, l1, x0, x1, x2, x3] = *bytes.first_chunk()?;
        Some(Header {
            version: Version(version),
            ty,
            length: u16::from_be_bytes([l0, l1]),
            xid: u32::from_be_bytes([x0, x1, x2, x3]),
        })
    }
}

/// What the beginning of a byte stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Frame {
    /// A whole message of this many bytes.
    Whole(usize),
    /// A part of a message; this many bytes more are needed to go on.
    Needs(usize),
    /// A length below [`HEADER_LEN`]: nothing that follows can be told apart, the connection must end after an
    /// `OFPBRC_BAD_LEN` error.
    Broken(Header),
}

/// Finds the first message in what has been received so far.
pub fn frame(received: &[u8]) -> Frame {
    let Some(header) = Header::read(received) else {
        return Frame::Needs(HEADER_LEN - received.len());
    };
    let length = usize::from(header.length);
    if length < HEADER_LEN {
        Frame::Broken(header)
    } else if received.len() < length {
        Frame::Needs(length - received.len())
    } else {
        Frame::Whole(length)
    }
}

/// A message is longer than its length field can say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message is {length} bytes long; OpenFlow allows 65535")]
pub struct TooLong {
    /// Bytes of the message.
    pub length: usize,
}

/// Any message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // named as in the specification
pub enum Message {
    Hello(Hello),
    Error(ErrorMsg),
    EchoRequest(Vec<u8>),
    EchoReply(Vec<u8>),
    /// A part of one of our own operations; see [`crate::oko`].
    Oko(OkoPart),
    /// Another party's message.
    Experimenter {
        /// The experimenter id.
        experimenter: u32,
        /// The experimenter's type.
        exp_type: u32,
        /// The body.
        data: Vec<u8>,
    },
    FeaturesRequest,
    FeaturesReply(Features),
    GetConfigRequest,
    GetConfigReply(SwitchConfig),
    SetConfig(SwitchConfig),
    PacketIn(PacketIn),
    FlowRemoved(FlowRemoved),
    PortStatus(PortStatus),
    PacketOut(PacketOut),
    FlowMod(FlowMod),
    GroupMod(GroupMod),
    PortMod(PortMod),
    TableMod(TableMod),
    MultipartRequest {
        /// Another part follows.
        more: bool,
        /// What is asked.
        request: MultipartRequest,
        /// Whether it came in Nicira's format under OpenFlow 1.0, and is to be answered so.
        nicira: bool,
    },
    MultipartReply {
        /// Another part follows.
        more: bool,
        /// The answer or a part of it.
        reply: MultipartReply,
    },
    BarrierRequest,
    BarrierReply,
    QueueGetConfigRequest(PortNo),
    QueueGetConfigReply {
        /// The port that was asked for.
        port: PortNo,
        /// Its queues.
        queues: Vec<QueueConfig>,
    },
    RoleRequest(RoleMsg),
    RoleReply(RoleMsg),
    GetAsyncRequest,
    GetAsyncReply(AsyncConfig),
    SetAsync(AsyncConfig),
    MeterMod(MeterMod),
    /// What a client of Open vSwitch asks of its session.
    Session(SessionOption),
    /// Opens, closes, commits or discards a bundle, or says that it was done.
    BundleControl(BundleControl),
    /// A message to be done when its bundle is committed.
    BundleAdd(BundleAdd),
    /// Takes a flow monitor back, before OpenFlow 1.4.
    MonitorCancel(u32),
}

impl Message {
    /// A multipart request in one part.
    pub fn request(request: MultipartRequest) -> Message {
        Message::MultipartRequest { more: false, request, nicira: false }
    }

    /// Reads one whole message, as [`frame`] found it.
    ///
    /// A hello is read in any version, everything else must be in version 1.3. The error says what to answer; use
    /// [`DecodeError::reply`] for that, with the transaction id of [`Header::read`].
    pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
        Message::decode_in(Version::V1_3, bytes)
    }

    /// The same for a connection whose parties have agreed on a version, one of [`Version::SPOKEN`].
    pub fn decode_in(spoken: Version, bytes: &[u8]) -> Result<Message, DecodeError> {
        let mut r = Reader::new(bytes, 0, "header", ErrorCode::RequestBadLen);
        let version = Version(r.u8()?);
        let ty = r.u8()?;
        let length = usize::from(r.u16()?);
        r.skip(4)?;
        if length != bytes.len() {
            return Err(r.bad_len(length, "the length of the message"));
        }
        if ty == msg_type::HELLO {
            return Ok(Message::Hello(Hello::decode(version, &mut r)));
        }
        if version != spoken {
            let problem = Problem::Value {
                field: "version",
                found: version.0.into(),
                expected: "that of the negotiation",
            };
            return Err(r.error(ErrorCode::RequestBadVersion, problem));
        }
        if spoken == Version::V1_0 {
            return v10::decode(ty, r.with_version(spoken));
        }
        let place = place_of(ty);
        let mut r = r.sub_rest(place, ErrorCode::RequestBadLen).with_version(spoken);
        let message = decode_body(ty, &mut r)?;
        r.end()?;
        Ok(message)
    }

    fn ty(&self) -> u8 {
        match self {
            Message::Hello(_) => msg_type::HELLO,
            Message::Error(_) => msg_type::ERROR,
            Message::EchoRequest(_) => msg_type::ECHO_REQUEST,
            Message::EchoReply(_) => msg_type::ECHO_REPLY,
            Message::Oko(_)
            | Message::Experimenter { .. }
            | Message::Session(_)
            | Message::MonitorCancel(_) => msg_type::EXPERIMENTER,
            Message::FeaturesRequest => msg_type::FEATURES_REQUEST,
            Message::FeaturesReply(_) => msg_type::FEATURES_REPLY,
            Message::GetConfigRequest => msg_type::GET_CONFIG_REQUEST,
            Message::GetConfigReply(_) => msg_type::GET_CONFIG_REPLY,
            Message::SetConfig(_) => msg_type::SET_CONFIG,
            Message::PacketIn(_) => msg_type::PACKET_IN,
            Message::FlowRemoved(_) => msg_type::FLOW_REMOVED,
            Message::PortStatus(_) => msg_type::PORT_STATUS,
            Message::PacketOut(_) => msg_type::PACKET_OUT,
            Message::FlowMod(_) => msg_type::FLOW_MOD,
            Message::GroupMod(_) => msg_type::GROUP_MOD,
            Message::PortMod(_) => msg_type::PORT_MOD,
            Message::TableMod(_) => msg_type::TABLE_MOD,
            Message::MultipartRequest { .. } => msg_type::MULTIPART_REQUEST,
            Message::MultipartReply { .. } => msg_type::MULTIPART_REPLY,
            Message::BarrierRequest => msg_type::BARRIER_REQUEST,
            Message::BarrierReply => msg_type::BARRIER_REPLY,
            Message::QueueGetConfigRequest(_) => msg_type::QUEUE_GET_CONFIG_REQUEST,
            Message::QueueGetConfigReply { .. } => msg_type::QUEUE_GET_CONFIG_REPLY,
            Message::RoleRequest(_) => msg_type::ROLE_REQUEST,
            Message::RoleReply(_) => msg_type::ROLE_REPLY,
            Message::GetAsyncRequest => msg_type::GET_ASYNC_REQUEST,
            Message::GetAsyncReply(_) => msg_type::GET_ASYNC_REPLY,
            Message::SetAsync(_) => msg_type::SET_ASYNC,
            Message::MeterMod(_) => msg_type::METER_MOD,
            Message::BundleControl(control) if control.extension => msg_type::EXPERIMENTER,
            Message::BundleControl(_) => msg_type::BUNDLE_CONTROL,
            Message::BundleAdd(add) if add.extension => msg_type::EXPERIMENTER,
            Message::BundleAdd(_) => msg_type::BUNDLE_ADD,
        }
    }

    /// The message's name in the specification, e.g. `flow_mod`.
    pub fn name(&self) -> &'static str {
        place_of(self.ty())
    }

    /// The bytes of the message. Replies that may be long go through [`MultipartReply::encode_parts`] instead.
    pub fn encode(&self, xid: u32) -> Result<Vec<u8>, TooLong> {
        self.encode_in(Version::V1_3, xid)
    }

    /// The same in another version.
    pub fn encode_in(&self, dialect: impl Into<Dialect>, xid: u32) -> Result<Vec<u8>, TooLong> {
        let dialect = dialect.into();
        if dialect.version == Version::V1_0 && !matches!(self, Message::Hello(_)) {
            return v10::encode(self, dialect, xid);
        }
        let mut bytes = encode_message(dialect, self.ty(), xid, |w| self.encode_body(w))?;
        if let Message::Hello(hello) = self {
            bytes[0] = hello.version.0;
        }
        Ok(bytes)
    }

    fn encode_body(&self, w: &mut Writer) {
        match self {
            Message::Hello(hello) => hello.encode(w),
            Message::Error(error) => error.encode(w),
            Message::EchoRequest(data) | Message::EchoReply(data) => w.bytes(data),
            Message::Oko(part) => part.encode(w),
            Message::Experimenter { experimenter, exp_type, data } => {
                w.u32(*experimenter);
                w.u32(*exp_type);
                w.bytes(data);
            }
            Message::FeaturesRequest
            | Message::GetConfigRequest
            | Message::BarrierRequest
            | Message::BarrierReply
            | Message::GetAsyncRequest => {}
            Message::FeaturesReply(features) => features.encode(w),
            Message::GetConfigReply(config) | Message::SetConfig(config) => config.encode(w),
            Message::PacketIn(packet) => packet.encode(w),
            Message::FlowRemoved(removed) => removed.encode(w),
            Message::PortStatus(status) => status.encode(w),
            Message::PacketOut(packet) => packet.encode(w),
            Message::FlowMod(flow) => flow.encode(w),
            Message::GroupMod(group) => group.encode(w),
            Message::PortMod(port) => port.encode(w),
            Message::TableMod(table) => table.encode(w),
            Message::MultipartRequest { more, request, .. } => request.encode(*more, w),
            Message::MultipartReply { more, reply } => reply.encode(*more, w),
            Message::QueueGetConfigRequest(port) => {
                w.u32(port.0);
                w.zeros(4);
            }
            Message::QueueGetConfigReply { port, queues } => {
                w.u32(port.0);
                w.zeros(4);
                queues.iter().for_each(|queue| queue.encode(w));
            }
            Message::RoleRequest(role) | Message::RoleReply(role) => role.encode(w),
            Message::GetAsyncReply(config) | Message::SetAsync(config) => config.encode(w),
            Message::MeterMod(meter) => meter.encode(w),
            Message::BundleControl(control) => control.encode(w),
            Message::BundleAdd(add) => add.encode(w),
            // Only clients send it, and we are none.
            Message::Session(_) | Message::MonitorCancel(_) => {}
        }
    }
}

/// A message with this body.
pub(crate) fn encode_message(
    dialect: impl Into<Dialect>,
    ty: u8,
    xid: u32,
    body: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>, TooLong> {
    let mut w = Writer::new(dialect);
    let version = w.version;
    w.u8(version.0);
    w.u8(ty);
    w.u16(0);
    w.u32(xid);
    body(&mut w);
    let length = w.len();
    if length > usize::from(u16::MAX) {
        return Err(TooLong { length });
    }
    w.patch_u16(2, length);
    Ok(w.out)
}

fn place_of(ty: u8) -> &'static str {
    const NAMES: [&str; 30] = [
        "hello",
        "error",
        "echo_request",
        "echo_reply",
        "experimenter",
        "features_request",
        "features_reply",
        "get_config_request",
        "get_config_reply",
        "set_config",
        "packet_in",
        "flow_removed",
        "port_status",
        "packet_out",
        "flow_mod",
        "group_mod",
        "port_mod",
        "table_mod",
        "multipart_request",
        "multipart_reply",
        "barrier_request",
        "barrier_reply",
        "queue_get_config_request",
        "queue_get_config_reply",
        "role_request",
        "role_reply",
        "get_async_request",
        "get_async_reply",
        "set_async",
        "meter_mod",
    ];
    match ty {
        msg_type::BUNDLE_CONTROL => "bundle_control",
        msg_type::BUNDLE_ADD => "bundle_add",
        ty => NAMES.get(usize::from(ty)).copied().unwrap_or("header"),
    }
}

fn decode_body(ty: u8, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match ty {
        msg_type::ERROR => Message::Error(ErrorMsg::decode(r)?),
        msg_type::ECHO_REQUEST => Message::EchoRequest(r.rest().to_vec()),
        msg_type::ECHO_REPLY => Message::EchoReply(r.rest().to_vec()),
        msg_type::EXPERIMENTER => {
            let (experimenter, exp_type) = (r.u32()?, r.u32()?);
            if experimenter == oko::EXPERIMENTER {
                Message::Oko(OkoPart::decode(exp_type, r)?)
            } else if experimenter == nicira::EXPERIMENTER
                && let Some(option) = v10::decode_option(exp_type, r)?
            {
                Message::Session(option)
            } else if let Some(message) = bundle::decode_extension(experimenter, exp_type, r)? {
                message
            } else if let Some(message) = monitor::decode_cancel(experimenter, exp_type, r)? {
                message
            } else {
                Message::Experimenter { experimenter, exp_type, data: r.rest().to_vec() }
            }
        }
        msg_type::BUNDLE_CONTROL if r.version() >= Version::V1_4 => {
            Message::BundleControl(BundleControl::decode(r)?)
        }
        msg_type::BUNDLE_ADD if r.version() >= Version::V1_4 => Message::BundleAdd(BundleAdd::decode(r)?),
        msg_type::FEATURES_REQUEST => Message::FeaturesRequest,
        msg_type::FEATURES_REPLY => Message::FeaturesReply(Features::decode(r)?),
        msg_type::GET_CONFIG_REQUEST => Message::GetConfigRequest,
        msg_type::GET_CONFIG_REPLY => Message::GetConfigReply(SwitchConfig::decode(r)?),
        msg_type::SET_CONFIG => Message::SetConfig(SwitchConfig::decode(r)?),
        msg_type::PACKET_IN => Message::PacketIn(PacketIn::decode(r)?),
        msg_type::FLOW_REMOVED => Message::FlowRemoved(FlowRemoved::decode(r)?),
        msg_type::PORT_STATUS => Message::PortStatus(PortStatus::decode(r)?),
        msg_type::PACKET_OUT => Message::PacketOut(PacketOut::decode(r)?),
        msg_type::FLOW_MOD => Message::FlowMod(FlowMod::decode(r)?),
        msg_type::GROUP_MOD => Message::GroupMod(GroupMod::decode(r)?),
        msg_type::PORT_MOD => Message::PortMod(PortMod::decode(r)?),
        msg_type::TABLE_MOD => Message::TableMod(TableMod::decode(r)?),
        msg_type::MULTIPART_REQUEST => {
            let (more, request) = MultipartRequest::decode(r)?;
            Message::MultipartRequest { more, request, nicira: false }
        }
        msg_type::MULTIPART_REPLY => {
            let (more, reply) = MultipartReply::decode(r)?;
            Message::MultipartReply { more, reply }
        }
        msg_type::BARRIER_REQUEST => Message::BarrierRequest,
        msg_type::BARRIER_REPLY => Message::BarrierReply,
        msg_type::QUEUE_GET_CONFIG_REQUEST => {
            let port = PortNo(r.u32()?);
            r.skip(4)?;
            Message::QueueGetConfigRequest(port)
        }
        msg_type::QUEUE_GET_CONFIG_REPLY => {
            let port = PortNo(r.u32()?);
            r.skip(4)?;
            let queues = r.all(QueueConfig::decode)?;
            Message::QueueGetConfigReply { port, queues }
        }
        msg_type::ROLE_REQUEST => Message::RoleRequest(RoleMsg::decode(r)?),
        msg_type::ROLE_REPLY => Message::RoleReply(RoleMsg::decode(r)?),
        msg_type::GET_ASYNC_REQUEST => Message::GetAsyncRequest,
        msg_type::GET_ASYNC_REPLY => Message::GetAsyncReply(AsyncConfig::decode(r)?),
        msg_type::SET_ASYNC => Message::SetAsync(AsyncConfig::decode(r)?),
        msg_type::METER_MOD => Message::MeterMod(MeterMod::decode(r)?),
        _ => {
            let problem = Problem::Value { field: "message type", found: ty.into(), expected: "0 to 29" };
            return Err(r.error(ErrorCode::RequestBadType, problem));
        }
    })
}
