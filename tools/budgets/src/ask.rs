//! One connection to a RepSec server that asks one thing at a time: for what the load generator does not do.
//!
//! Never: pipelines while it measures.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::failure::Failure;
use crate::peer::Peer;

/// Silence of a server after which it is given up; a start with a long tail takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection.
pub struct Asker {
    name: String,
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Asker {
    /// Connects, and checks the server's certificate.
    ///
    /// # Errors
    /// When that fails.
    pub fn new(peer: &Peer) -> Result<Asker, Failure> {
        let failed = |why: String| Failure::peer(&peer.name, format!("cannot be asked: {why}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&peer.ca).map_err(|error| failed(error.to_string()))? {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(|error| failed(error.to_string()))?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(|error| failed(error.to_string()))?;
        let socket = TcpStream::connect(peer.address).map_err(|error| failed(error.to_string()))?;
        let ready = socket.set_nodelay(true).and_then(|()| socket.set_read_timeout(Some(PATIENCE)));
        ready.map_err(|error| failed(error.to_string()))?;
        Ok(Asker { name: peer.name.clone(), stream: BufReader::new(StreamOwned::new(tls, socket)) })
    }

    /// Asks one thing; the answer's line, and the microseconds from asking to its end.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn ask(&mut self, command: &Value) -> Result<(String, f64), Failure> {
        let question = format!("{command}\n");
        let mut line = String::new();
        let began = Instant::now();
        let stream = self.stream.get_mut();
        let asked = stream.write_all(question.as_bytes()).and_then(|()| stream.flush());
        let read = asked.and_then(|()| self.stream.read_line(&mut line));
        let us = began.elapsed().as_secs_f64() * 1e6;
        match read {
            Ok(bytes) if bytes > 0 && line.ends_with('\n') => Ok((line, us)),
            Ok(_) => Err(Failure::peer(&self.name, "closed the connection in place of an answer")),
            Err(error) => Err(Failure::peer(&self.name, format!("does not answer: {error}"))),
        }
    }

    /// Asks many things at once, and gives their answers in order.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn ask_all(&mut self, commands: &[Value]) -> Result<Vec<Value>, Failure> {
        let questions: String = commands.iter().map(|command| format!("{command}\n")).collect();
        let failed = |error: std::io::Error| Failure::peer(&self.name, format!("does not answer: {error}"));
        let stream = self.stream.get_mut();
        stream.write_all(questions.as_bytes()).and_then(|()| stream.flush()).map_err(failed)?;
        let mut answers = Vec::with_capacity(commands.len());
        for _ in commands {
            let mut line = String::new();
            self.stream.read_line(&mut line).map_err(failed)?;
            answers.push(serde_json::from_str(&line).unwrap_or_default());
        }
        Ok(answers)
    }

    /// Sends the beginning of a message, and goes without a farewell.
    pub fn leave_unfinished(mut self) {
        let stream = self.stream.get_mut();
        // The server may have ended it meanwhile; then it is gone all the same.
        let _ = stream.write_all(br#"{"command": "VER"#).and_then(|()| stream.flush());
    }

    /// Asks one thing that must be answered with status 200; the answer.
    ///
    /// # Errors
    /// When it is not.
    pub fn must(&mut self, command: &Value) -> Result<Value, Failure> {
        let (line, _) = self.ask(command)?;
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        if answer["status"] == 200 {
            return Ok(answer);
        }
        let shown: String = line.trim_end().chars().take(200).collect();
        Err(Failure::peer(&self.name, format!("answered {shown} to {command}")))
    }
}
