//! The command line against a running server: what it prints, and how it ends (0 yes, 1 no, 2 usage, 3 refused or
//! failed).

use serde_json::{Value, json};

use crate::harness::{Server, Setup, command, data_file, run};

fn server() -> Server {
    Setup::new("epoll", 2).start()
}

#[test]
fn the_exit_status_is_the_answer() {
    let server = server();
    for (arguments, status) in [
        (&["ping"][..], 0),
        (&["capabilities"], 0),
        (&["verify", "a.example"], 1),
        (&["remove", "a.example"], 1),
        (&["audit", "a.example"], 1),
        (&["register", "a.example", "--attribute", "reason=spam"], 0),
        (&["register", "a.example"], 1),
        (&["verify", "a.example"], 0),
        (&["verify", "A.EXAMPLE."], 0),
        (&["verify", "a.example", "--attribute", "reason=spam"], 0),
        (&["verify", "a.example", "--attribute", "reason=ham"], 1),
        (&["verify", "a.example", "b.example"], 1),
        (&["verify", "a.example", "--at", "1"], 0),
        (&["verify", "a.example", "--at", "1000"], 3),
        (&["audit", "a.example"], 0),
        (&["verify", "a..example"], 3),
        (&["verify", "a.example", "a..example", "b.example"], 3),
        (&["register", "a..example"], 3),
        (&["register", "c.example", "--type", "planet"], 3),
        (&["remove", "a.example"], 0),
        (&["verify", "a.example"], 1),
    ] {
        server.run(arguments).ended(status);
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        &["frobnicate"][..],
        &["verify"],
        &["register"],
        &["register", "a", "b"],
        &["verify", "a", "--digest", "xyz"],
        &["verify", "a", "b", "--at", "1"],
        &["ping", "--server", "host:port"],
        &["ping", "--cert", "only"],
        &["import"],
        &["import", "-"],
        &["audit", "a", "--limit", "0"],
        &["serve", "--shards", "0"],
        &["log"],
        &[],
    ] {
        let ended = run(arguments).ended(2);
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{ended:?}");
    }
}

#[test]
fn json_is_the_answer_of_the_server_and_nothing_else() {
    let server = server();
    let value = |arguments: &[&str]| server.run(&[arguments, &["--json"]].concat()).value();
    assert_eq!(value(&["register", "a.example"])["sequence"], 1);
    assert_eq!(value(&["verify", "a.example"])["verified"], true);
    assert_eq!(value(&["verify", "b.example"])["status"], 404);
    assert_eq!(value(&["verify", "a.example", "b.example"])["results"][1]["status"], 404);
    assert_eq!(value(&["audit", "a.example"])["events"][0]["event"], "registered");
    assert_eq!(value(&["ping"])["message"], "pong");
    assert!(value(&["capabilities"])["limits"].is_object());
    assert_eq!(value(&["remove", "a.example"])["sequence"], 2);
    assert_eq!(value(&["register", "a..b"])["error"], "invalid_entity");
    assert_eq!(server.run(&["ping", "--count", "3", "--json"]).json().len(), 3);
}

#[test]
fn words_and_tables_are_for_people() {
    let server = server();
    assert_eq!(server.run(&["register", "A.example"]).ended(0).stdout, "registered a.example (domain, sequence 1)\n");
    let verified = server.run(&["verify", "a.example"]).ended(0).stdout;
    assert!(verified.starts_with("yes    a.example  (domain, last updated 2"), "{verified}");
    assert_eq!(server.run(&["verify", "b.example"]).ended(1).stdout, "no     b.example\n");
    assert_eq!(server.run(&["remove", "a.example"]).ended(0).stdout, "removed a.example (sequence 2)\n");
    let audited = server.run(&["audit", "a.example", "--order", "desc"]).ended(0).stdout;
    let lines: Vec<Vec<&str>> = audited.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["SEQUENCE", "TIME", "EVENT", "ACTOR", "DETAIL"]);
    assert_eq!((lines[1][0], lines[1][2]), ("2", "removed"));
    assert_eq!((lines[2][0], lines[2][2], lines[2][3]), ("1", "registered", "anonymous"));
    assert_eq!(lines.len(), 3);
    // Why not is on standard error, so that the standard output has results only.
    let refused = server.run(&["register", "a..example"]).ended(3);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("entity"), "{refused:?}");
    assert!(server.run(&["capabilities"]).stdout.contains("limits.message_bytes_max"));
    assert!(server.run(&["ping"]).stdout.contains(" answers in "));
}

