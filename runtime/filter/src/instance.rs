//! An artifact that was loaded: its filters over one set of params and states.

use std::sync::Arc;
use std::time::Instant;

use oko_artifact::{Cert, Schema};
use oko_ir::EventDecl;
use oko_ir::interp::TableKey;
use oko_ir::seed::seed_words;
use oko_jit::abi::Packet;

use crate::code::{Caller, Code};
use crate::error::{LoadError, ParamError, StateError};
use crate::info::{Event, FilterId, FilterInfo, FilterStats, ParamInfo, Report, Verdict};
use crate::options::{Engine, LoadOptions};
use crate::params::{Params, VariablePlace};
use crate::plan::Plan;
use crate::ready::Ready;
use crate::state::{Carried, Lost, Old, StateEntry, StateInfo, StateSnapshot, States};
use crate::stats::Counters;

/// An artifact that was loaded. See the crate's documentation.
#[derive(Debug)]
pub struct Instance {
    filters: Vec<FilterInfo>,
    schema: Option<Schema>,
    cert: Option<Cert>,
    engine: Engine,
    code: Code,
    params: Params,
    states: States,
    events: Vec<EventDecl>,
    stats: Vec<Arc<Counters>>,
    /// Each filter, if there is a quick way to it.
    ready: Box<[Ready]>,
    report: Report,
}

impl Instance {
    /// Loads an artifact: reads it, verifies what is in it, checks that its parts fit together, compiles its filters and makes its states.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; nothing of the artifact stays then.
    pub fn load(object: &[u8], options: &LoadOptions) -> Result<Instance, LoadError> {
        Instance::make(object, options, None)
    }

    /// Loads a new version of this instance's artifact. States whose name, key, value and capacity are the same go on with what they hold: their memory is
    /// shared with this instance, so that workers may go over to the new one at any moment, each between two bursts. Params keep
    /// the value that they were set to if it is in their range, filters that tell the same classes apart their counters, and the seed
    /// stays. Of a map or table of which nothing but the capacity has changed the entries are copied as they are now. The rest starts anew; the answer says what.
    ///
    /// This instance stays as it is and may run on; it and what only it uses goes when the last one lets go of it.
    ///
    /// # Errors
    ///
    /// As of [`load`](Self::load); nothing has changed then.
    pub fn replace(&self, object: &[u8], options: &LoadOptions) -> Result<(Instance, Carried), LoadError> {
        let new = Instance::make(object, options, Some(self))?;
        let mut carried = match (&self.code, &new.code) {
            (Code::IrInterp(_), _) | (_, Code::IrInterp(_)) => {
                let lost = |state: StateInfo| Lost {
                    name: state.name,
                    why: format!("engine `{}` keeps state of its own", Engine::IrInterp),
                };
                Carried { reset_states: self.states().into_iter().map(lost).collect(), ..Carried::default() }
            }
            _ => self.as_old(&new.events, new.engine).report(&new.states),
        };
        (carried.params, carried.reset_params) = new.take_params(self);
        Ok((new, carried))
    }

    /// Takes the values of params over that another instance has been set to, where they are in range; gives the names of those, and of those that were set and
    /// could not be taken over. [`replace`](Self::replace) does this; whoever sets params of the old version after that does it again when the
    /// new one takes over.
    pub fn take_params(&self, old: &Instance) -> (Vec<String>, Vec<Lost>) {
        let taken = self.params.take(&old.params);
        self.params.publish(&self.states);
        taken
    }

