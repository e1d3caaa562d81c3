//! What is done with every packet of a path, worked out once.
//!
//! Along many paths a packet is measured, changed in places that do not depend on it, and sent out of one port, or where the bridge knows its station. A [`Recipe`] is that, without the walk through
//! instructions and actions that found it: packets of the shapes that it fits are rewritten where they lie and leave together, as those do that are not
//! changed. Others of the same path go the way of all actions, which does the same with them.

use std::sync::Arc;

use oko_flow_table::{FlowEntry, Meter, place};
use oko_openflow::oxm::Prerequisite;
use oko_openflow::{Action, Field as Oxm, FieldSpec, MatchField, MeterId, PortNo};
use oko_packet::Field;
use oko_packet::edit::{Kinds, Rewrite};

use crate::fate::Fate;
use crate::pipeline::{self, ActionSet};
use crate::recording::Path;
use crate::snapshot::Snapshot;

/// Entries and actions of a path that has a recipe: far below what a packet may cost in the tables.
const MOST: usize = 64;

/// How packets are treated.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// Measures them first. It drops those that exceed it and does nothing else.
    pub(crate) meter: Option<Arc<Meter>>,
    pub(crate) rewrite: Rewrite,
    out: Out,
}

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Port(PortNo),
    /// Where they came from.
    Back,
    /// Where the bridge has heard who they are for.
    Bridge,
}

/// Where packets go that came in by one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// All have the same fate.
    All(Fate),
    /// The bridge says it of each.
    Bridge,
}

impl Recipe {
    /// That of a path, if what is done there is so simple.
    pub(crate) fn of(path: &Path, snapshot: &Snapshot) -> Option<Recipe> {
        let mut draft = Draft {
            snapshot,
            known: Kinds::ALL,
            left: MOST.checked_sub(path.hits.len())?,
            meter: None,
            rewrite: Rewrite::default(),
            out: None,
        };
        let mut set = ActionSet::default();
        if snapshot.standalone {
            draft.out = Some(Out::Bridge);
        }
        for (i, (_, entry)) in path.hits.iter().enumerate() {
            let entry = entry.as_ref()?;
            draft.meets(entry);
            let instructions = &entry.instructions;
            let next = path.hits.get(i + 1);
            // Otherwise the path ends before the packet does.
            if instructions.goto_table != next.map(|(table, _)| *table) {
                return None;
            }
            if let Some(meter) = instructions.meter {
                draft.measure(meter)?;
            }
            instructions.apply.iter().try_for_each(|action| draft.act(action))?;
            if instructions.clear {
                set.clear();
            }
            instructions.write.iter().for_each(|action| pipeline::write(&mut set, action, ()));
            // Every packet is counted at every entry, with the bytes that it came with.
            if next.is_some() && (draft.meter.is_some() || !draft.rewrite.keeps_length()) {
                return None;
            }
        }
        set.iter().try_for_each(|(action, ())| draft.act(action))?;
        Some(Recipe { meter: draft.meter, rewrite: draft.rewrite, out: draft.out? })
    }

    /// Where packets go that came in by a port, but for the meter; none if that is more than a fate can say.
    pub(crate) fn way(&self, in_port: PortNo) -> Option<Way> {
        match self.out {
            Out::Back => Fate::output(in_port).map(Way::All),
            // The ingress port needs to be asked for by its reserved name (section 7.2.5.1).
            Out::Port(port) if port == in_port => Some(Way::All(Fate::DROP)),
            Out::Port(port) => Fate::output(port).map(Way::All),
            Out::Bridge => Some(Way::Bridge),
        }
    }
}

/// A recipe in the making.
struct Draft<'s> {
    snapshot: &'s Snapshot,
    /// What the packets of the path are that are IP.
    known: Kinds,
    /// How many actions there may still be.
    left: usize,
    meter: Option<Arc<Meter>>,
    rewrite: Rewrite,
    out: Option<Out>,
}

