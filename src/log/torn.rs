//! The end of a file that was being appended to when the power went, and cutting it off.
//!
//! RocksDB appends commits to its write-ahead log, and changes of its set of tables to its manifest, and forgives an
//! end that is missing. A disk may do otherwise: of the last write it may have kept some sectors and not others, in a file
//! that is as long as if all were there. RocksDB calls that corruption, as it would call a record that rotted. The two
//! differ: a sector that was never written holds zeros, and behind a write that was not synced nothing was written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Both files are written in blocks of this length, which no record crosses: longer ones are parts, each a record.
const BLOCK_BYTES: usize = 32 << 10;
/// Of a record: checksum (4), length (2), kind (1).
const HEADER_BYTES: usize = 7;
const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
/// One sync of the manifest may cover several records, of some hundred bytes each, so that whole ones may stand behind a
/// torn one. A commit is one record of the write-ahead log.
const MANIFEST_GROUP_BYTES_MAX: usize = 4 << 10;

/// What the bytes of a file end in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Nothing that RocksDB would not forgive.
    Sound,
    /// From here on, a write that a power loss tore.
    Torn(usize),
    /// Something else is wrong.
    Damaged,
}

/// Finds the files of the database whose end a power loss tore, and from where on. Empty if none is, and if anything is
/// damaged in a way that no power loss explains.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn find(database: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut torn = Vec::new();
    let current = fs::read_to_string(database.join("CURRENT"))?;
    let manifest = database.join(current.trim_end());
    match end_of(&fs::read(&manifest)?, MANIFEST_GROUP_BYTES_MAX) {
        End::Sound => {}
        End::Torn(at) => torn.push((manifest, at as u64)),
        End::Damaged => return Ok(Vec::new()),
    }
    for wal in write_ahead_logs(database)? {
        let bytes = fs::read(&wal)?;
        let already = torn.iter().any(|(path, _)| path.extension().is_some());
        match end_of(&bytes, 0) {
            // Nothing is written behind a torn commit, in whatever file.
            _ if already && next_start(&bytes, 0).is_some() => return Ok(Vec::new()),
            End::Sound => {}
            End::Torn(at) => torn.push((wal, at as u64)),
            End::Damaged => return Ok(Vec::new()),
        }
    }
    Ok(torn)
}

/// Cuts what [`find`] found, for good.
///
/// # Errors
/// When a file cannot be written or synced.
pub(super) fn cut(torn: &[(PathBuf, u64)]) -> io::Result<()> {
    for (path, at) in torn {
        let file: File = OpenOptions::new().write(true).open(path)?;
        file.set_len(*at)?;
        file.sync_all()?;
    }
    Ok(())
}

/// In the order in which they were written.
fn write_ahead_logs(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".log"));
        if let Some(number) = name.and_then(|number| number.parse::<u64>().ok()) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// A record, or what stands where one should.
enum Record {
    Sound { kind: u8, end: usize },
    CutOff,
    Bad,
}

fn record(bytes: &[u8], at: usize) -> Record {
    let block_end = at - at % BLOCK_BYTES + BLOCK_BYTES;
    let Some(([c0, c1, c2, c3, l0, l1, kind], _)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk) else {
        return Record::CutOff;
    };
    let end = at + HEADER_BYTES + usize::from(u16::from_le_bytes([*l0, *l1]));
    let Some(covered) = bytes.get(at + HEADER_BYTES - 1..end) else {
        return if end > block_end { Record::Bad } else { Record::CutOff };
    };
    let checksum = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    if end > block_end || *kind == 0 || checksum != masked_crc(covered) {
        return Record::Bad;
    }
    Record::Sound { kind: *kind, end }
}

/// Where a record can begin, from here on.
fn start(at: usize) -> usize {
    let left = BLOCK_BYTES - at % BLOCK_BYTES;
    if left < HEADER_BYTES { at + left } else { at }
}

fn end_of(bytes: &[u8], group_bytes_max: usize) -> End {
    let (mut at, mut parts_from) = (0, None);
    loop {
        at = start(at);
        if bytes.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0)) && parts_from.is_none() {
            return End::Sound;
        }
        let end = match record(bytes, at) {
            Record::CutOff => return End::Sound,
            Record::Sound { kind: WHOLE, end } if parts_from.is_none() => end,
            Record::Sound { kind: FIRST, end } if parts_from.is_none() => {
                parts_from = Some(at);
                end
            }
            Record::Sound { kind: MIDDLE, end } if parts_from.is_some() => end,
            Record::Sound { kind: LAST, end } if parts_from.is_some() => {
                parts_from = None;
                end
            }
            Record::Sound { kind, end } if kind > LAST && parts_from.is_none() => end,
            Record::Sound { .. } | Record::Bad => break,
        };
        at = end;
    }
    let from = parts_from.unwrap_or(at);
    let followed = next_start(bytes, at).is_some() && bytes.len() - from > group_bytes_max;
    if followed || !lacks_a_sector(bytes, at..bytes.len()) { End::Damaged } else { End::Torn(from) }
}

/// Whether some sector holds nothing, as far as it belongs to the range. No header is all zeros, and texts have none.
fn lacks_a_sector(bytes: &[u8], range: Range<usize>) -> bool {
    let zeros = |part: &[u8]| !part.is_empty() && part.iter().all(|byte| *byte == 0);
    let first_end = range.end.min(range.start - range.start % SECTOR_BYTES + SECTOR_BYTES);
    let (first, rest) = bytes[range.clone()].split_at(first_end - range.start);
    zeros(&first[..first.len().min(HEADER_BYTES)]) || rest.chunks(SECTOR_BYTES).any(zeros)
}

/// The next place at which a logical record begins, whole as far as its first part goes.
fn next_start(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len().saturating_sub(HEADER_BYTES)).find(|at| {
        let begins = bytes.get(at + HEADER_BYTES - 1).is_some_and(|kind| [WHOLE, FIRST].contains(kind));
        begins && start(*at) == *at && matches!(record(bytes, *at), Record::Sound { .. })
    })
}

/// CRC-32C of the bytes, as RocksDB stores it: turned and moved, since a checksum of what holds checksums is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let (mut table, mut at): (_, u8) = ([0; 256], 0);
        loop {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
                bit += 1;
            }
            table[at as usize] = value;
            if at == u8::MAX {
                break table;
            }
            at += 1;
        }
    };
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ crc >> 8;
    (!bytes.iter().fold(!0, step)).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests;
