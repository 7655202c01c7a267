//! A lab's only way out: bytes between the control address inside the lab and one API server outside.
//!
//! The process has a foot in each network. It listens in the lab's, where it was started, and connects
//! in the machine's, which the supervisor handed over as an open file.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::supervisor::OUTSIDE_VARIABLE;

/// Forwards every connection to `listen` to `to`, until it is killed.
pub fn serve(listen: SocketAddr, to: SocketAddr) -> Result<()> {
    let listener =
        StdListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    listener.set_nonblocking(true)?;
    setns(outside()?, CloneFlags::CLONE_NEWNET).context("cannot enter the machine's network")?;
    // One thread: a network namespace belongs to a thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (inside, _) = listener.accept().await.context("the lab's side fails")?;
            tokio::spawn(async move {
                if let Err(error) = forward(inside, to).await {
                    eprintln!("a connection to {to} ended: {error}");
                }
            });
        }
    })
}

async fn forward(mut inside: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut outside = TcpStream::connect(to).await?;
    copy_bidirectional(&mut inside, &mut outside).await.map(|_| ())
}

fn outside() -> Result<OwnedFd> {
    let number =
        std::env::var(OUTSIDE_VARIABLE).context("only the lab's supervisor starts this")?;
    let number: RawFd = number.parse().context("the machine's network is no file descriptor")?;
    // SAFETY: the supervisor opened it for this process alone, and this is the only use of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
