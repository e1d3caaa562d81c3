//! Ports: their description (section 7.2.1), status, statistics (7.3.5.6) and change (7.3.4.3).

use std::time::Duration;

use bitflags::bitflags;

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow::{decode_duration, encode_duration};
use crate::ids::PortNo;
use crate::switch::Version;
use crate::wire::{Reader, Writer};

bitflags! {
    /// `ofp_port_config`: what an administrator has set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct PortConfig: u32 {
        /// Down.
        const PORT_DOWN = 1;
        /// Drop all that comes in.
        const NO_RECV = 1 << 2;
        /// Leave it out when a packet is flooded. OpenFlow 1.0's; later versions do not name it.
        const NO_FLOOD = 1 << 4;
        /// Drop all that would go out.
        const NO_FWD = 1 << 5;
        /// Send no packet-in for it.
        const NO_PACKET_IN = 1 << 6;
    }
}

bitflags! {
    /// `ofp_port_state`: what the switch sees.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct PortState: u32 {
        /// No link.
        const LINK_DOWN = 1;
        /// Blocked by a protocol of the switch.
        const BLOCKED = 1 << 1;
        /// Live for fast failover.
        const LIVE = 1 << 2;
    }
}

bitflags! {
    /// `ofp_port_features`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct PortFeatures: u32 {
        /// 10 Mb/s half duplex.
        const RATE_10M_HALF = 1;
        /// 10 Mb/s full duplex.
        const RATE_10M_FULL = 1 << 1;
        /// 100 Mb/s half duplex.
        const RATE_100M_HALF = 1 << 2;
        /// 100 Mb/s full duplex.
        const RATE_100M_FULL = 1 << 3;
        /// 1 Gb/s half duplex.
        const RATE_1G_HALF = 1 << 4;
        /// 1 Gb/s full duplex.
        const RATE_1G_FULL = 1 << 5;
        /// 10 Gb/s full duplex.
        const RATE_10G_FULL = 1 << 6;
        /// 40 Gb/s full duplex.
        const RATE_40G_FULL = 1 << 7;
        /// 100 Gb/s full duplex.
        const RATE_100G_FULL = 1 << 8;
        /// 1 Tb/s full duplex.
        const RATE_1T_FULL = 1 << 9;
        /// Another rate.
        const RATE_OTHER = 1 << 10;
        /// Copper.
        const COPPER = 1 << 11;
        /// Fibre.
        const FIBER = 1 << 12;
        /// Auto-negotiation.
        const AUTONEG = 1 << 13;
        /// Pause.
        const PAUSE = 1 << 14;
        /// Asymmetric pause.
        const PAUSE_ASYM = 1 << 15;
    }
}

/// `OFPPDPT_ETHERNET` and its like: the properties of an Ethernet port, from OpenFlow 1.4 on.
const PROPERTY_ETHERNET: u16 = 0;

/// `ofp_port`: a port's description.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    /// Its number.
    pub number: PortNo,
    /// Its Ethernet address.
    pub hw_addr: [u8; 6],
    /// Its name; at most 15 bytes are transmitted.
    pub name: String,
    /// What is set.
    pub config: PortConfig,
    /// What is seen.
    pub state: PortState,
    /// Features in use.
    pub current: PortFeatures,
    /// Features advertised to the other end.
    pub advertised: PortFeatures,
    /// Features of the device.
    pub supported: PortFeatures,
    /// Features that the other end advertises.
    pub peer: PortFeatures,
    /// Bit rate now, in kb/s.
    pub current_kbps: u32,
    /// Largest bit rate, in kb/s.
    pub max_kbps: u32,
}

