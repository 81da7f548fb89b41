//! What is left beside the database when it is closed in good order: how long its manifest is.
//!
//! The manifest lists the tables. RocksDB takes one that was cut short for an older one, opens what that lists, and
//! deletes all other tables: the store would start with less than it has, or with nothing, and say no word.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::types::Sequence;

use super::LogError;
use super::fields::Malformed;

const NOTE: &str = "closed";
const NEW_NOTE: &str = "closed.new";

/// Leaves the note. Everything that it tells of must have been synced, and nothing may write any more.
///
/// # Errors
/// When it cannot be written; then there is none, or the one before, which says nothing of this manifest.
pub(super) fn leave(database: &Path) -> io::Result<()> {
    let manifest = fs::read_to_string(database.join("CURRENT"))?;
    let length = fs::metadata(database.join(manifest.trim_end()))?.len();
    let new = database.join(NEW_NOTE);
    fs::write(&new, format!("{} {length}\n", manifest.trim_end()))?;
    File::open(&new)?.sync_all()?;
    fs::rename(new, database.join(NOTE))?;
    File::open(database)?.sync_all()
}

/// Refuses a database whose manifest is shorter than the note says. Every opening makes a new manifest, of which an older
/// note says nothing.
///
/// # Errors
/// `Corrupt` when it is shorter.
pub(super) fn check(database: &Path) -> Result<(), LogError> {
    let read = |name: &str| fs::read_to_string(database.join(name)).unwrap_or_default();
    let (current, note) = (read("CURRENT"), read(NOTE));
    let Some((manifest, length)) = note.trim_end().split_once(' ') else { return Ok(()) };
    let (true, Ok(noted)) = (manifest == current.trim_end(), length.parse::<u64>()) else { return Ok(()) };
    match fs::metadata(database.join(manifest)) {
        Ok(found) if found.len() < noted => {
            let why = Malformed("it is shorter than when the store was closed");
            Err(LogError::corrupt(Sequence::ZERO, &format!("the list of tables, {manifest},"), why))
        }
        // That it is missing, RocksDB says itself.
        _ => Ok(()),
    }
}
