//! A log in memory: for tests and simulations, and for `serve` without a disk. Nothing survives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::writes::{Area, Scan, Write, Writes};
use super::{Log, LogError, Visit};

type Table = BTreeMap<(Area, Vec<u8>), Vec<u8>>;

/// The areas as one ordered map.
#[derive(Default)]
pub struct MemoryLog {
    table: Mutex<Table>,
}

impl MemoryLog {
    /// An empty one.
    pub fn new() -> MemoryLog {
        MemoryLog::default()
    }

    /// A write inserts or removes whole values, so that a panic elsewhere leaves none half done.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn write(&self, writes: &Writes) -> Result<(), LogError> {
        let mut table = self.table();
        for (area, write) in writes.iter() {
            match write {
                Write::Put { key, value } => drop(table.insert((area, key.to_vec()), value.to_vec())),
                Write::DeleteRange { from, to } => {
                    table.retain(|(of, key), _| *of != area || &**key < from || &**key >= to);
                }
            }
        }
        Ok(())
    }

    fn ingest<'a>(&self, area: Area, rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), LogError> {
        self.table().extend(rows.map(|(key, value)| ((area, key.to_vec()), value.to_vec())));
        Ok(())
    }

    fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError> {
        self.table().retain(|(of, key), _| *of != area || &**key < from || &**key >= to);
        Ok(())
    }

    fn read(&self, area: Area, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<(), LogError> {
        let value = self.table().get(&(area, key.to_vec())).cloned();
        if let Some(value) = value {
            found(&value);
        }
        Ok(())
    }

    fn scan(&self, scan: &Scan, visit: Visit<'_>) -> Result<(), LogError> {
        let inside = |key: &[u8]| scan.to.as_ref().is_none_or(|to| key < &**to);
        let range = (Bound::Included((scan.area, scan.from.clone())), Bound::Unbounded);
        // A copy, since `visit` may read again.
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = self
            .table()
            .range(range)
            .take_while(|((area, key), _)| *area == scan.area && inside(key))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        if scan.descending {
            found.reverse();
        }
        for (key, value) in &found {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn size_bytes(&self, area: Area) -> Result<u64, LogError> {
        let table = self.table();
        let of_area = table.iter().filter(|((of, _), _)| *of == area);
        Ok(of_area.map(|((_, key), value)| key.len() + value.len()).sum::<usize>() as u64)
    }
}
