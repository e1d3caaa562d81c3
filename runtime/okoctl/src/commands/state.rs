//! `okoctl state`.

use clap::Subcommand;
use oko_openflow::oko::Store;
use okoctl::{Address, Client, Place};

use super::entries;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the states of a filter and how full they are.
    List {
        /// The filter.
        filter: String,
    },
    /// Print the live entries of a filter's states, the most recently written first.
    Dump {
        /// The filter.
        filter: String,
        /// The state; without it, all.
        state: Option<String>,
    },
    /// Print the entry under a key.
    Get {
        /// The filter.
        filter: String,
        /// The state.
        state: String,
        /// The key; of several parts, with commas between.
        key: String,
    },
    /// Write an entry, as if the filter had written it now.
    Set {
        /// The filter.
        filter: String,
        /// The state.
        state: String,
        /// The key and the value, each with commas between its parts; a set has no value, a single state no key.
        #[arg(required = true, num_args = 1..=2, value_names = ["KEY", "VALUE"])]
        entry: Vec<String>,
        /// When it expires, such as 10s, or never [default: as the state declares]
        #[arg(long, value_name = "DURATION")]
        expire: Option<String>,
    },
    /// Delete the entries under keys.
    Delete {
        /// The filter.
        filter: String,
        /// The state.
        state: String,
        /// The keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Delete all entries of a state.
    Clear {
        /// The filter.
        filter: String,
        /// The state.
        state: String,
    },
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    let mut client = Client::connect(address)?;
    let client = &mut client;
    match command {
        Command::List { filter } => entries::list(client, Store::State, &filter),
        Command::Dump { filter, state } => entries::dump(client, Store::State, &filter, state.as_deref()),
        Command::Get { filter, state, key } => entries::get(client, &place(&filter, &state), &key),
        Command::Set { filter, state, entry, expire } => {
            entries::set(client, &place(&filter, &state), &entry, expire.as_deref())
        }
        Command::Delete { filter, state, keys } => entries::delete(client, &place(&filter, &state), &keys),
        Command::Clear { filter, state } => entries::clear(client, &place(&filter, &state)),
    }
}

fn place<'a>(filter: &'a str, name: &'a str) -> Place<'a> {
    Place { store: Store::State, filter, name }
}
