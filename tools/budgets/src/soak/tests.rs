use proptest::prelude::*;

use super::flat::{Measure, judge, judged_from, told_from};
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
        changes: 200_000,
        names: 1_000_000,
        connections: 40,
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
        changes: 4000,
        names: 100_000,
        connections: 500,
        reloads: 3,
        snapshots: 2,
        verified: "OK".to_owned(),
        looks,
        verdicts,
    }
}

/// A table that fills and goes to disk.
#[derive(Clone, Debug)]
struct Table {
    bytes: f64,
    /// Its fillings in each third of what is judged.
    turns: f64,
    phase: f64,
}

fn tables() -> impl Strategy<Value = Vec<Table>> {
    let table = (1e6_f64..4e7, 3.0_f64..13.0, 0.0_f64..1.0);
    let table = table.prop_map(|(bytes, turns, phase)| Table { bytes, turns, phase });
    proptest::collection::vec(table, 0..4)
}

/// Half an hour with these tables, some noise, and so many bytes more in each minute.
fn half_an_hour(tables: &[Table], noise: &[f64], grows: f64) -> Vec<Look> {
    let full = |minute: f64| -> f64 {
        tables.iter().map(|table| table.bytes * (minute / 6.0 * table.turns + table.phase).fract()).sum()
    };
    (0..180)
        .map(|at: usize| {
            let minute = (float(at) + 0.2 * noise[(at * 7 + 3) % noise.len()]) / 6.0;
            let parts = (0..turnover::PARTS).map(|part| minute - float64(part) / float64(turnover::PARTS) / 6.0);
            let tables: f64 = parts.map(|minute| full(minute.max(0.0))).sum();
            let bytes = 4e8 + tables / float64(turnover::PARTS) + 2e6 * noise[at % noise.len()] + grows * minute;
            look(minute, |m| if m == Measure::Memory { bytes } else { usual(m) })
        })
        .collect()
}

fn memory(looks: &[Look]) -> flat::Verdict {
    judge(looks).unwrap().into_iter().find(|verdict| verdict.measure == Measure::Memory).unwrap()
}

