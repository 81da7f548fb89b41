//! TLS of one connection, without I/O: bytes in, bytes out.
//!
//! Built on rustls' unbuffered interface, since all buffers then belong to the connection: the ciphertext is decrypted
//! where the socket put it, the answers are encrypted straight into the buffer that the socket takes, and a cancelled
//! read loses nothing. (The stream wrapper that exists for monoio copies twice and breaks when a read is cancelled.)
//! Public so that its cost is measured alone (`benches/micro/tls.rs`).

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};

use crate::runtime::Buffer;

/// Room for what TLS adds to one record: header, explicit nonce, content type and tag, generously.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// Plaintext of one record at the most (RFC 8446, section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Room for a part of the handshake at first; it is asked for more where that is not enough.
const HANDSHAKE_BYTES: usize = 512;

/// The TLS state of one accepted connection.
pub struct Tls {
    connection: UnbufferedServerConnection,
    outgoing: Buffer,
    peer_closed: bool,
}

impl Tls {
    /// Begins the server's side of a handshake.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<Tls, rustls::Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Tls { connection, outgoing: Buffer::default(), peer_closed: false })
    }

    /// Takes ciphertext, decrypting in place, and hands the plaintext on. Returns how many bytes of `incoming` are
    /// done with; the rest is the beginning of a record and must be there again, in front, with the next call.
    ///
    /// # Errors
    /// When the peer breaks the protocol or offers nothing that we accept. The alert for it is in the outgoing bytes;
    /// after they are sent the connection must end.
    pub fn receive(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut dyn FnMut(&[u8]),
    ) -> (usize, Result<(), rustls::Error>) {
        let mut done = 0;
        let mut failure = None;
        loop {
            // Behind an error there is nothing to be read, only the alert to be encoded. The broken record must not be
            // shown to rustls again: it would make a second alert, which it takes for a mistake of ours.
            let unread = if failure.is_none() { done } else { incoming.len() };
            let rest = incoming.get_mut(unread..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(rest);
            let mut more = true;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plaintext(record.payload);
                            }
                            Err(error) => failure = Some(error),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, self.outgoing.end()),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                // Early data is not enabled (it can be replayed), so this state does not occur; if it did, the
                // data would be dropped here.
                Ok(ConnectionState::ReadEarlyData(mut data)) => while data.next_record().is_some() {},
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => {
                    more = false;
                }
                Ok(_) => more = false,
                Err(error) => {
                    more = failure.is_none();
                    failure.get_or_insert(error);
                }
            }
            done += discard;
            if !more {
                return (done, failure.map_or(Ok(()), Err));
            }
        }
    }

    /// Whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer has said that it will send nothing more.
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Encrypts an answer into the outgoing bytes.
    ///
    /// # Errors
    /// When the handshake is not done or the session's keys are used up.
    pub fn send(&mut self, plaintext: &[u8]) -> Result<(), rustls::Error> {
        let records = plaintext.len() / RECORD_BYTES_MAX + 1;
        let room = plaintext.len() + records * RECORD_OVERHEAD_BYTES;
        self.write(room, |traffic, room| traffic.encrypt(plaintext, room))
    }

    /// Puts a close_notify alert behind what was sent.
    pub fn close(&mut self) {
        // Before the end of the handshake there is no session to close.
        let _ = self.write(RECORD_OVERHEAD_BYTES, |traffic, room| traffic.queue_close_notify(room));
    }

    /// Whether there is something to be sent.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Takes what is to be sent, leaving `empty` to be filled next.
    pub fn take_outgoing(&mut self, empty: Buffer) -> Buffer {
        std::mem::replace(&mut self.outgoing, empty)
    }

    fn write(
        &mut self,
        room: usize,
        mut encrypt: impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), rustls::Error> {
        loop {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let written = append(self.outgoing.end(), room, |room| match encrypt(&mut traffic, room) {
                        Ok(written) => Ok(written),
                        Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            Err(Some(required_size))
                        }
                        Err(EncryptError::EncryptExhausted) => Err(None),
                    });
                    return if written { Ok(()) } else { Err(rustls::Error::EncryptError) };
                }
                ConnectionState::EncodeTlsData(data) => encode(data, self.outgoing.end()),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                _ => return Err(rustls::Error::HandshakeNotComplete),
            }
        }
    }
}

/// Appends a part of the handshake, a ticket or an alert.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut Vec<u8>) {
    append(outgoing, HANDSHAKE_BYTES, |room| match data.encode(room) {
        Ok(written) => Ok(written),
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => Err(Some(required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
}

/// Lets `fill` write behind the end of `buffer`, with `room` bytes at first and with as many as it asks for then.
/// Returns whether it wrote.
fn append(buffer: &mut Vec<u8>, room: usize, mut fill: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) -> bool {
    let end = buffer.len();
    let mut room = room;
    loop {
        buffer.resize(end + room, 0);
        let outcome = fill(buffer.get_mut(end..).unwrap_or_default());
        match outcome {
            Ok(written) => {
                buffer.truncate(end + written);
                return true;
            }
            Err(Some(required)) if required > room => room = required,
            Err(_) => {
                buffer.truncate(end);
                return false;
            }
        }
    }
}
