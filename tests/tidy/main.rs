//! Rules of the house that the compiler does not check. Each rule is a function over files, given as path and text, and
//! returns what it found; beside each stands a test that feeds it a text which breaks it.
//!
//! Nothing here calls the product: the rules read the repository as it is.

mod doors;
mod floors;
mod manual;
mod shape;
mod source;

use std::fs;
use std::path::Path;

/// A file of the repository: its path from the top, with slashes, and its text.
#[derive(Clone, Debug)]
pub struct File {
    /// `src/types/entity.rs`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl File {
    /// A file for a test of a rule.
    #[cfg(test)]
    pub fn new(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    /// Whether the file is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file is below this folder.
    pub fn is_below(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Where text that people wrote is found. Data and what is built from it are not read.
const FOLDERS: [&str; 5] = ["src", "tests", "benches", "fuzz", "tools"];

/// Folders of which nothing is read, by name.
const SKIPPED: [&str; 5] = ["target", "data", "corpus", "artifacts", "coverage"];

/// The repository's own text files.
fn repository() -> Vec<File> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(top, &top.join(folder), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.iter().any(|file| file.path == "src/main.rs"), "the repository was not found");
    files
}

fn collect(top: &Path, folder: &Path, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder that can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(top, &path, files);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(top).expect("below the top").to_string_lossy().replace('\\', "/");
            files.push(File { path, text });
        }
    }
}

/// The text of one file of the repository.
fn text_of<'a>(files: &'a [File], path: &str) -> &'a str {
    files.iter().find(|file| file.path == path).map_or("", |file| &file.text)
}

/// Fails with all findings, one a line.
fn expect_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

const ARCHITECTURE: &str = "src/manual/architecture.md";

#[test]
fn floors_are_as_the_manual_says() {
    let files = repository();
    expect_none(&floors::check(&files, text_of(&files, ARCHITECTURE)));
}

#[test]
fn no_path_climbs_to_the_front_door() {
    expect_none(&floors::check_climbing(&repository()));
}

#[test]
fn each_foreign_library_has_one_door() {
    expect_none(&doors::check(&repository()));
}

#[test]
fn unsafe_has_two_doors() {
    expect_none(&doors::check_unsafe(&repository()));
}

#[test]
fn files_stay_small() {
    expect_none(&shape::check_size(&repository(), &shape::LARGE_FILES));
}

#[test]
fn modules_say_what_they_are() {
    expect_none(&shape::check_heads(&repository()));
}

#[test]
fn nothing_is_left_for_later() {
    expect_none(&shape::check_leftovers(&repository()));
}

#[test]
fn no_match_is_thrown_away() {
    expect_none(&shape::check_vacuous_matches(&repository()));
}

#[test]
fn texts_hold_no_hidden_characters() {
    expect_none(&shape::check_characters(&repository()));
}

#[test]
fn the_map_is_the_territory() {
    let files = repository();
    expect_none(&manual::check_map(&files, text_of(&files, ARCHITECTURE)));
}

#[test]
fn every_page_of_the_manual_is_rendered() {
    expect_none(&manual::check_pages(&repository()));
}

#[test]
fn the_page_of_limits_names_every_limit() {
    let files = repository();
    expect_none(&manual::check_limits(text_of(&files, "src/types/limits.rs"), text_of(&files, "src/manual/limits.md")));
}
