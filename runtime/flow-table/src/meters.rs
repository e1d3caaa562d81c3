//! Meters, as meter-mods change them, and how they measure. OpenFlow 1.3.5, sections 5.7 and 6.7 (meter modification: 7.3.4.4).
//!
//! Each band has a token bucket, kept as the time at which it will be full again (the generic cell rate algorithm): one word, changed
//! by compare-and-swap, so that workers need no lock and lose no token. Of the bands that a packet exceeds, the one with the highest
//! rate applies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use oko_openflow::meter::{Band, BandAction, MeterFlags, MeterMod, MeterModCommand};
use oko_openflow::{ErrorCode, MeterId};

use crate::groups::Given;
use crate::numbers::ByNumber;

/// The most meters.
pub const MAX_METERS: usize = 65_536;
/// The most bands of one meter.
pub const MAX_BANDS: usize = 16;

/// What a meter says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Pass,
    /// Drop it.
    Drop,
    /// Raise the drop precedence of its DSCP by so many levels.
    Remark(u8),
}

/// A band at work.
#[derive(Debug)]
pub struct MeterBand {
    /// The band as it was given.
    pub given: Band,
    /// What it applied to.
    pub counters: Given,
    /// What a byte or a packet costs, in units of 1/64 ns.
    cost: Cost,
    /// The burst as a time, in units of 1/64 ns: how far ahead a bucket may be. Of a band that was given none, one packet comes on top.
    depth: u64,
    given_burst: bool,
    /// When it will be full again, in units of 1/64 ns.
    full_at: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum Cost {
    /// Of a packet.
    Packet(u64),
    /// Of a bit, at so many kb/s.
    Rate(u64),
}

/// Units of time in a nanosecond.
const UNITS: u64 = 64;
const SECOND: u64 = 1_000_000_000 * UNITS;
/// The burst of a band that was given none: what its rate brings in a tenth of a second.
const DEFAULT_BURST: u64 = SECOND / 10;

/// A meter. It does not change but for its counters.
#[derive(Debug)]
pub struct Meter {
    /// Its number.
    pub id: MeterId,
    /// How rates and bursts are meant.
    pub flags: MeterFlags,
    /// Its bands.
    pub bands: Vec<MeterBand>,
    /// What it was given.
    pub counters: Given,
    /// When it was made, nanoseconds.
    pub created: u64,
}

/// All meters.
#[derive(Clone, Debug, Default)]
pub struct Meters {
    meters: Arc<ByNumber<MeterId, Arc<Meter>>>,
}

/// Why a meter-mod was not done. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum MeterModError {
    #[error("the meter {0:?} is there already")]
    Exists(MeterId),
    #[error("there is no meter {0:?}")]
    Unknown(MeterId),
    #[error("the number {0:?} is none that a meter can have (1 to 0xffff0000)")]
    BadNumber(MeterId),
    #[error("there are {MAX_METERS} meters already")]
    TooManyMeters,
    #[error("a meter has at most {MAX_BANDS} bands, not {0}")]
    TooManyBands(usize),
    #[error("a band has a rate above 0")]
    NoRate,
    #[error("the band type is not known")]
    BadBand,
}

impl MeterModError {
    /// The OpenFlow error for it.
    pub fn code(self) -> ErrorCode {
        match self {
            MeterModError::Exists(_) => ErrorCode::MeterExists,
            MeterModError::Unknown(_) => ErrorCode::MeterUnknown,
            MeterModError::BadNumber(_) => ErrorCode::MeterInvalid,
            MeterModError::TooManyMeters => ErrorCode::MeterOutOfMeters,
            MeterModError::TooManyBands(_) => ErrorCode::MeterOutOfBands,
            MeterModError::NoRate => ErrorCode::MeterBadRate,
            MeterModError::BadBand => ErrorCode::MeterBadBand,
        }
    }
}

