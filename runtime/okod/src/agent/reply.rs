//! Replies of any length, encoded part by part as they are sent.
//!
//! Only one part is in memory at a time; what it is made from is produced on demand.

use oko_openflow::flow::FlowStats;
use oko_openflow::message::Message;
use oko_openflow::multipart::MultipartReply;
use oko_openflow::oko::{OkoError, Operation, Reply, StateEntry};
use oko_openflow::{Dialect, ErrorMsg};

/// The messages that answer one request.
pub(super) struct Replies {
    messages: Box<dyn FnOnce(Dialect, u32) -> Encoded>,
    /// The error that it is, if it is one.
    pub(super) error: Option<ErrorMsg>,
}

type Encoded = Box<dyn Iterator<Item = Vec<u8>>>;

/// Records that are put into one message at first; fewer if they are long.
const CHUNK: usize = 256;

impl Replies {
    /// The encoded messages, with the request's transaction id.
    pub(super) fn encode(self, dialect: Dialect, xid: u32) -> Encoded {
        (self.messages)(dialect, xid)
    }

    fn new(messages: impl FnOnce(Dialect, u32) -> Encoded + 'static) -> Self {
        Self { messages: Box::new(messages), error: None }
    }

    pub(super) fn message(message: Message) -> Self {
        let error = match &message {
            Message::Error(error) => Some(error.clone()),
            _ => None,
        };
        let replies =
            Self::new(move |dialect, xid| Box::new(message.encode_in(dialect, xid).ok().into_iter()));
        Self { error, ..replies }
    }

    /// `nicira`: in the format in which clients of Open vSwitch ask for it under OpenFlow 1.0.
    pub(super) fn multipart(reply: MultipartReply, nicira: bool) -> Self {
        Self::new(move |dialect, xid| Box::new(encode_parts(&reply, nicira, dialect, xid).into_iter()))
    }

    /// Flow statistics, made one by one.
    pub(super) fn flows(flows: impl Iterator<Item = FlowStats> + 'static, nicira: bool) -> Self {
        Self::new(move |dialect, xid| Box::new(flow_parts(flows, nicira, dialect, xid)))
    }

    pub(super) fn oko(reply: &Reply) -> Self {
        let messages = reply.to_messages();
        Self::new(move |dialect, xid| {
            Box::new(messages.into_iter().filter_map(move |message| message.encode_in(dialect, xid).ok()))
        })
    }

    /// The entries of a state or table, read at `now`, made one by one.
    pub(super) fn entries(
        operation: Operation,
        now: u64,
        entries: impl Iterator<Item = StateEntry> + 'static,
    ) -> Self {
        let parts = move |dialect: Dialect, xid| {
            let mut rest = entries.peekable();
            let mut ended = false;
            let messages = std::iter::from_fn(move || {
                if ended {
                    return None;
                }
                let entries: Vec<StateEntry> = rest.by_ref().take(CHUNK).collect();
                ended = rest.peek().is_none();
                let mut messages = Reply::Entries { operation, now, entries }.to_messages();
                if !ended {
                    for message in &mut messages {
                        if let Message::Oko(part) = message {
                            part.more = true;
                        }
                    }
                }
                Some(messages)
            });
            Box::new(messages.flatten().filter_map(move |message| message.encode_in(dialect, xid).ok()))
                as Encoded
        };
        Self::new(parts)
    }

    pub(super) fn oko_error(error: &OkoError) -> Self {
        Self::message(Message::Error(error.to_message()))
    }
}

fn encode_parts(reply: &MultipartReply, nicira: bool, dialect: Dialect, xid: u32) -> Vec<Vec<u8>> {
    if nicira { reply.encode_parts_nicira(dialect, xid) } else { reply.encode_parts_in(dialect, xid) }
}

fn flow_parts(
    flows: impl Iterator<Item = FlowStats>,
    nicira: bool,
    dialect: Dialect,
    xid: u32,
) -> impl Iterator<Item = Vec<u8>> {
    let mut flows = flows.peekable();
    let mut ended = false;
    let messages = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let chunk: Vec<FlowStats> = flows.by_ref().take(CHUNK).collect();
        ended = flows.peek().is_none();
        let mut parts = encode_parts(&MultipartReply::Flow(chunk), nicira, dialect, xid);
        if !ended && let Some(last) = parts.last_mut() {
            // The flags of the multipart header: more follows.
            last[MULTIPART_FLAGS] |= 1;
        }
        Some(parts)
    });
    messages.flatten()
}

/// Where in a multipart message the lower byte of its flags is.
const MULTIPART_FLAGS: usize = 11;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oko_openflow::flow::FlowModFlags;
    use oko_openflow::{Action, Instructions, Match, PortNo, TableId, Version};

    use super::*;

    const V1_3: Dialect = Dialect { version: Version::V1_3, filters: true };

    fn flow(cookie: u64, actions: usize) -> FlowStats {
        FlowStats {
            table: TableId(0),
            duration: Duration::ZERO,
            priority: 1,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: FlowModFlags::empty(),
            importance: 0,
            cookie,
            packets: 0,
            bytes: 0,
            matching: Match::any(),
            instructions: Instructions::apply(vec![Action::output(PortNo(1)); actions]),
        }
    }

    /// The cookies in encoded replies, checking that all parts but the last have the MORE flag.
    fn cookies(parts: &[Vec<u8>]) -> Vec<u64> {
        let mut out = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let Ok(Message::MultipartReply { more, reply: MultipartReply::Flow(flows) }) =
                Message::decode(part)
            else {
                panic!("part {i} is no flow reply")
            };
            assert_eq!(more, i + 1 < parts.len());
            out.extend(flows.into_iter().map(|flow| flow.cookie));
        }
        out
    }

    #[test]
    fn any_number_of_flows_arrives_complete_and_in_order() {
        for n in [0, 1, 255, 256, 257, 1000] {
            let parts: Vec<_> = Replies::flows((0..n).map(|i| flow(i, 1)), false).encode(V1_3, 7).collect();
            assert_eq!(cookies(&parts), (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn long_entries_take_more_messages() {
        let parts: Vec<_> = Replies::flows((0..100).map(|i| flow(i, 1000)), false).encode(V1_3, 7).collect();
        assert!(parts.len() > 20, "{} parts", parts.len());
        assert_eq!(cookies(&parts), (0..100).collect::<Vec<_>>());
    }
}
