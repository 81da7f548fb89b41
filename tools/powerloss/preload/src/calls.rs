//! The functions of libc that are replaced. Each does the system call itself, so that none of them calls another.
//!
//! Numbers that a system call returns fit the type that the function returns.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as the functions of libc convert them")]

use std::ffi::CStr;

use libc::{c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t, syscall};
use repsec_powerloss::trace::Done;

use crate::watch::{Watch, What, fail, give_up, watch};

/// The watch, if this path is watched, and where it leads.
unsafe fn watched(at: c_int, path: *const c_char) -> Option<(&'static Watch, Vec<u8>)> {
    let watch = watch()?;
    // SAFETY: the caller of the replaced function gave a path that ends with a zero.
    let inside = watch.inside(at, unsafe { CStr::from_ptr(path) })?;
    Some((watch, inside))
}

/// The watch, if this open file is watched, and its inode.
fn watched_file(fd: c_int) -> Option<(&'static Watch, u64)> {
    let watch = watch()?;
    Some((watch, watch.file(fd)?))
}

unsafe fn open_at(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are those of openat.
    let call = || unsafe { syscall(libc::SYS_openat, at, path, flags | libc::O_LARGEFILE, mode) as c_int };
    // SAFETY: as for openat.
    let Some((watch, inside)) = (unsafe { watched(at, path) }) else {
        let fd = call();
        if let Some(watch) = watch() {
            watch.closed(fd);
        }
        return fd;
    };
    if let Some((errno, _)) = watch.fault(What::Open) {
        return fail(errno) as c_int;
    }
    let _order = watch.order();
    // SAFETY: as for faccessat, which the path suits as well.
    let was_there = unsafe { syscall(libc::SYS_faccessat, at, path, libc::F_OK) } == 0;
    let fd = call();
    if fd >= 0 {
        let inode = watch.opened(fd);
        if flags & libc::O_CREAT != 0 && !was_there {
            watch.write_down(&Done::Created { inode, path: &inside });
        } else if flags & libc::O_TRUNC != 0 {
            watch.write_down(&Done::Resized { inode, length: 0 });
        }
    }
    fd
}

/// Writes, and writes down what was written. `call` gets how many bytes it may write.
fn write_at(fd: c_int, data: &[u8], offset: Option<off_t>, call: impl Fn(size_t) -> c_long) -> ssize_t {
    let Some((watch, inode)) = watched_file(fd) else { return call(data.len()) as ssize_t };
    let mut length = data.len();
    match watch.fault(What::Write) {
        // A disk that becomes full takes what still fits.
        Some((libc::ENOSPC, true)) if length > 1 => length /= 2,
        Some((errno, _)) => return fail(errno) as ssize_t,
        None => {}
    }
    let _order = watch.order();
    let written = call(length);
    if let Ok(count) = usize::try_from(written) {
        // SAFETY: lseek takes any number.
        let behind = || unsafe { syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) } - written;
        let offset = offset.unwrap_or_else(behind) as u64;
        watch.write_down(&Done::Wrote { inode, offset, data: &data[..count] });
    }
    written as ssize_t
}

unsafe fn bytes<'a>(data: *const c_void, length: size_t) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: the caller of the replaced function gave a buffer of this length.
    unsafe { std::slice::from_raw_parts(data.cast(), length) }
}

/// Syncs, and writes down when it began and when it ended.
fn sync(fd: c_int, call: impl Fn() -> c_long) -> c_int {
    let Some((watch, inode)) = watched_file(fd) else { return call() as c_int };
    if let Some((errno, _)) = watch.fault(What::Sync) {
        return fail(errno) as c_int;
    }
    if watch.pretends() {
        return 0;
    }
    let number = watch.next_sync();
    {
        let _order = watch.order();
        watch.write_down(&Done::SyncBegan { inode, number });
    }
    let result = call();
    if result == 0 {
        let _order = watch.order();
        watch.write_down(&Done::SyncEnded { number });
    }
    result as c_int
}

/// Gives a file another length.
fn resize(fd: c_int, length: off_t, call: impl Fn() -> c_long) -> c_int {
    let Some((watch, inode)) = watched_file(fd) else { return call() as c_int };
    if let Some((errno, _)) = watch.fault(What::Write) {
        return fail(errno) as c_int;
    }
    let _order = watch.order();
    let result = call();
    if result == 0 {
        watch.write_down(&Done::Resized { inode, length: length as u64 });
    }
    result as c_int
}

