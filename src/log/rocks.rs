//! The door to RocksDB: the only file that names it.
//!
//! Six column families, made when the store is created and never at run time. One process has the database open.
//! Snapshots of RocksDB are not used, since an iterator is one already.
//!
//! The index for AUDIT is not written by commits: whole tables of it are built beside the database and taken in. Their
//! keys never overlap, so RocksDB has nothing to merge there; the [index](super::index) does that itself.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRawIterator, DBRecoveryMode, ErrorKind, FlushOptions, IngestExternalFileOptions, Options, ReadOptions,
    SstFileWriter, WriteBatch, WriteOptions,
};

use crate::types::Sequence;

use super::packed::{pack, unpack};
use super::writes::{Area, Scan, Write, Writes};
use super::{Log, LogError, Visit, closing, direct, torn};

/// The family in which stores of an older form have their index for AUDIT, an entry for a key. It is dropped, and the
/// index read from the log.
const OLD_INDEX: &str = "entity";
/// Blocks of tables in memory. AUDIT rereads what is popular; everything else reads once. The page cache of the
/// operating system holds the rest, so that a small machine is not asked for much.
const BLOCK_CACHE_BYTES: usize = 128 << 20;
/// What the log gathers in memory before it writes a table: large, since batches arrive at 50 MB/s, and small enough
/// for a machine with 2 GiB. At most three of each exist.
const LOG_MEMTABLE_BYTES: usize = 24 << 20;
/// The same for the access journal: what is gathered goes to one file of values, which is not written again.
const ACCESS_MEMTABLE_BYTES: usize = 32 << 20;
/// Values of the access journal from this length on stand in files of values.
const ACCESS_VALUE_BYTES_MIN: u64 = 1024;
/// The same for areas that hold little or are written rarely.
const SMALL_MEMTABLE_BYTES: usize = 8 << 20;
/// In such pieces memory is asked for where tables are long: one is as long as a table. The C library gives back to the
/// operating system what takes more than 32 MiB with its own few bytes; of RocksDB's own pieces of 1 MiB it kept some
/// 80 MiB for itself. RocksDB writes a table when less than a quarter of its piece is left, and what is never written
/// to takes no memory.
const fn piece_bytes(memtable_bytes: usize) -> usize {
    memtable_bytes / 3 * 4
}
const _: () = assert!(piece_bytes(LOG_MEMTABLE_BYTES) >= 32 << 20 && piece_bytes(ACCESS_MEMTABLE_BYTES) >= 32 << 20);
/// Write-ahead logs together. An area that is written rarely would else keep old ones alive for long, and a start after
/// a crash reads them all, at about 100 MB/s.
const WAL_BYTES_MAX: u64 = 128 << 20;
/// How far a bulk scan reads ahead: long enough to keep a disk busy, and short enough that the C library keeps the
/// memory for the next time (from 2 MiB on it gave it back after each read, and the system cleared it again).
const READ_AHEAD_BYTES: usize = 256 << 10;

/// A table that is being built. What a crash leaves of it is written over.
const NEW_TABLE: &str = "table.new";

/// A torn write may hide that a table is missing.
const MENDS_MAX: u32 = 2;

/// The open database.
pub(super) struct RocksLog {
    db: DB,
    path: PathBuf,
    cache: Cache,
    read_only: bool,
    torn: bool,
    failed: AtomicBool,
}

/// Why the database does not open.
enum Refusal {
    /// Its files are not as they should be.
    Corrupt(LogError),
    /// Anything else.
    Other(LogError),
}

impl RocksLog {
    /// Whether the directory holds a database.
    pub(super) fn exists(path: &Path) -> bool {
        path.join("CURRENT").is_file()
    }

    /// Opens the database in this directory; one that is not there is created, unless `read_only`.
    pub(super) fn open(path: &Path, read_only: bool) -> Result<RocksLog, LogError> {
        fit_processor()?;
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        closing::check(path)?;
        let (mut tries, mut torn) = (0, false);
        let db = loop {
            match open_database(path, read_only, &cache) {
                Ok(db) => break db,
                Err(Refusal::Corrupt(error)) if tries < MENDS_MAX => torn |= mend(path, read_only, error)?,
                Err(Refusal::Corrupt(error) | Refusal::Other(error)) => return Err(error),
            }
            tries += 1;
        };
        if !read_only {
            remove_new_table(path)?;
        }
        Ok(RocksLog { db, path: path.to_owned(), cache, read_only, torn, failed: AtomicBool::new(false) })
    }

    /// Whether the end of a file was cut off when it was opened, as a power loss had torn it.
    pub(super) fn was_torn(&self) -> bool {
        self.torn
    }

