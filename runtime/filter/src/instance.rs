//! An artifact that was loaded: its filters over one set of params and states.

use std::fmt;
use std::time::{Duration, Instant};

use oko_artifact::{Cert, Schema, StateSchema};
use oko_jit::abi::Packet;

use crate::code::{Code, Oracle};
use crate::error::{LoadError, ParamError, StateError};
use crate::params::Params;
use crate::plan::Plan;
use crate::state::{StateEntry, StateInfo, StateSnapshot, States, from_dump, known};
use crate::stats::Counters;

/// What runs the filters. All give the same verdicts.
///
/// On what happens between several workers they differ in one point: the BPF of artifacts locks entries of `evict_oldest` states by a map
/// of locks of its own (Linux wants it so), of which evictions and snapshots know nothing. With a BPF engine, a snapshot may show such
/// an entry in the middle of an update, and an update may go to an entry that was given to another key a moment before. The engines of the
/// IR do neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Native code from the IR. The default where there is IR.
    Native,
    /// Native code from the verified BPF. The default where there is no IR.
    BpfJit,
    /// The checking interpreter of BPF.
    BpfInterp,
    /// The checking interpreter of the IR.
    IrInterp,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 4] = [Engine::Native, Engine::BpfJit, Engine::BpfInterp, Engine::IrInterp];

    /// Its name: `native`, `bpf-jit`, `bpf-interp`, `ir-interp`.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Native => "native",
            Engine::BpfJit => "bpf-jit",
            Engine::BpfInterp => "bpf-interp",
            Engine::IrInterp => "ir-interp",
        }
    }

    /// The engine of this name.
    pub fn from_name(name: &str) -> Option<Engine> {
        Engine::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to load an artifact.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// The engine; if `None`, the fastest that the artifact has the parts for.
    pub engine: Option<Engine>,
    /// The most memory that the states may take together, in bytes.
    pub max_state_bytes: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { engine: None, max_state_bytes: 2 << 30 }
    }
}

/// What a filter answers about a packet: its class. Of a `bool` filter, 1 is a match and 0 none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Verdict(pub u32);

impl Verdict {
    /// Whether a `bool` filter matches; of others, whether the class is not the first.
    pub fn is_match(self) -> bool {
        self.0 != 0
    }

    /// The class.
    pub fn class(self) -> u32 {
        self.0
    }
}

/// A filter of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(pub(crate) u32);

impl FilterId {
    /// Its place among the filters of the artifact, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A filter and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterInfo {
    /// How to call it.
    pub id: FilterId,
    /// Its name.
    pub name: String,
    /// The names of its classes by number; empty for `bool`.
    pub classes: Vec<String>,
    /// Its documentation comment.
    pub doc: String,
}

impl FilterInfo {
    /// How many classes it tells apart: 2 for `bool`.
    pub fn class_count(&self) -> u32 {
        if self.classes.is_empty() { 2 } else { self.classes.len() as u32 }
    }
}

/// A param and what it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamInfo {
    /// Its name.
    pub name: String,
    /// What it is now.
    pub value: u64,
    /// The least that it may be.
    pub min: u64,
    /// The greatest that it may be.
    pub max: u64,
    /// What it was at load.
    pub default: u64,
}

/// How often a filter ran and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FilterStats {
    /// Packets that it was asked about.
    pub runs: u64,
    /// How many of these got each class.
    pub classes: Vec<u64>,
    /// How often an interpreter stopped at a step that the verifier should have refused: always 0 unless there is a defect. Such a
    /// packet gets class 0.
    pub faults: u64,
}

/// What loading did and took.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Reading the object and checking that its parts fit together.
    pub read: Duration,
    /// Verifying BPF and IR.
    pub verify: Duration,
    /// Compiling.
    pub compile: Duration,
    /// Bytes of machine code.
    pub code_bytes: usize,
    /// Bytes that the states take.
    pub state_bytes: u64,
}

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
    stats: Vec<Counters>,
    report: Report,
}

