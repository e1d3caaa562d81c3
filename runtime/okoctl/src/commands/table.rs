//! `okoctl table`.

use clap::Subcommand;
use oko_openflow::oko::Store;
use okoctl::{Address, Client, Place};

use super::entries;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the tables of a filter and how full they are.
    List {
        /// The filter.
        filter: String,
    },
    /// Print the entries of a filter's tables.
    Dump {
        /// The filter.
        filter: String,
        /// The table; without it, all.
        table: Option<String>,
    },
    /// Print the entry under a key.
    Get {
        /// The filter.
        filter: String,
        /// The table.
        table: String,
        /// The key; of several parts, with commas between.
        key: String,
    },
    /// Put an entry in, in the place of the one under its key.
    Insert {
        /// The filter.
        filter: String,
        /// The table.
        table: String,
        /// The key and the value, each with commas between its parts; a set has no value.
        #[arg(required = true, num_args = 1..=2, value_names = ["KEY", "VALUE"])]
        entry: Vec<String>,
    },
    /// Delete the entries under keys.
    Delete {
        /// The filter.
        filter: String,
        /// The table.
        table: String,
        /// The keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Delete all entries of a table.
    Clear {
        /// The filter.
        filter: String,
        /// The table.
        table: String,
    },
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    let mut client = Client::connect(address)?;
    let client = &mut client;
    match command {
        Command::List { filter } => entries::list(client, Store::Table, &filter),
        Command::Dump { filter, table } => entries::dump(client, Store::Table, &filter, table.as_deref()),
        Command::Get { filter, table, key } => entries::get(client, &place(&filter, &table), &key),
        Command::Insert { filter, table, entry } => {
            entries::set(client, &place(&filter, &table), &entry, None)
        }
        Command::Delete { filter, table, keys } => entries::delete(client, &place(&filter, &table), &keys),
        Command::Clear { filter, table } => entries::clear(client, &place(&filter, &table)),
    }
}

fn place<'a>(filter: &'a str, name: &'a str) -> Place<'a> {
    Place { store: Store::Table, filter, name }
}
