//! Why the server could not be asked, in words for the person who typed the command.
//!
//! May use: rustls' errors. Never: shows what is inside a file of secrets.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::CertificateError;

use super::TrustSource;
use crate::cli::address::ServerAddress;

/// What went wrong between the command line and the server.
#[derive(Debug)]
pub enum ClientError {
    /// A file that the options name cannot be used.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS cannot be set up.
    Settings {
        /// Why.
        reason: String,
    },
    /// The host has no address.
    Unresolved {
        /// Who was looked up.
        server: ServerAddress,
        /// Why.
        reason: String,
    },
    /// No address of the server takes a connection.
    Unreachable {
        /// Who was called.
        server: ServerAddress,
        /// What the last address said.
        source: io::Error,
    },
    /// The server cannot prove who it is.
    Untrusted {
        /// Who was called.
        server: ServerAddress,
        /// What is wrong with its certificate, and what may help.
        reason: String,
    },
    /// TLS failed for another reason, perhaps since the server does not trust us.
    Tls {
        /// Who was called.
        server: ServerAddress,
        /// What TLS says.
        reason: String,
    },
    /// Reading or writing failed.
    Broken {
        /// With whom.
        server: ServerAddress,
        /// How.
        source: io::Error,
    },
    /// The connection ended while answers were due.
    Cut {
        /// With whom.
        server: ServerAddress,
    },
    /// Nothing came for too long while answers were due.
    Silent {
        /// From whom.
        server: ServerAddress,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// What came is no answer of RepSec.
    NoAnswerOfRepsec {
        /// From whom.
        server: ServerAddress,
    },
}

impl ClientError {
    /// Reads what a handshake's I/O error says: TLS's own errors come wrapped in it.
    pub fn from_handshake(server: &ServerAddress, trust: &TrustSource, error: io::Error) -> ClientError {
        let server = server.clone();
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return ClientError::from_tls(&server, trust, inner);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                ClientError::Tls { server, reason: "the other side hung up during the TLS handshake".to_owned() }
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Tls { server, reason: "no answer to the TLS handshake".to_owned() }
            }
            _ => ClientError::Broken { server, source: error },
        }
    }

    /// Reads what TLS says.
    pub fn from_tls(server: &ServerAddress, trust: &TrustSource, error: &rustls::Error) -> ClientError {
        let server = server.clone();
        match error {
            rustls::Error::InvalidCertificate(cause) => {
                let reason = certificate_reason(&server, trust, cause);
                ClientError::Untrusted { server, reason }
            }
            rustls::Error::InvalidMessage(_) => {
                ClientError::Tls { server, reason: "what answers there does not speak TLS".to_owned() }
            }
            rustls::Error::AlertReceived(alert) => ClientError::Tls {
                server,
                reason: format!("the server ended the connection with the TLS alert {alert:?}"),
            },
            other => ClientError::Tls { server, reason: other.to_string() },
        }
    }

    /// Whether the connection broke after it had stood, so that the fate of what was sent is unknown.
    pub fn is_lost_connection(&self) -> bool {
        match self {
            ClientError::Broken { .. } | ClientError::Cut { .. } | ClientError::Silent { .. } => true,
            ClientError::File { .. }
            | ClientError::Settings { .. }
            | ClientError::Unresolved { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Untrusted { .. }
            | ClientError::Tls { .. }
            | ClientError::NoAnswerOfRepsec { .. } => false,
        }
    }
}

fn certificate_reason(server: &ServerAddress, trust: &TrustSource, cause: &CertificateError) -> String {
    let host = server.host();
    match cause {
        // Authorities may share a name, as all development authorities do; then it is the signature that tells them
        // apart.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => unknown_issuer(server, trust),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is not for '{host}'. Ask it under a name that stands in the certificate")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet. Is the clock of this machine right?".to_owned()
        }
        CertificateError::Revoked => "its certificate has been revoked".to_owned(),
        other => format!("its certificate is not acceptable: {other}"),
    }
}

