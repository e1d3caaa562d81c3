//! From a frame to its flow key.
//!
//! Each layer checks its header's length and version before it reads; a header that is cut off or wrong ends the walk, and the
//! fields from there on stay 0. Later IP fragments have no transport header. References: IEEE 802.3, 802.1Q, 802.1ah; RFC 826, 791, 8200, 9293,
//! 768, 9260, 792, 4443, 4861, 3032; OpenFlow 1.3.5, section 7.2.3.8.

use crate::key::{Field, FlowKey};
use crate::proto::*;

/// A flow key and where the headers start that actions rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The fields.
    pub key: FlowKey,
    /// Offset of the network header, in bytes from the start of the frame; `None` if the frame ends before.
    pub l3: Option<u16>,
    /// Whether the network header is one that can be read: whole IPv4, IPv6, ARP for IPv4, MPLS or PBB.
    pub readable: bool,
    /// Offset of the byte that `IP_PROTO` is from: in IPv6, of the last extension header.
    pub proto_at: Option<u16>,
    /// Whether an IPv6 routing header has segments left, so that the destination is not the final one.
    pub routed: bool,
    /// Offset of the transport header; `None` if there is none to read.
    pub l4: Option<u16>,
}

impl Extracted {
    /// Of a frame that was not looked at yet.
    #[inline]
    pub(crate) fn unread(in_port: u32) -> Extracted {
        let key = FlowKey::of_port(in_port);
        Extracted { key, l3: None, readable: false, proto_at: None, routed: false, l4: None }
    }

    /// Reads a frame. What is known of it beside its bytes stays in the key.
    pub(crate) fn read(&mut self, frame: &[u8]) {
        self.key.forget_frame();
        (self.l3, self.readable, self.proto_at, self.routed, self.l4) = (None, false, None, false, None);
        ethernet(frame, self);
    }
}

/// Reads a frame that came in by a port. Never fails, whatever the bytes.
pub fn extract(frame: &[u8], in_port: u32) -> Extracted {
    let mut out = Extracted::unread(in_port);
    ethernet(frame, &mut out);
    out
}

/// The unread rest of a frame.
#[derive(Clone, Copy)]
struct Rest<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    /// The next `N` bytes, left unread.
    fn peek<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.frame.get(self.at..)?.first_chunk()
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Drops what lies behind `bytes` more bytes: the padding behind an IP packet.
    fn truncate(&mut self, bytes: usize) {
        self.frame = &self.frame[..self.frame.len().min(self.at + bytes)];
    }

    fn offset(&self) -> Option<u16> {
        u16::try_from(self.at).ok()
    }
}

#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn be48(bytes: &[u8], at: usize) -> u128 {
    u128::from(be16(bytes, at)) << 32 | u128::from(be32(bytes, at + 2))
}

fn be128(bytes: &[u8], at: usize) -> u128 {
    bytes[at..at + 16].iter().fold(0, |value, byte| value << 8 | u128::from(*byte))
}

fn ethernet(frame: &[u8], out: &mut Extracted) {
    let mut rest = Rest { frame, at: 0 };
    let Some(header) = rest.peek::<14>() else { return };
    let key = &mut out.key;
    key.set(Field::ETH_DST, be48(header, 0));
    key.set(Field::ETH_SRC, be48(header, 6));
    let mut eth_type = be16(header, 12);
    rest.skip(14);
    let mut outermost = true;
    while matches!(eth_type, ETH_VLAN | ETH_QINQ) {
        let Some(tag) = rest.peek::<4>() else { break };
        if outermost {
            let tci = be16(tag, 0);
            key.set(Field::VLAN_VID, u128::from(tci & 0x0fff | 0x1000));
            key.set(Field::VLAN_PCP, u128::from(tci >> 13));
            outermost = false;
        }
        eth_type = be16(tag, 2);
        rest.skip(4);
    }
    if eth_type < 0x0600 {
        // A length: IEEE 802.3. A SNAP header with the OUI of plain Ethernet carries a type after all.
        eth_type = match rest.peek::<8>() {
            Some([0xaa, 0xaa, 0x03, 0, 0, 0, high, low]) => {
                rest.skip(8);
                u16::from_be_bytes([*high, *low])
            }
            _ => ETH_NONE,
        };
    }
    key.set(Field::ETH_TYPE, eth_type.into());
    out.l3 = rest.offset();
    match eth_type {
        ETH_IPV4 => ipv4(rest, out),
        ETH_IPV6 => ipv6(rest, out),
        ETH_ARP => arp(rest, out),
        ETH_MPLS | ETH_MPLS_MC => mpls(rest, out),
        ETH_PBB => pbb(rest, out),
        _ => {}
    }
}

