//! Actions, section 7.2.5: what is done with a packet.

use crate::bundle;
use crate::copy_field::{COPY_FIELD, CopyField};
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow_match::{MatchField, OxmHeader};
use crate::ids::{GroupId, MeterId, PortNo, TableId};
use crate::nicira;
use crate::oxm::{CLASS_BASIC, CLASS_EXPERIMENTER, CLASS_PACKET_REGISTERS, Field, OXM_TCP_FLAGS};
use crate::switch::Version;
use crate::v10;
use crate::wire::{Reader, Writer};

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sends the packet out of a port.
    Output {
        /// A real port, or one of `IN_PORT`, `TABLE`, `NORMAL`, `FLOOD`, `ALL`, `CONTROLLER`, `LOCAL`.
        port: PortNo,
        /// For `CONTROLLER`: how many bytes of the packet go along; [`Action::WHOLE_PACKET`] for all.
        max_len: u16,
    },
    /// Copies the TTL from the next-to-outermost to the outermost header.
    CopyTtlOut,
    /// Copies the TTL from the outermost to the next-to-outermost header.
    CopyTtlIn,
    /// Sets the TTL of the outer MPLS entry.
    SetMplsTtl(u8),
    /// Decrements the TTL of the outer MPLS entry.
    DecMplsTtl,
    /// Pushes a VLAN tag with this EtherType.
    PushVlan(u16),
    /// Pops the outer VLAN tag.
    PopVlan,
    /// Pushes an MPLS entry with this EtherType.
    PushMpls(u16),
    /// Pops the outer MPLS entry; the EtherType of what is below.
    PopMpls(u16),
    /// Chooses the queue of the port that the packet leaves by.
    SetQueue(u32),
    /// Hands the packet to a group.
    Group(GroupId),
    /// Sends the packet through a meter. From OpenFlow 1.5 on; before, that is an instruction.
    Meter(MeterId),
    /// Sets the IP TTL.
    SetNwTtl(u8),
    /// Decrements the IP TTL.
    DecNwTtl,
    /// Writes a header field. The condition is exact: its value is what is written.
    SetField(MatchField),
    /// Copies bits of one field to another.
    CopyField(CopyField),
    /// Pushes a provider backbone service tag with this EtherType.
    PushPbb(u16),
    /// Pops the provider backbone service tag.
    PopPbb,
    /// Sends the packet through a table and goes on with the next action: Open vSwitch's extension.
    Resubmit {
        /// The port that the packet is taken to have come in by there; `IN_PORT` for the true one.
        port: PortNo,
        /// The table; [`TableId::ALL`] for the one that this entry is in.
        table: TableId,
    },
    /// Sets the VLAN id, and pushes a tag first if there is none: OpenFlow 1.0's `set_vlan_vid`.
    SetVlanVid(u16),
    /// Sets the VLAN priority, and pushes a tag first if there is none: OpenFlow 1.0's `set_vlan_pcp`.
    SetVlanPcp(u8),
    /// Sets the source port of TCP, UDP or SCTP, whichever it is: OpenFlow 1.0's `set_tp_src`.
    SetTpSrc(u16),
    /// Sets the destination port of TCP, UDP or SCTP, whichever it is: OpenFlow 1.0's `set_tp_dst`.
    SetTpDst(u16),
    /// Another party's action; `data` follows the experimenter id and fills the action to a multiple of 8 bytes.
    Experimenter {
        /// The experimenter id.
        experimenter: u32,
        /// The rest of the action.
        data: Vec<u8>,
    },
}

impl Action {
    /// `OFPCML_NO_BUFFER`: the whole packet goes to the controller.
    pub const WHOLE_PACKET: u16 = 0xffff;

    /// Sends the packet out of a port.
    pub fn output(port: PortNo) -> Action {
        Action::Output { port, max_len: 0 }
    }

    /// The number of the action's type (`OFPAT_*`).
    pub fn ty(&self) -> u16 {
        match self {
            Action::Output { .. } => 0,
            Action::CopyTtlOut => 11,
            Action::CopyTtlIn => 12,
            Action::SetMplsTtl(_) => 15,
            Action::DecMplsTtl => 16,
            Action::PushVlan(_) => 17,
            Action::PopVlan => 18,
            Action::PushMpls(_) => 19,
            Action::PopMpls(_) => 20,
            Action::SetQueue(_) => 21,
            Action::Group(_) => 22,
            Action::SetNwTtl(_) => 23,
            Action::DecNwTtl => 24,
            Action::SetField(_) => 25,
            Action::PushPbb(_) => 26,
            Action::PopPbb => 27,
            Action::CopyField(_) => COPY_FIELD,
            Action::Meter(_) => 29,
            // OpenFlow 1.0 has numbers of its own for these; later versions say them as set-field.
            Action::SetVlanVid(_) | Action::SetVlanPcp(_) | Action::SetTpSrc(_) | Action::SetTpDst(_) => 25,
            Action::Resubmit { .. } | Action::Experimenter { .. } => 0xffff,
        }
    }

