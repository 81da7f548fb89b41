//! What travels outside of, and around, the messages: TLS and nothing but TLS (`repsec:R1` to `R3`, `R7`, `R8`).

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};

use crate::harness::{Client, PlainPeer, Trust, each};

const PING: &str = r#"{"command":"PING"}"#;
/// TLS records: an alert, a handshake message.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// Alerts of TLS (RFC 8446, section 6).
const FATAL: u8 = 2;
const PROTOCOL_VERSION: u8 = 70;

#[test]
fn plaintext_gets_no_json() {
    each(&[1], |setup| {
        let server = setup.start();
        for text in [
            "{\"command\":\"PING\"}\n",
            "STARTTLS\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "\n",
            "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
        ] {
            let mut peer = PlainPeer::connect(&server);
            peer.send(text.as_bytes());
            peer.finish();
            let heard = peer.hear_all();
            assert!(heard.is_empty() || heard[0] == ALERT, "{text:?} got {heard:?}");
            assert!(!heard.contains(&b'{'));
        }
    });
}

#[test]
fn tls_1_1_is_refused() {
    each(&[1], |setup| {
        let server = setup.start();
        for version in [[3, 0], [3, 1], [3, 2]] {
            let mut peer = PlainPeer::connect(&server);
            peer.send(&client_hello(version, &[0]));
            let heard = peer.hear_all();
            assert_eq!((heard[0], &heard[5..7]), (ALERT, &[FATAL, PROTOCOL_VERSION][..]), "{version:?} got {heard:?}");
        }
    });
}

#[test]
fn tls_1_2_and_1_3_are_spoken_alone() {
    each(&[1], |setup| {
        let server = setup.start();
        let authority = server.home().authority();
        for (offered, agreed) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
            let mut client =
                Client::connect_with(server.address(), &Trust::with(&authority, &[offered], |_| ())).unwrap();
            assert_eq!(client.tls().protocol_version(), Some(agreed));
            assert_eq!(client.ask(PING)["status"], 200);
        }
    });
}

#[test]
fn nothing_is_compressed() {
    const DEFLATE: u8 = 1;
    each(&[1], |setup| {
        let server = setup.start();
        let mut peer = PlainPeer::connect(&server);
        peer.send(&client_hello([3, 3], &[DEFLATE, 0]));
        let hello = peer.hear(5 + 4 + 2 + 32 + 1 + 32 + 2 + 1);
        assert_eq!((hello[0], hello[5]), (HANDSHAKE, 2), "a ServerHello: {hello:?}");
        let session_id = usize::from(hello[5 + 4 + 2 + 32]);
        let compression = hello[5 + 4 + 2 + 32 + 1 + session_id + 2];
        assert_eq!(compression, 0);
        let mut peer = PlainPeer::connect(&server);
        peer.send(&client_hello([3, 3], &[DEFLATE]));
        assert_eq!(peer.hear_all()[0], ALERT, "who offers only compression is refused");
    });
}

#[test]
fn no_application_protocol_is_negotiated() {
    each(&[1], |setup| {
        let server = setup.start();
        let authority = server.home().authority();
        let offer =
            |config: &mut rustls::ClientConfig| config.alpn_protocols = vec![b"h2".to_vec(), b"repsec".to_vec()];
        let mut client =
            Client::connect_with(server.address(), &Trust::with(&authority, rustls::ALL_VERSIONS, offer)).unwrap();
        assert_eq!(client.tls().alpn_protocol(), None);
        assert_eq!(client.ask(PING)["status"], 200);
    });
}

#[test]
fn sessions_are_resumed_and_early_data_is_not_offered() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        let store = Arc::new(rustls::client::ClientSessionMemoryCache::new(8));
        let trust = Trust::with(&server.home().authority(), &[&TLS13], |config| {
            config.resumption = Resumption::store(store);
            config.enable_early_data = true;
        });
        let kinds: Vec<_> = (0..3)
            .map(|_| {
                let mut client = Client::connect_with(server.address(), &trust).unwrap();
                // The ticket comes behind the handshake, with the first answer at the latest.
                assert_eq!(client.ask(PING)["status"], 200);
                assert!(!client.tls().is_early_data_accepted(), "early data can be replayed");
                assert!(client.tls().early_data().is_none(), "the server's ticket allows early data");
                client.tls().handshake_kind()
            })
            .collect();
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed), Some(HandshakeKind::Resumed)]);
    });
}

#[test]
fn a_broken_record_ends_its_connection_and_no_other() {
    each(&[1], |setup| {
        let server = setup.start();
        let mut good = server.client();
        for rubbish in [&[0x16, 3, 1, 0xff, 0xff][..], &[0x17, 3, 3, 0, 4, 1, 2, 3, 4], &[0x80; 64], &[0; 4096]] {
            let mut peer = PlainPeer::connect(&server);
            peer.send(rubbish);
            peer.finish();
            let heard = peer.hear_all();
            assert!(heard.is_empty() || heard[0] == ALERT, "{heard:?}");
            assert_eq!(good.ask(PING)["status"], 200);
        }
    });
}

/// A ClientHello of TLS 1.2 and before, in bytes, since no library of today offers these versions and methods.
fn client_hello(version: [u8; 2], compression: &[u8]) -> Vec<u8> {
    let short = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let byte = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    // ECDHE with ECDSA and RSA: those of TLS 1.2 with AES-GCM, then those of TLS 1.0 with AES-CBC.
    let suites = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f];
    let extension = |number: u8, body: &[u8]| [&[0, number][..], &short(body)].concat();
    let extensions = [
        extension(10, &short(&[0, 23, 0, 29])),
        extension(11, &byte(&[0])),
        extension(13, &short(&[4, 3, 8, 4, 4, 1])),
        // Extended master secret, which servers may insist on.
        extension(23, &[]),
    ]
    .concat();
    let body =
        [&version[..], &[0x5a; 32], &byte(&[]), &short(&suites), &byte(compression), &short(&extensions)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[HANDSHAKE, 3, 1][..], &short(&message)].concat()
}
