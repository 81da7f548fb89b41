//! What is asked together: lookups, or changes, that stand together in what was received.
//!
//! Whichever began first goes first. Where both have gathered, what began later has only one, since whoever gathers takes
//! what is there as soon as it finds that.
//!
//! Never: a command that is neither, or an answer.

use std::mem;
use std::rc::Rc;

use crate::domain::{Asked, Changes, Lookups};
use crate::faces::Step;
use crate::types::Principal;

/// Lookups, or changes, that are asked together at the most, so that the first of many does not wait for long.
const TOGETHER_MAX: usize = 256;
/// Bytes of their texts behind which no further change is asked together with others.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What has gathered, and memory for what will.
#[derive(Debug)]
pub(super) struct Together {
    principal: Principal,
    lookups: Box<Lookups>,
    /// The slot of the first.
    lookups_slot: u64,
    changes: Box<Changes>,
    changes_slot: u64,
    /// What was answered, for its memory.
    spare_lookups: Option<Box<Lookups>>,
    spare_changes: Option<Box<Changes>>,
}

impl Together {
    /// What this principal asks together: nothing yet.
    pub(super) fn new(principal: Principal) -> Together {
        Together {
            lookups: Box::new(Lookups::new(principal.clone())),
            lookups_slot: 0,
            changes: Box::new(Changes::new(principal.clone())),
            changes_slot: 0,
            spare_lookups: None,
            spare_changes: None,
            principal,
        }
    }

    /// Has `read` add a lookup whose answer belongs into this slot, if it finds one.
    #[inline(always)]
    pub(super) fn lookup<R>(&mut self, slot: u64, read: impl FnOnce(u32, &mut Lookups) -> Option<R>) -> Option<R> {
        let first = if self.lookups.is_empty() { slot } else { self.lookups_slot };
        let read = read(u32::try_from(slot - first).ok()?, &mut self.lookups)?;
        self.lookups_slot = first;
        Some(read)
    }

    /// The same of a change.
    #[inline(always)]
    pub(super) fn change<R>(&mut self, slot: u64, read: impl FnOnce(u32, &mut Changes) -> Option<R>) -> Option<R> {
        let first = if self.changes.is_empty() { slot } else { self.changes_slot };
        let read = read(u32::try_from(slot - first).ok()?, &mut self.changes)?;
        self.changes_slot = first;
        Some(read)
    }

    /// Whether what has gathered must be taken, now that a lookup was added.
    #[inline(always)]
    pub(super) fn enough_with_lookup(&self) -> bool {
        self.lookups.len() >= TOGETHER_MAX || !self.changes.is_empty()
    }

    /// The same of a change.
    #[inline(always)]
    pub(super) fn enough_with_change(&self) -> bool {
        let enough = self.changes.len() >= TOGETHER_MAX || self.changes.text_bytes() >= TEXT_BYTES_MAX;
        enough || !self.lookups.is_empty()
    }

    /// Takes the lookups, or the changes; of both, those that began first.
    pub(super) fn take(&mut self) -> Option<Step> {
        if self.lookups.is_empty() && self.changes.is_empty() {
            return None;
        }
        if self.lookups.is_empty() || !self.changes.is_empty() && self.changes_slot < self.lookups_slot {
            let empty = self.spare_changes.take().unwrap_or_else(|| Box::new(Changes::new(self.principal.clone())));
            let changes = mem::replace(&mut self.changes, empty);
            return Some(Step { slot: self.changes_slot, asked: Asked::Changes(changes) });
        }
        let empty = self.spare_lookups.take().unwrap_or_else(|| Box::new(Lookups::new(self.principal.clone())));
        Some(Step { slot: self.lookups_slot, asked: Asked::Each(mem::replace(&mut self.lookups, empty)) })
    }

    /// Keeps the memory of lookups that are answered.
    pub(super) fn keep_lookups(&mut self, mut lookups: Box<Lookups>) {
        lookups.clear();
        self.spare_lookups = Some(lookups);
    }

    /// Keeps the memory of changes, if nobody else has it any more.
    pub(super) fn keep_changes(&mut self, changes: Rc<Changes>) {
        if let Some(mut changes) = Rc::into_inner(changes) {
            changes.clear();
            self.spare_changes = Some(Box::new(changes));
        }
    }

    /// Gives memory back; what has gathered MUST have been taken.
    pub(super) fn release_memory(&mut self) {
        *self = Together::new(self.principal.clone());
    }
}
