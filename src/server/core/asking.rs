//! What the connections of a core ask: who has to decide it, and when it may go out.
//!
//! What this core decides itself gathers until all connections whose bytes have come were read: a question alone would
//! wait for memory that many can wait for together, and a clock be read and the log be written to for each.

use std::rc::Rc;

use crate::domain::{Asked, Changes, Claim, Command, Lookups, Request};
use crate::faces::Face;
use crate::types::Timestamp;

use super::super::connection::Connection;
use super::super::letter::Tag;
use super::Core;

/// Questions to history that one connection may have open: their answers are long, and each keeps a thread busy.
const HISTORIES_MAX: usize = 4;
/// Claims about attributes that one connection may have open, together with those. Most are decided from memory, and
/// only the engine knows which; the others read one value of the log.
const CLAIMS_MAX: usize = 16;
/// Entities behind which no more are gathered: they wait for memory together as well as more would, and what was read
/// of them is still in the nearest caches.
const ENOUGH_TOGETHER: usize = 64;
/// Bytes of answers that wait for a slow peer before its connection is not read on.
const UNREAD_ANSWER_BYTES_MAX: usize = 1024 * 1024;

impl Core {
    /// Whether the connection must not be read: it has asked all that it may before it is answered.
    pub(in super::super) fn must_wait(&self, connection: &Connection) -> bool {
        connection.held.borrow().is_some() || self.is_full(connection)
    }

    fn is_full(&self, connection: &Connection) -> bool {
        let session = connection.session.borrow();
        !session.wants_input() || session.unsent_bytes() >= UNREAD_ANSWER_BYTES_MAX
    }

    /// Asks what the connection asks, as far as it may. It is decided, or sent, with the next [`flush`](Self::flush), which
    /// is due, or at once where enough has gathered.
    pub(in super::super) fn pump(&self, connection: &Rc<Connection>) {
        self.go_on(connection);
        if self.own_entities.get() >= ENOUGH_TOGETHER {
            self.flush();
        }
    }

    /// Asks what the connection asks, as far as it may.
    fn go_on(&self, connection: &Rc<Connection>) {
        self.send_out(connection, self.now());
        if connection.held.borrow().is_some() {
            self.holding.borrow_mut().push(Rc::clone(connection));
        }
        connection.writable.notify();
        if !self.must_wait(connection) {
            connection.room.notify();
        }
    }

    /// Asks what the connection asks, until it has asked all, or something may not go yet.
    fn send_out(&self, connection: &Rc<Connection>, now: Timestamp) {
        loop {
            let held = connection.held.borrow_mut().take();
            connection.asked_all.set(false);
            let next = match held {
                Some(held) => Some(held),
                None if self.is_full(connection) => break,
                None => connection.session.borrow_mut().next(now).map(|step| (step.slot, step.asked)),
            };
            let Some((slot, asked)) = next else {
                // The session stops for want of bytes, or because it is full of answers that it gave itself.
                connection.asked_all.set(!self.is_full(connection));
                break;
            };
            if let Some(asked) = self.dispatch(connection, slot, asked) {
                *connection.held.borrow_mut() = Some((slot, asked));
                break;
            }
        }
    }

    /// Whether what is held for want of room among the histories has got that room.
    fn may_go_on(&self, connection: &Connection) -> bool {
        let held = connection.held.borrow();
        let bound = match held.as_ref() {
            Some((_, Asked::One(request))) => histories_max(request),
            Some((_, Asked::Many(_) | Asked::Each(_) | Asked::Changes(_))) | None => None,
        };
        self.brain.borrow().is_some() && bound.is_some_and(|bound| connection.histories.borrow().len() < bound)
    }

