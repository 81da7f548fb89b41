//! A disk that keeps its promises, and fails as disks do: a sync that fails, no room, power that goes before or after a
//! sync. What was not synced is kept, lost, torn or has a wrong byte, as chance wants it. It may also be slow, which is
//! for the process to live with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use repsec::log::memory::MemoryLog;
use repsec::log::{Area, Identity, Log, LogError, LogId, Scan, Visit, Write, Writes};
use repsec::types::HashKey;

use crate::bug::Bug;
use crate::dice::Dice;

/// What happens to the next write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is written, and its sync fails.
    FailedSync,
    /// There is no room for it.
    Full,
    /// The power goes before its sync has ended.
    PowerBeforeSync,
    /// The power goes after it, and before anybody was told.
    PowerAfterSync,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 4] = [Fault::FailedSync, Fault::Full, Fault::PowerBeforeSync, Fault::PowerAfterSync];
}

/// How often what was done to a world.
pub type Counts = BTreeMap<&'static str, u64>;

/// What survives a process. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Platter>>);

struct Platter {
    synced: Arc<MemoryLog>,
    /// The bytes of the one write that was begun and not synced.
    unsynced: Vec<u8>,
    dice: Dice,
    fault: Option<Fault>,
    /// It takes long to do anything.
    slow: bool,
    /// Histories cannot be read now and then.
    unreadable: bool,
    /// A write failed, so none may follow.
    failed: bool,
    power_gone: bool,
    written_after_failure: bool,
    counts: Counts,
    trace: blake3::Hasher,
    bug: Option<Bug>,
}

