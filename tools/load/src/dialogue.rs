//! What one connection has asked and not yet been answered, in order.
//!
//! Never: a socket, a clock.

use std::collections::VecDeque;

use crate::error::{WrongAnswer, printable};
use crate::protocol::{Asked, Protocol};
use crate::script::Command;
use crate::tally::Tally;

/// Bytes that were answered and are still kept, before they are thrown away together.
const STALE_BYTES: usize = 64 * 1024;

/// A command whose answer is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    command: Command,
    /// When it was intended (open loop) or sent.
    at_ns: u64,
    bytes: usize,
    marked: bool,
}

/// The conversation of one connection.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    due: VecDeque<Due>,
    /// The bytes of all commands in `due`, behind some that are stale.
    sent: Vec<u8>,
    stale: usize,
    /// Where in `sent` that begins which has not been handed out for sending.
    unsent: usize,
    /// The beginning of an answer, and how much of it was looked at in vain.
    partial: Vec<u8>,
    seen: usize,
    asked: u64,
    answered: u64,
    last_sequence: u64,
}

impl Dialogue {
    /// Answers that are due.
    pub(crate) fn due(&self) -> usize {
        self.due.len()
    }

    /// Appends a command to what is to be sent.
    pub(crate) fn ask(&mut self, protocol: &mut Protocol, command: Command, at_ns: u64, marked: bool, time_s: u64) {
        let begin = self.sent.len();
        protocol.compose(command, self.asked, time_s, &mut self.sent);
        self.due.push_back(Due { command, at_ns, bytes: self.sent.len() - begin, marked });
        self.asked += 1;
    }

    /// Hands out what is to be sent.
    pub(crate) fn take_unsent(&mut self) -> &[u8] {
        let begin = std::mem::replace(&mut self.unsent, self.sent.len());
        self.sent.get(begin..).unwrap_or_default()
    }

