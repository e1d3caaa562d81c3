//! Turns and medians.

use serde_json::{Value, json};

/// The median; sorts. NaN of nothing.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    quantile(figures, 0.5)
}

fn quantile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().saturating_sub(1);
    figures.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// What a subject took, over all its turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    figures: Vec<f64>,
}

impl Samples {
    pub(crate) fn add(&mut self, figure: f64) {
        self.figures.push(figure);
    }

    pub(crate) fn median(&self) -> f64 {
        median(&mut self.figures.clone())
    }

    /// What so large a share of them is below.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        quantile(&mut self.figures.clone(), share)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.figures.len()
    }

    /// The median with the spread around it.
    pub(crate) fn json(&self) -> Value {
        let mut figures = self.figures.clone();
        json!({
            "median": median(&mut figures),
            "lower_quartile": quantile(&mut figures, 0.25),
            "upper_quartile": quantile(&mut figures, 0.75),
            "least": quantile(&mut figures, 0.0),
            "turns": figures.len(),
        })
    }
}

/// A ratio as text: three significant digits.
pub(crate) fn ratio(figure: f64, peer: f64) -> String {
    let ratio = figure / peer;
    match ratio {
        r if !r.is_finite() => "–".to_owned(),
        r if r < 9.995 => format!("{r:.2}×"),
        r if r < 99.95 => format!("{r:.1}×"),
        r => format!("{r:.0}×"),
    }
}
