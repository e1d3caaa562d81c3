//! A packet's way through the flow tables. OpenFlow 1.3.5, sections 5.1 to 5.12.
//!
//! The pipeline rewrites the packet in its buffer, but sends nothing: what is to be done comes out as a [`Plan`]. So it knows neither
//! ports nor packet memory, and is tested without them.
//!
//! - Lookups and filters see the packet as it is at that point; a filter runs once per packet, whatever happens to it afterwards.
//! - Whatever entries, groups and resubmissions ask for, the work for one packet is bounded: [`BUDGET`] actions, [`DEPTH`] levels.

mod changes;
mod groups;

use std::sync::Arc;

use oko_filter::Packet;
use oko_flow_table::{FlowEntry, Verdict, action_set, remark};
use oko_openflow::{Action, MeterId, PacketInReason, PortNo, TableId};
use oko_packet::Field;
use oko_packet::edit::Editor;
use smallvec::SmallVec;

use crate::bridge::Bridge;
use crate::clock::Nanos;
use crate::memo::Memo;
use crate::plan::{Effect, Plan, Planned, ToController};
use crate::recording::{Hit, Path, Recording, Then};
use crate::snapshot::Snapshot;

/// Actions and lookups for one packet; what goes beyond is not done.
const BUDGET: u32 = 4096;
/// Levels of groups in groups and of resubmissions.
const DEPTH: u32 = 64;

/// Where a packet stands when an action is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) table: TableId,
    pub(crate) cookie: u64,
    pub(crate) reason: PacketInReason,
}

/// How a packet came in.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// The port.
    pub(crate) in_port: PortNo,
    /// When, as filters are told.
    pub(crate) now: Nanos,
}

/// A path that a packet is sent along.
#[derive(Clone, Copy)]
pub(crate) struct Along<'p> {
    pub(crate) path: &'p Path,
    /// Whether the first lookup is counted by whoever has the path and knows that every packet gets as far as that.
    pub(crate) is_counted: bool,
}

/// A worker's state of processing, reused from packet to packet.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    memo: Memo,
    pub(crate) bridge: Arc<Bridge>,
    /// Lookups and matches of this burst, by table.
    tables: Vec<(u64, u64)>,
    /// Packets put aside while buckets of groups change them, by level.
    aside: Vec<Vec<u8>>,
    /// Packets that could not be rewritten for lack of room in their buffers.
    pub(crate) no_room: u64,
}

impl Pipeline {
    /// With the bridge that all workers share.
    pub(crate) fn new(bridge: Arc<Bridge>) -> Self {
        Self { bridge, ..Self::default() }
    }

    /// Prepares for another snapshot.
    pub(crate) fn take_up(&mut self, snapshot: &Snapshot) {
        self.memo.fit(snapshot.filters.len());
    }

    /// Sends a packet through the tables, from table 0, and appends what is to be done with it. What it met there is recorded.
    ///
    /// `answers` are what filters have said of this packet already, by slot.
    #[inline]
    pub(crate) fn process(
        &mut self,
        snapshot: &Snapshot,
        arrival: Arrival,
        packet: &mut Editor<'_>,
        answers: &[(u32, u32)],
        plan: &mut Plan,
    ) -> Recording {
        self.memo.next_packet();
        for (slot, class) in answers {
            self.memo.learn(*slot as usize, *class);
        }
        let mut walk = Walk::new(self, snapshot, arrival, packet, plan);
        walk.recording = Some(Recording::new());
        walk.whole_way();
        let mut recording = walk.recording.take().unwrap_or_else(Recording::new);
        recording.path.then = match plan.all() {
            _ if !recording.plain => Then::Act,
            [] => Then::Drop,
            [Planned { effect: Effect::Output(port), copy: None }] => Then::Output(*port),
            _ => Then::Act,
        };
        recording
    }

