//! One world from one seed: clients, their wires, a server that dies and comes back, a disk, a clock.

use std::collections::VecDeque;

use serde_json::Value;

use crate::auditor::{Auditor, Verb};
use crate::bug::Bug;
use crate::cut::{CLIENTS, Cut, SHARDS_MAX, Way};
use crate::dice::{Dice, now, set_clock};
use crate::disk::{Counts, Disk, Fault};
use crate::process::{Act, Process};
use crate::story::tell;

const PRINCIPALS: [&str; 3] = ["", "alice", "bob"];
const HOT_NAMES: [&str; 5] = ["a.example", "b.example", "192.0.2.7", "c@d.example", "e.f.example"];
/// Things that may happen until everything is answered.
const CALM_STEPS: u64 = 40_000;
/// Answers that a client waits for at the most, more than a session lets be.
const WAITING_MAX: usize = 20;
/// How far the server's clock is set wrong at the most, and mostly, in ms. The first is longer than nonces are
/// remembered.
const CLOCK_STEP_MS: u64 = 3_600_000;
const CLOCK_STEP_MOSTLY_MS: u64 = 60_000;
/// 2025-09-02, in ms.
const BEGIN_MS: u64 = 1_756_807_200_000;
/// Whose turn it is less often, and for how long nobody changes that.
const MOODS: usize = 13;
const MOOD_STEPS: u64 = 40;
/// Parts of a world beside its steps, which throw dice of their own.
const PART_DISK: u64 = 1 << 40;
const PART_MOODS: u64 = 2 << 40;
const PART_END: u64 = 3 << 40;
const MOOD_PER_MILLE: [u64; 4] = [20, 300, 1000, 1000];

/// What a world leaves behind.
pub struct Report {
    /// How often what was done to it.
    pub counts: Counts,
    /// A hash of every answer and every write.
    pub trace: blake3::Hash,
}

struct Client {
    principal: &'static str,
    connection: Option<u64>,
    /// Sendings without an answer, in order.
    waiting: VecDeque<usize>,
    /// Commands whose answer was lost with the connection.
    lost: Vec<usize>,
    received: Vec<u8>,
}

struct World {
    seed: u64,
    cut: Cut,
    dice: Dice,
    disk: Disk,
    process: Option<Process>,
    clients: Vec<Client>,
    auditor: Auditor,
    counts: Counts,
    trace: blake3::Hasher,
    moment: u64,
    true_ms: u64,
    /// How far the server's clock is ahead, from the earliest that it may be.
    ahead_ms: u64,
    connections: u64,
    moods: [u64; MOODS],
    moods_until: u64,
    calm: bool,
    bug: Option<Bug>,
}

/// Lives through one seed, or through what is left of it.
///
/// # Errors
/// What promise was broken.
pub fn live(seed: u64, bug: Option<Bug>, cut: &Cut) -> Result<Report, String> {
    let dice = Dice::part(seed, PART_DISK);
    let disk = Disk::new(Dice::part(seed, PART_DISK), bug);
    let client = |at: usize| Client {
        principal: PRINCIPALS[at % PRINCIPALS.len()],
        connection: None,
        waiting: VecDeque::new(),
        lost: Vec::new(),
        received: Vec::new(),
    };
    let mut world = World {
        seed,
        cut: cut.clone(),
        dice,
        disk,
        process: None,
        clients: (0..CLIENTS).map(client).collect(),
        auditor: Auditor::default(),
        counts: Counts::new(),
        trace: blake3::Hasher::new(),
        moment: 0,
        true_ms: BEGIN_MS,
        ahead_ms: CLOCK_STEP_MS,
        connections: 0,
        moods: [1000; MOODS],
        moods_until: 0,
        calm: false,
        bug,
    };
    set_clock(BEGIN_MS, BEGIN_MS);
    world.start()?;
    for number in &cut.steps {
        world.step(*number)?;
    }
    world.end()?;
    let World { disk, mut counts, mut trace, .. } = world;
    disk.report(&mut counts, &mut trace);
    Ok(Report { counts, trace: trace.finalize() })
}

