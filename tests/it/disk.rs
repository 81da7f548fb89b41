//! A disk that is full (P7): what waits gets a 500, the process ends, and a restart serves all that was answered.
//!
//! The disk is a small tmpfs in a mount namespace of its own, which needs root or user namespaces; where there are
//! neither, the test says so and does nothing.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Client, End, Home, Setup, Trust, each, outcome};

/// The size of the disk. RocksDB reserves some of it before the first write.
const DISK: &str = "size=24m";
/// Commands in flight together; each carries attributes of this many bytes.
const IN_FLIGHT: usize = 200;
const ATTRIBUTE_BYTES: usize = 3500;
/// Commands after which the disk must have been full.
const COMMANDS_MAX: usize = 60_000;

/// Mounts the disk at the first argument, copies it to the second one when the program behind them has ended, and ends
/// with that program's status.
const ON_SMALL_DISK: &str = r#"
disk=$1 rescued=$2
shift 2
mkdir -p "$disk" && mount -t tmpfs -o "$DISK_OPTIONS" none "$disk" || exit 97
"$@"
status=$?
cp -a "$disk" "$rescued" || exit 98
exit $status
"#;

/// How to get a mount namespace here, if there is a way.
fn namespace() -> Result<Vec<String>, String> {
    let ways: [&[&str]; 2] = [&["unshare", "--mount"], &["unshare", "--user", "--map-root-user", "--mount"]];
    let mut reasons = Vec::new();
    for way in ways {
        let mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none"];
        match Command::new(way[0]).args(&way[1..]).args(mount).arg(std::env::temp_dir()).output() {
            Ok(output) if output.status.success() => return Ok(way.iter().map(ToString::to_string).collect()),
            Ok(output) => reasons.push(format!("{way:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => reasons.push(format!("{way:?}: {error}")),
        }
    }
    Err(reasons.join("; "))
}

fn register(at: usize) -> Value {
    // Text that does not compress, so that the disk fills at a known pace.
    let noise: String = (0..ATTRIBUTE_BYTES / 16)
        .map(|part| format!("{:016x}", ((at * 7919 + part) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    json!({"command": "REGISTER", "entity": format!("h{at}.example"), "attributes": {"noise": noise}})
}

#[test]
fn a_full_disk_ends_the_server_and_loses_nothing_that_was_answered() {
    let namespace = match namespace() {
        Ok(namespace) => namespace,
        Err(reason) => return println!("SKIPPED: no mount namespace can be had here: {reason}"),
    };
    each(&[1, 3], |setup| {
        let home = Home::new();
        let rescued = Home::new();
        let mut wrapper = namespace.clone();
        wrapper.extend(["env".to_owned(), format!("DISK_OPTIONS={DISK}"), "sh".to_owned(), "-c".to_owned()]);
        wrapper.extend([ON_SMALL_DISK.to_owned(), "sh".to_owned()]);
        wrapper.extend([&home, &rescued].map(|home| home.data().to_str().unwrap().to_owned()));
        let setup_small = setup.clone().wrapped(&wrapper).permits("No space left");
        let answered = fill(&setup_small, &home);
        // Room has been made: the same files on a larger disk.
        let server = setup.start_in(&rescued);
        let mut client = server.client();
        for names in answered.chunks(2000) {
            let result = client.ask(json!({"command": "VERIFY", "entities": names}));
            let lost = result["results"].as_array().unwrap().iter().position(|result| result["verified"] != true);
            assert_eq!(lost, None, "an answered registration is gone");
        }
        assert_eq!(client.ask(json!({"command": "REGISTER", "entity": "more.example"}))["status"], 200);
        drop(server);
        rescued.verified_events();
    });
}

/// Registers until the disk is full, and gives the names whose registration was answered with 200.
fn fill(setup: &Setup, home: &Arc<Home>) -> Vec<String> {
    // The namespace hides the disk from this test, so the authority has to come from elsewhere.
    let authority = home.file("ca.pem");
    let mut server = setup.start_in(home);
    let root = format!("/proc/{}/root{}", server.process(), home.authority().display());
    fs::copy(root, &authority).unwrap();
    let trust = Trust::file(&authority);
    let mut client = Client::connect_with(server.address(), &trust).unwrap();
    let mut answered = Vec::new();
    let (mut sent, mut failed, mut pongs) = (0, 0, 0);
    while sent < COMMANDS_MAX && failed == 0 {
        let batch = sent..sent + IN_FLIGHT;
        // PING needs no disk: behind each registration there is one, and it is answered whatever became of that.
        let ping = json!({"command": "PING"});
        client.send(batch.clone().map(|at| format!("{}\n{ping}\n", register(at))).collect::<String>());
        sent = batch.end;
        for at in batch {
            let Some(answer) = client.next_answer() else { break };
            match outcome(&answer) {
                (200, _) => {
                    assert_eq!(failed, 0, "nothing is done behind the first failure");
                    answered.push(format!("h{at}.example"));
                }
                found => {
                    assert_eq!(found, (500, "storage_failed"), "{answer}");
                    failed += 1;
                }
            }
            let Some(pong) = client.next_answer() else { break };
            assert_eq!(pong["message"], "pong", "{pong}");
            pongs += u64::from(failed > 0);
        }
    }
    assert!(failed > 0 && !answered.is_empty(), "{failed} failed of {sent}, {} answered", answered.len());
    assert!(pongs + 1 >= failed, "{failed} failed, and {pongs} PINGs were answered behind them");
    println!("{} registered, then {failed} got a 500", answered.len());
    assert_eq!(client.drain().1, End::CloseNotify, "who waited is told, and the connection ends in order");
    assert_eq!(server.wait(), 3);
    answered
}
