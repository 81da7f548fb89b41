//! The memory of nonces (P8): which command used which, for as long as a repetition could still be asked.
//!
//! Shards own entities, nonces belong to principals; so this is the one projection that all shards share. It is
//! striped, each stripe behind a lock that is held for one look-up, and nothing blocks while holding one.
//!
//! A use is forgotten when the clock says that no repetition is acceptable any more. Clocks are set back, though: so the
//! memory also knows how young what it has forgotten may be, and turns away what may be a repetition of that.

use std::sync::PoisonError;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::domain::Command;
use crate::sync::{Mutex, MutexGuard};
use crate::types::limits::REPLAY_WINDOW_S;
use crate::types::{HashKey, Kind, Sequence, Timestamp};

/// Parts of the memory with a lock each, so that shards seldom wait for each other.
pub const STRIPES: usize = 64;

/// A nonce is remembered this long after it was used: a `ts` may lie the window ahead of the clock, and is
/// acceptable until the clock has passed it by the window; and whole seconds are compared.
const REMEMBERED_MS: u64 = (2 * REPLAY_WINDOW_S + 1) * 1000;

/// A nonce is known by 96 bits of a keyed hash: with 20 million remembered, the next one meets one of them by chance
/// with a probability of 2^-71.
const NAME_MASK: u128 = (1 << 96) - 1;
/// Places of the table that are looked at with each nonce: all of them in the time in which a quarter is filled.
const SWEPT: usize = 4;
/// The same where there is no room: what is over must make some.
const SWEPT_WHEN_FULL: usize = 64;
/// A table gives memory back when it could hold this many times more.
const SPARSE: usize = 8;

/// What uses of nonces are remembered.
pub struct Nonces {
    key: HashKey,
    stripes: Vec<Mutex<Stripe>>,
    stripe_entries_max: usize,
}

#[derive(Default)]
struct Stripe {
    uses: HashTable<Use>,
    /// No use that was forgotten is younger. Zero: none was.
    forgotten: Timestamp,
    /// Where the looking for what may be forgotten goes on.
    hand: usize,
}

/// One use, in 32 bytes: there are as many as changes in ten minutes.
#[derive(Clone, Copy)]
struct Use {
    /// The name's 96 bits.
    name: [u8; 12],
    fingerprint: [u8; 8],
    /// Zero while the command is being decided.
    sequence: [u8; 6],
    time_ms: [u8; 6],
}

const _: () = assert!(size_of::<Use>() == 32);

impl Use {
    fn new(seen: &Remembered) -> Use {
        let Remembered { nonce, fingerprint, sequence, time } = seen;
        let mut known = Use {
            name: front(&nonce.to_le_bytes()),
            fingerprint: fingerprint.to_le_bytes(),
            sequence: [0; 6],
            time_ms: [0; 6],
        };
        known.settle(*sequence, *time);
        known
    }

    fn settle(&mut self, sequence: Sequence, time: Timestamp) {
        self.sequence = front(&sequence.value().to_le_bytes());
        self.time_ms = front(&time.unix_ms().to_le_bytes());
    }

    fn remembered(&self) -> Remembered {
        Remembered {
            nonce: wide(&self.name),
            fingerprint: u64::from_le_bytes(self.fingerprint),
            sequence: Sequence::new(narrow(wide(&self.sequence))),
            time: Timestamp::from_unix_ms(narrow(wide(&self.time_ms))),
        }
    }

    fn is_named(&self, nonce: u128) -> bool {
        wide(&self.name) == nonce
    }

    /// Where the table looks for it.
    fn bits(&self) -> u64 {
        bits(wide(&self.name))
    }
}

/// Whether nothing that was used then can be repeated acceptably any more, unless the clock is set back.
fn is_over(used: Timestamp, now: Timestamp) -> bool {
    used.unix_ms() + REMEMBERED_MS < now.unix_ms()
}

/// The names in the memory are hashes under a secret key already, so they are spread as they are. The stripe is chosen
/// by other bits.
fn bits(nonce: u128) -> u64 {
    narrow(nonce >> 32)
}

fn front<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

