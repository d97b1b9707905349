//! The sequence parameter set (ITU-T H.265, 7.3.2.2) with its VUI (E.2.1), as far as gopcast asks.
//!
//! Invariant: width, height and frame rate are within what the standard allows, and never 0. What comes after size and bit depth is
//! read as far as it goes: a tail that is cut or mad is ignored, not an error, as decoders do without it.

use crate::{
    bits::{BitError, Bits},
    nal::unescape,
    picture::{Colour, frame_rate, read_signal},
    time::FrameRate,
};

/// Longest SPS read, in bytes: with every scaling list and reference picture set it stays under 3 KiB.
const SPS_MAX: usize = 8192;
/// Most pixels a side: level 6.2 allows 16 888.
const SIDE_MAX: u32 = 16_888;
/// `sps_max_sub_layers_minus1` at most (7.4.3.2.1).
const SUB_LAYERS_MAX: u32 = 6;
/// `num_short_term_ref_pic_sets` at most (7.4.3.2.1).
const SHORT_TERM_SETS_MAX: u32 = 64;
/// `num_long_term_ref_pics_sps` at most (7.4.3.2.1).
const LONG_TERM_MAX: u32 = 32;
/// Most pictures that one can refer to (`sps_max_dec_pic_buffering_minus1`, 7.4.8).
const REFERENCES_MAX: u32 = 16;
/// `aspect_ratio_idc` of a ratio that is spelled out.
const EXTENDED_SAR: u32 = 255;

/// What a sequence parameter set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// `general_profile_idc`: 1 Main, 2 Main 10, 3 Main Still Picture, 4 range extensions…
    pub profile: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// Pictures are fields, or the source is said to be interlaced.
    pub interlaced: bool,
    /// Width after cropping, in pixels.
    pub width: u32,
    /// Height after cropping, in pixels.
    pub height: u32,
    /// Colour description, when given.
    pub colour: Option<Colour>,
    /// The frame rate of the VUI's timing, when given and sane. A claim: timestamps decide.
    pub frame_rate: Option<FrameRate>,
}

impl Sps {
    /// Reads a sequence parameter set, given as a NAL unit with its two header bytes.
    ///
    /// # Errors
    /// When it is cut before the bit depths, or says something the standard does not allow.
    pub fn parse(nal: &[u8]) -> Result<Self, BitError> {
        if nal.len() > SPS_MAX {
            return Err(BitError { at: SPS_MAX * 8, what: "longer than any" });
        }
        let rbsp = unescape(nal.get(2..).unwrap_or_default());
        let mut b = Bits::new(&rbsp);
        b.u(4, "sps_video_parameter_set_id")?;
        let sub_layers = at_most(&mut b, SUB_LAYERS_MAX, |b| b.u(3, "sps_max_sub_layers_minus1"))?;
        b.flag("sps_temporal_id_nesting_flag")?;
        let (profile, fields) = profile_tier_level(&mut b, sub_layers)?;
        b.ue("sps_seq_parameter_set_id")?;
        let chroma_format = small(&mut b, 3, "chroma_format_idc")?;
        let separate = chroma_format == 3 && b.flag("separate_colour_plane_flag")?;
        let full = (side(&mut b, "pic_width")?, side(&mut b, "pic_height")?);
        let (mut width, mut height) = full;
        if b.flag("conformance_window_flag")? {
            let kind = if separate { 0 } else { chroma_format };
            width = crop(&mut b, full.0, if matches!(kind, 1 | 2) { 2 } else { 1 })?;
            height = crop(&mut b, full.1, if kind == 1 { 2 } else { 1 })?;
        }
        let bit_depth_luma = small(&mut b, 8, "bit_depth_luma_minus8")? + 8;
        let bit_depth_chroma = small(&mut b, 8, "bit_depth_chroma_minus8")? + 8;
        let mut out = Self {
            profile,
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            interlaced: fields,
            width,
            height,
            colour: None,
            frame_rate: None,
        };
        // A cut tail is no fault of the picture: see the module's invariant.
        let _ = out.read_tail(&mut b, sub_layers);
        Ok(out)
    }

