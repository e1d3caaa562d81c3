//! Messages about flow entries: flow-mod (section 7.3.4.1), flow statistics (7.3.5.2, 7.3.5.3), flow-removed (7.4.2).

use std::time::Duration;

use bitflags::bitflags;

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow_match::Match;
use crate::ids::{GroupId, PortNo, TableId, buffer_from_wire, buffer_to_wire};
use crate::instruction::Instructions;
use crate::switch::Version;
use crate::wire::{Reader, Writer};

/// What a flow-mod does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlowModCommand {
    /// Adds an entry, in place of one with the same match and priority.
    Add,
    /// Changes the instructions of all entries that the match covers.
    Modify,
    /// Changes the instructions of the entry with this match and priority.
    ModifyStrict,
    /// Deletes all entries that the match covers.
    Delete,
    /// Deletes the entry with this match and priority.
    DeleteStrict,
}

impl FlowModCommand {
    const ALL: [FlowModCommand; 5] = [
        FlowModCommand::Add,
        FlowModCommand::Modify,
        FlowModCommand::ModifyStrict,
        FlowModCommand::Delete,
        FlowModCommand::DeleteStrict,
    ];

    /// The command with a number.
    pub(crate) fn from_number(number: u8) -> Option<FlowModCommand> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

bitflags! {
    /// `ofp_flow_mod_flags`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct FlowModFlags: u16 {
        /// Report the entry's end with a flow-removed message.
        const SEND_FLOW_REM = 1;
        /// Refuse an entry that overlaps another of the same priority.
        const CHECK_OVERLAP = 1 << 1;
        /// Set the counters to zero.
        const RESET_COUNTS = 1 << 2;
        /// The packet counter need not be kept.
        const NO_PKT_COUNTS = 1 << 3;
        /// The byte counter need not be kept.
        const NO_BYT_COUNTS = 1 << 4;
    }
}

/// `OFPT_FLOW_MOD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowMod {
    /// What to do.
    pub command: FlowModCommand,
    /// For additions, the cookie of the entry; for others, the cookie to look for under `cookie_mask`.
    pub cookie: u64,
    /// The bits of `cookie` that restrict a modification or deletion; 0 for no restriction.
    pub cookie_mask: u64,
    /// The table; [`TableId::ALL`] in deletions.
    pub table: TableId,
    /// Seconds without a packet until the entry goes; 0 for never.
    pub idle_timeout: u16,
    /// Seconds until the entry goes; 0 for never.
    pub hard_timeout: u16,
    /// Entries of higher priority are tried first.
    pub priority: u16,
    /// A buffered packet to which the new entry is applied.
    pub buffer: Option<u32>,
    /// Restricts deletions to entries with an output to this port.
    pub out_port: PortNo,
    /// Restricts deletions to entries that name this group.
    pub out_group: GroupId,
    /// How the entry is kept.
    pub flags: FlowModFlags,
    /// Entries of less importance give way first when a table that evicts is full. From OpenFlow 1.4 on.
    pub importance: u16,
    /// The packets that the entry is for.
    pub matching: Match,
    /// What to do with them.
    pub instructions: Instructions,
}

impl FlowMod {
    /// The priority of `ovs-ofctl` when none is given (`OFP_DEFAULT_PRIORITY`).
    pub const DEFAULT_PRIORITY: u16 = 0x8000;

