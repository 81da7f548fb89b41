//! A peer below TLS.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use super::{PATIENCE, Server};

/// A TCP connection whose bytes are not protected by anything.
pub struct PlainPeer(TcpStream);

impl PlainPeer {
    /// Connects.
    pub fn connect(server: &Server) -> PlainPeer {
        let socket = TcpStream::connect(server.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        PlainPeer(socket)
    }

    /// Sends bytes. The server may have closed already, which the reading will tell.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Ends the sending.
    pub fn finish(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// The next bytes from the server, so many of them.
    pub fn hear(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Everything that the server says until it closes or resets the connection; not to do so is a failure.
    pub fn hear_all(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        match self.0.read_to_end(&mut heard) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server does not close the connection: {error}"),
        }
        heard
    }
}
