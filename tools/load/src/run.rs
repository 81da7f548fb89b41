//! A measurement from beginning to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::entities::Entities;
use crate::error::LoadError;
use crate::link::Link;
use crate::plan::{Extent, Pace, Plan, Workload};
use crate::process::{Usage, cpu_ns, own_cpu_ns};
use crate::protocol::{Protocol, Told};
use crate::report::{Cost, Latency, Report, Server, float};
use crate::script::Script;
use crate::tally::{Counting, Tally};
use crate::tls::Trust;
use crate::worker::{Connection, Shared, Timing, Worker};

/// From the making of the threads to the first command, so that all of them are there.
const LEAD: Duration = Duration::from_millis(5);
/// How often whoever watches is told.
const NEWS: Duration = Duration::from_millis(100);

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// Answers so far, those of the warm-up included.
    pub answered: u64,
    /// Seconds since the start.
    pub seconds: f64,
}

/// Runs a plan and reports. Takes as long as the plan says, and at most about half a minute more.
///
/// # Errors
/// When the plan cannot be run, the server cannot be reached, an answer is wrong, or a connection ends.
pub fn run(plan: &Plan) -> Result<Report, LoadError> {
    run_with(plan, &mut |_| ())
}

/// Runs a plan and reports, telling `watch` ten times a second how far it is.
///
/// # Errors
/// As [`run`].
pub fn run_with(plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, LoadError> {
    plan.check()?;
    let entities = Arc::new(Entities::load(&plan.lists)?);
    let trust = Trust::new(&plan.ca, &plan.server_name)?;
    // A process that cannot be looked at is found out before anything is done to it.
    plan.pid.map(Usage::of).transpose()?;
    allow_files(plan.connections)?;
    let links = Link::open_many(plan.address, &trust, plan.connections)?;
    let cipher_suite = links.first().map(Link::cipher_suite).unwrap_or_default();

    let timing = timing(plan);
    let shared = Arc::new(Shared {
        start: Instant::now() + LEAD,
        stop: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        working: AtomicUsize::new(plan.workers),
    });
    let workers = workers(plan, timing, &shared, &entities, links)?;
    let main = thread::current();
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(at, worker)| {
                let (main, shared) = (&main, &shared);
                let thread = thread::Builder::new().name(format!("load-{at}"));
                thread.spawn_scoped(scope, move || worker.run(main)).inspect_err(|_| {
                    shared.stop.store(true, Ordering::Release);
                    shared.working.fetch_sub(1, Ordering::AcqRel);
                })
            })
            .collect();
        let window = observe(plan, timing, &shared, watch);
        let mut tally = Tally::new(counting(plan, timing))?;
        let mut failure = None;
        for thread in threads {
            match thread.map_err(|source| LoadError::System { doing: "start a thread", source })?.join() {
                Ok(Ok(part)) => tally.merge(&part),
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => report(plan, timing, &tally, &window?, cipher_suite),
        }
    })
}

fn timing(plan: &Plan) -> Timing {
    let begin_ns = nanoseconds(plan.warmup_s);
    let end_ns = match plan.extent {
        Extent::Seconds(seconds) => begin_ns + nanoseconds(seconds),
        Extent::Commands(_) => u64::MAX,
    };
    Timing { begin_ns, end_ns, pace: plan.pace, in_flight: plan.in_flight }
}

fn nanoseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX)
}

fn counting(plan: &Plan, timing: Timing) -> Counting {
    match plan.extent {
        Extent::Commands(_) => Counting::Marked,
        Extent::Seconds(_) => {
            Counting::Window { begin_ns: timing.begin_ns, end_ns: timing.end_ns, by_intention: plan.pace != Pace::Max }
        }
    }
}

/// Deals connections out to workers.
fn workers(
    plan: &Plan,
    timing: Timing,
    shared: &Arc<Shared>,
    entities: &Arc<Entities>,
    links: Vec<Link>,
) -> Result<Vec<Worker>, LoadError> {
    let all = u64::try_from(links.len()).unwrap_or(u64::MAX);
    let mut hands: Vec<Vec<Connection>> = (0..plan.workers).map(|_| Vec::new()).collect();
    for (number, link) in (0_u64..).zip(links) {
        let quota = match plan.extent {
            Extent::Seconds(_) => u64::MAX,
            Extent::Commands(commands) => commands / all + u64::from(number < commands % all),
        };
        let worker = usize::try_from(number).unwrap_or_default() % plan.workers;
        if let Some(hand) = hands.get_mut(worker) {
            hand.push(Connection::new(number, link, Script::new(plan, number), quota));
        }
    }
    let counting = counting(plan, timing);
    hands
        .into_iter()
        .map(|connections| {
            let protocol = Protocol::new(plan, Arc::clone(entities));
            Worker::new(Arc::clone(shared), timing, protocol, connections, Tally::new(counting)?, all)
        })
        .collect()
}

