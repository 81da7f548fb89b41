//! Where messages end in a stream of JSON objects (`repsec:O1`).
//!
//! A message ends where its top-level object closes; line ends between messages are white space. The scanner reads a
//! buffer that its caller owns and lets grow, and goes on where it stopped: every byte is looked at once, however the
//! stream is cut into reads. It follows JSON's structure far enough to see at once that a message cannot become valid,
//! so that a peer gets its answer now and not when a timer fires. What numbers, literals and escapes look like is the
//! parser's business.
//!
//! Never: I/O, allocation, or a look at what a message says.

use std::ops::Range;

use super::Malformed;

/// Deepest nesting that a scanner can be set to follow: it keeps one bit for each level.
pub const NESTING_BITS: usize = 64;

/// What the scanner found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scan {
    /// A whole object stands at these offsets of the buffer.
    Message(Range<usize>),
    /// Everything was looked at; more bytes are needed.
    NeedMore,
    /// A message that cannot become valid. The scanner goes on behind the next line end.
    Malformed(Malformed),
    /// The message is longer than allowed. Its end is unknown, so nothing after it can be read.
    TooLarge,
}

/// The incremental scanner of one stream. Offsets count from the beginning of the caller's buffer.
#[derive(Clone, Debug)]
pub struct Scanner {
    message_bytes_max: usize,
    depth_max: u32,
    state: State,
    /// The first byte that was not looked at.
    at: usize,
    /// Where the message that `at` stands in begins.
    start: usize,
    /// How many arrays and objects are open.
    depth: u32,
    /// One bit for each open level, the innermost lowest: 1 is an object, 0 an array.
    objects: u64,
    /// How far the last guess looked. No other guess is made before that place, so that no byte is looked at, or
    /// parsed, in vain more than once.
    guessed: usize,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Outside messages.
    Between,
    /// Behind a malformed message, before the next line end.
    Discard,
    /// Directly behind `{`.
    NameOrEnd,
    /// Behind a comma in an object.
    Name,
    /// Inside a member's name, and behind a backslash there.
    InName,
    InNameEscape,
    /// Behind a member's name.
    Colon,
    /// Directly behind `[`.
    ValueOrEnd,
    /// Behind a colon, or a comma in an array.
    Value,
    /// Inside a string, and behind a backslash there.
    InText,
    InTextEscape,
    /// Inside a number or a literal.
    Scalar,
    /// Behind a value.
    AfterValue,
}

/// What a byte means outside strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    White,
    Quote,
    Colon,
    Comma,
    OpenObject,
    CloseObject,
    OpenArray,
    CloseArray,
    /// Part of numbers and literals.
    Scalar,
    Control,
    Other,
}

const CLASSES: [Class; 256] = classes();

#[allow(clippy::cast_possible_truncation, reason = "the index runs below 256")]
const fn classes() -> [Class; 256] {
    let mut table = [Class::Other; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b' ' | b'\t' | b'\r' | b'\n' => Class::White,
            b'"' => Class::Quote,
            b':' => Class::Colon,
            b',' => Class::Comma,
            b'{' => Class::OpenObject,
            b'}' => Class::CloseObject,
            b'[' => Class::OpenArray,
            b']' => Class::CloseArray,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.' => Class::Scalar,
            0..=0x1f => Class::Control,
            _ => Class::Other,
        };
        byte += 1;
    }
    table
}

/// Whether a byte ends a run of ordinary bytes in a string.
const STOPS_TEXT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

impl Scanner {
    /// A scanner for messages of up to `message_bytes_max` bytes that nest up to `depth_max` deep (at most
    /// [`NESTING_BITS`]; the message's own object is depth 1).
    pub fn new(message_bytes_max: usize, depth_max: usize) -> Scanner {
        let depth_max = u32::try_from(depth_max.clamp(1, NESTING_BITS)).unwrap_or(1);
        let state = State::Between;
        Scanner { message_bytes_max, depth_max, state, at: 0, start: 0, depth: 0, objects: 0, guessed: 0 }
    }

