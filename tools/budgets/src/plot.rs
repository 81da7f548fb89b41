//! The plots of a run, as SVG: pictures for a page, readable in light and in print.
//!
//! Never: decides what is measured, or shows what is not in a curve.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use repsec_load::Target;

use crate::book::{Curve, Plot};
use crate::failure::Failure;
use crate::statistics::{Sample, float};

/// Of the whole picture, in pixels.
const SIZE: (u32, u32) = (880, 520);
pub(crate) const FONT: &str = "sans-serif";
pub(crate) const INK: RGBColor = RGBColor(0x26, 0x2b, 0x33);
pub(crate) const FAINT: RGBColor = RGBColor(0xe3, 0xe6, 0xea);
pub(crate) const MUTED: RGBColor = RGBColor(0x6b, 0x72, 0x80);
/// Room between the data and the ends of an axis with a logarithmic scale, as a factor.
const ROOM: f64 = 1.25;
/// How far the points of neighbouring curves stand apart, as a part of the axis.
const APART: f64 = 0.008;
/// Where the legend stands, the length of a line in it, and the width of a letter, generously; in pixels.
const LEGEND_AT: i32 = 52;
const LEGEND_LINE: i32 = 28;
const LETTER: i32 = 7;
/// Width of the ends of a bar, in pixels.
const BAR: u32 = 10;
/// Quantiles of the plot of latency, and their names.
const QUANTILES: [(f64, &str); 5] =
    [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];

/// What is written on a plot.
struct Words {
    title: &'static str,
    x: &'static str,
    y: &'static str,
}

fn words(plot: Plot) -> Words {
    match plot {
        Plot::Latency => Words {
            title: "Latency of VERIFY at half of the load that Redis bears, 64 connections",
            x: "share of commands that are answered sooner",
            y: "latency (microseconds), logarithmic",
        },
        Plot::Throughput => Words {
            title: "Throughput of VERIFY, 4 connections",
            x: "commands in flight on all connections, logarithmic",
            y: "commands per second, logarithmic",
        },
        Plot::Growth => Words {
            title: "Server CPU per VERIFY as entities grow, 4 connections x 128 in flight",
            x: "entities, logarithmic",
            y: "server CPU per command (nanoseconds)",
        },
    }
}

/// Draws the curves of a plot. The caption says when and where it was measured.
///
/// # Errors
/// When a curve has no points, or cannot be drawn.
pub fn svg(plot: Plot, curves: &[&Curve], caption: &str) -> Result<String, Failure> {
    let mut text = String::new();
    draw(plot, curves, caption, &mut text)
        .map_err(|error| Failure::Result(format!("a plot cannot be drawn: {error}")))?;
    Ok(text)
}

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(plot: Plot, curves: &[&Curve], caption: &str, text: &mut String) -> Outcome {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let words = words(plot);
    let (width, height) = SIZE;
    let written = |size: u32, color: RGBColor| (FONT, size).into_font().color(&color);
    root.draw(&Text::new(words.title, (24, 18), written(20, INK)))?;
    let below = written(12, MUTED).pos(Pos::new(HPos::Right, VPos::Bottom));
    let corner = (i32::try_from(width)? - 24, i32::try_from(height)? - 8);
    root.draw(&Text::new(caption, corner, below))?;
    legend(&root, curves)?;
    let area = root.margin(82, 26, 12, 24);

    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (x_min, x_max) = bounds(points().map(|point| point.x)).ok_or("a curve has no points")?;
    let lows = bounds(points().map(|point| point.y.min)).ok_or("a curve has no points")?;
    let highs = bounds(points().map(|point| point.y.max)).ok_or("a curve has no points")?;
    let heights = (lows.0 / ROOM..highs.1 * ROOM).log_scale().with_key_points(ticks(lows.0 / ROOM, highs.1 * ROOM));
    let mut measured: Vec<f64> = points().map(|point| point.x).collect();
    measured.sort_by(f64::total_cmp);
    measured.dedup();
    let places = (x_min / ROOM..x_max * ROOM).log_scale().with_key_points(measured);
    match plot {
        Plot::Latency => {
            // Each ten times rarer than the one before is one step further.
            let places: Vec<f64> = QUANTILES.map(|(share, _)| rarity(share)).to_vec();
            let places = (rarity(0.5) / ROOM..rarity(0.9999) * ROOM).log_scale().with_key_points(places);
            let chart = builder(&area).build_cartesian_2d(places, heights)?;
            let apart = apart(rarity(0.5), rarity(0.9999));
            finish(chart, curves, &words, (&rarity, apart), &quantile_name)?;
        }
        Plot::Throughput => {
            finish(
                builder(&area).build_cartesian_2d(places, heights)?,
                curves,
                &words,
                (&|x| x, apart(x_min, x_max)),
                &grouped,
            )?;
        }
        Plot::Growth => {
            let chart = builder(&area).build_cartesian_2d(places, 0.0..highs.1 * 1.25)?;
            finish(chart, curves, &words, (&|x| x, apart(x_min, x_max)), &grouped)?;
        }
    }
    root.present()?;
    Ok(())
}

