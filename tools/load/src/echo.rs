//! The echo server: TLS, an event loop, and nothing else.
//!
//! It runs on the runtime and the TLS of the RepSec server, on one core, and sends back what it gets. So it tells what a
//! message costs before anything is known of its meaning.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use repsec::runtime::uring::{self, Cancel, Driver, Listener, Reader, Writer};
use repsec::runtime::{Buffer, topology};
use repsec::server::tls::Tls;
use repsec::server::{CertificateFiles, server_config};
use rustls::ServerConfig;

use crate::error::LoadError;

/// Room for what is read at once, at first and at the most; it grows as far as reads fill it.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// How an echo server is started.
#[derive(Clone, Debug)]
pub struct Echo {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its certificate.
    pub certificates: CertificateFiles,
    /// The core that it is pinned to, by its place among those that the process may use.
    pub core: usize,
}

/// Runs an echo server on the calling thread for as long as the process lives. `ready` is told the address once it
/// accepts.
///
/// # Errors
/// When the certificate, the address or the event loop cannot be had.
pub fn serve(echo: &Echo, ready: impl FnOnce(SocketAddr)) -> Result<Infallible, LoadError> {
    let config = server_config(&echo.certificates).map_err(LoadError::Echo)?;
    let failed = |source| LoadError::System { doing: "listen", source };
    let socket = TcpListener::bind(echo.listen).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    topology::pin(echo.core);
    let driver = Driver::best();
    let ended = uring::run(driver, || async move {
        let listener = Listener::new(socket, driver)?;
        ready(address);
        Ok::<Infallible, io::Error>(accept(&listener, &config).await)
    });
    match ended.and_then(|result| result) {
        Ok(never) => match never {},
        Err(source) => Err(LoadError::System { doing: "start an event loop", source }),
    }
}

async fn accept(listener: &Listener, config: &Arc<ServerConfig>) -> Infallible {
    loop {
        match listener.accept(&Cancel::default()).await {
            Ok((reader, writer, _)) => {
                if let Ok(tls) = Tls::new(Arc::clone(config)) {
                    uring::spawn(connection(reader, writer, tls));
                }
            }
            // Too many open files, most likely; some will be closed.
            Err(_) => uring::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(mut reader: Reader, mut writer: Writer, mut tls: Tls) {
    let cancel = Cancel::default();
    let (mut buffer, mut filled, mut room) = (Vec::new(), 0, READ_BYTES_MIN);
    let (mut spare, mut plaintext) = (Buffer::default(), Buffer::default());
    loop {
        // A read leaves the buffer as long as what it brought, so the room behind that is made anew.
        buffer.resize(filled + room, 0);
        let (result, back) = reader.read(buffer, filled, &cancel).await;
        buffer = back;
        match result {
            Ok(0) | Err(_) => break,
            Ok(bytes) => {
                filled += bytes;
                room = if bytes == room { 2 * room } else { bytes.next_power_of_two() };
                room = room.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
            }
        }
        let incoming = buffer.get_mut(..filled).unwrap_or_default();
        let (done, outcome) = tls.receive(incoming, &mut |bytes| plaintext.end().extend_from_slice(bytes));
        buffer.copy_within(done..filled, 0);
        filled -= done;
        let sent = plaintext.is_empty() || tls.send(plaintext.bytes()).is_ok();
        plaintext.clear();
        let over = outcome.is_err() || !sent || tls.peer_closed();
        if over {
            tls.close();
        }
        let (written, back) = writer.write_all(tls.take_outgoing(spare), &cancel).await;
        spare = back;
        spare.clear();
        if over || written.is_err() {
            break;
        }
    }
    writer.shutdown().await;
}
