//! Configuration records and the parameter sets in them.

use bytes::{BufMut, Bytes, BytesMut};

use super::{cuts, nal::escape, selected};
use crate::{
    aac, avc,
    chunk::VideoCodec,
    hevc,
    nal::unescape,
    picture::Format,
    time::FrameRate,
    video::{self, VideoError},
};

/// Largest side that any of the codings can have, in pixels.
const SIDE_MAX: u32 = 1 << 16;

/// The first byte says the coding (H.264, HEVC, AV1); the rest is its record.
///
/// The record is kept as it is; sizes and rates are in range, and never 0; an H.264 record put together from the parameter sets read is read as
/// the same; cut short it is read or refused. Samples are told apart with any record that was read.
pub fn video_config(data: &[u8]) {
    let Some((codec, record)) = selected(data) else { return };
    let codec = [VideoCodec::Avc, VideoCodec::Hevc, VideoCodec::Av1][usize::from(codec % 3)];
    match video::Config::parse(codec, &record) {
        Ok(config) => {
            assert_eq!((config.codec(), config.record()), (codec, &record));
            check_format(config.format());
            assert_eq!(config.sample_kind(&record), config.sample_kind(&record));
        }
        Err(error) => check_message(&error),
    }
    if codec == VideoCodec::Avc
        && let Ok(config) = avc::Config::parse(&record)
    {
        let again = write_avc(&config);
        let read = avc::Config::parse(&again);
        assert_eq!(
            read.as_ref().map(|read| (&read.sps, &read.sps_nals, &read.pps_nals, read.length_size)),
            Ok((&config.sps, &config.sps_nals, &config.pps_nals, config.length_size))
        );
        assert_eq!(config.codecs().len(), "avc1.64001f".len());
    }
    for cut in cuts(record.len().min(256)) {
        let _ = video::Config::parse(codec, &record.slice(..cut));
    }
}

/// The record that these parameter sets make (ISO 14496-15, 5.3.3.1), without the extension of the high profiles.
fn write_avc(config: &avc::Config) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(&[1, config.sps.profile, config.sps.constraints, config.sps.level]);
    out.put_u8(0xfc | (config.length_size - 1));
    let count = |nals: &[Bytes]| u8::try_from(nals.len()).unwrap_or(u8::MAX);
    let put = |nals: &[Bytes], out: &mut BytesMut| {
        for nal in nals {
            out.put_u16(u16::try_from(nal.len()).unwrap_or(u16::MAX));
            out.put_slice(nal);
        }
    };
    out.put_u8(0xe0 | count(&config.sps_nals));
    put(&config.sps_nals, &mut out);
    out.put_u8(count(&config.pps_nals));
    put(&config.pps_nals, &mut out);
    out.freeze()
}

/// The first byte says the coding (H.264, HEVC); the rest is a sequence parameter set with its header.
///
/// It says the same with its emulation prevention taken out and put in again. Sizes and rates are in range.
pub fn sps(data: &[u8]) {
    let Some((codec, nal)) = selected(data) else { return };
    let header = (1 + usize::from(codec % 2)).min(nal.len());
    let mut again = nal[..header].to_vec();
    again.extend(escape(&unescape(&nal[header..])));
    // Longer, it may be past the bound on a parameter set's length.
    let same = again.len() <= nal.len().max(2048);
    if header == 1 {
        let read = avc::Sps::parse(&nal);
        assert!(!same || read == avc::Sps::parse(&again));
        if let Ok(sps) = read {
            check_size(sps.width, sps.height);
            check_rate(sps.frame_rate);
            assert!(sps.sar.0 > 0 && sps.sar.1 > 0);
            assert!(
                sps.chroma_format <= 3 && (8..=14).contains(&sps.bit_depth_luma.max(sps.bit_depth_chroma))
            );
        }
    } else {
        let read = hevc::Sps::parse(&nal);
        assert!(!same || read == hevc::Sps::parse(&again));
        if let Ok(sps) = read {
            check_size(sps.width, sps.height);
            check_rate(sps.frame_rate);
            assert!(
                sps.chroma_format <= 3 && (8..=16).contains(&sps.bit_depth_luma.max(sps.bit_depth_chroma))
            );
        }
    }
}

fn check_format(format: &Format) {
    check_size(format.width, format.height);
    check_rate(format.frame_rate);
    assert!(format.chroma_format <= 3 && (8..=16).contains(&format.bit_depth));
    assert!(!format.name.is_empty());
}

fn check_size(width: u32, height: u32) {
    assert!((1..=SIDE_MAX).contains(&width) && (1..=SIDE_MAX).contains(&height), "{width}×{height}");
}

fn check_rate(rate: Option<FrameRate>) {
    if let Some(rate) = rate {
        assert!(rate.num > 0 && rate.den > 0 && rate.num >= rate.den && rate.fps() < 301.0, "{rate:?}");
    }
}

fn check_message(error: &VideoError) {
    assert!(error.to_string().len() <= 200);
}

/// An `AudioSpecificConfig`.
///
/// What is taken has a rate, channels and a profile in range, its silence is a frame of it, and written again (signalled at the front)
/// it is read as the same sound.
pub fn aac_config(data: &[u8]) {
    let record = Bytes::copy_from_slice(data);
    match aac::Config::parse(&record) {
        Ok(config) => {
            assert_eq!(config.record, record);
            assert!((aac::SAMPLE_RATE_MIN..=aac::SAMPLE_RATE_MAX).contains(&config.sample_rate));
            assert!(matches!(config.channels, 1..=6 | 8) && config.channels_out() >= config.channels);
            assert!(!config.silence().is_empty() && config.silence().len() <= aac::FRAME_MAX);
            let again = aac::Config::parse(&write_aac(&config));
            let sound = |config: &aac::Config| {
                (config.sample_rate, config.channels, config.channels_out(), config.codecs())
            };
            assert_eq!(again.as_ref().map(sound), Ok(sound(&config)));
        }
        Err(error) => assert!(error.verdict().message.len() <= 200),
    }
    for cut in cuts(record.len().min(aac::CONFIG_MAX + 1)) {
        let _ = aac::Config::parse(&record.slice(..cut));
    }
}

/// The configuration in its explicit form (ISO 14496-3, 1.6.2.1), every rate spelled out.
fn write_aac(config: &aac::Config) -> Bytes {
    let mut bits = String::new();
    let mut put = |value: u32, count: usize| bits.push_str(&format!("{value:0count$b}"));
    let extension = match config.codecs() {
        "mp4a.40.5" => Some(5),
        "mp4a.40.29" => Some(29),
        _ => None,
    };
    put(extension.unwrap_or(2), 5);
    put(15, 4);
    put(config.sample_rate, 24);
    // Eight channels are number 7.
    put(u32::from(config.channels.min(7)), 4);
    if extension.is_some() {
        put(15, 4);
        put(config.sample_rate, 24);
        put(2, 5);
    }
    put(0, 3);
    let bits = bits.into_bytes();
    let byte = |bits: &[u8]| bits.iter().enumerate().fold(0u8, |byte, (n, bit)| byte | (bit & 1) << (7 - n));
    bits.chunks(8).map(byte).collect::<Vec<_>>().into()
}
