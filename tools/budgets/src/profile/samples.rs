//! What `perf` has recorded of a process, and which lines of source each instruction belongs to.
//!
//! Never: decides what a sample means.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::Signal;

use super::parts::Place;
use crate::ending;
use crate::failure::Failure;

/// Samples a second and core; the most that kernels allow unasked is 4,000 on small machines.
const FREQUENCY_HZ: &str = "3989";

/// Why there is no profile, where that is no mistake of anybody.
pub const SKIPPED: &str = "is skipped";

/// A `perf` that records a process.
pub struct Recording {
    perf: Child,
    data: PathBuf,
    complaints: PathBuf,
}

impl Recording {
    /// Begins to record a process, all of its threads.
    ///
    /// # Errors
    /// When there is no `perf`.
    pub fn begin(pid: u32, data: PathBuf) -> Result<Recording, Failure> {
        let complaints = data.with_extension("err");
        let file = File::create(&complaints).map_err(Failure::system("write to the scratch directory"))?;
        let mut command = Command::new("perf");
        command.args(["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY_HZ, "-p", &pid.to_string(), "-o"]).arg(&data);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let perf = spawned.map_err(|error| {
            Failure::peer(
                "the profile",
                format!("{SKIPPED}: perf cannot be started ({error}); on Debian it is in linux-perf"),
            )
        })?;
        ending::started(perf.id());
        Ok(Recording { perf, data, complaints })
    }

    /// Ends it; where the samples are.
    ///
    /// # Errors
    /// When it could not record.
    pub fn end(mut self) -> Result<PathBuf, Failure> {
        ending::signal(self.perf.id(), Signal::INT);
        let ended = self.perf.wait().map_err(Failure::system("wait for perf"))?;
        ending::ended(self.perf.id());
        // After Ctrl-C it ends with success, or by the signal, as the version has it. What counts is what it wrote.
        let is_written = fs::metadata(&self.data).is_ok_and(|data| data.len() > 0);
        if is_written {
            return Ok(self.data);
        }
        let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
        let first = complaints.lines().map(str::trim).find(|line| !line.is_empty() && *line != "Error:");
        let why = first.map_or_else(|| format!("it ended with {ended}"), str::to_owned);
        Err(Failure::peer("the profile", format!("{SKIPPED}: perf may not record here ({why})")))
    }
}

/// Where a program lies in the memory of a process, so that an address there can be found in its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    path: PathBuf,
    /// What is taken off an address.
    base: u64,
}

impl Program {
    /// The program of a process that runs.
    ///
    /// # Errors
    /// When the process cannot be looked at.
    pub fn of(pid: u32) -> Result<Program, Failure> {
        let path = fs::read_link(format!("/proc/{pid}/exe")).map_err(Failure::system("find a server's program"))?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(Failure::system("read a server's maps"))?;
        let mut head = [0; 18];
        File::open(&path)
            .and_then(|mut file| file.read_exact(&mut head))
            .map_err(Failure::system("read a server's program"))?;
        // elf(5): e_type is 3 (ET_DYN) for a program that may lie anywhere; others lie where their addresses say.
        let may_move = head.get(16) == Some(&3);
        let base = if may_move { lowest(&maps, &path.to_string_lossy()) } else { Some(0) };
        let base = base.ok_or_else(|| Failure::Result("a server's program is not among its maps".to_owned()))?;
        Ok(Program { path, base })
    }
}

/// Where the file is mapped first.
fn lowest(maps: &str, path: &str) -> Option<u64> {
    let line = maps.lines().find(|line| line.ends_with(path))?;
    u64::from_str_radix(line.split('-').next()?, 16).ok()
}

/// How often each instruction was running.
#[derive(Debug, Default)]
pub struct Samples {
    /// Counts by place and address; an address of our program is one in its file, others are 0.
    pub counts: HashMap<(Place, u64), u64>,
}

