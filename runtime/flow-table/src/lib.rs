//! OpenFlow flow tables: what flow-mods do to them, and how a packet finds its entry.
//!
//! [`FlowTables`] belongs to the control plane: it takes flow-mods, expires entries and answers statistics requests. Workers
//! look up in a [`Snapshot`] of it, which never changes; taking one costs little, and a change after it
//! copies only what it touches. Counters are shared between entry and snapshots, so none are lost when an entry changes.
//!
//! # Which entry a packet gets
//!
//! Of the entries whose fields match, the one of the highest priority whose filter condition holds (OpenFlow 1.3.5, section 5.3,
//! with the filter as one more condition). Conditions are asked in order of priority, and only of entries whose fields match; one
//! that does not hold makes the lookup fall through to the next entry. The specification leaves the order of
//! overlapping entries of one priority open; here entries with a filter come first, then older ones before younger ones.
//!
//! # Groups and meters
//!
//! [`Groups`] and [`Meters`] are kept in the same way: a modification puts a new group in the place of the old one, and workers have
//! what was published.
//!
//! # The classifier
//!
//! Tuple space search with merged tuples: [`Classifier`]. Its hash tables are shared between versions, so that a
//! flow-mod costs the same whether a table has ten entries or a million, and lookups go on in the version that they have.

pub mod action_set;
mod classifier;
mod cow;
mod entries;
mod entry;
mod entry_heap;
mod groups;
mod liveness;
mod log;
mod matcher;
mod meters;
mod numbers;
mod selection;
mod subtable;
mod table;
mod tables;
mod users;
mod views;

pub use classifier::{Band, Classifier};
pub use entry::{Counters, FlowEntry};
pub use groups::{
    Given, Group, GroupBucket, GroupModError, Groups, MAX_BUCKETS, MAX_BUCKETS_IN_ALL, MAX_GROUPS,
};
pub use liveness::Live;
pub use log::Change;
pub use matcher::{Matcher, place};
pub use meters::{MAX_BANDS, MAX_METERS, Meter, MeterBand, MeterModError, Meters, Verdict, remark};
pub use selection::Walk;
pub use table::TableCounters;
pub use tables::{Changes, FlowModError, FlowTables, Limits, Snapshot, Written};
