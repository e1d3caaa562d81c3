//! Numbers that name things on the wire, each a type of its own.

use std::fmt;

/// An OpenFlow port number, section 7.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNo(pub u32);

impl PortNo {
    /// The largest number of a real port (`OFPP_MAX`).
    pub const MAX: PortNo = PortNo(0xffff_ff00);
    /// Back out of the port it came from.
    pub const IN_PORT: PortNo = PortNo(0xffff_fff8);
    /// Through the flow tables; only in packet-out.
    pub const TABLE: PortNo = PortNo(0xffff_fff9);
    /// As a learning switch would.
    pub const NORMAL: PortNo = PortNo(0xffff_fffa);
    /// All ports of the VLAN except the ingress port and those that are blocked.
    pub const FLOOD: PortNo = PortNo(0xffff_fffb);
    /// All ports except the ingress port.
    pub const ALL: PortNo = PortNo(0xffff_fffc);
    /// To the controllers.
    pub const CONTROLLER: PortNo = PortNo(0xffff_fffd);
    /// The switch's own network stack.
    pub const LOCAL: PortNo = PortNo(0xffff_fffe);
    /// No port given: a wildcard in requests.
    pub const ANY: PortNo = PortNo(0xffff_ffff);

    /// The reserved ports with the names that `ovs-ofctl` prints and reads (in either case).
    pub const RESERVED: &'static [(PortNo, &'static str)] = &[
        (PortNo::IN_PORT, "IN_PORT"),
        (PortNo::TABLE, "TABLE"),
        (PortNo::NORMAL, "NORMAL"),
        (PortNo::FLOOD, "FLOOD"),
        (PortNo::ALL, "ALL"),
        (PortNo::CONTROLLER, "CONTROLLER"),
        (PortNo::LOCAL, "LOCAL"),
        (PortNo::ANY, "ANY"),
    ];

    /// Whether this can be the number of a real port: 1 to `OFPP_MAX`.
    pub fn is_physical(self) -> bool {
        self.0 >= 1 && self.0 <= Self::MAX.0
    }

    /// The name of a reserved port.
    pub fn reserved_name(self) -> Option<&'static str> {
        Self::RESERVED.iter().find(|(port, _)| *port == self).map(|(_, name)| *name)
    }
}

impl fmt::Display for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reserved_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A flow table's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u8);

impl TableId {
    /// The largest number of a real table (`OFPTT_MAX`).
    pub const MAX: TableId = TableId(0xfe);
    /// Every table: a wildcard in deletions and requests (`OFPTT_ALL`).
    pub const ALL: TableId = TableId(0xff);

    /// Whether what names this table is about another one: the same, or any if it is [`ALL`](Self::ALL).
    pub fn is_about(self, table: TableId) -> bool {
        self == TableId::ALL || self == table
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A group's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The largest number of a real group (`OFPG_MAX`).
    pub const MAX: GroupId = GroupId(0xffff_ff00);
    /// Every group (`OFPG_ALL`).
    pub const ALL: GroupId = GroupId(0xffff_fffc);
    /// No group given: a wildcard in requests (`OFPG_ANY`).
    pub const ANY: GroupId = GroupId(0xffff_ffff);
}

/// A meter's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterId(pub u32);

impl MeterId {
    /// The largest number of a real meter (`OFPM_MAX`).
    pub const MAX: MeterId = MeterId(0xffff_0000);
    /// Every meter (`OFPM_ALL`).
    pub const ALL: MeterId = MeterId(0xffff_ffff);
}

/// A loaded filter's number, given by the switch and never given again while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub u32);

impl fmt::Display for FilterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `OFP_NO_BUFFER`: the packet is not buffered, the whole of it is in the message.
pub(crate) const NO_BUFFER: u32 = 0xffff_ffff;

/// A buffer id as it is on the wire, `OFP_NO_BUFFER` being none.
pub(crate) fn buffer_from_wire(id: u32) -> Option<u32> {
    (id != NO_BUFFER).then_some(id)
}

/// The wire form of a buffer id.
pub(crate) fn buffer_to_wire(id: Option<u32>) -> u32 {
    id.unwrap_or(NO_BUFFER)
}
