//! FFmpeg behind four small safe types: [`Decoder`], [`Picture`], [`Scaler`], [`Encoder`]; `image` makes pictures of image files.
//! The only module of gopcast with `unsafe`.
//!
//! Invariants: a [`Picture`] always has buffers, in 8-bit 4:2:0 once it came out of a [`Scaler`]; pictures share their pixels and
//! nobody writes to them; everything that FFmpeg allocates is owned by exactly one of these types.
#![allow(
    unsafe_code,
    reason = "FFmpeg is a C library; ffmpeg-next wraps neither extradata nor references to frames"
)]

mod image;
pub(super) mod sound;

use std::{path::Path, sync::Once};

use ffmpeg_next::{
    self as ffmpeg, Rational,
    codec::{self, Compliance, threading},
    ffi,
    format::Pixel,
    frame, picture,
    software::scaling,
};
use media::chunk::VideoCodec;

use super::params::Colour;
pub(crate) use image::ImageFormat;
pub(super) use image::Raster;

/// FFmpeg's name of the H.264 encoder that is used.
const ENCODER: &str = "libx264";
/// FFmpeg's names of the AV1 decoders that need no hardware, the faster one first.
const AV1_DECODERS: [&str; 2] = ["libdav1d", "libaom-av1"];

/// What went wrong inside FFmpeg.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibavError {
    /// FFmpeg was built without a part that is needed.
    #[error("this FFmpeg has no {0}")]
    Missing(&'static str),
    /// A call failed.
    #[error("FFmpeg could not {doing}: {why}")]
    Call {
        /// What was asked of it.
        doing: &'static str,
        /// What it said.
        why: String,
    },
}

fn failed(doing: &'static str) -> impl FnOnce(ffmpeg::Error) -> LibavError {
    move |error| LibavError::Call { doing, why: error.to_string() }
}

/// Silences FFmpeg's own log: what matters of it comes back as errors and counts, and it would print to standard error.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: sets one integer; may be called at any time from any thread.
        unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
    });
}

/// Gives a codec that is not opened yet its configuration.
fn give_extradata(context: &mut codec::Context, config: &[u8]) -> Result<(), LibavError> {
    let padding = usize::try_from(ffi::AV_INPUT_BUFFER_PADDING_SIZE).unwrap_or(64);
    let size = i32::try_from(config.len()).map_err(|_| LibavError::Call {
        doing: "open the decoder",
        why: "the decoder configuration is too long".to_owned(),
    })?;
    // SAFETY: the context is alive and not opened yet, so that it has no configuration that would be lost. The buffer is zeroed, `padding`
    // bytes longer than what is copied into it, made by FFmpeg's allocator and given to the context, which frees it.
    unsafe {
        let buffer = ffi::av_mallocz(config.len() + padding).cast::<u8>();
        if buffer.is_null() {
            return Err(failed("open the decoder")(ffmpeg::Error::Other { errno: ffmpeg::error::ENOMEM }));
        }
        std::ptr::copy_nonoverlapping(config.as_ptr(), buffer, config.len());
        let raw = context.as_mut_ptr();
        (*raw).extradata = buffer;
        (*raw).extradata_size = size;
    }
    Ok(())
}

/// A decoded or scaled picture. Cheap to share, never written to.
pub(super) struct Picture(frame::Video);

impl Picture {
    /// Another handle on the same pixels.
    pub(super) fn share(&self) -> Result<Self, LibavError> {
        let mut copy = frame::Video::empty();
        // SAFETY: both pointers are frames owned by live `frame::Video`s; the target is empty, as `av_frame_ref` wants. The pixels
        // are counted references, so both handles may be dropped in any order, on any thread.
        match unsafe { ffi::av_frame_ref(copy.as_mut_ptr(), self.0.as_ptr()) } {
            0 => Ok(Self(copy)),
            error => Err(failed("share a picture")(ffmpeg::Error::from(error))),
        }
    }

    pub(super) fn size(&self) -> (u32, u32) {
        (self.0.width(), self.0.height())
    }

