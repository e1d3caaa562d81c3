//! Changes that are worked out once and made to many packets.
//!
//! An [`Editor`](super::Editor) can do everything to every frame, and reads the whole frame for it. Most packets are [ordinary](crate::Layers). In these,
//! each field has its place before the frame is looked at. A [`Rewrite`] is a list of such places and what they get. To a frame that it [fits](Rewrite::fits) it does
//! exactly what an editor does; of others it says so, and they are left to one.

use super::checksum::Difference;
use super::frame::{FrameBuf, NoRoom};
use super::tags::{ADDRESSES, ETHERNET, TAG, push_vlan};
use crate::extract::{be16, be32};
use crate::key::Field;
use crate::layers::{Layers, is_tagged};
use crate::proto::{ETH_IPV4, ETH_IPV6, ETH_QINQ, ETH_VLAN, IP_ICMPV6, IP_TCP, IP_UDP};

/// The most changes in one list.
const MOST: usize = 6;

/// Kinds of IP packets, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Whatever it is, also if it is not IP.
    pub const ALL: Kinds = Kinds(u8::MAX);
    /// None.
    pub const NONE: Kinds = Kinds(0);
    const TCP4: Kinds = Kinds(1);
    const UDP4: Kinds = Kinds(2);
    const OTHER4: Kinds = Kinds(4);
    const TCP6: Kinds = Kinds(8);
    const UDP6: Kinds = Kinds(16);
    const OTHER6: Kinds = Kinds(32);
    const IPV4: Kinds = Kinds(1 | 2 | 4);
    const IPV6: Kinds = Kinds(8 | 16 | 32);
    const IP: Kinds = Kinds(Self::IPV4.0 | Self::IPV6.0);
    const PORTS: Kinds = Kinds(1 | 2 | 8 | 16);

    /// Packets of an EtherType; of none that is not IP.
    #[must_use]
    pub const fn of_eth_type(eth_type: u16) -> Kinds {
        match eth_type {
            ETH_IPV4 => Kinds::IPV4,
            ETH_IPV6 => Kinds::IPV6,
            _ => Kinds::NONE,
        }
    }

    /// Packets of an IP protocol; of none that shares its kind with others.
    #[must_use]
    pub const fn of_proto(proto: u8) -> Kinds {
        match proto {
            IP_TCP => Kinds(Self::TCP4.0 | Self::TCP6.0),
            IP_UDP => Kinds(Self::UDP4.0 | Self::UDP6.0),
            _ => Kinds::NONE,
        }
    }

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }
}

/// One change. Masks have the bits that change; values have no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Six bytes of the Ethernet header.
    Mac {
        at: u8,
        mask: u64,
        value: u64,
    },
    /// The outermost tag's control information.
    Tci {
        mask: u16,
        value: u16,
    },
    PushVlan(u16),
    PopVlan,
    /// Four bytes of an IPv4 header.
    Ipv4 {
        at: u8,
        mask: u32,
        value: u32,
    },
    /// The first four bytes of an IPv6 header.
    Ipv6 {
        mask: u32,
        value: u32,
    },
    /// An address in an IPv6 header.
    Ipv6Address {
        at: u8,
        mask: [u8; 16],
        value: [u8; 16],
    },
    /// A port of TCP or UDP.
    Port {
        at: u8,
        mask: u16,
        value: u16,
    },
    /// The time to live or hop limit.
    Ttl(u8),
    DecTtl,
}

/// What is known of the VLAN tag that a packet has when a change comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tag {
    /// It is as it came.
    #[default]
    Original,
    /// So many were put on.
    Pushed(u8),
    /// The one that it came with is gone.
    Popped,
}

/// A list of changes. It does not allocate.
#[derive(Clone, Debug)]
pub struct Rewrite {
    steps: [Step; MOST],
    len: u8,
    /// Packets that it can be done to.
    kinds: Kinds,
    /// Whether they must have come with a VLAN tag.
    tagged: bool,
    tag: Tag,
    /// Whether the time to live goes down, and so must not be over, and whether it was written.
    dec_ttl: bool,
    ttl: bool,
}

/// Where the headers are of a frame that a [`Rewrite`] fits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    l3: u16,
    l4: u16,
    /// Where the transport checksum is that covers the addresses; 0 if none does.
    checksum: u16,
    v6: bool,
    udp: bool,
}

