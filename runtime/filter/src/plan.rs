//! From bytes to a plan of what to make: reading an object, verifying what is in it, and checking that its parts agree.
//!
//! What holds here: every program and module in a [`Plan`] is verified. If there is IR, then schema, IR and BPF have the same filters,
//! params and states in the same order, of the same ranges, capacities, policies and layouts.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use oko_artifact::schema::FORMAT;
use oko_artifact::{
    CERT_SECTION, Cert, EVENTS_MAP, FilterSchema, IR_SECTION, LOCKS_MAP, NOW_VARIABLE, ParamSchema,
    SCHEMA_SECTION, SEED_WORDS_VARIABLE, SPILL_MAP, Schema, StateSchema,
};
use oko_bpf::object::{self, Abi, ObjectFile};
use oko_bpf::program::{MapDef, MapKind, Program};
use oko_bpf::verified::Verified;
use oko_ir::seed::SEED_WORDS;
use oko_ir::{Checked, Filter, FilterResult, Module, ParamDecl, StateDecl, StateKind};
use oko_jit::map_shape;
use serde::de::DeserializeOwned;

use crate::code::Returns;
use crate::error::LoadError;
use crate::info::{FilterId, FilterInfo};
use crate::options::Engine;
use crate::params::{ParamPlan, VariablePlace};
use crate::state::{StatePlan, shape};

/// What an artifact asks for, verified.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) filters: Vec<FilterInfo>,
    pub(crate) params: Vec<ParamPlan>,
    pub(crate) states: Vec<StatePlan>,
    /// The programs of the filters, in their order.
    pub(crate) programs: Vec<Verified>,
    pub(crate) returns: Returns,
    /// The variable of the BPF programs that is the words of the instance's seed, if they need one.
    pub(crate) seed_words: Option<VariablePlace>,
    /// The IR of the filters, in their order.
    pub(crate) ir: Option<Checked>,
    pub(crate) schema: Option<Schema>,
    pub(crate) cert: Option<Cert>,
    pub(crate) read_time: Duration,
    pub(crate) verify_time: Duration,
}

impl Plan {
    pub(crate) fn read(bytes: &[u8], abi: Abi) -> Result<Plan, LoadError> {
        let begin = Instant::now();
        let object = object::read_as(bytes, abi)?;
        if abi == Abi::Original {
            // There is one program, the entry, which was translated.
            return foreign(object, |_| true, begin);
        }
        let Some(ours) = Ours::find(&object)? else {
            let is_xdp = |section: &str| {
                section == "xdp" || section.starts_with("xdp/") || section.starts_with("xdp.")
            };
            return foreign(object, is_xdp, begin);
        };
        let Ours { module, schema, cert } = ours;
        if schema.format != FORMAT {
            return Err(LoadError::Version { expected: FORMAT, found: schema.format });
        }
        schema_fits_ir(&schema, &module)?;
        let params =
            module.params.iter().map(|param| param_plan(param, &object)).collect::<Result<_, _>>()?;
        let states = state_plans(&module, &schema, &object.maps)?;
        let mut programs = Vec::new();
        for filter in &module.filters {
            let program = object.program(&filter.name).ok_or_else(|| LoadError::Mismatch {
                what: format!("filter `{}`", filter.name),
                left_part: "the IR",
                left: "it".to_owned(),
                right_part: "the BPF",
                right: "no program of this name".to_owned(),
            })?;
            programs.push(program.clone());
        }
        let count = object.programs.len();
        same(|| "number of filters".to_owned(), &module.filters.len(), &count)?;
        let filters: Vec<_> =
            module.filters.iter().zip(&schema.filters).enumerate().map(filter_info).collect();
        let clock = variable_place(&object, NOW_VARIABLE, 1)?;
        let read_time = begin.elapsed();

        let begin = Instant::now();
        let ir = oko_ir::verify(module).map_err(|errors| LoadError::IrRefused {
            reports: errors.iter().map(ToString::to_string).collect(),
        })?;
        let programs = programs.into_iter().map(verify_program).collect::<Result<_, _>>()?;
        Ok(Plan {
            returns: Returns::of_ours(&filters, clock),
            seed_words: variable_place(&object, SEED_WORDS_VARIABLE, SEED_WORDS)?,
            filters,
            params,
            states,
            programs,
            ir: Some(ir),
            schema: Some(schema),
            cert: Some(cert),
            read_time,
            verify_time: begin.elapsed(),
        })
    }

