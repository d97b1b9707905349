//! A reader of ISO BMFF (ISO/IEC 14496-12, -14, -15) for CMAF tracks: what an initialization segment says of its track, and the samples
//! of a media segment with their times, flags and bytes. Written from the standards, not from gopcast's writer.

use std::ops::Range;

use anyhow::{Context, Result, bail};

/// `sample_is_non_sync_sample` in sample flags (14496-12, 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// A box: its type and its body, as a range of the file.
#[derive(Debug, Clone)]
struct Atom {
    kind: [u8; 4],
    body: Range<usize>,
    start: usize,
}

/// What an initialization segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Track id.
    pub track: u32,
    /// Ticks a second.
    pub timescale: u32,
    /// The `codecs` parameter that follows from its sample entry (RFC 6381).
    pub codecs: String,
    /// What kind of media it is.
    pub media: Media,
    /// Whether it has an edit list that moves its media.
    pub moved: bool,
    defaults: Defaults,
}

/// What kind of media a track has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// Pictures.
    Video {
        /// Coded width of the sample entry.
        width: u32,
        /// Coded height of the sample entry.
        height: u32,
        /// Bytes of the length before each NAL unit.
        nal_length: usize,
    },
    /// Sound.
    Audio {
        /// Samples a second of the sample entry.
        sample_rate: u32,
        /// Channels of the `AudioSpecificConfig`.
        channels: u32,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// A media segment.
#[derive(Debug, Clone)]
pub struct Segment {
    /// `baseMediaDecodeTime` of the first fragment.
    pub decode_time: u64,
    /// Its samples, in decode order.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Decode time in ticks.
    pub decode_time: u64,
    /// Presentation time in ticks.
    pub presentation_time: i64,
    /// Duration in ticks.
    pub duration: u64,
    /// Whether decoding may start here.
    pub sync: bool,
    /// Its bytes in the segment.
    pub data: Range<usize>,
}

impl Segment {
    /// The earliest presentation time, in ticks.
    #[must_use]
    pub fn earliest(&self) -> Option<i64> {
        self.samples.iter().map(|s| s.presentation_time).min()
    }

    /// Sum of its samples' durations, in ticks.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|s| s.duration).sum()
    }
}

