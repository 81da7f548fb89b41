//! A whole run: what was found and where, as JSON, as a table, and as files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::book::{Book, Plot};
use crate::failure::Failure;
use crate::folder::Folder;
use crate::machine::{Machine, Versions};
use crate::peer::{Keep, redis_options, repsec_options};
use crate::plot;
use crate::settings::Size;
use crate::table;

/// A whole run. As JSON it is one object with these names.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The day, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// Of what.
    pub versions: Versions,
    /// How long and how much.
    pub size: Size,
    /// How each peer was started, but for its directory, address and certificate.
    pub options: Vec<PeerOptions>,
    /// Seconds that the run took.
    pub seconds: f64,
    /// Cores that the hypervisor gave to others while it ran, on average.
    pub stolen_cores: f64,
    /// What was found.
    pub book: Book,
}

/// How a peer was started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerOptions {
    /// Who.
    pub who: String,
    /// Its command line.
    pub options: String,
}

/// The options of all peers.
pub fn options() -> Vec<PeerOptions> {
    let option = |who: &str, options: String| PeerOptions { who: who.to_owned(), options };
    let shown = |options: Vec<&str>| {
        let words: Vec<&str> = options.into_iter().map(|word| if word.is_empty() { "''" } else { word }).collect();
        words.join(" ")
    };
    vec![
        option("repsec", format!("serve {} (or 2)", repsec_options(1).join(" "))),
        option("redis", shown(redis_options(Keep::Nothing))),
        option("redis, AOF always", shown(redis_options(Keep::Always))),
        option("echo", "repsec-load echo-server: the event loop and TLS of repsec, on one core".to_owned()),
        option(
            "bare RocksDB",
            "its iterator over the log, or over the same events one by one in a store with the options of the log; \
             read-only, 256 KiB of read-ahead, no block cache"
                .to_owned(),
        ),
    ]
}

impl Results {
    /// Writes the table, the JSON and the plots into a directory, which is made if it is not there.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), Failure> {
        let folder = Folder::new(directory)?;
        folder.text("table.txt", &table::text(self, false))?;
        folder.json("results.json", self)?;
        for (plot, name) in
            [(Plot::Latency, "latency.svg"), (Plot::Throughput, "throughput.svg"), (Plot::Growth, "growth.svg")]
        {
            let curves: Vec<_> = self.book.curves.iter().filter(|curve| curve.plot == plot).collect();
            if !curves.is_empty() {
                folder.text(name, &plot::svg(plot, &curves, &self.caption())?)?;
            }
        }
        Ok(())
    }

    /// The day and the processor, in a directory's name; and that a run says nothing about the budgets, where that is so.
    pub fn directory(&self, results: &Path) -> PathBuf {
        let kind = match (self.size.quick, self.size.is_smaller()) {
            (true, _) => "-quick",
            (false, true) => "-smaller",
            (false, false) => "",
        };
        results.join(format!("{}-{}{kind}", self.date, self.machine.slug()))
    }

    /// What stands below each plot.
    fn caption(&self) -> String {
        let quick = match (self.size.quick, self.size.is_smaller()) {
            (true, _) => "QUICK RUN, says nothing about the budgets. ",
            (false, true) => "SMALLER RUN than the budgets are about. ",
            (false, false) => "",
        };
        let Machine { cpu, cores, .. } = &self.machine;
        let rounds = match self.size.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("median of {rounds} rounds, least and greatest as bars"),
        };
        format!("{quick}{}, {cpu}, {cores} cores, client on the same machine; {rounds}", self.date)
    }
}

