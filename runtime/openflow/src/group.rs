//! Groups: group-mod (section 7.3.4.2), their description, statistics and features (7.3.5.9 to 7.3.5.11).

use std::time::Duration;

use bitflags::bitflags;

use crate::action::Action;
use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow::{decode_duration, encode_duration};
use crate::ids::{GroupId, PortNo};
use crate::switch::Version;
use crate::wire::{Reader, Writer};

/// `OFPGBPT_*`, from OpenFlow 1.5 on.
const PROPERTY_WEIGHT: u16 = 0;
const PROPERTY_WATCH_PORT: u16 = 1;
const PROPERTY_WATCH_GROUP: u16 = 2;

/// Whether groups have the form of OpenFlow 1.5: also in Nicira's messages under 1.0, with actions of 1.0.
fn has_new_form(version: Version) -> bool {
    version >= Version::V1_5 || version == Version::V1_0
}

/// How a group treats a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// All buckets, each with a copy.
    All,
    /// One bucket, chosen by the switch.
    Select,
    /// The one bucket that there is.
    Indirect,
    /// The first live bucket.
    FastFailover,
}

impl GroupType {
    fn decode(r: &mut Reader<'_>, code: ErrorCode) -> Result<GroupType, DecodeError> {
        Ok(match r.u8()? {
            0 => GroupType::All,
            1 => GroupType::Select,
            2 => GroupType::Indirect,
            3 => GroupType::FastFailover,
            found => {
                let problem = Problem::Value { field: "group type", found: found.into(), expected: "0 to 3" };
                return Err(r.error(code, problem));
            }
        })
    }
}

/// What a group-mod does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupModCommand {
    /// Adds a group.
    Add,
    /// Replaces a group's type and buckets.
    Modify,
    /// Deletes a group or, with [`GroupId::ALL`], all.
    Delete,
    /// Puts buckets behind the one of a number, or [`Bucket::FIRST`] or [`Bucket::LAST`]. OpenFlow 1.5.
    InsertBucket(u32),
    /// Removes the bucket of a number, or [`Bucket::FIRST`], [`Bucket::LAST`] or [`Bucket::ALL`]. OpenFlow 1.5.
    RemoveBucket(u32),
    /// Adds a group or replaces it, as Open vSwitch has it.
    AddOrModify,
}

impl GroupModCommand {
    /// `OFPGC_*`.
    pub(crate) fn number(self) -> u16 {
        match self {
            GroupModCommand::Add => 0,
            GroupModCommand::Modify => 1,
            GroupModCommand::Delete => 2,
            GroupModCommand::InsertBucket(_) => 3,
            GroupModCommand::RemoveBucket(_) => 5,
            GroupModCommand::AddOrModify => 0x8000,
        }
    }
}

/// A set of actions of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Its number in the group. Before OpenFlow 1.5, which transmits it, buckets are numbered in their order.
    pub id: u32,
    /// Share of the packets, for select groups.
    pub weight: u16,
    /// The port whose state makes the bucket live, or `ANY`.
    pub watch_port: PortNo,
    /// The group whose state makes the bucket live, or `ANY`.
    pub watch_group: GroupId,
    /// What is done.
    pub actions: Vec<Action>,
}

impl Bucket {
    /// The place before all buckets (`OFPG_BUCKET_FIRST`).
    pub const FIRST: u32 = 0xffff_fffd;
    /// The place behind all buckets (`OFPG_BUCKET_LAST`).
    pub const LAST: u32 = 0xffff_fffe;
    /// Every bucket (`OFPG_BUCKET_ALL`).
    pub const ALL: u32 = 0xffff_ffff;

    fn decode_list(r: &mut Reader<'_>) -> Result<Vec<Bucket>, DecodeError> {
        let mut out = Vec::new();
        while !r.is_empty() {
            let mut head = r.clone();
            let len = usize::from(head.u16()?);
            let least = if has_new_form(r.version()) { 8 } else { 16 };
            if len < least || len % 8 != 0 {
                let problem = Problem::Length { found: len, expected: "a multiple of 8, at least 16" };
                return Err(r.error(ErrorCode::GroupBadBucket, problem));
            }
            let mut one = r.sub_own(len, "bucket", ErrorCode::GroupBadBucket)?;
            one.skip(2)?;
            if has_new_form(one.version()) {
                out.push(Bucket::decode_1_5(&mut one)?);
                continue;
            }
            let weight = one.u16()?;
            let (watch_port, watch_group) = (PortNo(one.u32()?), GroupId(one.u32()?));
            one.skip(4)?;
            let actions = Action::decode_list(&mut one.sub_rest("action", ErrorCode::ActionBadLen))?;
            let id = u32::try_from(out.len()).unwrap_or(u32::MAX);
            out.push(Bucket { id, weight, watch_port, watch_group, actions });
        }
        Ok(out)
    }