fn be(bytes: &[u8], at: usize, len: usize) -> Result<u64> {
    let field = bytes.get(at..at + len).with_context(|| format!("the file ends before byte {}", at + len))?;
    Ok(field.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn be32(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::try_from(be(bytes, at, 4)?)?)
}

fn atoms(bytes: &[u8], within: Range<usize>) -> Result<Vec<Atom>> {
    let mut found = Vec::new();
    let mut at = within.start;
    while at < within.end {
        let (mut size, mut header) = (be(bytes, at, 4)?, 8);
        if size == 1 {
            (size, header) = (be(bytes, at + 8, 8)?, 16);
        }
        let size = usize::try_from(size)?;
        let mut kind = [0; 4];
        kind.copy_from_slice(bytes.get(at + 4..at + 8).context("a box type")?);
        let name = String::from_utf8_lossy(&kind).into_owned();
        anyhow::ensure!(size >= header && at + size <= within.end, "box {name} at {at} has size {size}");
        found.push(Atom { kind, body: at + header..at + size, start: at });
        at += size;
    }
    Ok(found)
}

/// The brands of an `ftyp` or `styp`: its compatible ones, which hold the major one.
fn brands(bytes: &[u8], atom: &Atom) -> Result<Vec<[u8; 4]>> {
    let list = bytes.get(atom.body.start + 8..atom.body.end).context("brands")?;
    anyhow::ensure!(list.len() % 4 == 0, "brands that are cut");
    let brands: Vec<[u8; 4]> = list.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect();
    let major = bytes.get(atom.body.start..atom.body.start + 4).context("a major brand")?;
    anyhow::ensure!(brands.iter().any(|b| b == major), "the major brand is not among the compatible ones");
    Ok(brands)
}

fn text(brands: &[[u8; 4]]) -> String {
    brands.iter().map(|b| String::from_utf8_lossy(b).into_owned()).collect::<Vec<_>>().join(" ")
}

fn names(atoms: &[Atom]) -> String {
    text(&atoms.iter().map(|a| a.kind).collect::<Vec<_>>())
}

fn find(bytes: &[u8], within: Range<usize>, path: &[&[u8; 4]]) -> Result<Option<Range<usize>>> {
    let mut range = within;
    for kind in path {
        match atoms(bytes, range)?.into_iter().find(|a| a.kind == **kind) {
            Some(atom) => range = atom.body,
            None => return Ok(None),
        }
    }
    Ok(Some(range))
}

fn need(bytes: &[u8], within: Range<usize>, path: &[&[u8; 4]]) -> Result<Range<usize>> {
    let name: Vec<_> = path.iter().map(|kind| String::from_utf8_lossy(*kind)).collect();
    find(bytes, within, path)?.with_context(|| format!("no box {}", name.join("/")))
}

impl Init {
    /// Reads an initialization segment.
    ///
    /// # Errors
    /// When it is not one, or is of a kind that gopcast does not make.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let top = atoms(bytes, 0..bytes.len())?;
        anyhow::ensure!(top.first().is_some_and(|a| &a.kind == b"ftyp"), "it does not start with ftyp");
        let moov = need(bytes, 0..bytes.len(), &[b"moov"])?;
        let tracks = atoms(bytes, moov.clone())?.into_iter().filter(|a| &a.kind == b"trak").count();
        anyhow::ensure!(tracks == 1, "{tracks} tracks in one CMAF header");
        let trak = need(bytes, moov.clone(), &[b"trak"])?;
        let tkhd = need(bytes, trak.clone(), &[b"tkhd"])?;
        let long = be(bytes, tkhd.start, 1)? == 1;
        let track = be32(bytes, tkhd.start + if long { 20 } else { 12 })?;
        let mdhd = need(bytes, trak.clone(), &[b"mdia", b"mdhd"])?;
        let long = be(bytes, mdhd.start, 1)? == 1;
        let timescale = be32(bytes, mdhd.start + if long { 20 } else { 12 })?;
        let trex = need(bytes, moov, &[b"mvex", b"trex"])?;
        anyhow::ensure!(be32(bytes, trex.start + 4)? == track, "trex is of another track");
        let defaults = Defaults {
            duration: be32(bytes, trex.start + 12)?,
            size: be32(bytes, trex.start + 16)?,
            flags: be32(bytes, trex.start + 20)?,
        };
        let stsd = need(bytes, trak.clone(), &[b"mdia", b"minf", b"stbl", b"stsd"])?;
        let entries = atoms(bytes, stsd.start + 8..stsd.end)?;
        let [entry] = entries.as_slice() else { bail!("{} sample entries", entries.len()) };
        let (codecs, media) = match &entry.kind {
            b"avc1" => avc1(bytes, entry.body.clone())?,
            b"mp4a" => mp4a(bytes, entry.body.clone())?,
            other => bail!("sample entry {}", String::from_utf8_lossy(other)),
        };
        let moved = match find(bytes, trak, &[b"edts", b"elst"])? {
            Some(elst) => {
                // Entries after version, flags and count: duration, media time, rate.
                let long = be(bytes, elst.start, 1)? == 1;
                let (at, len) = if long { (16, 8) } else { (12, 4) };
                be32(bytes, elst.start + 4)? != 1 || be(bytes, elst.start + at, len)? != 0
            }
            None => false,
        };
        Ok(Self { track, timescale, codecs, media, moved, defaults })
    }

    /// Reads a media segment that goes with this header.
    ///
    /// # Errors
    /// When it is not one, or contradicts itself.
    pub fn segment(&self, bytes: &[u8]) -> Result<Segment> {
        let top = atoms(bytes, 0..bytes.len())?;
        let mut samples = Vec::new();
        let mut decode_time = None;
        let mut next = 0;
        let mdat: Vec<_> = top.iter().filter(|a| &a.kind == b"mdat").map(|a| a.body.clone()).collect();
        for moof in top.iter().filter(|a| &a.kind == b"moof") {
            let traf = need(bytes, moof.body.clone(), &[b"traf"])?;
            let tfdt = need(bytes, traf.clone(), &[b"tfdt"])?;
            let start = match be(bytes, tfdt.start, 1)? {
                0 => be(bytes, tfdt.start + 4, 4)?,
                _ => be(bytes, tfdt.start + 4, 8)?,
            };
            anyhow::ensure!(
                decode_time.is_none() || start == next,
                "fragment starts at {start}, not at {next}"
            );
            decode_time = decode_time.or(Some(start));
            next = self.fragment(bytes, moof.start, traf, start, &mut samples)?;
        }
        for (number, sample) in samples.iter().enumerate() {
            let inside = mdat.iter().any(|m| m.start <= sample.data.start && sample.data.end <= m.end);
            anyhow::ensure!(inside, "sample {number} is not inside mdat");
        }
        Ok(Segment { decode_time: decode_time.context("no moof")?, samples })
    }

    /// Reads one track fragment; gives its end in ticks.
    fn fragment(
        &self,
        bytes: &[u8],
        moof: usize,
        traf: Range<usize>,
        start: u64,
        samples: &mut Vec<Sample>,
    ) -> Result<u64> {
        let tfhd = need(bytes, traf.clone(), &[b"tfhd"])?;
        let flags = be32(bytes, tfhd.start)? & 0x00ff_ffff;
        anyhow::ensure!(be32(bytes, tfhd.start + 4)? == self.track, "tfhd is of another track");
        anyhow::ensure!(flags & 0x02_0000 != 0, "default-base-is-moof is not set (CMAF demands it)");
        anyhow::ensure!(flags & 1 == 0, "base-data-offset is set (CMAF forbids it)");
        let mut at = tfhd.start + 8;
        let mut field = |bit: u32, default: u32| -> Result<u32> {
            if flags & bit == 0 {
                return Ok(default);
            }
            at += 4;
            be32(bytes, at - 4)
        };
        field(0x02, 0)?;
        let defaults = Defaults {
            duration: field(0x08, self.defaults.duration)?,
            size: field(0x10, self.defaults.size)?,
            flags: field(0x20, self.defaults.flags)?,
        };
        let mut time = start;
        let mut data = moof;
        for trun in atoms(bytes, traf)?.into_iter().filter(|a| &a.kind == b"trun") {
            let (version, flags) =
                (be(bytes, trun.body.start, 1)?, be32(bytes, trun.body.start)? & 0x00ff_ffff);
            let count = be32(bytes, trun.body.start + 4)?;
            let mut at = trun.body.start + 8;
            let mut take = |bit: u32, default: u32| -> Result<u32> {
                if flags & bit == 0 {
                    return Ok(default);
                }
                at += 4;
                be32(bytes, at - 4)
            };
            if flags & 1 != 0 {
                data = moof + usize::try_from(take(1, 0)?)?;
            }
            let first_flags = if flags & 4 == 0 { None } else { Some(take(4, 0)?) };
            for number in 0..count {
                let duration = u64::from(take(0x100, defaults.duration)?);
                let size = usize::try_from(take(0x200, defaults.size)?)?;
                let own_flags = take(0x400, defaults.flags)?;
                let offset = take(0x800, 0)?;
                let offset = if version == 0 {
                    i64::from(offset)
                } else {
                    i64::from(i32::from_be_bytes(offset.to_be_bytes()))
                };
                let flags = first_flags.filter(|_| number == 0).unwrap_or(own_flags);
                samples.push(Sample {
                    decode_time: time,
                    presentation_time: i64::try_from(time)? + offset,
                    duration,
                    sync: flags & NON_SYNC == 0,
                    data: data..data + size,
                });
                time += duration;
                data += size;
            }
        }
        Ok(time)
    }
}

