//! How many machine instructions does a command take inside the server, and has that grown?
//!
//! Workload: messages of one connection, 128 of them received at once, go through the session (framing, parsing,
//! answer), the engine and the table of entities, as a core takes them. What the number is not: TLS, the kernel, the
//! disk and the hand-over between cores are left out, so it is a part of the cost of a command; and instructions are
//! not time. They are repeatable where time is not, which is why a budget can be held against them.
//!
//! `cargo bench --bench instructions` counts with callgrind (valgrind must be installed) and compares with
//! `benches/instructions.toml`; more than 3 % above a budget is a failure. `-- --write` writes the budgets anew.
//! Without `--bench`, as `cargo test --benches` does it, every workload runs once and its answers are checked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::Arc;

use repsec::domain::{Asked, EventRef, Outcome, Standing};
use repsec::engine::{Effects, Engine, Input, Sequencer};
use repsec::faces::Face as _;
use repsec::faces::repsec::{Limits, Session, Settings};
use repsec::projection::{Current, Nonces};
use repsec::types::{EntityHash, HashKey, Kind, Principal, Sequence, Timestamp};
use repsec::wire::json::Parser;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEY: HashKey = HashKey::new([7; 16]);
const NOW: Timestamp = Timestamp::from_unix_s(1_756_807_200);
/// Entities in the table. Callgrind counts instructions, not cache misses, so more would change nothing.
const ENTITIES: u64 = 10_000;
/// Messages that are received together.
const TOGETHER: u64 = 128;
/// Names of a bulk lookup.
const NAMES: u64 = 1_000;
/// How far above its budget a count may be, in percent.
const TOLERANCE_PERCENT: f64 = 3.0;
const BUDGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");

/// What is counted, each with the number of things (messages, or names) in one turn.
const WORKLOADS: [(&str, u64); 7] = [
    ("verify_hit", TOGETHER),
    ("verify_miss", TOGETHER),
    ("verify_with_escape", TOGETHER),
    ("verify_bulk_name", NAMES),
    ("register", TOGETHER),
    ("register_with_nonce", TOGETHER),
    ("ping", TOGETHER),
];

fn name(number: u64) -> String {
    format!("host-{number:x}.example.net")
}

/// The messages of one turn. Turns differ, so that what is registered was not there before.
fn messages(workload: &str, turn: u64) -> String {
    // An odd multiplier visits every number once, far from the one before.
    let known = |at: u64| name((turn * TOGETHER + at).wrapping_mul(0x9E37_79B9) % ENTITIES);
    let fresh = |at: u64| name(ENTITIES + turn * TOGETHER + at);
    let line = |at: u64| match workload {
        "verify_hit" => format!("{{\"command\":\"VERIFY\",\"entity\":\"{}\",\"id\":{at}}}\n", known(at)),
        "verify_miss" => format!("{{\"command\":\"VERIFY\",\"entity\":\"{}\",\"id\":{at}}}\n", fresh(at)),
        "verify_with_escape" => format!("{{\"command\":\"VERIFY\",\"entity\":\"{}\",\"id\":\"\\u0061\"}}\n", known(at)),
        "register" => format!("{{\"command\":\"REGISTER\",\"entity\":\"{}\",\"id\":{at}}}\n", fresh(at)),
        "register_with_nonce" => format!(
            "{{\"command\":\"REGISTER\",\"entity\":\"{}\",\"id\":{at},\"ts\":{},\"nonce\":\"{:0>22}\"}}\n",
            fresh(at),
            NOW.unix_s(),
            format!("n{}", turn * TOGETHER + at)
        ),
        _ => format!("{{\"command\":\"PING\",\"id\":{at}}}\n"),
    };
    if workload == "verify_bulk_name" {
        let names: Vec<String> = (0..NAMES).map(|at| format!("\"{}\"", known(at))).collect();
        return format!("{{\"command\":\"VERIFY\",\"entities\":[{}]}}\n", names.join(","));
    }
    (0..TOGETHER).map(line).collect()
}

/// A core without sockets and disk.
struct Core {
    session: Session,
    engine: Engine<u64>,
    questions: Vec<(u64, Asked)>,
    out: Vec<u8>,
}

/// Gives answers to the session, and notes which event was the last to be appended.
struct Doing<'a> {
    session: &'a mut Session,
    appended: u64,
}

impl Effects<u64> for Doing<'_> {
    fn append(&mut self, _: EntityHash, event: &EventRef<'_>) {
        self.appended = event.sequence.value();
    }

    fn answer(&mut self, tag: u64, outcome: Outcome) {
        self.session.complete(tag, outcome);
    }

    fn read(&mut self, _: u64, _: Box<repsec::domain::Command>, _: Sequence) {
        unreachable!("no workload reads history");
    }
}

