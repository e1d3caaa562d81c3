//! Medians and ratios.

use anyhow::Result;
use serde_json::{Value, json};

use super::lab::Lab;

/// Figures of one thing, from all its turns.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// NaN of nothing.
    pub(super) fn median(&self) -> f64 {
        self.at(0.5)
    }

    fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// From the least to the greatest.
    pub(super) fn range(&self) -> (f64, f64) {
        (self.at(0.0), self.at(1.0))
    }

    pub(super) fn json(&self) -> Value {
        let (least, greatest) = self.range();
        json!({ "median": self.median(), "least": least, "greatest": greatest, "turns": self.0.len() })
    }
}

/// What becomes of one thing that is measured in several rounds: its figures, or why there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    samples: Samples,
    failed: Option<String>,
}

impl Cell {
    /// The figures of a round.
    pub(super) fn add(&mut self, round: Result<Samples>) {
        match round {
            Ok(samples) => samples.0.into_iter().for_each(|figure| self.samples.add(figure)),
            Err(error) => self.fail(&error),
        }
    }

    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        // A report shows one line; the whole is shown now.
        eprintln!("not measured: {error:#}");
        let text = format!("{error:#}");
        self.failed = Some(text.lines().next().unwrap_or_default().to_owned());
    }

    /// The median; NaN of nothing.
    pub(super) fn rate(&self) -> f64 {
        self.samples.median()
    }

    /// Why there are no figures, or not all.
    fn missing(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// As packets a second.
    pub(super) fn json(&self, lab: &Lab<'_>) -> Value {
        json!({ "packets_per_second": self.samples.json(), "cycles_per_packet": lab.cycles(self.rate()), "failed": self.failed })
    }
}

/// What could not be measured, as a list under a table: places whose reasons are alike share a line.
#[derive(Debug, Default)]
pub(super) struct Missing(Vec<(String, Vec<String>)>);

impl Missing {
    /// Notes a cell, if it has no figures or not all.
    pub(super) fn note(&mut self, place: String, cell: &Cell) {
        let Some(why) = cell.missing() else { return };
        match self.0.iter_mut().find(|(other, _)| other == why) {
            Some((_, places)) => places.push(place),
            None => self.0.push((why.to_owned(), vec![place])),
        }
    }

    /// Nothing, if all was measured.
    pub(super) fn text(&self) -> String {
        let lines = self.0.iter().map(|(why, places)| format!("- {}: {why}\n", places.join("; ")));
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { format!("Not measured:\n\n{lines}\n") }
    }
}

/// The highest of the rates; NaN of none.
pub(super) fn best(cells: &[Cell]) -> f64 {
    cells.iter().map(Cell::rate).fold(f64::NAN, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_are_alike_share_a_line() {
        let mut missing = Missing::default();
        let (mut failed, mut measured) = (Cell::default(), Cell::default());
        failed.fail(&anyhow::anyhow!("no huge pages\nand more"));
        measured.add(Ok(Samples(vec![1.0])));
        missing.note("one".to_owned(), &failed);
        missing.note("two".to_owned(), &measured);
        missing.note("three".to_owned(), &failed);
        assert_eq!(missing.text(), "Not measured:\n\n- one; three: no huge pages\n\n");
        assert_eq!(Missing::default().text(), "");
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let mut samples = Samples::default();
        assert!(samples.median().is_nan());
        for figure in [5.0, 1.0, 9.0, 2.0, 3.0] {
            samples.add(figure);
        }
        assert_eq!((samples.median(), samples.range()), (3.0, (1.0, 9.0)));
    }
}
