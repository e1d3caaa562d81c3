//! The words of a flow key and where the fields lie in them.
//!
//! Fields stand in the order of the layers: where a packet comes from, link, network, transport. A lookup that compares word by
//! word can stop at the first layer that differs. Two fields that no packet has both of, such as the TCP and the UDP source
//! port, share a place; the fields that tell which one it is are prerequisites of either, so a match names them too.

use std::fmt;

/// How many 64-bit words a key has.
pub const WORDS: usize = 27;

/// A field's place in a key. Its name is not part of it: actions compare fields with others for each packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    /// The word it lies in; the more significant one of a field of 128 bits.
    word: u8,
    /// How far its lowest bit is from the lowest of the word.
    shift: u8,
    /// How many bits it has: at most 64, or 128.
    bits: u8,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $id:ident = $name:literal at $word:literal : $shift:literal, $bits:literal;)*) => {
        impl Field {
            $($(#[$doc])* pub const $id: Field = Field { word: $word, shift: $shift, bits: $bits };)*

            /// Its name in `ovs-ofctl`'s flow syntax.
            pub fn name(self) -> &'static str {
                match self {
                    $(Field::$id => $name,)*
                    // Fields are made here only.
                    Field { .. } => "?",
                }
            }
        }
        /// All fields, in the order of their places.
        pub const FIELDS: &[Field] = &[$(Field::$id),*];
    };
}

fields! {
    /// The port that the frame came in by.
    IN_PORT = "in_port" at 0:32, 32;
    /// The physical port under `IN_PORT`.
    IN_PHY_PORT = "in_phy_port" at 0:0, 32;
    /// What an earlier table wrote.
    METADATA = "metadata" at 1:0, 64;
    /// What the logical port knows of a tunnel.
    TUNNEL_ID = "tun_id" at 2:0, 64;
    /// Destination MAC address.
    ETH_DST = "eth_dst" at 3:16, 48;
    /// EtherType of what follows the VLAN tags.
    ETH_TYPE = "eth_type" at 3:0, 16;
    /// Source MAC address.
    ETH_SRC = "eth_src" at 4:16, 48;
    /// VLAN id of the outermost tag; bit 12 (`OFPVID_PRESENT`) is set if there is a tag.
    VLAN_VID = "vlan_vid" at 4:0, 16;
    /// Priority of the outermost tag.
    VLAN_PCP = "vlan_pcp" at 5:56, 8;
    /// Traffic class of the outermost MPLS label.
    MPLS_TC = "mpls_tc" at 5:48, 8;
    /// Whether the outermost MPLS label is the last.
    MPLS_BOS = "mpls_bos" at 5:40, 8;
    /// The outermost MPLS label.
    MPLS_LABEL = "mpls_label" at 5:0, 32;
    /// Service instance of a provider backbone bridge.
    PBB_ISID = "pbb_isid" at 6:32, 32;
    /// ARP operation.
    ARP_OP = "arp_op" at 6:0, 16;
    /// IPv4 source address, or the sender's in ARP.
    IPV4_SRC = "ipv4_src" at 7:32, 32;
    /// IPv4 destination address, or the target's in ARP.
    IPV4_DST = "ipv4_dst" at 7:0, 32;
    /// IPv6 source address.
    IPV6_SRC = "ipv6_src" at 8:0, 128;
    /// IPv6 destination address.
    IPV6_DST = "ipv6_dst" at 10:0, 128;
    /// IP protocol: of the payload behind the extension headers.
    IP_PROTO = "ip_proto" at 12:56, 8;
    /// Differentiated services code point, 6 bits.
    IP_DSCP = "ip_dscp" at 12:48, 8;
    /// Explicit congestion notification, 2 bits.
    IP_ECN = "ip_ecn" at 12:40, 8;
    /// 1 for any fragment, 3 for one but the first.
    IP_FRAG = "ip_frag" at 12:32, 8;
    /// IPv6 flow label, 20 bits.
    IPV6_FLABEL = "ipv6_label" at 12:0, 32;
    /// Which IPv6 extension headers there are: the `OFPIEH_*` bits.
    IPV6_EXTHDR = "ipv6_exthdr" at 13:48, 16;
    /// TCP flags with the reserved bits, 12 bits.
    TCP_FLAGS = "tcp_flags" at 13:32, 16;
    /// Source port of TCP, UDP, SCTP, or type of ICMP and ICMPv6.
    L4_SRC = "tp_src" at 14:48, 16;
    /// Destination port of TCP, UDP, SCTP, or code of ICMP and ICMPv6.
    L4_DST = "tp_dst" at 14:32, 16;
    /// Target of a neighbour solicitation or advertisement.
    ND_TARGET = "nd_target" at 15:0, 128;
    /// Sender's MAC address in ARP, or source link-layer address in neighbour discovery.
    ND_SLL = "nd_sll" at 17:0, 48;
    /// Target's MAC address in ARP, or target link-layer address in neighbour discovery.
    ND_TLL = "nd_tll" at 18:0, 48;
    /// The first of the registers, which tables pass on and packets do not have.
    REG0 = "reg0" at 19:32, 32;
    /// A register.
    REG1 = "reg1" at 19:0, 32;
    /// A register.
    REG2 = "reg2" at 20:32, 32;
    /// A register.
    REG3 = "reg3" at 20:0, 32;
    /// A register.
    REG4 = "reg4" at 21:32, 32;
    /// A register.
    REG5 = "reg5" at 21:0, 32;
    /// A register.
    REG6 = "reg6" at 22:32, 32;
    /// A register.
    REG7 = "reg7" at 22:0, 32;
    /// A register.
    REG8 = "reg8" at 23:32, 32;
    /// A register.
    REG9 = "reg9" at 23:0, 32;
    /// A register.
    REG10 = "reg10" at 24:32, 32;
    /// A register.
    REG11 = "reg11" at 24:0, 32;
    /// A register.
    REG12 = "reg12" at 25:32, 32;
    /// A register.
    REG13 = "reg13" at 25:0, 32;
    /// A register.
    REG14 = "reg14" at 26:32, 32;
    /// A register.
    REG15 = "reg15" at 26:0, 32;
}

