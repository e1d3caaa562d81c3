//! Flow entries: flow-mods, statistics, timeouts and flow-removed messages.

use std::rc::Rc;
use std::time::Duration;

use oko_flow_table::{Changes, FlowEntry, Walk};
use oko_openflow::flow::{AggregateStats, FlowRemoved, FlowStats, FlowStatsRequest};
use oko_openflow::message::Message;
use oko_openflow::multipart::MultipartReply;
use oko_openflow::oko::{OkoError, OkoErrorCode};
use oko_openflow::table::TableStats;
use oko_openflow::{
    Action, ErrorCode, FlowMod, FlowModCommand, FlowModFlags, Match, PortNo, TableId, Version,
};

use super::control::{Answer, Control, Wait};
use super::peers::{PeerId, Topic};
use super::reply::Replies;
use crate::clock::Nanos;

/// Entries that end before others have their turn.
const EXPIRED: usize = 1_024;

/// A flow-mod about thousands of entries.
pub(super) struct LongFlowMod {
    flow_mod: FlowMod,
    walk: Walk,
    peer: Option<PeerId>,
    /// See [`Control::long_flow_mods`].
    _going_on: Rc<()>,
}

impl Control {
    /// Changes flow entries as a controller means it: before OpenFlow 1.3 a flow-mod says otherwise which tables it is about, and a
    /// modification of nothing is an addition (1.0.0, section 4.6).
    pub(super) fn flow_mod_of(&mut self, peer: PeerId, mut flow_mod: FlowMod) -> Answer {
        let Some(peer_now) = self.peers.get(peer) else { return Answer::Nothing };
        if peer_now.dialect().version != Version::V1_0 {
            return self.flow_mod_in_steps(&flow_mod);
        }
        let modifies = matches!(flow_mod.command, FlowModCommand::Modify | FlowModCommand::ModifyStrict);
        if !peer_now.table_in_command && flow_mod.command != FlowModCommand::Add {
            flow_mod.table = TableId::ALL;
        }
        if !modifies {
            return self.flow_mod_in_steps(&flow_mod);
        }
        let tables = self.tables.tables_to_modify(&flow_mod);
        if tables.is_empty() {
            let table = if flow_mod.table == TableId::ALL { TableId(0) } else { flow_mod.table };
            return self.flow_mod(&FlowMod { command: FlowModCommand::Add, table, ..flow_mod });
        }
        if let Some(long) = self.in_steps(&flow_mod) {
            return long;
        }
        for table in tables {
            let answer = self.flow_mod(&FlowMod { table, ..flow_mod.clone() });
            if !matches!(answer, Answer::Nothing) {
                return answer;
            }
        }
        Answer::Nothing
    }

    /// Changes flow entries: what concerns thousands of them bit by bit.
    fn flow_mod_in_steps(&mut self, flow_mod: &FlowMod) -> Answer {
        // A modification is of one table.
        let is_wrong = flow_mod.command == FlowModCommand::Modify && flow_mod.table == TableId::ALL;
        if !is_wrong && let Some(long) = self.in_steps(flow_mod) {
            return long;
        }
        self.flow_mod(flow_mod)
    }

    /// A flow-mod that concerns thousands of entries, so that others have their turns meanwhile; none if it concerns few, or is in a bundle, whose messages take
    /// effect together.
    fn in_steps(&mut self, flow_mod: &FlowMod) -> Option<Answer> {
        if self.deferred.is_some() {
            return None;
        }
        let walk = match self.tables.in_steps(flow_mod) {
            Ok(walk) => walk?,
            Err(error) => return Some(Answer::Error(error.code())),
        };
        if let Some(wrong) = self.check_flow_mod(flow_mod) {
            return Some(wrong);
        }
        let peer = self.cause.map(|(peer, _)| peer);
        let long = LongFlowMod {
            flow_mod: flow_mod.clone(),
            walk,
            peer,
            _going_on: Rc::clone(&self.long_flow_mods),
        };
        Some(Answer::Wait(Wait::Flows(Box::new(long))))
    }

    /// Changes flow entries, or refuses to and changes nothing.
    pub(super) fn flow_mod(&mut self, flow_mod: &FlowMod) -> Answer {
        if let Some(wrong) = self.check_flow_mod(flow_mod) {
            return wrong;
        }
        match self.tables.apply(flow_mod, self.now().0) {
            Ok(changes) => {
                self.done(changes);
                Answer::Nothing
            }
            Err(error) => {
                tracing::debug!(%error, "flow-mod refused");
                Answer::Error(error.code())
            }
        }
    }

