//! The learning bridge behind the port `NORMAL`: which port a station of a VLAN was last heard on. IEEE 802.1Q, section 8.7 and 8.8.
//!
//! Of fixed size: a set-associative table whose oldest entry of a set gives way. All workers learn into one, without locks: a station is two words, of which
//! the first is 0 while the second changes, so a reader that sees the same first word before and after has them from one moment.

use std::sync::atomic::{AtomicU64, Ordering};

use oko_openflow::PortNo;
use oko_packet::is_tagged;

use crate::clock::Nanos;
use crate::plan::Effect;

/// Entries that share a place.
const WAYS: usize = 4;
const SETS: usize = 4096;
/// How long a station is remembered without a packet of it: IEEE 802.1Q, table 8-6. In milliseconds.
const AGEING: u32 = 300_000;

#[derive(Debug, Default)]
struct Station {
    /// MAC address and, above it, the VLAN id; 0 for a free place.
    who: AtomicU64,
    /// The port, and below it when a packet of it came last, in milliseconds, of which 32 bits are kept.
    port_and_time: AtomicU64,
}

/// Where stations are.
#[derive(Debug)]
pub(crate) struct Bridge {
    stations: Box<[[Station; WAYS]]>,
}

impl Default for Bridge {
    fn default() -> Self {
        Self { stations: (0..SETS).map(|_| Default::default()).collect() }
    }
}

/// How a packet is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Addresses {
    /// The id of the outermost VLAN tag; 0 without a whole one.
    vlan: u16,
    source: u64,
    destination: u64,
}

impl Addresses {
    /// Those of a frame, if it has a whole Ethernet header.
    #[inline]
    fn of(frame: &[u8]) -> Option<Addresses> {
        let header = frame.first_chunk::<14>()?;
        let address = |at: usize| header[at..at + 6].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let vlan = if is_tagged(frame) { u16::from_be_bytes([frame[14], frame[15]]) & 0x0fff } else { 0 };
        Some(Addresses { vlan, source: address(6), destination: address(0) })
    }
}

/// A moment as stations keep it.
fn millis(now: Nanos) -> u32 {
    (now.0 / 1_000_000) as u32
}

const MULTICAST: u64 = 1 << 40;

impl Bridge {
    /// Learns from a packet and says where it goes: none if it is there already. One without addresses is for all.
    pub(crate) fn forward(&self, frame: &[u8], in_port: PortNo, now: Nanos) -> Option<Effect> {
        let Some(Addresses { vlan, source, destination }) = Addresses::of(frame) else {
            return Some(Effect::Flood);
        };
        let vlan = u64::from(vlan) << 48;
        // A group address is nobody's.
        if source & MULTICAST == 0 && source != 0 {
            self.learn(vlan | source, in_port, now);
        }
        if destination == 0 {
            // Nobody has that one, and it is how free places are marked.
            return Some(Effect::Flood);
        }
        if destination & MULTICAST != 0 {
            // Reserved for link protocols: never forwarded (section 8.6.3).
            let reserved = destination & !0xf == 0x0180_c200_0000;
            return (!reserved).then_some(Effect::Flood);
        }
        match self.find(vlan | destination, now) {
            Some(port) if port == in_port => None,
            Some(port) => Some(Effect::Output(port)),
            None => Some(Effect::Flood),
        }
    }

