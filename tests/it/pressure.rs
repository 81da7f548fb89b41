//! Peers that send ahead, ask for much, or leave early: nothing that was received is dropped, nobody who makes progress
//! is slow, and what a large message took is given back.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, End, PATIENCE, Trust, each};

/// Lookups whose length divides no record evenly, so that nearly every read ends within one.
fn lookups(count: usize) -> String {
    (0..count).map(|at| format!("{{\"command\":\"VERIFY\",\"entity\":\"host{at:05}.example\"}}\n")).collect()
}

#[test]
fn a_peer_that_always_sends_ahead_is_not_slow() {
    each(&[1], |setup| {
        let server = setup.clone().config("[limits]\nmessage_timeout_s = 1\n").start();
        let mut client = server.client();
        let (batch, began) = (lookups(400), Instant::now());
        // The first bytes of a further message go along, so that there is always one that has begun.
        let (mut sent, mut answered) = (String::new(), 0);
        while began.elapsed() < Duration::from_secs(3) {
            sent.push_str(&batch);
            let (now, later) = sent.split_at(sent.len() - 20);
            client.send(now);
            sent = later.to_owned();
            for _ in 0..399 {
                assert_eq!(client.answer()["status"], 404);
                answered += 1;
            }
        }
        assert!(answered > 399);
    });
}

#[test]
fn long_answers_to_short_questions_all_come_without_being_asked_for_again() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut client = server.client();
        for count in [1, 60, 600] {
            // What one read brings is answered with far more than leaves in one go.
            client.send("{\"command\":\"CAPABILITIES\"}\n".repeat(count));
            for _ in 0..count {
                assert_eq!(client.answer()["status"], 200);
            }
        }
    });
}

#[test]
fn a_peer_that_never_stops_sending_leaves_the_others_their_turn() {
    each(&[1], |setup| {
        let server = setup.start();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                let client = server.client();
                scope.spawn(|| client.flood("{\"command\":\"PING\"}\n".repeat(5_000), &stop));
            }
            let began = Instant::now();
            for _ in 0..20 {
                assert_eq!(server.client().ask(json!({"command": "PING"}))["status"], 200);
            }
            println!("twenty questions took {:?}", began.elapsed());
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn what_was_received_before_the_end_is_answered_however_full_the_session_was() {
    each(&[1, 3], |setup| {
        for bound in [1, 7, 100] {
            let server = setup.clone().config(&format!("[limits]\noutstanding_commands_max = {bound}\n")).start();
            let mut client = server.client();
            client.send(format!("{}{}", lookups(300), "{\"command\":\"PING\"}\n".repeat(900)));
            client.finish();
            let (answers, end) = client.drain();
            assert_eq!((answers.len(), end), (1200, End::CloseNotify), "with {bound} outstanding");
        }
    });
}

#[test]
fn an_idle_connection_does_not_keep_what_its_largest_message_took() {
    const CONNECTIONS: u64 = 200;
    each(&[1], |setup| {
        let server = setup.start();
        let names: Vec<String> = (0..10_000).map(|at| format!("host{at}.example")).collect();
        let bulk = json!({"command": "VERIFY", "entities": names});
        let connect = |_| {
            let mut client = server.client();
            assert_eq!(client.ask(&bulk)["status"], 200);
            client
        };
        // What connections keep, every crowd of them keeps; what the allocator and the log take at some moment, or while
        // the disk is slow, comes with one crowd and not with the next. So the least of the crowds decides.
        let mut clients: Vec<_> = (0..CONNECTIONS).map(connect).collect();
        let mut crowds = Vec::new();
        for _ in 0..4 {
            let before_kib = server.resident_kib();
            clients.extend((0..CONNECTIONS).map(connect));
            crowds.push(server.resident_kib().saturating_sub(before_kib) / CONNECTIONS);
        }
        println!("KiB for each idle connection that had asked a bulk lookup, four crowds: {crowds:?}");
        let least = crowds.into_iter().min().expect("four crowds");
        assert!(least < 100, "{least} KiB for each idle connection");
        drop(clients);
    });
}

#[test]
fn a_server_that_is_stopped_closes_its_store() {
    each(&[1, 3], |setup| {
        let mut server = setup.start();
        let mut client = server.client();
        client.ask_all((0..300).map(|at| json!({"command": "REGISTER", "entity": format!("host{at}.example")})));
        drop(client);
        assert_eq!(server.terminate(), 0);
        // What is not closed costs the next start the reading of RocksDB's own log.
        let diary = fs::read_to_string(server.home().data().join("log/LOG")).unwrap();
        assert!(diary.contains("Shutdown complete"), "the store was not closed");
    });
}

#[test]
fn a_peer_that_takes_no_answers_does_not_keep_its_place() {
    each(&[1], |setup| {
        let config = "[limits]\nidle_timeout_s = 1\nconnections_max = 1\n";
        let server = setup.clone().config(config).start();
        let names: Vec<String> = (0..10_000).map(|at| format!("host{at}.example")).collect();
        let bulk = format!("{}\n", json!({"command": "VERIFY", "entities": names}));
        let mut silent = server.client();
        // Answers of 700 KB each: more than the buffers between the two hold.
        silent.send_without_reading(bulk.repeat(20));
        let began = Instant::now();
        let trust = Trust::file(&server.home().authority());
        while Client::connect_with(server.address(), &trust).is_err() {
            assert!(began.elapsed() < PATIENCE, "the only place is still taken");
        }
        drop(silent);
    });
}
