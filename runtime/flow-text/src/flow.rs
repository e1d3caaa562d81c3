//! A whole flow: settings, conditions and actions.

use oko_openflow::{FlowMod, FlowModCommand, FlowModFlags, FlowStatsRequest, GroupId, TableId};

use crate::actions::parse_actions;
use crate::error::{FlowError, FlowProblem};
use crate::matching::{Written, parse_match};
use crate::names::Names;
use crate::piece::Piece;
use crate::value::{bounded, port};

/// Names of what is neither a condition nor an action.
pub(crate) const SETTINGS: &[&str] = &[
    "table",
    "cookie",
    "priority",
    "idle_timeout",
    "hard_timeout",
    "out_port",
    "out_group",
    "send_flow_rem",
    "check_overlap",
    "reset_counts",
    "no_packet_counts",
    "no_byte_counts",
];

/// What a listing shows beside the flow itself; accepted and not used, so that a listing can be read back.
const SHOWN_ONLY: &[&str] = &["duration", "n_packets", "n_bytes", "idle_age", "hard_age"];

/// Reads a flow as the argument of `add`, `mod` or `del`.
///
/// Additions and modifications need `actions=`, deletions take none. Without `table=`, additions and modifications go
/// to table 0 (as with `ovs-ofctl`, modifications too) and deletions to all tables.
pub fn parse_flow_mod(text: &str, command: FlowModCommand, names: &Names) -> Result<FlowMod, FlowError> {
    let whole = Piece::whole(text);
    let (conditions, actions) = whole.split_actions();
    let mut flow = FlowMod::new(command);
    let deletes = matches!(command, FlowModCommand::Delete | FlowModCommand::DeleteStrict);
    let command_name = match command {
        FlowModCommand::Add => "an addition",
        FlowModCommand::Modify | FlowModCommand::ModifyStrict => "a modification",
        FlowModCommand::Delete | FlowModCommand::DeleteStrict => "a deletion",
    };
    let mut settings = Settings::default();
    let rest = settings.take(conditions, names)?;
    flow.matching = parse_match(&rest, names)?;
    match actions {
        Some(actions) if deletes => {
            return Err(actions.error(FlowProblem::ActionsNotAllowed { command: command_name }));
        }
        Some(actions) => flow.instructions = parse_actions(actions, names)?,
        None if deletes => {}
        None => return Err(whole.end().error(FlowProblem::NoActions)),
    }
    if let Some((value, mask)) = settings.cookie {
        match (command, mask) {
            (FlowModCommand::Add, Some(_)) => {
                let key = "a mask of the cookie".to_owned();
                return Err(settings
                    .cookie_piece(whole)
                    .error(FlowProblem::NotUsed { command: command_name, key }));
            }
            // As with ovs-ofctl, a cookie with a mask restricts what is changed, one without is set.
            (FlowModCommand::Add | FlowModCommand::Modify | FlowModCommand::ModifyStrict, None) => {
                flow.cookie = value;
            }
            (_, mask) => {
                flow.cookie = value;
                flow.cookie_mask = mask.unwrap_or(u64::MAX);
            }
        }
    }
    flow.table = settings.table.unwrap_or(flow.table);
    flow.priority = settings.priority.unwrap_or(flow.priority);
    flow.idle_timeout = settings.idle_timeout.unwrap_or(0);
    flow.hard_timeout = settings.hard_timeout.unwrap_or(0);
    flow.flags = settings.flags;
    if let Some((port, piece)) = settings.out_port {
        if !deletes {
            let key = "out_port".to_owned();
            return Err(piece.error(FlowProblem::NotUsed { command: command_name, key }));
        }
        flow.out_port = port;
    }
    if let Some((group, piece)) = settings.out_group {
        if !deletes {
            let key = "out_group".to_owned();
            return Err(piece.error(FlowProblem::NotUsed { command: command_name, key }));
        }
        flow.out_group = group;
    }
    Ok(flow)
}

