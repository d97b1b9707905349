//! The sequence parameter set (ITU-T H.264, 7.3.2.1.1) with its VUI (E.1.1), as far as gopcast asks.
//!
//! Invariant: width, height and frame rate are within what the standard allows, and never 0. A VUI that is cut or mad is ignored,
//! not an error: decoders do without, and so do broadcasters' encoders at times.

use crate::{
    bits::{BitError, Bits},
    nal::unescape,
    picture::{self, Colour},
    time::FrameRate,
};

/// Longest SPS read, in bytes: with every scaling list and HRD parameter set it stays under 1 KiB.
const SPS_MAX: usize = 4096;
/// Most macroblocks a side: level 6.2 allows 16 888 pixels.
const MACROBLOCKS_MAX: u32 = 1056;
/// Most reference frames (`MaxDpbFrames`, A.3.1).
const DPB_FRAMES_MAX: u32 = 16;

/// What a sequence parameter set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`: 66 baseline, 77 main, 100 high, 110 high 10…
    pub profile: u8,
    /// The byte of `constraint_set` flags.
    pub constraints: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// `frame_mbs_only_flag` is 0: there may be fields or macroblock-adaptive frames.
    pub interlaced: bool,
    /// Width after cropping, in pixels.
    pub width: u32,
    /// Height after cropping, in pixels.
    pub height: u32,
    /// Sample aspect ratio, horizontal to vertical; (1, 1) when not given.
    pub sar: (u32, u32),
    /// Colour description, when given.
    pub colour: Option<Colour>,
    /// The frame rate of the VUI's timing, when given and sane. A claim: timestamps decide.
    pub frame_rate: Option<FrameRate>,
    /// `max_num_reorder_frames`, when given.
    pub max_reorder: Option<u8>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Vui {
    sar: Option<(u32, u32)>,
    colour: Option<Colour>,
    frame_rate: Option<FrameRate>,
    max_reorder: Option<u8>,
}

