//! How a command is spelled and how its answer is read, for each target.
//!
//! | module | speaks to |
//! |---|---|
//! | [`repsec`] | a RepSec server |
//! | [`redis`] | Redis |
//! | here | the echo server, which is sent what RepSec would be |
//!
//! Never: a socket, a clock.

pub(crate) mod redis;
pub(crate) mod repsec;

use std::sync::Arc;

use crate::entities::Entities;
use crate::plan::{Plan, Target};
use crate::script::{BulkNames, Command};
use repsec::Nonces;

/// What must be known of a command to judge its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The command.
    pub(crate) command: Command,
    /// Its `id`, if it was sent: its number on its connection.
    pub(crate) id: u64,
    /// All of its bytes.
    pub(crate) bytes: &'a [u8],
}

/// What an answer was, once it is known to be the right one. Reports count them by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// RepSec's status 200.
    Ok,
    /// RepSec's status 404.
    NotFound,
    /// Redis: the value.
    Value,
    /// Redis: there is none.
    Nil,
    /// Redis: done.
    Done,
    /// The bytes that were sent.
    Same,
}

impl Told {
    /// All of them.
    pub(crate) const ALL: [Told; 6] = [Told::Ok, Told::NotFound, Told::Value, Told::Nil, Told::Done, Told::Same];

    /// Its name in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Told::Ok => "200",
            Told::NotFound => "404",
            Told::Value => "value",
            Told::Nil => "nil",
            Told::Done => "OK",
            Told::Same => "same",
        }
    }
}

/// A right answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Right {
    /// What it was.
    pub(crate) told: Told,
    /// The place in the log that it names, if it is the answer to a change.
    pub(crate) sequence: Option<u64>,
}

impl Right {
    pub(crate) fn plain(told: Told) -> Right {
        Right { told, sequence: None }
    }
}

/// Spells commands and judges answers for one target.
#[derive(Debug)]
pub(crate) struct Protocol {
    target: Target,
    with_ids: bool,
    with_nonces: bool,
    nonces: Nonces,
    entities: Arc<Entities>,
    bulk: BulkNames,
    scratch: Vec<u8>,
}

impl Protocol {
    pub(crate) fn new(plan: &Plan, entities: Arc<Entities>) -> Protocol {
        Protocol {
            target: plan.target,
            with_ids: plan.ids,
            with_nonces: plan.nonces,
            nonces: Nonces::new(),
            entities,
            bulk: BulkNames::new(plan),
            scratch: Vec::new(),
        }
    }

    /// Appends a command. `id` is its number on its connection, `time_s` the time in UNIX seconds.
    pub(crate) fn compose(&mut self, command: Command, id: u64, time_s: u64, out: &mut Vec<u8>) {
        match self.target {
            Target::Redis => redis::compose(&self.entities, command, out, &mut self.scratch),
            Target::RepSec | Target::Echo => {
                let id = self.with_ids.then_some(id);
                let once = self.with_nonces.then_some((time_s, &mut self.nonces));
                repsec::compose(&self.entities, &self.bulk, command, id, once, out);
            }
        }
    }

    /// The length of the answer at the front of `bytes`, its end included; `None` while it is not all there. The first
    /// `seen` bytes were looked at before.
    pub(crate) fn frame(&self, bytes: &[u8], seen: usize, asked_bytes: usize) -> Option<usize> {
        match self.target {
            Target::RepSec => {
                let line_end = memchr::memchr(b'\n', bytes.get(seen..).unwrap_or_default());
                line_end.map(|end| seen + end + 1)
            }
            Target::Redis => redis::frame(bytes),
            Target::Echo => (bytes.len() >= asked_bytes).then_some(asked_bytes),
        }
    }

    /// Judges an answer, its end included.
    ///
    /// # Errors
    /// Why it is wrong.
    pub(crate) fn check(&mut self, asked: &Asked<'_>, answer: &[u8]) -> Result<Right, String> {
        match self.target {
            Target::RepSec => {
                let id = self.with_ids.then_some(asked.id);
                repsec::check(&self.entities, &self.bulk, asked.command, id, answer, &mut self.scratch)
            }
            Target::Redis => redis::check(asked.command, answer, &mut self.scratch),
            Target::Echo if answer == asked.bytes => Ok(Right::plain(Told::Same)),
            Target::Echo => Err("an echo must be what was sent".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::repository_lists;

    #[test]
    fn an_echo_is_the_same_bytes_and_no_others() {
        let plan = Plan::new(Target::Echo, "127.0.0.1:1".parse().unwrap(), "ca.pem");
        let mut protocol = Protocol::new(&plan, Arc::new(Entities::load(&repository_lists()).unwrap()));
        let mut bytes = Vec::new();
        protocol.compose(Command::Ping, 0, 0, &mut bytes);
        let asked = Asked { command: Command::Ping, id: 0, bytes: &bytes };
        assert_eq!(protocol.frame(&bytes[1..], 0, bytes.len()), None);
        assert_eq!(protocol.frame(&bytes, 0, bytes.len()), Some(bytes.len()));
        assert_eq!(protocol.check(&asked, &bytes), Ok(Right::plain(Told::Same)));
        let mut other = bytes.clone();
        other[3] ^= 1;
        assert!(protocol.check(&asked, &other).is_err());
    }
}