    /// The engine to use.
    pub(crate) fn engine(&self, wanted: Option<Engine>) -> Result<Engine, LoadError> {
        let engine = wanted.unwrap_or(if self.ir.is_some() { Engine::Native } else { Engine::BpfJit });
        match engine {
            Engine::Native | Engine::IrInterp if self.ir.is_none() => {
                Err(LoadError::EngineUnavailable { engine, needs: "a section `.oko.ir`" })
            }
            _ => Ok(engine),
        }
    }
}

fn verify_program(program: Program) -> Result<Verified, LoadError> {
    let name = program.name.clone();
    oko_bpf::verifier::verify(program)
        .map_err(|error| LoadError::BpfRefused { program: name, report: error.to_string() })
}

/// The sections of ours, read.
struct Ours {
    module: Module,
    schema: Schema,
    cert: Cert,
}

impl Ours {
    fn find(object: &ObjectFile<'_>) -> Result<Option<Ours>, LoadError> {
        let all = [IR_SECTION, SCHEMA_SECTION, CERT_SECTION];
        let Some(&present) = all.iter().find(|name| object.section(name).is_some()) else {
            return Ok(None);
        };
        let content = |name| object.section(name).ok_or(LoadError::MissingSection { missing: name, present });
        let text =
            std::str::from_utf8(content(IR_SECTION)?).map_err(|error| unreadable(IR_SECTION, &error))?;
        let module = oko_ir::text::read(text).map_err(|error| unreadable(IR_SECTION, &error))?;
        let schema = json(SCHEMA_SECTION, content(SCHEMA_SECTION)?)?;
        let cert = json(CERT_SECTION, content(CERT_SECTION)?)?;
        Ok(Some(Ours { module, schema, cert }))
    }
}

fn json<T: DeserializeOwned>(section: &'static str, bytes: &[u8]) -> Result<T, LoadError> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(section, &error))
}

fn unreadable(section: &'static str, reason: &impl ToString) -> LoadError {
    LoadError::Section { section, reason: reason.to_string() }
}

/// A plan for an object without sections of ours: each program in a section that is for filters is a `bool` filter.
fn foreign(
    object: ObjectFile<'_>,
    for_filters: impl Fn(&str) -> bool,
    begin: Instant,
) -> Result<Plan, LoadError> {
    let programs: Vec<_> = object
        .programs
        .into_iter()
        .zip(&object.program_sections)
        .filter(|(_, section)| for_filters(section))
        .map(|(program, _)| program)
        .collect();
    if programs.is_empty() {
        return Err(LoadError::NoFilter { sections: object.program_sections });
    }
    let filters: Vec<_> = programs
        .iter()
        .enumerate()
        .map(|(index, program)| FilterInfo {
            id: FilterId(index as u32),
            name: program.name.clone(),
            classes: Vec::new(),
            doc: String::new(),
        })
        .collect();
    let states = object.maps.iter().enumerate().map(|(index, map)| plain_state(index, map));
    let states = states.collect();
    let read_time = begin.elapsed();
    let begin = Instant::now();
    let programs = programs.into_iter().map(verify_program).collect::<Result<_, _>>()?;
    Ok(Plan {
        returns: Returns::of_xdp(&filters),
        filters,
        params: Vec::new(),
        states,
        programs,
        seed_words: None,
        ir: None,
        schema: None,
        cert: None,
        read_time,
        verify_time: begin.elapsed(),
    })
}

fn plain_state(index: usize, map: &MapDef) -> StatePlan {
    StatePlan {
        name: map.name.clone(),
        shape: map_shape(map),
        per_core: map.kind.is_percpu(),
        decl: None,
        schema: None,
        bpf: Some(index),
        variables: map.data.as_ref().map(|data| data.init.clone()),
        hidden: map.data.is_some() || [LOCKS_MAP, EVENTS_MAP, SPILL_MAP].contains(&map.name.as_str()),
    }
}

fn filter_info((index, (filter, schema)): (usize, (&Filter, &FilterSchema))) -> FilterInfo {
    FilterInfo {
        id: FilterId(index as u32),
        name: filter.name.clone(),
        classes: schema.classes.clone(),
        doc: schema.doc.clone(),
    }
}

