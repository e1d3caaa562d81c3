//! How the queues of a port are dealt out to the workers, and put together again.
//!
//! - Receive queue `i` of port `p` (by its place) is polled by worker `(i + p) mod workers`. A device with a queue for each worker spreads packets over
//!   them by flow; the queues of devices that have fewer are spread over the workers, so that not all of them burden the first.
//! - Every worker can send by every port. With a transmit queue for each it has its own; workers share the queues of devices that have fewer,
//!   and wait for each other while one of them hands over a burst.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use oko_dpdk::{Burst, Queues, TxQueue};
use oko_openflow::PortNo;

use crate::ports::{PortState, WorkerPort};

/// A worker's way out of a port.
#[derive(Debug)]
pub(crate) enum WayOut {
    /// A queue of its own.
    Own(TxQueue),
    /// A queue that other workers use, too.
    Shared(Arc<Mutex<TxQueue>>),
}

impl WayOut {
    /// Sends packets from the front of a burst and says how many.
    #[inline]
    pub(crate) fn send(&mut self, burst: &mut Burst) -> usize {
        match self {
            WayOut::Own(queue) => queue.send(burst),
            WayOut::Shared(queue) => send_shared(queue, burst),
        }
    }
}

/// Another worker has the queue for as long as a driver takes a burst: less than it takes to sleep and be woken.
fn send_shared(queue: &Mutex<TxQueue>, burst: &mut Burst) -> usize {
    loop {
        match queue.try_lock() {
            Ok(mut queue) => return queue.send(burst),
            Err(TryLockError::Poisoned(queue)) => return queue.into_inner().send(burst),
            Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
        }
    }
}

/// Deals out the queues of a port, the `place`th: what each worker gets.
pub(crate) fn deal(
    number: PortNo,
    queues: Option<Queues>,
    state: &Arc<PortState>,
    place: usize,
    workers: usize,
) -> Vec<WorkerPort> {
    let mut dealt: Vec<WorkerPort> = (0..workers)
        .map(|_| WorkerPort { number, rx: Vec::new(), tx: None, state: Arc::clone(state) })
        .collect();
    let Some(Queues { rx, tx }) = queues else { return dealt };
    for (i, queue) in rx.into_iter().enumerate() {
        dealt[(i + place) % workers].rx.push(queue);
    }
    if tx.len() >= workers {
        // Not opened with more than there are workers.
        for (port, queue) in dealt.iter_mut().zip(tx) {
            port.tx = Some(WayOut::Own(queue));
        }
    } else {
        let shared: Vec<_> = tx.into_iter().map(|queue| Arc::new(Mutex::new(queue))).collect();
        for (port, queue) in dealt.iter_mut().zip(shared.iter().cycle()) {
            port.tx = Some(WayOut::Shared(Arc::clone(queue)));
        }
    }
    dealt
}

/// The queues of a port whose parts the workers gave back; none if it had none.
pub(crate) fn gather(parts: impl IntoIterator<Item = WorkerPort>) -> Option<Queues> {
    let mut queues = Queues { rx: Vec::new(), tx: Vec::new() };
    for part in parts {
        queues.rx.extend(part.rx);
        match part.tx {
            Some(WayOut::Own(queue)) => queues.tx.push(queue),
            // The last one of those who share it has it.
            Some(WayOut::Shared(queue)) => {
                queues.tx.extend(
                    Arc::into_inner(queue)
                        .map(|queue| queue.into_inner().unwrap_or_else(PoisonError::into_inner)),
                );
            }
            None => {}
        }
    }
    (!queues.rx.is_empty() || !queues.tx.is_empty()).then_some(queues)
}
