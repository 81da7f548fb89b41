//! The second, plain implementation: it sees what clients sent and were answered, and in the end the histories that
//! AUDIT tells. From these it says whether the store kept its promises.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a command is, in the client's eyes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    Register,
    Remove,
    /// Of one name or of several.
    Verify,
    /// After the event at this place.
    VerifyAt(u64),
    /// Whether the name has the attributes of this registration.
    VerifyClaim(usize),
    Audit,
}

/// A command, however often it is sent.
#[derive(Clone, Debug)]
pub struct Command {
    pub verb: Verb,
    pub names: Vec<String>,
    pub principal: &'static str,
    /// The nonce and its `ts`.
    pub once: Option<(String, u64)>,
    /// Its name is nobody else's, so that it must take effect if it is decided.
    pub fresh: bool,
    sends: Vec<usize>,
}

/// One sending of a command.
#[derive(Debug)]
struct Sent {
    command: usize,
    connection: u64,
    /// When, in moments of the world.
    at: u64,
    /// The youngest event that any client had heard of then.
    known: u64,
    answer: Option<(u64, Value)>,
}

/// An event as AUDIT tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Event {
    name: String,
    registered: bool,
    actor: String,
    /// The command that its attributes name; only of a registration.
    command: Option<usize>,
    time_s: String,
}

/// All that clients know.
#[derive(Default)]
pub struct Auditor {
    commands: Vec<Command>,
    sent: Vec<Sent>,
    known: u64,
    /// What the server's clock showed at each moment, in seconds, and the most that it ever showed up to then.
    clocks: Vec<(u64, u64)>,
}

/// How far a `ts` may lie from the clock, in seconds, as the profile says.
const WINDOW_S: u64 = 300;

type History = BTreeMap<u64, Event>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn number(answer: &Value, member: &str) -> u64 {
    answer[member].as_u64().unwrap_or(0)
}

fn actor(principal: &str) -> &str {
    if principal.is_empty() { "anonymous" } else { principal }
}

impl Auditor {
    /// Notes a new command and gives its number.
    pub fn make(&mut self, verb: Verb, names: Vec<String>, principal: &'static str) -> usize {
        self.commands.push(Command { verb, names, principal, once: None, fresh: false, sends: Vec::new() });
        self.commands.len() - 1
    }

    /// A command.
    pub fn command(&self, number: usize) -> &Command {
        &self.commands[number]
    }

    /// A command, to say more of it before it is sent.
    pub fn command_mut(&mut self, number: usize) -> &mut Command {
        &mut self.commands[number]
    }

    /// The command that was sent with this sending.
    pub fn command_of(&self, sending: usize) -> usize {
        self.sent[sending].command
    }

    /// The last command that asked to register this name.
    pub fn registration_of(&self, name: &str) -> Option<usize> {
        self.commands.iter().rposition(|command| command.verb == Verb::Register && command.names[0] == name)
    }

    /// Whether what is sent asks for history.
    pub fn reads_history(&self, sending: usize) -> bool {
        let verb = &self.commands[self.command_of(sending)].verb;
        matches!(verb, Verb::VerifyAt(_) | Verb::VerifyClaim(_) | Verb::Audit)
    }

    /// A name for the next command, which no other one will ask for.
    pub fn fresh_name(&self) -> String {
        format!("u{}.example", self.commands.len())
    }

    /// The youngest event that any client has heard of.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// All names that were ever sent.
    pub fn names(&self) -> BTreeSet<String> {
        self.commands.iter().flat_map(|command| command.names.iter().cloned()).collect()
    }

    /// Notes that a command is sent, and gives the number of the sending and the message.
    pub fn send(&mut self, number: usize, connection: u64, at: u64) -> (usize, String) {
        let id = self.sent.len();
        self.sent.push(Sent { command: number, connection, at, known: self.known, answer: None });
        let command = &mut self.commands[number];
        command.sends.push(id);
        let mut message = serde_json::json!({"id": id});
        let name = &command.names[0];
        let (verb, entity) = match command.verb {
            Verb::Register => ("REGISTER", name),
            Verb::Remove => ("REMOVE", name),
            Verb::Verify | Verb::VerifyAt(_) | Verb::VerifyClaim(_) => ("VERIFY", name),
            Verb::Audit => ("AUDIT", name),
        };
        message["command"] = verb.into();
        if command.names.len() == 1 {
            message["entity"] = entity.as_str().into();
        } else {
            message["entities"] = command.names.clone().into();
        }
        match command.verb {
            Verb::Register => message["attributes"] = serde_json::json!({"command": number}),
            Verb::VerifyAt(place) => message["at"] = place.into(),
            Verb::VerifyClaim(registration) => message["attributes"] = serde_json::json!({"command": registration}),
            Verb::Audit => message["limit"] = 1000.into(),
            Verb::Remove | Verb::Verify => {}
        }
        if let Some((nonce, ts)) = &command.once {
            message["nonce"] = nonce.as_str().into();
            message["ts"] = (*ts).into();
        }
        (id, format!("{message}\n"))
    }

