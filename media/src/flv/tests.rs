//! Tags by hand, byte by byte.

use super::*;

fn v(bytes: &'static [u8]) -> Result<Video, FlvError> {
    video(&Bytes::from_static(bytes))
}

fn a(bytes: &'static [u8]) -> Result<Audio, FlvError> {
    audio(&Bytes::from_static(bytes))
}

fn picture(keyframe: bool, composition_ms: i32, data: &'static [u8]) -> Result<Video, FlvError> {
    of(VideoCodec::Avc, keyframe, composition_ms, 0, data)
}

fn of(
    codec: VideoCodec,
    keyframe: bool,
    composition_ms: i32,
    offset_ns: u32,
    data: &'static [u8],
) -> Result<Video, FlvError> {
    Ok(Video::Picture { codec, keyframe, composition_ms, offset_ns, data: Bytes::from_static(data) })
}

fn config(codec: VideoCodec, record: &'static [u8]) -> Result<Video, FlvError> {
    Ok(Video::Config { codec, record: Bytes::from_static(record) })
}

#[test]
fn avc_in_both_headers() {
    assert_eq!(v(&[0x17, 0, 0, 0, 0, 1, 100]), config(VideoCodec::Avc, &[1, 100]));
    assert_eq!(v(&[0x17, 1, 0, 0, 0x43, 9]), picture(true, 67, &[9]));
    assert_eq!(v(&[0x27, 1, 0xff, 0xff, 0xfe, 9]), picture(false, -2, &[9]));
    assert_eq!(v(&[0x27, 1, 0x80, 0, 0, 9]), picture(false, -8_388_608, &[9]));
    assert_eq!(v(&[0x17, 2, 0, 0, 0]), Ok(Video::End));
    assert_eq!(v(&[0x57, 0]), Ok(Video::Nothing));
    assert_eq!(v(&[]), Ok(Video::Nothing));
    assert_eq!(v(b"\x90avc1\x01\x64"), config(VideoCodec::Avc, &[1, 0x64]));
    assert_eq!(v(b"\x91avc1\x00\x00\x21\x09"), picture(true, 33, &[9]));
    assert_eq!(v(b"\xa3avc1\x09"), picture(false, 0, &[9]));
}

fn frame(codec: AudioCodec, data: &'static [u8]) -> Result<Audio, FlvError> {
    Ok(Audio::Frame { codec, data: Bytes::from_static(data) })
}

#[test]
fn opus_and_mp3() {
    let head = Audio::Config { codec: AudioCodec::Opus, record: Bytes::from_static(b"OpusHead") };
    assert_eq!(a(b"\x90OpusOpusHead"), Ok(head));
    assert_eq!(a(b"\x91Opus\xfc\x01"), frame(AudioCodec::Opus, &[0xfc, 1]));
    assert_eq!(a(b"\x92Opus"), Ok(Audio::Nothing));
    assert_eq!(a(b"\x91.mp3\xff\xfb"), frame(AudioCodec::Mp3, &[0xff, 0xfb]));
    assert_eq!(a(b"\x90.mp3"), Ok(Audio::Nothing));
    assert_eq!(a(&[0x2f, 0xff, 0xfb]), frame(AudioCodec::Mp3, &[0xff, 0xfb]));
    assert_eq!(a(&[0xee, 0xff, 0xe3]), frame(AudioCodec::Mp3, &[0xff, 0xe3]));
    assert_eq!(a(&[0x2f]), Ok(Audio::Nothing));
    assert!(a(b"\x93Opus").is_err());
}

#[test]
fn aac_in_both_headers() {
    assert_eq!(
        a(&[0xaf, 0, 0x12, 0x10]),
        Ok(Audio::Config { codec: AudioCodec::Aac, record: Bytes::from_static(&[0x12, 0x10]) })
    );
    assert_eq!(a(&[0xaf, 1, 7]), frame(AudioCodec::Aac, &[7]));
    assert_eq!(a(&[0xaf, 1]), Ok(Audio::Nothing));
    assert_eq!(a(&[]), Ok(Audio::Nothing));
    assert_eq!(
        a(b"\x90mp4a\x12\x10"),
        Ok(Audio::Config { codec: AudioCodec::Aac, record: Bytes::from_static(&[0x12, 0x10]) })
    );
    assert_eq!(a(b"\x91mp4a\x07"), frame(AudioCodec::Aac, &[7]));
}

