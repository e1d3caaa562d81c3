//! An OpenFlow match as a value and a mask over the flow key.

use std::sync::Arc;

use oko_openflow::{Field as Oxm, FilterMatch, Match};
use oko_packet::{Field, FlowKey};

/// A match in the form that lookups use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The wanted values; 0 outside of the mask.
    pub key: FlowKey,
    /// The bits that count. Entries of one table that have the same share them: there are few masks, and a lookup finds them in a near cache.
    pub mask: Arc<FlowKey>,
    /// The filter condition.
    pub filter: Option<FilterMatch>,
}

impl Matcher {
    /// Translates a match.
    pub fn new(matching: &Match) -> Matcher {
        let (mut key, mut mask) = (FlowKey::ZERO, FlowKey::ZERO);
        for condition in matching.fields() {
            let field = place(condition.field());
            key.set(field, condition.value());
            mask.set(field, condition.mask());
        }
        Matcher { key, mask: Arc::new(mask), filter: matching.filter }
    }

    /// Whether a packet's fields match; the filter is not asked.
    pub fn fields_accept(&self, packet: &FlowKey) -> bool {
        packet.masked(&self.mask) == self.key
    }

    /// Whether every packet that `other` matches is one that `self` matches: the loose comparison of modifications, deletions and
    /// statistics requests (OpenFlow 1.3.5, section 6.4). A filter condition covers only the same one; none covers all.
    pub fn covers(&self, other: &Matcher) -> bool {
        self.mask.is_within(&other.mask)
            && other.key.masked(&self.mask) == self.key
            && (self.filter.is_none() || self.filter == other.filter)
    }

    /// Whether one packet could match both.
    pub fn overlaps(&self, other: &Matcher) -> bool {
        let common = self.mask.masked(&other.mask);
        let fields = self.key.masked(&common) == other.key.masked(&common);
        let filters = match (self.filter, other.filter) {
            // One filter has one answer to a packet.
            (Some(a), Some(b)) if a.filter == b.filter => a.class == b.class,
            _ => true,
        };
        fields && filters
    }
}

/// Where a match field lies in the flow key. Fields that exclude each other by their prerequisites share places.
pub fn place(field: Oxm) -> Field {
    match field {
        Oxm::InPort => Field::IN_PORT,
        Oxm::InPhyPort => Field::IN_PHY_PORT,
        Oxm::Metadata => Field::METADATA,
        Oxm::TunnelId => Field::TUNNEL_ID,
        Oxm::EthDst => Field::ETH_DST,
        Oxm::EthSrc => Field::ETH_SRC,
        Oxm::EthType => Field::ETH_TYPE,
        Oxm::VlanVid => Field::VLAN_VID,
        Oxm::VlanPcp => Field::VLAN_PCP,
        Oxm::IpDscp => Field::IP_DSCP,
        Oxm::IpEcn => Field::IP_ECN,
        Oxm::IpProto => Field::IP_PROTO,
        Oxm::Ipv4Src | Oxm::ArpSpa => Field::IPV4_SRC,
        Oxm::Ipv4Dst | Oxm::ArpTpa => Field::IPV4_DST,
        Oxm::TcpSrc | Oxm::UdpSrc | Oxm::SctpSrc | Oxm::Icmpv4Type | Oxm::Icmpv6Type => Field::L4_SRC,
        Oxm::TcpDst | Oxm::UdpDst | Oxm::SctpDst | Oxm::Icmpv4Code | Oxm::Icmpv6Code => Field::L4_DST,
        Oxm::ArpOp => Field::ARP_OP,
        Oxm::ArpSha | Oxm::NdSll => Field::ND_SLL,
        Oxm::ArpTha | Oxm::NdTll => Field::ND_TLL,
        Oxm::Ipv6Src => Field::IPV6_SRC,
        Oxm::Ipv6Dst => Field::IPV6_DST,
        Oxm::Ipv6Label => Field::IPV6_FLABEL,
        Oxm::NdTarget => Field::ND_TARGET,
        Oxm::MplsLabel => Field::MPLS_LABEL,
        Oxm::MplsTc => Field::MPLS_TC,
        Oxm::MplsBos => Field::MPLS_BOS,
        Oxm::PbbIsid => Field::PBB_ISID,
        Oxm::Ipv6Exthdr => Field::IPV6_EXTHDR,
        Oxm::TcpFlags => Field::TCP_FLAGS,
        Oxm::Reg0 => Field::REG0,
        Oxm::Reg1 => Field::REG1,
        Oxm::Reg2 => Field::REG2,
        Oxm::Reg3 => Field::REG3,
        Oxm::Reg4 => Field::REG4,
        Oxm::Reg5 => Field::REG5,
        Oxm::Reg6 => Field::REG6,
        Oxm::Reg7 => Field::REG7,
        Oxm::Reg8 => Field::REG8,
        Oxm::Reg9 => Field::REG9,
        Oxm::Reg10 => Field::REG10,
        Oxm::Reg11 => Field::REG11,
        Oxm::Reg12 => Field::REG12,
        Oxm::Reg13 => Field::REG13,
        Oxm::Reg14 => Field::REG14,
        Oxm::Reg15 => Field::REG15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oko_openflow::oxm::FIELDS;

    #[test]
    fn every_match_field_has_a_place_that_is_wide_enough() {
        for spec in FIELDS {
            assert!(place(spec.field).bits() >= u32::from(spec.bits), "{}", spec.name);
        }
    }
}