/// Reserves room, or gives it back, behind the end of a file, where it changes neither length nor content.
fn reserve(fd: c_int, mode: c_int, offset: off_t, call: impl Fn() -> c_long) -> c_int {
    const GIVES_BACK: c_int = libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE;
    if let Some((watch, _)) = watched_file(fd) {
        if let Some((errno, _)) = watch.fault(What::Write) {
            return fail(errno) as c_int;
        }
        // SAFETY: all-zero is a value of this plain struct, and fstat fills it.
        let mut found: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `found` outlives the call.
        let is_behind = unsafe { libc::fstat(fd, &raw mut found) } == 0 && offset >= found.st_size;
        if mode != libc::FALLOC_FL_KEEP_SIZE && !(mode == GIVES_BACK && is_behind) {
            give_up("fallocate that changes a file is not known here");
        }
    }
    call() as c_int
}

/// Changes names.
unsafe fn name(at: c_int, path: *const c_char, call: impl Fn() -> c_long, done: impl Fn(&Watch, &[u8])) -> c_int {
    // SAFETY: as for the replaced function.
    let Some((watch, inside)) = (unsafe { watched(at, path) }) else { return call() as c_int };
    if let Some((errno, _)) = watch.fault(What::Name) {
        return fail(errno) as c_int;
    }
    let _order = watch.order();
    let result = call();
    if result == 0 {
        done(watch, &inside);
    }
    result as c_int
}

unsafe fn two_names(from: (c_int, *const c_char), to: (c_int, *const c_char), flags: c_uint, links: bool) -> c_int {
    let call = || {
        let number = if links { libc::SYS_linkat } else { libc::SYS_renameat2 };
        // SAFETY: the arguments are those of linkat and of renameat2.
        unsafe { syscall(number, from.0, from.1, to.0, to.1, flags) }
    };
    // SAFETY: as for the replaced function.
    let source = unsafe { watched(from.0, from.1) };
    let done = |watch: &Watch, to: &[u8]| match &source {
        Some((_, from)) if links => watch.write_down(&Done::Linked { from, to }),
        Some((_, from)) => watch.write_down(&Done::Renamed { from, to }),
        None => give_up("a file that comes from elsewhere is not known here"),
    };
    // SAFETY: as for the replaced function.
    unsafe { name(to.0, to.1, call, done) }
}

unsafe fn remove_at(at: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the arguments are those of unlinkat.
    let call = || unsafe { syscall(libc::SYS_unlinkat, at, path, flags) };
    // SAFETY: as for unlinkat.
    unsafe { name(at, path, call, |watch, path| watch.write_down(&Done::Removed { path })) }
}

unsafe fn make_directory(at: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the arguments are those of mkdirat.
    let call = || unsafe { syscall(libc::SYS_mkdirat, at, path, mode) };
    let done = |watch: &Watch, inside: &[u8]| {
        // SAFETY: all-zero is a value of this plain struct, and fstatat fills it.
        let mut found: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the path is that of mkdirat, and `found` outlives the call.
        if unsafe { libc::fstatat(at, path, &raw mut found, 0) } == 0 {
            watch.write_down(&Done::MadeDirectory { inode: found.st_ino, path: inside });
        }
    };
    // SAFETY: as for mkdirat.
    unsafe { name(at, path, call, done) }
}

fn read_from(fd: c_int, call: impl Fn() -> c_long) -> ssize_t {
    match watched_file(fd).and_then(|(watch, _)| watch.fault(What::Read)) {
        Some((errno, _)) => fail(errno) as ssize_t,
        None => call() as ssize_t,
    }
}

/// Reads through a stream of the C library, as RocksDB reads write-ahead logs and manifests.
unsafe fn read_stream(into: *mut c_void, size: size_t, count: size_t, stream: *mut libc::FILE) -> size_t {
    type Read = unsafe extern "C" fn(*mut c_void, size_t, size_t, *mut libc::FILE) -> size_t;
    // SAFETY: the stream is open, as the caller of the replaced function says.
    let fd = unsafe { libc::fileno(stream) };
    if let Some((errno, _)) = watched_file(fd).and_then(|(watch, _)| watch.fault(What::Read)) {
        fail(errno);
        return 0;
    }
    // SAFETY: the name ends with a zero.
    let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"fread_unlocked".as_ptr()) };
    if real.is_null() {
        give_up("the C library has no fread_unlocked");
    }
    // SAFETY: it is the function of this name, and the arguments are those of the replaced one.
    unsafe { std::mem::transmute::<*mut c_void, Read>(real)(into, size, count, stream) }
}

