//! What a number counts, and how people read it.

use serde::{Deserialize, Serialize};

use crate::statistics::Sample;

/// What a number counts. The number itself always stands in this very unit; only its text is scaled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds of CPU time for each command, name or event.
    CpuNs,
    /// So many a second.
    PerSecond,
    /// Microseconds from asking to answer.
    LatencyUs,
    /// Bytes of memory.
    Bytes,
    /// Seconds.
    Seconds,
    /// A quotient.
    Times,
}

impl Unit {
    /// From which size on a number is told in which larger unit.
    fn steps(self) -> &'static [(f64, &'static str)] {
        match self {
            Unit::CpuNs => &[(1.0, " ns"), (1e4, " us"), (1e7, " ms")],
            Unit::PerSecond => &[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s")],
            Unit::LatencyUs => &[(1.0, " us"), (1e3, " ms"), (1e6, " s")],
            Unit::Bytes => &[(1.0, " B"), (1024.0, " KiB"), (1_048_576.0, " MiB")],
            Unit::Seconds => &[(1.0, " s")],
            Unit::Times => &[(1.0, " x")],
        }
    }

    /// What one step counts, in this unit: what a number is divided by for its text.
    fn divisor(self, step: f64) -> f64 {
        match (self, step) {
            (Unit::CpuNs, 1e4) => 1e3,
            (Unit::CpuNs, 1e7) => 1e6,
            _ => step,
        }
    }

    fn scale(self, number: f64) -> (f64, &'static str) {
        let steps = self.steps();
        let fitting = steps.iter().rev().find(|(step, _)| number.abs() >= *step);
        let (step, name) = fitting.or(steps.first()).copied().unwrap_or((1.0, ""));
        (self.divisor(step), name)
    }

    /// A number as a person reads it.
    pub fn text(self, number: f64) -> String {
        let (divisor, name) = self.scale(number);
        format!("{}{name}", digits(number / divisor))
    }

    /// A sample as a person reads it: the median, and the spread where there is more than one round.
    pub fn sample_text(self, sample: &Sample) -> String {
        if sample.len() < 2 {
            return self.text(sample.median);
        }
        let (divisor, name) = self.scale(sample.median);
        let [median, min, max] = [sample.median, sample.min, sample.max].map(|number| digits(number / divisor));
        format!("{median}{name} ({min}..{max})")
    }
}

/// Three digits that count, and none behind the point of a number that is long without them.
fn digits(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        ..0.1 => format!("{number:.4}"),
        ..1.0 => format!("{number:.3}"),
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_three_digits_and_a_unit() {
        let expected = [
            (Unit::CpuNs, 512.34, "512 ns"),
            (Unit::CpuNs, 4321.0, "4321 ns"),
            (Unit::CpuNs, 43_210.0, "43.2 us"),
            (Unit::PerSecond, 181_920.0, "182k/s"),
            (Unit::PerSecond, 2_345_678.0, "2.35M/s"),
            (Unit::LatencyUs, 999.0, "999 us"),
            (Unit::LatencyUs, 1500.0, "1.50 ms"),
            (Unit::Bytes, 13_721.6, "13.4 KiB"),
            (Unit::Bytes, 170.0, "170 B"),
            (Unit::Seconds, 0.12, "0.120 s"),
            (Unit::Times, 0.351, "0.351 x"),
            (Unit::Seconds, 0.0, "0 s"),
        ];
        for (unit, number, text) in expected {
            assert_eq!(unit.text(number), text);
        }
        let sample = Sample::of(vec![900.0, 1200.0, 1100.0]).unwrap();
        assert_eq!(Unit::LatencyUs.sample_text(&sample), "1.10 ms (0.900..1.20)");
        assert_eq!(Unit::LatencyUs.sample_text(&Sample::of(vec![900.0]).unwrap()), "900 us");
    }
}
