//! Flow monitors: a controller is told of every change of the flow entries that it watches. OpenFlow 1.4.1, section 7.3.5.17.
//!
//! OpenFlow 1.3 has them as extension 187 of the ONF, 1.0 as Nicira's, on which both are modelled. They differ in the layout of their records, and
//! in that a monitor is taken back, a pause is told and a resumption is told by messages of their own.

use bitflags::bitflags;

use crate::bundle::ONF;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow::FlowRemovedReason;
use crate::flow_match::Match;
use crate::ids::{GroupId, PortNo, TableId};
use crate::instruction::Instructions;
use crate::message::Message;
use crate::nicira::{self, port_from_16};
use crate::switch::Version;
use crate::v10;
use crate::wire::{Reader, Writer};

/// The ONF's type of the multipart messages, and of the message that takes a monitor back.
pub(crate) const ONF_MONITOR: u32 = 1870;
/// The ONF's type of the message that tells of a pause; that of a resumption is one more.
const ONF_PAUSED: u32 = 1871;
/// Nicira's, of the same three.
const NX_CANCEL: u32 = 21;
const NX_PAUSED: u32 = 22;

bitflags! {
    /// What a monitor tells (`OFPFMF_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct MonitorFlags: u16 {
        /// The entries that are there when it begins.
        const INITIAL = 1 << 0;
        /// Entries that are added.
        const ADD = 1 << 1;
        /// Entries that are removed.
        const REMOVED = 1 << 2;
        /// Entries that are modified.
        const MODIFY = 1 << 3;
        /// What the entries do, too.
        const INSTRUCTIONS = 1 << 4;
        /// The controller's own changes in full; without, by their transaction ids.
        const NO_ABBREV = 1 << 5;
        /// Only the controller's own changes. From OpenFlow 1.4 on.
        const ONLY_OWN = 1 << 6;
    }
}

/// What is done with a monitor. Before OpenFlow 1.4 it can only be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MonitorCommand {
    Add,
    Modify,
    Delete,
}

/// A monitor that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MonitorRequest {
    /// The controller's number for it.
    pub id: u32,
    /// What is done with it.
    pub command: MonitorCommand,
    /// What it tells.
    pub flags: MonitorFlags,
    /// Only entries that output to this port; `ANY` for all.
    pub out_port: PortNo,
    /// Only entries that use this group; `ANY` for all.
    pub out_group: GroupId,
    /// Only entries of this table, or of [`TableId::ALL`].
    pub table: TableId,
    /// Only entries that this match covers.
    pub matching: Match,
}

impl MonitorRequest {
    /// One record of a request of 1.3 (in the ONF's form) or later.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<MonitorRequest, DecodeError> {
        let id = r.u32()?;
        if r.version() < Version::V1_4 {
            let flags = decode_flags(r)?;
            // The match says its length itself.
            r.skip(2)?;
            let (out_port, table) = (PortNo(r.u32()?), TableId(r.u8()?));
            r.skip(3)?;
            let (command, out_group) = (MonitorCommand::Add, GroupId::ANY);
            return Ok(MonitorRequest {
                id,
                command,
                flags,
                out_port,
                out_group,
                table,
                matching: Match::decode(r)?,
            });
        }
        // `ovs-ofctl` sends the wildcard of OpenFlow 1.0 here.
        let any_port = |port| if port == 0xffff { PortNo::ANY } else { PortNo(port) };
        let (out_port, out_group) = (any_port(r.u32()?), GroupId(r.u32()?));
        let (flags, table) = (decode_flags(r)?, TableId(r.u8()?));
        let command = match r.u8()? {
            0 => MonitorCommand::Add,
            1 => MonitorCommand::Modify,
            2 => MonitorCommand::Delete,
            found => {
                let problem = Problem::Value { field: "command", found: found.into(), expected: "0 to 2" };
                return Err(r.error(ErrorCode::MonitorBadCommand, problem));
            }
        };
        Ok(MonitorRequest { id, command, flags, out_port, out_group, table, matching: Match::decode(r)? })
    }

    /// One record of Nicira's request under OpenFlow 1.0.
    pub(crate) fn decode_nicira(r: &mut Reader<'_>) -> Result<MonitorRequest, DecodeError> {
        let (id, flags, out_port) = (r.u32()?, decode_flags(r)?, port_from_16(r.u16()?));
        let (len, table) = (usize::from(r.u16()?), TableId(r.u8()?));
        r.skip(5)?;
        let (matching, _) = Match::decode_nicira(r, len)?;
        let (command, out_group) = (MonitorCommand::Add, GroupId::ANY);
        Ok(MonitorRequest { id, command, flags, out_port, out_group, table, matching })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(self.id);
        if w.version < Version::V1_4 {
            w.u16(self.flags.bits());
            let mut matching = Writer::default();
            self.matching.encode(&mut matching);
            // Without the padding.
            w.bytes(matching.out.get(2..4).unwrap_or(&[0; 2]));
            w.u32(self.out_port.0);
            w.u8(self.table.0);
            w.zeros(3);
        } else {
            w.u32(self.out_port.0);
            w.u32(self.out_group.0);
            w.u16(self.flags.bits());
            w.u8(self.table.0);
            w.u8(self.command as u8);
        }
        self.matching.encode(w);
    }
}

