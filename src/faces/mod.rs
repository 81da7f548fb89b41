//! Floor 2, meaning at the edges: each folder is one protocol between bytes and the domain's commands.
//!
//! May use: `types`, `domain`, `wire`. Never: sockets, clocks, threads, the log, the engine, another face.
//! A face does no I/O: whoever owns the connection brings bytes and the time, and takes commands and bytes away. So a
//! test drives a face exactly as the server does.

use crate::domain::{Asked, Outcome};
use crate::types::Timestamp;

pub mod repsec;

/// One connection's conversation, without I/O. What a server has to do with any face:
///
/// 1. Bring what the peer sent, while [`wants_input`](Face::wants_input): either read into
///    [`buffer_mut`](Face::buffer_mut) and [`commit`](Face::commit), or [`receive`](Face::receive) a copy. A face that
///    does not want input is full: not reading is the back-pressure.
/// 2. Call [`next`](Face::next) until it gives nothing, and bring what it gives to the store.
/// 3. [`complete`](Face::complete) each of these, in whatever order the store finishes.
/// 4. Write what [`take_output`](Face::take_output) gives, while [`output_ready`](Face::output_ready), and then go to
///    step 2 again: taking answers away makes room for messages that were received before.
/// 5. End the connection when it is [`finished`](Face::finished) and everything is written.
///
/// Every message gets one answer, and answers leave in the order of the messages (`repsec:O2`, `repsec:R23`).
pub trait Face {
    /// Room for bytes from the peer; never empty. What stands there is of no meaning.
    fn buffer_mut(&mut self) -> &mut [u8];

    /// Takes note that the first `count` bytes of [`buffer_mut`](Face::buffer_mut) are now bytes from the peer.
    fn commit(&mut self, count: usize);

    /// Takes over a copy of bytes from the peer, as many as there are.
    fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.buffer_mut();
            let count = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            if let Some(room) = room.get_mut(..count) {
                room.copy_from_slice(now);
            }
            self.commit(count);
            bytes = later;
        }
    }

    /// The next command for the store. What the face can answer itself is answered on the way. `None` when more bytes
    /// are needed, when too many commands wait, or when the connection ends.
    fn next(&mut self, now: Timestamp) -> Option<Step>;

    /// Brings the end of a command, or of lookups or changes that were asked together. What was split has several ends, each with its
    /// part of the names; an end of a bulk lookup that is no such part is the end of the whole. What comes for a command
    /// that is answered is ignored.
    fn complete(&mut self, slot: u64, outcome: Outcome);

    /// Moves answers that are ready, in order, to the end of `out`: some 64 KiB at once, and never less than one
    /// answer if [`output_ready`](Face::output_ready).
    fn take_output(&mut self, out: &mut Vec<u8>);

    /// Whether [`take_output`](Face::take_output) has something to give.
    fn output_ready(&self) -> bool;

    /// Roughly how many bytes the answers have that are ready, in order or not, and were not taken; bulk lookups count
    /// from the beginning with what their answers will have.
    fn unsent_bytes(&self) -> usize;

    /// Hands over a record of every answer that was taken since the last call, in order.
    fn take_records(&mut self, sink: &mut dyn FnMut(Record));

    /// Messages whose answers were not taken.
    fn outstanding(&self) -> usize;

    /// Messages of which the store has still to say something.
    fn waiting(&self) -> usize;

    /// All messages that were received whole until now, good or not.
    fn messages(&self) -> u64;

    /// Whether bytes from the peer are of use now.
    fn wants_input(&self) -> bool;

    /// Bytes that were received and do not yet belong to an answered or asked message.
    fn pending_bytes(&self) -> usize;

    /// Whether a message has begun that is not complete: it must end within the message timeout (`repsec:O13`).
    fn message_started(&self) -> bool;

    /// Ends the reading because a message took too long; its sender is told behind the answers that are due.
    fn time_out(&mut self);

    /// Whether the connection must end: the face reads no more, and all its answers were taken.
    fn finished(&self) -> bool;

    /// Gives back memory that an idle connection does not need.
    fn release_memory(&mut self);
}

/// A command for the store, or lookups, or changes, that came together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The place of its answer, or of the first of them. Messages are numbered from 0; those that the face answers
    /// itself have numbers too.
    pub slot: u64,
    /// What is asked.
    pub asked: Asked,
}

/// What the access journal keeps of one answered message (P4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The face's own number for the command; 0 where the message named none that is known.
    pub command: u8,
    /// The status that was answered.
    pub status: u16,
    /// The front of the hash of the entity that was meant; 0 where it was not one.
    pub entity: u64,
    /// Whether this answer tells of a change that took effect: that one is an event, and in the log.
    pub changed: bool,
}
