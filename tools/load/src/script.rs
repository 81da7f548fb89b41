//! What each connection asks, command after command.
//!
//! What a command must be answered is known when it is sent, although other connections change the store at the same
//! time: lookups ask for entities that were loaded before and that nobody removes, or for names that nobody registers;
//! what is registered or removed is each connection's own, every `connections`-th number from its own on.
//!
//! Never: a clock, or what was answered.

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::draw::{Draw, below};
use crate::entities::{ENTITIES_MAX, Name};
use crate::plan::{Plan, Workload};

/// One command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    /// Is this name registered?
    Verify(Name),
    /// Are these many names? Which they are follows from the seed.
    Bulk {
        /// Of the names in this message.
        seed: u64,
    },
    /// Entity of this number begins.
    Register(u64),
    /// Entity of this number ends.
    Remove(u64),
    /// What happened to the entity of this number?
    Audit(u64),
    /// Are you there?
    Ping,
}

/// The commands of one connection.
#[derive(Debug)]
pub(crate) struct Script {
    workload: Workload,
    draw: Draw,
    rng: SmallRng,
    /// The next number to register or to remove.
    own: u64,
    /// From one own number to the next.
    step: u64,
    /// Own numbers end before this one.
    end: u64,
    /// The number behind the last that was used.
    used: u64,
}

impl Script {
    /// The script of connection `connection`.
    pub(crate) fn new(plan: &Plan, connection: u64) -> Script {
        let step = u64::try_from(plan.connections).unwrap_or(u64::MAX);
        let end = if plan.workload == Workload::Remove { plan.entities } else { ENTITIES_MAX };
        // Seeds of neighbours must not be neighbours in what they draw; `seed_from_u64` sees to that.
        let rng = SmallRng::seed_from_u64(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(connection));
        let draw = Draw::new(plan.keys, plan.entities);
        let own = plan.first.saturating_add(connection);
        Script { workload: plan.workload, draw, rng, own, step, end, used: plan.first }
    }

    /// The next command; `None` when there is nothing left to remove.
    pub(crate) fn next(&mut self) -> Option<Command> {
        match self.workload {
            Workload::VerifyHit => Some(self.verify(true)),
            Workload::VerifyMiss => Some(self.verify(false)),
            Workload::VerifyMixed => Some(self.verify_any()),
            Workload::Bulk => Some(Command::Bulk { seed: self.rng.next_u64() }),
            Workload::Register => self.own().map(Command::Register),
            Workload::Remove => self.own().map(Command::Remove),
            Workload::Day => match below(&mut self.rng, 100) {
                0..95 => Some(self.verify_any()),
                95..99 => self.own().map(Command::Register),
                _ => Some(Command::Audit(self.draw.next(&mut self.rng))),
            },
            Workload::Ping => Some(Command::Ping),
        }
    }

    /// The number behind the last that this connection has used.
    pub(crate) fn next_own(&self) -> u64 {
        self.used
    }

    fn own(&mut self) -> Option<u64> {
        let number = self.own;
        if number >= self.end {
            return None;
        }
        self.own = number.saturating_add(self.step);
        self.used = number + 1;
        Some(number)
    }

    fn verify_any(&mut self) -> Command {
        let hit = self.rng.next_u32().is_multiple_of(2);
        self.verify(hit)
    }

    fn verify(&mut self, hit: bool) -> Command {
        Command::Verify(if hit { Name::Entity(self.draw.next(&mut self.rng)) } else { absent(&mut self.rng) })
    }
}

/// The names of a bulk lookup: how many, and how many of a hundred are registered.
#[derive(Clone, Debug)]
pub(crate) struct BulkNames {
    draw: Draw,
    count: usize,
    hits_percent: u64,
}

impl BulkNames {
    pub(crate) fn new(plan: &Plan) -> BulkNames {
        let draw = Draw::new(plan.keys, plan.entities);
        BulkNames { draw, count: plan.names_per_message, hits_percent: plan.bulk_hits_percent.into() }
    }

