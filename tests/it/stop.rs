//! How a server ends and what it does when it is told to look again: SIGTERM, SIGINT, SIGHUP (`repsec:O14`).

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::harness::{Certificate, Client, Dice, End, Home, Server, Setup, Trust, cycles, each, outcome, signal};

/// The default time to drain.
const DRAIN: Duration = Duration::from_secs(10);

fn register(at: usize) -> Value {
    json!({"command": "REGISTER", "entity": format!("h{at}.example"), "id": at})
}

#[test]
fn an_idle_server_stops_at_once_and_closes_in_order() {
    each(&[1, 3], |setup| {
        for name in ["TERM", "INT"] {
            let mut server = setup.start();
            let mut client = server.client();
            assert_eq!(client.ask(register(0))["sequence"], 1);
            signal(name, server.process());
            assert_eq!(client.drain(), (Vec::new(), End::CloseNotify));
            assert_eq!(server.wait(), 0);
            let line = server.await_log("store closed");
            assert!(line.contains("sequence=1"), "{line}");
        }
    });
}

#[test]
fn all_that_was_accepted_is_answered_before_the_end() {
    const CLIENTS: usize = 4;
    const COMMANDS: usize = 1000;
    each(&[1, 3], |setup| {
        let mut server = setup.start();
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            // Nothing is read until the server has been told to stop.
            client.send((0..COMMANDS).map(|at| format!("{}\n", register(number * COMMANDS + at))).collect::<String>());
        }
        let began = Instant::now();
        signal("TERM", server.process());
        let mut answered = Vec::new();
        for (number, client) in clients.iter_mut().enumerate() {
            let (answers, end) = client.drain();
            assert_eq!(end, End::CloseNotify, "client {number}");
            println!("client {number}: {} answers", answers.len());
            for (at, answer) in answers.iter().enumerate() {
                // A beginning of what was sent, in order and without a gap; and none of it was denied.
                let id = number * COMMANDS + at;
                assert_eq!((&answer["id"], &answer["status"]), (&json!(id), &json!(200)), "{answer}");
                answered.push((id, answer["sequence"].clone()));
            }
        }
        assert_eq!(server.wait(), 0);
        assert!(began.elapsed() < DRAIN, "the drain took {:?}", began.elapsed());
        server.start_again();
        let mut client = server.client();
        let questions = answered.iter().map(|(id, _)| json!({"command": "AUDIT", "entity": format!("h{id}.example")}));
        let histories = client.ask_all(questions);
        for ((id, sequence), history) in answered.iter().zip(histories) {
            assert_eq!(history["events"][0]["sequence"], *sequence, "{id} was answered and is gone");
        }
        // What was accepted was answered, so nothing else has taken effect.
        server.terminate();
        assert!(!answered.is_empty());
        assert_eq!(server.home().verified_events(), answered.len() as u64);
    });
}

/// Registers names with many commands in flight, and goes on until the server has said farewell. Gives the sequences of
/// its answers. `answered` is told of each answer; the one with which it comes to `stop_at` calls `stop`.
fn go_on(
    mut client: Client,
    first: usize,
    answered: &AtomicUsize,
    stop_at: usize,
    stop: &(dyn Fn() + Sync),
) -> Vec<u64> {
    const IN_FLIGHT: usize = 200;
    let (mut sent, mut sequences) = (0, Vec::new());
    loop {
        let more = IN_FLIGHT - (sent - sequences.len());
        client.send((sent..sent + more).map(|at| format!("{}\n", register(first + at))).collect::<String>());
        sent += more;
        let Some(answer) = client.next_answer() else { break };
        assert_eq!((&answer["id"], &answer["status"]), (&json!(first + sequences.len()), &json!(200)), "{answer}");
        sequences.push(answer["sequence"].as_u64().unwrap());
        if answered.fetch_add(1, Ordering::Relaxed) + 1 == stop_at {
            stop();
        }
    }
    assert_eq!(client.drain(), (Vec::new(), End::CloseNotify));
    assert!(sent > sequences.len(), "it was still asking when the server ended");
    sequences
}

