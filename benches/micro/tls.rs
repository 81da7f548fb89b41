//! How long does the server take to decrypt one record, and to encrypt one? And what does it matter where in their
//! pages the bytes lie that are copied for that?
//!
//! Workload: records of 100 bytes (one command), 1 KiB and 16 KiB (the largest there is), TLS 1.3 with AES-256-GCM,
//! through the code that the server uses (`server::tls`), after a real handshake with a client of rustls. Each record
//! is in a buffer of its own, as after a read. What the client does is not timed. Beside that, copies of 16 KiB to half
//! a page and to five bytes further on in the page, by the C library (`runtime::buffer` says why).
//!
//! What the numbers are not: handshakes, or system calls.

use std::hint::black_box;
use std::io::Write;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Bencher, BenchmarkId, Criterion, Throughput};
use repsec::runtime::Buffer;
use repsec::server::tls::Tls;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, ClientConnection, RootCertStore, ServerConfig};

/// Records that are prepared before some are timed: few enough to stay in the processor's cache.
const PREPARED: u64 = 32;
/// What is copied: the plaintext of a full record.
const COPIED: usize = 16 * 1024;
const PAGE: usize = 4096;

/// The server's end, and a client.
struct Pair {
    server: Tls,
    client: ClientConnection,
}

impl Pair {
    fn new() -> Pair {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key))
            .expect("settings of a server");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("settings of a client")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut pair = Pair {
            server: Tls::new(Arc::new(server)).expect("a server"),
            client: ClientConnection::new(Arc::new(client), name).expect("a client"),
        };
        pair.shake_hands();
        pair
    }

    fn shake_hands(&mut self) {
        while self.client.is_handshaking() || self.server.is_handshaking() {
            let mut flight = self.taken_from_client();
            let (done, outcome) = self.server.receive(&mut flight, &mut |_| panic!("no data yet"));
            outcome.expect("a client that is understood");
            assert_eq!(done, flight.len(), "flights are whole");
            let flight = self.server.take_outgoing(Buffer::default());
            self.give_to_client(flight.bytes());
        }
        let suite = self.client.negotiated_cipher_suite().expect("a cipher suite").suite();
        assert_eq!(suite, CipherSuite::TLS13_AES_256_GCM_SHA384, "the cipher that the head of this file names");
    }

    fn taken_from_client(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("memory");
        }
        bytes
    }

    fn give_to_client(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).expect("memory");
            self.client.process_new_packets().expect("a server that is understood");
        }
    }

    /// A record with this plaintext from the client.
    fn record(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.client.writer().write_all(plaintext).expect("memory");
        self.taken_from_client()
    }

    /// What the client reads in these bytes.
    fn read(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.give_to_client(bytes);
        let mut plaintext = Vec::new();
        match std::io::Read::read_to_end(&mut self.client.reader(), &mut plaintext) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => panic!("{error}"),
            _ => plaintext,
        }
    }

    /// Checks both ways once.
    fn check(&mut self, plaintext: &[u8]) {
        let (mut record, mut received) = (self.record(plaintext), Vec::new());
        let outcome = self.server.receive(&mut record, &mut |text| received.extend_from_slice(text));
        assert_eq!(outcome, (record.len(), Ok(())), "the record is whole and right");
        assert!(received == plaintext, "what was encrypted is decrypted");
        self.server.send(plaintext).expect("an open connection");
        let bytes = self.server.take_outgoing(Buffer::default());
        assert!(self.read(bytes.bytes()) == plaintext, "what the server encrypts, the client reads");
    }

    fn decrypt(&mut self, plaintext: &[u8], rounds: u64) -> Duration {
        let (mut took, mut left, mut received) = (Duration::ZERO, rounds, 0);
        while left > 0 {
            let now = left.min(PREPARED);
            let mut records: Vec<Vec<u8>> = (0..now).map(|_| self.record(plaintext)).collect();
            let began = Instant::now();
            for record in &mut records {
                self.server.receive(record, &mut |text| received += text.len()).1.expect("a right record");
            }
            took += began.elapsed();
            left -= now;
        }
        assert_eq!(received as u64, rounds * plaintext.len() as u64, "everything was decrypted");
        took
    }

    /// Encrypts from a buffer, into one that is used again, as the server does. The client is not shown these records.
    fn encrypt(&mut self, plaintext: &[u8], rounds: u64) -> Duration {
        let mut spare = Buffer::default();
        let mut text = Buffer::default();
        text.end().extend_from_slice(plaintext);
        let began = Instant::now();
        for _ in 0..rounds {
            self.server.send(text.bytes()).expect("an open connection");
            spare = self.server.take_outgoing(mem::take(&mut spare));
            assert!(spare.bytes().len() > plaintext.len());
            spare.clear();
        }
        began.elapsed()
    }
}

/// Both ways, all sizes.
pub fn measure(criterion: &mut Criterion) {
    type Run = fn(&mut Pair, &[u8], u64) -> Duration;
    let ways: [(&str, Run); 2] = [("decrypt", Pair::decrypt), ("encrypt", Pair::encrypt)];
    let mut group = criterion.benchmark_group("tls");
    for (name, bytes) in [("100 B", 100), ("1 KiB", 1024), ("16 KiB", 16 * 1024)] {
        let plaintext = vec![b'x'; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        for (way, run) in ways {
            group.bench_function(BenchmarkId::new(way, name), |bencher| {
                let mut pair = Pair::new();
                pair.check(&plaintext);
                bencher.iter_custom(|rounds| run(&mut pair, &plaintext, rounds));
            });
        }
    }
    for (name, further) in [("half a page apart", 2048), ("5 bytes apart", 5)] {
        group.throughput(Throughput::Bytes(COPIED as u64));
        group.bench_function(BenchmarkId::new("copy of 16 KiB", name), |bencher| copy(bencher, further));
    }
    group.finish();
}

/// Copies from the begin of a page to so many bytes behind the begin of another.
fn copy(bencher: &mut Bencher<'_>, further: usize) {
    let (from, mut to) = (vec![b'x'; COPIED + PAGE], vec![0; COPIED + 2 * PAGE]);
    let (begin, end) = (from.as_ptr().align_offset(PAGE), to.as_ptr().align_offset(PAGE) + further);
    let (from, to) = (&from[begin..begin + COPIED], &mut to[end..end + COPIED]);
    bencher.iter(|| black_box(&mut *to).copy_from_slice(black_box(from)));
    assert!(to == from, "everything was copied");
}
