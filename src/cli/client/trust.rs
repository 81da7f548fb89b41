//! Whom the command line believes: which authorities may vouch for a server, and with what it shows itself.
//!
//! May use: rustls, the files that the options name. Never: trusts without an authority.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::ClientError;
use crate::cli::options::ConnectionArgs;
use crate::cli::paths;

/// Where the trusted authorities come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TrustSource {
    /// The file that `--ca` names.
    Given(PathBuf),
    /// The development authority of the default data directory; only for servers on this machine.
    Development(PathBuf),
    /// The authorities of this system.
    System,
}

impl TrustSource {
    /// Chooses by the options, and by whether the development authority is there.
    fn choose(args: &ConnectionArgs, development: Option<PathBuf>) -> TrustSource {
        match (&args.ca, development) {
            (Some(file), _) => TrustSource::Given(file.clone()),
            (None, Some(file)) if args.server.is_loopback() && file.is_file() => TrustSource::Development(file),
            (None, _) => TrustSource::System,
        }
    }
}

/// The TLS settings for these options, and whose word counts in them.
///
/// # Errors
/// When a file cannot be read or used, or there is no authority to trust.
pub fn client_config(args: &ConnectionArgs) -> Result<(ClientConfig, TrustSource), ClientError> {
    let development = paths::default_data_dir().map(|dir| paths::development_authority(&dir));
    let source = TrustSource::choose(args, development);
    let roots = match &source {
        TrustSource::Given(file) | TrustSource::Development(file) => roots_of(file)?,
        TrustSource::System => roots_of_system()?,
    };
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| ClientError::Settings { reason: error.to_string() })?
        .with_root_certificates(roots);
    let config = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let unfit = |error: rustls::Error| ClientError::File { path: key.clone(), reason: error.to_string() };
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(unfit)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok((config, source))
}

fn roots_of(file: &Path) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| ClientError::File { path: file.into(), reason: error.to_string() })?;
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // Systems carry a few certificates that are older than the rules; the others are as good without them.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = "this system has no certificate authorities; install ca-certificates, or name one with --ca FILE";
        return Err(ClientError::Settings { reason: reason.to_owned() });
    }
    Ok(roots)
}

/// The certificates of a PEM file; at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let unusable = |reason: String| ClientError::File { path: file.into(), reason };
    let found: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| unusable(pem_reason(error)))?;
    if found.is_empty() { Err(unusable("there is no certificate in it".to_owned())) } else { Ok(found) }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|error| ClientError::File { path: file.into(), reason: pem_reason(error) })
}

/// What is wrong with a PEM file, without anything that stands in it.
fn pem_reason(error: rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(source) => source.to_string(),
        Error::NoItemsFound => "what is wanted is not in it (PEM, \"-----BEGIN ...\")".to_owned(),
        _ => "it is not valid PEM".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        connection: ConnectionArgs,
    }

    fn args(line: &[&str]) -> ConnectionArgs {
        Line::try_parse_from([&["repsec"], line].concat()).unwrap().connection
    }

    #[test]
    fn the_development_authority_vouches_for_this_machine_only() {
        let dir = tempfile::tempdir().unwrap();
        let (there, missing) = (dir.path().join("ca.pem"), dir.path().join("none.pem"));
        std::fs::write(&there, "x").unwrap();
        let development = TrustSource::Development(there.clone());
        for (line, file, expected) in [
            (&["--server", "127.0.0.1"][..], &there, development.clone()),
            (&["--server", "localhost:1"], &there, development),
            (&["--server", "127.0.0.1"], &missing, TrustSource::System),
            (&["--server", "rep.example"], &there, TrustSource::System),
            (&["--server", "127.0.0.1", "--ca", "f"], &there, TrustSource::Given("f".into())),
        ] {
            assert_eq!(TrustSource::choose(&args(line), Some(file.clone())), expected, "{line:?}");
        }
    }

    #[test]
    fn files_that_hold_no_certificate_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("empty.pem");
        std::fs::write(&file, "no PEM here\n").unwrap();
        for path in [file, dir.path().join("missing.pem")] {
            let text = roots_of(&path).unwrap_err().to_string();
            assert!(text.contains(&*path.to_string_lossy()), "{text}");
        }
    }
}