impl Disk {
    /// A disk that holds an empty store, whose identity follows from the dice.
    pub fn new(mut dice: Dice, bug: Option<Bug>) -> Disk {
        let mut random = [0; 16];
        random.iter_mut().for_each(|byte| *byte = dice.roll().to_le_bytes()[0]);
        let identity = Identity { log_id: LogId(random), hash_key: HashKey::new(random) };
        let synced = Arc::new(MemoryLog::new());
        let mut writes = Writes::new();
        writes.put(Area::Meta, b"identity", &identity.encode());
        synced.write(&writes).unwrap();
        Disk(Arc::new(Mutex::new(Platter {
            synced,
            unsynced: Vec::new(),
            dice,
            fault: None,
            slow: false,
            unreadable: false,
            failed: false,
            power_gone: false,
            written_after_failure: false,
            counts: Counts::new(),
            trace: blake3::Hasher::new(),
            bug,
        })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    /// From now on chance is this.
    pub fn throw(&self, dice: Dice) {
        self.platter().dice = dice;
    }

    /// Has the next write go wrong.
    pub fn arm(&self, fault: Option<Fault>) {
        self.platter().fault = fault;
    }

    /// Has it be slow, or as fast as a disk ought to be.
    pub fn slow_down(&self, slow: bool) {
        self.platter().slow = slow;
    }

    /// Has the reading of histories fail now and then, or never.
    pub fn make_unreadable(&self, unreadable: bool) {
        self.platter().unreadable = unreadable;
    }

    /// Whether the next reading fails.
    pub fn fails_to_read(&self, dice: &mut Dice) -> bool {
        self.platter().unreadable && dice.chance(300)
    }

    /// How long what is done next takes, if it takes time: seldom so long that nobody waits for it.
    pub fn slowness_ms(&self, dice: &mut Dice) -> Option<u64> {
        let slow = self.platter().slow;
        let longest = if slow && dice.chance(100) { 100_000 } else { 1500 };
        slow.then(|| dice.roll() % longest)
    }

    /// Whether the power went with the last write.
    pub fn power_gone(&self) -> bool {
        self.platter().power_gone
    }

    /// Whether somebody wrote after a write had failed (P7).
    pub fn written_after_failure(&self) -> bool {
        self.platter().written_after_failure
    }

    /// The process is gone: what it had not synced meets its fate.
    pub fn restart(&self) {
        let mut platter = self.platter();
        let mut bytes = std::mem::take(&mut platter.unsynced);
        if !bytes.is_empty() {
            let at = platter.dice.below(bytes.len());
            let fate = match platter.dice.below(4) {
                0 => "unsynced write lost",
                1 => "unsynced write kept",
                2 => {
                    bytes.truncate(at);
                    "unsynced write torn"
                }
                _ => {
                    bytes[at] ^= 0x55;
                    "unsynced write with a wrong byte"
                }
            };
            *platter.counts.entry(fate).or_default() += 1;
            if fate != "unsynced write lost"
                && let Some(writes) = read_frame(&bytes)
            {
                platter.synced.write(&writes).unwrap();
                platter.note(&writes);
            }
        }
        (platter.fault, platter.slow, platter.unreadable) = (None, false, false);
        (platter.failed, platter.power_gone) = (false, false);
    }

    /// Adds how often what went wrong, and what was written, in order.
    pub fn report(&self, counts: &mut Counts, trace: &mut blake3::Hasher) {
        let platter = self.platter();
        for (what, count) in &platter.counts {
            *counts.entry(what).or_default() += count;
        }
        trace.update(platter.trace.finalize().as_bytes());
    }
}

impl Platter {
    /// Writes and syncs, or does not.
    fn write(&mut self, writes: &Writes) -> Result<(), LogError> {
        if self.failed {
            self.written_after_failure = true;
        }
        let fault = self.fault.take();
        let (name, detail) = match fault {
            None => {
                self.note(writes);
                return self.synced.write(writes);
            }
            Some(Fault::FailedSync) => ("failed sync", "the sync failed"),
            Some(Fault::Full) => ("full disk", "no space left"),
            Some(Fault::PowerBeforeSync) => ("power lost before a sync", "no power"),
            Some(Fault::PowerAfterSync) => ("power lost after a sync", "no power"),
        };
        *self.counts.entry(name).or_default() += 1;
        self.failed = true;
        self.power_gone = matches!(fault, Some(Fault::PowerBeforeSync | Fault::PowerAfterSync));
        if fault == Some(Fault::PowerAfterSync) {
            self.note(writes);
            self.synced.write(writes)?;
        } else {
            self.unsynced = frame(writes);
            if fault == Some(Fault::Full) {
                let room = self.dice.below(self.unsynced.len());
                self.unsynced.truncate(room);
            }
        }
        Err(LogError::Io { doing: "writing a commit", detail: detail.to_owned() })
    }

    fn note(&mut self, writes: &Writes) {
        self.trace.update(&frame(writes));
    }
}

/// A write as it lies on the disk: its length, its changes, its checksum.
fn frame(writes: &Writes) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (area, write) in writes.iter() {
        let (puts, one, other) = match write {
            Write::Put { key, value } => (1, key, value),
            Write::DeleteRange { from, to } => (0, from, to),
        };
        bytes.extend([u8::try_from(Area::ALL.iter().position(|one| *one == area).unwrap()).unwrap(), puts]);
        for text in [one, other] {
            bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
            bytes.extend(text);
        }
    }
    let seal = blake3::hash(&bytes);
    bytes.extend(seal.as_bytes());
    bytes
}

/// The write in a frame, if the frame is whole.
fn read_frame(bytes: &[u8]) -> Option<Writes> {
    let (mut rest, seal) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(rest).as_bytes() != seal {
        return None;
    }
    let mut writes = Writes::new();
    while let Some(([area, puts], behind)) = rest.split_first_chunk::<2>() {
        let (one, behind) = read_text(behind)?;
        let (other, behind) = read_text(behind)?;
        let area = Area::ALL[usize::from(*area)];
        if *puts == 1 {
            writes.put(area, one, other);
        } else {
            writes.delete_range(area, one, other);
        }
        rest = behind;
    }
    Some(writes)
}

fn read_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

impl Log for Disk {
    fn write(&self, writes: &Writes) -> Result<(), LogError> {
        let mut platter = self.platter();
        if platter.bug == Some(Bug::HeadLeftOut) && platter.dice.chance(100) {
            let mut without = Writes::new();
            for (area, write) in writes.iter() {
                match write {
                    Write::Put { key: b"head", .. } => {}
                    Write::Put { key, value } => without.put(area, key, value),
                    Write::DeleteRange { from, to } => without.delete_range(area, from, to),
                }
            }
            return platter.write(&without);
        }
        platter.write(writes)
    }

    fn ingest<'a>(&self, area: Area, rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), LogError> {
        let mut platter = self.platter();
        let mut writes = Writes::new();
        for (key, value) in rows {
            if platter.bug != Some(Bug::IndexLeftOut) || !platter.dice.chance(200) {
                writes.put(area, key, value);
            }
        }
        *platter.counts.entry("part of the index written").or_default() += 1;
        platter.write(&writes)
    }

    fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError> {
        let mut platter = self.platter();
        let mut writes = Writes::new();
        writes.delete_range(area, from, to);
        *platter.counts.entry("part of the index dropped").or_default() += 1;
        platter.write(&writes)
    }

    fn read(&self, area: Area, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<(), LogError> {
        let synced = Arc::clone(&self.platter().synced);
        synced.read(area, key, found)
    }

    fn scan(&self, scan: &Scan, visit: Visit<'_>) -> Result<(), LogError> {
        let synced = Arc::clone(&self.platter().synced);
        synced.scan(scan, visit)
    }

    fn size_bytes(&self, area: Area) -> Result<u64, LogError> {
        let synced = Arc::clone(&self.platter().synced);
        synced.size_bytes(area)
    }
}
