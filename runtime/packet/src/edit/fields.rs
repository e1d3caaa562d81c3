//! A field gets a value: the set-field action. OpenFlow 1.3.5, section 7.2.5.
//!
//! Fields that share a place in the key are told apart by what the packet is. Whoever asks has checked that the packet is what the field
//! needs (its prerequisites).

use super::Editor;
use super::checksum::Difference;
use crate::key::Field;
use crate::proto::*;

/// The bits that a header has for a field; its place in the key may be wider.
fn header_bits(field: Field) -> u128 {
    match field {
        Field::MPLS_BOS => 1,
        Field::IP_ECN => 0x3,
        Field::VLAN_PCP | Field::MPLS_TC => 0x7,
        Field::IP_DSCP => 0x3f,
        Field::TCP_FLAGS => 0x0fff,
        Field::VLAN_VID => 0x1fff,
        Field::MPLS_LABEL | Field::IPV6_FLABEL => 0xf_ffff,
        Field::PBB_ISID => 0xff_ffff,
        field => field.max(),
    }
}

impl Editor<'_> {
    /// Gives a field a value; bits beyond its width are cut off. Does nothing if the packet has no such field.
    pub fn set(&mut self, field: Field, value: u128) {
        let value = value & header_bits(field);
        if field.is_pipeline() || field == Field::IN_PORT {
            self.found.key.set(field, value);
            return;
        }
        match field {
            Field::ETH_DST => self.set_address(0, field, value),
            Field::ETH_SRC => self.set_address(6, field, value),
            Field::ETH_TYPE => self.set_eth_type(value as u16),
            Field::VLAN_VID => self.set_tci(0x0fff, value as u16, field, value & 0x0fff | 0x1000),
            Field::VLAN_PCP => self.set_tci(0xe000, (value as u16) << 13, field, value),
            Field::MPLS_LABEL => self.set_mpls(12, 0xf_ffff, field, value),
            Field::MPLS_TC => self.set_mpls(9, 7, field, value),
            Field::MPLS_BOS => self.set_mpls(8, 1, field, value),
            Field::PBB_ISID => {
                if let Some(l3) = self.network_of(ETH_PBB) {
                    self.write(l3 + 1, &(value as u32).to_be_bytes()[1..]);
                    self.found.key.set(field, value);
                }
            }
            Field::ARP_OP => self.set_arp(6, 2, field, value),
            Field::IPV4_SRC => self.set_ipv4_address(12, 14, field, value as u32),
            Field::IPV4_DST => self.set_ipv4_address(16, 24, field, value as u32),
            Field::IPV6_SRC => self.set_ipv6_address(8, field, value),
            Field::IPV6_DST => self.set_ipv6_address(24, field, value),
            Field::IPV6_FLABEL => self.set_ipv6_word(0x000f_ffff, value as u32, field, value),
            Field::IP_DSCP => self.set_traffic_class(2, 0xfc, field, value),
            Field::IP_ECN => self.set_traffic_class(0, 0x03, field, value),
            Field::IP_PROTO => self.set_ip_proto(value as u8),
            Field::TCP_FLAGS => {
                if let Some(l4) = self.transport(&[IP_TCP]) {
                    let word = self.be16(l4 + 12) & 0xf000 | value as u16;
                    self.write_transport(l4, 12, &word.to_be_bytes());
                    self.found.key.set(field, value);
                }
            }
            Field::L4_SRC => self.set_transport(0, field, value),
            Field::L4_DST => self.set_transport(1, field, value),
            Field::ND_TARGET => {
                if let Some(l4) = self.neighbour_discovery() {
                    self.write_transport(l4, 8, &value.to_be_bytes());
                    self.found.key.set(field, value);
                }
            }
            Field::ND_SLL => self.set_link_layer_address(1, 8, field, value),
            Field::ND_TLL => self.set_link_layer_address(2, 18, field, value),
            // Which extension headers there are, and whether it is a fragment, are not for writing.
            _ => {}
        }
    }

    /// Whether there is a header, or an option, for a field to be in. Otherwise the key says 0 of it, and it cannot be set.
    pub fn has(&mut self, field: Field) -> bool {
        match field {
            Field::ETH_DST | Field::ETH_SRC => self.frame.len() >= 14,
            Field::ETH_TYPE => {
                self.refresh();
                self.found.l3.is_some()
            }
            Field::VLAN_VID | Field::VLAN_PCP => self.is_tagged(),
            Field::MPLS_LABEL | Field::MPLS_TC | Field::MPLS_BOS => {
                matches!(self.network(), Some((ETH_MPLS | ETH_MPLS_MC, _)))
            }
            Field::PBB_ISID => self.network_of(ETH_PBB).is_some(),
            Field::ARP_OP => self.network_of(ETH_ARP).is_some(),
            Field::IPV4_SRC | Field::IPV4_DST => matches!(self.network(), Some((ETH_IPV4 | ETH_ARP, _))),
            Field::IPV6_SRC | Field::IPV6_DST | Field::IPV6_FLABEL | Field::IPV6_EXTHDR => {
                self.network_of(ETH_IPV6).is_some()
            }
            Field::IP_PROTO | Field::IP_DSCP | Field::IP_ECN | Field::IP_FRAG => {
                matches!(self.network(), Some((ETH_IPV4 | ETH_IPV6, _)))
            }
            Field::TCP_FLAGS => self.transport(&[IP_TCP]).is_some(),
            Field::L4_SRC | Field::L4_DST => {
                self.refresh();
                self.found.l4.is_some()
            }
            Field::ND_TARGET => self.neighbour_discovery().is_some(),
            Field::ND_SLL => self.network_of(ETH_ARP).is_some() || self.has_option(1),
            Field::ND_TLL => self.network_of(ETH_ARP).is_some() || self.has_option(2),
            // What the tables and the port know.
            _ => true,
        }
    }

    fn set_address(&mut self, at: usize, field: Field, value: u128) {
        if self.frame.len() >= 14 {
            self.write(at, &(value as u64).to_be_bytes()[2..]);
            self.found.key.set(field, value);
        }
    }

    fn set_eth_type(&mut self, value: u16) {
        self.refresh();
        let Some(l3) = self.found.l3.map(usize::from) else { return };
        // A frame with a length has no EtherType, unless it has a SNAP header: that ends in one, too.
        if l3 >= 14 && self.found.key.get(Field::ETH_TYPE) != u128::from(ETH_NONE) {
            self.write(l3 - 2, &value.to_be_bytes());
            self.stale = true;
        }
    }

    fn set_tci(&mut self, mask: u16, bits: u16, field: Field, value: u128) {
        if self.is_tagged() {
            let tci = self.be16(14) & !mask | bits & mask;
            self.write(14, &tci.to_be_bytes());
            self.found.key.set(field, value);
        }
    }

    fn set_mpls(&mut self, shift: u32, mask: u32, field: Field, value: u128) {
        let Some((ETH_MPLS | ETH_MPLS_MC, l3)) = self.network() else { return };
        let old = u32::from(self.be16(l3)) << 16 | u32::from(self.be16(l3 + 2));
        let new = old & !(mask << shift) | (value as u32 & mask) << shift;
        self.write(l3, &new.to_be_bytes());
        self.found.key.set(field, value);
    }

    fn set_arp(&mut self, at: usize, len: usize, field: Field, value: u128) {
        if let Some(l3) = self.network_of(ETH_ARP) {
            self.write(l3 + at, &value.to_be_bytes()[16 - len..]);
            self.found.key.set(field, value);
        }
    }

    fn set_ipv4_address(&mut self, in_ip: usize, in_arp: usize, field: Field, value: u32) {
        match self.network() {
            Some((ETH_IPV4, l3)) => {
                let old = &self.bytes()[l3 + in_ip..l3 + in_ip + 4];
                let change = Difference::between(old, &value.to_be_bytes(), 0);
                self.write_ipv4(l3, in_ip, &value.to_be_bytes());
                self.mend_pseudo_header(change);
                self.found.key.set(field, value.into());
            }
            Some((ETH_ARP, _)) => self.set_arp(in_arp, 4, field, value.into()),
            _ => {}
        }
    }

    fn set_ipv6_address(&mut self, at: usize, field: Field, value: u128) {
        let Some(l3) = self.network_of(ETH_IPV6) else { return };
        let old = &self.bytes()[l3 + at..l3 + at + 16];
        let change = Difference::between(old, &value.to_be_bytes(), 0);
        self.write(l3 + at, &value.to_be_bytes());
        // With a routing header that has segments left, the checksum is over the final destination (RFC 8200, section 8.1).
        if field != Field::IPV6_DST || !self.found.routed {
            self.mend_pseudo_header(change);
        }
        self.found.key.set(field, value);
    }

    fn set_ipv6_word(&mut self, mask: u32, bits: u32, field: Field, value: u128) {
        let Some(l3) = self.network_of(ETH_IPV6) else { return };
        let old = u32::from(self.be16(l3)) << 16 | u32::from(self.be16(l3 + 2));
        self.write(l3, &(old & !mask | bits & mask).to_be_bytes());
        self.found.key.set(field, value);
    }

    fn set_traffic_class(&mut self, shift: u32, mask: u8, field: Field, value: u128) {
        let bits = (value as u8) << shift;
        match self.network() {
            Some((ETH_IPV4, l3)) => {
                let class = self.bytes()[l3 + 1] & !mask | bits & mask;
                self.write_ipv4(l3, 1, &[class]);
                self.found.key.set(field, value);
            }
            Some((ETH_IPV6, _)) => {
                self.set_ipv6_word(u32::from(mask) << 20, u32::from(bits) << 20, field, value);
            }
            _ => {}
        }
    }

    /// The transport header, if there is one, stays what it was: its checksum is mended for the pseudo-header in which the protocol is.
    fn set_ip_proto(&mut self, value: u8) {
        let Some((eth_type, l3)) = self.network() else { return };
        let Some(at) = self.found.proto_at.map(usize::from) else { return };
        let old = self.bytes()[at];
        match eth_type {
            ETH_IPV4 => self.write_ipv4(l3, 9, &[value]),
            ETH_IPV6 => self.write(at, &[value]),
            _ => return,
        }
        // The protocol is the lower byte of its word in both pseudo-headers.
        self.mend_pseudo_header(Difference::between(&[old], &[value], 1));
        self.stale = true;
    }

    /// The transport header, if it is of one of these protocols.
    fn transport(&mut self, protos: &[u8]) -> Option<usize> {
        self.refresh();
        let l4 = usize::from(self.found.l4?);
        protos.contains(&(self.found.key.get(Field::IP_PROTO) as u8)).then_some(l4)
    }

    /// The first (0) or second (1) port, or type and code of ICMP.
    fn set_transport(&mut self, which: usize, field: Field, value: u128) {
        if let Some(l4) = self.transport(&[IP_TCP, IP_UDP, IP_SCTP]) {
            self.write_transport(l4, 2 * which, &(value as u16).to_be_bytes());
            self.found.key.set(field, value);
        } else if let Some(l4) = self.transport(&[IP_ICMP, IP_ICMPV6]) {
            self.write_transport(l4, which, &[value as u8]);
            // Another type may have another body.
            self.stale = true;
        }
    }

    /// The ICMPv6 header of a whole neighbour solicitation or advertisement.
    fn neighbour_discovery(&mut self) -> Option<usize> {
        let l4 = self.transport(&[IP_ICMPV6])?;
        let (_, end) = self.payload();
        let key = &self.found.key;
        let discovers = matches!(key.get(Field::L4_SRC), 135 | 136) && key.get(Field::L4_DST) == 0;
        (discovers && end >= l4 + 24).then_some(l4)
    }

    /// In ARP the hardware address at `in_arp`, in neighbour discovery that in the option of a type.
    fn set_link_layer_address(&mut self, option: u8, in_arp: usize, field: Field, value: u128) {
        if let Some((ETH_ARP, _)) = self.network() {
            return self.set_arp(in_arp, 6, field, value);
        }
        let Some(l4) = self.neighbour_discovery() else { return };
        let mut rest = l4 + 24;
        while let Some(at) = self.find_option(option, rest) {
            self.write_transport(l4, at + 2 - l4, &(value as u64).to_be_bytes()[2..]);
            self.stale = true;
            rest = at + 8;
        }
    }

    /// Whether neighbour discovery tells a link-layer address in an option of this type.
    fn has_option(&mut self, option: u8) -> bool {
        self.neighbour_discovery().is_some_and(|l4| self.find_option(option, l4 + 24).is_some())
    }

    /// Where the first option of a type is, of those of neighbour discovery from a place on, that has the length of an Ethernet address.
    fn find_option(&mut self, option: u8, mut at: usize) -> Option<usize> {
        let (_, end) = self.payload();
        loop {
            match self.bytes()[..end].get(at..at + 8)? {
                [_, 0, ..] => return None,
                [ty, 1, ..] if *ty == option => return Some(at),
                [_, units, ..] => at += usize::from(*units) * 8,
                _ => return None,
            }
        }
    }
}
