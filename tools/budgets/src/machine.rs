//! The machine and the versions of a run, without a word that says whose machine it is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::statistics::float64;

/// Length of the measurement of syncs.
const SYNCING: Duration = Duration::from_secs(1);
/// Bytes of one write before a sync.
const SYNCED_BYTES: usize = 4096;
/// Length of the look at what else the machine does.
const LOOKING: Duration = Duration::from_secs(1);
/// Ticks of the kernel's CPU times in a second, which Linux has fixed for what it tells programs.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// What the numbers were measured on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// The kernel's version.
    pub kernel: String,
    /// The kind of file system under the peers' data, and the disk below it.
    pub disk: String,
    /// Writes of 4 KiB, each synced, per second there.
    pub syncs_per_s: f64,
    /// Cores that were busy with something else before the run.
    pub busy_cores_before: f64,
}

/// What was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// The commit of this repository, and whether it was changed since; empty where there is no repository.
    pub repsec: String,
    /// The compiler.
    pub rustc: String,
    /// The TLS library of RepSec, of the echo and of the client.
    pub rustls: String,
    /// The bindings of the store.
    pub rocksdb: String,
    /// Redis as it calls itself.
    pub redis: String,
}

/// The kernel's account of all cores.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    busy_s: f64,
    stolen_s: f64,
    at: Instant,
}

impl CpuTimes {
    /// As of now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn read() -> Result<CpuTimes, Failure> {
        let text = fs::read_to_string("/proc/stat").map_err(Failure::system("read /proc/stat"))?;
        let ticks: Vec<f64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .filter_map(|number| number.parse().ok())
            .collect();
        // proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user already.
        let sum = |places: &[usize]| places.iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / TICKS_PER_SECOND;
        Ok(CpuTimes { busy_s: sum(&[0, 1, 2, 5, 6]), stolen_s: sum(&[7]), at: Instant::now() })
    }

    /// Seconds since then.
    pub fn elapsed_s(self) -> f64 {
        self.at.elapsed().as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Cores that were busy since then, and cores that the hypervisor gave to others.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn since(self) -> Result<(f64, f64), Failure> {
        let now = CpuTimes::read()?;
        let seconds = (now.at - self.at).as_secs_f64().max(f64::MIN_POSITIVE);
        Ok(((now.busy_s - self.busy_s) / seconds, (now.stolen_s - self.stolen_s) / seconds))
    }
}

impl Machine {
    /// Looks at the machine; `data` is where the peers keep theirs. Takes two seconds.
    ///
    /// # Errors
    /// When it cannot be looked at, or the disk takes no data.
    pub fn look(data: &Path) -> Result<Machine, Failure> {
        let read = |path: &str| fs::read_to_string(path).map_err(Failure::system(format!("read {path}")));
        let before = CpuTimes::read()?;
        thread::sleep(LOOKING);
        let (busy_cores_before, _) = before.since()?;
        let kib: f64 = field(&read("/proc/meminfo")?, "MemTotal").trim_end_matches("kB").trim().parse().unwrap_or(0.0);
        Ok(Machine {
            cpu: field(&read("/proc/cpuinfo")?, "model name"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib / 1_048_576.0,
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease")?.trim()),
            disk: disk(data, &read("/proc/self/mountinfo")?),
            syncs_per_s: syncs_per_s(data)?,
            busy_cores_before,
        })
    }

    /// The processor's name as a part of a file's name.
    pub fn slug(&self) -> String {
        slug(&self.cpu)
    }
}

impl Versions {
    /// Asks the programs themselves, and the lock file that this program was built with.
    pub fn look(repository: &Path) -> Versions {
        let lock = include_str!("../../../Cargo.lock");
        let git = |arguments: &[&str]| said(Command::new("git").arg("-C").arg(repository).args(arguments));
        let commit = git(&["rev-parse", "--short=12", "HEAD"]);
        let changed =
            !commit.is_empty() && !git(&["status", "--porcelain", "--", "src", "tools", "Cargo.lock"]).is_empty();
        let redis = said(Command::new("redis-server").arg("--version"));
        Versions {
            repsec: if changed { format!("{commit}, with changes") } else { commit },
            rustc: said(Command::new("rustc").arg("--version")).trim_start_matches("rustc ").to_owned(),
            rustls: locked(lock, "rustls"),
            rocksdb: format!("{} ({})", locked(lock, "rocksdb"), locked(lock, "librocksdb-sys")),
            redis: word_behind(&redis, "v=").to_owned(),
        }
    }
}

/// What a program prints; nothing where it fails.
fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The word that begins behind this mark.
fn word_behind<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_whitespace().find_map(|word| word.strip_prefix(mark)).unwrap_or_default()
}

