//! Flow monitors: controllers that are told of every change of the flow entries that they watch. OpenFlow 1.4.1, section 7.3.5.17, and the extensions that
//! it comes from.
//!
//! What is told goes through the controller's queue of asynchronous messages. When that is full, telling pauses: what is removed meanwhile is remembered, and when
//! the queue is empty again the controller is told of the pause, of what was removed and of all entries that there are, and then of the resumption. A controller that
//! falls behind further than that is cut off, for it could not know what it misses.

use std::collections::BTreeMap;
use std::sync::Arc;

use oko_flow_table::{Changes, FlowEntry, Matcher, Written};
use oko_openflow::monitor::{FlowUpdate, MonitorCommand, MonitorFlags, MonitorRequest, UpdateEvent};
use oko_openflow::multipart::MultipartReply;
use oko_openflow::{ErrorCode, FlowRemovedReason, FlowStatsRequest, Message, Version};

use super::control::{Answer, Control, TABLES};
use super::peers::{Peer, PeerId};
use super::reply::Replies;

/// Monitors of one connection.
const MOST: usize = 1_024;
/// Removals that are remembered during a pause.
const REMEMBERED: usize = 65_536;

/// What a controller watches.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    by_id: BTreeMap<u32, Monitor>,
    paused: Option<Pause>,
}

#[derive(Debug)]
struct Monitor {
    request: MonitorRequest,
    matcher: Matcher,
}

/// What was removed while nothing could be told.
#[derive(Debug, Default)]
struct Pause {
    removed: Vec<(Arc<FlowEntry>, FlowRemovedReason)>,
}

/// Who has asked for a change, and with which message.
pub(super) type Cause = Option<(PeerId, u32)>;

/// How a change came about, for one controller.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Itself(u32),
    Others,
}

impl Monitor {
    fn covers(&self, entry: &FlowEntry) -> bool {
        let MonitorRequest { table, out_port, out_group, .. } = &self.request;
        (*table == oko_openflow::TableId::ALL || *table == entry.table)
            && entry.outputs_to(*out_port)
            && entry.names_group(*out_group)
            && self.matcher.covers(&entry.matcher)
    }

    fn wants(&self, event: UpdateEvent, by: By) -> bool {
        let wanted = match event {
            UpdateEvent::Initial => MonitorFlags::INITIAL,
            UpdateEvent::Added => MonitorFlags::ADD,
            UpdateEvent::Removed(_) => MonitorFlags::REMOVED,
            UpdateEvent::Modified => MonitorFlags::MODIFY,
        };
        let flags = self.request.flags;
        flags.contains(wanted) && (by != By::Others || !flags.contains(MonitorFlags::ONLY_OWN))
    }
}

impl Monitors {
    fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What is told of an entry, if any monitor watches it. If several do, it is told once, as the one that asks for most.
    fn update(&self, entry: &FlowEntry, event: UpdateEvent, by: By) -> Option<FlowUpdate> {
        let watching: Vec<&Monitor> =
            self.by_id.values().filter(|monitor| monitor.wants(event, by) && monitor.covers(entry)).collect();
        if watching.is_empty() {
            return None;
        }
        let any = |flag| watching.iter().any(|monitor| monitor.request.flags.contains(flag));
        match by {
            By::Itself(xid) if !any(MonitorFlags::NO_ABBREV) => Some(FlowUpdate::Abbrev { xid }),
            _ => Some(full(entry, event, any(MonitorFlags::INSTRUCTIONS))),
        }
    }
}

fn full(entry: &FlowEntry, event: UpdateEvent, instructions: bool) -> FlowUpdate {
    FlowUpdate::Full {
        event,
        table: entry.table,
        priority: entry.priority,
        idle_timeout: entry.idle_timeout,
        hard_timeout: entry.hard_timeout,
        cookie: entry.cookie,
        matching: entry.matching.clone(),
        instructions: instructions.then(|| entry.instructions.clone()),
    }
}

impl Control {
    /// Adds, changes and removes monitors: all of a request or none. The answer has the entries that are there.
    pub(super) fn flow_monitor(
        &mut self,
        peer: PeerId,
        requests: Vec<MonitorRequest>,
        nicira: bool,
    ) -> Result<Answer, ErrorCode> {
        let Some(asking) = self.peers.get(peer) else { return Ok(Answer::Nothing) };
        let mut ids: BTreeMap<u32, ()> = asking.monitors.by_id.keys().map(|id| (*id, ())).collect();
        for request in &requests {
            if request.table.0 >= TABLES && request.table != oko_openflow::TableId::ALL {
                return Err(ErrorCode::MonitorBadTable);
            }
            match request.command {
                MonitorCommand::Add if ids.insert(request.id, ()).is_some() => {
                    return Err(ErrorCode::MonitorExists);
                }
                MonitorCommand::Add => {}
                MonitorCommand::Modify if !ids.contains_key(&request.id) => {
                    return Err(ErrorCode::MonitorUnknownId);
                }
                MonitorCommand::Modify => {}
                MonitorCommand::Delete if ids.remove(&request.id).is_none() => {
                    return Err(ErrorCode::MonitorUnknownId);
                }
                MonitorCommand::Delete => {}
            }
        }
        if ids.len() > MOST {
            return Err(ErrorCode::MonitorUnknown);
        }
        let mut updates = Vec::new();
        for request in requests {
            let matcher = Matcher::new(&request.matching);
            let monitor = Monitor { request, matcher };
            if monitor.request.command != MonitorCommand::Delete
                && monitor.wants(UpdateEvent::Initial, By::Others)
            {
                updates.extend(self.watched(&monitor).iter().map(|entry| {
                    let instructions = monitor.request.flags.contains(MonitorFlags::INSTRUCTIONS);
                    full(entry, UpdateEvent::Initial, instructions)
                }));
            }
            let Some(peer) = self.peers.get_mut(peer) else { continue };
            match monitor.request.command {
                MonitorCommand::Delete => drop(peer.monitors.by_id.remove(&monitor.request.id)),
                _ => drop(peer.monitors.by_id.insert(monitor.request.id, monitor)),
            }
        }
        Ok(Answer::Replies(Replies::multipart(MultipartReply::FlowUpdates(updates), nicira)))
    }

