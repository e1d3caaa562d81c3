//! The common shapes of frames: those whose header fields lie at fixed offsets.
//!
//! A frame has a shape if a few bytes say so: EtherType, IP version and header length, protocol, no fragment, and lengths
//! that leave room for the transport header. All that [`oko_packet::extract`] would find out about which headers there are follows
//! from the shape; what is left are the values of fields, at the offsets that [`Shape::places`] lists.

use oko_packet::proto::{ETH_IPV4, ETH_IPV6, ETH_VLAN, IP_TCP, IP_UDP};
use oko_packet::{Field, FlowKey, Layers};

/// A common shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Shape {
    /// Ethernet, IPv4 without options, TCP.
    Ipv4Tcp,
    /// Ethernet, IPv4 without options, UDP.
    Ipv4Udp,
    /// Ethernet, IPv6 without extension headers, TCP.
    Ipv6Tcp,
    /// Ethernet, IPv6 without extension headers, UDP.
    Ipv6Udp,
    /// One VLAN tag before [`Shape::Ipv4Tcp`].
    VlanIpv4Tcp,
    /// One VLAN tag before [`Shape::Ipv4Udp`].
    VlanIpv4Udp,
    /// One VLAN tag before [`Shape::Ipv6Tcp`].
    VlanIpv6Tcp,
    /// One VLAN tag before [`Shape::Ipv6Udp`].
    VlanIpv6Udp,
}

