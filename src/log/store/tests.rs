//! Tests of `store`.

use super::super::arbitrary::{encoded, plain_history};
use super::super::fixtures::{Told, commit, replayed, send, small, start, tamper};
use super::super::writes::Write;
use super::super::{Append, CommitterOptions};
use super::*;
use crate::domain::Event;
use std::os::unix::fs::PermissionsExt as _;

const CREATE: OpenOptions = OpenOptions { create: true, read_only: false };
const WRITE: OpenOptions = OpenOptions { create: false, read_only: false };
const READ: OpenOptions = OpenOptions { create: false, read_only: true };

#[test]
fn a_store_is_the_same_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    assert_eq!(Store::open(&path, WRITE).err(), Some(LogError::Missing { path: path.clone() }));
    assert_eq!(Store::open(&path, READ).err(), Some(LogError::Missing { path: path.clone() }));
    assert!(!path.exists());
    let events = plain_history(9);
    let created = Store::open(&path, CREATE).unwrap();
    commit(&created, &events, 2, small());
    let (identity, head) = (*created.identity(), created.head());
    drop(created);
    for options in [WRITE, READ, CREATE] {
        let store = Store::open(&path, options).unwrap();
        assert_eq!((*store.identity(), store.head()), (identity, head.clone()));
        assert_eq!(replayed(&store), Ok(events.clone()));
        assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
    }
    let reader = Store::open(&path, READ).unwrap();
    assert_eq!(reader.write(&Writes::new()), Err(LogError::ReadOnly));
}

#[test]
fn one_may_write_or_several_read() {
    let dir = tempfile::tempdir().unwrap();
    let locked = Some(LogError::Locked { path: dir.path().to_owned() });
    let writer = Store::open(dir.path(), CREATE).unwrap();
    assert_eq!(Store::open(dir.path(), WRITE).err(), locked);
    assert_eq!(Store::open(dir.path(), READ).err(), locked);
    // A clone keeps it open.
    let clone = writer.clone();
    drop(writer);
    assert_eq!(Store::open(dir.path(), WRITE).err(), locked);
    drop(clone);
    let (one, other) = (Store::open(dir.path(), READ).unwrap(), Store::open(dir.path(), READ).unwrap());
    assert_eq!(one.identity(), other.identity());
    assert_eq!(Store::open(dir.path(), WRITE).err(), locked);
}

#[test]
fn what_is_no_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let is_refused = |path: &Path, expected: &str| match Store::open(path, CREATE).err() {
        Some(LogError::NotAStore { what, .. }) => assert!(what.contains(expected), "{what}"),
        other => panic!("{other:?}"),
    };
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    is_refused(&file, "file");
    is_refused(dir.path(), "file");
    let other = dir.path().join("other");
    fs::create_dir_all(other.join("log")).unwrap();
    fs::write(other.join("log/syslog"), "").unwrap();
    is_refused(&other, "log");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    // What the server keeps beside the log is no hindrance.
    let ours = dir.path().join("ours");
    fs::create_dir_all(ours.join("tls")).unwrap();
    assert!(Store::open(&ours, CREATE).is_ok());
}

#[test]
fn another_format_and_a_lost_identity_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), CREATE).unwrap();
    let mut later = store.identity().encode();
    later[4] = 9;
    tamper(&store, Area::Meta, Write::Put { key: IDENTITY, value: &later });
    drop(store);
    assert_eq!(Store::open(dir.path(), WRITE).err(), Some(LogError::Version { found: 9, supported: 1 }));

    let log = MemoryLog::new();
    let mut writes = Writes::new();
    writes.put(Area::Log, b"key", b"value");
    log.write(&writes).unwrap();
    assert!(matches!(Store::with_log(Box::new(log)).err(), Some(LogError::NotAStore { .. })));
}

#[test]
fn damage_that_rocksdb_sees_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), CREATE).unwrap();
    commit(&store, &plain_history(9), 2, small());
    drop(store);
    fs::write(dir.path().join("log/CURRENT"), "MANIFEST-000000\n").unwrap();
    assert!(matches!(Store::open(dir.path(), WRITE).err(), Some(LogError::Io { .. })));
}

