//! Tests of `json`.

use proptest::prelude::*;

use super::*;
use crate::wire::samples::{self, Tree};

const DEPTH_MAX: usize = 16;

fn tree(value: Value<'_>) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(value),
        Value::Number(Number::Unsigned(value)) => Tree::Unsigned(value),
        Value::Number(Number::Negative(value)) => Tree::Negative(value),
        Value::Number(Number::Double(value)) => Tree::Double(value),
        Value::Text(text) => Tree::Text(text.to_owned()),
        Value::Array(array) => {
            let elements: Vec<Tree> = array.elements().map(tree).collect();
            assert_eq!(elements.len(), array.len());
            assert_eq!(elements.is_empty(), array.is_empty());
            Tree::Array(elements)
        }
        Value::Object(object) => object_tree(object),
    }
}

fn object_tree(object: Object<'_>) -> Tree {
    let members: Vec<(String, Tree)> = object.members().map(|(name, value)| (name.to_owned(), tree(value))).collect();
    assert_eq!(members.len(), object.len());
    assert_eq!(members.is_empty(), object.is_empty());
    Tree::Object(members)
}

/// What our parser reads: `Err(None)` is a repeated name. With padding the message is parsed without a copy.
fn read(parser: &mut Parser, bytes: &[u8], padding: Option<u8>) -> Result<Tree, Option<Malformed>> {
    let mut buffer = bytes.to_vec();
    if let Some(byte) = padding {
        buffer.resize(bytes.len() + PADDING_BYTES, byte);
    }
    let outcome = match parser.parse(&mut buffer, bytes.len()) {
        Ok(document) => document.object().map(object_tree).map_err(|_| None),
        Err(what) => Err(Some(what)),
    };
    assert!(buffer[bytes.len()..].iter().all(|byte| Some(*byte) == padding), "the padding was changed");
    outcome
}

/// `serde_json` rounds doubles less exactly, and reads integers outside of 64 bits and `-0` as doubles. Everything else
/// must be the same.
fn agree(ours: &Tree, theirs: &Tree) -> bool {
    match (ours, theirs) {
        (Tree::Double(one), Tree::Double(other)) => samples::near(*one, *other),
        (Tree::Unsigned(0), Tree::Double(other)) => *other == 0.0,
        (Tree::Array(one), Tree::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| agree(one, other))
        }
        (Tree::Object(one), Tree::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && agree(&one.1, &other.1))
        }
        (one, other) => one == other,
    }
}

/// Whether the text may hold an integer outside of 64 bits, which is malformed to us alone. A run of 19 digits or more
/// is a generous guess.
fn may_hold_a_huge_integer(bytes: &[u8]) -> bool {
    bytes.split(|byte| !byte.is_ascii_digit()).any(|run| run.len() >= 19)
}

fn check(parser: &mut Parser, bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = read(parser, bytes, None);
    for padding in [b' ', b'"', 0xff] {
        prop_assert_eq!(&read(parser, bytes, Some(padding)), &ours);
    }
    match (&ours, Tree::read(bytes)) {
        (Ok(ours), Some(theirs)) => prop_assert!(agree(ours, &theirs), "{ours:?} {theirs:?}"),
        (Ok(ours), None) => prop_assert!(false, "only we accept {ours:?}"),
        (Err(None), Some(theirs)) => prop_assert!(theirs.names_repeat()),
        (Err(None), None) => prop_assert!(false, "a repeated name was seen in what is no JSON"),
        (Err(Some(_)), None) => {}
        (Err(Some(Malformed::NotAnObject)), Some(theirs)) => prop_assert!(!matches!(theirs, Tree::Object(_))),
        (Err(Some(Malformed::TooDeep)), Some(theirs)) => prop_assert!(theirs.depth() > DEPTH_MAX),
        (Err(Some(Malformed::Number)), Some(_)) => prop_assert!(may_hold_a_huge_integer(bytes)),
        (Err(what), Some(theirs)) => prop_assert!(false, "only we refuse, for {what:?}: {theirs:?}"),
    }
    Ok(())
}

