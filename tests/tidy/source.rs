//! Rust source with what is no code blanked out, so that rules can look for words.

use std::collections::BTreeSet;

use crate::File;

/// The text with comments and the contents of literals replaced by spaces. Lines and columns stay where they were.
pub fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_comment_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' if !follows_a_word(&chars, at) => raw_string_end(&chars, at).unwrap_or(at),
            '\'' => char_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// `br"..."` is a literal, `for"` does not occur.
fn follows_a_word(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map_or(' ', |i| chars[i]);
    let before_that = at.checked_sub(2).map_or(' ', |i| chars[i]);
    let byte_prefix = before == 'b' && !is_word(before_that);
    is_word(before) && !byte_prefix
}

fn line_comment_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| at + n)
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| chars[at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    Some((open + 1..chars.len()).find(|at| closes(*at)).map_or(chars.len(), |at| at + 1 + hashes))
}

/// A quote opens a character only if it closes: otherwise it is a lifetime.
fn char_end(chars: &[char], at: usize) -> Option<usize> {
    match chars.get(at + 1)? {
        '\\' => chars[at + 3..].iter().position(|c| *c == '\'').map(|n| at + 4 + n),
        _ => (chars.get(at + 2) == Some(&'\'')).then_some(at + 3),
    }
}

/// Whether the character can stand in a name.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Code of the product: [`code_of`], without the items under `#[cfg(test)]`.
pub fn product_code_of(text: &str) -> String {
    let mut code = code_of(text);
    while let Some(start) = code.find(TEST_ONLY) {
        let end = start + TEST_ONLY.len() + item_end(&code[start + TEST_ONLY.len()..]);
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
    }
    code
}

const TEST_ONLY: &str = "#[cfg(test)]";

/// Where the item ends that begins here: behind its semicolon, or behind the brace that closes it.
fn item_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Paths of the files that are compiled for tests only: `tests.rs`, what lies in a folder `tests`, and what is
/// declared under `#[cfg(test)]`.
pub fn test_only(files: &[File]) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        if file.is_below("tests") || file.path.ends_with("/tests.rs") || file.path.contains("/tests/") {
            paths.insert(file.path.clone());
        }
        let code = code_of(&file.text);
        for (at, _) in code.match_indices(TEST_ONLY) {
            let item = without_qualifiers(&code[at + TEST_ONLY.len()..]);
            let Some((name, _)) = item.strip_prefix("mod ").and_then(|rest| rest.split_once([';', '{'])) else {
                continue;
            };
            let folder = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
            paths.insert(format!("{folder}/{}.rs", name.trim()));
            paths.insert(format!("{folder}/{}/mod.rs", name.trim()));
        }
    }
    paths
}

/// The item without the attributes and the visibility before its keyword.
fn without_qualifiers(item: &str) -> &str {
    let item = item.trim_start();
    let bracketed = |close: char| item.split_once(close).map_or("", |(_, rest)| rest);
    if item.starts_with("#[") {
        without_qualifiers(bracketed(']'))
    } else if item.starts_with("pub(") {
        without_qualifiers(bracketed(')'))
    } else {
        item.strip_prefix("pub ").unwrap_or(item)
    }
}

/// The places where `name` stands as a word of its own: byte offset into `code`.
pub fn words<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(name).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The number of the line, from 1, in which this byte stands.
pub fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn only_code_remains() {
    let text = "let a = \"crate::x // \\\" \"; // crate::y\n/* crate::z /* */ } */ let r = br#\"\"crate\"#; let c = ('\"', '\\'', '{'); fn f<'a>(s: &'a str) {}";
    let code = code_of(text);
    assert!(!code.contains("crate") && !code.contains('"') && !code.contains('\u{7d}'.to_string().repeat(2).as_str()));
    assert!(code.contains("fn f<'a>(s: &'a str) {}") && code.contains("let a ="));
    assert_eq!(code.chars().count(), text.chars().count());
}

#[test]
fn tests_are_no_product() {
    let code =
        product_code_of("use a;\n#[cfg(test)]\nmod tests {\n fn f() { b(\"}\") }\n}\n#[cfg(test)] use c;\nuse d;");
    let found: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(found, ["use", "a;", "use", "d;"]);

    let files = [
        File::new("src/log/mod.rs", "#[cfg(test)]\n#[path = \"a\"]\npub(crate) mod arbitrary;\nmod key;"),
        File::new("src/x.rs", "#[cfg(test)] pub mod y;"),
    ];
    let found = test_only(&files);
    assert!(
        found.contains("src/log/arbitrary.rs") && found.contains("src/x/y.rs") && !found.contains("src/log/key.rs")
    );
}
