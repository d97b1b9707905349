//! The publisher's line: a TCP forwarder before the edges that can be cut with a reset in both directions, as a phone's network does
//! when it changes, and that refuses whoever comes while it is down.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A running line. Dropping it cuts it.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    cuts: watch::Sender<u64>,
    serving: JoinHandle<()>,
}

impl Wire {
    /// Starts a line on loopback to `upstream`.
    ///
    /// # Errors
    /// When it can't listen.
    pub fn start(runtime: &Handle, upstream: SocketAddr) -> Result<Self> {
        let _entered = runtime.enter();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a line's listener")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let cuts = watch::Sender::new(0);
        let serving = runtime.spawn(accept(listener, upstream, cuts.subscribe()));
        Ok(Self { address, cuts, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection, at both ends.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, cuts: watch::Receiver<u64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                connections.spawn(forward(stream, upstream, cuts));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(mut near: TcpStream, upstream: SocketAddr, mut cuts: watch::Receiver<u64>) {
    let Ok(mut far) = TcpStream::connect(upstream).await else {
        // As if nobody listened: the nearest thing to a refusal once the connection is taken.
        let _ = near.set_zero_linger();
        return;
    };
    let failed = tokio::select! {
        copied = copy_bidirectional(&mut near, &mut far) => copied.is_err(),
        _ = cuts.changed() => true,
    };
    if failed {
        let _ = near.set_zero_linger();
        let _ = far.set_zero_linger();
    }
}
