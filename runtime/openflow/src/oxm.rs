//! The match fields: one table says everything that the codec, the flow tables and the flow syntax know of a field.
//!
//! OpenFlow 1.3.5, section 7.2.3.7 and its table 12. A field's value is held in a `u128`, right-aligned, in the order
//! of its bits on the wire: an Ethernet address `02:00:00:00:00:01` is `0x0200_0000_0001`.

/// `OFPXMC_OPENFLOW_BASIC`: the class of all fields in [`FIELDS`].
pub const CLASS_BASIC: u16 = 0x8000;
/// `OFPXMC_EXPERIMENTER`: an experimenter id follows the header, within its length.
pub const CLASS_EXPERIMENTER: u16 = 0xffff;

/// `NXM_OF_*`: the fields of OpenFlow 1.0 in the format of Nicira.
pub(crate) const CLASS_NXM_0: u16 = 0x0000;
/// `NXM_NX_*`: Nicira's extensions.
pub(crate) const CLASS_NXM_1: u16 = 0x0001;

/// `OFPXMC_PACKET_REGS`: registers of 64 bits, each two of ours.
pub(crate) const CLASS_PACKET_REGISTERS: u16 = 0x8001;

/// `OFPXMT_OFB_TCP_FLAGS` of OpenFlow 1.5, and `ONFOXM_ET_TCP_FLAGS`.
pub(crate) const OXM_TCP_FLAGS: u8 = 42;
/// Our numbers of fields that have none in [`CLASS_BASIC`].
const TCP_FLAGS: u8 = Field::TcpFlags as u8;
const REG0: u8 = Field::Reg0 as u8;

/// Fields whose values Nicira's first class has as OpenFlow has them.
const NXM_0: &[(u8, Field)] = &[
    (1, Field::EthDst),
    (2, Field::EthSrc),
    (3, Field::EthType),
    (6, Field::IpProto),
    (7, Field::Ipv4Src),
    (8, Field::Ipv4Dst),
    (9, Field::TcpSrc),
    (10, Field::TcpDst),
    (11, Field::UdpSrc),
    (12, Field::UdpDst),
    (13, Field::Icmpv4Type),
    (14, Field::Icmpv4Code),
    (15, Field::ArpOp),
    (16, Field::ArpSpa),
    (17, Field::ArpTpa),
];

/// The same of its second class, without the registers.
const NXM_1: &[(u8, Field)] = &[
    (16, Field::TunnelId),
    (17, Field::ArpSha),
    (18, Field::ArpTha),
    (19, Field::Ipv6Src),
    (20, Field::Ipv6Dst),
    (21, Field::Icmpv6Type),
    (22, Field::Icmpv6Code),
    (23, Field::NdTarget),
    (24, Field::NdSll),
    (25, Field::NdTll),
    (27, Field::Ipv6Label),
    (28, Field::IpEcn),
    (34, Field::TcpFlags),
];

/// Set in `vlan_vid` when the packet has a tag (`OFPVID_PRESENT`); a match on 0 wants untagged packets.
pub const VLAN_PRESENT: u128 = 0x1000;

/// How people write a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A number in base 10.
    Decimal,
    /// A number in base 16.
    Hex,
    /// A port number or name.
    Port,
    /// An Ethernet address.
    Mac,
    /// An IPv4 address, masked as a prefix.
    Ipv4,
    /// An IPv6 address, masked as a prefix.
    Ipv6,
}

/// What must stand in a match beside a field, for the field to have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prerequisite {
    /// The other field is there, whatever its value.
    Present(Field),
    /// The other field is there, unmasked, with one of these values.
    OneOf(Field, &'static [u128]),
    /// The match wants a VLAN tag.
    VlanTag,
}

