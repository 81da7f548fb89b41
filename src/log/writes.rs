//! What is asked of a [`Log`](super::Log): areas, ranges to scan, and changes to make at once.

use std::ops::Range;

/// A family of keys. Its set never changes at run time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Area {
    /// The batches of events.
    Log,
    /// Which events concern which entity: the index for AUDIT.
    Index,
    /// Hash tiles; empty in this format.
    Tree,
    /// Snapshots of the projections.
    State,
    /// The access journal.
    Access,
    /// Identity, head of the log, newest snapshot.
    Meta,
}

impl Area {
    /// All of them.
    pub const ALL: [Area; 6] = [Area::Log, Area::Index, Area::Tree, Area::State, Area::Access, Area::Meta];

    /// Its name on disk and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Area::Log => "log",
            Area::Index => "index",
            Area::Tree => "tree",
            Area::State => "state",
            Area::Access => "access",
            Area::Meta => "meta",
        }
    }
}

/// A range of keys to visit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Where.
    pub area: Area,
    /// The least key that is visited.
    pub from: Vec<u8>,
    /// The least key that is not visited any more; `None`: to the end.
    pub to: Option<Vec<u8>>,
    /// Whether to begin at the end.
    pub descending: bool,
    /// Whether this reads much, once: then it reads ahead and leaves the cache to others.
    pub bulk: bool,
}

impl Scan {
    /// The keys from `from` up to `to` exclusively, in ascending order, few of them.
    pub fn range(area: Area, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Scan {
        Scan { area, from: from.into(), to: Some(to.into()), descending: false, bulk: false }
    }

    /// All keys of an area from `from` on, in ascending order.
    pub fn all_from(area: Area, from: impl Into<Vec<u8>>) -> Scan {
        Scan { area, from: from.into(), to: None, descending: false, bulk: true }
    }

    /// The same range from its end.
    #[must_use]
    pub fn backwards(self) -> Scan {
        Scan { descending: true, ..self }
    }
}

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Write<'a> {
    /// `key` has `value` from now on.
    Put {
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// No key from `from` up to `to` exclusively is there any more.
    DeleteRange {
        /// The least key that is deleted.
        from: &'a [u8],
        /// The least key behind those that are.
        to: &'a [u8],
    },
}

/// Changes that happen at once, in one buffer.
#[derive(Default)]
pub struct Writes {
    bytes: Vec<u8>,
    list: Vec<(Area, bool, Range<usize>, Range<usize>)>,
}

impl Writes {
    /// None yet.
    pub fn new() -> Writes {
        Writes::default()
    }

    /// Adds a key with its value.
    pub fn put(&mut self, area: Area, key: &[u8], value: &[u8]) {
        self.add(area, true, key, value);
    }

    /// Adds the removal of a range; `to` is exclusive.
    pub fn delete_range(&mut self, area: Area, from: &[u8], to: &[u8]) {
        self.add(area, false, from, to);
    }

    /// Adds a key with the value that `fill` appends; nothing is added when it fails.
    pub(super) fn put_with<T, E>(
        &mut self,
        area: Area,
        key: &[u8],
        fill: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        let filled = fill(&mut self.bytes);
        match filled {
            Ok(_) => self.list.push((area, true, start..middle, middle..self.bytes.len())),
            Err(_) => self.bytes.truncate(start),
        }
        filled
    }

    fn add(&mut self, area: Area, put: bool, one: &[u8], other: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(one);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(other);
        self.list.push((area, put, start..middle, middle..self.bytes.len()));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Length of all keys and values.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets them and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
    }

    /// The changes in order.
    pub fn iter(&self) -> impl Iterator<Item = (Area, Write<'_>)> {
        let at = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.list.iter().map(move |(area, put, one, other)| {
            let (one, other) = (at(one), at(other));
            (
                *area,
                if *put { Write::Put { key: one, value: other } } else { Write::DeleteRange { from: one, to: other } },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_until_it_is_forgotten() {
        let mut writes = Writes::new();
        for _ in 0..2 {
            assert!(writes.is_empty());
            assert_eq!((writes.len_bytes(), writes.iter().next()), (0, None));
            writes.put(Area::Meta, b"key", b"value");
            writes.delete_range(Area::Log, b"from", b"to");
            let filled: Result<(), ()> = writes.put_with(Area::Log, b"lost", |into| {
                into.push(1);
                Err(())
            });
            assert_eq!(filled, Err(()));
            let both = [
                (Area::Meta, Write::Put { key: b"key", value: b"value" }),
                (Area::Log, Write::DeleteRange { from: b"from", to: b"to" }),
            ];
            assert_eq!(writes.iter().collect::<Vec<_>>(), both);
            assert_eq!((writes.is_empty(), writes.len_bytes()), (false, 14));
            writes.clear();
        }
    }
}
