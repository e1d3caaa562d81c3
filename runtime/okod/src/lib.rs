//! The Oko switch.
//!
//! ```text
//!              control thread                          worker thread
//!   sockets ─▶ agent ─▶ tables, filters ── snapshot ─▶ rx ─▶ pipeline ─▶ tx
//!                 ◀──────── packet-in ─────────────────┘ ◀── packet-out
//! ```
//!
//! [`Switch`] starts ports, worker and agent and stops them in order. The control thread (`agent`) serves OpenFlow and filter
//! operations and owns the tables; the worker takes packets through an immutable snapshot of them. Neither waits for
//! the other. [`Config`] is what the file says, checked.

mod agent;
mod bridge;
mod carrier;
mod clock;
mod config;
mod config_error;
mod deal;
mod egress;
mod fate;
mod filters;
mod flow_cache;
mod forward;
mod hands;
mod judge;
mod leaves;
mod memo;
mod pipeline;
mod places;
mod plan;
mod port_help;
mod ports;
mod profile;
mod recipe;
mod recording;
mod shared;
mod snapshot;
mod switch;
mod worker;

pub use agent::ListenError;
pub use clock::{Clock, Nanos};
pub use config::{
    Config, ControllerAddress, FilterClock, LogLevel, OpenFlowConfig, PortConfig, WorkerConfig,
};
pub use config_error::{ConfigError, Finding};
pub use switch::{Switch, SwitchError};
