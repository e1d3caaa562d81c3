//! Whether patterns take every value.
//!
//! Values are looked at column by column, one column for each part of a tuple and each scalar. A column's patterns cut
//! its values into segments that no pattern tells apart; every segment is followed into the columns behind it with
//! the patterns that take it. This is Maranget's algorithm ("Warnings for pattern matching", 2007) over intervals.

use crate::hir::{Pattern, Program};
use crate::types::{Range, Ty};

/// How many segments are followed before the search gives up: only absurdly wide tuples need more.
const BUDGET: usize = 20_000;

/// A value that no pattern takes, as it would be written in the source; `None` if all are taken.
pub(super) fn missing(patterns: &[&Pattern], ty: &Ty, program: &Program) -> Option<String> {
    let rows = patterns.iter().map(|pattern| vec![Cell::Is(pattern)]).collect();
    let mut search = Search { program, left: BUDGET };
    let witness = search.missing(rows, &[Column::of(ty)])?;
    Some(witness.into_iter().next().unwrap_or_else(|| "_".into()))
}

/// Whether the patterns before take all that a pattern takes.
pub(super) fn covered(pattern: &Pattern, before: &[&Pattern], ty: &Ty, program: &Program) -> bool {
    let mut rows: Vec<Vec<Cell<'_>>> = before.iter().map(|pattern| vec![Cell::Is(pattern)]).collect();
    rows.push(vec![Cell::Is(pattern)]);
    let mut search = Search { program, left: BUDGET };
    !search.useful(rows, &[Column::of(ty)])
}

/// The values of a column.
#[derive(Clone, Debug)]
enum Column {
    /// Of a type.
    Ty(Ty),
    /// Words in a range.
    Words(u64, u64),
}

impl Column {
    fn of(ty: &Ty) -> Column {
        Column::Ty(ty.clone())
    }
}

/// What a row says about a column.
#[derive(Clone, Copy, Debug)]
enum Cell<'p> {
    Any,
    Is(&'p Pattern),
    Within(u64, u64),
}

struct Search<'p> {
    program: &'p Program,
    left: usize,
}

/// What a column is taken apart into.
enum Split {
    /// More columns in its place.
    Columns(Vec<Column>),
    /// `none`, or a value.
    Option(Column),
    /// An address of the one kind or the other.
    Addr,
    /// Words of these names or in this range.
    Words(u64, u64, Vec<(String, u64)>),
}

