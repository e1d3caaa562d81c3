//! A safe layer over DPDK: EAL, memory pools, mbufs and ports.
//!
//! ```text
//! Eal ──▶ Pool ──▶ Mbuf, Burst            memory: who owns a packet
//!   └───▶ Port<Configured> ──start──▶ Port<Started> + RxQueue, TxQueue
//! ```
//!
//! What holds:
//! - The [`Eal`] exists once per process; pools, ports and queues keep it alive.
//! - An [`Mbuf`] is owned: it is in one place, and dropping it gives its memory back to its pool. A [`Burst`] is a fixed
//!   array of 32 of them; receiving and sending allocate nothing.
//! - A queue can be used by one thread at a time (`&mut self`) and only between start and stop: the queues come
//!   out of [`Port::start`] and must be handed back to stop the port.
//! - What DPDK logs is captured, not printed; errors carry the lines that belong to them.
//!
//! Threads: workers are ordinary threads that take an lcore id with [`Eal::register_thread`], not EAL lcores. They can
//! then be joined, named, started late and ended, their panics are seen, and the EAL arguments do not depend on
//! how many there are; the mempool's per-lcore caches work the same. The EAL itself gets one lcore that may run on any
//! CPU of the process, so that [`Eal::init`] pins nobody.

mod burst;
mod cycles;
mod eal;
mod errno;
mod log;
mod mbuf;
mod pool;
mod port;
mod queue;
mod recorded;
mod thread;

pub use burst::{BURST, Burst, Taking};
pub use cycles::cycles;
pub use eal::{Eal, EalConfig, EalError, Memory};
pub use errno::Errno;
pub use log::{LogLevel, set_log_sink};
pub use mbuf::{Mbuf, MbufError};
pub use pool::{Pool, PoolConfig, PoolError};
pub use port::{Configured, Count, Link, MacAddress, Port, PortConfig, PortError, PortStats, Started};
pub use queue::{Queues, RxQueue, TxQueue};
pub use recorded::RecordedTime;
pub use thread::{RegisteredThread, ThreadError, pin_current_thread};
