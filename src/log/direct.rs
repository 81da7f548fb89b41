//! Whether files of a directory can be written past the system's page cache.
//!
//! The tables that RocksDB writes are seldom read soon, and a page cache that takes them in asks the system for as much
//! memory as they are long; where the machine is a guest, that memory may have to come from its host, which takes longer than
//! the disk does.
//!
//! May use: files. Never: a change of what any file holds.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Name of the file that is tried with. RocksDB removes files that are called so when it opens, and a store whose creation
/// was interrupted may have one.
const PROBE: &str = "direct.dbtmp";

/// A block as such writes want it: as long as those of any disk, and on a multiple of its length.
#[repr(align(4096))]
struct Block([u8; 4096]);

/// Tries it, with a file that is removed again. File systems in memory, some of the network and some that encrypt cannot.
pub(super) fn can_be_written(directory: &Path) -> bool {
    let probe = directory.join(PROBE);
    let written = write_past_cache(&probe);
    let removed = remove_file(&probe);
    written.and(removed).is_ok()
}

fn write_past_cache(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECT.bits().cast_signed();
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path)?;
    file.write_all(&Block([0; 4096]).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_the_try() {
        let directory = tempfile::tempdir().unwrap();
        can_be_written(directory.path());
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    }

    /// A file system in memory could not, before Linux 6.6, and a directory that is not there never can.
    #[test]
    fn where_it_cannot_be_it_is_not() {
        assert!(!can_be_written(Path::new("/proc/self")));
        assert!(!can_be_written(Path::new("/no/such/directory")));
    }
}
