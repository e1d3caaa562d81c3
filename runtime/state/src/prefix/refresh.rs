//! What a [direct table](crate::direct) gets of the trie: behind each change, the answers below the prefix that was changed.
//!
//! The trie is walked from the highest node that has all bits of the prefix, or of the slot that it is in. Nodes come in the order of their addresses, so ranges do, too.

use super::{Bits, Prefix, Writer};
use crate::direct::{FAMILIES, Ranges, UNKNOWN};
use crate::sync::Ordering;

impl Prefix {
    /// Writes the slots of the direct table that a prefix concerns.
    pub(super) fn refresh(&self, writer: &mut Writer, prefix: &Bits) {
        let Some(direct) = &self.direct else { return };
        if !direct.is_kept(&mut writer.direct) {
            return;
        }
        let lead = direct.form.lead();
        for (number, family) in FAMILIES.into_iter().enumerate() {
            let mut region = *prefix;
            if lead > 0 {
                let family = u64::from(family) << (64 - lead);
                let known = prefix.len.min(lead);
                if (prefix.words[0] ^ family).leading_zeros() < known {
                    continue;
                }
                region.words[0] = family | region.words[0] & u64::MAX >> lead;
            } else if number > 0 {
                break;
            }
            region.len = prefix.len.clamp(lead, lead + direct.form.slot_bits);
            let bits = region.len - lead;
            let high = address(lead, |at| region.words[at]) & !u64::MAX.checked_shr(bits).unwrap_or(0);
            let mut ranges = Ranges::of(direct.form, bits);
            let (subtree, answer) = self.below(&region);
            ranges.begin(high, answer);
            if let Some(subtree) = subtree {
                self.cover(subtree, answer, lead, &mut ranges);
            }
            direct.write(&mut writer.direct, number, (high, bits), &ranges);
        }
    }

    /// The highest node that has all bits of a prefix, and what is answered where there is no longer prefix than this one: the value of the longest
    /// prefix of it, less its own.
    fn below(&self, prefix: &Bits) -> (Option<u32>, u64) {
        let mut answer = 0;
        let mut next = self.root.load(Ordering::Relaxed);
        while let Some(node) = next.checked_sub(1) {
            let bits = self.bits(node).load(Ordering::Relaxed);
            let known = bits.min(prefix.len);
            if self.common(node, prefix, known) < known {
                break;
            }
            if bits >= prefix.len {
                return (Some(node), answer);
            }
            answer = self.answer_of(node).unwrap_or(answer);
            next = self.child(node, prefix.bit(bits)).load(Ordering::Relaxed);
        }
        (None, answer)
    }

    /// The address of a node's value.
    fn answer_of(&self, node: u32) -> Option<u64> {
        let value = self.value(node).load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.value_at(value).expose_provenance() as u64)
    }

    /// The ranges of addresses that begin as a node does, and where the next one after these begins, of which `outer` is the answer.
    fn cover(&self, node: u32, outer: u64, lead: u32, ranges: &mut Ranges) {
        let bits = self.bits(node).load(Ordering::Relaxed) - lead;
        let first = address(lead, |at| self.word(node, at).load(Ordering::Relaxed));
        let children = [0, 1].map(|bit| self.child(node, bit).load(Ordering::Relaxed));
        // The rest of the address decides.
        if bits > 64 || bits == 64 && children != [0, 0] {
            ranges.begin(first, UNKNOWN);
        } else {
            let own = self.answer_of(node).unwrap_or(outer);
            ranges.begin(first, own);
            for child in children.into_iter().filter_map(|child| child.checked_sub(1)) {
                if ranges.are_too_many() {
                    return;
                }
                self.cover(child, own, lead, ranges);
            }
        }
        let last = first | u64::MAX.checked_shr(bits).unwrap_or(0);
        if let Some(next) = last.checked_add(1) {
            ranges.begin(next, outer);
        }
    }
}

/// The first 64 bits of an address behind so many other bits of a key.
fn address(lead: u32, word: impl Fn(usize) -> u64) -> u64 {
    if lead == 0 { word(0) } else { word(0) << lead | word(1) >> (64 - lead) }
}