    fn read_tail(&mut self, b: &mut Bits<'_>, sub_layers: u32) -> Result<(), BitError> {
        let order_bits = at_most(b, 12, |b| b.ue("log2_max_pic_order_cnt_lsb_minus4"))? + 4;
        let all = b.flag("sps_sub_layer_ordering_info_present_flag")?;
        for _ in 0..=if all { sub_layers } else { 0 } {
            for what in ["max_dec_pic_buffering", "max_num_reorder_pics", "max_latency_increase"] {
                b.ue(what)?;
            }
        }
        for what in [
            "log2_min_luma_coding_block_size_minus3",
            "log2_diff_max_min_luma_coding_block_size",
            "log2_min_luma_transform_block_size_minus2",
            "log2_diff_max_min_luma_transform_block_size",
            "max_transform_hierarchy_depth_inter",
            "max_transform_hierarchy_depth_intra",
        ] {
            b.ue(what)?;
        }
        if b.flag("scaling_list_enabled_flag")? && b.flag("sps_scaling_list_data_present_flag")? {
            skip_scaling_lists(b)?;
        }
        b.flag("amp_enabled_flag")?;
        b.flag("sample_adaptive_offset_enabled_flag")?;
        if b.flag("pcm_enabled_flag")? {
            b.u(8, "pcm sample bit depths")?;
            b.ue("log2_min_pcm_luma_coding_block_size_minus3")?;
            b.ue("log2_diff_max_min_pcm_luma_coding_block_size")?;
            b.flag("pcm_loop_filter_disabled_flag")?;
        }
        skip_short_term_sets(b)?;
        if b.flag("long_term_ref_pics_present_flag")? {
            for _ in 0..at_most(b, LONG_TERM_MAX, |b| b.ue("num_long_term_ref_pics_sps"))? {
                b.u(order_bits, "lt_ref_pic_poc_lsb_sps")?;
                b.flag("used_by_curr_pic_lt_sps_flag")?;
            }
        }
        b.flag("sps_temporal_mvp_enabled_flag")?;
        b.flag("strong_intra_smoothing_enabled_flag")?;
        if b.flag("vui_parameters_present_flag")? { self.read_vui(b) } else { Ok(()) }
    }

    /// As far as the timing; what comes after is of no interest.
    fn read_vui(&mut self, b: &mut Bits<'_>) -> Result<(), BitError> {
        // The sample aspect ratio is taken from the decoder.
        if b.flag("aspect_ratio_info_present_flag")? && b.u(8, "aspect_ratio_idc")? == EXTENDED_SAR {
            b.u(32, "sar_width, sar_height")?;
        }
        read_signal(b, &mut self.colour)?;
        b.flag("neutral_chroma_indication_flag")?;
        self.interlaced |= b.flag("field_seq_flag")?;
        b.flag("frame_field_info_present_flag")?;
        if b.flag("default_display_window_flag")? {
            for _ in 0..4 {
                b.ue("def_disp_win offset")?;
            }
        }
        if b.flag("vui_timing_info_present_flag")? {
            let ticks = b.u(32, "vui_num_units_in_tick")?;
            let scale = b.u(32, "vui_time_scale")?;
            self.frame_rate = frame_rate(ticks, scale);
        }
        Ok(())
    }
}