#[test]
fn hevc_and_av1() {
    assert_eq!(v(b"\x90hvc1\x01\x02"), config(VideoCodec::Hevc, &[1, 2]));
    assert_eq!(v(b"\x91hvc1\x00\x00\x21\x09"), of(VideoCodec::Hevc, true, 33, 0, &[9]));
    assert_eq!(v(b"\xa1hvc1\xff\xff\xff\x09"), of(VideoCodec::Hevc, false, -1, 0, &[9]));
    assert_eq!(v(b"\xa3hvc1\x09"), of(VideoCodec::Hevc, false, 0, 0, &[9]));
    assert_eq!(v(b"\x90av01"), Ok(Video::Nothing));
    assert_eq!(v(b"\x90av01\x81\x00"), config(VideoCodec::Av1, &[0x81, 0]));
    // AV1 has no composition time, in neither packet type.
    assert_eq!(v(b"\x91av01\x12\x00\x0a"), of(VideoCodec::Av1, true, 0, 0, &[0x12, 0, 10]));
    assert_eq!(v(b"\xa3av01\x12\x00\x0a"), of(VideoCodec::Av1, false, 0, 0, &[0x12, 0, 10]));
    assert_eq!(v(b"\x92hvc1"), Ok(Video::End));
    // Metadata comes with a command's frame type too, and then has a FourCC; a command has none.
    assert_eq!(v(b"\xd4hvc1\x02\x00\x09colorInfo"), Ok(Video::Nothing));
    assert_eq!(v(b"\x94av01\x02\x00\x09colorInfo"), Ok(Video::Nothing));
    assert_eq!(v(b"\xd0\x01"), Ok(Video::Nothing));
    assert_eq!(v(b"\xd1\x00"), Ok(Video::Nothing));
    assert_eq!(v(b"\xd7\x00\xaa\xf1\x00"), Ok(Video::Nothing), "a command behind an extension");
    let kind = FlvError::PacketType { tag: Tag::Video, at: 0, kind: 5 };
    assert_eq!(v(b"\x95av01\x80\x04"), Err(kind));
}

#[test]
fn extensions_are_skipped_and_offsets_read() {
    // Three bytes of nanoseconds, then: type 0, coded frames.
    assert_eq!(
        v(b"\x97\x02\x07\xa1\x20\x01hvc1\x00\x00\x21\x09"),
        of(VideoCodec::Hevc, true, 33, 500_000, &[9])
    );
    // An unknown extension (type 15) of one byte, then an offset, then frames without composition time.
    assert_eq!(v(b"\xa7\x00\xaa\xf7\x02\x00\x00\x07\x03avc1\x09"), of(VideoCodec::Avc, false, 0, 7, &[9]));
    // 256 bytes: the size takes two more bytes.
    let mut long = b"\x97\xff\x00\xff".to_vec();
    long.extend([0x55; 256]);
    long.extend(b"\x10hvc1\x07");
    assert_eq!(video(&Bytes::from(long.clone())), config(VideoCodec::Hevc, &[7]));
    for cut in 1..long.len() - 5 {
        assert!(matches!(video(&Bytes::copy_from_slice(&long[..cut])), Err(FlvError::Cut { .. })), "{cut}");
    }
    // 300 of an extension that is not known, then an offset.
    let chain =
        [&[0x97, 0xff, 1, 43][..], &[9; 300], b"\x37\x02\x00\x01\x02\x01avc1\x00\x00\x21\x09"].concat();
    assert_eq!(video(&Bytes::from(chain)), of(VideoCodec::Avc, true, 33, 258, &[9]));
    // An offset of a millisecond or more is none.
    assert_eq!(v(b"\x97\x02\x0f\x42\x40\x03hvc1\x09"), of(VideoCodec::Hevc, true, 0, 0, &[9]));
    assert_eq!(a(b"\x97\x02\x07\xa1\x20\x01mp4a\x07"), frame(AudioCodec::Aac, &[7]));
    // A chain without end.
    let endless = Bytes::from([&[0x97][..], &[0, 0, 7].repeat(40)].concat());
    assert!(video(&endless).is_err() && audio(&endless).is_err());
}

#[test]
fn several_tracks_are_refused() {
    let verdict = v(b"\x96\x00hvc1\x01").unwrap_err().verdict().unwrap();
    assert_eq!(verdict.code, Code::VideoCodec);
    assert_eq!(
        verdict.message,
        "the stream has several video tracks; turn multitrack video (in OBS: Settings, Stream) off."
    );
    let verdict = a(b"\x95\x00mp4a\x01").unwrap_err().verdict().unwrap();
    assert_eq!(verdict.code, Code::AudioCodec);
    // Also behind an extension.
    assert_eq!(v(b"\x97\x00\xaa\xf6\x01hvc1\x07"), Err(FlvError::Multitrack(Tag::Video)));
    // Many tracks, of one coding and of several; a wrapping in a wrapping.
    for several in
        [&b"\x96\x11avc1\x00\0\0\x01\x09"[..], b"\x96\x21avc1\x00\0\0\x01\x09", b"\x96\x06avc1\x00"]
    {
        assert_eq!(
            video(&Bytes::from_static(several)),
            Err(FlvError::Multitrack(Tag::Video)),
            "{several:x?}"
        );
    }
    for several in [&b"\x95\x10mp4a\x00\0\0\x01\x09"[..], b"\x95\x05mp4a\x00", b"\x95\x01Opus\x02\x09"] {
        assert_eq!(
            audio(&Bytes::from_static(several)),
            Err(FlvError::Multitrack(Tag::Audio)),
            "{several:x?}"
        );
    }
    assert_eq!(a(b"\x94mp4a\x01\x02"), Ok(Audio::Nothing));
}

