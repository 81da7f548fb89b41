//! The past of one entity, read from the index and the batches. Blocks: for reader threads and offline tools.
//!
//! The index is found by hash; every event is compared with the entity's text, so that two names with one hash cannot
//! mix their histories. Times never run backwards along the log, so a moment is found by bisection.

use std::ops::ControlFlow;

use crate::domain::{At, Event, HistoryPage, Named, Order, Page};
use crate::types::{EntityHash, Sequence, Timestamp};

use super::batch::{BATCH_EVENTS_LIMIT, Batch};
use super::fields::Malformed;
use super::index::{Row, Wanted, position_of, sequence_of};
use super::key::log_key;
use super::writes::{Area, Scan};
use super::{LogError, Store};

/// Batches that are fetched together: so many that they share what looking for one costs, and few enough to be held in
/// memory until they are read.
const BATCHES_TOGETHER: usize = 32;

/// A reader of histories. Clones are cheap.
#[derive(Clone)]
pub struct History {
    store: Store,
}

/// An event as the index names it.
#[derive(Clone, Copy)]
struct Entry {
    sequence: Sequence,
    /// The key of its batch.
    first: Sequence,
}

/// A part of an entity's index: both ends belong to it.
#[derive(Clone, Copy)]
struct Range {
    hash: EntityHash,
    from: u64,
    to: u64,
    order: Order,
}

impl History {
    /// A reader of this store.
    pub fn new(store: Store) -> History {
        History { store }
    }

    /// A page of the entity's history, as far as `up_to`, which MUST be durable.
    ///
    /// Pages that are asked for one after another, each `after` the `next` of the one before, together hold every
    /// event once, in order, also while the log grows.
    ///
    /// # Errors
    /// `Corrupt` when the index and the log disagree, or `Io`.
    pub fn page(&self, subject: &Named, page: &Page, up_to: Sequence) -> Result<HistoryPage, LogError> {
        let limit = page.limit.max(1);
        let mut range = Range { hash: subject.hash, from: 1, to: up_to.value(), order: page.order };
        match (page.order, page.after) {
            (Order::Ascending, Some(after)) => range.from = after.value().saturating_add(1),
            (Order::Descending, Some(after)) => range.to = range.to.min(after.value().saturating_sub(1)),
            (_, None) => {}
        }
        if let Some(since) = page.since {
            range.from = range.from.max(self.last_where(subject.hash, up_to, |time| time < since)?.saturating_add(1));
        }
        if let Some(until) = page.until {
            range.to = range.to.min(self.last_where(subject.hash, up_to, |time| time <= until)?);
        }
        // One more than asked for tells whether more follow.
        let mut events = self.events(subject, range, limit.saturating_add(1))?;
        let more = events.len() > limit;
        events.truncate(limit);
        let next = events.last().filter(|_| more).map(|event| event.sequence);
        Ok(HistoryPage { entity: subject.entity.clone(), events, next })
    }

    /// The last event of the entity at this moment, as far as `up_to`, which MUST be durable. `None`: it had none yet.
    ///
    /// # Errors
    /// As [`History::page`].
    pub fn standing_at(&self, subject: &Named, at: At, up_to: Sequence) -> Result<Option<Event>, LogError> {
        let to = match at {
            At::Sequence(sequence) => sequence.min(up_to).value(),
            At::Time(moment) => self.last_where(subject.hash, up_to, |time| time <= moment)?,
        };
        let range = Range { hash: subject.hash, from: 1, to, order: Order::Descending };
        Ok(self.events(subject, range, 1)?.pop())
    }

    /// The event at this place, which MUST be durable and concern this entity. One value of the log is read.
    ///
    /// # Errors
    /// `Corrupt` when there is no such event, or it concerns another entity; or `Io`.
    pub fn event_at(&self, subject: &Named, place: Sequence) -> Result<Event, LogError> {
        let corrupt = |why| LogError::corrupt(place, "a batch", why);
        // The batch that holds it is the last one that begins up to there.
        let first = Sequence::new(place.value().saturating_sub(BATCH_EVENTS_LIMIT as u64));
        let scan = Scan::range(Area::Log, log_key(first), log_key(place.next())).backwards();
        let mut found = None;
        self.store.scan(&scan, |_, value| {
            found = Some(Batch::read(value).and_then(|batch| batch.event(place)).map_err(corrupt)?);
            Ok(ControlFlow::Break(()))
        })?;
        match found {
            Some(event) if event.entity.as_str() == subject.entity.as_str() => Ok(event),
            Some(_) => Err(corrupt(Malformed("an event concerns another entity than the table says"))),
            None => Err(corrupt(Malformed("an event that the table knows is missing"))),
        }
    }

