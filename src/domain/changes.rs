//! Changes: begin or end the life of an entity. Many of them together, since a program that changes much sends many.
//!
//! Their texts stand one behind the other in one piece of memory, and what came of each is noted beside it; so they travel
//! from floor to floor and back as one value, whose memory is used again.

use super::outcome::{Changed, Unavailable};
use crate::types::{EntityHash, Kind, OnceRef, Principal, Timestamp};

/// A command that changes state, whose texts stand elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangeRef<'a> {
    /// The name of the principal who asks.
    pub principal: &'a str,
    /// As [`Request::once`](super::Request::once).
    pub once: Option<OnceRef<'a>>,
    /// The keyed hash of the entity's canonical text.
    pub hash: EntityHash,
    /// The canonical text.
    pub entity: &'a str,
    /// The kind that is registered; of a removal, the one that the text looks like.
    pub kind: &'a Kind,
    /// The stored text of the attributes with which a life of the entity shall begin; `None` where its life shall end.
    pub attributes: Option<&'a str>,
}

/// Bytes of text for each change that are kept while answers wait for the disk.
const WAITING_BYTES: usize = 256;

/// Changes that travel together, to be decided in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Who asks.
    pub principal: Principal,
    texts: String,
    each: Vec<AskedChange>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedChange {
    /// The keyed hash of the canonical name.
    pub hash: EntityHash,
    /// Where its answer belongs, in the words of whoever asks.
    pub place: u32,
    /// What came of it.
    pub changed: Changed,
    /// Never an extension.
    kind: &'static Kind,
    /// Whether a life shall begin.
    begins: bool,
    /// When the command was made, of one that has a nonce.
    made: Timestamp,
    /// Where the name begins and ends, where the attributes end that stand behind it, and the nonce behind those.
    texts: [u32; 4],
}

impl Changes {
    /// None yet.
    pub fn new(principal: Principal) -> Changes {
        Changes { principal, texts: String::new(), each: Vec::new() }
    }

    /// Adds one that asks for a life of this entity to begin with these attributes, or, with none, to end.
    pub fn push(
        &mut self,
        place: u32,
        (hash, kind, name): (EntityHash, &'static Kind, &str),
        attributes: Option<&str>,
        once: Option<OnceRef<'_>>,
    ) {
        let begin = offset(self.texts.len());
        let name_end = self.add_text(name);
        let attributes_end = self.add_text(attributes.unwrap_or_default());
        let nonce_end = self.add_text(once.map_or("", |once| once.nonce));
        self.each.push(AskedChange {
            hash,
            place,
            changed: Changed::Undecided,
            kind,
            begins: attributes.is_some(),
            made: once.map_or(Timestamp::ZERO, |once| once.made),
            texts: [begin, name_end, attributes_end, nonce_end],
        });
    }

    /// Adds a text behind the others, and says where it ends.
    #[inline]
    fn add_text(&mut self, text: &str) -> u32 {
        self.texts.push_str(text);
        offset(self.texts.len())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// All of them, in the order in which they were added.
    pub fn each(&self) -> &[AskedChange] {
        &self.each
    }

    /// What one of them asks for.
    pub fn asked(&self, change: &AskedChange) -> ChangeRef<'_> {
        change.asked(self.principal.name(), &self.texts)
    }

    /// The canonical name of the entity that one of them is about.
    pub fn entity(&self, change: &AskedChange) -> &str {
        let [name, attributes, ..] = change.texts;
        text(&self.texts, name, attributes)
    }

    /// What makes the repetition of one of them recognizable.
    pub fn once(&self, change: &AskedChange) -> Option<OnceRef<'_>> {
        change.once(&self.texts)
    }

    /// What each of them asks for, and where to note what came of it.
    pub fn each_mut(&mut self) -> impl Iterator<Item = (ChangeRef<'_>, &mut Changed)> {
        let (principal, texts) = (self.principal.name(), &*self.texts);
        self.each.iter_mut().map(move |change| (change.asked(principal, texts), &mut change.changed))
    }

    /// Takes those at the front for which `belongs`, as they were asked, up to the first for which it does not.
    #[must_use]
    pub fn take_front_while(&mut self, mut belongs: impl FnMut(&AskedChange) -> bool) -> Changes {
        let count = self.each.iter().position(|change| !belongs(change)).unwrap_or(self.each.len());
        let mut front = Changes::new(self.principal.clone());
        if count == self.each.len() {
            std::mem::swap(self, &mut front);
            return front;
        }
        for change in self.each.drain(..count) {
            let ChangeRef { hash, entity, attributes, once, .. } = change.asked("", &self.texts);
            front.push(change.place, (hash, change.kind, entity), attributes, once);
        }
        front
    }

    /// How many bytes their texts have.
    pub fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// Forgets attributes and nonces where they take much memory: what is decided needs only its name to be answered.
    pub fn keep_names(&mut self) {
        if self.texts.len() <= self.each.len() * WAITING_BYTES {
            return;
        }
        let names = self.each.iter().map(|change| self.entity(change)).collect();
        let mut at = 0;
        for change in &mut self.each {
            let [name, end, ..] = change.texts;
            let begin = at;
            at += end - name;
            change.texts = [begin, at, at, at];
        }
        self.texts = names;
    }