/// What is known of one match field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Which field this is.
    pub field: Field,
    /// The name that `ovs-ofctl` prints.
    pub name: &'static str,
    /// Other names that it reads.
    pub aliases: &'static [&'static str],
    /// Its number: of the fields of OpenFlow 1.3, `oxm_field` within [`CLASS_BASIC`].
    pub oxm: u8,
    /// Bytes of the value on the wire.
    pub bytes: u8,
    /// Bits of these that are used, counted from the least significant.
    pub bits: u8,
    /// Whether a match may have a mask.
    pub maskable: bool,
    /// Whether a set-field action may write it (section 7.2.5: all but the ports, metadata and `ipv6_exthdr`).
    pub settable: bool,
    /// How its value is written.
    pub format: Format,
    /// What a match on it needs; all of these.
    pub prerequisites: &'static [Prerequisite],
}

impl FieldSpec {
    /// The mask of an exact match: all used bits.
    pub const fn full_mask(&self) -> u128 {
        if self.bits >= 128 { u128::MAX } else { (1 << self.bits) - 1 }
    }

    /// The header of an OXM TLV for this field (section 7.2.3.2). Of `tcp_flags` it is that of OpenFlow 1.5.
    pub fn oxm_header(&self, masked: bool) -> u32 {
        let len = u32::from(self.bytes) * if masked { 2 } else { 1 };
        let (class, number) = match self.oxm {
            TCP_FLAGS => (CLASS_BASIC, OXM_TCP_FLAGS),
            n if n >= REG0 => (CLASS_NXM_1, n - REG0),
            n => (CLASS_BASIC, n),
        };
        (u32::from(class) << 16) | (u32::from(number) << 9) | (u32::from(masked) << 8) | len
    }
}

macro_rules! fields {
    ($( $(#[$doc:meta])* $variant:ident = $oxm:literal, $name:literal $aliases:tt, $bytes:literal, $bits:literal,
        $maskable:ident, $settable:ident, $format:ident, [$($prerequisite:expr),*]; )*) => {
        /// A match field. Its discriminant is its index in [`FIELDS`] and, of those of OpenFlow 1.3, its `oxm_field`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $( $(#[$doc])* $variant = $oxm, )* }

        /// All match fields, in the order of their `oxm_field`.
        pub const FIELDS: &[FieldSpec] = &[$( FieldSpec {
            field: Field::$variant, name: $name, aliases: &$aliases, oxm: $oxm, bytes: $bytes, bits: $bits,
            maskable: fields!(@flag $maskable), settable: fields!(@flag $settable), format: Format::$format,
            prerequisites: &[$($prerequisite),*],
        }, )*];
    };
    (@flag mask) => { true };
    (@flag set) => { true };
    (@flag no) => { false };
}

/// EtherTypes that match fields depend on.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u128 = 0x0800;
    /// ARP.
    pub const ARP: u128 = 0x0806;
    /// IPv6.
    pub const IPV6: u128 = 0x86dd;
    /// MPLS unicast.
    pub const MPLS: u128 = 0x8847;
    /// MPLS multicast.
    pub const MPLS_MULTICAST: u128 = 0x8848;
    /// The I-TAG of a provider backbone bridge.
    pub const PBB: u128 = 0x88e7;
}

/// IP protocol numbers that match fields depend on.
pub mod ip_proto {
    /// ICMP for IPv4.
    pub const ICMP: u128 = 1;
    /// TCP.
    pub const TCP: u128 = 6;
    /// UDP.
    pub const UDP: u128 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u128 = 58;
    /// SCTP.
    pub const SCTP: u128 = 132;
}

use Prerequisite::{OneOf, Present, VlanTag};

