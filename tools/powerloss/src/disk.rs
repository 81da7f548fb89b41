//! A directory, as far as it is on disk for sure, and what may or may not be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::Chance;
use crate::trace::{Done, Reader};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// What is done to names before it is synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// As POSIX promises: names are on disk when their directory was synced, and of what was done in a directory since,
    /// the first few things are, in each directory another number of them.
    OfDirectories,
    /// As file systems with a journal do it: every sync takes all that was done to names before it along, and of what
    /// was done since, the first few things are on disk.
    InOneJournal,
}

/// What becomes of data that was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// All of it is on disk, as behind a mere crash of the program.
    None,
    /// None of it is.
    All,
    /// The first few writes to each file are, the last of these in part; a file ends where its data end.
    Tail,
    /// Any of the writes are, in any order, sector by sector, and a file may be longer than its data, with zeros for what
    /// is missing.
    Sectors,
}

#[derive(Clone, Debug)]
enum Data {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone, Debug)]
enum Name {
    Is(Vec<u8>, Node),
    Renamed(Vec<u8>, Vec<u8>),
    Linked(Vec<u8>, Vec<u8>),
    Removed(Vec<u8>),
}

impl Name {
    /// The directory whose entry changes.
    fn directory(&self) -> &[u8] {
        let (Name::Is(path, _) | Name::Renamed(_, path) | Name::Linked(_, path) | Name::Removed(path)) = self;
        parent(path)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    File(usize),
    Directory,
}

#[derive(Clone, Default, Debug)]
struct File {
    synced: Vec<u8>,
    /// What was done since, each with its place in the trace.
    since: Vec<(u64, Data)>,
}

type Tree = BTreeMap<Vec<u8>, Node>;

/// A directory at one moment of a trace.
#[derive(Clone, Debug)]
pub struct Disk {
    names: Names,
    files: Vec<File>,
    /// Files and directories by their inodes; those of directories with their names.
    inodes: HashMap<u64, Result<usize, Vec<u8>>>,
    tree: Tree,
    since: Vec<(u64, Name)>,
    /// Syncs that have begun: of what, and where in the trace.
    syncs: HashMap<u64, (u64, u64)>,
    at: u64,
}

impl Disk {
    /// An empty directory.
    pub fn new(names: Names) -> Disk {
        Disk {
            names,
            files: Vec::new(),
            inodes: HashMap::new(),
            tree: Tree::new(),
            since: Vec::new(),
            syncs: HashMap::new(),
            at: 0,
        }
    }

    /// A directory as it is, with all that is in it on disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(directory: &Path, names: Names) -> io::Result<Disk> {
        let mut disk = Disk::new(names);
        disk.take(directory, &[])?;
        Ok(disk)
    }

    fn take(&mut self, directory: &Path, below: &[u8]) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = join(below, entry.file_name().as_bytes());
            let inode = entry.metadata()?.ino();
            if entry.file_type()?.is_dir() {
                self.take(&entry.path(), &path)?;
                self.inodes.insert(inode, Err(path.clone()));
                self.tree.insert(path, Node::Directory);
            } else {
                let file = self.new_file(inode);
                self.files[file].synced = fs::read(entry.path())?;
                self.tree.insert(path, Node::File(file));
            }
        }
        Ok(())
    }

    /// Takes in what was done up to this place of the trace, exclusively; goes on from where it was.
    pub fn advance(&mut self, trace: &[u8], to: u64) {
        let from = usize::try_from(self.at).unwrap_or(usize::MAX);
        let Some(rest) = trace.get(from..) else { return };
        let begin = self.at;
        for (end, done) in Reader::new(rest) {
            if begin + end > to {
                return;
            }
            self.at = begin + end;
            self.done(&done);
        }
    }

    fn new_file(&mut self, inode: u64) -> usize {
        self.files.push(File::default());
        self.inodes.insert(inode, Ok(self.files.len() - 1));
        self.files.len() - 1
    }

    fn done(&mut self, done: &Done<'_>) {
        match done {
            Done::Began { inode } => {
                // The syncs of a process end with it.
                self.syncs.clear();
                self.inodes.insert(*inode, Err(Vec::new()));
            }
            Done::Created { inode, path } => {
                let file = self.new_file(*inode);
                self.name(Name::Is(path.to_vec(), Node::File(file)));
            }
            Done::MadeDirectory { inode, path } => {
                self.inodes.insert(*inode, Err(path.to_vec()));
                self.name(Name::Is(path.to_vec(), Node::Directory));
            }
            Done::Wrote { inode, offset, data } => self.data(*inode, Data::Write(*offset, data.to_vec())),
            Done::Resized { inode, length } => self.data(*inode, Data::Length(*length)),
            Done::Renamed { from, to } => self.name(Name::Renamed(from.to_vec(), to.to_vec())),
            Done::Linked { from, to } => self.name(Name::Linked(from.to_vec(), to.to_vec())),
            Done::Removed { path } => self.name(Name::Removed(path.to_vec())),
            Done::SyncBegan { inode, number } => drop(self.syncs.insert(*number, (*inode, self.at))),
            Done::SyncEnded { number } => {
                if let Some((inode, began)) = self.syncs.remove(number) {
                    self.synced(inode, began);
                }
            }
        }
    }

    fn name(&mut self, name: Name) {
        self.since.push((self.at, name));
    }

    fn data(&mut self, inode: u64, data: Data) {
        if let Some(Ok(file)) = self.inodes.get(&inode) {
            self.files[*file].since.push((self.at, data));
        }
    }

    fn synced(&mut self, inode: u64, began: u64) {
        let directory = match self.inodes.get(&inode) {
            Some(Ok(file)) => {
                let file = &mut self.files[*file];
                let covered = file.since.partition_point(|(at, _)| *at < began);
                file.since.drain(..covered).for_each(|(_, data)| apply(&mut file.synced, &data));
                None
            }
            Some(Err(path)) => Some(path.clone()),
            None => return,
        };
        let (names, tree) = (self.names, &mut self.tree);
        self.since.retain(|(at, name)| {
            let covered = match (names, &directory) {
                (Names::InOneJournal, _) => true,
                (Names::OfDirectories, Some(directory)) => name.directory() == directory,
                (Names::OfDirectories, None) => false,
            };
            let keep = *at >= began || !covered;
            if !keep {
                rename(tree, name);
            }
            keep
        });
    }

    /// Whether nothing is in doubt: then every power loss leaves the same.
    pub fn is_settled(&self) -> bool {
        self.since.is_empty() && self.files.iter().all(|file| file.since.is_empty())
    }

    /// Makes a directory, which must not exist yet, as a power loss at this moment may leave this one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn lose_power(&self, into: &Path, loss: Loss, chance: &mut Chance) -> io::Result<()> {
        let tree = self.surviving_names(loss, chance);
        let bytes: Vec<Vec<u8>> = self.files.iter().map(|file| surviving_data(file, loss, chance)).collect();
        fs::create_dir_all(into)?;
        // Names come in order, so a directory comes before what is in it; what has lost its directory is lost with it.
        let mut made: HashSet<&[u8]> = HashSet::from([&[][..]]);
        for (name, node) in &tree {
            if !made.contains(parent(name)) {
                continue;
            }
            let path = into.join(std::ffi::OsStr::from_bytes(name));
            match node {
                Node::Directory => {
                    made.insert(name);
                    fs::create_dir(path)?;
                }
                Node::File(file) => fs::write(path, &bytes[*file])?,
            }
        }
        Ok(())
    }

    fn surviving_names(&self, loss: Loss, chance: &mut Chance) -> Tree {
        let mut tree = self.tree.clone();
        // How many of each directory's changes are on disk; with one journal all count as of one directory.
        let group = |name: &Name| match self.names {
            Names::OfDirectories => name.directory().to_vec(),
            Names::InOneJournal => Vec::new(),
        };
        let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        self.since.iter().for_each(|(_, name)| *counts.entry(group(name)).or_default() += 1);
        for count in counts.values_mut() {
            *count = match loss {
                Loss::None => *count,
                Loss::All => 0,
                Loss::Tail | Loss::Sectors => chance.below(*count + 1),
            };
        }
        for (_, name) in &self.since {
            if let Some(left) = counts.get_mut(&group(name)).filter(|left| **left > 0) {
                *left -= 1;
                rename(&mut tree, name);
            }
        }
        tree
    }
}