proptest! {
    /// Tables that fill and go to disk do not make memory grow, whatever their sizes, paces and phases are; and a leak
    /// beside them is told from half as much again as the limit that the text names, and not below half of it.
    #[test]
    fn a_leak_is_told_beside_tables(
        tables in tables(),
        noise in proptest::collection::vec(0.0_f64..1.0, 50..180),
        factor in 1.5_f64..10.0,
    ) {
        let still = half_an_hour(&tables, &noise, 0.0);
        let verdict = memory(&still);
        prop_assert!(verdict.flat, "{verdict:?}");
        // A look has 1,000 commands, and there are six in a minute.
        let [command, change, connection] = told_from(&still).unwrap();
        prop_assert!((change - command / 200.0).abs() < 1e-6 * command && (connection - command * 25.0).abs() < 1e-3);
        let verdict = memory(&half_an_hour(&tables, &noise, 6000.0 * command * factor));
        prop_assert!(!verdict.flat, "{verdict:?}");
        let verdict = memory(&half_an_hour(&tables, &noise, 6000.0 * command / 2.0));
        prop_assert!(verdict.flat, "{verdict:?}");
    }

    /// What grows once and then stays is no leak: a hash table doubles.
    #[test]
    fn what_grows_once_is_flat(at in 0.0_f64..30.0, more in 0.0_f64..1e7) {
        let looks: Vec<Look> = half_an_hour(&[], &[0.0], 0.0)
            .into_iter()
            .map(|seen| {
                let bytes = 4e8 + if seen.minute < at { 0.0 } else { more };
                look(seen.minute, |m| if m == Measure::Memory { bytes } else { usual(m) })
            })
            .collect();
        let verdict = memory(&looks);
        prop_assert!(verdict.flat, "{verdict:?}");
    }

    /// What stays the same is flat, however much there was in the beginning; and whatever one measure gains over the
    /// judged time, if it is enough, that measure is told and no other.
    #[test]
    fn what_grows_is_told(
        looks in 60_usize..200,
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
        let told = judge(&series(0.0)).unwrap();
        prop_assert_eq!(told.len(), 6);
        for verdict in told {
            prop_assert!(verdict.flat, "{verdict:?}");
        }
        for verdict in judge(&series(gain)).unwrap() {
            prop_assert_eq!(verdict.flat, verdict.measure != grows, "{:?}", verdict);
        }
    }

    /// Whatever a round has done itself, and however long the run is: what is seen to beside the day brings every table
    /// to disk as often as memory needs to be judged, and no more than it takes.
    #[test]
    fn tables_go_to_disk_often_enough(minutes in 24.0_f64..600.0, changes in 2000_u64..8000, seconds in 8.0_f64..12.0) {
        let mut looks: Vec<Look> = Vec::new();
        let mut minute = 0.0;
        while minute < minutes {
            minute += seconds / 60.0;
            let (more, names) = turnover::due(&looks, minute, minutes, (changes, 80_000));
            looks.push(Look { changes: changes + more, names: 80_000 + names, ..look(minute, usual) });
        }
        prop_assert!(told_from(&looks).is_some());
        let day = float(looks.len()) * f64::from(u32::try_from(changes).unwrap()) / float(1 << 19);
        prop_assert!(turnover::turns(&looks) <= day.max(18.1), "{}", turnover::turns(&looks));
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
    assert!((judged_from(&series(101, 0.0), Measure::Threads) - 40.0).abs() < 1e-9);
    assert!((judged_from(&series(21, 0.0), Measure::Memory) - 11.0).abs() < 1e-9);
    assert!((judged_from(&series(9, 0.0), Measure::Memory) - 8.0).abs() < 1e-9);
}

#[test]
fn memory_is_not_judged_where_its_tables_stay() {
    let series = |changes: u64, minutes: f64| -> Vec<Look> {
        (0..180).map(|at| Look { changes, ..look(f64::from(at) * minutes / 180.0, usual) }).collect()
    };
    let judged = |looks: &[Look]| judge(looks).unwrap().iter().any(|verdict| verdict.measure == Measure::Memory);
    assert!(judged(&series(50_000, 30.0)));
    assert!(!judged(&series(5000, 30.0)), "half a table in each third");
    assert!(!judged(&series(50_000, 11.0)), "nonces are still being gathered");
    assert_eq!(told_from(&series(5000, 30.0)), None);
}

#[test]
fn a_soak_is_a_text_and_a_picture() {
    let looks = (0..60).map(|at| look(f64::from(at) / 2.0, usual)).collect();
    let mut soak = soak(looks);
    let text = soak.text();
    for expected in ["resident memory", "286.1 MiB", "log verify", "100,000 commands", "flat", "would have been told"] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    assert!(soak.is_flat());
    let picture = picture::svg(&soak, "2026-01-01, a <machine>").unwrap();
    let picture = roxmltree::Document::parse(&picture).unwrap();
    let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    let panels = ["resident memory (MiB)", "open descriptors", "latency (microseconds), logarithmic"];
    let curves = ["without the log's files", "files of the log", "threads", "median", "99 %", "99.9 %"];
    for expected in panels.iter().chain(&curves).copied().chain(["2026-01-01, a <machine>"]) {
        assert!(texts.contains(&expected), "{expected} is not among {texts:?}");
    }
    soak.verdicts[1].flat = false;
    assert!(!soak.is_flat() && soak.text().contains("GROWS"));
    soak.verdicts[1].flat = true;
    soak.verdicts.remove(0);
    assert!(!soak.is_flat(), "memory was not judged");
    soak.verdicts.clear();
    assert!(soak.text().contains("too short"));
}