impl Port {
    /// A port of which only number, address and name are known.
    pub fn new(number: PortNo, hw_addr: [u8; 6], name: &str) -> Port {
        Port {
            number,
            hw_addr,
            name: name.to_owned(),
            config: PortConfig::empty(),
            state: PortState::empty(),
            current: PortFeatures::empty(),
            advertised: PortFeatures::empty(),
            supported: PortFeatures::empty(),
            peer: PortFeatures::empty(),
            current_kbps: 0,
            max_kbps: 0,
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Port, DecodeError> {
        if r.version() >= Version::V1_4 {
            return Self::decode_1_4(r);
        }
        let number = PortNo(r.u32()?);
        r.skip(4)?;
        let hw_addr = r.mac()?;
        r.skip(2)?;
        Ok(Port {
            number,
            hw_addr,
            name: r.padded_text(16)?,
            config: PortConfig::from_bits_retain(r.u32()?),
            state: PortState::from_bits_retain(r.u32()?),
            current: PortFeatures::from_bits_retain(r.u32()?),
            advertised: PortFeatures::from_bits_retain(r.u32()?),
            supported: PortFeatures::from_bits_retain(r.u32()?),
            peer: PortFeatures::from_bits_retain(r.u32()?),
            current_kbps: r.u32()?,
            max_kbps: r.u32()?,
        })
    }

    fn decode_1_4(r: &mut Reader<'_>) -> Result<Port, DecodeError> {
        let mut head = r.clone();
        let number = PortNo(head.u32()?);
        let len = usize::from(head.u16()?);
        let mut r = r.sub(len, "port", ErrorCode::RequestBadLen)?;
        r.skip(8)?;
        let hw_addr = r.mac()?;
        r.skip(2)?;
        let mut port = Port::new(number, hw_addr, &r.padded_text(16)?);
        port.config = PortConfig::from_bits_retain(r.u32()?);
        port.state = PortState::from_bits_retain(r.u32()?);
        while let Some((ty, mut body)) = r.property()? {
            if ty == PROPERTY_ETHERNET {
                body.skip(4)?;
                port.current = PortFeatures::from_bits_retain(body.u32()?);
                port.advertised = PortFeatures::from_bits_retain(body.u32()?);
                port.supported = PortFeatures::from_bits_retain(body.u32()?);
                port.peer = PortFeatures::from_bits_retain(body.u32()?);
                (port.current_kbps, port.max_kbps) = (body.u32()?, body.u32()?);
            }
        }
        Ok(port)
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u32(self.number.0);
        w.zeros(4);
        w.bytes(&self.hw_addr);
        w.zeros(2);
        w.padded_text(&self.name, 16);
        w.u32(self.config.bits());
        w.u32(self.state.bits());
        if w.version >= Version::V1_4 {
            w.property(PROPERTY_ETHERNET, |w| {
                w.zeros(4);
                for features in [self.current, self.advertised, self.supported, self.peer] {
                    w.u32(features.bits());
                }
                w.u32(self.current_kbps);
                w.u32(self.max_kbps);
            });
            w.patch_u16(start + 4, w.len() - start);
            return;
        }
        for features in [self.current, self.advertised, self.supported, self.peer] {
            w.u32(features.bits());
        }
        w.u32(self.current_kbps);
        w.u32(self.max_kbps);
    }
}

/// What happened to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortReason {
    /// It is new.
    Add,
    /// It is gone.
    Delete,
    /// It changed.
    Modify,
}

/// `OFPT_PORT_STATUS`, section 7.4.3.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortStatus {
    /// What happened.
    pub reason: PortReason,
    /// The port after it.
    pub port: Port,
}

impl PortStatus {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PortStatus, DecodeError> {
        let reason = match r.u8()? {
            0 => PortReason::Add,
            1 => PortReason::Delete,
            2 => PortReason::Modify,
            found => {
                let problem = Problem::Value { field: "reason", found: found.into(), expected: "0 to 2" };
                return Err(r.error(ErrorCode::RequestBadType, problem));
            }
        };
        r.skip(7)?;
        Ok(PortStatus { reason, port: Port::decode(r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u8(self.reason as u8);
        w.zeros(7);
        self.port.encode(w);
    }
}

/// `OFPT_PORT_MOD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortMod {
    /// The port.
    pub number: PortNo,
    /// Its address, as a check.
    pub hw_addr: [u8; 6],
    /// New values of the bits in `mask`.
    pub config: PortConfig,
    /// The bits to change.
    pub mask: PortConfig,
    /// Features to advertise; none for no change.
    pub advertise: PortFeatures,
}

impl PortMod {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PortMod, DecodeError> {
        let number = PortNo(r.u32()?);
        r.skip(4)?;
        let hw_addr = r.mac()?;
        r.skip(2)?;
        let (config, mask) = (r.u32()?, r.u32()?);
        let mut advertise = 0;
        if r.version() >= Version::V1_4 {
            while let Some((ty, mut body)) = r.property()? {
                match ty {
                    PROPERTY_ETHERNET => advertise = body.u32()?,
                    _ => {
                        let problem = Problem::Value {
                            field: "property type",
                            found: ty.into(),
                            expected: "0, Ethernet",
                        };
                        return Err(body.error(ErrorCode::PropertyBadType, problem));
                    }
                }
            }
        } else {
            advertise = r.u32()?;
            r.skip(4)?;
        }
        let Some(mask) = PortConfig::from_bits(mask) else {
            let problem = Problem::Value {
                field: "mask",
                found: mask.into(),
                expected: "the bits of ofp_port_config only",
            };
            return Err(r.error(ErrorCode::PortModBadConfig, problem));
        };
        Ok(PortMod {
            number,
            hw_addr,
            config: PortConfig::from_bits_retain(config),
            mask,
            advertise: PortFeatures::from_bits_retain(advertise),
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(self.number.0);
        w.zeros(4);
        w.bytes(&self.hw_addr);
        w.zeros(2);
        w.u32(self.config.bits());
        w.u32(self.mask.bits());
        if w.version >= Version::V1_4 {
            w.property(PROPERTY_ETHERNET, |w| w.u32(self.advertise.bits()));
            return;
        }
        w.u32(self.advertise.bits());
        w.zeros(4);
    }
}

/// A port's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortStats {
    /// The port.
    pub number: PortNo,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets dropped on receipt.
    pub rx_dropped: u64,
    /// Packets dropped instead of sent.
    pub tx_dropped: u64,
    /// Receive errors, all kinds.
    pub rx_errors: u64,
    /// Transmit errors, all kinds.
    pub tx_errors: u64,
    /// Frame alignment errors.
    pub rx_frame_err: u64,
    /// Overruns.
    pub rx_over_err: u64,
    /// Checksum errors.
    pub rx_crc_err: u64,
    /// Collisions.
    pub collisions: u64,
    /// How long the port has been there.
    pub duration: Duration,
}

impl PortStats {
    /// The value of a counter that the port does not have.
    pub const UNSUPPORTED: u64 = u64::MAX;

