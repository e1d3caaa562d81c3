//! Tables of a report, and the targets that figures are held against.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// A table with names in the first columns and figures in the others.
pub(super) struct Grid {
    table: Table,
    names: usize,
}

impl Grid {
    pub(super) fn new<S: ToString>(names: usize, heads: impl IntoIterator<Item = S>) -> Grid {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(heads.into_iter().map(|head| head.to_string()));
        Grid { table, names }
    }

    pub(super) fn row<S: ToString>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.table.add_row(cells.into_iter().map(|cell| cell.to_string()));
    }

    /// The table as text, with an empty line behind it.
    pub(super) fn text(mut self) -> String {
        for column in self.table.column_iter_mut().skip(self.names) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{}\n\n", self.table)
    }
}

/// A figure with so many decimals; a dash for what was not measured.
pub(super) fn figure(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".to_owned() }
}

/// A ratio; a dash for what was not measured.
pub(super) fn ratio(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value < 99.5 => format!("{value:.2}×"),
        value => format!("{value:.0}×"),
    }
}

/// What Oko is to reach, and what it reaches.
pub(super) struct Target {
    what: String,
    bound: Bound,
    /// What was measured, in all cells that the target speaks of; NaN where nothing could be measured.
    figures: Vec<f64>,
}

/// Which way is good.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    pub(super) fn at_least(what: &str, least: f64, figures: impl IntoIterator<Item = f64>) -> Target {
        let figures = figures.into_iter().collect();
        Target { what: what.to_owned(), bound: Bound::AtLeast(least), figures }
    }

    pub(super) fn at_most(what: &str, most: f64, figures: impl IntoIterator<Item = f64>) -> Target {
        let figures = figures.into_iter().collect();
        Target { what: what.to_owned(), bound: Bound::AtMost(most), figures }
    }

    fn is_met_by(&self, figure: f64) -> bool {
        match self.bound {
            Bound::AtLeast(least) => figure >= least,
            Bound::AtMost(most) => figure <= most,
        }
    }

    fn measured(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.figures.iter().copied().filter(|figure| figure.is_finite())
    }

    fn met(&self) -> usize {
        self.measured().filter(|&figure| self.is_met_by(figure)).count()
    }

    /// The worst figure; NaN of none.
    fn worst(&self) -> f64 {
        match self.bound {
            Bound::AtLeast(_) => self.measured().fold(f64::NAN, f64::min),
            Bound::AtMost(_) => self.measured().fold(f64::NAN, f64::max),
        }
    }

    fn json(&self) -> Value {
        let (bound, value) = match self.bound {
            Bound::AtLeast(value) => ("at_least", value),
            Bound::AtMost(value) => ("at_most", value),
        };
        json!({ "what": self.what, bound: value, "worst": self.worst(), "cells": self.figures.len(),
                "measured": self.measured().count(), "met": self.met() })
    }
}

/// All targets as a table, and as JSON.
pub(super) fn targets(targets: &[Target]) -> (String, Value) {
    let mut grid = Grid::new(1, ["target", "bound", "worst cell", "cells that meet it"]);
    for target in targets {
        let bound = match target.bound {
            Bound::AtLeast(least) => format!("≥ {least}"),
            Bound::AtMost(most) => format!("≤ {most}"),
        };
        let (met, measured, all) = (target.met(), target.measured().count(), target.figures.len());
        let missing =
            if measured < all { format!(", {} not measured", all - measured) } else { String::new() };
        grid.row([
            target.what.clone(),
            bound,
            figure(target.worst(), 2),
            format!("{met} of {measured}{missing}"),
        ]);
    }
    (grid.text(), targets.iter().map(Target::json).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_counts_the_cells_that_meet_it_and_names_the_worst() {
        let least = Target::at_least("fast", 1.5, [2.0, 1.5, 0.7, f64::NAN]);
        assert_eq!((least.met(), least.measured().count(), least.worst()), (2, 3, 0.7));
        let most = Target::at_most("small", 2.0, [2.0, 3.0]);
        assert_eq!((most.met(), most.worst()), (1, 3.0));
        assert!(Target::at_most("nothing", 1.0, []).worst().is_nan());
    }
}
