//! Narrow keys: which bits they have, and whether it pays to look for them.

use oko_flow_table::{Band, Snapshot as Tables};
use oko_openflow::TableId;
use oko_packet::FlowKey;

/// Narrow keys have at least so many bits less.
const NARROWER: u32 = 16;

/// The bits that narrow keys have, and the priority above which entries of table 0 look at no others: those of the band before the one that adds most. None
/// if none adds many.
pub(super) fn bits(tables: &Tables) -> Option<(u16, FlowKey)> {
    let bands = tables.table(TableId(0))?.bands();
    let others = tables.relevant(TableId(1));
    let adds =
        |pair: &[Band]| pair[1].mask.union(&others).count_ones() - pair[0].mask.union(&others).count_ones();
    let pair = bands.windows(2).max_by_key(|pair| adds(pair))?;
    (adds(pair) >= NARROWER).then(|| (pair[1].priority, pair[0].mask.union(&others)))
}

/// Whether narrow keys are worth looking for.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Packets since the last look back, and how many of them were found.
    packets: u32,
    found: u32,
    /// Packets for which narrow keys are not looked for.
    pause: u32,
}

/// Packets after which it is looked back.
const TRIAL: u32 = 1 << 14;
/// Narrow keys that find less than one packet in so many are not looked for.
const WORTH: u32 = 4;
/// Packets after which they are tried again.
const PAUSE: u32 = 1 << 22;
impl Trial {
    /// Whether to look for the narrow keys of so many packets.
    pub(super) fn wants(&mut self, packets: u32) -> bool {
        let paused = self.pause > 0;
        self.pause = self.pause.saturating_sub(packets);
        !paused
    }

    /// So many packets had narrow keys that were found.
    pub(super) fn saw(&mut self, packets: u32, found: u32) {
        self.packets += packets;
        self.found += found;
        if self.packets >= TRIAL {
            if self.found < self.packets / WORTH {
                self.pause = PAUSE;
            }
            (self.packets, self.found) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use oko_flow_table::{FlowTables, Limits};
    use oko_openflow::{Action, Field as Oxm, FlowMod, FlowModCommand, Instructions, Match, PortNo};
    use oko_packet::Field;

    use super::*;

    fn tables(entries: &[(u8, u16, Match)]) -> Tables {
        let mut tables = FlowTables::new(Limits::default());
        for (table, priority, matching) in entries {
            let flow_mod = FlowMod {
                table: TableId(*table),
                priority: *priority,
                matching: matching.clone(),
                instructions: Instructions::apply(vec![Action::output(PortNo(1))]),
                ..FlowMod::new(FlowModCommand::Add)
            };
            tables.apply(&flow_mod, 0).expect("the entry is in order");
        }
        tables.snapshot()
    }

    fn udp() -> Match {
        Match::any().with(Oxm::EthType, 0x0800).with(Oxm::IpProto, 17)
    }

    #[test]
    fn narrow_keys_leave_out_what_only_low_entries_look_at() {
        let high = (0, 30, Match::any().with(Oxm::EthDst, 5));
        let middle = (0, 20, udp());
        let low = (0, 10, udp().with(Oxm::Ipv4Src, 1).with(Oxm::Ipv4Dst, 2).with(Oxm::UdpSrc, 3));
        let (above, mask) = bits(&tables(&[high.clone(), middle.clone(), low.clone()])).expect("narrow keys");
        assert_eq!(above, 10);
        assert_eq!(mask.get(Field::ETH_DST), Field::ETH_DST.max());
        assert_eq!((mask.get(Field::IP_PROTO), mask.get(Field::IPV4_SRC)), (0xff, 0));
        // Other tables are looked at whole.
        let other = (1, 1, udp().with(Oxm::UdpSrc, 9));
        let (_, mask) = bits(&tables(&[high.clone(), middle, low, other])).expect("narrow keys");
        assert_eq!((mask.get(Field::L4_SRC), mask.get(Field::IPV4_SRC)), (0xffff, 0));
        // Nothing is left out, or little.
        assert_eq!(bits(&tables(std::slice::from_ref(&high))), None);
        assert_eq!(bits(&tables(&[high.clone(), (0, 5, Match::any().with(Oxm::IpProto, 6))])), None);
        assert_eq!(bits(&tables(&[high, (0, 30, udp().with(Oxm::Ipv4Src, 1))])), None);
    }

    #[test]
    fn narrow_keys_that_find_nothing_are_looked_for_now_and_then_only() {
        let mut trial = Trial::default();
        let mut looked = 0;
        for _ in 0..1_000_000 {
            if trial.wants(32) {
                trial.saw(32, 1);
                looked += 32;
            }
        }
        assert!((1..1_000_000).contains(&looked), "{looked} of 32 million");
        for _ in 0..1_000_000 {
            if trial.wants(32) {
                trial.saw(32, 20);
                looked += 32;
            }
        }
        assert!(looked > 20_000_000, "{looked} when most are found");
    }
}
