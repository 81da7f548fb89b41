//! The one door to monoio: event loops on io_uring, or on epoll where the kernel or the container closes the ring.
//!
//! What monoio 0.2.4 forbids is kept away from here on: nothing hands out its buffered readers and writers (one writes
//! past its buffer), a pending read or accept is ended by [`Cancel`] and never dropped, no join handle crosses threads,
//! and no task wakes itself in a loop.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use monoio::buf::{Slice, SliceMut};
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller, OwnedReadHalf,
    OwnedWriteHalf, Splitable,
};
use monoio::net::{TcpListener, TcpStream, UnixStream};
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use super::Buffer;

/// Entries of a core's submission queue. When it is full, it goes to the kernel: so answers of a core that has much to do
/// leave while it goes on, and peers and disk have their part to do meanwhile.
const RING_ENTRIES: u32 = 32;
/// Entries of its completion queue: more than what usually comes at once, since what does not fit takes a detour.
const COMPLETION_ENTRIES: u32 = 4096;

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
    ring.setup_cqsize(COMPLETION_ENTRIES);
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
        let (reader, writer) = stream.into_split();
        Ok((Reader(reader), Writer(writer), peer))
    }
}

/// The receiving half of a connection.
pub struct Reader(OwnedReadHalf<TcpStream>);

impl Reader {
    /// Reads into `buffer` from `from` on, up to its capacity. Returns how many bytes came, 0 at the end, and the buffer,
    /// whose length ends with them.
    pub async fn read(&mut self, buffer: Vec<u8>, from: usize, cancel: &Cancel) -> (io::Result<usize>, Vec<u8>) {
        let handle = cancel.0.borrow().handle();
        let end = buffer.capacity();
        let (result, slice) = self.0.cancelable_read(SliceMut::new(buffer, from, end), handle).await;
        (result, slice.into_inner())
    }
}

/// The sending half of a connection.
pub struct Writer(OwnedWriteHalf<TcpStream>);

impl Writer {
    /// Writes all of `buffer` and gives it back.
    pub async fn write_all(&mut self, buffer: Buffer, cancel: &Cancel) -> (io::Result<()>, Buffer) {
        let (memory, begin, end) = buffer.into_memory();
        let (result, memory) = self.write_between(memory, begin, end, cancel).await;
        (result, Buffer::from_memory(memory))
    }

    async fn write_between(
        &mut self,
        mut buffer: Vec<u8>,
        begin: usize,
        end: usize,
        cancel: &Cancel,
    ) -> (io::Result<()>, Vec<u8>) {
        let mut written = begin;
        while written < end {
            let handle = cancel.0.borrow().handle();
            let (result, slice) = self.0.cancelable_write(Slice::new(buffer, written, end), handle).await;
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
        let _ = self.0.shutdown().await;
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
    use std::io::Write as _;

    use super::*;

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
