//! The directory that results are written to.
//!
//! Never: decides where it is.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::failure::Failure;

/// A directory that is there.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a>(&'a Path);

impl<'a> Folder<'a> {
    /// Makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(path: &'a Path) -> Result<Folder<'a>, Failure> {
        fs::create_dir_all(path).map_err(Failure::system(format!("make {}", path.display())))?;
        Ok(Folder(path))
    }

    /// Writes a text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(Failure::system(format!("write {}", path.display())))
    }

    /// Writes something as JSON, for people too.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json(self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(value).map_err(|error| Failure::Result(error.to_string()))?;
        self.text(name, &format!("{json}\n"))
    }
}
