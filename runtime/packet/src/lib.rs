//! The flow key: the header fields of a frame that OpenFlow can match, and their extraction.
//!
//! A [`FlowKey`] is a row of 64-bit words in which every [`Field`] has its place, so that matching under a mask is a few ANDs
//! and compares. [`extract`] fills one from a frame and never fails: what a frame does not have, or has malformed, stays 0, and the
//! fields that say which headers there are (`ETH_TYPE`, `IP_PROTO`) say so.

pub mod edit;
mod extract;
mod key;
mod layers;

pub use extract::{Extracted, extract};
pub use key::{FIELDS, Field, FlowKey, WORDS};
pub use layers::{Layers, is_tagged};

/// Numbers of the protocols that the extraction knows.
pub mod proto {
    /// EtherType of IPv4.
    pub const ETH_IPV4: u16 = 0x0800;
    /// EtherType of ARP.
    pub const ETH_ARP: u16 = 0x0806;
    /// EtherType of IPv6.
    pub const ETH_IPV6: u16 = 0x86dd;
    /// EtherType of a customer VLAN tag, IEEE 802.1Q.
    pub const ETH_VLAN: u16 = 0x8100;
    /// EtherType of a service VLAN tag, IEEE 802.1ad.
    pub const ETH_QINQ: u16 = 0x88a8;
    /// EtherType of MPLS unicast, RFC 5332.
    pub const ETH_MPLS: u16 = 0x8847;
    /// EtherType of MPLS with upstream-assigned labels, RFC 5332.
    pub const ETH_MPLS_MC: u16 = 0x8848;
    /// EtherType of a backbone service tag, IEEE 802.1ah.
    pub const ETH_PBB: u16 = 0x88e7;
    /// What stands for an EtherType in frames that have a length there: Open vSwitch's `FLOW_DL_TYPE_NONE`.
    pub const ETH_NONE: u16 = 0x05ff;
    /// ICMP.
    pub const IP_ICMP: u8 = 1;
    /// TCP.
    pub const IP_TCP: u8 = 6;
    /// UDP.
    pub const IP_UDP: u8 = 17;
    /// ICMPv6.
    pub const IP_ICMPV6: u8 = 58;
    /// SCTP.
    pub const IP_SCTP: u8 = 132;
}
