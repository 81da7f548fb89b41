use super::*;
use proptest::prelude::*;

/// A trace, and where each record ends.
fn trace(all: &[Done<'_>]) -> (Vec<u8>, Vec<u64>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for done in all {
        done.encode(&mut bytes);
        ends.push(bytes.len() as u64);
    }
    (bytes, ends)
}

/// What one file holds behind a power loss, if it is there.
fn left(disk: &Disk, loss: Loss, seed: u64, name: &str) -> Option<Vec<u8>> {
    let into = tempfile::tempdir().unwrap();
    disk.lose_power(into.path(), loss, &mut Chance::new(seed)).unwrap();
    fs::read(into.path().join(name)).ok()
}

const LOSSES: [Loss; 4] = [Loss::None, Loss::All, Loss::Tail, Loss::Sectors];

fn begun() -> Vec<Done<'static>> {
    vec![
        Done::Began { inode: 1 },
        Done::Created { inode: 2, path: b"a" },
        Done::SyncBegan { inode: 1, number: 1 },
        Done::SyncEnded { number: 1 },
        Done::Wrote { inode: 2, offset: 0, data: &[1; 2000] },
        Done::SyncBegan { inode: 2, number: 2 },
        Done::Wrote { inode: 2, offset: 2000, data: &[2; 2000] },
    ]
}

proptest! {
    #[test]
    fn what_was_synced_stays_and_nothing_else_is_made_up(seed: u64, at in 0..4_usize, names: bool) {
        let names = if names { Names::OfDirectories } else { Names::InOneJournal };
        let all = [begun(), vec![Done::SyncEnded { number: 2 }]].concat();
        let mut disk = Disk::new(names);
        let (bytes, _) = trace(&all);
        disk.advance(&bytes, bytes.len() as u64);
        let found = left(&disk, LOSSES[at], seed, "a").expect("its name was synced");
        // What was written while the sync ran may be missing.
        prop_assert_eq!(&found[..2000], &[1; 2000]);
        prop_assert!(found[2000..].iter().all(|byte| [0, 2].contains(byte)) && found.len() <= 4000);
        if LOSSES[at] == Loss::Tail {
            prop_assert!(found[2000..].iter().all(|byte| *byte == 2));
        }
    }

    #[test]
    fn names_of_a_directory_are_lost_from_the_end(seed: u64, count in 1..9_u8) {
        let names: Vec<[u8; 1]> = (b'a'..b'a' + count).map(|name| [name]).collect();
        let mut all = vec![Done::Began { inode: 99 }];
        all.extend(names.iter().map(|path| Done::Created { inode: path[0].into(), path }));
        let (bytes, _) = trace(&all);
        for how in [Names::OfDirectories, Names::InOneJournal] {
            let mut disk = Disk::new(how);
            disk.advance(&bytes, bytes.len() as u64);
            let into = tempfile::tempdir().unwrap();
            disk.lose_power(into.path(), Loss::Tail, &mut Chance::new(seed)).unwrap();
            let there: Vec<bool> =
                names.iter().map(|name| into.path().join(std::str::from_utf8(name).unwrap()).exists()).collect();
            prop_assert!(there.is_sorted_by(|one, next| one >= next), "{there:?}");
        }
    }
}

#[test]
fn a_sync_that_did_not_end_promises_nothing() {
    let (bytes, _) = trace(&begun());
    let mut disk = Disk::new(Names::InOneJournal);
    disk.advance(&bytes, bytes.len() as u64);
    assert_eq!(left(&disk, Loss::All, 0, "a"), Some(Vec::new()));
    assert_eq!(left(&disk, Loss::None, 0, "a").map(|bytes| bytes.len()), Some(4000));
    assert!(!disk.is_settled());
}

#[test]
fn the_sync_of_a_file_takes_names_along_where_there_is_one_journal() {
    let all = [
        Done::Began { inode: 1 },
        Done::Created { inode: 2, path: b"a" },
        Done::Created { inode: 3, path: b"b" },
        Done::Renamed { from: b"b", to: b"c" },
        Done::SyncBegan { inode: 2, number: 1 },
        Done::SyncEnded { number: 1 },
        Done::Removed { path: b"c" },
    ];
    let (bytes, ends) = trace(&all);
    for (names, there) in [(Names::InOneJournal, true), (Names::OfDirectories, false)] {
        let mut disk = Disk::new(names);
        disk.advance(&bytes, ends[2]);
        disk.advance(&bytes, bytes.len() as u64);
        assert_eq!(left(&disk, Loss::All, 0, "c").is_some(), there, "{names:?}");
        assert_eq!(left(&disk, Loss::All, 0, "b"), None);
        assert_eq!(left(&disk, Loss::None, 0, "c"), None);
    }
}

#[test]
fn what_has_lost_its_directory_is_lost_with_it() {
    let all = [
        Done::Began { inode: 1 },
        Done::MadeDirectory { inode: 2, path: b"d" },
        Done::MadeDirectory { inode: 3, path: b"d/e" },
        Done::Created { inode: 4, path: b"d/e/a" },
        Done::SyncBegan { inode: 2, number: 1 },
        Done::SyncEnded { number: 1 },
        Done::SyncBegan { inode: 3, number: 2 },
        Done::SyncEnded { number: 2 },
    ];
    let (bytes, _) = trace(&all);
    let mut disk = Disk::new(Names::OfDirectories);
    disk.advance(&bytes, bytes.len() as u64);
    assert_eq!(left(&disk, Loss::All, 0, "d/e/a"), None);
    assert!(left(&disk, Loss::None, 0, "d/e/a").is_some());
}
