//! Which entries a flow-mod or a statistics request is about, and walking through them bit by bit.

use oko_openflow::{FlowMod, FlowModCommand, FlowStatsRequest, GroupId, Match, PortNo, TableId};

use crate::classifier::Place;
use crate::entry::FlowEntry;
use crate::matcher::Matcher;

/// Which entries a request is about.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) matcher: Matcher,
    /// The identity that an entry must have, where the request is strict.
    pub(crate) strict: Option<(u16, Match)>,
    pub(crate) cookie: u64,
    pub(crate) cookie_mask: u64,
    pub(crate) out_port: PortNo,
    pub(crate) out_group: GroupId,
}

impl Selection {
    pub(crate) fn of_flow_mod(flow_mod: &FlowMod, strict: bool) -> Selection {
        // Output port and group restrict deletions only.
        let deletes = matches!(flow_mod.command, FlowModCommand::Delete | FlowModCommand::DeleteStrict);
        Selection {
            matcher: Matcher::new(&flow_mod.matching),
            strict: strict.then(|| (flow_mod.priority, flow_mod.matching.clone())),
            cookie: flow_mod.cookie,
            cookie_mask: flow_mod.cookie_mask,
            out_port: if deletes { flow_mod.out_port } else { PortNo::ANY },
            out_group: if deletes { flow_mod.out_group } else { GroupId::ANY },
        }
    }

    pub(crate) fn of_request(request: &FlowStatsRequest) -> Selection {
        Selection {
            matcher: Matcher::new(&request.matching),
            strict: None,
            cookie: request.cookie,
            cookie_mask: request.cookie_mask,
            out_port: request.out_port,
            out_group: request.out_group,
        }
    }

    /// Whether an entry is one of those, whatever its table and identity.
    pub(crate) fn covers(&self, entry: &FlowEntry) -> bool {
        self.matcher.covers(&entry.matcher) && self.accepts(entry)
    }

    /// The same of an entry whose match is known to be right.
    pub(crate) fn accepts(&self, entry: &FlowEntry) -> bool {
        (entry.cookie ^ self.cookie) & self.cookie_mask == 0
            && entry.outputs_to(self.out_port)
            && entry.names_group(self.out_group)
    }
}

/// A walk through the entries that a request is about, by table. The tables may change between its [steps](crate::FlowTables::step): it
/// holds nothing of them.
///
/// Entries that are there all the time, and that are not added again meanwhile, are met exactly once.
#[derive(Debug)]
pub struct Walk {
    pub(crate) selection: Selection,
    /// The table that is asked for, or all.
    pub(crate) about: TableId,
    /// The table that is next.
    pub(crate) table: TableId,
    /// Where in it, if it is one that is not met as a whole and has been begun.
    pub(crate) place: Option<Place>,
}

impl Walk {
    /// From the first entry on.
    pub fn new(request: &FlowStatsRequest) -> Walk {
        Walk::through(Selection::of_request(request), request.table)
    }

    /// Through the entries that a flow-mod is about that is not strict.
    pub(crate) fn of_flow_mod(flow_mod: &FlowMod) -> Walk {
        Walk::through(Selection::of_flow_mod(flow_mod, false), flow_mod.table)
    }

    fn through(selection: Selection, about: TableId) -> Walk {
        Walk { selection, about, table: TableId(0), place: None }
    }
}
