//! A directory for the data of all peers, which vanishes with the run.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::ending;
use crate::failure::Failure;

/// The directory. It is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one below `parent`, for nobody but this user.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(parent: &Path) -> Result<Scratch, Failure> {
        let path = parent.join(format!("repsec-budgets.{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(Failure::system(format!("make the directory {}", path.display())))?;
        ending::made(path.clone());
        Ok(Scratch { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new directory in it.
    ///
    /// # Errors
    /// When it cannot be made, or is there already.
    pub fn directory(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(Failure::system(format!("make the directory {}", path.display())))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody could do anything about it, and it lies where temporary files lie.
        let _ = fs::remove_dir_all(&self.path);
        ending::removed(&self.path);
    }
}