    pub(super) fn cancel_monitor(&mut self, peer: PeerId, id: u32) -> Result<Answer, ErrorCode> {
        let monitors = self.peers.get_mut(peer).map(|peer| &mut peer.monitors);
        match monitors.and_then(|monitors| monitors.by_id.remove(&id)) {
            Some(_) => Ok(Answer::Nothing),
            None => Err(ErrorCode::MonitorUnknownId),
        }
    }

    /// The entries that a monitor watches.
    fn watched(&self, monitor: &Monitor) -> Vec<Arc<FlowEntry>> {
        let MonitorRequest { table, out_port, out_group, matching, .. } = &monitor.request;
        self.tables.select(&FlowStatsRequest {
            table: *table,
            out_port: *out_port,
            out_group: *out_group,
            matching: matching.clone(),
            ..FlowStatsRequest::default()
        })
    }

    /// Tells of changes.
    pub(super) fn tell_monitors(&mut self, changes: &Changes) {
        let cause = self.cause;
        for (id, peer) in self.peers.entries_mut().filter(|(_, peer)| !peer.monitors.is_empty()) {
            let by = match cause {
                Some((causer, xid)) if causer == id => By::Itself(xid),
                _ => By::Others,
            };
            if let Some(pause) = &mut peer.monitors.paused {
                pause.removed.extend(changes.removed.iter().cloned());
                continue;
            }
            let removed =
                changes.removed.iter().map(|(entry, reason)| (entry, UpdateEvent::Removed(*reason)));
            let written = changes.written.iter().map(|(entry, written)| match written {
                Written::Added => (entry, UpdateEvent::Added),
                Written::Modified => (entry, UpdateEvent::Modified),
            });
            let mut updates: Vec<FlowUpdate> = removed
                .chain(written)
                .filter_map(|(entry, event)| peer.monitors.update(entry, event, by))
                .collect();
            // One word for a message of its own, however many entries it changed.
            updates.dedup_by(|a, b| a == b && matches!(a, FlowUpdate::Abbrev { .. }));
            if !updates.is_empty() && !peer.tell_updates(updates) {
                peer.monitors.paused = Some(Pause { removed: changes.removed.clone() });
            }
        }
    }

    /// Goes on telling those that could not be told, when their queues are empty.
    pub(super) fn resume_monitors(&mut self) {
        let mut behind = Vec::new();
        let waiting: Vec<PeerId> = self
            .peers
            .entries_mut()
            .filter(|(_, peer)| peer.monitors.paused.is_some())
            .map(|(id, _)| id)
            .collect();
        for id in waiting {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            let too_many =
                peer.monitors.paused.as_ref().is_some_and(|pause| pause.removed.len() > REMEMBERED);
            if !peer.queue_is_empty() && !too_many {
                continue;
            }
            let pause = peer.monitors.paused.take().unwrap_or_default();
            let all: Vec<Arc<FlowEntry>> = self.tables.select(&FlowStatsRequest::default());
            let Some(peer) = self.peers.get_mut(id) else { continue };
            let monitors = &peer.monitors;
            let removed = pause.removed.iter().map(|(entry, reason)| (entry, UpdateEvent::Removed(*reason)));
            let present = all.iter().map(|entry| (entry, UpdateEvent::Added));
            let updates =
                removed.chain(present).filter_map(|(entry, event)| monitors.update(entry, event, By::Others));
            let updates: Vec<FlowUpdate> =
                [FlowUpdate::Paused].into_iter().chain(updates).chain([FlowUpdate::Resumed]).collect();
            if too_many || !peer.tell_updates(updates) {
                behind.push(id);
            }
        }
        for id in behind {
            tracing::info!("a controller does not read what its flow monitors tell; it is cut off");
            self.peers.remove(id);
        }
    }
}

impl Peer {
    /// Queues updates: all, or none if they do not fit.
    fn tell_updates(&mut self, updates: Vec<FlowUpdate>) -> bool {
        let dialect = self.dialect();
        let mut messages = Vec::new();
        // A pause and a resumption are messages of their own before OpenFlow 1.4.
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut records = Vec::with_capacity(updates.len());
        for update in updates {
            match update.own_message(dialect.version) {
                Some(message) if update == FlowUpdate::Paused => before.push(message),
                Some(message) => after.push(message),
                None => records.push(update),
            }
        }
        let encode = |message: Message| message.encode_in(dialect, 0).ok();
        messages.extend(before.into_iter().filter_map(encode));
        if !records.is_empty() {
            let reply = MultipartReply::FlowUpdates(records);
            messages.extend(match dialect.version {
                Version::V1_0 => reply.encode_parts_nicira(dialect, 0),
                _ => reply.encode_parts_in(dialect, 0),
            });
        }
        messages.extend(after.into_iter().filter_map(encode));
        self.send_encoded(messages)
    }
}
