//! What is watched: which directory, which open files, what is written down, what fails.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libc::{c_int, c_long};
use repsec_powerloss::trace::Done;

/// What can fail, in the order of the file of counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Read,
    Open,
    Write,
    Sync,
    Name,
}

const KINDS: [&str; 5] = ["read", "open", "write", "sync", "name"];
const FAILED: usize = KINDS.len();
/// Open files with larger numbers are not watched.
const FILES_MAX: usize = 1 << 16;

struct Fault {
    what: usize,
    from: u64,
    forever: bool,
    errno: c_int,
}

pub struct Watch {
    directory: Vec<u8>,
    trace: Option<c_int>,
    fault: Option<Fault>,
    counts_file: Option<c_int>,
    counts: [AtomicU64; KINDS.len() + 1],
    pretends: bool,
    syncs: AtomicU64,
    /// The inode of each open file below the directory, by its number; zero for all others.
    open: Vec<AtomicU64>,
    /// Held while something is done and written down, so that the trace has the order of what was done.
    order: Mutex<()>,
}

/// The watch of this process, if it was told to watch.
pub fn watch() -> Option<&'static Watch> {
    static WATCH: OnceLock<Option<Watch>> = OnceLock::new();
    WATCH.get_or_init(Watch::from_environment).as_ref()
}

impl Watch {
    fn from_environment() -> Option<Watch> {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.as_bytes().to_vec());
        let directory = variable("POWERLOSS_DIRECTORY")?;
        let writable = |name: &str, flags| variable(name).map(|path| open_beside(&path, flags));
        let watch = Watch {
            trace: writable("POWERLOSS_TRACE", libc::O_APPEND),
            fault: variable("POWERLOSS_FAIL").map(|text| parse_fault(&String::from_utf8_lossy(&text))),
            counts_file: writable("POWERLOSS_COUNTS", 0),
            counts: Default::default(),
            pretends: variable("POWERLOSS_SYNC").is_some_and(|value| value == b"pretend"),
            // Numbers of syncs differ from those of the process before.
            syncs: AtomicU64::new(u64::from(std::process::id()) << 32),
            open: (0..FILES_MAX).map(|_| AtomicU64::new(0)).collect(),
            order: Mutex::new(()),
            directory,
        };
        if let Ok(found) = std::fs::metadata(Path::new(std::ffi::OsStr::from_bytes(&watch.directory))) {
            watch.write_down(&Done::Began { inode: std::os::unix::fs::MetadataExt::ino(&found) });
        }
        Some(watch)
    }

    /// The path below the directory, if it is one.
    pub fn inside(&self, at: c_int, path: &CStr) -> Option<Vec<u8>> {
        let mut full = path.to_bytes().to_vec();
        if !full.starts_with(b"/") {
            let base = if at == libc::AT_FDCWD { "/proc/self/cwd".to_owned() } else { format!("/proc/self/fd/{at}") };
            let base = std::fs::read_link(base).ok()?;
            full = base.join(std::ffi::OsStr::from_bytes(&full)).as_os_str().as_bytes().to_vec();
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in full.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(parts.pop()),
                _ => parts.push(part),
            }
        }
        let full = parts.iter().flat_map(|part| [b"/", *part]).collect::<Vec<_>>().concat();
        match full.strip_prefix(&self.directory[..])? {
            [] => Some(Vec::new()),
            [b'/', rest @ ..] => Some(rest.to_vec()),
            _ => None,
        }
    }

    /// The inode of an open file below the directory.
    pub fn file(&self, fd: c_int) -> Option<u64> {
        let slot = self.open.get(usize::try_from(fd).ok()?)?;
        match slot.load(Ordering::Relaxed) {
            0 => None,
            // A number may have been closed and given again where we do not see it.
            inode => (inode_of(fd) == Some(inode)).then_some(inode),
        }
    }

    pub fn opened(&self, fd: c_int) -> u64 {
        let inode = inode_of(fd).unwrap_or(0);
        if let Some(slot) = usize::try_from(fd).ok().and_then(|fd| self.open.get(fd)) {
            slot.store(inode, Ordering::Relaxed);
        }
        inode
    }

    pub fn closed(&self, fd: c_int) {
        if let Some(slot) = usize::try_from(fd).ok().and_then(|fd| self.open.get(fd)) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// Keeps everybody else from doing and writing down.
    pub fn order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn pretends(&self) -> bool {
        self.pretends
    }

    /// A number for a sync.
    pub fn next_sync(&self) -> u64 {
        self.syncs.fetch_add(1, Ordering::Relaxed)
    }

    /// Appends to the trace. The caller holds [`Watch::order`] if it did something.
    pub fn write_down(&self, done: &Done<'_>) {
        let Some(trace) = self.trace else { return };
        let mut bytes = Vec::new();
        done.encode(&mut bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // SAFETY: the buffer is `rest`, with its length.
            let written = unsafe { libc::syscall(libc::SYS_write, trace, rest.as_ptr(), rest.len()) };
            let Ok(written) = usize::try_from(written) else { give_up("the trace cannot be written") };
            rest = &rest[written..];
        }
    }

    /// Counts, and says with which error this one fails, and whether it is the first of many.
    pub fn fault(&self, what: What) -> Option<(c_int, bool)> {
        if self.fault.is_none() && self.counts_file.is_none() {
            return None;
        }
        let count = self.counts[what as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let fault = self.fault.as_ref().filter(|fault| {
            fault.what == what as usize && (count == fault.from || (fault.forever && count > fault.from))
        });
        if fault.is_some() {
            self.counts[FAILED].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(file) = self.counts_file {
            let counts: Vec<u8> =
                self.counts.iter().flat_map(|count| count.load(Ordering::Relaxed).to_le_bytes()).collect();
            // SAFETY: the buffer is `counts`, with its length.
            unsafe { libc::syscall(libc::SYS_pwrite64, file, counts.as_ptr(), counts.len(), 0) };
        }
        fault.map(|fault| (fault.errno, fault.forever && count == fault.from))
    }
}

/// Opens a file for writing with system calls alone, since the library's own functions are replaced.
fn open_beside(path: &[u8], flags: c_int) -> c_int {
    let mut text = path.to_vec();
    text.push(0);
    let flags = flags | libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero.
    let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, text.as_ptr(), flags, 0o600) };
    c_int::try_from(fd).ok().filter(|fd| *fd >= 0).unwrap_or_else(|| give_up("a file of the watch cannot be opened"))
}