impl Default for Rewrite {
    fn default() -> Self {
        Self {
            steps: [Step::DecTtl; MOST],
            len: 0,
            kinds: Kinds::ALL,
            tagged: false,
            tag: Tag::Original,
            dec_ttl: false,
            ttl: false,
        }
    }
}

impl Rewrite {
    /// Whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether packets keep their length.
    #[must_use]
    pub fn keeps_length(&self) -> bool {
        !self.steps().iter().any(|step| matches!(step, Step::PushVlan(_) | Step::PopVlan))
    }

    /// Gives the bits of `mask` of a field the value of those bits; for packets of some kinds, and if it is of a VLAN tag, for those with one. None if that
    /// needs an editor; nothing can be done with the list then.
    pub fn set(&mut self, field: Field, mask: u128, value: u128, kinds: Kinds) -> Option<()> {
        let value = value & mask;
        let (short, word) = ((mask as u16, value as u16), (mask as u32, value as u32));
        match field {
            Field::ETH_DST => self.push(Step::Mac { at: 0, mask: mask as u64, value: value as u64 }, kinds),
            Field::ETH_SRC => self.push(Step::Mac { at: 6, mask: mask as u64, value: value as u64 }, kinds),
            Field::VLAN_VID => self.set_tci(short.0 & 0x0fff, short.1 & 0x0fff, kinds),
            Field::VLAN_PCP => self.set_tci(short.0 << 13, short.1 << 13, kinds),
            Field::IPV4_SRC => self.push(Step::Ipv4 { at: 12, mask: word.0, value: word.1 }, kinds),
            Field::IPV4_DST => self.push(Step::Ipv4 { at: 16, mask: word.0, value: word.1 }, kinds),
            Field::IPV6_SRC => self.set_ipv6_address(8, mask, value, kinds),
            Field::IPV6_DST => self.set_ipv6_address(24, mask, value, kinds),
            Field::IPV6_FLABEL => {
                self.push(Step::Ipv6 { mask: word.0 & 0xf_ffff, value: word.1 & 0xf_ffff }, kinds)
            }
            Field::IP_DSCP => self.set_class(2, 0xfc, word, kinds),
            Field::IP_ECN => self.set_class(0, 0x03, word, kinds),
            Field::L4_SRC => self.push(Step::Port { at: 0, mask: short.0, value: short.1 }, kinds),
            Field::L4_DST => self.push(Step::Port { at: 2, mask: short.0, value: short.1 }, kinds),
            _ => None,
        }
    }

    fn set_ipv6_address(&mut self, at: u8, mask: u128, value: u128, kinds: Kinds) -> Option<()> {
        let (mask, value) = (mask.to_be_bytes(), value.to_be_bytes());
        self.push(Step::Ipv6Address { at, mask, value }, kinds)
    }

    /// Bits of the traffic class, of which each version has its own place: so it must be known which it is.
    fn set_class(&mut self, shift: u32, bits: u32, (mask, value): (u32, u32), kinds: Kinds) -> Option<()> {
        let (mask, value) = (mask << shift & bits, value << shift & bits);
        if kinds.and(Kinds::IPV4) == kinds {
            self.push(Step::Ipv4 { at: 0, mask: mask << 16, value: value << 16 }, kinds)
        } else if kinds.and(Kinds::IPV6) == kinds {
            self.push(Step::Ipv6 { mask: mask << 20, value: value << 20 }, kinds)
        } else {
            None
        }
    }

    fn set_tci(&mut self, mask: u16, value: u16, kinds: Kinds) -> Option<()> {
        match self.tag {
            Tag::Original => self.tagged = true,
            Tag::Pushed(_) => {}
            Tag::Popped => return None,
        }
        self.push(Step::Tci { mask, value }, kinds)
    }

    /// Pushes a VLAN tag. None as for [`set`](Self::set).
    pub fn push_vlan(&mut self, eth_type: u16) -> Option<()> {
        self.tag = match self.tag {
            // Another EtherType hides what is behind it.
            _ if !matches!(eth_type, ETH_VLAN | ETH_QINQ) => return None,
            Tag::Original => Tag::Pushed(1),
            Tag::Pushed(tags) => Tag::Pushed(tags + 1),
            Tag::Popped => return None,
        };
        self.push(Step::PushVlan(eth_type), Kinds::ALL)
    }

