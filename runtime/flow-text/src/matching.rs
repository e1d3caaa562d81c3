//! The conditions of a flow: fields, shorthands, and `filter=`.
//!
//! The order of conditions in the text does not matter: names whose meaning depends on the protocol (`tp_dst`,
//! `nw_src`, `icmp_type`) are resolved after the protocol is known.

use oko_openflow::oxm::{FIELDS, VLAN_PRESENT, ethertype, ip_proto};
use oko_openflow::{Field, FilterId, FilterMatch, Match, MatchField, Problem};

use crate::error::{FlowError, FlowProblem, nearest};
use crate::names::Names;
use crate::piece::Piece;
use crate::value::{bounded, condition, number};

/// Words that stand for an EtherType and an IP protocol; the first of each pair is the one that is printed.
pub(crate) const SHORTHANDS: &[(&str, u128, Option<u128>)] = &[
    ("ip", ethertype::IPV4, None),
    ("ipv4", ethertype::IPV4, None),
    ("ip4", ethertype::IPV4, None),
    ("icmp", ethertype::IPV4, Some(ip_proto::ICMP)),
    ("icmp4", ethertype::IPV4, Some(ip_proto::ICMP)),
    ("tcp", ethertype::IPV4, Some(ip_proto::TCP)),
    ("tcp4", ethertype::IPV4, Some(ip_proto::TCP)),
    ("udp", ethertype::IPV4, Some(ip_proto::UDP)),
    ("udp4", ethertype::IPV4, Some(ip_proto::UDP)),
    ("sctp", ethertype::IPV4, Some(ip_proto::SCTP)),
    ("sctp4", ethertype::IPV4, Some(ip_proto::SCTP)),
    ("ipv6", ethertype::IPV6, None),
    ("ip6", ethertype::IPV6, None),
    ("icmp6", ethertype::IPV6, Some(ip_proto::ICMPV6)),
    ("tcp6", ethertype::IPV6, Some(ip_proto::TCP)),
    ("udp6", ethertype::IPV6, Some(ip_proto::UDP)),
    ("sctp6", ethertype::IPV6, Some(ip_proto::SCTP)),
    ("arp", ethertype::ARP, None),
    ("rarp", 0x8035, None),
    ("mpls", ethertype::MPLS, None),
    ("mplsm", ethertype::MPLS_MULTICAST, None),
];

/// Names that are neither fields nor shorthands.
const COMPOSED: &[&str] = &["dl_vlan", "vlan_tci", "nw_tos", "tp_src", "tp_dst", "filter"];

/// Fields of Open vSwitch that OpenFlow 1.3 cannot carry, by the start of their names.
const NOT_IN_OPENFLOW: &[&str] = &[
    "nw_ttl",
    "ip_frag",
    "nw_frag",
    "tcp_flags",
    "ct_",
    "reg",
    "xreg",
    "xxreg",
    "conj_id",
    "tun_src",
    "tun_dst",
    "tun_ipv6",
    "tun_gbp",
    "tun_flags",
    "tun_metadata",
    "tun_erspan",
    "pkt_mark",
    "recirc_id",
    "dp_hash",
    "packet_type",
    "nsh_",
    "mpls_ttl",
    "actset_output",
    "skb_priority",
];

/// All names that can begin a condition.
pub(crate) fn known_names() -> impl Iterator<Item = &'static str> {
    FIELDS
        .iter()
        .flat_map(|spec| spec.aliases.iter().copied().chain([spec.name]))
        .chain(SHORTHANDS.iter().map(|(name, ..)| *name))
        .chain(COMPOSED.iter().copied())
}

/// A condition as it is written: its name, and its value after `=`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) whole: Piece<'a>,
    pub(crate) key: Piece<'a>,
    pub(crate) value: Option<Piece<'a>>,
}

impl<'a> Written<'a> {
    pub(crate) fn new(whole: Piece<'a>) -> Written<'a> {
        match whole.split_once('=') {
            Some((key, value)) => Written { whole, key, value: Some(value) },
            None => Written { whole, key: whole, value: None },
        }
    }

    /// The value, which must be there.
    pub(crate) fn value(&self, expected: &str) -> Result<Piece<'a>, FlowError> {
        self.value.ok_or_else(|| {
            self.whole.error(FlowProblem::NoValue {
                key: self.key.text().to_owned(),
                expected: format!("`{}=` and {expected}", self.key.text()),
            })
        })
    }