#[test]
fn verify_reads_any_number_of_names_from_standard_input() {
    const NAMES: usize = 25_000;
    let server = server();
    let register = |at: usize| json!({"command": "REGISTER", "entity": format!("h{}.example", at * 3)});
    server.client().ask_all((0..1000).map(register));
    let input: String =
        (0..NAMES).map(|at| format!("h{at}.example\r\n{}", if at % 100 == 0 { "# note\n\n" } else { "" })).collect();
    let ended = server.run_with_input(&["verify", "-"], &input).ended(1);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), NAMES);
    for (at, line) in lines.iter().enumerate() {
        let word = if at % 3 == 0 && at < 3000 { "yes" } else { "no" };
        assert!(line.starts_with(word) && line.split_whitespace().nth(1) == Some(&format!("h{at}.example")), "{line}");
    }
    server.run_with_input(&["verify", "-"], "h0.example\nh3.example").ended(0);
    server.run_with_input(&["verify", "-"], "").ended(0);
}

#[test]
fn audit_follows_the_pages() {
    const EVENTS: usize = 2300;
    let server = server();
    let change =
        |at: usize| json!({"command": if at.is_multiple_of(2) { "REGISTER" } else { "REMOVE" }, "entity": "a.example"});
    server.client().ask_all((0..EVENTS).map(change));
    let pages = server.run(&["audit", "a.example", "--json"]).ended(0).json();
    assert_eq!(pages.len(), 3, "a page has 1,000 events at the most");
    let sequences = |pages: &[Value]| -> Vec<u64> {
        let events = pages.iter().flat_map(|page| page["events"].as_array().unwrap());
        events.map(|event| event["sequence"].as_u64().unwrap()).collect()
    };
    assert_eq!(sequences(&pages), (1..=EVENTS as u64).collect::<Vec<u64>>());
    let last = server.run(&["audit", "a.example", "--json", "--order", "desc", "--limit", "1001"]).json();
    let newest = EVENTS as u64 - 1001 + 1..=EVENTS as u64;
    assert_eq!(sequences(&last), newest.rev().collect::<Vec<u64>>());
    assert_eq!(server.run(&["audit", "a.example"]).stdout.lines().count(), EVENTS + 1);
    let none = server.run(&["audit", "a.example", "--since", "9998-01-01T00:00:00Z"]).ended(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("no events"));
}

#[test]
fn send_carries_lines_as_they_are() {
    let server = server();
    let input = "{\"command\":\"PING\",\"id\":7}\nrubbish\n\n{ \"command\" : \"VERIFY\" , \"entity\" : \"a.example\" }";
    let ended = server.run_with_input(&["send"], input).ended(3);
    let answers = ended.json();
    let statuses: Vec<&Value> = answers.iter().map(|answer| &answer["status"]).collect();
    assert_eq!(statuses, [200, 400, 404]);
    assert_eq!(answers[0]["id"], 7);
    let many: String = (0..5000).map(|id| format!("{}\n", json!({"command": "PING", "id": id}))).collect();
    let answers = server.run_with_input(&["send"], &many).ended(0).json();
    assert!(answers.iter().enumerate().all(|(id, answer)| answer["id"] == id) && answers.len() == 5000);
    server.run_with_input(&["send"], "").ended(0);
}

#[test]
fn import_reads_three_formats_and_changes_nothing_the_second_time() {
    let server = server();
    let home = server.home();
    let lines = home.file("names.txt");
    std::fs::write(&lines, "# names\n\nA.example\na.example.\nb.example\r\nsome one\nbad..name\n").unwrap();
    let jsonl = home.file("history.jsonl");
    let history = [
        json!({"command": "REGISTER", "entity": "c.example", "type": "domain", "source": "x"}),
        json!({"command": "REMOVE", "entity": "c.example"}),
        json!({"command": "REGISTER", "entity": "c.example", "attributes": {"n": 1}}),
        json!({"command": "REGISTER", "entity": "d.example", "type": "ip"}),
    ];
    std::fs::write(&jsonl, history.map(|line| format!("{line}\n")).concat()).unwrap();
    let ipsum = home.file("ipsum.txt");
    let real = std::fs::read_to_string(data_file("ipsum-2026-08-22.txt")).unwrap();
    let part: Vec<&str> = real.lines().take(3000).collect();
    let addresses = part.iter().filter(|line| !line.starts_with('#')).count();
    std::fs::write(&ipsum, part.join("\n")).unwrap();

    // File, status, new, known, refused.
    for (file, status, new, known, refused) in
        [(&lines, 3, 2, 1, 2), (&jsonl, 3, 3, 0, 1), (&ipsum, 0, addresses, 0, 0)]
    {
        let all = new + known + refused;
        for (new, known) in [(new, known), (0, new + known)] {
            let summary = server.run(&["import", file.to_str().unwrap(), "--json"]).ended(status).value();
            let expected = json!({"lines": all, "new": new, "known": known, "refused": refused});
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(summary[name], *value, "{name} of {}: {summary}", file.display());
            }
        }
    }
    let ended = server.run(&["import", lines.to_str().unwrap()]).ended(3);
    assert!(ended.stdout.contains("refused     2\n") && ended.stderr.contains("line 7: bad..name: "), "{ended:?}");
    assert!(ended.stderr.contains("line 6: reads as an organization; say --type organization"), "{ended:?}");
    let meant = server.run(&["import", lines.to_str().unwrap(), "--format", "lines", "--json"]).ended(3).value();
    assert_eq!((&meant["new"], &meant["known"], &meant["refused"]), (&json!(1), &json!(3), &json!(1)));
    let registered =
        server.client().ask(json!({"command": "AUDIT", "entity": "c.example", "order": "desc", "limit": 1}));
    assert_eq!(registered["events"][0]["detail"]["attributes"], json!({"n": 1}));
    let counted = part.last().unwrap().split('\t').next().unwrap();
    assert_eq!(server.client().ask(json!({"command": "VERIFY", "entity": counted}))["type"], "ip");
    server.run(&["import", "/nowhere/names.txt"]).ended(3);
}

