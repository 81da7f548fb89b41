//! Keeps out of the results whatever says whose machine it was: paths, the user's name, the machine's name.
//!
//! A reason why something failed is written as the system or a server said it, and may name files. What lies in the
//! scratch directory is shown relative to it, as `<scratch>/lookup-1`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;
use crate::results::Results;

/// Trees that are the same on every machine, so that their paths tell nothing.
const SHARED: [&str; 3] = ["/proc/", "/sys/", "/dev/"];
/// Names that users and machines have everywhere, or that are words of the results.
const COMMON: [&str; 9] = ["root", "user", "nobody", "localhost", "none", "redis", "repsec", "echo", "linux"];
/// A shorter name could be a part of any sentence.
const NAME_BYTES_MIN: usize = 3;
/// What stands for a path of which nothing is known.
const ELSEWHERE: &str = "<elsewhere>";

/// What must not be told, and what stands in its place.
#[derive(Clone, Debug)]
pub struct Privacy {
    /// Directories, the longest first.
    directories: Vec<(String, &'static str)>,
    names: Vec<(String, &'static str)>,
}

impl Privacy {
    /// For a run on this machine, by this user.
    pub fn of(scratch: &Path, repository: &Path) -> Privacy {
        let variable = |name: &str| env::var(name).unwrap_or_default();
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let build = env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
        let directories = [
            (scratch.to_owned(), "<scratch>"),
            (repository.to_owned(), "<repository>"),
            (build, "<build>"),
            (PathBuf::from(variable("HOME")), "<home>"),
        ];
        let names = [
            (variable("USER"), "<user>"),
            (variable("LOGNAME"), "<user>"),
            (machine.trim().to_owned(), "<machine>"),
            (variable("HOSTNAME"), "<machine>"),
        ];
        Privacy::new(&directories, &names)
    }

    fn new(directories: &[(PathBuf, &'static str)], names: &[(String, &'static str)]) -> Privacy {
        let mut known = Vec::new();
        for (directory, word) in directories {
            // Servers may tell a path without the links and dots in it.
            for path in [Some(directory.clone()), directory.canonicalize().ok()].into_iter().flatten() {
                let path = path.to_string_lossy().trim_end_matches('/').to_owned();
                if path.len() > 1 {
                    known.push((path, *word));
                }
            }
        }
        known.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let is_own = |name: &String| name.len() >= NAME_BYTES_MIN && !COMMON.contains(&name.as_str());
        Privacy { directories: known, names: names.iter().filter(|(name, _)| is_own(name)).cloned().collect() }
    }

    /// The same results without it.
    ///
    /// # Errors
    /// When they cannot be written as JSON, which they always can.
    pub fn cleaned(&self, results: &Results) -> Result<Results, Failure> {
        let failed = |error: serde_json::Error| Failure::Result(error.to_string());
        let mut value = serde_json::to_value(results).map_err(failed)?;
        self.clean(&mut value);
        serde_json::from_value(value).map_err(failed)
    }

    /// Cleans every text in it.
    fn clean(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.clean(value)),
            Value::Object(members) => members.values_mut().for_each(|value| self.clean(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text without it.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, word) in &self.directories {
            text = replaced(&text, path, word, |before, after| !is_name(before) && !is_name(after));
        }
        text = without_paths(&text);
        for (name, word) in &self.names {
            text = replaced(&text, name, word, |before, after| !is_name(before) && !is_name(after));
        }
        text
    }
}

/// Whether a character may be a part of a name.
fn is_name(character: Option<char>) -> bool {
    character.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Puts a word in the place of each occurrence that stands between fitting characters.
fn replaced(text: &str, what: &str, word: &str, fits: impl Fn(Option<char>, Option<char>) -> bool) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(what) {
        let (front, found) = rest.split_at(at);
        let behind = found.get(what.len()..).unwrap_or_default();
        out.push_str(front);
        let here = if fits(out.chars().next_back(), behind.chars().next()) { word } else { what };
        out.push_str(here);
        rest = behind;
    }
    out + rest
}

/// Puts a word in the place of the directories of absolute paths; the last part of each stays, since it says what it is.
fn without_paths(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('/') {
        let (front, found) = rest.split_at(at);
        out.push_str(front);
        let before = out.chars().next_back();
        // Inside of a word it divides, as in "commands/s"; behind another one it belongs to an address.
        let begins = !is_name(before) && !matches!(before, Some('.' | '/' | ':' | '>' | ')'));
        let length =
            found.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | ';' | '(' | ')' | ':'));
        let (path, behind) = found.split_at(length.unwrap_or(found.len()));
        let is_path = begins && path.len() > 1;
        if is_path && !SHARED.iter().any(|tree| path.starts_with(tree)) {
            let last = path.trim_end_matches(['/', '.']).rsplit('/').next().unwrap_or_default();
            out.push_str(ELSEWHERE);
            // One part alone is the directory itself.
            if path.trim_end_matches('/').matches('/').count() > 1 {
                out.push('/');
                out.push_str(last);
            }
        } else {
            out.push_str(path);
        }
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn privacy() -> Privacy {
        let directories = [
            (PathBuf::from("/var/tmp/repsec-budgets.4711"), "<scratch>"),
            (PathBuf::from("/home/somebody/src/repsec"), "<repository>"),
            (PathBuf::from("/home/somebody"), "<home>"),
        ];
        let names = [("somebody", "<user>"), ("secret-host", "<machine>"), ("root", "<user>"), ("", "<user>")];
        Privacy::new(&directories, &names.map(|(name, word)| (name.to_owned(), word)))
    }

    proptest! {
        /// Whatever is said around them, neither the directories nor the names nor any other absolute path come through,
        /// and cleaning what is clean changes nothing.
        #[test]
        fn nothing_comes_through(
            before in "[a-z <>=:(\"]{0,12}",
            path in "(/[a-z0-9_.-]{1,8}){2,5}",
            secret in prop::sample::select(vec![
                "/var/tmp/repsec-budgets.4711/lookup-1", "/home/somebody/src/repsec/target", "/home/somebody", "somebody",
                "secret-host",
            ]),
            after in "[ ,;)\"][a-z ,;]{0,12}",
        ) {
            let clean = privacy().text(&format!("{before} {secret} {path}{after}"));
            for hidden in ["/var/tmp", "4711", "/home", "somebody", "secret-host"] {
                prop_assert!(!clean.contains(hidden), "{}", clean);
            }
            let (directories, last) = path.rsplit_once('/').unwrap();
            let shared = SHARED.iter().any(|tree| path.starts_with(tree));
            prop_assert!(shared || !clean.contains(&format!("{directories}/{last}")), "{}", clean);
            prop_assert_eq!(privacy().text(&clean), clean);
        }

        /// What names nobody and no place stays as it is.
        #[test]
        fn plain_words_stay(text in "[a-zA-Z0-9 .,:;<>()%-]{0,60}") {
            prop_assume!(!text.contains("somebody") && !text.contains("secret-host"));
            prop_assert_eq!(privacy().text(&text), text);
        }
    }

    #[test]
    fn examples() {
        let expected = [
            (
                "cannot write /var/tmp/repsec-budgets.4711/lookup-1.log: full",
                "cannot write <scratch>/lookup-1.log: full",
            ),
            ("/home/somebody/src/repsec/tests/data is gone", "<repository>/tests/data is gone"),
            ("/home/somebody/x and /home/somebodyelse/y", "<home>/x and <elsewhere>/y"),
            ("at /usr/local/lib/thing.so:12", "at <elsewhere>/thing.so:12"),
            ("below /mnt, 3 commands/s, <= 5 M/s", "below <elsewhere>, 3 commands/s, <= 5 M/s"),
            ("read /proc/stat as root on somebody's secret-host", "read /proc/stat as root on <user>'s <machine>"),
            ("127.0.0.1:4655 / https://example.org/a", "127.0.0.1:4655 / https://example.org/a"),
            ("somebodys", "somebodys"),
        ];
        for (text, clean) in expected {
            assert_eq!(privacy().text(text), clean);
        }
    }
}
