//! Bundles: what a controller gathers and has done all together or not at all. OpenFlow 1.4.1, section 6.8.
//!
//! A bundle belongs to a connection and is bounded. Its messages are read when they come and done when it is committed, with nothing
//! in between: packets see all of it or none.

use std::collections::BTreeMap;

use oko_openflow::bundle::{BundleAdd, BundleCommand, BundleControl, BundleFlags};
use oko_openflow::message::Message;
use oko_openflow::{ErrorCode, ErrorMsg, Header};

use super::control::{Answer, Control};
use super::peers::PeerId;
use super::reply::Replies;

/// Bundles that one connection may have open.
const BUNDLES: usize = 16;
/// Bytes of messages in all bundles of one connection: those of more than a million flow-mods.
const BYTES: usize = 256 << 20;
/// What a message takes beside its bytes.
const OVERHEAD: usize = 48;

/// A bundle that is being filled.
#[derive(Debug)]
pub(super) struct Bundle {
    flags: BundleFlags,
    closed: bool,
    messages: Vec<Vec<u8>>,
    bytes: usize,
}

/// The bundles of all connections.
pub(super) type Bundles = BTreeMap<(PeerId, u32), Bundle>;

impl Control {
    pub(super) fn bundle_control(&mut self, peer: PeerId, request: BundleControl) -> Answer {
        let key = (peer, request.bundle);
        let reply = |command| Answer::Message(Message::BundleControl(BundleControl { command, ..request }));
        match request.command {
            BundleCommand::OpenRequest => {
                if self.bundles.contains_key(&key) {
                    self.bundles.remove(&key);
                    return Answer::Error(ErrorCode::BundleExists);
                }
                if self.bundles.range((peer, 0)..=(peer, u32::MAX)).count() >= BUNDLES {
                    return Answer::Error(ErrorCode::BundleOutOfBundles);
                }
                let bundle = Bundle { flags: request.flags, closed: false, messages: Vec::new(), bytes: 0 };
                self.bundles.insert(key, bundle);
                reply(BundleCommand::OpenReply)
            }
            BundleCommand::CloseRequest => match self.bundles.get_mut(&key) {
                None => Answer::Error(ErrorCode::BundleBadId),
                Some(bundle) if bundle.closed => {
                    self.bundles.remove(&key);
                    Answer::Error(ErrorCode::BundleClosed)
                }
                Some(bundle) if bundle.flags != request.flags => {
                    self.bundles.remove(&key);
                    Answer::Error(ErrorCode::BundleBadFlags)
                }
                Some(bundle) => {
                    bundle.closed = true;
                    reply(BundleCommand::CloseReply)
                }
            },
            BundleCommand::DiscardRequest => match self.bundles.remove(&key) {
                None => Answer::Error(ErrorCode::BundleBadId),
                Some(_) => reply(BundleCommand::DiscardReply),
            },
            BundleCommand::CommitRequest => match self.bundles.remove(&key) {
                None => Answer::Error(ErrorCode::BundleBadId),
                Some(bundle) if bundle.flags != request.flags => Answer::Error(ErrorCode::BundleBadFlags),
                Some(bundle) => match self.commit(peer, &bundle) {
                    Ok(()) => reply(BundleCommand::CommitReply),
                    // First what is wrong with the message, then that the bundle is not done.
                    Err((xid, error)) => Answer::Failed { xid, error, then: ErrorCode::BundleFailed },
                },
            },
            _ => Answer::Error(ErrorCode::BundleBadType),
        }
    }

    pub(super) fn bundle_add(&mut self, peer: PeerId, xid: u32, request: BundleAdd) -> Answer {
        let BundleAdd { bundle: id, flags, message, .. } = request;
        let own = self.bundles.range((peer, 0)..=(peer, u32::MAX));
        let (count, bytes) =
            own.fold((0, 0), |(count, bytes), (_, bundle)| (count + 1, bytes + bundle.bytes));
        let cost = message.len() + OVERHEAD;
        let known = self.bundles.contains_key(&(peer, id));
        if !known && count >= BUNDLES {
            return Answer::Error(ErrorCode::BundleOutOfBundles);
        }
        // Adding to a bundle that is not there opens it.
        let new = || Bundle { flags, closed: false, messages: Vec::new(), bytes: 0 };
        let bundle = self.bundles.entry((peer, id)).or_insert_with(new);
        let version = self.peers.get(peer).map(|peer| peer.dialect().version);
        let wrong = if bundle.closed {
            Some(ErrorCode::BundleClosed)
        } else if bundle.flags != flags {
            Some(ErrorCode::BundleBadFlags)
        } else if bytes + cost > BYTES {
            Some(ErrorCode::BundleTooMany)
        } else if Header::read(&message).is_none_or(|header| header.xid != xid) {
            Some(ErrorCode::BundleBadXid)
        } else {
            match version.map(|version| Message::decode_in(version, &message)) {
                Some(Ok(Message::FlowMod(_) | Message::GroupMod(_) | Message::MeterMod(_))) => None,
                Some(Ok(_)) | None => Some(ErrorCode::BundleMessageUnsupported),
                Some(Err(error)) => Some(error.code),
            }
        };
        if let Some(code) = wrong {
            return Answer::Error(code);
        }
        bundle.bytes += cost;
        bundle.messages.push(message);
        Answer::Nothing
    }

    /// Does all messages, or none: then it says which failed and how.
    fn commit(&mut self, peer: PeerId, bundle: &Bundle) -> Result<(), (u32, ErrorMsg)> {
        let Some(version) = self.peers.get(peer).map(|peer| peer.dialect().version) else { return Ok(()) };
        let before = (self.groups.clone(), self.meters.clone());
        self.tables.begin();
        self.deferred = Some(Vec::new());
        for bytes in &bundle.messages {
            let xid = Header::read(bytes).map_or(0, |header| header.xid);
            let answer = match Message::decode_in(version, bytes) {
                Ok(message) => self.change(peer, message),
                Err(error) => Answer::Error(error.code),
            };
            let error = match answer {
                Answer::Error(code) => ErrorMsg::new(code, bytes),
                Answer::Replies(replies) => match replies.into_error() {
                    Some(error) => error,
                    None => continue,
                },
                _ => continue,
            };
            self.tables.rollback();
            (self.groups, self.meters) = before;
            self.deferred = None;
            return Err((xid, error));
        }
        self.tables.commit();
        for changes in self.deferred.take().into_iter().flatten() {
            self.take_effect(&changes);
        }
        self.mark_changed();
        self.publish();
        Ok(())
    }
}

/// An error that a reply is, if it is one.
impl Replies {
    fn into_error(self) -> Option<ErrorMsg> {
        self.error
    }
}
