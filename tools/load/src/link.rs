//! One secured connection: a socket and its TLS. It is opened in blocking mode and driven in either.
//!
//! Never: what the bytes mean.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::error::LoadError;
use crate::tls::{Tls, Trust};

/// How long a server may take for a step of the handshake, and for an answer in blocking mode.
const PATIENCE: Duration = Duration::from_secs(30);
/// Room for what is read at first; it grows as far as reads fill it.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Room for what is read at the most.
const READ_BYTES_MAX: usize = 256 * 1024;

/// A connection whose handshake is over.
pub(crate) struct Link {
    socket: TcpStream,
    tls: Tls,
    /// Ciphertext; the first `filled` bytes are there.
    incoming: Vec<u8>,
    filled: usize,
    /// Ciphertext; the first `written` bytes have left.
    outgoing: Vec<u8>,
    written: usize,
}

impl Link {
    /// Connects and shakes hands, in blocking mode.
    pub(crate) fn open(address: SocketAddr, trust: &Trust) -> io::Result<Link> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let tls = Tls::new(trust).map_err(io::Error::other)?;
        let incoming = vec![0; READ_BYTES_MIN];
        let mut link = Link { socket, tls, incoming, filled: 0, outgoing: Vec::new(), written: 0 };
        link.decrypt(&mut |_| ())?;
        while link.tls.is_handshaking() {
            link.flush()?;
            link.receive(&mut |_| ())?;
        }
        link.flush()?;
        Ok(link)
    }

    /// Opens many connections to one address.
    pub(crate) fn open_many(address: SocketAddr, trust: &Trust, count: usize) -> Result<Vec<Link>, LoadError> {
        let mut links = Vec::with_capacity(count);
        for open in 0..count {
            links.push(Link::open(address, trust).map_err(|source| LoadError::Connect { address, open, source })?);
        }
        Ok(links)
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    pub(crate) fn cipher_suite(&self) -> String {
        self.tls.cipher_suite()
    }

    /// Encrypts and sends, as far as the socket takes it.
    pub(crate) fn send(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.tls.send(plaintext, &mut self.outgoing).map_err(io::Error::other)?;
        self.flush()
    }

    /// Sends what is left to be sent, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.has_backlog() {
            match self.socket.write(self.outgoing.get(self.written..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Ok(())
    }

    /// Whether the socket has not taken everything.
    pub(crate) fn has_backlog(&self) -> bool {
        self.written < self.outgoing.len()
    }

    /// Reads once, and hands on what that completes.
    pub(crate) fn receive(&mut self, plaintext: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        if self.filled == self.incoming.len() {
            self.incoming.resize((2 * self.incoming.len()).min(READ_BYTES_MAX), 0);
        }
        match self.socket.read(self.incoming.get_mut(self.filled..).unwrap_or_default()) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it")),
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        let full = self.filled == self.incoming.len();
        self.decrypt(plaintext)?;
        if full && self.incoming.len() < READ_BYTES_MAX {
            self.incoming.resize(2 * self.incoming.len(), 0);
        }
        Ok(())
    }

    fn decrypt(&mut self, plaintext: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let incoming = self.incoming.get_mut(..self.filled).unwrap_or_default();
        let done = self.tls.receive(incoming, &mut self.outgoing, plaintext).map_err(io::Error::other)?;
        self.incoming.copy_within(done..self.filled, 0);
        self.filled -= done;
        Ok(())
    }

    /// Says farewell, if the socket takes it at once. The connection is over either way.
    pub(crate) fn close(mut self) {
        let _ = self.tls.close(&mut self.outgoing).map_err(io::Error::other).and_then(|()| self.flush());
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
