//! The scanner: however a stream is cut, the messages are the same; and they end where `serde_json` ends them.

use repsec::wire::Malformed;
use repsec::wire::frame::{Scan, Scanner};

use super::tree::{self, Tree};

const BYTES_MAX: usize = 1024;
const DEPTH_MAX: usize = 8;

/// The front says how the rest is cut.
pub fn run(data: &[u8]) {
    let (pieces, stream) = super::pieces(data);
    let whole = read(stream, &[usize::MAX]);
    assert_eq!(read(stream, &pieces), whole, "cut as {pieces:?}");
    assert_eq!(read(stream, &[1]), whole, "byte by byte");
    if let Some((tree @ Tree::Object(_), end)) = tree::first(stream)
        && end <= BYTES_MAX
        && tree.depth() <= DEPTH_MAX
    {
        let begin = stream.iter().position(|byte| *byte == b'{').unwrap_or(end);
        assert_eq!(whole.first(), Some(&Ok(stream[begin..end].to_vec())));
    }
}

/// The messages of a stream, and what is malformed; `Err(None)` is one that is too large.
fn read(stream: &[u8], pieces: &[usize]) -> Vec<Result<Vec<u8>, Option<Malformed>>> {
    let mut scanner = Scanner::new(BYTES_MAX, DEPTH_MAX);
    let (mut buffer, mut seen, mut rest) = (Vec::new(), Vec::new(), stream);
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let piece = pieces.next().copied().unwrap_or(1);
        let (now, later) = rest.split_at(piece.min(rest.len()));
        buffer.extend_from_slice(now);
        rest = later;
        loop {
            match scanner.scan(&buffer) {
                Scan::NeedMore => break,
                Scan::Message(range) => seen.push(Ok(buffer[range].to_vec())),
                Scan::Malformed(what) => seen.push(Err(Some(what))),
                Scan::TooLarge => {
                    seen.push(Err(None));
                    return seen;
                }
            }
        }
        let unneeded = scanner.consumed();
        buffer.drain(..unneeded);
        scanner.forget(unneeded);
    }
    seen
}
