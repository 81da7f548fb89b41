//! What threads meet at, as `src/sync.rs` names it, over loom. Each can be given a fault, so that the models show that
//! they would find it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LockResult, PoisonError};

use loom::sync::Condvar;
use loom::sync::atomic::{self, Ordering};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Fences do nothing.
    NoFence,
    /// Lanes say that they are empty: nobody looks once more before sleeping.
    NoSecondLook,
    /// Whoever writes an atomic publishes nothing with it.
    RelaxedWrites,
    /// Nothing of a largest number so far is published but the number.
    BareMax,
    /// Nothing is noted for a core that is awake.
    NothingNoted,
    /// Where a flag is raised by a swap, a store raises it, which does not pass on what others published with it.
    RaisedByStore,
    /// A lock is held for reading and held for writing, and not between.
    LockInTwoSteps,
    /// Lanes give the youngest letter first.
    YoungestFirst,
    /// The bell makes no sound.
    MuteBell,
}

thread_local! {
    // The threads of a model are all on the thread that explores it.
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    static ROOM: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Does something with a fault in place.
pub fn with<R>(fault: Fault, work: impl FnOnce() -> R) -> R {
    FAULT.set(Some(fault));
    let result = work();
    FAULT.set(None);
    result
}

fn has(fault: Fault) -> bool {
    FAULT.get() == Some(fault)
}

/// Bounds the lanes that have a bound, for the models of this thread.
pub fn set_room(letters: usize) {
    ROOM.set(letters);
}

fn published(order: Ordering) -> Ordering {
    match order {
        Ordering::Release if has(Fault::RelaxedWrites) => Ordering::Relaxed,
        Ordering::AcqRel if has(Fault::RelaxedWrites) => Ordering::Acquire,
        order => order,
    }
}

/// See [`std::sync::atomic::fence`].
pub fn fence(order: Ordering) {
    if !has(Fault::NoFence) {
        atomic::fence(order);
    }
}

/// See [`std::sync::atomic::AtomicBool`].
pub struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    /// With this value.
    pub fn new(value: bool) -> AtomicBool {
        AtomicBool(atomic::AtomicBool::new(value))
    }

    /// Reads.
    pub fn load(&self, order: Ordering) -> bool {
        self.0.load(order)
    }

    /// Writes. As a swap, for loom does not know that nothing stands between what a swap read and what it wrote, and
    /// would put a later store there: threads would oversleep that cannot. Nothing is left out by it, as long as a flag
    /// that is swapped is stored to by one thread only.
    pub fn store(&self, value: bool, order: Ordering) {
        self.0.swap(value, published(order));
    }

    /// Reads and writes at once.
    pub fn swap(&self, value: bool, order: Ordering) -> bool {
        if has(Fault::NothingNoted) && value {
            return false;
        }
        if has(Fault::RaisedByStore) && value {
            self.0.store(value, Ordering::Release);
            return false;
        }
        self.0.swap(value, published(order))
    }
}

/// See [`std::sync::atomic::AtomicU64`].
#[derive(Debug)]
pub struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    /// With this value.
    pub fn new(value: u64) -> AtomicU64 {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    /// Reads.
    pub fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    /// Writes.
    pub fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, published(order));
    }

    /// Reads, and writes what is made of that, if nothing was written between.
    ///
    /// # Errors
    /// With what was read, when nothing is made of it.
    pub fn fetch_update(
        &self,
        set_order: Ordering,
        fetch_order: Ordering,
        change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        let set_order = if has(Fault::BareMax) { Ordering::Relaxed } else { published(set_order) };
        self.0.fetch_update(set_order, fetch_order, change)
    }
}

/// See [`std::sync::atomic::AtomicUsize`].
pub struct AtomicUsize(atomic::AtomicUsize);

impl AtomicUsize {
    /// With this value.
    pub fn new(value: usize) -> AtomicUsize {
        AtomicUsize(atomic::AtomicUsize::new(value))
    }

    /// Reads.
    pub fn load(&self, order: Ordering) -> usize {
        self.0.load(order)
    }

    /// Writes.
    pub fn store(&self, value: usize, order: Ordering) {
        self.0.store(value, published(order));
    }

    /// Adds.
    pub fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        self.0.fetch_add(value, published(order))
    }
}

