//! Flow-mods, flow statistics and flow-removed messages of OpenFlow 1.0, sections 5.3.3, 5.3.5 and 5.4.3, and in Nicira's format.

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow::{
    FlowMod, FlowModCommand, FlowModFlags, FlowRemoved, FlowStats, FlowStatsRequest, encode_duration,
};
use crate::flow_match::Match;
use crate::ids::{PortNo, TableId, buffer_from_wire};
use crate::nicira::port_from_16;
use crate::wire::{Reader, Writer};

use super::{action, matching};

/// `OFPFF_EMERG`: entries for when there is no controller; there are none.
const EMERGENCY: u16 = 1 << 2;

/// What is read before the actions.
struct Head {
    command: u16,
    idle_timeout: u16,
    hard_timeout: u16,
    priority: u16,
    buffer: Option<u32>,
    out_port: PortNo,
    flags: u16,
}

impl Head {
    fn decode(r: &mut Reader<'_>) -> Result<Head, DecodeError> {
        Ok(Head {
            command: r.u16()?,
            idle_timeout: r.u16()?,
            hard_timeout: r.u16()?,
            priority: r.u16()?,
            buffer: buffer_from_wire(r.u32()?),
            out_port: port_from_16(r.u16()?),
            flags: r.u16()?,
        })
    }

    /// The lower byte is the command. The upper one is the table where `NXT_FLOW_MOD_TABLE_ID` was asked for; otherwise it is 0,
    /// which is the table of additions, too: modifications and deletions are then about all tables.
    fn flow_mod(self, cookie: (u64, u64), found: Match, r: &mut Reader<'_>) -> Result<FlowMod, DecodeError> {
        let command = FlowModCommand::from_number((self.command & 0xff) as u8).ok_or_else(|| {
            let problem = Problem::Value { field: "command", found: self.command.into(), expected: "0 to 4" };
            r.error(ErrorCode::FlowModBadCommand, problem)
        })?;
        if self.flags & EMERGENCY != 0 {
            let problem =
                Problem::Value { field: "flags", found: self.flags.into(), expected: "no emergency entries" };
            return Err(r.error(ErrorCode::FlowModTableFull, problem));
        }
        let table = TableId((self.command >> 8) as u8);
        // Which of the two it is, whoever knows the connection says.
        Ok(FlowMod {
            cookie: cookie.0,
            cookie_mask: cookie.1,
            table,
            idle_timeout: self.idle_timeout,
            hard_timeout: self.hard_timeout,
            priority: self.priority,
            buffer: self.buffer,
            out_port: if self.out_port == PortNo(0xffff_ffff) { PortNo::ANY } else { self.out_port },
            flags: FlowModFlags::from_bits_truncate(self.flags & 0b11),
            matching: found,
            instructions: action::decode_list(r)?,
            ..FlowMod::new(command)
        })
    }
}

pub(super) fn decode_mod(r: &mut Reader<'_>) -> Result<FlowMod, DecodeError> {
    let found = matching::decode(r)?;
    let cookie = r.u64()?;
    Head::decode(r)?.flow_mod((cookie, 0), found, r)
}

/// `NXT_FLOW_MOD`.
pub(super) fn decode_nicira_mod(r: &mut Reader<'_>) -> Result<FlowMod, DecodeError> {
    let cookie = r.u64()?;
    let head = Head::decode(r)?;
    let len = usize::from(r.u16()?);
    r.skip(6)?;
    let (found, wanted) = Match::decode_nicira(r, len)?;
    let adds = head.command & 0xff == 0;
    let cookie = match wanted {
        Some(wanted) if !adds => wanted,
        _ => (cookie, 0),
    };
    head.flow_mod(cookie, found, r)
}

pub(super) fn decode_stats_request(r: &mut Reader<'_>) -> Result<FlowStatsRequest, DecodeError> {
    let matching = matching::decode(r)?;
    let table = TableId(r.u8()?);
    r.skip(1)?;
    let out_port = port_from_16(r.u16()?);
    Ok(FlowStatsRequest { table, out_port, matching, ..FlowStatsRequest::default() })
}

/// `NXST_FLOW` and `NXST_AGGREGATE`.
pub(super) fn decode_nicira_stats_request(r: &mut Reader<'_>) -> Result<FlowStatsRequest, DecodeError> {
    let out_port = port_from_16(r.u16()?);
    let len = usize::from(r.u16()?);
    let table = TableId(r.u8()?);
    r.skip(3)?;
    let (matching, cookie) = Match::decode_nicira(r, len)?;
    let (cookie, cookie_mask) = cookie.unwrap_or((0, 0));
    Ok(FlowStatsRequest { table, out_port, cookie, cookie_mask, matching, ..FlowStatsRequest::default() })
}

pub(super) fn encode_stats(flow: &FlowStats, w: &mut Writer) {
    let start = w.len();
    w.u16(0);
    w.u8(flow.table.0);
    w.zeros(1);
    matching::encode(&flow.matching, w);
    encode_duration(flow.duration, w);
    w.u16(flow.priority);
    w.u16(flow.idle_timeout);
    w.u16(flow.hard_timeout);
    w.zeros(6);
    w.u64(flow.cookie);
    w.u64(flow.packets);
    w.u64(flow.bytes);
    action::encode(&flow.instructions, w);
    w.patch_u16(start, w.len() - start);
}

/// An entry in a reply to `NXST_FLOW`.
pub(super) fn encode_nicira_stats(flow: &FlowStats, w: &mut Writer) {
    let start = w.len();
    w.u16(0);
    w.u8(flow.table.0);
    w.zeros(1);
    encode_duration(flow.duration, w);
    w.u16(flow.priority);
    w.u16(flow.idle_timeout);
    w.u16(flow.hard_timeout);
    let match_len = w.len();
    w.u16(0);
    // The ages, which are only for those who ask for them.
    w.zeros(4);
    w.u64(flow.cookie);
    w.u64(flow.packets);
    w.u64(flow.bytes);
    let len = flow.matching.encode_nicira(w);
    w.patch_u16(match_len, len);
    action::encode(&flow.instructions, w);
    w.patch_u16(start, w.len() - start);
}

pub(super) fn encode_removed(removed: &FlowRemoved, w: &mut Writer) {
    matching::encode(&removed.matching, w);
    w.u64(removed.cookie);
    w.u16(removed.priority);
    // A group is nothing that 1.0 knows.
    w.u8((removed.reason as u8).min(2));
    w.zeros(1);
    encode_duration(removed.duration, w);
    w.u16(removed.idle_timeout);
    w.zeros(2);
    w.u64(removed.packets);
    w.u64(removed.bytes);
}

/// `NXT_FLOW_REMOVED`, for matches that the standard message has no place for.
pub(super) fn encode_nicira_removed(removed: &FlowRemoved, w: &mut Writer) {
    w.u64(removed.cookie);
    w.u16(removed.priority);
    w.u8((removed.reason as u8).min(2));
    w.u8(removed.table.0.saturating_add(1));
    encode_duration(removed.duration, w);
    w.u16(removed.idle_timeout);
    let match_len = w.len();
    w.u16(0);
    w.u64(removed.packets);
    w.u64(removed.bytes);
    let len = removed.matching.encode_nicira(w);
    w.patch_u16(match_len, len);
}
