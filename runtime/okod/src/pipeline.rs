//! A packet's way through the flow tables. OpenFlow 1.3.5, sections 5.1 to 5.11.
//!
//! The pipeline decides and does not act: what is to be done with the packet comes out as a list of [`Effect`]s. So it
//! knows neither ports nor packet memory, and is tested without them.

use oko_filter::Packet;
use oko_flow_table::FlowEntry;
use oko_openflow::{Action, PacketInReason, PortNo, TableId};
use oko_packet::{Field, FlowKey};

use crate::clock::Nanos;
use crate::memo::Memo;
use crate::snapshot::Snapshot;

/// Something to do with the packet. A packet without effects is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send it out of this real port.
    Output(PortNo),
    /// Send it out of all ports but that it came in by.
    Flood,
    /// Send it, or its beginning, to the controllers.
    Controller { max_len: u16, table: TableId, cookie: u64, reason: PacketInReason },
    /// Send it through the tables; only for packet-outs.
    Tables,
}

/// Where a packet stands when an action is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) in_port: PortNo,
    pub(crate) table: TableId,
    pub(crate) cookie: u64,
    pub(crate) reason: PacketInReason,
}

/// Adds what an output action means. Actions that cannot be done were refused when the entry was added.
pub(crate) fn output(port: PortNo, max_len: u16, origin: Origin, effects: &mut Vec<Effect>) {
    match port {
        PortNo::IN_PORT => effects.push(Effect::Output(origin.in_port)),
        PortNo::ALL | PortNo::FLOOD => effects.push(Effect::Flood),
        PortNo::TABLE => effects.push(Effect::Tables),
        PortNo::CONTROLLER => {
            let Origin { table, cookie, reason, .. } = origin;
            effects.push(Effect::Controller { max_len, table, cookie, reason });
        }
        // The ingress port needs to be asked for by its reserved name (section 7.2.5.1).
        port if port == origin.in_port => {}
        port => effects.push(Effect::Output(port)),
    }
}

/// A packet as it came in.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'f> {
    /// All its bytes.
    pub(crate) frame: &'f [u8],
    /// The port it came in by.
    pub(crate) in_port: PortNo,
    /// When, as filters are told.
    pub(crate) now: Nanos,
}

/// A worker's state of processing, reused from packet to packet.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    memo: Memo,
    /// Lookups and matches of this burst, by table.
    tables: Vec<(u64, u64)>,
}

/// Hits of one entry that are not in its counters yet: packets of a burst tend to hit the same.
pub(crate) struct Hits<'s> {
    entry: Option<&'s FlowEntry>,
    packets: u64,
    bytes: u64,
    now: Nanos,
}

impl<'s> Hits<'s> {
    /// For a burst at an instant.
    pub(crate) fn new(now: Nanos) -> Self {
        Self { entry: None, packets: 0, bytes: 0, now }
    }

    #[inline]
    fn add(&mut self, entry: &'s FlowEntry, bytes: u64) {
        if !self.entry.is_some_and(|last| std::ptr::eq(last, entry)) {
            self.write();
            self.entry = Some(entry);
        }
        self.packets += 1;
        self.bytes += bytes;
    }

    /// Puts what was gathered into the counters.
    #[inline]
    pub(crate) fn write(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.counters.count(self.packets, self.bytes, self.now.0);
            (self.packets, self.bytes) = (0, 0);
        }
    }
}

impl Pipeline {
    /// Prepares for another snapshot.
    pub(crate) fn take_up(&mut self, snapshot: &Snapshot) {
        self.memo.fit(snapshot.filters.len());
    }

    /// Sends a packet through the tables, from table 0, and appends what is to be done with it.
    #[inline]
    pub(crate) fn process<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        arrival: Arrival<'_>,
        mut key: FlowKey,
        hits: &mut Hits<'s>,
        effects: &mut Vec<Effect>,
    ) {
        self.memo.next_packet();
        let mut table = TableId(0);
        // The action set. Of what we support it can hold one thing: an output.
        let mut at_the_end: Option<(PortNo, u16, Origin)> = None;
        loop {
            let entry = self.lookup(snapshot, table, &key, arrival);
            let Some(entry) = entry else { break };
            hits.add(entry, arrival.frame.len() as u64);
            let instructions = &entry.instructions;
            let origin =
                Origin { in_port: arrival.in_port, table, cookie: entry.cookie, reason: reason(entry) };
            for action in &instructions.apply {
                if let Action::Output { port, max_len } = action {
                    output(*port, *max_len, origin, effects);
                }
            }
            if instructions.clear {
                at_the_end = None;
            }
            for action in &instructions.write {
                if let Action::Output { port, max_len } = action {
                    at_the_end = Some((*port, *max_len, origin));
                }
            }
            if let Some(write) = instructions.metadata {
                let old = key.get(Field::METADATA) as u64;
                key.set(Field::METADATA, u128::from(old & !write.mask | write.value & write.mask));
            }
            match instructions.goto_table {
                // Only onwards, as the tables see to: the loop ends.
                Some(next) => table = next,
                None => break,
            }
        }
        if let Some((port, max_len, origin)) = at_the_end {
            output(port, max_len, origin, effects);
        }
    }

    #[inline]
    fn lookup<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        table: TableId,
        key: &FlowKey,
        Arrival { frame, in_port, now }: Arrival<'_>,
    ) -> Option<&'s FlowEntry> {
        let found = snapshot.tables.table(table)?.lookup(key, |condition| {
            // An entry's filter is loaded as long as the entry is there.
            let Some((slot, loaded)) = snapshot.filters.find(condition.filter) else { return false };
            let answer = self.memo.answer(slot, || {
                loaded.instance.run(loaded.filter, Packet::new(frame, in_port.0), now.0).class()
            });
            answer == condition.class
        });
        let i = usize::from(table.0);
        if self.tables.len() <= i {
            self.tables.resize(i + 1, (0, 0));
        }
        self.tables[i].0 += 1;
        self.tables[i].1 += u64::from(found.is_some());
        found.map(|entry| &**entry)
    }

    /// Puts the tables' counts of this burst where the control side reads them.
    pub(crate) fn count_tables(&mut self, snapshot: &Snapshot) {
        for (i, (lookups, matched)) in self.tables.iter_mut().enumerate() {
            if *lookups > 0 {
                snapshot.tables.count(TableId(i as u8), std::mem::take(lookups), std::mem::take(matched));
            }
        }
    }
}

/// An entry of priority 0 that matches everything is the table-miss entry (section 5.4).
fn reason(entry: &FlowEntry) -> PacketInReason {
    if entry.priority == 0 && entry.matching.is_empty() {
        PacketInReason::NoMatch
    } else {
        PacketInReason::Action
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
