//! VLAN tags, MPLS entries and backbone service tags. OpenFlow 1.3.5, section 5.12 (push and pop) and 5.12.1 (first values).
//!
//! A new tag is the outermost of its kind and starts with the values of the one that was outermost before. A VLAN tag and an MPLS
//! entry stand right behind the Ethernet header, before any other tag, as section 5.12 has it.

use super::{Editor, FrameBuf, NoRoom};
use crate::extract::be16;
use crate::key::Field;
use crate::layers::is_tagged;
use crate::proto::{ETH_IPV4, ETH_IPV6, ETH_MPLS, ETH_MPLS_MC, ETH_PBB};

/// Bytes of the two MAC addresses, and so the place of the outermost EtherType.
pub(super) const ADDRESSES: usize = 12;
pub(super) const ETHERNET: usize = 14;
/// Of a VLAN tag, an MPLS entry, an I-TAG.
pub(super) const TAG: usize = 4;

/// Pushes a VLAN tag onto a frame with a whole Ethernet header.
#[inline]
pub(super) fn push_vlan(frame: &mut FrameBuf<'_>, eth_type: u16) -> Result<(), NoRoom> {
    let tci = if is_tagged(frame.bytes()) { be16(frame.bytes(), ETHERNET) } else { 0 };
    let tag = frame.insert(ADDRESSES, TAG)?;
    tag[..2].copy_from_slice(&eth_type.to_be_bytes());
    tag[2..].copy_from_slice(&tci.to_be_bytes());
    Ok(())
}

impl Editor<'_> {
    /// Pushes a VLAN tag with an EtherType.
    ///
    /// # Errors
    /// When the buffer has no room for it.
    pub fn push_vlan(&mut self, eth_type: u16) -> Result<(), NoRoom> {
        if self.bytes().len() < ETHERNET {
            return Ok(());
        }
        push_vlan(&mut self.frame, eth_type)?;
        self.moved();
        Ok(())
    }

    /// Pops the outermost VLAN tag.
    pub fn pop_vlan(&mut self) {
        if self.is_tagged() {
            self.frame.remove(ADDRESSES, TAG);
            self.moved();
        }
    }

    /// Pushes an MPLS entry; the packet's EtherType becomes `eth_type`.
    ///
    /// # Errors
    /// When the buffer has no room for it.
    pub fn push_mpls(&mut self, eth_type: u16) -> Result<(), NoRoom> {
        if self.bytes().len() < ETHERNET {
            return Ok(());
        }
        let entry = match self.network() {
            // A copy of the outer one, which is not the last for that.
            Some((ETH_MPLS | ETH_MPLS_MC, l3)) => {
                let mut entry = [0; TAG];
                entry.copy_from_slice(&self.bytes()[l3..l3 + TAG]);
                entry[2] &= !1;
                entry
            }
            Some((ETH_IPV4, l3)) => [0, 0, 1, self.bytes()[l3 + 8]],
            Some((ETH_IPV6, l3)) => [0, 0, 1, self.bytes()[l3 + 7]],
            _ => [0, 0, 1, 0],
        };
        // Behind the outermost EtherType, which it takes: with a VLAN tag, the tag's other two bytes are then what is under the entry, and
        // `pop_mpls` with the tag's EtherType brings the tag back.
        self.frame.insert(ETHERNET, TAG)?.copy_from_slice(&entry);
        self.write(ADDRESSES, &eth_type.to_be_bytes());
        self.moved();
        Ok(())
    }

    /// Pops the outermost MPLS entry; `eth_type` says what is below.
    pub fn pop_mpls(&mut self, eth_type: u16) {
        let Some((ETH_MPLS | ETH_MPLS_MC, l3)) = self.network() else { return };
        self.frame.remove(l3, TAG);
        self.write(l3 - 2, &eth_type.to_be_bytes());
        self.moved();
    }

    /// Pushes a backbone service tag (IEEE 802.1ah): a new Ethernet header with the addresses of the old one, and an I-TAG.
    ///
    /// # Errors
    /// When the buffer has no room for it.
    pub fn push_pbb(&mut self, eth_type: u16) -> Result<(), NoRoom> {
        let Some(addresses) = self.bytes().first_chunk::<ADDRESSES>().copied() else { return Ok(()) };
        // Service instance of the tag that was there, priority of the VLAN tag that was there.
        let isid = match self.network() {
            Some((ETH_PBB, _)) => self.found.key.get(Field::PBB_ISID) as u32,
            _ => 0,
        };
        let pcp = if self.is_tagged() { self.found.key.get(Field::VLAN_PCP) as u32 } else { 0 };
        let tag = self.frame.insert(0, ETHERNET + TAG)?;
        tag[..ADDRESSES].copy_from_slice(&addresses);
        tag[ADDRESSES..ETHERNET].copy_from_slice(&eth_type.to_be_bytes());
        tag[ETHERNET..].copy_from_slice(&(pcp << 29 | isid).to_be_bytes());
        self.moved();
        Ok(())
    }

    /// Pops the backbone service tag and all that is before it: the Ethernet frame inside is left.
    pub fn pop_pbb(&mut self) {
        let Some(l3) = self.network_of(ETH_PBB) else { return };
        if self.bytes().len() >= l3 + TAG + ETHERNET {
            self.frame.remove(0, l3 + TAG);
            self.moved();
        }
    }

    fn moved(&mut self) {
        self.edited = true;
        self.stale = true;
    }
}
