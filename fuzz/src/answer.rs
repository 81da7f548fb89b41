//! Answers as the command line reads them: a server may send anything.

use repsec::cli::answer::{Answer, reason};
use serde_json::Value;

/// Reads the bytes as an answer and asks everything of it.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(answer) = Answer::parse(text.to_owned()) else { return };
    let value: Value = serde_json::from_str(text).expect("an answer is JSON");
    assert_eq!(value["status"].as_u64(), Some(u64::from(answer.status())));
    assert_eq!(answer.raw(), text);
    assert_eq!(Some(answer.members()), value.as_object());
    assert!(answer.reason().starts_with(&answer.status().to_string()));
    let _ = (answer.exit(), answer.is_replayed(), answer.retry_after_s(), answer.text("message"));
    for name in ["results", "events"] {
        answer.items(name).iter().filter_map(Value::as_object).for_each(|entry| drop(reason(entry)));
    }
}
