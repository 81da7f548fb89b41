//! Where the store lives when nobody says: by the XDG rules, for root too, so that there is one rule to remember.
//!
//! May use: the environment, `directories`. Never: creates or reads anything.

use std::path::{Path, PathBuf};

/// The environment variable that names the data directory.
pub const DATA_VARIABLE: &str = "REPSEC_DATA";

/// The data directory when no flag names one: `$REPSEC_DATA`, else `$XDG_DATA_HOME/repsec`, else
/// `~/.local/share/repsec`. `None` where the user has no home.
pub fn default_data_dir() -> Option<PathBuf> {
    match std::env::var_os(DATA_VARIABLE) {
        Some(named) if !named.is_empty() => Some(PathBuf::from(named)),
        _ => directories::BaseDirs::new().map(|dirs| dirs.data_dir().join("repsec")),
    }
}

/// The certificate of the development authority that `serve --dev` makes in a data directory.
pub fn development_authority(data_dir: &Path) -> PathBuf {
    data_dir.join("tls").join("ca.pem")
}
