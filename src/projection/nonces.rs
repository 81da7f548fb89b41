//! The memory of nonces (P8): which command used which, for as long as a repetition could still be asked.
//!
//! Shards own entities, nonces belong to principals; so this is the one projection that all shards share. It is
//! striped, each stripe behind a lock that is held for one look-up, and nothing blocks while holding one.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::domain::{Change, Command, Event};
use crate::types::limits::REPLAY_WINDOW_S;
use crate::types::{Attributes, Entity, HashKey, Nonce, Principal, Sequence, Timestamp};

/// Parts of the memory with a lock each, so that shards seldom wait for each other.
pub const STRIPES: usize = 64;

/// A nonce is remembered this long after it was used: a `ts` may lie the window ahead of the clock, and is
/// acceptable until the clock has passed it by the window; and whole seconds are compared.
const REMEMBERED_MS: u64 = (2 * REPLAY_WINDOW_S + 1) * 1000;

/// What uses of nonces are remembered.
pub struct Nonces {
    key: HashKey,
    stripes: Vec<Mutex<Stripe>>,
    stripe_entries_max: usize,
}

#[derive(Default)]
struct Stripe {
    uses: HashMap<u128, Use, BuildHasherDefault<Keyed>>,
    /// In the order of use, which is the order of forgetting.
    order: VecDeque<(u64, u128)>,
}

/// The names in the memory are hashes under a secret key already, so they are spread as they are.
#[derive(Default)]
struct Keyed(u64);

impl Hasher for Keyed {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the high half is meant, since the stripe is chosen by low bits"
    )]
    fn write_u128(&mut self, name: u128) {
        self.0 = (name >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
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

#[derive(Clone, Copy)]
struct Use {
    fingerprint: u128,
    sequence: Sequence,
    time: Timestamp,
}

/// One remembered use, as it stands in a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// Keyed hash of principal and nonce.
    pub nonce: u128,
    /// Keyed hash of the command.
    pub fingerprint: u128,
    /// The event that the command made.
    pub sequence: Sequence,
    /// The time of that event.
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
    pub fn name(&self, principal: &Principal, nonce: &Nonce) -> u128 {
        // The principal's length before it keeps ("ab", "c") and ("a", "bc") apart.
        let name = principal.name();
        self.hash_of(&[Decimal::of(name.len()).as_str(), ":", name, nonce.as_str()])
    }

    /// What makes two commands the same: verb, entity, kind and attributes; not `ts`, which a retry may renew.
    /// `None` for a command that changes nothing.
    pub fn fingerprint(&self, command: &Command) -> Option<u128> {
        match command {
            Command::Register { subject, attributes } => Some(self.print("+", &subject.entity, attributes)),
            Command::Remove { subject } => Some(self.print_removal(&subject.entity)),
            Command::Verify { .. } | Command::Audit { .. } => None,
        }
    }

    /// A removal's fingerprint leaves the kind out: the command does not name it, the event does.
    fn print_removal(&self, entity: &Entity) -> u128 {
        self.hash_of(&["-", entity.as_str()])
    }

    fn print(&self, verb: &str, entity: &Entity, attributes: &Attributes) -> u128 {
        let (kind, name) = (entity.kind().name(), entity.as_str());
        self.hash_of(&[verb, kind, " ", Decimal::of(name.len()).as_str(), ":", name, attributes.as_str()])
    }

    /// The keyed hash of these texts, one behind the other. Snapshots keep it, so what is hashed never changes.
    fn hash_of(&self, texts: &[&str]) -> u128 {
        u128::from_be_bytes(self.key.hash(&texts.concat()).to_be_bytes())
    }

    /// Claims a nonce for a command, both by the names above.
    pub fn claim(&self, nonce: u128, fingerprint: u128, now: Timestamp) -> Claimed {
        let mut stripe = self.stripe(nonce);
        stripe.forget(now);
        match stripe.uses.get(&nonce) {
            Some(known) if known.fingerprint == fingerprint && known.sequence != Sequence::ZERO => {
                Claimed::Same { sequence: known.sequence, time: known.time }
            }
            Some(known) => {
                Claimed::Other { sequence: Some(known.sequence).filter(|sequence| *sequence != Sequence::ZERO) }
            }
            None if stripe.uses.len() >= self.stripe_entries_max => Claimed::Full,
            None => {
                stripe.uses.insert(nonce, Use { fingerprint, sequence: Sequence::ZERO, time: now });
                Claimed::Fresh
            }
        }
    }

    /// Notes the event that the claiming command made.
    pub fn settle(&self, nonce: u128, sequence: Sequence, time: Timestamp) {
        let mut stripe = self.stripe(nonce);
        if let Some(known) = stripe.uses.get_mut(&nonce) {
            known.sequence = sequence;
            known.time = time;
            stripe.order.push_back((time.unix_ms(), nonce));
        }
    }

    /// Gives a nonce back: its command was denied and changed nothing.
    pub fn release(&self, nonce: u128) {
        self.stripe(nonce).uses.remove(&nonce);
    }

    /// Remembers the use that an event of the log records, as seen from `now`.
    pub fn apply(&self, event: &Event, now: Timestamp) {
        let Some(once) = &event.once else { return };
        let fingerprint = match &event.change {
            Change::Registered { attributes } => self.print("+", &event.entity, attributes),
            Change::Removed => self.print_removal(&event.entity),
        };
        let nonce = self.name(&event.principal, &once.nonce);
        self.remember(Remembered { nonce, fingerprint, sequence: event.sequence, time: event.time }, now);
    }

    /// Remembers a use that a snapshot records, as seen from `now`. What is too old is not kept, what is known already
    /// is not kept twice.
    pub fn remember(&self, seen: Remembered, now: Timestamp) {
        if seen.time.unix_ms() + REMEMBERED_MS < now.unix_ms() {
            return;
        }
        let mut stripe = self.stripe(seen.nonce);
        let known = Use { fingerprint: seen.fingerprint, sequence: seen.sequence, time: seen.time };
        if stripe.uses.insert(seen.nonce, known).is_none() {
            stripe.order.push_back((seen.time.unix_ms(), seen.nonce));
        }
    }

    /// Puts what was remembered into the order of forgetting. To be called when all of a store's uses are back, which
    /// a snapshot gives in no order: a young one in front would keep older ones from being forgotten.
    pub fn put_in_order(&self) {
        for stripe in &self.stripes {
            lock(stripe).order.make_contiguous().sort_unstable();
        }
    }

    /// Every settled use that is remembered in one of the [`STRIPES`].
    pub fn visit(&self, stripe: usize, visitor: &mut dyn FnMut(Remembered)) {
        let Some(stripe) = self.stripes.get(stripe) else { return };
        let stripe = lock(stripe);
        for (nonce, known) in stripe.uses.iter().filter(|(_, known)| known.sequence != Sequence::ZERO) {
            let Use { fingerprint, sequence, time } = *known;
            visitor(Remembered { nonce: *nonce, fingerprint, sequence, time });
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    fn stripe(&self, nonce: u128) -> MutexGuard<'_, Stripe> {
        lock(&self.stripes[nonce as usize % STRIPES])
    }
}

impl Stripe {
    fn forget(&mut self, now: Timestamp) {
        while let Some((used_ms, nonce)) = self.order.front().copied() {
            if used_ms + REMEMBERED_MS >= now.unix_ms() {
                break;
            }
            self.order.pop_front();
            self.uses.remove(&nonce);
        }
    }
}

/// A poisoned lock means that a shard panicked, which ends the process anyway.
fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
