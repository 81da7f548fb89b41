//! Each foreign library that we may one day replace, or that asks for care, is named in one place.

use crate::File;
use crate::source::{code_of, line_at, words};

/// A library, the only place that may name it (a file, or a folder with a slash at its end), and why.
const DOORS: [(&str, &[&str], &str); 4] = [
    ("monoio", &["src/runtime/uring.rs"], "so that another runtime costs one file"),
    ("rocksdb", &["src/log/rocks.rs"], "so that its handles, options and errors stay in one file"),
    ("simd_json", &["src/wire/json.rs", "src/wire/json/"], "since its caller must check size and depth first"),
    ("rkyv", &["src/log/schema/"], "so that no other type can change the bytes on disk"),
];

/// The only places of the product where `unsafe` may stand: a hint to the processor, and an option of the allocator.
const UNSAFE_DOORS: [&str; 2] = ["src/projection/prefetch.rs", "src/allocator.rs"];

/// Finds `unsafe` beside its doors. The compiler denies it too, but lets any file allow it for itself.
pub fn check_unsafe(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let is_door = |file: &File| UNSAFE_DOORS.contains(&file.path.as_str());
    for file in files.iter().filter(|file| file.is_rust() && file.is_below("src") && !is_door(file)) {
        let code = code_of(&file.text);
        for at in words(&code, "unsafe") {
            let doors = UNSAFE_DOORS.join(" and ");
            findings.push(format!("{}:{}: unsafe stands in {doors} only", file.path, line_at(&code, at)));
        }
    }
    findings
}

/// Finds libraries that are named beside their door. Tests in `src` use the doors too; benchmarks may compare with
/// a library alone.
pub fn check(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && file.is_below("src")) {
        let code = code_of(&file.text);
        for (library, doors, reason) in DOORS {
            let at_the_door =
                doors.iter().any(|door| file.path == *door || (door.ends_with('/') && file.path.starts_with(door)));
            if at_the_door {
                continue;
            }
            for at in words(&code, library).filter(|at| names_the_library(&code, *at, library)) {
                let line = line_at(&code, at);
                findings.push(format!("{}:{line}: {library} is named in {} only, {reason}", file.path, doors[0]));
            }
        }
    }
    findings
}

/// Whether the word is the crate, and not a variable or a module of ours that is called the same.
fn names_the_library(code: &str, at: usize, library: &str) -> bool {
    let (before, after) = (code[..at].trim_end(), code[at + library.len()..].trim_start());
    let a_path = after.starts_with("::") && (!before.ends_with("::") || rooted(before));
    let an_import =
        ["use", "crate", "::"].iter().any(|word| before.ends_with(word)) && after.starts_with([';', ',', '}']);
    let renamed = before.ends_with("use") && after.starts_with("as ");
    a_path || (an_import && !before.ends_with("crate::")) || renamed
}

/// Whether a path that ends in `::` begins there.
fn rooted(before: &str) -> bool {
    before.strip_suffix("::").is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&[File::new(path, text)]).len()
    }

    #[test]
    fn a_library_beside_its_door_is_found_in_every_spelling() {
        for text in [
            "use monoio::io::AsyncReadRent;",
            "fn f() { monoio::spawn(g()) }",
            "use monoio;",
            "use monoio as m;",
            "fn f() { ::monoio::spawn(g()) }",
            "extern crate monoio;",
            "#[monoio::main] fn main() {}",
        ] {
            assert_eq!(count("src/server/listener.rs", text), 1, "{text}");
            assert_eq!(count("src/runtime/uring.rs", text), 0, "{text}");
        }
        assert_eq!(count("src/log/committer.rs", "fn f(db: &rocksdb::DB) {}"), 1);
        assert_eq!(count("src/domain/event.rs", "#[derive(rkyv::Archive)] struct A;"), 1);
        assert_eq!(count("src/log/schema/v1.rs", "#[derive(rkyv::Archive)] struct A;"), 0);
        assert_eq!(count("src/faces/repsec/message.rs", "use simd_json::Node;"), 1);
        assert_eq!(count("src/wire/json/tape.rs", "use simd_json::Node;"), 0);
    }

    #[test]
    fn unsafe_beside_its_door_is_found() {
        let count = |path, text| check_unsafe(&[File::new(path, text)]).len();
        for text in ["fn f() { unsafe { g() } }", "unsafe fn f() {}", "unsafe impl Send for A {}"] {
            assert_eq!(count("src/log/rocks.rs", text), 1, "{text}");
            assert!(UNSAFE_DOORS.iter().all(|door| count(door, text) == 0), "{text}");
        }
        for text in ["// unsafe", "let s = \"unsafe\";", "#![deny(unsafe_code)]"] {
            assert_eq!(count("src/log/rocks.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn other_uses_of_the_word_are_no_finding() {
        for text in [
            "// monoio::spawn",
            "let s = \"monoio::\";",
            "use crate::runtime::monoio::x;",
            "let monoio = 1;",
            "monoio_like::f()",
        ] {
            assert_eq!(count("src/server/listener.rs", text), 0, "{text}");
        }
    }
}
