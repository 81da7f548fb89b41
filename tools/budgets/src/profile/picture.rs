//! A breakdown as a picture: one bar for a whole command, one below it for each kind of thread, and a legend in
//! nanoseconds.
//!
//! Never: leaves out a part because it is small or has no name.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Breakdown;
use super::parts::Part;
use crate::failure::Failure;
use crate::plot::{FAINT, FONT, INK, MUTED};

/// Width of the picture, in pixels; its height follows from what is in it.
const WIDTH: i32 = 1040;
const MARGIN: i32 = 24;
/// Where bars begin, behind the names of the threads.
const BARS_AT: i32 = 132;
/// Room behind the longest bar for its number.
const BEHIND: i32 = 76;
const BAR_HEIGHT: i32 = 40;
const BAR_STEP: i32 = 54;
const HEAD_HEIGHT: i32 = 100;
const LEGEND_STEP: i32 = 24;
const SWATCH: i32 = 14;
/// Width of a digit, and of the room around a number: a segment that is narrower has none in it.
const DIGIT: i32 = 8;
const AROUND: i32 = 8;

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a breakdown. The caption says when and where it was measured.
///
/// # Errors
/// When it cannot be drawn.
pub fn svg(breakdown: &Breakdown, caption: &str) -> Result<String, Failure> {
    let mut text = String::new();
    draw(breakdown, caption, &mut text)
        .map_err(|error| Failure::Result(format!("a profile cannot be drawn: {error}")))?;
    Ok(text)
}

/// The colour of a part; the kernel is grey, and what is not known stands out by being nearly white.
fn color(part: Part) -> RGBColor {
    let (r, g, b) = match part {
        Part::KernelNet => (0x5c, 0x67, 0x73),
        Part::KernelPages => (0x7b, 0x85, 0x90),
        Part::KernelTurns => (0xb4, 0xbb, 0xc3),
        Part::EventLoop => (0x2f, 0x4b, 0x7c),
        Part::Tls => (0x1b, 0x7f, 0x79),
        Part::Reading => (0x0b, 0x6e, 0xb5),
        Part::Name => (0x58, 0xb4, 0xd9),
        Part::Session => (0x8e, 0x6b, 0xbf),
        Part::Engine => (0xd1, 0x4d, 0x72),
        Part::Table => (0xf2, 0x8e, 0x2b),
        Part::Answer => (0x59, 0xa1, 0x4f),
        Part::Journal => (0xb6, 0x99, 0x2d),
        Part::Committer => (0x9c, 0x3d, 0x2e),
        Part::RocksWrite => (0xe1, 0x57, 0x59),
        Part::RocksBackground => (0xff, 0x9d, 0x9a),
        Part::KernelDisk => (0x98, 0xa1, 0xab),
        Part::Allocator => (0xed, 0xc9, 0x48),
        Part::Copies => (0x9d, 0x76, 0x60),
        Part::Standard => (0xc9, 0xc4, 0xe0),
        Part::Else => (0xd4, 0xd7, 0xdb),
        Part::Unresolved => (0xf0, 0xf1, 0xf3),
    };
    RGBColor(r, g, b)
}

/// Whether white is better read on a colour than ink.
fn is_dark(color: RGBColor) -> bool {
    let RGBColor(r, g, b) = color;
    3 * u32::from(r) + 6 * u32::from(g) + u32::from(b) < 1300
}