    /// A flow-mod of everything in all tables for deletions, and of table 0 for others.
    pub fn new(command: FlowModCommand) -> FlowMod {
        let deletes = matches!(command, FlowModCommand::Delete | FlowModCommand::DeleteStrict);
        FlowMod {
            command,
            cookie: 0,
            cookie_mask: 0,
            table: if deletes { TableId::ALL } else { TableId(0) },
            idle_timeout: 0,
            hard_timeout: 0,
            priority: Self::DEFAULT_PRIORITY,
            buffer: None,
            out_port: PortNo::ANY,
            out_group: GroupId::ANY,
            flags: FlowModFlags::empty(),
            importance: 0,
            matching: Match::any(),
            instructions: Instructions::none(),
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<FlowMod, DecodeError> {
        let (cookie, cookie_mask) = (r.u64()?, r.u64()?);
        let table = TableId(r.u8()?);
        let command = r.u8()?;
        let Some(command) = FlowModCommand::ALL.get(usize::from(command)).copied() else {
            let problem = Problem::Value { field: "command", found: command.into(), expected: "0 to 4" };
            return Err(r.error(ErrorCode::FlowModBadCommand, problem));
        };
        let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
        let buffer = buffer_from_wire(r.u32()?);
        let (out_port, out_group) = (PortNo(r.u32()?), GroupId(r.u32()?));
        let flags = r.u16()?;
        let Some(flags) = FlowModFlags::from_bits(flags) else {
            let problem =
                Problem::Value { field: "flags", found: flags.into(), expected: "bits 0 to 4 only" };
            return Err(r.error(ErrorCode::FlowModBadFlags, problem));
        };
        let importance = if r.version() >= Version::V1_4 {
            r.u16()?
        } else {
            r.skip(2)?;
            0
        };
        let matching = Match::decode_checked(r)?;
        let instructions =
            Instructions::decode(&mut r.sub_rest("instruction", ErrorCode::InstructionBadLen))?;
        Ok(FlowMod {
            importance,
            command,
            cookie,
            cookie_mask,
            table,
            idle_timeout,
            hard_timeout,
            priority,
            buffer,
            out_port,
            out_group,
            flags,
            matching,
            instructions,
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u64(self.cookie);
        w.u64(self.cookie_mask);
        w.u8(self.table.0);
        w.u8(self.command as u8);
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u16(self.priority);
        w.u32(buffer_to_wire(self.buffer));
        w.u32(self.out_port.0);
        w.u32(self.out_group.0);
        w.u16(self.flags.bits());
        w.u16(if w.version >= Version::V1_4 { self.importance } else { 0 });
        self.matching.encode(w);
        self.instructions.encode(w);
    }
}

/// Which entries a statistics request is about: those that the match covers, loosely.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowStatsRequest {
    /// The table, or [`TableId::ALL`].
    pub table: TableId,
    /// Only entries with an output to this port.
    pub out_port: PortNo,
    /// Only entries that name this group.
    pub out_group: GroupId,
    /// The wanted cookie, under the mask.
    pub cookie: u64,
    /// The bits of the cookie that count; 0 for any cookie.
    pub cookie_mask: u64,
    /// Only entries that are at least as specific as this.
    pub matching: Match,
}

impl Default for FlowStatsRequest {
    /// All entries of all tables.
    fn default() -> Self {
        FlowStatsRequest {
            table: TableId::ALL,
            out_port: PortNo::ANY,
            out_group: GroupId::ANY,
            cookie: 0,
            cookie_mask: 0,
            matching: Match::any(),
        }
    }
}

impl FlowStatsRequest {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<FlowStatsRequest, DecodeError> {
        let table = TableId(r.u8()?);
        r.skip(3)?;
        let (out_port, out_group) = (PortNo(r.u32()?), GroupId(r.u32()?));
        r.skip(4)?;
        let (cookie, cookie_mask) = (r.u64()?, r.u64()?);
        let matching = Match::decode_checked(r)?;
        Ok(FlowStatsRequest { table, out_port, out_group, cookie, cookie_mask, matching })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u8(self.table.0);
        w.zeros(3);
        w.u32(self.out_port.0);
        w.u32(self.out_group.0);
        w.zeros(4);
        w.u64(self.cookie);
        w.u64(self.cookie_mask);
        self.matching.encode(w);
    }
}

/// One entry in a reply to a flow statistics request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowStats {
    /// The entry's table.
    pub table: TableId,
    /// How long the entry has been there; whole seconds up to `u32::MAX` are transmitted.
    pub duration: Duration,
    /// Its priority.
    pub priority: u16,
    /// Seconds without a packet until it goes; 0 for never.
    pub idle_timeout: u16,
    /// Seconds from its start until it goes; 0 for never.
    pub hard_timeout: u16,
    /// The flags it was added with.
    pub flags: FlowModFlags,
    /// Its importance, from OpenFlow 1.4 on.
    pub importance: u16,
    /// Its cookie.
    pub cookie: u64,
    /// Packets that it matched.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Its match.
    pub matching: Match,
    /// Its instructions.
    pub instructions: Instructions,
}

impl FlowStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<FlowStats, DecodeError> {
        let mut head = r.clone();
        let len = usize::from(head.u16()?);
        let mut r = r.sub(len, "flow statistics", ErrorCode::RequestBadLen)?;
        r.skip(2)?;
        // `ofp_flow_desc` of 1.5 has the counters behind the match, as records of their own.
        let late = r.version() >= Version::V1_5;
        r.skip(if late { 2 } else { 0 })?;
        let table = TableId(r.u8()?);
        r.skip(1)?;
        let duration = if late { None } else { Some(decode_duration(&mut r)?) };
        let (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
        let flags = FlowModFlags::from_bits_retain(r.u16()?);
        let importance = r.u16()?;
        r.skip(if late { 0 } else { 2 })?;
        let cookie = r.u64()?;
        let early = match duration {
            Some(duration) => Some((duration, r.u64()?, r.u64()?)),
            None => None,
        };
        let matching = Match::decode(&mut r)?;
        let (duration, packets, bytes) = match early {
            Some(counted) => counted,
            None => {
                let EntryStats { duration, packets, bytes, .. } = EntryStats::decode(&mut r)?;
                (duration, packets, bytes)
            }
        };
        let instructions =
            Instructions::decode(&mut r.sub_rest("instruction", ErrorCode::InstructionBadLen))?;
        Ok(FlowStats {
            importance,
            table,
            duration,
            priority,
            idle_timeout,
            hard_timeout,
            flags,
            cookie,
            packets,
            bytes,
            matching,
            instructions,
        })
    }

    fn encode_1_5(&self, w: &mut Writer) {
        let start = w.len();
        w.zeros(4);
        w.u8(self.table.0);
        w.zeros(1);
        w.u16(self.priority);
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u16(self.flags.bits());
        w.u16(self.importance);
        w.u64(self.cookie);
        self.matching.encode(w);
        EntryStats { duration: self.duration, packets: self.packets, bytes: self.bytes, flows: None }
            .encode(w);
        self.instructions.encode(w);
        w.patch_u16(start, w.len() - start);
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if w.version >= Version::V1_5 {
            return self.encode_1_5(w);
        }
        let start = w.len();
        w.u16(0);
        w.u8(self.table.0);
        w.zeros(1);
        encode_duration(self.duration, w);
        w.u16(self.priority);
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u16(self.flags.bits());
        w.u16(if w.version >= Version::V1_4 { self.importance } else { 0 });
        w.zeros(2);
        w.u64(self.cookie);
        w.u64(self.packets);
        w.u64(self.bytes);
        self.matching.encode(w);
        self.instructions.encode(w);
        w.patch_u16(start, w.len() - start);
    }
}

/// The sums over the entries of an aggregate statistics request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AggregateStats {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Entries.
    pub flows: u32,
}

impl AggregateStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<AggregateStats, DecodeError> {
        if r.version() >= Version::V1_5 {
            let EntryStats { packets, bytes, flows, .. } = EntryStats::decode(r)?;
            return Ok(AggregateStats { packets, bytes, flows: flows.unwrap_or(0) });
        }
        let out = AggregateStats { packets: r.u64()?, bytes: r.u64()?, flows: r.u32()? };
        r.skip(4)?;
        Ok(out)
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if w.version >= Version::V1_5 {
            let flows = Some(self.flows);
            EntryStats { duration: Duration::ZERO, packets: self.packets, bytes: self.bytes, flows }
                .encode(w);
            return;
        }
        w.u64(self.packets);
        w.u64(self.bytes);
        w.u32(self.flows);
        w.zeros(4);
    }
}

