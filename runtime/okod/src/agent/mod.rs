//! The OpenFlow agent: listens, serves connections, and does what is due from time to time.
//!
//! One thread, no locks: every connection is a task on the same thread and borrows [`Control`](control::Control) for
//! the time of one request, never across a wait. A connection that waits, whether for its peer or for a filter to be
//! compiled, holds up nobody.

mod behind;
mod bundles;
mod connection;
mod control;
mod dial;
mod events;
mod filters;
mod flows;
mod groups;
mod meters;
mod monitors;
mod outbox;
mod packets;
mod peers;
mod ports;
mod reply;
mod sockets;
mod states;
mod sweeper;
mod table_features;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use oko_dpdk::Pool;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use self::control::Control;
pub use self::sockets::ListenError;
pub(crate) use self::sockets::Sockets;
use crate::clock::Clock;
use crate::config::OpenFlowConfig;
use crate::ports::Ports;
use crate::shared::Shared;

/// Connections at a time; more are closed at once.
const CONNECTIONS: usize = 64;
/// How often packets for the controllers are looked for.
const PACKET_IN_INTERVAL: Duration = Duration::from_millis(5);
/// How often events of filters are looked for.
const EVENT_INTERVAL: Duration = Duration::from_millis(10);
/// How often timeouts of flow entries are looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);
/// How often a part of the states is looked through for expired entries.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);
/// How often the links are looked at.
const LINK_INTERVAL: Duration = Duration::from_millis(200);

/// The agent, before it runs.
pub(crate) struct Agent {
    pub(crate) config: OpenFlowConfig,
    pub(crate) ports: Ports,
    pub(crate) pool: Pool,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
}

impl Agent {
    /// Serves until `shutdown` is ready, and gives the ports back.
    ///
    /// Everything runs on the calling thread; only filters are compiled elsewhere.
    pub(crate) fn run(self, sockets: &Sockets, shutdown: impl Future<Output = ()>) -> std::io::Result<Ports> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Self { config, ports, pool, shared, clock } = self;
        let control = Rc::new(RefCell::new(Control::new(&config, ports, pool, shared, clock)));
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, async {
            let (unix, tcp) = sockets.listeners()?;
            let connections =
                Connections { control: Rc::clone(&control), open: Rc::default(), next: Cell::new(0) };
            let connections = Rc::new(connections);
            // Workers began with a snapshot of no ports and of other tables.
            control.borrow_mut().mark_changed();
            control.borrow_mut().peers_changed();
            if let Some(listener) = unix {
                spawn_local(accept_unix(listener, Rc::clone(&connections)));
            }
            if let Some(listener) = tcp {
                spawn_local(accept_tcp(listener, Rc::clone(&connections)));
            }
            for controller in &config.controllers {
                spawn_local(dial::keep(controller.clone(), config.clone(), Rc::clone(&control)));
            }
            spawn_local(packet_ins(Rc::clone(&control)));
            spawn_local(events(Rc::clone(&control)));
            spawn_local(expiry(Rc::clone(&control)));
            spawn_local(sweeper(Rc::clone(&control)));
            spawn_local(links(Rc::clone(&control)));
            shutdown.await;
            control.borrow_mut().peers.clear();
            std::io::Result::Ok(())
        })?;
        // Ends all tasks; then this is the last reference.
        drop(tasks);
        let control = Rc::into_inner(control).expect("all tasks have ended").into_inner();
        Ok(control.into_ports())
    }
}

struct Connections {
    control: Rc<RefCell<Control>>,
    open: Rc<Cell<usize>>,
    next: Cell<u64>,
}

/// Counts one connection as long as it lives.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Connections {
    fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, peer: &str) {
        if self.open.get() == CONNECTIONS {
            warn!(peer, "connection refused: there are {CONNECTIONS} already");
            return;
        }
        self.open.set(self.open.get() + 1);
        let counted = Counted(Rc::clone(&self.open));
        let number = self.next.get();
        self.next.set(number + 1);
        let name = format!("{peer}#{number}");
        let control = Rc::clone(&self.control);
        spawn_local(async move {
            let _counted = counted;
            connection::serve(stream, name, false, control).await;
        });
    }
}

/// How long accepting pauses after an error, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn accept_unix(listener: UnixListener, connections: Rc<Connections>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connections.serve(stream, "unix"),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept_tcp(listener: TcpListener, connections: Rc<Connections>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Replies are written whole; waiting for more only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%error, "cannot set TCP_NODELAY");
                }
                connections.serve(stream, &address.to_string());
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The worker makes no system call to wake this thread: it is looked for what it left.
async fn packet_ins(control: Rc<RefCell<Control>>) {
    let mut ticks = ticks(PACKET_IN_INTERVAL);
    loop {
        ticks.tick().await;
        let mut control = control.borrow_mut();
        control.send_packet_ins();
        control.publish_soon();
        control.shared.wash();
    }
}

async fn events(control: Rc<RefCell<Control>>) {
    let mut ticks = ticks(EVENT_INTERVAL);
    loop {
        ticks.tick().await;
        let mut control = control.borrow_mut();
        control.send_events();
        control.resume_monitors();
    }
}

async fn expiry(control: Rc<RefCell<Control>>) {
    let mut ticks = ticks(EXPIRY_INTERVAL);
    loop {
        ticks.tick().await;
        while control.borrow_mut().expire_flows() {
            yield_now().await;
        }
        control.borrow_mut().publish_soon();
    }
}

async fn sweeper(control: Rc<RefCell<Control>>) {
    let mut ticks = ticks(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        control.borrow().sweep_states();
        control.borrow_mut().tables.tidy();
    }
}

async fn links(control: Rc<RefCell<Control>>) {
    let mut ticks = ticks(LINK_INTERVAL);
    loop {
        ticks.tick().await;
        control.borrow_mut().look_at_links();
    }
}
