//! Ports: DPDK's Ethernet devices, from device string to running queues.
//!
//! A port is configured when it exists; starting it yields its queues, stopping it takes them back, so no thread can use
//! a queue of a stopped port. The device is stopped and removed when the port and its queues are gone.

use std::ffi::CString;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys::{rte_eth_conf, rte_eth_dev_info, rte_eth_link, rte_eth_stats, rte_ether_addr};

use crate::eal::Eal;
use crate::errno::Errno;
use crate::log;
use crate::pool::Pool;
use crate::queue::{Queues, RxQueue, TxQueue};

/// `RTE_ETH_RX_OFFLOAD_SCATTER`: received packets may take several mbufs.
const RX_SCATTER: u64 = 1 << 13;
/// `RTE_ETH_TX_OFFLOAD_MULTI_SEGS`: packets to send may take several mbufs.
const TX_MULTI_SEGS: u64 = 1 << 15;

/// `RTE_ETH_RSS_IPV4` to `RTE_ETH_RSS_NONFRAG_IPV6_OTHER`, and IPv6 with extension headers: addresses, and ports where there are some.
const RSS_FIELDS: u64 = 0b1111_1100 | 0b11_1111 << 8 | 0b111 << 15;

/// Why a port cannot be had. `device` is the device string as given.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The device string is empty or contains a zero byte.
    #[error(
        "{device:?} is no device: expected a driver instance and its arguments, such as \"net_pcap0,rx_pcap=in.pcap\""
    )]
    BadDevice {
        /// The device string.
        device: String,
    },
    /// A port of this name exists.
    #[error("the device {name} is already in use (device string {device:?})")]
    Duplicate {
        /// The device string.
        device: String,
        /// Its name: the part before the first comma.
        name: String,
    },
    /// The driver does not exist or refuses the device.
    #[error("the device {device:?} cannot be opened: {errno}; DPDK says: {log}")]
    Open {
        /// The device string.
        device: String,
        /// DPDK's reason.
        errno: Errno,
        /// What DPDK logged.
        log: String,
    },
    /// The device has fewer queues than asked for.
    #[error("the device {device:?} has {present} {direction} queues, {wanted} are needed")]
    Queues {
        /// The device string.
        device: String,
        /// "receive" or "transmit".
        direction: &'static str,
        /// Queues asked for.
        wanted: u16,
        /// Queues there.
        present: u16,
    },
    /// A step of configuring, starting or stopping failed.
    #[error("the device {device:?} cannot {step}: {errno}; DPDK says: {log}")]
    Step {
        /// The device string.
        device: String,
        /// What it was to do.
        step: &'static str,
        /// DPDK's reason.
        errno: Errno,
        /// What DPDK logged.
        log: String,
    },
    /// [`Port::stop`] was not given all queues of this port.
    #[error("the device {device:?} cannot stop: a queue is missing or belongs to another port")]
    QueuesElsewhere {
        /// The device string.
        device: String,
    },
}

/// How many queues a port is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many; a device with fewer is an error.
    Exactly(u16),
    /// So many, or as many as the device has if these are fewer.
    UpTo(u16),
}

impl Count {
    /// What it comes to on a device that has `present`; the number that is missing otherwise.
    fn of(self, present: u16) -> Result<u16, u16> {
        match self {
            Count::Exactly(wanted) if wanted > present => Err(wanted),
            Count::Exactly(wanted) => Ok(wanted),
            Count::UpTo(most) => Ok(most.min(present)),
        }
    }
}

/// Queues and sizes of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Number of receive queues. With several, the device spreads packets over them by a hash of their addresses and ports (RSS) if it can, so
    /// that the packets of a flow stay in one queue; which fields it takes is the device's.
    pub rx_queues: Count,
    /// Number of transmit queues.
    pub tx_queues: Count,
    /// Packets that a receive queue holds; adjusted to what the device can.
    pub rx_descriptors: u16,
    /// Packets that a transmit queue holds; adjusted to what the device can.
    pub tx_descriptors: u16,
    /// Whether to receive frames for any MAC address, as a switch must.
    pub promiscuous: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            rx_queues: Count::Exactly(1),
            tx_queues: Count::Exactly(1),
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            promiscuous: true,
        }
    }
}

