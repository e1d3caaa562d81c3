//! Flow tables as a whole: table-mod (section 7.3.3), statistics (7.3.5.4) and features (7.3.5.5).

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::ids::TableId;
use crate::oxm::{CLASS_EXPERIMENTER, Field};
use crate::switch::Version;
use crate::wire::{Reader, Writer};

/// `OFPTC_EVICTION`: entries of a full table give way. From OpenFlow 1.4 on.
pub const TABLE_EVICTION: u32 = 1 << 2;

/// `OFPT_TABLE_MOD`. OpenFlow 1.3 gives it nothing to configure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableMod {
    /// The table, or [`TableId::ALL`].
    pub table: TableId,
    /// `ofp_table_config`: [`TABLE_EVICTION`], and deprecated bits.
    pub config: u32,
}

/// A table's configuration, from OpenFlow 1.4 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableDesc {
    /// The table.
    pub table: TableId,
    /// `ofp_table_config`.
    pub config: u32,
}

/// `OFPTMPT_EVICTION`.
const PROPERTY_EVICTION: u16 = 2;
/// `OFPTMPEF_IMPORTANCE` and `OFPTMPEF_LIFETIME`: the order in which entries give way.
const EVICT_BY: u32 = 1 << 1 | 1 << 2;

impl TableDesc {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<TableDesc, DecodeError> {
        let len = usize::from(r.clone().u16()?);
        let mut r = r.sub(len, "table description", ErrorCode::RequestBadLen)?;
        r.skip(2)?;
        let table = TableId(r.u8()?);
        r.skip(1)?;
        let config = r.u32()?;
        while r.property()?.is_some() {}
        Ok(TableDesc { table, config })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u16(0);
        w.u8(self.table.0);
        w.zeros(1);
        w.u32(self.config);
        w.property(PROPERTY_EVICTION, |w| w.u32(EVICT_BY));
        w.patch_u16(start, w.len() - start);
    }
}

impl TableMod {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<TableMod, DecodeError> {
        let table = TableId(r.u8()?);
        r.skip(3)?;
        let config = r.u32()?;
        if r.version() >= Version::V1_4 {
            // What eviction goes by is not for choice, and there are no vacancy events.
            while r.property()?.is_some() {}
        }
        Ok(TableMod { table, config })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u8(self.table.0);
        w.zeros(3);
        w.u32(self.config);
    }
}

/// A table's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableStats {
    /// The table.
    pub table: TableId,
    /// Entries that fit. Only OpenFlow 1.0 transmits it here.
    pub max_entries: u32,
    /// Entries in it.
    pub active: u32,
    /// Packets looked up in it.
    pub lookups: u64,
    /// Packets that found an entry.
    pub matched: u64,
}

impl TableStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<TableStats, DecodeError> {
        let table = TableId(r.u8()?);
        r.skip(3)?;
        Ok(TableStats { table, max_entries: 0, active: r.u32()?, lookups: r.u64()?, matched: r.u64()? })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u8(self.table.0);
        w.zeros(3);
        w.u32(self.active);
        w.u64(self.lookups);
        w.u64(self.matched);
    }
}

/// What a table can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableFeatures {
    /// The table.
    pub table: TableId,
    /// Its name; at most 31 bytes are transmitted.
    pub name: String,
    /// Metadata bits that a match may have.
    pub metadata_match: u64,
    /// Metadata bits that an instruction may write.
    pub metadata_write: u64,
    /// `ofp_table_config`.
    pub config: u32,
    /// How many entries it takes.
    pub max_entries: u32,
    /// The rest.
    pub properties: Vec<TableProperty>,
}

/// A match field as table features name it: the OXM header without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OxmId {
    /// Class, field, has-mask bit and length.
    pub header: u32,
    /// The experimenter id, for [`CLASS_EXPERIMENTER`].
    pub experimenter: Option<u32>,
}

impl OxmId {
    /// A standard field.
    pub fn standard(field: Field, masked: bool) -> OxmId {
        OxmId { header: field.spec().oxm_header(masked), experimenter: None }
    }

    /// Our filter condition.
    pub fn filter() -> OxmId {
        OxmId { header: 0xffff_020c, experimenter: Some(crate::oko::EXPERIMENTER) }
    }
}

/// A property of a table (`ofp_table_feature_prop_*`). `miss` ones are about the table-miss entry; a property that is
/// not there is, for it, the same as for other entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TableProperty {
    /// The types of instructions.
    Instructions {
        /// For the table-miss entry.
        miss: bool,
        /// `OFPIT_*`.
        types: Vec<u16>,
    },
    /// Where goto-table may lead.
    NextTables {
        /// For the table-miss entry.
        miss: bool,
        /// The tables.
        tables: Vec<TableId>,
    },
    /// The types of actions.
    Actions {
        /// In apply-actions instead of write-actions.
        apply: bool,
        /// For the table-miss entry.
        miss: bool,
        /// `OFPAT_*`.
        types: Vec<u16>,
    },
    /// The fields that a match may have.
    Match(Vec<OxmId>),
    /// The fields that a match may leave out.
    Wildcards(Vec<OxmId>),
    /// The fields that set-field may write.
    SetFields {
        /// In apply-actions instead of write-actions.
        apply: bool,
        /// For the table-miss entry.
        miss: bool,
        /// The fields.
        fields: Vec<OxmId>,
    },
    /// Another party's property, unread.
    Experimenter {
        /// For the table-miss entry.
        miss: bool,
        /// Experimenter id, type and data.
        data: Vec<u8>,
    },
}

