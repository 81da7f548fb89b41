//! The shape of files: size, head, leftovers, checks that check nothing, characters that cannot be seen.

use crate::File;
use crate::source::{code_of, line_at, test_only, words};

/// Lines of a file outside tests.
const FILE_LINES_MAX: usize = 600;

/// Files that may be larger, each with its reason. The list may only shrink.
pub const LARGE_FILES: [(&str, &str); 0] = [];

/// Finds files that are too large, and exceptions that are not needed (any more).
pub fn check_size(files: &[File], large: &[(&str, &str)]) -> Vec<String> {
    let tests = test_only(files);
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !tests.contains(&file.path)) {
        let lines = file.text.lines().count();
        let excepted = large.iter().any(|(path, reason)| *path == file.path && !reason.is_empty());
        if lines > FILE_LINES_MAX && !excepted {
            findings.push(format!("{}: {lines} lines; at most {FILE_LINES_MAX} outside tests", file.path));
        }
    }
    for (path, _) in large {
        let needed = files.iter().any(|file| file.path == *path && file.text.lines().count() > FILE_LINES_MAX);
        if !needed {
            findings.push(format!("{path}: needs no exception from the size of files; take it off the list"));
        }
    }
    findings
}

/// Finds source files that do not begin by saying what they are, in their own words or by including a page.
pub fn check_heads(files: &[File]) -> Vec<String> {
    let sources = files.iter().filter(|file| file.is_rust() && (file.is_below("src") || file.is_below("benches")));
    sources
        .filter(|file| !file.text.starts_with("//! ") && !file.text.starts_with("#![doc = include_str!("))
        .map(|file| format!("{}: must begin with //! and what the module is", file.path))
        .collect()
}

/// Words that mark what was left for later. In two parts, so that this file does not find itself.
const LEFTOVERS: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
];

/// Finds marks of unfinished work, in code, comments and documents alike.
pub fn check_leftovers(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        for mark in LEFTOVERS {
            for at in words(&file.text, mark) {
                findings.push(format!("{}:{}: {mark} is left", file.path, line_at(&file.text, at)));
            }
        }
    }
    findings
}

/// Finds `matches!(...);` as a statement: it looks like a check, and nobody reads its result.
pub fn check_vacuous_matches(files: &[File]) -> Vec<String> {
    let call = "matches!(";
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = code_of(&file.text);
        for (at, _) in code.match_indices(call) {
            let begins = code[..at].trim_end().ends_with([';', '{', '}']) || code[..at].trim().is_empty();
            let (mut depth, mut rest) = (1_usize, code[at + call.len()..].chars());
            while depth > 0 {
                match rest.next() {
                    Some('(') => depth += 1,
                    Some(')') => depth -= 1,
                    Some(_) => {}
                    None => break,
                }
            }
            if begins && rest.as_str().trim_start().starts_with(';') {
                findings.push(format!("{}:{}: the result of matches! is thrown away", file.path, line_at(&code, at)));
            }
        }
    }
    findings
}

/// Finds characters that a reader cannot see or that change what is seen: controls, changes of direction, and
/// characters without width. In Rust they are written as escapes.
pub fn check_characters(files: &[File]) -> Vec<String> {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(c) = line.chars().find(|c| hidden(*c)) {
                findings.push(format!("{}:{}: holds U+{:04X}", file.path, number + 1, u32::from(c)));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_and_needless_exceptions_are_found() {
        let large = File::new("src/a.rs", &"\n".repeat(FILE_LINES_MAX + 1));
        let small = File::new("src/b.rs", &"\n".repeat(FILE_LINES_MAX));
        let test = File::new("src/a/tests.rs", &large.text);
        let files = [large, small, test];
        assert_eq!(check_size(&files, &[]), ["src/a.rs: 601 lines; at most 600 outside tests"]);
        assert_eq!(check_size(&files, &[("src/a.rs", "a table")]), Vec::<String>::new());
        assert_eq!(check_size(&files, &[("src/a.rs", "")]).len(), 1);
        assert_eq!(check_size(&files, &[("src/a.rs", "a table"), ("src/b.rs", "why")]).len(), 1);
    }

    #[test]
    fn a_headless_module_is_found() {
        let files = [
            File::new("src/a.rs", "use b;\n//! Late."),
            File::new("src/b.rs", "//! What."),
            File::new("src/lib.rs", "#![doc = include_str!(\"../README.md\")]"),
            File::new("benches/micro/a.rs", "use b;"),
            File::new("tests/c.rs", ""),
        ];
        let headless = ["src/a.rs", "benches/micro/a.rs"];
        assert_eq!(
            check_heads(&files),
            headless.map(|path| format!("{path}: must begin with //! and what the module is"))
        );
    }

    #[test]
    fn leftovers_are_found_and_words_that_hold_them_are_not() {
        for mark in LEFTOVERS {
            assert_eq!(check_leftovers(&[File::new("src/a.md", &format!("a\n{mark} b"))]).len(), 1, "{mark}");
        }
        assert!(check_leftovers(&[File::new("src/a.rs", "fn mastodon() {} const PHOTODOS: u8 = 1;")]).is_empty());
    }

    #[test]
    fn a_thrown_away_match_is_found() {
        let found = |text: &str| check_vacuous_matches(&[File::new("src/a.rs", text)]).len();
        assert_eq!(found("fn f() { matches!(a, Some(_)); }"), 1);
        assert_eq!(found("fn f() {\n    g();\n    matches!(\n        a,\n        Some(_)\n    );\n}"), 1);
        assert_eq!(found("fn f() -> bool { matches!(a, Some(_)) }"), 0);
        assert_eq!(found("fn f() { assert!(matches!(a, Some(_))); let b =\n matches!(a, None); }"), 0);
    }

    #[test]
    fn hidden_characters_are_found() {
        for hidden in ['\u{0}', '\t', '\u{1b}', '\u{85}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}'] {
            assert_eq!(check_characters(&[File::new("src/a.rs", &format!("a\nb{hidden}c\n"))]).len(), 1, "{hidden:?}");
        }
        assert!(check_characters(&[File::new("src/a.rs", "// \u{e4} \u{2500}\u{25b6}\n")]).is_empty());
    }
}