    /// Sends a packet along a path that another one like it took. Where the path ends, the tables are asked.
    pub(crate) fn process_along(
        &mut self,
        snapshot: &Snapshot,
        arrival: Arrival,
        packet: &mut Editor<'_>,
        answers: &[(u32, u32)],
        Along { path, is_counted }: Along<'_>,
        plan: &mut Plan,
    ) {
        self.memo.next_packet();
        for (slot, class) in answers {
            self.memo.learn(*slot as usize, *class);
        }
        let mut walk = Walk::new(self, snapshot, arrival, packet, plan);
        walk.known = path.hits.iter();
        walk.is_counted = is_counted && !path.hits.is_empty();
        walk.whole_way();
    }

    /// Does the actions of a packet-out; gives whether it goes through the tables, which [`Effect::Tables`] in the plan stands for.
    pub(crate) fn packet_out(
        &mut self,
        snapshot: &Snapshot,
        arrival: Arrival,
        packet: &mut Editor<'_>,
        actions: &[Action],
        plan: &mut Plan,
    ) {
        self.memo.next_packet();
        let mut walk = Walk::new(self, snapshot, arrival, packet, plan);
        walk.from_controller = true;
        let origin = Origin { table: TableId(0), cookie: u64::MAX, reason: PacketInReason::PacketOut };
        let done = actions.iter().try_for_each(|action| walk.act(action, origin));
        if done.is_ok() {
            walk.at_the_end();
        }
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

/// The packet is done with: dropped, or its time to live is over.
struct Over;

/// The action set with something said of each action, in the order in which they are done.
pub(crate) type ActionSet<'s, T> = SmallVec<[(&'s Action, T); 12]>;

/// One packet on its way.
struct Walk<'w, 's, 'b> {
    pipeline: &'w mut Pipeline,
    snapshot: &'s Snapshot,
    arrival: Arrival,
    packet: &'w mut Editor<'b>,
    plan: &'w mut Plan,
    /// The action set, with where its actions come from.
    set: ActionSet<'s, Origin>,
    budget: u32,
    depth: u32,
    from_controller: bool,
    /// Lookups that need not be made, in order.
    known: std::slice::Iter<'s, Hit>,
    /// Whether somebody else counts the next lookup.
    is_counted: bool,
    /// What is recorded for others, if anything.
    recording: Option<Recording>,
}

impl<'w, 's, 'b> Walk<'w, 's, 'b> {
    fn new(
        pipeline: &'w mut Pipeline,
        snapshot: &'s Snapshot,
        arrival: Arrival,
        packet: &'w mut Editor<'b>,
        plan: &'w mut Plan,
    ) -> Self {
        let set = ActionSet::new();
        Self {
            pipeline,
            snapshot,
            arrival,
            packet,
            plan,
            set,
            budget: BUDGET,
            depth: 0,
            from_controller: false,
            known: [].iter(),
            is_counted: false,
            recording: None,
        }
    }

    /// The whole way.
    fn whole_way(&mut self) {
        if self.snapshot.standalone {
            let origin = Origin { table: TableId(0), cookie: 0, reason: PacketInReason::Action };
            self.output(PortNo::NORMAL, 0, origin);
        } else if self.tables(TableId(0)).is_ok() {
            self.at_the_end();
        }
    }

    /// Notes something for packets that will take this way.
    fn note(&mut self, note: impl FnOnce(&mut Recording)) {
        if let Some(recording) = &mut self.recording {
            note(recording);
        }
    }

    /// What is done with this packet is not done with all that take its path: from here on, it looks up for itself, and so do others.
    fn leave_path(&mut self) {
        self.known = [].iter();
        self.note(Recording::ends);
    }

    /// Spends from what one packet may cost.
    fn spend(&mut self) -> Result<(), Over> {
        self.budget = self.budget.checked_sub(1).ok_or(Over)?;
        Ok(())
    }