fn avc1(bytes: &[u8], entry: Range<usize>) -> Result<(String, Media)> {
    let (width, height) = (be(bytes, entry.start + 24, 2)?, be(bytes, entry.start + 26, 2)?);
    // VisualSampleEntry is 78 bytes long; boxes follow.
    let avcc = need(bytes, entry.start + 78..entry.end, &[b"avcC"])?;
    let byte = |at: usize| be(bytes, avcc.start + at, 1);
    let codecs = format!("avc1.{:02X}{:02X}{:02X}", byte(1)?, byte(2)?, byte(3)?);
    let nal_length = usize::try_from(byte(4)? & 3)? + 1;
    let media = Media::Video { width: u32::try_from(width)?, height: u32::try_from(height)?, nal_length };
    Ok((codecs, media))
}

fn mp4a(bytes: &[u8], entry: Range<usize>) -> Result<(String, Media)> {
    let sample_rate = u32::try_from(be(bytes, entry.start + 24, 2)?)?;
    // AudioSampleEntry is 28 bytes long; boxes follow.
    let esds = need(bytes, entry.start + 28..entry.end, &[b"esds"])?;
    let mut at = esds.start + 4;
    let mut object_type = None;
    // Descriptors (14496-1, 7.2.6): ES (3) holds decoder configuration (4) holds decoder specific information (5).
    loop {
        let tag = be(bytes, at, 1)?;
        at += 1;
        while be(bytes, at, 1)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
        match tag {
            3 => {
                anyhow::ensure!(be(bytes, at + 2, 1)? == 0, "an ES descriptor with optional fields");
                at += 3;
            }
            4 => {
                object_type = Some(be(bytes, at, 1)?);
                at += 13;
            }
            5 => break,
            other => bail!("descriptor {other} in esds"),
        }
    }
    let config = be(bytes, at, 2)?;
    let codecs = format!("mp4a.{:x}.{}", object_type.context("no object type")?, config >> 11);
    let media = Media::Audio { sample_rate, channels: u32::try_from(config >> 3 & 15)? };
    Ok((codecs, media))
}