/// The version of a package in a lock file.
fn locked(lock: &str, package: &str) -> String {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.unwrap_or_default().trim_matches('"').to_owned()
}

/// The first value of this key in a file of `key : value` lines.
fn field(text: &str, key: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_once(':'));
    value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

/// The file system that a path lies on, by the mount point with the longest name above it (proc(5), mountinfo).
fn disk(path: &Path, mountinfo: &str) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mount = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let point = front.split(' ').nth(4)?.to_owned();
        let mut back = back.split(' ');
        let (kind, source) = (back.next()?, back.next()?);
        let device = source.strip_prefix("/dev/").filter(|device| !device.contains('/'));
        let text = device.map_or_else(|| kind.to_owned(), |device| format!("{kind} on {device}"));
        path.starts_with(&point).then_some((point.len(), text))
    };
    let longest = mountinfo.lines().filter_map(mount).max_by_key(|(length, _)| *length);
    longest.map_or_else(|| "unknown".to_owned(), |(_, text)| text)
}

/// Writes and syncs a file for a second.
fn syncs_per_s(directory: &Path) -> Result<f64, Failure> {
    let path = directory.join("syncs");
    let measured = || -> io::Result<f64> {
        let mut file = File::create(&path)?;
        let bytes = [0x5a; SYNCED_BYTES];
        let (began, mut syncs) = (Instant::now(), 0_u64);
        while began.elapsed() < SYNCING {
            file.write_all(&bytes)?;
            file.sync_data()?;
            syncs += 1;
        }
        let rate = float64(syncs) / began.elapsed().as_secs_f64();
        fs::remove_file(&path)?;
        Ok(rate)
    };
    measured().map_err(Failure::system(format!("write to {}", directory.display())))
}

fn slug(cpu: &str) -> String {
    let plain = cpu.to_lowercase().replace("(r)", "").replace("(tm)", "");
    let words: Vec<&str> =
        plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty() && *word != "cpu").collect();
    if words.is_empty() { "unknown".to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_a_part_of_a_name() {
        assert_eq!(slug("Intel(R) Xeon(R) CPU @ 2.60GHz"), "intel-xeon-2-60ghz");
        assert_eq!(slug("AMD EPYC"), "amd-epyc");
        assert_eq!(slug("/../"), "unknown");
    }

    #[test]
    fn files_of_the_system_are_read() {
        let mounts = "21 1 254:0 / / rw - ext4 /dev/vda rw\n30 21 0:26 / /tmp rw,nosuid shared:5 - tmpfs tmpfs rw\n";
        assert_eq!(disk(Path::new("/no-such-place"), mounts), "ext4 on vda");
        assert_eq!(disk(Path::new("/tmp/no-such-place"), mounts), "tmpfs");
        assert_eq!(field("processor\t: 0\nmodel name\t: AMD EPYC\n", "model name"), "AMD EPYC");
        let lock = "[[package]]\nname = \"rustls\"\nversion = \"0.23.1\"\n\n[[package]]\nname = \"rustls-x\"\nversion = \"9\"\n";
        assert_eq!(locked(lock, "rustls"), "0.23.1");
        assert_eq!(locked(lock, "none"), "");
        assert_eq!(word_behind("Redis server v=7.0.15 sha=0", "v="), "7.0.15");
    }

    #[test]
    fn cpu_times_run() {
        let (busy, stolen) = CpuTimes::read().unwrap().since().unwrap();
        assert!(busy >= 0.0 && stolen >= 0.0);
    }
}
