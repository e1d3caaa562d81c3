//! Flow monitors: controllers that are told of every change of the flow entries that they watch. OpenFlow 1.4.1, section 7.3.5.17, and the extensions that
//! it comes from.
//!
//! What is told goes through the controller's queue of asynchronous messages. What does not fit waits ([`behind`](super::behind)).

use std::collections::{BTreeMap, BTreeSet};

use oko_flow_table::{Changes, FlowEntry, Matcher, Walk, Written};
use oko_openflow::monitor::{FlowUpdate, MonitorCommand, MonitorFlags, MonitorRequest, UpdateEvent};
use oko_openflow::multipart::MultipartReply;
use oko_openflow::{ErrorCode, FlowStatsRequest, Version};

use super::behind::Behind;
use super::control::{Answer, Control, TABLES};
use super::peers::{Peer, PeerId};
use super::reply::Replies;

/// Monitors of one connection.
const MOST: usize = 1_024;
/// Changes that are told together.
const BATCH: usize = 1_024;

/// What a controller watches.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    by_id: BTreeMap<u32, Monitor>,
    pub(super) behind: Option<Behind>,
}

#[derive(Debug)]
struct Monitor {
    request: MonitorRequest,
    matcher: Matcher,
}

/// Who has asked for a change, and with which message, if it is done at once: then a word about the message can stand for all that it changes.
pub(super) type Cause = Option<(PeerId, Option<u32>)>;

/// How a change came about, for one controller.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Itself(Option<u32>),
    Others,
}

impl Monitor {
    fn covers(&self, entry: &FlowEntry) -> bool {
        let MonitorRequest { table, out_port, out_group, .. } = &self.request;
        table.is_about(entry.table)
            && entry.outputs_to(*out_port)
            && entry.names_group(*out_group)
            && self.matcher.covers(&entry.matcher)
    }

