//! What an operator may ask of an instance and change in it while it runs, by the scalars of keys. See [`Batches`] for what a key is.

use crate::error::StateError;
use crate::instance::Instance;
use crate::state::{Batches, NewEntry, Owner, StateEntry, Written};

impl Instance {
    /// Who writes the entries of a state or table.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the engine is [`Engine::IrInterp`](crate::Engine::IrInterp), as everywhere here.
    pub fn owner(&self, name: &str) -> Result<Owner, StateError> {
        self.maps()?.owner(name)
    }

    /// The next entries of a state or table that are live at `now`, about `limit` of them; none when there are no more. Each is as it was at one
    /// moment; those that come or go between two calls may be missed.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn read_batch(
        &self,
        name: &str,
        batches: &mut Batches,
        limit: usize,
        now: u64,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.maps()?.batch(name, batches, limit, now)
    }

    /// The entries under some keys that are live at `now`.
    ///
    /// # Errors
    ///
    /// There is no state or table of this name, or a key does not fit.
    pub fn read_entries(
        &self,
        name: &str,
        keys: &[Vec<u64>],
        now: u64,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.maps()?.get(name, keys, now)
    }

    /// Writes entries as if filters had written them at `now`, in the place of those under their keys.
    ///
    /// # Errors
    ///
    /// There is no state or table of this name, a key or value does not fit, or each worker has entries of its own. Nothing was written then. That
    /// there is no room for some is no error, but told.
    pub fn write_entries(&self, name: &str, entries: &[NewEntry], now: u64) -> Result<Written, StateError> {
        self.maps()?.set(name, entries, now)
    }

    /// Deletes the entries under some keys; says how many there were. Those of arrays stay.
    ///
    /// # Errors
    ///
    /// There is no state or table of this name, or a key does not fit. Nothing was deleted then.
    pub fn delete_entries(&self, name: &str, keys: &[Vec<u64>]) -> Result<u32, StateError> {
        self.maps()?.unset(name, keys)
    }
}