    /// What a flow-mod is refused with, whatever is in the tables.
    fn check_flow_mod(&self, flow_mod: &FlowMod) -> Option<Answer> {
        let writes = !matches!(flow_mod.command, FlowModCommand::Delete | FlowModCommand::DeleteStrict);
        if let Err(error) = self.check_filter(&flow_mod.matching) {
            return Some(Answer::Replies(Replies::oko_error(&error)));
        }
        if writes && let Err(code) = self.check_instructions(flow_mod) {
            return Some(Answer::Error(code));
        }
        // We never give out buffer ids.
        (flow_mod.buffer.is_some() && writes).then_some(Answer::Error(ErrorCode::RequestBufferUnknown))
    }

    /// Does the next step of a flow-mod. Says whether there are more.
    ///
    /// # Errors
    /// When it cannot go on, because of what others have changed meanwhile: what it uses is gone, or its controller is a slave now.
    pub(super) fn go_on(&mut self, long: &mut LongFlowMod) -> Result<bool, ErrorCode> {
        if long.peer.is_some_and(|peer| !self.peers.may_write(peer)) {
            return Err(ErrorCode::RequestIsSlave);
        }
        if long.flow_mod.command == FlowModCommand::Modify {
            self.check_instructions(&long.flow_mod)?;
        }
        let Some(changes) = self.tables.go_on(&long.flow_mod, &mut long.walk) else { return Ok(false) };
        // What others change meanwhile is told between these changes, so each is told by itself.
        self.cause = long.peer.map(|peer| (peer, None));
        self.take_effect(&changes);
        self.cause = None;
        Ok(true)
    }

    /// Removes entries whose time is over. Says whether there may be more.
    pub(super) fn expire_flows(&mut self) -> bool {
        let changes = self.tables.expire(self.now().0, EXPIRED);
        self.take_effect(&changes);
        changes.removed.len() >= EXPIRED
    }

    /// Reports what was removed. In a bundle that is being committed, not yet.
    pub(super) fn done(&mut self, changes: Changes) {
        match &mut self.deferred {
            Some(deferred) => deferred.push(changes),
            None => self.take_effect(&changes),
        }
    }

    pub(super) fn take_effect(&mut self, changes: &Changes) {
        if changes.written.is_empty() && changes.removed.is_empty() {
            return;
        }
        self.mark_flows_changed();
        self.tell_monitors(changes);
        let reported: Vec<_> = changes
            .removed
            .iter()
            .filter(|(entry, _)| entry.flags.contains(FlowModFlags::SEND_FLOW_REM))
            .collect();
        if reported.is_empty() {
            return;
        }
        // No packet may be counted to an entry any more when its end is reported.
        self.publish();
        let now = self.now();
        for (entry, reason) in reported {
            let message = Message::FlowRemoved(FlowRemoved {
                cookie: entry.cookie,
                priority: entry.priority,
                reason: *reason,
                table: entry.table,
                duration: age(entry, now),
                idle_timeout: entry.idle_timeout,
                hard_timeout: entry.hard_timeout,
                packets: entry.counters.packets(),
                bytes: entry.counters.bytes(),
                matching: entry.matching.clone(),
            });
            self.peers.tell(Topic::FlowRemoved(*reason), &message);
        }
    }

    /// A filter condition must name a loaded filter and one of its answers.
    fn check_filter(&self, matching: &Match) -> Result<(), OkoError> {
        let Some(condition) = matching.filter else { return Ok(()) };
        let Some(filter) = self.filters.get(condition.filter) else {
            let text = format!("no filter with the id {} is loaded", condition.filter);
            return Err(OkoError::new(OkoErrorCode::NoSuchFilter, text));
        };
        if condition.class >= filter.class_count() {
            let text = format!(
                "the filter `{}` has the classes 0 to {}, not {}",
                filter.name,
                filter.class_count() - 1,
                condition.class
            );
            return Err(OkoError::new(OkoErrorCode::NoSuchClass, text));
        }
        Ok(())
    }