    fn decode_1_5(r: &mut Reader<'_>) -> Result<Bucket, DecodeError> {
        let actions_len = usize::from(r.u16()?);
        let id = r.u32()?;
        let actions = Action::decode_list(&mut r.sub_own(actions_len, "action", ErrorCode::ActionBadLen)?)?;
        let mut bucket =
            Bucket { id, weight: 1, watch_port: PortNo::ANY, watch_group: GroupId::ANY, actions };
        while let Some((ty, mut body)) = r.property()? {
            match ty {
                PROPERTY_WEIGHT => bucket.weight = body.u16()?,
                PROPERTY_WATCH_PORT => bucket.watch_port = PortNo(body.u32()?),
                PROPERTY_WATCH_GROUP => bucket.watch_group = GroupId(body.u32()?),
                _ => {
                    let expected = "0 to 2: weight, watch_port, watch_group";
                    let problem = Problem::Value { field: "property type", found: ty.into(), expected };
                    return Err(body.error(ErrorCode::PropertyBadType, problem));
                }
            }
        }
        Ok(bucket)
    }

    fn encode_1_5(&self, w: &mut Writer) {
        let start = w.len();
        w.zeros(4);
        w.u32(self.id);
        let actions = w.len();
        Action::encode_list(&self.actions, w);
        w.patch_u16(start + 2, w.len() - actions);
        w.property(PROPERTY_WEIGHT, |w| {
            w.u16(self.weight);
            w.zeros(2);
        });
        if self.watch_port != PortNo::ANY {
            w.property(PROPERTY_WATCH_PORT, |w| w.u32(self.watch_port.0));
        }
        if self.watch_group != GroupId::ANY {
            w.property(PROPERTY_WATCH_GROUP, |w| w.u32(self.watch_group.0));
        }
        w.patch_u16(start, w.len() - start);
    }

    fn encode(&self, w: &mut Writer) {
        if has_new_form(w.version) {
            return self.encode_1_5(w);
        }
        let start = w.len();
        w.u16(0);
        w.u16(self.weight);
        w.u32(self.watch_port.0);
        w.u32(self.watch_group.0);
        w.zeros(4);
        Action::encode_list(&self.actions, w);
        w.patch_u16(start, w.len() - start);
    }
}

/// `OFPT_GROUP_MOD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupMod {
    /// What to do.
    pub command: GroupModCommand,
    /// The type of the group.
    pub ty: GroupType,
    /// The group.
    pub group: GroupId,
    /// Its buckets.
    pub buckets: Vec<Bucket>,
}

impl GroupMod {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<GroupMod, DecodeError> {
        let command = match r.u16()? {
            0 => GroupModCommand::Add,
            1 => GroupModCommand::Modify,
            2 => GroupModCommand::Delete,
            3 if has_new_form(r.version()) => GroupModCommand::InsertBucket(Bucket::LAST),
            5 if has_new_form(r.version()) => GroupModCommand::RemoveBucket(Bucket::ALL),
            // Open vSwitch's, in all versions.
            0x8000 => GroupModCommand::AddOrModify,
            found => {
                let problem = Problem::Value { field: "command", found: found.into(), expected: "0 to 2" };
                return Err(r.error(ErrorCode::GroupBadCommand, problem));
            }
        };
        let ty = GroupType::decode(r, ErrorCode::GroupBadType)?;
        r.skip(1)?;
        let group = GroupId(r.u32()?);
        if has_new_form(r.version()) {
            let buckets_len = usize::from(r.u16()?);
            r.skip(2)?;
            let which = r.u32()?;
            let command = match command {
                GroupModCommand::InsertBucket(_) => GroupModCommand::InsertBucket(which),
                GroupModCommand::RemoveBucket(_) => GroupModCommand::RemoveBucket(which),
                command => command,
            };
            let buckets =
                Bucket::decode_list(&mut r.sub_own(buckets_len, "bucket", ErrorCode::GroupBadBucket)?)?;
            skip_properties(r)?;
            return Ok(GroupMod { command, ty, group, buckets });
        }
        let buckets = Bucket::decode_list(r)?;
        Ok(GroupMod { command, ty, group, buckets })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u16(self.command.number());
        w.u8(self.ty as u8);
        w.zeros(1);
        w.u32(self.group.0);
        if has_new_form(w.version) {
            let at = w.len();
            w.zeros(4);
            w.u32(match self.command {
                GroupModCommand::InsertBucket(which) | GroupModCommand::RemoveBucket(which) => which,
                _ => Bucket::ALL,
            });
            let start = w.len();
            self.buckets.iter().for_each(|bucket| bucket.encode(w));
            w.patch_u16(at, w.len() - start);
            return;
        }
        for bucket in &self.buckets {
            bucket.encode(w);
        }
    }
}

