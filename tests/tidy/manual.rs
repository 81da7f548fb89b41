//! The manual against the repository: its map, its pages, its limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::File;
use crate::source::test_only;

/// The folders of the map: the first cell of each row under the heading "Map", as in `| `src/log/schema/` | ... |`.
fn mapped(page: &str) -> BTreeSet<String> {
    let section = page.split("\n## ").find(|section| section.starts_with("Map")).unwrap_or_default();
    let first_cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    first_cells.map(|(folder, _)| folder.to_owned()).collect()
}

/// Compares the map with the folders that hold code of the product, both ways.
pub fn check_map(files: &[File], page: &str) -> Vec<String> {
    let tests = test_only(files);
    let mut real = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_rust() && file.is_below("src") && !tests.contains(&file.path)) {
        // A folder counts when something in it does, however deep.
        let mut folder = file.path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            real.insert(format!("{above}/"));
            folder = above;
        }
    }
    real.remove("src/");
    let mapped = mapped(page);
    let missing = real.difference(&mapped).map(|folder| format!("the manual's map lacks {folder}"));
    let gone = mapped.difference(&real).map(|folder| format!("the manual's map has {folder}, which does not exist"));
    missing.chain(gone).collect()
}

/// Finds pages of the manual that rustdoc never sees. A page is named by a module of the folder it lies in.
pub fn check_pages(files: &[File]) -> Vec<String> {
    let manual: Vec<&File> = files.iter().filter(|file| file.is_below("src/manual")).collect();
    let includes = |page: &str| {
        manual.iter().filter(|file| file.is_rust()).any(|file| {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let name = page.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            name.is_some_and(|name| file.text.contains(&format!("include_str!(\"{name}\")")))
        })
    };
    let pages = manual.iter().filter(|file| !file.is_rust());
    pages
        .filter(|page| !includes(&page.path))
        .map(|page| format!("{}: no module of the manual includes it", page.path))
        .collect()
}

/// Compares the constants of `limits.rs` with the rows of the page: names and values, both ways.
pub fn check_limits(source: &str, page: &str) -> Vec<String> {
    let mut defined = BTreeMap::new();
    for line in source.lines() {
        let Some((name, rest)) = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(':')) else {
            continue;
        };
        let value = rest.split_once('=').map_or("", |(_, value)| value.trim().trim_end_matches(';'));
        defined.insert(name, value);
    }
    let mut named = BTreeMap::new();
    for line in page.lines() {
        let Some((name, rest)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) else { continue };
        named.insert(name, rest.split('`').nth(1).unwrap_or_default());
    }
    let mut findings: Vec<String> = named
        .keys()
        .filter(|name| !defined.contains_key(*name))
        .map(|name| format!("the page of limits has {name}, which is no limit"))
        .collect();
    for (name, value) in defined {
        match named.get(name) {
            None => findings.push(format!("the page of limits lacks {name}")),
            Some(said) if *said != value => {
                findings.push(format!("{name} is {value}, and the page of limits says {said}"));
            }
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_compared_both_ways() {
        let page =
            "# A\n\n## Map\n\n| folder | holds |\n|---|---|\n| `src/log/` | x |\n| `src/gone/` | y |\n\n## Else\n";
        let files = [
            File::new("src/lib.rs", ""),
            File::new("src/log/mod.rs", ""),
            File::new("src/log/schema/v1.rs", ""),
            File::new("src/log/key/tests.rs", ""),
        ];
        let expected =
            ["the manual's map lacks src/log/schema/", "the manual's map has src/gone/, which does not exist"];
        assert_eq!(check_map(&files, page), expected);
    }

    #[test]
    fn a_page_that_nobody_includes_is_found() {
        let files = [
            File::new("src/manual/mod.rs", "#[doc = include_str!(\"flow.md\")] pub mod flow {}"),
            File::new("src/manual/flow.md", ""),
            File::new("src/manual/lost.md", ""),
            File::new("src/manual/decisions/mod.rs", "#![doc = include_str!(\"0001-a.md\")]"),
            File::new("src/manual/decisions/0001-a.md", ""),
            File::new("src/manual/decisions/flow.md", ""),
        ];
        let lost = ["src/manual/lost.md", "src/manual/decisions/flow.md"];
        assert_eq!(check_pages(&files), lost.map(|path| format!("{path}: no module of the manual includes it")));
    }

    #[test]
    fn limits_are_compared_by_name_and_value() {
        let source = "/// A.\npub const A_MAX: usize = 64 * 1024;\npub const B_S: u64 = 3;\n";
        let page = "| `A_MAX` | `64 * 1024` | bytes |\n| `B_S` | `3` | s |\n";
        assert!(check_limits(source, page).is_empty());
        assert_eq!(check_limits(source, &page.replace("`3`", "`4`")), ["B_S is 3, and the page of limits says 4"]);
        assert_eq!(check_limits(source, "| `A_MAX` | `64 * 1024` |"), ["the page of limits lacks B_S"]);
        assert_eq!(check_limits("", "| `C` | `1` |"), ["the page of limits has C, which is no limit"]);
    }
}
