//! Names to register and to ask for: real ones first, as many more as wanted behind them, and others that nobody has.
//!
//! Entity number `i` is the same in every run, on every machine. The first are those of two real lists: mail domains that
//! are thrown away, then addresses that block lists name. Behind them come names made of a label that follows from `i`
//! and one of the real domains, about 24 bytes long. A name that is never registered is made the same way with another
//! first letter. All are in canonical form.
//!
//! May use: the rules for names of `repsec`. Never: randomness.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use repsec::types::Entity;

use crate::error::LoadError;

/// Domains of the first list, one a line.
const DOMAINS_FILE: &str = "disposable-email-domains-final.txt";
/// How the file of addresses begins; its day follows. An address and a count on each line, `#` before remarks.
const ADDRESSES_FILE_PREFIX: &str = "ipsum-";

/// Bits of a number that a label can hold.
const LABEL_BITS: u32 = 45;
/// Numbers of entities that there are, and of names that are never registered.
pub const ENTITIES_MAX: u64 = 1 << LABEL_BITS;
/// Five bits to a letter; letters and digits that no domain rule gives a meaning to.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Letters of a label behind its first.
const LABEL_LETTERS: u32 = LABEL_BITS / 5;
/// The first letter of labels that may be registered, and of those that never are.
const EXTENDED: u8 = b'r';
const ABSENT: u8 = b'n';
/// Longest real domain that gets a label in front, in bytes, so that no name becomes too long.
const BASE_BYTES_MAX: usize = 64;

/// What is known of an entity: attributes of a REGISTER, value of a SET. Each has this many bytes.
pub const VALUE_BYTES: usize = 69;
const VALUE_HEAD: &[u8] = br#"{"list":"disposable-email-domains","seen":20260822,"tag":""#;
const VALUE_TAIL: &[u8] = br#""}"#;

/// One name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name {
    /// Entity of this number.
    Entity(u64),
    /// A name that is never registered, by its own number.
    Absent(u64),
}

/// The names.
#[derive(Debug)]
pub struct Entities {
    text: String,
    /// Where each listed name begins in `text`; one more at the end.
    begins: Vec<usize>,
    /// The listed names before this one are domains, those from it on are addresses.
    first_address: usize,
    /// Listed domains that get labels in front.
    bases: Vec<usize>,
}

impl Entities {
    /// Reads the lists.
    ///
    /// # Errors
    /// When a file is missing, or a line is no name in canonical form.
    pub fn load(lists: &Path) -> Result<Entities, LoadError> {
        let domains = read(&lists.join(DOMAINS_FILE))?;
        let addresses_file = addresses_file(lists)?;
        let addresses = read(&addresses_file)?;
        let domain_names = domains.lines().map(str::trim);
        let address_names = addresses.lines().filter_map(|line| line.split_whitespace().next());
        let unusable = |name: &str| LoadError::Lists {
            path: lists.to_owned(),
            why: format!("{} is no name in canonical form", name.escape_debug()),
        };
        Entities::new(domain_names, address_names).map_err(|name| unusable(&name))
    }

