//! Which scalars params, keys and entries consist of.

use oko_ir::{FieldDecl, KeyPart, Match, Merge, ParamDecl, StateDecl, StateKind, WhenFull, Width};

use crate::check::has_prefix;
use crate::hir::{self, CellKind, Content, FieldKind, ParamDef, Program, Shape, StateDef};
use crate::types::Ty;

/// A param as the IR has it.
pub(crate) fn param(def: &ParamDef) -> ParamDecl {
    let (min, max) = def.ty.num().map_or((0, u64::MAX), |num| (num.range.min as u64, num.range.max as u64));
    ParamDecl { name: def.name.clone(), min, max, default: def.default }
}

/// A state as the IR has it. A single value is an array with one entry.
pub(crate) fn state(def: &StateDef, program: &Program) -> StateDecl {
    let fields = entry_fields(def, program);
    let parts = |key: &Ty| {
        let parts = key_parts(key, program);
        parts.into_iter().map(|(name, width)| KeyPart { name, width }).collect()
    };
    let (kind, key, capacity) = match &def.shape {
        Shape::Keyed { key, capacity, evict } => {
            let policy = if *evict { WhenFull::EvictOldest } else { WhenFull::Refuse };
            (StateKind::Hash(policy), parts(key), *capacity)
        }
        Shape::Single => (StateKind::Array, vec![index()], 1),
        Shape::Array { capacity } => (StateKind::Array, vec![index()], *capacity),
        Shape::Table { key, capacity } => {
            let found_by = if has_prefix(key) { Match::Prefix } else { Match::Exact };
            (StateKind::Table(found_by), parts(key), *capacity)
        }
        Shape::Sketch { geometry, .. } => (StateKind::Words, Vec::new(), geometry.words()),
        Shape::Bloom { geometry, .. } => (StateKind::Words, Vec::new(), geometry.words()),
    };
    let per_core = def.merge.map(|merge| match merge {
        hir::Merge::Sum => Merge::Sum,
        hir::Merge::Max => Merge::Max,
        hir::Merge::Min => Merge::Min,
        hir::Merge::Latest => Merge::Latest,
    });
    StateDecl { name: def.name.clone(), kind, key, capacity, fields, per_core }
}

fn index() -> KeyPart {
    KeyPart { name: "index".into(), width: Width::W32 }
}

/// The names and widths of the scalars of a key.
pub(crate) fn key_parts(ty: &Ty, program: &Program) -> Vec<(String, Width)> {
    let mut parts = Vec::new();
    plain(ty, program, "", &mut parts);
    if let [(name, _)] = parts.as_mut_slice()
        && name.is_empty()
    {
        *name = "key".into();
    }
    parts
}

/// The scalars of an entry.
fn entry_fields(def: &StateDef, program: &Program) -> Vec<FieldDecl> {
    let mut fields = Vec::new();
    let mut cell = |kind: CellKind, name: &str| {
        for (scalar, width) in cell_fields(kind) {
            let count = if *scalar == REGISTERS { def.registers } else { 1 };
            fields.push(FieldDecl { name: join(name, scalar), width: *width, count });
        }
    };
    match &def.content {
        Content::Nothing => {}
        Content::Value(ty) => {
            let scalars = parts("", ty, program).into_iter();
            fields.extend(scalars.map(|(name, width)| FieldDecl { name, width, count: 1 }));
        }
        Content::Cell(of) => cell(of.kind, ""),
        Content::Cells(id) => {
            for field in &program.structs[id.index()].fields {
                if let FieldKind::Cell(of) = &field.kind {
                    cell(of.kind, &field.name);
                }
            }
        }
    }
    if let [field] = fields.as_mut_slice()
        && field.name.is_empty()
    {
        field.name = "value".into();
    }
    fields
}

/// The names and widths of the scalars of a plain value of this name.
pub(crate) fn parts(name: &str, ty: &Ty, program: &Program) -> Vec<(String, Width)> {
    let mut scalars = Vec::new();
    plain(ty, program, name, &mut scalars);
    scalars
}

/// The number of the first scalar of a cell in its entry.
pub(crate) fn cell_start(def: &StateDef, program: &Program, cell: usize) -> usize {
    let Content::Cells(id) = &def.content else { return 0 };
    let before = program.structs[id.index()].fields.iter().take(cell);
    before
        .map(|field| match &field.kind {
            FieldKind::Cell(cell) => cell_fields(cell.kind).len(),
            FieldKind::Value(_) => 0,
        })
        .sum()
}