/// The image that a crash leaves of a store with nine events in several commits: its files, copied while it is open.
/// Gives the events, and the write-ahead log that holds them.
fn crash_image(image: &Path) -> (Vec<Event>, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let events = plain_history(9);
    let store = Store::open(dir.path(), CREATE).unwrap();
    let (committer, listener) = start(&store, CommitterOptions { index_rows: usize::MAX, ..small() });
    for part in events.chunks(2) {
        send(&committer, Append::Events(encoded(&store.identity().hash_key, part)));
    }
    // Its stop would write the index, whose table no crash can bring without the events.
    while !listener.told().contains(&Told::Durable(9)) {
        std::thread::yield_now();
    }
    fs::create_dir(image.join("log")).unwrap();
    let mut logs = Vec::new();
    for entry in fs::read_dir(dir.path().join("log")).unwrap() {
        let from = entry.unwrap().path();
        let to = image.join("log").join(from.file_name().unwrap());
        fs::copy(&from, &to).unwrap();
        if to.extension().is_some_and(|extension| extension == "log") && fs::metadata(&to).unwrap().len() > 0 {
            logs.push(to);
        }
    }
    committer.stop().unwrap();
    assert_eq!(logs.len(), 1);
    (events, logs.remove(0))
}

/// The write-ahead log may end anywhere. The store opens, and holds whole commits.
#[test]
fn a_torn_tail_costs_the_commits_that_it_tears_and_no_others() {
    let mut lengths = Vec::new();
    for twelfths in 0..=12 {
        let image = tempfile::tempdir().unwrap();
        let (events, wal) = crash_image(image.path());
        let whole = fs::read(&wal).unwrap();
        fs::write(&wal, &whole[..whole.len() * twelfths / 12]).unwrap();
        let store = Store::open(image.path(), WRITE).unwrap();
        let left = replayed(&store).unwrap();
        assert_eq!(left, events[..left.len()], "{twelfths}/12 are left");
        assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, [], "{twelfths}/12 are left");
        lengths.push(left.len());
    }
    assert_eq!((lengths.first(), lengths.last()), (Some(&0), Some(&9)));
}

#[test]
fn damage_before_the_tail_of_the_write_ahead_log_is_an_error() {
    let image = tempfile::tempdir().unwrap();
    let (_, wal) = crash_image(image.path());
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(wal, bytes).unwrap();
    assert!(matches!(Store::open(image.path(), WRITE).err(), Some(LogError::Corrupt { .. })));
}

/// The disk kept some sectors of the last commit and not others, in a file of full length.
#[test]
fn a_commit_that_lacks_a_sector_is_dropped_and_no_other() {
    let image = tempfile::tempdir().unwrap();
    let (events, wal) = crash_image(image.path());
    let mut bytes = fs::read(&wal).unwrap();
    let last = bytes.len() - bytes.len() % 512;
    bytes[last..].fill(0);
    fs::write(wal, bytes).unwrap();
    let reader = OpenOptions { create: false, read_only: true };
    let refused = Store::open(image.path(), reader).err().unwrap();
    assert!(matches!(refused, LogError::Torn { .. }) && refused.to_string().contains("start the server"), "{refused}");
    let store = Store::open(image.path(), WRITE).unwrap();
    assert!(store.was_torn());
    let left = replayed(&store).unwrap();
    assert_eq!(left, events[..left.len()]);
    assert!((1..9).contains(&left.len()), "the last commit is gone, and no other: {}", left.len());
    assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
    drop(store);
    assert!(!Store::open(image.path(), WRITE).unwrap().was_torn(), "it was cut off for good");
}

/// RocksDB deletes a table that it could not take in, and its list may name it all the same.
#[test]
fn a_table_whose_taking_in_failed_is_put_back() {
    let image = tempfile::tempdir().unwrap();
    let (events, _) = crash_image(image.path());
    drop(Store::open(image.path(), WRITE).unwrap());
    let database = image.path().join("log");
    let files = fs::read_dir(&database).unwrap().map(|entry| entry.unwrap().path());
    let table = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "sst")).unwrap();
    fs::rename(&table, database.join("table.new")).unwrap();
    let reader = OpenOptions { create: false, read_only: true };
    assert!(matches!(Store::open(image.path(), reader).err(), Some(LogError::Torn { .. })));
    let store = Store::open(image.path(), WRITE).unwrap();
    assert_eq!(replayed(&store).unwrap(), events);
    assert!(!database.join("table.new").exists());
    drop(store);
    fs::remove_file(table).unwrap();
    fs::write(database.join("table.new"), "something else").unwrap();
    assert!(matches!(Store::open(image.path(), WRITE).err(), Some(LogError::Corrupt { .. })));
}

