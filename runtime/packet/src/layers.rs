//! Where the headers of ordinary frames are, told by a few bytes.
//!
//! An ordinary frame has an Ethernet header, at most one VLAN tag, and IPv4 without options or IPv6 without extension headers; it is no fragment, and has all
//! of the transport header if its protocol is TCP or UDP. [`extract`](crate::extract) finds the same headers in it. What is not ordinary, or not whole, is left
//! to that.

use crate::extract::be16;
use crate::proto::{ETH_IPV4, ETH_IPV6, ETH_QINQ, ETH_VLAN, IP_TCP, IP_UDP};

/// Bytes of an Ethernet header, and of one with a tag.
const ETHERNET: usize = 14;
const TAGGED: usize = 18;
/// Bytes of the shortest ordinary frame: with IPv4 and nothing behind it.
const LEAST: usize = ETHERNET + 20;

/// The headers of an ordinary frame. Offsets are in bytes from the start of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Whether there is a VLAN tag.
    pub tagged: bool,
    /// Whether it is IPv6 and not IPv4.
    pub v6: bool,
    /// The protocol behind the network header: none that is an extension header.
    pub protocol: u8,
    /// Offset of the network header.
    pub network: usize,
    /// Offset of what is behind it.
    pub transport: usize,
    /// How many bytes are there, padding not counted.
    pub room: usize,
}

/// Whether a frame has a whole VLAN tag.
#[inline]
pub fn is_tagged(frame: &[u8]) -> bool {
    frame.first_chunk::<TAGGED>().is_some_and(|head| matches!(be16(head, 12), ETH_VLAN | ETH_QINQ))
}

impl Layers {
    /// Those of a frame, if it is ordinary.
    #[inline]
    pub fn of(frame: &[u8]) -> Option<Layers> {
        let head = frame.first_chunk::<LEAST>()?;
        let (tagged, network, eth_type) = match be16(head, 12) {
            ETH_VLAN | ETH_QINQ => (true, TAGGED, be16(head, 16)),
            eth_type => (false, ETHERNET, eth_type),
        };
        let (v6, protocol, header, len) = match eth_type {
            ETH_IPV4 => {
                let ip = frame.get(network..)?.first_chunk::<20>()?;
                let is_fragment = be16(ip, 6) & 0x3fff != 0;
                if ip[0] != 0x45 || is_fragment {
                    return None;
                }
                (false, ip[9], 20, usize::from(be16(ip, 2)))
            }
            ETH_IPV6 => {
                let ip = frame.get(network..)?.first_chunk::<40>()?;
                // Extension headers.
                if ip[0] >> 4 != 6 || matches!(ip[6], 0 | 43 | 44 | 50 | 51 | 59 | 60) {
                    return None;
                }
                (true, ip[6], 40, 40 + usize::from(be16(ip, 4)))
            }
            _ => return None,
        };
        let room = len.min(frame.len() - network).checked_sub(header)?;
        let least = match protocol {
            IP_TCP => 20,
            IP_UDP => 8,
            _ => 0,
        };
        (room >= least).then_some(Layers { tagged, v6, protocol, network, transport: network + header, room })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Field, extract};

    /// A frame that is ordinary or nearly so: a byte is another one, perhaps, and bytes are cut off.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let protocol = prop::sample::select(vec![IP_TCP, IP_UDP, 1, 47, 58, 132, 0, 44, 59]);
        let change = prop::option::of((12..64_usize, any::<u8>()));
        (any::<(bool, bool)>(), any::<[u8; 60]>(), 0..60_u16, protocol, change, 0..=78_usize).prop_map(
            |((tagged, v6), bytes, len, protocol, change, end)| {
                let mut frame = vec![2; 12];
                if tagged {
                    frame.extend([0x81, 0, 0, 5]);
                }
                frame.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
                let at = frame.len();
                frame.extend(bytes);
                let [high, low] = len.to_be_bytes();
                if v6 {
                    frame[at..at + 7].copy_from_slice(&[0x60, 0, 0, 0, high, low, protocol]);
                } else {
                    frame[at..at + 4].copy_from_slice(&[0x45, 0, high, low]);
                    frame[at + 6..at + 10].copy_from_slice(&[0x40, 0, 64, protocol]);
                }
                if let Some((at, byte)) = change {
                    frame[at] = byte;
                }
                frame.truncate(end);
                frame
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn ordinary_frames_have_the_headers_that_extraction_finds(frame in nearly()) {
            let found = extract(&frame, 1);
            if let Some(layers) = Layers::of(&frame) {
                prop_assert_eq!(found.l3, u16::try_from(layers.network).ok());
                prop_assert!(found.readable && !found.routed);
                prop_assert_eq!(layers.tagged, found.key.get(Field::VLAN_VID) != 0);
                let eth_type = if layers.v6 { ETH_IPV6 } else { ETH_IPV4 };
                prop_assert_eq!(found.key.get(Field::ETH_TYPE), u128::from(eth_type));
                prop_assert_eq!(found.key.get(Field::IP_PROTO), u128::from(layers.protocol));
                prop_assert_eq!((found.key.get(Field::IP_FRAG), found.key.get(Field::IPV6_EXTHDR)), (0, 0));
                if [IP_TCP, IP_UDP].contains(&layers.protocol) {
                    prop_assert_eq!(found.l4, u16::try_from(layers.transport).ok());
                }
            }
        }
    }

    #[test]
    fn whole_tcp_and_udp_is_ordinary() {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, IP_TCP]);
        frame.resize(60, 0);
        let expected =
            Layers { tagged: false, v6: false, protocol: IP_TCP, network: 14, transport: 34, room: 20 };
        assert_eq!(Layers::of(&frame), Some(expected));
        frame[23] = IP_UDP;
        assert_eq!(Layers::of(&frame), Some(Layers { protocol: IP_UDP, ..expected }));
        assert_eq!(Layers::of(&frame[..53]), Some(Layers { protocol: IP_UDP, room: 19, ..expected }));
        frame[23] = IP_TCP;
        assert_eq!(Layers::of(&frame[..53]), None);
    }
}