    /// Pops the outermost VLAN tag of packets that have one. None as for [`set`](Self::set).
    pub fn pop_vlan(&mut self) -> Option<()> {
        self.tag = match self.tag {
            Tag::Original => {
                self.tagged = true;
                Tag::Popped
            }
            Tag::Pushed(1) => Tag::Original,
            Tag::Pushed(tags) => Tag::Pushed(tags - 1),
            Tag::Popped => return None,
        };
        self.push(Step::PopVlan, Kinds::ALL)
    }

    /// Sets the time to live or hop limit. None as for [`set`](Self::set).
    pub fn set_ttl(&mut self, ttl: u8) -> Option<()> {
        self.ttl = true;
        self.push(Step::Ttl(ttl), Kinds::IP)
    }

    /// Decrements it, of packets that live on. None as for [`set`](Self::set).
    pub fn dec_ttl(&mut self) -> Option<()> {
        if self.dec_ttl || self.ttl {
            // What it is then is not to be seen before.
            return None;
        }
        self.dec_ttl = true;
        self.push(Step::DecTtl, Kinds::IP)
    }

    fn push(&mut self, step: Step, kinds: Kinds) -> Option<()> {
        let needs = match step {
            Step::Mac { .. } | Step::Tci { .. } | Step::PushVlan(_) | Step::PopVlan => Kinds::ALL,
            Step::Ipv4 { .. } => Kinds::IPV4,
            Step::Ipv6 { .. } | Step::Ipv6Address { .. } => Kinds::IPV6,
            Step::Port { .. } => Kinds::PORTS,
            Step::Ttl(_) | Step::DecTtl => Kinds::IP,
        };
        self.kinds = self.kinds.and(kinds).and(needs);
        let place = self.steps.get_mut(usize::from(self.len))?;
        *place = step;
        self.len += 1;
        (self.kinds != Kinds::NONE).then_some(())
    }

    fn steps(&self) -> &[Step] {
        &self.steps[..usize::from(self.len)]
    }

    /// Whether the changes can be made to a frame, and where its headers are then.
    #[inline]
    #[must_use]
    pub fn fits(&self, frame: &[u8]) -> Option<Shape> {
        if frame.len() < ETHERNET || self.tagged && !is_tagged(frame) {
            return None;
        }
        if self.kinds == Kinds::ALL {
            return Some(Shape::default());
        }
        let (kind, shape) = Shape::of(Layers::of(frame)?)?;
        if self.kinds.and(kind) == Kinds::NONE || self.dec_ttl && frame[shape.ttl()] < 2 {
            return None;
        }
        Some(shape)
    }

    /// Makes the changes to a frame that they fit.
    ///
    /// # Errors
    /// When there is no room for a tag; some of the changes may have been made.
    #[inline]
    pub fn apply(&self, shape: Shape, frame: &mut FrameBuf<'_>) -> Result<(), NoRoom> {
        let mut sums = Sums::default();
        let mut shape = shape;
        for step in self.steps() {
            match *step {
                Step::PushVlan(eth_type) => {
                    push_vlan(frame, eth_type)?;
                    shape.moves(TAG as u16);
                }
                Step::PopVlan => {
                    frame.remove(ADDRESSES, TAG);
                    shape.moves((TAG as u16).wrapping_neg());
                }
                step => in_place(step, shape, frame.bytes_mut(), &mut sums),
            }
        }
        sums.mend(shape, frame.bytes_mut());
        Ok(())
    }
}

/// How the sums over headers change, each as the numbers that are added to it.
#[derive(Default)]
struct Sums {
    ipv4: Option<Difference>,
    transport: Option<Difference>,
}

impl Sums {
    fn ipv4(&mut self, change: Difference) {
        self.ipv4 = Some(self.ipv4.unwrap_or_default().and(change));
    }

    fn transport(&mut self, change: Difference) {
        self.transport = Some(self.transport.unwrap_or_default().and(change));
    }

    #[inline]
    fn mend(self, shape: Shape, frame: &mut [u8]) {
        if let Some(change) = self.ipv4 {
            let at = usize::from(shape.l3) + 10;
            put16(frame, at, change.apply(be16(frame, at)));
        }
        let at = usize::from(shape.checksum);
        if let Some(change) = self.transport.filter(|_| at != 0) {
            let old = be16(frame, at);
            // A sender of UDP may make none, which is 0 (RFC 768).
            if !shape.udp || old != 0 {
                let new = change.apply(old);
                put16(frame, at, if shape.udp && new == 0 { 0xffff } else { new });
            }
        }
    }
}