impl World {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Tells what happens, and when.
    fn tell(&self, what: impl FnOnce() -> String) {
        tell(|| format!("{:>6}  {:>9.3} s  {}", self.moment, (self.true_ms - BEGIN_MS) as f64 / 1000.0, what()));
    }

    /// Starts the server, with any number of shards.
    fn start(&mut self) -> Result<(), String> {
        let shards = (1 + self.dice.below(SHARDS_MAX)).min(self.cut.shards);
        self.tell(|| format!("server    starts with {shards} shards"));
        let process = Process::start(&self.disk, shards, self.bug, &mut self.dice)?;
        if process.from_snapshot {
            self.count("start from a snapshot");
        }
        self.process = Some(process);
        Ok(())
    }

    /// The server is gone, and with it all connections and what was on their wires.
    fn crash(&mut self) -> Result<(), String> {
        if let Some(mut process) = self.process.take() {
            if process.is_syncing() {
                self.count("crash in a slow sync");
                process.die(&mut self.dice);
            }
            self.count_up(&process);
        }
        (0..CLIENTS).for_each(|at| self.cut(at));
        if self.disk.written_after_failure() {
            return Err("something was written after a write had failed (P7)".to_owned());
        }
        self.disk.restart();
        if !self.calm {
            self.true_ms += self.dice.roll() % 20_000;
        }
        self.start()
    }