    /// Goes on in `buffer`, which must begin with the bytes of the call before (less those that were
    /// [`forget`](Self::forget)ed), until there is something to say.
    pub fn scan(&mut self, buffer: &[u8]) -> Scan {
        loop {
            let ahead = buffer.get(self.at..).unwrap_or_default();
            match self.state {
                State::Between => {
                    let white = ahead.iter().take_while(|byte| class_of(**byte) == Class::White).count();
                    self.at += white;
                    self.start = self.at;
                    match ahead.get(white) {
                        None => return Scan::NeedMore,
                        Some(b'{') => self.begin(),
                        Some(_) => return self.malformed(buffer, Malformed::NotAnObject),
                    }
                }
                State::Discard => match memchr::memchr(b'\n', ahead) {
                    None => {
                        self.at += ahead.len();
                        return Scan::NeedMore;
                    }
                    Some(line_end) => {
                        self.at += line_end + 1;
                        self.state = State::Between;
                    }
                },
                _ => return self.scan_message(buffer),
            }
        }
    }

    /// Where the next message begins, if none has begun and its first byte is there. Whoever finds its end by other
    /// means, the same that [`scan`](Self::scan) would find, goes on with [`accept`](Self::accept).
    pub fn next_start(&self, buffer: &[u8]) -> Option<usize> {
        if self.state != State::Between {
            return None;
        }
        let ahead = buffer.get(self.at..)?;
        let white = ahead.iter().take_while(|byte| class_of(**byte) == Class::White).count();
        let begin = self.at + white;
        (begin >= self.guessed && ahead.get(white) == Some(&b'{')).then_some(begin)
    }

    /// Where the next message stands if it fills a line, as nearly all do: cheap to find, and only a guess. If the
    /// parser accepts these bytes, the guess was right, [`scan`](Self::scan) would have said the same, and
    /// [`accept`](Self::accept) goes on behind them; if not, [`scan`](Self::scan) says what there is.
    ///
    /// Lines with a backslash are not guessed at: only in those does the parser change bytes, and bytes that it has
    /// changed cannot be scanned any more.
    pub fn guess(&mut self, buffer: &[u8]) -> Option<Range<usize>> {
        let begin = self.next_start(buffer)?;
        let ahead = buffer.get(begin..)?;
        let length = memchr::memchr2(b'\n', b'\\', ahead).unwrap_or(ahead.len());
        self.guessed = begin + length + 1;
        let last = ahead.get(..length)?.iter().rposition(|byte| class_of(*byte) != Class::White)?;
        let fills_line = ahead.get(length) == Some(&b'\n') && ahead.get(last) == Some(&b'}');
        (fills_line && last < self.message_bytes_max).then_some(begin..begin + last + 1)
    }

    /// Goes on behind a message that was found by other means than [`scan`](Self::scan).
    pub fn accept(&mut self, message: Range<usize>) {
        self.start = message.start;
        self.at = message.end;
    }

    /// Discards the rest of the line, because the message just found turned out to be malformed.
    pub fn discard_line(&mut self) {
        self.state = State::Discard;
    }

    /// Whether a message has begun whose end is not yet found.
    pub fn in_message(&self) -> bool {
        !matches!(self.state, State::Between | State::Discard)
    }

    /// How many bytes at the beginning of the buffer are no longer needed.
    pub fn consumed(&self) -> usize {
        if self.in_message() { self.start } else { self.at }
    }

    /// Takes note that the first `count` bytes of the buffer were removed; at most [`consumed`](Self::consumed) may be.
    pub fn forget(&mut self, count: usize) {
        debug_assert!(count <= self.consumed(), "bytes were removed that the scanner still needs");
        self.at = self.at.saturating_sub(count);
        self.start = self.start.saturating_sub(count);
        self.guessed = self.guessed.saturating_sub(count);
    }

    /// Steps over the `{` that begins a message.
    fn begin(&mut self) {
        self.start = self.at;
        self.at += 1;
        self.depth = 1;
        self.objects = 1;
        self.state = State::NameOrEnd;
    }

