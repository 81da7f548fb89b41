//! The parser against `serde_json`: the same acceptance where both have the same rules, and the same values.

use repsec::wire::json::{PADDING_BYTES, Parser};

use super::tree::Tree;

const DEPTH_MAX: usize = 16;
/// From here on a number may have been spelled as an integer beyond 64 bits, which they round and we refuse.
const INTEGERS_END: f64 = 9.2e18;

/// Reads the bytes as one message, with and without padding behind it.
pub fn run(data: &[u8]) {
    let ours = read(data, None);
    assert_eq!(read(data, Some(b'"')), ours, "what stands behind a message matters");
    let theirs = serde_json::from_slice::<Tree>(data).ok();
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => assert!(ours.agrees(&theirs), "{ours:?} is not {theirs:?}"),
        // What rounds to the greatest number is infinity to them, who round less exactly.
        (Some(ours), None) => assert!(ours.has_number_from(1.797e308), "only we accept {ours:?}"),
        (None, Some(theirs)) => {
            let strict = theirs.repeats() || theirs.has_number_from(INTEGERS_END) || theirs.depth() > DEPTH_MAX;
            assert!(strict || !matches!(theirs, Tree::Object(_)), "only they accept {theirs:?}");
        }
        (None, None) => {}
    }
}

fn read(data: &[u8], padding: Option<u8>) -> Option<Tree> {
    let mut buffer = data.to_vec();
    if let Some(byte) = padding {
        buffer.resize(data.len() + PADDING_BYTES, byte);
    }
    let mut parser = Parser::new(DEPTH_MAX);
    let read = parser.parse(&mut buffer, data.len()).ok();
    let tree = read.and_then(|document| document.object().map(Tree::of_object).ok());
    assert!(buffer[data.len()..].iter().all(|byte| Some(*byte) == padding), "the padding was changed");
    tree
}
