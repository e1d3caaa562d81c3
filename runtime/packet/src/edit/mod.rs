//! Rewriting of packets: what OpenFlow actions do to the bytes of a frame.
//!
//! An [`Editor`] holds a frame and its flow key and keeps the two in step: after each operation, [`Editor::key`] is what
//! [`extract`](crate::extract) would say of the frame, and the checksums are right that were right before. An operation on a header
//! that the packet does not have does nothing. References: OpenFlow 1.3.5, sections 5.12 and 7.2.5; RFC 1624.
//!
//! - `fields`: a field gets a value
//! - `tags`: VLAN tags, MPLS entries and backbone service tags come and go
//! - `ttl`: time to live
//! - `rewrite`: changes worked out once for many packets of common shapes
//! - `checksum`, `frame`: what these are made of

mod checksum;
mod fields;
mod frame;
mod rewrite;
#[cfg(test)]
mod rewrite_tests;
mod tags;
#[cfg(test)]
mod tests;
mod ttl;

pub use frame::{FrameBuf, NoRoom};
pub use rewrite::{Kinds, Rewrite, Shape};
pub use ttl::TtlExpired;

use crate::extract::{Extracted, be16};
use crate::key::{Field, FlowKey};
use crate::layers::is_tagged;
use crate::proto::{ETH_IPV4, ETH_IPV6, IP_ICMP, IP_ICMPV6, IP_SCTP, IP_TCP, IP_UDP};
use checksum::Difference;

/// A frame that is being rewritten.
#[derive(Debug)]
pub struct Editor<'b> {
    frame: FrameBuf<'b>,
    found: Extracted,
    /// The frame was not looked at yet, or headers have moved since. Many packets only get another address or a tag, for which nothing else of them is read.
    stale: bool,
    edited: bool,
}

impl<'b> Editor<'b> {
    /// A frame that came in by a port.
    #[inline]
    pub fn new(frame: FrameBuf<'b>, in_port: u32) -> Self {
        Self { frame, found: Extracted::unread(in_port), stale: true, edited: false }
    }

    /// The frame as it is now.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.frame.bytes()
    }

    /// Where the frame is in its buffer.
    pub fn range(&self) -> (usize, usize) {
        self.frame.range()
    }

    /// Whether any byte may differ from the frame that there was first.
    pub fn is_edited(&self) -> bool {
        self.edited
    }

    /// The flow key of the frame as it is now.
    #[inline]
    pub fn key(&mut self) -> &FlowKey {
        self.refresh();
        &self.found.key
    }

    /// What the operations below need to know of the headers.
    #[inline]
    fn refresh(&mut self) {
        if self.stale {
            self.extract_again();
        }
    }

    #[inline(never)]
    fn extract_again(&mut self) {
        self.found.read(self.frame.bytes());
        self.stale = false;
    }

    /// Puts a frame that was saved, and its key, in the place of this one.
    ///
    /// # Errors
    /// When it is longer than the buffer.
    pub fn restore(&mut self, saved: &[u8], start: usize, key: &FlowKey) -> Result<(), NoRoom> {
        self.frame.restore(saved, start)?;
        self.found.key = *key;
        self.stale = true;
        Ok(())
    }

    /// The EtherType behind the VLAN tags, and where the network header starts, if it is one that can be read.
    fn network(&mut self) -> Option<(u16, usize)> {
        self.refresh();
        let at = usize::from(self.found.l3?);
        self.found.readable.then(|| (self.found.key.get(Field::ETH_TYPE) as u16, at))
    }

    fn network_of(&mut self, eth_type: u16) -> Option<usize> {
        self.network().filter(|(found, _)| *found == eth_type).map(|(_, at)| at)
    }

    fn is_tagged(&self) -> bool {
        is_tagged(self.frame.bytes())
    }

    fn be16(&self, at: usize) -> u16 {
        be16(self.frame.bytes(), at)
    }

    fn write(&mut self, at: usize, new: &[u8]) {
        self.frame.bytes_mut()[at..at + new.len()].copy_from_slice(new);
        self.edited = true;
    }

    /// Writes into an IPv4 header and mends its checksum.
    fn write_ipv4(&mut self, l3: usize, at: usize, new: &[u8]) {
        let old = &self.frame.bytes()[l3 + at..l3 + at + new.len()];
        let change = Difference::between(old, new, at);
        self.write(l3 + at, new);
        let checksum = change.apply(self.be16(l3 + 10));
        self.write(l3 + 10, &checksum.to_be_bytes());
    }

    /// Mends the transport checksum for a change of the pseudo-header: addresses and protocol.
    fn mend_pseudo_header(&mut self, change: Difference) {
        let Some(l4) = self.found.l4.map(usize::from) else { return };
        let proto = self.found.key.get(Field::IP_PROTO) as u8;
        if matches!(proto, IP_TCP | IP_UDP | IP_ICMPV6) {
            self.mend(l4, proto, change);
        }
    }

    /// Writes into a transport header and mends its checksum.
    fn write_transport(&mut self, l4: usize, at: usize, new: &[u8]) {
        let proto = self.found.key.get(Field::IP_PROTO) as u8;
        if proto == IP_SCTP {
            let (_, end) = self.payload();
            let right_before = checksum::sctp(&self.frame.bytes()[l4..end]);
            self.write(l4 + at, new);
            let right_after = checksum::sctp(&self.frame.bytes()[l4..end]);
            // Of a fragment, the checksum is over more than there is here.
            if self.found.key.get(Field::IP_FRAG) == 0 {
                for i in 0..4 {
                    self.frame.bytes_mut()[l4 + 8 + i] ^= right_before[i] ^ right_after[i];
                }
            }
            return;
        }
        let old = &self.frame.bytes()[l4 + at..l4 + at + new.len()];
        let change = Difference::between(old, new, at);
        self.write(l4 + at, new);
        self.mend(l4, proto, change);
    }

    fn mend(&mut self, l4: usize, proto: u8, change: Difference) {
        let at = l4
            + match proto {
                IP_TCP => 16,
                IP_UDP => 6,
                IP_ICMP | IP_ICMPV6 => 2,
                _ => return,
            };
        if at + 2 > self.frame.len() {
            return;
        }
        let old = self.be16(at);
        if proto == IP_UDP && old == 0 {
            // The sender made none (RFC 768).
            return;
        }
        let mut checksum = change.apply(old);
        if proto == IP_UDP && checksum == 0 {
            checksum = 0xffff;
        }
        self.write(at, &checksum.to_be_bytes());
    }

    /// Where the IP payload starts and where it ends, which may be before the end of the frame.
    fn payload(&mut self) -> (usize, usize) {
        let len = self.frame.len();
        let Some((eth_type, l3)) = self.network() else { return (len, len) };
        let end = match eth_type {
            ETH_IPV4 => l3 + usize::from(self.be16(l3 + 2)),
            ETH_IPV6 => l3 + 40 + usize::from(self.be16(l3 + 4)),
            _ => len,
        };
        (self.found.l4.map_or(len, usize::from), end.min(len))
    }
}