/// The type of what is given to a cell.
pub(crate) fn cell_type<'p>(def: &'p StateDef, program: &'p Program, cell: usize) -> &'p Ty {
    match &def.content {
        Content::Cell(of) => &of.of,
        Content::Cells(id) => match program.structs[id.index()].fields.get(cell).map(|field| &field.kind) {
            Some(FieldKind::Cell(of)) => &of.of,
            _ => &Ty::Unit,
        },
        Content::Nothing | Content::Value(_) => &Ty::Unit,
    }
}

/// The field that has an index.
const REGISTERS: &str = "registers";

/// The fields of a cell.
fn cell_fields(kind: CellKind) -> &'static [(&'static str, Width)] {
    use Width::{W8, W64};
    match kind {
        CellKind::Counter => &[("count", W64)],
        CellKind::Window => &[("number", W64), ("current", W64), ("previous", W64)],
        CellKind::Tokens => &[("level", W64), ("at", W64)],
        CellKind::Distinct => &[("estimate", W64), ("gone", W64), (REGISTERS, W8)],
        CellKind::Ewma => &[("sum", W64), ("weight", W64), ("at", W64)],
    }
}

/// The scalars of a plain value.
fn plain(ty: &Ty, program: &Program, name: &str, scalars: &mut Vec<(String, Width)>) {
    let mut one = |bits: u8| scalars.push((name.to_owned(), width(bits)));
    match ty {
        Ty::Bool => one(8),
        Ty::Num(num) => one(num.bits),
        Ty::Seq | Ty::Ip4 => one(32),
        Ty::Mac => one(48),
        Ty::Enum(id) => one(program.enums[id.index()].bits),
        Ty::Bits(id) => one(program.bits[id.index()].bits),
        Ty::Ip6 | Ty::Wide(_) => {
            scalars.push((join(name, "high"), Width::W64));
            scalars.push((join(name, "low"), Width::W64));
        }
        Ty::Addr => {
            scalars.push((join(name, "family"), Width::W8));
            scalars.push((join(name, "high"), Width::W64));
            scalars.push((join(name, "low"), Width::W64));
        }
        Ty::Tuple(parts) => {
            for (at, part) in parts.iter().enumerate() {
                plain(part, program, &join(name, &at.to_string()), scalars);
            }
        }
        Ty::Array(element, count) => {
            for at in 0..*count {
                plain(element, program, &join(name, &at.to_string()), scalars);
            }
        }
        Ty::Struct(id) => {
            for field in &program.structs[id.index()].fields {
                if let FieldKind::Value(ty) = &field.kind {
                    plain(ty, program, &join(name, &field.name), scalars);
                }
            }
        }
        Ty::Option(inner) => {
            scalars.push((join(name, "present"), Width::W8));
            plain(inner, program, &join(name, "value"), scalars);
        }
        // As a part of a table's key: the family, and the address at the most significant end.
        Ty::Prefix => {
            scalars.push((join(name, "family"), Width::W8));
            scalars.push((join(name, "high"), Width::W64));
            scalars.push((join(name, "low"), Width::W64));
        }
        Ty::Error | Ty::Never | Ty::Unit => {}
    }
}

fn join(name: &str, part: &str) -> String {
    let mut joined = if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    // It is for people only; deep nesting must not make it longer than the IR allows. Names are ASCII.
    joined.truncate(oko_ir::limits::MAX_NAME);
    joined
}

/// The smallest width in memory that holds so many bits.
fn width(bits: u8) -> Width {
    match bits {
        0..=8 => Width::W8,
        9..=16 => Width::W16,
        17..=32 => Width::W32,
        _ => Width::W64,
    }
}

/// The types of the scalars of a value.
pub(crate) fn scalar_types(ty: &Ty, program: &Program) -> Vec<oko_ir::Type> {
    use oko_ir::Type::{Bool, Int};
    match ty {
        Ty::Error | Ty::Never | Ty::Unit => Vec::new(),
        Ty::Bool => vec![Bool],
        Ty::Num(_) | Ty::Seq | Ty::Ip4 | Ty::Mac | Ty::Enum(_) | Ty::Bits(_) => vec![Int],
        Ty::Ip6 | Ty::Wide(_) => vec![Int; 2],
        Ty::Addr => vec![Int; 3],
        Ty::Prefix => vec![Int; 4],
        Ty::Tuple(parts) => parts.iter().flat_map(|part| scalar_types(part, program)).collect(),
        Ty::Array(element, count) => {
            let element = scalar_types(element, program);
            (0..*count).flat_map(|_| element.iter().copied()).collect()
        }
        Ty::Struct(id) => (program.structs[id.index()].fields.iter())
            .flat_map(|field| match &field.kind {
                FieldKind::Value(ty) => scalar_types(ty, program),
                FieldKind::Cell(_) => Vec::new(),
            })
            .collect(),
        Ty::Option(inner) => std::iter::once(Bool).chain(scalar_types(inner, program)).collect(),
    }
}
