//! Every call of the file system fails once, and a full disk comes at every step (P7): a server does not start, or stops,
//! with words for people, and once the fault has gone all that was answered is there.
//!
//! All faults of a short run are numbered, and one run of this test takes those of one residue class. The manual's page
//! "crashes" says how to take others, or all.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::sync::Arc;

use repsec_powerloss::{Chance, Disk, Loss, Names};
use serde_json::json;

use crate::harness::{Client, Dice, EXECUTABLE, Home, KINDS, Layer, Setup, Trust, drivers, outcome};
use crate::power::{Change, dumped};

/// The errors of Linux by their numbers: of a device, of a full disk, of too many open files.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EMFILE: i32 = 24;
/// Faults of one usual run.
const FAULTS: u64 = 24;
/// Changes of a run, sent in so many parts; enough for a snapshot.
const CHANGES: usize = 150;
const PARTS: usize = 5;
const CONFIG: &str = "[log]\nsnapshot_events = 100\n";

#[derive(Clone, Copy, Debug)]
struct Fault {
    /// Whether the store was there before, left by a crash.
    old: bool,
    what: &'static str,
    number: u64,
    forever: bool,
    error: i32,
}

/// What became of a run.
#[derive(Default)]
struct Lived {
    sent: Vec<Change>,
    answered: usize,
    /// What the server said before it ended, if it ended by itself.
    words: Option<String>,
    counts: Vec<u64>,
}

/// Starts a server on a file system that does what the layer says, and changes things until it is done or the server is
/// gone.
fn live(setup: &Setup, home: &Arc<Home>, layer: Layer) -> Lived {
    let counts = home.file("counts");
    let setup = setup.clone().permits("").watched(&layer.counts(&counts));
    let mut lived = Lived::default();
    match setup.try_start_in(home) {
        Err(why) => {
            let of_configuration = why.contains("status 2: ") && why.contains("the configuration cannot be used");
            assert!(why.contains("status 3: ") || of_configuration, "{why}");
            lived.words = Some(why);
        }
        Ok(mut server) => {
            let client = Client::connect_with(server.address(), &Trust::file(&home.authority()));
            let failed = client.map_or(true, |client| !change(client, "f", &mut lived));
            let status = if failed { server.wait() } else { server.terminate() };
            let logged = server.logged();
            assert!([0, 3].contains(&status), "status {status}: {logged}");
            assert!(!failed || status == 3, "it ended as if all were well: {logged}");
            lived.words = (status == 3).then_some(logged);
        }
    }
    let counts = fs::read(counts).unwrap();
    lived.counts = counts.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    lived
}

/// Registers and removes names, and says whether all of it was done.
fn change(mut client: Client, prefix: &str, lived: &mut Lived) -> bool {
    for part in 0..PARTS {
        let mut text = String::new();
        for at in part * CHANGES / PARTS..(part + 1) * CHANGES / PARTS {
            let (entity, registers) = (format!("{prefix}{}.example", at / 3), at % 3 != 1);
            let note = "n".repeat(at * 37 % 2000);
            text += &if registers {
                let entity = if at % 3 == 2 { format!("{prefix}-{at}.example") } else { entity.clone() };
                lived.sent.push((entity.clone(), true));
                format!("{}\n", json!({"command": "REGISTER", "entity": entity, "attributes": {"note": note}}))
            } else {
                lived.sent.push((entity.clone(), false));
                format!("{}\n", json!({"command": "REMOVE", "entity": entity}))
            };
        }
        client.send(text);
        let mut failed = false;
        for at in part * CHANGES / PARTS..(part + 1) * CHANGES / PARTS {
            let Some(answer) = client.next_answer() else { return false };
            match outcome(&answer) {
                (200, _) => {
                    assert!(!failed, "change {at} was done, and one before it was not");
                    lived.answered += 1;
                }
                (500, "storage_failed") => failed = true,
                _ => panic!("{answer}"),
            }
        }
        if failed {
            return false;
        }
    }
    true
}

/// A store that a crash left, with a snapshot and a write-ahead log, and its events.
fn old_store(setup: &Setup) -> (Disk, Vec<Change>) {
    let mut server = setup.start();
    server.await_snapshot();
    let mut lived = Lived::default();
    assert!(change(server.client(), "old", &mut lived));
    server.kill();
    let events = dumped(server.home());
    (Disk::of(server.home().root(), Names::InOneJournal).unwrap(), events)
}

/// The faults to be tried, of a run in which so many calls were made.
fn faults(old: bool, counts: &[u64]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (what, count) in KINDS.iter().zip(counts) {
        let kinds: &[(bool, i32)] = match *what {
            "read" => &[(false, EIO), (true, EIO)],
            "open" => &[(false, EIO), (true, EMFILE)],
            "sync" => &[(false, EIO)],
            _ => &[(false, EIO), (true, ENOSPC)],
        };
        for (forever, error) in kinds {
            faults.extend((1..=*count).map(|number| Fault { old, what, number, forever: *forever, error: *error }));
        }
    }
    faults
}

