//! What keeps a server from starting, and what it says then: which thing, and what to do next. Each time nothing is on
//! standard output, and the exit status is 3, or 2 where the command line or the configuration is at fault.

use std::fs;
use std::net::TcpListener;

use crate::harness::{Home, Run, Setup, run};

/// Starts a server that must not come up, with a data directory of its own.
fn serve(arguments: &[&str], status: i32) -> Run {
    serve_in(&Home::new(), arguments, status)
}

fn serve_in(home: &Home, arguments: &[&str], status: i32) -> Run {
    let data = home.data();
    let ended = run(&[&["serve", "--shards", "1", "--data", data.to_str().unwrap()], arguments].concat()).ended(status);
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    ended
}

/// Fails unless the last words on standard error hold all of these.
#[track_caller]
fn says(run: &Run, texts: &[&str]) {
    let words = run.stderr.split("repsec: ").last().unwrap_or_default();
    for text in texts {
        assert!(words.contains(text), "{text:?} is missing in {words:?}");
    }
}

#[test]
fn a_data_directory_serves_one_process() {
    let server = Setup::new("epoll", 1).start();
    let data = server.data();
    let second = serve_in(server.home(), &["--dev", "--listen", "127.0.0.1:0"], 3);
    says(&second, &[&data, "another process"]);
    // The tools that read a log do not look into one that is being written either.
    let tool = run(&["log", "stat", "--data", &data]).ended(3);
    says(&tool, &[&data, "another process"]);
    // The first has not noticed.
    assert_eq!(server.client().ask(r#"{"command":"PING"}"#)["status"], 200);
}

#[test]
fn a_port_that_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ended = serve(&["--dev", "--listen", &address], 3);
    says(&ended, &[&address, "another program", "--listen"]);
    // A server of ours on that port is another program too, although the cores of one server share their port.
    let server = Setup::new("epoll", 3).start();
    let address = server.address().to_string();
    says(&serve(&["--dev", "--listen", &address], 3), &[&address, "another program"]);
}

#[test]
fn strangers_are_not_let_in_by_accident() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let home = Home::new();
        let server = Setup::new("epoll", 1).start_in(&home);
        drop(server);
        let tls = home.data().join("tls");
        let (chain, key) = (tls.join("server.pem"), tls.join("server.key"));
        let files = ["--cert", chain.to_str().unwrap(), "--key", key.to_str().unwrap()];
        let ended = serve_in(&home, &[&["--listen", address], &files[..]].concat(), 2);
        says(&ended, &[address, "--insecure-anonymous", "127.0.0.1"]);
        let ended = serve(&["--dev", "--listen", address], 2);
        says(&ended, &["--dev", "this machine only", address]);
    }
    // The default address of a server without --dev is reached from everywhere, so it is refused as well.
    says(&serve(&[], 2), &["--insecure-anonymous"]);
}

#[test]
fn no_certificate() {
    says(&serve(&["--listen", "127.0.0.1:0"], 2), &["--cert", "--key", "--dev"]);
    let ended = serve(&["--listen", "127.0.0.1:0", "--cert", "/nowhere/chain.pem", "--key", "/nowhere/key.pem"], 3);
    says(&ended, &["/nowhere/chain.pem"]);
    let half = serve(&["--listen", "127.0.0.1:0", "--cert", "chain.pem"], 2);
    says(&half, &["--key"]);
}

#[test]
fn a_certificate_that_is_none() {
    let home = Home::new();
    drop(Setup::new("epoll", 1).start_in(&home));
    let (rubbish, empty) = (home.file("rubbish.pem"), home.file("empty.pem"));
    fs::write(&rubbish, "-----BEGIN CERTIFICATE-----\nrubbish\n").unwrap();
    fs::write(&empty, "").unwrap();
    let tls = home.data().join("tls");
    let (chain, key) = (tls.join("server.pem"), tls.join("server.key"));
    for (chain, key, named) in
        [(&rubbish, &key, &rubbish), (&empty, &key, &empty), (&chain, &rubbish, &rubbish), (&chain, &empty, &empty)]
    {
        let files = ["--cert", chain.to_str().unwrap(), "--key", key.to_str().unwrap()];
        let ended = serve_in(&home, &[&["--listen", "127.0.0.1:0"], &files[..]].concat(), 3);
        says(&ended, &[named.to_str().unwrap()]);
    }
}

#[test]
fn a_directory_that_holds_something_else() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    fs::write(home.data().join("letter.txt"), "Dear Sir or Madam").unwrap();
    let ended = serve_in(&home, &["--dev", "--listen", "127.0.0.1:0"], 3);
    says(&ended, &[home.data().to_str().unwrap(), "not a data directory"]);
    assert_eq!(fs::read_dir(home.data()).unwrap().count(), 1, "nothing was added to it");
    // A file in the place of the directory.
    let home = Home::new();
    fs::write(home.data(), "").unwrap();
    says(&serve_in(&home, &["--dev", "--listen", "127.0.0.1:0"], 3), &[home.data().to_str().unwrap()]);
    // The tools make no directory where there is none.
    let home = Home::new();
    let tool = run(&["log", "stat", "--data", home.data().to_str().unwrap()]).ended(3);
    says(&tool, &[home.data().to_str().unwrap(), "no store"]);
    assert!(!home.data().exists());
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let home = Home::new();
    let file = home.file("repsec.toml");
    let config = |text: &str| {
        fs::write(&file, text).unwrap();
        serve_in(&home, &["--dev", "--config", file.to_str().unwrap()], 2)
    };
    let ended = config(
        "io = \"kqueue\"\n[tls]\nkey = \"k.pem\"\n[limits]\nidle_timeout_s = 0\nbulk_entities_max = 1000000\n\
         [log]\nreaders = 0\n",
    );
    for mistake in [
        "io = \"kqueue\"",
        "tls.certificate",
        "limits.idle_timeout_s = 0",
        "limits.bulk_entities_max = 1000000",
        "log.readers = 0",
    ] {
        says(&ended, &[mistake]);
    }
    says(&config("shard = 2\n"), &["repsec.toml", "shard"]);
    says(&config("[limits]\nmessage_bytes = 2\n"), &["message_bytes"]);
    says(&config("shards = \"many\"\n"), &["repsec.toml", "shards"]);
    says(&config("not toml"), &["repsec.toml"]);
    let missing = serve_in(&home, &["--dev", "--config", "/nowhere/repsec.toml"], 2);
    says(&missing, &["/nowhere/repsec.toml"]);
    assert!(!home.data().exists(), "a mistake is found before anything is made");
}