fn builder<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.x_label_area_size(48).y_label_area_size(90).margin_right(10);
    builder
}

/// Draws axes, curves and legend.
fn finish<'a, 'b: 'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>,
    curves: &[&Curve],
    words: &Words,
    (place, apart): (&dyn Fn(f64) -> f64, f64),
    x_name: &dyn Fn(&f64) -> String,
) -> Outcome
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let written = |size: u32, color: RGBColor| (FONT, size).into_font().color(&color);
    chart
        .configure_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(MUTED)
        .x_labels(10)
        .y_labels(10)
        .x_desc(words.x)
        .y_desc(words.y)
        .axis_desc_style(written(14, INK))
        .label_style(written(13, INK))
        .x_label_formatter(&x_name)
        .y_label_formatter(&grouped)
        .draw()?;
    let middle = (float(curves.len()) - 1.0) / 2.0;
    for (at, curve) in curves.iter().enumerate() {
        let (color, width) = look(curve);
        let aside = apart.powf(float(at) - middle);
        let points: Vec<(f64, &Sample)> = curve.points.iter().map(|point| (place(point.x) * aside, &point.y)).collect();
        let line = LineSeries::new(points.iter().map(|(x, y)| (*x, y.median)), color.stroke_width(width));
        chart.draw_series(line)?;
        chart.draw_series(points.iter().map(|(x, y)| Circle::new((*x, y.median), 4, color.filled())))?;
        let bars = points.iter().filter(|(_, y)| y.len() > 1);
        chart
            .draw_series(bars.map(|(x, y)| ErrorBar::new_vertical(*x, y.min, y.median, y.max, color.filled(), BAR)))?;
    }
    Ok(())
}

/// What places of the next curve are multiplied by, so that bars of the same place stand beside each other.
fn apart(from: f64, to: f64) -> f64 {
    (to / from).max(1.0).powf(APART)
}

/// Names the curves, side by side between the title and the axes, where no curve can be.
fn legend(root: &Area<'_>, curves: &[&Curve]) -> Outcome {
    let names = curves.iter().map(|curve| {
        let (color, width) = look(curve);
        (curve.who.as_str(), color, width)
    });
    side_by_side(root, (24, LEGEND_AT), 4, names)
}

/// Writes the names of curves in one line, each behind a piece of its curve; the colours, the widths and the radius of
/// the points are those of the curves.
pub(crate) fn side_by_side<'a>(
    area: &Area<'_>,
    (mut left, top): (i32, i32),
    points: i32,
    curves: impl Iterator<Item = (&'a str, RGBColor, u32)>,
) -> Outcome {
    let middle = top + 8;
    for (name, color, width) in curves {
        let stroke = PathElement::new([(left, middle), (left + LEGEND_LINE, middle)], color.stroke_width(width));
        area.draw(&stroke)?;
        area.draw(&Circle::new((left + LEGEND_LINE / 2, middle), points, color.filled()))?;
        left += LEGEND_LINE + 8;
        let style = (FONT, 14).into_font().color(&INK);
        area.draw(&Text::new(name.to_owned(), (left, top), style))?;
        left += i32::try_from(name.chars().count())? * LETTER + 26;
    }
    Ok(())
}

