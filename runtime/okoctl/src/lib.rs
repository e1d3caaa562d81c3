//! A client of a running Oko switch.
//!
//! [`Client`] speaks OpenFlow 1.3 and the filter operations over one connection and blocks until the switch has
//! answered. The command `okoctl` is made of it, and other programs may use it likewise:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use okoctl::{Address, Client};
//!
//! let mut client = Client::connect(&Address::default())?;
//! for filter in client.filters()? {
//!     println!("{} answered {} packets", filter.name, filter.packets);
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod client;
mod error;
mod explain;

pub use address::{Address, AddressError};
pub use client::{Client, Entries, Events, Place};
pub use error::ClientError;
