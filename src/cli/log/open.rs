//! Opening a store for a tool that only reads it.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::exit::Failure;
use crate::cli::paths::default_data_dir;
use crate::log::{LogError, OpenOptions, Store};

/// Opens the store that is meant, which no server may have open.
///
/// # Errors
/// When there is none, or it is in use, in words that say what to do.
pub(super) fn open(data: Option<&Path>) -> Result<Store, Failure> {
    let path = data_dir(data)?;
    Store::open(&path, OpenOptions { create: false, read_only: true }).map_err(failed)
}

/// The data directory that is meant: the one that was named, or the default.
///
/// # Errors
/// When none was named and the user has no home.
fn data_dir(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let missing = || Failure::Usage("no home directory to keep the store in: name a directory with --data".to_owned());
    named.map(Path::to_owned).or_else(default_data_dir).ok_or_else(missing)
}

/// A store's error as a failure of the command.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failed(error: LogError) -> Failure {
    Failure::Failed(error.to_string())
}

/// A bar on standard error for work on many events; silent where nobody watches.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(what: &'static str) -> Progress {
        let bar = ProgressBar::new(0).with_message(what);
        let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len}, {eta} to go");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress(bar)
    }

    pub(super) fn at(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
