//! A client that sends exactly the bytes it is told to, in the TLS records it is told to.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;

use super::{PATIENCE, Server};

/// How long one call of the operating system may wait, before the other direction gets its turn.
const TURN: Duration = Duration::from_millis(20);
/// The statuses of the draft, section 5.3; there are no others (`repsec:R13`, `R22`).
const STATUSES: [u64; 8] = [200, 400, 401, 403, 404, 409, 429, 500];

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With a TLS close_notify, as it should.
    CloseNotify,
    /// The TCP stream ended without one.
    Cut,
    /// The connection was reset.
    Reset,
}

/// What a client believes: settings of TLS that can be shared by several connections.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Believes the authority in this file, with all versions of TLS.
    pub fn file(authority: &Path) -> Trust {
        Trust::with(authority, rustls::ALL_VERSIONS, |_| ())
    }

    /// Believes the authority in this file, with some versions of TLS, and other settings.
    pub fn with(
        authority: &Path,
        versions: &[&'static SupportedProtocolVersion],
        set: impl FnOnce(&mut ClientConfig),
    ) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        set(&mut config);
        Trust(Arc::new(config))
    }
}

/// One connection.
pub struct Client {
    tls: ClientConnection,
    socket: TcpStream,
    /// What was received and not yet taken.
    received: Vec<u8>,
    end: Option<End>,
}

impl Client {
    /// Connects to a server of this run, believing its own authority.
    pub fn connect(server: &Server) -> Client {
        Client::connect_with(server.address(), &Trust::file(&server.home().authority())).unwrap()
    }

