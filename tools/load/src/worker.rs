//! One thread of the client: sends what is due on its connections, and reads what comes back.
//!
//! It waits in epoll with a timeout in nanoseconds, until something can be read or the next command is due. It never spins:
//! client and server often share the cores.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::dialogue::Dialogue;
use crate::error::{LoadError, WrongAnswer};
use crate::link::Link;
use crate::plan::Pace;
use crate::protocol::Protocol;
use crate::schedule::{Agenda, Schedule};
use crate::script::Script;
use crate::tally::Tally;

/// How long the worker sleeps at the most, so that it notices when the run is to end.
const NAP_NS: u64 = 100_000_000;
/// Silence of the server, with answers due, after which the run fails.
const SILENCE_NS: u64 = 60_000_000_000;
/// How long answers may take behind the end of the window.
const GRACE_NS: u64 = 30_000_000_000;
/// Events that are taken from the kernel at once.
const EVENTS: usize = 256;

/// What all workers and the main thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// When the run begins; all times are nanoseconds from here.
    pub(crate) start: Instant,
    /// Set by the first worker that fails.
    pub(crate) stop: AtomicBool,
    /// Answers so far, counted or not.
    pub(crate) answered: AtomicU64,
    /// Workers that are not done.
    pub(crate) working: AtomicUsize,
}

impl Shared {
    /// Nanoseconds since the start; 0 before it.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What a worker is told about time. Nanoseconds from the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Where the window begins.
    pub(crate) begin_ns: u64,
    /// Where it ends; never, if commands are counted.
    pub(crate) end_ns: u64,
    /// How fast.
    pub(crate) pace: Pace,
    /// Commands in flight on one connection.
    pub(crate) in_flight: usize,
}

/// A connection as its worker sees it.
pub(crate) struct Connection {
    /// Its number in the run.
    pub(crate) number: u64,
    pub(crate) link: Link,
    pub(crate) script: Script,
    /// Commands that it may still send and have counted.
    pub(crate) quota: u64,
    pub(crate) dialogue: Dialogue,
    /// Open loop: the turn that comes next, and whether the agenda has it.
    turn: u64,
    on_agenda: bool,
    /// Will send nothing more.
    finished: bool,
    /// Stands in the worker's list.
    queued: bool,
    /// The kernel tells when it can be written.
    watched_for_room: bool,
}

impl Connection {
    pub(crate) fn new(number: u64, link: Link, script: Script, quota: u64) -> Connection {
        Connection {
            number,
            link,
            script,
            quota,
            dialogue: Dialogue::default(),
            turn: 0,
            on_agenda: false,
            finished: false,
            queued: false,
            watched_for_room: false,
        }
    }

    /// When its next command is due.
    fn due_ns(&self, schedule: Schedule) -> u64 {
        schedule.due_ns(schedule.command(self.turn, self.number))
    }

    fn ended(&self, source: io::Error) -> LoadError {
        LoadError::Ended { connection: index(self.number), due: self.dialogue.due(), source }
    }
}

/// Tells the main thread that a worker is done, also when it panics.
struct Leaving<'a> {
    shared: &'a Shared,
    main: &'a thread::Thread,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.stop.store(true, Ordering::Release);
        }
        self.shared.working.fetch_sub(1, Ordering::AcqRel);
        self.main.unpark();
    }
}

/// One thread's share of a run.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    timing: Timing,
    protocol: Protocol,
    connections: Vec<Connection>,
    tally: Tally,
    epoll: OwnedFd,
    /// Open loop only.
    schedule: Option<Schedule>,
    agenda: Agenda,
    /// Connections that may have something to send.
    queue: Vec<usize>,
    /// Answers that are due on all connections.
    due: usize,
    /// Connections that will send nothing more.
    finished: usize,
    heard_ns: u64,
}

impl Worker {
    /// Prepares a worker for connections of which there are `all` in the whole run.
    pub(crate) fn new(
        shared: Arc<Shared>,
        timing: Timing,
        protocol: Protocol,
        connections: Vec<Connection>,
        tally: Tally,
        all: u64,
    ) -> Result<Worker, LoadError> {
        let failed = |source: io::Error| LoadError::System { doing: "watch connections", source };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        for (at, connection) in connections.iter().enumerate() {
            connection.link.set_nonblocking().map_err(failed)?;
            epoll::add(&epoll, &connection.link, event(at), EventFlags::IN).map_err(|error| failed(error.into()))?;
        }
        let schedule = match timing.pace {
            Pace::Max => None,
            Pace::PerSecond(rate) => Some(Schedule::new(rate, all)),
        };
        Ok(Worker {
            shared,
            timing,
            protocol,
            connections,
            tally,
            epoll,
            schedule,
            agenda: Agenda::default(),
            queue: Vec::new(),
            due: 0,
            finished: 0,
            heard_ns: 0,
        })
    }