    /// Builds the names from a list of domains and one of addresses. Lines that are empty or begin with `#`, and what
    /// comes a second time, count as not there.
    ///
    /// # Errors
    /// The first name that is not in canonical form.
    pub fn new<'a>(
        domains: impl Iterator<Item = &'a str>,
        addresses: impl Iterator<Item = &'a str>,
    ) -> Result<Entities, String> {
        let mut names = Entities { text: String::new(), begins: vec![0], first_address: 0, bases: Vec::new() };
        let mut seen = HashSet::new();
        for domain in domains {
            names.push(domain, &mut seen)?;
        }
        names.first_address = names.begins.len() - 1;
        for address in addresses {
            names.push(address, &mut seen)?;
        }
        // A label in front of a domain must not make a name that is listed itself, so a domain that has listed names
        // below it gets none.
        let mut parents = HashSet::new();
        for at in 0..names.first_address {
            let mut rest = names.listed_at(at);
            while let Some((_, parent)) = rest.split_once('.') {
                parents.insert(parent);
                rest = parent;
            }
        }
        let fits = |at: &usize| names.listed_at(*at).len() <= BASE_BYTES_MAX && !parents.contains(names.listed_at(*at));
        let bases: Vec<usize> = (0..names.first_address).filter(fits).collect();
        names.bases = bases;
        if names.bases.is_empty() { Err("(an empty list of domains)".to_owned()) } else { Ok(names) }
    }

    fn push<'a>(&mut self, name: &'a str, seen: &mut HashSet<&'a str>) -> Result<(), String> {
        if name.is_empty() || name.starts_with('#') || !seen.insert(name) {
            return Ok(());
        }
        match Entity::parse(name) {
            Ok(entity) if entity.as_str() == name => {
                self.text.push_str(name);
                self.begins.push(self.text.len());
                Ok(())
            }
            _ => Err(name.to_owned()),
        }
    }

    /// How many entities stand on the lists themselves.
    pub fn listed(&self) -> u64 {
        to_u64(self.begins.len() - 1)
    }

    /// Appends a name.
    pub fn write(&self, name: Name, out: &mut Vec<u8>) {
        let (first_letter, number) = match name {
            Name::Entity(number) => match usize::try_from(number) {
                Ok(at) if at < self.begins.len() - 1 => {
                    out.extend_from_slice(self.listed_at(at).as_bytes());
                    return;
                }
                _ => (EXTENDED, number),
            },
            Name::Absent(number) => (ABSENT, number),
        };
        out.push(first_letter);
        write_letters(scatter(number), LABEL_LETTERS, out);
        out.push(b'.');
        let base = usize::try_from(number % to_u64(self.bases.len())).unwrap_or_default();
        let base = self.bases.get(base).copied().unwrap_or_default();
        out.extend_from_slice(self.listed_at(base).as_bytes());
    }

    /// A name as text.
    pub fn text(&self, name: Name) -> String {
        let mut out = Vec::new();
        self.write(name, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// The kind of entity `number`, as RepSec calls it.
    pub fn kind(&self, number: u64) -> &'static str {
        let addresses: Range<usize> = self.first_address..self.begins.len() - 1;
        if usize::try_from(number).is_ok_and(|at| addresses.contains(&at)) { "ip" } else { "domain" }
    }

    fn listed_at(&self, at: usize) -> &str {
        match (self.begins.get(at), self.begins.get(at + 1)) {
            (Some(begin), Some(end)) => self.text.get(*begin..*end).unwrap_or_default(),
            _ => "",
        }
    }
}

/// Appends what is known of entity `number`: a JSON object in canonical form of [`VALUE_BYTES`] bytes.
pub fn write_value(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(VALUE_HEAD);
    write_letters(scatter(number), LABEL_LETTERS, out);
    out.extend_from_slice(VALUE_TAIL);
}

/// Spreads numbers over all labels, so that neighbours have nothing in common: one label for each number.
fn scatter(number: u64) -> u64 {
    // Each step can be undone: an odd factor modulo a power of two, and a shift that leaves the upper bits as they are.
    let mask = ENTITIES_MAX - 1;
    let mut mixed = number & mask;
    mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask;
    mixed ^= mixed >> 23;
    mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) & mask;
    mixed ^ (mixed >> 22)
}

fn write_letters(number: u64, letters: u32, out: &mut Vec<u8>) {
    for place in 0..letters {
        let letter = usize::try_from(number >> (5 * place) & 31).unwrap_or_default();
        out.push(LETTERS.get(letter).copied().unwrap_or_default());
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    fs::read_to_string(path).map_err(|error| LoadError::Lists { path: path.to_owned(), why: error.to_string() })
}

/// The file of addresses, whatever its day. Of several the last by name.
fn addresses_file(lists: &Path) -> Result<PathBuf, LoadError> {
    let failed = |why: String| LoadError::Lists { path: lists.to_owned(), why };
    let entries = fs::read_dir(lists).map_err(|error| failed(error.to_string()))?;
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ADDRESSES_FILE_PREFIX));
    let found = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(named).max();
    found.ok_or_else(|| failed(format!("holds no file {ADDRESSES_FILE_PREFIX}*.txt")))
}

#[allow(clippy::cast_possible_truncation, reason = "no machine has addresses of more than 64 bits")]
const fn to_u64(value: usize) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests;