/// Why an entry went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlowRemovedReason {
    /// No packet for `idle_timeout`.
    IdleTimeout,
    /// `hard_timeout` is over.
    HardTimeout,
    /// A flow-mod deleted it.
    Delete,
    /// Its group was deleted.
    GroupDelete,
    /// Its meter was deleted. From OpenFlow 1.4 on; before, [`Delete`](Self::Delete).
    MeterDelete,
    /// It gave way to another entry. From OpenFlow 1.4 on; before, [`Delete`](Self::Delete).
    Eviction,
}

impl FlowRemovedReason {
    fn decode(r: &mut Reader<'_>) -> Result<FlowRemovedReason, DecodeError> {
        let found = r.u8()?;
        let (known, expected) = if r.version() >= Version::V1_4 { (5, "0 to 5") } else { (3, "0 to 3") };
        FlowRemovedReason::from_wire(found).filter(|_| found <= known).ok_or_else(|| {
            let problem = Problem::Value { field: "reason", found: found.into(), expected };
            r.error(ErrorCode::RequestBadType, problem)
        })
    }

    pub(crate) fn from_wire(number: u8) -> Option<FlowRemovedReason> {
        Some(match number {
            0 => FlowRemovedReason::IdleTimeout,
            1 => FlowRemovedReason::HardTimeout,
            2 => FlowRemovedReason::Delete,
            3 => FlowRemovedReason::GroupDelete,
            4 => FlowRemovedReason::MeterDelete,
            5 => FlowRemovedReason::Eviction,
            _ => return None,
        })
    }

