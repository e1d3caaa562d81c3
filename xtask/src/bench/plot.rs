//! Plots as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

const PANEL: (u32, u32) = (460, 320);
const COLOURS: [RGBColor; 6] = [
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0x7f, 0x7f, 0x7f),
];

/// One line: its name, and its points, of which those that are not finite are left out.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines over the same axes.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

/// Panels side by side, two in a row, all with a logarithmic first axis (of values from 1) and a second axis from 0.
pub(super) fn lines(panels: &[Panel], across: &str, up: &str) -> Result<String> {
    let columns = panels.len().clamp(1, 2);
    let rows = panels.len().div_ceil(columns).max(1);
    let mut svg = String::new();
    {
        let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
        for (panel, area) in panels.iter().zip(area.split_evenly((rows, columns))) {
            draw(panel, &area, across, up)
                .map_err(|error| anyhow!("cannot plot {}: {error}", panel.title))?;
        }
        area.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(svg)
}

fn draw(
    panel: &Panel,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    across: &str,
    up: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let points =
        || panel.lines.iter().flat_map(|line| &line.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let right = points().map(|point| point.0).fold(2.0, f64::max);
    let left = points().map(|point| point.0).fold(right / 2.0, f64::min).max(1.0);
    let top = points().map(|point| point.1).fold(1e-9, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(48)
        .build_cartesian_2d((left..right).log_scale(), 0.0..top)?;
    chart.configure_mesh().x_desc(across).y_desc(up).light_line_style(WHITE).draw()?;
    for (n, line) in panel.lines.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let finite: Vec<_> = line.points.iter().copied().filter(|(_, y)| y.is_finite()).collect();
        chart
            .draw_series(LineSeries::new(finite.clone(), colour.stroke_width(2)).point_size(3))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_left_out() -> Result<()> {
        let line =
            |name: &str, points: &[(f64, f64)]| Line { name: name.to_owned(), points: points.to_vec() };
        let panel = |title: &str| Panel {
            title: title.to_owned(),
            lines: vec![line("ours", &[(1.0, 30.0), (1000.0, f64::NAN), (1e6, 10.0)]), line("none", &[])],
        };
        let svg = lines(&[panel("one"), panel("two"), panel("three")], "flows", "Mpps")?;
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains("three") && svg.contains("ours") && !svg.contains("NaN"));
        Ok(())
    }
}
