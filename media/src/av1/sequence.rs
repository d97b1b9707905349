//! The sequence header (AV1 specification, 5.5), as far as gopcast asks.
//!
//! Invariant: width and height are never 0, as each is coded less one.

use crate::{
    bits::{BitError, Bits},
    picture::{Colour, frame_rate},
    time::FrameRate,
};

/// `CP_BT_709`.
const BT_709: u8 = 1;
/// `TC_SRGB`.
const SRGB: u8 = 13;
/// `MC_IDENTITY`.
const IDENTITY: u8 = 0;
/// `SELECT_SCREEN_CONTENT_TOOLS`: each frame says.
const SELECT: u32 = 2;

/// What a sequence header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// `seq_profile`: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// `reduced_still_picture_header`: nothing but shown key frames.
    pub still: bool,
    /// Largest width, in pixels. There is no cropping.
    pub width: u32,
    /// Largest height, in pixels.
    pub height: u32,
    /// Bits per sample.
    pub bit_depth: u8,
    /// 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4, as H.264 counts.
    pub chroma_format: u8,
    /// Colour description, when given.
    pub colour: Option<Colour>,
    /// The frame rate of the timing info, when given, constant and sane. A claim: timestamps decide.
    pub frame_rate: Option<FrameRate>,
}

impl Sequence {
    /// Reads the payload of a sequence header OBU.
    ///
    /// # Errors
    /// When it is cut, or of a profile that does not exist.
    pub fn parse(payload: &[u8]) -> Result<Self, BitError> {
        let mut b = Bits::new(payload);
        let profile = b.u8(3, "seq_profile")?;
        if profile > 2 {
            return Err(b.error("seq_profile above 2"));
        }
        b.flag("still_picture")?;
        let still = b.flag("reduced_still_picture_header")?;
        let frame_rate = if still {
            b.u(5, "seq_level_idx")?;
            None
        } else {
            operating_points(&mut b)?
        };
        let (width_bits, height_bits) =
            (b.u(4, "frame_width_bits_minus_1")? + 1, b.u(4, "frame_height_bits_minus_1")? + 1);
        let width = b.u(width_bits, "max_frame_width_minus_1")? + 1;
        let height = b.u(height_bits, "max_frame_height_minus_1")? + 1;
        if !still && b.flag("frame_id_numbers_present_flag")? {
            b.u(7, "frame id lengths")?;
        }
        b.u(3, "use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter")?;
        if !still {
            tools(&mut b)?;
        }
        b.u(3, "enable_superres, enable_cdef, enable_restoration")?;
        let (bit_depth, chroma_format, colour) = colour_config(&mut b, profile)?;
        Ok(Self { profile, still, width, height, bit_depth, chroma_format, colour, frame_rate })
    }
}

/// From `timing_info_present_flag` to the operating points.
fn operating_points(b: &mut Bits<'_>) -> Result<Option<FrameRate>, BitError> {
    let mut rate = None;
    let mut delay_bits = None;
    if b.flag("timing_info_present_flag")? {
        let ticks = b.u(32, "num_units_in_display_tick")?;
        let scale = b.u(32, "time_scale")?;
        if b.flag("equal_picture_interval")? {
            // `uvlc` is `ue` with longer numbers, which no sane rate has.
            let per_picture = b.ue("num_ticks_per_picture_minus_1")?.checked_add(1);
            let ticks = per_picture.and_then(|n| n.checked_mul(ticks));
            rate = ticks.and_then(|ticks| frame_rate(ticks, scale));
        }
        if b.flag("decoder_model_info_present_flag")? {
            delay_bits = Some(b.u(5, "buffer_delay_length_minus_1")? + 1);
            b.u(32, "num_units_in_decoding_tick")?;
            b.u(10, "buffer_removal_time_length_minus_1, frame_presentation_time_length_minus_1")?;
        }
    }
    let display_delay = b.flag("initial_display_delay_present_flag")?;
    for _ in 0..=b.u(5, "operating_points_cnt_minus_1")? {
        b.u(12, "operating_point_idc")?;
        if b.u(5, "seq_level_idx")? > 7 {
            b.flag("seq_tier")?;
        }
        if let Some(bits) = delay_bits
            && b.flag("decoder_model_present_for_this_op")?
        {
            b.u(bits, "decoder_buffer_delay")?;
            b.u(bits, "encoder_buffer_delay")?;
            b.flag("low_delay_mode_flag")?;
        }
        if display_delay && b.flag("initial_display_delay_present_for_this_op")? {
            b.u(4, "initial_display_delay_minus_1")?;
        }
    }
    Ok(rate)
}

/// From `enable_interintra_compound` to `order_hint_bits_minus_1`.
fn tools(b: &mut Bits<'_>) -> Result<(), BitError> {
    b.u(4, "enable_interintra_compound, masked_compound, warped_motion, dual_filter")?;
    let order_hint = b.flag("enable_order_hint")?;
    if order_hint {
        b.u(2, "enable_jnt_comp, enable_ref_frame_mvs")?;
    }
    let screen = if b.flag("seq_choose_screen_content_tools")? {
        SELECT
    } else {
        b.u(1, "seq_force_screen_content_tools")?
    };
    if screen > 0 && !b.flag("seq_choose_integer_mv")? {
        b.flag("seq_force_integer_mv")?;
    }
    if order_hint {
        b.u(3, "order_hint_bits_minus_1")?;
    }
    Ok(())
}

/// 5.5.2: bit depth, chroma format and colours.
fn colour_config(b: &mut Bits<'_>, profile: u8) -> Result<(u8, u8, Option<Colour>), BitError> {
    let high = b.flag("high_bitdepth")?;
    let bit_depth = match (high, profile) {
        (false, _) => 8,
        (true, 2) if b.flag("twelve_bit")? => 12,
        (true, _) => 10,
    };
    let monochrome = profile != 1 && b.flag("mono_chrome")?;
    let described = b.flag("color_description_present_flag")?;
    let (mut primaries, mut transfer, mut matrix) = (2, 2, 2);
    if described {
        primaries = b.u8(8, "color_primaries")?;
        transfer = b.u8(8, "transfer_characteristics")?;
        matrix = b.u8(8, "matrix_coefficients")?;
    }
    let rgb = (primaries, transfer, matrix) == (BT_709, SRGB, IDENTITY);
    let full_range = if !monochrome && rgb { true } else { b.flag("color_range")? };
    let chroma_format = match profile {
        _ if monochrome => 0,
        _ if rgb => 3,
        0 => 1,
        1 => 3,
        _ if bit_depth < 12 => 2,
        _ if !b.flag("subsampling_x")? => 3,
        _ if b.flag("subsampling_y")? => 1,
        _ => 2,
    };
    let colour = (described || full_range).then_some(Colour { primaries, transfer, matrix, full_range });
    Ok((bit_depth, chroma_format, colour))
}