impl Sps {
    /// Reads a sequence parameter set, given as a NAL unit with its header byte.
    ///
    /// # Errors
    /// When it is cut, or says something the standard does not allow.
    pub fn parse(nal: &[u8]) -> Result<Self, BitError> {
        if nal.len() > SPS_MAX {
            return Err(BitError { at: SPS_MAX * 8, what: "longer than any" });
        }
        let rbsp = unescape(nal.get(1..).unwrap_or_default());
        let mut b = Bits::new(&rbsp);
        let profile = b.u8(8, "profile_idc")?;
        let constraints = b.u8(8, "constraint_set flags")?;
        let level = b.u8(8, "level_idc")?;
        b.ue("seq_parameter_set_id")?;
        let (mut chroma_format, mut luma, mut chroma, mut separate) = (1, 8, 8, false);
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma_format = small(&mut b, 3, "chroma_format_idc")?;
            if chroma_format == 3 {
                separate = b.flag("separate_colour_plane_flag")?;
            }
            luma = small(&mut b, 6, "bit_depth_luma_minus8")? + 8;
            chroma = small(&mut b, 6, "bit_depth_chroma_minus8")? + 8;
            b.flag("qpprime_y_zero_transform_bypass_flag")?;
            if b.flag("seq_scaling_matrix_present_flag")? {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if b.flag("seq_scaling_list_present_flag")? {
                        skip_scaling_list(&mut b, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        b.ue("log2_max_frame_num_minus4")?;
        match b.ue("pic_order_cnt_type")? {
            0 => {
                b.ue("log2_max_pic_order_cnt_lsb_minus4")?;
            }
            1 => {
                b.flag("delta_pic_order_always_zero_flag")?;
                b.se("offset_for_non_ref_pic")?;
                b.se("offset_for_top_to_bottom_field")?;
                let cycle = b.ue("num_ref_frames_in_pic_order_cnt_cycle")?;
                if cycle > 255 {
                    return Err(b.error("num_ref_frames_in_pic_order_cnt_cycle above 255"));
                }
                for _ in 0..cycle {
                    b.se("offset_for_ref_frame")?;
                }
            }
            2 => {}
            _ => return Err(b.error("pic_order_cnt_type above 2")),
        }
        b.ue("max_num_ref_frames")?;
        b.flag("gaps_in_frame_num_value_allowed_flag")?;
        let columns = macroblocks(&mut b, "pic_width_in_mbs_minus1")?;
        let rows = macroblocks(&mut b, "pic_height_in_map_units_minus1")?;
        let interlaced = !b.flag("frame_mbs_only_flag")?;
        if interlaced {
            b.flag("mb_adaptive_frame_field_flag")?;
        }
        b.flag("direct_8x8_inference_flag")?;
        let (full_width, full_height) = (columns * 16, rows * 16 * (1 + u32::from(interlaced)));
        let (mut width, mut height) = (full_width, full_height);
        if b.flag("frame_cropping_flag")? {
            let array_type = if separate { 0 } else { chroma_format };
            let unit_x = if matches!(array_type, 1 | 2) { 2 } else { 1 };
            let unit_y = if array_type == 1 { 2 } else { 1 } * (1 + u32::from(interlaced));
            width = crop(&mut b, full_width, unit_x)?;
            height = crop(&mut b, full_height, unit_y)?;
        }
        let vui = if b.flag("vui_parameters_present_flag")? { read_vui(&mut b) } else { Vui::default() };
        Ok(Self {
            profile,
            constraints,
            level,
            chroma_format,
            bit_depth_luma: luma,
            bit_depth_chroma: chroma,
            interlaced,
            width,
            height,
            sar: vui.sar.unwrap_or((1, 1)),
            colour: vui.colour,
            frame_rate: vui.frame_rate,
            max_reorder: vui.max_reorder,
        })
    }

    /// The `codecs` parameter (RFC 6381, section 3.3): `avc1.64001f`.
    #[must_use]
    pub fn codecs(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.constraints, self.level)
    }
}

fn small(b: &mut Bits<'_>, max: u8, what: &'static str) -> Result<u8, BitError> {
    let error = b.error(what);
    u8::try_from(b.ue(what)?).ok().filter(|value| *value <= max).ok_or(error)
}

fn macroblocks(b: &mut Bits<'_>, what: &'static str) -> Result<u32, BitError> {
    let error = b.error(what);
    b.ue(what)?.checked_add(1).filter(|count| *count <= MACROBLOCKS_MAX).ok_or(error)
}

/// Reads the two crop offsets of one direction and takes them off.
fn crop(b: &mut Bits<'_>, full: u32, unit: u32) -> Result<u32, BitError> {
    let error = b.error("frame_crop offsets leave no picture");
    let (before, after) = (b.ue("frame_crop offset")?, b.ue("frame_crop offset")?);
    before
        .checked_add(after)
        .and_then(|sum| sum.checked_mul(unit))
        .and_then(|cut| full.checked_sub(cut))
        .filter(|rest| *rest > 0)
        .ok_or(error)
}

fn skip_scaling_list(b: &mut Bits<'_>, size: u32) -> Result<(), BitError> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + b.se("delta_scale")?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

/// Table E-1.
const SAR: [(u32, u32); 17] = [
    (1, 1),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];
const EXTENDED_SAR: u8 = 255;

/// Reads the VUI as far as it goes; what was read before a cut counts.
fn read_vui(b: &mut Bits<'_>) -> Vui {
    let mut vui = Vui::default();
    // A cut VUI is no fault of the picture: see the module's invariant.
    let _ = fill_vui(b, &mut vui);
    vui
}

fn fill_vui(b: &mut Bits<'_>, vui: &mut Vui) -> Result<(), BitError> {
    if b.flag("aspect_ratio_info_present_flag")? {
        let idc = b.u8(8, "aspect_ratio_idc")?;
        let sar = if idc == EXTENDED_SAR {
            (b.u(16, "sar_width")?, b.u(16, "sar_height")?)
        } else {
            SAR.get(usize::from(idc)).copied().unwrap_or((1, 1))
        };
        vui.sar = (sar.0 > 0 && sar.1 > 0).then_some(sar);
    }
    picture::read_signal(b, &mut vui.colour)?;
    if b.flag("timing_info_present_flag")? {
        let ticks = b.u(32, "num_units_in_tick")?;
        let scale = b.u(32, "time_scale")?;
        b.flag("fixed_frame_rate_flag")?;
        // A frame lasts two ticks: one per field (E.2.1).
        vui.frame_rate = ticks.checked_mul(2).and_then(|ticks| picture::frame_rate(ticks, scale));
    }
    let nal_hrd = b.flag("nal_hrd_parameters_present_flag")?;
    if nal_hrd {
        skip_hrd(b)?;
    }
    let vcl_hrd = b.flag("vcl_hrd_parameters_present_flag")?;
    if vcl_hrd {
        skip_hrd(b)?;
    }
    if nal_hrd || vcl_hrd {
        b.flag("low_delay_hrd_flag")?;
    }
    b.flag("pic_struct_present_flag")?;
    if b.flag("bitstream_restriction_flag")? {
        b.flag("motion_vectors_over_pic_boundaries_flag")?;
        for what in [
            "max_bytes_per_pic_denom",
            "max_bits_per_mb_denom",
            "log2_max_mv_length_horizontal",
            "log2_max_mv_length_vertical",
        ] {
            b.ue(what)?;
        }
        let reorder = b.ue("max_num_reorder_frames")?;
        vui.max_reorder = u8::try_from(reorder).ok().filter(|_| reorder <= DPB_FRAMES_MAX);
    }
    Ok(())
}

fn skip_hrd(b: &mut Bits<'_>) -> Result<(), BitError> {
    let count = b.ue("cpb_cnt_minus1")?;
    if count > 31 {
        return Err(b.error("cpb_cnt_minus1 above 31"));
    }
    b.u(8, "bit_rate_scale, cpb_size_scale")?;
    for _ in 0..=count {
        b.ue("bit_rate_value_minus1")?;
        b.ue("cpb_size_value_minus1")?;
        b.flag("cbr_flag")?;
    }
    b.u(20, "hrd lengths")?;
    Ok(())
}
