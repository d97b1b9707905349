//! Sound by FFmpeg: [`Decoder`] to mono or stereo, [`Encoder`] to AAC-LC.
//!
//! Invariants: nothing is carried from one rate to another here, so that a frame's samples have their place by its own; both keep their
//! state only as long as a chunk.

use ffmpeg_next::{
    self as ffmpeg, ChannelLayout, Rational, codec,
    format::{Sample, sample::Type},
    frame,
    software::resampling,
};
use media::chunk::AudioCodec;

use super::{LibavError, failed, give_extradata, quiet};

/// FFmpeg's own encoder of AAC-LC.
const ENCODER: &str = "aac";
/// Of Opus' decoders the one that gives as many samples as a packet lasts, whatever is in it.
const OPUS_DECODER: &str = "libopus";
const PLANAR: Sample = Sample::F32(Type::Planar);
/// Samples of a frame that is encoded.
pub(crate) const FRAME: usize = 1024;

/// Samples of one frame: left and right.
#[derive(Debug, Clone)]
pub(crate) struct Pcm {
    pub(crate) rate: u32,
    pub(crate) left: Vec<f32>,
    pub(crate) right: Vec<f32>,
}

/// A decoder of the sound of one chunk.
pub(crate) struct Decoder {
    decoder: ffmpeg::decoder::Audio,
    /// To planar floating point, of two channels if there are more.
    mixer: Option<resampling::Context>,
}

impl Decoder {
    /// Opens one for frames that go with `config`; MP3 has none.
    pub(crate) fn open(coding: AudioCodec, config: &[u8]) -> Result<Self, LibavError> {
        quiet();
        let codec = match coding {
            AudioCodec::Aac => codec::decoder::find(codec::Id::AAC).ok_or("AAC decoder"),
            AudioCodec::Opus => codec::decoder::find_by_name(OPUS_DECODER).ok_or(OPUS_DECODER),
            AudioCodec::Mp3 => codec::decoder::find(codec::Id::MP3).ok_or("MP3 decoder"),
        };
        let codec = codec.map_err(LibavError::Missing)?;
        let mut context = codec::Context::new_with_codec(codec);
        if !config.is_empty() {
            give_extradata(&mut context, config)?;
        }
        let opened = context.decoder().open_as(codec).map_err(failed("open the sound's decoder"))?;
        let decoder = opened.audio().map_err(failed("open the sound's decoder"))?;
        Ok(Self { decoder, mixer: None })
    }

    /// The samples of one frame; `None` if nothing can be made of it.
    pub(crate) fn decode(&mut self, frame: &[u8]) -> Option<Pcm> {
        let packet = codec::packet::Packet::copy(frame);
        self.decoder.send_packet(&packet).ok()?;
        let mut out: Option<Pcm> = None;
        let mut decoded = frame::Audio::empty();
        while self.decoder.receive_frame(&mut decoded).is_ok() {
            let Some(pcm) = self.mix(&decoded) else { continue };
            match &mut out {
                Some(out) if out.rate == pcm.rate => {
                    out.left.extend(pcm.left);
                    out.right.extend(pcm.right);
                }
                _ => out = Some(pcm),
            }
        }
        out
    }

    fn mix(&mut self, decoded: &frame::Audio) -> Option<Pcm> {
        let mut input = decoded.clone();
        let channels = i32::from(input.channels());
        if input.channel_layout().bits() == 0 {
            input.set_channel_layout(ChannelLayout::default(channels));
        }
        let (format, layout, rate) = (input.format(), input.channel_layout(), input.rate());
        let to = if channels == 1 { ChannelLayout::MONO } else { ChannelLayout::STEREO };
        let fits = self.mixer.as_ref().is_some_and(|mixer| {
            let of = mixer.input();
            (of.format, of.rate) == (format, rate) && of.channel_layout == layout
        });
        if !fits {
            let mut options = ffmpeg::Dictionary::new();
            // More channels than two are added up so that they can't pass what one may have.
            options.set("rematrix_maxval", "1.0");
            let mixer = resampling::Context::get_with(format, layout, rate, PLANAR, to, rate, options);
            self.mixer = Some(mixer.ok()?);
        }
        let mut output = frame::Audio::empty();
        self.mixer.as_mut()?.run(&input, &mut output).ok()?;
        let left = output.plane::<f32>(0).to_vec();
        let right = if channels == 1 { left.clone() } else { output.plane::<f32>(1).to_vec() };
        Some(Pcm { rate, left, right })
    }
}

/// An encoder of AAC-LC, stereo.
pub(crate) struct Encoder(codec::encoder::audio::Encoder);

impl Encoder {
    /// Opens one.
    pub(crate) fn open(rate: u32, bit_rate: usize) -> Result<Self, LibavError> {
        quiet();
        let codec = codec::encoder::find_by_name(ENCODER).ok_or(LibavError::Missing("AAC encoder"))?;
        let context = codec::Context::new_with_codec(codec);
        let mut audio = context.encoder().audio().map_err(failed("make a sound encoder"))?;
        let rate = i32::try_from(rate).unwrap_or(i32::MAX);
        audio.set_rate(rate);
        audio.set_format(PLANAR);
        audio.set_channel_layout(ChannelLayout::STEREO);
        audio.set_bit_rate(bit_rate);
        audio.set_time_base(Rational(1, rate));
        audio.set_flags(codec::Flags::GLOBAL_HEADER);
        audio.open_as(codec).map(Self).map_err(failed("open the sound encoder"))
    }

    /// Gives it the samples at `place`, and takes what it has ready: frames by the place of the samples that a decoder makes of them.
    pub(crate) fn encode(
        &mut self,
        place: i64,
        left: &[f32],
        right: &[f32],
    ) -> Result<Vec<(i64, Vec<u8>)>, LibavError> {
        let mut frame = frame::Audio::new(PLANAR, FRAME, ChannelLayout::STEREO);
        frame.set_rate(self.0.rate());
        frame.set_pts(Some(place));
        for (plane, samples) in [left, right].into_iter().enumerate() {
            let to = frame.plane_mut::<f32>(plane);
            to.fill(0.0);
            to.iter_mut().zip(samples).for_each(|(to, from)| *to = *from);
        }
        self.0.send_frame(&frame).map_err(failed("encode sound"))?;
        let mut out = Vec::new();
        let mut packet = codec::packet::Packet::empty();
        while self.0.receive_packet(&mut packet).is_ok() {
            if let (Some(place), Some(data)) = (packet.pts(), packet.data()) {
                out.push((place, data.to_vec()));
            }
        }
        Ok(out)
    }
}
