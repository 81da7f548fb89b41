//! Mailboxes between the cores.
//!
//! Each core has an inbox with two lanes: letters that ask something, bounded, and letters that answer, which always
//! find room. The second can promise that because every answer belongs to a question that its receiver asked, and a
//! core has a bounded number of questions open (`types::limits`). A letter that answers never waits behind one that asks.
//!
//! Waking: a core that found its lanes empty says that it sleeps, looks once more, and then waits for a byte from a
//! socket pair, which its event loop can wait for like for any other input. Whoever puts a letter into the inbox of a
//! sleeping core writes that byte; a core that is awake costs the sender nothing but a look. Whoever changes something
//! else that cores act on tells them, behind the change, which wakes them in the same way.
//!
//! `tools/model` tries this file in every order of events.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::sync::{ArrayQueue, AtomicBool, SegQueue, UnixStream, fence};

/// Letters that ask, waiting in one inbox. A letter holds all that one read of a connection asked of that core, so
/// this is far more commands than it says; beyond it the senders hold their letters back.
const ASKING_LETTERS_MAX: usize = 1024;

/// One core's inbox.
pub struct Inbox<Q, A> {
    asking: ArrayQueue<Q>,
    answering: SegQueue<A>,
    /// Something beside the lanes has changed that the core has not looked at.
    told: AtomicBool,
    sleeping: AtomicBool,
    bell: UnixStream,
}

impl<Q, A> Inbox<Q, A> {
    /// Puts a letter that asks; gives it back when there is no room.
    ///
    /// # Errors
    /// The letter, when the lane is full: keep it and try again when the next answer comes.
    pub fn ask(&self, letter: Q) -> Result<(), Q> {
        self.asking.push(letter)?;
        self.wake();
        Ok(())
    }

    /// Puts a letter that answers. There is always room.
    pub fn answer(&self, letter: A) {
        self.answering.push(letter);
        self.wake();
    }

    /// Takes the oldest letter that asks.
    pub fn take_asking(&self) -> Option<Q> {
        self.asking.pop()
    }

    /// Takes the oldest letter that answers.
    pub fn take_answering(&self) -> Option<A> {
        self.answering.pop()
    }

    /// Whether both lanes are empty.
    pub fn is_empty(&self) -> bool {
        self.asking.is_empty() && self.answering.is_empty()
    }

    /// Says that something beside the lanes has changed on which the core acts. MUST come behind the change.
    pub fn tell(&self) {
        // Not a plain store: of two who tell at once, the core would hear the second and might not see the change of
        // the first.
        self.told.swap(true, Ordering::AcqRel);
        self.wake();
    }

    /// Hears what was told. The core MUST do this before it looks at what others change, and look at all of it before it
    /// sleeps.
    pub fn hear(&self) {
        if self.told.load(Ordering::Relaxed) {
            self.told.swap(false, Ordering::AcqRel);
        }
    }

    /// Wakes the core if it sleeps.
    fn wake(&self) {
        // The fence pairs with the one in `prepare_to_sleep`: either this side sees `sleeping`, or that side sees what
        // was stored before this call.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            self.ring();
        }
    }

    /// Rings the bell whether or not the core sleeps. The core's own loop uses it to let its other tasks run before it
    /// goes on.
    pub fn ring(&self) {
        // A full socket buffer means that bells are waiting to be heard already.
        let _ = (&self.bell).write(&[1]);
    }

    /// Says that the core is about to sleep. If this returns false there is something to do; else the core MUST wait
    /// for the bell.
    pub fn prepare_to_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.is_empty() && !self.told.load(Ordering::Relaxed) {
            return true;
        }
        self.stay_awake();
        false
    }

    /// Whether the core has said that it sleeps, and nobody has woken it since.
    pub fn is_sleeping(&self) -> bool {
        self.sleeping.load(Ordering::Relaxed)
    }

    /// Takes back what `prepare_to_sleep` said.
    pub fn stay_awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

