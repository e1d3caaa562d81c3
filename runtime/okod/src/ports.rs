//! The switch's ports, as the control side sees them.
//!
//! A port is there for the whole life of the switch. Its device may not be: a port whose device cannot be opened or
//! started is down, drops what is sent to it, and says why in the log. What the worker needs of a port (its queues and a
//! shared [`PortState`]) is handed out once, at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use oko_dpdk::{Eal, Pool, Port, PortError, Queues, Started};
use oko_openflow::PortNo;
use oko_openflow::port::{
    Port as PortDesc, PortConfig as ConfigBits, PortFeatures, PortState as StateBits, PortStats,
};

use crate::clock::Nanos;
use crate::config::PortConfig;

/// What the worker and the control thread share of a port.
#[derive(Debug, Default)]
pub(crate) struct PortState {
    /// `ofp_port_config` bits; written by the control thread.
    config: AtomicU32,
    /// Packets for which the device had no room, or that were sent to a port that is down; written by the worker.
    tx_dropped: AtomicU64,
    /// Packets dropped on arrival because of the port's configuration; written by the worker.
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

    /// Counts packets that could not be sent. For the worker, the only writer.
    pub(crate) fn count_tx_dropped(&self, n: u64) {
        self.tx_dropped.store(self.tx_dropped.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    /// Counts packets that were not let in. For the worker, the only writer.
    pub(crate) fn count_rx_dropped(&self, n: u64) {
        self.rx_dropped.store(self.rx_dropped.load(Ordering::Relaxed) + n, Ordering::Relaxed);
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

/// All ports, in the order of the configuration. The position of a port is its index everywhere in the worker.
#[derive(Debug)]
pub(crate) struct Ports {
    list: Vec<SwitchPort>,
}

/// What the worker gets of a port.
#[derive(Debug)]
pub(crate) struct WorkerPort {
    /// Its OpenFlow number.
    pub(crate) number: PortNo,
    /// Its queues, if its device runs.
    pub(crate) queues: Option<Queues>,
    /// The part shared with the control side.
    pub(crate) state: Arc<PortState>,
}

impl Ports {
    /// Opens and starts every port. One that fails is reported in the second result and stays down.
    #[must_use]
    pub(crate) fn open(
        eal: &Eal,
        pool: &Pool,
        configs: &[PortConfig],
        now: Nanos,
    ) -> (Self, Vec<WorkerPort>, Vec<(PortNo, PortError)>) {
        let mut ports = Self { list: Vec::new() };
        let mut worker_ports = Vec::new();
        let mut failures = Vec::new();
        for config in configs {
            let started = Port::open(eal, &config.device, pool, &oko_dpdk::PortConfig::default())
                .and_then(Port::start)
                .map_err(|error| failures.push((config.number, error)));
            let (device, queues) = match started {
                Ok((device, queues)) => (Some(device), Some(queues)),
                Err(()) => (None, None),
            };
            let state = Arc::new(PortState::default());
            if !config.up {
                state.configure(ConfigBits::PORT_DOWN, ConfigBits::PORT_DOWN);
            }
            worker_ports.push(WorkerPort { number: config.number, queues, state: Arc::clone(&state) });
            ports.list.push(SwitchPort { config: config.clone(), device, state, since: now });
        }
        (ports, worker_ports, failures)
    }

    /// Stops and closes every device, so that what they buffer is written.
    ///
    /// # Errors
    /// Those of devices that cannot be stopped; they are closed nevertheless.
    pub(crate) fn close(self, worker_ports: Vec<WorkerPort>) -> Vec<PortError> {
        let queues = worker_ports.into_iter().map(|port| port.queues);
        self.list
            .into_iter()
            .zip(queues)
            .filter_map(|(port, queues)| port.device.zip(queues))
            .filter_map(|(device, queues)| device.stop(queues).err())
            .collect()
    }

    /// The ports.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SwitchPort> {
        self.list.iter()
    }

    /// The numbers of the ports whose links are up and that an administrator lets work, in order.
    pub(crate) fn live(&self) -> Vec<PortNo> {
        let works = |port: &&SwitchPort| {
            let config = port.state.config();
            port.describe().state.contains(StateBits::LIVE) && !config.contains(ConfigBits::PORT_DOWN)
        };
        let mut live: Vec<PortNo> = self.list.iter().filter(works).map(SwitchPort::number).collect();
        live.sort_unstable();
        live
    }

    /// The port with an OpenFlow number.
    #[must_use]
    pub(crate) fn get(&self, number: PortNo) -> Option<&SwitchPort> {
        self.list.iter().find(|port| port.number() == number)
    }
}