#[test]
fn changes_carry_what_a_strict_server_demands() {
    let home = crate::harness::Home::new();
    let setup = Setup::new("epoll", 1);
    setup.start_in(&home).terminate();
    let server = setup.strict(&home).start_in(&home);
    server.run(&["register", "a.example"]).ended(0);
    server.run(&["remove", "a.example"]).ended(0);
    let file = home.file("names.txt");
    std::fs::write(&file, "a.example\nb.example\n").unwrap();
    server.run(&["import", file.to_str().unwrap()]).ended(0);
    server.run(&["verify", "a.example", "b.example"]).ended(0);
}

#[test]
fn every_help_has_examples() {
    let top = run(&["--help"]).ended(0);
    for part in ["EXAMPLES:", "EXIT STATUS:", "REPSEC_SERVER"] {
        assert!(top.stdout.contains(part), "{part}");
    }
    let commands = [
        "serve",
        "ping",
        "register",
        "verify",
        "remove",
        "audit",
        "capabilities",
        "send",
        "import",
        "log",
        "completions",
    ];
    for command in commands {
        assert!(top.stdout.contains(&format!("\n  {command} ")), "{command} is not listed");
        let help = run(&[command, "--help"]).ended(0);
        assert!(help.stdout.contains("EXAMPLES:\n  ") && help.stderr.is_empty(), "{command}");
    }
    for command in ["stat", "verify", "replay", "dump"] {
        assert!(run(&["log", command, "--help"]).ended(0).stdout.contains("EXAMPLES:\n  "), "log {command}");
    }
    assert!(run(&["--version"]).ended(0).stdout.starts_with("repsec "));
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).ended(0).stdout;
        assert!(script.contains("repsec") && script.contains("capabilities"), "{shell}");
    }
    run(&["completions", "dos"]).ended(2);
}

#[test]
fn the_tools_for_the_log_agree_with_each_other() {
    let mut server = server();
    server.run(&["register", "a.example", "--attribute", "n=1"]).ended(0);
    server.run(&["remove", "a.example"]).ended(0);
    server.run(&["register", "b.example"]).ended(0);
    server.terminate();
    let home = server.home();
    let data = server.data();
    assert_eq!(home.log(&["stat"])["sequence"], 3);
    assert_eq!(home.verified_events(), 3);
    let replayed = home.log(&["replay"]);
    assert_eq!((&replayed["entities"], &replayed["registered"]), (&json!(2), &json!(1)));
    let dump = run(&["log", "dump", "--json", "--data", &data]).ended(0).json();
    let told: Vec<(&str, u64)> =
        dump.iter().map(|event| (event["entity"].as_str().unwrap(), event["sequence"].as_u64().unwrap())).collect();
    assert_eq!(told, [("a.example", 1), ("a.example", 2), ("b.example", 3)]);
    let one = run(&["log", "dump", "--json", "--entity", "B.example", "--data", &data]).ended(0).json();
    assert_eq!(one, dump[2..]);
    let none = run(&["log", "dump", "--entity", "Never.example", "--data", &data]).ended(1);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "repsec: no events of never.example\n"));
    for (tool, status) in [("dump", 0), ("stat", 3)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = command(&["log", tool, "--data", &data]).stdout(writer).output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(status), &b""[..]), "log {tool}, unread");
    }
    for tool in ["stat", "verify", "replay", "dump"] {
        let words = run(&["log", tool, "--data", &data]).ended(0);
        assert!(!words.stdout.is_empty() && words.stderr.is_empty(), "{words:?}");
    }
}