    /// Fails if there is a value.
    pub(crate) fn alone(&self) -> Result<(), FlowError> {
        match self.value {
            Some(_) => {
                Err(self.whole.error(FlowProblem::ValueNotAllowed { key: self.key.text().to_owned() }))
            }
            None => Ok(()),
        }
    }
}

/// Reads the conditions of a match.
pub(crate) fn parse_match(written: &[Written<'_>], names: &Names) -> Result<Match, FlowError> {
    let mut builder = Builder { names, conditions: Vec::new(), filter: None };
    let mut rest = Vec::new();
    for one in written {
        if !builder.ethertype(one)? {
            rest.push(one);
        }
    }
    let mut later = Vec::new();
    for one in rest {
        if !builder.protocol(one)? {
            later.push(one);
        }
    }
    for one in later {
        builder.other(one)?;
    }
    builder.finish()
}

struct Builder<'a> {
    names: &'a Names,
    conditions: Vec<(MatchField, Piece<'a>)>,
    filter: Option<FilterMatch>,
}

impl<'a> Builder<'a> {
    /// Takes shorthands and the EtherType.
    fn ethertype(&mut self, written: &Written<'a>) -> Result<bool, FlowError> {
        let key = written.key.text();
        if let Some((_, ty, proto)) = SHORTHANDS.iter().find(|(name, ..)| *name == key) {
            written.alone()?;
            self.add_known(Field::EthType, *ty, written.whole)?;
            if let Some(proto) = proto {
                self.add_known(Field::IpProto, *proto, written.whole)?;
            }
            return Ok(true);
        }
        if Field::from_name(key) == Some(Field::EthType) {
            self.field(Field::EthType, written)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Takes the IP protocol and, in ARP, what goes by its name.
    fn protocol(&mut self, written: &Written<'a>) -> Result<bool, FlowError> {
        if Field::from_name(written.key.text()) != Some(Field::IpProto) {
            return Ok(false);
        }
        let field = if self.is(Field::EthType, ethertype::ARP) { Field::ArpOp } else { Field::IpProto };
        self.field(field, written)?;
        Ok(true)
    }

    fn other(&mut self, written: &Written<'a>) -> Result<(), FlowError> {
        let key = written.key.text();
        match key {
            "filter" => self.filter(written),
            "dl_vlan" => self.dl_vlan(written),
            "vlan_tci" => self.vlan_tci(written),
            "nw_tos" => self.nw_tos(written),
            "tp_src" | "tp_dst" => {
                let source = key == "tp_src";
                let field = match self.get(Field::IpProto) {
                    Some(ip_proto::TCP) => [Field::TcpDst, Field::TcpSrc][usize::from(source)],
                    Some(ip_proto::UDP) => [Field::UdpDst, Field::UdpSrc][usize::from(source)],
                    Some(ip_proto::SCTP) => [Field::SctpDst, Field::SctpSrc][usize::from(source)],
                    _ => {
                        return Err(written.whole.error(FlowProblem::Prerequisite {
                            key: key.to_owned(),
                            needs: "tcp, udp or sctp".to_owned(),
                            add: Some("tcp"),
                        }));
                    }
                };
                self.field(field, written)
            }
            _ => match Field::from_name(key) {
                Some(field) => self.field(self.in_context(field), written),
                None => Err(unknown_field(written.key)),
            },
        }
    }

    /// The field that a name of an older protocol stands for, given what is known of the packet.
    fn in_context(&self, field: Field) -> Field {
        let arp = self.is(Field::EthType, ethertype::ARP);
        let icmp6 = self.is(Field::IpProto, ip_proto::ICMPV6);
        match field {
            Field::Ipv4Src if arp => Field::ArpSpa,
            Field::Ipv4Dst if arp => Field::ArpTpa,
            Field::Icmpv4Type if icmp6 => Field::Icmpv6Type,
            Field::Icmpv4Code if icmp6 => Field::Icmpv6Code,
            other => other,
        }
    }

    fn field(&mut self, field: Field, written: &Written<'a>) -> Result<(), FlowError> {
        let key = written.key.text();
        let value = written.value("its value")?;
        let condition = condition(key, field.spec(), value, self.names)?;
        self.add(condition, written.whole)
    }

    /// `dl_vlan=N`: packets with a tag of VLAN N; 0xffff: packets without a tag.
    fn dl_vlan(&mut self, written: &Written<'a>) -> Result<(), FlowError> {
        let value = written.value("a VLAN id")?;
        let vid = match number(value.text()) {
            Some(0xffff) => 0,
            _ => VLAN_PRESENT | u128::from(bounded("dl_vlan", value, 0xfff_u16)?),
        };
        self.add_known(Field::VlanVid, vid, written.whole)
    }

    /// `vlan_tci=V/M`: the VLAN tag as OpenFlow 1.0 with Nicira's extensions sees it, priority in the upper three bits.
    fn vlan_tci(&mut self, written: &Written<'a>) -> Result<(), FlowError> {
        let value = written.value("a tag")?;
        let (value, mask) = match value.split_once('/') {
            Some((value, mask)) => {
                (bounded("vlan_tci", value, u16::MAX)?, bounded("the mask", mask, u16::MAX)?)
            }
            None => (bounded("vlan_tci", value, u16::MAX)?, u16::MAX),
        };
        let (value, mask) = (u128::from(value & mask), u128::from(mask));
        let pcp_mask = mask >> 13;
        if pcp_mask != 0 && pcp_mask != 7 {
            return Err(written
                .whole
                .error(FlowProblem::NotMaskable { key: "the VLAN priority".to_owned() }));
        }
        let vid = MatchField::masked(Field::VlanVid, value & 0x1fff, mask & 0x1fff)
            .expect("13 bits under their mask");
        self.add(vid, written.whole)?;
        if pcp_mask == 7 && value & VLAN_PRESENT != 0 {
            self.add_known(Field::VlanPcp, value >> 13, written.whole)?;
        }
        Ok(())
    }

    /// `nw_tos=T`: the traffic class, whose lower two bits must be zero.
    fn nw_tos(&mut self, written: &Written<'a>) -> Result<(), FlowError> {
        let value = written.value("a traffic class")?;
        let tos: u8 = bounded("nw_tos", value, u8::MAX)?;
        if tos & 3 != 0 {
            return Err(value.error(FlowProblem::BadValue {
                key: "nw_tos".to_owned(),
                found: value.text().to_owned(),
                expected: "a multiple of 4; the lower two bits are nw_ecn".to_owned(),
            }));
        }
        self.add_known(Field::IpDscp, u128::from(tos >> 2), written.whole)
    }

    /// `filter=NAME`, `filter=NAME:Class`, and `filter=ID:NUMBER` as it is printed for a filter that has no name.
    fn filter(&mut self, written: &Written<'a>) -> Result<(), FlowError> {
        let value = written.value("the name of a filter")?;
        if self.filter.is_some() {
            return Err(written.whole.error(FlowProblem::Duplicate { key: "filter".to_owned() }));
        }
        let (name, class) = match value.split_once(':') {
            Some((name, class)) => (name, Some(class)),
            None => (value, None),
        };
        if name.is_empty() {
            let expected = "the name of a loaded filter".to_owned();
            return Err(value.error(FlowProblem::NoValue { key: "filter".to_owned(), expected }));
        }
        if name.text().starts_with(|c: char| c.is_ascii_digit()) {
            let id = FilterId(bounded("the filter id", name, u32::MAX)?);
            let class = class.map_or(Ok(1), |class| bounded("the class", class, u32::MAX))?;
            self.filter = Some(FilterMatch { filter: id, class });
            return Ok(());
        }
        let Some(filter) = self.names.filter(name.text()) else {
            let known: Vec<String> = self.names.filters.iter().map(|f| f.name.clone()).collect();
            let suggestion = nearest(name.text(), known.iter().map(String::as_str));
            return Err(name.error(FlowProblem::UnknownFilter {
                found: name.text().to_owned(),
                known,
                suggestion,
            }));
        };
        let known = || filter.classes.iter().map(|c| c.name.clone()).collect();
        let class = match class {
            None if filter.boolean => 1,
            None => {
                return Err(
                    value.error(FlowProblem::ClassNeeded { filter: filter.name.clone(), known: known() })
                );
            }
            Some(class) => match filter.class(class.text()) {
                Some(found) => found.number,
                None => {
                    return Err(class.error(FlowProblem::UnknownClass {
                        filter: filter.name.clone(),
                        found: class.text().to_owned(),
                        known: known(),
                    }));
                }
            },
        };
        self.filter = Some(FilterMatch { filter: filter.id, class });
        Ok(())
    }

    fn get(&self, field: Field) -> Option<u128> {
        self.conditions.iter().find(|(c, _)| c.field() == field && c.is_exact()).map(|(c, _)| c.value())
    }

    fn is(&self, field: Field, value: u128) -> bool {
        self.get(field) == Some(value)
    }

    fn add_known(&mut self, field: Field, value: u128, piece: Piece<'a>) -> Result<(), FlowError> {
        let condition = MatchField::exact(field, value).expect("the caller's value fits the field");
        self.add(condition, piece)
    }

    /// Adds a condition; the same one twice is no harm (`ip,tcp`).
    fn add(&mut self, condition: MatchField, piece: Piece<'a>) -> Result<(), FlowError> {
        match self.conditions.iter().find(|(c, _)| c.field() == condition.field()) {
            Some((same, _)) if *same == condition => Ok(()),
            Some(_) => Err(piece.error(FlowProblem::Duplicate { key: condition.field().to_string() })),
            None => {
                self.conditions.push((condition, piece));
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Match, FlowError> {
        let mut out: Match = self.conditions.iter().map(|(condition, _)| *condition).collect();
        if out.get(Field::VlanPcp).is_some() && out.get(Field::VlanVid).is_none() {
            // A priority alone wants a tag, of whatever VLAN.
            let any_tag = MatchField::masked(Field::VlanVid, VLAN_PRESENT, VLAN_PRESENT);
            out.set(any_tag.expect("the bit is within its mask"));
        }
        if let Err(e) = out.check_prerequisites() {
            let Problem::Prerequisite { field, prerequisite } = e.problem else {
                unreachable!("check_prerequisites finds nothing else")
            };
            let (condition, piece) = self
                .conditions
                .iter()
                .find(|(c, _)| c.field().spec().name == field)
                .expect("only conditions that were given lack something");
            return Err(piece.error(FlowProblem::Prerequisite {
                key: field.to_owned(),
                needs: prerequisite,
                add: shorthand_for(condition.field()),
            }));
        }
        out.filter = self.filter;
        Ok(out)
    }
}

fn unknown_field(key: Piece<'_>) -> FlowError {
    let found = key.text().to_owned();
    if NOT_IN_OPENFLOW.iter().any(|start| found.starts_with(start)) {
        return key.error(FlowProblem::NotInOpenFlow { found, instead: None });
    }
    let known = known_names().chain(crate::flow::SETTINGS.iter().copied()).chain(["actions"]);
    let suggestion = nearest(&found, known);
    key.error(FlowProblem::UnknownField { found, suggestion })
}

/// What to add to a flow that lacks a prerequisite of the field.
fn shorthand_for(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::TcpSrc | Field::TcpDst => "tcp",
        Field::UdpSrc | Field::UdpDst => "udp",
        Field::SctpSrc | Field::SctpDst => "sctp",
        Field::Icmpv4Type | Field::Icmpv4Code => "icmp",
        Field::Icmpv6Type | Field::Icmpv6Code => "icmp6",
        Field::Ipv4Src | Field::Ipv4Dst | Field::IpProto | Field::IpDscp | Field::IpEcn => "ip",
        Field::Ipv6Src | Field::Ipv6Dst | Field::Ipv6Label | Field::Ipv6Exthdr => "ipv6",
        Field::ArpOp | Field::ArpSpa | Field::ArpTpa | Field::ArpSha | Field::ArpTha => "arp",
        Field::NdTarget | Field::NdSll => "icmp6,icmp_type=135",
        Field::NdTll => "icmp6,icmp_type=136",
        Field::MplsLabel | Field::MplsTc | Field::MplsBos => "mpls",
        Field::PbbIsid => "dl_type=0x88e7",
        _ => return None,
    })
}
