//! Replies of any length, encoded part by part as they are sent.
//!
//! Only one part is in memory at a time; what it is made from is produced on demand.

use oko_openflow::flow::FlowStats;
use oko_openflow::message::Message;
use oko_openflow::multipart::MultipartReply;
use oko_openflow::oko::{OkoError, Reply, StateEntry};

/// The messages that answer one request.
pub(super) struct Replies {
    messages: Box<dyn FnOnce(u32) -> Encoded>,
}

type Encoded = Box<dyn Iterator<Item = Vec<u8>>>;

/// Records that are put into one message at first; fewer if they are long.
const CHUNK: usize = 256;

impl Replies {
    /// The encoded messages, with the request's transaction id.
    pub(super) fn encode(self, xid: u32) -> Encoded {
        (self.messages)(xid)
    }

    pub(super) fn message(message: Message) -> Self {
        Self { messages: Box::new(move |xid| Box::new(message.encode(xid).ok().into_iter())) }
    }

    pub(super) fn multipart(reply: MultipartReply) -> Self {
        Self { messages: Box::new(move |xid| Box::new(reply.encode_parts(xid).into_iter())) }
    }

    /// Flow statistics, made one by one.
    pub(super) fn flows(flows: impl Iterator<Item = FlowStats> + 'static) -> Self {
        Self { messages: Box::new(move |xid| Box::new(flow_parts(flows, xid))) }
    }

    pub(super) fn oko(reply: &Reply) -> Self {
        let messages = reply.to_messages();
        Self {
            messages: Box::new(move |xid| {
                Box::new(messages.into_iter().filter_map(move |m| m.encode(xid).ok()))
            }),
        }
    }

    /// The entries of a state, read at `now`.
    pub(super) fn state(now: u64, entries: Vec<StateEntry>) -> Self {
        let parts = move |xid| {
            let mut rest = entries.into_iter().peekable();
            let mut ended = false;
            let messages = std::iter::from_fn(move || {
                if ended {
                    return None;
                }
                let entries: Vec<StateEntry> = rest.by_ref().take(CHUNK).collect();
                ended = rest.peek().is_none();
                let mut messages = Reply::State { now, entries }.to_messages();
                if !ended {
                    for message in &mut messages {
                        if let Message::Oko(part) = message {
                            part.more = true;
                        }
                    }
                }
                Some(messages)
            });
            Box::new(messages.flatten().filter_map(move |message| message.encode(xid).ok())) as Encoded
        };
        Self { messages: Box::new(parts) }
    }

    pub(super) fn oko_error(error: &OkoError) -> Self {
        Self::message(Message::Error(error.to_message()))
    }
}

/// Entries with filters come in messages of their own: a client that does not know the condition, as `ovs-ofctl`, gives up on the message
/// that it is in, and must not lose others by that.
fn flow_parts(flows: impl Iterator<Item = FlowStats>, xid: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut flows = flows.peekable();
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut chunk: Vec<FlowStats> = flows.next().into_iter().collect();
        let filtered = chunk.first().is_some_and(|flow| flow.matching.filter.is_some());
        while chunk.len() < CHUNK
            && let Some(flow) = flows.next_if(|flow| flow.matching.filter.is_some() == filtered)
        {
            chunk.push(flow);
        }
        ended = flows.peek().is_none();
        let mut parts = Vec::new();
        encode_flows(chunk, !ended, xid, &mut parts);
        Some(parts)
    })
    .flatten()
}

/// Encodes entries in one message, or in halves if they are too long for one.
fn encode_flows(mut chunk: Vec<FlowStats>, more: bool, xid: u32, parts: &mut Vec<Vec<u8>>) {
    // Entries are limited by the flow-mods that made them: a single one fits.
    let second = if chunk.len() > 1 { chunk.split_off(chunk.len() / 2) } else { Vec::new() };
    let whole = MultipartReply::Flow(chunk.iter().chain(&second).cloned().collect());
    match (Message::MultipartReply { more, reply: whole }).encode(xid) {
        Ok(bytes) => parts.push(bytes),
        Err(_) if second.is_empty() => {}
        Err(_) => {
            encode_flows(chunk, true, xid, parts);
            encode_flows(second, more, xid, parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oko_openflow::flow::FlowModFlags;
    use oko_openflow::{Action, FilterId, FilterMatch, Instructions, Match, PortNo, TableId};

    use super::*;

    fn flow(cookie: u64, actions: usize) -> FlowStats {
        FlowStats {
            table: TableId(0),
            duration: Duration::ZERO,
            priority: 1,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: FlowModFlags::empty(),
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
            let parts: Vec<_> = Replies::flows((0..n).map(|i| flow(i, 1))).encode(7).collect();
            assert_eq!(cookies(&parts), (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn entries_with_filters_keep_to_themselves() {
        let filtered = |cookie| {
            let mut flow = flow(cookie, 1);
            flow.matching.filter = Some(FilterMatch { filter: FilterId(1), class: 1 });
            flow
        };
        let flows = [flow(0, 1), filtered(1), filtered(2), flow(3, 1), flow(4, 1)];
        let parts: Vec<_> = Replies::flows(flows.into_iter()).encode(7).collect();
        assert_eq!(cookies(&parts), [0, 1, 2, 3, 4]);
        assert_eq!(parts.len(), 3);
    }

    #[test]
    fn long_entries_take_more_messages() {
        let parts: Vec<_> = Replies::flows((0..100).map(|i| flow(i, 1000))).encode(7).collect();
        assert!(parts.len() > 20, "{} parts", parts.len());
        assert_eq!(cookies(&parts), (0..100).collect::<Vec<_>>());
    }
}
