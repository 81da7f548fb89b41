//! The memory of nonces (P8): which command used which, for as long as a repetition could still be asked.
//!
//! Shards own entities, nonces belong to principals; so this is the one projection that all shards share. It is
//! striped, each stripe behind a lock that is held for one look-up, and nothing blocks while holding one.
//!
//! A use is forgotten when the clock says that no repetition is acceptable any more. Clocks are set back, though: so
//! the memory also knows how young what it has forgotten may be, and turns away what may be a repetition of that.

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};
use crate::types::limits::REPLAY_WINDOW_S;
use crate::types::{EntityHash, Fingerprint, HashKey, Kind, Sequence, Timestamp};

use super::prefetch::prefetch;
use stripe::Stripe;
use uses::Use;

// By their paths, since `tools/model` compiles this file as its own.
#[path = "nonces/stripe.rs"]
mod stripe;
#[path = "nonces/uses.rs"]
mod uses;

/// Parts of the memory with a lock each, so that shards seldom wait for each other.
pub const STRIPES: usize = 64;

/// A nonce is remembered this long after it was used: a `ts` may lie the window ahead of the clock, and is
/// acceptable until the clock has passed it by the window; and whole seconds are compared.
const REMEMBERED_MS: u64 = (2 * REPLAY_WINDOW_S + 1) * 1000;

/// A nonce is known by 96 bits of a keyed hash: with 20 million remembered, the next one meets one of them by chance
/// with a probability of 2^-71.
const NAME_MASK: u128 = (1 << 96) - 1;
/// In the fingerprint of a removal, the place of what is registered; no code of a kind.
const REMOVES: u64 = 0xFF;
/// Uses that are looked at with each nonce, so that those which are over become fewer.
const SWEPT: usize = 4;
/// The same where there is no room: what is over must make some.
const SWEPT_WHEN_FULL: usize = 64;

/// What uses of nonces are remembered.
pub struct Nonces {
    key: HashKey,
    stripes: Vec<Mutex<Stripe>>,
    stripe_entries_max: usize,
}

/// Whether nothing that was used then can be repeated acceptably any more, unless the clock is set back.
fn is_over(used: Timestamp, now: Timestamp) -> bool {
    used.unix_ms() + REMEMBERED_MS < now.unix_ms()
}

/// One remembered use, as it stands in a snapshot. Without a place in the log it is no use, but says that none that was
/// forgotten of the stripe in which it would be is younger than its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// What stands for principal and nonce: 96 bits.
    pub nonce: u128,
    /// What stands for the command.
    pub fingerprint: u64,
    /// The event that the command made.
    pub sequence: Sequence,
    /// The time of that event.
    pub time: Timestamp,
}

impl Remembered {
    /// Whether no repetition is acceptable any more, unless the clock is set back.
    fn is_over(&self, now: Timestamp) -> bool {
        self.sequence != Sequence::ZERO && is_over(self.time, now)
    }
}

/// The use of a nonce, in the words of the event that records it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Used<'a> {
    /// The name of the principal.
    pub principal: &'a str,
    /// The nonce.
    pub nonce: &'a str,
    /// The hash of the entity.
    pub entity: EntityHash,
    /// Its kind.
    pub kind: &'a Kind,
    /// What happened to it.
    pub what: Repeatable,
    /// The place of the event.
    pub sequence: Sequence,
    /// Its time.
    pub time: Timestamp,
}

/// What a command that may be repeated does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeatable {
    /// It registers an entity with the attributes of this fingerprint.
    Registers(Option<Fingerprint>),
    /// It removes an entity.
    Removes,
}

impl Repeatable {
    /// The fingerprint of the attributes that it registers; `None` where there are none.
    pub fn attributes(self) -> Option<Fingerprint> {
        match self {
            Repeatable::Registers(attributes) => attributes,
            Repeatable::Removes => None,
        }
    }
}

/// What was known of a nonce when a command claimed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// Nothing; it is this command's now, and must be settled or released.
    Fresh,
    /// The same command made this event with it.
    Same {
        /// The place of the event.
        sequence: Sequence,
        /// The time of the event.
        time: Timestamp,
    },
    /// Another command has it.
    Other {
        /// The event that it made; `None` while it is being decided.
        sequence: Option<Sequence>,
    },
    /// It may be one that was used and is forgotten: the clock was set back.
    Forgotten,
    /// There is no room to remember one more.
    Full,
}

impl Nonces {
    /// An empty memory under the store's key, for at the most about `entries_max` nonces.
    pub fn new(key: HashKey, entries_max: usize) -> Nonces {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Nonces { key, stripes, stripe_entries_max: entries_max.div_ceil(STRIPES).max(1) }
    }

    /// The name of a principal's nonce in this memory. Snapshots keep it, so it never changes.
    pub fn name(&self, principal: &str, nonce: &str) -> u128 {
        let hash_of = |text| u128::from_be_bytes(self.key.hash(text).to_be_bytes());
        let principal = if principal.is_empty() { 0 } else { hash_of(principal) };
        // Turned, so that it matters which of the two a text is.
        (hash_of(nonce) ^ principal.rotate_left(u64::BITS)) & NAME_MASK
    }