const IPV4: Prerequisite = OneOf(Field::EthType, &[ethertype::IPV4]);
const IPV6: Prerequisite = OneOf(Field::EthType, &[ethertype::IPV6]);
const IP: Prerequisite = OneOf(Field::EthType, &[ethertype::IPV4, ethertype::IPV6]);
const ARP: Prerequisite = OneOf(Field::EthType, &[ethertype::ARP]);
const MPLS: Prerequisite = OneOf(Field::EthType, &[ethertype::MPLS, ethertype::MPLS_MULTICAST]);
const PBB: Prerequisite = OneOf(Field::EthType, &[ethertype::PBB]);
const TCP: Prerequisite = OneOf(Field::IpProto, &[ip_proto::TCP]);
const UDP: Prerequisite = OneOf(Field::IpProto, &[ip_proto::UDP]);
const SCTP: Prerequisite = OneOf(Field::IpProto, &[ip_proto::SCTP]);
const ICMP: Prerequisite = OneOf(Field::IpProto, &[ip_proto::ICMP]);
const ICMPV6: Prerequisite = OneOf(Field::IpProto, &[ip_proto::ICMPV6]);
const SOLICIT: Prerequisite = OneOf(Field::Icmpv6Type, &[135]);
const ADVERTISE: Prerequisite = OneOf(Field::Icmpv6Type, &[136]);
const DISCOVERY: Prerequisite = OneOf(Field::Icmpv6Type, &[135, 136]);