impl TableProperty {
    fn ty(&self) -> u16 {
        match self {
            TableProperty::Instructions { miss, .. } => u16::from(*miss),
            TableProperty::NextTables { miss, .. } => 2 + u16::from(*miss),
            TableProperty::Actions { apply, miss, .. } => 4 + 2 * u16::from(*apply) + u16::from(*miss),
            TableProperty::Match(_) => 8,
            TableProperty::Wildcards(_) => 10,
            TableProperty::SetFields { apply, miss, .. } => 12 + 2 * u16::from(*apply) + u16::from(*miss),
            TableProperty::Experimenter { miss, .. } => 0xfffe + u16::from(*miss),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<TableProperty, DecodeError> {
        let mut head = r.clone();
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 4 {
            let problem = Problem::Length { found: len, expected: "at least 4" };
            return Err(r.error(ErrorCode::TableFeaturesBadLen, problem));
        }
        let mut padded =
            r.sub_own(len.next_multiple_of(8), "table feature", ErrorCode::TableFeaturesBadLen)?;
        let mut r = padded.sub(len, "table feature", ErrorCode::TableFeaturesBadLen)?;
        r.skip(4)?;
        let miss = ty & 1 != 0;
        Ok(match ty {
            0 | 1 => TableProperty::Instructions { miss, types: decode_types(&mut r)? },
            2 | 3 => {
                TableProperty::NextTables { miss, tables: r.rest().iter().map(|t| TableId(*t)).collect() }
            }
            4..=7 => TableProperty::Actions { apply: ty >= 6, miss, types: decode_types(&mut r)? },
            8 => TableProperty::Match(decode_oxm_ids(&mut r)?),
            10 => TableProperty::Wildcards(decode_oxm_ids(&mut r)?),
            12..=15 => TableProperty::SetFields { apply: ty >= 14, miss, fields: decode_oxm_ids(&mut r)? },
            0xfffe | 0xffff => TableProperty::Experimenter { miss, data: r.rest().to_vec() },
            _ => {
                let problem = Problem::Value {
                    field: "property type",
                    found: ty.into(),
                    expected: "a property of OpenFlow 1.3",
                };
                return Err(r.error(ErrorCode::TableFeaturesBadType, problem));
            }
        })
    }

    fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u16(self.ty());
        w.u16(0);
        match self {
            TableProperty::Instructions { types, .. } | TableProperty::Actions { types, .. } => {
                for ty in types {
                    w.u16(*ty);
                    w.u16(4);
                }
            }
            TableProperty::NextTables { tables, .. } => {
                for table in tables {
                    w.u8(table.0);
                }
            }
            TableProperty::Match(fields)
            | TableProperty::Wildcards(fields)
            | TableProperty::SetFields { fields, .. } => {
                for id in fields {
                    w.u32(id.header);
                    if let Some(experimenter) = id.experimenter {
                        w.u32(experimenter);
                    }
                }
            }
            TableProperty::Experimenter { data, .. } => w.bytes(data),
        }
        w.patch_u16(start + 2, w.len() - start);
        w.align8(start);
    }
}

/// Instruction or action ids: type and length; an experimenter's carry their id, which is not kept.
fn decode_types(r: &mut Reader<'_>) -> Result<Vec<u16>, DecodeError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        let (ty, len) = (r.u16()?, usize::from(r.u16()?));
        if len < 4 {
            return Err(r.bad_len(len, "at least 4"));
        }
        r.skip(len - 4)?;
        if ty != 0xffff {
            out.push(ty);
        }
    }
    Ok(out)
}

fn decode_oxm_ids(r: &mut Reader<'_>) -> Result<Vec<OxmId>, DecodeError> {
    r.all(|r| {
        let header = r.u32()?;
        let experimenter = if header >> 16 == u32::from(CLASS_EXPERIMENTER) { Some(r.u32()?) } else { None };
        Ok(OxmId { header, experimenter })
    })
}

impl TableFeatures {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<TableFeatures, DecodeError> {
        let len = usize::from(r.clone().u16()?);
        let mut r = r.sub_own(len, "table features", ErrorCode::TableFeaturesBadLen)?;
        r.skip(2)?;
        let table = TableId(r.u8()?);
        r.skip(5)?;
        let name = r.padded_text(32)?;
        let (metadata_match, metadata_write) = (r.u64()?, r.u64()?);
        let (config, max_entries) = (r.u32()?, r.u32()?);
        let properties = r.all(TableProperty::decode)?;
        Ok(TableFeatures { table, name, metadata_match, metadata_write, config, max_entries, properties })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u16(0);
        w.u8(self.table.0);
        w.zeros(5);
        w.padded_text(&self.name, 32);
        w.u64(self.metadata_match);
        w.u64(self.metadata_write);
        w.u32(self.config);
        w.u32(self.max_entries);
        for property in &self.properties {
            property.encode(w);
        }
        w.patch_u16(start, w.len() - start);
    }
}
