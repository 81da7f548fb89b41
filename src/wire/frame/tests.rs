//! Tests of `frame`.

use proptest::prelude::*;

use super::*;
use crate::wire::samples;

const BYTES_MAX: usize = 4096;
const DEPTH_MAX: usize = 8;

/// What a stream means, read in pieces of these lengths (repeated). The caller forgets what it may after each scan.
fn read(stream: &[u8], pieces: &[usize]) -> Vec<Result<Vec<u8>, Option<Malformed>>> {
    let mut scanner = Scanner::new(BYTES_MAX, DEPTH_MAX);
    let (mut buffer, mut seen, mut rest) = (Vec::new(), Vec::new(), stream);
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at((*piece).clamp(1, rest.len().max(1)).min(rest.len()));
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
        assert_eq!(
            buffer.first().copied(),
            scanner.in_message().then_some(b'{'),
            "only a message that has begun is kept"
        );
        if rest.is_empty() {
            break;
        }
    }
    seen
}

/// Streams of objects and of what is nearly an object, with and without line ends between.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = (samples::object(), samples::edits(), any::<bool>(), prop_oneof!["", "\n", "\r\n", "[ \n]{0,3}"])
        .prop_map(|(text, edits, valid, end)| {
            let mut bytes = if valid { text.into_bytes() } else { samples::edited(&text, &edits) };
            bytes.extend_from_slice(end.as_bytes());
            bytes
        });
    proptest::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn how_a_stream_is_cut_does_not_matter(
        stream in stream(),
        pieces in proptest::collection::vec(1..64_usize, 1..12),
    ) {
        let whole = read(&stream, &[usize::MAX]);
        prop_assert_eq!(&read(&stream, &pieces), &whole);
        prop_assert_eq!(&read(&stream, &[1]), &whole);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert_eq!(read(&bytes, &[usize::MAX]), read(&bytes, &[3]));
    }

    #[test]
    fn what_is_an_object_to_serde_json_is_a_message_of_that_length(
        text in samples::object(),
        edits in samples::edits(),
        tail in "[{}\\[\\]\",:a1\n ]{0,6}",
    ) {
        let mut bytes = samples::edited(&text, &edits);
        bytes.extend_from_slice(tail.as_bytes());
        let mut oracle = serde_json::Deserializer::from_slice(&bytes).into_iter::<samples::Tree>();
        if let Some(Ok(tree @ samples::Tree::Object(_))) = oracle.next()
            && tree.depth() <= DEPTH_MAX
        {
            let begin = bytes.iter().position(|byte| *byte == b'{').unwrap();
            let expected = begin..oracle.byte_offset();
            prop_assert_eq!(Scanner::new(BYTES_MAX, DEPTH_MAX).scan(&bytes), Scan::Message(expected));
        }
    }

    #[test]
    fn messages_come_out_whole_and_in_order(
        texts in proptest::collection::vec(samples::object(), 1..10),
        separator in prop_oneof![Just(""), Just("\n"), Just("\r\n"), Just(" \n\n\t")],
    ) {
        let expected: Vec<_> = texts.iter().map(|text| Ok(text.clone().into_bytes())).collect();
        prop_assert_eq!(read(texts.join(separator).as_bytes(), &[7]), expected);
    }

    /// A guess that a parser accepts says what the scan says, and a guess changes nothing else.
    #[test]
    fn a_right_guess_is_what_the_scan_finds(stream in stream()) {
        let mut scanner = Scanner::new(BYTES_MAX, DEPTH_MAX);
        loop {
            let mut guesser = scanner.clone();
            let guess = guesser.guess(&stream);
            let found = scanner.scan(&stream);
            prop_assert_eq!(guesser.clone().scan(&stream), found.clone());
            if let Some(range) = guess
                && let Some(tree) = samples::Tree::read(&stream[range.clone()])
                && tree.depth() <= DEPTH_MAX
            {
                prop_assert_eq!(&found, &Scan::Message(range.clone()));
                guesser.accept(range);
                prop_assert_eq!(guesser.scan(&stream), scanner.clone().scan(&stream));
            }
            if matches!(found, Scan::NeedMore | Scan::TooLarge) {
                break;
            }
        }
    }

    /// Every byte is looked at once: what was scanned may change without consequence.
    #[test]
    fn nothing_is_scanned_twice(texts in proptest::collection::vec(samples::object(), 1..4)) {
        let stream = texts.concat().into_bytes();
        let mut scanner = Scanner::new(BYTES_MAX, DEPTH_MAX);
        let (mut buffer, mut ends) = (Vec::new(), Vec::new());
        for byte in stream {
            buffer.push(byte);
            match scanner.scan(&buffer) {
                Scan::Message(range) => ends.push(range.end),
                other => prop_assert_eq!(other, Scan::NeedMore),
            }
            buffer.fill(0xff);
        }
        let lengths = texts.iter().scan(0, |end, text| { *end += text.len(); Some(*end) });
        prop_assert_eq!(ends, lengths.collect::<Vec<_>>());
    }
}