    /// Connects, and completes the handshake.
    pub fn connect_with(address: SocketAddr, trust: &Trust) -> io::Result<Client> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TURN))?;
        socket.set_write_timeout(Some(TURN))?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::clone(&trust.0), name).map_err(io::Error::other)?;
        tls.set_buffer_limit(None);
        let mut client = Client { tls, socket, received: Vec::new(), end: None };
        let began = Instant::now();
        while client.tls.is_handshaking() {
            client.flush();
            client.read_some()?;
            assert!(began.elapsed() < PATIENCE, "the handshake does not end");
            if let Some(end) = client.end {
                return Err(io::Error::other(format!("the handshake ended: {end:?}")));
            }
        }
        client.flush();
        Ok(client)
    }

    /// What was agreed on in the handshake.
    pub fn tls(&mut self) -> &mut ClientConnection {
        &mut self.tls
    }

    /// Sends bytes, in as few records as can be.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls.writer().write_all(bytes.as_ref()).unwrap();
        self.flush();
    }

    /// Sends bytes until the server takes no more of them, and reads nothing.
    pub fn send_without_reading(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls.writer().write_all(bytes.as_ref()).unwrap();
        while self.tls.wants_write() && self.tls.write_tls(&mut self.socket).is_ok() {}
    }

    /// Sends bytes again and again, as fast as the server takes them, and throws away what it says, until told to stop.
    pub fn flood(mut self, bytes: impl AsRef<[u8]>, stop: &AtomicBool) {
        let mut incoming = self.socket.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || while !matches!(incoming.read(&mut [0; 65536]), Ok(0)) {});
            while !stop.load(Ordering::Relaxed) {
                self.tls.writer().write_all(bytes.as_ref()).unwrap();
                while self.tls.wants_write() && !stop.load(Ordering::Relaxed) {
                    let _ = self.tls.write_tls(&mut self.socket);
                }
            }
            self.socket.shutdown(Shutdown::Both).unwrap();
        });
    }

    /// Sends bytes, each `size` of them in a record of their own.
    pub fn send_in_records(&mut self, bytes: impl AsRef<[u8]>, size: usize) {
        for record in bytes.as_ref().chunks(size) {
            self.send(record);
        }
    }

    /// Sends a message on a line and waits for its answer.
    pub fn ask(&mut self, message: impl ToString) -> Value {
        self.send(message.to_string() + "\n");
        self.answer()
    }

    /// Sends all messages, one a line, and waits for all answers.
    pub fn ask_all<M: ToString>(&mut self, messages: impl IntoIterator<Item = M>) -> Vec<Value> {
        let mut text = String::new();
        let mut count = 0;
        for message in messages {
            text += &message.to_string();
            text.push('\n');
            count += 1;
        }
        self.send(text);
        (0..count).map(|_| self.answer()).collect()
    }

    /// Waits for the next answer, which must be as every answer must be.
    #[track_caller]
    pub fn answer(&mut self) -> Value {
        match self.next_answer() {
            Some(answer) => answer,
            None => panic!("the connection ended ({:?}) before an answer came", self.end),
        }
    }

    /// Waits for the next answer, and gives it as it was written.
    pub fn answer_text(&mut self) -> String {
        let line = self.next_line().expect("the connection lives");
        checked(&line);
        String::from_utf8(line).unwrap()
    }

    /// Waits for the next answer, or for the end of the connection.
    pub fn next_answer(&mut self) -> Option<Value> {
        self.next_line().map(|line| checked(&line))
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let began = Instant::now();
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                return Some(self.received.drain(..=end).collect());
            }
            if let Some(end) = self.end {
                // A crash may cut an answer; a server that says farewell has said all.
                assert!(
                    end != End::CloseNotify || self.received.is_empty(),
                    "half an answer: {}",
                    String::from_utf8_lossy(&self.received)
                );
                return None;
            }
            assert!(began.elapsed() < PATIENCE, "no answer");
            self.read_some().expect("the TLS session is sound");
        }
    }

    /// Takes all further answers until the connection ends.
    pub fn drain(&mut self) -> (Vec<Value>, End) {
        let mut answers = Vec::new();
        while let Some(answer) = self.next_answer() {
            answers.push(answer);
        }
        (answers, self.end.unwrap())
    }

    /// Listens for a moment, and says whether the connection lives on.
    pub fn lives_a_moment(&mut self) -> bool {
        self.read_some().expect("the TLS session is sound");
        self.end.is_none()
    }

    /// Says that nothing more will be sent; answers can still be read.
    pub fn finish(&mut self) {
        self.tls.send_close_notify();
        self.flush();
        // The server may have closed first; that is for the reading to find out.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Writes what is to be written. While the server does not take it, what it sends is read, so that neither waits
    /// for the other.
    fn flush(&mut self) {
        let began = Instant::now();
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if is_turn_over(&error) => {
                    self.read_some().expect("the TLS session is sound");
                }
                Err(_) => {
                    // What the server said before it closed is still worth reading.
                    return;
                }
            }
            assert!(began.elapsed() < PATIENCE, "the server does not read");
        }
    }

    /// Reads what there is, waiting a little.
    fn read_some(&mut self) -> io::Result<()> {
        match self.tls.read_tls(&mut self.socket) {
            Ok(0) => self.end = self.end.or(Some(End::Cut)),
            Ok(_) => {
                let state = self.tls.process_new_packets().map_err(io::Error::other)?;
                let mut plaintext = vec![0; state.plaintext_bytes_to_read()];
                self.tls.reader().read_exact(&mut plaintext)?;
                self.received.append(&mut plaintext);
                if state.peer_has_closed() {
                    self.end = Some(End::CloseNotify);
                }
            }
            Err(error) if is_turn_over(&error) => {}
            Err(_) => self.end = self.end.or(Some(End::Reset)),
        }
        Ok(())
    }
}

fn is_turn_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Reads an answer, and fails unless it has the shape that every answer has (`repsec:R11`, `O11`).
fn checked(line: &[u8]) -> Value {
    let line = std::str::from_utf8(line).expect("an answer is UTF-8");
    let answer: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no answer: {line}"));
    let status = answer["status"].as_u64().unwrap_or_else(|| panic!("no numeric status: {line}"));
    assert!(STATUSES.contains(&status), "a status that the draft does not have: {line}");
    assert!(answer["message"].as_str().is_some_and(|text| !text.is_empty()), "no message: {line}");
    assert_eq!(answer["error"].is_string(), status != 200, "an error code goes with every refusal: {line}");
    assert_eq!(answer["retry_after"].is_u64(), status == 429, "only 429 says when to come again: {line}");
    answer
}
