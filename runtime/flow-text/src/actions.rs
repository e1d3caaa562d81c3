//! Actions and instructions.
//!
//! As in `ovs-ofctl`, plain actions are applied at once; `clear_actions`, `write_actions(…)`, `write_metadata:` and
//! `goto_table:` are the other instructions, and stand after them in the order of their execution.

use oko_openflow::{
    Action, CopyField, Field, GroupId, Instructions, MatchField, MetadataWrite, MeterId, PortNo, TableId,
};

use crate::error::{FlowError, FlowProblem, nearest};
use crate::names::Names;
use crate::piece::Piece;
use crate::value::{bounded, plain, port};

/// Names of actions and instructions, for suggestions.
const KNOWN: &[&str] = &[
    "output",
    "drop",
    "controller",
    "in_port",
    "all",
    "flood",
    "normal",
    "local",
    "table",
    "group",
    "resubmit",
    "set_queue",
    "set_field",
    "move",
    "push_vlan",
    "pop_vlan",
    "strip_vlan",
    "push_mpls",
    "pop_mpls",
    "push_pbb",
    "pop_pbb",
    "dec_ttl",
    "mod_nw_ttl",
    "set_mpls_ttl",
    "dec_mpls_ttl",
    "copy_ttl_in",
    "copy_ttl_out",
    "meter",
    "clear_actions",
    "write_actions",
    "write_metadata",
    "goto_table",
];

/// Actions of OpenFlow 1.0 and what OpenFlow 1.3 has instead.
const REPLACED: &[(&str, &str)] = &[
    ("mod_dl_src", "set_field:ADDRESS->eth_src"),
    ("mod_dl_dst", "set_field:ADDRESS->eth_dst"),
    ("mod_nw_src", "set_field:ADDRESS->ip_src"),
    ("mod_nw_dst", "set_field:ADDRESS->ip_dst"),
    ("mod_nw_tos", "set_field:VALUE->ip_dscp"),
    ("mod_nw_ecn", "set_field:VALUE->nw_ecn"),
    ("mod_tp_src", "set_field:PORT->tcp_src"),
    ("mod_tp_dst", "set_field:PORT->tcp_dst"),
    ("mod_vlan_vid", "push_vlan:0x8100,set_field:VID->vlan_vid"),
    ("mod_vlan_pcp", "set_field:PCP->vlan_pcp"),
];

/// Actions that only Open vSwitch has.
const NOT_IN_OPENFLOW: &[&str] = &[
    "learn",
    "load",
    "ct",
    "ct_clear",
    "nat",
    "bundle",
    "bundle_load",
    "multipath",
    "note",
    "sample",
    "clone",
    "conjunction",
    "check_pkt_larger",
    "enqueue",
    "fin_timeout",
    "exit",
    "push",
    "pop",
    "set_tunnel",
    "set_tunnel64",
    "encap",
    "decap",
    "delete_field",
    "debug_recirc",
];

/// The instructions in the order of their execution; what comes later must be written later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Meter,
    Apply,
    Clear,
    Write,
    Metadata,
    Goto,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Meter => "meter",
            Step::Apply => "actions",
            Step::Clear => "clear_actions",
            Step::Write => "write_actions",
            Step::Metadata => "write_metadata",
            Step::Goto => "goto_table",
        }
    }
}

/// Reads what follows `actions=`. Nothing is a drop.
pub(crate) fn parse_actions(piece: Piece<'_>, names: &Names) -> Result<Instructions, FlowError> {
    let mut out = Instructions::none();
    let items = piece.list();
    let mut last: Option<Step> = None;
    for item in &items {
        check_closed(*item)?;
        if item.text() == "drop" {
            if items.len() > 1 {
                return Err(item.error(FlowProblem::DropWithOthers));
            }
            break;
        }
        let step = instruction(*item, names, &mut out)?;
        match last {
            Some(before) if step < before => {
                let later = if step == Step::Apply { word(*item).text() } else { step.name() }.to_owned();
                return Err(item.error(FlowProblem::Order { later, earlier: before.name() }));
            }
            Some(before) if step == before && step != Step::Apply => {
                return Err(item.error(FlowProblem::Duplicate { key: step.name().to_owned() }));
            }
            _ => last = Some(step),
        }
    }
    Ok(out)
}