fn surviving_data(file: &File, loss: Loss, chance: &mut Chance) -> Vec<u8> {
    let mut bytes = file.synced.clone();
    let all = file.since.iter().map(|(_, data)| data);
    match loss {
        Loss::All => {}
        Loss::None => all.for_each(|data| apply(&mut bytes, data)),
        Loss::Tail => {
            let whole = usize::try_from(chance.below(file.since.len() as u64 + 1)).unwrap_or(0);
            all.clone().take(whole).for_each(|data| apply(&mut bytes, data));
            if let Some(Data::Write(offset, data)) = all.clone().nth(whole) {
                let length = usize::try_from(chance.below(data.len() as u64 + 1)).unwrap_or(0);
                apply(&mut bytes, &Data::Write(*offset, data[..length].to_vec()));
            }
        }
        Loss::Sectors => {
            for data in all {
                match (chance.below(4), data) {
                    (0, _) => {}
                    (1, _) | (_, Data::Length(_)) => apply(&mut bytes, data),
                    (_, Data::Write(offset, data)) => tear(&mut bytes, *offset, data, chance),
                }
            }
        }
    }
    bytes
}

/// Writes any of the sectors, and lets the file be as long as if all were written, or not.
fn tear(bytes: &mut Vec<u8>, offset: u64, data: &[u8], chance: &mut Chance) {
    let mut begin = 0;
    while begin < data.len() {
        let room = SECTOR_BYTES - (offset + begin as u64) % SECTOR_BYTES;
        let end = data.len().min(begin + usize::try_from(room).unwrap_or(1));
        if chance.coin() {
            apply(bytes, &Data::Write(offset + begin as u64, data[begin..end].to_vec()));
        }
        begin = end;
    }
    let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(data.len());
    if end > bytes.len() && chance.coin() {
        bytes.resize(end, 0);
    }
}

fn apply(bytes: &mut Vec<u8>, data: &Data) {
    match data {
        Data::Length(length) => bytes.resize(usize::try_from(*length).unwrap_or(usize::MAX), 0),
        Data::Write(_, data) if data.is_empty() => {}
        Data::Write(offset, data) => {
            let begin = usize::try_from(*offset).unwrap_or(usize::MAX);
            let end = begin.saturating_add(data.len());
            if end > bytes.len() {
                bytes.resize(end, 0);
            }
            bytes[begin..end].copy_from_slice(data);
        }
    }
}

fn rename(tree: &mut Tree, name: &Name) {
    match name {
        Name::Is(path, node) => drop(tree.insert(path.clone(), *node)),
        Name::Removed(path) => drop(tree.remove(path)),
        // What was made past the record, such as by the C library's own files, has no name here.
        Name::Renamed(from, to) => {
            if let Some(node) = tree.remove(from) {
                tree.insert(to.clone(), node);
            }
        }
        Name::Linked(from, to) => {
            if let Some(node) = tree.get(from).copied() {
                tree.insert(to.clone(), node);
            }
        }
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |at| &path[..at])
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

#[cfg(test)]
mod tests;