fn param_plan(param: &ParamDecl, object: &ObjectFile<'_>) -> Result<ParamPlan, LoadError> {
    let ParamDecl { name, min, max, default } = param.clone();
    let variable = variable_place(object, &name, 1)?;
    Ok(ParamPlan { name, min, max, default, variable })
}

/// Where a variable of the BPF programs is that is so many `u64`s, if they have it.
fn variable_place(
    object: &ObjectFile<'_>,
    name: &str,
    count: usize,
) -> Result<Option<VariablePlace>, LoadError> {
    let Some(variable) = object.variable(name) else { return Ok(None) };
    let map = variable.map as usize;
    let section = object.maps.get(map).and_then(|map| map.data.as_ref()).filter(|data| !data.readonly);
    let size = section.map_or(0, |data| data.init.len() as u64);
    let bytes = 8 * count as u64;
    let end = variable.offset.checked_add(bytes).filter(|_| variable.offset.is_multiple_of(8));
    let fits = variable.size == bytes && end.is_some_and(|end| end <= size);
    let place = format!("{bytes} bytes at a multiple of 8 in a section that can be written");
    let found = if fits { place.as_str() } else { "elsewhere" };
    same(|| format!("place of variable `{name}`"), place.as_str(), found)?;
    Ok(Some(VariablePlace { map, offset: variable.offset as usize }))
}

/// The states of the IR with their BPF maps, then the sections of variables.
fn state_plans(module: &Module, schema: &Schema, maps: &[MapDef]) -> Result<Vec<StatePlan>, LoadError> {
    let mut plans = Vec::new();
    for ((index, decl), schema) in module.states.iter().enumerate().zip(&schema.states) {
        let shape = shape(decl);
        let bpf = maps.iter().position(|map| map.data.is_none() && map.name == decl.name);
        if let Some(map) = bpf.map(|bpf| &maps[bpf]) {
            let name = &decl.name;
            same(|| format!("kind of state `{name}`"), &map_kind(decl), &map.kind)?;
            let sizes = [
                ("capacity", shape.capacity, map.max_entries),
                ("key size", shape.key_size, map.key_size),
                ("value size", shape.value_size, map.value_size),
            ];
            for (part, ir, bpf) in sizes {
                same(|| format!("{part} of state `{name}`"), &ir, &bpf)?;
            }
            let locked = match decl.kind {
                // Linux allows no lock in these; their locks are in a map of their own.
                StateKind::Hash(oko_ir::WhenFull::EvictOldest) => "none",
                // Nobody else writes these, or each step on them is atomic.
                StateKind::Words | StateKind::Table(_) => "none",
                _ if decl.per_core.is_some() => "none",
                _ => "0",
            };
            let lock = map.lock_offset.map_or_else(|| "none".to_owned(), |offset| offset.to_string());
            same(|| format!("place of the lock of state `{name}`"), locked, lock.as_str())?;
        } else {
            return Err(LoadError::Mismatch {
                what: format!("state `{}`", decl.name),
                left_part: "the IR",
                left: "it".to_owned(),
                right_part: "the BPF",
                right: "no map of this name".to_owned(),
            });
        }
        let decl = Some((index, decl.clone()));
        plans.push(StatePlan {
            name: module.states[index].name.clone(),
            shape,
            per_core: module.states[index].per_core.is_some(),
            decl,
            schema: Some(schema.clone()),
            bpf,
            variables: None,
            // Names of what the compiler made for itself have a point.
            hidden: schema.hidden || schema.name.contains('.'),
        });
    }
    for (index, map) in maps.iter().enumerate() {
        let plan = plain_state(index, map);
        if plan.hidden {
            plans.push(plan);
        } else if !module.states.iter().any(|decl| decl.name == map.name) {
            return Err(LoadError::Mismatch {
                what: format!("map `{}`", map.name),
                left_part: "the BPF",
                left: "it".to_owned(),
                right_part: "the IR",
                right: "no state of this name".to_owned(),
            });
        }
    }
    Ok(plans)
}

/// The kind of map that a state is in BPF.
fn map_kind(decl: &StateDecl) -> MapKind {
    let per_core = decl.per_core.is_some();
    match decl.kind {
        StateKind::Hash(oko_ir::WhenFull::EvictOldest) if per_core => MapKind::LruPercpuHash,
        StateKind::Hash(oko_ir::WhenFull::EvictOldest) => MapKind::LruHash,
        StateKind::Hash(oko_ir::WhenFull::Refuse) if per_core => MapKind::PercpuHash,
        StateKind::Hash(oko_ir::WhenFull::Refuse) => MapKind::Hash,
        StateKind::Array | StateKind::Words if per_core => MapKind::PercpuArray,
        StateKind::Array | StateKind::Words => MapKind::Array,
        StateKind::Table(oko_ir::Match::Exact) => MapKind::Hash,
        StateKind::Table(oko_ir::Match::Prefix) => MapKind::LpmTrie,
    }
}

