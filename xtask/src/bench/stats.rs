//! Medians and ratios.

use serde_json::{Value, json};

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

#[cfg(test)]
mod tests {
    use super::*;

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
