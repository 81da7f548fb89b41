//! A data directory that is open.
//!
//! The directory holds `log/`, the database; `lock`, by which one process at a time has it open for writing (several
//! may read together while none writes); and, from other floors, `tls/`.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::types::{Sequence, Timestamp};

use super::batch::BatchDigest;
use super::fields::{Fields, Malformed};
use super::identity::Identity;
use super::index::Index;
use super::key::number_beside;
use super::memory::MemoryLog;
use super::rocks::RocksLog;
use super::writes::{Area, Scan, Writes};
use super::{Log, LogError};

const DATABASE: &str = "log";
const LOCK: &str = "lock";
/// Of the directories that are made: nobody but their owner.
const DIRECTORY_MODE: u32 = 0o700;
/// What a data directory may hold before its store is created.
const OTHERS: [&str; 2] = [LOCK, "tls"];

const IDENTITY: &[u8] = b"identity";
const HEAD: &[u8] = b"head";

/// How to open a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// Whether to create it where there is none.
    pub create: bool,
    /// Whether to read only; then nothing is created either.
    pub read_only: bool,
}

/// An open store. Clones are the same store, which closes with the last of them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    log: Box<dyn Log>,
    identity: Identity,
    failed: AtomicBool,
    /// The part of the index that is not on disk.
    index: Index,
    // Behind `log`, since fields are dropped in order: the database closes before another process may open it.
    place: Place,
}

/// Where a store is, and how it was opened.
struct Place {
    /// The data directory; `None` for a store in memory.
    path: Option<PathBuf>,
    read_only: bool,
    was_torn: bool,
    /// Held as long as it is open.
    _lock: Option<File>,
}

/// Where the log ends: written with every commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The place of the last event; zero when there is none.
    pub last: Sequence,
    /// The time of the last event.
    pub last_time: Timestamp,
    /// When the last batch was committed; the next one is not earlier, even if the clock was set back meanwhile.
    pub committed: Timestamp,
    /// How many batches there are.
    pub batches: u64,
    /// The digest of the last one.
    pub digest: BatchDigest,
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Head = Head {
        last: Sequence::ZERO,
        last_time: Timestamp::ZERO,
        committed: Timestamp::ZERO,
        batches: 0,
        digest: BatchDigest::NONE,
    };

    pub(super) fn put(&self, writes: &mut Writes) {
        let mut bytes = Vec::with_capacity(64);
        for number in [self.last.value(), self.last_time.unix_ms(), self.committed.unix_ms(), self.batches] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.digest.0);
        writes.put(Area::Meta, HEAD, &bytes);
    }

    fn read(bytes: &[u8]) -> Result<Head, Malformed> {
        let mut fields = Fields::of(bytes);
        let head = Head {
            last: Sequence::new(fields.u64()?),
            last_time: Timestamp::from_unix_ms(fields.u64()?),
            committed: Timestamp::from_unix_ms(fields.u64()?),
            batches: fields.u64()?,
            digest: BatchDigest(fields.array()?),
        };
        fields.end()?;
        Ok(head)
    }
}