fn wide(bytes: &[u8]) -> u128 {
    let mut wide = [0; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(wide)
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn narrow(number: u128) -> u64 {
    number as u64
}

/// A number in decimal digits, without a heap.
struct Decimal {
    digits: [u8; 20],
    begin: usize,
}

impl Decimal {
    fn of(mut number: usize) -> Decimal {
        let (mut digits, mut begin) = ([b'0'; 20], 20);
        loop {
            begin -= 1;
            digits[begin] = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
            if number == 0 {
                return Decimal { digits, begin };
            }
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[self.begin..]).unwrap_or_default()
    }
}

/// One remembered use, as it stands in a snapshot. Without a place in the log it is no use, but says that none that was
/// forgotten of the stripe in which it would be is younger than its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// Keyed hash of principal and nonce: 96 bits.
    pub nonce: u128,
    /// Keyed hash of the command.
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
    /// The canonical text of the entity.
    pub entity: &'a str,
    /// Its kind.
    pub kind: &'a Kind,
    /// The attributes that were registered; `None` for a removal.
    pub attributes: Option<&'a str>,
    /// The place of the event.
    pub sequence: Sequence,
    /// Its time.
    pub time: Timestamp,
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

    /// The name of a principal's nonce in this memory.
    pub fn name(&self, principal: &str, nonce: &str) -> u128 {
        // The principal's length before it keeps ("ab", "c") and ("a", "bc") apart.
        self.hash_of(&[Decimal::of(principal.len()).as_str(), ":", principal, nonce]) & NAME_MASK
    }

    /// What makes two commands the same: verb, entity, kind and attributes; not `ts`, which a retry may renew.
    /// `None` for a command that changes nothing.
    pub fn fingerprint(&self, command: &Command) -> Option<u64> {
        match command {
            Command::Register { subject, attributes } => {
                Some(self.print(subject.entity.kind(), subject.entity.as_str(), attributes.as_str()))
            }
            Command::Remove { subject } => Some(self.print_removal(subject.entity.as_str())),
            Command::Verify { .. } | Command::Audit { .. } => None,
        }
    }

    /// A removal's fingerprint leaves the kind out: the command does not name it, the event does.
    fn print_removal(&self, entity: &str) -> u64 {
        narrow(self.hash_of(&["-", entity]))
    }

    fn print(&self, kind: &Kind, entity: &str, attributes: &str) -> u64 {
        let length = Decimal::of(entity.len());
        narrow(self.hash_of(&["+", kind.name(), " ", length.as_str(), ":", entity, attributes]))
    }

    /// The keyed hash of these texts, one behind the other. Snapshots keep it, so what is hashed never changes.
    fn hash_of(&self, texts: &[&str]) -> u128 {
        u128::from_be_bytes(self.key.hash_joined(texts).to_be_bytes())
    }

    /// Claims a nonce for a command, both by the names above. The command says that it was made at `made`, which MUST
    /// not lie further ahead of `now` than the replay window.
    pub fn claim(&self, nonce: u128, fingerprint: u64, made: Timestamp, now: Timestamp) -> Claimed {
        let mut stripe = self.stripe(nonce);
        let full = stripe.uses.len() >= self.stripe_entries_max;
        stripe.forget(now, if full { SWEPT_WHEN_FULL } else { SWEPT });
        let known = stripe.find(nonce).map(Use::remembered);
        if let Some(known) = known.filter(|known| known.is_over(now)) {
            stripe.forgotten = stripe.forgotten.max(known.time);
        }
        match known.filter(|known| !known.is_over(now)) {
            Some(known) if known.fingerprint == fingerprint && known.sequence != Sequence::ZERO => {
                Claimed::Same { sequence: known.sequence, time: known.time }
            }
            Some(known) => {
                Claimed::Other { sequence: Some(known.sequence).filter(|sequence| *sequence != Sequence::ZERO) }
            }
            None if stripe.may_have_forgotten(made) => Claimed::Forgotten,
            None if stripe.uses.len() >= self.stripe_entries_max => Claimed::Full,
            None => {
                stripe.put(&Remembered { nonce, fingerprint, sequence: Sequence::ZERO, time: now });
                Claimed::Fresh
            }
        }
    }

    /// Notes the event that the claiming command made.
    pub fn settle(&self, nonce: u128, sequence: Sequence, time: Timestamp) {
        let mut stripe = self.stripe(nonce);
        if let Some(known) = stripe.uses.find_mut(bits(nonce), |known| known.is_named(nonce)) {
            known.settle(sequence, time);
        }
    }

    /// Gives a nonce back: its command was denied and changed nothing.
    pub fn release(&self, nonce: u128) {
        let mut stripe = self.stripe(nonce);
        if let Ok(entry) = stripe.uses.find_entry(bits(nonce), |known| known.is_named(nonce)) {
            entry.remove();
        }
    }

    /// Remembers the use that an event of the log records, as seen from `now`.
    pub fn apply(&self, used: &Used<'_>, now: Timestamp) {
        if is_over(used.time, now) {
            return;
        }
        let fingerprint = match used.attributes {
            Some(attributes) => self.print(used.kind, used.entity, attributes),
            None => self.print_removal(used.entity),
        };
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
        if stripe.find(seen.nonce).is_none_or(|known| known.remembered().sequence < seen.sequence) {
            stripe.put(&seen);
        }
    }

    /// Notes that all uses were shown by [`apply`](Self::apply) and [`remember`](Self::remember), as seen from `now`, up
    /// to the last event of the log, which happened at `last`: what was over then is forgotten.
    pub fn complete(&self, last: Timestamp, now: Timestamp) {
        let over = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(REMEMBERED_MS)).min(last);
        for stripe in &self.stripes {
            let mut stripe = lock(stripe);
            stripe.forgotten = stripe.forgotten.max(over);
        }
    }

    /// Every settled use that is remembered in one of the [`STRIPES`], and what [`Remembered`] says of those that are not.
    pub fn visit(&self, stripe: usize, visitor: &mut dyn FnMut(Remembered)) {
        let Some(found) = self.stripes.get(stripe) else { return };
        let found = lock(found);
        if found.forgotten > Timestamp::ZERO {
            let (nonce, sequence, time) = (stripe as u128, Sequence::ZERO, found.forgotten);
            visitor(Remembered { nonce, fingerprint: 0, sequence, time });
        }
        found.uses.iter().map(Use::remembered).filter(|seen| seen.sequence != Sequence::ZERO).for_each(visitor);
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    fn stripe(&self, nonce: u128) -> MutexGuard<'_, Stripe> {
        lock(&self.stripes[nonce as usize % STRIPES])
    }
}

