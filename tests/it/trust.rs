//! Whom the command line believes (`repsec:R4`), and how it takes answers that say more or less than ours (`R12`,
//! `C1`). The server of these tests is not ours, so that it can be wrong in every way.

use std::path::Path;

use rcgen::date_time_ymd;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Certificate, Peer, Run, Setup, run};

const YES: &str = r#"{"status":200,"message":"Entity is registered","verified":true}"#;

/// Verifies a name at a server with this certificate, trusting the authority in the file; gives also what was sent.
fn verify(certificate: &Certificate, authority: &Path, host: &str, answer: &str) -> (Run, Vec<u8>) {
    let peer = Peer::start(certificate, answer);
    let server = format!("{host}:{}", peer.address().port());
    let ended = run(&["verify", "a.example", "--server", &server, "--ca", authority.to_str().unwrap()]);
    (ended, peer.heard())
}

#[test]
fn a_server_that_cannot_prove_who_it_is_is_told_nothing() {
    let directory = TempDir::new().unwrap();
    let expired = Certificate::new(&["localhost", "127.0.0.1"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    });
    let early = Certificate::new(&["localhost", "127.0.0.1"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    });
    let common_name = Certificate::new(&[], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    });
    let good = Certificate::new(&["localhost", "127.0.0.1"], |_| ());
    let (other_name, other_address) =
        (Certificate::new(&["rep.example"], |_| ()), Certificate::new(&["localhost"], |_| ()));
    for (about, certificate, believed, host, reason) in [
        ("another authority", &good, &expired, "127.0.0.1", "not from an authority in"),
        ("another name", &other_name, &other_name, "localhost", "not for 'localhost'"),
        ("another address", &other_address, &other_address, "127.0.0.1", "not for '127.0.0.1'"),
        ("expired", &expired, &expired, "localhost", "has expired"),
        ("not valid yet", &early, &early, "localhost", "not valid yet"),
        ("a common name only", &common_name, &common_name, "localhost", "not for 'localhost'"),
    ] {
        let file = believed.write_authority(directory.path());
        let (ended, heard) = verify(certificate, &file, host, YES);
        assert_eq!(ended.status, 3, "{about}: {ended:?}");
        assert!(ended.stdout.is_empty() && ended.stderr.contains(reason), "{about}: {ended:?}");
        assert!(heard.is_empty(), "{about}: something was sent: {heard:?}");
    }
    // The same way works with a certificate that is good, so the rows above failed for their reasons.
    let file = good.write_authority(directory.path());
    for host in ["localhost", "127.0.0.1"] {
        let (ended, heard) = verify(&good, &file, host, YES);
        assert_eq!(ended.status, 0, "{ended:?}");
        assert!(!heard.is_empty());
    }
}

#[test]
fn the_development_authority_of_another_server_is_not_enough() {
    let (one, other) = (Setup::new("epoll", 1).start(), Setup::new("epoll", 1).start());
    let authority = other.home().authority();
    let server = one.address().to_string();
    let ended = run(&["ping", "--server", &server, "--ca", authority.to_str().unwrap()]).ended(3);
    let named = format!("not from an authority in {}", authority.display());
    assert!(ended.stderr.contains("do not trust") && ended.stderr.contains(&named), "{ended:?}");
    // Nor is this system's own list of authorities.
    let ended = run(&["ping", "--server", &server]).ended(3);
    assert!(ended.stderr.contains("--ca"), "{ended:?}");
}

#[test]
fn answers_may_say_more_or_less_than_ours() {
    let directory = TempDir::new().unwrap();
    let good = Certificate::new(&["localhost"], |_| ());
    let file = good.write_authority(directory.path());
    for (answer, status) in [
        (json!({"status": 200, "verified": true, "last_updated": "2025-09-02T10:00:00Z"}), 0),
        (json!({"status": 200, "verified": true, "surprise": [1, {"a": null}], "message": "yes"}), 0),
        (json!({"status": 404, "message": "no"}), 1),
        (json!({"status": 200, "verified": false}), 1),
        (json!({"status": 500}), 3),
        // A status is a number.
        (json!({"status": "200", "verified": true}), 3),
        (json!({"verified": true}), 3),
        (json!([200]), 3),
    ] {
        let (ended, heard) = verify(&good, &file, "localhost", &answer.to_string());
        assert_eq!(ended.status, status, "{answer}: {ended:?}");
        let sent = String::from_utf8(heard).unwrap();
        assert!(sent.ends_with('\n') && sent.matches('\n').count() == 1, "one object on one line: {sent}");
    }
    let (ended, _) = verify(&good, &file, "localhost", "\u{1b}[31mnonsense");
    assert_eq!(ended.status, 3);
    assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
}

#[test]
fn a_server_that_is_not_there() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ended = run(&["ping", "--server", &address]).ended(3);
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("Is the server running?"), "{ended:?}");
    assert!(ended.stderr.contains("repsec serve --dev"), "{ended:?}");
    let ended = run(&["ping", "--server", "no-such-host.invalid"]).ended(3);
    assert!(ended.stderr.contains("no-such-host.invalid"), "{ended:?}");
    let ended = run(&["ping", "--server", &address, "--ca", "/nowhere/ca.pem"]).ended(3);
    assert!(ended.stderr.contains("/nowhere/ca.pem"), "{ended:?}");
}