fn decode_flags(r: &mut Reader<'_>) -> Result<MonitorFlags, DecodeError> {
    let bits = r.u16()?;
    let known = if r.version() < Version::V1_4 { 0x3f } else { 0x7f };
    match MonitorFlags::from_bits(bits & known) {
        Some(flags) if bits & !known == 0 => Ok(flags),
        _ => {
            let problem =
                Problem::Value { field: "monitor flags", found: bits.into(), expected: "known ones" };
            Err(r.error(ErrorCode::MonitorBadFlags, problem))
        }
    }
}

/// What a monitor tells of an entry (`OFPFME_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateEvent {
    /// It was there when the monitor began.
    Initial,
    /// It was added.
    Added,
    /// It was removed.
    Removed(FlowRemovedReason),
    /// It does something else.
    Modified,
}

/// One thing that a monitor tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FlowUpdate {
    /// Of an entry.
    Full {
        /// What became of it.
        event: UpdateEvent,
        /// Its table.
        table: TableId,
        /// Its priority.
        priority: u16,
        /// Its timeouts, in seconds.
        idle_timeout: u16,
        /// As above.
        hard_timeout: u16,
        /// The controller's mark.
        cookie: u64,
        /// Its match.
        matching: Match,
        /// What it does, if the monitor asks for that.
        instructions: Option<Instructions>,
    },
    /// The controller's own message with this transaction id was done.
    Abbrev {
        /// The transaction id.
        xid: u32,
    },
    /// Changes from here on are not told for want of room. Only from OpenFlow 1.4 on a record.
    Paused,
    /// All was told that there is. As above.
    Resumed,
}

