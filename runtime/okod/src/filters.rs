//! The loaded filters, by name and by id.
//!
//! Loading is split in two: proving and compiling an artifact ([`prepare`]) touches nothing of the switch and may run on
//! another thread; taking it up ([`Filters::insert`]) is quick and all or nothing. Replacing is split alike: [`prepare_replacement`] and
//! [`Filters::replace`].

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use oko_filter::{Carried, Instance, LoadError, LoadOptions};
use oko_openflow::FilterId;
use oko_openflow::oko::{Abi, ClassInfo, FilterInfo, OkoError, OkoErrorCode};

use crate::clock::Nanos;
use crate::snapshot::{FilterSet, FilterSlot};

/// A loaded filter.
#[derive(Debug)]
pub(crate) struct LoadedFilter {
    pub(crate) id: FilterId,
    pub(crate) name: String,
    /// Shared by all filters of one artifact.
    pub(crate) instance: Arc<Instance>,
    /// Which of the instance's filters it is.
    pub(crate) filter: oko_filter::FilterId,
    loaded: Nanos,
}

/// The loaded filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    by_name: BTreeMap<String, LoadedFilter>,
    last_id: u32,
}

/// An artifact, proven and compiled, and the names for its filters.
#[derive(Debug)]
pub(crate) struct Prepared {
    instance: Arc<Instance>,
    names: Vec<String>,
}

/// Verifies and compiles an artifact. `name` is the name for its filter, or empty for the filters' own names.
pub(crate) fn prepare(name: &str, abi: Abi, artifact: &[u8]) -> Result<Prepared, OkoError> {
    let instance = Instance::load(artifact, &options(abi)).map_err(|error| load_error(&error))?;
    let names: Vec<String> = match (name, instance.filters()) {
        ("", filters) => filters.iter().map(|filter| filter.name.clone()).collect(),
        (name, [_]) => vec![name.to_owned()],
        (name, filters) => {
            let text = format!(
                "the artifact has {} filters: it cannot be loaded under the one name `{name}`; leave the name out",
                filters.len()
            );
            return Err(OkoError::new(OkoErrorCode::BadRequest, text));
        }
    };
    Ok(Prepared { instance: Arc::new(instance), names })
}

/// A new version of an artifact, proven and compiled, that shares state with the old one.
#[derive(Debug)]
pub(crate) struct Replacement {
    old: Arc<Instance>,
    new: Arc<Instance>,
    carried: Carried,
}

/// Verifies and compiles a new version of an artifact.
pub(crate) fn prepare_replacement(
    old: Arc<Instance>,
    abi: Abi,
    artifact: &[u8],
) -> Result<Replacement, OkoError> {
    let (new, carried) = old.replace(artifact, &options(abi)).map_err(|error| load_error(&error))?;
    Ok(Replacement { old, new: Arc::new(new), carried })
}

fn options(abi: Abi) -> LoadOptions {
    let abi = match abi {
        Abi::Linux => oko_filter::Abi::Linux,
        Abi::Original => oko_filter::Abi::Original,
    };
    LoadOptions { abi, ..LoadOptions::default() }
}

fn load_error(error: &LoadError) -> OkoError {
    let code = match error {
        LoadError::BpfRefused { .. } | LoadError::IrRefused { .. } => OkoErrorCode::VerifierRefused,
        LoadError::State { .. } | LoadError::TooMuchState { .. } => OkoErrorCode::NoRoom,
        LoadError::Compile { .. } | LoadError::EngineUnavailable { .. } => OkoErrorCode::Internal,
        _ => OkoErrorCode::BadArtifact,
    };
    OkoError::new(code, error.report())
}

impl Filters {
    /// Takes up an artifact's filters under new ids, which are returned.
    pub(crate) fn insert(&mut self, prepared: Prepared, now: Nanos) -> Result<Vec<FilterId>, OkoError> {
        let Prepared { instance, names } = prepared;
        self.check_free(names.iter().map(String::as_str))?;
        let mut ids = Vec::new();
        for (info, name) in instance.filters().iter().zip(names) {
            self.last_id += 1;
            let id = FilterId(self.last_id);
            ids.push(id);
            let filter = LoadedFilter {
                id,
                name: name.clone(),
                instance: Arc::clone(&instance),
                filter: info.id,
                loaded: now,
            };
            self.by_name.insert(name, filter);
        }
        Ok(ids)
    }

