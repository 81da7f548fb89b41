//! Tests of `audit`.

use clap::Parser as _;

use super::*;
use crate::cli::client::ClientError;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    audit: AuditArgs,
}

fn args(line: &[&str]) -> AuditArgs {
    Line::try_parse_from([&["repsec"], line].concat()).unwrap().audit
}

/// A server with so many events of one entity, which gives `page` of them at a time; it keeps what it was asked.
struct Paged {
    events: u64,
    page: u64,
    asked: Vec<Request>,
}

impl Exchange for Paged {
    fn exchange(
        &mut self,
        count: usize,
        build: &mut dyn FnMut(usize) -> Request,
        answered: &mut dyn FnMut(usize, Answer),
    ) -> Result<(), ClientError> {
        for number in 0..count {
            let request = build(number);
            let of = |name: &str| request.member(name).cloned().unwrap_or_default();
            let begin: u64 = of("cursor").as_str().map_or(0, |cursor| cursor.parse().unwrap());
            let end = self.events.min(begin + self.page.min(of("limit").as_u64().unwrap()));
            let events: Vec<Value> = (begin..end).map(|number| serde_json::json!({ "sequence": number })).collect();
            let mut answer = serde_json::json!({ "status": 200, "events": events });
            if end < self.events {
                answer["next"] = Value::from(end.to_string());
            }
            self.asked.push(request);
            answered(number, Answer::parse(answer.to_string()).unwrap());
        }
        Ok(())
    }
}

#[test]
fn pages_are_followed_to_the_end_or_to_the_limit() {
    for (line, events, page, expected_events, expected_pages) in [
        (&["x"][..], 0, 10, 0, 1),
        (&["x"], 25, 10, 25, 3),
        (&["x"], 20, 10, 20, 2),
        (&["x", "--limit", "7"], 25, 10, 7, 1),
        (&["x", "--limit", "12"], 25, 10, 12, 2),
        (&["x", "--limit", "100"], 25, 10, 25, 3),
    ] {
        let mut server = Paged { events, page, asked: Vec::new() };
        let mut seen = Vec::new();
        let end = follow_pages(&args(line), &mut server, &mut |page| {
            seen.extend(page.items("events").iter().map(|event| event["sequence"].as_u64().unwrap()));
            Ok(())
        });
        assert!(end.unwrap().is_none());
        assert_eq!(seen, (0..expected_events).collect::<Vec<_>>(), "{line:?}");
        assert_eq!(server.asked.len(), expected_pages, "{line:?}");
    }
}

#[test]
fn the_options_become_members() {
    let typed = args(&["x", "--since", "2026-08-01T02:00:00+02:00", "--order", "desc"]);
    let expected = "{\"command\":\"AUDIT\",\"cursor\":\"c\",\"entity\":\"x\",\"limit\":9,\"order\":\"desc\",\
                    \"since\":\"2026-08-01T00:00:00Z\"}\n";
    assert_eq!(page_request(&typed, 9, Some("c")).line(None), expected);
}

#[test]
fn events_are_rows() {
    let events = [
        r#"{"sequence":7,"time":"2026-08-22T10:00:00Z","event":"registered","actor":"","detail":{"type":"ip"}}"#,
        r#"{"sequence":12,"time":"2026-08-23T10:00:00Z","event":"removed","actor":"a\u001b[2J"}"#,
    ];
    let rows = events.map(|event| row(&serde_json::from_str(event).unwrap()));
    let expected = "\
SEQUENCE  TIME                  EVENT       ACTOR       DETAIL
7         2026-08-22T10:00:00Z  registered  -           {\"type\":\"ip\"}
12        2026-08-23T10:00:00Z  removed     a\\u{1b}[2J  -
";
    assert_eq!(table(["SEQUENCE", "TIME", "EVENT", "ACTOR", "DETAIL"], rows), expected);
}
