//! What an artifact says about itself, as far as the source knows it.

use oko_artifact::schema::FORMAT;
use oko_artifact::{
    BloomSchema, Container, EventSchema, Ewma, FilterSchema, NamedType, ParamSchema, ScalarType, Schema,
    SketchSchema, StateSchema,
};
use oko_ir::{Module, StateDecl};

use crate::check::has_prefix;
use crate::geometry::{BloomGeometry, SketchGeometry};
use crate::hir::{Cell, CellKind, Content, EventDef, Expire, FieldKind, Merge, Program, Shape, StateDef};
use crate::types::{NumKind, Ty};

/// The schema of a lowered program. Compiler and source hash are left empty: they are the driver's to fill in.
pub(crate) fn schema(program: &Program, module: &Module) -> Schema {
    Schema {
        format: FORMAT,
        compiler: String::new(),
        source_hash: String::new(),
        filters: (program.filters.iter())
            .map(|def| {
                let classes = match &def.result {
                    Ty::Enum(id) => {
                        program.enums[id.index()].variants.iter().map(|(name, _)| name.clone()).collect()
                    }
                    _ => Vec::new(),
                };
                FilterSchema { name: def.name.clone(), classes, doc: def.doc.clone() }
            })
            .collect(),
        params: (program.params.iter().zip(&module.params))
            .map(|(def, decl)| ParamSchema {
                name: def.name.clone(),
                ty: scalar(&def.ty, program),
                min: decl.min,
                max: decl.max,
                default: decl.default,
                doc: def.doc.clone(),
            })
            .collect(),
        states: (program.states.iter().zip(&module.states))
            .map(|(def, decl)| state(def, program, decl.bytes()))
            .chain(
                (program.events.iter())
                    .zip(module.states.iter().skip(program.states.len()))
                    .map(|(def, decl)| limiter(def, program, decl)),
            )
            .collect(),
        events: program.events.iter().map(|def| event(def, program)).collect(),
    }
}

/// The state that limits an event.
fn limiter(def: &EventDef, program: &Program, decl: &StateDecl) -> StateSchema {
    let key = match def.per.and_then(|at| def.fields.get(at)) {
        Some((_, ty)) => parts(ty, program),
        None => vec![NamedType { name: "index".into(), ty: ScalarType::Uint }],
    };
    let container = if def.per.is_some() { Container::Keyed } else { Container::Single };
    StateSchema {
        name: decl.name.clone(),
        container,
        merge: None,
        hidden: true,
        key,
        value: vec![
            NamedType { name: "until".into(), ty: ScalarType::Instant },
            NamedType { name: "count".into(), ty: ScalarType::Uint },
        ],
        capacity: decl.capacity,
        when_full: "refuse".into(),
        expire: def.each.constant(),
        bytes: decl.bytes(),
        doc: String::new(),
    }
}

fn event(def: &EventDef, program: &Program) -> EventSchema {
    let mut fields = Vec::new();
    for (name, ty) in &def.fields {
        collect(ty, program, name.clone(), &mut fields);
    }
    EventSchema {
        name: def.name.clone(),
        fields,
        limit: def.limit.constant(),
        each: def.each.constant(),
        per: def.per.and_then(|at| def.fields.get(at)).map(|(name, _)| name.clone()),
        doc: def.doc.clone(),
    }
}

