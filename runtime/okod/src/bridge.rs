//! The learning bridge behind the port `NORMAL`: which port a station of a VLAN was last heard on. IEEE 802.1Q, section 8.7 and 8.8.
//!
//! Of fixed size: a set-associative table whose oldest entry of a set gives way.

use oko_openflow::PortNo;
use oko_packet::{Field, FlowKey};

use crate::clock::Nanos;
use crate::plan::Effect;

/// Entries that share a place.
const WAYS: usize = 4;
const SETS: usize = 4096;
/// How long a station is remembered without a packet of it: IEEE 802.1Q, table 8-6.
const AGEING: u64 = 300 * 1_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Station {
    /// MAC address and, above it, the VLAN id; 0 for a free place.
    who: u64,
    port: PortNo,
    heard: u64,
}

/// Where stations are.
#[derive(Debug)]
pub(crate) struct Bridge {
    stations: Box<[[Station; WAYS]]>,
}

impl Default for Bridge {
    fn default() -> Self {
        let nobody = Station { who: 0, port: PortNo::ANY, heard: 0 };
        Self { stations: vec![[nobody; WAYS]; SETS].into_boxed_slice() }
    }
}

const MULTICAST: u64 = 1 << 40;

impl Bridge {
    /// Learns from a packet and says where it goes: none if it is there already.
    pub(crate) fn forward(&mut self, key: &FlowKey, in_port: PortNo, now: Nanos) -> Option<Effect> {
        let vlan = (key.get(Field::VLAN_VID) as u64 & 0x0fff) << 48;
        let (source, destination) = (key.get(Field::ETH_SRC) as u64, key.get(Field::ETH_DST) as u64);
        // A group address is nobody's.
        if source & MULTICAST == 0 && source != 0 {
            self.learn(vlan | source, in_port, now);
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

    fn learn(&mut self, who: u64, port: PortNo, now: Nanos) {
        let set = &mut self.stations[Self::set(who)];
        let at = set.iter().position(|station| station.who == who);
        let at = at.or_else(|| (0..WAYS).min_by_key(|at| set[*at].heard));
        if let Some(at) = at {
            set[at] = Station { who, port, heard: now.0 };
        }
    }

    fn find(&self, who: u64, now: Nanos) -> Option<PortNo> {
        let set = &self.stations[Self::set(who)];
        let station = set.iter().find(|station| station.who == who)?;
        (now.0.saturating_sub(station.heard) < AGEING).then_some(station.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(vlan: u16, source: u64, destination: u64) -> FlowKey {
        let mut key = FlowKey::ZERO;
        key.set(Field::VLAN_VID, vlan.into());
        key.set(Field::ETH_SRC, source.into());
        key.set(Field::ETH_DST, destination.into());
        key
    }

    const NOW: Nanos = Nanos(1_000_000_000);
    const LATER: Nanos = Nanos(301_000_000_000);

    #[test]
    fn what_was_heard_is_not_flooded_until_it_is_long_ago() {
        let mut bridge = Bridge::default();
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
        let mut bridge = Bridge::default();
        let (a, b) = (0x0200_0000_0001, 0x0200_0000_0002);
        bridge.forward(&packet(0x1005, a, b), PortNo(1), NOW);
        assert_eq!(bridge.forward(&packet(0x1006, b, a), PortNo(2), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(0x1005, b, a), PortNo(2), NOW), Some(Effect::Output(PortNo(1))));
    }

    #[test]
    fn groups_are_flooded_but_for_link_protocols() {
        let mut bridge = Bridge::default();
        let everybody = 0xffff_ffff_ffff;
        assert_eq!(bridge.forward(&packet(0, everybody, 9), PortNo(1), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(0, 9, everybody), PortNo(1), NOW), Some(Effect::Flood));
        assert_eq!(bridge.forward(&packet(0, 9, 0x0180_c200_000e), PortNo(1), NOW), None);
    }

    #[test]
    fn any_number_of_stations_takes_no_more_memory() {
        let mut bridge = Bridge::default();
        for station in 0..200_000_u64 {
            bridge.forward(&packet(0, 0x0200_0000_0000 | station, 1), PortNo(1), Nanos(NOW.0 + station));
        }
        let last = 0x0200_0000_0000 | 199_999;
        let now = Nanos(NOW.0 + 200_000);
        assert_eq!(bridge.forward(&packet(0, 3, last), PortNo(2), now), Some(Effect::Output(PortNo(1))));
    }
}