    /// Notes what the server's clock shows from this moment on.
    pub fn clock(&mut self, at: u64, clock_s: u64) {
        let at = usize::try_from(at).unwrap();
        let highest = self.clocks.last().map_or(clock_s, |(_, highest)| clock_s.max(*highest));
        self.clocks.resize(at, self.clocks.last().copied().unwrap_or((clock_s, clock_s)));
        self.clocks.push((clock_s, highest));
    }

    /// Whether a `ts` was in time by some clock from one moment to another, and whether by all of them, and whether it was
    /// by the highest that was ever shown until then.
    fn in_time(&self, ts: u64, from: u64, to: u64) -> (bool, bool, bool) {
        let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
        let shown = &self.clocks[from..=to];
        let fits = |(clock, _): &(u64, u64)| clock.abs_diff(ts) <= WINDOW_S;
        (shown.iter().any(fits), shown.iter().all(fits), shown[to - from].1 <= ts + WINDOW_S)
    }

    /// A change with a `ts` takes effect only in time. It is stale when it is not; and also when it is by a clock that was
    /// set back, because the higher one may have had its first use forgotten. Says whether it was that.
    fn judge_time(&self, sent: &Sent, at: u64, answer: &Value) -> Result<bool, String> {
        let command = &self.commands[sent.command];
        let Some((_, ts)) = &command.once else { return Ok(false) };
        let (some, all, highest) = self.in_time(*ts, sent.at, at);
        match number(answer, "status") {
            401 => {
                let told = || format!("it was in time by each clock that was ever shown: {command:?} got {answer}");
                ensure(!all || !highest, told)?;
                Ok(all)
            }
            200 => {
                ensure(some, || format!("it was never in time: {command:?} got {answer}"))?;
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Notes an answer. Some of it can be judged at once. Says whether it is stale only because the clock was set back.
    pub fn answered(&mut self, id: usize, at: u64, failed: bool, answer: Value) -> Result<bool, String> {
        let sent = &self.sent[id];
        let command = &self.commands[sent.command];
        let told = || format!("{command:?} was answered {answer}");
        let status = number(&answer, "status");
        ensure(status != 500 || failed, || format!("no disk has failed, and {}", told()))?;
        ensure(matches!(status, 200 | 401 | 403 | 404 | 409 | 500), told)?;
        if status == 401 {
            ensure(command.once.is_some(), told)?;
        }
        let set_back = self.judge_time(sent, at, &answer)?;
        let replayed = answer["replayed"] == true;
        ensure(!replayed || command.sends[0] < id, || format!("the first of its kind: {}", told()))?;
        if status == 200 && matches!(command.verb, Verb::Register | Verb::Remove) {
            self.known = self.known.max(number(&answer, "sequence"));
        }
        if let Some(events) = answer["events"].as_array() {
            self.known = events.iter().map(|event| number(event, "sequence")).fold(self.known, u64::max);
        }
        self.sent[id].answer = Some((at, answer));
        Ok(set_back)
    }

    /// Judges everything by the histories, which the last AUDIT of each name has told from `since` on.
    pub fn judge(&self, since: u64) -> Result<(), String> {
        let history = self.history(since)?;
        self.judge_events(&history)?;
        let mut removals: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
        for (number, command) in self.commands.iter().enumerate() {
            match command.verb {
                Verb::Register | Verb::Remove => self.judge_change(number, command, &history, &mut removals)?,
                Verb::Verify | Verb::VerifyAt(_) | Verb::VerifyClaim(_) | Verb::Audit => {}
            }
        }
        for ((name, principal), (least, most)) in removals {
            let count = history
                .values()
                .filter(|event| !event.registered && event.name == name && event.actor == actor(principal))
                .count();
            ensure((least..=most).contains(&count), || {
                format!("{count} removals of {name} by {principal:?}, and {least} to {most} are due")
            })?;
        }
        let mut of: BTreeMap<&str, Vec<(u64, &Event)>> = BTreeMap::new();
        for (place, event) in &history {
            of.entry(&event.name).or_default().push((*place, event));
        }
        for sent in &self.sent {
            self.judge_seen(sent, &of)?;
        }
        self.judge_connections(&history)
    }

    /// Puts the histories of all names together.
    fn history(&self, since: u64) -> Result<History, String> {
        let mut history = History::new();
        for sent in self.sent.iter().filter(|sent| sent.at >= since) {
            let command = &self.commands[sent.command];
            let Some((_, answer)) = &sent.answer else { return Err(format!("{command:?} was never answered")) };
            for told in answer["events"].as_array().into_iter().flatten() {
                let registered = told["event"] == "registered";
                let by = told["detail"]["attributes"]["command"].as_u64();
                let event = Event {
                    name: command.names[0].clone(),
                    registered,
                    actor: told["actor"].as_str().unwrap_or_default().to_owned(),
                    command: by.map(|number| usize::try_from(number).unwrap()),
                    time_s: told["time"].as_str().unwrap_or_default().chars().take(19).collect(),
                };
                let before = history.insert(number(told, "sequence"), event);
                ensure(before.is_none(), || format!("two events in one place: {told}"))?;
            }
        }
        let dense = history.keys().zip(1..).all(|(place, expected)| *place == expected);
        ensure(dense, || format!("the histories together have gaps: {:?}", history.keys().collect::<Vec<_>>()))?;
        Ok(history)
    }

    /// Each event is one that somebody asked for, once, and that the one before it allowed.
    fn judge_events(&self, history: &History) -> Result<(), String> {
        let mut lives: BTreeMap<&str, &Event> = BTreeMap::new();
        let mut used = BTreeSet::new();
        for (place, event) in history {
            let told = || format!("at {place}, {event:?}");
            let before = lives.insert(&event.name, event);
            let registered = before.is_some_and(|before| before.registered);
            ensure(registered != event.registered, || format!("what was so already happened again {}", told()))?;
            if event.registered {
                let number = event.command.ok_or_else(|| format!("an event without a cause {}", told()))?;
                let command = self.commands.get(number).ok_or_else(|| format!("nobody asked for this {}", told()))?;
                let fits = command.verb == Verb::Register
                    && command.names[0] == event.name
                    && actor(command.principal) == event.actor;
                ensure(fits, || format!("nobody asked for this {}", told()))?;
                ensure(used.insert(number), || format!("a command had two effects, the second {}", told()))?;
            } else {
                let same = before.is_some_and(|before| before.actor == event.actor);
                ensure(same, || format!("removed by another {}", told()))?;
            }
        }
        Ok(())
    }

    /// The answers to a change agree with each other and with what happened (P1, P8).
    fn judge_change<'a>(
        &'a self,
        number_of: usize,
        command: &'a Command,
        history: &History,
        removals: &mut BTreeMap<(&'a str, &'a str), (usize, usize)>,
    ) -> Result<(), String> {
        let registers = command.verb == Verb::Register;
        let mut place = history.iter().find(|(_, event)| event.command == Some(number_of)).map(|(place, _)| *place);
        let (mut unknown, mut effects) = (false, 0);
        let mut confirmed = false;
        for sent in command.sends.iter().map(|id| &self.sent[*id]) {
            let Some((_, answer)) = sent.answer.as_ref().filter(|(_, answer)| answer["status"] != 500) else {
                unknown = true;
                continue;
            };
            if answer["status"] != 200 {
                continue;
            }
            let told = || format!("{command:?} was answered {answer}");
            let at = number(answer, "sequence");
            ensure(!confirmed || place == Some(at), || format!("at {place:?} before, and {}", told()))?;
            let event = history.get(&at).ok_or_else(|| format!("lost (P1): {}", told()))?;
            let fits = event.registered == registers
                && event.name == command.names[0]
                && event.actor == actor(command.principal)
                && (!registers || event.command == Some(number_of));
            ensure(fits, || format!("{event:?} is in its place (P1): {}", told()))?;
            (place, confirmed) = (Some(at), true);
            effects += usize::from(answer["replayed"] != true);
        }
        ensure(effects <= 1, || format!("{command:?} had more than one effect (P8)"))?;
        ensure(place.is_none() || !registers || confirmed || unknown, || {
            format!("refused, and happened: {command:?}")
        })?;
        if !registers {
            let count = removals.entry((&command.names[0], command.principal)).or_default();
            count.0 += usize::from(confirmed);
            count.1 += usize::from(confirmed || unknown);
        }
        // What had happened when it was sent again must be answered as before.
        for sent in command.sends.iter().map(|id| &self.sent[*id]) {
            let refused =
                sent.answer.as_ref().is_some_and(|(_, answer)| matches!(number(answer, "status"), 403 | 404 | 409));
            let happened = place.is_some_and(|place| place <= sent.known);
            ensure(!(refused && happened), || {
                format!("it had happened at {place:?} and was refused (P8): {command:?}, {sent:?}")
            })?;
        }
        Ok(())
    }

    /// What an answer says of a name was so at some moment between question and answer, in the history that remained
    /// (P2).
    fn judge_seen(&self, sent: &Sent, of: &BTreeMap<&str, Vec<(u64, &Event)>>) -> Result<(), String> {
        let Some((answered, answer)) = &sent.answer else { return Ok(()) };
        let command = &self.commands[sent.command];
        for (at, name) in command.names.iter().enumerate() {
            let answer = answer["results"].get(at).unwrap_or(answer);
            let events = of.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let lower = events.iter().take_while(|(place, _)| *place <= sent.known).count();
            let not_yet = |event: &Event| {
                event
                    .command
                    .is_some_and(|number| self.commands[number].sends.iter().all(|id| self.sent[*id].at > *answered))
            };
            let upper = events.iter().position(|(_, event)| not_yet(event)).unwrap_or(events.len());
            let mut moments = lower..=upper;
            if let Verb::VerifyAt(place) = command.verb {
                let then = events.iter().take_while(|(other, _)| *other <= place).count();
                moments = then..=then;
            }
            let agrees = moments.clone().any(|moment| agrees(command, answer, &events[..moment]));
            ensure(agrees, || {
                format!(
                    "no state of {name} from {moments:?} of {events:?} gives this answer (P2): {command:?} {sent:?}"
                )
            })?;
        }
        Ok(())
    }

    /// The log has the changes of a connection in their order, and never the second of two without the first.
    fn judge_connections(&self, history: &History) -> Result<(), String> {
        let places: BTreeMap<usize, u64> =
            history.iter().filter_map(|(place, event)| Some((event.command?, *place))).collect();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        let mut missing: BTreeMap<u64, usize> = BTreeMap::new();
        for sent in &self.sent {
            let command = &self.commands[sent.command];
            let answer = sent.answer.as_ref().map(|(_, answer)| answer);
            let mut place = answer
                .filter(|answer| answer["status"] == 200 && answer["replayed"] != true)
                .filter(|_| matches!(command.verb, Verb::Register | Verb::Remove))
                .map(|answer| number(answer, "sequence"));
            if command.fresh {
                place = places.get(&sent.command).copied();
                if place.is_none() {
                    missing.insert(sent.connection, sent.command);
                }
            }
            let Some(place) = place else { continue };
            let before = last.insert(sent.connection, place).unwrap_or(0);
            ensure(before < place, || format!("{command:?} is at {place}, before what came before it, at {before}"))?;
            if let Some(lost) = missing.get(&sent.connection) {
                return Err(format!(
                    "{command:?} is there, and what came before it is not: {:?}",
                    self.commands[*lost]
                ));
            }
        }
        Ok(())
    }
}

/// Whether a command that met this history of its name would be answered so.
fn agrees(command: &Command, answer: &Value, events: &[(u64, &Event)]) -> bool {
    let last = events.last().map(|(_, event)| *event).filter(|event| event.registered);
    let status = number(answer, "status");
    match (&command.verb, status) {
        (_, 401 | 500) | (Verb::Register | Verb::Remove, 200) => true,
        (Verb::Register, 409) => answer["error"] == "already_registered" && last.is_some(),
        (Verb::Remove, 403) => last.is_some_and(|event| event.actor != actor(command.principal)),
        (Verb::Remove, 404) if answer["error"] == "unknown_entity" => events.is_empty(),
        (Verb::Remove, 404) => last.is_none() && !events.is_empty(),
        (Verb::Verify | Verb::VerifyAt(_), 200) => last.is_some_and(|event| {
            let told = answer["last_updated"].as_str().unwrap_or_default();
            answer["verified"] == true && told.starts_with(&event.time_s)
        }),
        (Verb::VerifyClaim(registration), 200) => last.is_some_and(|event| {
            let told = answer["last_updated"].as_str().unwrap_or_default();
            answer["verified"] == (event.command == Some(*registration)) && told.starts_with(&event.time_s)
        }),
        (Verb::Verify | Verb::VerifyAt(_) | Verb::VerifyClaim(_), 404) => last.is_none(),
        (Verb::Audit, 404) => events.is_empty(),
        (Verb::Audit, 200) => {
            let places = answer["events"].as_array().into_iter().flatten().map(|event| number(event, "sequence"));
            places.eq(events.iter().map(|(place, _)| *place)) && !events.is_empty()
        }
        _ => false,
    }
}
