//! The load: connections that all publish the same pattern in real time, each from a moment of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, BytesMut};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    pattern::{CHUNK_SIZE, LENGTH_MS, Pattern, first},
    sink::Times,
};

/// Time to be let in.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of S0, S1 and S2.
const ANSWER: usize = 1 + 2 * 1536;

/// What a connection needs to know.
#[derive(Clone)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// With TLS if so.
    pub(crate) tls: Option<TlsConnector>,
    /// What to send.
    pub(crate) pattern: Arc<Pattern>,
    /// Bytes that all connections have sent, media only.
    pub(crate) sent: Arc<AtomicU64>,
    /// When GOPs were whole.
    pub(crate) times: Arc<Times>,
}

/// Publishes under `key` as number `n`, until it is dropped or fails.
///
/// # Errors
/// When the server lets it not in, or ends it.
pub(crate) async fn publish(
    load: Load,
    n: usize,
    key: String,
    accepted: tokio::sync::mpsc::Sender<()>,
) -> Result<()> {
    let socket = TcpStream::connect(load.address).await.context("connecting")?;
    socket.set_nodelay(true)?;
    match load.tls.clone() {
        None => run(load, socket, n, key, accepted).await,
        Some(tls) => {
            let stream = tls.connect(ServerName::try_from("localhost")?, socket).await.context("TLS")?;
            run(load, stream, n, key, accepted).await
        }
    }
}

async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    load: Load,
    mut io: S,
    n: usize,
    key: String,
    accepted: tokio::sync::mpsc::Sender<()>,
) -> Result<()> {
    timeout(PATIENCE, enter(&mut io, &key)).await.context("it took too long to be let in")??;
    let (mut from, mut to) = tokio::io::split(io);
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while from.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
    });
    accepted.send(()).await.context("nobody waits")?;
    // Spread over the pattern, so that not all key pictures come at once.
    let phase = Duration::from_millis(u64::try_from(n).unwrap_or(0) * 7919 % LENGTH_MS);
    let begin = Instant::now() + phase;
    sleep_until(begin).await;
    to.write_all(&load.pattern.head).await?;
    let (mut gops, mut round) = (0u32, 0u32);
    loop {
        let base = begin + Duration::from_millis(LENGTH_MS) * round;
        for frame in &load.pattern.frames {
            sleep_until(base + Duration::from_millis(frame.due_ms)).await;
            to.write_all(&frame.bytes).await.context("the server has closed")?;
            to.flush().await?;
            load.sent.fetch_add(u64::try_from(frame.bytes.len()).unwrap_or(0), Ordering::Relaxed);
            if frame.idr {
                if let Some(ended) = gops.checked_sub(1) {
                    load.times.whole(n, ended);
                }
                gops += 1;
            }
        }
        round += 1;
    }
}

/// Handshake, connect, createStream and publish.
async fn enter<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, key: &str) -> Result<()> {
    let mut hello = vec![3u8];
    hello.resize(1 + 1536, 0);
    io.write_all(&hello).await?;
    io.flush().await?;
    let mut answer = vec![0; ANSWER];
    io.read_exact(&mut answer).await.context("handshake")?;
    let mut out = BytesMut::from(&answer[1..=1536]);
    let mut size = BytesMut::new();
    size.put_u32(u32::try_from(CHUNK_SIZE)?);
    first(&mut out, 2, 1, &size);
    let mut connect = BytesMut::new();
    text(&mut connect, "connect");
    number(&mut connect, 1.0);
    connect.put_u8(3);
    for (name, value) in [("app", "live"), ("flashVer", "bench"), ("tcUrl", "rtmp://localhost/live")] {
        property(&mut connect, name);
        text(&mut connect, value);
    }
    connect.put_slice(&[0, 0, 9]);
    first(&mut out, 3, 20, &connect);
    let mut create = BytesMut::new();
    text(&mut create, "createStream");
    number(&mut create, 2.0);
    create.put_u8(5);
    first(&mut out, 3, 20, &create);
    let mut publish = BytesMut::new();
    text(&mut publish, "publish");
    number(&mut publish, 3.0);
    publish.put_u8(5);
    text(&mut publish, key);
    text(&mut publish, "live");
    first(&mut out, 3, 20, &publish);
    io.write_all(&out).await?;
    io.flush().await?;
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while !said.windows(START.len()).any(|window| window == START) {
        let length = io.read(&mut buffer).await?;
        ensure!(length > 0, "the server has closed: {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..length]);
    }
    Ok(())
}

/// What a server says that has accepted a publish.
const START: &[u8] = b"NetStream.Publish.Start";

fn property(out: &mut BytesMut, name: &str) {
    out.put_u16(u16::try_from(name.len()).unwrap_or(0));
    out.put_slice(name.as_bytes());
}

fn text(out: &mut BytesMut, text: &str) {
    out.put_u8(2);
    property(out, text);
}

fn number(out: &mut BytesMut, number: f64) {
    out.put_u8(0);
    out.put_f64(number);
}