    /// What makes two commands the same: what they do, the entity, its kind and attributes; not `ts`, which a retry may
    /// renew. `what` MUST be what the command does. Snapshots keep it, so it never changes.
    pub fn fingerprint(&self, entity: EntityHash, kind: &Kind, what: Repeatable) -> u64 {
        // Each part is a keyed hash already, by a function of its own, or a number that tells few cases apart.
        let what = match (what, kind) {
            // A removal leaves the kind out: the command does not name it, the event does.
            (Repeatable::Removes, _) => REMOVES,
            (Repeatable::Registers(attributes), kind) => {
                let kind = match kind {
                    Kind::Extension(name) => self.key.hash(name).table_bits(),
                    closed => u64::from(closed.code()),
                };
                kind ^ attributes.map_or(0, |attributes| u64::from_le_bytes(attributes.to_le_bytes()))
            }
        };
        entity.front() ^ what
    }

    /// Asks for the memory that claiming this nonce needs, so that it is at hand right after.
    pub fn prefetch(&self, nonce: u128) {
        self.stripe(nonce).prefetch(nonce);
    }

    /// Claims a nonce for a command, both by the names above. The command says that it was made at `made`, which MUST
    /// not lie further ahead of `now` than the replay window.
    pub fn claim(&self, nonce: u128, fingerprint: u64, made: Timestamp, now: Timestamp) -> Claimed {
        let mut stripe = self.stripe(nonce);
        let full = stripe.len() >= self.stripe_entries_max;
        stripe.forget(now, if full { SWEPT_WHEN_FULL } else { SWEPT }, full);
        let known = stripe.find(nonce).map(Use::remembered);
        if let Some(known) = known.filter(|known| known.is_over(now)) {
            stripe.forgotten = stripe.forgotten.max(known.time);
            stripe.take(nonce);
        }
        match known.filter(|known| !known.is_over(now)) {
            Some(known) if known.fingerprint == fingerprint && known.sequence != Sequence::ZERO => {
                Claimed::Same { sequence: known.sequence, time: known.time }
            }
            Some(known) => {
                Claimed::Other { sequence: Some(known.sequence).filter(|sequence| *sequence != Sequence::ZERO) }
            }
            None if stripe.may_have_forgotten(made) => Claimed::Forgotten,
            None if stripe.len() >= self.stripe_entries_max => Claimed::Full,
            None => {
                stripe.put(&Remembered { nonce, fingerprint, sequence: Sequence::ZERO, time: now });
                Claimed::Fresh
            }
        }
    }

    /// Notes the event that the claiming command made.
    pub fn settle(&self, nonce: u128, sequence: Sequence, time: Timestamp) {
        if let Some(known) = self.stripe(nonce).find_mut(nonce) {
            known.settle(sequence, time);
        }
    }

    /// Gives a nonce back: its command was denied and changed nothing.
    pub fn release(&self, nonce: u128) {
        self.stripe(nonce).take(nonce);
    }

    /// Remembers the use that an event of the log records, as seen from `now`.
    pub fn apply(&self, used: &Used<'_>, now: Timestamp) {
        if is_over(used.time, now) {
            return;
        }
        let fingerprint = self.fingerprint(used.entity, used.kind, used.what);
        let nonce = self.name(used.principal, used.nonce);
        self.remember(Remembered { nonce, fingerprint, sequence: used.sequence, time: used.time }, now);
    }

    /// Remembers a use that a snapshot records, as seen from `now`. What is too old is not kept, what is known already
    /// is not kept twice, and of two uses the younger counts, in whatever order they come.
    pub fn remember(&self, seen: Remembered, now: Timestamp) {
        if seen.sequence == Sequence::ZERO {
            let mut stripe = self.stripe(seen.nonce);
            stripe.forgotten = stripe.forgotten.max(seen.time);
            return;
        }
        if is_over(seen.time, now) {
            return;
        }
        let mut stripe = self.stripe(seen.nonce);
        match stripe.find(seen.nonce).map(|known| known.remembered().sequence) {
            Some(known) if known >= seen.sequence => return,
            Some(_) => stripe.take(seen.nonce),
            None => {}
        }
        stripe.put(&seen);
    }

    /// Notes that all uses were shown by [`apply`](Self::apply) and [`remember`](Self::remember), as seen from `now`,
    /// up to the last event of the log, which happened at `last`: what was over then is forgotten.
    pub fn complete(&self, last: Timestamp, now: Timestamp) {
        let over = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(REMEMBERED_MS)).min(last);
        for stripe in &self.stripes {
            let mut stripe = lock(stripe);
            stripe.forgotten = stripe.forgotten.max(over);
        }
    }

    /// Every settled use that is remembered in one of the [`STRIPES`], and what [`Remembered`] says of those that are
    /// not.
    pub fn visit(&self, stripe: usize, visitor: &mut dyn FnMut(Remembered)) {
        let Some(found) = self.stripes.get(stripe) else { return };
        let found = lock(found);
        if found.forgotten > Timestamp::ZERO {
            let (nonce, sequence, time) = (stripe as u128, Sequence::ZERO, found.forgotten);
            visitor(Remembered { nonce, fingerprint: 0, sequence, time });
        }
        found.uses().map(Use::remembered).filter(|seen| seen.sequence != Sequence::ZERO).for_each(visitor);
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    fn stripe(&self, nonce: u128) -> MutexGuard<'_, Stripe> {
        lock(&self.stripes[nonce as usize % STRIPES])
    }
}

/// A poisoned lock means that a shard panicked, which ends the process anyway.
fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
