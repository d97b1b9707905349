//! Image files as pictures of a source's size and colours, and pictures as image files.

use ffmpeg_next::{
    Rational,
    codec::{self, decoder::Check, threading},
    ffi,
    format::Pixel,
    frame,
    software::scaling,
};

use super::{LibavError, Picture, failed, quiet};
use crate::transcode::params::{Colour, fitted};

/// Which image files are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    /// ISO 15948.
    Png,
    /// ITU-T T.81.
    Jpeg,
}

impl Picture {
    /// Decodes an image file of at most `pixels_max` pixels. Damage of any kind is an error.
    pub(in crate::transcode) fn from_image(
        format: ImageFormat,
        file: &[u8],
        pixels_max: u32,
    ) -> Result<Self, LibavError> {
        const DOING: &str = "decode the image";
        quiet();
        let (id, name) = match format {
            ImageFormat::Png => (codec::Id::PNG, "PNG decoder"),
            ImageFormat::Jpeg => (codec::Id::MJPEG, "JPEG decoder"),
        };
        let codec = codec::decoder::find(id).ok_or(LibavError::Missing(name))?;
        let mut context = codec::Context::new_with_codec(codec);
        // SAFETY: the context is alive and not opened yet; one integer is set.
        unsafe {
            (*context.as_mut_ptr()).max_pixels = pixels_max.into();
        }
        context.set_threading(threading::Config {
            kind: threading::Type::None,
            count: 1,
            ..Default::default()
        });
        let mut decoder = context.decoder();
        decoder.check(Check::CRC | Check::EXPLODE);
        let opened = decoder.open_as(codec).map_err(failed(DOING))?;
        let mut opened = opened.video().map_err(failed(DOING))?;
        opened.send_packet(&codec::packet::Packet::copy(file)).map_err(failed(DOING))?;
        opened.send_eof().map_err(failed(DOING))?;
        let mut frame = frame::Video::empty();
        opened.receive_frame(&mut frame).map_err(failed(DOING))?;
        Ok(Self(frame))
    }

    /// The image as large as it fits into a picture of `size` and `sar`, its own pixels being square, in the middle of black, as
    /// 8-bit 4:2:0 of `colour`. What is transparent shows black.
    pub(in crate::transcode) fn letterboxed(
        &self,
        size: (u32, u32),
        sar: (u32, u32),
        colour: Colour,
    ) -> Result<Self, LibavError> {
        const DOING: &str = "scale the image";
        let own = self.size();
        let inner_size = fitted(own, size, sar);
        let flags = scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND;

        // First to RGB, which is where opacity is applied and the file's own colour model ends.
        let mut rgb = frame::Video::new(Pixel::RGBA, own.0, own.1);
        scaling::Context::get(self.0.format(), own.0, own.1, Pixel::RGBA, own.0, own.1, flags)
            .and_then(|mut context| context.run(&self.0, &mut rgb))
            .map_err(failed(DOING))?;
        for pixel in rgb.data_mut(0).chunks_exact_mut(4) {
            if let [red, green, blue, opacity] = pixel
                && *opacity < u8::MAX
            {
                for channel in [red, green, blue] {
                    let seen = u16::from(*channel) * u16::from(*opacity) / u16::from(u8::MAX);
                    *channel = u8::try_from(seen).unwrap_or(u8::MAX);
                }
            }
        }

        let mut inner = frame::Video::new(Pixel::YUV420P, inner_size.0, inner_size.1);
        let mut context = scaling::Context::get(
            Pixel::RGBA,
            own.0,
            own.1,
            Pixel::YUV420P,
            inner_size.0,
            inner_size.1,
            flags | scaling::Flags::FULL_CHR_H_INP,
        )
        .map_err(failed(DOING))?;
        set_colours(&mut context, RGB, colour.into(), DOING)?;
        context.run(&rgb, &mut inner).map_err(failed(DOING))?;
        Ok(framed(&inner, size, colour.full_range))
    }
}

/// How luma and chroma stand for colours.
#[derive(Clone, Copy)]
struct Coefficients {
    /// A number of H.273 or swscale, which are the same.
    matrix: i32,
    full_range: bool,
}

/// Without luma and chroma: nothing of it is looked at.
const RGB: Coefficients = Coefficients { matrix: ffi::SWS_CS_DEFAULT, full_range: false };
/// ITU-T T.871.
const JFIF: Coefficients = Coefficients { matrix: ffi::SWS_CS_ITU601, full_range: true };

impl From<Colour> for Coefficients {
    fn from(colour: Colour) -> Self {
        Self { matrix: colour.matrix.into(), full_range: colour.full_range }
    }
}

/// Says what colours a scaler goes from and to.
fn set_colours(
    context: &mut scaling::Context,
    from: Coefficients,
    to: Coefficients,
    doing: &'static str,
) -> Result<(), LibavError> {
    // SAFETY: the context is alive; the tables are static and only read. The other arguments are plain numbers: ranges, and
    // brightness, contrast and saturation that change nothing (16.16 fixed point).
    let set = unsafe {
        ffi::sws_setColorspaceDetails(
            context.as_mut_ptr(),
            ffi::sws_getCoefficients(from.matrix),
            from.full_range.into(),
            ffi::sws_getCoefficients(to.matrix),
            to.full_range.into(),
            0,
            1 << 16,
            1 << 16,
        )
    };
    if set < 0 {
        return Err(LibavError::Call { doing, why: "the source's colours are not supported".to_owned() });
    }
    Ok(())
}

