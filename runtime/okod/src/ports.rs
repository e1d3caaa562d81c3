//! The switch's ports, as the control side sees them.
//!
//! A port of the configuration is there whether its device is or not: a port whose device cannot be opened or
//! started is down, drops what is sent to it, and says why in the log. What workers need of a port (queues and a
//! shared [`PortState`]) is handed out when it is opened, and has to come back before it is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use oko_dpdk::{Count, Eal, Pool, Port, PortError, RxQueue, Started};
use oko_openflow::PortNo;
use oko_openflow::port::{
    Port as PortDesc, PortConfig as ConfigBits, PortFeatures, PortState as StateBits, PortStats,
};

use crate::clock::Nanos;
use crate::config::PortConfig;
use crate::deal::{WayOut, deal, gather};

/// What the worker and the control thread share of a port.
#[derive(Debug, Default)]
pub(crate) struct PortState {
    /// `ofp_port_config` bits; written by the control thread.
    config: AtomicU32,
    /// Packets for which the device had no room, or that were sent to a port that is down; written by workers.
    tx_dropped: AtomicU64,
    /// Packets dropped on arrival because of the port's configuration; written by workers.
    rx_dropped: AtomicU64,
}

impl PortState {
    /// What an administrator has set.
    #[must_use]
    pub(crate) fn config(&self) -> ConfigBits {
        ConfigBits::from_bits_truncate(self.config.load(Ordering::Relaxed))
    }

    /// Sets the bits in `mask`.
    pub(crate) fn configure(&self, value: ConfigBits, mask: ConfigBits) {
        let config = self.config().difference(mask) | value.intersection(mask);
        self.config.store(config.bits(), Ordering::Relaxed);
    }

    /// Counts packets that could not be sent.
    pub(crate) fn count_tx_dropped(&self, n: u64) {
        self.tx_dropped.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts packets that were not let in.
    pub(crate) fn count_rx_dropped(&self, n: u64) {
        self.rx_dropped.fetch_add(n, Ordering::Relaxed);
    }
}

/// A port.
#[derive(Debug)]
pub(crate) struct SwitchPort {
    config: PortConfig,
    device: Option<Port<Started>>,
    state: Arc<PortState>,
    since: Nanos,
}

impl SwitchPort {
    /// Its OpenFlow number.
    #[must_use]
    pub(crate) fn number(&self) -> PortNo {
        self.config.number
    }

    /// Its name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// The part shared with the worker.
    #[must_use]
    pub(crate) fn state(&self) -> &Arc<PortState> {
        &self.state
    }

    /// Its Ethernet address: the device's, or for lack of that a locally administered one made of its number.
    #[must_use]
    pub(crate) fn hw_addr(&self) -> [u8; 6] {
        match self.device.as_ref().map(|device| device.mac().0) {
            Some(address) if address != [0; 6] => address,
            _ => {
                let [a, b, c, d] = self.config.number.0.to_be_bytes();
                [0x02, 0x6f, a, b, c, d]
            }
        }
    }

    /// Its description in OpenFlow.
    #[must_use]
    pub(crate) fn describe(&self) -> PortDesc {
        let link = self.device.as_ref().map(Port::link).unwrap_or_default();
        let mut desc = PortDesc::new(self.number(), self.hw_addr(), self.name());
        desc.config = self.state.config();
        if link.up && self.device.is_some() {
            desc.state = StateBits::LIVE;
            desc.current = features(link.speed_mbps);
            desc.current_kbps = link.speed_mbps.checked_mul(1000).unwrap_or(0);
            desc.max_kbps = desc.current_kbps;
        } else {
            desc.state = StateBits::LINK_DOWN;
        }
        desc
    }