    fn family(&self, area: Area) -> Result<&ColumnFamily, LogError> {
        self.db.cf_handle(area.name()).ok_or_else(|| LogError::io("finding a column family", &area.name()))
    }

    /// Builds a table, which is synced with its end, and takes it into the database.
    fn take_table<'a>(
        &self,
        area: Area,
        rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), rocksdb::Error> {
        let file = self.path.join(NEW_TABLE);
        let options = area_options(area, &self.cache);
        let mut table = SstFileWriter::create(&options);
        table.open(&file)?;
        for (key, value) in rows {
            table.put(key, value)?;
        }
        table.finish()?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        match self.db.cf_handle(area.name()) {
            Some(family) => self.db.ingest_external_file_cf_opts(family, &options, vec![file]),
            None => Ok(()),
        }
    }
}

/// Closing writes what is in memory to tables, so that the next start has no write-ahead log to read. Everything is
/// on disk already, so a failure costs nothing but that time. After a failed write nothing is written any more (P7).
impl Drop for RocksLog {
    fn drop(&mut self) {
        if self.read_only || self.failed.load(Ordering::Acquire) {
            return;
        }
        let families: Vec<&ColumnFamily> = Area::ALL.iter().filter_map(|area| self.family(*area).ok()).collect();
        let flushed = self.db.flush_cfs_opt(&families, &FlushOptions::default());
        self.db.cancel_all_background_work(true);
        if flushed.is_ok() {
            let _ = closing::leave(&self.path);
        }
    }
}

fn open_database(path: &Path, read_only: bool, cache: &Cache) -> Result<DB, Refusal> {
    let there = families(path)?;
    let is_old = there.iter().any(|name| name == OLD_INDEX);
    if is_old && read_only {
        return Err(Refusal::Other(LogError::OldIndex { path: path.to_owned() }));
    }
    // Families are still to be made where nothing is there yet, a crash interrupted the creation, or the store is old.
    let mut options = database_options(!Area::ALL.iter().all(|area| there.iter().any(|name| name == area.name())));
    // Whoever only reads writes no table.
    options.set_use_direct_io_for_flush_and_compaction(!read_only && direct::can_be_written(path));
    let old = is_old.then(|| ColumnFamilyDescriptor::new(OLD_INDEX, Options::default()));
    let families = Area::ALL.map(|area| {
        let mut options = area_options(area, cache);
        // Who only reads fills no table; and what is not on disk yet would be told as long as its piece.
        match area {
            Area::Log if !read_only => options.set_arena_block_size(piece_bytes(LOG_MEMTABLE_BYTES)),
            Area::Access if !read_only => options.set_arena_block_size(piece_bytes(ACCESS_MEMTABLE_BYTES)),
            _ => {}
        }
        ColumnFamilyDescriptor::new(area.name(), options)
    });
    let families = families.into_iter().chain(old);
    let opened = if read_only {
        DB::open_cf_descriptors_read_only(&options, path, families, false)
    } else {
        DB::open_cf_descriptors(&options, path, families)
    };
    let dropped = opened.and_then(|mut db| if is_old { db.drop_cf(OLD_INDEX).map(|()| db) } else { Ok(db) });
    dropped.map_err(|error| refusal(path, &error))
}

fn refusal(path: &Path, error: &rocksdb::Error) -> Refusal {
    if is_lock_conflict(error) {
        return Refusal::Other(LogError::Locked { path: path.to_owned() });
    }
    if error.kind() == ErrorKind::Corruption {
        let what = format!("the database in {} does not open: {error}", path.display());
        return Refusal::Corrupt(LogError::Corrupt { sequence: Sequence::ZERO, what });
    }
    Refusal::Other(LogError::io("opening the database", error))
}

/// The names of the column families that are there.
fn families(path: &Path) -> Result<Vec<String>, Refusal> {
    if !RocksLog::exists(path) {
        return Ok(Vec::new());
    }
    let names = DB::list_cf(&Options::default(), path).map_err(|error| refusal(path, &error))?;
    let ours =
        |name: &String| ["default", OLD_INDEX].contains(&&**name) || Area::ALL.iter().any(|area| area.name() == name);
    if let Some(other) = names.iter().find(|name| !ours(name)) {
        let what = format!("its database has a family `{other}`");
        return Err(Refusal::Other(LogError::NotAStore { path: path.to_owned(), what }));
    }
    Ok(names)
}