    fn check_instructions(&self, flow_mod: &FlowMod) -> Result<(), ErrorCode> {
        if flow_mod.instructions.meter.is_some_and(|meter| self.meters.get(meter).is_none()) {
            return Err(ErrorCode::MeterUnknown);
        }
        let actions = flow_mod.instructions.apply.iter().chain(&flow_mod.instructions.write);
        self.check_actions(actions, false)
    }

    /// Whether all actions can be done; `TABLE` only in packet-outs.
    pub(super) fn check_actions<'a>(
        &self,
        actions: impl IntoIterator<Item = &'a Action>,
        in_packet_out: bool,
    ) -> Result<(), ErrorCode> {
        for action in actions {
            match action {
                Action::Output { port, .. } => match *port {
                    PortNo::IN_PORT | PortNo::ALL | PortNo::FLOOD | PortNo::CONTROLLER | PortNo::NORMAL => {}
                    PortNo::TABLE if in_packet_out => {}
                    port if self.ports.get(port).is_some() => {}
                    _ => return Err(ErrorCode::ActionBadOutPort),
                },
                Action::Group(group) if self.groups.get(*group).is_none() => {
                    return Err(ErrorCode::ActionBadOutGroup);
                }
                Action::Meter(meter) if self.meters.get(*meter).is_none() => {
                    return Err(ErrorCode::MeterUnknown);
                }
                Action::SetQueue(_) => return Err(ErrorCode::ActionBadQueue),
                Action::PushVlan(eth_type) if !matches!(eth_type, 0x8100 | 0x88a8) => {
                    return Err(ErrorCode::ActionBadArgument);
                }
                Action::PushMpls(eth_type) if !matches!(eth_type, 0x8847 | 0x8848) => {
                    return Err(ErrorCode::ActionBadArgument);
                }
                Action::PushPbb(eth_type) if *eth_type != 0x88e7 => return Err(ErrorCode::ActionBadArgument),
                Action::Experimenter { .. } => return Err(ErrorCode::ActionBadExperimenter),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn flow_stats(request: &FlowStatsRequest, nicira: bool) -> Result<Answer, ErrorCode> {
        let make = |(): &(), now, entry: &FlowEntry| FlowStats {
            table: entry.table,
            duration: age(entry, now),
            priority: entry.priority,
            idle_timeout: entry.idle_timeout,
            hard_timeout: entry.hard_timeout,
            flags: entry.flags,
            importance: entry.importance,
            cookie: entry.cookie,
            packets: entry.counters.packets(),
            bytes: entry.counters.bytes(),
            matching: entry.matching.clone(),
            instructions: entry.instructions.clone(),
        };
        let replies = Replies::walked([((), walk(request)?)], make, MultipartReply::Flow, nicira);
        Ok(Answer::Replies(replies))
    }

    pub(super) fn aggregate_stats(request: &FlowStatsRequest, nicira: bool) -> Result<Answer, ErrorCode> {
        let add = |sums: &mut AggregateStats, entry: &FlowEntry| {
            sums.packets += entry.counters.packets();
            sums.bytes += entry.counters.bytes();
            sums.flows = sums.flows.saturating_add(1);
        };
        let replies = Replies::summed(walk(request)?, add, MultipartReply::Aggregate, nicira);
        Ok(Answer::Replies(replies))
    }

    /// The tables that were ever written to, and table 0.
    pub(super) fn table_stats(&self) -> Vec<TableStats> {
        use std::sync::atomic::Ordering::Relaxed;
        let mut stats: Vec<TableStats> = self
            .tables
            .tables()
            .map(|(table, entries, counters)| TableStats {
                table,
                max_entries: u32::try_from(self.table_capacity).unwrap_or(u32::MAX),
                active: u32::try_from(entries).unwrap_or(u32::MAX),
                lookups: counters.lookups.load(Relaxed),
                matched: counters.matched.load(Relaxed),
            })
            .collect();
        if stats.first().is_none_or(|first| first.table != TableId(0)) {
            stats.insert(
                0,
                TableStats { table: TableId(0), max_entries: 0, active: 0, lookups: 0, matched: 0 },
            );
        }
        stats
    }
}

fn walk(request: &FlowStatsRequest) -> Result<Walk, ErrorCode> {
    if request.table == TableId::MAX {
        return Err(ErrorCode::RequestBadTableId);
    }
    Ok(Walk::new(request))
}

fn age(entry: &FlowEntry, now: Nanos) -> Duration {
    Duration::from_nanos(now.0.saturating_sub(entry.created))
}
