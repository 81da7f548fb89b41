use proptest::prelude::*;

use super::flat::{Measure, judge, judged_from};
use super::*;
use crate::statistics::float;

fn look(minute: f64, of: impl Fn(Measure) -> f64) -> Look {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of this test are small")]
    let count = |measure| of(measure) as usize;
    Look {
        minute,
        rss_bytes: count(Measure::Memory),
        descriptors: count(Measure::Descriptors),
        files: 40,
        threads: count(Measure::Threads),
        commands: 1000,
        p50_us: of(Measure::Median),
        p99_us: of(Measure::P99),
        p999_us: 2.0 * of(Measure::P99),
        cpu_ns: of(Measure::Cpu),
    }
}

fn usual(measure: Measure) -> f64 {
    match measure {
        Measure::Memory => 3e8,
        Measure::Descriptors => 200.0,
        Measure::Threads => 12.0,
        Measure::Median => 150.0,
        Measure::P99 => 900.0,
        Measure::Cpu => 1500.0,
    }
}

fn soak(looks: Vec<Look>) -> Soak {
    let verdicts = judge(&looks).unwrap_or_default();
    Soak {
        date: "2026-01-01".to_owned(),
        machine: Machine {
            cpu: "a <machine>".to_owned(),
            cores: 2,
            memory_gib: 4.0,
            kernel: "Linux".to_owned(),
            disk: "ext4".to_owned(),
            syncs_per_s: 1000.0,
            busy_cores_before: 0.0,
        },
        versions: Versions {
            repsec: "0000000".to_owned(),
            rustc: String::new(),
            rustls: String::new(),
            rocksdb: String::new(),
            redis: String::new(),
        },
        entities: 1000,
        per_second: 1000,
        commands: 100_000,
        changes_taken_back: 4000,
        connections: 500,
        reloads: 3,
        snapshots: 2,
        verified: "OK".to_owned(),
        looks,
        verdicts,
    }
}

proptest! {
    /// What stays the same is flat, however much there was in the beginning; and whatever one measure gains over the
    /// judged time, if it is enough, that measure is told and no other.
    #[test]
    fn what_grows_is_told(
        looks in 20_usize..200,
        measure in 0_usize..6,
        early in 0.5_f64..2.0,
        gain in 5.0_f64..9.0,
    ) {
        let grows = Measure::ALL[measure];
        let end = float(looks - 1);
        let series = |gain: f64| -> Vec<Look> {
            (0..looks)
                .map(|at| {
                    let part = float(at) / end;
                    let factor = if part < 0.39 { early } else { 1.0 };
                    look(float(at), |m| usual(m) * factor * if m == grows { 1.0 + gain * part } else { 1.0 })
                })
                .collect()
        };
        for verdict in judge(&series(0.0)).unwrap() {
            prop_assert!(verdict.flat, "{verdict:?}");
        }
        for verdict in judge(&series(gain)).unwrap() {
            prop_assert_eq!(verdict.flat, verdict.measure != grows, "{:?}", verdict);
        }
    }
}

#[test]
fn one_descriptor_more_is_told_and_a_short_run_is_not_judged() {
    let series = |looks: u32, more: f64| -> Vec<Look> {
        (0..looks)
            .map(|at| {
                look(f64::from(at), |m| {
                    usual(m) + if m == Measure::Descriptors && at > looks / 2 + looks / 4 { more } else { 0.0 }
                })
            })
            .collect()
    };
    let told =
        |looks: &[Look]| judge(looks).unwrap().into_iter().filter(|v| !v.flat).map(|v| v.measure).collect::<Vec<_>>();
    assert_eq!(told(&series(60, 1.0)), [Measure::Descriptors]);
    assert!(told(&series(60, 0.0)).is_empty());
    assert_eq!(judge(&series(12, 0.0)), None);
    assert_eq!(judge(&[]), None);
    assert!((judged_from(&series(101, 0.0)) - 40.0).abs() < 1e-9);
}

#[test]
fn a_soak_is_a_text_and_a_picture() {
    let looks = (0..60).map(|at| look(f64::from(at) / 2.0, usual)).collect();
    let mut soak = soak(looks);
    let text = soak.text();
    for expected in ["resident memory", "286.1 MiB", "log verify", "100,000 commands", "flat"] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    assert!(soak.is_flat());
    let picture = picture::svg(&soak, "2026-01-01, a <machine>").unwrap();
    let picture = roxmltree::Document::parse(&picture).unwrap();
    let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    for expected in
        ["resident memory (MiB)", "open descriptors", "latency (microseconds), logarithmic", "2026-01-01, a <machine>"]
    {
        assert!(texts.contains(&expected), "{expected} is not among {texts:?}");
    }
    soak.verdicts[1].flat = false;
    assert!(!soak.is_flat() && soak.text().contains("GROWS"));
    soak.verdicts.clear();
    assert!(soak.text().contains("too short"));
}