#[test]
fn an_interrupted_creation_is_finished_and_a_store_that_lost_its_beginning_is_not_created_over() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("log");
    fs::create_dir(&database).unwrap();
    for name in ["LOCK", "LOG", "IDENTITY", "MANIFEST-000001", "000001.dbtmp"] {
        fs::write(database.join(name), "").unwrap();
    }
    drop(Store::open(dir.path(), CREATE).unwrap());
    fs::remove_file(database.join("CURRENT")).unwrap();
    let refused = Store::open(dir.path(), CREATE).err().unwrap();
    assert!(refused.to_string().contains("CURRENT"), "{refused}");
}

#[test]
fn a_list_of_tables_that_is_cut_short_is_no_older_store() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), CREATE).unwrap());
    let current = fs::read_to_string(dir.path().join("log/CURRENT")).unwrap();
    let manifest = dir.path().join("log").join(current.trim_end());
    let bytes = fs::read(&manifest).unwrap();
    fs::write(manifest, &bytes[..bytes.len() / 2]).unwrap();
    for read_only in [false, true] {
        let refused = Store::open(dir.path(), OpenOptions { create: false, read_only }).err().unwrap();
        assert!(matches!(refused, LogError::Corrupt { .. }), "{refused}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_data_directory_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let path = dir.path().join("above/store");
    drop(Store::open(&path, CREATE).unwrap());
    assert_eq!((mode(&path), mode(&path.join("log"))), (0o700, 0o700));
    assert_eq!(mode(&dir.path().join("above")), mode(&plain), "directories above are as usual");
}

#[test]
fn a_directory_that_was_there_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
    drop(Store::open(dir.path(), CREATE).unwrap());
    assert_eq!((mode(dir.path()), mode(&dir.path().join("log"))), (0o750, 0o700));
    fs::set_permissions(dir.path().join("log"), fs::Permissions::from_mode(0o750)).unwrap();
    drop(Store::open(dir.path(), CREATE).unwrap());
    assert_eq!(mode(&dir.path().join("log")), 0o750);
}

#[test]
fn what_cannot_be_created_is_named() {
    let dir = tempfile::tempdir().unwrap();
    // A link to nowhere is in the way, for whatever user.
    let path = dir.path().join("store");
    std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
    let error = Store::open(&path, CREATE).err().unwrap();
    assert!(error.to_string().starts_with(&format!("cannot create {}: ", path.display())), "{error}");
}

#[test]
fn an_error_of_a_path_gives_advice_for_its_cause() {
    let said = |doing, kind: ErrorKind| LogError::path(doing, Path::new("/srv/x"), &kind.into()).to_string();
    assert_eq!(
        said("create", ErrorKind::PermissionDenied),
        "cannot create /srv/x: permission denied. Run as a user who may write there, or name another directory with --data"
    );
    assert_eq!(
        said("read", ErrorKind::PermissionDenied),
        "cannot read /srv/x: permission denied. Run as a user who may read there, or name another directory with --data"
    );
    for kind in [ErrorKind::PermissionDenied, ErrorKind::NotFound, ErrorKind::ReadOnlyFilesystem] {
        let text = said("create", kind);
        assert!(text.contains("--data") && !text.contains("disk"), "{text}");
    }
    assert!(said("create", ErrorKind::StorageFull).contains("free space"));
}

#[test]
fn errors_say_what_to_do() {
    let path = PathBuf::from("/data");
    for (error, advice) in [
        (LogError::Locked { path: path.clone() }, "stop that one"),
        (LogError::Missing { path: path.clone() }, "check the path"),
        (LogError::NotAStore { path, what: "it holds `x`".to_owned() }, "name another one"),
        (LogError::Version { found: 2, supported: 1 }, "or a newer one"),
        (LogError::corrupt(Sequence::new(3), "a batch", Malformed("it ends too early")), "sequence 3"),
        (LogError::io("writing a commit", &"no space"), "free space"),
        (LogError::Processor { lacks: "SSE4.2" }, "2010 or later"),
        (LogError::Failed, "restart"),
    ] {
        assert!(error.to_string().contains(advice), "{error}");
    }
}
