//! A server that is none: it shows a certificate, says what it is told to say, and notes what it hears. For tests of
//! what the command line does with a server that it must not believe, or that says more than ours.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;

/// A server's certificate with an authority of its own.
pub struct Certificate {
    /// The authority, in PEM.
    pub authority: String,
    /// The certificate, in PEM.
    pub chain: String,
    /// Its private key, in PEM.
    pub key: String,
}

impl Certificate {
    /// A good certificate for these names, which `change` may spoil before it is signed.
    pub fn new(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "authority of a test");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut server = CertificateParams::new(names).unwrap();
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut server);
        let key = KeyPair::generate().unwrap();
        let chain = server.signed_by(&key, &authority).unwrap();
        Certificate { authority: authority.pem(), chain: chain.pem(), key: key.serialize_pem() }
    }

    /// Writes the authority into a file.
    pub fn write_authority(&self, directory: &Path) -> PathBuf {
        let file = directory.join("authority.pem");
        fs::write(&file, &self.authority).unwrap();
        file
    }
}

/// The server that is none, for one connection.
pub struct Peer {
    address: SocketAddr,
    conversation: JoinHandle<Vec<u8>>,
}

impl Peer {
    /// Listens, shows the certificate to who comes, and answers its first line with `answer`.
    pub fn start(certificate: &Certificate, answer: &str) -> Peer {
        let chain = CertificateDer::from_pem_slice(certificate.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = format!("{answer}\n");
        let conversation = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            converse(socket, Arc::new(config), &answer)
        });
        Peer { address, conversation }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was told inside TLS until the connection ended.
    pub fn heard(self) -> Vec<u8> {
        // If nobody has come, nobody will.
        drop(TcpStream::connect(self.address));
        self.conversation.join().unwrap()
    }
}

fn converse(socket: TcpStream, config: Arc<ServerConfig>, answer: &str) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let answered = heard.contains(&b'\n');
        heard.extend_from_slice(&buffer[..count]);
        if !answered && heard.contains(&b'\n') && stream.write_all(answer.as_bytes()).is_err() {
            break;
        }
    }
    heard
}
