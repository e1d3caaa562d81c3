//! The flow tables of a switch, as flow-mods change them. OpenFlow 1.3.5, sections 5.2, 5.5, 6.4 and 6.5.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use oko_openflow::{
    ErrorCode, FilterId, FlowMod, FlowModCommand, FlowModFlags, FlowRemovedReason, FlowStatsRequest, GroupId,
    MeterId, TableId,
};

use crate::classifier::{Classifier, PartId, Place};
use crate::entry::FlowEntry;
use crate::log::{Change, Delta, Log};
use crate::matcher::Matcher;
use crate::selection::{Selection, Walk};
use crate::table::{Table, TableCounters};
use crate::users::{Users, groups_of};
use oko_packet::FlowKey;

/// How much fits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries in each table.
    pub entries_per_table: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { entries_per_table: 1_000_000 }
    }
}

/// Why a flow-mod was not done. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowModError {
    /// The table does not exist, or the command does not take `ALL`.
    #[error("table {found} is not one that an entry can be in (0 to 253)")]
    BadTable {
        /// What was asked for.
        found: TableId,
    },
    /// The table has as many entries as fit.
    #[error(
        "table {table} is full: it holds {limit} entries; delete some, or raise the limit in the configuration"
    )]
    TableFull {
        /// The table.
        table: TableId,
        /// How many fit.
        limit: usize,
    },
    /// `CHECK_OVERLAP` was set and there is an overlapping entry.
    #[error("an entry of priority {priority} in table {table} overlaps this one")]
    Overlap {
        /// The table.
        table: TableId,
        /// The priority of both.
        priority: u16,
    },
    /// `goto_table` does not lead onwards.
    #[error("goto_table:{found} in table {table}: the next table must be one from {} to 253", table.0 + 1)]
    BadGoto {
        /// The entry's table.
        table: TableId,
        /// Where it would go.
        found: TableId,
    },
}

impl FlowModError {
    /// The OpenFlow error for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            FlowModError::BadTable { .. } => ErrorCode::FlowModBadTableId,
            FlowModError::TableFull { .. } => ErrorCode::FlowModTableFull,
            FlowModError::Overlap { .. } => ErrorCode::FlowModOverlap,
            FlowModError::BadGoto { .. } => ErrorCode::InstructionBadTableId,
        }
    }
}

/// What a flow-mod did.
#[derive(Debug, Default)]
pub struct Changes {
    /// Entries that are gone, with the reason; those with `SEND_FLOW_REM` are to be reported.
    pub removed: Vec<(Arc<FlowEntry>, FlowRemovedReason)>,
    /// Entries that were added, and those that took the place of others.
    pub written: Vec<(Arc<FlowEntry>, Written)>,
}

/// What became of an entry that is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// There was none of its match and priority.
    Added,
    /// It takes the place of an earlier version.
    Modified,
}

/// All flow tables.
#[derive(Debug)]
pub struct FlowTables {
    /// Table 0 and those that were ever written to.
    tables: BTreeMap<TableId, Table>,
    limits: Limits,
    next_serial: u64,
    /// What was done since [`begin`](Self::begin): the entry before and the entry after.
    journal: Option<Vec<Step>>,
    log: Log,
    /// What the log has no more and snapshots may still have. It is freed here, not by who lets the last of them go.
    fallen: Vec<Arc<Delta>>,
}

/// One entry in the place of another, or of none, or none in its place; and where the one before was.
type Step = (Option<(Arc<FlowEntry>, PartId)>, Option<Arc<FlowEntry>>);

/// The tables as they were at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tables: Vec<Option<SnapshotTable>>,
    log: Log,
}

#[derive(Clone, Debug)]
struct SnapshotTable {
    classifier: Arc<Classifier>,
    counters: Arc<TableCounters>,
}

/// Tables of more entries are not sorted when they are walked through; so many entries are looked at in one step.
const SORTED: usize = 4_096;
/// About so many entries are changed in one step: a millisecond's work.
const STEP: usize = 256;
/// So much is freed at a time while no snapshot is taken: a few milliseconds of work.
const TIDIED: usize = 4_096;

/// The last table that an entry can be in: `OFPTT_MAX` is the number of a table that only the switch itself may use.
const LAST_TABLE: u8 = 253;