/// Reads which flows are asked for: conditions, `table`, `cookie`, `out_port` and `out_group`. Empty for all.
pub fn parse_flow_request(text: &str, names: &Names) -> Result<FlowStatsRequest, FlowError> {
    const COMMAND: &str = "a listing";
    let whole = Piece::whole(text);
    let (conditions, actions) = whole.split_actions();
    if let Some(actions) = actions {
        return Err(actions.error(FlowProblem::ActionsNotAllowed { command: COMMAND }));
    }
    let mut settings = Settings::default();
    let rest = settings.take(conditions, names)?;
    if let Some((key, piece)) = settings.not_in_requests.first() {
        return Err(piece.error(FlowProblem::NotUsed { command: COMMAND, key: (*key).to_owned() }));
    }
    let mut request =
        FlowStatsRequest { matching: parse_match(&rest, names)?, ..FlowStatsRequest::default() };
    request.table = settings.table.unwrap_or(request.table);
    if let Some((value, mask)) = settings.cookie {
        request.cookie = value;
        request.cookie_mask = mask.unwrap_or(u64::MAX);
    }
    if let Some((port, _)) = settings.out_port {
        request.out_port = port;
    }
    if let Some((group, _)) = settings.out_group {
        request.out_group = group;
    }
    Ok(request)
}

/// The settings of a flow, each if given.
#[derive(Default)]
struct Settings<'a> {
    table: Option<TableId>,
    cookie: Option<(u64, Option<u64>)>,
    cookie_at: Option<Piece<'a>>,
    priority: Option<u16>,
    idle_timeout: Option<u16>,
    hard_timeout: Option<u16>,
    flags: FlowModFlags,
    out_port: Option<(oko_openflow::PortNo, Piece<'a>)>,
    out_group: Option<(GroupId, Piece<'a>)>,
    /// Settings that a listing cannot use.
    not_in_requests: Vec<(&'a str, Piece<'a>)>,
    seen: Vec<&'a str>,
}

impl<'a> Settings<'a> {
    /// Takes the settings out of the conditions; what is left are those of the match.
    fn take(&mut self, conditions: Piece<'a>, names: &Names) -> Result<Vec<Written<'a>>, FlowError> {
        let mut rest = Vec::new();
        for piece in conditions.list() {
            let written = Written::new(piece);
            let key = written.key.text();
            if SHOWN_ONLY.contains(&key) {
                continue;
            }
            if !SETTINGS.contains(&key) {
                rest.push(written);
                continue;
            }
            if self.seen.contains(&key) {
                return Err(piece.error(FlowProblem::Duplicate { key: key.to_owned() }));
            }
            self.seen.push(key);
            self.set(key, &written, names)?;
        }
        Ok(rest)
    }

    fn set(&mut self, key: &'a str, written: &Written<'a>, names: &Names) -> Result<(), FlowError> {
        if !["table", "cookie", "out_port", "out_group"].contains(&key) {
            self.not_in_requests.push((key, written.whole));
        }
        match key {
            "table" => {
                self.table = Some(TableId(bounded(key, written.value("a table number")?, TableId::MAX.0)?));
            }
            "cookie" => {
                let value = written.value("a number")?;
                self.cookie_at = Some(written.whole);
                self.cookie = Some(match value.split_once('/') {
                    Some((value, mask)) => {
                        (bounded(key, value, u64::MAX)?, Some(bounded("the cookie's mask", mask, u64::MAX)?))
                    }
                    None => (bounded(key, value, u64::MAX)?, None),
                });
            }
            "priority" => self.priority = Some(bounded(key, written.value("a number")?, u16::MAX)?),
            "idle_timeout" => self.idle_timeout = Some(bounded(key, written.value("seconds")?, u16::MAX)?),
            "hard_timeout" => self.hard_timeout = Some(bounded(key, written.value("seconds")?, u16::MAX)?),
            "out_port" => self.out_port = Some((port(written.value("a port")?, names)?, written.whole)),
            "out_group" => {
                let group = GroupId(bounded(key, written.value("a group number")?, u32::MAX)?);
                self.out_group = Some((group, written.whole));
            }
            _ => {
                written.alone()?;
                self.flags |=
                    FLAGS.iter().find(|(name, _)| *name == key).map_or(FlowModFlags::empty(), |(_, f)| *f);
            }
        }
        Ok(())
    }

    fn cookie_piece(&self, whole: Piece<'a>) -> Piece<'a> {
        self.cookie_at.unwrap_or(whole)
    }
}

/// The flags of a flow-mod, as they are written.
pub(crate) const FLAGS: &[(&str, FlowModFlags)] = &[
    ("send_flow_rem", FlowModFlags::SEND_FLOW_REM),
    ("check_overlap", FlowModFlags::CHECK_OVERLAP),
    ("reset_counts", FlowModFlags::RESET_COUNTS),
    ("no_packet_counts", FlowModFlags::NO_PKT_COUNTS),
    ("no_byte_counts", FlowModFlags::NO_BYT_COUNTS),
];