    /// Goes through the tables from one on.
    fn tables(&mut self, mut table: TableId) -> Result<(), Over> {
        loop {
            self.spend()?;
            let counts = !std::mem::take(&mut self.is_counted);
            let Some(entry) = self.lookup(table, counts) else {
                if self.snapshot.miss_to_controller && !self.from_controller {
                    let origin = Origin { table, cookie: u64::MAX, reason: PacketInReason::NoMatch };
                    self.tell_controller(Action::WHOLE_PACKET, origin, true);
                }
                return Ok(());
            };
            if counts {
                entry.counters.count(1, self.packet.bytes().len() as u64, self.arrival.now.0);
            }
            let instructions = &entry.instructions;
            let origin = Origin { table, cookie: entry.cookie, reason: reason(entry) };
            if let Some(meter) = instructions.meter {
                self.meter(meter)?;
            }
            for action in &instructions.apply {
                self.act(action, origin)?;
            }
            if instructions.clear {
                self.set.clear();
            }
            for action in &instructions.write {
                let reason = match origin.reason {
                    PacketInReason::NoMatch => PacketInReason::NoMatch,
                    _ => PacketInReason::ActionSet,
                };
                write(&mut self.set, action, Origin { reason, ..origin });
            }
            if let Some(write) = instructions.metadata {
                let old = self.packet.key().get(Field::METADATA) as u64;
                self.packet.set(Field::METADATA, u128::from(old & !write.mask | write.value & write.mask));
            }
            match instructions.goto_table {
                // Only onwards, as the tables see to: the loop ends.
                Some(next) => table = next,
                None => return Ok(()),
            }
        }
    }

