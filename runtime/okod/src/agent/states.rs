//! What operators do with the states and tables of filters: list, read, write, delete, clear.
//!
//! Workers wait for none of it. An entry is read and written as a whole; what a request changes is checked as a whole before anything
//! changes.

use oko_filter::{Batches, Instance, NewEntry, Owner, StateError};
use oko_openflow::oko::{OkoError, OkoErrorCode, Reply, Request, StateEntry, StateInfo, Store};
use std::sync::Arc;

use super::control::{Answer, Control};
use super::reply::Replies;

/// Entries that are copied at once.
const BATCH: usize = 256;

impl Control {
    /// Serves an operation on a state or table.
    pub(super) fn about_entries(&self, request: Request) -> Result<Answer, OkoError> {
        match request {
            Request::StateList { filter } => self.list_states(&filter),
            Request::Read { store, filter, name } => {
                let instance = self.kept(store, &filter, &name)?;
                Ok(self.read_all(store, instance, name))
            }
            Request::Get { store, filter, name, keys } => {
                let instance = self.kept(store, &filter, &name)?;
                let now = self.filter_now();
                let found = instance.read_entries(&name, &keys, now).map_err(|error| wrong(&error))?;
                let entries = found.into_iter().map(|entry| told(entry, now)).collect();
                Ok(Answer::oko(&Reply::Entries { operation: store.get(), now, entries }))
            }
            Request::Write { store, filter, name, entries } => {
                let instance = self.kept(store, &filter, &name)?;
                let now = self.filter_now();
                let new: Vec<NewEntry> = entries
                    .into_iter()
                    .map(|StateEntry { expires_in, key, value, .. }| {
                        let expires_at = expires_in.map_or(u64::MAX, |left| now.saturating_add(left));
                        NewEntry { key, value, expires_at }
                    })
                    .collect();
                let oko_filter::Written { written, refused } =
                    instance.write_entries(&name, &new, now).map_err(|error| wrong(&error))?;
                Ok(Answer::oko(&Reply::Written { store, written, refused }))
            }
            Request::Delete { store, filter, name, keys } => {
                let instance = self.kept(store, &filter, &name)?;
                let deleted = instance.delete_entries(&name, &keys).map_err(|error| wrong(&error))?;
                Ok(Answer::oko(&Reply::Deleted { store, deleted }))
            }
            Request::Clear { store, filter, name } => {
                let instance = self.kept(store, &filter, &name)?;
                instance.state_clear(&name).map_err(|error| wrong(&error))?;
                tracing::info!(filter, name, "{} cleared", store.noun());
                Ok(Answer::oko(&Reply::Done { operation: store.clear() }))
            }
            other => {
                let text = format!("{} is not about entries", other.operation());
                Err(OkoError::new(OkoErrorCode::Internal, text))
            }
        }
    }

    /// The time as filters see it.
    pub(super) fn filter_now(&self) -> u64 {
        self.shared.recorded_now().unwrap_or(self.now()).0
    }

    fn list_states(&self, filter: &str) -> Result<Answer, OkoError> {
        let instance = &self.filters.named(filter)?.instance;
        let all = instance.states().into_iter().map(|info| {
            let store = match instance.owner(&info.name) {
                Ok(Owner::ControlPlane) => Store::Table,
                Ok(Owner::Filters) | Err(_) => Store::State,
            };
            StateInfo {
                store,
                name: info.name,
                capacity: info.capacity,
                entries: info.len,
                refused: info.refused,
                evicted: info.evicted,
                bytes: info.bytes,
            }
        });
        Ok(Answer::oko(&Reply::States(all.collect())))
    }

    /// The instance that has a state or table of a name.
    fn kept(&self, store: Store, filter: &str, name: &str) -> Result<Arc<Instance>, OkoError> {
        let instance = &self.filters.named(filter)?.instance;
        let owner = instance.owner(name).map_err(|error| wrong(&error))?;
        let text = match (store, owner) {
            (Store::State, Owner::Filters) | (Store::Table, Owner::ControlPlane) => {
                return Ok(Arc::clone(instance));
            }
            (Store::State, Owner::ControlPlane) => {
                format!("`{name}` is a table, which filters only read; use the operations on tables")
            }
            (Store::Table, Owner::Filters) => {
                format!("`{name}` is a state, which filters write; use the operations on states")
            }
        };
        Err(OkoError::new(OkoErrorCode::NoSuchState, text))
    }

    /// Entries are copied as the peer takes them: of a large state only some are in memory twice.
    fn read_all(&self, store: Store, instance: Arc<Instance>, name: String) -> Answer {
        let now = self.filter_now();
        let mut batches = Batches::default();
        let all = std::iter::from_fn(move || {
            // The name was looked up before, and an instance keeps its states.
            let batch = instance.read_batch(&name, &mut batches, BATCH, now).unwrap_or_default();
            (!batch.is_empty()).then_some(batch)
        });
        let entries = all.flatten().map(move |entry| told(entry, now));
        Answer::Replies(Replies::entries(store.read(), now, entries))
    }
}

fn told(entry: oko_filter::StateEntry, now: u64) -> StateEntry {
    // Tables do not know when their entries were written.
    let age = if entry.written_at == 0 { 0 } else { now.saturating_sub(entry.written_at) };
    StateEntry {
        age,
        expires_in: (entry.expires_at != u64::MAX).then(|| entry.expires_at.saturating_sub(now)),
        key: entry.key,
        value: entry.fields,
    }
}

fn wrong(error: &StateError) -> OkoError {
    let code = match error {
        StateError::Unknown { .. } | StateError::NoTable { .. } => OkoErrorCode::NoSuchState,
        StateError::KeySize { .. }
        | StateError::ValueSize { .. }
        | StateError::Entry { .. }
        | StateError::NoEntry { .. } => OkoErrorCode::BadValue,
        StateError::Undeclared { .. }
        | StateError::Declared { .. }
        | StateError::PerCore { .. }
        | StateError::Engine { .. } => OkoErrorCode::Unsupported,
    };
    OkoError::new(code, error.to_string())
}
