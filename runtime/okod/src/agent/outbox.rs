//! What waits to be sent to one controller beside the replies to its requests: packets, events, changes of flow entries.
//!
//! Bounded by bytes, whatever the messages are: what does not fit is refused, so that a controller that does not read costs a fixed amount of
//! memory. Both ends belong to the control thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

/// Bytes that wait for one controller: what the worker can hand over at once fits, though its packets be of full size.
pub(super) const ROOM: usize = 2 << 20;
/// What a message takes beside its bytes.
const OVERHEAD: usize = 64;

/// The end at which messages are put in. The connection ends when it is dropped and what waits has been sent.
#[derive(Debug)]
pub(super) struct Outbox(Rc<Shared>);

/// The end at which they are taken out.
#[derive(Debug)]
pub(super) struct Outgoing(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: RefCell<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
}

/// The two ends of an empty queue.
pub(super) fn outbox() -> (Outbox, Outgoing) {
    let shared = Rc::<Shared>::default();
    (Outbox(Rc::clone(&shared)), Outgoing(shared))
}

/// The room that messages take.
pub(super) fn cost<'m>(messages: impl IntoIterator<Item = &'m Vec<u8>>) -> usize {
    messages.into_iter().map(|message| message.len() + OVERHEAD).sum()
}

impl Outbox {
    /// Puts a message in; says whether it fitted.
    pub(super) fn push(&self, message: Vec<u8>) -> bool {
        let mut queue = self.0.queue.borrow_mut();
        let bytes = queue.bytes + cost([&message]);
        if bytes > ROOM {
            return false;
        }
        queue.bytes = bytes;
        queue.messages.push_back(message);
        self.0.changed.notify_one();
        true
    }

    /// The room that is left.
    pub(super) fn room(&self) -> usize {
        ROOM - self.0.queue.borrow().bytes
    }

    /// Whether all messages have been sent, or are about to be.
    pub(super) fn is_empty(&self) -> bool {
        self.0.queue.borrow().messages.is_empty()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.queue.borrow_mut().closed = true;
        self.0.changed.notify_one();
    }
}

impl Outgoing {
    /// The next message that is there.
    pub(super) fn try_next(&mut self) -> Option<Vec<u8>> {
        let mut queue = self.0.queue.borrow_mut();
        let message = queue.messages.pop_front()?;
        queue.bytes -= cost([&message]);
        Some(message)
    }

    /// The next message; none when there are no more and the other end is gone. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.try_next() {
                return Some(message);
            }
            if self.0.queue.borrow().closed {
                return None;
            }
            self.0.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_counted_in_bytes() {
        let (outbox, mut outgoing) = outbox();
        let large = 60_000;
        let fitted = (0..1_000).filter(|_| outbox.push(vec![0; large])).count();
        assert_eq!(fitted, ROOM / (large + OVERHEAD));
        assert_eq!(outgoing.try_next().map(|message| message.len()), Some(large));
        assert!(outbox.push(vec![0; large]) && !outbox.push(vec![0; large]));
        while outgoing.try_next().is_some() {}
        assert!(outbox.is_empty());
        assert_eq!(outbox.room(), ROOM);
        // Of small ones it is what they take and not what they say that counts.
        let fitted = (0..ROOM).filter(|_| outbox.push(vec![0; 8])).count();
        assert_eq!(fitted, ROOM / (8 + OVERHEAD));
    }

    #[test]
    fn what_waits_is_taken_before_the_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (outbox, mut outgoing) = outbox();
        assert!(outbox.push(vec![1]) && outbox.push(vec![2]));
        drop(outbox);
        let taken =
            runtime.block_on(async { [outgoing.next().await, outgoing.next().await, outgoing.next().await] });
        assert_eq!(taken, [Some(vec![1]), Some(vec![2]), None]);
    }
}
