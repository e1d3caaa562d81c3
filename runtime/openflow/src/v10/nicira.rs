//! Nicira's messages under OpenFlow 1.0 that change a session or stand for standard ones. `nicira-ext.h` of Open vSwitch.

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::group::GroupMod;
use crate::message::Message;
use crate::switch::{Role, RoleMsg};
use crate::wire::Reader;

use super::flow;

pub(super) const ROLE_REQUEST: u32 = 10;
pub(super) const ROLE_REPLY: u32 = 11;
const SET_FLOW_FORMAT: u32 = 12;
const FLOW_MOD: u32 = 13;
pub(super) const FLOW_REMOVED: u32 = 14;
const FLOW_MOD_TABLE_ID: u32 = 15;
const SET_PACKET_IN_FORMAT: u32 = 16;
const GROUP_MOD: u32 = 31;

/// What a client asks of its session, in whichever version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionOption {
    /// `NXT_FLOW_MOD_TABLE_ID`: flow-mods say in the upper byte of the command which table they are about.
    TableId(bool),
    /// `NXT_SET_FLOW_FORMAT`: 0, OpenFlow 1.0; 2, NXM. Either is always understood.
    FlowFormat(u32),
    /// `NXT_SET_PACKET_IN_FORMAT`: 0 is the standard one, the only one that we have.
    PacketInFormat(u32),
}

/// Reads the body of a message, behind experimenter id and subtype. `None` for those that are not known.
pub(crate) fn decode_option(subtype: u32, r: &mut Reader<'_>) -> Result<Option<SessionOption>, DecodeError> {
    Ok(match subtype {
        SET_FLOW_FORMAT => Some(SessionOption::FlowFormat(r.u32()?)),
        SET_PACKET_IN_FORMAT => Some(SessionOption::PacketInFormat(r.u32()?)),
        FLOW_MOD_TABLE_ID => {
            let on = r.u8()? != 0;
            r.skip(7)?;
            Some(SessionOption::TableId(on))
        }
        _ => None,
    })
}

pub(super) fn decode(subtype: u32, r: &mut Reader<'_>) -> Result<Option<Message>, DecodeError> {
    if let Some(option) = decode_option(subtype, r)? {
        return Ok(Some(Message::Session(option)));
    }
    Ok(match subtype {
        FLOW_MOD => Some(Message::FlowMod(flow::decode_nicira_mod(r)?)),
        GROUP_MOD => Some(Message::GroupMod(GroupMod::decode(r)?)),
        ROLE_REQUEST => {
            // Other, master, slave.
            let role = match r.u32()? {
                0 => Role::Equal,
                1 => Role::Master,
                2 => Role::Slave,
                found => {
                    let problem = Problem::Value { field: "role", found: found.into(), expected: "0 to 2" };
                    return Err(r.error(ErrorCode::RequestBadExpType, problem));
                }
            };
            // There is no generation id.
            Some(Message::RoleRequest(RoleMsg { role, generation_id: 0 }))
        }
        _ => None,
    })
}
