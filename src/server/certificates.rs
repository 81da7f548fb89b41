//! Certificates: read from files, or made for development.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::StartError;

/// Names that a development certificate is good for.
const DEVELOPMENT_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Sessions that can be resumed, in memory, for peers that use no tickets.
const SESSIONS_MAX: usize = 10_240;

/// Where the certificate chain and its private key stand, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The server's certificate first, then those that lead to a trust anchor.
    pub chain: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
}

/// What the next handshake takes; it may change while the server runs.
pub(super) struct InUse(Mutex<Arc<ServerConfig>>);

impl InUse {
    pub(super) fn new(config: Arc<ServerConfig>) -> InUse {
        InUse(Mutex::new(config))
    }

    pub(super) fn get(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set(&self, config: Arc<ServerConfig>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

impl CertificateFiles {
    /// Those of development, under the data directory.
    pub fn development(data: &Path) -> CertificateFiles {
        let tls = data.join("tls");
        CertificateFiles { chain: tls.join("server.pem"), key: tls.join("server.key") }
    }
}

/// The TLS settings of the server: TLS 1.2 and 1.3 (`repsec:R2`, `R3`), session resumption, no early data (it can be
/// replayed), and no compression, which rustls has none of (`repsec:R7`).
///
/// # Errors
/// When a file cannot be read, holds no PEM, or key and certificate do not fit.
pub fn server_config(files: &CertificateFiles) -> Result<Arc<ServerConfig>, StartError> {
    let unusable = |file: &Path, why: String| StartError::Certificate { file: file.to_owned(), why };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.chain)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(&files.chain, error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(&files.chain, "holds no certificate in PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| unusable(&files.chain, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                unusable(&files.key, format!("it does not belong to the certificate in {}", files.chain.display()))
            }
            other => unusable(&files.chain, other.to_string()),
        })?;
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS_MAX);
    config.ticketer =
        rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| unusable(&files.key, error.to_string()))?;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Makes a certificate authority and a certificate for this machine's loopback names, unless they are there already.
/// The authority's own key is thrown away: nobody can make a second certificate that its clients would believe.
///
/// # Errors
/// When the files cannot be written.
pub fn make_development(data: &Path) -> Result<CertificateFiles, StartError> {
    let files = CertificateFiles::development(data);
    let authority = data.join("tls").join("ca.pem");
    if [&authority, &files.chain, &files.key].iter().all(|file| file.exists()) {
        return Ok(files);
    }
    let made = make().map_err(|error| StartError::Certificate { file: files.chain.clone(), why: error.to_string() })?;
    let directory = data.join("tls");
    let write = || -> io::Result<()> {
        fs::create_dir_all(&directory)?;
        write_file(&files.key, &made.key, 0o600)?;
        write_file(&files.chain, &made.chain, 0o644)?;
        // The authority comes last: where it stands, the other two do.
        write_file(&authority, &made.authority, 0o644)
    };
    write().map_err(|source| StartError::Io {
        doing: "write the development certificates",
        path: directory.clone(),
        source,
    })?;
    Ok(files)
}

struct Made {
    authority: String,
    chain: String,
    key: String,
}

fn make() -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "repsec development authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(DEVELOPMENT_NAMES.map(str::to_owned))?;
    server.distinguished_name.push(DnType::CommonName, "repsec development server");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    Ok(Made { authority: authority.pem(), chain: certificate.pem(), key: key.serialize_pem() })
}

/// Puts a file in its place whole: whatever power loss comes, it is there with its text, or it is not there.
fn write_file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)?;
    path.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
}