    /// Whether both are handles on the same pixels.
    fn has_pixels_of(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.data(0).as_ptr(), other.0.data(0).as_ptr())
            && self.size() == other.size()
            && self.0.format() == other.0.format()
    }

    /// The time that its sample was tagged with, of a picture that comes from a decoder.
    pub(super) fn tag(&self) -> Option<i64> {
        self.0.timestamp().or_else(|| self.0.pts())
    }

    /// What [`Picture::set_tag`] set last: its place among its chunk's pictures.
    pub(super) fn index(&self) -> Option<i64> {
        self.0.pts()
    }

    pub(super) fn set_tag(&mut self, tag: i64) {
        self.0.set_pts(Some(tag));
    }

    /// Whether the decoder had to make up parts of it.
    pub(super) fn is_damaged(&self) -> bool {
        self.0.is_corrupt() || self.0.has_decode_errors()
    }

    /// Sample aspect ratio; `(0, 1)` if the source says nothing.
    pub(super) fn sar(&self) -> (u32, u32) {
        let sar = self.0.aspect_ratio();
        (u32::try_from(sar.0).unwrap_or(0), u32::try_from(sar.1).unwrap_or(1))
    }

    pub(super) fn colour(&self) -> Colour {
        let code = |value: u32| u8::try_from(value).unwrap_or(Colour::UNSPECIFIED);
        // SAFETY: the frame is owned by `self.0` and alive; plain fields are read.
        let (primaries, transfer, matrix) = unsafe {
            let frame = self.0.as_ptr();
            ((*frame).color_primaries as u32, (*frame).color_trc as u32, (*frame).colorspace as u32)
        };
        Colour {
            primaries: code(primaries),
            transfer: code(transfer),
            matrix: code(matrix),
            full_range: self.0.format() == Pixel::YUVJ420P
                || self.0.color_range() == ffmpeg::color::Range::JPEG,
        }
    }

    /// A grey-scale test picture from a function of the coordinates.
    pub(super) fn synthetic(width: u32, height: u32, mut luma: impl FnMut(usize, usize) -> u8) -> Self {
        let mut frame = frame::Video::new(Pixel::YUV420P, width, height);
        let stride = frame.stride(0);
        for (y, row) in frame.data_mut(0).chunks_mut(stride).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = luma(x, y);
            }
        }
        for plane in 1..=2 {
            frame.data_mut(plane).fill(128);
        }
        Self(frame)
    }
}

/// An H.264 decoder for one GOP.
pub(super) struct Decoder(ffmpeg::decoder::Video);

impl Decoder {
    /// Opens one for samples of `coding` that go with `config`, its decoder configuration record.
    pub(super) fn open(coding: VideoCodec, config: &[u8], threads: usize) -> Result<Self, LibavError> {
        quiet();
        let codec = match coding {
            VideoCodec::Avc => codec::decoder::find(codec::Id::H264).ok_or("H.264 decoder"),
            VideoCodec::Hevc => codec::decoder::find(codec::Id::HEVC).ok_or("HEVC decoder"),
            // By name: what FFmpeg itself calls `av1` needs hardware.
            VideoCodec::Av1 => {
                AV1_DECODERS.iter().find_map(|name| codec::decoder::find_by_name(name)).ok_or("AV1 decoder")
            }
        };
        let codec = codec.map_err(LibavError::Missing)?;
        let mut context = codec::Context::new_with_codec(codec);
        give_extradata(&mut context, config)?;
        // Strict: where the stream does not say how far pictures are reordered, wait for the worst case instead of guessing and
        // dropping the pictures that prove the guess wrong. The wait costs nothing, the GOP is at hand.
        context.compliance(Compliance::Strict);
        context.set_threading(threading::Config {
            kind: threading::Type::Frame,
            count: threads,
            ..Default::default()
        });
        let opened = context.decoder().open_as(codec).map_err(failed("open the decoder"))?;
        Ok(Self(opened.video().map_err(failed("open the decoder"))?))
    }

    /// Gives it one sample, tagged. `false` if it can't make anything of it.
    pub(super) fn send(&mut self, sample: &[u8], tag: i64) -> bool {
        let mut packet = codec::packet::Packet::copy(sample);
        packet.set_pts(Some(tag));
        self.0.send_packet(&packet).is_ok()
    }

    /// Tells it that no more samples come. That it failed on an earlier one, as it may say now, shows as pictures that are missing.
    pub(super) fn finish(&mut self) {
        let _failed_before = self.0.send_eof();
    }