fn state(def: &StateDef, program: &Program, bytes: u64) -> StateSchema {
    let index = || vec![NamedType { name: "index".into(), ty: ScalarType::Uint }];
    let (container, key, capacity, when_full) = match &def.shape {
        Shape::Keyed { key, capacity, evict } => {
            let when_full = if *evict { "evict_oldest" } else { "refuse" };
            (Container::Keyed, parts(key, program), *capacity, when_full)
        }
        Shape::Single => (Container::Single, index(), 1, "refuse"),
        Shape::Array { capacity } => (Container::Array, index(), *capacity, "refuse"),
        Shape::Table { key, capacity } => {
            let container = if has_prefix(key) { Container::PrefixTable } else { Container::Table };
            (container, parts(key, program), *capacity, "refuse")
        }
        Shape::Sketch { key, geometry } => {
            let SketchGeometry { rows, width, window, error, confidence } = *geometry;
            let sketch = SketchSchema { rows, width, window, error, confidence };
            (Container::Sketch(sketch), parts(key, program), geometry.words(), "refuse")
        }
        Shape::Bloom { key, geometry } => {
            let BloomGeometry { hashes, expire, capacity, error, .. } = *geometry;
            let bloom = BloomSchema { words: geometry.generation_words(), hashes, expire, capacity, error };
            (Container::Bloom(bloom), parts(key, program), geometry.words(), "refuse")
        }
    };
    let cell = |cell: &Cell| match cell.kind {
        CellKind::Counter => ScalarType::Counter,
        CellKind::Window => ScalarType::Window(def.window),
        CellKind::Tokens => ScalarType::Tokens,
        CellKind::Distinct => ScalarType::Distinct(def.registers),
        CellKind::Ewma => ScalarType::Ewma(Ewma {
            time_constant: def.time_constant,
            of_durations: cell.of.num().is_some_and(|num| num.kind == NumKind::Duration),
        }),
    };
    let value = match &def.content {
        Content::Nothing => Vec::new(),
        Content::Value(ty) => parts(ty, program),
        Content::Cell(of) => vec![NamedType { name: String::new(), ty: cell(of) }],
        Content::Cells(id) => (program.structs[id.index()].fields.iter())
            .filter_map(|field| match &field.kind {
                FieldKind::Cell(of) => Some(NamedType { name: field.name.clone(), ty: cell(of) }),
                FieldKind::Value(_) => None,
            })
            .collect(),
    };
    let expire = match &def.expire {
        Expire::After(duration) => duration.constant(),
        Expire::Never | Expire::Of(_) => None,
    };
    let merge = def.merge.map(|merge| match merge {
        Merge::Sum => "sum",
        Merge::Max => "max",
        Merge::Min => "min",
        Merge::Latest => "latest",
    });
    StateSchema {
        name: def.name.clone(),
        container,
        merge: merge.map(str::to_owned),
        hidden: false,
        key,
        value,
        capacity,
        when_full: when_full.into(),
        expire,
        bytes,
        doc: def.doc.clone(),
    }
}

/// The parts of a plain value.
fn parts(ty: &Ty, program: &Program) -> Vec<NamedType> {
    let mut found = Vec::new();
    collect(ty, program, String::new(), &mut found);
    found
}

fn collect(ty: &Ty, program: &Program, name: String, found: &mut Vec<NamedType>) {
    let join = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match ty {
        Ty::Tuple(types) => {
            for (at, ty) in types.iter().enumerate() {
                collect(ty, program, join(&at.to_string()), found);
            }
        }
        Ty::Struct(id) => {
            for field in &program.structs[id.index()].fields {
                if let FieldKind::Value(ty) = &field.kind {
                    collect(ty, program, join(&field.name), found);
                }
            }
        }
        Ty::Array(element, count) => {
            for at in 0..*count {
                collect(element, program, join(&at.to_string()), found);
            }
        }
        Ty::Wide(_) => {
            for half in ["high", "low"] {
                found.push(NamedType { ty: ScalarType::Uint, name: join(half) });
            }
        }
        Ty::Option(inner) => {
            found.push(NamedType { name: join("present"), ty: ScalarType::Bool });
            collect(inner, program, join("value"), found);
        }
        _ => found.push(NamedType { ty: scalar(ty, program), name }),
    }
}

fn scalar(ty: &Ty, program: &Program) -> ScalarType {
    match ty {
        Ty::Bool => ScalarType::Bool,
        Ty::Num(num) => match num.kind {
            NumKind::Int => ScalarType::Uint,
            NumKind::Duration => ScalarType::Duration,
            NumKind::Instant => ScalarType::Instant,
            NumKind::Rate => ScalarType::Rate,
        },
        Ty::Ip4 => ScalarType::Ip4,
        Ty::Ip6 => ScalarType::Ip6,
        Ty::Addr => ScalarType::Addr,
        Ty::Mac => ScalarType::Mac,
        Ty::Prefix => ScalarType::Prefix,
        Ty::Enum(id) => ScalarType::Enum(program.enums[id.index()].variants.clone()),
        Ty::Bits(id) => ScalarType::Bits(program.bits[id.index()].variants.clone()),
        _ => ScalarType::Uint,
    }
}