impl Stripe {
    fn find(&self, nonce: u128) -> Option<&Use> {
        self.uses.find(bits(nonce), |known| known.is_named(nonce))
    }

    /// Whether a command that was made then may be one whose use of its nonce was forgotten. Where it was made no earlier
    /// than the clock allows, and the clock was never set back, it is not.
    fn may_have_forgotten(&self, made: Timestamp) -> bool {
        self.forgotten > Timestamp::ZERO && made.unix_s() <= self.forgotten.unix_s() + REPLAY_WINDOW_S
    }

    /// Notes a use, also where an older one of the same nonce is still there.
    fn put(&mut self, seen: &Remembered) {
        let same = |known: &Use| known.is_named(seen.nonce);
        match self.uses.entry(bits(seen.nonce), same, Use::bits) {
            Entry::Occupied(mut entry) => *entry.get_mut() = Use::new(seen),
            Entry::Vacant(entry) => drop(entry.insert(Use::new(seen))),
        }
    }

    /// Looks at a few uses, in turn, and forgets those that are over. With each nonce that comes some are looked at, so
    /// that the table holds few that are over, and needs no order to find them by.
    fn forget(&mut self, now: Timestamp, uses: usize) {
        for _ in 0..uses.min(self.uses.num_buckets()) {
            self.hand += 1;
            if self.hand >= self.uses.num_buckets() {
                self.hand = 0;
                self.give_back();
            }
            if let Ok(entry) = self.uses.get_bucket_entry(self.hand) {
                let seen = entry.get().remembered();
                if seen.is_over(now) {
                    entry.remove();
                    self.forgotten = self.forgotten.max(seen.time);
                }
            }
        }
    }

    /// Gives memory back that a burst took.
    fn give_back(&mut self) {
        if self.uses.len() * SPARSE < self.uses.capacity() {
            self.uses.shrink_to(self.uses.len() * 2, Use::bits);
        }
    }
}

/// A poisoned lock means that a shard panicked, which ends the process anyway.
fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