    /// The next picture in presentation order, if there is one yet.
    pub(super) fn receive(&mut self) -> Option<Picture> {
        let mut frame = frame::Video::empty();
        self.0.receive_frame(&mut frame).ok()?;
        Some(Picture(frame))
    }
}

/// Brings pictures to one size and to 8-bit 4:2:0.
pub(super) struct Scaler {
    size: (u32, u32),
    context: Option<scaling::Context>,
    /// What came last and what became of it: a picture that is repeated is scaled once. As it is held on to, its pixels' address
    /// can't be another picture's.
    last: Option<(Picture, Picture)>,
}

impl Scaler {
    /// One for pictures that are looked at.
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { size: (width, height), context: None, last: None }
    }

    /// The picture in this scaler's size; the same pixels if they have it already.
    pub(super) fn scale(&mut self, picture: &Picture) -> Result<Picture, LibavError> {
        let mut input = picture.share()?;
        // The range is carried beside the pixels; under its own name swscale would convert it.
        if input.0.format() == Pixel::YUVJ420P {
            input.0.set_format(Pixel::YUV420P);
        }
        if input.size() == self.size && input.0.format() == Pixel::YUV420P {
            return Ok(input);
        }
        if let Some((from, to)) = &self.last
            && from.has_pixels_of(&input)
        {
            let mut again = to.share()?;
            again.0.set_pts(input.0.pts());
            return Ok(again);
        }
        let (width, height) = input.size();
        let fits = self.context.as_ref().is_some_and(|context| {
            let from = context.input();
            from.format == input.0.format() && (from.width, from.height) == (width, height)
        });
        if !fits {
            let context = scaling::Context::get(
                input.0.format(),
                width,
                height,
                Pixel::YUV420P,
                self.size.0,
                self.size.1,
                scaling::Flags::BICUBIC,
            );
            self.context = Some(context.map_err(failed("scale"))?);
        }
        let mut output = frame::Video::new(Pixel::YUV420P, self.size.0, self.size.1);
        if let Some(context) = &mut self.context {
            context.run(&input.0, &mut output).map_err(failed("scale"))?;
        }
        output.set_pts(input.0.pts());
        let output = Picture(output);
        self.last = Some((input, output.share()?));
        Ok(output)
    }
}

/// Makes pictures smaller by taking single pixels and leaving out those between them. What is averaged looks better, but has lost the noise and the
/// finest detail, and with them what makes the picture hard to encode.
pub(super) struct Sampler {
    size: (u32, u32),
    /// To 8-bit 4:2:0, in the size that comes.
    converter: Option<Scaler>,
}

impl Sampler {
    /// One that makes pictures of this size.
    pub(super) fn new(size: (u32, u32)) -> Self {
        Self { size, converter: None }
    }

    /// The size of what it makes.
    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The picture in this sampler's size.
    pub(super) fn sample(&mut self, picture: &Picture) -> Result<Picture, LibavError> {
        let (width, height) = picture.size();
        let converter = match &mut self.converter {
            Some(converter) if converter.size == (width, height) => converter,
            none => none.insert(Scaler::new(width, height)),
        };
        let picture = converter.scale(picture)?;
        let mut output = frame::Video::new(Pixel::YUV420P, self.size.0, self.size.1);
        for plane in 0..3 {
            let side =
                |side: u32| usize::try_from(if plane == 0 { side } else { side.div_ceil(2) }).unwrap_or(0);
            let (from, to) = ((side(width), side(height)), (side(self.size.0), side(self.size.1)));
            // The pixel in the middle of what each stands for.
            let columns: Vec<usize> = (0..to.0).map(|x| (2 * x + 1) * from.0 / (2 * to.0)).collect();
            let (stride, stride_to) = (picture.0.stride(plane), output.stride(plane));
            let pixels = picture.0.data(plane);
            for (y, row) in output.data_mut(plane).chunks_mut(stride_to).take(to.1).enumerate() {
                let line = &pixels[(2 * y + 1) * from.1 / (2 * to.1) * stride..][..from.0];
                for (pixel, column) in row.iter_mut().zip(&columns) {
                    *pixel = line[*column];
                }
            }
        }
        output.set_pts(picture.0.pts());
        Ok(Picture(output))
    }
}