    #[inline]
    fn lookup(&mut self, table: TableId, counts: bool) -> Option<&'s FlowEntry> {
        let found = match self.known.next() {
            Some((known, entry)) if *known == table => entry.as_ref(),
            _ => {
                self.known = [].iter();
                self.search(table)
            }
        };
        if counts {
            let i = usize::from(table.0);
            let tables = &mut self.pipeline.tables;
            if tables.len() <= i {
                tables.resize(i + 1, (0, 0));
            }
            tables[i].0 += 1;
            tables[i].1 += u64::from(found.is_some());
        }
        found.map(|entry| &**entry)
    }

    /// Asks a table.
    fn search(&mut self, table: TableId) -> Option<&'s Arc<FlowEntry>> {
        let Arrival { in_port, now } = self.arrival;
        let key = *self.packet.key();
        let frame = self.packet.bytes();
        let (memo, filters) = (&mut self.pipeline.memo, &self.snapshot.filters);
        let mut recording = self.recording.as_mut();
        let found = self.snapshot.tables.table(table).and_then(|classifier| {
            classifier.lookup(&key, |condition| {
                // An entry's filter is loaded as long as the entry is there.
                let Some((slot, loaded)) = filters.find(condition.filter) else { return false };
                let answer = memo.answer(slot, || {
                    if let Some(recording) = &mut recording {
                        recording.asks();
                    }
                    loaded.instance.run(loaded.filter, Packet::new(frame, in_port.0), now.0).class()
                });
                if let Some(recording) = &mut recording {
                    recording.answered(slot, answer);
                }
                answer == condition.class
            })
        });
        self.note(|recording| recording.looked_up(table, found));
        found
    }

    /// Does the action set.
    fn at_the_end(&mut self) {
        if self.set.is_empty() {
            return;
        }
        let set = std::mem::take(&mut self.set);
        let with_group = set.iter().any(|(action, _)| matches!(action, Action::Group(_)));
        for (action, origin) in set {
            // With a group, the output is not done (section 5.10).
            if with_group && matches!(action, Action::Output { .. }) {
                continue;
            }
            if self.act(action, origin).is_err() {
                break;
            }
        }
    }

    fn meter(&mut self, id: MeterId) -> Result<(), Over> {
        // An entry's meter is there as long as the entry.
        let Some(meter) = self.snapshot.meters.get(id) else { return Ok(()) };
        self.note(Recording::depends_on_packet);
        match meter.measure(self.packet.bytes().len(), self.arrival.now.0) {
            Verdict::Pass => Ok(()),
            Verdict::Drop => Err(Over),
            Verdict::Remark(levels) => {
                let dscp = self.packet.key().get(Field::IP_DSCP) as u8;
                let new = remark(dscp, levels);
                if new != dscp {
                    // The next packet may not be remarked.
                    self.leave_path();
                    self.change().set(Field::IP_DSCP, new.into());
                }
                Ok(())
            }
        }
    }

    fn act(&mut self, action: &'s Action, origin: Origin) -> Result<(), Over> {
        self.spend()?;
        match action {
            Action::Output { port, max_len } => self.output(*port, *max_len, origin),
            Action::Group(group) => return self.group(*group, origin),
            Action::Meter(meter) => return self.meter(*meter),
            Action::SetField(field) => self.set_field(field),
            Action::CopyField(copy) => self.copy_field(copy),
            // There are no queues but the one of each port, to which all packets go.
            Action::SetQueue(_) => {}
            Action::Resubmit { port, table } => return self.resubmit(*port, *table, origin),
            // Refused when the entry was added.
            Action::Experimenter { .. } => {}
            action => return self.change_headers(action, origin),
        }
        Ok(())
    }

    fn output(&mut self, port: PortNo, max_len: u16, origin: Origin) {
        let in_port = self.arrival.in_port;
        if matches!(port, PortNo::ALL | PortNo::FLOOD | PortNo::NORMAL | PortNo::TABLE | PortNo::CONTROLLER) {
            self.note(|recording| recording.plain = false);
        }
        match port {
            PortNo::IN_PORT => self.plan.push(Effect::Output(in_port)),
            PortNo::ALL => self.plan.push(Effect::All),
            PortNo::FLOOD => self.plan.push(Effect::Flood),
            PortNo::NORMAL => {
                let frame = self.packet.bytes();
                if let Some(effect) = self.pipeline.bridge.forward(frame, in_port, self.arrival.now) {
                    self.plan.push(effect);
                }
            }
            PortNo::TABLE => self.plan.push(Effect::Tables),
            PortNo::CONTROLLER => self.tell_controller(max_len, origin, false),
            // The ingress port needs to be asked for by its reserved name (section 7.2.5.1).
            port if port == in_port => {}
            port => self.plan.push(Effect::Output(port)),
        }
    }

    fn tell_controller(&mut self, max_len: u16, origin: Origin, miss: bool) {
        self.note(|recording| recording.plain = false);
        let key = self.packet.key();
        self.plan.push(Effect::Controller(ToController {
            max_len,
            table: origin.table,
            cookie: origin.cookie,
            reason: origin.reason,
            miss,
            metadata: key.get(Field::METADATA) as u64,
            tunnel_id: key.get(Field::TUNNEL_ID) as u64,
        }));
    }

    /// Another table's actions, and then on.
    fn resubmit(&mut self, port: PortNo, table: TableId, origin: Origin) -> Result<(), Over> {
        if self.depth == DEPTH {
            return Err(Over);
        }
        let table = if table == TableId::ALL { origin.table } else { table };
        let true_port = self.packet.key().get(Field::IN_PORT);
        if port != PortNo::IN_PORT {
            self.packet.set(Field::IN_PORT, port.0.into());
        }
        self.depth += 1;
        let result = self.tables(table);
        self.depth -= 1;
        self.packet.set(Field::IN_PORT, true_port);
        // A packet that was dropped there may still be sent here, unless it has cost too much.
        if self.budget == 0 { result } else { Ok(()) }
    }
}

/// Puts an action into an action set.
pub(crate) fn write<'s, T>(set: &mut ActionSet<'s, T>, action: &'s Action, about: T) {
    let wanted = action_set::kind(action);
    match set.binary_search_by_key(&wanted, |(other, _)| action_set::kind(other)) {
        Ok(at) => set[at] = (action, about),
        Err(at) => set.insert(at, (action, about)),
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
mod tests;
