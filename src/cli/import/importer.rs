//! The second pass over a file: carries out what the server has not carried out yet.
//!
//! There is no state of our own to go on from: what is done is asked of the server. An entity that the file only
//! registers, once, is looked up in bulk. Any other is compared with its history ([`super::align`]). Two commands on one
//! entity are never in flight together, so that they take effect in the order of the file.
//!
//! Each command's nonce follows from the file, the line and the log. A command that is sent again, because the answer
//! was lost, takes effect once.
//!
//! May use: [`Exchange`]. Never: sockets, files, the terminal.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::align::{Step, commands_done};
use super::command::{Line, command};
use super::patience::{Stopped, ask};
use super::survey::{Survey, group};
use super::tally::Tally;
use crate::cli::answer::{Answer, reason};
use crate::cli::bulk::Chunk;
use crate::cli::pipeline::Exchange;
use crate::cli::request::Request;
use crate::types::limits::AUDIT_PAGE_EVENTS_MAX;

/// An import under way.
pub struct Importer<'a> {
    server: &'a mut dyn Exchange,
    survey: &'a Survey,
    log_id: String,
    /// Entities with a history in the file of which lines are still to come.
    followed: HashMap<String, Followed>,
}

/// How far an entity's commands have been taken.
#[derive(Clone, Copy, Debug)]
struct Followed {
    commands_left: usize,
    done_left: usize,
}

/// A command that must be sent, and the group of its entity.
struct Pending {
    line: Line,
    group: String,
}

impl<'a> Importer<'a> {
    /// Begins: learns which log the server writes.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn new(server: &'a mut dyn Exchange, survey: &'a Survey) -> Result<Importer<'a>, Stopped> {
        let mut log_id = String::new();
        let mut learn = |_, answer: Answer| {
            let id = answer.member("log").and_then(|log| log.get("id")).and_then(Value::as_str);
            id.unwrap_or_default().clone_into(&mut log_id);
        };
        ask(server, 1, &mut |_| Request::new("CAPABILITIES"), &mut learn)?;
        Ok(Importer { server, survey, log_id, followed: HashMap::new() })
    }

    /// Takes the next lines of the file, in order.
    ///
    /// # Errors
    /// When the connection fails or the server refuses a question. The tally says how far it came.
    pub fn window(&mut self, lines: Vec<Line>, tally: &mut Tally) -> Result<(), Stopped> {
        let mut lone = Vec::new();
        let mut others = Vec::new();
        for line in lines {
            let group = group(&line.entity);
            let steps = self.survey.steps_of(&group);
            let is_lone = matches!(steps, [step] if step.leaves_registered());
            if is_lone { &mut lone } else { &mut others }.push(Pending { line, group });
        }
        let mut pending = self.not_registered(lone, tally)?;
        self.learn_histories(&others)?;
        for other in others {
            if self.is_done(&other.group) {
                tally.add_known();
            } else {
                pending.push(other);
            }
        }
        pending.sort_by_key(|pending| pending.line.number);
        for wave in waves(pending) {
            self.carry_out(&wave, tally)?;
        }
        Ok(())
    }

    /// Of entities that are only to be registered, those that are not.
    fn not_registered(&mut self, lone: Vec<Pending>, tally: &mut Tally) -> Result<Vec<Pending>, Stopped> {
        let mut chunks = vec![Chunk::default()];
        for pending in &lone {
            let Some(chunk) = chunks.last_mut() else { break };
            if let Err(name) = chunk.push(pending.line.entity.clone()) {
                let mut next = Chunk::default();
                // A chunk that is empty takes any name.
                let _ = next.push(name);
                chunks.push(next);
            }
        }
        chunks.retain(|chunk| !chunk.names().is_empty());
        let mut results: VecDeque<Value> = VecDeque::with_capacity(lone.len());
        let mut refused = None;
        ask(self.server, chunks.len(), &mut |at| request_of(&chunks, at), &mut |at, answer| {
            let due = chunks.get(at).map_or(0, |chunk| chunk.names().len());
            if answer.status() == 200 && answer.items("results").len() == due {
                results.extend(answer.items("results").iter().cloned());
            } else {
                refused.get_or_insert_with(|| format!("a bulk VERIFY was answered with {}", answer.reason()));
            }
        })?;
        if let Some(refused) = refused {
            return Err(Stopped::Refused(refused));
        }
        let mut pending = Vec::new();
        for (lone, result) in lone.into_iter().zip(results) {
            let members = result.as_object().cloned().unwrap_or_default();
            match members.get("status").and_then(Value::as_u64) {
                Some(200) => tally.add_known(),
                Some(404) => pending.push(lone),
                _ => tally.add_refused(lone.line.number, &lone.line.entity, &reason(&members)),
            }
        }
        Ok(pending)
    }

    /// Asks for the histories of entities that are met for the first time: of each, as many of the newest events as
    /// the file has commands on it.
    fn learn_histories(&mut self, others: &[Pending]) -> Result<(), Stopped> {
        let mut asked: Vec<Asked> = Vec::new();
        for pending in others {
            if !self.followed.contains_key(&pending.group) {
                let commands_left = self.survey.steps_of(&pending.group).len();
                self.followed.insert(pending.group.clone(), Followed { commands_left, done_left: 0 });
                asked.push(Asked::new(pending, commands_left));
            }
        }
        let mut round: Vec<usize> = (0..asked.len()).collect();
        while !round.is_empty() {
            let mut refused = None;
            let mut answers: Vec<Option<Answer>> = vec![None; round.len()];
            let build =
                &mut |at: usize| round.get(at).and_then(|of| asked.get(*of)).map_or_else(nothing, Asked::request);
            ask(self.server, round.len(), build, &mut |at, answer| {
                if let Some(place) = answers.get_mut(at) {
                    *place = Some(answer);
                }
            })?;
            let mut next_round = Vec::new();
            for (of, answer) in round.iter().zip(answers) {
                if let (Some(asked), Some(answer)) = (asked.get_mut(*of), answer) {
                    match asked.take_page(&answer, self.survey) {
                        Ok(true) => next_round.push(*of),
                        Ok(false) => {}
                        Err(reason) => refused = Some(reason),
                    }
                }
            }
            if let Some(reason) = refused {
                return Err(Stopped::Refused(reason));
            }
            round = next_round;
        }
        for mut asked in asked {
            asked.newest_first.reverse();
            if let Some(followed) = self.followed.get_mut(&asked.group) {
                followed.done_left = commands_done(self.survey.steps_of(&asked.group), &asked.newest_first);
            }
        }
        Ok(())
    }

    /// Takes the next command of an entity that is followed: whether an earlier import has done it.
    fn is_done(&mut self, group: &str) -> bool {
        let Some(followed) = self.followed.get_mut(group) else { return false };
        let done = followed.done_left > 0;
        followed.done_left = followed.done_left.saturating_sub(1);
        followed.commands_left = followed.commands_left.saturating_sub(1);
        if followed.commands_left == 0 {
            self.followed.remove(group);
        }
        done
    }

    /// Sends commands, of which no two are on the same entity.
    fn carry_out(&mut self, wave: &[Pending], tally: &mut Tally) -> Result<(), Stopped> {
        let (digest, log_id) = (self.survey.digest, self.log_id.as_str());
        let mut build =
            |at: usize| wave.get(at).map_or_else(nothing, |pending| command(&pending.line, &digest, log_id));
        ask(self.server, wave.len(), &mut build, &mut |at, answer| {
            let Some(Pending { line, .. }) = wave.get(at) else { return };
            match answer.status() {
                200 if answer.is_replayed() => tally.add_known(),
                200 => tally.add_new(),
                404 => tally.add_known(),
                409 if answer.text("error") != Some("nonce_reused") => tally.add_known(),
                _ => tally.add_refused(line.number, &line.entity, &answer.reason()),
            }
        })
    }
}

