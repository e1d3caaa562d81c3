//! Events of filters, on their way to the controllers that asked for them.
//!
//! Workers leave events in a ring of each artifact; the control thread takes them out and sends them to subscribers, or nowhere if there are none.
//! Nothing here grows with a subscriber that does not read: what does not fit into its queue is lost, and it is told how many.

use std::collections::BTreeSet;
use std::sync::Arc;

use oko_openflow::FilterId;
use oko_openflow::oko::{Event, OkoError, Operation, Reply};

use super::control::{Answer, Control};
use super::peers::PeerId;

/// Events of one artifact that are taken at once, so that other work gets its turn.
const AT_ONCE: usize = 1_024;
/// So often is that done for a subscription, which begins with a ring that is empty: one of 256 KiB holds less than eleven thousand.
const ROUNDS: usize = 11;
/// Events in one message.
const IN_MESSAGE: usize = 64;

/// What a controller has asked for.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    all: bool,
    filters: BTreeSet<String>,
    /// Events that were lost since the last that was sent.
    lost: u64,
}

impl Subscription {
    pub(super) fn wants(&self, filter: &str) -> bool {
        self.all || self.filters.contains(filter)
    }

    fn is_empty(&self) -> bool {
        !self.all && self.filters.is_empty()
    }
}

impl Control {
    pub(super) fn subscribe(&mut self, peer: PeerId, filter: String) -> Result<Answer, OkoError> {
        if !filter.is_empty() {
            self.filters.named(&filter)?;
        }
        // What happened before the subscription is not part of it. Filters may go on telling meanwhile.
        for _ in 0..ROUNDS {
            if !self.send_events() {
                break;
            }
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            if filter.is_empty() {
                peer.events.all = true;
            } else {
                peer.events.filters.insert(filter);
            }
        }
        Ok(Answer::oko(&Reply::Done { operation: Operation::EventSubscribe }))
    }

    pub(super) fn unsubscribe(&mut self, peer: PeerId, filter: &str) -> Result<Answer, OkoError> {
        if !filter.is_empty() {
            self.filters.named(filter)?;
        }
        if let Some(peer) = self.peers.get_mut(peer) {
            if filter.is_empty() {
                peer.events = Subscription::default();
            } else {
                peer.events.filters.remove(filter);
            }
        }
        Ok(Answer::oko(&Reply::Done { operation: Operation::EventUnsubscribe }))
    }

    /// Subscriptions end with their filter.
    pub(super) fn forget_gone(&mut self) {
        let filters = &self.filters;
        for peer in self.peers.iter_mut() {
            peer.events.filters.retain(|name| filters.named(name).is_ok());
        }
    }

    /// Takes events out of the rings and sends them. Whether there may be more.
    pub(super) fn send_events(&mut self) -> bool {
        let (now, mut more) = (self.filter_now(), false);
        for instance in self.filters.instances() {
            let taken = instance.take_events(AT_ONCE);
            let dropped = instance.take_dropped();
            more |= taken.len() == AT_ONCE;
            if taken.is_empty() && dropped == 0 {
                continue;
            }
            let of_instance = self.filters.iter().filter(|filter| Arc::ptr_eq(&filter.instance, &instance));
            let mut filters: Vec<(FilterId, String)> =
                of_instance.map(|filter| (filter.id, filter.name.clone())).collect();
            filters.sort();
            for peer in self.peers.iter_mut().filter(|peer| !peer.events.is_empty()) {
                let Some((id, name)) = filters.iter().find(|(_, name)| peer.events.wants(name)) else {
                    continue;
                };
                // A ring drops what is new, so these were lost after those that were taken; they are told with the next.
                for batch in taken.chunks(IN_MESSAGE) {
                    let events = batch.iter().map(|event| Event {
                        time: event.time,
                        filter: *id,
                        filter_name: name.clone(),
                        name: event.name.clone(),
                        values: event.values.clone(),
                    });
                    let events: Vec<Event> = events.collect();
                    let count = events.len() as u64;
                    let lost = std::mem::take(&mut peer.events.lost);
                    if !peer.send_all(&Reply::Events { now, lost, events }.to_messages()) {
                        peer.events.lost = lost + count;
                    }
                }
                peer.events.lost += dropped;
            }
        }
        // Who has lost events and gets no more is told, too.
        for peer in self.peers.iter_mut().filter(|peer| peer.events.lost > 0) {
            let lost = peer.events.lost;
            let message = Reply::Events { now, lost, events: Vec::new() }.to_messages();
            if peer.send_all(&message) {
                peer.events.lost = 0;
            }
        }
        more
    }
}