    /// Reads actions until `r` is empty.
    pub(crate) fn decode_list(r: &mut Reader<'_>) -> Result<Vec<Action>, DecodeError> {
        if r.version() == Version::V1_0 {
            return v10::decode_actions(r);
        }
        r.all(Action::decode)
    }

    fn decode(r: &mut Reader<'_>) -> Result<Action, DecodeError> {
        let mut head = r.clone();
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 8 || len % 8 != 0 {
            let problem = Problem::Length { found: len, expected: "a multiple of 8, at least 8" };
            return Err(r.error(ErrorCode::ActionBadLen, problem));
        }
        let mut r = r.sub_own(len, "action", ErrorCode::ActionBadLen)?;
        r.skip(4)?;
        let action = match ty {
            0 => {
                let (port, max_len) = (PortNo(r.u32()?), r.u16()?);
                r.skip(6)?;
                Action::Output { port, max_len }
            }
            11 => padded(&mut r, 4, Action::CopyTtlOut)?,
            12 => padded(&mut r, 4, Action::CopyTtlIn)?,
            15 => {
                let action = Action::SetMplsTtl(r.u8()?);
                padded(&mut r, 3, action)?
            }
            16 => padded(&mut r, 4, Action::DecMplsTtl)?,
            17 => {
                let action = Action::PushVlan(r.u16()?);
                padded(&mut r, 2, action)?
            }
            18 => padded(&mut r, 4, Action::PopVlan)?,
            19 => {
                let action = Action::PushMpls(r.u16()?);
                padded(&mut r, 2, action)?
            }
            20 => {
                let action = Action::PopMpls(r.u16()?);
                padded(&mut r, 2, action)?
            }
            21 => Action::SetQueue(r.u32()?),
            22 => Action::Group(GroupId(r.u32()?)),
            23 => {
                let action = Action::SetNwTtl(r.u8()?);
                padded(&mut r, 3, action)?
            }
            24 => padded(&mut r, 4, Action::DecNwTtl)?,
            25 => return decode_set_field(r),
            26 => {
                let action = Action::PushPbb(r.u16()?);
                padded(&mut r, 2, action)?
            }
            27 => padded(&mut r, 4, Action::PopPbb)?,
            COPY_FIELD if r.version() >= Version::V1_5 => Action::CopyField(CopyField::decode(&mut r)?),
            29 if r.version() >= Version::V1_5 => Action::Meter(MeterId(r.u32()?)),
            0xffff => {
                let experimenter = r.u32()?;
                if experimenter == nicira::EXPERIMENTER
                    && let Some(action) = v10::decode_nicira(&mut r)?
                {
                    return Ok(action);
                }
                if experimenter == bundle::ONF
                    && let Some(copy) = CopyField::decode_onf(&mut r)?
                {
                    return Ok(Action::CopyField(copy));
                }
                Action::Experimenter { experimenter, data: r.rest().to_vec() }
            }
            _ => {
                let problem = Problem::Value {
                    field: "action type",
                    found: ty.into(),
                    expected: "an OpenFlow 1.3 action",
                };
                return Err(r.error(ErrorCode::ActionBadType, problem));
            }
        };
        r.end()?;
        Ok(action)
    }

    pub(crate) fn encode_list(actions: &[Action], w: &mut Writer) {
        if w.version == Version::V1_0 {
            return v10::encode_actions(actions, w);
        }
        for action in actions {
            action.encode(w);
        }
    }

