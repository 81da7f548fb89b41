//! The layer between a server and the file system: `tools/powerloss/preload`, with what it shall do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::EXECUTABLE;

/// What can be let fail.
pub const KINDS: [&str; 5] = ["read", "open", "write", "sync", "name"];

/// What the layer shall do.
pub struct Layer(Vec<String>);

impl Layer {
    /// A layer that watches this directory.
    pub fn of(directory: &Path) -> Layer {
        Layer(vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", library().display()),
            format!("POWERLOSS_DIRECTORY={}", directory.display()),
        ])
    }

    /// It appends what is done there to this trace.
    pub fn trace(self, file: &Path) -> Layer {
        self.with("TRACE", &file.display().to_string())
    }

    /// It says that syncs are done, and does none.
    pub fn pretends(self) -> Layer {
        self.with("SYNC", "pretend")
    }

    /// It lets the n-th `read`, `open`, `write`, `sync` or `name` fail with this error, or all from the n-th on.
    pub fn fails(self, what: &str, number: u64, forever: bool, error: i32) -> Layer {
        self.with("FAIL", &format!("{what}:{number}{}:{error}", if forever { "+" } else { "" }))
    }

    /// It keeps in this file how many there were of each kind, in the order of [`KINDS`], and how many failed.
    pub fn counts(self, file: &Path) -> Layer {
        self.with("COUNTS", &file.display().to_string())
    }

    fn with(mut self, name: &str, value: &str) -> Layer {
        self.0.push(format!("POWERLOSS_{name}={value}"));
        self
    }

    /// The command that starts a program on it.
    pub fn wrapper(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// The layer's library. Cargo builds it when it is first asked for, since nothing that is linked depends on it.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(EXECUTABLE).ancestors().nth(2).expect("the executable lies below target/");
        let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        build.args(["build", "--quiet", "--locked", "--package", "repsec-powerloss-preload", "--target-dir"]);
        let status = build.arg(target).current_dir(env!("CARGO_MANIFEST_DIR")).status();
        let library = target.join("debug/librepsec_powerloss_preload.so");
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success) && library.is_file(),
            "the layer below the server cannot be built ({status:?}); see what this says: {build:?}"
        );
        library
    })
}
