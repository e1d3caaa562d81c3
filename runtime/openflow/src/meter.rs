//! Meters: meter-mod (section 7.3.4.4), their configuration, statistics and features (7.3.5.12 to 7.3.5.14).

use std::time::Duration;

use bitflags::bitflags;

use crate::error::{DecodeError, ErrorCode, Problem};
use crate::flow::{decode_duration, encode_duration};
use crate::group::Counts;
use crate::ids::MeterId;
use crate::wire::{Reader, Writer};

/// What a meter-mod does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeterModCommand {
    /// Adds a meter.
    Add,
    /// Replaces a meter.
    Modify,
    /// Deletes a meter or, with [`MeterId::ALL`], all.
    Delete,
}

bitflags! {
    /// `ofp_meter_flags`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct MeterFlags: u16 {
        /// Rates are in kb/s.
        const KBPS = 1;
        /// Rates are in packets per second.
        const PKTPS = 1 << 1;
        /// Bursts are given.
        const BURST = 1 << 2;
        /// Statistics are kept.
        const STATS = 1 << 3;
    }
}

/// What happens above a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BandAction {
    /// The packet is dropped.
    Drop,
    /// The drop precedence of the DSCP rises by this many levels.
    DscpRemark(u8),
    /// Another party's band.
    Experimenter(u32),
}

/// A band of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Band {
    /// The rate above which the band applies, in the meter's unit.
    pub rate: u32,
    /// The burst, in kilobits or packets.
    pub burst: u32,
    /// What happens.
    pub action: BandAction,
}

impl Band {
    fn decode_list(r: &mut Reader<'_>) -> Result<Vec<Band>, DecodeError> {
        let mut out = Vec::new();
        while !r.is_empty() {
            let mut head = r.clone();
            let (ty, len) = (head.u16()?, usize::from(head.u16()?));
            if len != 16 {
                let problem = Problem::Length { found: len, expected: "16" };
                return Err(r.error(ErrorCode::MeterBadBand, problem));
            }
            let mut one = r.sub_own(len, "meter band", ErrorCode::MeterBadBand)?;
            one.skip(4)?;
            let (rate, burst) = (one.u32()?, one.u32()?);
            let action = match ty {
                1 => BandAction::Drop,
                2 => BandAction::DscpRemark(one.u8()?),
                0xffff => BandAction::Experimenter(one.u32()?),
                _ => {
                    let problem =
                        Problem::Value { field: "band type", found: ty.into(), expected: "1, 2 or 0xffff" };
                    return Err(one.error(ErrorCode::MeterBadBand, problem));
                }
            };
            out.push(Band { rate, burst, action });
        }
        Ok(out)
    }

    fn encode(&self, w: &mut Writer) {
        let ty = match self.action {
            BandAction::Drop => 1,
            BandAction::DscpRemark(_) => 2,
            BandAction::Experimenter(_) => 0xffff,
        };
        w.u16(ty);
        w.u16(16);
        w.u32(self.rate);
        w.u32(self.burst);
        match self.action {
            BandAction::Drop => w.zeros(4),
            BandAction::DscpRemark(levels) => {
                w.u8(levels);
                w.zeros(3);
            }
            BandAction::Experimenter(id) => w.u32(id),
        }
    }
}

/// `OFPT_METER_MOD`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterMod {
    /// What to do.
    pub command: MeterModCommand,
    /// How rates and bursts are meant.
    pub flags: MeterFlags,
    /// The meter.
    pub meter: MeterId,
    /// Its bands.
    pub bands: Vec<Band>,
}

impl MeterMod {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<MeterMod, DecodeError> {
        let command = match r.u16()? {
            0 => MeterModCommand::Add,
            1 => MeterModCommand::Modify,
            2 => MeterModCommand::Delete,
            found => {
                let problem = Problem::Value { field: "command", found: found.into(), expected: "0 to 2" };
                return Err(r.error(ErrorCode::MeterBadCommand, problem));
            }
        };
        let flags = r.u16()?;
        let known =
            MeterFlags::from_bits(flags).filter(|f| !f.contains(MeterFlags::KBPS | MeterFlags::PKTPS));
        let Some(flags) = known else {
            let expected = "bits 0 to 3 only, and one unit";
            let problem = Problem::Value { field: "flags", found: flags.into(), expected };
            return Err(r.error(ErrorCode::MeterBadFlags, problem));
        };
        let meter = MeterId(r.u32()?);
        Ok(MeterMod { command, flags, meter, bands: Band::decode_list(r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u16(self.command as u16);
        w.u16(self.flags.bits());
        w.u32(self.meter.0);
        for band in &self.bands {
            band.encode(w);
        }
    }
}

/// A meter's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterConfig {
    /// How rates and bursts are meant.
    pub flags: MeterFlags,
    /// The meter.
    pub meter: MeterId,
    /// Its bands.
    pub bands: Vec<Band>,
}

impl MeterConfig {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<MeterConfig, DecodeError> {
        let len = usize::from(r.clone().u16()?);
        let mut r = r.sub(len, "meter configuration", ErrorCode::RequestBadLen)?;
        r.skip(2)?;
        let flags = MeterFlags::from_bits_retain(r.u16()?);
        let meter = MeterId(r.u32()?);
        Ok(MeterConfig { flags, meter, bands: Band::decode_list(&mut r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u16(0);
        w.u16(self.flags.bits());
        w.u32(self.meter.0);
        for band in &self.bands {
            band.encode(w);
        }
        w.patch_u16(start, w.len() - start);
    }
}

/// A meter's counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterStats {
    /// The meter.
    pub meter: MeterId,
    /// Flow entries that name it.
    pub flows: u32,
    /// What it was given.
    pub counts: Counts,
    /// How long it has been there.
    pub duration: Duration,
    /// What each band applied to.
    pub bands: Vec<Counts>,
}

impl MeterStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<MeterStats, DecodeError> {
        let mut head = r.clone();
        head.skip(4)?;
        let len = usize::from(head.u16()?);
        let mut r = r.sub(len, "meter statistics", ErrorCode::RequestBadLen)?;
        let meter = MeterId(r.u32()?);
        r.skip(8)?;
        let flows = r.u32()?;
        let counts = Counts::decode(&mut r)?;
        let duration = decode_duration(&mut r)?;
        let bands = r.all(Counts::decode)?;
        Ok(MeterStats { meter, flows, counts, duration, bands })
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        let start = w.len();
        w.u32(self.meter.0);
        w.zeros(8);
        w.u32(self.flows);
        self.counts.encode(w);
        encode_duration(self.duration, w);
        for band in &self.bands {
            band.encode(w);
        }
        w.patch_u16(start + 4, w.len() - start);
    }
}

/// What meters a switch can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MeterFeatures {
    /// How many.
    pub max_meters: u32,
    /// One bit for each band type.
    pub band_types: u32,
    /// One bit for each of [`MeterFlags`].
    pub capabilities: u32,
    /// Bands of a meter.
    pub max_bands: u8,
    /// Colours.
    pub max_color: u8,
}

impl MeterFeatures {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<MeterFeatures, DecodeError> {
        let out = MeterFeatures {
            max_meters: r.u32()?,
            band_types: r.u32()?,
            capabilities: r.u32()?,
            max_bands: r.u8()?,
            max_color: r.u8()?,
        };
        r.skip(2)?;
        Ok(out)
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u32(self.max_meters);
        w.u32(self.band_types);
        w.u32(self.capabilities);
        w.u8(self.max_bands);
        w.u8(self.max_color);
        w.zeros(2);
    }
}
