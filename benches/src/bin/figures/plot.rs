//! A case as a plot, drawn by plotters: a dot for each median, a line for its spread, on a logarithmic axis.

use crate::results::Results;
use crate::stats::Spread;
use benches::{Case, Group, Kind, Place, Subject, Unit};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

const WIDTH: u32 = 1000;
/// Where the plot begins; left of it stand the names.
const NAMES: u32 = 320;
const ROW: u32 = 20;
const AXIS: u32 = 48;

const INK: RGBColor = RGBColor(40, 40, 40);
const BAND: RGBColor = RGBColor(244, 246, 249);
const PALE: RGBColor = RGBColor(225, 225, 225);

fn colour(place: Place) -> RGBColor {
    // From the Okabe-Ito palette, which the colour-blind can tell apart.
    match place {
        Place::Free => RGBColor(0, 114, 178),
        Place::Apart => RGBColor(213, 94, 0),
        Place::OneCpu => RGBColor(0, 130, 95),
    }
}

struct Row<'a> {
    subject: &'a Subject,
    place: Place,
    spread: Spread,
    /// The first of its subject, which bears the name.
    first: bool,
    /// Every second subject stands on a band.
    on_band: bool,
}

/// The plot as SVG; `None` if nothing was measured.
pub(crate) fn svg(results: &Results, group: &Group, case: &Case) -> Result<Option<String>, Box<dyn Error>> {
    let rows = rows(results, group, case);
    let unit = &case.unit;
    let numbers = || rows.iter().flat_map(|row| [row.spread.low, row.spread.high]).map(|n| unit.plotted(n));
    let (low, high) = (numbers().fold(f64::MAX, f64::min), numbers().fold(0.0, f64::max));
    // A few numbers that were counted once need no picture, and nothing at all has no place on a logarithmic axis.
    let counted = matches!(unit, Unit::Count(_) | Unit::Idling);
    if rows.is_empty() || counted || low <= 0.0 {
        return Ok(None);
    }
    // Room for a dot on the left and for a figure on the right, whatever the decades between.
    let decades = (high / low).log10().max(0.3);
    let (from, to) = (low / 10_f64.powf(decades * 0.05), high * 10_f64.powf(decades * 0.22));
    let height = ROW * rows.len() as u32 + AXIS + 26;

    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(26)
            .margin_left(NAMES)
            .margin_right(12)
            .x_label_area_size(AXIS)
            .build_cartesian_2d((from..to).log_scale(), 0.0..rows.len() as f64)?;
        for (i, _) in rows.iter().enumerate().filter(|(_, row)| row.on_band) {
            let (top, bottom) = ((rows.len() - i) as f64, (rows.len() - i - 1) as f64);
            let (left, right) = (chart.backend_coord(&(from, top)), chart.backend_coord(&(to, bottom)));
            root.draw(&Rectangle::new([(0, left.1), right], BAND.filled()))?;
        }
        let (quantity, better) = unit.axis();
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .axis_style(PALE)
            // Ours are drawn below: plotters' own are the powers of ten only.
            .x_label_formatter(&|_| String::new())
            .label_style(("sans-serif", 14).into_font().color(&INK))
            .x_desc(format!("{quantity} ({better}; logarithmic)"))
            .draw()?;
        for number in ticks(from, to) {
            let (bottom, top) = ((number, 0.0), (number, rows.len() as f64));
            chart.draw_series([PathElement::new([bottom, top], PALE)])?;
            let (x, pixel) = chart.backend_coord(&bottom);
            let below = ("sans-serif", 14).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
            root.draw(&Text::new(unit.show_plotted(number), (x, pixel + 6), below))?;
        }
        for (i, row) in rows.iter().enumerate() {
            let y = (rows.len() - i) as f64 - 0.5;
            let at = |cost: f64| (unit.plotted(cost), y);
            let colour = colour(row.place);
            chart.draw_series([PathElement::new(
                [at(row.spread.low), at(row.spread.high)],
                colour.mix(0.55).stroke_width(2),
            )])?;
            let size = if row.subject.kind == Kind::Ours { 6 } else { 4 };
            chart.draw_series([Circle::new(at(row.spread.median), size, colour.filled())])?;
            let end = unit.plotted(row.spread.low).max(unit.plotted(row.spread.high));
            let (x, pixel) = chart.backend_coord(&(end, y));
            let beside =
                ("sans-serif", 14).into_font().color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(unit.show(row.spread.median), (x + 10, pixel), beside))?;
            if row.first {
                let font = ("sans-serif", 15).into_font();
                let font = if row.subject.kind == Kind::Ours { font.style(FontStyle::Bold) } else { font };
                let name = font.color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
                root.draw(&Text::new(label(row.subject), (NAMES as i32 - 10, pixel), name))?;
            }
        }
        legend(&root, &rows)?;
        root.present()?;
    }
    Ok(Some(text))
}

/// Round numbers between these: 1, 2 and 5 of each decade, or less of them if there are many decades.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let all = |steps: &[f64], every: i32| -> Vec<f64> {
        let decades = decades.clone().filter(|decade| decade % every == 0);
        let numbers = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        numbers.filter(|number| (from..=to).contains(number)).collect()
    };
    let finer = [all(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0], 1), all(&[1.0, 2.0, 5.0], 1), all(&[1.0], 1)];
    finer.into_iter().find(|ticks| ticks.len() <= 7).unwrap_or_else(|| all(&[1.0], 2))
}

fn rows<'a>(results: &Results, group: &Group, case: &'a Case) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for (i, subject) in case.subjects.iter().enumerate() {
        let mut first = true;
        for &place in &subject.places {
            let figure = results.figure(group, case, subject, place);
            if let Some(spread) = figure.and_then(|figure| Spread::of(&figure.samples)) {
                rows.push(Row { subject, place, spread, first, on_band: i % 2 == 1 });
                first = false;
            }
        }
    }
    rows
}

fn label(subject: &Subject) -> String {
    match subject.kind {
        Kind::Ours | Kind::Rival => subject.name.clone(),
        Kind::Floor | Kind::Threads => format!("{} [{}]", subject.name, subject.kind.word()),
    }
}

fn legend<DB: DrawingBackend>(
    root: &DrawingArea<DB, plotters::coord::Shift>,
    rows: &[Row<'_>],
) -> Result<(), Box<dyn Error>>
where
    DB::ErrorType: 'static,
{
    let mut x = NAMES as i32;
    for place in Place::ALL {
        if rows.iter().any(|row| row.place == place) {
            root.draw(&Circle::new((x + 5, 12), 4, colour(place).filled()))?;
            let style = ("sans-serif", 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(place.name(), (x + 14, 12), style))?;
            x += 34 + 8 * place.name().len() as i32;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn an_axis_has_a_few_round_numbers() {
        assert_eq!(ticks(95.0, 110.0), [100.0]);
        assert_eq!(ticks(70.0, 220.0), [70.0, 100.0, 150.0, 200.0]);
        assert_eq!(ticks(9.0, 600.0), [10.0, 20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(ticks(0.9, 20_000.0), [1.0, 10.0, 100.0, 1e3, 1e4]);
        assert!(ticks(1.0, 1e12).len() <= 7);
    }
}
