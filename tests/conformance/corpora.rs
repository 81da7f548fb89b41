//! Replays what fuzzing has found worth keeping: `fuzz/corpus/TARGET/*`, with the very code that is fuzzed.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a folder.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn no_input_of_the_corpora_fails() {
    let mut failed = Vec::new();
    for (target, run) in targets::ALL {
        let inputs = names(&format!("corpus/{target}"));
        assert!(!inputs.is_empty(), "the corpus of {target} is empty");
        for input in inputs {
            let data = fs::read(fuzz().join("corpus").join(target).join(&input)).unwrap();
            if catch_unwind(|| run(&data)).is_err() {
                failed.push(format!("fuzz/corpus/{target}/{input}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_input_cut_short_is_fine_too() {
    for (target, run) in targets::ALL {
        run(&[]);
        for input in names(&format!("corpus/{target}")) {
            let data = fs::read(fuzz().join("corpus").join(target).join(&input)).unwrap();
            run(&data[..data.len() / 2]);
        }
    }
}

#[test]
fn every_target_has_a_binary_and_a_corpus() {
    let mut targets: BTreeSet<String> = targets::ALL.iter().map(|target| target.0.to_owned()).collect();
    assert_eq!(names("corpus"), targets);
    targets.insert("canary".to_owned());
    let binaries: BTreeSet<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names("bins"), binaries);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in targets {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"bins/{name}.rs\"\n")), "{name}");
    }
}

#[test]
fn the_canary_fails_on_its_input_alone() {
    assert!(catch_unwind(|| targets::canary::run(b"bird")).is_err());
    targets::canary::run(b"bir");
    targets::canary::run(b"birth");
}

#[test]
fn the_corpora_stay_small() {
    for (target, _) in targets::ALL {
        let bytes: u64 = names(&format!("corpus/{target}"))
            .iter()
            .map(|input| fs::metadata(fuzz().join("corpus").join(target).join(input)).unwrap().len())
            .sum();
        assert!(bytes <= 32 * 1024, "the corpus of {target} has {bytes} bytes");
    }
}