fn parse_fault(text: &str) -> Fault {
    let parsed = || {
        let (what, rest) = text.split_once(':')?;
        let (from, errno) = rest.split_once(':')?;
        let what = KINDS.iter().position(|kind| *kind == what)?;
        let forever = from.ends_with('+');
        let from = from.trim_end_matches('+').parse().ok()?;
        Some(Fault { what, from, forever, errno: errno.parse().ok()? })
    };
    parsed().unwrap_or_else(|| give_up("POWERLOSS_FAIL is not WHAT:N:ERRNO"))
}

fn inode_of(fd: c_int) -> Option<u64> {
    // SAFETY: all-zero is a value of this plain struct, and fstat fills it.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `found` outlives the call.
    (unsafe { libc::fstat(fd, &raw mut found) } == 0).then_some(found.st_ino)
}

/// What cannot be watched must not look as if it had been.
pub fn give_up(why: &str) -> ! {
    let text = format!("powerloss: {why}\n");
    // SAFETY: the buffer is `text`, with its length.
    unsafe { libc::syscall(libc::SYS_write, 2, text.as_ptr(), text.len()) };
    std::process::abort()
}

/// Sets the error of this thread, and gives what a failed call gives.
pub fn fail(errno: c_int) -> c_long {
    // SAFETY: the place of this thread's errno is always valid.
    unsafe { *libc::__errno_location() = errno };
    -1
}