/// What is read from each stream: `m` a message, and a letter for each error.
#[test]
fn errors_are_seen_at_once_and_cost_one_line() {
    let deepest = format!("{{\"a\":{}{}}}", "[".repeat(DEPTH_MAX - 1), "]".repeat(DEPTH_MAX - 1));
    let too_deep = format!("{{\"a\":{}", "[".repeat(DEPTH_MAX));
    let table: &[(&str, &str)] = &[
        ("", ""),
        (" \n\r\n\t", ""),
        ("{}", "m"),
        ("{}{}\n{ }", "mmm"),
        ("{\"a\":[1,{\"b\":\"}\"}],\"c\":-1.5e+3}", "m"),
        ("{\"\\\"\":\"\\\\\"}{}", "mm"),
        (&deepest, "m"),
        (&too_deep, "D"),
        // The first byte.
        ("[]\n{}", "Om"),
        ("\u{feff}{}\n{}", "Om"),
        ("null{}\n{}", "Om"),
        // Structure, as soon as it is wrong.
        ("{\"a\" 1", "S"),
        ("{\"a\":1 2", "S"),
        ("{\"a\":1 \"", "S"),
        ("{\"a\":1,}", "S"),
        ("{,", "S"),
        ("{a", "S"),
        ("{\"a\":}", "S"),
        ("{\"a\":[1,]", "S"),
        ("{\"a\":[1}", "S"),
        ("{\"a\":{]", "S"),
        ("{\"a\":[:", "S"),
        ("{\"a\"}", "S"),
        ("{\"a\":true\"", "S"),
        ("{\"a\":\u{e4}", "S"),
        ("{}}", "mO"),
        // Control characters.
        ("{\"a\":\"\u{1}", "C"),
        ("{\"a\u{0}", "C"),
        ("{\"a\":\"\\\u{1f}", "C"),
        ("{\u{b}", "C"),
        // The line end in the string ends the message's line.
        ("{\"a\":\"b\n{}", "Cm"),
        ("{\"a\":\"b\\\n{}", "Cm"),
        // One that was never closed: the object on the next line is the next message.
        ("{\"a\":\"b\"\n{}", "Sm"),
        ("{\"a\":1,\n \t{}", "Sm"),
        ("{\"a\":1\r\n{}", "Sm"),
        ("{\n{}", "Sm"),
        // Only at the beginning of a line.
        ("{\"a\":1 {}\n{}", "Sm"),
        ("{\"a\":[{\n{}]}\n{}", "SmOm"),
        // A line of rubbish is one error, however long.
        ("rubbish } ] \" { { \u{1}\n{}", "Om"),
    ];
    for (stream, expected) in table {
        let seen: String = read(stream.as_bytes(), &[usize::MAX])
            .iter()
            .map(|one| match one {
                Ok(_) => 'm',
                Err(Some(Malformed::NotAnObject)) => 'O',
                Err(Some(Malformed::TooDeep)) => 'D',
                Err(Some(Malformed::ControlCharacter)) => 'C',
                Err(Some(Malformed::Structure)) => 'S',
                Err(other) => panic!("{stream}: {other:?}"),
            })
            .collect();
        assert_eq!(&seen, expected, "{stream:?}");
    }
}