/// The phase of a port whose queues are set up but do not run.
#[derive(Debug)]
pub struct Configured;

/// The phase of a port whose queues run.
#[derive(Debug)]
pub struct Started;

/// A MAC address, in transmission order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// State of a port's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether there is a carrier.
    pub up: bool,
    /// Mbit/s; 0 if unknown, `u32::MAX` if it has no meaning for the device.
    pub speed_mbps: u32,
    /// Full duplex.
    pub full_duplex: bool,
}

/// Counters of a port since its start. Bytes are without frame check sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets lost because no one took them from the queue in time.
    pub rx_missed: u64,
    /// Broken packets received.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets lost because the pool was empty.
    pub rx_no_mbuf: u64,
}

/// A port in phase `S`.
#[derive(Debug)]
pub struct Port<S> {
    device: Arc<Device>,
    phase: PhantomData<S>,
}

impl Port<Configured> {
    /// Creates the device and sets up its queues, whose packets come from `pool`.
    ///
    /// `device` is a DPDK device string: a virtual device such as `net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap`,
    /// `net_af_packet0,iface=eth1`, `net_null0` or `net_ring0`, or a PCI address.
    ///
    /// # Errors
    /// See [`PortError`]; nothing is left of the device.
    pub fn open(eal: &Eal, device: &str, pool: &Pool, config: &PortConfig) -> Result<Self, PortError> {
        let mark = log::mark();
        let mut opened = Device::probe(eal, device, pool)?;
        opened.configure(config, mark)?;
        Ok(Self { device: Arc::new(opened), phase: PhantomData })
    }

    /// Starts the port.
    ///
    /// # Errors
    /// [`PortError::Step`]; the device is then removed.
    pub fn start(self) -> Result<(Port<Started>, Queues), PortError> {
        let device = self.device;
        device.start()?;
        let rx = (0..device.rx_queues).map(|queue| RxQueue { device: Arc::clone(&device), queue }).collect();
        let tx = (0..device.tx_queues).map(|queue| TxQueue { device: Arc::clone(&device), queue }).collect();
        Ok((Port { device, phase: PhantomData }, Queues { rx, tx }))
    }
}

impl Port<Started> {
    /// Stops the port: what its queues held is flushed or dropped, files are written. It can be started again.
    ///
    /// # Errors
    /// [`PortError::QueuesElsewhere`] unless `queues` are all of this port's queues; the port and its device then
    /// end with the last queue.
    pub fn stop(self, queues: Queues) -> Result<Port<Configured>, PortError> {
        let ours = |device: &Arc<Device>| Arc::ptr_eq(device, &self.device);
        let complete = queues.rx.len() == usize::from(self.device.rx_queues)
            && queues.tx.len() == usize::from(self.device.tx_queues)
            && queues.rx.iter().all(|queue| ours(&queue.device))
            && queues.tx.iter().all(|queue| ours(&queue.device));
        if !complete {
            return Err(PortError::QueuesElsewhere { device: self.device.string.clone() });
        }
        drop(queues);
        self.device.stop()?;
        Ok(Port { device: self.device, phase: PhantomData })
    }
}

