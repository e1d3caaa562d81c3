//! Packets on the control channel: packet-in (section 7.4.1) and packet-out (7.3.7).

use crate::action::Action;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow_match::Match;
use crate::ids::{PortNo, TableId, buffer_from_wire, buffer_to_wire};
use crate::oxm::Field;
use crate::switch::Version;
use crate::wire::{Reader, Writer};

/// Why a packet goes to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketInReason {
    /// The table-miss entry matched.
    NoMatch,
    /// An output to the controller.
    Action,
    /// Its TTL is over.
    InvalidTtl,
    /// An output to the controller in the action set. From OpenFlow 1.4 on; before, [`Action`](Self::Action).
    ActionSet,
    /// An output to the controller in a group. From OpenFlow 1.4 on.
    Group,
    /// An output to the controller in a packet-out. From OpenFlow 1.4 on.
    PacketOut,
}

impl PacketInReason {
    /// `OFPR_*` of OpenFlow 1.3, which has three.
    pub(crate) fn v1_3(self) -> u8 {
        match self {
            PacketInReason::NoMatch => 0,
            PacketInReason::InvalidTtl => 2,
            _ => 1,
        }
    }
}

/// `OFPT_PACKET_IN`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PacketIn {
    /// Where the switch keeps the whole packet, if it does.
    pub buffer: Option<u32>,
    /// Length of the whole packet in bytes.
    pub total_len: u16,
    /// Why it is sent.
    pub reason: PacketInReason,
    /// The table whose entry sent it.
    pub table: TableId,
    /// That entry's cookie, or all ones.
    pub cookie: u64,
    /// What the packet does not say itself: its port, metadata, tunnel.
    pub matching: Match,
    /// The packet or its beginning.
    pub data: Vec<u8>,
}

impl PacketIn {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PacketIn, DecodeError> {
        let buffer = buffer_from_wire(r.u32()?);
        let total_len = r.u16()?;
        let reason = match r.u8()? {
            0 => PacketInReason::NoMatch,
            1 => PacketInReason::Action,
            2 => PacketInReason::InvalidTtl,
            3 if r.version() >= Version::V1_4 => PacketInReason::ActionSet,
            4 if r.version() >= Version::V1_4 => PacketInReason::Group,
            5 if r.version() >= Version::V1_4 => PacketInReason::PacketOut,
            found => {
                let problem = Problem::Value { field: "reason", found: found.into(), expected: "0 to 2" };
                return Err(r.error(ErrorCode::RequestBadType, problem));
            }
        };
        let table = TableId(r.u8()?);
        let cookie = r.u64()?;
        let matching = Match::decode(r)?;
        r.skip(2)?;
        let data = r.rest().to_vec();
        Ok(PacketIn { buffer, total_len, reason, table, cookie, matching, data })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(buffer_to_wire(self.buffer));
        w.u16(self.total_len);
        w.u8(if w.version >= Version::V1_4 { self.reason as u8 } else { self.reason.v1_3() });
        w.u8(self.table.0);
        w.u64(self.cookie);
        self.matching.encode(w);
        w.zeros(2);
        w.bytes(&self.data);
    }
}

/// `OFPT_PACKET_OUT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PacketOut {
    /// The buffered packet to send; otherwise it is in `data`.
    pub buffer: Option<u32>,
    /// The port that the packet is taken to have come in by, or `CONTROLLER`.
    pub in_port: PortNo,
    /// What to do with it.
    pub actions: Vec<Action>,
    /// The packet.
    pub data: Vec<u8>,
}

impl PacketOut {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PacketOut, DecodeError> {
        let buffer = buffer_from_wire(r.u32()?);
        let (in_port, actions_len) = if r.version() >= Version::V1_5 {
            let actions_len = usize::from(r.u16()?);
            r.skip(2)?;
            let matching = Match::decode_checked(r)?;
            // What else a match could say of the packet, the tables have not written yet.
            let in_port =
                matching.get(Field::InPort).map_or(PortNo::CONTROLLER, |f| PortNo(f.value() as u32));
            (in_port, actions_len)
        } else {
            let in_port = PortNo(r.u32()?);
            let actions_len = usize::from(r.u16()?);
            r.skip(6)?;
            (in_port, actions_len)
        };
        if actions_len > r.left() {
            return Err(r.bad_len(actions_len, "no more than the message has"));
        }
        let actions = Action::decode_list(&mut r.sub(actions_len, "action", ErrorCode::ActionBadLen)?)?;
        Ok(PacketOut { buffer, in_port, actions, data: r.rest().to_vec() })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(buffer_to_wire(self.buffer));
        let v1_5 = w.version >= Version::V1_5;
        if !v1_5 {
            w.u32(self.in_port.0);
        }
        let len_at = w.len();
        w.u16(0);
        if v1_5 {
            w.zeros(2);
            Match::any().with(Field::InPort, self.in_port.0.into()).encode(w);
        } else {
            w.zeros(6);
        }
        let start = w.len();
        Action::encode_list(&self.actions, w);
        w.patch_u16(len_at, w.len() - start);
        w.bytes(&self.data);
    }
}
