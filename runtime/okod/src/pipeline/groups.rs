//! Groups. OpenFlow 1.3.5, section 5.6.

use oko_flow_table::{Group, GroupBucket};
use oko_openflow::group::GroupType;
use oko_openflow::{GroupId, PacketInReason};
use oko_packet::{Field, FlowKey};

use super::{DEPTH, Origin, Over, Walk};
use crate::recording::Recording;

impl<'s> Walk<'_, 's, '_> {
    /// Does what a group's type says with its buckets (section 5.6.1).
    pub(super) fn group(&mut self, id: GroupId, origin: Origin) -> Result<(), Over> {
        // An entry's group is there as long as the entry.
        let snapshot = self.snapshot;
        let Some(group) = snapshot.groups.get(id) else { return Ok(()) };
        if self.depth == DEPTH {
            return Err(Over);
        }
        self.note(|recording| recording.plain = false);
        group.counters.count(self.packet.bytes().len());
        let reason = match origin.reason {
            PacketInReason::NoMatch => PacketInReason::NoMatch,
            _ => PacketInReason::Group,
        };
        let origin = Origin { reason, ..origin };
        self.depth += 1;
        let result = if group.ty == GroupType::All {
            group.buckets.iter().try_for_each(|bucket| self.bucket(bucket, origin))
        } else {
            self.one_bucket(group, origin)
        };
        self.depth -= 1;
        result
    }

    fn one_bucket(&mut self, group: &'s Group, origin: Origin) -> Result<(), Over> {
        let mut hash = 0;
        if group.ty == GroupType::Select {
            // More of the packet counts than the tables look at.
            self.note(Recording::ends);
            hash = flow_hash(self.packet.key());
        }
        match group.choose(&self.snapshot.live, hash) {
            Some(bucket) => self.bucket(bucket, origin),
            None => Ok(()),
        }
    }

    /// Does a bucket's actions; what they change is as it was afterwards (section 5.6).
    fn bucket(&mut self, bucket: &'s GroupBucket, origin: Origin) -> Result<(), Over> {
        self.spend()?;
        bucket.counters.count(self.packet.bytes().len());
        let mut before = None;
        if bucket.edits {
            let mut copy = self.pipeline.aside.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(self.packet.bytes());
            before = Some((copy, self.packet.range().0, *self.packet.key()));
        }
        for action in &bucket.actions {
            if self.act(action, origin).is_err() {
                // Only this copy of the packet is done with.
                break;
            }
        }
        if let Some((copy, start, key)) = before {
            let restored = self.change().restore(&copy, start, &key);
            self.pipeline.aside.push(copy);
            restored.map_err(|_| Over)?;
        }
        if self.budget == 0 { Err(Over) } else { Ok(()) }
    }
}

/// A hash of what makes packets one flow: addresses and ports, not where it came in or what tables wrote.
fn flow_hash(key: &FlowKey) -> u64 {
    const FIELDS: [Field; 11] = [
        Field::ETH_SRC,
        Field::ETH_DST,
        Field::ETH_TYPE,
        Field::VLAN_VID,
        Field::IPV4_SRC,
        Field::IPV4_DST,
        Field::IPV6_SRC,
        Field::IPV6_DST,
        Field::IP_PROTO,
        Field::L4_SRC,
        Field::L4_DST,
    ];
    let mut hash = 0_u64;
    for field in FIELDS {
        let value = key.get(field);
        for word in [value as u64, (value >> 64) as u64] {
            // The folded product of two 64-bit words, as in wyhash.
            let product = u128::from(hash ^ word ^ 0xa076_1d64_78bd_642f) * 0xe703_7ed1_a0b4_28db;
            hash = (product >> 64) as u64 ^ product as u64;
        }
    }
    hash
}
