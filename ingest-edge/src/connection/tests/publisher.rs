//! A publisher in virtual time: 25 pictures a second and AAC at 44.1 kHz, sent as fast as the clock, and what it is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{BufMut, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    task::JoinHandle,
    time::Instant,
};

use super::world::Edge;

/// Time from picture to picture in ms.
pub(super) const PICTURE_MS: u32 = 40;
/// Time from sound to sound in µs: 1024 samples at 44.1 kHz.
const SOUND_MICROS: u64 = 23_220;
/// 1280×720, x264's.
const AVC_CONFIG: &[u8] = b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\xc0\xf1\x83\x19\x60\x01\x00\x04\x68\xef\x8f\xcb\xfd\xf8\xf8\x00";
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const COMMAND: u8 = 20;

/// A client that publishes.
pub(super) struct Publisher {
    socket: WriteHalf<DuplexStream>,
    heard: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
    /// Pictures between IDR pictures.
    gop: u32,
    /// Its clock at the first picture, in ms.
    base: u32,
    began: Instant,
    pictures: u32,
    sounds: u64,
}

impl Publisher {
    /// Connects, and publishes until it is told that it is on air.
    pub(super) async fn start(edge: &Edge, gop: u32, base: u32) -> Self {
        let mut publisher = Self::ask(edge, "sk_the-right-key-0123456789").await;
        (publisher.gop, publisher.base) = (gop, base);
        while !publisher.heard("NetStream.Publish.Start") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        publisher.began = Instant::now();
        publisher.message(VIDEO, 1, base, &[b"\x17\x00\x00\x00\x00", AVC_CONFIG].concat()).await;
        publisher.message(AUDIO, 1, base, b"\xaf\x00\x12\x10").await;
        publisher
    }

    /// Connects, and asks to publish with a key.
    pub(super) async fn ask(edge: &Edge, key: &str) -> Self {
        let (reader, socket) = tokio::io::split(edge.accept());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let reading = tokio::spawn(read(reader, Arc::clone(&heard)));
        let mut publisher = Self::connect(socket, heard, reading).await;
        publisher.command(0, &[text("createStream"), number(2.0), vec![5]]).await;
        publisher.command(1, &[text("publish"), number(3.0), vec![5], text(key), text("live")]).await;
        publisher
    }

    /// Connects, and asks for something again and again without reading an answer, until it is not read any more.
    pub(super) async fn deaf(edge: &Edge) -> Self {
        let (reader, socket) = tokio::io::split(edge.accept());
        let reading = tokio::spawn(async move {
            let _unread = reader;
            std::future::pending().await
        });
        let mut deaf = Self::connect(socket, Arc::default(), reading).await;
        let ask = async {
            loop {
                deaf.command(0, &[text("releaseStream"), number(2.0), vec![5]]).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(1), ask).await.is_err());
        deaf
    }

    async fn connect(
        socket: WriteHalf<DuplexStream>,
        heard: Arc<Mutex<Vec<u8>>>,
        reading: JoinHandle<()>,
    ) -> Self {
        let began = Instant::now();
        let mut publisher = Self { socket, heard, reading, gop: 1, base: 0, began, pictures: 0, sounds: 0 };
        publisher.raw(&[3; 3073]).await;
        let connect = [text("connect"), number(1.0), b"\x03\x00\x03app\x02\x00\x04live\x00\x00\x09".to_vec()];
        publisher.command(0, &connect).await;
        publisher
    }

    /// Sends a data message that is of no use. False when the connection is closed.
    pub(super) async fn data(&mut self, bytes: usize) -> bool {
        self.message(18, 1, 0, &vec![0xFF; bytes]).await
    }

    /// Sends earlier by so much than its pictures are shown.
    pub(super) fn ahead(&mut self, by: Duration) {
        self.began -= by;
    }

    /// Sends up to so many pictures in all, each at its time (or as soon after as the socket takes it). False when the connection is closed.
    pub(super) async fn send_until(&mut self, pictures: u32) -> bool {
        while self.pictures < pictures {
            let due = Duration::from_millis(u64::from(self.pictures * PICTURE_MS));
            tokio::time::sleep_until(self.began + due).await;
            while Duration::from_micros(self.sounds * SOUND_MICROS) <= due {
                let at = u32::try_from(self.sounds * SOUND_MICROS / 1000).unwrap();
                if !self.message(AUDIO, 1, self.base.wrapping_add(at), b"\xaf\x01\x21\x07").await {
                    return false;
                }
                self.sounds += 1;
            }
            let idr = self.pictures.is_multiple_of(self.gop);
            let mut body = if idr { b"\x17\x01\0\0\0".to_vec() } else { b"\x27\x01\0\0\0".to_vec() };
            body.extend(200u32.to_be_bytes());
            body.push(if idr { 0x65 } else { 0x41 });
            body.extend([0x88; 199]);
            let at = self.base.wrapping_add(self.pictures * PICTURE_MS);
            if !self.message(VIDEO, 1, at, &body).await {
                return false;
            }
            self.pictures += 1;
        }
        true
    }

    /// Stops as an encoder does that is told to.
    pub(super) async fn unpublish(mut self) {
        self.command(1, &[text("deleteStream"), number(4.0), vec![5], number(1.0)]).await;
        self.reset();
    }

    /// Is gone.
    pub(super) fn reset(self) {
        self.reading.abort();
    }

    /// Whether it was told something.
    pub(super) fn heard(&self, what: &str) -> bool {
        self.heard.lock().unwrap().windows(what.len()).any(|window| window == what.as_bytes())
    }

    /// Waits until the server closes the connection.
    pub(super) async fn closed(&mut self) {
        (&mut self.reading).await.unwrap();
    }

    async fn command(&mut self, stream: u32, values: &[Vec<u8>]) {
        assert!(self.message(COMMAND, stream, 0, &values.concat()).await);
    }

    /// One message with full headers, in chunks of 128 bytes.
    async fn message(&mut self, type_id: u8, stream: u32, timestamp: u32, payload: &[u8]) -> bool {
        let extended = timestamp >= 0xFF_FFFF;
        let mut out = BytesMut::new();
        out.put_u8(4);
        out.put_uint(u64::from(timestamp.min(0xFF_FFFF)), 3);
        out.put_uint(u64::try_from(payload.len()).unwrap(), 3);
        out.put_u8(type_id);
        out.put_u32_le(stream);
        for (n, part) in payload.chunks(128).enumerate() {
            if n > 0 {
                out.put_u8(0xC4);
            }
            if extended {
                out.put_u32(timestamp);
            }
            out.put_slice(part);
        }
        self.raw(&out).await
    }

    async fn raw(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }
}

async fn read(mut socket: ReadHalf<DuplexStream>, heard: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.read(&mut buffer).await
        && length > 0
    {
        heard.lock().unwrap().extend(&buffer[..length]);
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[2], &length[..], text.as_bytes()].concat()
}

fn number(number: f64) -> Vec<u8> {
    [&[0], &number.to_be_bytes()[..]].concat()
}
