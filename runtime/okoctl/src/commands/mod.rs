//! The command line: what can be asked, one file for each noun.

mod entries;
mod events;
mod filter;
mod flow;
mod param;
mod port;
mod state;
mod table;

use clap::{Parser, Subcommand};
use oko_artifact::Schema;
use oko_flow_text::Names;
use okoctl::{Address, Client};

use crate::failure::Failure;
use crate::output::Output;

/// Operates a running Oko switch.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Where the switch listens: a socket's path, or tcp:HOST:PORT [default: okod.sock in $XDG_RUNTIME_DIR or /run]
    #[arg(short, long, global = true, value_name = "ADDRESS", env = "OKO_SWITCH")]
    switch: Option<Address>,
    /// Print JSON, errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load, list and unload filters.
    #[command(subcommand)]
    Filter(filter::Command),
    /// Add, change, delete and list flows.
    #[command(subcommand)]
    Flow(flow::Command),
    /// Read and change what filters remember.
    #[command(subcommand)]
    State(state::Command),
    /// Read and change the tables of filters.
    #[command(subcommand)]
    Table(table::Command),
    /// Print what filters tell, as it comes.
    Events(events::Command),
    /// Read and set the params of filters.
    #[command(subcommand)]
    Param(param::Command),
    /// List ports, bring them up and down.
    #[command(subcommand)]
    Port(port::Command),
}

/// Does what was asked.
pub(crate) fn run(arguments: Arguments) -> Result<Output, Failure> {
    let address = arguments.switch.unwrap_or_default();
    match arguments.command {
        Command::Filter(command) => filter::run(command, &address),
        Command::Flow(command) => flow::run(command, &address),
        Command::State(command) => state::run(command, &address),
        Command::Table(command) => table::run(command, &address),
        Command::Events(command) => events::run(&command, &address, arguments.json),
        Command::Param(command) => param::run(command, &address),
        Command::Port(command) => port::run(command, &address),
    }
}

/// The names of a switch's ports and filters. A switch that is no Oko switch has no filters.
fn names(client: &mut Client) -> Result<Names, Failure> {
    let ports = client.ports()?.into_iter().map(|port| (port.number, port.name)).collect();
    let filters = match client.filters() {
        Ok(filters) => filters,
        Err(okoctl::ClientError::OpenFlow { .. }) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    Ok(Names { ports, filters })
}

/// The schema of a filter.
fn schema(client: &mut Client, filter: &str) -> Result<Schema, Failure> {
    let json = client.schema(filter)?;
    serde_json::from_slice(&json).map_err(|reason| Failure::Schema { filter: filter.to_owned(), reason })
}

/// `1 flow`, `2 flows`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
