//! `ofp_match`: which packets a flow entry is for. Section 7.2.3.
//!
//! A [`Match`] is kept in canonical form: fields in the order of the field table (so that prerequisites come first on
//! the wire), each at most once, masks of all ones dropped, fields with a mask of all zeroes left out (section
//! 7.2.3.5). Two matches for the same packets written in different ways are therefore equal.
//!
//! Beside the standard fields, a match may hold one condition of ours, that a filter gives a certain answer
//! ([`FilterMatch`]). On the wire it is an experimenter OXM TLV of 16 bytes:
//!
//! ```text
//! byte  0  u16  oxm_class     0xffff, OFPXMC_EXPERIMENTER
//!       2  u8   field 1 (FILTER) << 1, has-mask bit 0: 0x02
//!       3  u8   oxm_length    12
//!       4  u32  experimenter  0x4f4b4f00
//!       8  u32  filter id
//!      12  u32  expected class; for a filter that answers true or false, 1 or 0
//! ```

use crate::bundle;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::ids::FilterId;
use crate::nicira;
use crate::oko;
use crate::oxm::{
    CLASS_BASIC, CLASS_EXPERIMENTER, CLASS_NXM_0, CLASS_NXM_1, CLASS_PACKET_REGISTERS, Field, OXM_TCP_FLAGS,
    Prerequisite, VLAN_PRESENT,
};
use crate::switch::Version;
use crate::wire::{Reader, Writer};

/// `oxm_field` of the filter condition.
const OXM_FILTER: u8 = 1;
/// `NXM_OF_IN_PORT`, `NXM_OF_VLAN_TCI`, `NXM_OF_IP_TOS`, `NXM_NX_COOKIE`.
const NXM_IN_PORT: u8 = 0;
const NXM_VLAN_TCI: u8 = 4;
const NXM_IP_TOS: u8 = 5;
const NXM_COOKIE: u8 = 30;
/// `NXM_NX_PKT_MARK`, which stands for the condition on a filter where that is not known.
const NXM_PKT_MARK: u8 = 33;
/// `OFPMT_OXM`.
const MATCH_TYPE_OXM: u16 = 1;

/// A condition on one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatchField {
    field: Field,
    value: u128,
    mask: u128,
}

/// Why a value cannot stand in a match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FieldError {
    /// What OpenFlow calls it.
    pub code: ErrorCode,
    /// The reason.
    pub problem: Problem,
}

impl MatchField {
    /// The field has exactly this value.
    pub fn exact(field: Field, value: u128) -> Result<MatchField, FieldError> {
        Self::masked(field, value, field.spec().full_mask())
    }

    /// The field has this value in the bits that are one in `mask`.
    ///
    /// Fails if the value has bits outside of the mask or of the field, or the field cannot be masked.
    pub fn masked(field: Field, value: u128, mask: u128) -> Result<MatchField, FieldError> {
        let spec = field.spec();
        let full = spec.full_mask();
        if value & !full != 0 {
            let problem = Problem::Value {
                field: spec.name,
                found: value,
                expected: "no more bits than the field has",
            };
            return Err(FieldError { code: ErrorCode::MatchBadValue, problem });
        }
        if mask & full != full && !spec.maskable {
            let problem = Problem::NotMaskable { field: spec.name };
            return Err(FieldError { code: ErrorCode::MatchBadMask, problem });
        }
        if mask & !full != 0 {
            let problem = Problem::Value {
                field: spec.name,
                found: mask,
                expected: "a mask with no more bits than the field",
            };
            return Err(FieldError { code: ErrorCode::MatchBadMask, problem });
        }
        if value & !mask != 0 {
            let problem = Problem::ValueOutsideMask { field: spec.name, value, mask };
            return Err(FieldError { code: ErrorCode::MatchBadWildcards, problem });
        }
        Ok(MatchField { field, value, mask })
    }

    /// Which field.
    pub fn field(&self) -> Field {
        self.field
    }

    /// The wanted value; zero outside of the mask.
    pub fn value(&self) -> u128 {
        self.value
    }