/// What an [`Encoder`] is opened with.
pub(super) struct Settings<'a> {
    pub(super) size: (u32, u32),
    /// Frames a second.
    pub(super) rate: (u32, u32),
    pub(super) sar: (u32, u32),
    pub(super) colour: Colour,
    pub(super) options: &'a [(&'static str, String)],
    pub(super) pass: Pass<'a>,
}

/// Which of x264's two passes, and the file with what the first one learns. Beside it is another of that name and `.mbtree`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pass<'a> {
    /// Writes it when the encoder is dropped.
    First(&'a Path),
    /// Reads it.
    Second(&'a Path),
}

/// A libx264 encoder for one GOP.
pub(super) struct Encoder(codec::encoder::video::Encoder);

/// One encoded picture, in decode order.
pub(super) struct Encoded {
    /// The tag of the picture.
    pub(super) tag: i64,
    /// NAL units behind start codes.
    pub(super) stream: Vec<u8>,
}

impl Encoder {
    pub(super) fn open(settings: &Settings<'_>) -> Result<Self, LibavError> {
        quiet();
        let codec = codec::encoder::find_by_name(ENCODER).ok_or(LibavError::Missing(ENCODER))?;
        let mut video =
            codec::Context::new_with_codec(codec).encoder().video().map_err(failed("make an encoder"))?;
        let ratio = |(num, den): (u32, u32)| {
            Rational(i32::try_from(num).unwrap_or(i32::MAX), i32::try_from(den).unwrap_or(i32::MAX))
        };
        let rate = ratio(settings.rate);
        video.set_width(settings.size.0);
        video.set_height(settings.size.1);
        video.set_format(Pixel::YUV420P);
        video.set_time_base(rate.invert());
        video.set_frame_rate(Some(rate));
        video.set_aspect_ratio(ratio(settings.sar));
        // `set_flags` replaces all flags, and libx264 opens GOPs unless told otherwise.
        let (pass, file) = match settings.pass {
            Pass::First(file) => (codec::Flags::PASS1, file),
            Pass::Second(file) => (codec::Flags::PASS2, file),
        };
        video.set_flags(codec::Flags::GLOBAL_HEADER | codec::Flags::CLOSED_GOP | pass);
        let mut options = ffmpeg::Dictionary::new();
        options.set("stats", &file.to_string_lossy());
        for (name, value) in settings.options {
            options.set(name, value);
        }
        let colour = settings.colour;
        for (name, value) in [
            ("color_primaries", colour.primaries),
            ("color_trc", colour.transfer),
            ("colorspace", colour.matrix),
            ("color_range", if colour.full_range { 2 } else { 1 }),
        ] {
            options.set(name, &value.to_string());
        }
        video.open_as_with(codec, options).map(Self).map_err(failed("open the encoder"))
    }

    /// The parameter sets, behind start codes.
    pub(super) fn header(&self) -> Vec<u8> {
        // SAFETY: the context is open and alive; FFmpeg keeps `extradata_size` readable bytes at `extradata` (or null) until it is
        // closed, and they are copied here.
        unsafe {
            let context = self.0.as_ptr();
            let (data, size) = ((*context).extradata, (*context).extradata_size);
            match usize::try_from(size) {
                Ok(size) if !data.is_null() => std::slice::from_raw_parts(data, size).to_vec(),
                _ => Vec::new(),
            }
        }
    }

    /// Gives it one picture. Its tag must be larger than the one before.
    pub(super) fn send(&mut self, mut picture: Picture) -> Result<(), LibavError> {
        // The kind that the source's encoder chose must not become this encoder's order.
        picture.0.set_kind(picture::Type::None);
        self.0.send_frame(&picture.0).map_err(failed("encode"))
    }

    pub(super) fn finish(&mut self) -> Result<(), LibavError> {
        self.0.send_eof().map_err(failed("finish encoding"))
    }

    pub(super) fn receive(&mut self) -> Option<Encoded> {
        let mut packet = codec::packet::Packet::empty();
        self.0.receive_packet(&mut packet).ok()?;
        Some(Encoded { tag: packet.pts()?, stream: packet.data()?.to_vec() })
    }
}