impl<S> Port<S> {
    /// DPDK's number of the port.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.device.id
    }

    /// The device string it was opened with.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device.string
    }

    /// The driver's name.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.device.driver
    }

    /// The port's own MAC address; zero if it has none.
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        let mut address = rte_ether_addr::default();
        // SAFETY: the port exists as long as the device.
        unsafe { dpdk_sys::rte_eth_macaddr_get(self.device.id, &mut address) };
        MacAddress(address.addr_bytes)
    }

    /// The state of the link, without waiting for it.
    #[must_use]
    pub fn link(&self) -> Link {
        // SAFETY: plain data, for which zero is valid; the port exists as long as the device.
        let link = unsafe {
            let mut link: rte_eth_link = mem::zeroed();
            if dpdk_sys::rte_eth_link_get_nowait(self.device.id, &mut link) != 0 {
                return Link::default();
            }
            link
        };
        Link {
            up: u32::from(link.link_status()) == dpdk_sys::RTE_ETH_LINK_UP,
            speed_mbps: link.link_speed,
            full_duplex: link.link_duplex() != 0,
        }
    }

    /// The counters; all zero if the device has none.
    #[must_use]
    pub fn stats(&self) -> PortStats {
        // SAFETY: plain data, for which zero is valid; the port exists as long as the device. Drivers allow reading the
        // counters while queues are in use.
        let stats: rte_eth_stats = unsafe {
            let mut stats = mem::zeroed();
            if dpdk_sys::rte_eth_stats_get(self.device.id, &mut stats) != 0 {
                return PortStats::default();
            }
            stats
        };
        PortStats {
            rx_packets: stats.ipackets,
            tx_packets: stats.opackets,
            rx_bytes: stats.ibytes,
            tx_bytes: stats.obytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            tx_errors: stats.oerrors,
            rx_no_mbuf: stats.rx_nombuf,
        }
    }
}

/// Held while a device is created or removed: DPDK's list of devices has no lock of its own.
static DEVICES: Mutex<()> = Mutex::new(());

/// A probed device. Removed when dropped, after a stop if it runs.
#[derive(Debug)]
pub(crate) struct Device {
    id: u16,
    string: String,
    driver: String,
    rx_queues: u16,
    tx_queues: u16,
    running: AtomicBool,
    /// The receive queues refill themselves from here.
    pool: Pool,
    _eal: Eal,
}

impl Device {
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    fn probe(eal: &Eal, device: &str, pool: &Pool) -> Result<Self, PortError> {
        let bad = || PortError::BadDevice { device: device.to_owned() };
        let name = device.split(',').next().filter(|name| !name.is_empty()).ok_or_else(bad)?;
        let c_device = CString::new(device).map_err(|_| bad())?;
        let c_name = CString::new(name).map_err(|_| bad())?;
        let _devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        if port_by_name(&c_name).is_some() {
            return Err(PortError::Duplicate { device: device.to_owned(), name: name.to_owned() });
        }
        let mark = log::mark();
        let failed = |errno| PortError::Open { device: device.to_owned(), errno, log: log::since(mark) };
        // SAFETY: the EAL is initialised; the string is copied.
        let status = unsafe { dpdk_sys::rte_dev_probe(c_device.as_ptr()) };
        match status {
            0 => {}
            // What most virtual devices return for any reason: no EPERM.
            -1 => return Err(failed(Errno::from_return(libc::ENODEV))),
            status => return Err(failed(Errno::from_return(status))),
        }
        let id = port_by_name(&c_name).ok_or_else(|| failed(Errno::from_return(libc::ENODEV)))?;
        Ok(Self {
            id,
            string: device.to_owned(),
            driver: String::new(),
            rx_queues: 0,
            tx_queues: 0,
            running: AtomicBool::new(false),
            pool: pool.clone(),
            _eal: eal.clone(),
        })
    }