    /// The entries that are there.
    fn walk(&self) -> Walk {
        let MonitorRequest { table, out_port, out_group, matching, .. } = &self.request;
        Walk::new(&FlowStatsRequest {
            table: *table,
            out_port: *out_port,
            out_group: *out_group,
            matching: matching.clone(),
            ..FlowStatsRequest::default()
        })
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
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What is told of an entry, if any monitor watches it. If several do, it is told once, as the one that asks for most.
    pub(super) fn update(&self, entry: &FlowEntry, event: UpdateEvent, by: By) -> Option<FlowUpdate> {
        let watching: Vec<&Monitor> =
            self.by_id.values().filter(|monitor| monitor.wants(event, by) && monitor.covers(entry)).collect();
        if watching.is_empty() {
            return None;
        }
        let any = |flag| watching.iter().any(|monitor| monitor.request.flags.contains(flag));
        match by {
            By::Itself(Some(xid)) if self.behind.is_none() && !any(MonitorFlags::NO_ABBREV) => {
                Some(FlowUpdate::Abbrev { xid })
            }
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
        let mut ids: BTreeSet<u32> = asking.monitors.by_id.keys().copied().collect();
        for request in &requests {
            if request.table.0 >= TABLES && request.table != oko_openflow::TableId::ALL {
                return Err(ErrorCode::MonitorBadTable);
            }
            match request.command {
                MonitorCommand::Add if !ids.insert(request.id) => {
                    return Err(ErrorCode::MonitorExists);
                }
                MonitorCommand::Add => {}
                MonitorCommand::Modify if !ids.contains(&request.id) => {
                    return Err(ErrorCode::MonitorUnknownId);
                }
                MonitorCommand::Modify => {}
                MonitorCommand::Delete if !ids.remove(&request.id) => {
                    return Err(ErrorCode::MonitorUnknownId);
                }
                MonitorCommand::Delete => {}
            }
        }
        if ids.len() > MOST {
            return Err(ErrorCode::MonitorUnknown);
        }
        // What is told of the entries that are there, one monitor after the other, with their instructions or without.
        let mut walks = Vec::new();
        for request in requests {
            let monitor = Monitor { matcher: Matcher::new(&request.matching), request };
            let is_told = monitor.wants(UpdateEvent::Initial, By::Others);
            if monitor.request.command != MonitorCommand::Delete && is_told {
                walks.push((monitor.request.flags.contains(MonitorFlags::INSTRUCTIONS), monitor.walk()));
            }
            let Some(peer) = self.peers.get_mut(peer) else { continue };
            match monitor.request.command {
                MonitorCommand::Delete => drop(peer.monitors.by_id.remove(&monitor.request.id)),
                _ => drop(peer.monitors.by_id.insert(monitor.request.id, monitor)),
            }
        }
        // Entries that change meanwhile are told as they are then, and the change is told again behind the reply.
        let make =
            |instructions: &bool, _, entry: &FlowEntry| full(entry, UpdateEvent::Initial, *instructions);
        Ok(Answer::Replies(Replies::walked(walks, make, MultipartReply::FlowUpdates, nicira)))
    }

    pub(super) fn cancel_monitor(&mut self, peer: PeerId, id: u32) -> Result<Answer, ErrorCode> {
        let monitors = self.peers.get_mut(peer).map(|peer| &mut peer.monitors);
        match monitors.and_then(|monitors| monitors.by_id.remove(&id)) {
            Some(_) => Ok(Answer::Nothing),
            None => Err(ErrorCode::MonitorUnknownId),
        }
    }

    /// Tells of changes.
    pub(super) fn tell_monitors(&mut self, changes: &Changes) {
        let cause = self.cause;
        for (id, peer) in self.peers.entries_mut().filter(|(_, peer)| !peer.monitors.is_empty()) {
            let by = match cause {
                Some((causer, xid)) if causer == id => By::Itself(xid),
                _ => By::Others,
            };
            let removed =
                changes.removed.iter().map(|(entry, reason)| (entry, UpdateEvent::Removed(*reason)));
            let written = changes.written.iter().map(|(entry, written)| match written {
                Written::Added => (entry, UpdateEvent::Added),
                Written::Modified => (entry, UpdateEvent::Modified),
            });
            let (mut batch, mut abbreviated) = (Vec::new(), false);
            for (entry, event) in removed.chain(written) {
                if peer.monitors.behind.as_ref().is_some_and(|behind| behind.ignores(event)) {
                    continue;
                }
                match peer.monitors.update(entry, event, by) {
                    // One word for a message of its own, however many entries it changed.
                    Some(FlowUpdate::Abbrev { .. }) if std::mem::replace(&mut abbreviated, true) => {}
                    Some(update) => batch.push(update),
                    None => {}
                }
                if batch.len() == BATCH {
                    peer.tell_updates(std::mem::take(&mut batch));
                }
            }
            if !batch.is_empty() {
                peer.tell_updates(batch);
            }
        }
    }
}

impl Peer {
    /// Tells of updates, now or when there is room.
    fn tell_updates(&mut self, updates: Vec<FlowUpdate>) {
        let messages = self.encode_updates(updates);
        match &mut self.monitors.behind {
            Some(behind) => behind.add(messages),
            None => {
                if let Err(messages) = self.send_encoded(messages) {
                    let behind = self.monitors.behind.insert(Behind::default());
                    behind.add(messages);
                }
            }
        }
    }

    /// Records of entries as asynchronous messages.
    pub(super) fn encode_updates(&self, updates: Vec<FlowUpdate>) -> Vec<Vec<u8>> {
        let (dialect, reply) = (self.dialect(), MultipartReply::FlowUpdates(updates));
        match dialect.version {
            Version::V1_0 => reply.encode_parts_nicira(dialect, 0),
            _ => reply.encode_parts_in(dialect, 0),
        }
    }

    /// A pause or a resumption: a record, or a message of its own before OpenFlow 1.4.
    pub(super) fn encode_mark(&self, mark: FlowUpdate) -> Vec<Vec<u8>> {
        match mark.own_message(self.dialect().version) {
            Some(message) => message.encode_in(self.dialect(), 0).into_iter().collect(),
            None => self.encode_updates(vec![mark]),
        }
    }
}