fn draw(breakdown: &Breakdown, caption: &str, text: &mut String) -> Outcome {
    let threads = breakdown.threads();
    let parts = breakdown.parts();
    let bars = i32::try_from(threads.len())? + 1;
    let rows = i32::try_from(parts.len().div_ceil(2))?;
    let legend_at = HEAD_HEIGHT + bars * BAR_STEP + 18;
    let height = legend_at + rows * LEGEND_STEP + 40;
    let root = SVGBackend::with_string(text, (u32::try_from(WIDTH)?, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("{}: {:.0} ns of server CPU for each command", breakdown.load, breakdown.cpu_ns);
    written(&root, &title, (MARGIN, 18), 20, INK, HPos::Left)?;
    let all = format!(
        "Connections x commands in flight on each. All threads of the server; numbers are nanoseconds. {} samples; {:.0} ns \
         while perf recorded them.",
        breakdown.samples, breakdown.recorded_cpu_ns,
    );
    written(&root, &all, (MARGIN, 48), 13, MUTED, HPos::Left)?;
    let how = "By the innermost function of the server's own source, else by crate or symbol; the kernel by symbol, else by \
               thread.";
    written(&root, how, (MARGIN, 68), 13, MUTED, HPos::Left)?;
    let mut top = HEAD_HEIGHT;
    bar(&root, breakdown, ("all threads", None, breakdown.cpu_ns), top)?;
    for (thread, ns) in &threads {
        top += BAR_STEP;
        bar(&root, breakdown, (thread, Some(thread), *ns), top)?;
    }
    for (at, part) in (0..).zip(&parts) {
        let (column, row) = (at / rows, at % rows);
        legend(&root, breakdown, *part, (MARGIN + column * (WIDTH / 2), legend_at + row * LEGEND_STEP))?;
    }
    written(&root, caption, (WIDTH - MARGIN, height - 24), 12, MUTED, HPos::Right)?;
    root.present()?;
    Ok(())
}

fn written(root: &Area<'_>, text: &str, at: (i32, i32), size: u32, color: RGBColor, side: HPos) -> Outcome {
    let style = (FONT, size).into_font().color(&color).pos(Pos::new(side, VPos::Top));
    Ok(root.draw(&Text::new(text.to_owned(), at, style))?)
}

/// One bar: its name, its segments in the order of the parts, and its length in nanoseconds.
fn bar(root: &Area<'_>, breakdown: &Breakdown, (name, thread, ns): (&str, Option<&str>, f64), top: i32) -> Outcome {
    written(root, name, (BARS_AT - 12, top + 12), 14, INK, HPos::Right)?;
    let scale = f64::from(WIDTH - MARGIN - BARS_AT - BEHIND) / breakdown.cpu_ns;
    let bottom = top + BAR_HEIGHT;
    let mut sum = 0.0;
    for part in breakdown.parts() {
        let part_ns = breakdown.ns(part, thread);
        let (left, right) = (pixel(sum * scale), pixel((sum + part_ns) * scale));
        sum += part_ns;
        if right == left {
            continue;
        }
        let color = color(part);
        root.draw(&Rectangle::new([(BARS_AT + left, top), (BARS_AT + right, bottom)], color.filled()))?;
        // A thin line keeps neighbours apart where their colours are alike, and shows what is nearly white.
        root.draw(&Rectangle::new([(BARS_AT + left, top), (BARS_AT + right, bottom)], WHITE.mix(0.7)))?;
        let number = format!("{part_ns:.0}");
        if right - left >= i32::try_from(number.len())? * DIGIT + AROUND {
            let ink = if is_dark(color) { WHITE } else { INK };
            let middle = BARS_AT + i32::midpoint(left, right);
            let style = (FONT, 13).into_font().color(&ink).pos(Pos::new(HPos::Center, VPos::Top));
            root.draw(&Text::new(number, (middle, top + 13), style))?;
        }
    }
    let right = BARS_AT + pixel(sum * scale);
    root.draw(&Rectangle::new([(BARS_AT, top), (right, bottom)], FAINT))?;
    written(root, &format!("{} ns", digits(ns)), (right + 8, top + 12), 14, INK, HPos::Left)
}

fn legend(root: &Area<'_>, breakdown: &Breakdown, part: Part, (left, top): (i32, i32)) -> Outcome {
    let ns = breakdown.ns(part, None);
    let corners = [(left, top), (left + SWATCH, top + SWATCH)];
    root.draw(&Rectangle::new(corners, color(part).filled()))?;
    root.draw(&Rectangle::new(corners, MUTED.mix(0.4)))?;
    written(root, part.name(), (left + SWATCH + 10, top), 14, INK, HPos::Left)?;
    written(root, &format!("{} ns", digits(ns)), (left + 360, top), 14, INK, HPos::Right)?;
    written(root, &format!("{:.1} %", 100.0 * ns / breakdown.cpu_ns), (left + 430, top), 14, MUTED, HPos::Right)
}

/// Nanoseconds, with one digit behind the point where there is one before it.
fn digits(ns: f64) -> String {
    if ns < 10.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}

#[allow(clippy::cast_possible_truncation, reason = "lengths of bars, a thousand pixels at the most")]
fn pixel(length: f64) -> i32 {
    length.round() as i32
}