/// What is read at one moment.
#[derive(Clone, Copy)]
struct Moment {
    now_ns: u64,
    answered: u64,
    client_cpu_ns: u64,
    server_cpu_ns: u64,
}

impl Moment {
    fn read(plan: &Plan, shared: &Shared) -> Result<Moment, LoadError> {
        Ok(Moment {
            server_cpu_ns: plan.pid.map(cpu_ns).transpose()?.unwrap_or_default(),
            client_cpu_ns: own_cpu_ns(),
            answered: shared.answered.load(Ordering::Relaxed),
            now_ns: shared.now_ns(),
        })
    }
}

/// What was read at the ends of the window.
struct Window {
    begin: Moment,
    end: Moment,
    server: Option<Usage>,
}

/// Reads the clocks at both ends of the window, and tells whoever watches how far the run is.
fn observe(plan: &Plan, timing: Timing, shared: &Shared, watch: &mut dyn FnMut(Progress)) -> Result<Window, LoadError> {
    let stop = |error| {
        shared.stop.store(true, Ordering::Release);
        error
    };
    let mut begin = None;
    loop {
        let now_ns = shared.now_ns();
        let done = shared.working.load(Ordering::Acquire) == 0;
        if begin.is_none() && (now_ns >= timing.begin_ns && Instant::now() >= shared.start || done) {
            begin = Some(Moment::read(plan, shared).map_err(stop)?);
        }
        if let Some(begin) = begin
            && (now_ns >= timing.end_ns || done)
        {
            let end = Moment::read(plan, shared).map_err(stop)?;
            let server = plan.pid.map(Usage::of).transpose().map_err(stop)?;
            return Ok(Window { begin, end, server });
        }
        watch(Progress { answered: shared.answered.load(Ordering::Relaxed), seconds: float(now_ns) / 1e9 });
        let next_ns = if begin.is_none() { timing.begin_ns } else { timing.end_ns };
        let lead = shared.start.saturating_duration_since(Instant::now());
        thread::park_timeout(Duration::from_nanos(next_ns.saturating_sub(now_ns)).min(NEWS).max(lead));
    }
}

fn report(
    plan: &Plan,
    timing: Timing,
    tally: &Tally,
    window: &Window,
    cipher_suite: String,
) -> Result<Report, LoadError> {
    let commands = tally.commands();
    if commands == 0 {
        return Err(LoadError::Nothing("the window saw no answer: make it longer, or the rate higher".to_owned()));
    }
    let planned_ns = timing.end_ns - timing.begin_ns;
    let ended_early = matches!(plan.extent, Extent::Commands(_)) || window.end.now_ns < timing.end_ns;
    let length_ns = if ended_early { tally.last_ns.saturating_sub(timing.begin_ns).max(1) } else { planned_ns };
    let seconds = float(length_ns) / 1e9;
    let names_per_command =
        if plan.workload == Workload::Bulk { u64::try_from(plan.names_per_message).unwrap_or(1) } else { 1 };
    let names = commands * names_per_command;
    let (begin, end) = (window.begin, window.end);
    let cost = |cpu_ns| Cost::new(cpu_ns, end.answered - begin.answered, names_per_command, end.now_ns - begin.now_ns);
    let answers: BTreeMap<String, u64> = Told::ALL
        .into_iter()
        .zip(tally.told)
        .filter(|(_, count)| *count > 0)
        .map(|(told, count)| (told.name().to_owned(), count))
        .collect();
    let server = plan.pid.zip(window.server).map(|(pid, usage)| Server {
        pid,
        cost: cost(end.server_cpu_ns.saturating_sub(begin.server_cpu_ns)),
        rss_bytes: usage.rss_bytes,
        threads: usage.threads,
    });
    Ok(Report {
        plan: plan.clone(),
        cipher_suite,
        seconds,
        commands,
        commands_per_s: float(commands) / seconds,
        names,
        names_per_s: float(names) / seconds,
        answers,
        latency: Latency::of(&tally.latency),
        lag: (plan.pace != Pace::Max).then(|| Latency::of(&tally.lag)),
        unanswered: tally.unanswered,
        client: cost(end.client_cpu_ns.saturating_sub(begin.client_cpu_ns)),
        server,
        next_first: tally.next_own,
    })
}

/// Lets this process have as many files open as connections need.
pub(crate) fn allow_files(connections: usize) -> Result<(), LoadError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(64);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < needed) {
        return Err(LoadError::Plan(format!(
            "{connections} connections need {needed} open files, and this process may have {} (ulimit -Hn)",
            maximum.unwrap_or_default(),
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
        .map_err(|error| LoadError::System { doing: "allow more open files", source: error.into() })
}
