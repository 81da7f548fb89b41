//! TLS of one connection from the client's side, without I/O: bytes in, bytes out.
//!
//! Built on rustls' unbuffered interface, as the server's is: what was read from the socket is decrypted where it lies, and
//! many commands are encrypted as one record straight into the bytes that the socket takes. So the client costs little
//! beside the server that it measures.

use std::path::Path;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, RootCertStore};

use crate::error::LoadError;

/// Room for what TLS adds to one record, generously.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// Plaintext of one record at the most (RFC 8446, section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Room for a part of the handshake at first.
const HANDSHAKE_BYTES: usize = 2048;

/// Whom to trust and what the server is called.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Trust {
    /// TLS 1.3 only, so that all targets are measured with the same protocol.
    pub(crate) fn new(ca: &Path, server_name: &str) -> Result<Trust, LoadError> {
        let unusable = |why: String| LoadError::Authority { path: ca.to_owned(), why };
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(ca)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("holds no certificate in PEM".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| LoadError::Plan(format!("{server_name} is no name that a certificate could be good for")))?;
        Ok(Trust { config: Arc::new(config), name })
    }
}

/// The TLS state of one connection.
pub(crate) struct Tls(UnbufferedClientConnection);

impl Tls {
    pub(crate) fn new(trust: &Trust) -> Result<Tls, rustls::Error> {
        UnbufferedClientConnection::new(Arc::clone(&trust.config), trust.name.clone()).map(Tls)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// The cipher suite, once the handshake is over.
    pub(crate) fn cipher_suite(&self) -> String {
        self.0.negotiated_cipher_suite().map_or_else(String::new, |suite| format!("{:?}", suite.suite()))
    }

    /// Takes ciphertext, decrypting in place, and hands the plaintext on; parts of the handshake are appended to
    /// `outgoing`. Returns how many bytes of `incoming` are done with; the rest is the beginning of a record.
    pub(crate) fn receive(
        &mut self,
        incoming: &mut [u8],
        outgoing: &mut Vec<u8>,
        plaintext: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, rustls::Error> {
        let mut done = 0;
        loop {
            let rest = incoming.get_mut(done..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = self.0.process_tls_records(rest);
            let mut more = true;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plaintext(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, outgoing)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                // The socket's end follows, and is noticed there.
                ConnectionState::PeerClosed => {}
                _ => more = false,
            }
            done += discard;
            if !more {
                return Ok(done);
            }
        }
    }

    /// Encrypts bytes behind `outgoing`.
    pub(crate) fn send(&mut self, plaintext: &[u8], outgoing: &mut Vec<u8>) -> Result<(), rustls::Error> {
        let records = plaintext.len() / RECORD_BYTES_MAX + 1;
        let room = plaintext.len() + records * RECORD_OVERHEAD_BYTES;
        self.write(room, outgoing, |traffic, room| traffic.encrypt(plaintext, room))
    }

    /// Says behind `outgoing` that nothing more will come.
    pub(crate) fn close(&mut self, outgoing: &mut Vec<u8>) -> Result<(), rustls::Error> {
        self.write(RECORD_OVERHEAD_BYTES, outgoing, |traffic, room| traffic.queue_close_notify(room))
    }

    fn write(
        &mut self,
        room: usize,
        outgoing: &mut Vec<u8>,
        mut encrypt: impl FnMut(&mut WriteTraffic<'_, ClientConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), rustls::Error> {
        loop {
            let UnbufferedStatus { state, .. } = self.0.process_tls_records(&mut []);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return append(outgoing, room, |room| {
                        encrypt(&mut traffic, room).map_err(|error| match error {
                            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                                Some(required_size)
                            }
                            EncryptError::EncryptExhausted => None,
                        })
                    });
                }
                ConnectionState::EncodeTlsData(data) => encode(data, outgoing)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => {}
                _ => return Err(rustls::Error::HandshakeNotComplete),
            }
        }
    }
}

fn encode(mut data: EncodeTlsData<'_, ClientConnectionData>, outgoing: &mut Vec<u8>) -> Result<(), rustls::Error> {
    append(outgoing, HANDSHAKE_BYTES, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(required_size),
            EncodeError::AlreadyEncoded => None,
        })
    })
}

/// Lets `fill` write behind the end of `buffer`: into `room` bytes at first, then into as many as it asks for.
fn append(
    buffer: &mut Vec<u8>,
    room: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), rustls::Error> {
    let (end, mut room) = (buffer.len(), room);
    loop {
        buffer.resize(end + room, 0);
        match fill(buffer.get_mut(end..).unwrap_or_default()) {
            Ok(written) => {
                buffer.truncate(end + written);
                return Ok(());
            }
            Err(Some(required)) if required > room => room = required,
            Err(_) => {
                buffer.truncate(end);
                return Err(rustls::Error::EncryptError);
            }
        }
    }
}