/// The parser is somebody else's, so it is tried more often than our own code.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: 4 * usual.cases, ..usual }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn valid_objects_are_read_as_serde_json_reads_them(text in samples::object()) {
        check(&mut Parser::new(DEPTH_MAX), text.as_bytes())?;
    }

    #[test]
    fn nearly_valid_objects_are_judged_as_serde_json_judges_them(text in samples::object(), edits in samples::edits()) {
        check(&mut Parser::new(DEPTH_MAX), &samples::edited(&text, &edits))?;
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_judges_them(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        framed in any::<bool>(),
    ) {
        let bytes = if framed { [b"{\"a\":", bytes.as_slice(), b"}"].concat() } else { bytes };
        check(&mut Parser::new(DEPTH_MAX), &bytes)?;
    }

    #[test]
    fn doubles_are_the_nearest_ones(text in samples::number()) {
        let message = format!("{{\"a\":{text}}}");
        let exact: f64 = text.parse().unwrap();
        match read(&mut Parser::new(DEPTH_MAX), message.as_bytes(), None) {
            Ok(Tree::Object(members)) => match members[0].1 {
                Tree::Unsigned(value) => prop_assert_eq!(text.replace("-0", "0"), value.to_string()),
                Tree::Negative(value) => prop_assert_eq!(text, value.to_string()),
                Tree::Double(value) => prop_assert_eq!(value.to_bits(), exact.to_bits()),
                ref other => prop_assert!(false, "{other:?}"),
            },
            _ => prop_assert!(exact.is_infinite() || may_hold_a_huge_integer(text.as_bytes())),
        }
    }

    /// A parser keeps its memory, and nothing else, from message to message.
    #[test]
    fn messages_leave_no_trace(texts in proptest::collection::vec((samples::object(), samples::edits()), 1..8)) {
        let mut kept = Parser::new(DEPTH_MAX);
        for (text, edits) in texts {
            let bytes = samples::edited(&text, &edits);
            prop_assert_eq!(
                read(&mut kept, &bytes, Some(b'{')),
                read(&mut Parser::new(DEPTH_MAX), &bytes, Some(b'{'))
            );
        }
    }
}

/// The tape of a usual message is used again; that of an unusual one is not kept.
#[test]
fn memory_is_kept_up_to_a_bound() {
    let mut parser = Parser::new(DEPTH_MAX);
    let message = |zeros: usize| format!("{{\"a\":[0{}]}}", ",0".repeat(zeros)).into_bytes();
    let _ = read(&mut parser, &message(10), None);
    assert!((1..=TAPE_NODES_KEPT).contains(&parser.tape.0.capacity()));
    let _ = read(&mut parser, &message(2 * TAPE_NODES_KEPT), None);
    assert!(parser.tape.0.capacity() <= TAPE_NODES_KEPT);
}

