//! A server in a map: the least that answers an import rightly, with faults on demand.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::answer::Answer;
use crate::cli::client::ClientError;
use crate::cli::pipeline::Exchange;
use crate::cli::request::Request;
use crate::types::Entity;

/// Events on a page, few so that there are many pages.
const PAGE_EVENTS: usize = 2;

/// The model server.
#[derive(Default)]
pub struct Model {
    /// Each entity's events, oldest first: attributes when registered, `None` when removed.
    pub events: HashMap<String, Vec<Option<Map<String, Value>>>>,
    /// First answers by nonce.
    pub nonces: HashMap<String, Value>,
    /// REGISTER and REMOVE commands that were received.
    pub changes_received: usize,
    /// Commands of any kind that were received.
    pub received: usize,
    /// The connection breaks when so many commands were received; the answers to the last of them are lost.
    pub breaks_at: Option<(usize, usize)>,
    /// Every so many commands one is answered with 429.
    pub overloaded_every: Option<usize>,
    /// How often a pause was made.
    pub pauses: usize,
}

impl Model {
    fn is_registered(&self, name: &str) -> bool {
        self.events.get(name).is_some_and(|events| matches!(events.last(), Some(Some(_))))
    }

    /// Registers without being asked.
    pub fn register_behind_the_back(&mut self, name: &str, attributes: Map<String, Value>) {
        self.events.entry(name.to_owned()).or_default().push(Some(attributes));
    }

    /// The answer to a command.
    pub fn answer(&mut self, request: &Request) -> Value {
        let text = |name: &str| request.member(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let canonical = |name: &str| Entity::parse(name).ok().map(|entity| entity.as_str().to_owned());
        let refused = json!({ "status": 400, "error": "bad_entity", "detail": "no such name" });
        match (text("command").as_str(), request.member("entities"), canonical(&text("entity"))) {
            ("CAPABILITIES", ..) => json!({ "status": 200, "log": { "id": "model" } }),
            ("VERIFY", Some(names), _) => {
                let status = |name: &Value| match canonical(name.as_str().unwrap()) {
                    Some(name) if self.is_registered(&name) => json!({ "status": 200, "verified": true }),
                    Some(_) => json!({ "status": 404, "verified": false }),
                    None => refused.clone(),
                };
                let results: Vec<Value> = names.as_array().unwrap().iter().map(status).collect();
                json!({ "status": 200, "results": results })
            }
            (_, _, None) => refused,
            ("AUDIT", _, Some(name)) => self.audit(request, &name),
            (command @ ("REGISTER" | "REMOVE"), _, Some(name)) => {
                let nonce = text("nonce");
                if let Some(first) = self.nonces.get(&nonce) {
                    return first.clone();
                }
                let answer = self.change(command, name, request);
                if answer["status"] == 200 {
                    let mut replayed = answer.clone();
                    replayed["replayed"] = json!(true);
                    self.nonces.insert(nonce, replayed);
                }
                answer
            }
            other => panic!("the import asked {other:?}"),
        }
    }

    fn change(&mut self, command: &str, name: String, request: &Request) -> Value {
        let registered = self.is_registered(&name);
        if registered == (command == "REGISTER") {
            return json!({ "status": if registered { 409 } else { 404 } });
        }
        let attributes = || request.member("attributes").and_then(Value::as_object).cloned().unwrap_or_default();
        let event = (command == "REGISTER").then(attributes);
        self.events.entry(name).or_default().push(event);
        json!({ "status": 200, "sequence": 1 })
    }

    fn audit(&self, request: &Request, name: &str) -> Value {
        assert_eq!(request.member("order"), Some(&json!("desc")));
        let Some(events) = self.events.get(name) else { return json!({ "status": 404 }) };
        let begin: usize = request.member("cursor").map_or(0, |cursor| cursor.as_str().unwrap().parse().unwrap());
        let limit = usize::try_from(request.member("limit").and_then(Value::as_u64).unwrap()).unwrap();
        assert!(limit > 0);
        let written = |event: &Option<Map<String, Value>>| match event {
            Some(attributes) => json!({ "event": "registered", "detail": { "attributes": attributes } }),
            None => json!({ "event": "removed", "detail": {} }),
        };
        let page: Vec<Value> = events.iter().rev().skip(begin).take(limit.min(PAGE_EVENTS)).map(written).collect();
        let end = begin + page.len();
        let mut answer = json!({ "status": 200, "events": page });
        if end < events.len() {
            answer["next"] = json!(end.to_string());
        }
        answer
    }
}

impl Exchange for Model {
    fn exchange(
        &mut self,
        count: usize,
        build: &mut dyn FnMut(usize) -> Request,
        answered: &mut dyn FnMut(usize, Answer),
    ) -> Result<(), ClientError> {
        for number in 0..count {
            if self.breaks_at.is_some_and(|(end, _)| self.received >= end) {
                return Err(ClientError::Cut { server: "127.0.0.1".parse().unwrap() });
            }
            let request = build(number);
            self.received += 1;
            let answer = if self.overloaded_every.is_some_and(|every| self.received.is_multiple_of(every)) {
                json!({ "status": 429, "retry_after": 1 })
            } else {
                let is_change =
                    matches!(request.member("command").and_then(Value::as_str), Some("REGISTER" | "REMOVE"));
                self.changes_received += usize::from(is_change);
                self.answer(&request)
            };
            let is_lost = self.breaks_at.is_some_and(|(end, lost)| self.received + lost > end);
            if !is_lost {
                answered(number, Answer::parse(answer.to_string()).unwrap());
            }
        }
        if self.breaks_at.is_some_and(|(end, lost)| self.received + lost > end) {
            return Err(ClientError::Cut { server: "127.0.0.1".parse().unwrap() });
        }
        Ok(())
    }

    fn pause(&mut self, _: Duration) {
        self.pauses += 1;
    }
}