impl Search<'_> {
    /// A list of values, one for each column, that no row takes.
    fn missing(&mut self, rows: Vec<Vec<Cell<'_>>>, columns: &[Column]) -> Option<Vec<String>> {
        let Some((first, rest)) = columns.split_first() else { return rows.is_empty().then(Vec::new) };
        if rows.is_empty() {
            return Some(columns.iter().map(|column| self.any_of(column)).collect());
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Some(vec!["_".into(); columns.len()]);
        }
        let rows = split_alternatives(rows);
        match self.split(first) {
            Split::Columns(parts) => {
                let width = parts.len();
                let rows = rows.into_iter().map(|row| open(&row, width)).collect();
                let columns: Vec<Column> = parts.into_iter().chain(rest.iter().cloned()).collect();
                let mut values = self.missing(rows, &columns)?;
                let rest = values.split_off(width);
                let first = if let Column::Ty(Ty::Struct(id)) = first {
                    self.struct_witness(*id, &values)
                } else if width == 1 {
                    values.swap_remove(0)
                } else if width == 0 {
                    "_".to_owned()
                } else {
                    format!("({})", values.join(", "))
                };
                Some(std::iter::once(first).chain(rest).collect())
            }
            Split::Option(inner) => {
                let nones = rows
                    .iter()
                    .filter(|row| matches!(row[0], Cell::Any | Cell::Is(Pattern::None | Pattern::Any)));
                let nones = nones.map(|row| row[1..].to_vec()).collect();
                if let Some(rest) = self.missing(nones, rest) {
                    return Some(std::iter::once("none".to_owned()).chain(rest).collect());
                }
                let somes = rows.into_iter().filter_map(open_some).collect();
                let columns: Vec<Column> = std::iter::once(inner).chain(rest.iter().cloned()).collect();
                self.missing(somes, &columns)
            }
            Split::Addr => FAMILIES.into_iter().find_map(|(family, parts)| {
                let taken = rows.iter().filter_map(|row| open_addr(row, family)).collect();
                let columns: Vec<Column> = parts.into_iter().chain(rest.iter().cloned()).collect();
                let mut values = self.missing(taken, &columns)?;
                let rest = values.split_off(2);
                let word = |at: usize| values.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                let (high, low) = (word(0), word(1));
                let first = match family {
                    4 => std::net::Ipv4Addr::from_bits(low as u32).to_string(),
                    _ => std::net::Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).to_string(),
                };
                Some(std::iter::once(first).chain(rest).collect())
            }),
            Split::Words(min, max, names) => {
                for (low, high) in segments(&rows, min, max, &names) {
                    let taken: Vec<Vec<Cell<'_>>> = rows
                        .iter()
                        .filter(|row| takes(row[0], low, high))
                        .map(|row| row[1..].to_vec())
                        .collect();
                    if let Some(values) = self.missing(taken, rest) {
                        let first = self.name_of(first, low, &names);
                        return Some(std::iter::once(first).chain(values).collect());
                    }
                }
                None
            }
        }
    }

    /// Whether the last row takes a list of values that no other does.
    fn useful(&mut self, rows: Vec<Vec<Cell<'_>>>, columns: &[Column]) -> bool {
        let Some((first, rest)) = columns.split_first() else { return rows.len() == 1 };
        if rows.len() == 1 {
            return true;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return true;
        }
        let mut rows = rows;
        let Some(last) = rows.pop() else { return true };
        let before = split_alternatives(rows);
        let candidates = split_alternatives(vec![last]);
        candidates.into_iter().any(|last| {
            let mut rows = before.clone();
            rows.push(last);
            let count = rows.len();
            let with_last =
                |kept: Vec<(usize, Vec<Cell<'_>>)>| kept.last().is_some_and(|(at, _)| *at + 1 == count);
            match self.split(first) {
                Split::Columns(parts) => {
                    let width = parts.len();
                    let rows = rows.into_iter().map(|row| open(&row, width)).collect();
                    let columns: Vec<Column> = parts.into_iter().chain(rest.iter().cloned()).collect();
                    self.useful(rows, &columns)
                }
                Split::Option(inner) => {
                    let nones: Vec<(usize, Vec<Cell<'_>>)> = rows
                        .iter()
                        .enumerate()
                        .filter(|(_, row)| {
                            matches!(row[0], Cell::Any | Cell::Is(Pattern::None | Pattern::Any))
                        })
                        .map(|(at, row)| (at, row[1..].to_vec()))
                        .collect();
                    if with_last(nones.clone())
                        && self.useful(nones.into_iter().map(|(_, row)| row).collect(), rest)
                    {
                        return true;
                    }
                    let somes: Vec<(usize, Vec<Cell<'_>>)> = rows
                        .into_iter()
                        .enumerate()
                        .filter_map(|(at, row)| Some((at, open_some(row)?)))
                        .collect();
                    let columns: Vec<Column> = std::iter::once(inner).chain(rest.iter().cloned()).collect();
                    with_last(somes.clone())
                        && self.useful(somes.into_iter().map(|(_, row)| row).collect(), &columns)
                }
                Split::Addr => FAMILIES.into_iter().any(|(family, parts)| {
                    let kept: Vec<(usize, Vec<Cell<'_>>)> = rows
                        .iter()
                        .enumerate()
                        .filter_map(|(at, row)| Some((at, open_addr(row, family)?)))
                        .collect();
                    let columns: Vec<Column> = parts.into_iter().chain(rest.iter().cloned()).collect();
                    with_last(kept.clone())
                        && self.useful(kept.into_iter().map(|(_, row)| row).collect(), &columns)
                }),
                Split::Words(min, max, names) => {
                    segments(&rows, min, max, &names).into_iter().any(|(low, high)| {
                        let kept: Vec<(usize, Vec<Cell<'_>>)> = rows
                            .iter()
                            .enumerate()
                            .filter(|(_, row)| takes(row[0], low, high))
                            .map(|(at, row)| (at, row[1..].to_vec()))
                            .collect();
                        with_last(kept.clone())
                            && self.useful(kept.into_iter().map(|(_, row)| row).collect(), rest)
                    })
                }
            }
        })
    }

    fn split(&self, column: &Column) -> Split {
        let ty = match column {
            Column::Words(min, max) => return Split::Words(*min, *max, Vec::new()),
            Column::Ty(ty) => ty,
        };
        match ty {
            Ty::Option(inner) => Split::Option(Column::of(inner)),
            Ty::Tuple(parts) => Split::Columns(parts.iter().map(Column::of).collect()),
            Ty::Struct(id) => {
                let fields = self.program.structs[id.index()].fields.iter();
                Split::Columns(fields.map(|field| Column::of(&field.value_type())).collect())
            }
            // No pattern looks into an array.
            Ty::Array(..) => Split::Columns(Vec::new()),
            Ty::Wide(wide) => {
                let high = (wide.all().max >> 64) as u64;
                Split::Columns(vec![Column::Words(0, high), Column::Words(0, u64::MAX)])
            }
            Ty::Ip6 => Split::Columns(vec![Column::Words(0, u64::MAX), Column::Words(0, u64::MAX)]),
            Ty::Addr => Split::Addr,
            Ty::Prefix => Split::Columns(vec![Column::Words(0, u64::MAX); 4]),
            Ty::Bool => Split::Words(0, 1, vec![("false".into(), 0), ("true".into(), 1)]),
            Ty::Enum(id) => Split::Words(0, u64::MAX, self.program.enums[id.index()].variants.clone()),
            Ty::Bits(id) => {
                Split::Words(0, Range::of_bits(self.program.bits[id.index()].bits).max as u64, Vec::new())
            }
            Ty::Num(num) if num.range.min >= 0 => {
                Split::Words(num.range.min as u64, num.range.max as u64, Vec::new())
            }
            Ty::Ip4 | Ty::Seq => Split::Words(0, u64::from(u32::MAX), Vec::new()),
            Ty::Mac => Split::Words(0, (1 << 48) - 1, Vec::new()),
            Ty::Num(_) => Split::Words(0, u64::MAX, Vec::new()),
            Ty::Error | Ty::Never | Ty::Unit => Split::Columns(Vec::new()),
        }
    }

    /// A struct that no pattern takes, with the fields that matter.
    fn struct_witness(&self, id: crate::hir::StructId, values: &[String]) -> String {
        let def = &self.program.structs[id.index()];
        let fields = def.fields.iter().zip(values).filter(|(_, value)| *value != "_");
        let fields: Vec<String> = fields.map(|(field, value)| format!("{}: {value}", field.name)).collect();
        if fields.is_empty() { "_".to_owned() } else { format!("{}({})", def.name, fields.join(", ")) }
    }

    /// Any value of a column, for a message.
    fn any_of(&self, column: &Column) -> String {
        match (column, self.split(column)) {
            (_, Split::Words(_, _, names)) if !names.is_empty() => names[0].0.clone(),
            (_, Split::Option(inner)) => match inner {
                Column::Ty(Ty::Enum(_) | Ty::Bool) => self.any_of(&inner),
                _ => "_".into(),
            },
            _ => "_".into(),
        }
    }

    fn name_of(&self, column: &Column, word: u64, names: &[(String, u64)]) -> String {
        if let Some((name, _)) = names.iter().find(|(_, value)| *value == word) {
            return name.clone();
        }
        match column {
            Column::Ty(Ty::Ip4) => std::net::Ipv4Addr::from(word as u32).to_string(),
            Column::Ty(Ty::Num(_)) | Column::Words(..) => word.to_string(),
            _ => "_".into(),
        }
    }
}

/// Rows without alternatives in their first cell.
fn split_alternatives(rows: Vec<Vec<Cell<'_>>>) -> Vec<Vec<Cell<'_>>> {
    let mut split = Vec::with_capacity(rows.len());
    let mut open: Vec<Vec<Cell<'_>>> = rows.into_iter().rev().collect();
    while let Some(row) = open.pop() {
        match row[0] {
            Cell::Is(Pattern::Or(parts)) => {
                for part in parts.iter().rev() {
                    let mut row = row.clone();
                    row[0] = Cell::Is(part);
                    open.push(row);
                }
            }
            Cell::Is(Pattern::Some(inner)) if matches!(**inner, Pattern::Or(_)) => {
                // `Some` of alternatives is looked at when it is opened.
                split.push(row);
            }
            _ => split.push(row),
        }
    }
    split
}

/// The first cell taken apart into `width` cells.
fn open<'p>(row: &[Cell<'p>], width: usize) -> Vec<Cell<'p>> {
    let first: Vec<Cell<'_>> = match row[0] {
        Cell::Is(Pattern::Tuple(parts)) if parts.len() == width => parts.iter().map(Cell::Is).collect(),
        Cell::Is(Pattern::Ranges(ranges)) if ranges.len() == width => {
            ranges.iter().map(|(low, high)| Cell::Within(*low, *high)).collect()
        }
        _ => vec![Cell::Any; width],
    };
    first.into_iter().chain(row[1..].iter().copied()).collect()
}

/// The kinds of addresses, and the words that follow in each.
const FAMILIES: [(u64, [Column; 2]); 2] = [
    (4, [Column::Words(0, 0), Column::Words(0, 0xffff_ffff)]),
    (6, [Column::Words(0, u64::MAX), Column::Words(0, u64::MAX)]),
];

/// The row with the two words of an address of this kind in the place of its first cell; `None` if it takes none of the kind.
fn open_addr<'p>(row: &[Cell<'p>], family: u64) -> Option<Vec<Cell<'p>>> {
    let first = match row[0] {
        Cell::Is(Pattern::Ranges(ranges)) => match ranges.as_slice() {
            [(kind, _), high, low] if *kind == family => {
                [Cell::Within(high.0, high.1), Cell::Within(low.0, low.1)]
            }
            _ => return None,
        },
        _ => [Cell::Any; 2],
    };
    Some(first.into_iter().chain(row[1..].iter().copied()).collect())
}