/// Where bits of a field lie in a frame: `value & mask` of the field, shifted left by `shift`, is the big-endian number of `bytes` bytes
/// at `offset`, but for bits of other fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) field: Field,
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
    pub(crate) shift: u32,
    /// The bits of the field that can be there.
    pub(crate) mask: u128,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Shape; 8] = [
        Shape::Ipv4Tcp,
        Shape::Ipv4Udp,
        Shape::Ipv6Tcp,
        Shape::Ipv6Udp,
        Shape::VlanIpv4Tcp,
        Shape::VlanIpv4Udp,
        Shape::VlanIpv6Tcp,
        Shape::VlanIpv6Udp,
    ];

    /// The shape of a frame, if it has one of the common ones.
    #[inline]
    pub fn of(frame: &[u8]) -> Option<Shape> {
        let Layers { tagged, v6, protocol, .. } = Layers::of(frame)?;
        Some(match (tagged, v6, protocol) {
            (false, false, IP_TCP) => Shape::Ipv4Tcp,
            (false, false, IP_UDP) => Shape::Ipv4Udp,
            (false, true, IP_TCP) => Shape::Ipv6Tcp,
            (false, true, IP_UDP) => Shape::Ipv6Udp,
            (true, false, IP_TCP) => Shape::VlanIpv4Tcp,
            (true, false, IP_UDP) => Shape::VlanIpv4Udp,
            (true, true, IP_TCP) => Shape::VlanIpv6Tcp,
            (true, true, IP_UDP) => Shape::VlanIpv6Udp,
            _ => return None,
        })
    }

    /// The test of whether frames have this shape.
    pub(crate) fn test(self) -> &'static Test {
        &TESTS[self as usize]
    }

    const fn has_tag(self) -> bool {
        matches!(self, Shape::VlanIpv4Tcp | Shape::VlanIpv4Udp | Shape::VlanIpv6Tcp | Shape::VlanIpv6Udp)
    }

    const fn is_ipv6(self) -> bool {
        matches!(self, Shape::Ipv6Tcp | Shape::Ipv6Udp | Shape::VlanIpv6Tcp | Shape::VlanIpv6Udp)
    }

    /// Whether the transport header is that of TCP.
    const fn is_tcp(self) -> bool {
        matches!(self, Shape::Ipv4Tcp | Shape::Ipv6Tcp | Shape::VlanIpv4Tcp | Shape::VlanIpv6Tcp)
    }

    /// The EtherType and the IP protocol of all its frames.
    pub(crate) fn types(self) -> (u128, u128) {
        let eth_type = if self.is_ipv6() { ETH_IPV6 } else { ETH_IPV4 };
        (eth_type.into(), if self.is_tcp() { IP_TCP } else { IP_UDP }.into())
    }

    /// Offset of the network header, in bytes from the start of the frame.
    pub const fn network_offset(self) -> usize {
        if self.has_tag() { 18 } else { 14 }
    }

    /// Offset of the transport header, in bytes from the start of the frame.
    pub const fn transport_offset(self) -> usize {
        self.network_offset() + if self.is_ipv6() { 40 } else { 20 }
    }

    /// How many bytes every frame of this shape has at least.
    pub const fn min_len(self) -> usize {
        self.transport_offset() + if self.is_tcp() { 20 } else { 8 }
    }

    /// Where the fields lie whose values the shape does not fix.
    pub(crate) fn places(self) -> Vec<Place> {
        let whole = |field: Field, offset: usize, bytes: usize| Place {
            field,
            offset,
            bytes,
            shift: 0,
            mask: field.max(),
        };
        let part = |field: Field, offset: usize, bytes: usize, shift: u32, mask: u128| Place {
            field,
            offset,
            bytes,
            shift,
            mask,
        };
        let (l3, l4) = (self.network_offset(), self.transport_offset());
        let mut places = vec![
            whole(Field::ETH_DST, 0, 6),
            whole(Field::ETH_SRC, 6, 6),
            whole(Field::L4_SRC, l4, 2),
            whole(Field::L4_DST, l4 + 2, 2),
        ];
        if self.has_tag() {
            // `OFPVID_PRESENT` follows from the shape.
            places.push(part(Field::VLAN_VID, 14, 2, 0, 0x0fff));
            places.push(part(Field::VLAN_PCP, 14, 2, 13, 7));
        }
        if self.is_ipv6() {
            places.push(part(Field::IP_DSCP, l3, 4, 22, 0x3f));
            places.push(part(Field::IP_ECN, l3, 4, 20, 3));
            places.push(part(Field::IPV6_FLABEL, l3, 4, 0, 0xf_ffff));
            places.push(whole(Field::IPV6_SRC, l3 + 8, 16));
            places.push(whole(Field::IPV6_DST, l3 + 24, 16));
        } else {
            places.push(part(Field::IP_DSCP, l3 + 1, 1, 2, 0x3f));
            places.push(part(Field::IP_ECN, l3 + 1, 1, 0, 3));
            places.push(whole(Field::IPV4_SRC, l3 + 12, 4));
            places.push(whole(Field::IPV4_DST, l3 + 16, 4));
        }
        if self.is_tcp() {
            places.push(part(Field::TCP_FLAGS, l4 + 12, 2, 0, 0x0fff));
        }
        places
    }

    /// The bytes of a frame in which the bits under a mask over the flow key lie: a mask for each byte, up to [`Shape::min_len`].
    pub(crate) fn bytes_under(self, mask: &FlowKey) -> Vec<u8> {
        let mut bytes = vec![0_u8; self.min_len()];
        for place in self.places() {
            let bits = (mask.get(place.field) & place.mask) << place.shift;
            let all = bits.to_be_bytes();
            for (byte, bits) in
                bytes[place.offset..place.offset + place.bytes].iter_mut().zip(&all[16 - place.bytes..])
            {
                *byte |= bits;
            }
        }
        bytes
    }
}

/// Whether a frame has one shape, told by two of its words: sooner than [`Shape::of`] finds out which it has. These are the eight bytes that end two
/// bytes into the network header, and the eight behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    /// Where the first word is.
    offset: usize,
    masks: [u64; 2],
    values: [u64; 2],
    /// Where the length that the network header tells is, and how much it has to be.
    length_offset: usize,
    least_length: u16,
    min_len: usize,
}

