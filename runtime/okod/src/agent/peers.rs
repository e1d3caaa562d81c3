//! The connected controllers: roles, what each wants to be told, and telling them.
//!
//! OpenFlow 1.3.5, sections 6.3.5 (multiple controllers) and 6.3.6. A new controller is an equal and gets all
//! asynchronous messages. They go through a queue per controller that is bounded by bytes; what does not fit is dropped and counted.

use std::collections::BTreeMap;

use oko_openflow::message::Message;
use oko_openflow::port::{Port, PortReason, PortStatus};
use oko_openflow::switch::{AsyncConfig, Role, RoleMsg, SwitchConfig};
use oko_openflow::{Dialect, ErrorCode, FlowRemovedReason, PacketInReason, Version};

use super::events::Subscription;
use super::monitors::Monitors;
use super::outbox::{self, Outbox};

/// A connected controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerId(u64);

/// What an asynchronous message is about, for the filter of [`AsyncConfig`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    PacketIn(PacketInReason),
    FlowRemoved(FlowRemovedReason),
    PortStatus(PortReason),
}

#[derive(Debug)]
pub(super) struct Peer {
    outbox: Outbox,
    /// Whether it is one of those that the configuration names.
    is_controller: bool,
    dialect: Dialect,
    role: Role,
    pub(super) wants: AsyncConfig,
    /// Whether its flow-mods of OpenFlow 1.0 say which table they are about.
    pub(super) table_in_command: bool,
    pub(super) config: SwitchConfig,
    pub(super) events: Subscription,
    pub(super) monitors: Monitors,
    dropped: u64,
}

/// All connected controllers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    next: u64,
    /// The newest master election, once there was one.
    generation: Option<u64>,
}

/// `OFP_DEFAULT_MISS_SEND_LEN`.
const DEFAULT_MISS_SEND_LEN: u16 = 128;

impl Peers {
    pub(super) fn add(&mut self, outbox: Outbox, is_controller: bool, version: Version) -> PeerId {
        let id = PeerId(self.next);
        self.next += 1;
        let config = SwitchConfig { flags: 0, miss_send_len: DEFAULT_MISS_SEND_LEN };
        let peer = Peer {
            outbox,
            is_controller,
            dialect: Dialect { version, filters: false },
            role: Role::Equal,
            wants: AsyncConfig::default(),
            table_in_command: false,
            config,
            events: Subscription::default(),
            monitors: Monitors::default(),
            dropped: 0,
        };
        self.peers.insert(id, peer);
        id
    }

    pub(super) fn remove(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.remove(&id)
            && peer.dropped > 0
        {
            tracing::info!(
                dropped = peer.dropped,
                "asynchronous messages were dropped for a slow controller"
            );
        }
    }

    /// Ends all connections.
    pub(super) fn clear(&mut self) {
        self.peers.clear();
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.values_mut()
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Peer)> {
        self.peers.iter_mut().map(|(id, peer)| (*id, peer))
    }

    /// Whether the controller may change the switch.
    pub(super) fn may_write(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.role != Role::Slave)
    }

    /// Changes a role; at most one controller is master, others become slaves.
    pub(super) fn set_role(&mut self, id: PeerId, request: RoleMsg) -> Result<RoleMsg, ErrorCode> {
        if matches!(request.role, Role::Master | Role::Slave) {
            // Serial-number order: the difference as a signed number (section 6.3.5).
            if self
                .generation
                .is_some_and(|newest| request.generation_id.wrapping_sub(newest).cast_signed() < 0)
            {
                return Err(ErrorCode::RoleStale);
            }
            self.generation = Some(request.generation_id);
        }
        if request.role == Role::Master {
            for peer in self.peers.values_mut().filter(|peer| peer.role == Role::Master) {
                peer.role = Role::Slave;
            }
        }
        let Some(peer) = self.peers.get_mut(&id) else { return Err(ErrorCode::RoleUnsupported) };
        if request.role != Role::NoChange {
            peer.role = request.role;
        }
        Ok(RoleMsg { role: peer.role, generation_id: self.generation.unwrap_or(u64::MAX) })
    }

    /// Whether any controller of the configuration is connected.
    pub(super) fn any_controller(&self) -> bool {
        self.peers.values().any(|peer| peer.is_controller)
    }

    /// Whether packets that no entry matches are for any controller.
    pub(super) fn any_expects_misses(&self) -> bool {
        self.peers.values().any(|peer| peer.dialect.version == Version::V1_0 && peer.is_controller)
    }

    /// A controller has sent a message of ours: it knows the condition on filters.
    pub(super) fn knows_filters(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.dialect.filters = true;
        }
    }

    /// Whether any controller wants messages about a topic.
    pub(super) fn any_wants(&self, topic: Topic) -> bool {
        self.peers.values().any(|peer| peer.accepts(topic))
    }

    /// Sends an asynchronous message to all that want it.
    pub(super) fn tell(&mut self, topic: Topic, message: &Message) {
        if !self.any_wants(topic) {
            return;
        }
        // Mostly all speak the same.
        let mut encoded: Vec<(Dialect, Vec<u8>)> = Vec::new();
        for peer in self.peers.values_mut().filter(|peer| peer.accepts(topic)) {
            let bytes = match encoded.iter().find(|(dialect, _)| *dialect == peer.dialect) {
                Some((_, bytes)) => bytes.clone(),
                None => {
                    let Ok(bytes) = message.encode_in(peer.dialect, 0) else { continue };
                    encoded.push((peer.dialect, bytes.clone()));
                    bytes
                }
            };
            peer.send(bytes);
        }
    }

    /// Tells of what happened to a port.
    pub(super) fn tell_port(&mut self, reason: PortReason, port: Port) {
        self.tell(Topic::PortStatus(reason), &Message::PortStatus(PortStatus { reason, port }));
    }
}