impl FlowTables {
    /// Empty tables.
    pub fn new(limits: Limits) -> FlowTables {
        // Table 0 counts the packets that come in even when nothing was ever put there.
        let tables = BTreeMap::from([(TableId(0), Table::default())]);
        FlowTables { tables, limits, next_serial: 0, journal: None, log: Log::default(), fallen: Vec::new() }
    }

    /// Does a flow-mod at an instant in nanoseconds.
    ///
    /// # Errors
    ///
    /// When it cannot be done; nothing has changed then.
    pub fn apply(&mut self, flow_mod: &FlowMod, now: u64) -> Result<Changes, FlowModError> {
        match flow_mod.command {
            FlowModCommand::Add => self.add(flow_mod, now),
            FlowModCommand::Modify => self.modify(flow_mod, false),
            FlowModCommand::ModifyStrict => self.modify(flow_mod, true),
            FlowModCommand::Delete => Ok(self.delete(flow_mod, false)),
            FlowModCommand::DeleteStrict => Ok(self.delete(flow_mod, true)),
        }
    }

    /// From here on, what is done can be undone.
    pub fn begin(&mut self) {
        self.journal = Some(Vec::new());
        self.tables.values_mut().for_each(|table| table.builder.hold_parts(true));
    }

    /// Keeps what was done since [`begin`](Self::begin).
    pub fn commit(&mut self) {
        self.journal = None;
        self.tables.values_mut().for_each(|table| table.builder.hold_parts(false));
    }

    /// Undoes what was done since [`begin`](Self::begin). Entries are where they were, so a [walk](Self::step) that is under way meets them.
    pub fn rollback(&mut self) {
        for (before, after) in self.journal.take().into_iter().flatten().rev() {
            let of_before = before.as_ref().map(|(entry, _)| entry);
            let Some(id) = of_before.or(after.as_ref()).map(|entry| entry.table) else { continue };
            let table = self.tables.entry(id).or_default();
            match (before, after) {
                // Another version of the same entry.
                (Some((before, _)), Some(after)) if before.serial == after.serial => table.swap(before),
                (before, after) => {
                    if let Some(after) = after {
                        table.take_out(&after);
                    }
                    if let Some((before, part)) = before {
                        table.put_back(before, part);
                    }
                }
            }
        }
        self.commit();
    }

    fn add(&mut self, flow_mod: &FlowMod, now: u64) -> Result<Changes, FlowModError> {
        let id = writable(flow_mod.table)?;
        check_goto(id, flow_mod)?;
        let matcher = Matcher::new(&flow_mod.matching);
        let limit = self.limits.entries_per_table;
        let table = self.tables.entry(id).or_default();
        if flow_mod.flags.contains(FlowModFlags::CHECK_OVERLAP)
            && table.entries.values().any(|e| e.priority == flow_mod.priority && e.matcher.overlaps(&matcher))
        {
            return Err(FlowModError::Overlap { table: id, priority: flow_mod.priority });
        }
        let matcher = Matcher { mask: table.builder.shared(matcher.mask), ..matcher };
        let mut evicted = Vec::new();
        let old = table.entries.get(flow_mod.priority, &flow_mod.matching).cloned();
        if table.entries.len() >= limit && old.is_none() {
            let Some(entry) = table.least_important(flow_mod.importance) else {
                return Err(FlowModError::TableFull { table: id, limit });
            };
            let part = table.take_out(&entry);
            note(&mut self.journal, Some(&entry).zip(part), None);
            evicted.push((entry, FlowRemovedReason::Eviction));
        }
        let part = old.as_ref().and_then(|old| table.take_out(old));
        let keep = old.as_deref().filter(|_| !flow_mod.flags.contains(FlowModFlags::RESET_COUNTS));
        let entry = Arc::new(FlowEntry {
            table: id,
            priority: flow_mod.priority,
            matching: flow_mod.matching.clone(),
            matcher,
            instructions: flow_mod.instructions.clone(),
            cookie: flow_mod.cookie,
            flags: flow_mod.flags,
            importance: flow_mod.importance,
            idle_timeout: flow_mod.idle_timeout,
            hard_timeout: flow_mod.hard_timeout,
            created: now,
            counters: FlowEntry::start_counters(keep, now),
            serial: self.next_serial,
        });
        self.next_serial += 1;
        table.put_in(Arc::clone(&entry));
        let written = if old.is_some() { Written::Modified } else { Written::Added };
        note(&mut self.journal, old.as_ref().zip(part), Some(&entry));
        Ok(Changes { removed: evicted, written: vec![(entry, written)] })
    }

