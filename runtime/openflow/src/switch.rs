//! The session and the switch as a whole: hello (section 7.5.1), features (7.3.1), configuration (7.3.2),
//! description (7.3.5.1), roles (7.3.9), asynchronous configuration (7.3.10) and queues (7.3.5.8, 7.3.6).

use std::time::Duration;

use bitflags::bitflags;

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow::{decode_duration, encode_duration};
use crate::ids::PortNo;
use crate::port::Port;
use crate::wire::{Reader, Writer};

/// A protocol version as in the first byte of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u8);

impl Version {
    /// OpenFlow 1.0.
    pub const V1_0: Version = Version(1);
    /// OpenFlow 1.3.
    pub const V1_3: Version = Version(4);
    /// OpenFlow 1.4.
    pub const V1_4: Version = Version(5);
    /// OpenFlow 1.5.
    pub const V1_5: Version = Version(6);

    /// What this crate speaks.
    pub const SPOKEN: [Version; 4] = [Version::V1_0, Version::V1_3, Version::V1_4, Version::V1_5];
}

/// How one party's messages are to be written so that it can read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The version that was negotiated.
    pub version: Version,
    /// Whether it knows our condition on filters. For one that does not, the condition is written as Open vSwitch's `pkt_mark`: the
    /// number of the filter, shifted left by 8, and the class.
    pub filters: bool,
}

impl From<Version> for Dialect {
    fn from(version: Version) -> Dialect {
        Dialect { version, filters: true }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            v @ 1..=6 => write!(f, "OpenFlow 1.{}", v - 1),
            v => write!(f, "OpenFlow version {v:#04x}"),
        }
    }
}

/// `OFPT_HELLO`. Read whatever the version in its header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The version in the header: the highest that the sender speaks.
    pub version: Version,
    /// The sender's version bitmap, if it sent one: bit n for version n. Versions above 31 are not kept.
    pub bitmap: Option<u32>,
}

impl Hello {
    /// A hello of a party that speaks the versions in `bitmap`, highest first in the header.
    pub fn of(versions: &[Version]) -> Hello {
        let bitmap = versions.iter().filter(|v| v.0 < 32).fold(0, |acc, v| acc | 1_u32 << v.0);
        let version = versions.iter().copied().max().unwrap_or(Version::V1_3);
        Hello { version, bitmap: Some(bitmap) }
    }

    /// The version that two parties speak with each other, `ours` being what this side speaks (section 6.3.1): the
    /// highest in both bitmaps, or the lower of both headers' versions if a side sent no bitmap.
    pub fn negotiate(&self, ours: &[Version]) -> Option<Version> {
        match self.bitmap {
            Some(bitmap) => ours.iter().copied().filter(|v| v.0 < 32 && bitmap & (1 << v.0) != 0).max(),
            None => {
                let highest = ours.iter().copied().max()?;
                let common = highest.min(self.version);
                ours.contains(&common).then_some(common)
            }
        }
    }

    /// Reads the elements; unknown ones are skipped, as section 7.5.1 asks, and so are malformed ones, because a hello
    /// must never fail for what is in it.
    pub(crate) fn decode(version: Version, r: &mut Reader<'_>) -> Hello {
        let mut bitmap = None;
        while let Ok(Some(found)) = decode_hello_element(r) {
            bitmap = bitmap.or(found);
        }
        Hello { version, bitmap }
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if let Some(bitmap) = self.bitmap {
            w.u16(1);
            w.u16(8);
            w.u32(bitmap);
        }
    }
}

/// The bitmap of the next element if it has one; `Ok(None)` at the end.
fn decode_hello_element(r: &mut Reader<'_>) -> Result<Option<Option<u32>>, DecodeError> {
    if r.left() < 4 {
        return Ok(None);
    }
    let (ty, len) = (r.u16()?, usize::from(r.u16()?));
    let Some(body) = len.checked_sub(4) else { return Ok(None) };
    let mut body = r.sub(body, "hello element", ErrorCode::RequestBadLen)?;
    let pad = (len.next_multiple_of(8) - len).min(r.left());
    r.skip(pad)?;
    Ok(Some(if ty == 1 && body.left() >= 4 { Some(body.u32()?) } else { None }))
}