impl Meters {
    /// Does a meter-mod at an instant in nanoseconds; the meters that are gone are returned, their users go with them.
    ///
    /// # Errors
    /// When it cannot be done; nothing has changed then.
    pub fn apply(&mut self, request: &MeterMod, now: u64) -> Result<Vec<MeterId>, MeterModError> {
        let id = request.meter;
        let known = self.meters.contains_key(&id);
        match request.command {
            MeterModCommand::Add if known => Err(MeterModError::Exists(id)),
            MeterModCommand::Modify if !known => Err(MeterModError::Unknown(id)),
            MeterModCommand::Add | MeterModCommand::Modify => {
                if id.0 == 0 || id > MeterId::MAX {
                    return Err(MeterModError::BadNumber(id));
                }
                if !known && self.meters.len() >= MAX_METERS {
                    return Err(MeterModError::TooManyMeters);
                }
                let meter = Meter::new(request, now)?;
                Arc::make_mut(&mut self.meters).insert(id, Arc::new(meter));
                Ok(Vec::new())
            }
            MeterModCommand::Delete if id == MeterId::ALL => {
                Ok(std::mem::take(&mut self.meters).keys().copied().collect())
            }
            // Nothing to delete is no error (section 7.3.4.4).
            MeterModCommand::Delete if !known => Ok(Vec::new()),
            MeterModCommand::Delete => {
                Arc::make_mut(&mut self.meters).remove(&id);
                Ok(vec![id])
            }
        }
    }

    /// A meter.
    #[inline]
    pub fn get(&self, id: MeterId) -> Option<&Arc<Meter>> {
        self.meters.get(&id)
    }

    /// All meters, by number.
    pub fn sorted(&self) -> Vec<Arc<Meter>> {
        let mut all: Vec<_> = self.meters.values().cloned().collect();
        all.sort_by_key(|meter| meter.id);
        all
    }
}

impl Meter {
    fn new(request: &MeterMod, now: u64) -> Result<Meter, MeterModError> {
        if request.bands.len() > MAX_BANDS {
            return Err(MeterModError::TooManyBands(request.bands.len()));
        }
        let bands = request.bands.iter().map(|band| MeterBand::new(*band, request.flags));
        Ok(Meter {
            id: request.meter,
            flags: request.flags,
            bands: bands.collect::<Result<_, _>>()?,
            counters: Given::default(),
            created: now,
        })
    }

    /// Whether it does nothing but let packets pass or drop them.
    pub fn only_drops(&self) -> bool {
        self.bands.iter().all(|band| band.given.action == BandAction::Drop)
    }

    /// Measures packets that came at one instant, in order, by their bytes, if together they are within every rate: then each of them passes, as if it had been
    /// measured alone. Otherwise nothing has happened.
    pub fn pass_together(&self, sizes: impl Iterator<Item = usize> + Clone, now: u64) -> bool {
        let [band] = &self.bands[..] else { return false };
        if !band.takes_together(sizes.clone(), now) {
            return false;
        }
        let (packets, bytes) =
            sizes.fold((0, 0), |(packets, bytes), size| (packets + 1, bytes + size as u64));
        self.counters.count_all(packets, bytes);
        true
    }

    /// Measures a packet at an instant in nanoseconds.
    pub fn measure(&self, bytes: usize, now: u64) -> Verdict {
        self.counters.count(bytes);
        let mut applies: Option<&MeterBand> = None;
        for band in &self.bands {
            let higher = applies.is_none_or(|other| band.given.rate > other.given.rate);
            if !band.takes(bytes, now) && higher {
                applies = Some(band);
            }
        }
        let Some(band) = applies else { return Verdict::Pass };
        band.counters.count(bytes);
        match band.given.action {
            BandAction::Drop => Verdict::Drop,
            BandAction::DscpRemark(levels) => Verdict::Remark(levels),
            BandAction::Experimenter(_) => Verdict::Pass,
        }
    }
}

impl MeterBand {
    fn new(given: Band, flags: MeterFlags) -> Result<MeterBand, MeterModError> {
        if given.rate == 0 {
            return Err(MeterModError::NoRate);
        }
        if let BandAction::Experimenter(_) = given.action {
            return Err(MeterModError::BadBand);
        }
        let rate = u64::from(given.rate);
        let cost =
            if flags.contains(MeterFlags::PKTPS) { Cost::Packet(SECOND / rate) } else { Cost::Rate(rate) };
        // Kilobits at kilobits per second, packets at packets per second.
        let burst =
            (u128::from(given.burst) * u128::from(SECOND) / u128::from(rate)).min(u128::from(u64::MAX >> 2));
        let given_burst = flags.contains(MeterFlags::BURST) && given.burst > 0;
        let depth = if given_burst { burst as u64 } else { DEFAULT_BURST };
        Ok(MeterBand {
            given,
            counters: Given::default(),
            cost,
            depth,
            given_burst,
            full_at: AtomicU64::new(0),
        })
    }

