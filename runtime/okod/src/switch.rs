//! The switch as a whole: what is started, in which order, and stopped in reverse.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use oko_dpdk::{Eal, EalError, Pool, PoolError, PortError};
use oko_openflow::PortNo;
use tracing::{error, info};

use crate::agent::{Agent, ListenError, Sockets};
use crate::clock::Clock;
use crate::config::Config;
use crate::port_help;
use crate::ports::{Ports, WorkerPort};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::worker::Workers;

/// Why the switch does not start or run.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// DPDK does not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// No packet memory.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A socket cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A worker's thread cannot be made.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
    /// The control side cannot run.
    #[error("the OpenFlow agent failed: {0}")]
    Agent(io::Error),
    /// Ports that could not be stopped properly: what they buffered may be lost.
    #[error("{} ports could not be stopped; the first: {}", .0.len(), .0[0])]
    Ports(Vec<PortError>),
}

/// A switch whose workers run and whose sockets listen.
pub struct Switch {
    agent: Agent,
    sockets: Sockets,
    workers: Workers,
    failed_ports: Vec<(PortNo, PortError)>,
}

impl Switch {
    /// Starts a switch. A port that cannot be opened does not keep it from starting, see
    /// [`failed_ports`](Self::failed_ports).
    ///
    /// # Errors
    /// When memory, sockets or a thread cannot be had. Nothing is left running then.
    pub fn start(eal: &Eal, config: &Config, clock: Clock) -> Result<Self, SwitchError> {
        let sockets = Sockets::listen(&config.openflow)?;
        let pool = Pool::create(eal, config.pool)?;
        let count = config.worker.cpus.len();
        let mut ports = Ports::new(eal, &pool, count);
        let mut parts: Vec<Vec<WorkerPort>> = (0..count).map(|_| Vec::new()).collect();
        let mut failed_ports = Vec::new();
        for port in &config.ports {
            let (dealt, failure) = ports.add(port, clock.now());
            parts.iter_mut().zip(dealt).for_each(|(parts, part)| parts.push(part));
            if let Some(error) = failure {
                match port_help::help(&port.device) {
                    Some(help) => error!(port = %port.number, %error, help, "the port does not work"),
                    None => error!(port = %port.number, %error, "the port does not work"),
                }
                failed_ports.push((port.number, error));
            }
        }
        let shared = Arc::new(Shared::new(Snapshot::empty(), count, config.worker.flow_cache));
        let workers = Workers::start(eal, &pool, parts, &shared, &clock, &config.worker)
            .map_err(SwitchError::Worker)?;
        let agent = Agent { config: config.openflow.clone(), ports, pool, shared, clock };
        Ok(Self { agent, sockets, workers, failed_ports })
    }

    /// The ports that do not work, and why.
    #[must_use]
    pub fn failed_ports(&self) -> &[(PortNo, PortError)] {
        &self.failed_ports
    }

    /// The address that OpenFlow over TCP is served on, if it is.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.sockets.tcp_address()
    }

    /// Runs the control side on the calling thread until `shutdown` is ready, then stops everything: capture files are
    /// written to their end, sockets removed.
    ///
    /// # Errors
    /// When the control side cannot run, or ports cannot be stopped.
    pub fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), SwitchError> {
        let Self { agent, sockets, workers, .. } = self;
        info!("the switch runs");
        let ports = agent.run(&sockets, shutdown);
        drop(sockets);
        if !workers.are_running() {
            error!("a worker has ended before its time");
        }
        let parts = workers.stop();
        let failed = ports.map_err(SwitchError::Agent)?.close(parts);
        info!("the switch has stopped");
        if failed.is_empty() { Ok(()) } else { Err(SwitchError::Ports(failed)) }
    }
}
