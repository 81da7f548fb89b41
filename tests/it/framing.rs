//! However the bytes of a conversation are cut, it is the same conversation (`repsec:O1`, `O2`, `O14`).

use serde_json::{Value, json};

use crate::harness::{Client, End, Server, each, outcome};

/// The most that a TLS record holds.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Many commands for one connection: more than it may have outstanding, so that back-pressure is part of the test.
const COMMANDS: usize = 3000;

/// A PING, or a VERIFY of a name that is registered, or of one that is not; the id tells which.
fn mixture(number: usize) -> Value {
    match number % 3 {
        0 => json!({"command": "PING", "id": number}),
        1 => json!({"command": "VERIFY", "entity": "known.example", "id": number}),
        _ => json!({"command": "VERIFY", "entity": format!("h{number}.example"), "id": number}),
    }
}

fn judge_mixture(number: usize, answer: &Value) {
    assert_eq!(answer["id"], number, "answers come in the order of the commands: {answer}");
    match number % 3 {
        0 => assert_eq!(answer["message"], "pong"),
        1 => assert_eq!(answer["verified"], true),
        _ => assert_eq!((outcome(answer), &answer["verified"]), ((404, "not_registered"), &json!(false))),
    }
}

fn lines(commands: impl Iterator<Item = Value>) -> String {
    commands.map(|command| format!("{command}\n")).collect()
}

fn started_with_known(setup: &crate::harness::Setup) -> (Server, Client) {
    let server = setup.start();
    let mut client = server.client();
    client.ask(json!({"command": "REGISTER", "entity": "known.example"}));
    (server, client)
}

#[test]
fn one_byte_per_record() {
    each(&[1, 3], |setup| {
        let (_server, mut client) = started_with_known(setup);
        client.send_in_records(lines((0..6).map(mixture)), 1);
        (0..6).for_each(|number| judge_mixture(number, &client.answer()));
    });
}

#[test]
fn hundreds_of_commands_in_one_record() {
    each(&[1, 3], |setup| {
        let (_server, mut client) = started_with_known(setup);
        let (mut text, mut count) = (String::new(), 0);
        loop {
            let line = lines(std::iter::once(mixture(count)));
            if text.len() + line.len() > RECORD_BYTES_MAX {
                break;
            }
            text += &line;
            count += 1;
        }
        assert!(count >= 250);
        client.send(text);
        (0..count).for_each(|number| judge_mixture(number, &client.answer()));
    });
}

#[test]
fn more_commands_than_may_be_outstanding() {
    each(&[1, 3], |setup| {
        let (_server, mut client) = started_with_known(setup);
        client.send(lines((0..COMMANDS).map(mixture)));
        (0..COMMANDS).for_each(|number| judge_mixture(number, &client.answer()));
    });
}

#[test]
fn records_of_any_size() {
    each(&[1, 3], |setup| {
        let (_server, mut client) = started_with_known(setup);
        for size in [2, 3, 5, 7, 64, 1000, 4096, RECORD_BYTES_MAX] {
            let count = (size * 20).clamp(4, 400);
            client.send_in_records(lines((0..count).map(mixture)), size);
            (0..count).for_each(|number| judge_mixture(number, &client.answer()));
        }
    });
}

#[test]
fn one_object_over_three_records() {
    each(&[1], |setup| {
        let (_server, mut client) = started_with_known(setup);
        let line = lines(std::iter::once(mixture(1)));
        client.send_in_records(&line, line.len().div_ceil(3));
        judge_mixture(1, &client.answer());
        // A record may also hold the end of one message, some whole ones and the beginning of the next.
        let text = lines((0..9).map(mixture));
        for (from, to) in [(0, 10), (10, 150), (150, text.len())] {
            client.send(&text[from..to]);
        }
        (0..9).for_each(|number| judge_mixture(number, &client.answer()));
    });
}