bitflags! {
    /// `ofp_capabilities`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Capabilities: u32 {
        /// Flow statistics.
        const FLOW_STATS = 1;
        /// Table statistics.
        const TABLE_STATS = 1 << 1;
        /// Port statistics.
        const PORT_STATS = 1 << 2;
        /// Group statistics.
        const GROUP_STATS = 1 << 3;
        /// IP fragments are put together.
        const IP_REASM = 1 << 5;
        /// Queue statistics.
        const QUEUE_STATS = 1 << 6;
        /// Ports are blocked to cut loops.
        const PORT_BLOCKED = 1 << 8;
    }
}

/// `OFPT_FEATURES_REPLY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Features {
    /// The switch's id.
    pub datapath_id: u64,
    /// Packets that it can buffer.
    pub n_buffers: u32,
    /// Flow tables, from 0.
    pub n_tables: u8,
    /// 0 for the main connection.
    pub auxiliary_id: u8,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Its ports. Only OpenFlow 1.0 transmits them here.
    pub ports: Vec<Port>,
}

impl Features {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Features, DecodeError> {
        let (datapath_id, n_buffers, n_tables, auxiliary_id) = (r.u64()?, r.u32()?, r.u8()?, r.u8()?);
        r.skip(2)?;
        let capabilities = Capabilities::from_bits_retain(r.u32()?);
        r.skip(4)?;
        Ok(Features { datapath_id, n_buffers, n_tables, auxiliary_id, capabilities, ports: Vec::new() })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u64(self.datapath_id);
        w.u32(self.n_buffers);
        w.u8(self.n_tables);
        w.u8(self.auxiliary_id);
        w.zeros(2);
        w.u32(self.capabilities.bits());
        w.zeros(4);
    }
}

/// `OFPT_GET_CONFIG_REPLY` and `OFPT_SET_CONFIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SwitchConfig {
    /// `ofp_config_flags`: 0 normal, 1 drop, 2 reassemble IP fragments.
    pub flags: u16,
    /// How many bytes of a packet go to the controller with a packet-in that no output action asked for.
    pub miss_send_len: u16,
}

impl SwitchConfig {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<SwitchConfig, DecodeError> {
        Ok(SwitchConfig { flags: r.u16()?, miss_send_len: r.u16()? })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u16(self.flags);
        w.u16(self.miss_send_len);
    }
}

/// The reply to `OFPMP_DESC`. At most 255 bytes of each are transmitted, 31 of the serial number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Desc {
    /// Manufacturer.
    pub manufacturer: String,
    /// Hardware.
    pub hardware: String,
    /// Software.
    pub software: String,
    /// Serial number.
    pub serial: String,
    /// The datapath.
    pub datapath: String,
}

impl Desc {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Desc, DecodeError> {
        Ok(Desc {
            manufacturer: r.padded_text(256)?,
            hardware: r.padded_text(256)?,
            software: r.padded_text(256)?,
            serial: r.padded_text(32)?,
            datapath: r.padded_text(256)?,
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.padded_text(&self.manufacturer, 256);
        w.padded_text(&self.hardware, 256);
        w.padded_text(&self.software, 256);
        w.padded_text(&self.serial, 32);
        w.padded_text(&self.datapath, 256);
    }
}

/// A controller's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Asks only.
    NoChange,
    /// Full access; the default.
    Equal,
    /// Full access; at most one.
    Master,
    /// Read-only access.
    Slave,
}

/// `OFPT_ROLE_REQUEST` and `OFPT_ROLE_REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoleMsg {
    /// The role.
    pub role: Role,
    /// The master election's count; a request with an older one is stale.
    pub generation_id: u64,
}

impl RoleMsg {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<RoleMsg, DecodeError> {
        let role = match r.u32()? {
            0 => Role::NoChange,
            1 => Role::Equal,
            2 => Role::Master,
            3 => Role::Slave,
            found => {
                let problem = Problem::Value { field: "role", found: found.into(), expected: "0 to 3" };
                return Err(r.error(ErrorCode::RoleBadRole, problem));
            }
        };
        r.skip(4)?;
        Ok(RoleMsg { role, generation_id: r.u64()? })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(self.role as u32);
        w.zeros(4);
        w.u64(self.generation_id);
    }
}

/// Which asynchronous messages a controller wants. In each pair: as master or equal, as slave. Bit n is reason n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AsyncConfig {
    /// Reasons of packet-ins.
    pub packet_in: [u32; 2],
    /// Reasons of port-status messages.
    pub port_status: [u32; 2],
    /// Reasons of flow-removed messages.
    pub flow_removed: [u32; 2],
}

