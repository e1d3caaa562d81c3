//! Time to live: of the IP header and of MPLS entries. OpenFlow 1.3.5, section 5.12.

use super::Editor;
use crate::proto::{ETH_IPV4, ETH_IPV6, ETH_MPLS, ETH_MPLS_MC};

/// A time to live cannot be decremented: it was 0 or 1. The packet is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet's time to live is over")]
pub struct TtlExpired;

/// A header with a time to live.
#[derive(Clone, Copy)]
enum Living {
    Mpls(usize),
    Ipv4(usize),
    Ipv6(usize),
}

impl Living {
    /// Where the byte is.
    fn at(self) -> usize {
        match self {
            Living::Mpls(entry) => entry + 3,
            Living::Ipv4(header) => header + 8,
            Living::Ipv6(header) => header + 7,
        }
    }
}

impl Editor<'_> {
    /// Sets the time to live or hop limit of the IP header.
    pub fn set_nw_ttl(&mut self, ttl: u8) {
        if let Some(ip) = self.ip() {
            self.set_ttl(ip, ttl);
        }
    }

    /// Decrements it.
    ///
    /// # Errors
    /// When that leaves nothing.
    pub fn dec_nw_ttl(&mut self) -> Result<(), TtlExpired> {
        let ip = self.ip();
        self.dec_ttl(ip)
    }

    /// Sets the time to live of the outermost MPLS entry.
    pub fn set_mpls_ttl(&mut self, ttl: u8) {
        if let Some(entry) = self.mpls_entry() {
            self.set_ttl(entry, ttl);
        }
    }

    /// Decrements it.
    ///
    /// # Errors
    /// When that leaves nothing.
    pub fn dec_mpls_ttl(&mut self) -> Result<(), TtlExpired> {
        let entry = self.mpls_entry();
        self.dec_ttl(entry)
    }

    /// Copies the time to live from the next-to-outermost header that has one to the outermost.
    pub fn copy_ttl_out(&mut self) {
        if let Some((outer, inner)) = self.two() {
            let ttl = self.bytes()[inner.at()];
            self.set_ttl(outer, ttl);
        }
    }

    /// Copies the time to live from the outermost header that has one to the next.
    pub fn copy_ttl_in(&mut self) {
        if let Some((outer, inner)) = self.two() {
            let ttl = self.bytes()[outer.at()];
            self.set_ttl(inner, ttl);
        }
    }

    fn ip(&mut self) -> Option<Living> {
        match self.network()? {
            (ETH_IPV4, l3) => Some(Living::Ipv4(l3)),
            (ETH_IPV6, l3) => Some(Living::Ipv6(l3)),
            _ => None,
        }
    }

    fn mpls_entry(&mut self) -> Option<Living> {
        match self.network()? {
            (ETH_MPLS | ETH_MPLS_MC, l3) => Some(Living::Mpls(l3)),
            _ => None,
        }
    }

    fn set_ttl(&mut self, header: Living, ttl: u8) {
        match header {
            Living::Ipv4(l3) => self.write_ipv4(l3, 8, &[ttl]),
            Living::Ipv6(_) | Living::Mpls(_) => self.write(header.at(), &[ttl]),
        }
    }

    fn dec_ttl(&mut self, header: Option<Living>) -> Result<(), TtlExpired> {
        let Some(header) = header else { return Ok(()) };
        match self.bytes()[header.at()] {
            0 | 1 => Err(TtlExpired),
            ttl => {
                self.set_ttl(header, ttl - 1);
                Ok(())
            }
        }
    }

    /// The outermost header with a time to live, and the next: MPLS over MPLS or IP, or IP over IP.
    fn two(&mut self) -> Option<(Living, Living)> {
        if let Some(outer) = self.mpls_entry() {
            let Living::Mpls(at) = outer else { return None };
            let below = at + 4;
            let is_last = self.bytes()[at + 2] & 1 != 0;
            let inner = if is_last {
                self.ip_at(below)?
            } else {
                self.bytes().get(below..below + 4)?;
                Living::Mpls(below)
            };
            return Some((outer, inner));
        }
        let outer = self.ip()?;
        let header = match outer {
            Living::Ipv4(l3) => {
                let bytes = self.bytes();
                // Without the later fragments of a packet, whose payload starts with no header.
                let first = self.be16(l3 + 6) & 0x1fff == 0;
                (first && matches!(bytes[l3 + 9], 4 | 41)).then(|| l3 + usize::from(bytes[l3] & 15) * 4)?
            }
            Living::Ipv6(l3) => matches!(self.bytes()[l3 + 6], 4 | 41).then_some(l3 + 40)?,
            Living::Mpls(_) => return None,
        };
        Some((outer, self.ip_at(header)?))
    }

    /// The IP header at a place, told by its version: nothing else does so below MPLS.
    fn ip_at(&self, at: usize) -> Option<Living> {
        let rest = self.bytes().get(at..)?;
        match rest.first()? >> 4 {
            4 if rest.len() >= 20 => Some(Living::Ipv4(at)),
            6 if rest.len() >= 40 => Some(Living::Ipv6(at)),
            _ => None,
        }
    }
}
