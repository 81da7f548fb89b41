//! Listening sockets: one for each core on the same port, so that the kernel spreads connections over the cores.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::error::StartError;

/// Connections that wait to be accepted, for each core.
const BACKLOG: i32 = 1024;

/// Opens a socket for each of `cores` cores. Port 0 takes a free port, the same for all.
///
/// # Errors
/// When the address is taken, by whatever means, or is not an address of this machine.
pub(super) fn open(listen: SocketAddr, cores: usize) -> Result<Vec<TcpListener>, StartError> {
    let failed = |source| StartError::Listen { listen, source };
    // Sockets that share a port would share it with another server of the same user too, which would take half of
    // the connections without a word. A socket that does not share finds out.
    let probe = bind(listen, false).map_err(failed)?;
    let address = probe.local_addr().map_err(failed)?;
    drop(probe);
    (0..cores).map(|_| bind(address, true).map_err(failed)).collect()
}

fn bind(address: SocketAddr, share_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if share_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // `[::]` means every address of the machine, those of IPv4 too.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
