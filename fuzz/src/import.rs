//! Lines of imported files.

use std::path::Path;

use repsec::cli::import::Format;

/// Reads the bytes as one line in every format.
pub fn run(data: &[u8]) {
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut ended = line.to_vec();
    ended.extend_from_slice(b"\r\n");
    for format in [Format::Jsonl, Format::Lines, Format::Ipsum] {
        for kind in [None, Some("x-own")] {
            let read = format.read(line, kind);
            assert_eq!(format.read(&ended, kind), read, "the line end matters");
        }
    }
    if let Ok(text) = std::str::from_utf8(line) {
        let guessed = Format::guess(Path::new("list"), text);
        assert_eq!(Format::guess(Path::new("list"), text), guessed);
        if guessed == Format::Ipsum {
            assert!(guessed.read(line, None).is_ok(), "guessed from a line that it cannot read");
        }
    }
}