/// Properties of groups are experimenters': how the switch chooses of a select group's buckets. Ours does it in one way.
fn skip_properties(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    while r.property()?.is_some() {}
    Ok(())
}

/// A group's description.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupDesc {
    /// Its type.
    pub ty: GroupType,
    /// Its number.
    pub group: GroupId,
    /// Its buckets.
    pub buckets: Vec<Bucket>,
}

impl GroupDesc {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<GroupDesc, DecodeError> {
        let len = usize::from(r.clone().u16()?);
        let mut r = r.sub(len, "group description", ErrorCode::RequestBadLen)?;
        r.skip(2)?;
        let ty = GroupType::decode(&mut r, ErrorCode::GroupBadType)?;
        r.skip(1)?;
        let group = GroupId(r.u32()?);
        if has_new_form(r.version()) {
            let buckets_len = usize::from(r.u16()?);
            r.skip(6)?;
            let buckets =
                Bucket::decode_list(&mut r.sub(buckets_len, "bucket", ErrorCode::GroupBadBucket)?)?;
            skip_properties(&mut r)?;
            return Ok(GroupDesc { ty, group, buckets });
        }
        Ok(GroupDesc { ty, group, buckets: Bucket::decode_list(&mut r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u16(0);
        w.u8(self.ty as u8);
        w.zeros(1);
        w.u32(self.group.0);
        let at = w.len();
        if has_new_form(w.version) {
            w.zeros(8);
        }
        let buckets = w.len();
        for bucket in &self.buckets {
            bucket.encode(w);
        }
        if has_new_form(w.version) {
            w.patch_u16(at, w.len() - buckets);
        }
        w.patch_u16(start, w.len() - start);
    }
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Counts {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Counts, DecodeError> {
        Ok(Counts { packets: r.u64()?, bytes: r.u64()? })
    }

    pub(crate) fn encode(self, w: &mut Writer) {
        w.u64(self.packets);
        w.u64(self.bytes);
    }
}

/// A group's counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupStats {
    /// The group.
    pub group: GroupId,
    /// Flow entries and groups that name it.
    pub ref_count: u32,
    /// What it was given.
    pub counts: Counts,
    /// How long it has been there.
    pub duration: Duration,
    /// What each bucket was given.
    pub buckets: Vec<Counts>,
}

impl GroupStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<GroupStats, DecodeError> {
        let len = usize::from(r.clone().u16()?);
        let mut r = r.sub(len, "group statistics", ErrorCode::RequestBadLen)?;
        r.skip(4)?;
        let (group, ref_count) = (GroupId(r.u32()?), r.u32()?);
        r.skip(4)?;
        let counts = Counts::decode(&mut r)?;
        let duration = decode_duration(&mut r)?;
        let buckets = r.all(Counts::decode)?;
        Ok(GroupStats { group, ref_count, counts, duration, buckets })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.zeros(4);
        w.u32(self.group.0);
        w.u32(self.ref_count);
        w.zeros(4);
        self.counts.encode(w);
        encode_duration(self.duration, w);
        for bucket in &self.buckets {
            bucket.encode(w);
        }
        w.patch_u16(start, w.len() - start);
    }
}

bitflags! {
    /// `ofp_group_capabilities`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct GroupCapabilities: u32 {
        /// Select groups heed weights.
        const SELECT_WEIGHT = 1;
        /// Select groups heed liveness.
        const SELECT_LIVENESS = 1 << 1;
        /// Groups may name groups.
        const CHAINING = 1 << 2;
        /// Loops of groups are refused.
        const CHAINING_CHECKS = 1 << 3;
    }
}

/// What groups a switch can have. Arrays are indexed by [`GroupType`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GroupFeatures {
    /// One bit for each type that it has.
    pub types: u32,
    /// What they can do.
    pub capabilities: GroupCapabilities,
    /// How many of each type.
    pub max_groups: [u32; 4],
    /// For each type, one bit for each action type below 32 that its buckets may have.
    pub actions: [u32; 4],
}

impl GroupFeatures {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<GroupFeatures, DecodeError> {
        let (types, capabilities) = (r.u32()?, GroupCapabilities::from_bits_retain(r.u32()?));
        let max_groups = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
        let actions = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
        Ok(GroupFeatures { types, capabilities, max_groups, actions })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(self.types);
        w.u32(self.capabilities.bits());
        for value in self.max_groups.iter().chain(&self.actions) {
            w.u32(*value);
        }
    }
}
