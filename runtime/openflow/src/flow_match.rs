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

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::ids::FilterId;
use crate::oko;
use crate::oxm::{CLASS_BASIC, CLASS_EXPERIMENTER, Field, Prerequisite, VLAN_PRESENT};
use crate::wire::{Reader, Writer};

/// `oxm_field` of the filter condition.
const OXM_FILTER: u8 = 1;
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
        w.u32(spec.oxm_header(masked));
        w.uint(self.value, usize::from(spec.bytes));
        if masked {
            w.uint(self.mask, usize::from(spec.bytes));
        }
    }
}

/// The condition that a filter gives a certain answer.
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
        let mut out = Match::any();
        let mut seen = 0_u64;
        while !fields.is_empty() {
            out.decode_field(&mut fields, &mut seen)?;
        }
        Ok(out)
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
            return self.decode_filter(header, r);
        }
        let field = (header.class == CLASS_BASIC).then(|| Field::from_oxm(header.field)).flatten();
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
        for field in &self.fields {
            field.encode(w);
        }
        if let Some(filter) = &self.filter {
            w.u16(CLASS_EXPERIMENTER);
            w.u8(OXM_FILTER << 1);
            w.u8(12);
            w.u32(oko::EXPERIMENTER);
            w.u32(filter.filter.0);
            w.u32(filter.class);
        }
        w.patch_u16(start + 2, w.len() - start);
        w.align8(start);
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
