//! `okoctl flow`.

use clap::{Args, Subcommand};
use oko_flow_text::{Names, parse_flow_mod, parse_flow_request, print_flow, print_instructions, print_match};
use oko_openflow::{FlowModCommand, FlowStats};
use okoctl::{Address, Client};
use serde_json::{Value, json};

use super::{count, names};
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add flows, in place of those with the same match and priority.
    #[command(after_help = SYNTAX)]
    Add {
        /// The flows; none is added if one cannot be read.
        #[arg(required = true, value_name = "FLOW")]
        flows: Vec<String>,
    },
    /// Change the actions of flows.
    #[command(after_help = SYNTAX)]
    Mod {
        /// Which flows, and their new actions.
        flow: String,
        #[command(flatten)]
        strict: Strict,
    },
    /// Delete flows; without FLOW, all.
    #[command(after_help = SYNTAX)]
    Del {
        /// Which flows.
        #[arg(default_value = "", hide_default_value = true)]
        flow: String,
        #[command(flatten)]
        strict: Strict,
    },
    /// List flows; without FLOW, all.
    List {
        /// Which flows.
        #[arg(default_value = "", hide_default_value = true)]
        flow: String,
    },
}

const SYNTAX: &str = "Flows are written as for ovs-ofctl, with filter=NAME or filter=NAME:Class beside the other \
                      conditions:\n  okoctl flow add 'priority=100,tcp,filter=syn_flood,actions=drop'";

#[derive(Debug, Args)]
pub(crate) struct Strict {
    /// Only the flow with just this match and priority, instead of all flows that the match covers.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    match command {
        Command::Add { flows } => change(&flows, FlowModCommand::Add, "added", address),
        Command::Mod { flow, strict } => {
            let command = if strict.strict { FlowModCommand::ModifyStrict } else { FlowModCommand::Modify };
            change(&[flow], command, "changed", address)
        }
        Command::Del { flow, strict } => {
            let command = if strict.strict { FlowModCommand::DeleteStrict } else { FlowModCommand::Delete };
            change(&[flow], command, "deleted", address)
        }
        Command::List { flow } => {
            let mut client = Client::connect(address)?;
            let names = names(&mut client)?;
            let mut flows = client.flows(parse_flow_request(&flow, &names)?)?;
            flows.sort_by_key(|flow| (flow.table, std::cmp::Reverse(flow.priority)));
            let lines: Vec<String> = flows.iter().map(|flow| print_flow(flow, &names)).collect();
            let text = if lines.is_empty() { "no flows".to_owned() } else { lines.join("\n") };
            Ok(Output { text, json: flows.iter().map(|flow| one_json(flow, &names)).collect() })
        }
    }
}

fn change(
    texts: &[String],
    command: FlowModCommand,
    done: &str,
    address: &Address,
) -> Result<Output, Failure> {
    let mut client = Client::connect(address)?;
    let names = names(&mut client)?;
    let flows =
        texts.iter().map(|text| parse_flow_mod(text, command, &names)).collect::<Result<Vec<_>, _>>()?;
    client.change_flows(&flows).map_err(|(index, reason)| Failure::FlowRefused {
        flow: texts.get(index).cloned().unwrap_or_default(),
        done: index,
        reason: Box::new(reason),
    })?;
    // How many flows a change or deletion reached, OpenFlow does not say.
    let (text, json) = match command {
        FlowModCommand::Add => {
            (format!("{done} {}", count(flows.len(), "flow")), json!({ "added": flows.len() }))
        }
        _ => (String::new(), json!({})),
    };
    Ok(Output { text, json })
}

fn one_json(flow: &FlowStats, names: &Names) -> Value {
    json!({
        "table": flow.table.0,
        "priority": flow.priority,
        "match": print_match(&flow.matching, names),
        "actions": print_instructions(&flow.instructions, names),
        "cookie": flow.cookie,
        "packets": flow.packets,
        "bytes": flow.bytes,
        "duration_s": flow.duration.as_secs_f64(),
        "idle_timeout_s": flow.idle_timeout,
        "hard_timeout_s": flow.hard_timeout,
    })
}