/// What is in an escape is for the parser to judge, but for the line end that it may hide.
#[test]
fn an_escaped_blank_does_not_end_a_message() {
    let text = br#"{"a\ ":"\ "}"#;
    assert_eq!(read(text, &[1]), [Ok(text.to_vec())]);
    assert_eq!(read(b"{\"a\":\"\\\x1f", &[1]), [Err(Some(Malformed::ControlCharacter))]);
}

#[test]
fn brackets_close_what_they_open() {
    for text in [r#"{"a":1]"#, r#"{"a":"b"]"#, r#"{"a":[1}"#, r#"{"a":["b"}"#] {
        assert_eq!(read(text.as_bytes(), &[usize::MAX]), [Err(Some(Malformed::Structure))], "{text}");
    }
}

#[test]
fn a_message_may_have_the_largest_size_and_not_one_byte_more() {
    let message = |length: usize| format!("{{\"a\":\"{}\"}}", "b".repeat(length - 8)).into_bytes();
    for pieces in [1, 100, usize::MAX] {
        assert_eq!(read(&message(BYTES_MAX), &[pieces]), [Ok(message(BYTES_MAX))]);
        assert_eq!(read(&message(BYTES_MAX + 1), &[pieces]), [Err(None)]);
        // What lies between messages is no part of them.
        let padded = [vec![b'\n'; 2 * BYTES_MAX], b"{}".to_vec()].concat();
        assert_eq!(read(&padded, &[pieces]), [Ok(b"{}".to_vec())]);
        // Rubbish is not kept, so it has no size.
        let rubbish = [vec![b'x'; 2 * BYTES_MAX], b"\n{}".to_vec()].concat();
        assert_eq!(read(&rubbish, &[pieces]), [Err(Some(Malformed::NotAnObject)), Ok(b"{}".to_vec())]);
    }
}

#[test]
fn guesses_are_made_about_whole_lines_once() {
    let guess = |stream: &str| Scanner::new(20, DEPTH_MAX).guess(stream.as_bytes());
    for (stream, expected) in [
        ("{\"a\":1}\n", Some(0..7)),
        (" \r\n{\"a\":1} \r\n", Some(3..10)),
        ("{}{}\n", Some(0..4)),
        ("{\"a\":1}", None),
        ("{\"a\":\n1}\n", None),
        ("{\"a\":\"\\n\"}\n", None),
        ("x{}\n", None),
        ("{\"a\":\"0123456789ab\"}\n", Some(0..20)),
        ("{\"a\":\"0123456789abc\"}\n", None),
    ] {
        assert_eq!(guess(stream), expected, "{stream:?}");
    }
    // Objects on one line: one guess for all of them, and the next one behind the line.
    let stream = b"{}{}{}\n{}\n";
    let mut scanner = Scanner::new(BYTES_MAX, DEPTH_MAX);
    let guesses: Vec<_> = (0..4)
        .map(|_| {
            let guess = scanner.guess(stream);
            scanner.scan(stream);
            guess
        })
        .collect();
    assert_eq!(guesses, [Some(0..6), None, None, Some(7..9)]);
}

#[test]
fn a_message_that_the_parser_refuses_costs_the_rest_of_its_line() {
    let stream = b"{\"a\":tru}{\"b\":1}\n{}";
    let mut scanner = Scanner::new(BYTES_MAX, DEPTH_MAX);
    assert_eq!(scanner.scan(stream), Scan::Message(0..9));
    scanner.discard_line();
    assert!(!scanner.in_message());
    assert_eq!(scanner.scan(stream), Scan::Message(17..19));
}