/// The row with the value in its first cell instead of the optional one; `None` for `none`.
fn open_some(mut row: Vec<Cell<'_>>) -> Option<Vec<Cell<'_>>> {
    row[0] = match row[0] {
        Cell::Is(Pattern::None) => return None,
        Cell::Is(Pattern::Some(inner)) => Cell::Is(inner),
        _ => Cell::Any,
    };
    Some(row)
}

/// The values from `min` to `max` in segments that no row's first cell tells apart.
fn segments(rows: &[Vec<Cell<'_>>], min: u64, max: u64, names: &[(String, u64)]) -> Vec<(u64, u64)> {
    if !names.is_empty() {
        return names.iter().map(|(_, value)| (*value, *value)).collect();
    }
    let mut starts = vec![min];
    for row in rows {
        if let Some((low, high)) = bounds(row[0]) {
            starts.push(low.clamp(min, max));
            if high < max {
                starts.push((high + 1).max(min));
            }
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([max]);
    starts.iter().copied().zip(ends).collect()
}

/// The words that a cell takes; `None` for all.
fn bounds(cell: Cell<'_>) -> Option<(u64, u64)> {
    match cell {
        Cell::Within(low, high) => Some((low, high)),
        Cell::Is(Pattern::Ranges(ranges)) => ranges.first().copied(),
        _ => None,
    }
}

fn takes(cell: Cell<'_>, low: u64, high: u64) -> bool {
    bounds(cell).is_none_or(|(first, last)| first <= low && high <= last)
}