/// Functions with the names of libc's; each hands its arguments on as they are.
macro_rules! replaced {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty { $body:expr })*) => {$(
        // SAFETY of the name: it has the signature and the contract of libc's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
            #[allow(unused_unsafe, reason = "some bodies are safe")]
            // SAFETY: the caller keeps the contract of libc's function of this name.
            unsafe { $body }
        }
    )*};
}

// The mode is read whether it was given or not, which the calling conventions of Linux allow.
replaced! {
    open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(libc::AT_FDCWD, path, flags, mode) }
    open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(libc::AT_FDCWD, path, flags, mode) }
    openat(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(at, path, flags, mode) }
    openat64(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_at(at, path, flags, mode) }
    close(fd: c_int) -> c_int {{
        if let Some(watch) = watch() {
            watch.closed(fd);
        }
        syscall(libc::SYS_close, fd) as c_int
    }}
    write(fd: c_int, data: *const c_void, length: size_t) -> ssize_t {
        write_at(fd, bytes(data, length), None, |length| syscall(libc::SYS_write, fd, data, length))
    }
    pwrite(fd: c_int, data: *const c_void, length: size_t, offset: off_t) -> ssize_t {
        write_at(fd, bytes(data, length), Some(offset), |length| syscall(libc::SYS_pwrite64, fd, data, length, offset))
    }
    pwrite64(fd: c_int, data: *const c_void, length: size_t, offset: off_t) -> ssize_t {
        pwrite(fd, data, length, offset)
    }
    writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {{
        if watched_file(fd).is_some() {
            give_up("writev to a file is not known here");
        }
        syscall(libc::SYS_writev, fd, parts, count) as ssize_t
    }}
    read(fd: c_int, into: *mut c_void, length: size_t) -> ssize_t {
        read_from(fd, || syscall(libc::SYS_read, fd, into, length))
    }
    pread(fd: c_int, into: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
        read_from(fd, || syscall(libc::SYS_pread64, fd, into, length, offset))
    }
    pread64(fd: c_int, into: *mut c_void, length: size_t, offset: off_t) -> ssize_t { pread(fd, into, length, offset) }
    fread_unlocked(into: *mut c_void, size: size_t, count: size_t, stream: *mut libc::FILE) -> size_t {
        read_stream(into, size, count, stream)
    }
    ftruncate(fd: c_int, length: off_t) -> c_int { resize(fd, length, || syscall(libc::SYS_ftruncate, fd, length)) }
    ftruncate64(fd: c_int, length: off_t) -> c_int { ftruncate(fd, length) }
    fallocate(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
        reserve(fd, mode, offset, || syscall(libc::SYS_fallocate, fd, mode, offset, length))
    }
    fallocate64(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int { fallocate(fd, mode, offset, length) }
    fsync(fd: c_int) -> c_int { sync(fd, || syscall(libc::SYS_fsync, fd)) }
    fdatasync(fd: c_int) -> c_int { sync(fd, || syscall(libc::SYS_fdatasync, fd)) }
    rename(from: *const c_char, to: *const c_char) -> c_int {
        two_names((libc::AT_FDCWD, from), (libc::AT_FDCWD, to), 0, false)
    }
    renameat(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char) -> c_int {
        two_names((from_at, from), (to_at, to), 0, false)
    }
    link(from: *const c_char, to: *const c_char) -> c_int {
        two_names((libc::AT_FDCWD, from), (libc::AT_FDCWD, to), 0, true)
    }
    linkat(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: c_int) -> c_int {
        two_names((from_at, from), (to_at, to), flags as c_uint, true)
    }
    unlink(path: *const c_char) -> c_int { remove_at(libc::AT_FDCWD, path, 0) }
    unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int { remove_at(at, path, flags) }
    rmdir(path: *const c_char) -> c_int { remove_at(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
    mkdir(path: *const c_char, mode: mode_t) -> c_int { make_directory(libc::AT_FDCWD, path, mode) }
    mkdirat(at: c_int, path: *const c_char, mode: mode_t) -> c_int { make_directory(at, path, mode) }
}
