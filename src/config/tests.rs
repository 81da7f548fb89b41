//! Tests of `config`.

use std::net::SocketAddr;

use super::raw::{RawLimits, RawLog, RawTls};
use super::*;

const PAGE: &str = include_str!("../manual/configuration.md");

fn read(text: &str) -> Result<Settings, ConfigError> {
    let raw: Raw = toml::from_str(text).unwrap();
    settings(raw, &Overrides::default(), Some(PathBuf::from("/data")))
}

#[test]
fn nothing_said_means_secure_defaults() {
    let settings = read("").unwrap();
    assert_eq!(settings.listen, "[::]:4655".parse::<SocketAddr>().unwrap());
    assert_eq!(settings.data, PathBuf::from("/data"));
    assert!(!settings.development && !settings.insecure_anonymous);
    assert_eq!(settings.limits.message_bytes_max, 64 * 1024);
    assert!(settings.shards >= 1);
}

#[test]
fn development_listens_on_loopback() {
    assert_eq!(read("dev = true").unwrap().listen, "127.0.0.1:4655".parse::<SocketAddr>().unwrap());
}

#[test]
fn every_mistake_is_told_at_once() {
    let error = read(
        "shards = 0\nio = \"kqueue\"\n[tls]\ncertificate = \"a.pem\"\n[limits]\nidle_timeout_s = 0\n[log]\nreaders = 1000\n",
    )
    .unwrap_err();
    let text = error.to_string();
    for key in ["shards = 0", "kqueue", "tls.key", "limits.idle_timeout_s = 0", "log.readers = 1000"] {
        assert!(text.contains(key), "{key} is missing in: {text}");
    }
    assert_eq!(error.mistakes.len(), 5);
}

#[test]
fn an_unknown_key_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("repsec.toml");
    for text in ["shard = 2", "[limits]\nmessage_bytes = 1", "[log]\nlisten = \"x\"", "shards = \"two\""] {
        std::fs::write(&file, text).unwrap();
        let error = load(Some(&file), &Overrides::default(), None).unwrap_err();
        assert!(error.to_string().contains("repsec.toml"), "{error}");
    }
}

#[test]
fn the_command_line_wins_over_the_file() {
    let raw: Raw = toml::from_str("shards = 3\nlisten = \"127.0.0.1:1\"\ndata = \"/file\"").unwrap();
    let overrides = Overrides {
        shards: Some(5),
        listen: Some("127.0.0.1:2".parse().unwrap()),
        data: Some("/line".into()),
        ..Overrides::default()
    };
    let settings = settings(raw, &overrides, Some(PathBuf::from("/default"))).unwrap();
    assert_eq!(settings.shards, 5);
    assert_eq!(settings.listen.port(), 2);
    assert_eq!(settings.data, PathBuf::from("/line"));
}

/// The names of all fields of a struct. A field that is missing here does not compile.
macro_rules! keys {
    ($type:ident { $($key:ident),* }) => {{
        let $type { $($key: _),* } = $type::default();
        [$(stringify!($key)),*]
    }};
}

/// Every key of the file, with its table before it.
fn all_keys() -> Vec<String> {
    let top = keys!(Raw { data, listen, shards, dev, insecure_anonymous, io, drain_timeout_s, tls, limits, log });
    let tables: [(&str, &[&str]); 4] = [
        ("", &top),
        ("tls.", &keys!(RawTls { certificate, key })),
        (
            "limits.",
            &keys!(RawLimits {
                message_bytes_max,
                bulk_entities_max,
                outstanding_commands_max,
                connections_max,
                idle_timeout_s,
                message_timeout_s
            }),
        ),
        ("log.", &keys!(RawLog { snapshot_events, nonces_max, access_retention_days, readers })),
    ];
    let is_table = |key: &str| tables.iter().any(|(table, _)| table.strip_suffix('.') == Some(key));
    let named = tables.iter().flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}{key}")));
    named.filter(|key| !is_table(key)).collect()
}

/// The cells of the page's row for each key.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn example() -> toml::Table {
    let text = PAGE.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    toml::from_str(text).unwrap()
}

/// The value of `limits.readers` and the like.
fn value_of<'a>(table: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    match key.split_once('.') {
        Some((name, key)) => table.get(name)?.get(key),
        None => table.get(key),
    }
}

#[test]
fn the_page_has_a_row_and_an_example_for_every_key_and_no_other() {
    let rows: Vec<String> = rows().iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(rows, all_keys());
    for key in all_keys() {
        assert!(value_of(&example(), &key).is_some(), "the example lacks {key}");
    }
}

#[test]
fn the_example_of_the_page_is_the_default() {
    let shown = settings(toml::from_str(&example().to_string()).unwrap(), &Overrides::default(), None).unwrap();
    let mut default = read("").unwrap();
    // What has no default, or one that depends on the machine.
    default.data = "/var/lib/repsec".into();
    default.shards = 4;
    default.certificates =
        Some(CertificateFiles { chain: "/etc/repsec/chain.pem".into(), key: "/etc/repsec/key.pem".into() });
    assert_eq!(format!("{shown:#?}"), format!("{default:#?}"));
    for row in rows() {
        let key = row[0].trim_matches('`');
        let Some(told) = row[1].strip_prefix('`').and_then(|told| told.strip_suffix('`')) else { continue };
        let shown = value_of(&example(), key).unwrap().to_string();
        assert!(key == "data" || shown.trim_matches('"') == told, "{key}: the row says {told}, the example {shown}");
    }
}

#[test]
fn the_bounds_of_the_page_are_those_that_hold() {
    let taken = |key: &str, value: u64| {
        let text = match key.split_once('.') {
            Some((table, key)) => format!("[{table}]\n{key} = {value}"),
            None => format!("{key} = {value}"),
        };
        read(&text).is_ok()
    };
    let mut checked = 0;
    for row in rows() {
        let (key, bounds) = (row[0].trim_matches('`'), row[2].replace('`', ""));
        let Some((low, high)) = bounds.split_once(" to ") else { continue };
        let (low, high): (u64, u64) = (low.parse().unwrap(), high.parse().unwrap());
        assert!(taken(key, low) && taken(key, high), "{key} refuses a bound that the page tells");
        assert!(!taken(key, low - 1) && !taken(key, high + 1), "{key} takes more than the page tells");
        checked += 1;
    }
    // All but the paths, the address, the two switches and the driver.
    assert_eq!(checked, all_keys().len() - 7);
}

#[test]
fn the_page_of_limits_points_to_the_bounds_that_stand_on_the_other_one() {
    let limits = include_str!("../manual/limits.md");
    let elsewhere = all_keys().into_iter().filter(|key| key.starts_with("log.") || key.ends_with("timeout_s"));
    for key in elsewhere.chain(["limits.connections_max".to_owned()]) {
        let bound = key.strip_prefix("limits.").unwrap_or(&key);
        assert!(limits.contains(bound) || limits.contains(&bound.to_uppercase()), "the page of limits lacks {key}");
    }
}