#[test]
fn every_form_that_a_message_may_have() {
    let pretty = serde_json::to_string_pretty(&mixture(4)).unwrap();
    let forms = [
        ("LF", format!("{}\n", mixture(4)), vec![4]),
        ("CRLF", format!("{}\r\n", mixture(4)), vec![4]),
        ("no line end", mixture(4).to_string(), vec![4]),
        ("several on one line", format!("{}{} {}\n", mixture(0), mixture(1), mixture(2)), vec![0, 1, 2]),
        ("pretty-printed", format!("{pretty}\n"), vec![4]),
        ("pretty-printed with CRLF", format!("{}\r\n", pretty.replace('\n', "\r\n")), vec![4]),
        (
            "empty lines before, between and behind",
            format!("\n\r\n{}\n\n \n{}\n\n", mixture(1), mixture(3)),
            vec![1, 3],
        ),
        ("trailing white space", format!("{} \t \r\n", mixture(0)), vec![0]),
    ];
    each(&[1], |setup| {
        let (_server, mut client) = started_with_known(setup);
        for (form, text, numbers) in &forms {
            println!("{form}");
            for size in [text.len(), 1] {
                client.send_in_records(text, size);
                numbers.iter().for_each(|number| judge_mixture(*number, &client.answer()));
            }
        }
    });
}

#[test]
fn a_utf_8_sequence_split_across_records() {
    each(&[1], |setup| {
        let (_server, mut client) = started_with_known(setup);
        // Two, three and four bytes a letter; each byte of the line ends a record once.
        for (number, entity) in
            ["b\u{fc}cher.example", "\u{4f8b}\u{3048}.example", "\u{1d4b6}b.example"].iter().enumerate()
        {
            client.ask(json!({"command": "REGISTER", "entity": entity}));
            let line = format!("{}\n", json!({"command": "VERIFY", "entity": entity, "id": number}));
            for cut in 1..line.len() {
                client.send(&line.as_bytes()[..cut]);
                client.send(&line.as_bytes()[cut..]);
            }
            for _ in 1..line.len() {
                let answer = client.answer();
                assert_eq!((&answer["id"], &answer["verified"]), (&json!(number), &json!(true)), "{answer}");
            }
        }
    });
}

#[test]
fn the_last_message_needs_no_line_end_before_the_connection_is_half_closed() {
    each(&[1, 3], |setup| {
        let (_server, mut client) = started_with_known(setup);
        client.send(lines((0..200).map(mixture)));
        client.send(mixture(200).to_string());
        client.finish();
        let (answers, end) = client.drain();
        assert_eq!((answers.len(), end), (201, End::CloseNotify));
        answers.iter().enumerate().for_each(|(number, answer)| judge_mixture(number, answer));
    });
}

#[test]
fn a_truncated_last_message_is_never_executed() {
    each(&[1], |setup| {
        let server = setup.start();
        let whole = json!({"command": "REGISTER", "entity": "half.example"}).to_string();
        for cut in [1, whole.len() / 2, whole.len() - 1] {
            let mut client = server.client();
            client.send(lines(std::iter::once(mixture(0))));
            client.send(&whole.as_bytes()[..cut]);
            client.finish();
            let (answers, end) = client.drain();
            judge_mixture(0, &answers[0]);
            assert!(answers[1..].iter().all(|answer| answer["status"] == 400), "{answers:?}");
            assert_eq!(end, End::CloseNotify);
        }
        let answer = server.client().ask(json!({"command": "AUDIT", "entity": "half.example"}));
        assert_eq!(outcome(&answer), (404, "unknown_entity"));
    });
}

#[test]
fn ids_come_back_as_they_were_sent() {
    each(&[1], |setup| {
        let server = setup.start();
        let mut client = server.client();
        let longest = "x".repeat(256);
        let ids = [
            json!(0),
            json!(-1),
            json!(9_007_199_254_740_991_u64),
            json!(""),
            json!("a\"\\\u{0}\u{e9}"),
            json!(longest),
        ];
        for id in ids {
            for command in ["PING", "VERIFY", "NOTHING"] {
                let answer = client.ask(json!({"id": id, "command": command, "entity": "a.example"}));
                assert_eq!(answer["id"], id, "{answer}");
            }
        }
        let answer = client.ask(json!({"command": "PING"}));
        assert!(answer.get("id").is_none(), "{answer}");
    });
}

#[test]
fn errors_do_not_overtake_and_do_not_close() {
    each(&[1, 3], |setup| {
        let (_server, mut client) = started_with_known(setup);
        // Every second line is broken: the answers stay in their places, and the connection goes on.
        let text: String = (0..300).map(|number| format!("{}\nrubbish\n", mixture(number))).collect();
        client.send(text);
        for number in 0..300 {
            judge_mixture(number, &client.answer());
            assert_eq!(outcome(&client.answer()), (400, "malformed"));
        }
    });
}