    /// The bits that count.
    pub fn mask(&self) -> u128 {
        self.mask
    }

    /// Whether all bits of the field count.
    pub fn is_exact(&self) -> bool {
        self.mask == self.field.spec().full_mask()
    }

    /// Whether a packet with this value in the field meets the condition.
    pub fn accepts(&self, value: u128) -> bool {
        value & self.mask == self.value
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let spec = self.field.spec();
        let masked = !self.is_exact();
        if self.field == Field::TcpFlags && w.version < Version::V1_5 {
            w.u16(CLASS_EXPERIMENTER);
            w.u8(OXM_TCP_FLAGS << 1 | u8::from(masked));
            w.u8(if masked { 8 } else { 6 });
            w.u32(bundle::ONF);
        } else {
            w.u32(spec.oxm_header(masked));
        }
        w.uint(self.value, usize::from(spec.bytes));
        if masked {
            w.uint(self.mask, usize::from(spec.bytes));
        }
    }
}

/// The condition that a filter gives a certain answer. Open vSwitch's tools can say it as `pkt_mark`: the filter's number, shifted
/// left by 8, and the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FilterMatch {
    /// The loaded filter.
    pub filter: FilterId,
    /// The answer that is wanted: 1 for true, 0 for false, or the number of a class.
    pub class: u32,
}

/// The conditions of a flow entry; all of them must hold. Empty, it matches every packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Match {
    fields: Vec<MatchField>,
    /// The filter condition, asked last.
    pub filter: Option<FilterMatch>,
}

impl Match {
    /// Matches every packet.
    pub fn any() -> Match {
        Match::default()
    }

    /// Adds a condition in place of an earlier one on the same field. One with an empty mask only removes that.
    pub fn set(&mut self, condition: MatchField) {
        self.fields.retain(|f| f.field != condition.field);
        if condition.mask != 0 {
            let at = self.fields.partition_point(|f| f.field < condition.field);
            self.fields.insert(at, condition);
        }
    }

    /// This match with an exact condition more, for values known to fit.
    ///
    /// # Panics
    /// If `value` has more bits than the field.
    pub fn with(mut self, field: Field, value: u128) -> Match {
        self.set(MatchField::exact(field, value).expect("the caller's value fits the field"));
        self
    }

    /// The condition on a field.
    pub fn get(&self, field: Field) -> Option<&MatchField> {
        self.fields.iter().find(|f| f.field == field)
    }

    /// The conditions, in the order of the field table.
    pub fn fields(&self) -> &[MatchField] {
        &self.fields
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.filter.is_none()
    }

    /// Checks that every field has what it needs beside it (section 7.2.3.6). Flow-mods and statistics requests are
    /// checked when decoded; what a switch reports about packets is not.
    pub fn check_prerequisites(&self) -> Result<(), FieldError> {
        for condition in &self.fields {
            let spec = condition.field.spec();
            for wanted in spec.prerequisites {
                if !self.meets(*wanted) {
                    let problem =
                        Problem::Prerequisite { field: spec.name, prerequisite: prerequisite_text(*wanted) };
                    return Err(FieldError { code: ErrorCode::MatchBadPrereq, problem });
                }
            }
        }
        Ok(())
    }

    fn meets(&self, wanted: Prerequisite) -> bool {
        match wanted {
            Prerequisite::Present(field) => self.get(field).is_some(),
            Prerequisite::OneOf(field, values) => {
                self.get(field).is_some_and(|f| f.is_exact() && values.contains(&f.value))
            }
            Prerequisite::VlanTag => self.get(Field::VlanVid).is_some_and(|f| f.value & VLAN_PRESENT != 0),
        }
    }