/// An entity whose history is asked for.
struct Asked {
    group: String,
    entity: String,
    events_wanted: usize,
    newest_first: Vec<Step>,
    cursor: Option<String>,
}

impl Asked {
    fn new(pending: &Pending, events_wanted: usize) -> Asked {
        let (group, entity) = (pending.group.clone(), pending.line.entity.clone());
        Asked { group, entity, events_wanted, newest_first: Vec::new(), cursor: None }
    }

    fn request(&self) -> Request {
        let limit = (self.events_wanted - self.newest_first.len()).min(AUDIT_PAGE_EVENTS_MAX);
        Request::new("AUDIT")
            .with("entity", self.entity.as_str())
            .with("order", "desc")
            .with("limit", limit)
            .with_some("cursor", self.cursor.as_deref())
    }

    /// Takes a page; true if another is wanted. A name that the server does not know, or will refuse, has no history.
    fn take_page(&mut self, answer: &Answer, survey: &Survey) -> Result<bool, String> {
        match answer.status() {
            200 => {}
            400 | 404 => return Ok(false),
            _ => return Err(format!("AUDIT of {} was answered with {}", self.entity, answer.reason())),
        }
        let steps = answer.items("events").iter().filter_map(|event| Step::of_event(event, &survey.steps_key));
        self.newest_first.extend(steps.take(self.events_wanted - self.newest_first.len()));
        let next = answer.text("next").map(str::to_owned);
        let more = next.is_some() && next != self.cursor && self.newest_first.len() < self.events_wanted;
        self.cursor = next;
        Ok(more)
    }
}

/// Divides commands so that no part has two on the same entity, keeping the order of each entity's.
fn waves(pending: Vec<Pending>) -> Vec<Vec<Pending>> {
    let mut waves: Vec<Vec<Pending>> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for pending in pending {
        let place = seen.entry(pending.group.clone()).or_default();
        match waves.get_mut(*place) {
            Some(wave) => wave.push(pending),
            None => waves.push(vec![pending]),
        }
        *place += 1;
    }
    waves
}

fn request_of(chunks: &[Chunk], at: usize) -> Request {
    chunks.get(at).map_or_else(nothing, Chunk::request)
}

/// Stands where a number is out of range, which the contract of [`Exchange`] rules out.
fn nothing() -> Request {
    Request::new("PING")
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
