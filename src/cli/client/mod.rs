//! The command line's connection to a server: blocking TLS over a TCP stream, in two halves so that commands can be
//! sent while answers are read on another thread.
//!
//! The server's chain and name are always checked (`repsec:R4`); there is no way to switch that off. TLS 1.2 and 1.3
//! are offered, early data never is.
//!
//! May use: rustls, std's sockets. Never: interprets what it carries, retries, or prints.

mod error;
mod trust;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::address::ServerAddress;
use super::options::ConnectionArgs;
pub use error::ClientError;
pub use trust::TrustSource;

/// Seconds to wait for each address of the server, and for each step of the TLS handshake.
const CONNECT_TIMEOUT_S: u64 = 5;
/// Seconds after which a server that takes nothing more is given up.
const WRITE_TIMEOUT_S: u64 = 60;
/// The longest answer that is taken, in bytes: a page of 1,000 events with the largest attributes, written with
/// escapes, and room to spare. Beyond it the peer only wants our memory.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Read at once from the socket, in bytes: a few TLS records.
const READ_BYTES: usize = 64 * 1024;

/// What both halves hold. The lock is never held across a socket call, so that a server which takes no more commands
/// can still be listened to.
struct Shared {
    socket: TcpStream,
    tls: Mutex<ClientConnection>,
    server: ServerAddress,
    trust: TrustSource,
}

impl Shared {
    fn tls(&self) -> MutexGuard<'_, ClientConnection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The half that sends.
pub struct SendHalf {
    shared: Arc<Shared>,
    records: Vec<u8>,
}

/// The half that receives.
pub struct ReceiveHalf {
    shared: Arc<Shared>,
    records: Box<[u8]>,
    plain: Vec<u8>,
    searched: usize,
}

/// What came from the server.
enum Received {
    Bytes,
    End,
}

/// Connects, shakes hands, and checks the server.
///
/// # Errors
/// When the files that are named cannot be used, no address of the server answers, or the server is not who it should be.
pub fn connect(args: &ConnectionArgs) -> Result<(SendHalf, ReceiveHalf), ClientError> {
    let (config, trust) = trust::client_config(args)?;
    let server = args.server.clone();
    let name = ServerName::try_from(server.host().to_owned())
        .map_err(|_| ClientError::Unresolved { server: server.clone(), reason: "not a host name".to_owned() })?;
    let mut socket = open(&server)?;
    let mut tls = ClientConnection::new(Arc::new(config), name)
        .map_err(|error| ClientError::from_tls(&server, &trust, &error))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).map_err(|error| ClientError::from_handshake(&server, &trust, error))?;
    }
    // From here on a silent server is noticed by who waits for an answer, since being idle is no fault.
    socket.set_read_timeout(None).map_err(|source| ClientError::Broken { server: server.clone(), source })?;
    let shared = Arc::new(Shared { socket, tls: Mutex::new(tls), server, trust });
    let receiving = ReceiveHalf {
        shared: Arc::clone(&shared),
        records: vec![0; READ_BYTES].into_boxed_slice(),
        plain: Vec::new(),
        searched: 0,
    };
    Ok((SendHalf { shared, records: Vec::new() }, receiving))
}

/// A TCP connection to the first address that answers.
fn open(server: &ServerAddress) -> Result<TcpStream, ClientError> {
    let unresolved = |reason: String| ClientError::Unresolved { server: server.clone(), reason };
    let addresses: Vec<SocketAddr> =
        (server.host(), server.port()).to_socket_addrs().map_err(|error| unresolved(error.to_string()))?.collect();
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, Duration::from_secs(CONNECT_TIMEOUT_S)) {
            Ok(socket) => {
                let prepared = socket
                    .set_nodelay(true)
                    .and_then(|()| socket.set_read_timeout(Some(Duration::from_secs(CONNECT_TIMEOUT_S))))
                    .and_then(|()| socket.set_write_timeout(Some(Duration::from_secs(WRITE_TIMEOUT_S))));
                return prepared
                    .map(|()| socket)
                    .map_err(|source| ClientError::Broken { server: server.clone(), source });
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(source) => Err(ClientError::Unreachable { server: server.clone(), source }),
        None => Err(unresolved("the name has no address".to_owned())),
    }
}

