//! Actions of OpenFlow 1.0, section 5.2.4, and those of Nicira that stand beside them.
//!
//! In 1.0 an entry has no instructions. `goto_table` goes out as a resubmission, as Open vSwitch does it; `write_metadata` and
//! `set_field` are Nicira's; what is left in the action set, and meters, cannot be said.

use crate::action::Action;
use crate::copy_field::CopyField;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow_match::{Match, MatchField};
use crate::ids::{GroupId, PortNo};
use crate::instruction::{Instructions, MetadataWrite};
use crate::nicira::{self, port_from_16, port_to_16};
use crate::oxm::Field;
use crate::wire::{Reader, Writer};

const VENDOR: u16 = 0xffff;
const SET_TUNNEL: u16 = 2;
const REG_MOVE: u16 = 6;
const REG_LOAD: u16 = 7;
const NOTE: u16 = 8;
const SET_TUNNEL64: u16 = 9;
const DEC_TTL: u16 = 18;
const WRITE_METADATA: u16 = 22;
const PUSH_MPLS: u16 = 23;
const POP_MPLS: u16 = 24;
const SET_MPLS_TTL: u16 = 25;
const DEC_MPLS_TTL: u16 = 26;
const REG_LOAD2: u16 = 33;
const GROUP: u16 = 40;

/// Reads actions until `r` is empty, without what only entries have.
pub(crate) fn decode_actions(r: &mut Reader<'_>) -> Result<Vec<Action>, DecodeError> {
    Ok(decode_list(r)?.apply)
}

/// Reads what an entry does until `r` is empty.
pub(super) fn decode_list(r: &mut Reader<'_>) -> Result<Instructions, DecodeError> {
    let mut out = Instructions::none();
    while !r.is_empty() {
        let mut head = r.clone();
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 8 || len % 8 != 0 {
            let problem = Problem::Length { found: len, expected: "a multiple of 8, at least 8" };
            return Err(r.error(ErrorCode::ActionBadLen, problem));
        }
        let mut one = r.sub_own(len, "action", ErrorCode::ActionBadLen)?;
        one.skip(4)?;
        if ty == VENDOR {
            decode_vendor(&mut one, &mut out)?;
        } else {
            out.apply.push(decode_one(ty, &mut one)?);
        }
    }
    Ok(out)
}

fn set(field: Field, value: u128, r: &Reader<'_>) -> Result<Action, DecodeError> {
    MatchField::exact(field, value)
        .map(Action::SetField)
        .map_err(|e| r.error(ErrorCode::ActionBadArgument, e.problem))
}

fn decode_one(ty: u16, r: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(match ty {
        0 => Action::Output { port: port_from_16(r.u16()?), max_len: r.u16()? },
        1 => Action::SetVlanVid(r.u16()? & 0x0fff),
        2 => Action::SetVlanPcp(r.u8()? & 7),
        3 => Action::PopVlan,
        4 => set(Field::EthSrc, r.uint(6)?, r)?,
        5 => set(Field::EthDst, r.uint(6)?, r)?,
        6 => set(Field::Ipv4Src, r.uint(4)?, r)?,
        7 => set(Field::Ipv4Dst, r.uint(4)?, r)?,
        8 => set(Field::IpDscp, r.uint(1)? >> 2, r)?,
        9 => Action::SetTpSrc(r.u16()?),
        10 => Action::SetTpDst(r.u16()?),
        11 => return Err(bad_queue(r)),
        _ => {
            let problem = Problem::Value {
                field: "action type",
                found: ty.into(),
                expected: "an action of OpenFlow 1.0",
            };
            return Err(r.error(ErrorCode::ActionBadType, problem));
        }
    })
}

/// `enqueue`: there are no queues.
fn bad_queue(r: &Reader<'_>) -> DecodeError {
    let problem =
        Problem::Value { field: "action type", found: 11, expected: "no queue: this switch has none" };
    r.error(ErrorCode::ActionBadQueue, problem)
}