impl Store {
    /// Opens the data directory at `path`.
    ///
    /// # Errors
    /// `Missing` and `NotAStore` when there is nothing or something else, `Locked` when another process has it open,
    /// `Version` when its format is not ours, `Corrupt`, `Path` and `Io` when it cannot be read.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Store, LogError> {
        let create = options.create && !options.read_only;
        let database = path.join(DATABASE);
        if !RocksLog::exists(&database) {
            check_vacant(path, create)?;
            create_directories(path, &database)?;
        }
        let lock = lock(path, options.read_only)?;
        let log = RocksLog::open(&database, options.read_only)?;
        let (read_only, was_torn) = (options.read_only, log.was_torn());
        Store::assemble(Box::new(log), Place { path: Some(path.to_owned()), read_only, was_torn, _lock: lock })
    }

    /// A store that lives as long as its clones do.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn in_memory() -> Result<Store, LogError> {
        Store::with_log(Box::new(MemoryLog::new()))
    }

    /// A store over any log; a new identity is written into an empty one.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_log(log: Box<dyn Log>) -> Result<Store, LogError> {
        Store::assemble(log, Place { path: None, read_only: false, was_torn: false, _lock: None })
    }

    fn assemble(log: Box<dyn Log>, place: Place) -> Result<Store, LogError> {
        let mut stored = None;
        log.read(Area::Meta, IDENTITY, &mut |bytes| stored = Some(Identity::decode(bytes)))?;
        let identity = match stored {
            Some(identity) => identity?,
            None => create_identity(&*log, place.path.as_deref(), place.read_only)?,
        };
        let inner = Inner { log, identity, failed: AtomicBool::new(false), index: Index::new(), place };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Which store this is.
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// The data directory; `None` for a store in memory.
    pub fn path(&self) -> Option<&Path> {
        self.inner.place.path.as_deref()
    }

    /// Whether a write that a power loss had torn was dropped when it was opened. Nobody had been told of it.
    pub fn was_torn(&self) -> bool {
        self.inner.place.was_torn
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn head(&self) -> Result<Head, LogError> {
        let head = self.read(Area::Meta, HEAD, Head::read)?.unwrap_or(Ok(Head::EMPTY));
        head.map_err(|why| LogError::corrupt(Sequence::ZERO, "the head of the log", why))
    }

    /// Writes, unless an earlier write failed: then nothing is written ever again (P7).
    pub(super) fn write(&self, writes: &Writes) -> Result<(), LogError> {
        self.may_write()?;
        self.inner.log.write(writes).inspect_err(|_| self.latch())
    }

    /// Writes many sorted keys, on the same terms.
    pub(super) fn ingest<'a>(
        &self,
        area: Area,
        rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), LogError> {
        self.may_write()?;
        self.inner.log.ingest(area, rows).inspect_err(|_| self.latch())
    }

    fn may_write(&self) -> Result<(), LogError> {
        if self.inner.place.read_only {
            Err(LogError::ReadOnly)
        } else if self.inner.failed.load(Ordering::Acquire) {
            Err(LogError::Failed)
        } else {
            Ok(())
        }
    }

    /// Drops a range to which nothing refers any more, on the same terms.
    pub(super) fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError> {
        self.may_write()?;
        self.inner.log.drop_range(area, from, to).inspect_err(|_| self.latch())
    }

    pub(super) fn index(&self) -> &Index {
        &self.inner.index
    }

    /// What `read` makes of the value of `key`, if there is one.
    pub(super) fn read<T>(
        &self,
        area: Area,
        key: &[u8],
        mut read: impl FnMut(&[u8]) -> T,
    ) -> Result<Option<T>, LogError> {
        let mut result = None;
        self.inner.log.read(area, key, &mut |value| result = Some(read(value)))?;
        Ok(result)
    }

    /// Shows the value of each of these keys, in their order, up to the first that is not there, and says how many it has
    /// shown.
    pub(super) fn read_all(
        &self,
        area: Area,
        keys: &[[u8; 8]],
        mut visit: impl FnMut(usize, &[u8]) -> Result<(), LogError>,
    ) -> Result<usize, LogError> {
        let (mut shown, mut outcome) = (0, Ok(()));
        self.inner.log.read_many(area, keys, &mut |number, value| {
            // Behind one that is missing, or that was not well, nothing is of use.
            if outcome.is_ok() && number == shown {
                shown += 1;
                outcome = visit(number, value);
            }
        })?;
        outcome.map(|()| shown)
    }

    /// Lets nothing be written any more.
    pub(super) fn latch(&self) {
        self.inner.failed.store(true, Ordering::Release);
    }

    /// Visits a range until the visitor breaks or fails.
    pub(super) fn scan(
        &self,
        scan: &Scan,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, LogError>,
    ) -> Result<(), LogError> {
        let mut outcome = Ok(());
        self.inner.log.scan(scan, &mut |key, value| {
            visit(key, value).unwrap_or_else(|error| {
                outcome = Err(error);
                ControlFlow::Break(())
            })
        })?;
        outcome
    }

    /// The number beside whose keys the last key of an area sorts; 0 where it is empty. What stands there may be a part of
    /// nothing, but what is numbered above it has a place of its own.
    pub(super) fn last_number(&self, area: Area) -> Result<u64, LogError> {
        let mut last = 0;
        let scan = Scan { bulk: false, ..Scan::all_from(area, []) }.backwards();
        self.scan(&scan, |key, _| {
            last = number_beside(key);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(last)
    }

    pub(super) fn size_bytes(&self, area: Area) -> Result<u64, LogError> {
        self.inner.log.size_bytes(area)
    }
}

/// Checks that a store may be created here, or says why not.
fn check_vacant(path: &Path, create: bool) -> Result<(), LogError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound && create => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(LogError::Missing { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(LogError::NotAStore { path: path.to_owned(), what: "it is a file".to_owned() });
        }
        Err(error) => return Err(LogError::path("read", path, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| LogError::path("read", path, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_begun = name == DATABASE && is_begun(&entry.path())?;
        if !is_begun && !OTHERS.contains(&&*name) && !name.starts_with('.') {
            return Err(LogError::NotAStore { path: path.to_owned(), what: format!("it holds `{name}`") });
        }
    }
    if create { Ok(()) } else { Err(LogError::Missing { path: path.to_owned() }) }
}

/// Whether this is the directory of a database whose creation was interrupted: no commit was ever made in it.
fn is_begun(database: &Path) -> Result<bool, LogError> {
    let entries = match fs::read_dir(database) {
        Ok(entries) => entries,
        // It may well be a store, of another user.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(LogError::path("read", database, &error));
        }
        Err(_) => return Ok(false),
    };
    let (mut begun, mut data) = (true, false);
    for entry in entries {
        let name = entry.map_err(|error| LogError::path("read", database, &error))?.file_name();
        let name = name.to_string_lossy();
        data |= [".sst", ".blob", ".log"].iter().any(|end| name.ends_with(end));
        begun &= ["LOCK", "LOG", "IDENTITY", "MANIFEST-000001"].contains(&&*name)
            || name.starts_with("LOG.old.")
            || name.ends_with(".dbtmp");
    }
    if data {
        let what = format!("{} holds data, and lacks the file CURRENT, with which RocksDB begins", database.display());
        return Err(LogError::Corrupt { sequence: Sequence::ZERO, what });
    }
    Ok(begun)
}

/// Creates the data directory and that of its database, both for their owner alone: they hold the hash key and all
/// names. What is there already keeps its mode, and directories above get the usual one. The names of the new ones are
/// synced, so that a crash does not lose them.
fn create_directories(path: &Path, database: &Path) -> Result<(), LogError> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(|error| LogError::path("create", above, &error))?;
    }
    for directory in [path, database] {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
            Err(error) if !directory.is_dir() => return Err(LogError::path("create", directory, &error)),
            _ => {}
        }
    }
    for above in database.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match File::open(above).and_then(|directory| directory.sync_all()) {
            // Not ours, so not new.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            outcome => outcome.map_err(|error| LogError::path("sync", above, &error))?,
        }
    }
    Ok(())
}