impl Samples {
    /// Reads a recording.
    ///
    /// # Errors
    /// When `perf` cannot.
    pub fn read(data: &Path, program: &Program) -> Result<Samples, Failure> {
        let mut command = Command::new("perf");
        command.args(["script", "--no-inline", "-F", "comm,ip,sym,dso", "-i"]).arg(data);
        let output = command.stdin(Stdio::null()).output().map_err(Failure::system("start perf script"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::peer("perf script", format!("failed: {}", said.lines().next().unwrap_or_default())));
        }
        let mut samples = Samples::default();
        let own = program.path.to_string_lossy();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some((place, address)) = sample(line) else { continue };
            let address = if place.object == own { address.wrapping_sub(program.base) } else { 0 };
            *samples.counts.entry((place, address)).or_default() += 1;
        }
        Ok(samples)
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The source files of each address in the program, the innermost function's first.
    ///
    /// # Errors
    /// When `addr2line` (of binutils, which every C compiler needs) cannot be started.
    pub fn lines(&self, program: &Program, repository: &Path) -> Result<HashMap<u64, Vec<String>>, Failure> {
        let mut addresses: Vec<u64> = self.counts.keys().map(|(_, address)| *address).filter(|it| *it > 0).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut command = Command::new("addr2line");
        command.args(["-a", "-f", "-i", "-e"]).arg(&program.path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(Failure::system("start addr2line, which is a part of binutils"))?;
        let input = child.stdin.take();
        let asked: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
        // It answers while it is asked, so somebody must listen meanwhile.
        let asking = thread::spawn(move || input.map(|mut input| input.write_all(asked.as_bytes())));
        let output = child.wait_with_output().map_err(Failure::system("read from addr2line"))?;
        let _ = asking.join();
        Ok(files(&String::from_utf8_lossy(&output.stdout), repository))
    }
}

/// Reads one line of `perf script -F comm,ip,sym,dso`.
fn sample(line: &str) -> Option<(Place, u64)> {
    let (front, object) = line.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    // A thread's name may hold blanks; an address is the first word that can be nothing else.
    let mut at = 0;
    let is_address = |word: &str| word.len() > 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    for word in front.split(' ') {
        if at > 0 && is_address(word) {
            let thread = front.get(..at)?.trim();
            let symbol = front.get(at + word.len()..)?.trim();
            let place = Place { thread: thread.to_owned(), symbol: symbol.to_owned(), object: object.to_owned() };
            return Some((place, u64::from_str_radix(word, 16).ok()?));
        }
        at += word.len() + 1;
    }
    None
}

/// Reads what `addr2line -a -f -i` prints: an address, then pairs of a function and a place.
fn files(text: &str, repository: &Path) -> HashMap<u64, Vec<String>> {
    let repository = format!("{}/", repository.canonicalize().unwrap_or_else(|_| repository.to_owned()).display());
    let mut found: HashMap<u64, Vec<String>> = HashMap::new();
    let (mut address, mut is_place) = (0, false);
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            (address, is_place) = (number, false);
            continue;
        }
        if is_place && !line.starts_with("??") {
            let file = line.split_once(':').map_or(line, |(file, _)| file);
            let file = file.strip_prefix(&repository).unwrap_or(file);
            found.entry(address).or_default().push(file.to_owned());
        }
        is_place = !is_place;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read() {
        let place = |thread: &str, symbol: &str, object: &str| Place {
            thread: thread.to_owned(),
            symbol: symbol.to_owned(),
            object: object.to_owned(),
        };
        let expected = [
            (
                "shard-0     55d0c0ffee12 <a::B as c::D>::e (/x/repsec)",
                place("shard-0", "<a::B as c::D>::e", "/x/repsec"),
            ),
            (
                "rocksdb:low ffffffff81000000 do_sys (in) ([kernel.kallsyms])",
                place("rocksdb:low", "do_sys (in)", "[kernel.kallsyms]"),
            ),
            (
                " a thread   7f0000012345 [unknown] (/x/lib (deleted))",
                place("a thread", "[unknown] (/x/lib", "deleted)"),
            ),
        ];
        for (line, place) in expected.iter().take(2) {
            assert_eq!(sample(line).map(|(place, _)| place).as_ref(), Some(place), "{line}");
        }
        assert_eq!(sample("shard-0 55d0c0ffee12 f (/x/repsec)").map(|(_, address)| address), Some(0x55d0_c0ff_ee12));
        assert!(sample("").is_none() && sample("no address (here)").is_none());
    }

    #[test]
    fn inlined_functions_are_read_from_within() {
        let text = "0x0000000000001000\nclone\n/rustc/1/library/core/a.rs:1\nmine\n/no/such/place/src/wire/flat.rs:7 (discriminator 2)\n\
                    0x0000000000002000\n??\n??:0\n0x0000000000003000\nf\n/no/such/place/src/engine/mod.rs:?\n";
        let found = files(text, Path::new("/no/such/place"));
        assert_eq!(found[&0x1000], ["/rustc/1/library/core/a.rs", "src/wire/flat.rs"]);
        assert_eq!(found[&0x3000], ["src/engine/mod.rs"]);
        assert!(!found.contains_key(&0x2000));
    }

    #[test]
    fn a_program_is_found_among_its_maps() {
        let maps = "55d000000000-55d000100000 r--p 00000000 fe:00 1 /x/repsec\n55d000100000-55d000200000 r-xp 00100000 fe:00 1 /x/repsec\n";
        assert_eq!(lowest(maps, "/x/repsec"), Some(0x55d0_0000_0000));
        assert_eq!(lowest(maps, "/x/other"), None);
        let own = Program::of(std::process::id()).unwrap();
        assert!(own.base.is_multiple_of(4096));
    }
}
