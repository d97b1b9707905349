//! A publisher that says anything it is told to, byte by byte, legal or not; and hears what it is told. Shares no code with the server.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::publisher::Tag;

/// Message types.
pub const AUDIO: u8 = 8;
/// Pictures.
pub const VIDEO: u8 = 9;
/// Data in AMF0.
pub const DATA: u8 = 18;
/// A command in AMF0.
pub const COMMAND: u8 = 20;

/// Bytes of payload in a chunk.
const CHUNK: usize = 128;
/// C0 and C1, then C2: any bytes do in the simple scheme.
const HANDSHAKE: [u8; 3073] = [3; 3073];
/// Time for the server to take what is written; a server that holds a publisher back for longer is waited for no more.
const WRITE_MAX: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    closed: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

impl Client {
    /// Connects, and says nothing yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_MAX))?;
        let (mut reader, heard) = (socket.try_clone()?, Arc::<(Mutex<Heard>, Condvar)>::default());
        let ears = Arc::clone(&heard);
        // Ends with the connection.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let mut heard = ears.0.lock().unwrap_or_else(PoisonError::into_inner);
                heard.bytes.extend_from_slice(&buffer[..read]);
                heard.closed = read == 0;
                ears.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Ok(Self { socket, heard })
    }

    /// Connects, shakes hands and connects to the application.
    ///
    /// # Errors
    /// When the server does not go along.
    pub fn connected(address: &str) -> Result<Self> {
        let mut client = Self::connect(address)?;
        client.raw(&HANDSHAKE)?;
        let object = b"\x03\0\x03app\x02\0\x04live\0\0\x09";
        client.message(COMMAND, 0, 0, &[&string("connect"), &number(1.0), &object[..]].concat())?;
        client.hears("NetConnection.Connect.Success", Duration::from_secs(10))?;
        Ok(client)
    }

    /// Asks to publish, and waits until it is on air.
    ///
    /// # Errors
    /// When it is refused.
    pub fn on_air(address: &str, key: &str) -> Result<Self> {
        let mut client = Self::connected(address)?;
        client.message(COMMAND, 0, 0, &[&string("createStream"), &number(2.0), &[5][..]].concat())?;
        let publish = [&string("publish"), &number(3.0), &[5][..], &string(key), &string("live")].concat();
        client.message(COMMAND, 1, 0, &publish)?;
        client.hears("NetStream.Publish.Start", Duration::from_secs(20))?;
        Ok(client)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).context("sending")
    }

    /// Sends a message, in chunks with full first headers.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn message(&mut self, kind: u8, stream: u8, ms: u32, payload: &[u8]) -> Result<()> {
        let [m3, m2, m1, m0] = ms.to_be_bytes();
        let [_, l2, l1, l0] = u32::try_from(payload.len())?.to_be_bytes();
        let extended = ms >= 0xFF_FFFF;
        let field = if extended { [0xFF; 3] } else { [m2, m1, m0] };
        let mut out = vec![4, field[0], field[1], field[2], l2, l1, l0, kind, stream, 0, 0, 0];
        for (n, piece) in payload.chunks(CHUNK).enumerate() {
            if n > 0 {
                out.push(0xC4);
            }
            if extended {
                out.extend([m3, m2, m1, m0]);
            }
            out.extend_from_slice(piece);
        }
        self.raw(&out)
    }

    /// Sends a tag at another time than its own.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn tag(&mut self, tag: &Tag, ms: u32) -> Result<()> {
        self.message(tag.kind, 1, ms, &tag.body)
    }

    /// Sends tags at their times, which begin now; each may be sent up to `ahead` sooner. False when the server closed meanwhile.
    pub fn stream<'a>(&mut self, tags: impl IntoIterator<Item = &'a Tag>, ahead: Duration) -> bool {
        let began = Instant::now();
        for tag in tags {
            let due = began + tag.time.saturating_sub(ahead);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let ms = u32::try_from(tag.time.as_millis()).unwrap_or(u32::MAX);
            if self.tag(tag, ms).is_err() {
                return false;
            }
        }
        true
    }

    /// Ends the publish as encoders do.
    ///
    /// # Errors
    /// When the connection is closed, or the server does not confirm.
    pub fn unpublish(&mut self) -> Result<()> {
        let delete = [&string("deleteStream"), &number(4.0), &[5][..], &number(1.0)].concat();
        self.message(COMMAND, 0, 0, &delete)?;
        self.hears("NetStream.Unpublish.Success", Duration::from_secs(10))?;
        self.socket.shutdown(Shutdown::Both).context("closing")
    }

    /// Waits until it has been told `what`, however long ago; how long it waited.
    ///
    /// # Errors
    /// When it is not told in time.
    pub fn hears(&self, what: &str, limit: Duration) -> Result<Duration> {
        self.until(&format!("{what:?}"), limit, |heard| {
            heard.bytes.windows(what.len()).any(|window| window == what.as_bytes())
        })
    }

    /// Waits until the server closes the connection; how long it waited.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn closed(&self, limit: Duration) -> Result<Duration> {
        self.until("the end of the connection", limit, |heard| heard.closed)
    }

    fn until(&self, what: &str, limit: Duration, done: impl Fn(&Heard) -> bool) -> Result<Duration> {
        let began = Instant::now();
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if done(&heard) {
                return Ok(began.elapsed());
            }
            let left = limit.saturating_sub(began.elapsed());
            anyhow::ensure!(
                !left.is_zero() && !heard.closed,
                "{what}: {}; heard: {}",
                if heard.closed { "the connection is closed" } else { "not in time" },
                String::from_utf8_lossy(&heard.bytes[heard.bytes.len().saturating_sub(600)..])
            );
            heard = self.heard.1.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// An AMF0 string.
#[must_use]
pub fn string(text: &str) -> Vec<u8> {
    let [_, _, a, b] = u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
    [&[2, a, b], text.as_bytes()].concat()
}

/// An AMF0 number.
#[must_use]
pub fn number(number: f64) -> Vec<u8> {
    [&[0], &number.to_be_bytes()[..]].concat()
}