/// Takes the lock of the directory. RocksDB has one of its own, but readers do not respect it.
fn lock(path: &Path, read_only: bool) -> Result<Option<File>, LogError> {
    let name = path.join(LOCK);
    let opened = if read_only { File::open(&name) } else { File::create(&name) };
    let file = match opened {
        Ok(file) => file,
        // A copy of a store may lack it, or be on a medium that nobody can write to.
        Err(error) if read_only && error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::path(if read_only { "read" } else { "create" }, &name, &error)),
    };
    match if read_only { file.try_lock_shared() } else { file.try_lock() } {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(LogError::path("lock", &name, &error)),
    }
}

fn create_identity(log: &dyn Log, path: Option<&Path>, read_only: bool) -> Result<Identity, LogError> {
    let mut holds_something = false;
    for area in Area::ALL {
        log.scan(&Scan { bulk: false, ..Scan::all_from(area, []) }, &mut |_, _| {
            holds_something = true;
            ControlFlow::Break(())
        })?;
    }
    if holds_something || read_only {
        let path = path.unwrap_or(Path::new("memory")).to_owned();
        return Err(LogError::NotAStore { path, what: "its database has no identity".to_owned() });
    }
    let identity = Identity::random()?;
    let mut writes = Writes::new();
    writes.put(Area::Meta, IDENTITY, &identity.encode());
    log.write(&writes)?;
    Ok(identity)
}

#[cfg(test)]
mod tests;