    /// Lets a new version take the place of an old one, for all filters of the old artifact; `users` says how many flow entries name a filter. Filters
    /// of the same name keep their numbers and names; new ones get new numbers, and those that the new version has not are unloaded. Gives what was
    /// taken over.
    pub(crate) fn replace(
        &mut self,
        replacement: Replacement,
        users: impl Fn(FilterId) -> usize,
        now: Nanos,
    ) -> Result<Carried, OkoError> {
        let Replacement { old, new, mut carried } = replacement;
        let of_old = |filter: &&LoadedFilter| Arc::ptr_eq(&filter.instance, &old);
        if !self.by_name.values().any(|filter| of_old(&filter)) {
            let text = "the filter was replaced or unloaded by somebody else meanwhile; try again";
            return Err(OkoError::new(OkoErrorCode::NoSuchFilter, text));
        }
        // What each name stands for in the new version, looked at before anything changes.
        let mut turns = Vec::new();
        for filter in self.by_name.values().filter(of_old) {
            let info = &old.filters()[filter.filter.index()];
            let single = old.filters().len() == 1 && new.filters().len() == 1;
            let successor = new.filters().iter().find(|new| new.name == info.name || single);
            let users = users(filter.id);
            if users > 0 {
                check_successor(&filter.name, users, info, successor)?;
            }
            turns.push((filter.name.clone(), successor.map(|successor| successor.id)));
        }
        let added = new.filters().iter().filter(|info| !turns.iter().any(|(_, id)| *id == Some(info.id)));
        let added: Vec<_> = added.map(|info| (info.name.clone(), info.id)).collect();
        let goes = |name: &str| turns.iter().any(|(turn, id)| turn == name && id.is_none());
        self.check_free(added.iter().map(|(name, _)| name.as_str()).filter(|name| !goes(name)))?;

        // Params may have been set while the new version was compiled.
        (carried.params, carried.reset_params) = new.take_params(&old);
        for (name, id) in turns {
            match id {
                None => drop(self.by_name.remove(&name)),
                Some(id) => {
                    if let Some(filter) = self.by_name.get_mut(&name) {
                        (filter.instance, filter.filter, filter.loaded) = (Arc::clone(&new), id, now);
                    }
                }
            }
        }
        for (name, filter) in added {
            self.last_id += 1;
            let id = FilterId(self.last_id);
            let instance = Arc::clone(&new);
            self.by_name.insert(name.clone(), LoadedFilter { id, name, instance, filter, loaded: now });
        }
        Ok(carried)
    }

    /// Fails if a name is taken.
    pub(crate) fn check_free<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<(), OkoError> {
        match names.into_iter().find(|name| self.by_name.contains_key(*name)) {
            None => Ok(()),
            Some(name) => {
                let text = format!(
                    "a filter `{name}` is loaded already; unload it first, or load this one under another name"
                );
                Err(OkoError::new(OkoErrorCode::NameInUse, text))
            }
        }
    }

    /// The filter of a name.
    pub(crate) fn named(&self, name: &str) -> Result<&LoadedFilter, OkoError> {
        self.by_name.get(name).ok_or_else(|| {
            let loaded: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
            let loaded = if loaded.is_empty() { String::from("none") } else { loaded.join(", ") };
            OkoError::new(
                OkoErrorCode::NoSuchFilter,
                format!("no filter `{name}` is loaded; loaded are: {loaded}"),
            )
        })
    }

    /// The filter with an id.
    pub(crate) fn get(&self, id: FilterId) -> Option<&LoadedFilter> {
        self.by_name.values().find(|filter| filter.id == id)
    }

    /// Lets go of a filter. Its state goes with the last filter of its artifact.
    pub(crate) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// All filters, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LoadedFilter> {
        self.by_name.values()
    }

    /// The loaded artifacts, whose filters share their states and events, each once.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        let mut seen = HashSet::new();
        let first = self.iter().filter(|filter| seen.insert(Arc::as_ptr(&filter.instance)));
        first.map(|filter| Arc::clone(&filter.instance)).collect()
    }

    /// What workers need of them.
    pub(crate) fn set(&self) -> FilterSet {
        FilterSet::new(
            self.iter()
                .map(|f| FilterSlot { id: f.id, instance: Arc::clone(&f.instance), filter: f.filter })
                .collect(),
        )
    }
}

/// Fails if flow entries that name a filter would not mean the same with the new version.
fn check_successor(
    name: &str,
    users: usize,
    old: &oko_filter::FilterInfo,
    new: Option<&oko_filter::FilterInfo>,
) -> Result<(), OkoError> {
    let entries = if users == 1 { "flow entry names" } else { "flow entries name" };
    let text = match new {
        None => format!(
            "the new version has no filter `{}`, which {users} {entries} as `{name}`; delete them first",
            old.name
        ),
        Some(new) if new.classes.is_empty() != old.classes.is_empty() => format!(
            "filter `{name}` answers {} in the new version, and {users} {entries} it; delete them first",
            if new.classes.is_empty() { "true or false" } else { "classes" }
        ),
        // Entries name classes by number.
        Some(new) if !new.classes.starts_with(&old.classes) => format!(
            "the classes of filter `{name}` were {} and are {}, and {users} {entries} it; keep the old ones first in their order, or delete the entries",
            old.classes.join(", "),
            new.classes.join(", ")
        ),
        Some(_) => return Ok(()),
    };
    Err(OkoError::new(OkoErrorCode::FilterInUse, text))
}

impl LoadedFilter {
    /// How many answers it tells apart.
    pub(crate) fn class_count(&self) -> u32 {
        self.instance.filters()[self.filter.index()].class_count()
    }

    /// Its record in lists; `flows` is how many flow entries name it.
    pub(crate) fn describe(&self, flows: usize, now: Nanos) -> FilterInfo {
        let info = &self.instance.filters()[self.filter.index()];
        let stats = self.instance.stats(self.filter);
        let boolean = info.classes.is_empty();
        let names =
            if boolean { vec![String::from("false"), String::from("true")] } else { info.classes.clone() };
        let count = |number: usize| stats.classes.get(number).copied().unwrap_or(0);
        FilterInfo {
            id: self.id,
            name: self.name.clone(),
            boolean,
            classes: names
                .into_iter()
                .enumerate()
                .map(|(number, name)| ClassInfo { number: number as u32, packets: count(number), name })
                .collect(),
            packets: stats.runs,
            state_bytes: self.instance.report().state_bytes,
            age: now.0.saturating_sub(self.loaded.0),
            flows: u32::try_from(flows).unwrap_or(u32::MAX),
        }
    }
}