/// Reads an action of Nicira's, in any version, behind the experimenter id. `None` for those that are not known.
pub(crate) fn decode_nicira(r: &mut Reader<'_>) -> Result<Option<Action>, DecodeError> {
    let mut out = Instructions::none();
    decode_known(&mut r.clone(), &mut out)?;
    Ok(match out.apply.pop() {
        Some(Action::Experimenter { .. }) | None => None,
        action => action,
    })
}

fn decode_vendor(r: &mut Reader<'_>, out: &mut Instructions) -> Result<(), DecodeError> {
    let experimenter = r.u32()?;
    if experimenter != nicira::EXPERIMENTER {
        out.apply.push(Action::Experimenter { experimenter, data: r.rest().to_vec() });
        return Ok(());
    }
    decode_known(r, out)
}

fn decode_known(r: &mut Reader<'_>, out: &mut Instructions) -> Result<(), DecodeError> {
    let experimenter = nicira::EXPERIMENTER;
    let start = r.clone();
    let action = match r.u16()? {
        SET_TUNNEL => {
            r.skip(2)?;
            set(Field::TunnelId, r.uint(4)?, r)?
        }
        SET_TUNNEL64 => {
            r.skip(6)?;
            set(Field::TunnelId, r.uint(8)?, r)?
        }
        REG_MOVE => Action::CopyField(CopyField::decode_move(r)?),
        REG_LOAD => decode_load(r)?,
        REG_LOAD2 => Action::SetField(Match::decode_one_nicira(r)?),
        // A remark.
        NOTE => return Ok(()),
        DEC_TTL => Action::DecNwTtl,
        WRITE_METADATA => {
            r.skip(6)?;
            out.metadata = Some(MetadataWrite { value: r.u64()?, mask: r.u64()? });
            return Ok(());
        }
        PUSH_MPLS => Action::PushMpls(r.u16()?),
        POP_MPLS => Action::PopMpls(r.u16()?),
        SET_MPLS_TTL => Action::SetMplsTtl(r.u8()?),
        DEC_MPLS_TTL => Action::DecMplsTtl,
        GROUP => {
            r.skip(2)?;
            Action::Group(GroupId(r.u32()?))
        }
        _ => match nicira::decode(&mut start.clone())? {
            Some(action) => action,
            None => Action::Experimenter { experimenter, data: start.clone().rest().to_vec() },
        },
    };
    out.apply.push(action);
    Ok(())
}

/// `NXAST_REG_LOAD`: some bits of a field.
fn decode_load(r: &mut Reader<'_>) -> Result<Action, DecodeError> {
    let place = r.u16()?;
    let (offset, bits) = (u32::from(place >> 6), u32::from(place & 0x3f) + 1);
    let header = r.u32()?;
    let value = u128::from(r.u64()?);
    let field = Field::from_nxm_or_oxm((header >> 16) as u16, (header >> 9 & 0x7f) as u8);
    let Some(field) = field.filter(|field| field.spec().settable) else {
        let expected = "a field that can be written";
        let problem = Problem::Value { field: "field to load", found: header.into(), expected };
        return Err(r.error(ErrorCode::ActionBadArgument, problem));
    };
    let mask = if offset < 128 { ((1_u128 << bits) - 1) << offset } else { 0 };
    let shifted = if offset < 128 { value << offset } else { value };
    MatchField::masked(field, shifted, mask)
        .map(Action::SetField)
        .map_err(|e| r.error(ErrorCode::ActionBadArgument, e.problem))
}

/// Writes what an entry does.
pub(crate) fn encode(instructions: &Instructions, w: &mut Writer) {
    encode_list(&instructions.apply, w);
    if let Some(metadata) = instructions.metadata {
        vendor(WRITE_METADATA, w, |w| {
            w.zeros(6);
            w.u64(metadata.value);
            w.u64(metadata.mask);
        });
    }
    if let Some(table) = instructions.goto_table {
        let start = w.len();
        w.u16(VENDOR);
        w.u16(0);
        nicira::encode_resubmit(PortNo::IN_PORT, table, w);
        w.patch_u16(start + 2, w.len() - start);
    }
}

