//! Which module may use which: the table in the manual, against the code, both ways.

use std::collections::{BTreeMap, BTreeSet};

use crate::File;
use crate::source::{is_word, line_at, product_code_of, test_only};

/// What the table of the manual says of one module.
struct Row {
    name: String,
    floor: u32,
    uses: BTreeSet<String>,
}

/// The rows under the heading "Floors": `| 2 | `log` | `types`, `domain` | ... |`.
fn rows(page: &str) -> Vec<Row> {
    let section = page.split("\n## ").find(|section| section.starts_with("Floors")).unwrap_or_default();
    let mut rows = Vec::new();
    for line in section.lines() {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (Some(Ok(floor)), Some(name), Some(uses)) = (cells.next().map(str::parse), cells.next(), cells.next())
        else {
            continue;
        };
        let uses = uses.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        rows.push(Row { name: name.trim_matches('`').to_owned(), floor, uses });
    }
    rows
}

/// The top-level module of a source file; `None` for the crate's roots, and for the manual, which is no code.
fn module_of(path: &str) -> Option<&str> {
    let (module, _) = path.strip_prefix("src/")?.split_once('/')?;
    (module != "manual").then_some(module)
}

/// The top-level names that code reaches through `crate::`, with where they stand.
fn reached(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        if code[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => found.push((at, first_word(rest))),
            Some(group) => {
                // Only the names at the group's own level are modules of the crate.
                let mut depth = 0_usize;
                let mut begins = true;
                for (offset, c) in group.char_indices() {
                    match c {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        _ if c.is_whitespace() => {}
                        _ if begins => {
                            found.push((at, first_word(&group[offset..])));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn first_word(text: &str) -> &str {
    text.find(|c| !is_word(c)).map_or(text, |end| &text[..end])
}

/// Compares the code's arrows with the table's. Code for tests may look wherever it likes.
pub fn check(files: &[File], page: &str) -> Vec<String> {
    let rows = rows(page);
    let place: BTreeMap<&str, usize> = rows.iter().enumerate().map(|(at, row)| (row.name.as_str(), at)).collect();
    let modules: BTreeSet<&str> =
        files.iter().filter(|file| file.is_rust()).filter_map(|file| module_of(&file.path)).collect();
    let mut findings = Vec::new();
    for module in &modules {
        if !place.contains_key(module) {
            findings.push(format!("src/{module} has no row in the manual's table of floors"));
        }
    }
    for (at, row) in rows.iter().enumerate() {
        if !modules.contains(row.name.as_str()) {
            findings.push(format!("the manual's table of floors has a row for `{}`, which does not exist", row.name));
        }
        for used in &row.uses {
            let below = place.get(used.as_str()).is_some_and(|other| *other < at && rows[*other].floor <= row.floor);
            if !below {
                findings.push(format!(
                    "the manual's table lets `{}` use `{used}`, which does not stand before it",
                    row.name
                ));
            }
        }
    }
    let tests = test_only(files);
    let mut seen: BTreeSet<(&str, String)> = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_rust() && !tests.contains(&file.path)) {
        let Some(module) = module_of(&file.path) else { continue };
        let code = product_code_of(&file.text);
        for (at, used) in reached(&code) {
            if used == module || !modules.contains(used) {
                continue;
            }
            seen.insert((module, used.to_owned()));
            let allowed = place.get(module).is_some_and(|row| rows[*row].uses.contains(used));
            if !allowed {
                findings.push(format!("{}:{}: `{module}` must not use `{used}`", file.path, line_at(&code, at)));
            }
        }
    }
    for row in &rows {
        for used in &row.uses {
            if !seen.contains(&(row.name.as_str(), used.clone())) {
                findings.push(format!("the manual's table says that `{}` uses `{used}`, which no code does", row.name));
            }
        }
    }
    findings
}

/// Finds paths that reach the crate's root by `super`, past the names that [`check`] reads.
pub fn check_climbing(files: &[File]) -> Vec<String> {
    let tests = test_only(files);
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !tests.contains(&file.path)) {
        let Some(path) = file.path.strip_prefix("src/") else { continue };
        let depth = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
        let code = product_code_of(&file.text);
        let climb = "super::".repeat(depth);
        for (at, _) in code.match_indices(&climb) {
            findings.push(format!("{}:{}: write crate:: instead of {climb}", file.path, line_at(&code, at)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n\n## Floors\n\n| floor | module | uses |\n|---|---|---|\n| 0 | `types` | - |\n| 1 | `domain` | `types` |\n\n## Map\n";

    fn findings(files: &[(&str, &str)], page: &str) -> Vec<String> {
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(path, text)).collect();
        check(&files, page)
    }

    #[test]
    fn agreement_is_silent() {
        let files = [
            ("src/lib.rs", "pub mod types; use crate::domain::X;"),
            ("src/types/mod.rs", "//! [`crate::domain`]\n#[cfg(test)]\nmod tests { use crate::domain::X; }"),
            ("src/domain/mod.rs", "use crate::types::Entity; use crate::domain::x;"),
            ("src/types/a/tests.rs", "use crate::domain::X;"),
        ];
        assert_eq!(findings(&files, PAGE), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_upwards_is_found_in_every_spelling() {
        for arrow in [
            "use crate::domain::X;",
            "fn f() -> crate::domain::X {}",
            "use crate::{domain::X, types::{self, Y}};",
            "use crate::{\n    types::{self, Y},\n    domain,\n};",
        ] {
            let files = [("src/types/mod.rs", arrow), ("src/domain/mod.rs", "use crate::types::Entity;")];
            assert_eq!(findings(&files, PAGE), ["src/types/mod.rs:1: `types` must not use `domain`"], "{arrow}");
        }
    }

    #[test]
    fn the_page_cannot_drift() {
        let code = [("src/types/mod.rs", ""), ("src/domain/mod.rs", "")];
        assert_eq!(findings(&code, PAGE), ["the manual's table says that `domain` uses `types`, which no code does"]);
        let code = [("src/types/mod.rs", ""), ("src/domain/mod.rs", "use crate::types;"), ("src/log/mod.rs", "")];
        assert_eq!(findings(&code, PAGE), ["src/log has no row in the manual's table of floors"]);
        let code = [("src/types/mod.rs", "")];
        assert!(
            findings(&code, PAGE)
                .contains(&"the manual's table of floors has a row for `domain`, which does not exist".to_owned())
        );
        let upside_down = PAGE.replace("| `types` | - |", "| `types` | `domain` |");
        let code = [("src/types/mod.rs", "use crate::domain;"), ("src/domain/mod.rs", "use crate::types;")];
        assert_eq!(
            findings(&code, &upside_down),
            ["the manual's table lets `types` use `domain`, which does not stand before it"]
        );
    }

    #[test]
    fn climbing_by_super_is_found() {
        let climbs = |path: &str, text: &str| check_climbing(&[File::new(path, text)]).len();
        assert_eq!(climbs("src/types/mod.rs", "use super::domain;"), 1);
        assert_eq!(climbs("src/types/entity.rs", "use super::super::domain;"), 1);
        assert_eq!(climbs("src/types/entity.rs", "use super::limits;"), 0);
        assert_eq!(climbs("src/types/entity/kind.rs", "use super::super::limits;"), 0);
    }
}
