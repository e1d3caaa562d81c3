//! What the flow tables can do, told in full: every table takes every match and every action that we have. OpenFlow
//! 1.3.5, section 7.3.5.5.

use oko_openflow::oxm::FIELDS;
use oko_openflow::table::{OxmId, TableFeatures, TableProperty};
use oko_openflow::{TableId, Version};

use super::control::TABLES;

/// `OFPIT_*` of goto-table, write-metadata, write-actions, apply-actions, clear-actions, meter.
const INSTRUCTIONS: [u16; 6] = [1, 2, 3, 4, 5, 6];
/// The same without goto-table: nothing comes after the last table.
const LAST_INSTRUCTIONS: [u16; 5] = [2, 3, 4, 5, 6];
/// `OFPAT_*` of all actions but set-queue.
const ACTIONS: [u16; 15] = [0, 11, 12, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 27];
/// `OFPAT_*` of copy-field and meter, which have numbers from OpenFlow 1.5 on.
const LATER_ACTIONS: [u16; 2] = [28, 29];

/// The features of all tables, each of which takes `capacity` entries.
pub(super) fn table_features(capacity: usize, version: Version) -> Vec<TableFeatures> {
    let max_entries = u32::try_from(capacity).unwrap_or(u32::MAX);
    let later: &[u16] = if version >= Version::V1_5 { &LATER_ACTIONS } else { &[] };
    let actions = [&ACTIONS, later].concat();
    (0..TABLES).map(|table| features(TableId(table), max_entries, &actions)).collect()
}

fn features(table: TableId, max_entries: u32, actions: &[u16]) -> TableFeatures {
    let is_last = table.0 == TABLES - 1;
    let types = if is_last { LAST_INSTRUCTIONS.to_vec() } else { INSTRUCTIONS.to_vec() };
    let properties = vec![
        TableProperty::Instructions { miss: false, types },
        TableProperty::NextTables { miss: false, tables: (table.0 + 1..TABLES).map(TableId).collect() },
        TableProperty::Actions { apply: false, miss: false, types: actions.to_vec() },
        TableProperty::Actions { apply: true, miss: false, types: actions.to_vec() },
        TableProperty::Match(match_fields()),
        TableProperty::Wildcards(FIELDS.iter().map(|spec| OxmId::standard(spec.field, false)).collect()),
        TableProperty::SetFields { apply: false, miss: false, fields: settable() },
        TableProperty::SetFields { apply: true, miss: false, fields: settable() },
    ];
    TableFeatures {
        table,
        name: format!("table{table}"),
        metadata_match: u64::MAX,
        metadata_write: u64::MAX,
        config: 0,
        max_entries,
        properties,
    }
}

fn settable() -> Vec<OxmId> {
    FIELDS.iter().filter(|spec| spec.settable).map(|spec| OxmId::standard(spec.field, false)).collect()
}

/// All fields, with the mask bit where a mask is possible, and the filter condition.
fn match_fields() -> Vec<OxmId> {
    FIELDS.iter().map(|spec| OxmId::standard(spec.field, spec.maskable)).chain([OxmId::filter()]).collect()
}