    fn encode(&self, w: &mut Writer) {
        if let Action::SetField(field) = self
            && !field.is_exact()
            && w.version < Version::V1_5
        {
            return v10::encode_load(field, w);
        }
        let start = w.len();
        let is_extension = matches!(self, Action::CopyField(_)) && w.version < Version::V1_5;
        w.u16(if is_extension { 0xffff } else { self.ty() });
        w.u16(0);
        match self {
            Action::Output { port, max_len } => {
                w.u32(port.0);
                w.u16(*max_len);
            }
            Action::CopyTtlOut
            | Action::CopyTtlIn
            | Action::DecMplsTtl
            | Action::PopVlan
            | Action::DecNwTtl
            | Action::PopPbb => w.zeros(4),
            Action::SetMplsTtl(ttl) | Action::SetNwTtl(ttl) => w.u8(*ttl),
            Action::PushVlan(ty) | Action::PushMpls(ty) | Action::PopMpls(ty) | Action::PushPbb(ty) => {
                w.u16(*ty);
            }
            Action::SetQueue(queue) => w.u32(*queue),
            Action::Group(group) => w.u32(group.0),
            Action::Meter(meter) => w.u32(meter.0),
            Action::SetField(value) => value.encode(w),
            Action::CopyField(copy) => copy.encode(w),
            Action::Experimenter { experimenter, data } => {
                w.u32(*experimenter);
                w.bytes(data);
            }
            Action::Resubmit { port, table } => nicira::encode_resubmit(*port, *table, w),
            Action::SetVlanVid(vid) => {
                // What comes nearest: the tag is there, or nothing is done.
                w.u32(Field::VlanVid.spec().oxm_header(false));
                w.u16(vid & 0x0fff | 0x1000);
            }
            Action::SetVlanPcp(pcp) => {
                w.u32(Field::VlanPcp.spec().oxm_header(false));
                w.u8(*pcp);
            }
            Action::SetTpSrc(port) => {
                w.u32(Field::TcpSrc.spec().oxm_header(false));
                w.u16(*port);
            }
            Action::SetTpDst(port) => {
                w.u32(Field::TcpDst.spec().oxm_header(false));
                w.u16(*port);
            }
        }
        w.align8(start);
        w.patch_u16(start + 2, w.len() - start);
    }
}

fn padded(r: &mut Reader<'_>, pad: usize, action: Action) -> Result<Action, DecodeError> {
    r.skip(pad)?;
    Ok(action)
}

/// Section 7.2.5, set-field: one unmasked OXM TLV, then padding to a multiple of 8.
fn decode_set_field(mut r: Reader<'_>) -> Result<Action, DecodeError> {
    let mut header = OxmHeader::decode(&mut r)?;
    if header.class == CLASS_PACKET_REGISTERS {
        return decode_set_register(header, r);
    }
    let field = match header.class {
        CLASS_BASIC => Field::from_oxm(header.field),
        CLASS_EXPERIMENTER if header.field == OXM_TCP_FLAGS && r.clone().u32()? == bundle::ONF => {
            r.skip(4)?;
            header.len = header.len.saturating_sub(4);
            Some(Field::TcpFlags)
        }
        class => Field::from_nxm(class, header.field),
    };
    let Some(field) = field.filter(|f| f.spec().settable) else {
        let problem = Problem::Value {
            field: "OXM class and field to set",
            found: u128::from(header.class) << 8 | u128::from(header.field),
            expected: "a header field of the class 0x8000 (OpenFlow basic)",
        };
        return Err(r.error(ErrorCode::ActionBadSetType, problem));
    };
    let spec = field.spec();
    // OpenFlow 1.5 lets a mask say which bits are written.
    if header.masked && (r.version() < Version::V1_5 || !spec.maskable) {
        return Err(r.error(ErrorCode::ActionBadSetType, Problem::NotMaskable { field: spec.name }));
    }
    if header.len != usize::from(spec.bytes) * if header.masked { 2 } else { 1 } {
        let problem = Problem::Length { found: header.len, expected: "the field's width" };
        return Err(r.error(ErrorCode::ActionBadSetLen, problem));
    }
    let value = r.uint(usize::from(spec.bytes))?;
    let mask = if header.masked { r.uint(usize::from(spec.bytes))? } else { spec.full_mask() };
    let value = MatchField::masked(field, value, mask)
        .map_err(|e| r.error(ErrorCode::ActionBadSetArgument, e.problem))?;
    if r.left() >= 8 {
        return Err(r.error(ErrorCode::ActionBadSetLen, Problem::Excess { left: r.left() }));
    }
    Ok(Action::SetField(value))
}

/// A register of 64 bits is two of 32; an action can write to one of them.
fn decode_set_register(header: OxmHeader, mut r: Reader<'_>) -> Result<Action, DecodeError> {
    let (value, mask) = (r.u64()?, if header.masked { r.u64()? } else { u64::MAX });
    let parts = Field::registers(header.field, value & mask, mask);
    let mut written = parts.into_iter().flatten().filter(|(_, _, mask)| *mask != 0);
    match (written.next(), written.next()) {
        (Some((field, value, mask)), None) => MatchField::masked(field, value, mask)
            .map(Action::SetField)
            .map_err(|e| r.error(ErrorCode::ActionBadSetArgument, e.problem)),
        _ => {
            let expected = "bits of one register of 32 bits";
            let problem = Problem::Value { field: "mask of a register", found: mask.into(), expected };
            Err(r.error(ErrorCode::ActionBadSetArgument, problem))
        }
    }
}