fn check_closed(item: Piece<'_>) -> Result<(), FlowError> {
    let count = |c| item.text().matches(c).count();
    if count('(') == count(')') { Ok(()) } else { Err(item.error(FlowProblem::Unclosed)) }
}

/// The name at the start of an action.
fn word(item: Piece<'_>) -> Piece<'_> {
    let colon = item.split_once(':').map_or(item, |(word, _)| word);
    colon.split_once('(').map_or(colon, |(word, _)| word)
}

/// Reads one instruction or action into `out`.
fn instruction(item: Piece<'_>, names: &Names, out: &mut Instructions) -> Result<Step, FlowError> {
    let name = word(item).text();
    let argument = argument(item);
    Ok(match name {
        "meter" => {
            out.meter =
                Some(MeterId(bounded(name, required(item, argument, "a meter number")?, MeterId::MAX.0)?));
            Step::Meter
        }
        "clear_actions" => {
            none(item, argument)?;
            out.clear = true;
            Step::Clear
        }
        "write_actions" => {
            for action in required(item, argument, "actions in parentheses")?.list() {
                out.write.push(parse_action(action, names)?);
            }
            Step::Write
        }
        "write_metadata" => {
            let value = required(item, argument, "a number")?;
            let (value, mask) = match value.split_once('/') {
                Some((value, mask)) => (value, bounded("the mask", mask, u64::MAX)?),
                None => (value, u64::MAX),
            };
            let value: u64 = bounded(name, value, u64::MAX)?;
            out.metadata = Some(MetadataWrite { value: value & mask, mask });
            Step::Metadata
        }
        "goto_table" => {
            let table = bounded(name, required(item, argument, "a table number")?, TableId::MAX.0)?;
            out.goto_table = Some(TableId(table));
            Step::Goto
        }
        _ => {
            out.apply.push(parse_action(item, names)?);
            Step::Apply
        }
    })
}

/// What follows the name, after a colon or in parentheses.
fn argument(item: Piece<'_>) -> Option<Piece<'_>> {
    let colon = item.split_once(':');
    let call = item.call();
    match (colon, call) {
        (Some((word, value)), Some((name, _))) if word.text().len() < name.text().len() => Some(value),
        (_, Some((_, arguments))) => Some(arguments),
        (Some((_, value)), None) => Some(value),
        (None, None) => None,
    }
}

fn required<'a>(item: Piece<'a>, argument: Option<Piece<'a>>, what: &str) -> Result<Piece<'a>, FlowError> {
    argument.filter(|a| !a.is_empty()).ok_or_else(|| {
        let key = word(item).text().to_owned();
        item.error(FlowProblem::NoValue { expected: format!("`{key}:` and {what}"), key })
    })
}

fn none(item: Piece<'_>, argument: Option<Piece<'_>>) -> Result<(), FlowError> {
    match argument.filter(|a| !a.is_empty()) {
        Some(_) => Err(item.error(FlowProblem::ValueNotAllowed { key: word(item).text().to_owned() })),
        None => Ok(()),
    }
}

fn parse_action(item: Piece<'_>, names: &Names) -> Result<Action, FlowError> {
    let name = word(item).text();
    let argument = argument(item);
    let ethertype = |what| bounded(name, required(item, argument, what)?, u16::MAX);
    let plain_action = |action| none(item, argument).map(|()| action);
    match name {
        "output" => Ok(Action::output(port(required(item, argument, "a port")?, names)?)),
        "group" => Ok(Action::Group(GroupId(bounded(
            name,
            required(item, argument, "a group number")?,
            GroupId::MAX.0,
        )?))),
        "set_queue" => {
            Ok(Action::SetQueue(bounded(name, required(item, argument, "a queue number")?, u32::MAX)?))
        }
        "set_field" => set_field(item, required(item, argument, "VALUE->FIELD")?, names),
        "move" => copy_field(item, required(item, argument, "SOURCE->TARGET")?),
        "resubmit" => resubmit(item, required(item, argument, "a port, a table or both")?, names),
        "push_vlan" => Ok(Action::PushVlan(ethertype("an EtherType such as 0x8100")?)),
        "push_mpls" => Ok(Action::PushMpls(ethertype("an EtherType such as 0x8847")?)),
        "pop_mpls" => Ok(Action::PopMpls(ethertype("an EtherType such as 0x0800")?)),
        "push_pbb" => Ok(Action::PushPbb(ethertype("an EtherType such as 0x88e7")?)),
        "mod_nw_ttl" => Ok(Action::SetNwTtl(bounded(name, required(item, argument, "a TTL")?, u8::MAX)?)),
        "set_mpls_ttl" => Ok(Action::SetMplsTtl(bounded(name, required(item, argument, "a TTL")?, u8::MAX)?)),
        "pop_vlan" | "strip_vlan" => plain_action(Action::PopVlan),
        "pop_pbb" => plain_action(Action::PopPbb),
        "dec_ttl" => plain_action(Action::DecNwTtl),
        "dec_mpls_ttl" => plain_action(Action::DecMplsTtl),
        "copy_ttl_in" => plain_action(Action::CopyTtlIn),
        "copy_ttl_out" => plain_action(Action::CopyTtlOut),
        "drop" => Err(item.error(FlowProblem::DropWithOthers)),
        _ if name.eq_ignore_ascii_case("controller") => controller(argument),
        _ => port_action(item, argument, names),
    }
}

/// `resubmit:PORT`, `resubmit(PORT,TABLE)`, `resubmit(,TABLE)`: what is left out is the packet's own port, the entry's own table.
fn resubmit(item: Piece<'_>, argument: Piece<'_>, names: &Names) -> Result<Action, FlowError> {
    let (to, table) = match argument.split_once(',') {
        Some((port, table)) => (port.trim(), Some(table.trim())),
        None => (argument, None),
    };
    let to = if to.is_empty() { PortNo::IN_PORT } else { port(to, names)? };
    let table = match table.filter(|table| !table.is_empty()) {
        Some(table) => TableId(bounded("the table of resubmit", table, TableId::MAX.0)?),
        None => TableId::ALL,
    };
    if (to, table) == (PortNo::IN_PORT, TableId::ALL) {
        // It would come back here for ever.
        let expected = "`resubmit(PORT,TABLE)` with a port, a table or both".to_owned();
        return Err(item.error(FlowProblem::NoValue { key: "resubmit".to_owned(), expected }));
    }
    Ok(Action::Resubmit { port: to, table })
}

/// `controller`, `controller:N` and `controller(max_len=N)`; without a length, the whole packet.
fn controller(argument: Option<Piece<'_>>) -> Result<Action, FlowError> {
    let max_len = match argument.filter(|a| !a.is_empty()) {
        None => Action::WHOLE_PACKET,
        Some(argument) => {
            let length = argument
                .split_once('=')
                .map_or(argument, |(key, value)| if key.text() == "max_len" { value } else { argument });
            bounded("controller's max_len", length, u16::MAX)?
        }
    };
    Ok(Action::Output { port: PortNo::CONTROLLER, max_len })
}

/// A port by itself, or a misspelt action.
fn port_action(item: Piece<'_>, argument: Option<Piece<'_>>, names: &Names) -> Result<Action, FlowError> {
    if argument.is_none()
        && let Ok(port) = port(item, names)
    {
        return Ok(Action::output(port));
    }
    let word = word(item);
    let found = word.text().to_owned();
    if let Some((_, instead)) = REPLACED.iter().find(|(old, _)| *old == found) {
        return Err(word.error(FlowProblem::NotInOpenFlow { found, instead: Some((*instead).to_owned()) }));
    }
    if NOT_IN_OPENFLOW.contains(&found.as_str()) {
        return Err(word.error(FlowProblem::NotInOpenFlow { found, instead: None }));
    }
    let known = KNOWN.iter().copied().chain(names.ports.iter().map(|(_, name)| name.as_str()));
    let suggestion = nearest(&found, known);
    Err(word.error(FlowProblem::UnknownAction { found, suggestion }))
}

/// `set_field:VALUE->FIELD`. A VLAN id is written with the bit that says that there is a tag.
fn set_field(item: Piece<'_>, argument: Piece<'_>, names: &Names) -> Result<Action, FlowError> {
    let Some((value, field)) = argument.split_once_str("->") else {
        let expected = "`set_field:VALUE->FIELD`".to_owned();
        return Err(item.error(FlowProblem::NoValue { key: "set_field".to_owned(), expected }));
    };
    let (value, field) = (value.trim(), field.trim());
    let found = named(field)?;
    let spec = found.spec();
    if !spec.settable {
        return Err(field.error(FlowProblem::BadValue {
            key: "the field to set".to_owned(),
            found: field.text().to_owned(),
            expected: "a field of the packet's headers".to_owned(),
        }));
    }
    if value.text().contains('/') {
        return Err(value.error(FlowProblem::NotMaskable { key: "the value of set_field".to_owned() }));
    }
    let mut bits = plain(field.text(), spec, value, names)?;
    if found == Field::VlanVid {
        bits |= oko_openflow::oxm::VLAN_PRESENT;
    }
    Ok(Action::SetField(MatchField::exact(found, bits).expect("the value was checked against the field")))
}

/// `move:SOURCE->TARGET`: each a field, or bits of one: `eth_src[0..15]`, `reg0[3]`, `reg0[]`.
fn copy_field(item: Piece<'_>, argument: Piece<'_>) -> Result<Action, FlowError> {
    let Some((source, target)) = argument.split_once_str("->") else {
        let expected = "`move:SOURCE->TARGET`".to_owned();
        return Err(item.error(FlowProblem::NoValue { key: "move".to_owned(), expected }));
    };
    let (source, target) = (source.trim(), target.trim());
    let ((from, from_offset, bits), (to, to_offset, to_bits)) = (subfield(source)?, subfield(target)?);
    let bad = |piece: Piece<'_>, expected: String| {
        let (key, found) = ("the bits to move".to_owned(), piece.text().to_owned());
        piece.error(FlowProblem::BadValue { key, found, expected })
    };
    if bits != to_bits {
        return Err(bad(target, format!("{bits} bits, as many as are read")));
    }
    CopyField::new((from, from_offset), (to, to_offset), bits)
        .map(Action::CopyField)
        .map_err(|_| bad(target, "a field of the packet's headers or a register".to_owned()))
}

/// A field, the first of its bits and how many.
fn subfield(piece: Piece<'_>) -> Result<(Field, u16, u16), FlowError> {
    let Some((name, range)) = piece.split_once('[') else {
        let field = named(piece)?;
        return Ok((field, 0, field.spec().bits.into()));
    };
    let field = named(name.trim())?;
    let width = u16::from(field.spec().bits);
    let (first, last) =
        match range.text().strip_suffix(']').map(|range| range.split_once("..").unwrap_or((range, range))) {
            Some(("", "")) => (Some(0), Some(width - 1)),
            Some((first, last)) => (first.trim().parse().ok(), last.trim().parse().ok()),
            None => (None, None),
        };
    match (first, last) {
        (Some(first), Some(last)) if first <= last && last < width => Ok((field, first, last - first + 1)),
        _ => {
            let (key, found) = (format!("the bits of {}", name.trim().text()), piece.text().to_owned());
            let expected = format!("`[]`, `[BIT]` or `[FIRST..LAST]` with bits from 0 to {}", width - 1);
            Err(piece.error(FlowProblem::BadValue { key, found, expected }))
        }
    }
}

/// The field that is named.
fn named(field: Piece<'_>) -> Result<Field, FlowError> {
    Field::from_name(field.text()).ok_or_else(|| {
        let found = field.text().to_owned();
        let suggestion = nearest(&found, crate::matching::known_names());
        field.error(FlowProblem::UnknownField { found, suggestion })
    })
}