/// Types of the NAL units of one H.264 sample.
///
/// # Errors
/// When a length points past the sample.
pub fn nal_types(sample: &[u8], nal_length: usize) -> Result<Vec<u8>> {
    let mut types = Vec::new();
    let mut at = 0;
    while at < sample.len() {
        let size = usize::try_from(be(sample, at, nal_length)?)?;
        let unit = sample.get(at + nal_length..at + nal_length + size);
        let first =
            unit.and_then(|u| u.first()).with_context(|| format!("NAL unit at {at} has size {size}"))?;
        types.push(first & 0x1f);
        at += nal_length + size;
    }
    Ok(types)
}

/// Checks that `bytes` are a CMAF header and nothing else (ISO/IEC 23000-19, 7.3.1).
///
/// # Errors
/// When they are not.
pub fn header_layout(bytes: &[u8]) -> Result<()> {
    let top = atoms(bytes, 0..bytes.len())?;
    let [ftyp, moov] = top.as_slice() else { bail!("boxes {}", names(&top)) };
    anyhow::ensure!(&ftyp.kind == b"ftyp" && &moov.kind == b"moov", "boxes {}", names(&top));
    let brands = brands(bytes, ftyp)?;
    for wanted in [b"cmfc", b"iso6", b"dash"] {
        anyhow::ensure!(brands.contains(wanted), "its brands are {}", text(&brands));
    }
    let mvhd = need(bytes, moov.body.clone(), &[b"mvhd"])?;
    let long = be(bytes, mvhd.start, 1)? == 1;
    let duration = if long { be(bytes, mvhd.start + 24, 8)? } else { be(bytes, mvhd.start + 16, 4)? };
    anyhow::ensure!(duration == 0, "the header of a fragmented file lasts {duration}");
    Ok(())
}

/// Checks that `bytes` are one CMAF fragment as a DASH segment (ISO/IEC 23000-19, 7.3.2; 23009-1, 6.3.4): `styp`, what is told beside
/// the media (`prft`, `emsg`), `moof` with one track, `mdat`; no index, nothing behind it.
///
/// # Errors
/// When they are not.
pub fn segment_layout(bytes: &[u8]) -> Result<()> {
    let top = atoms(bytes, 0..bytes.len())?;
    let [styp, beside @ .., moof, mdat] = top.as_slice() else { bail!("boxes {}", names(&top)) };
    let kinds = [&styp.kind, &moof.kind, &mdat.kind];
    anyhow::ensure!(kinds == [b"styp", b"moof", b"mdat"], "boxes {}", names(&top));
    let told = beside.iter().all(|a| matches!(&a.kind, b"prft" | b"emsg"));
    anyhow::ensure!(told, "boxes {} before the fragment", names(beside));
    let brands = brands(bytes, styp)?;
    for wanted in [b"msdh", b"cmfs"] {
        anyhow::ensure!(brands.contains(wanted), "its brands are {}", text(&brands));
    }
    let tracks = atoms(bytes, moof.body.clone())?.iter().filter(|a| &a.kind == b"traf").count();
    anyhow::ensure!(tracks == 1, "{tracks} track fragments in one fragment");
    let tfdt = need(bytes, moof.body.clone(), &[b"traf", b"tfdt"])?;
    anyhow::ensure!(be(bytes, tfdt.start, 1)? == 1, "tfdt of 32 bits: it wraps after half a day");
    Ok(())
}
