//! Meters: meter-mods, configuration, statistics. OpenFlow 1.3.5, sections 7.3.4.4 and 7.3.5.12 to 7.3.5.14.

use std::sync::Arc;

use oko_flow_table::{MAX_BANDS, MAX_METERS, Meter};
use oko_openflow::meter::{MeterConfig, MeterFeatures, MeterFlags, MeterMod, MeterStats};
use oko_openflow::{ErrorCode, MeterId};

use super::control::{Answer, Control};
use super::groups::since;

/// Bits of the band types drop (1) and DSCP remark (2).
const BAND_TYPES: u32 = 1 << 1 | 1 << 2;

impl Control {
    /// Changes meters. The entries that use a meter go with it.
    pub(super) fn meter_mod(&mut self, request: &MeterMod) -> Result<Answer, ErrorCode> {
        let gone = self.meters.apply(request, self.now().0).map_err(|error| {
            tracing::debug!(%error, "meter-mod refused");
            error.code()
        })?;
        self.mark_changed();
        let changes = self.tables.remove_users_of_meters(&gone);
        self.done(changes);
        Ok(Answer::Nothing)
    }

    fn meters(&self, id: MeterId) -> Result<Vec<Arc<Meter>>, ErrorCode> {
        match id {
            MeterId::ALL => Ok(self.meters.sorted()),
            id => Ok(vec![Arc::clone(self.meters.get(id).ok_or(ErrorCode::MeterUnknown)?)]),
        }
    }

    pub(super) fn meter_stats(&self, id: MeterId) -> Result<Vec<MeterStats>, ErrorCode> {
        let now = self.now();
        let stats = |meter: Arc<Meter>| MeterStats {
            meter: meter.id,
            flows: u32::try_from(self.tables.users_of_meter(meter.id)).unwrap_or(u32::MAX),
            counts: meter.counters.counts(),
            duration: since(meter.created, now),
            bands: meter.bands.iter().map(|band| band.counters.counts()).collect(),
        };
        Ok(self.meters(id)?.into_iter().map(stats).collect())
    }

    pub(super) fn meter_config(&self, id: MeterId) -> Result<Vec<MeterConfig>, ErrorCode> {
        let config = |meter: Arc<Meter>| MeterConfig {
            flags: meter.flags,
            meter: meter.id,
            bands: meter.bands.iter().map(|band| band.given).collect(),
        };
        Ok(self.meters(id)?.into_iter().map(config).collect())
    }

    pub(super) fn meter_features() -> MeterFeatures {
        MeterFeatures {
            max_meters: MAX_METERS as u32,
            band_types: BAND_TYPES,
            capabilities: MeterFlags::all().bits().into(),
            max_bands: MAX_BANDS as u8,
            max_color: 0,
        }
    }
}
