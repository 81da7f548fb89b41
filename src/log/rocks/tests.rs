//! Tests of `rocks`: what earlier versions have left there.

use super::super::arbitrary::plain_history;
use super::super::fixtures::{commit, content, replayed, small};
use super::super::{OpenOptions, Store};
use super::*;

/// Their batches lie as they are, and their index is a family of its own.
#[test]
fn a_store_of_an_earlier_version_is_read_and_gets_its_index_anew() {
    let dir = tempfile::tempdir().unwrap();
    let open = |create, read_only| Store::open(dir.path(), OpenOptions { create, read_only });
    let events = plain_history(30);
    let store = open(true, false).unwrap();
    commit(&store, &events, 2, small());
    let batches = content(&store, Area::Log);
    drop(store);

    let path = dir.path().join("log");
    let mut families = DB::list_cf(&Options::default(), &path).unwrap();
    families.push(OLD_INDEX.to_owned());
    let mut options = Options::default();
    options.create_missing_column_families(true);
    let mut db = DB::open_cf(&options, &path, families).unwrap();
    db.drop_cf(Area::Index.name()).unwrap();
    let family = |name: &str| db.cf_handle(name).unwrap();
    db.put_cf(family(OLD_INDEX), [7; 24], [0, 0]).unwrap();
    db.delete_cf(family(Area::Meta.name()), "runs").unwrap();
    for (key, value) in &batches {
        assert!(db.get_cf(family(Area::Log.name()), key).unwrap().unwrap().len() < value.len());
        db.put_cf(family(Area::Log.name()), key, value).unwrap();
    }
    drop(db);
    std::fs::remove_file(path.join("closed")).unwrap();

    // Who only reads changes nothing, and says what to do.
    for _ in 0..2 {
        let refused = open(false, true).err().unwrap();
        assert_eq!(refused, LogError::OldIndex { path: path.clone() });
        assert!(refused.to_string().contains("start the server once"), "{refused}");
    }
    for start in 0..2 {
        let store = open(false, false).unwrap();
        assert_eq!(replayed(&store), Ok(events.clone()));
        assert_eq!(store.unindexed_events(), Ok(if start == 0 { 30 } else { 0 }));
        store.load_index(Some(1)).unwrap();
        let report = store.verify(&mut |_, _| ()).unwrap();
        assert_eq!((report.findings, report.index_entries), (vec![], 30));
    }
    assert!(!DB::list_cf(&Options::default(), &path).unwrap().contains(&OLD_INDEX.to_owned()));
    assert_eq!(open(false, true).unwrap().verify(&mut |_, _| ()).unwrap().findings, []);
}

/// As RocksDB's own diary says.
#[test]
fn tables_are_written_past_the_page_cache_where_that_can_be() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), OpenOptions { create: true, read_only: false }).unwrap());
    let past = direct::can_be_written(&dir.path().join("log"));
    let diary = std::fs::read_to_string(dir.path().join("log/LOG")).unwrap();
    let said = format!("Options.use_direct_io_for_flush_and_compaction: {}", u8::from(past));
    assert!(diary.contains(&said), "not there: {said}");
}