/// The tests of [`Shape::ALL`].
static TESTS: [Test; Shape::ALL.len()] = {
    let mut tests = [Test::of(Shape::ALL[0]); Shape::ALL.len()];
    let mut at = 1;
    while at < tests.len() {
        tests[at] = Test::of(Shape::ALL[at]);
        at += 1;
    }
    tests
};

impl Test {
    const fn of(shape: Shape) -> Test {
        let (mut masks, mut values) = ([0; 16], [0; 16]);
        if shape.has_tag() {
            (masks[0], masks[1]) = (0xff, 0xff);
            [values[0], values[1]] = ETH_VLAN.to_be_bytes();
        }
        (masks[4], masks[5]) = (0xff, 0xff);
        [values[4], values[5]] = if shape.is_ipv6() { ETH_IPV6 } else { ETH_IPV4 }.to_be_bytes();
        let protocol = if shape.is_tcp() { IP_TCP } else { IP_UDP };
        if shape.is_ipv6() {
            (masks[6], values[6]) = (0xf0, 0x60);
            (masks[12], values[12]) = (0xff, protocol);
        } else {
            (masks[6], values[6]) = (0xff, 0x45);
            // No fragment.
            (masks[12], masks[13]) = (0x3f, 0xff);
            (masks[15], values[15]) = (0xff, protocol);
        }
        let network = shape.network_offset();
        let header = shape.min_len() - network;
        Test {
            offset: network - 6,
            masks: words(masks),
            values: words(values),
            length_offset: network + if shape.is_ipv6() { 4 } else { 2 },
            // That of IPv6 is of what comes behind its header.
            least_length: if shape.is_ipv6() { header - 40 } else { header } as u16,
            min_len: shape.min_len(),
        }
    }

    /// Whether a frame has the shape. It may say no of frames with a tag.
    #[inline]
    pub(crate) fn holds(&self, frame: &[u8]) -> bool {
        // What every shape has; the offsets lie within, and are cut to what does so that nobody has to look.
        let Some(head) = frame.first_chunk::<42>().filter(|_| frame.len() >= self.min_len) else {
            return false;
        };
        let (offset, length_offset) = (self.offset & 15, self.length_offset & 31);
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| head[at + i]));
        let differ = (word(offset) & self.masks[0] ^ self.values[0])
            | (word(offset + 8) & self.masks[1] ^ self.values[1]);
        differ == 0 && be16(head, length_offset) >= self.least_length
    }
}

/// Bytes as two words in the byte order of the host.
const fn words(bytes: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)]
}

#[inline]
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use oko_packet::proto::ETH_QINQ;
    use proptest::prelude::*;

    use super::*;

    /// A frame of a shape, or nearly: a byte is another one, perhaps, and bytes are cut off.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let change = proptest::option::of((0..64_usize, any::<u8>()));
        (0..Shape::ALL.len(), any::<[u8; 78]>(), 0..160_u16, change, 0..=78_usize).prop_map(
            |(shape, bytes, length, change, end)| {
                let (test, mut bytes) = (TESTS[shape], bytes);
                let from = test.offset;
                let both = bytes[from..from + 16].first_chunk_mut::<16>().expect("it is as long");
                let found = words(*both);
                let word = |at: usize| (found[at] & !test.masks[at] | test.values[at]).to_ne_bytes();
                let ([first, second], (before, behind)) = ([word(0), word(1)], both.split_at_mut(8));
                before.copy_from_slice(&first);
                behind.copy_from_slice(&second);
                bytes[test.length_offset..test.length_offset + 2].copy_from_slice(&length.to_be_bytes());
                if let Some((at, byte)) = change {
                    bytes[at] = byte;
                }
                bytes[..end].to_vec()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn two_words_tell_a_shape(frame in nearly()) {
            for shape in Shape::ALL {
                let provider = frame.get(12..14) == Some(&ETH_QINQ.to_be_bytes());
                prop_assert_eq!(shape.test().holds(&frame), Shape::of(&frame) == Some(shape) && !provider);
            }
        }
    }
}