    /// What a process has met with.
    fn count_up(&mut self, process: &Process) {
        let (complete, abandoned) = process.snapshots();
        for (what, count) in [
            ("letter or message held back", process.held_back),
            ("failed read", process.failed_reads),
            ("slow read", process.slow_reads),
            ("snapshot complete", complete),
            ("snapshot given up", abandoned),
        ] {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// A connection breaks, for both sides.
    fn cut(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let Some(id) = client.connection.take() else { return };
        client.received.clear();
        let lost: Vec<usize> = client.waiting.drain(..).collect();
        tell(|| format!("{:>20}client {at}  is cut off, without answers to {lost:?}", ""));
        for sending in lost {
            let command = self.auditor.command_of(sending);
            if self.auditor.command(command).once.is_some() {
                self.clients[at].lost.push(command);
            }
        }
        if let Some(process) = &mut self.process {
            process.cut(id);
        }
    }

    /// What is whose turn depends on the step, and not on the steps before it.
    fn change_moods(&mut self, number: u64) {
        let next = (number / MOOD_STEPS + 1) * MOOD_STEPS;
        if self.moods_until != next {
            self.moods_until = next;
            let mut dice = Dice::part(self.seed, PART_MOODS + next);
            self.moods.iter_mut().for_each(|mood| *mood = MOOD_PER_MILLE[dice.below(MOOD_PER_MILLE.len())]);
        }
    }

    fn step(&mut self, number: u64) -> Result<(), String> {
        self.dice = Dice::part(self.seed, number);
        self.disk.throw(Dice::part(self.seed, PART_DISK + number));
        self.change_moods(number);
        self.moment += 1;
        self.pass_time();
        match self.dice.below(1000) {
            0 | 1 if self.cut.allows(Way::Crash) => {
                self.count("crash");
                self.tell(|| "server    crashes".to_owned());
                return self.crash();
            }
            2 | 3 if self.cut.allows(Way::Stop) => return self.stop(),
            4..=9 if self.cut.allows(Way::Disk) => {
                let fault = Fault::ALL[self.dice.below(4)];
                self.tell(|| format!("disk      will have a {fault:?}"));
                self.disk.arm(Some(fault));
            }
            10..=24 if self.cut.allows(Way::Cut) => {
                let at = self.dice.below(CLIENTS);
                if self.clients[at].connection.is_some() {
                    self.count("connection cut");
                    self.tell(|| format!("wire      of client {at} breaks"));
                    self.cut(at);
                }
            }
            25..=29 if self.cut.allows(Way::Slow) => {
                let slow = self.dice.chance(500);
                self.tell(|| format!("disk      is {}", if slow { "slow" } else { "fast" }));
                self.disk.slow_down(slow);
            }
            401..=403 if self.cut.allows(Way::Disk) => {
                let unreadable = self.dice.chance(500);
                self.tell(|| format!("disk      can {} be read", if unreadable { "not always" } else { "always" }));
                self.disk.make_unreadable(unreadable);
            }
            30..=34 if self.cut.allows(Way::Snapshot) => {
                if let Some(process) = self.process.as_mut().filter(|process| process.may_snapshot()) {
                    process.begin_snapshot();
                    self.tell(|| "server    begins a snapshot".to_owned());
                    self.count("snapshot begun");
                }
            }
            35..=400 => return self.client_acts(),
            _ => {}
        }
        self.server_acts()
    }

    /// Time goes on, by little or by much, and the server's clock is set now and then.
    fn pass_time(&mut self) {
        self.true_ms += self.dice.roll() % 20;
        if !self.calm && self.dice.chance(1) && self.cut.allows(Way::Silence) {
            self.true_ms += 200_000 + self.dice.roll() % 900_000;
            self.count("long silence");
            self.tell(|| "time      goes on, and nothing happens".to_owned());
        }
        if !self.calm && self.dice.chance(20) && self.cut.allows(Way::Clock) {
            let far = self.dice.chance(40);
            let step = if far { CLOCK_STEP_MS } else { CLOCK_STEP_MOSTLY_MS };
            self.ahead_ms = CLOCK_STEP_MS - step + self.dice.roll() % (2 * step);
            self.count(if far { "clock set far" } else { "clock set" });
            let s = |ms: u64| ms as f64 / 1000.0;
            self.tell(|| format!("clock     is {:.3} s ahead", s(self.ahead_ms) - s(CLOCK_STEP_MS)));
        }
        set_clock(self.true_ms + self.ahead_ms - CLOCK_STEP_MS, self.true_ms);
        self.auditor.clock(self.moment, now().unix_s());
    }

    /// One thing that the server can do, seldom one of those whose mood is bad.
    fn server_acts(&mut self) -> Result<(), String> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let mut acts = Vec::new();
        process.acts(&mut acts);
        for _ in 0..6 {
            if acts.is_empty() {
                break;
            }
            let act = acts[self.dice.below(acts.len())];
            let mood = self.moods[actor(act) % MOODS];
            if self.calm || self.dice.chance(mood) {
                let idle = !process.is_syncing();
                if !self.calm {
                    tell(|| format!("{:>6}{:>14}server    {act:?}", self.moment, ""));
                }
                process.act(act, &mut self.dice)?;
                if idle && process.is_syncing() {
                    *self.counts.entry("slow sync").or_default() += 1;
                }
                break;
            }
        }
        if self.disk.power_gone() {
            self.tell(|| "power     is gone".to_owned());
            return self.crash();
        }
        // While everything settles it goes on, for it has to answer all the same.
        if !self.calm && process.has_failed() && (self.dice.chance(20) || acts.is_empty()) {
            return self.end_failed();
        }
        Ok(())
    }

    /// A process whose disk has failed says so to whom it can, and ends; sometimes it does not come to that.
    fn end_failed(&mut self) -> Result<(), String> {
        self.count("end after a failed write");
        if self.dice.chance(500) {
            self.count("farewell after a failed write");
            self.tell(|| "server    says farewell, since a write has failed".to_owned());
            self.drain()?;
        }
        self.tell(|| "server    ends, since a write has failed".to_owned());
        self.crash()
    }

    /// The server reads no more, and answers what it has read.
    fn drain(&mut self) -> Result<(), String> {
        self.process.iter_mut().for_each(Process::drain);
        self.settle_until(|world| world.process.as_ref().is_none_or(Process::is_drained))
    }

    fn client_acts(&mut self) -> Result<(), String> {
        let at = self.dice.below(CLIENTS);
        if at >= self.cut.clients {
            return Ok(());
        }
        let Some(id) = self.clients[at].connection else {
            self.connect(at);
            return Ok(());
        };
        let slow = self.process.as_ref().is_some_and(Process::is_syncing);
        if slow && !self.clients[at].waiting.is_empty() && self.dice.chance(60) {
            self.count("gave up in a slow sync");
            self.tell(|| format!("client {at}  gives up"));
            self.cut(at);
            return Ok(());
        }
        if self.dice.chance(500) {
            return self.receive(at, id);
        }
        let mut text = String::new();
        for _ in 0..=self.dice.below(4) {
            if self.clients[at].waiting.len() < WAITING_MAX {
                let command = self.choose(at);
                text += &self.send(at, command, id);
            }
        }
        self.put(id, &text);
        Ok(())
    }

    fn connect(&mut self, at: usize) -> u64 {
        self.connections += 1;
        let id = self.connections;
        self.clients[at].connection = Some(id);
        if let Some(process) = &mut self.process {
            let core = self.dice.below(process.shards());
            process.accept(id, core, self.clients[at].principal);
            let principal = self.clients[at].principal;
            self.tell(|| format!("client {at}  connects to shard {core}, as connection {id} of {principal:?}"));
        }
        id
    }

    fn send(&mut self, at: usize, command: usize, id: u64) -> String {
        let (sending, text) = self.auditor.send(command, id, self.moment);
        self.clients[at].waiting.push_back(sending);
        self.tell(|| format!("client {at}  sends {}", text.trim_end()));
        text
    }

    fn put(&mut self, id: u64, text: &str) {
        if let Some(connection) = self.process.as_mut().and_then(|process| process.connections.get_mut(&id)) {
            connection.incoming.extend(text.bytes());
        }
    }

    /// What a client asks next.
    fn choose(&mut self, at: usize) -> usize {
        let again = self.clients[at].lost.len();
        if again > 0 && self.dice.chance(250) {
            let again = self.dice.below(again);
            self.count("command repeated");
            return self.clients[at].lost.swap_remove(again);
        }
        let principal = self.clients[at].principal;
        let hot = HOT_NAMES[self.dice.below(HOT_NAMES.len())].to_owned();
        let claimed = self.auditor.registration_of(&hot);
        let (verb, names) = match (self.dice.below(20), claimed) {
            (0..=4, _) => (Verb::Register, vec![hot]),
            (5..=7, _) => (Verb::Register, vec![self.auditor.fresh_name()]),
            (8..=11, _) => (Verb::Remove, vec![hot]),
            (12..=13, Some(registration)) => (Verb::VerifyClaim(registration), vec![hot]),
            (12..=15, _) => (Verb::Verify, vec![hot]),
            (16, _) => (Verb::Verify, HOT_NAMES.map(str::to_owned).to_vec()),
            (17, _) if self.auditor.known() > 0 => {
                (Verb::VerifyAt(1 + self.dice.roll() % self.auditor.known()), vec![hot])
            }
            _ => (Verb::Audit, vec![hot]),
        };
        let changes = matches!(verb, Verb::Register | Verb::Remove);
        let fresh = names[0] == self.auditor.fresh_name();
        let command = self.auditor.make(verb, names, principal);
        let told = self.auditor.command_mut(command);
        if changes && !fresh && self.dice.chance(600) {
            // Some clients have their time from where the server has it.
            let theirs = if self.dice.chance(500) { self.true_ms / 1000 } else { now().unix_s() };
            told.once = Some((format!("nonce-{command:0>20}"), theirs));
            // Some repeat what was answered well, at once or much later.
            if self.dice.chance(200) {
                self.clients[at].lost.push(command);
            }
        }
        told.fresh = fresh;
        command
    }

    /// A client takes some of the bytes that came for it.
    fn receive(&mut self, at: usize, id: u64) -> Result<(), String> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let (failed, unread) = (process.has_failed(), process.failed_reads > 0);
        let Some(connection) = process.connections.get_mut(&id) else { return Ok(()) };
        if connection.outgoing.is_empty() {
            return Ok(());
        }
        let count = 1 + self.dice.below(connection.outgoing.len());
        self.clients[at].received.extend(connection.outgoing.drain(..count));
        while let Some(end) = self.clients[at].received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.clients[at].received.drain(..=end).collect();
            self.trace.update(&line);
            let answer: Value =
                serde_json::from_slice(&line).map_err(|error| format!("an answer is no JSON: {error}"))?;
            let sending = self.clients[at].waiting.pop_front();
            let expected = sending.map(|sending| sending as u64);
            if answer["id"].as_u64() != expected {
                return Err(format!("an answer out of order: {expected:?} is due, and {answer} came"));
            }
            self.tell(|| format!("client {at}  is told {answer}"));
            if let Some(sending) = sending {
                self.count(sort_of(&answer));
                let failed = failed || unread && self.auditor.reads_history(sending);
                if self.auditor.answered(sending, self.moment, failed, answer)? {
                    self.count("answer: stale since the clock was set back");
                }
            }
        }
        Ok(())
    }

    /// Everything is done and delivered, without further faults, until nobody waits.
    fn settle(&mut self) -> Result<(), String> {
        self.settle_until(|world| {
            let waits = world.clients.iter().any(|client| !client.waiting.is_empty());
            !waits && world.process.as_ref().is_none_or(Process::is_quiet)
        })
    }

    fn settle_until(&mut self, settled: impl Fn(&World) -> bool) -> Result<(), String> {
        let calm = std::mem::replace(&mut self.calm, true);
        self.disk.slow_down(false);
        self.disk.make_unreadable(false);
        for _ in 0..CALM_STEPS {
            self.moment += 1;
            self.pass_time();
            let at = self.dice.below(CLIENTS);
            if let Some(id) = self.clients[at].connection {
                self.receive(at, id)?;
            }
            self.server_acts()?;
            if settled(self) {
                self.calm = calm;
                return Ok(());
            }
        }
        let waiting: Vec<_> = self.clients.iter().map(|client| &client.waiting).collect();
        Err(format!("some are never answered: {waiting:?}"))
    }

    /// The server stops in good order, and starts again.
    fn stop(&mut self) -> Result<(), String> {
        self.count("stop in good order");
        if self.process.as_ref().is_some_and(Process::is_syncing) {
            self.count("stop in a slow sync");
        }
        if !self.calm && self.dice.chance(500) {
            self.count("stop while clients wait");
            self.tell(|| "server    is stopped: it answers what it has read".to_owned());
            self.drain()?;
        } else {
            self.tell(|| "server    is stopped, when everything is answered".to_owned());
            self.settle()?;
        }
        (0..CLIENTS).for_each(|at| self.cut(at));
        self.disk.arm(None);
        if let Some(process) = self.process.take() {
            self.count_up(&process);
            if !process.has_failed() {
                process.finish()?;
            }
        }
        self.disk.restart();
        self.start()
    }

    /// The faults end: all is answered, and then the histories are asked for.
    fn end(&mut self) -> Result<(), String> {
        self.disk.arm(None);
        self.dice = Dice::part(self.seed, PART_END);
        self.disk.throw(Dice::part(self.seed, PART_DISK + PART_END));
        self.tell(|| "all       faults end".to_owned());
        self.calm = true;
        if self.process.as_ref().is_some_and(Process::has_failed) {
            self.crash()?;
        }
        self.ahead_ms = CLOCK_STEP_MS;
        self.settle()?;
        let since = self.moment + 1;
        let names = self.auditor.names();
        for name in names {
            self.moment = self.moment.max(since);
            let id = self.clients[0].connection.unwrap_or_else(|| self.connect(0));
            let command = self.auditor.make(Verb::Audit, vec![name], self.clients[0].principal);
            let text = self.send(0, command, id);
            self.put(id, &text);
            if self.clients[0].waiting.len() > 10 {
                self.settle()?;
            }
        }
        self.settle()?;
        self.auditor.judge(since)?;
        self.stop()
    }
}

/// What sort of answer this is, for counting.
fn sort_of(answer: &Value) -> &'static str {
    match answer["status"].as_u64() {
        Some(200) if answer["replayed"] == true => "answer: replayed",
        Some(200) if answer.get("sequence").is_some() => "answer: changed",
        Some(200) => "answer: seen",
        Some(401) => "answer: stale",
        Some(403 | 404 | 409) => "answer: refused",
        _ => "answer: storage failed",
    }
}

/// A number for whoever does this.
fn actor(act: Act) -> usize {
    match act {
        Act::Arrive(id) | Act::Leave(id) => usize::try_from(id).unwrap(),
        Act::Turn(core) => 3 + core,
        Act::Append(core) | Act::Retry(core) => 7 + core,
        Act::Commit | Act::Synced => 2,
        Act::Read | Act::Found => 6,
        Act::Copy(core) => 9 + core,
        Act::Journal(core) => 11 + core,
        Act::Settle(core) => 13 + core,
    }
}