    /// The first `count` events of the range that concern this very entity.
    fn events(&self, subject: &Named, mut range: Range, count: usize) -> Result<Vec<Event>, LogError> {
        let mut events = Vec::new();
        loop {
            let wanted = count - events.len();
            let entries = self.entries(range, wanted)?;
            self.read(&entries, &mut |event| {
                if event.entity.as_str() == subject.entity.as_str() {
                    events.push(event);
                }
            })?;
            let Some(last) = entries.last().filter(|_| entries.len() == wanted && events.len() < count) else {
                return Ok(events);
            };
            // Only where another entity has the same hash.
            match range.order {
                Order::Ascending => range.from = last.sequence.value() + 1,
                Order::Descending => range.to = last.sequence.value() - 1,
            }
        }
    }

    /// The first `count` entries of the range.
    fn entries(&self, range: Range, count: usize) -> Result<Vec<Entry>, LogError> {
        if range.from > range.to || count == 0 {
            return Ok(Vec::new());
        }
        let wanted = Wanted { hash: range.hash, range: range.from..=range.to, order: range.order, count };
        self.store.indexed(&wanted)?.iter().map(read_entry).collect()
    }

    /// Reads events, those of one batch behind each other. Each batch is fetched and checked once, some at a time.
    fn read(&self, entries: &[Entry], visit: &mut dyn FnMut(Event)) -> Result<(), LogError> {
        let corrupt = |sequence: Sequence, why| LogError::corrupt(sequence, "a batch", why);
        let batches: Vec<&[Entry]> = entries.chunk_by(|a, b| a.first == b.first).collect();
        for some in batches.chunks(BATCHES_TOGETHER) {
            let firsts: Vec<Sequence> =
                some.iter().filter_map(|batch| batch.first()).map(|entry| entry.first).collect();
            let keys: Vec<[u8; 8]> = firsts.iter().map(|first| log_key(*first)).collect();
            let shown = self.store.read_all(Area::Log, &keys, |number, value| {
                let (Some(first), Some(entries)) = (firsts.get(number), some.get(number)) else { return Ok(()) };
                let batch = Batch::read(value).map_err(|why| corrupt(*first, why))?;
                entries.iter().try_for_each(|entry| {
                    visit(batch.event(entry.sequence).map_err(|why| corrupt(entry.sequence, why))?);
                    Ok(())
                })
            })?;
            if let Some(missing) = firsts.get(shown) {
                let why = Malformed("a batch that the index names is missing");
                return Err(LogError::corrupt(*missing, "the log", why));
            }
        }
        Ok(())
    }

    /// The greatest place `s` up to `up_to` such that every indexed event up to `s` has a time that fulfils `early`.
    /// `early` MUST be true up to some moment and false from then on.
    fn last_where(
        &self,
        hash: EntityHash,
        up_to: Sequence,
        early: impl Fn(Timestamp) -> bool,
    ) -> Result<u64, LogError> {
        let range = |from, to| Range { hash, from, to, order: Order::Descending };
        // Up to `low` all are early, and none from `high` on.
        let (mut low, mut high) = (0, up_to.value().saturating_add(1));
        let mut probe = up_to.value();
        while low + 1 < high {
            let Some(entry) = self.entries(range(low + 1, probe), 1)?.pop() else {
                low = probe;
                probe = low + (high - low) / 2;
                continue;
            };
            let mut time = Timestamp::ZERO;
            self.read(&[entry], &mut |event| time = event.time)?;
            if early(time) {
                low = probe;
            } else {
                high = entry.sequence.value();
            }
            probe = low + (high - low) / 2;
        }
        Ok(low)
    }
}

fn read_entry(row: &Row) -> Result<Entry, LogError> {
    let first = batch_of(row).map_err(|why| LogError::corrupt(Sequence::ZERO, "the index for AUDIT", why))?;
    Ok(Entry { sequence: sequence_of(row), first })
}

/// The key of the batch that holds the event which an entry of the index names.
pub(super) fn batch_of(row: &Row) -> Result<Sequence, Malformed> {
    let first = sequence_of(row).value().checked_sub(u64::from(position_of(row))).filter(|first| *first > 0);
    first.map(Sequence::new).ok_or(Malformed("an entry points before the log"))
}

#[cfg(test)]
mod tests;