    /// What a packet costs.
    #[inline]
    fn cost(&self, bytes: usize) -> u64 {
        match self.cost {
            Cost::Packet(cost) => cost,
            // A bit at 1 kb/s takes a millisecond.
            Cost::Rate(rate) => bytes as u64 * 8 * (SECOND / 1000) / rate,
        }
    }

    /// Whether all packets together are within the depth of the bucket, so that each is within the rate; if so they have used their share.
    fn takes_together(&self, sizes: impl Iterator<Item = usize>, now: u64) -> bool {
        let now = now.saturating_mul(UNITS);
        // Packets of one size cost the same.
        let (mut last, mut cost) = (None, 0);
        let all = sizes.fold(0_u64, |sum, size| {
            if last != Some(size) {
                (last, cost) = (Some(size), self.cost(size));
            }
            sum.saturating_add(cost)
        });
        let full_at = self.full_at.load(Relaxed);
        let next = full_at.max(now).saturating_add(all);
        next - now <= self.depth && self.full_at.compare_exchange(full_at, next, Relaxed, Relaxed).is_ok()
    }

    /// Whether the packet is within the rate; if so it has used its share.
    fn takes(&self, bytes: usize, now: u64) -> bool {
        let cost = self.cost(bytes);
        let now = now.saturating_mul(UNITS);
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let next = full_at.max(now).saturating_add(cost);
            // A bucket that is less deep than a packet takes one when it is full.
            let limit = if self.given_burst { self.depth.max(cost) } else { self.depth.saturating_add(cost) };
            if next - now > limit {
                return false;
            }
            match self.full_at.compare_exchange_weak(full_at, next, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(other) => full_at = other,
            }
        }
    }
}