    fn modify(&mut self, flow_mod: &FlowMod, strict: bool) -> Result<Changes, FlowModError> {
        let id = writable(flow_mod.table)?;
        check_goto(id, flow_mod)?;
        let Some(table) = self.tables.get(&id) else { return Ok(Changes::default()) };
        let selection = Selection::of_flow_mod(flow_mod, strict);
        let chosen: Vec<Arc<FlowEntry>> = table.chosen(&selection).cloned().collect();
        Ok(self.rewrite(flow_mod, chosen))
    }

    /// Gives entries the instructions of a flow-mod.
    fn rewrite(&mut self, flow_mod: &FlowMod, chosen: Vec<Arc<FlowEntry>>) -> Changes {
        let mut written = Vec::with_capacity(chosen.len());
        for old in chosen {
            let Some(table) = self.tables.get_mut(&old.table) else { continue };
            let mut entry =
                FlowEntry { instructions: flow_mod.instructions.clone(), ..FlowEntry::clone(&old) };
            if flow_mod.flags.contains(FlowModFlags::RESET_COUNTS) {
                entry.counters = FlowEntry::start_counters(None, entry.counters.last_used());
            }
            let entry = Arc::new(entry);
            note(&mut self.journal, Some(&old).zip(table.entries.part_of(&old)), Some(&entry));
            table.swap(Arc::clone(&entry));
            written.push((entry, Written::Modified));
        }
        Changes { removed: Vec::new(), written }
    }

    fn delete(&mut self, flow_mod: &FlowMod, strict: bool) -> Changes {
        let selection = Selection::of_flow_mod(flow_mod, strict);
        let tables = self.tables.iter().filter(|(id, _)| flow_mod.table.is_about(**id));
        let chosen = tables.flat_map(|(_, table)| table.chosen(&selection)).cloned().collect();
        self.remove(chosen, FlowRemovedReason::Delete)
    }

    /// A modification or deletion that may concern so many entries that it is better done in [steps](Self::go_on), between which there is time for something
    /// else; none if not. A modification may be of all tables here, as OpenFlow 1.0 has it.
    ///
    /// # Errors
    ///
    /// When it cannot be done.
    pub fn in_steps(&self, flow_mod: &FlowMod) -> Result<Option<Walk>, FlowModError> {
        match flow_mod.command {
            FlowModCommand::Modify if flow_mod.table != TableId::ALL => {
                check_goto(writable(flow_mod.table)?, flow_mod)?;
            }
            FlowModCommand::Modify | FlowModCommand::Delete => {}
            _ => return Ok(None),
        }
        let about = self.tables.iter().filter(|(id, _)| flow_mod.table.is_about(**id));
        let entries: usize = about.map(|(_, table)| table.entries.len()).sum();
        Ok((entries > SORTED).then(|| Walk::of_flow_mod(flow_mod)))
    }

    /// The next step of a flow-mod that is done [so](Self::in_steps); none when all is done. It concerns the entries that are there all the time; of those that
    /// others put in or take out between two steps it may concern some.
    pub fn go_on(&mut self, flow_mod: &FlowMod, walk: &mut Walk) -> Option<Changes> {
        let found = self.meet(walk, STEP)?;
        Some(match flow_mod.command {
            FlowModCommand::Modify => self.rewrite(flow_mod, found),
            _ => self.remove(found, FlowRemovedReason::Delete),
        })
    }

    /// Removes the entries that use groups that are gone.
    pub fn remove_users_of_groups(&mut self, gone: &[GroupId]) -> Changes {
        let is_gone = gone.iter().copied().collect::<HashSet<_>>();
        let uses = |entry: &FlowEntry| groups_of(entry).any(|group| is_gone.contains(&group));
        self.remove_users(FlowRemovedReason::GroupDelete, |users| users.groups.any_of(gone), uses)
    }

    /// Removes the entries that use meters that are gone.
    pub fn remove_users_of_meters(&mut self, gone: &[MeterId]) -> Changes {
        let is_gone = gone.iter().copied().collect::<HashSet<_>>();
        let uses = |entry: &FlowEntry| entry.instructions.meter.is_some_and(|meter| is_gone.contains(&meter));
        self.remove_users(FlowRemovedReason::MeterDelete, |users| users.meters.any_of(gone), uses)
    }