impl Core {
    fn new() -> Core {
        let mut table = Current::new(KEY);
        for number in 0..ENTITIES {
            let name = name(number);
            let standing = Standing {
                kind: Kind::Domain,
                registered: true,
                sequence: Sequence::new(number + 1),
                updated: NOW,
                registrant: "",
                attributes: None,
            };
            table.put(KEY.hash(&name), &name, &standing);
        }
        let last = Sequence::new(ENTITIES);
        let sequencer = Arc::new(Sequencer::new(last, NOW));
        let engine = Engine::new(table, last, Arc::new(Nonces::new(KEY, 1 << 20)), sequencer);
        let limits = Limits::default();
        let settings = Arc::new(Settings::new(limits, false, KEY, &[1]));
        let parser = Rc::new(RefCell::new(Parser::new(limits.depth_max)));
        let session = Session::new(settings, Principal::Anonymous, parser);
        Core { session, engine, questions: Vec::new(), out: Vec::new() }
    }

    /// Answers what is received, as if the disk were done at once.
    fn turn(&mut self, received: &[u8]) {
        self.out.clear();
        self.session.receive(received);
        while let Some(step) = self.session.next(NOW) {
            self.questions.push((step.slot, step.asked));
        }
        let mut doing = Doing { session: &mut self.session, appended: ENTITIES };
        self.engine.step_all(NOW, &mut self.questions, &mut doing);
        let appended = Sequence::new(doing.appended);
        self.engine.step(NOW, Input::Durable(appended), &mut doing);
        while self.session.output_ready() {
            self.session.take_output(&mut self.out);
        }
        self.session.take_records(&mut |record| assert!(record.status > 0));
    }

    fn check(&self, workload: &str) {
        let text = String::from_utf8_lossy(&self.out);
        let (part, count) = match workload {
            "verify_miss" => ("\"status\":404,", TOGETHER),
            "verify_bulk_name" => ("{\"status\":200,\"verified\":true", NAMES),
            _ => ("\"status\":200,", TOGETHER),
        };
        assert_eq!(text.matches(part).count(), usize::try_from(count).unwrap_or(0), "{workload}: {text}");
    }
}

/// Takes so many turns of a workload, after one that warms up. The messages of all turns are made beforehand in the
/// same number for each count, so that making them is the same work.
fn run(workload: &str, turns: u64, prepared: u64) {
    let prepared: Vec<String> = (0..=prepared).map(|turn| messages(workload, turn)).collect();
    let mut core = Core::new();
    for received in prepared.iter().take(usize::try_from(turns).unwrap_or(0) + 1) {
        core.turn(received.as_bytes());
    }
    core.check(workload);
}

/// Instructions of a run in a process of its own.
fn count(workload: &str, turns: u64, prepared: u64) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--take", workload, &turns.to_string(), &prepared.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be started ({error}); on Debian: apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, number)| number.trim().parse().ok())
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("{workload}: callgrind did not count:\n{said}"))
}

/// Instructions of one thing of each workload: what further turns add, so that the start does not count.
fn counts() -> Result<BTreeMap<String, f64>, String> {
    const FEW: u64 = 8;
    const MANY: u64 = 24;
    let mut counts = BTreeMap::new();
    for (workload, things) in WORKLOADS {
        let added = count(workload, MANY, MANY)?.saturating_sub(count(workload, FEW, MANY)?);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let each = added as f64 / ((MANY - FEW) * things) as f64;
        counts.insert(workload.to_owned(), each);
    }
    Ok(counts)
}

/// The budgets in the tree.
fn budgets() -> Result<BTreeMap<String, f64>, String> {
    let text = std::fs::read_to_string(BUDGETS).map_err(|error| format!("{BUDGETS}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("{BUDGETS}: {error}"))
}

fn write_budgets(counts: &BTreeMap<String, f64>) -> Result<(), String> {
    let mut text = "# Instructions inside the server for one message, or one name of a bulk lookup, as\n\
                    # `cargo bench --bench instructions -- --write` counted them. A change that needs more says why.\n"
        .to_owned();
    for (workload, count) in counts {
        text += &format!("{workload} = {count:.1}\n");
    }
    std::fs::write(BUDGETS, text).map_err(|error| format!("{BUDGETS}: {error}"))
}

fn compare() -> Result<bool, String> {
    let (counts, budgets) = (counts()?, budgets()?);
    let mut held = true;
    println!("{:<22} {:>12} {:>12} {:>8}", "one", "instructions", "budget", "");
    for (workload, count) in &counts {
        let budget = budgets.get(workload).copied().ok_or(format!("{BUDGETS} has no line for {workload}"))?;
        let percent = (count / budget - 1.0) * 100.0;
        let exceeded = percent > TOLERANCE_PERCENT;
        held &= !exceeded;
        let verdict = if exceeded { "  exceeded" } else { "" };
        println!("{workload:<22} {count:>12.1} {budget:>12.1} {percent:>+7.1}%{verdict}");
    }
    if !held {
        println!(
            "A budget is exceeded by more than {TOLERANCE_PERCENT} %. If the change is worth it, write the budgets anew:"
        );
        println!("  cargo bench --bench instructions -- --write");
    }
    Ok(held)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--take", workload, turns, prepared] => {
            run(workload, turns.parse().unwrap_or(0), prepared.parse().unwrap_or(0));
            Ok(true)
        }
        words if words.contains(&"--write") => counts().and_then(|counts| write_budgets(&counts)).map(|()| true),
        words if words.contains(&"--bench") => compare(),
        _ => {
            WORKLOADS.iter().for_each(|(workload, _)| run(workload, 1, 1));
            Ok(true)
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
