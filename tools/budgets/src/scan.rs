//! The bare scan that a replay is compared with: RocksDB's iterator over the log's column family, and nothing else.
//!
//! Never: decodes, checks or keeps anything beyond what RocksDB itself does (the checksum and decompression of each
//! block).

use std::path::Path;
use std::time::Instant;

use rocksdb::{DB, Options, ReadOptions};

use crate::failure::Failure;

/// The column family that holds the batches.
const FAMILY: &str = "log";
/// How far the scan reads ahead, as far as the server's own.
const READ_AHEAD_BYTES: usize = 2 << 20;

/// What a scan has read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scanned {
    /// Batches.
    pub batches: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// From the first seek to the last batch.
    pub seconds: f64,
}

/// Reads every batch of the log of a data directory that no server has open. Opening is not timed.
///
/// # Errors
/// When RocksDB refuses.
pub fn scan(data: &Path) -> Result<Scanned, Failure> {
    let failed = |error: rocksdb::Error| Failure::Result(format!("scanning the log: {error}"));
    let path = data.join("log");
    let families = DB::list_cf(&Options::default(), &path).map_err(failed)?;
    let db = DB::open_cf_for_read_only(&Options::default(), &path, families, false).map_err(failed)?;
    let family = db.cf_handle(FAMILY).ok_or_else(|| Failure::Result(format!("the store has no family {FAMILY}")))?;
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_readahead_size(READ_AHEAD_BYTES);
    options.set_total_order_seek(true);
    let (mut batches, mut bytes) = (0_u64, 0_u64);
    let began = Instant::now();
    let mut iterator = db.raw_iterator_cf_opt(family, options);
    iterator.seek_to_first();
    while let Some((key, value)) = iterator.item() {
        batches += 1;
        bytes += u64::try_from(key.len() + value.len()).unwrap_or_default();
        iterator.next();
    }
    iterator.status().map_err(failed)?;
    Ok(Scanned { batches, bytes, seconds: began.elapsed().as_secs_f64() })
}
