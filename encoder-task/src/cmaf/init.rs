//! Initialization segments: `ftyp` and a `moov` without samples (ISO 14496-12, 8.8). Nothing in them depends on when they were made
//! or on what a particular chunk holds.

use bytes::Bytes;
use media::{chunk::AudioTrack, time::VIDEO_TIMESCALE};
use mp4_atom::{
    Audio, Avc1, Avcc, AvccExt, Codec, Colr, Dinf, Dref, Encode, Esds, FourCC, Ftyp, Hdlr, Mdhd, Mdia, Minf,
    Moov, Mp4a, Mvex, Mvhd, Pasp, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd,
    esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig},
};

use super::PackageError;
use crate::transcode::EncodedTrack;

/// The only track of each file.
pub(super) const TRACK_ID: u32 = 1;
/// ISO 639-2 for a language that nobody has named.
const LANGUAGE: &str = "und";
/// `objectTypeIndication` of AAC (ISO 14496-1, table 5).
const OBJECT_TYPE_AAC: u8 = 0x40;
/// `streamType` of sound (ISO 14496-1, table 6).
const STREAM_TYPE_AUDIO: u8 = 5;
/// Profiles whose decoder configuration record says chroma format and bit depths (ISO 14496-15, 5.3.3.1.2).
const PROFILES_WITH_CHROMA: [u8; 4] = [100, 110, 122, 144];

/// RFC 6381, 3.3: `avc1.` and profile, constraints and level of the sequence parameter set.
pub(super) fn avc_codecs(sps: &[u8]) -> String {
    format!("avc1.{}", hex::encode(sps.get(1..4).unwrap_or_default()))
}

pub(super) fn video(track: &EncodedTrack) -> Result<Bytes, PackageError> {
    let (width, height) = (narrow(track.rendition.width), narrow(track.rendition.height));
    let mut avcc = Avcc::new(&track.sps, &track.pps)?;
    if PROFILES_WITH_CHROMA.contains(&avcc.avc_profile_indication) {
        avcc.ext = Some(AvccExt::default());
    }
    let colour = track.colour;
    let entry = Avc1 {
        visual: Visual { data_reference_index: 1, width, height, ..Visual::default() },
        avcc,
        colr: Some(Colr::new(
            colour.primaries.into(),
            colour.transfer.into(),
            colour.matrix.into(),
            colour.full_range,
        )?),
        pasp: Some(Pasp::new(track.sar.0, track.sar.1)?),
        ..Avc1::default()
    };
    // The size as shown: samples that are not square stretch the width (8.3.2.3).
    let shown = u64::from(track.rendition.width) * u64::from(track.sar.0) / u64::from(track.sar.1.max(1));
    let tkhd = Tkhd {
        width: u16::try_from(shown).unwrap_or(width).into(),
        height: height.into(),
        ..Tkhd::default()
    };
    let minf = Minf { vmhd: Some(Vmhd::default()), ..Minf::default() };
    write(VIDEO_TIMESCALE, tkhd, b"vide", minf, entry.into())
}

pub(super) fn audio(track: &AudioTrack, bit_rate: u32) -> Result<Bytes, PackageError> {
    let entry = Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: track.channels.into(),
            sample_size: 16,
            // 16.16; above 65 535 it is 0 and the decoder configuration alone tells (12.2.3.3).
            sample_rate: u16::try_from(track.sample_rate).unwrap_or(0).into(),
        },
        esds: Esds {
            es_desc: EsDescriptor {
                es_id: 1,
                dec_config: DecoderConfig {
                    object_type_indication: OBJECT_TYPE_AAC,
                    stream_type: STREAM_TYPE_AUDIO,
                    max_bitrate: bit_rate,
                    dec_specific: Some(DecoderSpecific {
                        raw: track.config.clone(),
                        ..DecoderSpecific::default()
                    }),
                    ..DecoderConfig::default()
                },
                sl_config: SLConfig::default(),
                ..EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    };
    let tkhd = Tkhd { volume: 1.into(), alternate_group: 1, ..Tkhd::default() };
    let minf = Minf { smhd: Some(Smhd::default()), ..Minf::default() };
    write(track.sample_rate, tkhd, b"soun", minf, entry.into())
}

fn write(
    timescale: u32,
    tkhd: Tkhd,
    handler: &[u8; 4],
    minf: Minf,
    entry: Codec,
) -> Result<Bytes, PackageError> {
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"cmfc", b"dash"].map(FourCC::new).to_vec(),
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: TRACK_ID + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            mehd: None,
            trex: vec![Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() }],
        }),
        trak: vec![Trak {
            tkhd: Tkhd { track_id: TRACK_ID, enabled: true, in_movie: true, ..tkhd },
            mdia: Mdia {
                mdhd: Mdhd { timescale, language: LANGUAGE.to_owned(), ..Mdhd::default() },
                hdlr: Hdlr { handler: FourCC::new(handler), name: String::new() },
                minf: Minf {
                    dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                    stbl: Stbl {
                        stsd: Stsd { codecs: vec![entry] },
                        stco: Some(Stco::default()),
                        ..Stbl::default()
                    },
                    ..minf
                },
            },
            ..Trak::default()
        }],
        ..Moov::default()
    };
    let mut out = Vec::new();
    ftyp.encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(Bytes::from(out))
}

/// Sizes are validated to be far below 65 536.
fn narrow(pixels: u32) -> u16 {
    u16::try_from(pixels).unwrap_or(u16::MAX)
}
