//! Tests of `verify`.

use super::*;

fn chunk(names: &[&str]) -> Chunk {
    let mut chunk = Chunk::default();
    for name in names {
        chunk.push((*name).to_owned()).unwrap();
    }
    chunk
}

fn printed(names: &[&str], answer: &str, json: bool) -> (String, Exit) {
    let mut out = Vec::new();
    let answer = Answer::parse(answer.to_owned()).unwrap();
    let exit = print_bulk(&chunk(names), &answer, json, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), exit)
}

#[test]
fn results_are_one_line_a_name() {
    let answer = r#"{"status":200,"results":[{"status":200,"verified":true,"type":"domain","last_updated":"2026-08-22T10:00:00Z"},
        {"status":404,"verified":false},{"status":400,"error":"bad_entity","detail":"has an empty label"},{"status":200,"verified":false}]}"#;
    let expected = "\
yes    a.example  (domain, last updated 2026-08-22T10:00:00Z)
no     b.example
error  c..example  (400 bad_entity: has an empty label)
no     d.example  (registered, but not as claimed)
";
    let names = ["a.example", "b.example", "c..example", "d.example"];
    assert_eq!(printed(&names, answer, false), (expected.to_owned(), Exit::Failed));
    let no = r#"{"status":200,"results":[{"status":200,"verified":true},{"status":404,"verified":false}]}"#;
    assert_eq!(printed(&["a.example", "b.example"], no, false).1, Exit::No);
}

#[test]
fn json_is_the_answer_as_it_is() {
    let answer = r#"{"status":200, "results":[{"status":200,"verified":true}]}"#;
    assert_eq!(printed(&["a"], answer, true), (format!("{answer}\n"), Exit::Yes));
}

#[test]
fn a_refused_or_incomplete_message_is_a_failure() {
    assert_eq!(printed(&["a"], r#"{"status":429}"#, false), (String::new(), Exit::Failed));
    assert_eq!(printed(&["a"], r#"{"status":200,"results":[]}"#, false), (String::new(), Exit::Failed));
}

#[test]
fn moments_and_digests_are_checked_before_they_are_sent() {
    assert_eq!(parse_moment("12").unwrap(), Value::from(12));
    assert_eq!(parse_moment("2026-08-22T10:00:00Z").unwrap(), Value::from("2026-08-22T10:00:00Z"));
    for bad in ["", "-1", "yesterday", "2026-08-22"] {
        assert!(parse_moment(bad).is_err(), "{bad}");
    }
    assert_eq!(parse_digest(&"AB".repeat(32)).unwrap(), "ab".repeat(32));
    for bad in ["", "ab", &"g".repeat(64), &"a".repeat(65)] {
        assert!(parse_digest(bad).is_err(), "{bad}");
    }
}

#[test]
fn lines_of_the_input_are_names_comments_or_errors() {
    let name = |line: &[u8]| name_of_line(Ok(line.to_vec())).map(Result::ok);
    assert_eq!(name(b"example.com\r"), Some(Some("example.com".to_owned())));
    assert_eq!(name(b"  "), None);
    assert_eq!(name(b"# a comment"), None);
    assert_eq!(name(b"\xff"), Some(None));
}

#[test]
fn names_gather_into_messages_without_loss() {
    let (giving, coming) = bounded(3000);
    for number in 1..2500 {
        giving.send(Ok(format!("h{number}.example"))).unwrap();
    }
    drop(giving);
    let mut names = Names { coming, held: None };
    let mut all = Vec::new();
    let mut next = Some("h0.example".to_owned());
    while let Some(first) = next {
        let chunk = names.gather(first).unwrap();
        assert!(chunk.names().len() <= bulk::NAMES_MAX);
        all.extend(chunk.names().to_vec());
        next = names.held.take();
    }
    assert_eq!(all, (0..2500).map(|number| format!("h{number}.example")).collect::<Vec<_>>());
}