    /// Reads an `ofp_match` with its padding.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
        let start = r.offset();
        let mut head = r.clone();
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if ty != MATCH_TYPE_OXM {
            let problem = Problem::Value { field: "match type", found: ty.into(), expected: "1 (OFPMT_OXM)" };
            return Err(r.error(ErrorCode::MatchBadType, problem));
        }
        if len < 4 {
            return Err(DecodeError {
                code: ErrorCode::MatchBadLen,
                place: "match",
                offset: start + 2,
                problem: Problem::Length { found: len, expected: "at least 4" },
            });
        }
        let mut body = r.sub_own(len.next_multiple_of(8), "match", ErrorCode::MatchBadLen)?;
        body.skip(4)?;
        let mut fields = body.sub(len - 4, "match", ErrorCode::MatchBadLen)?;
        Match::decode_fields(&mut fields)
    }

    /// Reads fields until `r` is empty.
    fn decode_fields(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
        let mut out = Match::any();
        let mut seen = 0_u64;
        while !r.is_empty() {
            out.decode_field(r, &mut seen)?;
        }
        Ok(out)
    }

    /// Reads a match in Nicira's format: fields of so many bytes, padded to a multiple of 8. A cookie with its mask may stand among
    /// them.
    pub(crate) fn decode_nicira(
        r: &mut Reader<'_>,
        len: usize,
    ) -> Result<(Match, Option<(u64, u64)>), DecodeError> {
        let mut fields = r.sub_own(len, "match", ErrorCode::MatchBadLen)?;
        r.skip((len.next_multiple_of(8) - len).min(r.left()))?;
        let (mut out, mut seen, mut cookie) = (Match::any(), 0, None);
        while !fields.is_empty() {
            let header = OxmHeader::decode(&mut fields.clone())?;
            if (header.class, header.field) == (CLASS_NXM_1, NXM_COOKIE) {
                fields.skip(4)?;
                let value = fields.u64()?;
                cookie = Some((value, if header.masked { fields.u64()? } else { u64::MAX }));
            } else {
                out.decode_field(&mut fields, &mut seen)?;
            }
        }
        let at = |e: FieldError| fields.error(e.code, e.problem);
        out.check_prerequisites().map_err(at)?;
        Ok((out, cookie))
    }

    /// Reads one field, with its padding, as the action that loads it has it.
    pub(crate) fn decode_one_nicira(r: &mut Reader<'_>) -> Result<MatchField, DecodeError> {
        let header = OxmHeader::decode(&mut r.clone())?;
        let mut one =
            r.sub(4 + header.len.min(r.left().saturating_sub(4)), "field", ErrorCode::ActionBadSetLen)?;
        r.rest();
        let mut found = Match::any();
        found.decode_field(&mut one, &mut 0)?;
        match found.fields.first() {
            Some(field) if field.field.spec().settable => Ok(*field),
            _ => {
                let expected = "a field that can be written";
                let problem = Problem::Value { field: "field to set", found: header.field.into(), expected };
                Err(r.error(ErrorCode::ActionBadSetType, problem))
            }
        }
    }

    /// Writes a match in Nicira's format, and gives its length without the padding.
    pub(crate) fn encode_nicira(&self, w: &mut Writer) -> usize {
        let start = w.len();
        self.encode_fields(w);
        let len = w.len() - start;
        w.align8(start);
        len
    }

    /// Fields that Nicira's format has in another form than OpenFlow.
    fn decode_nicira_field(
        &mut self,
        header: OxmHeader,
        r: &mut Reader<'_>,
    ) -> Result<Option<()>, DecodeError> {
        let mut at = r.clone();
        let mut take = |bytes: usize| -> Result<(u128, u128), DecodeError> {
            if header.len != bytes * if header.masked { 2 } else { 1 } {
                let expected = "the field's width, twice with a mask";
                return Err(at.error(ErrorCode::MatchBadLen, Problem::Length { found: header.len, expected }));
            }
            let value = at.uint(bytes)?;
            let full = (1 << (8 * bytes)) - 1;
            Ok((value, if header.masked { at.uint(bytes)? } else { full }))
        };
        let conditions = match (header.class, header.field) {
            (CLASS_NXM_1, NXM_PKT_MARK) => {
                let (mark, mask) = take(4)?;
                if mask != u128::from(u32::MAX) {
                    return Err(at.error(ErrorCode::MatchBadMask, Problem::NotMaskable { field: "pkt_mark" }));
                }
                *r = at;
                self.filter =
                    Some(FilterMatch { filter: FilterId(mark as u32 >> 8), class: mark as u32 & 0xff });
                return Ok(Some(()));
            }
            (CLASS_PACKET_REGISTERS, number) => {
                let (value, mask) = take(8)?;
                match Field::registers(number, (value & mask) as u64, mask as u64) {
                    Some(parts) => parts.to_vec(),
                    None => return Ok(None),
                }
            }
            (CLASS_NXM_0, NXM_IN_PORT) => {
                let (port, _) = take(2)?;
                vec![(Field::InPort, nicira::port_from_16(port as u16).0.into(), u128::from(u32::MAX))]
            }
            (CLASS_NXM_0, NXM_VLAN_TCI) => {
                let (tci, mask) = take(2)?;
                vec![
                    (Field::VlanVid, tci & mask & 0x1fff, mask & 0x1fff),
                    (Field::VlanPcp, (tci & mask) >> 13, mask >> 13),
                ]
            }
            (CLASS_NXM_0, NXM_IP_TOS) => {
                let (tos, mask) = take(1)?;
                vec![(Field::IpDscp, (tos & mask) >> 2, mask >> 2)]
            }
            _ => return Ok(None),
        };
        *r = at;
        for (field, value, mask) in conditions.into_iter().filter(|(_, _, mask)| *mask != 0) {
            let condition = MatchField::masked(field, value, mask).map_err(|e| r.error(e.code, e.problem))?;
            self.set(condition);
        }
        Ok(Some(()))
    }

    /// Reads an `ofp_match` of a request, which must be one that a flow entry may have.
    pub(crate) fn decode_checked(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
        let offset = r.offset();
        let out = Match::decode(r)?;
        out.check_prerequisites().map_err(|e| DecodeError {
            code: e.code,
            place: "match",
            offset,
            problem: e.problem,
        })?;
        Ok(out)
    }

    fn decode_field(&mut self, r: &mut Reader<'_>, seen: &mut u64) -> Result<(), DecodeError> {
        let offset = r.offset();
        let at_header = |code, problem| DecodeError { code, place: "match field", offset, problem };
        let header = OxmHeader::decode(r)?;
        if header.class == CLASS_EXPERIMENTER {
            let mut id = r.clone();
            if id.u32()? == bundle::ONF && header.field == OXM_TCP_FLAGS {
                // The experimenter id counts in the length.
                *r = id;
                let condition = self.decode_tcp_flags(header, r)?;
                self.set(condition);
                return Ok(());
            }
            return self.decode_filter(header, r);
        }
        if self.decode_nicira_field(header, r)?.is_some() {
            return Ok(());
        }
        let field = match header.class {
            CLASS_BASIC => Field::from_oxm(header.field),
            class => Field::from_nxm(class, header.field),
        };
        let Some(field) = field else {
            let found = u128::from(header.class) << 8 | u128::from(header.field);
            let problem = Problem::Value {
                field: "OXM class and field",
                found,
                expected: "a field of the class 0x8000 (OpenFlow basic)",
            };
            return Err(at_header(ErrorCode::MatchBadField, problem));
        };
        let spec = field.spec();
        let bytes = usize::from(spec.bytes);
        if header.len != bytes * if header.masked { 2 } else { 1 } {
            let expected = if header.masked { "twice the field's width" } else { "the field's width" };
            let problem = Problem::Length { found: header.len, expected };
            return Err(at_header(ErrorCode::MatchBadLen, problem));
        }
        let value = r.uint(bytes)?;
        let mask = if header.masked { r.uint(bytes)? } else { spec.full_mask() };
        let condition = MatchField::masked(field, value, mask).map_err(|e| at_header(e.code, e.problem))?;
        if *seen & (1 << spec.oxm) != 0 {
            return Err(at_header(ErrorCode::MatchDupField, Problem::Duplicate { field: spec.name }));
        }
        *seen |= 1 << spec.oxm;
        self.set(condition);
        Ok(())
    }

    /// `ONFOXM_ET_TCP_FLAGS`, behind the experimenter id.
    fn decode_tcp_flags(&self, header: OxmHeader, r: &mut Reader<'_>) -> Result<MatchField, DecodeError> {
        if header.len != if header.masked { 8 } else { 6 } {
            let problem = Problem::Length { found: header.len, expected: "6, or 8 with a mask" };
            return Err(r.error(ErrorCode::MatchBadLen, problem));
        }
        let value = u128::from(r.u16()?);
        let mask = if header.masked { r.u16()?.into() } else { Field::TcpFlags.spec().full_mask() };
        MatchField::masked(Field::TcpFlags, value, mask).map_err(|e| r.error(e.code, e.problem))
    }

    fn decode_filter(&mut self, header: OxmHeader, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut r = r.sub(header.len, "filter condition", ErrorCode::MatchBadLen)?;
        let experimenter = r.u32()?;
        if (experimenter, header.field) != (oko::EXPERIMENTER, OXM_FILTER) {
            let problem = Problem::Value {
                field: "experimenter of a match field",
                found: u128::from(experimenter) << 8 | u128::from(header.field),
                expected: "0x4f4b4f00, field 1 (filter)",
            };
            return Err(r.error(ErrorCode::MatchBadField, problem));
        }
        if header.masked {
            return Err(r.error(ErrorCode::MatchBadMask, Problem::NotMaskable { field: "filter" }));
        }
        let condition = FilterMatch { filter: FilterId(r.u32()?), class: r.u32()? };
        r.end()?;
        if self.filter.is_some() {
            return Err(r.error(ErrorCode::MatchDupField, Problem::Duplicate { field: "filter" }));
        }
        self.filter = Some(condition);
        Ok(())
    }

    /// Writes an `ofp_match` with its padding.
    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u16(MATCH_TYPE_OXM);
        w.u16(0);
        self.encode_fields(w);
        w.patch_u16(start + 2, w.len() - start);
        w.align8(start);
    }

    fn encode_fields(&self, w: &mut Writer) {
        for field in &self.fields {
            field.encode(w);
        }
        if let Some(FilterMatch { filter, class }) = self.filter
            && !w.filters
            && filter.0 < 1 << 24
            && class < 1 << 8
        {
            w.u16(CLASS_NXM_1);
            w.u8(NXM_PKT_MARK << 1);
            w.u8(4);
            w.u32(filter.0 << 8 | class);
        } else if let Some(filter) = &self.filter {
            w.u16(CLASS_EXPERIMENTER);
            w.u8(OXM_FILTER << 1);
            w.u8(12);
            w.u32(oko::EXPERIMENTER);
            w.u32(filter.filter.0);
            w.u32(filter.class);
        }
    }
}

impl FromIterator<MatchField> for Match {
    fn from_iter<T: IntoIterator<Item = MatchField>>(conditions: T) -> Match {
        let mut out = Match::any();
        for condition in conditions {
            out.set(condition);
        }
        out
    }
}

/// The first four bytes of an OXM TLV, section 7.2.3.2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OxmHeader {
    pub(crate) class: u16,
    pub(crate) field: u8,
    pub(crate) masked: bool,
    pub(crate) len: usize,
}

impl OxmHeader {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<OxmHeader, DecodeError> {
        let class = r.u16()?;
        let field = r.u8()?;
        let len = usize::from(r.u8()?);
        Ok(OxmHeader { class, field: field >> 1, masked: field & 1 != 0, len })
    }
}

fn prerequisite_text(wanted: Prerequisite) -> String {
    match wanted {
        Prerequisite::Present(field) => field.to_string(),
        Prerequisite::OneOf(field, values) => {
            let values: Vec<String> = values
                .iter()
                .map(|v| if field == Field::EthType { format!("{v:#06x}") } else { v.to_string() })
                .collect();
            format!("{field}={}", values.join(" or "))
        }
        Prerequisite::VlanTag => "a vlan_vid that wants a tag".to_owned(),
    }
}