fn at_most(
    b: &mut Bits<'_>,
    max: u32,
    read: impl FnOnce(&mut Bits<'_>) -> Result<u32, BitError>,
) -> Result<u32, BitError> {
    let error = b.error("a count above what the standard allows");
    read(b).and_then(|value| if value <= max { Ok(value) } else { Err(error) })
}

fn small(b: &mut Bits<'_>, max: u8, what: &'static str) -> Result<u8, BitError> {
    let error = b.error(what);
    u8::try_from(b.ue(what)?).ok().filter(|value| *value <= max).ok_or(error)
}

fn side(b: &mut Bits<'_>, what: &'static str) -> Result<u32, BitError> {
    let error = b.error(what);
    Some(b.ue(what)?).filter(|pixels| (1..=SIDE_MAX).contains(pixels)).ok_or(error)
}

/// Reads the two offsets of one direction of the conformance window and takes them off.
fn crop(b: &mut Bits<'_>, full: u32, unit: u32) -> Result<u32, BitError> {
    let error = b.error("conformance window offsets leave no picture");
    let (before, after) = (b.ue("conf_win offset")?, b.ue("conf_win offset")?);
    let cut = before.checked_add(after).and_then(|sum| sum.checked_mul(unit));
    cut.and_then(|cut| full.checked_sub(cut)).filter(|rest| *rest > 0).ok_or(error)
}

/// 7.3.3. Gives the profile, and whether the source is interlaced and not progressive.
fn profile_tier_level(b: &mut Bits<'_>, sub_layers: u32) -> Result<(u8, bool), BitError> {
    b.u(3, "general_profile_space, general_tier_flag")?;
    let profile = b.u8(5, "general_profile_idc")?;
    b.u(32, "general_profile_compatibility_flags")?;
    let progressive = b.flag("general_progressive_source_flag")?;
    let interlaced = b.flag("general_interlaced_source_flag")?;
    // The other constraint flags, 46 bits, and the level.
    b.u(32, "general constraint flags")?;
    b.u(14, "general constraint flags")?;
    b.u(8, "general_level_idc")?;
    let mut present = Vec::with_capacity(8);
    for _ in 0..sub_layers {
        present.push((b.flag("sub_layer_profile_present_flag")?, b.flag("sub_layer_level_present_flag")?));
    }
    if sub_layers > 0 {
        b.u((8 - sub_layers) * 2, "reserved_zero_2bits")?;
    }
    for (has_profile, has_level) in present {
        for _ in 0..if has_profile { 11 } else { 0 } {
            b.u(8, "sub-layer profile")?;
        }
        if has_level {
            b.u(8, "sub_layer_level_idc")?;
        }
    }
    Ok((profile, interlaced && !progressive))
}

/// 7.3.4.
fn skip_scaling_lists(b: &mut Bits<'_>) -> Result<(), BitError> {
    for size in 0..4u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !b.flag("scaling_list_pred_mode_flag")? {
                b.ue("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            if size > 1 {
                b.se("scaling_list_dc_coef_minus8")?;
            }
            for _ in 0..64.min(1u32 << (4 + 2 * size)) {
                b.se("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}

/// 7.3.7, for all sets of the SPS.
fn skip_short_term_sets(b: &mut Bits<'_>) -> Result<(), BitError> {
    let count = at_most(b, SHORT_TERM_SETS_MAX, |b| b.ue("num_short_term_ref_pic_sets"))?;
    // How many pictures the set before refers to: what an inter-predicted set is told about.
    let mut references = 0u32;
    for index in 0..count {
        if index > 0 && b.flag("inter_ref_pic_set_prediction_flag")? {
            b.flag("delta_rps_sign")?;
            b.ue("abs_delta_rps_minus1")?;
            let mut kept = 0u32;
            for _ in 0..=references {
                // `use_delta_flag` is there only for what is not used, and then decides.
                kept += u32::from(b.flag("used_by_curr_pic_flag")? || b.flag("use_delta_flag")?);
            }
            references = kept;
        } else {
            let negative = at_most(b, REFERENCES_MAX, |b| b.ue("num_negative_pics"))?;
            let positive = at_most(b, REFERENCES_MAX, |b| b.ue("num_positive_pics"))?;
            for _ in 0..negative + positive {
                b.ue("delta_poc_minus1")?;
                b.flag("used_by_curr_pic_flag")?;
            }
            references = negative + positive;
        }
        if references > 2 * REFERENCES_MAX {
            return Err(b.error("more references than a picture has"));
        }
    }
    Ok(())
}
