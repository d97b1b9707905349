//! Numbered pictures. Every picture carries its number, the mark of its source and a check sum as a grid of dark and bright blocks,
//! which survives scaling and any bit rate that is fit to be looked at; and a band that flashes for a tenth of every second.
//!
//! The picture is a grid of [`COLUMNS`] × ([`ROWS`] + 1) blocks: 32 bits, most significant first, then the band.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

/// Blocks across.
pub const COLUMNS: usize = 8;
/// Rows of blocks that carry bits.
pub const ROWS: usize = 4;
/// How long the band is bright from each whole second on, in milliseconds.
pub const FLASH_MS: u64 = 100;

/// Bits of the picture's number: 9 hours at 30 fps.
const NUMBER_BITS: u32 = 20;
/// Bits of the source's mark.
const MARK_BITS: u32 = 4;
const DARK: u8 = 44;
const BRIGHT: u8 = 208;
/// Between dark and bright.
const THRESHOLD: u32 = 126;
/// What the moving texture adds or takes off at most, so that the encoder has something to do.
const TEXTURE: u8 = 12;
/// Side of one block in the picture that is read back.
const CELL: usize = 8;

/// What a picture says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which source it is from: 0 to 15.
    pub mark: u32,
    /// Its number in the source, from 0.
    pub number: u32,
}

/// A picture as it was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Its stamp; `None` when the check sum does not fit.
    pub stamp: Option<Stamp>,
    /// Whether the band is bright.
    pub flash: bool,
}

impl Stamp {
    fn bits(self) -> u32 {
        let body =
            (self.number & ((1 << NUMBER_BITS) - 1)) << MARK_BITS | (self.mark & ((1 << MARK_BITS) - 1));
        body << 8 | u32::from(crc8(body))
    }

    fn from_bits(bits: u32) -> Option<Self> {
        let (body, crc) = (bits >> 8, bits & 0xff);
        (u32::from(crc8(body)) == crc)
            .then_some(Self { mark: body & ((1 << MARK_BITS) - 1), number: body >> MARK_BITS })
    }
}

/// CRC-8 (polynomial 0x07) of the three low bytes; not zero for zero, so that a black picture is no stamp.
fn crc8(body: u32) -> u8 {
    body.to_be_bytes()[1..].iter().fold(0xa5_u8, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ 0x07 })
    })
}

/// Draws the luma plane of one picture.
pub fn draw(luma: &mut [u8], width: usize, height: usize, stamp: Stamp, flash: bool) {
    let bits = stamp.bits();
    let shift = usize::try_from(stamp.number).unwrap_or(0);
    for (y, row) in luma.chunks_exact_mut(width).take(height).enumerate() {
        let band = y * (ROWS + 1) / height;
        for (x, pixel) in row.iter_mut().enumerate() {
            let bright = if band == ROWS {
                flash
            } else {
                bits & (0x8000_0000 >> (band * COLUMNS + x * COLUMNS / width)) != 0
            };
            // A slow diagonal wave: motion for the encoder to follow.
            let wave = (x + 2 * y + 3 * shift) / 8 % 16;
            let texture = u8::try_from(if wave < 8 { wave } else { 15 - wave }).unwrap_or(0) * TEXTURE / 7;
            *pixel = if bright { BRIGHT - texture } else { DARK + texture };
        }
    }
}

/// The video filter that makes a picture small enough to be read back.
#[must_use]
pub fn read_filter() -> String {
    format!("scale={}:{}:flags=area,format=gray", COLUMNS * CELL, (ROWS + 1) * CELL)
}

/// Reads one picture that [`read_filter`] has made.
#[must_use]
pub fn read(gray: &[u8]) -> Picture {
    let bright = |column: usize, row: usize| {
        // The middle of the block only: its edges are blurred by scaling.
        let middle = CELL / 4..CELL - CELL / 4;
        let mut sum = 0u32;
        for y in middle.clone() {
            for x in middle.clone() {
                let at = (row * CELL + y) * COLUMNS * CELL + column * CELL + x;
                sum += u32::from(gray.get(at).copied().unwrap_or(0));
            }
        }
        sum / u32::try_from(middle.len() * middle.len()).unwrap_or(1) > THRESHOLD
    };
    let mut bits = 0;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            bits = bits << 1 | u32::from(bright(column, row));
        }
    }
    let flash = (0..COLUMNS).filter(|column| bright(*column, ROWS)).count() > COLUMNS / 2;
    Picture { stamp: Stamp::from_bits(bits), flash }
}

/// Decodes every picture of `file`, strictly: one decoder message is an error.
///
/// # Errors
/// When FFmpeg fails or has anything to say.
pub fn read_file(file: &Path) -> Result<Vec<Picture>> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-v", "error", "-xerror"])
        .args(["-err_detect", "crccheck+bitstream+buffer+explode", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", &read_filter()])
        // In the file's own ticks: counted in frames, pictures that are near each other would have the same time.
        .args(["-enc_time_base", "1:90000", "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting ffmpeg")?;
    let mut out = child.stdout.take().context("ffmpeg's output")?;
    let mut pictures = Vec::new();
    let mut gray = vec![0; COLUMNS * CELL * (ROWS + 1) * CELL];
    while out.read_exact(&mut gray).is_ok() {
        pictures.push(read(&gray));
    }
    let end = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&end.stderr);
    anyhow::ensure!(
        end.status.success() && said.is_empty(),
        "ffmpeg decodes {} with {}: {said}",
        file.display(),
        end.status
    );
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_picture_reads_back() {
        let (width, height) = (COLUMNS * CELL, (ROWS + 1) * CELL);
        let mut luma = vec![0; width * height];
        for number in [0, 1, 2, 255, 256, 99_999, (1 << NUMBER_BITS) - 1] {
            let stamp = Stamp { mark: number % 16, number };
            draw(&mut luma, width, height, stamp, number % 2 == 0);
            assert_eq!(read(&luma), Picture { stamp: Some(stamp), flash: number % 2 == 0 });
        }
    }

    #[test]
    fn black_and_white_are_no_stamps() {
        let size = COLUMNS * CELL * (ROWS + 1) * CELL;
        assert_eq!(read(&vec![0; size]), Picture { stamp: None, flash: false });
        assert_eq!(read(&vec![255; size]), Picture { stamp: None, flash: true });
    }

    #[test]
    fn one_wrong_bit_is_noticed() {
        let bits = Stamp { mark: 3, number: 4711 }.bits();
        assert!((0..32).all(|bit| Stamp::from_bits(bits ^ 1 << bit).is_none()));
    }
}