    fn scan_message(&mut self, buffer: &[u8]) -> Scan {
        // The window makes the verdict on a long message independent of how its bytes arrive.
        let end = self.start.saturating_add(self.message_bytes_max).min(buffer.len());
        let window = buffer.get(..end).unwrap_or_default();
        while let Some(byte) = window.get(self.at) {
            match self.state {
                State::InName | State::InText => {
                    let run = window.get(self.at..).unwrap_or_default().iter();
                    self.at += run.take_while(|byte| !STOPS_TEXT[usize::from(**byte)]).count();
                    match window.get(self.at) {
                        None => break,
                        Some(b'"') if self.state == State::InName => self.state = State::Colon,
                        Some(b'"') => self.state = State::AfterValue,
                        Some(b'\\') if self.state == State::InName => self.state = State::InNameEscape,
                        Some(b'\\') => self.state = State::InTextEscape,
                        Some(_) => return self.malformed(buffer, Malformed::ControlCharacter),
                    }
                }
                State::InNameEscape | State::InTextEscape if *byte < 0x20 => {
                    return self.malformed(buffer, Malformed::ControlCharacter);
                }
                State::InNameEscape => self.state = State::InName,
                State::InTextEscape => self.state = State::InText,
                _ => match self.step(class_of(*byte)) {
                    Ok(()) if self.depth == 0 => {
                        self.at += 1;
                        self.state = State::Between;
                        return Scan::Message(self.start..self.at);
                    }
                    Ok(()) => {}
                    Err(what) => return self.malformed(buffer, what),
                },
            }
            self.at += 1;
        }
        if buffer.len() > end { Scan::TooLarge } else { Scan::NeedMore }
    }

    /// Follows the structure over one byte outside strings.
    #[inline]
    fn step(&mut self, class: Class) -> Result<(), Malformed> {
        let in_object = self.objects & 1 == 1;
        self.state = match (self.state, class) {
            (State::Scalar, Class::White) => State::AfterValue,
            (state, Class::White) => state,
            (State::Name | State::NameOrEnd, Class::Quote) => State::InName,
            (State::Value | State::ValueOrEnd, Class::Quote) => State::InText,
            (State::Colon, Class::Colon) => State::Value,
            (State::Value | State::ValueOrEnd | State::Scalar, Class::Scalar) => State::Scalar,
            (State::AfterValue | State::Scalar, Class::Comma) if in_object => State::Name,
            (State::AfterValue | State::Scalar, Class::Comma) => State::Value,
            (State::Value | State::ValueOrEnd, Class::OpenObject | Class::OpenArray) => {
                if self.depth >= self.depth_max {
                    return Err(Malformed::TooDeep);
                }
                self.depth += 1;
                self.objects = self.objects << 1 | u64::from(class == Class::OpenObject);
                if class == Class::OpenObject { State::NameOrEnd } else { State::ValueOrEnd }
            }
            (State::NameOrEnd | State::AfterValue | State::Scalar, Class::CloseObject) if in_object => self.close(),
            (State::ValueOrEnd | State::AfterValue | State::Scalar, Class::CloseArray) if !in_object => self.close(),
            (_, Class::Control) => return Err(Malformed::ControlCharacter),
            _ => return Err(Malformed::Structure),
        };
        Ok(())
    }

    fn close(&mut self) -> State {
        self.depth -= 1;
        self.objects >>= 1;
        State::AfterValue
    }

    /// Gives up the message at the byte `at` and chooses where to go on: behind the next line end. A line end that is
    /// itself the wrong byte is that line end; and a `{` that begins a line begins the next message, since its peer
    /// never closed the one before.
    fn malformed(&mut self, buffer: &[u8], what: Malformed) -> Scan {
        match buffer.get(self.at) {
            Some(b'{') if begins_line(buffer.get(self.start..self.at).unwrap_or_default()) => {
                self.state = State::Between;
            }
            _ => self.state = State::Discard,
        }
        Scan::Malformed(what)
    }
}

fn class_of(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Whether only white space stands between the last line end of `before` and its end.
fn begins_line(before: &[u8]) -> bool {
    before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) == Some(&b'\n')
}

#[cfg(test)]
mod tests;