impl Draft<'_> {
    /// Packets meet an entry.
    fn meets(&mut self, entry: &FlowEntry) {
        // No change makes another of it.
        if let Some(eth_type) = entry.matching.get(Oxm::EthType).filter(|field| field.is_exact()) {
            self.known = self.known.and(Kinds::of_eth_type(eth_type.value() as u16));
        }
    }

    /// Adds what an action does; none if that is more than a recipe can say.
    fn act(&mut self, action: &Action) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        if let Action::SetQueue(_) = action {
            // There are none.
            return Some(());
        }
        if self.out.is_some() {
            // What was sent is sent as it was.
            return None;
        }
        match action {
            Action::Output { port, .. } => {
                self.out = Some(match *port {
                    PortNo::IN_PORT => Out::Back,
                    // The bridge does not see what came, or not every packet.
                    PortNo::NORMAL if !self.rewrite.is_empty() || self.meter.is_some() => return None,
                    PortNo::NORMAL => Out::Bridge,
                    port if port.is_physical() => Out::Port(port),
                    _ => return None,
                });
                Some(())
            }
            Action::Meter(meter) => self.measure(*meter),
            Action::SetField(field) => self.set(field),
            Action::SetNwTtl(ttl) => self.rewrite.set_ttl(*ttl),
            Action::DecNwTtl => self.rewrite.dec_ttl(),
            Action::PushVlan(eth_type) => self.rewrite.push_vlan(*eth_type),
            Action::PopVlan => self.rewrite.pop_vlan(),
            Action::SetTpSrc(port) => self.set_port(Field::L4_SRC, *port),
            Action::SetTpDst(port) => self.set_port(Field::L4_DST, *port),
            _ => None,
        }
    }

    fn measure(&mut self, meter: MeterId) -> Option<()> {
        if self.meter.is_some() || !self.rewrite.is_empty() || self.out.is_some() {
            return None;
        }
        if let Some(meter) = self.snapshot.meters.get(meter) {
            if !meter.only_drops() {
                return None;
            }
            self.meter = Some(Arc::clone(meter));
        }
        Some(())
    }

    fn set(&mut self, field: &MatchField) -> Option<()> {
        let place = place(field.field());
        if place.is_pipeline() {
            // Not a byte of the packet, and its lookups are behind it.
            return Some(());
        }
        let mask = if field.is_exact() { place.max() } else { field.mask() };
        let kinds = match kinds(field.field().spec()) {
            Kinds::ALL => Kinds::ALL,
            kinds => kinds.and(self.known),
        };
        self.rewrite.set(place, mask, field.value(), kinds)
    }

    /// Of OpenFlow 1.0: whatever the protocol.
    fn set_port(&mut self, place: Field, port: u16) -> Option<()> {
        self.rewrite.set(place, place.max(), port.into(), Kinds::ALL)
    }
}

/// The packets that have a field.
fn kinds(spec: &FieldSpec) -> Kinds {
    let of = |field: Oxm, value: u128| match field {
        Oxm::EthType => Kinds::of_eth_type(value as u16),
        Oxm::IpProto => Kinds::of_proto(value as u8),
        _ => Kinds::NONE,
    };
    spec.prerequisites.iter().fold(Kinds::ALL, |kinds, needs| match needs {
        Prerequisite::OneOf(field, values) => {
            let any = values.iter().fold(Kinds::NONE, |any, value| any.or(of(*field, *value)));
            kinds.and(any).and(self::kinds(field.spec()))
        }
        // A rewrite knows about tags.
        Prerequisite::VlanTag => kinds,
        Prerequisite::Present(_) => kinds,
    })
}

#[cfg(test)]
mod tests {
    use oko_flow_table::{FlowTables, Limits, Meters};
    use oko_openflow::meter::{Band, BandAction, MeterFlags, MeterMod, MeterModCommand};
    use oko_openflow::{
        FlowMod, FlowModCommand, FlowStatsRequest, GroupId, Instructions, Match, MeterId, TableId,
    };

    use super::*;
    use crate::recording::Then;

    /// The recipe for packets that meet entries with these instructions, one in each table.
    fn recipe(entries: &[Instructions]) -> Option<Recipe> {
        let mut tables = FlowTables::new(Limits::default());
        for (table, instructions) in entries.iter().enumerate() {
            let flow_mod = FlowMod {
                table: TableId(table as u8),
                matching: Match::any().with(Oxm::EthType, 0x0800).with(Oxm::IpProto, 17),
                instructions: instructions.clone(),
                ..FlowMod::new(FlowModCommand::Add)
            };
            tables.apply(&flow_mod, 0).expect("the entry is in order");
        }
        let mut meters = Meters::default();
        for (number, action) in [(1, BandAction::Drop), (2, BandAction::DscpRemark(1))] {
            let bands = vec![Band { rate: 1, burst: 1, action }];
            let (command, flags) = (MeterModCommand::Add, MeterFlags::PKTPS);
            let request = MeterMod { command, flags, meter: MeterId(number), bands };
            meters.apply(&request, 0).expect("a meter");
        }
        let snapshot = Snapshot { tables: tables.snapshot(), meters, ..Snapshot::empty() };
        let met = tables.select(&FlowStatsRequest::default());
        let hits = met.into_iter().map(|entry| (entry.table, Some(entry)));
        Recipe::of(&Path { hits: hits.collect(), then: Then::Act }, &snapshot)
    }

