//! A real list, carried over from its first day to its last, with crashes on the way.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Dice, Run, Server, command, cycles, data_file, each};

const HISTORY: &str = "disposable-email-domains-history.jsonl";
const FINAL: &str = "disposable-email-domains-final.txt";

fn history() -> Vec<Value> {
    let text = fs::read_to_string(data_file(HISTORY)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn import(server: &Server) -> Run {
    server.run(&["import", data_file(HISTORY).to_str().unwrap(), "--json"])
}

/// Names of the history that are no domains, and so are refused.
fn is_no_domain(name: &str) -> bool {
    !name.contains('.') || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// Which of these names are registered.
fn registered(client: &mut Client, names: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in names.chunks(5000) {
        let answer = client.ask(json!({"command": "VERIFY", "entities": part}));
        let results = answer["results"].as_array().unwrap();
        let yes = part.iter().zip(results).filter(|(_, result)| result["verified"] == true);
        found.extend(yes.map(|(name, _)| (*name).to_owned()));
    }
    found
}

/// Fails unless exactly the names of the final list are registered, of all that were ever on it.
fn assert_is_final(client: &mut Client, history: &[Value]) {
    let names: BTreeSet<&str> = history.iter().map(|line| line["entity"].as_str().unwrap()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let expected: BTreeSet<String> = fs::read_to_string(data_file(FINAL)).unwrap().lines().map(str::to_owned).collect();
    let found = registered(client, &names);
    assert_eq!(found.difference(&expected).next(), None, "registered, and not on the final list");
    assert_eq!(expected.difference(&found).next(), None, "on the final list, and not registered");
}

#[test]
fn the_history_of_a_list_ends_with_the_list() {
    let history = history();
    let refused = history.iter().filter(|line| is_no_domain(line["entity"].as_str().unwrap())).count();
    let all = history.len();
    each(&[1, 3], |setup| {
        let mut server = setup.start();
        // Some names of this history are no domains; their lines are refused, and the exit status says so.
        let first = import(&server).ended(3).value();
        let told = |run: &Value, name: &str| usize::try_from(run[name].as_u64().unwrap()).unwrap();
        assert_eq!((told(&first, "lines"), told(&first, "new")), (all, all - refused), "{first}");
        assert_is_final(&mut server.client(), &history);
        server.terminate();
        let before = server.home().log(&["stat"]);
        server.start_again();
        // A second run changes nothing.
        let second = import(&server).ended(3).value();
        assert_eq!((told(&second, "new"), told(&second, "refused")), (0, told(&first, "refused")), "{second}");
        server.terminate();
        let after = server.home().log(&["stat"]);
        assert_eq!((&before["sequence"], &before["digest"]), (&after["sequence"], &after["digest"]));
        assert_eq!(server.home().verified_events(), u64::try_from(all - refused).unwrap());
    });
}

#[test]
fn an_import_goes_on_behind_a_crash_of_the_server() {
    let history = history();
    each(&[1, 3], |setup| {
        let dice = Dice::new();
        for cycle in 0..cycles("REPSEC_IMPORT_CYCLES", 2) {
            let mut dice = dice.fork(cycle);
            let mut server = setup.start();
            let crashes = dice.between(1, 3);
            for _ in 0..crashes {
                crash_on_the_way(&mut server, &history, &mut dice);
            }
            import(&server).ended(3);
            assert_is_final(&mut server.client(), &history);
            server.terminate();
            let events = server.home().verified_events();
            let expected = history.iter().filter(|line| !is_no_domain(line["entity"].as_str().unwrap())).count();
            assert_eq!(events, u64::try_from(expected).unwrap(), "each line took effect once");
        }
    });
}

/// Starts an import, kills the server when some line of the file has been carried over, and starts it again.
fn crash_on_the_way(server: &mut Server, history: &[Value], dice: &mut Dice) {
    let place = usize::try_from(dice.between(0, history.len() as u64 - 1)).unwrap();
    let later = history[place..].iter().chain(history);
    let until = later.map(|line| line["entity"].as_str().unwrap()).find(|name| !is_no_domain(name)).unwrap();
    println!("a crash when {until} (line {}) is there", place + 1);
    let (address, authority) = (server.address().to_string(), server.home().authority());
    let file = data_file(HISTORY);
    let arguments = ["import", file.to_str().unwrap(), "--server", &address, "--ca", authority.to_str().unwrap()];
    let child = command(&arguments).spawn().unwrap();
    let mut client = server.client();
    let question = json!({"command": "AUDIT", "entity": until, "limit": 1});
    while client.ask(&question)["status"] == 404 {}
    server.kill();
    let output = child.wait_with_output().unwrap();
    // It either had come to its end, or tells that it had not.
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    server.start_again();
}