    /// Counters of a port that has none.
    pub fn unsupported(number: PortNo) -> PortStats {
        let none = Self::UNSUPPORTED;
        PortStats {
            number,
            rx_packets: none,
            tx_packets: none,
            rx_bytes: none,
            tx_bytes: none,
            rx_dropped: none,
            tx_dropped: none,
            rx_errors: none,
            tx_errors: none,
            rx_frame_err: none,
            rx_over_err: none,
            rx_crc_err: none,
            collisions: none,
            duration: Duration::ZERO,
        }
    }

    fn decode_1_4(r: &mut Reader<'_>) -> Result<PortStats, DecodeError> {
        let len = usize::from(r.clone().u16()?);
        let mut r = r.sub(len, "port statistics", ErrorCode::RequestBadLen)?;
        r.skip(4)?;
        let number = PortNo(r.u32()?);
        let duration = decode_duration(&mut r)?;
        let mut stats = PortStats { duration, ..Self::counters(number, &mut r)? };
        while let Some((ty, mut body)) = r.property()? {
            if ty == PROPERTY_ETHERNET {
                body.skip(4)?;
                stats.rx_frame_err = body.u64()?;
                stats.rx_over_err = body.u64()?;
                stats.rx_crc_err = body.u64()?;
                stats.collisions = body.u64()?;
            }
        }
        Ok(stats)
    }

    fn encode_1_4(&self, w: &mut Writer) {
        let start = w.len();
        w.zeros(4);
        w.u32(self.number.0);
        encode_duration(self.duration, w);
        let counters = [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
        ];
        counters.iter().for_each(|counter| w.u64(*counter));
        w.property(PROPERTY_ETHERNET, |w| {
            w.zeros(4);
            for counter in [self.rx_frame_err, self.rx_over_err, self.rx_crc_err, self.collisions] {
                w.u64(counter);
            }
        });
        w.patch_u16(start, w.len() - start);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PortStats, DecodeError> {
        if r.version() >= Version::V1_4 {
            return Self::decode_1_4(r);
        }
        let number = PortNo(r.u32()?);
        r.skip(4)?;
        let mut stats = Self::counters(number, r)?;
        stats.rx_frame_err = r.u64()?;
        stats.rx_over_err = r.u64()?;
        stats.rx_crc_err = r.u64()?;
        stats.collisions = r.u64()?;
        stats.duration = decode_duration(r)?;
        Ok(stats)
    }

    /// What stands together in every version.
    fn counters(number: PortNo, r: &mut Reader<'_>) -> Result<PortStats, DecodeError> {
        Ok(PortStats {
            rx_packets: r.u64()?,
            tx_packets: r.u64()?,
            rx_bytes: r.u64()?,
            tx_bytes: r.u64()?,
            rx_dropped: r.u64()?,
            tx_dropped: r.u64()?,
            rx_errors: r.u64()?,
            tx_errors: r.u64()?,
            ..PortStats::unsupported(number)
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        if w.version >= Version::V1_4 {
            return self.encode_1_4(w);
        }
        w.u32(self.number.0);
        w.zeros(4);
        let counters = [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
            self.rx_frame_err,
            self.rx_over_err,
            self.rx_crc_err,
            self.collisions,
        ];
        for counter in counters {
            w.u64(counter);
        }
        encode_duration(self.duration, w);
    }
}