impl FlowUpdate {
    /// One record of a reply of 1.3 (in the ONF's form) or later.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<FlowUpdate, DecodeError> {
        let len = usize::from(r.clone().u16()?);
        let mut r = r.sub_own(len, "flow update", ErrorCode::RequestBadLen)?;
        r.skip(2)?;
        let event = r.u16()?;
        let late = r.version() >= Version::V1_4;
        let number = if late { event } else { event.saturating_add(1) };
        let bad = |r: &Reader<'_>| {
            let problem = Problem::Value { field: "event", found: event.into(), expected: "a known one" };
            r.error(ErrorCode::RequestBadType, problem)
        };
        if number > 3 {
            return match (number, late) {
                (4, _) => Ok(FlowUpdate::Abbrev { xid: r.u32()? }),
                (5, true) => r.skip(4).map(|()| FlowUpdate::Paused),
                (6, true) => r.skip(4).map(|()| FlowUpdate::Resumed),
                _ => Err(bad(&r)),
            };
        }
        let (table, reason, idle_timeout, hard_timeout, priority);
        if late {
            (table, reason) = (TableId(r.u8()?), u16::from(r.u8()?));
            (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
            r.skip(4)?;
        } else {
            (reason, priority) = (r.u16()?, r.u16()?);
            (idle_timeout, hard_timeout) = (r.u16()?, r.u16()?);
            r.skip(2)?;
            table = TableId(r.u8()?);
            r.skip(1)?;
        }
        let cookie = r.u64()?;
        let event = match number {
            0 => UpdateEvent::Initial,
            1 => UpdateEvent::Added,
            2 => match u8::try_from(reason).ok().and_then(FlowRemovedReason::from_wire) {
                Some(reason) => UpdateEvent::Removed(reason),
                None => return Err(bad(&r)),
            },
            _ => UpdateEvent::Modified,
        };
        let matching = Match::decode(&mut r)?;
        let instructions = if r.is_empty() { None } else { Some(Instructions::decode(&mut r)?) };
        Ok(FlowUpdate::Full {
            event,
            table,
            priority,
            idle_timeout,
            hard_timeout,
            cookie,
            matching,
            instructions,
        })
    }

    /// A record; none for what is a message of its own before OpenFlow 1.4.
    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        let late = w.version >= Version::V1_4;
        match self {
            FlowUpdate::Full {
                event,
                table,
                priority,
                idle_timeout,
                hard_timeout,
                cookie,
                matching,
                instructions,
            } => {
                w.u16(0);
                let (number, reason) = match event {
                    UpdateEvent::Initial => (0, 0),
                    UpdateEvent::Added => (1, 0),
                    // The extensions know the reasons of later versions, too.
                    UpdateEvent::Removed(reason) => (2, *reason as u8),
                    UpdateEvent::Modified => (3, 0),
                };
                if late {
                    w.u16(number);
                    w.u8(table.0);
                    w.u8(reason);
                    [*idle_timeout, *hard_timeout, *priority].into_iter().for_each(|number| w.u16(number));
                    w.zeros(4);
                    w.u64(*cookie);
                    matching.encode(w);
                } else {
                    // What was there at first was added there.
                    w.u16(number.saturating_sub(1));
                    w.u16(reason.into());
                    [*priority, *idle_timeout, *hard_timeout].into_iter().for_each(|number| w.u16(number));
                    let match_len = w.len();
                    w.u16(0);
                    w.u8(table.0);
                    w.zeros(1);
                    w.u64(*cookie);
                    let len = if w.version == Version::V1_0 {
                        matching.encode_nicira(w)
                    } else {
                        let at = w.len();
                        matching.encode(w);
                        w.out
                            .get(at + 2..at + 4)
                            .map_or(0, |len| usize::from(len[0]) << 8 | usize::from(len[1]))
                    };
                    w.patch_u16(match_len, len);
                }
                if let Some(instructions) = instructions {
                    if w.version == Version::V1_0 {
                        v10::encode_instructions(instructions, w);
                    } else {
                        instructions.encode(w);
                    }
                }
                w.patch_u16(start, w.len() - start);
            }
            FlowUpdate::Abbrev { xid } => {
                w.u16(8);
                w.u16(if late { 4 } else { 3 });
                w.u32(*xid);
            }
            FlowUpdate::Paused | FlowUpdate::Resumed if late => {
                w.u16(8);
                w.u16(if *self == FlowUpdate::Paused { 5 } else { 6 });
                w.zeros(4);
            }
            FlowUpdate::Paused | FlowUpdate::Resumed => {}
        }
    }

    /// The message that says so before OpenFlow 1.4, if it is one of its own there.
    pub fn own_message(&self, version: Version) -> Option<Message> {
        let resumed = match self {
            FlowUpdate::Paused if version < Version::V1_4 => 0,
            FlowUpdate::Resumed if version < Version::V1_4 => 1,
            _ => return None,
        };
        let (experimenter, exp_type) = match version {
            Version::V1_0 => (nicira::EXPERIMENTER, NX_PAUSED + resumed),
            _ => (ONF, ONF_PAUSED + resumed),
        };
        Some(Message::Experimenter { experimenter, exp_type, data: Vec::new() })
    }
}

/// Reads a message that takes a monitor back, behind experimenter and type; none if it is another.
pub(crate) fn decode_cancel(
    experimenter: u32,
    exp_type: u32,
    r: &mut Reader<'_>,
) -> Result<Option<Message>, DecodeError> {
    match (experimenter, exp_type) {
        (nicira::EXPERIMENTER, NX_CANCEL) | (ONF, ONF_MONITOR) => Ok(Some(Message::MonitorCancel(r.u32()?))),
        _ => Ok(None),
    }
}
