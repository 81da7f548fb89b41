//! The one door to monoio: event loops on io_uring, or on epoll where the kernel or the container closes the ring.
//!
//! What monoio 0.2.4 forbids is kept away from here on: nothing hands out its buffered readers and writers (one writes
//! past its buffer), a pending read or accept is ended by [`Cancel`] and never dropped, no join handle crosses threads,
//! and no task wakes itself in a loop.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use monoio::buf::{Slice, SliceMut};
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller, OwnedReadHalf,
    OwnedWriteHalf, Splitable,
};
use monoio::net::{TcpListener, TcpStream, UnixStream};
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};
use nix::sys::socket::MsgFlags;

use super::Notify;

/// Entries of a core's submission queue.
const RING_ENTRIES: u32 = 1024;

/// Reads that an epoll loop lets one connection have without waiting before it looks after the others: a socket that
/// is never empty would keep the loop to itself.
const READS_AT_ONCE_MAX: u32 = 8;

/// How an event loop waits for the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// io_uring.
    Uring,
    /// epoll: slower, everywhere.
    Epoll,
}

impl Driver {
    /// The best driver that this kernel and container allow.
    pub fn best() -> Driver {
        if monoio::utils::detect_uring() { Driver::Uring } else { Driver::Epoll }
    }

    /// Its name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Uring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// Runs an event loop on this thread until the future that `start` makes is done.
///
/// # Errors
/// When the kernel grants no ring or no epoll instance (often: too little locked memory, `ulimit -l`).
pub fn run<F: Future>(driver: Driver, start: impl FnOnce() -> F) -> io::Result<F::Output> {
    match driver {
        Driver::Uring => {
            let mut runtime = ring()?;
            Ok(runtime.block_on(start()))
        }
        Driver::Epoll => {
            let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
            Ok(runtime.block_on(start()))
        }
    }
}

/// The event loop of a core on a ring, set up as quietly as this kernel can.
///
/// What has come is delivered when the loop enters the kernel anyway: a loop that is busy would otherwise be interrupted
/// for every message that arrives, by the core that sent it. (Delivery in the loop's wait alone, `DEFER_TASKRUN`, is no
/// quicker here, and monoio's `submit`, between two rounds of tasks that wake each other, would not see what has come.)
fn ring() -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
    let quietly = |ring: &mut io_uring::Builder| {
        ring.setup_coop_taskrun().setup_single_issuer();
    };
    // Linux 6.0 has both; an older one refuses, and gets a ring as it was before.
    build_ring(quietly).or_else(|_| build_ring(|_| ()))
}

fn build_ring(set_up: impl FnOnce(&mut io_uring::Builder)) -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
    let mut ring = io_uring::IoUring::builder();
    set_up(&mut ring);
    let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(RING_ENTRIES);
    builder.uring_builder(ring).enable_timer().build()
}

/// Starts a task on this core.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

/// Waits.
pub async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}

/// Lets all other tasks of this core that can run do so first.
async fn pause() {
    // A task that wakes itself is put in front of the others; one that is woken by another task, behind them.
    let turn = Rc::new(Notify::default());
    let last = Rc::clone(&turn);
    spawn(async move { last.notify() });
    turn.wait().await;
}

/// Ends pending reads and accepts without losing what they already have.
#[derive(Default)]
pub struct Cancel(RefCell<Canceller>);

impl Cancel {
    /// Ends all operations that were started with this and are pending now: each returns what it has got, or an error.
    pub fn cancel(&self) {
        let canceller = self.0.take();
        *self.0.borrow_mut() = canceller.cancel();
    }
}

/// A listening socket of one core.
pub struct Listener(TcpListener);