#[test]
fn one_track_that_is_wrapped_is_read() {
    assert_eq!(v(b"\x96\x00hvc1\x00\x01\x02"), config(VideoCodec::Hevc, &[1, 2]));
    assert_eq!(v(b"\x96\x01avc1\x00\x00\x00\x21\x09"), picture(true, 33, &[9]));
    assert_eq!(v(b"\xa6\x03avc1\x00\x09"), picture(false, 0, &[9]));
    assert_eq!(v(b"\xa7\x02\x00\x00\x07\x06\x03avc1\x00\x09"), of(VideoCodec::Avc, false, 0, 7, &[9]));
    assert_eq!(v(b"\xd6\x04avc1\x00\x02\x00\x09colorInfo"), Ok(Video::Nothing));
    let config = Audio::Config { codec: AudioCodec::Opus, record: Bytes::from_static(b"OpusHead") };
    assert_eq!(a(b"\x95\x00Opus\x00OpusHead"), Ok(config));
    assert_eq!(a(b"\x95\x01mp4a\x00\x07"), frame(AudioCodec::Aac, &[7]));
    assert_eq!(a(b"\x97\x02\x07\xa1\x20\x05\x01mp4a\x00\x07"), frame(AudioCodec::Aac, &[7]));
    assert_eq!(a(b"\x95\x04mp4a\x00\x01\x02"), Ok(Audio::Nothing));
    assert_eq!(v(b"\x96\x01vp09\x00\x09").unwrap_err(), FlvError::VideoCodec("VP9 (vp09)".to_owned()));
    for cut in 1..7 {
        let cut = Bytes::copy_from_slice(&b"\x96\x01avc1\x00\x00\x00\x21\x09"[..cut]);
        assert!(matches!(video(&cut), Err(FlvError::Cut { .. })), "{cut:x?}");
        let cut = Bytes::copy_from_slice(&b"\x95\x01mp4a\x00\x07"[..cut.len()]);
        assert!(matches!(audio(&cut), Err(FlvError::Cut { .. })), "{cut:x?}");
    }
}

#[test]
fn other_codings_are_refused_by_name() {
    let verdict = v(b"\x91vp09\x00\x00\x00").unwrap_err().verdict().unwrap();
    assert_eq!(verdict.code, Code::VideoCodec);
    assert_eq!(verdict.message, "the video is VP9 (vp09); set the video encoder to H.264, HEVC or AV1.");
    let verdict = v(&[0x1c, 1]).unwrap_err().verdict().unwrap();
    assert_eq!(verdict.code, Code::VideoCodec);
    assert!(verdict.message.starts_with("the video is HEVC in an old FLV header; send it as Enhanced RTMP"));
    let verdict = a(&[0xbf, 1]).unwrap_err().verdict().unwrap();
    assert_eq!(verdict.code, Code::AudioCodec);
    assert_eq!(verdict.message, "the sound is Speex; set the audio encoder to AAC.");
    assert_eq!(a(b"\x91fLaC").unwrap_err(), FlvError::AudioCodec("FLAC".to_owned()));
    assert_eq!(
        v(b"\x91\x00\x01\x02\x03").unwrap_err(),
        FlvError::VideoCodec("of the unknown kind 00010203".to_owned())
    );
}

#[test]
fn damage_says_where() {
    assert_eq!(
        v(&[0x17]).unwrap_err().to_string(),
        "the video tag ends at byte 1, within its AVC packet type"
    );
    assert_eq!(
        v(&[0x17, 1, 0]).unwrap_err().to_string(),
        "the video tag ends at byte 3, within its composition time"
    );
    assert_eq!(
        v(&[0x17, 9, 0, 0, 0]).unwrap_err().to_string(),
        "the video tag has the unknown packet type 9 at byte 1"
    );
    assert_eq!(v(&[0x17]).unwrap_err().verdict(), None);
    assert!(a(&[0xaf]).is_err() && a(&[0xaf, 9]).is_err() && a(&[0x91, b'm']).is_err());
}

#[test]
fn no_short_body_panics() {
    for first in 0..=u8::MAX {
        for length in 1..9 {
            for fill in [0, 1, 2, 3, 0xff] {
                let mut body = vec![fill; length];
                body[0] = first;
                let body = Bytes::from(body);
                let _ = (video(&body), audio(&body));
            }
        }
    }
}

/// Long enough for chains of extensions, short ones and such whose size takes more bytes.
#[test]
fn no_chain_of_extensions_panics() {
    for first in (0..=u8::MAX).filter(|first| first & 0x0f == 7 || first >> 4 == 9) {
        for fill in [0, 7, 0x77, 0xff] {
            for length in 1..600 {
                let mut body = vec![fill; length];
                body[0] = first;
                let body = Bytes::from(body);
                let _ = (video(&body), audio(&body));
            }
        }
    }
}