    /// Does the worker's share, and gives what it counted. A failure stops the other workers too.
    pub(crate) fn run(mut self, main: &thread::Thread) -> Result<Tally, LoadError> {
        let shared = Arc::clone(&self.shared);
        let leaving = Leaving { shared: &shared, main };
        let result = self.drive();
        if result.is_err() {
            shared.stop.store(true, Ordering::Release);
        }
        drop(leaving);
        for connection in self.connections {
            self.tally.next_own = self.tally.next_own.max(connection.script.next_own());
            connection.link.close();
        }
        result.map(|()| self.tally)
    }

    fn drive(&mut self) -> Result<(), LoadError> {
        // The kernel rounds timeouts to 50 us otherwise, which would make commands late. Where it refuses, they are, and
        // the report says so.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        while Instant::now() < self.shared.start {
            thread::sleep(self.shared.start.saturating_duration_since(Instant::now()));
        }
        let mut events = Vec::with_capacity(EVENTS);
        (0..self.connections.len()).for_each(|at| self.enqueue(at));
        loop {
            let now_ns = self.shared.now_ns();
            while let Some(at) = self.agenda.take_due(now_ns) {
                if let Some(connection) = self.connections.get_mut(at) {
                    connection.on_agenda = false;
                }
                self.enqueue(at);
            }
            self.send()?;
            if self.is_over(now_ns)? || self.shared.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            let timeout = duration(self.wait_ns(now_ns));
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(LoadError::System { doing: "wait for answers", source: error.into() }),
            }
            for event in &events {
                let (data, flags) = (event.data, event.flags);
                self.happened(index(data.u64()), flags)?;
            }
        }
    }

    fn enqueue(&mut self, at: usize) {
        if let Some(connection) = self.connections.get_mut(at)
            && !connection.queued
        {
            connection.queued = true;
            self.queue.push(at);
        }
    }

    /// Sends on all connections in the queue what they may send.
    fn send(&mut self) -> Result<(), LoadError> {
        let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut queue = std::mem::take(&mut self.queue);
        for at in queue.drain(..) {
            self.send_on(at, time_s)?;
        }
        self.queue = queue;
        Ok(())
    }

    fn send_on(&mut self, at: usize, time_s: u64) -> Result<(), LoadError> {
        // Looked at for each connection: with many of them the last is served noticeably later than the first.
        let now_ns = self.shared.now_ns();
        let Worker { connections, timing, protocol, schedule, agenda, tally, .. } = self;
        let Some(connection) = connections.get_mut(at) else { return Ok(()) };
        connection.queued = false;
        if connection.finished || connection.link.has_backlog() {
            return Ok(());
        }
        let due_before = connection.dialogue.due();
        while connection.dialogue.due() < timing.in_flight {
            // A closed loop intends a command when it can be sent.
            let at_ns = schedule.map_or(now_ns, |schedule| connection.due_ns(schedule));
            if at_ns >= timing.end_ns {
                break;
            }
            if at_ns > now_ns {
                if !connection.on_agenda {
                    connection.on_agenda = true;
                    agenda.add(at_ns, at);
                }
                break;
            }
            let marked = at_ns >= timing.begin_ns;
            let command = if marked && connection.quota == 0 { None } else { connection.script.next() };
            let Some(command) = command else {
                connection.finished = true;
                self.finished += 1;
                break;
            };
            connection.turn += 1;
            if marked {
                connection.quota -= 1;
                if schedule.is_some() {
                    tally.sent(now_ns - at_ns);
                }
            }
            connection.dialogue.ask(protocol, command, at_ns, marked, time_s);
        }
        let new = connection.dialogue.due() - due_before;
        if new > 0 {
            if self.due == 0 {
                // Silence counts from the first question on.
                self.heard_ns = now_ns;
            }
            self.due += new;
            let unsent = connection.dialogue.take_unsent();
            connection.link.send(unsent).map_err(|source| connection.ended(source))?;
            self.watch_for_room(at)?;
        }
        Ok(())
    }

    /// Asks the kernel to tell when a socket that took too little can take more, or not to any more.
    fn watch_for_room(&mut self, at: usize) -> Result<(), LoadError> {
        let Some(connection) = self.connections.get_mut(at) else { return Ok(()) };
        let backlog = connection.link.has_backlog();
        if backlog == connection.watched_for_room {
            return Ok(());
        }
        connection.watched_for_room = backlog;
        let flags = if backlog { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(&self.epoll, &connection.link, event(at), flags)
            .map_err(|error| LoadError::System { doing: "watch a connection", source: error.into() })
    }

    /// Reads from, or writes to, a connection that the kernel named.
    fn happened(&mut self, at: usize, flags: EventFlags) -> Result<(), LoadError> {
        let Worker { connections, protocol, tally, shared, .. } = self;
        let Some(connection) = connections.get_mut(at) else { return Ok(()) };
        if flags.contains(EventFlags::OUT) {
            connection.link.flush().map_err(|source| connection.ended(source))?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let due = connection.dialogue.due();
            let mut wrong = None;
            let mut now_ns = None;
            let Connection { link, dialogue, .. } = &mut *connection;
            let received = link.receive(&mut |bytes| {
                // One look at the clock for all that one read brought.
                let now_ns = *now_ns.get_or_insert_with(|| shared.now_ns());
                if wrong.is_none() {
                    wrong = dialogue.take(protocol, bytes, now_ns, tally).err();
                }
            });
            if let Some(wrong) = wrong {
                let wrong = WrongAnswer { connection: index(connection.number), ..wrong };
                return Err(LoadError::Wrong(Box::new(wrong)));
            }
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(connection.ended(error)),
            }
            let answers = due - connection.dialogue.due();
            self.due -= answers;
            shared.answered.fetch_add(u64::try_from(answers).unwrap_or_default(), Ordering::Relaxed);
            if let Some(now_ns) = now_ns {
                self.heard_ns = now_ns;
            }
        }
        self.watch_for_room(at)?;
        self.enqueue(at);
        Ok(())
    }

    /// Whether the worker's share is done.
    fn is_over(&mut self, now_ns: u64) -> Result<bool, LoadError> {
        // Where no answer is due every connection has room, and has sent all that was due by now.
        let no_more = now_ns >= self.timing.end_ns || self.finished == self.connections.len();
        if no_more && self.due == 0 {
            return Ok(true);
        }
        if self.schedule.is_some() && now_ns >= self.timing.end_ns.saturating_add(GRACE_NS) {
            self.give_up(now_ns);
            return Ok(true);
        }
        let silence_ns = now_ns.saturating_sub(self.heard_ns);
        if self.due > 0 && silence_ns >= SILENCE_NS {
            return Err(LoadError::Silent { seconds: silence_ns / 1_000_000_000, due: self.due });
        }
        Ok(false)
    }

    /// An open loop whose server cannot follow: what is unanswered has waited until now, and that is its latency.
    fn give_up(&mut self, now_ns: u64) {
        let Some(schedule) = self.schedule else { return };
        for connection in &mut self.connections {
            connection.dialogue.give_up(now_ns, &mut self.tally);
            while !connection.finished && connection.due_ns(schedule) < self.timing.end_ns {
                let at_ns = connection.due_ns(schedule);
                if at_ns >= self.timing.begin_ns {
                    self.tally.gave_up(at_ns, now_ns);
                }
                connection.turn += 1;
            }
        }
    }

    /// How long there is nothing to do unless something can be read.
    fn wait_ns(&self, now_ns: u64) -> u64 {
        let end_ns = if now_ns < self.timing.end_ns { self.timing.end_ns } else { u64::MAX };
        let until_ns = self.agenda.next_due_ns().unwrap_or(u64::MAX).min(end_ns);
        until_ns.saturating_sub(now_ns).min(NAP_NS)
    }
}

fn event(at: usize) -> EventData {
    EventData::new_u64(u64::try_from(at).unwrap_or(u64::MAX))
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn duration(nanoseconds: u64) -> Timespec {
    Timespec::try_from(Duration::from_nanos(nanoseconds)).unwrap_or_default()
}