/// The commonest case of all, so it says what to type.
fn unknown_issuer(server: &ServerAddress, trust: &TrustSource) -> String {
    let dev = "--ca DIR/tls/ca.pem, where DIR is the data directory of that server";
    match trust {
        TrustSource::Given(file) => {
            format!("its certificate is not from an authority in {}. Name the right one with --ca FILE", file.display())
        }
        TrustSource::Development(file) => format!(
            "its certificate is not from the development authority {}. \
             If the server runs with --dev on another data directory, add {dev}; else name its authority with --ca FILE",
            file.display()
        ),
        TrustSource::System if server.is_loopback() => {
            format!(
                "this system does not know the authority of its certificate. If the server runs with --dev, add {dev}"
            )
        }
        TrustSource::System => {
            "this system does not know the authority of its certificate. Name it with --ca FILE".to_owned()
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::File { path, reason } => write!(f, "cannot use {}: {reason}", path.display()),
            ClientError::Settings { reason } => f.write_str(reason),
            ClientError::Unresolved { server, reason } => write!(f, "cannot find {}: {reason}", server.host()),
            ClientError::Unreachable { server, source } => unreachable_text(f, server, source),
            ClientError::Untrusted { server, reason } => write!(f, "do not trust {server}: {reason}"),
            ClientError::Tls { server, reason } => write!(f, "cannot speak with {server}: {reason}"),
            ClientError::Broken { server, source } => {
                write!(f, "lost the connection to {server}: {}", io_reason(source))
            }
            ClientError::Cut { server } => {
                write!(f, "lost the connection to {server}: the server hung up before it had answered")
            }
            ClientError::Silent { server, seconds } => write!(f, "{server} has said nothing for {seconds} s"),
            ClientError::NoAnswerOfRepsec { server } => {
                write!(f, "what {server} sends is no answer of RepSec. Is another program listening there?")
            }
        }
    }
}

fn unreachable_text(f: &mut fmt::Formatter<'_>, server: &ServerAddress, source: &io::Error) -> fmt::Result {
    write!(f, "cannot reach {server}: {}. Is the server running?", io_reason(source))?;
    if server.is_loopback() { f.write_str(" Start it with: repsec serve --dev") } else { Ok(()) }
}

/// The system's words for the usual cases, without its error numbers.
fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no way there".to_owned(),
        _ => error.to_string(),
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_told_with_what_to_type() {
        let error = |server: &str, kind: io::ErrorKind| {
            ClientError::Unreachable { server: server.parse().unwrap(), source: kind.into() }.to_string()
        };
        assert_eq!(
            error("127.0.0.1", io::ErrorKind::ConnectionRefused),
            "cannot reach 127.0.0.1:4655: connection refused. Is the server running? Start it with: repsec serve --dev"
        );
        assert_eq!(
            error("rep.example:1", io::ErrorKind::TimedOut),
            "cannot reach rep.example:1: no answer in time. Is the server running?"
        );
    }

    #[test]
    fn an_unknown_issuer_names_the_option() {
        let file = PathBuf::from("some/ca.pem");
        for (server, trust, part) in [
            ("127.0.0.1", TrustSource::Development(file.clone()), "--ca DIR/tls/ca.pem"),
            ("127.0.0.1", TrustSource::System, "--ca DIR/tls/ca.pem"),
            ("rep.example", TrustSource::System, "--ca FILE"),
            ("rep.example", TrustSource::Given(file), "some/ca.pem"),
        ] {
            for cause in [CertificateError::UnknownIssuer, CertificateError::BadSignature] {
                let unknown = rustls::Error::InvalidCertificate(cause);
                let text = ClientError::from_tls(&server.parse().unwrap(), &trust, &unknown).to_string();
                assert!(text.starts_with("do not trust ") && text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn tls_errors_are_found_inside_handshake_errors() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::NotValidForName);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, inner);
        let error = ClientError::from_handshake(&"127.0.0.1".parse().unwrap(), &TrustSource::System, wrapped);
        assert!(matches!(error, ClientError::Untrusted { .. }), "{error}");
        assert!(error.to_string().contains("'127.0.0.1'"), "{error}");
    }
}