    /// Sends one question to its owners, or gives it back if it may not go yet.
    fn dispatch(&self, connection: &Connection, slot: u64, asked: Asked) -> Option<Asked> {
        if self.brain.borrow().is_none() {
            return Some(asked);
        }
        let tag = Tag { core: self.index, connection: connection.id, slot };
        match asked {
            Asked::Many(lookups) => self.dispatch_lookups(tag, lookups, Asked::Many),
            Asked::Each(lookups) => self.dispatch_lookups(tag, lookups, Asked::Each),
            Asked::Changes(changes) => return self.dispatch_changes(connection, tag, changes).map(Asked::Changes),
            Asked::One(request) => {
                let owner = request.command.subject().hash.shard(self.shared.mesh.cores());
                let changes = request.command.changes_state();
                let histories = connection.histories.borrow().len();
                let histories_max = histories_max(&request);
                if changes && !connection.may_change_at(owner) || histories_max.is_some_and(|bound| histories >= bound)
                {
                    return Some(Asked::One(request));
                }
                if histories_max.is_some() {
                    connection.histories.borrow_mut().push(slot);
                }
                if changes {
                    self.note_undecided(connection, owner);
                }
                self.ask(owner, tag, Asked::One(request));
            }
        }
        None
    }

    /// Splits lookups into the parts that each core owns.
    fn dispatch_lookups(&self, tag: Tag, lookups: Box<Lookups>, asked: fn(Box<Lookups>) -> Asked) {
        let cores = self.shared.mesh.cores();
        if cores == 1 {
            return self.ask(self.index, tag, asked(lookups));
        }
        for owner in 0..cores {
            let part = lookups.part(|lookup| lookup.hash.shard(cores) == owner);
            if !part.is_empty() {
                self.ask(owner, tag, asked(Box::new(part)));
            }
        }
    }

    /// Sends changes to their owners, as long as those behind need not wait for those before; the rest comes back.
    fn dispatch_changes(&self, connection: &Connection, tag: Tag, mut rest: Box<Changes>) -> Option<Box<Changes>> {
        let cores = self.shared.mesh.cores();
        if cores == 1 {
            self.ask(self.index, tag, Asked::Changes(rest));
            return None;
        }
        while let Some(owner) = rest.each().first().map(|change| change.hash.shard(cores)) {
            if !connection.may_change_at(owner) {
                return Some(rest);
            }
            let part = rest.take_front_while(|change| change.hash.shard(cores) == owner);
            self.note_undecided(connection, owner);
            self.ask(owner, tag, Asked::Changes(Box::new(part)));
        }
        None
    }

    /// Notes that a core has to decide a change, or some that travel together, unless it is this one: what this one is asked
    /// it decides in that order, before it sends anything.
    fn note_undecided(&self, connection: &Connection, owner: usize) {
        if owner != self.index {
            connection.undecided.set((owner, connection.undecided.get().1 + 1));
        }
    }

    /// Asks the engine of this core, or writes to that of another; in both cases with the next [`flush`](Self::flush),
    /// and this core's before the others'.
    fn ask(&self, owner: usize, tag: Tag, asked: Asked) {
        if owner == self.index {
            let entities = match &asked {
                Asked::One(_) => 1,
                Asked::Many(lookups) | Asked::Each(lookups) => lookups.len(),
                Asked::Changes(changes) => changes.len(),
            };
            self.own_entities.set(self.own_entities.get() + entities);
            self.own.borrow_mut().push((tag, asked));
        } else {
            self.outboxes.borrow_mut()[owner].questions.push((tag, asked));
        }
        self.gathered.notify();
    }

    /// Has the engine of this core decide the questions of its own connections, all together.
    pub(super) fn decide_own(&self) {
        loop {
            let mut questions = self.own.take();
            self.own_entities.set(0);
            if !questions.is_empty() {
                self.decide(self.now(), &mut questions);
            }
            // Nothing is asked while the engine decides, so its memory can be used again.
            self.own.replace(questions);
            // Claims that were decided at once have made room for those behind them.
            for connection in self.holding.take() {
                if self.may_go_on(&connection) {
                    self.go_on(&connection);
                }
            }
            if self.own.borrow().is_empty() {
                break;
            }
        }
    }
}

/// How many questions to history the connection may have open with this one, if its answer is, or may be, read from the
/// log by another thread.
fn histories_max(request: &Request) -> Option<usize> {
    match &request.command {
        Command::Audit { .. } | Command::Verify { at: Some(_), .. } => Some(HISTORIES_MAX),
        Command::Verify { at: None, claim: Claim::Attributes(_) | Claim::Digest(_), .. } => Some(CLAIMS_MAX),
        Command::Verify { at: None, claim: Claim::Registered, .. }
        | Command::Register { .. }
        | Command::Remove { .. } => None,
    }
}