#[test]
fn whatever_call_fails_nothing_answered_is_lost() {
    let mut dice = Dice::new();
    let setup = Setup::new(drivers()[0], 2).config(CONFIG);
    let (old, before) = old_store(&setup);
    let home_of = |is_old: bool| {
        let home = Home::new();
        if is_old {
            old.lose_power(home.root(), Loss::None, &mut Chance::new(0)).unwrap();
        }
        home
    };
    let mut plan = Vec::new();
    for is_old in [false, true] {
        let home = home_of(is_old);
        let lived = live(&setup, &home, Layer::of(home.root()));
        assert_eq!((lived.answered, &lived.words), (CHANGES, &None));
        plan.extend(faults(is_old, &lived.counts));
    }
    let usual = plan.len() as u64 / FAULTS;
    // `K/N`: the faults whose numbers leave K when divided by N.
    let (part, parts) = match std::env::var("REPSEC_FAULTS") {
        Ok(text) => text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?))).expect("K/N"),
        Err(_) => (dice.between(0, usual - 1), usual),
    };
    println!("REPSEC_FAULTS={part}/{parts} of {} faults", plan.len());
    let mut tally: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    // By the number, not by the place in the plan: how many calls there are differs a little from run to run.
    for fault in plan.iter().filter(|fault| fault.number % parts == part) {
        let end = try_fault(&setup, &home_of(fault.old), fault, if fault.old { &before } else { &[] });
        *tally.entry((fault.what, end)).or_default() += 1;
    }
    println!("{tally:?}");
}

/// Lets a server live with the fault, then one without; says how the first ended.
fn try_fault(setup: &Setup, home: &Arc<Home>, fault: &Fault, before: &[Change]) -> &'static str {
    println!("{fault:?}");
    let layer = Layer::of(home.root()).fails(fault.what, fault.number, fault.forever, fault.error);
    let lived = live(setup, home, layer);
    let struck = lived.counts.last().is_some_and(|failed| *failed > 0);
    assert!(struck || lived.answered == CHANGES, "no fault struck: {:?}", lived.words);
    if let Some(words) = &lived.words {
        assert!(!words.contains("panicked"), "{words}");
        let last = words.trim_end().lines().last().unwrap_or_default();
        println!("  {} answered; {last}", lived.answered);
        let advice = [
            "start again",
            "--cert",
            "start the server",
            "--data",
            "restart",
            "from a copy",
            "the configuration cannot",
        ];
        assert!(advice.iter().any(|advice| words.contains(advice)), "no word says what to do: {words}");
    }
    let mut server = setup.start_in(home);
    server.kill();
    let found = dumped(home);
    assert_eq!(home.verified_events(), found.len() as u64);
    let (old, new) = found.split_at_checked(before.len()).expect("what was there before is there");
    assert_eq!(old, before);
    assert!(new.len() >= lived.answered, "{} were answered, {} are there", lived.answered, new.len());
    assert_eq!(Some(new), lived.sent.get(..new.len()), "what nobody asked for");
    match (struck, lived.words, lived.sent.len()) {
        (false, ..) => "did not strike",
        (true, None, _) => "went unnoticed",
        (true, Some(_), 0) => "kept it from starting",
        (true, Some(_), _) => "stopped it",
    }
}

/// What is missing, or cut in half, keeps a server from starting unless it can do without. The end of the write-ahead log
/// is no such thing: nobody can tell it from one that was never written.
#[test]
fn a_file_that_is_missing_or_cut_is_noticed() {
    let setup = Setup::new(drivers()[0], 1).config(CONFIG).permits("the snapshot cannot be used");
    let mut server = setup.start();
    server.await_snapshot();
    assert_eq!(server.terminate(), 0);
    let events = dumped(server.home());
    let disk = Disk::of(server.home().root(), Names::InOneJournal).unwrap();
    let files: Vec<_> =
        fs::read_dir(server.home().data().join("log")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.len() > 5, "{files:?}");
    let mut lost: Vec<String> = Vec::new();
    for name in files {
        for cut in [false, true] {
            let home = Home::new();
            disk.lose_power(home.root(), Loss::None, &mut Chance::new(0)).unwrap();
            let file = home.data().join("log").join(&name);
            let bytes = fs::read(&file).unwrap();
            if file.extension().is_some_and(|extension| extension == "log") && !bytes.is_empty() {
                continue;
            }
            if cut {
                fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            } else {
                fs::remove_file(&file).unwrap();
            }
            let what = format!("{} {}", name.display(), if cut { "cut" } else { "missing" });
            match setup.try_start_in(&home) {
                Err(why) => {
                    assert!(why.contains("status 3: ") && !why.contains("panicked"), "{what}: {why}");
                    println!("{what}: {}", why.trim_end().lines().last().unwrap_or_default());
                }
                Ok(mut server) => {
                    server.kill();
                    println!("{what}: is not needed");
                    if dumped(&home) != events {
                        lost.push(what);
                    }
                }
            }
        }
    }
    assert!(lost.is_empty(), "the server starts as if nothing were missing: {lost:?}");
}

/// A store whose owner is somebody else. As root the server runs as nobody; anybody else takes the permissions away.
#[test]
fn a_store_of_another_user_is_left_alone() {
    let setup = Setup::new("epoll", 1);
    let home = Home::new();
    assert_eq!(setup.start_in(&home).terminate(), 0);
    fs::set_permissions(home.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let setup = if is_root {
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let can = Command::new(nobody[0]).args(&nobody[1..]).args([EXECUTABLE, "--version"]).output();
        if !can.is_ok_and(|output| output.status.success()) {
            return println!("SKIPPED: nobody cannot run {EXECUTABLE} here");
        }
        setup.wrapped(&nobody.map(str::to_owned))
    } else {
        fs::set_permissions(home.data(), fs::Permissions::from_mode(0o000)).unwrap();
        setup
    };
    let why = setup.try_start_in(&home).err().expect("it is not to start");
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o700)).unwrap();
    for word in ["status 3: ", home.data().to_str().unwrap(), "permission denied", "--data"] {
        assert!(why.contains(word), "{word:?} is missing in {why}");
    }
}