    /// The names of the message with this seed, in order.
    pub(crate) fn names(&self, seed: u64) -> impl Iterator<Item = Name> {
        let mut rng = SmallRng::seed_from_u64(seed);
        self.hits(seed).map(move |hit| if hit { Name::Entity(self.draw.next(&mut rng)) } else { absent(&mut rng) })
    }

    /// Whether each name of the message with this seed is registered, in order.
    pub(crate) fn hits(&self, seed: u64) -> impl Iterator<Item = bool> {
        // A generator of its own, so that an answer is checked without drawing the names again.
        let mut rng = SmallRng::seed_from_u64(!seed);
        let hits_percent = self.hits_percent;
        (0..self.count).map(move |_| hits_percent == 100 || below(&mut rng, 100) < hits_percent)
    }
}

fn absent(rng: &mut SmallRng) -> Name {
    Name::Absent(below(rng, ENTITIES_MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::plan::Target;

    fn plan(workload: Workload) -> Plan {
        let mut plan = Plan::new(Target::RepSec, "127.0.0.1:1".parse().unwrap(), "ca.pem");
        (plan.workload, plan.entities, plan.connections) = (workload, 1000, 7);
        plan
    }

    #[test]
    fn what_changes_belongs_to_one_connection_and_comes_once() {
        for (workload, first) in [(Workload::Register, 5000), (Workload::Remove, 10), (Workload::Day, 1000)] {
            let plan = Plan { first, ..plan(workload) };
            let mut seen = HashSet::new();
            for connection in 0..7 {
                let mut script = Script::new(&plan, connection);
                assert_eq!(script.next_own(), first);
                let mut next_own = first;
                for _ in 0..500 {
                    if let Some(Command::Register(number) | Command::Remove(number)) = script.next() {
                        assert!(number >= first && seen.insert(number), "{workload:?} {number}");
                        next_own = number + 1;
                    }
                }
                assert_eq!(script.next_own(), next_own);
            }
            assert!(seen.len() > 50, "{workload:?}: {}", seen.len());
        }
    }

    #[test]
    fn nothing_is_removed_that_was_not_loaded() {
        let mut removed: Vec<u64> = (0..7)
            .flat_map(|connection| {
                let mut script = Script::new(&plan(Workload::Remove), connection);
                std::iter::from_fn(move || script.next())
            })
            .filter_map(|command| if let Command::Remove(number) = command { Some(number) } else { None })
            .collect();
        removed.sort_unstable();
        assert!(removed.into_iter().eq(0..1000), "each once, and no other");
    }

    #[test]
    fn a_day_has_its_shares() {
        let mut script = Script::new(&Plan { first: 1000, ..plan(Workload::Day) }, 0);
        let mut counts = [0_u32; 4];
        for _ in 0..100_000 {
            match script.next() {
                Some(Command::Verify(Name::Entity(_))) => counts[0] += 1,
                Some(Command::Verify(Name::Absent(_))) => counts[1] += 1,
                Some(Command::Register(_)) => counts[2] += 1,
                Some(Command::Audit(_)) => counts[3] += 1,
                other => panic!("{other:?}"),
            }
        }
        for (count, expected) in counts.into_iter().zip([47_500, 47_500, 4_000, 1_000]) {
            assert!(count.abs_diff(expected) < expected / 10, "{counts:?}");
        }
    }

    #[test]
    fn names_and_hits_of_a_bulk_lookup_agree() {
        for percent in [0, 30, 100] {
            let plan = Plan { bulk_hits_percent: percent, names_per_message: 5000, ..plan(Workload::Bulk) };
            let bulk = BulkNames::new(&plan);
            let names: Vec<Name> = bulk.names(9).collect();
            let hits: Vec<bool> = bulk.hits(9).collect();
            let registered: Vec<bool> = names.iter().map(|name| matches!(name, Name::Entity(_))).collect();
            assert_eq!(registered, hits);
            let count = hits.iter().filter(|hit| **hit).count();
            assert!(count.abs_diff(usize::from(percent) * 50) < 250, "{percent}: {count}");
        }
    }
}