fn mpls(rest: Rest<'_>, out: &mut Extracted) {
    let Some(entry) = rest.peek::<4>() else { return };
    out.readable = true;
    let key = &mut out.key;
    let entry = be32(entry, 0);
    key.set(Field::MPLS_LABEL, u128::from(entry >> 12));
    key.set(Field::MPLS_TC, u128::from(entry >> 9 & 7));
    key.set(Field::MPLS_BOS, u128::from(entry >> 8 & 1));
}

fn pbb(rest: Rest<'_>, out: &mut Extracted) {
    let Some(tag) = rest.peek::<4>() else { return };
    out.readable = true;
    out.key.set(Field::PBB_ISID, u128::from(be32(tag, 0) & 0x00ff_ffff));
}

fn arp(rest: Rest<'_>, out: &mut Extracted) {
    let Some(arp) = rest.peek::<28>() else { return };
    // Only IPv4 over Ethernet has addresses of these sizes.
    if be16(arp, 0) != 1 || be16(arp, 2) != ETH_IPV4 || arp[4] != 6 || arp[5] != 4 {
        return;
    }
    out.readable = true;
    let key = &mut out.key;
    key.set(Field::ARP_OP, be16(arp, 6).into());
    key.set(Field::ND_SLL, be48(arp, 8));
    key.set(Field::IPV4_SRC, be32(arp, 14).into());
    key.set(Field::ND_TLL, be48(arp, 18));
    key.set(Field::IPV4_DST, be32(arp, 24).into());
}

fn ipv4(mut rest: Rest<'_>, out: &mut Extracted) {
    let Some(ip) = rest.peek::<20>() else { return };
    let header_len = usize::from(ip[0] & 0x0f) * 4;
    let total_len = usize::from(be16(ip, 2));
    if ip[0] >> 4 != 4 || header_len < 20 || total_len < header_len || rest.frame.len() - rest.at < header_len
    {
        return;
    }
    out.readable = true;
    out.proto_at = u16::try_from(rest.at + 9).ok();
    let key = &mut out.key;
    key.set(Field::IP_DSCP, u128::from(ip[1] >> 2));
    key.set(Field::IP_ECN, u128::from(ip[1] & 3));
    key.set(Field::IP_PROTO, ip[9].into());
    key.set(Field::IPV4_SRC, be32(ip, 12).into());
    key.set(Field::IPV4_DST, be32(ip, 16).into());
    let fragment = be16(ip, 6) & 0x3fff;
    let later = fragment & 0x1fff != 0;
    key.set(Field::IP_FRAG, if later { 3 } else { u128::from(fragment != 0) });
    rest.truncate(total_len);
    rest.skip(header_len);
    if !later {
        transport(rest, ip[9], out);
    }
}

/// The `OFPIEH_*` bits of OpenFlow 1.3.5, section 7.2.3.8.
mod exthdr {
    pub(super) const NONEXT: u16 = 1 << 0;
    pub(super) const ESP: u16 = 1 << 1;
    pub(super) const AUTH: u16 = 1 << 2;
    pub(super) const DEST: u16 = 1 << 3;
    pub(super) const FRAG: u16 = 1 << 4;
    pub(super) const ROUTER: u16 = 1 << 5;
    pub(super) const HOP: u16 = 1 << 6;
    pub(super) const UNREP: u16 = 1 << 7;
    pub(super) const UNSEQ: u16 = 1 << 8;
}

fn ipv6(mut rest: Rest<'_>, out: &mut Extracted) {
    let Some(ip) = rest.peek::<40>() else { return };
    if ip[0] >> 4 != 6 {
        return;
    }
    let first_word = be32(ip, 0);
    out.readable = true;
    let key = &mut out.key;
    key.set(Field::IP_DSCP, u128::from(first_word >> 22 & 0x3f));
    key.set(Field::IP_ECN, u128::from(first_word >> 20 & 3));
    key.set(Field::IPV6_FLABEL, u128::from(first_word & 0xf_ffff));
    key.set(Field::IPV6_SRC, be128(ip, 8));
    key.set(Field::IPV6_DST, be128(ip, 24));
    rest.skip(40);
    rest.truncate(usize::from(be16(ip, 4)));
    let Extensions { next, next_at, present, fragment, routed } = extension_headers(&mut rest, ip[6]);
    key.set(Field::IP_PROTO, next.into());
    key.set(Field::IPV6_EXTHDR, present.into());
    key.set(Field::IP_FRAG, fragment.into());
    out.proto_at = u16::try_from(next_at).ok();
    out.routed = routed;
    if fragment != 3 {
        transport(rest, next, out);
    }
}

