//! Replies of any length, encoded part by part as they are sent.
//!
//! Only one part is in memory at a time; what it is made from is produced on demand. What is made of flow entries is made while the tables may change, and holds
//! no more than some thousands of them.

use std::collections::VecDeque;
use std::sync::Arc;

use oko_flow_table::{FlowEntry, Walk};
use oko_openflow::message::Message;
use oko_openflow::multipart::MultipartReply;
use oko_openflow::oko::{OkoError, Operation, Reply, StateEntry};
use oko_openflow::{Dialect, ErrorMsg};

use super::control::Control;
use crate::clock::Nanos;

/// The messages that answer one request.
pub(super) struct Replies {
    next: Box<Next>,
    /// The error that it is, if it is one.
    pub(super) error: Option<ErrorMsg>,
}

/// One step of a reply.
pub(super) enum Step {
    /// The next message, encoded.
    Part(Vec<u8>),
    /// It takes longer: others may do something first.
    Turn,
    /// That was all.
    End,
}

type Next = dyn FnMut(&Control, Dialect, u32) -> Step;
type Encoded = Box<dyn Iterator<Item = Vec<u8>>>;

/// Records that are put into one message at first; fewer if they are long.
const CHUNK: usize = 256;

impl Replies {
    /// The next message, with the request's transaction id. Dialect and id are the same in each step.
    pub(super) fn next(&mut self, control: &Control, dialect: Dialect, xid: u32) -> Step {
        (self.next)(control, dialect, xid)
    }

    fn steps(next: impl FnMut(&Control, Dialect, u32) -> Step + 'static) -> Self {
        Self { next: Box::new(next), error: None }
    }

    fn new(messages: impl FnOnce(Dialect, u32) -> Encoded + 'static) -> Self {
        let mut begin = Some(messages);
        let mut encoded: Encoded = Box::new(std::iter::empty());
        Self::steps(move |_, dialect, xid| {
            if let Some(begin) = begin.take() {
                encoded = begin(dialect, xid);
            }
            encoded.next().map_or(Step::End, Step::Part)
        })
    }

    /// Nothing.
    pub(super) fn none() -> Self {
        Self::steps(|_, _, _| Step::End)
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

    /// Records made of the flow entries that walks meet, from what comes with the walk, the time and the entry.
    pub(super) fn walked<W: 'static, R: 'static>(
        walks: impl IntoIterator<Item = (W, Walk)>,
        mut make: impl FnMut(&W, Nanos, &FlowEntry) -> R + 'static,
        reply: impl Fn(Vec<R>) -> MultipartReply + 'static,
        nicira: bool,
    ) -> Self {
        let mut walks: VecDeque<(W, Walk)> = walks.into_iter().collect();
        let mut parts = Parts::new(reply, nicira);
        // Of the first walk.
        let mut met = Vec::<Arc<FlowEntry>>::new().into_iter();
        Self::steps(move |control, dialect, xid| {
            if let Some(part) = parts.encoded.pop_front() {
                return Step::Part(part);
            }
            let Some((of, walk)) = walks.front_mut() else {
                return match parts.finish(dialect, xid) {
                    Some(part) => Step::Part(part),
                    None => Step::End,
                };
            };
            let now = control.now();
            let records: Vec<R> = met.by_ref().take(CHUNK).map(|entry| make(of, now, &entry)).collect();
            if !records.is_empty() {
                parts.add(records, dialect, xid);
                return Step::Turn;
            }
            match control.tables.step(walk) {
                Some(entries) => met = entries.into_iter(),
                None => drop(walks.pop_front()),
            }
            Step::Turn
        })
    }

    /// What is summed up of the flow entries that a walk meets.
    pub(super) fn summed<S: Default + 'static>(
        mut walk: Walk,
        add: impl Fn(&mut S, &FlowEntry) + 'static,
        reply: impl Fn(S) -> MultipartReply + 'static,
        nicira: bool,
    ) -> Self {
        let mut sum = Some(S::default());
        let mut parts = Vec::new().into_iter();
        Self::steps(move |control, dialect, xid| {
            if let Some(part) = parts.next() {
                return Step::Part(part);
            }
            let Some(so_far) = &mut sum else { return Step::End };
            match control.tables.step(&mut walk) {
                Some(entries) => entries.iter().for_each(|entry| add(so_far, entry)),
                None => {
                    let sum = sum.take().unwrap_or_default();
                    parts = encode_parts(&reply(sum), nicira, dialect, xid).into_iter();
                }
            }
            Step::Turn
        })
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

/// Records on their way into the messages of a multipart reply, all of which but the last say that there is more.
struct Parts<R, F> {
    reply: F,
    nicira: bool,
    /// Not encoded yet: whether more follows is not known.
    records: Vec<R>,
    /// To be sent.
    encoded: VecDeque<Vec<u8>>,
    finished: bool,
}

impl<R, F: Fn(Vec<R>) -> MultipartReply> Parts<R, F> {
    fn new(reply: F, nicira: bool) -> Self {
        Self { reply, nicira, records: Vec::new(), encoded: VecDeque::new(), finished: false }
    }

    fn encode(&mut self, dialect: Dialect, xid: u32) {
        let records = std::mem::take(&mut self.records);
        self.encoded.extend(encode_parts(&(self.reply)(records), self.nicira, dialect, xid));
    }

    /// More records; those before them are encoded.
    fn add(&mut self, records: Vec<R>, dialect: Dialect, xid: u32) {
        if records.is_empty() {
            return;
        }
        if !self.records.is_empty() {
            self.encode(dialect, xid);
            if let Some(flags) = self.encoded.back_mut().and_then(|last| last.get_mut(MULTIPART_FLAGS)) {
                *flags |= 1;
            }
        }
        self.records = records;
    }

    /// There are no more: the last messages, one by one.
    fn finish(&mut self, dialect: Dialect, xid: u32) -> Option<Vec<u8>> {
        if !self.finished {
            self.finished = true;
            self.encode(dialect, xid);
        }
        self.encoded.pop_front()
    }
}

/// Where in a multipart message the lower byte of its flags is.
const MULTIPART_FLAGS: usize = 11;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oko_openflow::flow::{FlowModFlags, FlowStats};
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

    /// The messages that flows make which come in batches of such sizes.
    fn parts(batches: &[u64], actions: usize) -> Vec<Vec<u8>> {
        let mut parts = Parts::new(MultipartReply::Flow, false);
        let (mut sent, mut next) = (Vec::new(), 0);
        for size in batches {
            parts.add((next..next + size).map(|cookie| flow(cookie, actions)).collect(), V1_3, 7);
            next += size;
            sent.extend(parts.encoded.drain(..));
        }
        sent.extend(std::iter::from_fn(|| parts.finish(V1_3, 7)));
        sent
    }

    #[test]
    fn any_number_of_flows_arrives_complete_and_in_order() {
        for batches in
            [&[][..], &[0, 0], &[1], &[1, 0], &[0, 1], &[255, 2, 0, 0], &[256, 0, 1, 0, 999], &[1_000, 1_000]]
        {
            let parts = parts(batches, 1);
            assert_eq!(cookies(&parts), (0..batches.iter().sum()).collect::<Vec<_>>(), "{batches:?}");
        }
    }

    #[test]
    fn long_entries_take_more_messages() {
        let parts = parts(&[50, 50], 1_000);
        assert!(parts.len() > 20, "{} parts", parts.len());
        assert_eq!(cookies(&parts), (0..100).collect::<Vec<_>>());
    }
}
