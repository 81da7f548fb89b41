//! Opening a store for a tool that only reads it.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::exit::Failure;
use crate::cli::paths;
use crate::log::{LogError, OpenOptions, Store};

/// Opens the store that is meant, which no server may have open.
///
/// # Errors
/// When there is none, or it is in use, in words that say what to do.
pub(super) fn open(data: Option<&Path>) -> Result<Store, Failure> {
    let path = paths::data_dir(data)?;
    Store::open(&path, OpenOptions { create: false, read_only: true }).map_err(failed)
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