#[test]
fn clients_that_go_on_sending_get_all_answers_and_a_farewell() {
    const CLIENTS: usize = 4;
    each(&[1, 3], |setup| {
        let dice = Dice::new();
        let mut server = setup.start();
        let mut before = 0;
        for cycle in 0..cycles("REPSEC_STOP_CYCLES", 2) {
            let stop_at = usize::try_from(dice.fork(cycle).between(1, 4000)).unwrap();
            println!("cycle {cycle}: the end begins with answer {stop_at}");
            let (answered, process) = (AtomicUsize::new(0), server.process());
            let stop = move || signal("TERM", process);
            // All are connected before the first begins, since the end may come with its first answers.
            let clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
            let mut sequences: Vec<u64> = thread::scope(|scope| {
                let (answered, stop) = (&answered, &stop);
                let workers: Vec<_> = (0..)
                    .map(|number| usize::try_from(cycle).unwrap() * 1_000_000 + number * 100_000)
                    .zip(clients)
                    .map(|(first, client)| scope.spawn(move || go_on(client, first, answered, stop_at, stop)))
                    .collect();
                workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
            });
            assert_eq!(server.wait(), 0);
            // Each change of the log was answered, each answer is in the log, and no place is used twice.
            sequences.sort_unstable();
            let events = server.home().verified_events();
            assert_eq!(sequences, (before + 1..=events).collect::<Vec<u64>>());
            before = events;
            server.start_again();
        }
    });
}

#[test]
fn new_connections_are_refused_while_it_stops() {
    each(&[1], |setup| {
        let mut server = setup.start();
        let trust = Trust::file(&server.home().authority());
        let address = server.address();
        assert_eq!(server.terminate(), 0);
        assert!(Client::connect_with(address, &trust).is_err());
    });
}

#[test]
fn a_peer_that_does_not_read_cannot_hold_the_stop_up() {
    each(&[1], |setup| {
        let config = "drain_timeout_s = 1\n";
        let mut server = setup.clone().config(config).permits("did not take").start();
        let mut client = server.client();
        client.ask(register(0));
        // Answers of 1 MB each: more than the buffers between the two hold.
        let names: Vec<String> = (0..10_000).map(|at| format!("h{at}.example")).collect();
        let bulk = format!("{}\n", json!({"command": "VERIFY", "entities": names}));
        client.send_without_reading(bulk.repeat(60));
        // Else a slow machine has answered so little when the end comes that the buffers between the two hold it.
        server.await_quiet();
        assert_eq!(server.terminate(), 0, "all is answered; that a peer does not listen is its own affair");
        server.await_log("did not take");
        server.start_again();
        assert_eq!(server.client().ask(json!({"command": "VERIFY", "entity": "h0.example"}))["verified"], true);
    });
}

/// The certificate that the server shows to a new connection.
fn shown(server: &Server, trust: &Trust) -> CertificateDer<'static> {
    let mut client = Client::connect_with(server.address(), trust).unwrap();
    assert_eq!(client.ask(json!({"command": "PING"}))["status"], 200);
    client.tls().peer_certificates().unwrap()[0].clone().into_owned()
}

fn put(home: &Home, certificate: &Certificate) {
    fs::write(home.data().join("tls/server.pem"), &certificate.chain).unwrap();
    fs::write(home.data().join("tls/server.key"), &certificate.key).unwrap();
}

#[test]
fn a_new_certificate_is_taken_up_without_a_restart() {
    each(&[1, 3], |setup: &Setup| {
        let server = setup.clone().permits("the old certificate stays in use").start();
        let home = server.home();
        let old_trust = Trust::file(&home.authority());
        let mut long = server.client();
        let first = shown(&server, &old_trust);

        let other = Certificate::new(&["localhost"], |_| ());
        let new_trust = Trust::file(&other.write_authority(home.data().parent().unwrap()));
        put(home, &other);
        signal("HUP", server.process());
        server.await_log("certificate reloaded");
        let second = shown(&server, &new_trust);
        assert_ne!(first, second);
        assert!(Client::connect_with(server.address(), &old_trust).is_err(), "the old one is not shown any more");

        // A broken file changes nothing, and is told.
        fs::write(home.data().join("tls/server.key"), "rubbish").unwrap();
        signal("HUP", server.process());
        let line = server.await_log("the old certificate stays in use");
        assert!(line.contains("server.key") && line.contains("ERROR"), "{line}");
        assert_eq!(shown(&server, &new_trust), second);

        // A key of another certificate neither.
        fs::write(home.data().join("tls/server.key"), Certificate::new(&["localhost"], |_| ()).key).unwrap();
        signal("HUP", server.process());
        assert_eq!(shown(&server, &new_trust), second);
        // Who was connected stays connected.
        assert_eq!(outcome(&long.ask(json!({"command": "PING"}))), (200, ""));
    });
}