    fn set(field: Oxm, value: u128) -> Action {
        Action::SetField(MatchField::exact(field, value).expect("a value"))
    }

    fn sent(port: u32) -> Option<Way> {
        Fate::output(PortNo(port)).map(Way::All)
    }

    fn output(port: u32) -> Action {
        Action::output(PortNo(port))
    }

    #[test]
    fn ordinary_changes_have_recipes() {
        let translate = || vec![set(Oxm::Ipv4Dst, 0x0a00_0001), set(Oxm::UdpDst, 53), Action::DecNwTtl];
        let tag = || vec![Action::PushVlan(0x8100), set(Oxm::VlanVid, 0x1005)];
        let apply = |actions: Vec<Action>| Instructions::apply([actions, vec![output(2)]].concat());
        for instructions in [
            apply(translate()),
            apply(tag()),
            apply(vec![set(Oxm::IpDscp, 10), set(Oxm::Metadata, 1), Action::SetQueue(1)]),
            Instructions { write: [tag(), translate(), vec![output(2)]].concat(), ..Instructions::default() },
            Instructions { meter: Some(MeterId(1)), ..apply(Vec::new()) },
        ] {
            let recipe = recipe(std::slice::from_ref(&instructions));
            let recipe = recipe.unwrap_or_else(|| panic!("none for {instructions:?}"));
            assert_eq!(recipe.way(PortNo(1)), sent(2));
            assert_eq!(
                recipe.way(PortNo(2)),
                Some(Way::All(Fate::DROP)),
                "not back by the port that it came by"
            );
        }
        let first = Instructions { goto_table: Some(TableId(1)), ..Instructions::apply(translate()) };
        let back = recipe(&[first, apply(tag())]).expect("a recipe over two tables");
        assert!(!back.rewrite.is_empty() && !back.rewrite.keeps_length());
        let back = recipe(&[Instructions::apply(vec![Action::output(PortNo::IN_PORT)])]).expect("a recipe");
        assert_eq!(back.way(PortNo(7)), sent(7));
        let normal = recipe(&[Instructions::apply(vec![Action::output(PortNo::NORMAL)])]);
        assert_eq!(normal.expect("a recipe").way(PortNo(7)), Some(Way::Bridge));
        let alone = Snapshot { standalone: true, ..Snapshot::empty() };
        let alone = Recipe::of(&Path::default(), &alone).expect("a recipe");
        assert_eq!(alone.way(PortNo(7)), Some(Way::Bridge));
    }

    #[test]
    fn what_says_more_than_a_recipe_has_none() {
        let goes = |actions| Instructions { goto_table: Some(TableId(1)), ..Instructions::apply(actions) };
        let last = Instructions::apply(vec![output(2)]);
        let metered = |meter| Instructions { meter: Some(MeterId(meter)), ..last.clone() };
        for entries in [
            // Two copies, one that was sent before the change, more than an action, nothing sent.
            vec![Instructions::apply(vec![output(2), output(3)])],
            vec![Instructions::apply(vec![output(2), Action::DecNwTtl])],
            vec![Instructions::apply(vec![Action::Group(GroupId(1))])],
            vec![Instructions::apply(vec![Action::output(PortNo::FLOOD)])],
            // The bridge sees what the packet is then, and no packet that was dropped before.
            vec![Instructions {
                meter: Some(MeterId(1)),
                ..Instructions::apply(vec![Action::output(PortNo::NORMAL)])
            }],
            vec![Instructions::apply(vec![set(Oxm::EthDst, 1), Action::output(PortNo::NORMAL)])],
            vec![Instructions::apply(vec![Action::DecNwTtl])],
            // The packet goes on where the path does not.
            vec![goes(vec![Action::DecNwTtl])],
            // Some are remarked. Some are dropped before the second entry counts them, or are longer there.
            vec![metered(2)],
            vec![Instructions { goto_table: Some(TableId(1)), ..metered(1) }, last.clone()],
            vec![goes(vec![Action::PushVlan(0x8100)]), last.clone()],
            // Too much for one packet, at some number.
            vec![Instructions::apply([vec![set(Oxm::Metadata, 1); MOST], vec![output(2)]].concat())],
            // They are another kind of packets afterwards.
            vec![Instructions::apply(vec![set(Oxm::IpProto, 6), output(2)])],
        ] {
            assert!(recipe(&entries).is_none(), "{entries:?}");
        }
    }
}
