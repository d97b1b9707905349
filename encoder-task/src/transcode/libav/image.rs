//! Image files as pictures of a source's size and colours.

use ffmpeg_next::{
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
        // SAFETY: the context is alive; the tables are static and only read. The other arguments are plain numbers: ranges, and
        // brightness, contrast and saturation that change nothing (16.16 fixed point).
        let set = unsafe {
            let rgb_table = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT);
            let table = ffi::sws_getCoefficients(colour.matrix.into());
            let range = i32::from(colour.full_range);
            ffi::sws_setColorspaceDetails(
                context.as_mut_ptr(),
                rgb_table,
                0,
                table,
                range,
                0,
                1 << 16,
                1 << 16,
            )
        };
        if set < 0 {
            return Err(LibavError::Call {
                doing: DOING,
                why: "the source's colours are not supported".to_owned(),
            });
        }
        context.run(&rgb, &mut inner).map_err(failed(DOING))?;
        Ok(framed(&inner, size, colour.full_range))
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