impl Instance {
    /// Loads an artifact: reads it, verifies what is in it, checks that its parts fit together, compiles its filters and makes its states.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; nothing of the artifact stays then.
    pub fn load(object: &[u8], options: &LoadOptions) -> Result<Instance, LoadError> {
        let plan = Plan::read(object)?;
        let engine = plan.engine(options.engine)?;
        let mut report = Report { read: plan.read_time, verify: plan.verify_time, ..Report::default() };
        let params = Params::new(plan.params);
        let states = States::new(engine, &plan.states, options.max_state_bytes)?;
        report.state_bytes = states.bytes();
        let begin = Instant::now();
        let code = Code::compile(engine, &plan.filters, plan.ir, plan.programs, plan.returns)?;
        report.compile = begin.elapsed();
        report.code_bytes = code.bytes();
        params.publish(&states);
        let stats = plan.filters.iter().map(|filter| Counters::new(filter.class_count())).collect();
        Ok(Instance {
            filters: plan.filters,
            schema: plan.schema,
            cert: plan.cert,
            engine,
            code,
            params,
            states,
            stats,
            report,
        })
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

    /// Asks a filter about a packet. `now` is a monotonic instant in nanoseconds, not 0.
    ///
    /// # Panics
    ///
    /// If the filter is another instance's and this one has none of that number.
    #[inline]
    pub fn run(&self, filter: FilterId, packet: Packet<'_>, now: u64) -> Verdict {
        let mut verdict = [Verdict::default()];
        self.run_burst(filter, &[packet], now, &mut verdict);
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
        let faults = self.code.run(filter.index(), packets, now, &self.params, &self.states, verdicts);
        counters.count(verdicts, faults);
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

    /// Its states and how full they are.
    pub fn states(&self) -> Vec<StateInfo> {
        match self.code.oracle() {
            Some(oracle) => dumped(oracle, None, 0).map(|snapshot| snapshot.info).collect(),
            None => self.states.infos(),
        }
    }

    /// The entries of a state that are live at `now`.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn state_snapshot(&self, name: &str, now: u64) -> Result<StateSnapshot, StateError> {
        let schema = self.schema.as_ref();
        let schema = schema.and_then(|schema| schema.states.iter().find(|state| state.name == name));
        let Some(oracle) = self.code.oracle() else {
            return self.states.snapshot(name, schema, now);
        };
        let found = dumped(oracle, schema, now).find(|snapshot| snapshot.info.name == name);
        found.ok_or_else(|| StateError::Unknown {
            name: name.to_owned(),
            known: known(oracle.module().module().states.iter().map(|state| state.name.as_str())),
        })
    }

    /// The entry of a state under the bytes of a key, if it is live at `now`.
    ///
    /// # Errors
    ///
    /// There is no state of this name, or its keys have another size, or the engine is [`Engine::IrInterp`].
    pub fn state_read(&self, name: &str, raw_key: &[u8], now: u64) -> Result<Option<StateEntry>, StateError> {
        self.maps()?.read(name, raw_key, now)
    }

    /// Deletes the entry of a state under the bytes of a key; says whether there was one.
    ///
    /// # Errors
    ///
    /// There is no state of this name, or its keys have another size, or the engine is [`Engine::IrInterp`].
    pub fn state_delete(&self, name: &str, raw_key: &[u8]) -> Result<bool, StateError> {
        self.maps()?.delete(name, raw_key)
    }

    /// Deletes all entries of a state.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the engine is [`Engine::IrInterp`].
    pub fn state_clear(&self, name: &str) -> Result<(), StateError> {
        self.maps()?.clear(name)
    }

    /// The states, where they are maps.
    fn maps(&self) -> Result<&States, StateError> {
        match self.engine {
            Engine::IrInterp => Err(StateError::Engine { engine: self.engine }),
            _ => Ok(&self.states),
        }
    }
}

/// What the interpreter of the IR holds.
fn dumped<'a>(
    oracle: &'a Oracle,
    schema: Option<&'a StateSchema>,
    now: u64,
) -> impl Iterator<Item = StateSnapshot> + 'a {
    let decls = &oracle.module().module().states;
    oracle.dump().into_iter().zip(decls).map(move |(dump, decl)| from_dump(dump, decl, schema, now))
}
