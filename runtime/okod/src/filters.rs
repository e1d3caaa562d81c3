//! The loaded filters, by name and by id.
//!
//! Loading is split in two: proving and compiling an artifact ([`prepare`]) touches nothing of the switch and may run on
//! another thread; taking it up ([`Filters::insert`]) is quick and all or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use oko_filter::{Instance, LoadError, LoadOptions};
use oko_openflow::FilterId;
use oko_openflow::oko::{ClassInfo, FilterInfo, OkoError, OkoErrorCode};

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
pub(crate) fn prepare(name: &str, artifact: &[u8]) -> Result<Prepared, OkoError> {
    let instance = Instance::load(artifact, &LoadOptions::default()).map_err(|error| load_error(&error))?;
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

    /// What workers need of them.
    pub(crate) fn set(&self) -> FilterSet {
        FilterSet::new(
            self.iter()
                .map(|f| FilterSlot { id: f.id, instance: Arc::clone(&f.instance), filter: f.filter })
                .collect(),
        )
    }
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