    /// Takes what the server sent, in any portions, and judges every answer that it completes.
    ///
    /// # Errors
    /// The first wrong answer.
    pub(crate) fn take(
        &mut self,
        protocol: &mut Protocol,
        bytes: &[u8],
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<(), WrongAnswer> {
        if self.partial.is_empty() {
            let done = self.judge(protocol, bytes, now_ns, tally)?;
            self.partial.extend_from_slice(bytes.get(done..).unwrap_or_default());
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let done = self.judge(protocol, &partial, now_ns, tally)?;
            partial.drain(..done);
            self.partial = partial;
        }
        self.seen = self.partial.len();
        self.forget_stale();
        Ok(())
    }

    /// Judges all whole answers, and says how many bytes they have.
    fn judge(
        &mut self,
        protocol: &mut Protocol,
        bytes: &[u8],
        now_ns: u64,
        tally: &mut Tally,
    ) -> Result<usize, WrongAnswer> {
        let mut done = 0;
        loop {
            let rest = bytes.get(done..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(done);
            }
            let Some(due) = self.due.front().copied() else {
                return Err(self.wrong(b"", rest, "nothing was asked".to_owned()));
            };
            let seen = std::mem::take(&mut self.seen);
            let Some(length) = protocol.frame(rest, seen, due.bytes) else { return Ok(done) };
            let answer = rest.get(..length).unwrap_or_default();
            let question = self.sent.get(self.stale..self.stale + due.bytes).unwrap_or_default();
            let asked = Asked { command: due.command, id: self.answered, bytes: question };
            let right = match protocol.check(&asked, answer) {
                Ok(right) => right,
                Err(why) => return Err(self.wrong(question, answer, why)),
            };
            if let Some(sequence) = right.sequence {
                // Changes of one connection stand in the log in its order.
                if sequence <= self.last_sequence {
                    let why = format!("its sequence must be above {}, that of the change before", self.last_sequence);
                    return Err(self.wrong(question, answer, why));
                }
                self.last_sequence = sequence;
            }
            tally.answered(right.told, due.at_ns, due.marked, now_ns);
            self.due.pop_front();
            self.answered += 1;
            self.stale += due.bytes;
            done += length;
        }
    }

    /// Whoever knows the connection fills in its number.
    fn wrong(&self, question: &[u8], answer: &[u8], why: String) -> WrongAnswer {
        let (asked, came) = (printable(question), printable(answer));
        WrongAnswer { connection: 0, number: self.answered, asked, came, why }
    }

    fn forget_stale(&mut self) {
        if self.stale == self.sent.len() {
            self.sent.clear();
            (self.stale, self.unsent) = (0, 0);
        } else if self.stale >= STALE_BYTES && self.stale >= self.sent.len() / 2 {
            self.sent.drain(..self.stale);
            self.unsent -= self.stale;
            self.stale = 0;
        }
    }

    /// Gives up on every answer that is still due.
    pub(crate) fn give_up(&mut self, now_ns: u64, tally: &mut Tally) {
        for due in self.due.drain(..).filter(|due| due.marked) {
            tally.gave_up(due.at_ns, now_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::entities::{Entities, Name};
    use crate::plan::{Plan, Target};
    use crate::tally::Counting;

    fn protocol(target: Target) -> Protocol {
        let plan = Plan::new(target, "127.0.0.1:1".parse().unwrap(), "ca.pem");
        let entities = Entities::new(["example.com", "example.org"].into_iter(), [].into_iter()).unwrap();
        Protocol::new(&plan, Arc::new(entities))
    }

    const HIT: &str = "{\"status\":200,\"message\":\"Entity is registered\",\"verified\":true,\"type\":\"domain\",\
                       \"last_updated\":\"2026-08-22T10:00:00Z\"}\n";
    const MISS: &str = "{\"status\":404,\"message\":\"The entity is not registered\",\"error\":\"not_registered\",\
                        \"verified\":false}\n";

    fn registered(name: &str, sequence: u64) -> String {
        format!(
            "{{\"status\":200,\"message\":\"Entity registered successfully\",\"entity\":\"{name}\",\
             \"type\":\"domain\",\"sequence\":{sequence}}}\n"
        )
    }

    proptest! {
        /// However the stream is cut, each answer is judged once, and the same.
        #[test]
        fn answers_come_in_any_portions(
            hits in proptest::collection::vec(any::<bool>(), 1..20),
            cuts in proptest::collection::vec(1_usize..200, 1..40),
            echo: bool,
        ) {
            let mut protocol = protocol(if echo { Target::Echo } else { Target::RepSec });
            let (mut dialogue, mut tally) = (Dialogue::default(), Tally::new(Counting::Marked).unwrap());
            let mut stream = Vec::new();
            for hit in &hits {
                let name = if *hit { Name::Entity(0) } else { Name::Absent(0) };
                dialogue.ask(&mut protocol, Command::Verify(name), 0, true, 0);
                stream.extend_from_slice(if *hit { HIT } else { MISS }.as_bytes());
            }
            let sent = dialogue.take_unsent().to_vec();
            let mut rest = if echo { sent.as_slice() } else { stream.as_slice() };
            let mut cuts = cuts.into_iter().cycle();
            while !rest.is_empty() {
                let (portion, behind) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                prop_assert!(dialogue.due() > 0);
                dialogue.take(&mut protocol, portion, 1, &mut tally).unwrap();
                rest = behind;
            }
            prop_assert_eq!((dialogue.due(), tally.commands()), (0, u64::try_from(hits.len()).unwrap()));
        }
    }

    fn take(commands: &[Command], stream: &str) -> Result<u64, String> {
        let mut protocol = protocol(Target::RepSec);
        let (mut dialogue, mut tally) = (Dialogue::default(), Tally::new(Counting::Marked).unwrap());
        for command in commands {
            dialogue.ask(&mut protocol, *command, 0, true, 0);
        }
        dialogue.take(&mut protocol, stream.as_bytes(), 1, &mut tally).map_err(|wrong| wrong.why)?;
        Ok(tally.commands())
    }

    #[test]
    fn answers_in_another_order_are_wrong() {
        let (hit, miss) = (Command::Verify(Name::Entity(0)), Command::Verify(Name::Absent(0)));
        assert_eq!(take(&[hit, miss], &format!("{HIT}{MISS}")), Ok(2));
        assert_eq!(take(&[hit, miss], &format!("{MISS}{HIT}")), Err("status must be 200, and is 404".to_owned()));
    }

    #[test]
    fn an_answer_to_nothing_is_wrong() {
        assert_eq!(take(&[Command::Verify(Name::Entity(0))], &format!("{HIT}{HIT}")), Err("nothing was asked".into()));
    }

    #[test]
    fn sequences_of_one_connection_go_up() {
        let commands = [Command::Register(0), Command::Register(1)];
        let two = |first, second| registered("example.com", first) + &registered("example.org", second);
        assert_eq!(take(&commands, &two(4, 9)), Ok(2));
        assert!(take(&commands, &two(9, 4)).is_err());
        assert!(take(&commands, &two(4, 4)).is_err());
    }

    /// What was answered is thrown away while answers are due, and what is kept stays right.
    #[test]
    fn commands_are_kept_as_long_as_they_are_due() {
        let mut protocol = protocol(Target::Echo);
        let (mut dialogue, mut tally) = (Dialogue::default(), Tally::new(Counting::Marked).unwrap());
        dialogue.ask(&mut protocol, Command::Ping, 0, true, 0);
        let mut echo = dialogue.take_unsent().to_vec();
        for number in 0..20_000 {
            dialogue.ask(&mut protocol, Command::Verify(Name::Absent(number)), 0, true, 0);
            let next = dialogue.take_unsent().to_vec();
            dialogue.take(&mut protocol, &echo, 1, &mut tally).unwrap();
            assert!(dialogue.sent.len() < 4 * STALE_BYTES);
            echo = next;
        }
        assert_eq!((dialogue.due(), tally.commands()), (1, 20_000));
    }
}
