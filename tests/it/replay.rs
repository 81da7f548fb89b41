//! The state is a function of the log (P3): however it is rebuilt, it is the same, bit for bit.

use serde_json::json;

use crate::harness::{Server, Setup, data_file, each};

/// A member of a line of the server's log: `name=value`.
fn logged(line: &str, name: &str) -> String {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line:?}")).trim_matches('"').to_owned()
}

/// The state hash and the sequence of the log's last event, as the server says them in the line with `text`.
pub fn state(server: &Server, text: &str) -> (String, String) {
    let line = server.await_log(text);
    (logged(&line, "state_hash"), logged(&line, "sequence"))
}

/// Starts the server again in each way, and fails unless its state is always the same.
fn assert_same_state_everywhere(mut server: Server, starts: &[Setup]) {
    assert_eq!(server.terminate(), 0);
    let closed = state(&server, "store closed");
    for shards in ["1", "2", "8"] {
        let replayed = server.home().log(&["replay", "--shards", shards]);
        let found = (replayed["state_hash"].as_str().unwrap().to_owned(), replayed["sequence"].to_string());
        assert_eq!(found, closed, "{shards} shards");
    }
    for setup in starts {
        server.start_again_as(setup);
        assert_eq!(state(&server, "state recovered"), closed);
        server.terminate();
        assert_eq!(state(&server, "store closed"), closed);
        server.start_again_as(setup);
        assert_eq!(state(&server, "state recovered"), closed);
        server.kill();
    }
    server.home().verified_events();
}

#[test]
fn a_replay_makes_the_state_that_the_server_had() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        server.run(&["import", data_file("disposable-email-domains-history.jsonl").to_str().unwrap()]).ended(3);
        assert_same_state_everywhere(server, &[setup.clone(), setup.clone().shards(2)]);
    });
}

#[test]
fn a_start_from_a_snapshot_and_its_tail_makes_the_same_state() {
    each(&[1, 3], |setup| {
        let often = setup.clone().config("[log]\nsnapshot_events = 1000\n");
        let server = often.start();
        server.run(&["import", data_file("disposable-email-domains-history.jsonl").to_str().unwrap()]).ended(3);
        server.await_snapshot();
        server
            .client()
            .ask_all((0..300).map(|at| json!({"command": "REGISTER", "entity": format!("tail{at}.example")})));
        let home = std::sync::Arc::clone(server.home());
        assert_same_state_everywhere(server, &[often.clone(), setup.clone(), often.clone().shards(2)]);
        let stat = home.log(&["stat"]);
        let start = stat["snapshot"]["start"].as_u64().unwrap_or_else(|| panic!("no snapshot was taken: {stat}"));
        assert!(start > 0 && start < stat["sequence"].as_u64().unwrap(), "the snapshot has a tail: {stat}");
    });
}

#[test]
fn an_empty_store_has_a_state_too() {
    each(&[1, 3], |setup| assert_same_state_everywhere(setup.start(), std::slice::from_ref(setup)));
}
