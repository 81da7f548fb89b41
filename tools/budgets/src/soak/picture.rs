//! A soak as a picture: four panels over the same minutes.
//!
//! Never: leaves out the time that is not judged; it is shaded.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::flat::{Measure, judged_from};
use super::{Look, Soak};
use crate::failure::Failure;
use crate::plot::{FAINT, FONT, INK, MUTED, grouped, side_by_side};
use crate::statistics::float;

const SIZE: (u32, u32) = (960, 1060);
/// Above the panels, for the title.
const HEAD: u32 = 64;
/// Below them, for the caption.
const FOOT: u32 = 28;
/// Room above the highest point of a panel, as a factor.
const ROOM: f64 = 1.25;
/// Above the axes of a panel, for the names of its curves, and how far right they begin; in pixels.
const OVER: u32 = 26;
const NAMES_AT: i32 = 90;
const BLUE: RGBColor = RGBColor(0x0b, 0x6e, 0x99);
const ORANGE: RGBColor = RGBColor(0xd9, 0x82, 0x1f);
const RED: RGBColor = RGBColor(0xc8, 0x3c, 0x2e);

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A curve: its name, its colour, its number in a look.
type Curve = (&'static str, RGBColor, fn(&Look) -> f64);

/// Draws a soak. The caption says when and where it was measured.
///
/// # Errors
/// When nothing was seen, or it cannot be drawn.
pub fn svg(soak: &Soak, caption: &str) -> Result<String, Failure> {
    let mut text = String::new();
    draw(soak, caption, &mut text).map_err(|error| Failure::Result(format!("a soak cannot be drawn: {error}")))?;
    Ok(text)
}

fn draw(soak: &Soak, caption: &str, text: &mut String) -> Outcome {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let written = |size: u32, color: RGBColor| (FONT, size).into_font().color(&color);
    let title = format!(
        "One server through a mixed day at {} commands a second",
        grouped(&float(usize::try_from(soak.per_second)?))
    );
    root.draw(&Text::new(title, (24, 16), written(20, INK)))?;
    let below = "Looked at behind each round. What is shaded is not judged: nonces and journal fill up.";
    root.draw(&Text::new(below, (24, 42), written(13, MUTED)))?;
    let corner = (i32::try_from(SIZE.0)? - 24, i32::try_from(SIZE.1)? - 8);
    let right = written(12, MUTED).pos(Pos::new(HPos::Right, VPos::Bottom));
    root.draw(&Text::new(caption.to_owned(), corner, right))?;
    let panels = root.margin(HEAD, FOOT, 12, 24).split_evenly((4, 1));
    let [memory, descriptors, latency, cpu] = panels.as_slice() else { return Err("there are four panels".into()) };
    panel(
        memory,
        soak,
        Measure::Memory,
        "resident memory (MiB)",
        &[("", BLUE, |look| float(look.rss_bytes) / (1024.0 * 1024.0))],
    )?;
    let curves: [Curve; 3] = [
        ("without the log's files", BLUE, |look| float(look.descriptors)),
        ("files of the log", ORANGE, |look| float(look.files)),
        ("threads", RED, |look| float(look.threads)),
    ];
    panel(descriptors, soak, Measure::Descriptors, "open descriptors", &curves)?;
    let curves: [Curve; 3] = [
        ("median", BLUE, |look| look.p50_us),
        ("99 %", ORANGE, |look| look.p99_us),
        ("99.9 %", RED, |look| look.p999_us),
    ];
    logarithmic(latency, soak, Measure::P99, "latency (microseconds), logarithmic", &curves)?;
    panel(cpu, soak, Measure::Cpu, "server CPU of a command (ns)", &[("", BLUE, |look| look.cpu_ns)])?;
    root.present()?;
    Ok(())
}

/// The least and the greatest number of all curves.
fn bounds(soak: &Soak, curves: &[Curve]) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let numbers = || curves.iter().flat_map(|(_, _, number)| soak.looks.iter().map(number)).filter(|n| n.is_finite());
    let least = numbers().reduce(f64::min).ok_or("nothing was seen")?;
    Ok((least, numbers().fold(least, f64::max)))
}

fn end(soak: &Soak) -> f64 {
    soak.looks.last().map_or(1.0, |look| look.minute)
}

fn panel(area: &Area<'_>, soak: &Soak, measure: Measure, name: &str, curves: &[Curve]) -> Outcome {
    let (_, most) = bounds(soak, curves)?;
    let chart = builder(area).build_cartesian_2d(0.0..end(soak), 0.0..(most * ROOM).max(1.0))?;
    finish(chart, soak, measure, name, curves, (0.0, most * ROOM))?;
    names(area, curves)
}

fn logarithmic(area: &Area<'_>, soak: &Soak, measure: Measure, name: &str, curves: &[Curve]) -> Outcome {
    let (least, most) = bounds(soak, curves)?;
    let heights = (least.max(1.0) / ROOM, most.max(1.0) * ROOM);
    let chart = builder(area).build_cartesian_2d(0.0..end(soak), (heights.0..heights.1).log_scale())?;
    finish(chart, soak, measure, name, curves, heights)?;
    names(area, curves)
}

fn builder<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.x_label_area_size(40).y_label_area_size(84).margin_right(10).margin_top(OVER);
    builder
}

/// Names the curves of a panel above it, where none of them can be.
fn names(area: &Area<'_>, curves: &[Curve]) -> Outcome {
    let named = curves.iter().filter(|(name, ..)| !name.is_empty());
    side_by_side(area, (NAMES_AT, 4), 0, named.map(|(name, color, _)| (*name, *color, 2)))
}

/// Draws the time that is not judged, the axes and the curves.
fn finish<'a, 'b: 'a, Y>(
    mut chart: ChartContext<'a, SVGBackend<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>,
    soak: &Soak,
    measure: Measure,
    name: &str,
    curves: &[Curve],
    (low, high): (f64, f64),
) -> Outcome
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let written = |size: u32, color: RGBColor| (FONT, size).into_font().color(&color);
    let unjudged = Rectangle::new([(0.0, low), (judged_from(&soak.looks, measure), high)], FAINT.mix(0.6).filled());
    chart.draw_series(std::iter::once(unjudged))?;
    chart
        .configure_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(MUTED)
        .x_labels(10)
        .y_labels(6)
        .x_desc("minutes")
        .y_desc(name)
        .axis_desc_style(written(13, INK))
        .label_style(written(12, INK))
        .y_label_formatter(&grouped)
        .draw()?;
    for (_, color, number) in curves {
        let points = soak.looks.iter().map(|look| (look.minute, number(look))).filter(|(_, y)| y.is_finite());
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    Ok(())
}