/// Mends what a power loss or a failed sync has left, and says whether a torn write was dropped; or gives the error
/// back.
fn mend(path: &Path, read_only: bool, error: LogError) -> Result<bool, LogError> {
    let missing = missing_table(path, &error.to_string());
    let torn = torn::find(path).unwrap_or_default();
    if missing.is_none() && torn.is_empty() {
        return Err(error);
    }
    if read_only {
        return Err(LogError::Torn { path: path.to_owned() });
    }
    let mended = match &missing {
        Some(table) => fs::hard_link(path.join(NEW_TABLE), table).and_then(|()| File::open(path)?.sync_all()),
        None => torn::cut(&torn),
    };
    mended.map_err(|why| LogError::path("mend", path, &why))?;
    Ok(missing.is_none())
}

/// The table that RocksDB misses, if it may be the one that was last taken in. When that fails at the sync of the
/// manifest, RocksDB deletes the table, which the manifest may name all the same; but under its first name it is
/// still there. A wrong one would not have the length that the manifest tells.
fn missing_table(path: &Path, error: &str) -> Option<PathBuf> {
    let named = error.split(['/', ' ', ':']).filter(|word| word.ends_with(".sst")).map(|word| path.join(word));
    named.into_iter().find(|table| !table.exists() && path.join(NEW_TABLE).exists())
}

/// Removes what a crash may have left of a table that was being built.
fn remove_new_table(path: &Path) -> Result<(), LogError> {
    let file = path.join(NEW_TABLE);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogError::path("remove", &file, &error)),
        _ => Ok(()),
    }
}

/// RocksDB's checksum is built for these instructions (tools/c++), and would end the process where they are missing.
fn fit_processor() -> Result<(), LogError> {
    #[cfg(target_arch = "x86_64")]
    for (has, lacks) in [
        (std::arch::is_x86_feature_detected!("sse4.2"), "SSE4.2"),
        (std::arch::is_x86_feature_detected!("pclmulqdq"), "PCLMULQDQ"),
    ] {
        if !has {
            return Err(LogError::Processor { lacks });
        }
    }
    Ok(())
}

/// RocksDB has no code of its own for a lock that is held.
fn is_lock_conflict(error: &rocksdb::Error) -> bool {
    let text = error.as_ref();
    text.contains("While lock file") || text.contains("lock hold by current process")
}

fn database_options(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    // A crash may tear the last record of the write-ahead log. It was not synced, so nobody was told of it, and it is
    // dropped. A damaged record with others behind it is no trace of a crash: opening fails.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    // One flush and one compaction at a time: a machine with two cores needs them for the shards.
    options.set_max_background_jobs(2);
    // Tables go to disk as they are written, so that no sync of the write-ahead log waits for a burst of them.
    options.set_bytes_per_sync(1 << 20);
    // RocksDB's own diary stays in its directory, and small.
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(16 << 20);
    options.set_stats_dump_period_sec(0);
    options
}

fn area_options(area: Area, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // Indexes and filters count against the cache, so that memory stays bounded as the log grows. They are in parts,
    // since a whole filter of a large table would not fit into one shard of the cache and be read each time.
    table.set_cache_index_and_filter_blocks(true);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);

    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    let (memtable_bytes, block_bytes) = match area {
        // A batch or two for each block.
        Area::Log => (LOG_MEMTABLE_BYTES, 4 << 10),
        // A part of a run for each block.
        Area::Index => (SMALL_MEMTABLE_BYTES, 4 << 10),
        Area::Access => (ACCESS_MEMTABLE_BYTES, 16 << 10),
        Area::Tree | Area::State | Area::Meta => (SMALL_MEMTABLE_BYTES, 16 << 10),
    };
    table.set_block_size(block_bytes);
    options.set_write_buffer_size(memtable_bytes);
    options.set_max_write_buffer_number(3);
    match area {
        Area::Index => {
            // Hashes hardly compress.
            options.set_compression_type(DBCompressionType::None);
            options.set_disable_auto_compactions(true);
        }
        Area::Access => {
            // Hashes and pseudonyms do not compress. Values lie beside the tables, so that merging those moves only
            // keys; a file of values goes when all that is in it is too old.
            options.set_compression_type(DBCompressionType::None);
            options.set_enable_blob_files(true);
            options.set_min_blob_size(ACCESS_VALUE_BYTES_MIN);
        }
        // They are packed. Batches are found by their exact keys in tables whose ranges hardly overlap: a filter would
        // tell nothing.
        Area::Log | Area::State => options.set_compression_type(DBCompressionType::None),
        Area::Tree | Area::Meta => {}
    }
    // Compaction that lags must not stop commits: keys arrive in order almost everywhere, so many young tables cost
    // readers little, while a stalled commit costs every client.
    options.set_level_zero_slowdown_writes_trigger(64);
    options.set_level_zero_stop_writes_trigger(128);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
    options.set_block_based_table_factory(&table);
    options
}

