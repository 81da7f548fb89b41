//! What shows that each requirement of the protocol is met: the ledger `ledger.toml`, checked against the sources.
//!
//! The ids are those of our reading of draft-ehlers-repsec-00: R1 to R26 what the draft demands, N1 to N9 what its
//! companion on one-time tokens demands, O1 to O20 what it leaves open, C1 to C4 where it contradicts itself, T1 to T14
//! traps that are worth a test of their own. An id names the tests that show it, or says why there is none yet, or
//! both where a part is missing. A test is named by its path: `it::...` stands under `tests/it`, all else under `src`.
//!
//! Beside the ledger, `corpora` replays what fuzzing has found.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corpora;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const LEDGER: &str = include_str!("ledger.toml");

/// How many ids there are of each family.
const FAMILIES: [(char, usize); 5] = [('R', 26), ('N', 9), ('O', 20), ('C', 4), ('T', 14)];

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The requirement, in a few words.
    says: String,
    /// The tests that show that it is met.
    #[serde(default)]
    shown_by: Vec<String>,
    /// What is not shown, and why.
    missing: Option<String>,
}

/// The ledger. That no id stands in it twice is TOML's own rule.
fn ledger() -> BTreeMap<String, Entry> {
    toml::from_str(LEDGER).unwrap()
}

#[test]
fn every_id_is_there_once() {
    let mut expected: Vec<String> = FAMILIES
        .iter()
        .flat_map(|(family, count)| (1..=*count).map(move |number| format!("{family}{number}")))
        .collect();
    expected.sort_unstable();
    let found: Vec<String> = ledger().into_keys().collect();
    assert_eq!(found, expected);
}

#[test]
fn every_id_is_shown_or_says_why_not() {
    for (id, entry) in ledger() {
        assert!(!entry.says.trim().is_empty(), "{id} says nothing");
        match &entry.missing {
            Some(reason) => assert!(reason.trim().len() >= 20, "{id}: {reason:?} is no reason"),
            None => assert!(!entry.shown_by.is_empty(), "{id} is neither shown nor excused"),
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut lost = Vec::new();
    for (id, entry) in ledger() {
        lost.extend(entry.shown_by.iter().filter(|test| !exists(test)).map(|test| format!("{id}: {test}")));
    }
    assert!(lost.is_empty(), "no such tests: {lost:#?}");
}

#[test]
fn no_test_is_named_twice_for_one_id() {
    for (id, mut entry) in ledger() {
        let count = entry.shown_by.len();
        entry.shown_by.sort_unstable();
        entry.shown_by.dedup();
        assert_eq!(entry.shown_by.len(), count, "{id}");
    }
}

#[test]
fn what_is_no_test_is_not_found() {
    for path in [
        "it::framing::no_such_test",
        "it::framing::lines",
        "it::harness::client::answer",
        "wire::frame::tests::stream",
        "x",
    ] {
        assert!(!exists(path), "{path}");
    }
    for path in ["it::framing::one_byte_per_record", "wire::frame::tests::how_a_stream_is_cut_does_not_matter"] {
        assert!(exists(path), "{path}");
    }
}

/// Whether there is a test of this path.
fn exists(path: &str) -> bool {
    let Some((module, name)) = path.rsplit_once("::") else { return false };
    files(module).iter().any(|file| fs::read_to_string(file).is_ok_and(|text| has_test(&text, name)))
}

/// The files in which a module may stand: its own, or that of its parent if it is a module within.
fn files(module: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (root, module) = match module.strip_prefix("it::") {
        Some(module) => (root.join("tests/it"), module),
        None => (root.join("src"), module),
    };
    let own = |module: &str| {
        let path = root.join(module.replace("::", "/"));
        [path.with_extension("rs"), path.join("mod.rs")]
    };
    let parent = module.rsplit_once("::").map(|(parent, _)| own(parent));
    own(module).into_iter().chain(parent.into_iter().flatten()).collect()
}

/// Whether the text has a function of this name that is a test: marked as one, or inside `proptest!`.
fn has_test(text: &str, name: &str) -> bool {
    let wanted = format!("fn {name}(");
    text.match_indices(&wanted).any(|(at, _)| {
        let before = &text[..text[..at].rfind('\n').map_or(0, |end| end + 1)];
        let above = before.lines().rev().map(str::trim_start);
        let marks = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
        let marked = marks.into_iter().any(|line| line == "#[test]");
        let law = before.rfind("proptest! {").is_some_and(|opened| !before[opened..].contains("\n}\n"));
        marked || law
    })
}
