//! Talking to systemd about ourselves: ready, and still alive.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends one state line; nothing happens when systemd did not start us.
pub fn notify(state: &str) {
    if let Err(error) = send(state) {
        tracing::warn!(%error, "cannot talk to systemd");
    }
}

fn send(state: &str) -> std::io::Result<()> {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}