/// See [`std::sync::Mutex`].
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// See [`std::sync::MutexGuard`].
pub struct MutexGuard<'a, T: Default> {
    mutex: &'a loom::sync::Mutex<T>,
    held: Held<'a, T>,
}

enum Held<'a, T> {
    Locked(loom::sync::MutexGuard<'a, T>),
    /// Taken out, to be put back in a second step.
    TakenOut(T),
}

impl<T: Default> Mutex<T> {
    /// Around this.
    pub fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    /// Waits for it.
    ///
    /// # Errors
    /// When somebody panicked while holding it.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let mut locked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = if has(Fault::LockInTwoSteps) {
            Held::TakenOut(std::mem::take(&mut *locked))
        } else {
            Held::Locked(locked)
        };
        Ok(MutexGuard { mutex: &self.0, held })
    }
}

impl<T: Default> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.held {
            Held::Locked(locked) => locked,
            Held::TakenOut(value) => value,
        }
    }
}

impl<T: Default> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.held {
            Held::Locked(locked) => locked,
            Held::TakenOut(value) => value,
        }
    }
}

impl<T: Default> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if let Held::TakenOut(value) = &mut self.held {
            *self.mutex.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(value);
        }
    }
}

/// A lane: what crossbeam's queues promise, and no more. A letter that was pushed is there for whoever has heard of the
/// push; others may still find the lane empty.
pub struct SegQueue<T> {
    letters: loom::sync::Mutex<VecDeque<T>>,
    waiting: atomic::AtomicUsize,
}

impl<T> SegQueue<T> {
    /// An empty lane.
    pub fn new() -> SegQueue<T> {
        SegQueue { letters: loom::sync::Mutex::new(VecDeque::new()), waiting: atomic::AtomicUsize::new(0) }
    }

    /// Adds a letter.
    pub fn push(&self, letter: T) {
        let _ = self.try_push(letter, usize::MAX);
    }

    fn try_push(&self, letter: T, room: usize) -> Result<(), T> {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.len() >= room {
            return Err(letter);
        }
        letters.push_back(letter);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a letter.
    pub fn pop(&self) -> Option<T> {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let letter = if has(Fault::YoungestFirst) { letters.pop_back() } else { letters.pop_front() };
        self.waiting.fetch_sub(usize::from(letter.is_some()), Ordering::Relaxed);
        letter
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        has(Fault::NoSecondLook) || self.waiting.load(Ordering::Relaxed) == 0
    }
}

impl<T> Default for SegQueue<T> {
    fn default() -> SegQueue<T> {
        SegQueue::new()
    }
}

/// A lane with a bound: the one that it is given, or that of [`set_room`] if that is less.
pub struct ArrayQueue<T> {
    lane: SegQueue<T>,
    room: usize,
}

impl<T> ArrayQueue<T> {
    /// An empty lane for so many.
    pub fn new(room: usize) -> ArrayQueue<T> {
        ArrayQueue { lane: SegQueue::new(), room: room.min(ROOM.get()) }
    }

    /// Adds a letter.
    ///
    /// # Errors
    /// The letter, if there is no room.
    pub fn push(&self, letter: T) -> Result<(), T> {
        self.lane.try_push(letter, self.room)
    }

    /// Takes a letter.
    pub fn pop(&self) -> Option<T> {
        self.lane.pop()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lane.is_empty()
    }
}

/// One end of a socket pair: bytes without values, one way.
pub struct UnixStream(Arc<Pipe>);

struct Pipe {
    bytes: loom::sync::Mutex<usize>,
    written: Condvar,
}

/// Bytes that a pair holds.
const PIPE_BYTES: usize = 2;

impl UnixStream {
    /// Both ends.
    ///
    /// # Errors
    /// Never.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let pipe = Arc::new(Pipe { bytes: loom::sync::Mutex::new(0), written: Condvar::new() });
        Ok((UnixStream(Arc::clone(&pipe)), UnixStream(pipe)))
    }

    /// Writing never blocks, and reading always does.
    ///
    /// # Errors
    /// Never.
    pub fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &UnixStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if has(Fault::MuteBell) {
            return Ok(bytes.len());
        }
        let mut held = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if *held + bytes.len() > PIPE_BYTES {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        *held += bytes.len();
        self.0.written.notify_one();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &UnixStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut held = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *held == 0 {
            held = self.0.written.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        let taken = into.len().min(*held);
        *held -= taken;
        Ok(taken)
    }
}