#[test]
fn names_are_compared_unescaped_at_every_depth() {
    let many: String = (0..40).map(|i| format!("\"n{i}\":0,")).collect();
    let table = [
        (r#"{"a":1,"b":2}"#.to_owned(), true),
        (r#"{"a":1,"a":1}"#.to_owned(), false),
        (r#"{"a":1,"\u0061":1}"#.to_owned(), false),
        (r#"{"a":{"b":1,"c":{"a":1}},"b":1}"#.to_owned(), true),
        (r#"{"a":[[{"b":1,"c":2,"b":1}]]}"#.to_owned(), false),
        (r#"{"":1,"a":2}"#.to_owned(), true),
        (r#"{"":1,"":2}"#.to_owned(), false),
        (format!("{{{many}\"z\":1}}"), true),
        (format!("{{{many}\"n7\":1}}"), false),
    ];
    let mut parser = Parser::new(DEPTH_MAX);
    for (text, accepted) in table {
        let outcome = read(&mut parser, text.as_bytes(), Some(0));
        assert_eq!(outcome.is_ok(), accepted, "{text}");
        assert!(accepted || outcome == Err(None), "{text}: {outcome:?}");
    }
}

#[test]
fn of_a_repeated_object_only_sole_members_are_seen() {
    let mut parser = Parser::new(DEPTH_MAX);
    let mut bytes = br#"{"id":7,"command":"PING","command":"REMOVE"}"#.to_vec();
    let length = bytes.len();
    let document = parser.parse(&mut bytes, length).unwrap();
    let repeated = document.object().unwrap_err();
    assert!(matches!(repeated.sole("id"), Some(Value::Number(Number::Unsigned(7)))));
    assert!(repeated.sole("command").is_none());
    assert!(repeated.sole("absent").is_none());
}

#[test]
fn refusals_name_their_reason() {
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1)).into_bytes();
    let table: &[(&[u8], Malformed)] = &[
        (b"[]", Malformed::NotAnObject),
        (b"\"a\"", Malformed::NotAnObject),
        (b"{\"a\":\"\xff\"}", Malformed::Utf8),
        (b"{\"a\":\"\xc0\xaf\"}", Malformed::Utf8),
        (b"{\"a\":\"\xed\xa0\x80\"}", Malformed::Utf8),
        (b"{\"a\":\"\\ud800\"}", Malformed::Escape),
        (b"{\"a\":\"\\udc00\"}", Malformed::Escape),
        (b"{\"a\":\"\\ud800\\u0041\"}", Malformed::Escape),
        (b"{\"a\":\"\\x41\"}", Malformed::Escape),
        (b"{\"a\":\"\\u00g0\"}", Malformed::Escape),
        (b"{\"a\":1e999}", Malformed::Number),
        (b"{\"a\":-1e999}", Malformed::Number),
        (b"{\"a\":01}", Malformed::Number),
        (b"{\"a\":1.}", Malformed::Number),
        (b"{\"a\":-}", Malformed::Number),
        (b"{\"a\":18446744073709551616}", Malformed::Number),
        (b"{\"a\":-9223372036854775809}", Malformed::Number),
        (b"{\"a\":NaN}", Malformed::Structure),
        (b"{\"a\":.5}", Malformed::Structure),
        (b"{\"a\":+1}", Malformed::Structure),
        (b"{\"a\":tru}", Malformed::Structure),
        (b"{\"a\":\"\x01\"}", Malformed::Structure),
        (b"{\"a\":1}x", Malformed::Structure),
        (b"{\"a\":1}{}", Malformed::Structure),
        (b"{\"a\":1", Malformed::Structure),
        (b"", Malformed::Structure),
        (&deep(DEPTH_MAX + 1), Malformed::TooDeep),
    ];
    let mut parser = Parser::new(DEPTH_MAX);
    for (bytes, what) in table {
        for padding in [None, Some(b'"')] {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(read(&mut parser, bytes, padding), Err(Some(*what)), "{shown}");
        }
    }
    assert!(read(&mut parser, &deep(DEPTH_MAX), None).is_ok());
}

#[test]
fn integers_are_exact_and_the_agreed_range_is_known() {
    let mut parser = Parser::new(DEPTH_MAX);
    for (text, number, agreed) in [
        ("0", Number::Unsigned(0), Some(0)),
        ("-0", Number::Unsigned(0), Some(0)),
        ("9007199254740991", Number::Unsigned(INTEGER_MAX), Some(INTEGER_MAX)),
        ("9007199254740992", Number::Unsigned(INTEGER_MAX + 1), None),
        ("18446744073709551615", Number::Unsigned(u64::MAX), None),
        ("-1", Number::Negative(-1), None),
        ("-9223372036854775808", Number::Negative(i64::MIN), None),
        ("1.0", Number::Double(1.0), None),
        ("1e2", Number::Double(100.0), None),
    ] {
        let mut bytes = format!("{{\"a\":{text}}}").into_bytes();
        let length = bytes.len();
        let document = parser.parse(&mut bytes, length).unwrap();
        let (_, value) = document.object().unwrap().members().next().unwrap();
        assert!(matches!(value, Value::Number(found) if found == number && found.as_unsigned() == agreed), "{text}");
    }
}
