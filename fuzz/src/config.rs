//! The configuration file: refused with reasons, or within its bounds.

use std::path::PathBuf;

use repsec::config::{Overrides, load};

/// Reads the bytes as a configuration file.
pub fn run(data: &[u8]) {
    // A name of its own for each thread of each process.
    let name = format!("repsec-fuzz-{}-{:?}.toml", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, data).expect("a folder for temporary files");
    let loaded = load(Some(&file), &Overrides::default(), Some(PathBuf::from("/data")));
    // What cannot be removed is only left behind.
    let _ = std::fs::remove_file(&file);
    match loaded {
        Ok(settings) => {
            assert!((1..=1024).contains(&settings.shards), "{} shards", settings.shards);
            assert!((1..=64).contains(&settings.readers), "{} readers", settings.readers);
            assert!(settings.limits.message_bytes_max <= settings.limits.bulk_message_bytes_max);
            assert!(!settings.idle_timeout.is_zero() && !settings.message_timeout.is_zero());
        }
        Err(error) => {
            assert!(!error.mistakes.is_empty());
            assert!(error.to_string().contains(&error.mistakes[0]));
        }
    }
}