    /// `OFPRR_*` of OpenFlow 1.3, which has four.
    pub(crate) fn v1_3(self) -> u8 {
        match self {
            FlowRemovedReason::IdleTimeout => 0,
            FlowRemovedReason::HardTimeout => 1,
            FlowRemovedReason::GroupDelete => 3,
            _ => 2,
        }
    }
}

/// `OFPT_FLOW_REMOVED`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowRemoved {
    /// The entry's cookie.
    pub cookie: u64,
    /// Its priority.
    pub priority: u16,
    /// Why it went.
    pub reason: FlowRemovedReason,
    /// Its table.
    pub table: TableId,
    /// How long it was there.
    pub duration: Duration,
    /// Its idle timeout.
    pub idle_timeout: u16,
    /// Its hard timeout.
    pub hard_timeout: u16,
    /// Packets that it matched.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Its match.
    pub matching: Match,
}

impl FlowRemoved {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<FlowRemoved, DecodeError> {
        if r.version() >= Version::V1_5 {
            let (table, reason) = (TableId(r.u8()?), FlowRemovedReason::decode(r)?);
            let (priority, idle_timeout, hard_timeout, cookie) = (r.u16()?, r.u16()?, r.u16()?, r.u64()?);
            let matching = Match::decode(r)?;
            let EntryStats { duration, packets, bytes, .. } = EntryStats::decode(r)?;
            return Ok(FlowRemoved {
                cookie,
                priority,
                reason,
                table,
                duration,
                idle_timeout,
                hard_timeout,
                packets,
                bytes,
                matching,
            });
        }
        let (cookie, priority) = (r.u64()?, r.u16()?);
        let reason = FlowRemovedReason::decode(r)?;
        let table = TableId(r.u8()?);
        let duration = decode_duration(r)?;
        let (idle_timeout, hard_timeout) = (r.u16()?, r.u16()?);
        let (packets, bytes) = (r.u64()?, r.u64()?);
        let matching = Match::decode(r)?;
        Ok(FlowRemoved {
            cookie,
            priority,
            reason,
            table,
            duration,
            idle_timeout,
            hard_timeout,
            packets,
            bytes,
            matching,
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if w.version >= Version::V1_5 {
            w.u8(self.table.0);
            w.u8(self.reason as u8);
            w.u16(self.priority);
            w.u16(self.idle_timeout);
            w.u16(self.hard_timeout);
            w.u64(self.cookie);
            self.matching.encode(w);
            let Self { duration, packets, bytes, .. } = *self;
            EntryStats { duration, packets, bytes, flows: None }.encode(w);
            return;
        }
        w.u64(self.cookie);
        w.u16(self.priority);
        w.u8(if w.version >= Version::V1_4 { self.reason as u8 } else { self.reason.v1_3() });
        w.u8(self.table.0);
        encode_duration(self.duration, w);
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u64(self.packets);
        w.u64(self.bytes);
        self.matching.encode(w);
    }
}

/// `ofp_stats`: counters as OXS TLVs of the class 0x8002, from OpenFlow 1.5 on.
struct EntryStats {
    duration: Duration,
    packets: u64,
    bytes: u64,
    /// Of aggregates.
    flows: Option<u32>,
}

/// `OFPXSC_OPENFLOW_BASIC`.
const OXS_BASIC: u16 = 0x8002;
const OXS_DURATION: u8 = 0;
const OXS_FLOW_COUNT: u8 = 3;
const OXS_PACKET_COUNT: u8 = 4;
const OXS_BYTE_COUNT: u8 = 5;

impl EntryStats {
    fn decode(r: &mut Reader<'_>) -> Result<EntryStats, DecodeError> {
        let mut out = EntryStats { duration: Duration::ZERO, packets: 0, bytes: 0, flows: None };
        let mut head = r.clone();
        head.skip(2)?;
        let len = usize::from(head.u16()?);
        if len < 4 {
            return Err(r.bad_len(len, "at least 4"));
        }
        let mut fields = r.sub(len, "statistics", ErrorCode::RequestBadLen)?;
        r.skip((len.next_multiple_of(8) - len).min(r.left()))?;
        fields.skip(4)?;
        while !fields.is_empty() {
            let (class, field, len) = (fields.u16()?, fields.u8()? >> 1, usize::from(fields.u8()?));
            let mut value = fields.sub(len, "statistic", ErrorCode::RequestBadLen)?;
            match (class, field) {
                (OXS_BASIC, OXS_DURATION) => out.duration = decode_duration(&mut value)?,
                (OXS_BASIC, OXS_FLOW_COUNT) => out.flows = Some(value.u32()?),
                (OXS_BASIC, OXS_PACKET_COUNT) => out.packets = value.u64()?,
                (OXS_BASIC, OXS_BYTE_COUNT) => out.bytes = value.u64()?,
                _ => {}
            }
        }
        Ok(out)
    }

    fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.zeros(4);
        let header = |w: &mut Writer, field: u8, len: u8| {
            w.u16(OXS_BASIC);
            w.u8(field << 1);
            w.u8(len);
        };
        if self.flows.is_none() {
            header(w, OXS_DURATION, 8);
            encode_duration(self.duration, w);
        }
        if let Some(flows) = self.flows {
            header(w, OXS_FLOW_COUNT, 4);
            w.u32(flows);
        }
        header(w, OXS_PACKET_COUNT, 8);
        w.u64(self.packets);
        header(w, OXS_BYTE_COUNT, 8);
        w.u64(self.bytes);
        w.patch_u16(start + 2, w.len() - start);
        w.align8(start);
    }
}

/// Seconds and nanoseconds. Nanoseconds of a second or more carry over, without overflow.
pub(crate) fn decode_duration(r: &mut Reader<'_>) -> Result<Duration, DecodeError> {
    let (seconds, nanos) = (r.u32()?, r.u32()?);
    Ok(Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos.into()))
}

pub(crate) fn encode_duration(duration: Duration, w: &mut Writer) {
    w.u32(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX));
    w.u32(duration.subsec_nanos());
}