/// A picture as JPEG files have it: 4:2:0 of full range by BT.601's matrix.
pub(in crate::transcode) struct Raster(Picture);

impl Raster {
    /// A picture of `colour`, scaled to `size`.
    pub(in crate::transcode) fn of(
        picture: &Picture,
        size: (u32, u32),
        colour: Colour,
    ) -> Result<Self, LibavError> {
        const DOING: &str = "scale a picture";
        let own = picture.size();
        // The same bytes wherever it is done.
        let exact = scaling::Flags::ACCURATE_RND | scaling::Flags::BITEXACT;
        // By way of RGB: swscale does not change a matrix on the way from 4:2:0 to 4:2:0.
        let mut rgb = frame::Video::new(Pixel::RGB24, size.0, size.1);
        let flags = scaling::Flags::BICUBIC | scaling::Flags::FULL_CHR_H_INT | exact;
        let format = picture.0.format();
        let mut context = scaling::Context::get(format, own.0, own.1, Pixel::RGB24, size.0, size.1, flags)
            .map_err(failed(DOING))?;
        set_colours(&mut context, colour.into(), RGB, DOING)?;
        context.run(&picture.0, &mut rgb).map_err(failed(DOING))?;

        let mut raster = frame::Video::new(Pixel::YUVJ420P, size.0, size.1);
        let flags = scaling::Flags::BICUBIC | scaling::Flags::FULL_CHR_H_INP | exact;
        let mut context =
            scaling::Context::get(Pixel::RGB24, size.0, size.1, Pixel::YUVJ420P, size.0, size.1, flags)
                .map_err(failed(DOING))?;
        set_colours(&mut context, RGB, JFIF, DOING)?;
        context.run(&rgb, &mut raster).map_err(failed(DOING))?;
        raster.set_pts(Some(0));
        Ok(Self(Picture(raster)))
    }

    /// Its luma, row by row.
    pub(in crate::transcode) fn luma(&self) -> impl Iterator<Item = u8> {
        let frame = &self.0.0;
        let width = usize::try_from(frame.width()).unwrap_or(0);
        let height = usize::try_from(frame.height()).unwrap_or(0);
        let rows = frame.data(0).chunks(frame.stride(0).max(1)).take(height);
        rows.flat_map(move |row| row.iter().take(width).copied())
    }

    /// The file, coded with one quantiser (2 is best, 31 smallest).
    pub(in crate::transcode) fn to_jpeg(&self, quantiser: u8) -> Result<Vec<u8>, LibavError> {
        const DOING: &str = "encode a JPEG";
        quiet();
        let codec = codec::encoder::find(codec::Id::MJPEG).ok_or(LibavError::Missing("JPEG encoder"))?;
        let mut context = codec::Context::new_with_codec(codec);
        context.set_threading(threading::Config {
            kind: threading::Type::None,
            count: 1,
            ..Default::default()
        });
        let mut video = context.encoder().video().map_err(failed(DOING))?;
        let (width, height) = self.0.size();
        video.set_width(width);
        video.set_height(height);
        video.set_format(Pixel::YUVJ420P);
        video.set_time_base(Rational(1, 1));
        // Without it the file names the version of FFmpeg.
        video.set_flags(codec::Flags::BITEXACT);
        video.set_qmin(quantiser.into());
        video.set_qmax(quantiser.into());
        let mut encoder = video.open_as(codec).map_err(failed(DOING))?;
        encoder.send_frame(&self.0.0).map_err(failed(DOING))?;
        encoder.send_eof().map_err(failed(DOING))?;
        let mut packet = codec::packet::Packet::empty();
        encoder.receive_packet(&mut packet).map_err(failed(DOING))?;
        packet
            .data()
            .map(<[u8]>::to_vec)
            .ok_or(LibavError::Call { doing: DOING, why: "it is empty".to_owned() })
    }
}

/// `inner` in the middle of a black picture of `size`, at even coordinates.
fn framed(inner: &frame::Video, size: (u32, u32), full_range: bool) -> Picture {
    let mut canvas = frame::Video::new(Pixel::YUV420P, size.0, size.1);
    let offset = |outer: u32, inner: u32| (outer.saturating_sub(inner) / 2) & !1;
    let at = (offset(size.0, inner.width()), offset(size.1, inner.height()));
    let black = if full_range { 0 } else { 16 };
    for (plane, (value, shift)) in [(black, 0), (128, 1), (128, 1)].into_iter().enumerate() {
        let narrow = |n: u32| usize::try_from(n).unwrap_or(0);
        let (left, top) = (narrow(at.0 >> shift), narrow(at.1 >> shift));
        let width = narrow((inner.width() + shift) >> shift);
        let (to, from) = (canvas.stride(plane), inner.stride(plane));
        let target = canvas.data_mut(plane);
        target.fill(value);
        for (into, row) in target.chunks_mut(to).skip(top).zip(inner.data(plane).chunks(from)) {
            if let (Some(into), Some(row)) = (into.get_mut(left..left + width), row.get(..width)) {
                into.copy_from_slice(row);
            }
        }
    }
    Picture(canvas)
}