impl Field {
    /// The fields that no frame has: what the tables and the port know of it, but for `IN_PORT`.
    pub const PIPELINE: &[Field] = &[
        Field::IN_PHY_PORT,
        Field::METADATA,
        Field::TUNNEL_ID,
        Field::REG0,
        Field::REG1,
        Field::REG2,
        Field::REG3,
        Field::REG4,
        Field::REG5,
        Field::REG6,
        Field::REG7,
        Field::REG8,
        Field::REG9,
        Field::REG10,
        Field::REG11,
        Field::REG12,
        Field::REG13,
        Field::REG14,
        Field::REG15,
    ];

    /// Whether it is one of [`PIPELINE`](Self::PIPELINE).
    #[inline]
    pub fn is_pipeline(self) -> bool {
        !OF_FRAME.contains(&usize::from(self.word)) && self != Field::IN_PORT
    }

    /// How many bits the field has.
    pub fn bits(self) -> u32 {
        u32::from(self.bits)
    }

    /// All its bits.
    pub fn max(self) -> u128 {
        u128::MAX >> (128 - self.bits())
    }
}

/// Words of fields that come from a frame; those before and behind them hold what is known without it.
const OF_FRAME: std::ops::Range<usize> = 3..19;

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value for every field, or a mask over them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FlowKey {
    words: [u64; WORDS],
}

impl FlowKey {
    /// The key whose fields are all 0; as a mask, the one that matches everything.
    pub const ZERO: FlowKey = FlowKey { words: [0; WORDS] };

    /// The key of a frame that came in by a port and was not looked at.
    #[inline]
    pub(crate) fn of_port(in_port: u32) -> FlowKey {
        let mut words = [0; WORDS];
        words[usize::from(Field::IN_PORT.word)] = u64::from(in_port) << Field::IN_PORT.shift;
        FlowKey { words }
    }

    /// The words.
    #[inline]
    pub fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// A field's value.
    #[inline]
    pub fn get(&self, field: Field) -> u128 {
        let word = usize::from(field.word);
        if field.bits == 128 {
            u128::from(self.words[word]) << 64 | u128::from(self.words[word + 1])
        } else {
            u128::from(self.words[word] >> field.shift & (u64::MAX >> (64 - field.bits)))
        }
    }

    /// Gives a field a value. Bits beyond its width are cut off.
    #[inline]
    pub fn set(&mut self, field: Field, value: u128) {
        let word = usize::from(field.word);
        if field.bits == 128 {
            self.words[word] = (value >> 64) as u64;
            self.words[word + 1] = value as u64;
        } else {
            let mask = u64::MAX >> (64 - field.bits);
            let word = &mut self.words[word];
            *word = *word & !(mask << field.shift) | (value as u64 & mask) << field.shift;
        }
    }

    /// Makes all fields 0 that come from a frame.
    #[inline]
    pub(crate) fn forget_frame(&mut self) {
        self.words[OF_FRAME].fill(0);
    }

    /// The bits that `mask` has.
    #[inline]
    pub fn masked(&self, mask: &FlowKey) -> FlowKey {
        let mut out = FlowKey::ZERO;
        for (out, (word, mask)) in out.words.iter_mut().zip(self.words.iter().zip(&mask.words)) {
            *out = word & mask;
        }
        out
    }

    /// All bits of both.
    pub fn union(&self, other: &FlowKey) -> FlowKey {
        let mut out = *self;
        for (out, word) in out.words.iter_mut().zip(&other.words) {
            *out |= word;
        }
        out
    }

    /// How many bits are set.
    pub fn count_ones(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether every bit of `self` is in `other` too.
    pub fn is_within(&self, other: &FlowKey) -> bool {
        self.words.iter().zip(&other.words).all(|(a, b)| a & !b == 0)
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for field in FIELDS.iter().filter(|field| self.get(**field) != 0) {
            map.entry(field, &format_args!("{:#x}", self.get(*field)));
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_fields_overlap_and_each_keeps_what_it_is_given() {
        let mut all = FlowKey::ZERO;
        for field in FIELDS {
            let mut one = FlowKey::ZERO;
            one.set(*field, u128::MAX);
            assert_eq!(one.get(*field), field.max(), "{field:?}");
            assert_eq!(all.masked(&one), FlowKey::ZERO, "{field:?} overlaps another field");
            all.set(*field, u128::MAX);
            assert!(one.is_within(&all));
        }
        for field in FIELDS {
            all.set(*field, 0);
        }
        assert_eq!(all, FlowKey::ZERO);
    }

    #[test]
    fn fields_are_of_frames_or_of_the_pipeline_and_each_has_a_name() {
        let mut names = std::collections::HashSet::new();
        for field in FIELDS {
            assert_eq!(field.is_pipeline(), Field::PIPELINE.contains(field), "{field:?}");
            let mut key = FlowKey::ZERO;
            key.set(*field, u128::MAX);
            key.forget_frame();
            let is_kept = field.is_pipeline() || *field == Field::IN_PORT;
            assert_eq!(key.get(*field), if is_kept { field.max() } else { 0 }, "{field:?}");
            assert!(names.insert(field.name()), "two fields are called {field:?}");
        }
    }
}