    fn set(who: u64) -> usize {
        (who.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize % SETS
    }

    fn learn(&self, who: u64, port: PortNo, now: Nanos) {
        let set = &self.stations[Self::set(who)];
        let time = millis(now);
        let known = set.iter().find(|station| station.who.load(Ordering::Relaxed) == who);
        let oldest = || {
            set.iter().max_by_key(|station| match station.who.load(Ordering::Relaxed) {
                0 => u32::MAX,
                _ => time.wrapping_sub(station.port_and_time.load(Ordering::Relaxed) as u32),
            })
        };
        let Some(station) = known.or_else(oldest) else { return };
        let new = u64::from(port.0) << 32 | u64::from(time);
        if known.is_some() {
            // One word: a reader has the old or the new one.
            if station.port_and_time.load(Ordering::Relaxed) != new {
                station.port_and_time.store(new, Ordering::Release);
            }
            return;
        }
        station.who.store(0, Ordering::Release);
        station.port_and_time.store(new, Ordering::Release);
        station.who.store(who, Ordering::Release);
    }

    fn find(&self, who: u64, now: Nanos) -> Option<PortNo> {
        let set = &self.stations[Self::set(who)];
        let station = set.iter().find(|station| station.who.load(Ordering::Acquire) == who)?;
        let port_and_time = station.port_and_time.load(Ordering::Acquire);
        let unchanged = station.who.load(Ordering::Acquire) == who;
        let fresh = millis(now).wrapping_sub(port_and_time as u32) < AGEING;
        (unchanged && fresh).then_some(PortNo((port_and_time >> 32) as u32))
    }

    /// Forgets the stations behind a port.
    pub(crate) fn forget(&self, port: PortNo) {
        for station in self.stations.iter().flatten() {
            if station.port_and_time.load(Ordering::Relaxed) >> 32 == u64::from(port.0) {
                station.who.store(0, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use oko_packet::Field;

    use super::*;

    /// A frame; of a VLAN if the number is not 0.
    fn packet(vlan: u16, source: u64, destination: u64) -> Vec<u8> {
        let mut frame = [&destination.to_be_bytes()[2..], &source.to_be_bytes()[2..]].concat();
        if vlan != 0 {
            frame.extend([0x81, 0, (vlan >> 8) as u8, vlan as u8]);
        }
        frame.extend([8, 0]);
        frame
    }

    const NOW: Nanos = Nanos(1_000_000_000);
    const LATER: Nanos = Nanos(301_000_000_000);

    #[test]
    fn what_was_heard_is_not_flooded_until_it_is_long_ago() {
        let bridge = Bridge::default();
        let (a, b) = (0x0200_0000_0001, 0x0200_0000_0002);
        assert_eq!(bridge.forward(&packet(0, a, b), PortNo(1), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(0, b, a), PortNo(2), NOW), Some(Effect::Output(PortNo(1))));
        assert_eq!(bridge.forward(&packet(0, a, b), PortNo(1), NOW), Some(Effect::Output(PortNo(2))));
        // On the port that it came from, or moved there.
        assert_eq!(bridge.forward(&packet(0, 5, a), PortNo(1), NOW), None);
        assert_eq!(bridge.forward(&packet(0, b, a), PortNo(3), NOW), Some(Effect::Output(PortNo(1))));
        assert_eq!(bridge.forward(&packet(0, a, b), PortNo(1), NOW), Some(Effect::Output(PortNo(3))));
        assert_eq!(bridge.forward(&packet(0, a, b), PortNo(1), LATER), Some(Effect::Flood));
    }

    #[test]
    fn vlans_learn_apart() {
        let bridge = Bridge::default();
        let (a, b) = (0x0200_0000_0001, 0x0200_0000_0002);
        bridge.forward(&packet(5, a, b), PortNo(1), NOW);
        assert_eq!(bridge.forward(&packet(6, b, a), PortNo(2), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(5, b, a), PortNo(2), NOW), Some(Effect::Output(PortNo(1))));
    }

    #[test]
    fn frames_are_addressed_as_their_keys_say() {
        let plain = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 1];
        let tagged = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0x60, 5, 0x81, 0, 0, 6, 8, 0];
        for (frame, vlan) in [(&plain[..], 0), (&tagged, 5), (&tagged[..17], 0)] {
            let key = oko_packet::extract(frame, 1).key;
            let found = Addresses::of(frame).unwrap();
            assert_eq!(found, Addresses { vlan, source: 0x0200_0000_0002, destination: 0x0200_0000_0001 });
            assert_eq!(u128::from(found.vlan), key.get(Field::VLAN_VID) & 0x0fff);
            assert_eq!(u128::from(found.source), key.get(Field::ETH_SRC));
            assert_eq!(u128::from(found.destination), key.get(Field::ETH_DST));
        }
        assert_eq!(Addresses::of(&plain[..13]), None);
        assert_eq!(Bridge::default().forward(&plain[..13], PortNo(1), NOW), Some(Effect::Flood));
    }

    #[test]
    fn groups_are_flooded_but_for_link_protocols() {
        let bridge = Bridge::default();
        let everybody = 0xffff_ffff_ffff;
        assert_eq!(bridge.forward(&packet(0, everybody, 9), PortNo(1), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(0, 9, everybody), PortNo(1), NOW), Some(Effect::Flood));
        bridge.forward(&packet(0, 1, 9), PortNo(1), NOW);
        bridge.forget(PortNo(1));
        assert_eq!(bridge.forward(&packet(0, 9, 0), PortNo(2), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(0, 9, 0x0180_c200_000e), PortNo(1), NOW), None);
    }

    #[test]
    fn stations_of_a_port_that_goes_are_forgotten() {
        let bridge = Bridge::default();
        let (a, b) = (0x0200_0000_0001, 0x0200_0000_0002);
        bridge.forward(&packet(0, a, b), PortNo(1), NOW);
        bridge.forward(&packet(0, b, a), PortNo(2), NOW);
        bridge.forget(PortNo(1));
        assert_eq!(bridge.forward(&packet(0, b, a), PortNo(2), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(0, 9, b), PortNo(3), NOW), Some(Effect::Output(PortNo(2))));
    }

    #[test]
    fn any_number_of_stations_takes_no_more_memory() {
        let bridge = Bridge::default();
        for station in 0..200_000_u64 {
            bridge.forward(
                &packet(0, 0x0200_0000_0000 | station, 1),
                PortNo(1),
                Nanos(NOW.0 + station * 1_000_000),
            );
        }
        let last = 0x0200_0000_0000 | 199_999;
        let now = Nanos(NOW.0 + 200_000 * 1_000_000);
        assert_eq!(bridge.forward(&packet(0, 3, last), PortNo(2), now), Some(Effect::Output(PortNo(1))));
    }
}
