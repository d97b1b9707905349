//! What there is to know of coded pictures, whatever their coding: what a sample is good for, and what the sequence looks like.

use crate::{
    bits::{BitError, Bits},
    time::FrameRate,
};

/// What a sample holds. The marks that a container or FLV puts on it are not asked: encoders set them on recovery points too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// Decoding can start here, and nothing from here on refers to what was before: an IDR picture of H.264 or (without leading pictures) HEVC, a shown key frame
    /// of AV1.
    Start,
    /// Such a start if no [`Self::Leading`] picture follows at once: HEVC's CRA, BLA, and the IDR picture that may have leading ones. With one,
    /// there is no place to cut: it is shown before this picture, and needs it.
    StartUnlessLed,
    /// Decoding can start here after a fashion, but what follows may refer to what was before: a recovery point, a key frame that
    /// is shown later.
    OpenStart,
    /// A picture that is shown before the start that it follows, and may refer to what was before it: HEVC's RASL and RADL.
    Leading,
    /// Another picture.
    Picture,
    /// No picture that is shown: parameter sets, SEI, delimiters, hidden frames.
    NoPicture,
}

/// What the sequence header says of the pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Coding and profile, as people call them: `HEVC profile 2`.
    pub name: String,
    /// Width after cropping, in pixels; never 0.
    pub width: u32,
    /// Height after cropping, in pixels; never 0.
    pub height: u32,
    /// 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits per sample, of luma or chroma, whichever has more.
    pub bit_depth: u8,
    /// There may be fields.
    pub interlaced: bool,
    /// Colour description, when given.
    pub colour: Option<Colour>,
    /// The frame rate, when given and sane. A claim: timestamps decide.
    pub frame_rate: Option<FrameRate>,
}

/// The numbers of ITU-T H.273, which H.264, HEVC and AV1 share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// `colour_primaries`; 2 is unspecified.
    pub primaries: u8,
    /// `transfer_characteristics`; 2 is unspecified.
    pub transfer: u8,
    /// `matrix_coefficients`; 2 is unspecified.
    pub matrix: u8,
    /// Samples use the full range.
    pub full_range: bool,
}

impl Colour {
    /// Whether it is high dynamic range: SMPTE ST 2084 (PQ, 16) or ARIB STD-B67 (HLG, 18).
    #[must_use]
    pub fn is_hdr(self) -> bool {
        matches!(self.transfer, 16 | 18)
    }
}

/// Highest frame rate believed from a sequence header, in frames a second.
const FRAME_RATE_MAX: u32 = 300;

/// `scale` ticks a second, `ticks` a frame, in lowest terms; `None` when mad.
pub(crate) fn frame_rate(ticks: u32, scale: u32) -> Option<FrameRate> {
    if ticks == 0 || scale < ticks || scale / ticks > FRAME_RATE_MAX {
        return None;
    }
    let divisor = gcd(scale, ticks);
    Some(FrameRate { num: scale / divisor, den: ticks / divisor })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The part of a VUI that says how pictures are to be shown, from `overscan_info_present_flag` to the chroma's place: the same in
/// H.264 (E.1.1) and HEVC (E.2.1). What was read before a cut counts.
///
/// # Errors
/// When the bits end.
pub(crate) fn read_signal(b: &mut Bits<'_>, colour: &mut Option<Colour>) -> Result<(), BitError> {
    if b.flag("overscan_info_present_flag")? {
        b.flag("overscan_appropriate_flag")?;
    }
    if b.flag("video_signal_type_present_flag")? {
        b.u(3, "video_format")?;
        let full_range = b.flag("video_full_range_flag")?;
        let (mut primaries, mut transfer, mut matrix) = (2, 2, 2);
        if b.flag("colour_description_present_flag")? {
            primaries = b.u8(8, "colour_primaries")?;
            transfer = b.u8(8, "transfer_characteristics")?;
            matrix = b.u8(8, "matrix_coefficients")?;
        }
        *colour = Some(Colour { primaries, transfer, matrix, full_range });
    }
    if b.flag("chroma_loc_info_present_flag")? {
        b.ue("chroma_sample_loc_type_top_field")?;
        b.ue("chroma_sample_loc_type_bottom_field")?;
    }
    Ok(())
}