/// Makes a change that moves nothing.
#[inline]
fn in_place(step: Step, shape: Shape, frame: &mut [u8], sums: &mut Sums) {
    let (l3, l4) = (usize::from(shape.l3), usize::from(shape.l4));
    match step {
        Step::Mac { at, mask, value } => {
            let at = usize::from(at);
            let Some(place) = frame[at..].first_chunk_mut::<6>() else { return };
            let mut old = [0; 8];
            old[2..].copy_from_slice(place);
            let new = u64::from_be_bytes(old) & !mask | value;
            place.copy_from_slice(&new.to_be_bytes()[2..]);
        }
        Step::Tci { mask, value } => {
            put16(frame, ETHERNET, be16(frame, ETHERNET) & !mask | value);
        }
        Step::Ipv4 { at, mask, value } => {
            let place = l3 + usize::from(at);
            let old = be32(frame, place);
            let new = old & !mask | value;
            put32(frame, place, new);
            let change = Difference::of_words(old, new);
            sums.ipv4(change);
            // The addresses are in the pseudo-header, too.
            if at >= 12 {
                sums.transport(change);
            }
        }
        Step::Ipv6 { mask, value } => put32(frame, l3, be32(frame, l3) & !mask | value),
        Step::Ipv6Address { at, mask, value } => {
            let at = l3 + usize::from(at);
            let mut change = Difference::default();
            for word in 0..4 {
                let place = at + 4 * word;
                let old = be32(frame, place);
                let new = old & !be32(&mask, 4 * word) | be32(&value, 4 * word);
                put32(frame, place, new);
                change = change.and(Difference::of_words(old, new));
            }
            sums.transport(change);
        }
        Step::Port { at, mask, value } => {
            let place = l4 + usize::from(at);
            let old = be16(frame, place);
            let new = old & !mask | value;
            put16(frame, place, new);
            sums.transport(Difference::of_words(old.into(), new.into()));
        }
        Step::Ttl(ttl) => set_ttl(frame, shape, sums, |_| ttl),
        Step::DecTtl => set_ttl(frame, shape, sums, |ttl| ttl.wrapping_sub(1)),
        Step::PushVlan(_) | Step::PopVlan => {}
    }
}

#[inline]
fn set_ttl(frame: &mut [u8], shape: Shape, sums: &mut Sums, new: impl FnOnce(u8) -> u8) {
    let at = shape.ttl();
    let old = frame[at];
    frame[at] = new(old);
    if !shape.v6 {
        sums.ipv4(Difference::of_words(u32::from(old) << 8, u32::from(frame[at]) << 8));
    }
}

impl Shape {
    /// Of an ordinary packet, if its transport checksum is where it should be.
    #[inline]
    fn of(layers: Layers) -> Option<(Kinds, Shape)> {
        let Layers { v6, protocol, network, transport, room, .. } = layers;
        let (kind, checksum) = match (v6, protocol) {
            (false, IP_TCP) => (Kinds::TCP4, transport + 16),
            (true, IP_TCP) => (Kinds::TCP6, transport + 16),
            (false, IP_UDP) => (Kinds::UDP4, transport + 6),
            (true, IP_UDP) => (Kinds::UDP6, transport + 6),
            (true, IP_ICMPV6) if room >= 4 => (Kinds::OTHER6, transport + 2),
            (_, IP_ICMPV6) => return None,
            (false, _) => (Kinds::OTHER4, 0),
            (true, _) => (Kinds::OTHER6, 0),
        };
        let [l3, l4, checksum] = [network, transport, checksum].map(|at| at as u16);
        Some((kind, Shape { l3, l4, checksum, v6, udp: protocol == IP_UDP }))
    }

    /// Where the time to live is.
    #[inline]
    fn ttl(self) -> usize {
        usize::from(self.l3) + if self.v6 { 7 } else { 8 }
    }

    /// Everything behind the addresses of Ethernet moves.
    #[inline]
    fn moves(&mut self, by: u16) {
        // Of frames that are not looked into, nothing behind that is written.
        self.l3 = self.l3.wrapping_add(by);
        self.l4 = self.l4.wrapping_add(by);
        if self.checksum != 0 {
            self.checksum = self.checksum.wrapping_add(by);
        }
    }
}

#[inline]
fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[inline]
fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
