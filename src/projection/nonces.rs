//! The memory of nonces (P8): which command used which, for as long as a repetition could still be asked.
//!
//! Shards own entities, nonces belong to principals; so this is the one projection that all shards share. It is
//! striped, each stripe behind a lock that is held for one look-up, and while the command whose nonce it is takes its
//! place in the log; nothing waits for long while holding one.
//!
//! A use is forgotten when the clock says that no repetition is acceptable any more. Clocks are set back, though: so
//! the memory also knows how young what it has forgotten may be, and turns away what may be a repetition of that.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::sync::{AtomicUsize, Mutex, MutexGuard};
use crate::types::limits::REPLAY_WINDOW_S;
use crate::types::{EntityHash, Fingerprint, HashKey, Kind, Sequence, Timestamp};

use super::prefetch::{prefetch, prefetch_address};
use stripe::{Location, Stripe};
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
    stripes: Vec<Striped>,
    stripe_entries_max: usize,
}

/// A stripe behind its lock.
struct Striped {
    stripe: Mutex<Stripe>,
    /// Where its index lay a while ago, for whoever only wants to have asked for its memory: a hint is not worth the lock.
    first: AtomicUsize,
    buckets: AtomicUsize,
}

impl Striped {
    fn new() -> Striped {
        Striped { stripe: Mutex::default(), first: AtomicUsize::new(0), buckets: AtomicUsize::new(0) }
    }

    /// A poisoned lock means that a shard panicked, which ends the process anyway.
    fn lock(&self) -> MutexGuard<'_, Stripe> {
        self.stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the index lies now.
    fn note(&self, location: Location) {
        // Both may be read while one of them is old; then memory is asked for that is not needed.
        self.first.store(location.first, Ordering::Relaxed);
        self.buckets.store(location.buckets, Ordering::Relaxed);
    }

    fn location(&self) -> Location {
        Location { first: self.first.load(Ordering::Relaxed), buckets: self.buckets.load(Ordering::Relaxed) }
    }
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
        is_over(self.time, now)
    }
}

/// A place in a walk over the uses in a stripe, which may go on while they change.
#[derive(Clone, Debug)]
pub struct NonceWalk {
    stripe: usize,
    /// What is left of it; `None` where there is no such stripe.
    rest: Option<stripe::Walk>,
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
    /// Nothing. Either the command took this place in the log, and the nonce is its own; or it took none.
    Fresh(Option<(Sequence, Timestamp)>),
    /// The same command made this event with it.
    Same {
        /// The place of the event.
        sequence: Sequence,
        /// The time of the event.
        time: Timestamp,
    },
    /// Another command has it.
    Other {
        /// The event that it made.
        sequence: Sequence,
    },
    /// It may be one that was used and is forgotten: the clock was set back.
    Forgotten,
    /// There is no room to remember one more.
    Full,
}

impl Nonces {
    /// An empty memory under the store's key, for at the most about `entries_max` nonces.
    pub fn new(key: HashKey, entries_max: usize) -> Nonces {
        let stripes = (0..STRIPES).map(|_| Striped::new()).collect();
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
        prefetch_address(self.striped(nonce).location().home_of(nonce));
    }

    /// Claims a nonce for a command, both by the names above. The command says that it was made at `made`, which MUST
    /// not lie further ahead of `now` than the replay window.
    ///
    /// If the nonce is fresh, `take` takes the place in the log of the event that the command makes, which is remembered;
    /// or it gives none, where the command is denied, and its nonce stays fresh. It MUST NOT use this memory.
    pub fn claim(
        &self,
        nonce: u128,
        fingerprint: u64,
        made: Timestamp,
        now: Timestamp,
        take: impl FnOnce() -> Option<(Sequence, Timestamp)>,
    ) -> Claimed {
        let striped = self.striped(nonce);
        let mut stripe = striped.lock();
        let full = stripe.len() >= self.stripe_entries_max;
        stripe.forget(now, if full { SWEPT_WHEN_FULL } else { SWEPT }, full);
        let known = stripe.find(nonce).map(Use::remembered);
        if let Some(known) = known.filter(|known| known.is_over(now)) {
            stripe.forgotten = stripe.forgotten.max(known.time);
            stripe.take(nonce);
        }
        let claimed = match known.filter(|known| !known.is_over(now)) {
            Some(known) if known.fingerprint == fingerprint => {
                Claimed::Same { sequence: known.sequence, time: known.time }
            }
            Some(known) => Claimed::Other { sequence: known.sequence },
            None if stripe.may_have_forgotten(made) => Claimed::Forgotten,
            None if stripe.len() >= self.stripe_entries_max => Claimed::Full,
            None => {
                let taken = take();
                if let Some((sequence, time)) = taken {
                    stripe.put(&Remembered { nonce, fingerprint, sequence, time });
                }
                Claimed::Fresh(taken)
            }
        };
        striped.note(stripe.location());
        claimed
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
            let mut stripe = self.striped(seen.nonce).lock();
            stripe.forgotten = stripe.forgotten.max(seen.time);
            return;
        }
        if is_over(seen.time, now) {
            return;
        }
        let striped = self.striped(seen.nonce);
        let mut stripe = striped.lock();
        match stripe.find(seen.nonce).map(|known| known.remembered().sequence) {
            Some(known) if known >= seen.sequence => return,
            Some(_) => stripe.take(seen.nonce),
            None => {}
        }
        stripe.put(&seen);
        striped.note(stripe.location());
    }

    /// Notes that all uses were shown by [`apply`](Self::apply) and [`remember`](Self::remember), as seen from `now`,
    /// up to the last event of the log, which happened at `last`: what was over then is forgotten.
    pub fn complete(&self, last: Timestamp, now: Timestamp) {
        let over = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(REMEMBERED_MS)).min(last);
        for striped in &self.stripes {
            let mut stripe = striped.lock();
            stripe.forgotten = stripe.forgotten.max(over);
        }
    }

    /// The start of a walk over what is remembered in one of the [`STRIPES`].
    pub fn walk(&self, stripe: usize) -> NonceWalk {
        NonceWalk { stripe, rest: self.stripes.get(stripe).map(|striped| striped.lock().walk()) }
    }

    /// Visits the uses from `walk` on, at the most `uses_max`, and says where to go on; `None` behind the last one, when what
    /// [`Remembered`] says of uses that are forgotten has been shown too. Uses that have come since the walk began may be
    /// visited or not, and any may be visited twice.
    pub fn visit(&self, walk: NonceWalk, uses_max: usize, visitor: &mut dyn FnMut(Remembered)) -> Option<NonceWalk> {
        let NonceWalk { stripe, rest } = walk;
        let found = self.stripes.get(stripe)?.lock();
        let rest = found.visit(rest?, uses_max, &mut |known| visitor(known.remembered()));
        // At the end, since what was not visited may have been forgotten meanwhile.
        if rest.is_none() && found.forgotten > Timestamp::ZERO {
            let (nonce, sequence, time) = (stripe as u128, Sequence::ZERO, found.forgotten);
            visitor(Remembered { nonce, fingerprint: 0, sequence, time });
        }
        rest.map(|rest| NonceWalk { stripe, rest: Some(rest) })
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    fn striped(&self, nonce: u128) -> &Striped {
        &self.stripes[nonce as usize % STRIPES]
    }
}

#[cfg(test)]
mod tests;