/// What a walk over the extension headers finds.
struct Extensions {
    /// The protocol behind them.
    next: u8,
    /// Where in the frame that is said.
    next_at: usize,
    /// The `OFPIEH_*` bits.
    present: u16,
    /// The value for `IP_FRAG`.
    fragment: u8,
    /// A routing header has segments left.
    routed: bool,
}

/// Walks the extension headers behind a fixed header.
fn extension_headers(rest: &mut Rest<'_>, mut next: u8) -> Extensions {
    let (mut present, mut fragment, mut routed) = (0, 0, false);
    let mut next_at = rest.at - 34;
    // The rank of a header in the order that RFC 8200, section 4.1, recommends.
    let mut last_rank = 0;
    loop {
        let (bit, rank) = match next {
            0 => (exthdr::HOP, 1),
            60 => (exthdr::DEST, 2),
            43 => (exthdr::ROUTER, 3),
            44 => (exthdr::FRAG, 4),
            51 => (exthdr::AUTH, 5),
            50 => (exthdr::ESP, 6),
            59 => (exthdr::NONEXT, 8),
            _ => break,
        };
        // Destination options may come twice: before a routing header and last.
        let rank =
            if next == 60 && present & (exthdr::ROUTER | exthdr::FRAG | exthdr::AUTH | exthdr::ESP) != 0 {
                7
            } else {
                rank
            };
        if present & bit != 0 && !(bit == exthdr::DEST && rank == 7 && last_rank < 7) {
            present |= exthdr::UNREP;
        }
        if rank < last_rank {
            present |= exthdr::UNSEQ;
        }
        present |= bit;
        last_rank = rank;
        if matches!(next, 50 | 59) {
            break;
        }
        let Some(header) = rest.peek::<8>() else { break };
        let len = match next {
            44 => {
                // A later fragment carries no header that could be read; a first or only one goes on.
                let offset_and_more = be16(header, 2);
                fragment = if offset_and_more & 0xfff8 != 0 { 3 } else { 1 };
                8
            }
            51 => (usize::from(header[1]) + 2) * 4,
            43 => {
                routed = header[3] != 0;
                (usize::from(header[1]) + 1) * 8
            }
            _ => (usize::from(header[1]) + 1) * 8,
        };
        if rest.frame.len() - rest.at < len {
            break;
        }
        next = header[0];
        next_at = rest.at;
        rest.skip(len);
        if fragment == 3 {
            break;
        }
    }
    Extensions { next, next_at, present, fragment, routed }
}

fn transport(rest: Rest<'_>, proto: u8, out: &mut Extracted) {
    let key = &mut out.key;
    match proto {
        IP_TCP => {
            let Some(tcp) = rest.peek::<20>() else { return };
            key.set(Field::L4_SRC, be16(tcp, 0).into());
            key.set(Field::L4_DST, be16(tcp, 2).into());
            key.set(Field::TCP_FLAGS, u128::from(be16(tcp, 12) & 0x0fff));
        }
        IP_UDP | IP_SCTP => {
            let needed = if proto == IP_UDP { 8 } else { 12 };
            let Some(ports) = rest.peek::<8>().filter(|_| rest.frame.len() - rest.at >= needed) else {
                return;
            };
            key.set(Field::L4_SRC, be16(ports, 0).into());
            key.set(Field::L4_DST, be16(ports, 2).into());
        }
        IP_ICMP | IP_ICMPV6 => {
            let Some(icmp) = rest.peek::<4>() else { return };
            key.set(Field::L4_SRC, icmp[0].into());
            key.set(Field::L4_DST, icmp[1].into());
            if proto == IP_ICMPV6 && matches!(icmp[0], 135 | 136) && icmp[1] == 0 {
                neighbour_discovery(rest, icmp[0], key);
            }
        }
        _ => return,
    }
    out.l4 = rest.offset();
}

fn neighbour_discovery(mut rest: Rest<'_>, icmp_type: u8, key: &mut FlowKey) {
    let Some(nd) = rest.peek::<24>() else { return };
    key.set(Field::ND_TARGET, be128(nd, 8));
    rest.skip(24);
    // Options: type, length in units of 8 bytes, body. A length of 0 makes the rest unreadable (RFC 4861, section 4.6).
    while let Some(option) = rest.peek::<8>() {
        match (option[0], icmp_type) {
            (1, 135) if option[1] == 1 => key.set(Field::ND_SLL, be48(option, 2)),
            (2, 136) if option[1] == 1 => key.set(Field::ND_TLL, be48(option, 2)),
            (_, _) if option[1] == 0 => break,
            _ => {}
        }
        rest.skip(usize::from(option[1]) * 8);
    }
}