/// Whether values of the area are long, and so packed.
fn is_packed(area: Area) -> bool {
    matches!(area, Area::Log | Area::State)
}

fn read_options(scan: &Scan) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(scan.from.clone());
    if let Some(to) = &scan.to {
        options.set_iterate_upper_bound(to.clone());
    }
    if scan.bulk {
        options.fill_cache(false);
        options.set_readahead_size(READ_AHEAD_BYTES);
    }
    options
}

impl Log for RocksLog {
    fn write(&self, writes: &Writes) -> Result<(), LogError> {
        // Looked up once, since a commit has thousands of changes.
        let mut families = [self.family(Area::Log)?; Area::ALL.len()];
        for (family, area) in families.iter_mut().zip(Area::ALL) {
            *family = self.family(area)?;
        }
        let mut batch = WriteBatch::with_capacity_bytes(writes.len_bytes() >> 1);
        let mut buffer = Vec::new();
        for (area, write) in writes.iter() {
            let family = families[area as usize];
            match write {
                Write::Put { key, value } if is_packed(area) => batch.put_cf(family, key, pack(value, &mut buffer)),
                Write::Put { key, value } => batch.put_cf(family, key, value),
                Write::DeleteRange { from, to } => batch.delete_range_cf(family, from, to),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options).map_err(|error| {
            self.failed.store(true, Ordering::Release);
            LogError::io("writing a commit", &error)
        })
    }

    fn ingest<'a>(&self, area: Area, rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), LogError> {
        self.family(area)?;
        self.take_table(area, rows).map_err(|error| {
            self.failed.store(true, Ordering::Release);
            LogError::io("writing a part of the index", &error)
        })
    }

    fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError> {
        // Whole tables: none has keys both within the range and beside it, and what remains is never asked for.
        self.db.delete_file_in_range_cf(self.family(area)?, from, to).map_err(|error| {
            self.failed.store(true, Ordering::Release);
            LogError::io("dropping a part of the index", &error)
        })
    }

    fn read(&self, area: Area, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<(), LogError> {
        match self.db.get_pinned_cf(self.family(area)?, key) {
            Ok(Some(value)) if is_packed(area) => found(unpack(&value, &mut Vec::new())),
            Ok(Some(value)) => found(&value),
            Ok(None) => {}
            Err(error) => return Err(LogError::io("reading the database", &error)),
        }
        Ok(())
    }

    fn read_many(&self, area: Area, keys: &[[u8; 8]], found: &mut dyn FnMut(usize, &[u8])) -> Result<(), LogError> {
        let mut buffer = Vec::new();
        for (number, value) in self.db.batched_multi_get_cf(self.family(area)?, keys, false).into_iter().enumerate() {
            let value = value.map_err(|error| LogError::io("reading the database", &error))?;
            match value {
                Some(value) if is_packed(area) => found(number, unpack(&value, &mut buffer)),
                Some(value) => found(number, &value),
                None => {}
            }
        }
        Ok(())
    }

    fn scan(&self, scan: &Scan, visit: Visit<'_>) -> Result<(), LogError> {
        // An empty range would have its upper bound below the lower one, which RocksDB does not define.
        if scan.to.as_ref().is_some_and(|to| *to <= scan.from) {
            return Ok(());
        }
        let mut iterator: DBRawIterator<'_> = self.db.raw_iterator_cf_opt(self.family(scan.area)?, read_options(scan));
        match (scan.descending, &scan.to) {
            (false, _) => iterator.seek(&scan.from),
            // The upper bound is exclusive: where `to` itself is a key, the iterator stands before it.
            (true, Some(to)) => iterator.seek_for_prev(to),
            (true, None) => iterator.seek_to_last(),
        }
        let mut buffer = Vec::new();
        while let Some((key, value)) = iterator.item() {
            let value = if is_packed(scan.area) { unpack(value, &mut buffer) } else { value };
            if visit(key, value).is_break() {
                break;
            }
            if scan.descending { iterator.prev() } else { iterator.next() }
        }
        iterator.status().map_err(|error| LogError::io("scanning the database", &error))
    }

    fn size_bytes(&self, area: Area) -> Result<u64, LogError> {
        let family = self.family(area)?;
        let mut bytes = 0;
        for property in
            ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size", "rocksdb.cur-size-all-mem-tables"]
        {
            let value = self.db.property_int_value_cf(family, property);
            bytes += value.map_err(|error| LogError::io("asking for the size of an area", &error))?.unwrap_or(0);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
