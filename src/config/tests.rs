//! Tests of `config`.

use std::net::SocketAddr;

use super::*;

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