impl Peer {
    /// How messages to it are written.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Queues a message; says whether it fitted. One of no bytes is none.
    pub(super) fn send(&mut self, bytes: Vec<u8>) -> bool {
        let fits = bytes.is_empty() || self.outbox.push(bytes);
        self.dropped += u64::from(!fits);
        fits
    }

    /// Queues asynchronous messages for it alone: all, or none if they do not fit.
    pub(super) fn send_all(&mut self, messages: &[Message]) -> bool {
        // What cannot be encoded, for it is too long, is as good as lost.
        let encoded = messages.iter().map(|message| message.encode_in(self.dialect, 0));
        match encoded.collect::<Result<Vec<_>, _>>() {
            Ok(encoded) => {
                let sent = self.send_encoded(encoded);
                self.dropped += sent.as_ref().err().map_or(0, |messages| messages.len() as u64);
                sent.is_ok()
            }
            Err(_) => false,
        }
    }

    /// The same for messages that are encoded already, which are given back if they do not fit.
    pub(super) fn send_encoded(&mut self, messages: Vec<Vec<u8>>) -> Result<(), Vec<Vec<u8>>> {
        if self.room() < outbox::cost(&messages) {
            return Err(messages);
        }
        for message in messages {
            self.send(message);
        }
        Ok(())
    }

    /// Whether everything that was queued has been sent, or is about to be.
    pub(super) fn queue_is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The bytes that can be queued.
    pub(super) fn room(&self) -> usize {
        self.outbox.room()
    }

    fn accepts(&self, topic: Topic) -> bool {
        let column = usize::from(self.role == Role::Slave);
        let (masks, reason) = match topic {
            Topic::PacketIn(reason) if self.dialect.version < Version::V1_4 && reason as u32 > 2 => {
                (self.wants.packet_in, PacketInReason::Action as u32)
            }
            Topic::PacketIn(reason) => (self.wants.packet_in, reason as u32),
            // Before OpenFlow 1.4 there are four reasons; what has none of its own is a deletion.
            Topic::FlowRemoved(reason) if self.dialect.version < Version::V1_4 && reason as u32 > 3 => {
                (self.wants.flow_removed, FlowRemovedReason::Delete as u32)
            }
            Topic::FlowRemoved(reason) => (self.wants.flow_removed, reason as u32),
            Topic::PortStatus(reason) => (self.wants.port_status, reason as u32),
        };
        masks[column] & (1 << reason) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox::outbox;
    use super::*;

    fn role(role: Role, generation_id: u64) -> RoleMsg {
        RoleMsg { role, generation_id }
    }

    #[test]
    fn a_new_master_makes_the_old_one_a_slave() {
        let mut peers = Peers::default();
        let (a, b) =
            (peers.add(outbox().0, false, Version::V1_3), peers.add(outbox().0, false, Version::V1_3));
        assert!(peers.may_write(a) && peers.may_write(b));
        peers.set_role(a, role(Role::Master, 5)).unwrap();
        assert_eq!(peers.set_role(b, role(Role::Master, 6)).unwrap(), role(Role::Master, 6));
        assert!(!peers.may_write(a) && peers.may_write(b));
        assert_eq!(peers.set_role(a, role(Role::Master, 5)), Err(ErrorCode::RoleStale));
        assert_eq!(peers.set_role(a, role(Role::NoChange, 0)).unwrap(), role(Role::Slave, 6));
        assert_eq!(peers.set_role(a, role(Role::Equal, 0)).unwrap(), role(Role::Equal, 6));
    }

    #[test]
    fn generation_ids_wrap_around() {
        let mut peers = Peers::default();
        let a = peers.add(outbox().0, false, Version::V1_3);
        peers.set_role(a, role(Role::Master, u64::MAX)).unwrap();
        peers.set_role(a, role(Role::Master, 1)).unwrap();
        assert_eq!(peers.set_role(a, role(Role::Slave, u64::MAX)), Err(ErrorCode::RoleStale));
    }

    #[test]
    fn a_controller_that_does_not_read_loses_messages_and_nothing_else() {
        let mut peers = Peers::default();
        let ((slow, mut unread), (quick, mut outgoing)) = (outbox(), outbox());
        let (slow, _quick) = (peers.add(slow, false, Version::V1_3), peers.add(quick, false, Version::V1_3));
        let (mut received, count) = (0, 10_000);
        for _ in 0..count {
            peers.tell(Topic::PortStatus(PortReason::Modify), &Message::EchoRequest(vec![0; 1_000]));
            received += u64::from(outgoing.try_next().is_some());
        }
        assert_eq!(received, count);
        let mut waited = 0;
        while unread.try_next().is_some() {
            waited += 1;
        }
        assert!((1_000..3_000).contains(&waited), "{waited} kB waited");
        assert_eq!(peers.get(slow).unwrap().dropped, count - waited);
    }

    #[test]
    fn a_slave_hears_of_ports_only() {
        let mut peers = Peers::default();
        let a = peers.add(outbox().0, false, Version::V1_3);
        assert!(peers.any_wants(Topic::PacketIn(PacketInReason::Action)));
        assert!(!peers.any_wants(Topic::PacketIn(PacketInReason::InvalidTtl)));
        peers.set_role(a, role(Role::Slave, 1)).unwrap();
        assert!(!peers.any_wants(Topic::PacketIn(PacketInReason::Action)));
        assert!(!peers.any_wants(Topic::FlowRemoved(FlowRemovedReason::Delete)));
        assert!(peers.any_wants(Topic::PortStatus(PortReason::Modify)));
    }
}