/// A run that never was, for tests.
#[cfg(test)]
pub(crate) fn made_up(size: Size) -> Results {
    use repsec_load::Target;

    use crate::book::{Curve, Disturbance, Note, Point, Spent};
    use crate::budget::{Budget, Goal};
    use crate::row::Row;
    use crate::statistics::Sample;
    use crate::unit::Unit;

    let sample = |rounds: &[f64]| Sample::of(rounds.to_vec()).unwrap_or_else(|| unreachable!("numbers"));
    let cost = |ours: &[f64]| Row::new(Budget::B1, "CPU", Unit::CpuNs, sample(ours));
    let goal = Goal::AtMost(0.35);
    let points = vec![Point { x: 1e4, y: sample(&[400.0, 420.0]) }, Point { x: 1e7, y: sample(&[500.0, 600.0]) }];
    let curve = Curve { plot: Plot::Growth, who: "repsec".to_owned(), target: Target::RepSec, points };
    let book = Book {
        rows: vec![
            cost(&[300.0, 310.0]).beside("redis", sample(&[1000.0, 1000.0])).ratio_goal(goal),
            cost(&[900.0, 900.0]).beside("redis", sample(&[1000.0, 1000.0])).ratio_goal(goal).decides(false),
            Row::new(Budget::B7, "start", Unit::Seconds, sample(&[6.0])).own_goal(Goal::AtMost(3.0)),
        ],
        notes: vec![Note { budget: Budget::B1, text: "a remark".to_owned() }],
        curves: vec![curve],
        failures: vec![Note { budget: Budget::B4, text: "redis is gone".to_owned() }],
        measurements: Vec::new(),
        disturbances: vec![
            Disturbance { budget: Budget::B1, other_cores: 0.02, settled: true },
            Disturbance { budget: Budget::B1, other_cores: 0.31, settled: false },
        ],
        spent: vec![Spent { budget: Budget::B1, seconds: 0.4 }, Spent { budget: Budget::B7, seconds: 21.0 }],
    };
    let machine = Machine {
        cpu: "Some CPU".to_owned(),
        cores: 2,
        memory_gib: 24.0,
        kernel: "Linux 6".to_owned(),
        disk: "ext4".to_owned(),
        syncs_per_s: 3000.0,
        busy_cores_before: 0.0,
    };
    let unknown = String::new;
    let versions =
        Versions { repsec: unknown(), rustc: unknown(), rustls: unknown(), rocksdb: unknown(), redis: unknown() };
    let (date, options) = ("2026-01-01".to_owned(), options());
    Results { date, machine, versions, size, options, seconds: 1.0, stolen_cores: 0.0, book }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::privacy::Privacy;
    use std::fs;

    #[test]
    fn a_run_is_written_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let run = made_up(Size::full());
        let path = run.directory(directory.path());
        assert!(path.ends_with("2026-01-01-some"));
        run.write(&path).unwrap();
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&read("results.json")).unwrap(), run);
        roxmltree::Document::parse(&read("growth.svg")).unwrap();
        assert!(!path.join("latency.svg").exists(), "nothing was measured for it");
        let table = read("table.txt");
        for expected in
            ["0.305 x (0.300..0.310)", "(NOT met by 2.57 x)", "NOT met by 2.00 x", "a remark", "redis is gone"]
        {
            assert!(table.contains(expected), "{expected} is not in\n{table}");
        }
        assert!(table.contains("\nmet       B1\nNOT met   B7\nB4        not measured"), "{table}");
        assert!(table.contains("B1 0.02 to 0.31") && table.contains("1 of 2 numbers"), "{table}");
        assert!(table.contains("BUSY MACHINE"), "{table}");
        assert!(table.contains("B1 0 s, B7 21 s"), "{table}");
    }

    /// Nobody must learn from results whose machine it was, wherever a name or a path got into them.
    #[test]
    fn a_written_run_names_no_place() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = directory.path().join("repsec-budgets.4711");
        let mut run = made_up(Size::full());
        let inside = scratch.join("lookup-1.log");
        run.book.failure(Budget::B4, format!("cannot write {}: no space left", inside.display()));
        run.book.note(Budget::B1, format!("found in {}", inside.display()));
        run.book.curves[0].who = format!("repsec of {}", directory.path().display());
        run.machine.disk = format!("ext4 on {}", directory.path().display());
        let clean = Privacy::of(&scratch, &crate::repository()).cleaned(&run).unwrap();
        let out = directory.path().join("out");
        clean.write(&out).unwrap();
        for name in ["table.txt", "results.json", "growth.svg"] {
            let text = fs::read_to_string(out.join(name)).unwrap();
            assert!(!text.contains(&*directory.path().to_string_lossy()) && !text.contains("4711"), "{name}: {text}");
        }
        assert!(
            fs::read_to_string(out.join("table.txt"))
                .unwrap()
                .contains("cannot write <scratch>/lookup-1.log: no space")
        );
    }

    /// What is known of no machine stays as it was.
    #[test]
    fn cleaning_keeps_every_number() {
        let run = made_up(Size::full());
        assert_eq!(Privacy::of(Path::new("/no/such"), Path::new("/nowhere/at/all")).cleaned(&run).unwrap(), run);
    }

    /// Nobody must take a quick run for a real one, wherever they look.
    #[test]
    fn a_quick_run_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let run = made_up(Size::quick());
        let path = run.directory(directory.path());
        assert!(path.ends_with("2026-01-01-some-quick"));
        run.write(&path).unwrap();
        let table = fs::read_to_string(path.join("table.txt")).unwrap();
        assert!(table.contains("QUICK RUN") && table.contains("B7 quick") && !table.contains("\nmet "), "{table}");
        assert!(fs::read_to_string(path.join("growth.svg")).unwrap().contains("QUICK RUN"));
        assert!(fs::read_to_string(path.join("results.json")).unwrap().contains("\"quick\": true"));
    }
}