    /// Looks at the tables only in which there are users.
    fn remove_users(
        &mut self,
        reason: FlowRemovedReason,
        any: impl Fn(&Users) -> bool,
        uses: impl Fn(&FlowEntry) -> bool,
    ) -> Changes {
        let tables = self.tables.values().filter(|table| any(&table.users));
        let chosen = tables.flat_map(|table| table.entries.values()).filter(|entry| uses(entry));
        let chosen = chosen.cloned().collect();
        self.remove(chosen, reason)
    }

    /// Says whether entries of a table, or of all, give way when it is full.
    ///
    /// # Errors
    /// When there is no such table.
    pub fn set_eviction(&mut self, id: TableId, evicts: bool) -> Result<(), FlowModError> {
        if id == TableId::ALL {
            for table in 0..=LAST_TABLE {
                self.tables.entry(TableId(table)).or_default().set_eviction(evicts);
            }
        } else {
            self.tables.entry(writable(id)?).or_default().set_eviction(evicts);
        }
        Ok(())
    }

    /// Whether entries of a table give way when it is full.
    pub fn evicts(&self, id: TableId) -> bool {
        self.tables.get(&id).is_some_and(Table::evicts)
    }

    /// Removes entries whose time is over at an instant in nanoseconds, up to so many of them.
    pub fn expire(&mut self, now: u64, most: usize) -> Changes {
        let mut changes = Changes::default();
        for table in self.tables.values_mut() {
            while changes.removed.len() < most
                && let Some((entry, reason)) = table.over(now)
            {
                let part = table.take_out(&entry);
                note(&mut self.journal, Some(&entry).zip(part), None);
                changes.removed.push((entry, reason));
            }
            table.tidy_deadlines();
        }
        changes
    }

    /// Removes entries that are there.
    fn remove(&mut self, entries: Vec<Arc<FlowEntry>>, reason: FlowRemovedReason) -> Changes {
        for entry in &entries {
            if let Some(table) = self.tables.get_mut(&entry.table) {
                let part = table.take_out(entry);
                note(&mut self.journal, Some(entry).zip(part), None);
            }
        }
        let removed = entries.into_iter().map(|entry| (entry, reason)).collect();
        Changes { removed, written: Vec::new() }
    }

    /// The entries that a statistics request is about, all at once: by table, then as they are tried. What a walk must [meet](Self::step).
    pub fn select(&self, request: &FlowStatsRequest) -> Vec<Arc<FlowEntry>> {
        let selection = Selection::of_request(request);
        let tables = self.tables.iter().filter(|(id, _)| request.table.is_about(**id));
        tables.flat_map(|(_, table)| table.in_order(&selection)).collect()
    }

    /// Some more of the entries that a walk is about; none when all were met. Tables of up to 4,096 entries are met whole, as entries are tried;
    /// the entries of larger ones in no particular order.
    ///
    /// A step looks at a bounded number of entries and of parts of hash tables, so it may well find nothing.
    pub fn step(&self, walk: &mut Walk) -> Option<Vec<Arc<FlowEntry>>> {
        self.meet(walk, SORTED)
    }

    /// The same, of a table of more than `most` entries about as many.
    fn meet(&self, walk: &mut Walk, most: usize) -> Option<Vec<Arc<FlowEntry>>> {
        // No table ever goes, so a place is in the table that is found.
        let (id, table) = self.tables.range(walk.table..).find(|(id, _)| walk.about.is_about(**id))?;
        walk.table = *id;
        if walk.place.is_none() && table.entries.len() > most {
            walk.place = Some(Place::default());
        }
        let mut found = if walk.place.is_some() { Vec::new() } else { table.in_order(&walk.selection) };
        let mut seen = 0;
        while let Some(place) = walk.place
            && seen < most
        {
            // A hash table that was larger has parts with few entries, or none.
            seen += 1;
            walk.place = table.builder.step(place, |entry| {
                seen += 1;
                if walk.selection.covers(entry) {
                    found.push(Arc::clone(entry));
                }
            });
        }
        if walk.place.is_none() {
            // Behind the last table there is none.
            walk.table = TableId(id.0.saturating_add(1));
        }
        Some(found)
    }

