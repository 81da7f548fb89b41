//! The first pass over a file: its digest, and which commands it has for each entity. The second pass needs both: the
//! digest for nonces, the commands to find out which of them an earlier import has done.
//!
//! May use: the file. Never: the network.

use std::collections::HashMap;
use std::hash::RandomState;
use std::io::{self, BufRead};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::align::Step;
use super::formats::{Format, Parsed, is_silent};
use crate::types::{Entity, EntityHash, HashKey};

/// The longest line that is read, in bytes: what fits into no message is no command.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// What the first pass has found.
pub struct Survey {
    /// How the file is written.
    pub format: Format,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// Bytes of the file. The second pass reads no further, should the file have grown.
    pub bytes: u64,
    /// Lines that are neither blank nor comments.
    pub commands: u64,
    /// The key under which attributes are compared.
    pub steps_key: RandomState,
    of_group: HashMap<EntityHash, Steps>,
    group_key: HashKey,
}

/// The commands of a file on one entity. Most entities have one, so that must be small.
enum Steps {
    One(Step),
    Several(Vec<Step>),
}

impl Steps {
    fn push(&mut self, step: Step) {
        match self {
            Steps::One(first) => *self = Steps::Several(vec![*first, step]),
            Steps::Several(steps) => steps.push(step),
        }
    }
}

impl Survey {
    /// Reads a whole file. The format is guessed where none is given.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(path: &Path, format: Option<Format>, file: &mut dyn BufRead) -> io::Result<Survey> {
        let mut group_key = [0_u8; 16];
        getrandom::fill(&mut group_key).map_err(io::Error::other)?;
        let mut survey = Survey {
            format: format.unwrap_or(Format::Lines),
            digest: [0; 32],
            bytes: 0,
            commands: 0,
            steps_key: RandomState::new(),
            of_group: HashMap::new(),
            group_key: HashKey::new(group_key),
        };
        let mut guessed = format.is_some();
        let mut hash = Sha256::new();
        let mut line = Vec::new();
        loop {
            let length = read_line(file, &mut line, &mut |bytes| hash.update(bytes))?;
            if length == 0 {
                break;
            }
            survey.bytes += length;
            if !guessed {
                let text = String::from_utf8_lossy(&line);
                if is_silent(&text) {
                    continue;
                }
                survey.format = Format::guess(path, &text);
                guessed = true;
            }
            survey.count(&line);
        }
        survey.digest = hash.finalize().into();
        Ok(survey)
    }

    fn count(&mut self, line: &[u8]) {
        match read(self.format, line, None) {
            Ok(None) => return,
            Ok(Some(parsed)) => {
                let step = Step::of_change(&parsed.change, &self.steps_key);
                let group = self.group_key.hash(&group(&parsed.entity));
                self.of_group.entry(group).and_modify(|steps| steps.push(step)).or_insert(Steps::One(step));
            }
            // Counted all the same: the second pass reports it as refused.
            Err(_) => {}
        }
        self.commands += 1;
    }

    /// The file's commands on the entity of this group, in order.
    pub fn steps_of(&self, group: &str) -> &[Step] {
        match self.of_group.get(&self.group_key.hash(group)) {
            None => &[],
            Some(Steps::One(step)) => std::slice::from_ref(step),
            Some(Steps::Several(steps)) => steps,
        }
    }
}

/// Reads a line that [`read_line`] gave.
///
/// # Errors
/// What is wrong with the line.
pub fn read(format: Format, line: &[u8], default_kind: Option<&str>) -> Result<Option<Parsed>, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
    }
    format.read(line, default_kind)
}

/// What all spellings of an entity share: the canonical text as the server sees it, or lower case where the name is
/// not valid, so that it will be refused anyway or the server is of another version.
pub fn group(entity: &str) -> String {
    Entity::parse(entity).map_or_else(|_| entity.to_lowercase(), |entity| entity.as_str().to_owned())
}

/// Reads a line without its line end into `line`; gives the number of bytes it had in the file, 0 at its end. Of a
/// line beyond the bound only so many bytes are kept; all of them go to `seen`.
pub fn read_line(file: &mut dyn BufRead, line: &mut Vec<u8>, seen: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
    line.clear();
    let mut length = 0;
    loop {
        let available = match file.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(length);
        }
        let end = memchr::memchr(b'\n', available);
        let taken = end.map_or(available.len(), |at| at + 1);
        let bytes = available.get(..taken).unwrap_or_default();
        seen(bytes);
        let kept = end.unwrap_or(taken).min((LINE_BYTES_MAX + 1).saturating_sub(line.len()));
        line.extend_from_slice(bytes.get(..kept).unwrap_or_default());
        file.consume(taken);
        length += taken as u64;
        if end.is_some() {
            return Ok(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reading_by_lines_loses_no_byte(text in "[ab\\n\\r]{0,60}", buffer in 1_usize..8) {
            let mut file = io::BufReader::with_capacity(buffer, text.as_bytes());
            let (mut line, mut lines, mut seen, mut length) = (Vec::new(), Vec::new(), Vec::new(), 0);
            loop {
                let read = read_line(&mut file, &mut line, &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
                if read == 0 {
                    break;
                }
                length += read;
                lines.push(String::from_utf8(line.clone()).unwrap());
            }
            prop_assert_eq!(seen, text.as_bytes());
            prop_assert_eq!(length, text.len() as u64);
            let expected: Vec<&str> = text.strip_suffix('\n').unwrap_or(&text).split('\n').collect();
            prop_assert_eq!(lines, if text.is_empty() { Vec::new() } else { expected });
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_marked() {
        let text = [&vec![b'a'; LINE_BYTES_MAX + 100][..], b"\nb\n"].concat();
        let (mut file, mut line) = (&text[..], Vec::new());
        assert_eq!(read_line(&mut file, &mut line, &mut |_| {}).unwrap(), LINE_BYTES_MAX as u64 + 101);
        assert!(read(Format::Lines, &line, None).is_err());
        assert_eq!(read_line(&mut file, &mut line, &mut |_| {}).unwrap(), 2);
        assert_eq!(line, b"b");
    }

    #[test]
    fn spellings_of_one_entity_are_counted_together() {
        let text = "# head\n\nA.example\na.example.\n192.0.2.1\n::ffff:192.0.2.1\nb.example\n\\xff..bad\n\\XFF..bad\n";
        let survey = Survey::of(Path::new("x.txt"), None, &mut text.as_bytes()).unwrap();
        assert_eq!((survey.format, survey.commands, survey.bytes), (Format::Lines, 7, text.len() as u64));
        for (name, count) in [("A.EXAMPLE", 2), ("192.0.2.1", 2), ("b.example", 1), ("\\xff..bad", 2), ("c.example", 0)]
        {
            assert_eq!(survey.steps_of(&group(name)).len(), count, "{name}");
        }
        assert_eq!(survey.digest, <[u8; 32]>::from(Sha256::digest(text)));
    }
}