    fn configure(&mut self, config: &PortConfig, mark: log::Mark) -> Result<(), PortError> {
        let info = self.info().map_err(|errno| self.failed("say what it can do", errno, mark))?;
        if !info.driver_name.is_null() {
            // SAFETY: a constant string of the driver.
            self.driver =
                unsafe { std::ffi::CStr::from_ptr(info.driver_name) }.to_string_lossy().into_owned();
        }
        let count = |direction, wanted: Count, present| {
            wanted.of(present).map_err(|wanted| PortError::Queues {
                device: self.string.clone(),
                direction,
                wanted,
                present,
            })
        };
        let rx_queues = count("receive", config.rx_queues, info.max_rx_queues)?;
        let tx_queues = count("transmit", config.tx_queues, info.max_tx_queues)?;
        // SAFETY: a C structure of integers and arrays of them, for which zero is valid and means defaults.
        let mut conf: rte_eth_conf = unsafe { mem::zeroed() };
        conf.rxmode.offloads = info.rx_offload_capa & RX_SCATTER;
        conf.txmode.offloads = info.tx_offload_capa & TX_MULTI_SEGS;
        let hashed = info.flow_type_rss_offloads & RSS_FIELDS;
        if rx_queues > 1 && hashed != 0 {
            conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = hashed;
        }
        // SAFETY: the port exists and is not started; the structures are copied.
        unsafe {
            let status = dpdk_sys::rte_eth_dev_configure(self.id, rx_queues, tx_queues, &conf);
            self.check("be configured", status, mark)?;
            let (mut rx, mut tx) = (config.rx_descriptors, config.tx_descriptors);
            let status = dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.id, &mut rx, &mut tx);
            self.check("have queues of this size", status, mark)?;
            let socket = u32::try_from(dpdk_sys::rte_eth_dev_socket_id(self.id)).unwrap_or(u32::MAX);
            for queue in 0..rx_queues {
                let status = dpdk_sys::rte_eth_rx_queue_setup(
                    self.id,
                    queue,
                    rx,
                    socket,
                    ptr::null(),
                    self.pool.as_ptr(),
                );
                self.check("set up a receive queue", status, mark)?;
            }
            for queue in 0..tx_queues {
                let status = dpdk_sys::rte_eth_tx_queue_setup(self.id, queue, tx, socket, ptr::null());
                self.check("set up a transmit queue", status, mark)?;
            }
            if config.promiscuous {
                // Devices without address filter refuse, rightly.
                dpdk_sys::rte_eth_promiscuous_enable(self.id);
            }
        }
        self.rx_queues = rx_queues;
        self.tx_queues = tx_queues;
        Ok(())
    }

    fn start(&self) -> Result<(), PortError> {
        let mark = log::mark();
        // SAFETY: the port exists and its queues are set up.
        let status = unsafe { dpdk_sys::rte_eth_dev_start(self.id) };
        self.check("start", status, mark)?;
        self.running.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn stop(&self) -> Result<(), PortError> {
        if !self.running.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let mark = log::mark();
        // SAFETY: the port exists; no queue of it does (the callers' business).
        let status = unsafe { dpdk_sys::rte_eth_dev_stop(self.id) };
        self.check("stop", status, mark)
    }

    fn info(&self) -> Result<rte_eth_dev_info, Errno> {
        // SAFETY: a C structure of plain data and pointers, for which zero is valid; the port exists.
        unsafe {
            let mut info: rte_eth_dev_info = mem::zeroed();
            match dpdk_sys::rte_eth_dev_info_get(self.id, &mut info) {
                0 => Ok(info),
                status => Err(Errno::from_return(status)),
            }
        }
    }

    fn check(&self, step: &'static str, status: i32, mark: log::Mark) -> Result<(), PortError> {
        if status == 0 { Ok(()) } else { Err(self.failed(step, Errno::from_return(status), mark)) }
    }

    fn failed(&self, step: &'static str, errno: Errno, mark: log::Mark) -> PortError {
        PortError::Step { device: self.string.clone(), step, errno, log: log::since(mark) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // An error here cannot be reported and leaves nothing to do.
        let _ = self.stop();
        let _devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the port exists, does not run, and this was the last reference to it.
        unsafe {
            let device = self.info().map_or(ptr::null_mut(), |info| info.device);
            dpdk_sys::rte_eth_dev_close(self.id);
            if !device.is_null() {
                dpdk_sys::rte_dev_remove(device);
            }
        }
    }
}

fn port_by_name(name: &std::ffi::CStr) -> Option<u16> {
    let mut id = 0;
    // SAFETY: a NUL-terminated string and a place for the result.
    (unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut id) } == 0).then_some(id)
}