    /// The tables in which a flow-mod would modify entries.
    pub fn tables_to_modify(&self, flow_mod: &FlowMod) -> Vec<TableId> {
        let selection = Selection::of_flow_mod(flow_mod, flow_mod.command == FlowModCommand::ModifyStrict);
        let tables = self.tables.iter().filter(|(id, _)| flow_mod.table.is_about(**id));
        tables.filter(|(_, table)| table.chosen(&selection).next().is_some()).map(|(id, _)| *id).collect()
    }

    /// How many entries have a condition on a filter.
    pub fn users_of_filter(&self, filter: FilterId) -> usize {
        self.tables.values().map(|table| table.users.filters.of(filter)).sum()
    }

    /// How many entries name a group.
    pub fn users_of_group(&self, group: GroupId) -> usize {
        self.tables.values().map(|table| table.users.groups.of(group)).sum()
    }

    /// How many entries send their packets through a meter.
    pub fn users_of_meter(&self, meter: MeterId) -> usize {
        self.tables.values().map(|table| table.users.meters.of(meter)).sum()
    }

    /// Table 0 and the tables that were ever written to: number, entries, counters.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, usize, &TableCounters)> {
        self.tables.iter().map(|(id, table)| (*id, table.entries.len(), &*table.counters))
    }

    /// What workers look up in.
    pub fn snapshot(&mut self) -> Snapshot {
        self.fallen.extend(self.log.next(self.tables.values_mut().map(|table| &mut table.builder.pending)));
        self.fallen.retain(|delta| Arc::strong_count(delta) > 1);
        let len = self.tables.last_key_value().map_or(0, |(id, _)| usize::from(id.0) + 1);
        let mut tables = vec![None; len];
        for (id, table) in &mut self.tables {
            tables[usize::from(id.0)] =
                Some(SnapshotTable { classifier: table.classifier(), counters: Arc::clone(&table.counters) });
        }
        Snapshot { tables, log: self.log.clone() }
    }

    /// Frees of what was kept for snapshots that nobody has any more: a millisecond's work. The next snapshot of tables that were changed does so, too;
    /// this is for the time when there is none.
    pub fn tidy(&mut self) {
        let mut budget = TIDIED;
        self.tables.values_mut().for_each(|table| table.builder.tidy(&mut budget));
    }
}

impl Snapshot {
    /// A table's entries; `None` if nothing was ever put there, so that every packet misses.
    #[inline]
    pub fn table(&self, id: TableId) -> Option<&Classifier> {
        Some(&self.tables.get(usize::from(id.0))?.as_ref()?.classifier)
    }

    /// Its number among the snapshots of these tables.
    pub fn number(&self) -> u64 {
        self.log.number()
    }

    /// The entries that were changed since an earlier snapshot; none if that is not known any more.
    pub fn changes_since(&self, number: u64) -> Option<impl Iterator<Item = &Change>> {
        self.log.since(number)
    }

    /// The bits that any entry of these tables looks at, from a table on.
    pub fn relevant(&self, from: TableId) -> FlowKey {
        let tables = self.tables.iter().skip(usize::from(from.0)).flatten();
        tables.fold(FlowKey::ZERO, |all, table| all.union(table.classifier.relevant()))
    }

    /// Counts lookups in a table and how many of them found an entry.
    #[inline]
    pub fn count(&self, id: TableId, lookups: u64, matched: u64) {
        if let Some(Some(table)) = self.tables.get(usize::from(id.0)) {
            table.counters.lookups.fetch_add(lookups, Relaxed);
            table.counters.matched.fetch_add(matched, Relaxed);
        }
    }
}

/// Notes a step, if what is done is to be undone perhaps.
fn note(
    journal: &mut Option<Vec<Step>>,
    before: Option<(&Arc<FlowEntry>, PartId)>,
    after: Option<&Arc<FlowEntry>>,
) {
    if let Some(journal) = journal {
        journal.push((before.map(|(entry, part)| (Arc::clone(entry), part)), after.cloned()));
    }
}

fn writable(table: TableId) -> Result<TableId, FlowModError> {
    if table.0 <= LAST_TABLE { Ok(table) } else { Err(FlowModError::BadTable { found: table }) }
}

fn check_goto(table: TableId, flow_mod: &FlowMod) -> Result<(), FlowModError> {
    match flow_mod.instructions.goto_table {
        Some(found) if found <= table || found.0 > LAST_TABLE => Err(FlowModError::BadGoto { table, found }),
        _ => Ok(()),
    }
}
