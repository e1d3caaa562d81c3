//! Some bits of one field are copied to another: OpenFlow 1.5.1, section 7.2.6.9.
//!
//! Before 1.5 it is action 3200 of the ONF (extension 320), and Open vSwitch's `move`. All say the same: how many bits, from which bit of the source on, to which bit of the
//! target on, counted from the least significant.

use crate::bundle::ONF;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow_match::{FieldError, OxmHeader};
use crate::oxm::Field;
use crate::switch::Version;
use crate::wire::{Reader, Writer};

/// `ONFACT_COPY_FIELD`.
const ONF_COPY_FIELD: u16 = 3200;
/// `OFPAT_COPY_FIELD`.
pub(crate) const COPY_FIELD: u16 = 28;

/// Which bits are copied where. All of them are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CopyField {
    source: Field,
    source_offset: u8,
    target: Field,
    target_offset: u8,
    bits: u8,
}

impl CopyField {
    /// Copies `bits` bits; places are a field and an offset in bits.
    ///
    /// # Errors
    /// When a field does not have the bits, or the target cannot be written.
    pub fn new(source: (Field, u16), target: (Field, u16), bits: u16) -> Result<CopyField, FieldError> {
        if !target.0.spec().settable {
            let expected = "a field that can be written";
            let problem = Problem::Value { field: "field to copy to", found: target.0 as u128, expected };
            return Err(FieldError { code: ErrorCode::ActionBadSetType, problem });
        }
        let place = |(field, offset): (Field, u16)| {
            let end = u32::from(offset) + u32::from(bits);
            if bits == 0 || end > u32::from(field.spec().bits) {
                let expected = "at least one bit, and none beyond the field";
                let problem = Problem::Value { field: field.spec().name, found: end.into(), expected };
                return Err(FieldError { code: ErrorCode::ActionBadSetLen, problem });
            }
            // No field is wider than 128 bits.
            Ok((field, offset as u8))
        };
        let ((source, source_offset), (target, target_offset)) = (place(source)?, place(target)?);
        Ok(CopyField { source, source_offset, target, target_offset, bits: bits as u8 })
    }

    /// The field that is read, and from which bit on.
    pub fn source(&self) -> (Field, u8) {
        (self.source, self.source_offset)
    }

    /// The field that is written, and from which bit on.
    pub fn target(&self) -> (Field, u8) {
        (self.target, self.target_offset)
    }

    /// How many bits.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The target's value afterwards, of what source and target are before.
    pub fn apply(&self, source: u128, target: u128) -> u128 {
        let mask = u128::MAX >> (128 - u32::from(self.bits));
        let copied = source >> self.source_offset & mask;
        target & !(mask << self.target_offset) | copied << self.target_offset
    }

    /// Behind type and length of the action of 1.5.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<CopyField, DecodeError> {
        let (bits, from, to) = (r.u16()?, r.u16()?, r.u16()?);
        r.skip(2)?;
        let copy = Self::decode_fields(r, bits, from, to)?;
        r.rest();
        Ok(copy)
    }

    /// The same behind the experimenter id of the ONF; none if it is another action.
    pub(crate) fn decode_onf(r: &mut Reader<'_>) -> Result<Option<CopyField>, DecodeError> {
        let mut body = r.clone();
        if body.u16()? != ONF_COPY_FIELD {
            return Ok(None);
        }
        body.skip(2)?;
        let copy = Self::decode(&mut body)?;
        *r = body;
        Ok(Some(copy))
    }

    /// Behind the subtype of `NXAST_REG_MOVE`.
    pub(crate) fn decode_move(r: &mut Reader<'_>) -> Result<CopyField, DecodeError> {
        let (bits, from, to) = (r.u16()?, r.u16()?, r.u16()?);
        Self::decode_fields(r, bits, from, to)
    }

    fn decode_fields(r: &mut Reader<'_>, bits: u16, from: u16, to: u16) -> Result<CopyField, DecodeError> {
        let (source, target) = (decode_field(r)?, decode_field(r)?);
        CopyField::new((source, from), (target, to), bits).map_err(|e| r.error(e.code, e.problem))
    }

    /// The action of the version, behind type and length: from 1.5 on that, before the ONF's.
    pub(crate) fn encode(&self, w: &mut Writer) {
        if w.version < Version::V1_5 {
            w.u32(ONF);
            w.u16(ONF_COPY_FIELD);
            w.zeros(2);
        }
        self.encode_counts(w);
        w.zeros(2);
        self.encode_fields(w);
    }

    /// Behind the subtype of `NXAST_REG_MOVE`.
    pub(crate) fn encode_move(&self, w: &mut Writer) {
        self.encode_counts(w);
        self.encode_fields(w);
    }

    fn encode_counts(&self, w: &mut Writer) {
        [self.bits, self.source_offset, self.target_offset].into_iter().for_each(|n| w.u16(n.into()));
    }

    fn encode_fields(&self, w: &mut Writer) {
        w.u32(self.source.spec().oxm_header(false));
        w.u32(self.target.spec().oxm_header(false));
    }
}

/// The header of an OXM TLV that names a field.
fn decode_field(r: &mut Reader<'_>) -> Result<Field, DecodeError> {
    let header = OxmHeader::decode(r)?;
    Field::from_nxm_or_oxm(header.class, header.field).filter(|_| !header.masked).ok_or_else(|| {
        let found = u128::from(header.class) << 8 | u128::from(header.field);
        let expected = "a known field without a mask";
        r.error(
            ErrorCode::ActionBadSetType,
            Problem::Value { field: "OXM class and field to copy", found, expected },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_go_where_they_are_said_to_go() {
        let copy = CopyField::new((Field::EthSrc, 8), (Field::Reg1, 4), 12).unwrap();
        assert_eq!(copy.apply(0x0200_00ab_cdef, 0xffff_ffff), 0xffff_bcdf);
        let whole = CopyField::new((Field::Ipv6Src, 0), (Field::Ipv6Dst, 0), 128).unwrap();
        assert_eq!(whole.apply(u128::MAX - 5, 7), u128::MAX - 5);
    }

    #[test]
    fn what_is_not_there_is_not_copied() {
        let code = |source, target, bits| CopyField::new(source, target, bits).unwrap_err().code;
        let (mac, reg) = ((Field::EthSrc, 0), (Field::Reg0, 0));
        assert_eq!(code(mac, reg, 33), ErrorCode::ActionBadSetLen);
        assert_eq!(code(mac, (Field::Reg0, 1), 32), ErrorCode::ActionBadSetLen);
        assert_eq!(code((Field::EthSrc, u16::MAX), reg, u16::MAX), ErrorCode::ActionBadSetLen);
        assert_eq!(code(mac, reg, 0), ErrorCode::ActionBadSetLen);
        assert_eq!(code(reg, (Field::InPort, 0), 16), ErrorCode::ActionBadSetType);
    }
}
