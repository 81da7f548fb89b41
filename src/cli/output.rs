//! What people read: tables and notes. Results go to standard output, notes to standard error.
//!
//! May use: comfy-table. Never: prints what a peer sent without making it harmless to a terminal first.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use comfy_table::{ContentArrangement, Table, presets};

/// The standard output, buffered; whoever writes flushes when the reader should see it.
pub fn standard_output() -> BufWriter<io::Stdout> {
    BufWriter::with_capacity(64 * 1024, io::stdout())
}

/// Says something to the person at the terminal. A standard error that is gone is no reason to stop.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "repsec: {text}");
}

/// A text without control characters and bidirectional controls, each shown as its escape: what comes from a peer or
/// a file must not steer the terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| if steers(c) { c.escape_unicode().to_string() } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

/// A table with a header, one line per row, columns padded; ends with a line end. On a terminal it fits the width.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = plain_table();
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell).into_owned()));
    }
    finished(&table)
}

/// Names and what they stand at, without a header; ends with a line end.
pub fn listing(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let mut table = plain_table();
    for (name, value) in rows {
        table.add_row([printable(&name).into_owned(), printable(&value).into_owned()]);
    }
    finished(&table)
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let arrangement =
        if io::stdout().is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.set_content_arrangement(arrangement);
    table
}

/// The rows without the spaces that pad the outer edges.
fn finished(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.strip_prefix(' ').unwrap_or(&line).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_harmless() {
        let rows = [["1".to_owned(), "b\u{1b}[31m".to_owned()], ["100".to_owned(), "\u{202e}x".to_owned()]];
        let expected = "N    NAME\n1    b\\u{1b}[31m\n100  \\u{202e}x\n";
        assert_eq!(table(["N", "NAME"], rows), expected);
    }

    #[test]
    fn listings_have_no_header() {
        let rows = [("lines".to_owned(), "10".to_owned()), ("new".to_owned(), "7".to_owned())];
        assert_eq!(listing(rows), "lines  10\nnew    7\n");
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(printable("b\u{fc}cher.example"), Cow::Borrowed(_)));
        assert_eq!(printable("a\nb"), "a\\u{a}b");
    }
}