impl Listener {
    /// Takes over a bound, listening socket.
    ///
    /// # Errors
    /// When the event loop cannot watch it.
    pub fn new(socket: std::net::TcpListener, driver: Driver) -> io::Result<Listener> {
        // A ring waits by itself, and would report a non-blocking socket as not ready instead.
        socket.set_nonblocking(driver == Driver::Epoll)?;
        TcpListener::from_std(socket).map(Listener)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// When it was cancelled, or the system could not accept.
    pub async fn accept(&self, cancel: &Cancel) -> io::Result<(Reader, Writer, SocketAddr)> {
        let handle = cancel.0.borrow().handle();
        let (stream, peer) = self.0.cancelable_accept(handle).await?;
        // Answers are collected before they are written; waiting for more to send would only delay them.
        stream.set_nodelay(true)?;
        let socket = stream.as_raw_fd();
        let (reader, half) = stream.into_split();
        Ok((Reader { half: reader, at_once: 0 }, Writer { half, socket }, peer))
    }
}

/// The receiving half of a connection.
pub struct Reader {
    half: OwnedReadHalf<TcpStream>,
    /// Reads in a row that had not to be waited for, so that no other task had its turn. None on a ring, where every
    /// read goes through the loop.
    at_once: u32,
}

impl Reader {
    /// Reads into `buffer` from `from` on, up to its capacity. Returns how many bytes came, 0 at the end, and the buffer,
    /// whose length ends with them.
    pub async fn read(&mut self, buffer: Vec<u8>, from: usize, cancel: &Cancel) -> (io::Result<usize>, Vec<u8>) {
        if self.at_once >= READS_AT_ONCE_MAX {
            self.at_once = 0;
            pause().await;
        }
        let handle = cancel.0.borrow().handle();
        let end = buffer.capacity();
        let mut read = pin!(self.half.cancelable_read(SliceMut::new(buffer, from, end), handle));
        let mut at_once = true;
        let (result, slice) = poll_fn(|context| {
            let poll = read.as_mut().poll(context);
            at_once &= poll.is_ready();
            poll
        })
        .await;
        self.at_once = if at_once { self.at_once + 1 } else { 0 };
        (result, slice.into_inner())
    }
}

/// The sending half of a connection.
pub struct Writer {
    half: OwnedWriteHalf<TcpStream>,
    /// The socket's number, good for as long as `half` is there.
    socket: RawFd,
}

impl Writer {
    /// Writes what the socket takes at once, without the event loop. Returns how many bytes that were; none when it is full.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match nix::sys::socket::send(self.socket, bytes, flags) {
            Ok(written) => Ok(written),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes all of `buffer`, at once as far as the socket takes it, and gives it back.
    pub async fn write_all(&mut self, buffer: Vec<u8>, cancel: &Cancel) -> (io::Result<()>, Vec<u8>) {
        match self.try_write(&buffer) {
            Ok(written) => self.write_from(buffer, written, cancel).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Writes `buffer` from `from` on, as fast as the peer takes it, and gives it back.
    pub async fn write_from(&mut self, mut buffer: Vec<u8>, from: usize, cancel: &Cancel) -> (io::Result<()>, Vec<u8>) {
        let (mut written, end) = (from, buffer.len());
        while written < end {
            let handle = cancel.0.borrow().handle();
            let (result, slice) = self.half.cancelable_write(Slice::new(buffer, written, end), handle).await;
            buffer = slice.into_inner();
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                Ok(bytes) => written += bytes,
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// Says that nothing more will be sent.
    pub async fn shutdown(&mut self) {
        // The peer may be gone already, which is as good.
        let _ = self.half.shutdown().await;
    }
}

/// The end of a socket pair at which a core hears its bell.
pub struct Ear {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Ear {
    /// Takes over the socket.
    ///
    /// # Errors
    /// When the event loop cannot watch it.
    pub fn new(socket: StdUnixStream, driver: Driver) -> io::Result<Ear> {
        socket.set_nonblocking(driver == Driver::Epoll)?;
        Ok(Ear { stream: UnixStream::from_std(socket)?, buffer: vec![0; 64] })
    }

    /// Waits for the bell, and takes all of its ringing.
    pub async fn listen(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let (_, buffer) = self.stream.read(buffer).await;
        self.buffer = buffer;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::thread;

    use super::*;

    #[test]
    fn a_write_that_is_tried_stops_where_the_socket_is_full_and_the_rest_follows_in_order() {
        const SENT: usize = 32 << 20;
        for driver in [Driver::best(), Driver::Epoll] {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
            let bytes: Vec<u8> = (0..SENT).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let expected = bytes.clone();
            run(driver, move || async move {
                let cancel = Cancel::default();
                let (_reader, mut writer, _) = Listener::new(socket, driver).unwrap().accept(&cancel).await.unwrap();
                let (mut written, mut last) = (0, 1);
                while last > 0 {
                    last = writer.try_write(&bytes[written..]).unwrap();
                    written += last;
                }
                assert!((1..SENT).contains(&written), "{written}");
                let all = thread::spawn(move || {
                    let mut received = Vec::new();
                    peer.read_to_end(&mut received).unwrap();
                    received
                });
                writer.write_from(bytes, written, &cancel).await.0.unwrap();
                writer.shutdown().await;
                assert!(all.join().unwrap() == expected, "{}", driver.name());
                assert!(writer.try_write(b"behind the end").is_err());
            })
            .unwrap();
        }
    }

    #[test]
    fn a_read_of_little_leaves_room_for_much() {
        for driver in [Driver::best(), Driver::Epoll] {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
            let lengths = run(driver, move || async move {
                let cancel = Cancel::default();
                let (mut reader, _writer, _) = Listener::new(socket, driver).unwrap().accept(&cancel).await.unwrap();
                let mut buffer = Vec::with_capacity(4096);
                let mut lengths = Vec::new();
                for sent in [1, 3000] {
                    peer.write_all(&vec![7; sent]).unwrap();
                    let (result, back) = reader.read(buffer, 0, &cancel).await;
                    assert_eq!(back.len(), *result.as_ref().unwrap());
                    lengths.push(result.unwrap());
                    buffer = back;
                }
                lengths
            })
            .unwrap();
            assert_eq!(lengths, [1, 3000], "{}", driver.name());
        }
    }
}
