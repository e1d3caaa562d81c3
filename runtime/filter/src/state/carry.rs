//! What a new version of an artifact takes over of an old one: states whose name and layout fit.
//!
//! Memory is shared, not copied: while workers still run the old version and others the new one, both see every update. Only of a state whose
//! capacity alone has changed the entries are copied, as they are when the new version is made; the youngest, if not all find room.

use std::fmt;
use std::sync::Arc;

use oko_artifact::LOCKS_MAP;
use oko_state::{EntryCopy, Header, Kind, Map, Shape, Update};

use super::bound::{Row, StatePlan, States};
use super::scalars::times;
use crate::options::Engine;

/// What a new version took over of the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// States and tables that go on with what they hold.
    pub states: Vec<String>,
    /// States and tables whose capacity has changed and whose entries were copied; as many as there was room for.
    pub copied_states: Vec<Lost>,
    /// States that start empty, because the old version has none of their name.
    pub new_states: Vec<String>,
    /// States that start empty although the old version has one of their name.
    pub reset_states: Vec<Lost>,
    /// States of the old version that the new one has none of, and that are gone.
    pub gone_states: Vec<String>,
    /// Params that keep the value they were set to.
    pub params: Vec<String>,
    /// Params that were set and are at their default again.
    pub reset_params: Vec<Lost>,
}

/// Something that was not taken over, or not as it was, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The state or param.
    pub name: String,
    /// Why, such as `its capacity was 1024 and is 4096`.
    pub why: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// The old version, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Old<'a> {
    /// There is none.
    None,
    /// There is one.
    States {
        /// What ran it.
        engine: Engine,
        /// What runs the new one.
        new_engine: Engine,
        /// Its states.
        states: &'a States,
        /// Whether the new version emits the same events.
        same_events: bool,
    },
}

impl Old<'_> {
    fn states(&self) -> Option<&States> {
        match self {
            Old::None => None,
            Old::States { states, .. } => Some(states),
        }
    }

    /// The old version's state of a name.
    fn row(&self, name: &str) -> Option<&Row> {
        self.states()?.rows.iter().find(|row| row.plan.name == name)
    }

    /// The map for a state of the new version.
    pub(super) fn map(&self, plan: &StatePlan) -> Option<Arc<Map>> {
        let row = self.row(&plan.name)?;
        // Variables are the new version's own; the locks belong to the entries that they protect.
        let fits = plan.variables.is_none() && (plan.is_state() || plan.name == LOCKS_MAP);
        (fits && self.difference(row, plan).is_none()).then(|| Arc::clone(&row.map))
    }

    /// Copies the entries of the old version's state into a new map, if they differ in capacity alone; gives how many, and of how many.
    pub(super) fn copy_into(&self, plan: &StatePlan, map: &Map) -> Option<(usize, usize)> {
        let row = self.row(&plan.name)?;
        let was = row.plan.shape.capacity;
        let resized = StatePlan { shape: Shape { capacity: was, ..plan.shape }, ..plan.clone() };
        let keyed = matches!(plan.shape.kind, Kind::Hash(_) | Kind::Exact | Kind::Prefix);
        let fits = keyed && !plan.per_core && plan.variables.is_none() && plan.is_state();
        if !fits || was == plan.shape.capacity || self.difference(row, &resized).is_some() {
            return None;
        }
        let mut entries = row.map.snapshot();
        if plan.shape.header == Header::Oko {
            // What holds nothing any more is not worth a place.
            entries.retain(|entry| times(&entry.value).0 != 0);
            entries.sort_by_key(|entry| std::cmp::Reverse(times(&entry.value).1));
        }
        let all = entries.len();
        entries.truncate(plan.shape.capacity as usize);
        let room = |entry: &EntryCopy| map.update(&entry.key, &entry.value, Update::Any, 0).is_ok();
        Some((entries.iter().filter(|entry| room(entry)).count(), all))
    }

    /// The events that were emitted and not taken yet.
    pub(super) fn events(&self) -> Option<Arc<Map>> {
        match self {
            Old::States { states, same_events: true, .. } => Some(Arc::clone(&states.events)),
            _ => None,
        }
    }

    /// The random number, on which what sketches hold depends.
    pub(super) fn seed(&self) -> Option<u64> {
        self.states().map(|states| states.seed)
    }

    /// Why a state of the old version does not fit the new one's of its name.
    fn difference(&self, old: &Row, new: &StatePlan) -> Option<String> {
        let changed = |what: &str, was: &dyn fmt::Display, is: &dyn fmt::Display| {
            Some(format!("its {what} was {was} and is {is}"))
        };
        let (a, b) = (&old.plan.shape, &new.shape);
        if let Old::States { engine, new_engine, .. } = self
            && engine.is_bpf() != new_engine.is_bpf()
        {
            // They lock entries in different ways.
            return Some(format!("the engine was {engine} and is {new_engine}"));
        }
        if a.capacity != b.capacity {
            return changed("capacity", &a.capacity, &b.capacity);
        }
        if a.kind != b.kind {
            return Some(format!("its kind was {:?} and is {:?}", a.kind, b.kind));
        }
        if old.plan.per_core != new.per_core {
            return Some("it was shared by the cores and is not, or the other way round".to_owned());
        }
        if let (Some((_, a)), Some((_, b))) = (&old.plan.decl, &new.decl)
            && (a.kind != b.kind || a.key != b.key || a.fields != b.fields || a.per_core != b.per_core)
        {
            return Some(
                if a.key != b.key { "its key has other parts" } else { "its value has other parts" }
                    .to_owned(),
            );
        }
        if let (Some(a), Some(b)) = (&old.plan.schema, &new.schema)
            && (&a.key, &a.value, &a.container) != (&b.key, &b.value, &b.container)
        {
            return Some("its key or value has other types".to_owned());
        }
        (a != b).then(|| "its layout has changed".to_owned())
    }

    /// What of the states was taken over.
    pub(crate) fn report(&self, new: &States) -> Carried {
        let mut carried = Carried::default();
        let Some(old) = self.states() else { return carried };
        for row in new.rows.iter().filter(|row| !row.plan.hidden) {
            let name = row.plan.name.clone();
            match self.row(&name) {
                None => carried.new_states.push(name),
                Some(old) if Arc::ptr_eq(&old.map, &row.map) => carried.states.push(name),
                Some(old) if let Some((copied, all)) = row.copied => {
                    let (was, is) = (old.plan.shape.capacity, row.plan.shape.capacity);
                    let why =
                        format!("its capacity was {was} and is {is}; {copied} of {all} entries were copied");
                    carried.copied_states.push(Lost { name, why });
                }
                Some(old) => {
                    let why = self.difference(old, &row.plan);
                    let why = why.unwrap_or_else(|| "it is no state any more".to_owned());
                    carried.reset_states.push(Lost { name, why });
                }
            }
        }
        let gone = old
            .rows
            .iter()
            .filter(|row| !row.plan.hidden && !new.rows.iter().any(|new| new.plan.name == row.plan.name));
        carried.gone_states = gone.map(|row| row.plan.name.clone()).collect();
        carried
    }
}