fn vendor(subtype: u16, w: &mut Writer, body: impl FnOnce(&mut Writer)) {
    let start = w.len();
    w.u16(VENDOR);
    w.u16(0);
    w.u32(nicira::EXPERIMENTER);
    w.u16(subtype);
    body(w);
    w.align8(start);
    w.patch_u16(start + 2, w.len() - start);
}

fn plain(ty: u16, w: &mut Writer, body: impl FnOnce(&mut Writer)) {
    let start = w.len();
    w.u16(ty);
    w.u16(0);
    body(w);
    w.align8(start);
    w.patch_u16(start + 2, w.len() - start);
}

/// Writes actions.
pub(crate) fn encode_list(actions: &[Action], w: &mut Writer) {
    for action in actions {
        encode_one(action, w);
    }
}

fn encode_one(action: &Action, w: &mut Writer) {
    match action {
        Action::Output { port, max_len } => plain(0, w, |w| {
            w.u16(port_to_16(*port));
            w.u16(*max_len);
        }),
        Action::SetVlanVid(vid) => plain(1, w, |w| w.u16(*vid)),
        Action::SetVlanPcp(pcp) => plain(2, w, |w| w.u8(*pcp)),
        Action::PopVlan => plain(3, w, |w| w.zeros(4)),
        Action::SetTpSrc(port) => plain(9, w, |w| w.u16(*port)),
        Action::SetTpDst(port) => plain(10, w, |w| w.u16(*port)),
        Action::SetField(field) => encode_set(field, w),
        Action::CopyField(copy) => vendor(REG_MOVE, w, |w| copy.encode_move(w)),
        Action::DecNwTtl => vendor(DEC_TTL, w, |w| w.zeros(6)),
        Action::PushMpls(eth_type) => vendor(PUSH_MPLS, w, |w| w.u16(*eth_type)),
        Action::PopMpls(eth_type) => vendor(POP_MPLS, w, |w| w.u16(*eth_type)),
        Action::SetMplsTtl(ttl) => vendor(SET_MPLS_TTL, w, |w| w.u8(*ttl)),
        Action::DecMplsTtl => vendor(DEC_MPLS_TTL, w, |w| w.zeros(6)),
        Action::Group(group) => vendor(GROUP, w, |w| {
            w.zeros(2);
            w.u32(group.0);
        }),
        Action::Resubmit { port, table } => plain(VENDOR, w, |w| nicira::encode_resubmit(*port, *table, w)),
        Action::Experimenter { experimenter, data } => plain(VENDOR, w, |w| {
            w.u32(*experimenter);
            w.bytes(data);
        }),
        // A tag is pushed by setting its id; the others have no like.
        Action::PushVlan(_)
        | Action::PushPbb(_)
        | Action::PopPbb
        | Action::SetQueue(_)
        | Action::SetNwTtl(_)
        | Action::CopyTtlIn
        | Action::CopyTtlOut
        | Action::Meter(_) => {}
    }
}

fn encode_set(field: &MatchField, w: &mut Writer) {
    let value = field.value();
    match field.field() {
        Field::EthSrc if field.is_exact() => plain(4, w, |w| w.uint(value, 6)),
        Field::EthDst if field.is_exact() => plain(5, w, |w| w.uint(value, 6)),
        Field::Ipv4Src if field.is_exact() => plain(6, w, |w| w.uint(value, 4)),
        Field::Ipv4Dst if field.is_exact() => plain(7, w, |w| w.uint(value, 4)),
        Field::IpDscp => plain(8, w, |w| w.uint(value << 2, 1)),
        _ => encode_load(field, w),
    }
}

/// Writes some bits of a field, which set-field cannot before OpenFlow 1.5, as Nicira's action.
pub(crate) fn encode_load(field: &MatchField, w: &mut Writer) {
    vendor(REG_LOAD2, w, |w| field.encode(w));
}