fn schema_fits_ir(schema: &Schema, module: &Module) -> Result<(), LoadError> {
    let counts = [
        ("filters", schema.filters.len(), module.filters.len()),
        ("params", schema.params.len(), module.params.len()),
        ("states", schema.states.len(), module.states.len()),
    ];
    for (what, left, right) in counts {
        agree(|| format!("number of {what}"), &left, &right)?;
    }
    for (left, right) in schema.filters.iter().zip(&module.filters) {
        filter_fits(left, right)?;
    }
    for (left, right) in schema.params.iter().zip(&module.params) {
        param_fits(left, right)?;
    }
    for (left, right) in schema.states.iter().zip(&module.states) {
        state_fits(left, right)?;
    }
    Ok(())
}

fn filter_fits(schema: &FilterSchema, ir: &Filter) -> Result<(), LoadError> {
    let name = &schema.name;
    agree(|| "name of a filter".to_owned(), name, &ir.name)?;
    let classes = match ir.result {
        FilterResult::Bool => 0,
        FilterResult::Classes(count) => count as usize,
    };
    agree(|| format!("number of classes of filter `{name}`"), &schema.classes.len(), &classes)
}

fn param_fits(schema: &ParamSchema, ir: &ParamDecl) -> Result<(), LoadError> {
    let name = &schema.name;
    agree(|| "name of a param".to_owned(), name, &ir.name)?;
    let values = [
        ("least value", schema.min, ir.min),
        ("greatest value", schema.max, ir.max),
        ("default", schema.default, ir.default),
    ];
    for (what, left, right) in values {
        agree(|| format!("{what} of param `{name}`"), &left, &right)?;
    }
    Ok(())
}

fn state_fits(schema: &StateSchema, ir: &StateDecl) -> Result<(), LoadError> {
    let name = &schema.name;
    agree(|| "name of a state".to_owned(), name, &ir.name)?;
    agree(|| format!("capacity of state `{name}`"), &schema.capacity, &ir.capacity)?;
    let policy = match ir.kind {
        StateKind::Hash(oko_ir::WhenFull::EvictOldest) => Some("evict_oldest"),
        StateKind::Hash(oko_ir::WhenFull::Refuse) => Some("refuse"),
        StateKind::Array | StateKind::Words | StateKind::Table(_) => None,
    };
    if let Some(policy) = policy {
        agree(|| format!("`when_full` of state `{name}`"), schema.when_full.as_str(), policy)?;
    }
    let scalars =
        |parts: &[oko_artifact::NamedType]| parts.iter().map(|part| part.ty.scalars()).sum::<usize>();
    // Words have no keys: that of a sketch is hashed.
    if ir.kind != StateKind::Words {
        agree(|| format!("scalars of the key of state `{name}`"), &scalars(&schema.key), &ir.key.len())?;
    }
    let fields = ir.fields.iter().map(|field| field.count as usize).sum::<usize>();
    agree(|| format!("scalars of the value of state `{name}`"), &scalars(&schema.value), &fields)
}

/// Demands that schema and IR have the same.
fn agree<T: PartialEq + Debug + ?Sized>(
    what: impl FnOnce() -> String,
    schema: &T,
    ir: &T,
) -> Result<(), LoadError> {
    if schema == ir {
        return Ok(());
    }
    Err(LoadError::Mismatch {
        what: what(),
        left_part: "the schema",
        left: format!("{schema:?}"),
        right_part: "the IR",
        right: format!("{ir:?}"),
    })
}

/// Demands that IR and BPF have the same.
fn same<T: PartialEq + Display + ?Sized>(
    what: impl FnOnce() -> String,
    ir: &T,
    bpf: &T,
) -> Result<(), LoadError> {
    if ir == bpf {
        return Ok(());
    }
    Err(LoadError::Mismatch {
        what: what(),
        left_part: "the IR",
        left: ir.to_string(),
        right_part: "the BPF",
        right: bpf.to_string(),
    })
}