impl SendHalf {
    /// Sends all bytes.
    ///
    /// # Errors
    /// When the connection has ended, or the server takes nothing for a minute.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let taken = {
                let mut tls = self.shared.tls();
                // The session's buffer is bounded and empty here, so that this takes some but perhaps not all.
                let taken = tls.writer().write(bytes).map_err(|error| self.broken(error))?;
                drain_records(&mut tls, &mut self.records).map_err(|error| self.broken(error))?;
                taken
            };
            bytes = bytes.get(taken..).unwrap_or_default();
            self.write_records()?;
        }
        Ok(())
    }

    /// Says that nothing more will be sent. The server answers what it has accepted, then closes (`repsec:O14`).
    ///
    /// # Errors
    /// When the connection has ended already.
    pub fn finish(&mut self) -> Result<(), ClientError> {
        {
            let mut tls = self.shared.tls();
            tls.send_close_notify();
            drain_records(&mut tls, &mut self.records).map_err(|error| self.broken(error))?;
        }
        self.write_records()
    }

    /// The server that is spoken to.
    pub fn server(&self) -> &ServerAddress {
        &self.shared.server
    }

    fn write_records(&mut self) -> Result<(), ClientError> {
        let written = (&self.shared.socket).write_all(&self.records);
        self.records.clear();
        written.map_err(|error| self.broken(error))
    }

    fn broken(&self, source: std::io::Error) -> ClientError {
        ClientError::Broken { server: self.shared.server.clone(), source }
    }
}

/// Ends the connection at once, which also wakes the other half from its read.
impl Drop for SendHalf {
    fn drop(&mut self) {
        let _ = self.shared.socket.shutdown(Shutdown::Both);
    }
}

/// Moves what TLS wants to send out of the session.
fn drain_records(tls: &mut ClientConnection, records: &mut Vec<u8>) -> std::io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(records)?;
    }
    Ok(())
}

impl ReceiveHalf {
    /// The next answer without its line end; `None` when the server has closed the connection in good order.
    ///
    /// # Errors
    /// When the connection is cut, TLS fails, or what comes is not UTF-8 or too long to be an answer.
    pub fn line(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            let fresh = self.plain.get(self.searched..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', fresh) {
                let rest = self.plain.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.plain, rest);
                self.searched = 0;
                while line.last().is_some_and(u8::is_ascii_whitespace) {
                    line.pop();
                }
                if line.is_empty() {
                    continue;
                }
                let server = || self.shared.server.clone();
                return String::from_utf8(line)
                    .map(Some)
                    .map_err(|_| ClientError::NoAnswerOfRepsec { server: server() });
            }
            self.searched = self.plain.len();
            if self.searched > ANSWER_BYTES_MAX {
                return Err(ClientError::NoAnswerOfRepsec { server: self.shared.server.clone() });
            }
            match self.receive()? {
                Received::Bytes => {}
                Received::End if self.plain.is_empty() => return Ok(None),
                Received::End => return Err(ClientError::Cut { server: self.shared.server.clone() }),
            }
        }
    }

    /// Takes what is there, or waits for more.
    fn receive(&mut self) -> Result<Received, ClientError> {
        loop {
            if let Some(received) = self.decrypted()? {
                return Ok(received);
            }
            let count = match (&self.shared.socket).read(&mut self.records) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(ClientError::Broken { server: self.shared.server.clone(), source }),
            };
            let mut records = self.records.get(..count).unwrap_or_default();
            if records.is_empty() {
                // The end of the stream without TLS's own goodbye: somebody cut it.
                return Err(ClientError::Cut { server: self.shared.server.clone() });
            }
            while !records.is_empty() {
                let shared = Arc::clone(&self.shared);
                let mut tls = shared.tls();
                let taken = tls
                    .read_tls(&mut records)
                    .and_then(|taken| if taken == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(taken) });
                taken.map_err(|source| ClientError::Broken { server: shared.server.clone(), source })?;
                tls.process_new_packets()
                    .map_err(|error| ClientError::from_tls(&shared.server, &shared.trust, &error))?;
                collect(&mut tls, &mut self.plain);
            }
        }
    }

    /// What TLS has decrypted already, if anything.
    fn decrypted(&mut self) -> Result<Option<Received>, ClientError> {
        let shared = Arc::clone(&self.shared);
        let mut tls = shared.tls();
        let closed = collect(&mut tls, &mut self.plain);
        if self.plain.len() > self.searched {
            return Ok(Some(Received::Bytes));
        }
        Ok(closed.then_some(Received::End))
    }
}

/// Moves decrypted bytes to `plain`. True when the peer has said that nothing more comes.
fn collect(tls: &mut ClientConnection, plain: &mut Vec<u8>) -> bool {
    // An error here says "nothing now": what is fatal, `process_new_packets` has reported.
    tls.reader().read_to_end(plain).is_ok()
}