    /// Notes of all of them that the store could not do it.
    pub fn fail(&mut self, why: Unavailable) {
        self.each.iter_mut().for_each(|change| change.changed = Changed::Unavailable(why));
    }

    /// Forgets them, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.each.clear();
    }
}

impl AskedChange {
    /// The kind of the entity that is asked for; of a removal, the one that its name looks like.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Whether a life of the entity shall begin, and none end.
    pub fn begins(&self) -> bool {
        self.begins
    }

    // Inlined, so that it is not put together to be taken apart.
    #[inline(always)]
    fn asked<'a>(&self, principal: &'a str, texts: &'a str) -> ChangeRef<'a> {
        let [name, attributes, nonce, _] = self.texts;
        ChangeRef {
            principal,
            once: self.once(texts),
            hash: self.hash,
            entity: text(texts, name, attributes),
            kind: self.kind,
            attributes: self.begins.then(|| text(texts, attributes, nonce)),
        }
    }

    #[inline(always)]
    fn once<'a>(&self, texts: &'a str) -> Option<OnceRef<'a>> {
        let [.., nonce, end] = self.texts;
        (nonce < end).then(|| OnceRef { made: self.made, nonce: text(texts, nonce, end) })
    }
}

#[inline(always)]
fn text(texts: &str, begin: u32, end: u32) -> &str {
    texts.get(begin as usize..end as usize).unwrap_or_default()
}

/// The texts of the messages of one read are far from 4 GiB.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::HashKey;

    const KEY: HashKey = HashKey::new([3; 16]);

    /// A change as whoever asks has it.
    #[derive(Clone, Debug)]
    struct Plain {
        name: String,
        attributes: Option<String>,
        once: Option<(u64, String)>,
        shard: u8,
    }

    fn plain() -> impl Strategy<Value = Plain> {
        (
            "[a-z\u{e4}.]{0,20}",
            prop::option::of("[a-z\u{e4}]{0,9}"),
            prop::option::of((0..9_u64, "[a-z]{1,9}")),
            0..2_u8,
        )
            .prop_map(|(name, attributes, once, shard)| Plain { name, attributes, once, shard })
    }

    fn once((made, nonce): &(u64, String)) -> OnceRef<'_> {
        OnceRef { made: Timestamp::from_unix_s(*made), nonce }
    }

    fn same(changes: &Changes, expected: &[(u32, Plain)]) -> Result<(), TestCaseError> {
        prop_assert_eq!(changes.len(), expected.len());
        prop_assert_eq!(changes.is_empty(), expected.is_empty());
        for (change, (place, plain)) in changes.each().iter().zip(expected) {
            prop_assert_eq!((change.place, change.changed), (*place, Changed::Undecided));
            let asked = ChangeRef {
                principal: "bob",
                once: plain.once.as_ref().map(once),
                hash: KEY.hash(&plain.name),
                entity: &plain.name,
                kind: &Kind::Domain,
                attributes: plain.attributes.as_deref(),
            };
            prop_assert_eq!(changes.asked(change), asked);
        }
        Ok(())
    }

    proptest! {
        /// What is forgotten while answers wait is not what they tell.
        #[test]
        fn names_outlast_long_attributes(names in prop::collection::vec("[a-z\u{e4}]{0,300}", 1..20), long in 0..3000_usize) {
            let mut changes = Changes::new(Principal::Anonymous);
            let attributes = "x".repeat(long);
            for (place, name) in (0..).zip(&names) {
                changes.push(place, (KEY.hash(name), &Kind::Domain, name), Some(&attributes), None);
            }
            changes.keep_names();
            let name_bytes: usize = names.iter().map(String::len).sum();
            prop_assert!(changes.text_bytes() <= name_bytes.max(names.len() * WAITING_BYTES));
            for (change, name) in changes.each().iter().zip(&names) {
                prop_assert_eq!(changes.entity(change), name);
                prop_assert!(change.begins());
            }
        }

        /// Texts stay with their changes, however often they are taken from the front, and again when the memory is used
        /// again.
        #[test]
        fn every_change_keeps_its_texts(plain in prop::collection::vec(plain(), 0..30)) {
            let mut changes = Changes::new(Principal::from_name("bob"));
            for _ in 0..2 {
                changes.clear();
                for (place, Plain { name, attributes, once: nonce, .. }) in (0..).zip(&plain) {
                    let subject = (KEY.hash(name), &Kind::Domain, name.as_str());
                    changes.push(place, subject, attributes.as_deref(), nonce.as_ref().map(once));
                }
                let all: Vec<(u32, Plain)> = (0..).zip(plain.iter().cloned()).collect();
                same(&changes, &all)?;
                let (mut rest, mut parts) = (changes.clone(), all.chunk_by(|one, other| one.1.shard == other.1.shard));
                while !rest.is_empty() {
                    let part = parts.next().unwrap();
                    let shard = part[0].1.shard;
                    let front = rest.take_front_while(|change| plain[change.place as usize].shard == shard);
                    same(&front, part)?;
                }
                prop_assert!(parts.next().is_none());
            }
            changes.keep_names();
            same(&changes, &(0..).zip(plain.iter().cloned()).collect::<Vec<_>>())?;
        }
    }
}
