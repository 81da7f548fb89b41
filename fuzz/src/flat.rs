//! The reader of flat messages against `serde_json`: what it accepts ends at the same byte and says the same.

use repsec::wire::flat::{self, Flat};

use super::tree::{self, Tree};

/// Reads the bytes both ways: as a single command, and with lists as in a bulk lookup.
pub fn run(data: &[u8]) {
    for lists in [false, true] {
        let Some((length, members)) = read(data, data.len(), lists) else { continue };
        let (theirs, end) = tree::first(data).expect("what is flat is JSON");
        assert_eq!(length, end, "the message ends elsewhere");
        assert_eq!(Tree::Object(members.clone()), theirs);
        for filler in *b"\"}\n1" {
            let mut padded = data.to_vec();
            padded.resize(data.len() + 128, filler);
            let again = read(&padded, data.len(), lists);
            assert_eq!(again, Some((length, members.clone())), "what stands behind a message matters");
        }
    }
}

type Members = Vec<(String, Tree)>;

/// What a caller does: it refuses names that it has seen, and texts that are not UTF-8.
pub fn read(data: &[u8], len: usize, lists: bool) -> Option<(usize, Members)> {
    let members = std::cell::RefCell::new(Members::new());
    let member = |name: &[u8], value: Flat<'_>| {
        let value = match value {
            Flat::Text(text) => utf8(text).map(Tree::Text),
            Flat::Number(number, spelled) => {
                let number = Tree::of_number(number);
                assert_eq!(Some((number.clone(), spelled.len())), tree::first(spelled));
                Some(number)
            }
            Flat::Object(text) => utf8(text).and_then(|text| serde_json::from_str(&text).ok()),
        };
        let (Some(name), Some(value)) = (utf8(name), value) else { return false };
        let mut members = members.borrow_mut();
        let fresh = members.iter().all(|before| before.0 != name);
        members.push((name, value));
        fresh
    };
    let length = if lists {
        flat::read_with_lists(data, len, member, |name, text, first| {
            let (Some(name), Some(text)) = (utf8(name), utf8(text)) else { return false };
            let mut members = members.borrow_mut();
            if first {
                if members.iter().any(|before| before.0 == name) {
                    return false;
                }
                members.push((name.clone(), Tree::Array(Vec::new())));
            }
            match members.last_mut() {
                Some((last, Tree::Array(texts))) if *last == name => texts.push(Tree::Text(text)),
                other => panic!("an element behind {other:?}"),
            }
            true
        })
    } else {
        flat::read(data, len, member)
    };
    length.map(|length| (length, members.into_inner()))
}

fn utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}