// The specification lets a switch refuse masks on transport ports and nd_target. Like Open vSwitch we take them: a
// port range in few masked entries is common practice, and costs a tuple space classifier nothing.
fields! {
    /// The port that the packet came in by.
    InPort = 0, "in_port" ["in_port_oxm"], 4, 32, no, no, Port, [];
    /// The port below a tunnel or aggregate.
    InPhyPort = 1, "in_phy_port" [], 4, 32, no, no, Port, [Present(Field::InPort)];
    /// The register that tables pass on.
    Metadata = 2, "metadata" [], 8, 64, mask, no, Hex, [];
    /// Ethernet destination.
    EthDst = 3, "dl_dst" ["eth_dst"], 6, 48, mask, set, Mac, [];
    /// Ethernet source.
    EthSrc = 4, "dl_src" ["eth_src"], 6, 48, mask, set, Mac, [];
    /// EtherType after the VLAN tags.
    EthType = 5, "dl_type" ["eth_type"], 2, 16, no, set, Hex, [];
    /// VLAN id of the outer tag, with [`VLAN_PRESENT`]; 0 is no tag.
    VlanVid = 6, "vlan_vid" [], 2, 13, mask, set, Hex, [];
    /// VLAN priority of the outer tag.
    VlanPcp = 7, "dl_vlan_pcp" ["vlan_pcp"], 1, 3, no, set, Decimal, [VlanTag];
    /// Differentiated services code point: the upper six bits of the traffic class.
    IpDscp = 8, "ip_dscp" [], 1, 6, no, set, Decimal, [IP];
    /// Explicit congestion notification: the lower two bits of the traffic class.
    IpEcn = 9, "nw_ecn" ["ip_ecn"], 1, 2, no, set, Decimal, [IP];
    /// IP protocol, after the extension headers in IPv6.
    IpProto = 10, "nw_proto" ["ip_proto"], 1, 8, no, set, Decimal, [IP];
    /// IPv4 source.
    Ipv4Src = 11, "nw_src" ["ip_src", "ipv4_src"], 4, 32, mask, set, Ipv4, [IPV4];
    /// IPv4 destination.
    Ipv4Dst = 12, "nw_dst" ["ip_dst", "ipv4_dst"], 4, 32, mask, set, Ipv4, [IPV4];
    /// TCP source port.
    TcpSrc = 13, "tcp_src" [], 2, 16, mask, set, Decimal, [TCP];
    /// TCP destination port.
    TcpDst = 14, "tcp_dst" [], 2, 16, mask, set, Decimal, [TCP];
    /// UDP source port.
    UdpSrc = 15, "udp_src" [], 2, 16, mask, set, Decimal, [UDP];
    /// UDP destination port.
    UdpDst = 16, "udp_dst" [], 2, 16, mask, set, Decimal, [UDP];
    /// SCTP source port.
    SctpSrc = 17, "sctp_src" [], 2, 16, mask, set, Decimal, [SCTP];
    /// SCTP destination port.
    SctpDst = 18, "sctp_dst" [], 2, 16, mask, set, Decimal, [SCTP];
    /// ICMP type.
    Icmpv4Type = 19, "icmp_type" ["icmpv4_type"], 1, 8, no, set, Decimal, [IPV4, ICMP];
    /// ICMP code.
    Icmpv4Code = 20, "icmp_code" ["icmpv4_code"], 1, 8, no, set, Decimal, [IPV4, ICMP];
    /// ARP operation.
    ArpOp = 21, "arp_op" [], 2, 16, no, set, Decimal, [ARP];
    /// ARP sender's IPv4 address.
    ArpSpa = 22, "arp_spa" [], 4, 32, mask, set, Ipv4, [ARP];
    /// ARP target's IPv4 address.
    ArpTpa = 23, "arp_tpa" [], 4, 32, mask, set, Ipv4, [ARP];
    /// ARP sender's Ethernet address.
    ArpSha = 24, "arp_sha" [], 6, 48, mask, set, Mac, [ARP];
    /// ARP target's Ethernet address.
    ArpTha = 25, "arp_tha" [], 6, 48, mask, set, Mac, [ARP];
    /// IPv6 source.
    Ipv6Src = 26, "ipv6_src" [], 16, 128, mask, set, Ipv6, [IPV6];
    /// IPv6 destination.
    Ipv6Dst = 27, "ipv6_dst" [], 16, 128, mask, set, Ipv6, [IPV6];
    /// IPv6 flow label.
    Ipv6Label = 28, "ipv6_label" ["ipv6_flabel"], 4, 20, mask, set, Hex, [IPV6];
    /// ICMPv6 type.
    Icmpv6Type = 29, "icmpv6_type" [], 1, 8, no, set, Decimal, [IPV6, ICMPV6];
    /// ICMPv6 code.
    Icmpv6Code = 30, "icmpv6_code" [], 1, 8, no, set, Decimal, [IPV6, ICMPV6];
    /// Target address of a neighbour solicitation or advertisement.
    NdTarget = 31, "nd_target" ["ipv6_nd_target"], 16, 128, mask, set, Ipv6, [DISCOVERY];
    /// Source link-layer address of a neighbour solicitation.
    NdSll = 32, "nd_sll" ["ipv6_nd_sll"], 6, 48, mask, set, Mac, [SOLICIT];
    /// Target link-layer address of a neighbour advertisement.
    NdTll = 33, "nd_tll" ["ipv6_nd_tll"], 6, 48, mask, set, Mac, [ADVERTISE];
    /// Label of the outer MPLS entry.
    MplsLabel = 34, "mpls_label" [], 4, 20, no, set, Decimal, [MPLS];
    /// Traffic class of the outer MPLS entry.
    MplsTc = 35, "mpls_tc" [], 1, 3, no, set, Decimal, [MPLS];
    /// Bottom-of-stack bit of the outer MPLS entry.
    MplsBos = 36, "mpls_bos" [], 1, 1, no, set, Decimal, [MPLS];
    /// Service instance of a provider backbone bridge.
    PbbIsid = 37, "pbb_isid" [], 3, 24, mask, set, Hex, [PBB];
    /// Tunnel metadata, e.g. a VXLAN network id.
    TunnelId = 38, "tun_id" ["tunnel_id"], 8, 64, mask, set, Hex, [];
    /// Which IPv6 extension headers there are, and whether in the recommended order.
    Ipv6Exthdr = 39, "ipv6_exthdr" [], 2, 9, mask, no, Hex, [IPV6];
    /// TCP flags: OpenFlow 1.5's, before that an extension of the ONF.
    TcpFlags = 40, "tcp_flags" [], 2, 12, mask, set, Hex, [TCP];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg0 = 41, "reg0" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg1 = 42, "reg1" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg2 = 43, "reg2" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg3 = 44, "reg3" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg4 = 45, "reg4" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg5 = 46, "reg5" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg6 = 47, "reg6" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg7 = 48, "reg7" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg8 = 49, "reg8" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg9 = 50, "reg9" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg10 = 51, "reg10" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg11 = 52, "reg11" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg12 = 53, "reg12" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg13 = 54, "reg13" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg14 = 55, "reg14" [], 4, 32, mask, set, Hex, [];
    /// A register, which tables pass on: Open vSwitch's extension.
    Reg15 = 56, "reg15" [], 4, 32, mask, set, Hex, [];
}