    fn as_old(&self, events: &[EventDecl], new_engine: Engine) -> Old<'_> {
        let same_events = self.events == events;
        Old::States { engine: self.engine, new_engine, states: &self.states, same_events }
    }

    fn make(object: &[u8], options: &LoadOptions, old: Option<&Instance>) -> Result<Instance, LoadError> {
        let plan = Plan::read(object, options.abi)?;
        let engine = plan.engine(options.engine)?;
        let mut report = Report { read: plan.read_time, verify: plan.verify_time, ..Report::default() };
        let params = Params::new(plan.params);
        let events = plan.ir.as_ref().map_or_else(Vec::new, |ir| ir.module().events.clone());
        let from = old.map_or(Old::None, |old| old.as_old(&events, engine));
        let states = States::new(&params, engine, &plan.states, options, &from)?;
        report.state_bytes = states.bytes();
        if let Some(VariablePlace { map, offset }) = plan.seed_words {
            for (number, word) in seed_words(states.seed()).into_iter().enumerate() {
                states.set_variable(VariablePlace { map, offset: offset + 8 * number }, word);
            }
        }
        let begin = Instant::now();
        let code = Code::compile(engine, &plan.filters, plan.ir, plan.programs, plan.returns, states.seed())?;
        report.compile = begin.elapsed();
        report.code_bytes = code.bytes();
        params.publish(&states);
        let stats = plan.filters.iter().map(|filter| {
            let counted = old.and_then(|old| old.counters_of(filter));
            counted.unwrap_or_else(|| Arc::new(Counters::new(filter.class_count())))
        });
        let stats: Vec<_> = stats.collect();
        let are_few = stats.iter().all(|counters| counters.are_few());
        let ready = match (code.entries(), states.only_context()) {
            (Some(entries), Some(context)) if are_few => {
                let ready = entries.zip(&stats).map(|(entry, counters)| {
                    // SAFETY: the instance keeps the code, and the states, whose contexts lie in memory of their own and were made for this code.
                    unsafe { Ready::new(entry, context, !states.are_none(), Arc::clone(counters)) }
                });
                ready.collect()
            }
            _ => Box::default(),
        };
        Ok(Instance {
            stats,
            ready,
            filters: plan.filters,
            schema: plan.schema,
            cert: plan.cert,
            engine,
            code,
            params,
            events,
            states,
            report,
        })
    }

    /// The counters of the filter of the same name, if it tells the same classes apart.
    fn counters_of(&self, new: &FilterInfo) -> Option<Arc<Counters>> {
        let same = |old: &&FilterInfo| old.name == new.name && old.classes == new.classes;
        self.filters.iter().find(same).map(|old| Arc::clone(&self.stats[old.id.index()]))
    }

    /// Its filters, in the artifact's order.
    pub fn filters(&self) -> &[FilterInfo] {
        &self.filters
    }

    /// The filter of this name.
    pub fn filter(&self, name: &str) -> Option<FilterId> {
        self.filters.iter().find(|filter| filter.name == name).map(|filter| filter.id)
    }

    /// What the artifact says about itself; none in objects that `okoc` did not make.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// What the compiler proved of it; for display, nothing here relies on it.
    pub fn cert(&self) -> Option<&Cert> {
        self.cert.as_ref()
    }

    /// What runs it.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What loading did and took.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Asks a filter about a packet. `now` is a monotonic instant in nanoseconds, not 0 and below 2^63.
    ///
    /// # Panics
    ///
    /// If the filter is another instance's and this one has none of that number.
    // Inlined, so that a packet need not be copied to be handed over.
    #[inline]
    pub fn run(&self, filter: FilterId, packet: Packet<'_>, now: u64) -> Verdict {
        let quickly = self.ready.get(filter.index()).and_then(|ready| ready.run(&packet, now));
        quickly.unwrap_or_else(|| self.run_slowly(filter, &packet, now))
    }

    #[inline(never)]
    fn run_slowly(&self, filter: FilterId, packet: &Packet<'_>, now: u64) -> Verdict {
        let mut verdict = [Verdict::default()];
        self.run_burst(filter, std::slice::from_ref(packet), now, &mut verdict);
        verdict[0]
    }

    /// Asks a filter about the packets of a burst, in their order.
    ///
    /// # Panics
    ///
    /// If there are not as many verdicts as packets, or the filter is another instance's and this one has none of that number.
    pub fn run_burst(&self, filter: FilterId, packets: &[Packet<'_>], now: u64, verdicts: &mut [Verdict]) {
        assert_eq!(packets.len(), verdicts.len(), "a verdict for each packet");
        let counters = &self.stats[filter.index()];
        // What a filter finds in a table stays until the burst ends.
        let pin = (!self.states.are_none()).then(oko_state::pin);
        let caller = match &pin {
            Some(pin) => Caller { worker: pin.worker(), alone: pin.is_alone() },
            None => Caller { worker: oko_state::worker(), alone: false },
        };
        let instance = (&self.params, &self.states);
        let faults = self.code.run(filter.index(), packets, now, instance, caller, verdicts);
        counters.count(caller.worker, verdicts, faults);
    }

    /// How often a filter ran and what it answered.
    ///
    /// # Panics
    ///
    /// If the filter is another instance's and this one has none of that number.
    pub fn stats(&self, filter: FilterId) -> FilterStats {
        self.stats[filter.index()].read()
    }

    /// Its params and what they are now.
    pub fn params(&self) -> Vec<ParamInfo> {
        self.params.infos()
    }

    /// What a param is now.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn param(&self, name: &str) -> Result<u64, ParamError> {
        self.params.get(name)
    }

    /// Sets a param; filters see it from their next packet on, or from the one that they are at.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the value is not in its range.
    pub fn set_param(&self, name: &str, value: u64) -> Result<(), ParamError> {
        self.params.set(name, value)?;
        self.params.publish(&self.states);
        Ok(())
    }

    /// Its states and how full they are, those that the compiler made for itself left out.
    pub fn states(&self) -> Vec<StateInfo> {
        match self.code.oracle() {
            Some(oracle) => oracle.infos(),
            None => self.states.infos(),
        }
    }

    /// The entries of a state that are live at `now`; the words of a sketch or Bloom filter that are not 0. What workers have for themselves is put
    /// together as declared.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn state_snapshot(&self, name: &str, now: u64) -> Result<StateSnapshot, StateError> {
        let Some(oracle) = self.code.oracle() else {
            return self.states.snapshot(name, now);
        };
        let schema = self.schema.as_ref();
        let schema = schema.and_then(|schema| schema.states.iter().find(|state| state.name == name));
        oracle.snapshot(name, schema, now)
    }

    /// The entry of a state under the bytes of a key, if it is live at `now`.
    ///
    /// # Errors
    ///
    /// There is no state of this name, or its keys have another size, or the engine is [`Engine::IrInterp`].
    pub fn state_read(&self, name: &str, raw_key: &[u8], now: u64) -> Result<Option<StateEntry>, StateError> {
        self.maps()?.read(name, raw_key, now)
    }

    /// Writes an entry of a state as if a filter had written it at `now`: the scalars of its key and of its value in the IR's order, and when
    /// it expires (`u64::MAX` for never). An entry that is there is overwritten as a whole. Where each worker has a copy, it is the calling thread's.
    ///
    /// # Errors
    ///
    /// There is no state of this name, key or value do not fit, there is no room, or the engine is [`Engine::IrInterp`].
    pub fn state_write(
        &self,
        name: &str,
        key: &[u64],
        fields: &[u64],
        expires_at: u64,
        now: u64,
    ) -> Result<(), StateError> {
        self.maps()?.write(name, key, fields, expires_at, now)
    }

    /// Writes an entry of a map of a foreign program: the bytes of key and value. Nobody but the program knows what they mean.
    ///
    /// # Errors
    ///
    /// There is no map of this name, it is a state of an artifact of `okoc` ([`state_write`](Self::state_write) is for those), key or value have another
    /// size, there is no room, or the engine is [`Engine::IrInterp`].
    pub fn state_write_raw(
        &self,
        name: &str,
        raw_key: &[u8],
        raw_value: &[u8],
        now: u64,
    ) -> Result<(), StateError> {
        self.maps()?.write_raw(name, raw_key, raw_value, now)
    }

    /// Deletes the entry of a state under the bytes of a key; says whether there was one.
    ///
    /// # Errors
    ///
    /// There is no state of this name, or its keys have another size, or the engine is [`Engine::IrInterp`].
    pub fn state_delete(&self, name: &str, raw_key: &[u8]) -> Result<bool, StateError> {
        self.maps()?.delete(name, raw_key)
    }

    /// Deletes all entries of a state or table.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the engine is [`Engine::IrInterp`].
    pub fn state_clear(&self, name: &str) -> Result<(), StateError> {
        self.maps()?.clear(name)
    }

    /// Writes an entry of a table: the parts of its key with how many of its bits count (all, in a table without prefixes), and the scalars of its value.
    /// Workers see it from their next burst on, and the old value or the new one meanwhile.
    ///
    /// # Errors
    ///
    /// There is no table of this name, key or value do not fit, or it is full.
    pub fn table_put(&self, name: &str, key: &TableKey, fields: &[u64]) -> Result<(), StateError> {
        match self.code.oracle() {
            Some(oracle) => oracle.put(name, key, fields),
            None => self.states.put(name, key, fields),
        }
    }

    /// Removes an entry of a table; says whether there was one.
    ///
    /// # Errors
    ///
    /// There is no table of this name, or the key does not fit.
    pub fn table_remove(&self, name: &str, key: &TableKey) -> Result<bool, StateError> {
        match self.code.oracle() {
            Some(oracle) => oracle.remove(name, key),
            None => self.states.remove(name, key),
        }
    }

    /// Takes up to `limit` events that filters have emitted, oldest first.
    pub fn take_events(&self, limit: usize) -> Vec<Event> {
        let records = match self.code.oracle() {
            Some(oracle) => oracle.take_events(limit),
            None => self.states.events().drain(limit).iter().filter_map(|record| words(record)).collect(),
        };
        records.into_iter().filter_map(|record| self.event(&record)).collect()
    }

    /// How many events found no room.
    pub fn events_dropped(&self) -> u64 {
        match self.code.oracle() {
            Some(oracle) => oracle.events_dropped(),
            None => self.states.events().dropped(),
        }
    }

    /// How many events found no room since this was asked last, of this version or of one before it whose events were taken over.
    pub fn take_dropped(&self) -> u64 {
        match self.code.oracle() {
            Some(oracle) => oracle.take_dropped(),
            None => self.states.events().take_dropped(),
        }
    }

    /// An event from its record: number, time, values.
    fn event(&self, record: &[u64]) -> Option<Event> {
        let (&[number, time], values) = record.split_first_chunk()?;
        let decl = self.events.get(usize::try_from(number).ok()?)?;
        let values = values.iter().zip(&decl.fields).map(|(value, field)| value & field.width.max());
        Some(Event { name: decl.name.clone(), time, values: values.collect() })
    }

    /// Frees dead entries in a part of each state, of about `budget` entries; gives how many. Nobody has to do this, but who does it now and then, from any thread, spares
    /// workers the search for room.
    pub fn sweep(&self, now: u64, budget: u32) -> u64 {
        self.states.sweep(now, budget)
    }

    /// The states, where they are maps.
    pub(crate) fn maps(&self) -> Result<&States, StateError> {
        match self.engine {
            Engine::IrInterp => Err(StateError::Engine { engine: self.engine }),
            _ => Ok(&self.states),
        }
    }
}

/// The words of a record of the ring.
fn words(record: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = record.as_chunks();
    rest.is_empty().then(|| words.iter().map(|word| u64::from_ne_bytes(*word)).collect())
}