    /// Its counters in OpenFlow.
    #[must_use]
    pub(crate) fn stats(&self, now: Nanos) -> PortStats {
        let device = self.device.as_ref().map(Port::stats).unwrap_or_default();
        PortStats {
            rx_packets: device.rx_packets,
            tx_packets: device.tx_packets,
            rx_bytes: device.rx_bytes,
            tx_bytes: device.tx_bytes,
            rx_dropped: device.rx_missed + device.rx_no_mbuf + self.state.rx_dropped.load(Ordering::Relaxed),
            // What a device refuses comes back to the worker, which counts it; `tx_errors` is that again in some drivers.
            tx_dropped: self.state.tx_dropped.load(Ordering::Relaxed),
            rx_errors: device.rx_errors,
            tx_errors: device.tx_errors,
            rx_frame_err: 0,
            rx_over_err: 0,
            rx_crc_err: 0,
            collisions: 0,
            duration: std::time::Duration::from_nanos(now.0.saturating_sub(self.since.0)),
            ..PortStats::unsupported(self.number())
        }
    }
}

impl SwitchPort {
    /// Stops and closes the device. `parts` is all that workers had of it.
    ///
    /// # Errors
    /// It cannot be stopped; it is closed nevertheless.
    pub(crate) fn close(self, parts: Vec<WorkerPort>) -> Result<(), PortError> {
        match self.device.zip(gather(parts)) {
            Some((device, queues)) => device.stop(queues).map(drop),
            None => Ok(()),
        }
    }
}

fn features(speed_mbps: u32) -> PortFeatures {
    match speed_mbps {
        10 => PortFeatures::RATE_10M_FULL,
        100 => PortFeatures::RATE_100M_FULL,
        1_000 => PortFeatures::RATE_1G_FULL,
        10_000 => PortFeatures::RATE_10G_FULL,
        40_000 => PortFeatures::RATE_40G_FULL,
        100_000 => PortFeatures::RATE_100G_FULL,
        1_000_000 => PortFeatures::RATE_1T_FULL,
        0 => PortFeatures::empty(),
        _ => PortFeatures::RATE_OTHER,
    }
}

/// All ports, in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Ports {
    list: Vec<SwitchPort>,
    eal: Eal,
    pool: Pool,
    /// How many workers share the ports.
    workers: usize,
    /// How many ports there ever were.
    opened: usize,
}

/// What a worker gets of a port.
#[derive(Debug)]
pub(crate) struct WorkerPort {
    /// Its OpenFlow number.
    pub(crate) number: PortNo,
    /// The receive queues that the worker polls.
    pub(crate) rx: Vec<RxQueue>,
    /// Its way out, if the device runs.
    pub(crate) tx: Option<WayOut>,
    /// The part shared with the control side.
    pub(crate) state: Arc<PortState>,
}

impl Ports {
    /// Without a port, for so many workers.
    pub(crate) fn new(eal: &Eal, pool: &Pool, workers: usize) -> Self {
        Self { list: Vec::new(), eal: eal.clone(), pool: pool.clone(), workers, opened: 0 }
    }

    /// Opens and starts a port and adds it, also if that fails: then it is down. Gives what each worker gets of it, and the failure.
    pub(crate) fn add(&mut self, config: &PortConfig, now: Nanos) -> (Vec<WorkerPort>, Option<PortError>) {
        let workers = self.workers as u16;
        let rx_queues = config.queues.map_or(Count::UpTo(workers), Count::Exactly);
        let queues = oko_dpdk::PortConfig {
            rx_queues,
            tx_queues: Count::UpTo(workers),
            ..oko_dpdk::PortConfig::default()
        };
        let started = Port::open(&self.eal, &config.device, &self.pool, &queues).and_then(Port::start);
        let (device, queues, failure) = match started {
            Ok((device, queues)) => (Some(device), Some(queues), None),
            Err(error) => (None, None, Some(error)),
        };
        let state = Arc::new(PortState::default());
        if !config.up {
            state.configure(ConfigBits::PORT_DOWN, ConfigBits::PORT_DOWN);
        }
        let dealt = deal(config.number, queues, &state, self.opened, self.workers);
        self.opened += 1;
        self.list.push(SwitchPort { config: config.clone(), device, state, since: now });
        (dealt, failure)
    }

    /// Takes a port out of the list.
    pub(crate) fn remove(&mut self, number: PortNo) -> Option<SwitchPort> {
        let at = self.list.iter().position(|port| port.number() == number)?;
        Some(self.list.remove(at))
    }

    /// Stops and closes every device, so that what they buffer is written. `parts` is all that workers had of the ports.
    ///
    /// # Errors
    /// Those of devices that cannot be stopped; they are closed nevertheless.
    pub(crate) fn close(self, mut parts: Vec<WorkerPort>) -> Vec<PortError> {
        let mut failed = Vec::new();
        for port in self.list {
            let (of_port, others) = parts.into_iter().partition(|part| part.number == port.number());
            parts = others;
            failed.extend(port.close(of_port).err());
        }
        failed
    }

    /// The ports.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SwitchPort> {
        self.list.iter()
    }

    /// The numbers of the ports whose links are up, as `links` has it, and that an administrator lets work.
    pub(crate) fn live(&self, links: &BTreeMap<PortNo, StateBits>) -> Vec<PortNo> {
        let works = |port: &&SwitchPort| {
            links.get(&port.number()).is_some_and(|link| link.contains(StateBits::LIVE))
                && !port.state.config().contains(ConfigBits::PORT_DOWN)
        };
        self.list.iter().filter(works).map(SwitchPort::number).collect()
    }

    /// The port with an OpenFlow number.
    #[must_use]
    pub(crate) fn get(&self, number: PortNo) -> Option<&SwitchPort> {
        self.list.iter().find(|port| port.number() == number)
    }
}