impl Field {
    /// What is known of this field.
    pub fn spec(self) -> &'static FieldSpec {
        &FIELDS[self as usize]
    }

    /// The field with this `oxm_field` in [`CLASS_BASIC`].
    pub fn from_oxm(oxm: u8) -> Option<Field> {
        match oxm {
            OXM_TCP_FLAGS => Some(Field::TcpFlags),
            n if n < TCP_FLAGS => FIELDS.get(usize::from(n)).map(|spec| spec.field),
            _ => None,
        }
    }

    /// The field with this number in one of Nicira's classes, if its values are those of the field of OpenFlow.
    pub(crate) fn from_nxm(class: u16, number: u8) -> Option<Field> {
        match class {
            CLASS_NXM_0 => NXM_0.iter().find(|(n, _)| *n == number).map(|(_, field)| *field),
            CLASS_NXM_1 if number < 16 => FIELDS.get(usize::from(REG0 + number)).map(|spec| spec.field),
            CLASS_NXM_1 => NXM_1.iter().find(|(n, _)| *n == number).map(|(_, field)| *field),
            _ => None,
        }
    }

    /// The two registers that a register of 64 bits is, with their parts of a value and a mask; the upper half first.
    pub(crate) fn registers(number: u8, value: u64, mask: u64) -> Option<[(Field, u128, u128); 2]> {
        if number >= 8 {
            return None;
        }
        let register = |n: u8| FIELDS.get(usize::from(REG0 + 2 * number + n)).map(|spec| spec.field);
        let low = u64::from(u32::MAX);
        Some([
            (register(0)?, u128::from(value >> 32), u128::from(mask >> 32)),
            (register(1)?, u128::from(value & low), u128::from(mask & low)),
        ])
    }

    /// The field with this number in any class that has it.
    pub(crate) fn from_nxm_or_oxm(class: u16, number: u8) -> Option<Field> {
        if class == CLASS_BASIC { Field::from_oxm(number) } else { Field::from_nxm(class, number) }
    }

    /// The field with this name or alias.
    pub fn from_name(name: &str) -> Option<Field> {
        FIELDS.iter().find(|spec| spec.name == name || spec.aliases.contains(&name)).map(|spec| spec.field)
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_field_is_its_oxm_number() {
        for (index, spec) in FIELDS.iter().enumerate() {
            assert_eq!(usize::from(spec.oxm), index, "{}", spec.name);
            assert_eq!(spec.field as usize, index, "{}", spec.name);
            assert!(u32::from(spec.bits) <= u32::from(spec.bytes) * 8, "{}", spec.name);
        }
    }

    #[test]
    fn every_name_means_one_field() {
        let mut names: Vec<&str> =
            FIELDS.iter().flat_map(|s| s.aliases.iter().copied().chain([s.name])).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn headers_are_those_of_the_specification() {
        assert_eq!(Field::InPort.spec().oxm_header(false), 0x8000_0004);
        assert_eq!(Field::Metadata.spec().oxm_header(true), 0x8000_0510);
        assert_eq!(Field::Ipv6Src.spec().oxm_header(false), 0x8000_3410);
    }
}
