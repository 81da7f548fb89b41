//! What may be asked of the store.

use super::changes::{ChangeRef, Changes};
use super::lookup::Lookups;
use crate::types::attributes::{covers, object_text};
use crate::types::{Attributes, Digest, Entity, EntityHash, Once, Principal, Sequence, Timestamp};

/// A command with who asks it and what makes its repetition recognizable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Who asks.
    pub principal: Principal,
    /// The `ts` and `nonce` of a command that changes state; `None` on reads, and where replay protection is relaxed.
    pub once: Option<Once>,
    /// What is asked.
    pub command: Command,
}

impl Request {
    /// The change that is asked for; `None` for a question.
    pub fn change(&self) -> Option<ChangeRef<'_>> {
        let (Named { hash, entity }, attributes) = match &self.command {
            Command::Register { subject, attributes } => (subject, Some(attributes.as_str())),
            Command::Remove { subject } => (subject, None),
            Command::Verify { .. } | Command::Audit { .. } => return None,
        };
        let (principal, once) = (self.principal.name(), self.once.as_ref().map(Once::as_ref));
        Some(ChangeRef { principal, once, hash: *hash, entity: entity.as_str(), kind: entity.kind(), attributes })
    }
}

/// An entity with its hash under the store's key, computed once, where the command enters the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The keyed hash of the canonical text.
    pub hash: EntityHash,
    /// The entity.
    pub entity: Entity,
}

/// What a message asks of the shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A command on one entity. Boxed, since it is handed on from floor to floor and seldom looked into.
    One(Box<Request>),
    /// A bulk lookup, or the part of it that one shard owns: places are positions in the message, and one answer tells
    /// of all.
    Many(Box<Lookups>),
    /// Lookups that came together and are answered one by one: places count from that of the first.
    Each(Box<Lookups>),
    /// Changes that came together and are decided and answered one by one, in their order: places count from that of the
    /// first.
    Changes(Box<Changes>),
}

/// What is asked of one entity. PING and CAPABILITIES are not here: they concern no entity and are answered by the face.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Begin a life of the entity.
    Register {
        /// The entity to register.
        subject: Named,
        /// What is known about it.
        attributes: Attributes,
    },
    /// End the current life of the entity.
    Remove {
        /// The entity to remove.
        subject: Named,
    },
    /// Is the entity registered, and with these attributes?
    Verify {
        /// The entity asked about.
        subject: Named,
        /// What is claimed of it.
        claim: Claim,
        /// The moment asked about; `None` is now.
        at: Option<At>,
    },
    /// What happened to the entity?
    Audit {
        /// The entity asked about.
        subject: Named,
        /// Which part of its history. Boxed, since lookups are many and should be cheap to hand over.
        page: Box<Page>,
    },
}

impl Command {
    /// The entity that is meant.
    pub fn subject(&self) -> &Named {
        match self {
            Command::Register { subject, .. }
            | Command::Remove { subject }
            | Command::Verify { subject, .. }
            | Command::Audit { subject, .. } => subject,
        }
    }

    /// Whether the command may change state, and so wants [`Once`] and its place in the order of changes.
    pub fn changes_state(&self) -> bool {
        match self {
            Command::Register { .. } | Command::Remove { .. } => true,
            Command::Verify { .. } | Command::Audit { .. } => false,
        }
    }
}

/// What a VERIFY claims about an entity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// That it is registered.
    Registered,
    /// That each of these attributes is registered with the same value.
    Attributes(Attributes),
    /// That the canonical attributes as a whole have this digest.
    Digest(Box<Digest>),
}

impl Claim {
    /// Whether the claim holds for an entity that is registered with these attributes. `digest_of` is SHA-256.
    pub fn holds_for(&self, attributes: &Attributes, digest_of: impl Fn(&str) -> [u8; 32]) -> bool {
        match self {
            Claim::Registered => true,
            Claim::Attributes(asked) => covers(attributes.as_str(), asked.as_str()),
            Claim::Digest(digest) => digest_of(object_text(attributes.as_str())) == digest.0,
        }
    }
}

/// A moment in the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// Directly after the event at this place of the log.
    Sequence(Sequence),
    /// At this time; events of the same millisecond have happened.
    Time(Timestamp),
}

/// Which way an AUDIT reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Oldest event first.
    #[default]
    Ascending,
    /// Newest event first.
    Descending,
}

/// A part of an entity's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Events at the most; at least 1.
    pub limit: usize,
    /// Which way to read.
    pub order: Order,
    /// The last event of the page before; `None` begins at the beginning (or the end, in descending order).
    pub after: Option<Sequence>,
    /// Nothing older than this.
    pub since: Option<Timestamp>,
    /// Nothing younger than this.
    pub until: Option<Timestamp>,
}