impl Default for AsyncConfig {
    /// Section 6.3.6: a master or equal gets all but invalid-TTL packets, a slave port-status only.
    fn default() -> Self {
        AsyncConfig { packet_in: [0b011, 0], port_status: [0b111, 0b111], flow_removed: [0b1111, 0] }
    }
}

impl AsyncConfig {
    /// A request of OpenFlow 1.4 on changes only what it names; the rest is as it is by default.
    fn decode_1_4(r: &mut Reader<'_>) -> Result<AsyncConfig, DecodeError> {
        let mut out = AsyncConfig::default();
        while let Some((ty, mut body)) = r.property()? {
            let mask = body.u32()?;
            // Even types are about slaves.
            let column = usize::from(ty % 2 == 0);
            // Reasons that there are: six of packet-ins and flow-removed messages, three of port-status messages.
            let known = if matches!(ty, 2 | 3) { 0b111 } else { 0b11_1111 };
            if ty < 6 && mask & !known != 0 {
                let expected = "only bits of reasons that there are";
                let problem = Problem::Value { field: "mask of reasons", found: mask.into(), expected };
                return Err(body.error(ErrorCode::AsyncInvalid, problem));
            }
            match ty {
                0 | 1 => out.packet_in[column] = mask,
                2 | 3 => out.port_status[column] = mask,
                4 | 5 => out.flow_removed[column] = mask,
                6..=11 => {}
                _ => {
                    let problem =
                        Problem::Value { field: "property type", found: ty.into(), expected: "0 to 11" };
                    return Err(body.error(ErrorCode::AsyncUnsupported, problem));
                }
            }
        }
        Ok(out)
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<AsyncConfig, DecodeError> {
        if r.version() >= Version::V1_4 {
            return Self::decode_1_4(r);
        }
        Ok(AsyncConfig {
            packet_in: [r.u32()?, r.u32()?],
            port_status: [r.u32()?, r.u32()?],
            flow_removed: [r.u32()?, r.u32()?],
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let masks = [self.packet_in, self.port_status, self.flow_removed];
        if w.version >= Version::V1_4 {
            for (ty, [others, slaves]) in (0_u16..).step_by(2).zip(masks) {
                w.property(ty, |w| w.u32(slaves));
                w.property(ty + 1, |w| w.u32(others));
            }
            return;
        }
        for mask in masks.as_flattened() {
            w.u32(*mask);
        }
    }
}

/// A queue's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QueueStats {
    /// The port.
    pub port: PortNo,
    /// The queue.
    pub queue: u32,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets dropped by an overrun.
    pub tx_errors: u64,
    /// How long the queue has been there.
    pub duration: Duration,
}

impl QueueStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<QueueStats, DecodeError> {
        let mut whole = r.clone();
        let r = if r.version() >= Version::V1_4 {
            let len = usize::from(whole.u16()?);
            whole = r.sub(len, "queue statistics", ErrorCode::RequestBadLen)?;
            whole.skip(8)?;
            &mut whole
        } else {
            r
        };
        Ok(QueueStats {
            port: PortNo(r.u32()?),
            queue: r.u32()?,
            tx_bytes: r.u64()?,
            tx_packets: r.u64()?,
            tx_errors: r.u64()?,
            duration: decode_duration(r)?,
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if w.version >= Version::V1_4 {
            // Length, without properties.
            w.u16(48);
            w.zeros(6);
        }
        w.u32(self.port.0);
        w.u32(self.queue);
        w.u64(self.tx_bytes);
        w.u64(self.tx_packets);
        w.u64(self.tx_errors);
        encode_duration(self.duration, w);
    }
}

/// A queue's configuration in `OFPT_QUEUE_GET_CONFIG_REPLY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueueConfig {
    /// The queue.
    pub queue: u32,
    /// Its port.
    pub port: PortNo,
    /// Its properties as they are on the wire.
    pub properties: Vec<u8>,
}

impl QueueConfig {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<QueueConfig, DecodeError> {
        let (queue, port) = (r.u32()?, PortNo(r.u32()?));
        let len = usize::from(r.u16()?);
        r.skip(6)?;
        let Some(rest) = len.checked_sub(16) else { return Err(r.bad_len(len, "at least 16")) };
        Ok(QueueConfig { queue, port, properties: r.bytes(rest)?.to_vec() })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(self.queue);
        w.u32(self.port.0);
        w.u16(u16::try_from(16 + self.properties.len()).unwrap_or(u16::MAX));
        w.zeros(6);
        w.bytes(&self.properties);
    }
}