/// The inboxes of all cores, and for each core the end at which its bell is heard.
pub type MeshAndEars<Q, A> = (Arc<Mesh<Q, A>>, Vec<UnixStream>);

/// The inboxes of all cores.
pub struct Mesh<Q, A> {
    inboxes: Vec<Inbox<Q, A>>,
}

impl<Q, A> Mesh<Q, A> {
    /// Inboxes for `cores` cores, and for each the end at which its bell is heard.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn new(cores: usize) -> io::Result<MeshAndEars<Q, A>> {
        Mesh::with_room(cores, ASKING_LETTERS_MAX)
    }

    /// The same, each with room for so many letters that ask, at least one.
    ///
    /// # Errors
    /// As [`Mesh::new`].
    pub fn with_room(cores: usize, asking_letters_max: usize) -> io::Result<MeshAndEars<Q, A>> {
        let mut inboxes = Vec::with_capacity(cores);
        let mut ears = Vec::with_capacity(cores);
        for _ in 0..cores {
            let (bell, ear) = UnixStream::pair()?;
            bell.set_nonblocking(true)?;
            let (asking, answering) = (ArrayQueue::new(asking_letters_max.max(1)), SegQueue::new());
            let (told, sleeping) = (AtomicBool::new(false), AtomicBool::new(false));
            inboxes.push(Inbox { asking, answering, told, sleeping, bell });
            ears.push(ear);
        }
        Ok((Arc::new(Mesh { inboxes }), ears))
    }

    /// The inbox of a core.
    ///
    /// # Panics
    /// When there is no such core.
    pub fn inbox(&self, core: usize) -> &Inbox<Q, A> {
        &self.inboxes[core]
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.inboxes.len()
    }

    /// Tells every core that something has changed on which all of them act. MUST come behind the change.
    pub fn tell_all(&self) {
        for inbox in &self.inboxes {
            inbox.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use super::*;

    /// A lost wake-up would leave the receiver in `read` for ever.
    #[test]
    fn no_letter_is_slept_over() {
        const LETTERS: u64 = if cfg!(miri) { 50 } else { 50_000 };
        let (mesh, mut ears) = Mesh::<u64, u64>::new(1).unwrap();
        let mut ear = ears.pop().unwrap();
        let senders: Vec<_> = (0..2)
            .map(|lane| {
                let mesh = Arc::clone(&mesh);
                thread::spawn(move || {
                    for n in 1..=LETTERS {
                        if lane == 0 {
                            mesh.inbox(0).answer(n);
                        } else {
                            while mesh.inbox(0).ask(n).is_err() {
                                thread::yield_now();
                            }
                        }
                    }
                })
            })
            .collect();
        let (mut asked, mut answered) = (0, 0);
        let inbox = mesh.inbox(0);
        while asked < LETTERS || answered < LETTERS {
            while let Some(n) = inbox.take_asking() {
                assert_eq!(n, asked + 1, "letters of one sender stay in order");
                asked = n;
            }
            while let Some(n) = inbox.take_answering() {
                assert_eq!(n, answered + 1, "letters of one sender stay in order");
                answered = n;
            }
            if (asked < LETTERS || answered < LETTERS) && inbox.prepare_to_sleep() {
                let mut heard = [0; 64];
                assert_ne!(ear.read(&mut heard).unwrap(), 0);
                inbox.stay_awake();
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
    }

    #[test]
    fn a_full_lane_gives_the_letter_back_and_answers_still_pass() {
        let (mesh, _ears) = Mesh::<usize, usize>::new(1).unwrap();
        let inbox = mesh.inbox(0);
        for n in 0..ASKING_LETTERS_MAX {
            assert_eq!(inbox.ask(n), Ok(()));
        }
        assert_eq!(inbox.ask(7), Err(7));
        inbox.answer(8);
        assert_eq!(inbox.take_answering(), Some(8));
        assert_eq!(inbox.take_asking(), Some(0));
        assert_eq!(inbox.ask(7), Ok(()));
    }
}