/// How a curve is drawn: its colour and the width of its line.
fn look(curve: &Curve) -> (RGBColor, u32) {
    match (curve.target, curve.who.contains("2 shards")) {
        (Target::RepSec, false) => (RGBColor(0x0b, 0x6e, 0x99), 3),
        (Target::RepSec, true) => (RGBColor(0x58, 0xb4, 0xd9), 2),
        (Target::Redis, _) => (RGBColor(0xc8, 0x3c, 0x2e), 2),
        (Target::Echo, _) => (RGBColor(0x8a, 0x8f, 0x98), 2),
    }
}

/// The least and the greatest; `None` when there are none.
fn bounds(numbers: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let least = numbers.clone().reduce(f64::min)?;
    Some((least, numbers.reduce(f64::max)?))
}

/// One of how many commands is beyond this share.
fn rarity(share: f64) -> f64 {
    1.0 / (1.0 - share)
}

/// The name of a share by its rarity, if it has one.
fn quantile_name(place: &f64) -> String {
    let found = QUANTILES.iter().find(|(share, _)| (rarity(*share) / place - 1.0).abs() < 1e-6);
    found.map_or_else(String::new, |(_, name)| (*name).to_owned())
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: &f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The numbers of an interval that are one, two or five times a power of ten.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let mut ticks = Vec::new();
    let mut power = 10_f64.powf(from.log10().floor());
    while power <= to {
        ticks.extend([1.0, 2.0, 5.0].map(|times| times * power).into_iter().filter(|tick| (from..=to).contains(tick)));
        power *= 10.0;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Point;

    fn curve(plot: Plot, who: &str, target: Target, points: &[(f64, &[f64])]) -> Curve {
        let points =
            points.iter().map(|(x, rounds)| Point { x: *x, y: Sample::of(rounds.to_vec()).unwrap() }).collect();
        Curve { plot, who: who.to_owned(), target, points }
    }

    /// Each plot is well-formed, has the curves' names and the words, and as many points as were measured.
    #[test]
    fn plots_are_pictures() {
        let sets = [
            (Plot::Latency, [(0.5, [80.0, 90.0]), (0.999, [400.0, 900.0]), (0.9999, [700.0, 5000.0])]),
            (Plot::Throughput, [(4.0, [60e3, 61e3]), (32.0, [300e3, 310e3]), (512.0, [1.2e6, 1.3e6])]),
            (Plot::Growth, [(1e4, [410.0, 420.0]), (1e5, [450.0, 460.0]), (1e7, [600.0, 700.0])]),
        ];
        for (plot, points) in sets {
            let points: Vec<(f64, &[f64])> = points.iter().map(|(x, y)| (*x, y.as_slice())).collect();
            let ours = curve(plot, "repsec & <more>", Target::RepSec, &points);
            let peer = curve(plot, "redis", Target::Redis, &points);
            let text = svg(plot, &[&ours, &peer], "2026-01-01, a machine").unwrap();
            let picture = roxmltree::Document::parse(&text).unwrap();
            assert_eq!(picture.root_element().tag_name().name(), "svg");
            let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
            let words = words(plot);
            for expected in [words.title, words.x, words.y, "repsec & <more>", "redis", "2026-01-01, a machine"] {
                assert!(texts.contains(&expected), "{plot:?}: {expected} is not among {texts:?}");
            }
            let circles = picture.descendants().filter(|node| node.has_tag_name("circle")).count();
            assert!(circles >= 6, "{plot:?}: {circles}");
        }
    }

    #[test]
    fn what_has_no_points_is_refused() {
        assert!(svg(Plot::Growth, &[], "").is_err());
        assert!(svg(Plot::Growth, &[&curve(Plot::Growth, "none", Target::Echo, &[])], "").is_err());
    }

    #[test]
    fn labels_are_read_by_people() {
        assert_eq!(
            [0.0, 999.0, 1000.0, 1_234_567.0].map(|number| grouped(&number)),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(ticks(60.0, 1200.0).iter().map(grouped).collect::<Vec<_>>(), ["100", "200", "500", "1,000"]);
        assert_eq!([2.0, 1000.0, 7.0].map(|place| quantile_name(&place)), ["50 %", "99.9 %", ""]);
    }
}