/// The DSCP with a drop precedence raised by so many levels: of the assured forwarding classes (RFC 2597); others stay.
pub fn remark(dscp: u8, levels: u8) -> u8 {
    let (class, precedence) = (dscp >> 3, dscp >> 1 & 3);
    if !(1..=4).contains(&class) || precedence == 0 || dscp & 1 != 0 {
        return dscp;
    }
    class << 3 | precedence.saturating_add(levels).min(3) << 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn meter(flags: MeterFlags, bands: Vec<Band>) -> Meter {
        let request = MeterMod { command: MeterModCommand::Add, flags, meter: MeterId(1), bands };
        Meter::new(&request, 0).unwrap()
    }

    fn drop_above(rate: u32, burst: u32) -> Band {
        Band { rate, burst, action: BandAction::Drop }
    }

    /// Packets that pass of those that come every `gap` nanoseconds for ten seconds.
    fn passes(meter: &Meter, bytes: usize, gap: u64) -> u64 {
        (0..10_000 * MS / gap).filter(|i| meter.measure(bytes, 1 + i * gap) == Verdict::Pass).count() as u64
    }

    #[test]
    fn packets_above_the_rate_are_dropped_whatever_the_rate() {
        for rate in [1, 100, 5_000, 1_000_000] {
            let meter = meter(MeterFlags::PKTPS, vec![drop_above(rate, 0)]);
            let gap = (10_000 * MS / u64::from(rate) / 30).max(1000);
            let passed = passes(&meter, 100, gap);
            let expected = u64::from(rate) * 10;
            assert!((expected..=expected + expected / 50 + 2).contains(&passed), "{passed} at {rate}");
        }
    }

    #[test]
    fn bits_above_the_rate_are_dropped_whatever_the_size() {
        for bytes in [60, 1500, 9000] {
            let meter = meter(MeterFlags::KBPS, vec![drop_above(1000, 0)]);
            let kilobits = passes(&meter, bytes, MS / 10) * bytes as u64 * 8 / 1000;
            assert!((9_900..=10_200).contains(&kilobits), "{kilobits} kb in 10 s");
        }
    }

    #[test]
    fn a_burst_passes_as_it_was_set() {
        let meter = meter(MeterFlags::PKTPS | MeterFlags::BURST, vec![drop_above(10, 50)]);
        let passed = (0..100).filter(|_| meter.measure(100, 1) == Verdict::Pass).count();
        assert_eq!(passed, 50);
        let later = (0..100).filter(|_| meter.measure(100, 1 + 1000 * MS) == Verdict::Pass).count();
        assert_eq!(later, 10);
        assert_eq!(meter.counters.counts().packets, 200);
        assert_eq!(meter.bands[0].counters.counts().packets, 140);
    }

    #[test]
    fn packets_that_are_measured_together_are_measured_as_alone() {
        let flags = [MeterFlags::PKTPS, MeterFlags::KBPS, MeterFlags::KBPS | MeterFlags::BURST];
        for (flags, rate, burst) in flags.into_iter().flat_map(|f| [(f, 900, 5), (f, 40_000, 0), (f, 7, 1)]) {
            let [together, alone] = [(); 2].map(|()| meter(flags, vec![drop_above(rate, burst)]));
            let (mut all, mut some) = (0, 0);
            for burst in 0..4_000_u64 {
                let sizes = (0..burst % 7).map(|i| 60 + (burst * 31 + i / 3 * 977) as usize % 1440);
                let now = 1 + burst * burst % 911 * MS;
                let passed: Vec<bool> =
                    sizes.clone().map(|size| alone.measure(size, now) == Verdict::Pass).collect();
                if together.pass_together(sizes.clone(), now) {
                    all += 1;
                    assert!(passed.iter().all(|passed| *passed), "burst {burst}");
                } else {
                    some += 1;
                    let passed_here: Vec<bool> =
                        sizes.map(|size| together.measure(size, now) == Verdict::Pass).collect();
                    assert_eq!(passed_here, passed, "burst {burst}");
                }
            }
            assert!(all > 0 && some > 0, "{all} bursts together, {some} one by one");
            assert_eq!(together.counters.counts(), alone.counters.counts());
            assert_eq!(together.bands[0].counters.counts(), alone.bands[0].counters.counts());
        }
    }

    #[test]
    fn the_highest_band_that_is_exceeded_applies() {
        let flags = MeterFlags::PKTPS | MeterFlags::BURST;
        let soft = Band { rate: 10, burst: 1, action: BandAction::DscpRemark(1) };
        let meter = meter(flags, vec![drop_above(20, 3), soft]);
        let verdicts: Vec<_> = (0..4).map(|_| meter.measure(100, 1)).collect();
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Remark(1), Verdict::Remark(1), Verdict::Drop]);
    }

    #[test]
    fn only_assured_forwarding_has_a_drop_precedence() {
        assert_eq!(remark(18, 1), 20);
        assert_eq!(remark(18, 9), 22);
        assert_eq!(remark(0, 1), 0);
        assert_eq!(remark(46, 1), 46);
    }

    #[test]
    fn meters_are_added_modified_and_deleted() {
        let mut meters = Meters::default();
        let request = |command, meter, rate| MeterMod {
            command,
            flags: MeterFlags::KBPS,
            meter: MeterId(meter),
            bands: vec![drop_above(rate, 0)],
        };
        use MeterModCommand::{Add, Delete, Modify};
        meters.apply(&request(Add, 1, 5), 0).unwrap();
        assert_eq!(meters.apply(&request(Add, 1, 5), 0), Err(MeterModError::Exists(MeterId(1))));
        assert_eq!(meters.apply(&request(Add, 0, 5), 0), Err(MeterModError::BadNumber(MeterId(0))));
        assert_eq!(meters.apply(&request(Add, 2, 0), 0), Err(MeterModError::NoRate));
        assert_eq!(meters.apply(&request(Modify, 2, 5), 0), Err(MeterModError::Unknown(MeterId(2))));
        meters.apply(&request(Modify, 1, 6), 0).unwrap();
        assert_eq!(meters.get(MeterId(1)).unwrap().bands[0].given.rate, 6);
        assert_eq!(meters.apply(&request(Delete, 7, 0), 0), Ok(vec![]));
        assert_eq!(meters.apply(&request(Delete, MeterId::ALL.0, 0), 0), Ok(vec![MeterId(1)]));
    }
}
