//! Whole publishes, from FLV tag bodies to chunks.

mod any;
mod legal;
mod support;

use support::*;

use super::*;
use crate::{aac, chunk::AudioTrack, time::FrameRate, verdict::Code};

fn told(chunks: &[Chunk], what: impl Fn(&Transit) -> u32) -> Vec<u32> {
    chunks.iter().map(|chunk| what(chunk.header.transit.as_ref().unwrap())).collect()
}

#[test]
fn a_usual_show() {
    let mut feed = Feed::new(48_000);
    feed.show(10_000, 2_000);
    let chunks = feed.end();
    assert_eq!(chunks.len(), 5);
    for (n, chunk) in (0i64..).zip(&chunks) {
        let video = chunk.header.video.as_ref().unwrap();
        assert_eq!((video.start, video.end), (n * 180_000, (n + 1) * 180_000));
        assert_eq!(video.frame_rate, Some(FrameRate { num: 30, den: 1 }));
        assert_eq!((video.width, video.height, video.sizes.len()), (1280, 720, 60));
        assert_eq!(video.dts[0], video.start - 3_000);
        assert!(!chunk.header.discontinuity);
        let audio = chunk.header.audio.as_ref().unwrap();
        assert!((audio.start - n * 96_000).abs() <= 1024, "{}", audio.start);
        assert_eq!(chunk.video_samples()[0][4], 0x65);
    }
    let frames: usize = chunks.iter().map(|c| c.audio_samples().len()).sum();
    assert_eq!(frames, 469);
    // The sound ends a little before the last picture does.
    assert_eq!(feed.assembler.stats().gop.sound, gop::SoundStats { silent: 1, ..gop::SoundStats::default() });
}

#[test]
fn who_sends_nothing_that_can_be_read_is_told() {
    let unreadable = |feed: &mut Feed, ms| {
        // A picture in the coding of before it was named.
        feed.raw(at(ms), Kind::Video, ms, vec![0x27]);
        feed.assembler.tick(at(ms))
    };
    let mut feed = Feed::new(48_000);
    for ms in (0..8_000).step_by(40) {
        assert_eq!(unreadable(&mut feed, ms), Ok(()), "at {ms}");
    }
    assert_eq!(unreadable(&mut feed, 8_000).unwrap_err().code, Code::Unreadable);

    // Sound alone whose configuration has not come is nothing either.
    let mut feed = Feed::new(48_000);
    let mut sound = |ms| {
        feed.sound_at(ms, ms);
        feed.assembler.tick(at(ms))
    };
    for ms in (0..8_000).step_by(20) {
        assert_eq!(sound(ms), Ok(()), "at {ms}");
    }
    assert_eq!(sound(8_000).unwrap_err().code, Code::Unreadable);

    // Sound among it is enough.
    let mut feed = Feed::new(48_000);
    feed.configure_audio();
    for ms in (0..20_000).step_by(40) {
        feed.sound_at(ms, ms);
        assert_eq!(unreadable(&mut feed, ms), Ok(()), "at {ms}");
    }
}

#[test]
fn the_first_picture_is_time_0_and_a_later_publish_follows_the_wall_clock() {
    let mut feed = Feed::publish(2, 48_000);
    feed.availability_start = at(-61_500);
    feed.configure_audio();
    feed.sound_at(-60, 0);
    feed.sound_at(-20, 0);
    feed.show(4_000, 2_000);
    let chunks = feed.end();
    let video = chunks[0].header.video.as_ref().unwrap();
    assert_eq!(video.start, 61_500 * 90);
    assert!(chunks[0].header.discontinuity && !chunks[1].header.discontinuity);
    let audio = chunks[0].header.audio.as_ref().unwrap();
    assert_eq!((audio.start, audio.sizes.len()), (61_480 * 48, 95));

    let mut feed = Feed::publish(2, 48_000);
    feed.availability_start = at(-1_000);
    feed.not_before = Some(500_000);
    feed.show(4_000, 2_000);
    assert_eq!(feed.end()[0].header.video.as_ref().unwrap().start, 500_000);
}

#[test]
fn chunks_wait_for_the_start_and_then_all_come() {
    let mut feed = Feed::new(48_000);
    feed.answer = false;
    feed.show(20_000, 2_000);
    assert!(feed.chunks.is_empty() && feed.assembler.blocked());
    feed.assembler.started(at(0), None);
    assert_eq!(feed.end().len(), 10);
}

#[test]
fn missing_sound_becomes_silence() {
    let mut feed = Feed::new(44_100);
    feed.drop_sound = Some(3_000..7_000);
    feed.show(12_000, 2_000);
    let chunks = feed.end();
    assert_eq!(chunks.len(), 6);
    let silent = aac::silence(2);
    for (n, chunk) in chunks.iter().enumerate() {
        let share = chunk.audio_samples().iter().filter(|s| **s == silent).count() * 100
            / chunk.audio_samples().len();
        let expected = match n {
            1 => 45..=55,
            2 => 100..=100,
            3 => 45..=55,
            5 => 0..=2,
            _ => 0..=0,
        };
        assert!(expected.contains(&share), "chunk {n}: {share} % silence");
    }
    // The sound that follows is where its stamps are.
    let last: &AudioTrack = chunks[5].header.audio.as_ref().unwrap();
    assert!((last.start - 441_000).abs() <= 1024 + 45, "{}", last.start);
}

#[test]
fn sound_that_never_comes_is_silence_from_the_start() {
    let mut feed = Feed::new(48_000);
    feed.drop_sound = Some(0..i64::MAX);
    feed.show(8_000, 2_000);
    let chunks = feed.end();
    assert_eq!(chunks.len(), 4);
    assert_eq!(chunks[0].header.audio.as_ref().unwrap().start, 0);
}

#[test]
fn a_show_of_sound_alone_at_any_rate() {
    // 96 000 a second are more than the ticks of a picture's clock.
    for rate in [44_100, 48_000, 96_000] {
        let mut feed = Feed::new(rate);
        feed.configure_audio();
        let frames = 20 * rate / 1024;
        for frame in 0..frames {
            let ms = frame * 1_024_000 / rate;
            feed.sound_at(ms, ms);
        }
        assert!(feed.chunks.len() >= 5, "{rate}: {} chunks while it goes on", feed.chunks.len());
        let chunks = feed.end();
        let tracks: Vec<_> = chunks.iter().filter_map(|chunk| chunk.header.audio.as_ref()).collect();
        assert_eq!(tracks.len(), chunks.len());
        assert_eq!((tracks[0].start, tracks[tracks.len() - 1].end), (0, frames * 1024), "{rate}");
        assert_eq!(feed.assembler.stats().gop.sound, gop::SoundStats::default(), "{rate}");
    }
}

#[test]
fn sound_that_changes_while_pictures_pause_is_heard() {
    let mut feed = Feed::new(48_000);
    feed.show(4_000, 2_000);
    feed.drop_pictures = true;
    feed.show(5_000, 2_000);
    feed.sample_rate = 44_100;
    feed.configure_audio();
    feed.show(30_000, 2_000);
    let heard = feed.chunks.iter().filter_map(|chunk| chunk.header.audio.as_ref());
    let end = heard.clone().last().map(|track| rescale(track.end, track.sample_rate, 1000));
    assert!(end >= Some(25_000), "while it goes on, sound is out up to {end:?} ms");
    let chunks = feed.end();
    let alone: Vec<_> = chunks
        .iter()
        .filter(|chunk| chunk.header.video.is_none())
        .filter_map(|c| c.header.audio.as_ref())
        .collect();
    let rates: Vec<_> = alone.iter().map(|track| track.sample_rate).collect();
    assert!(rates[0] == 48_000 && rates[1..].iter().all(|rate| *rate == 44_100), "{rates:?}");
    let end = alone.last().map(|track| rescale(track.end, track.sample_rate, 1000));
    assert!(end.is_some_and(|end| (29_900..=30_100).contains(&end)), "{end:?}");
    assert!(feed.assembler.stats().gop.sound.left_out <= 1, "{:?}", feed.assembler.stats());
}

/// A show with GOPs of so many ms whose sound, of all its time, comes from 900 ms on: its chunks, and what became of the sound.
fn sound_from_900_ms_on(gop: i64) -> (Vec<Chunk>, gop::SoundStats) {
    let mut feed = Feed::new(0);
    feed.show(900, gop);
    feed.sample_rate = 48_000;
    feed.configure_audio();
    for frame in 0..=42 {
        feed.sound_at(frame * 1024 / 48, 900);
    }
    feed.show(6_000, gop);
    let chunks = feed.end();
    (chunks, feed.assembler.stats().gop.sound)
}

#[test]
fn sound_that_is_configured_within_the_first_gop_is_in_its_chunk() {
    let (chunks, sound) = sound_from_900_ms_on(2_000);
    let starts: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk.header.audio.as_ref()).map(|track| track.start).collect();
    assert_eq!((starts.len(), starts[0]), (chunks.len(), 0), "{starts:?}");
    assert!(sound.left_out <= 1 && sound.silent <= 2, "{sound:?}");
}

#[test]
fn sound_that_is_configured_after_the_first_gop_begins_with_the_second() {
    let (chunks, sound) = sound_from_900_ms_on(500);
    assert_eq!(chunks[0].header.audio, None);
    let tracks: Vec<_> = chunks[1..].iter().filter_map(|chunk| chunk.header.audio.as_ref()).collect();
    assert_eq!(tracks.len(), chunks.len() - 1);
    let early = 24_000 - tracks[0].start;
    assert!((0..1024).contains(&early), "{early} samples before the pictures");
    // What lies before is not shown: the pictures of that time have gone without.
    assert!((22..=24).contains(&sound.left_out) && sound.silent <= 2, "{sound:?}");
}

#[test]
fn sound_that_begins_behind_the_first_picture_has_silence_before_it() {
    let mut feed = Feed::new(48_000);
    feed.drop_sound = Some(0..700);
    feed.show(4_000, 2_000);
    let chunks = feed.end();
    let audio = chunks[0].header.audio.as_ref().unwrap();
    assert_eq!(audio.start, 0);
    let silent = aac::silence(2);
    let first = chunks[0].audio_samples().iter().position(|sample| *sample != silent).unwrap();
    let first: u32 = audio.durations[..first].iter().sum();
    assert!((33_600..33_600 + 1024 + 48).contains(&first), "{first}");
    assert_eq!(feed.assembler.stats().gop.sound.left_out, 0);
}

#[test]
fn a_few_bytes_that_claim_days_bring_no_days_of_silence() {
    let mut feed = Feed::new(48_000);
    feed.configure_audio();
    for frame in 0..20_000 {
        feed.sound_at(frame * 9_900, 0);
    }
    let stats = feed.assembler.stats();
    assert!(stats.jumps > 19_000, "{stats:?}");
    assert!(stats.gop.sound.silent < 150 * 48_000 / 1024, "{stats:?}");
}

#[test]
fn a_show_without_sound_waits_for_none() {
    let mut feed = Feed::new(0);
    feed.show(4_100, 2_000);
    assert_eq!(feed.chunks.len(), 2, "the second chunk is out as soon as the third GOP begins");
    let chunks = feed.end();
    assert_eq!(chunks.len(), 3);
    assert!(chunks.iter().all(|c| c.header.audio.is_none()));
    let last = chunks[2].header.video.as_ref().unwrap();
    assert_eq!(last.end - last.start, 3 * 3000);
}

#[test]
fn a_show_without_pictures_is_cut_every_two_seconds() {
    let mut feed = Feed::new(48_000);
    feed.configure_audio();
    for n in 0..500 {
        feed.sound_at(n * 1024 / 48, n * 1024 / 48);
    }
    let chunks = feed.end();
    assert_eq!(chunks.len(), 6);
    assert!(chunks.iter().all(|c| c.header.video.is_none() && c.header.audio.is_some()));
    assert_eq!(chunks[0].header.audio.as_ref().unwrap().start, 0);
}

#[test]
fn pictures_that_stop_and_return() {
    let mut feed = Feed::new(48_000);
    feed.show(4_000, 2_000);
    feed.drop_pictures = true;
    feed.show(20_000, 2_000);
    feed.drop_pictures = false;
    feed.show(24_000, 2_000);
    let chunks = feed.end();
    let without: Vec<bool> = chunks.iter().map(|c| c.header.video.is_none()).collect();
    assert_eq!(without.iter().filter(|w| **w).count(), 8, "{without:?}");
    assert!(chunks.iter().all(|c| c.header.audio.is_some()));
    let back = chunks.iter().rposition(|c| c.header.video.is_none()).unwrap() + 1;
    assert!(chunks[back].header.discontinuity);
    assert_eq!(chunks[back].header.video.as_ref().unwrap().start, 20_000 * 90);
    // The sound never stopped.
    for pair in chunks.windows(2) {
        let (a, b) = (pair[0].header.audio.as_ref().unwrap(), pair[1].header.audio.as_ref().unwrap());
        assert_eq!(a.end, b.start);
    }
    // Nothing covers the place of the pictures that return; a frame had not come when they did.
    let alone = chunks[back - 1].header.audio.as_ref().unwrap();
    assert!((20_000 * 48 - 2 * 1024..=20_000 * 48).contains(&alone.end), "{}", alone.end);
}

#[test]
fn a_new_size_cuts_at_its_idr_picture() {
    let mut feed = Feed::new(48_000);
    feed.show(3_000, 2_000);
    feed.record = P1080;
    feed.configure_video();
    feed.show(7_000, 2_000);
    let chunks = feed.end();
    let widths: Vec<u32> = chunks.iter().map(|c| c.header.video.as_ref().unwrap().width).collect();
    assert_eq!(widths, [1280, 1280, 1920, 1920]);
    assert!(chunks.iter().all(|c| !c.header.discontinuity));
}

#[test]
fn a_new_kind_of_sound_comes_with_the_next_gop() {
    let mut feed = Feed::new(48_000);
    feed.show(4_500, 2_000);
    feed.sample_rate = 44_100;
    feed.configure_audio();
    feed.show(10_000, 2_000);
    let chunks = feed.end();
    let rates: Vec<u32> = chunks.iter().map(|c| c.header.audio.as_ref().unwrap().sample_rate).collect();
    assert_eq!(rates, [48_000, 48_000, 48_000, 44_100, 44_100]);
    let (old, new) = (chunks[2].header.audio.as_ref().unwrap(), chunks[3].header.audio.as_ref().unwrap());
    assert!((rescale(old.end, 48_000, 44_100) - new.start).abs() <= 1);
}

#[test]
fn idr_pictures_close_together_are_one_chunk() {
    let mut feed = Feed::new(48_000);
    feed.show(4_000, 100);
    let chunks = feed.end();
    assert_eq!(chunks.len(), 8);
    assert!(chunks.iter().all(|c| c.header.video.as_ref().unwrap().sizes.len() == 15));
}

#[test]
fn a_jump_of_the_publishers_clock_is_bridged_and_told() {
    for jump in [3_600_000, -3_000_000, 0x7fff_0000] {
        let mut feed = Feed::new(48_000);
        feed.base = 4_000_000;
        feed.show(5_000, 2_000);
        feed.base += jump;
        feed.show(10_000, 2_000);
        let chunks = feed.end();
        assert_eq!(chunks.len(), 5);
        assert_eq!(told(&chunks, |transit| transit.jumps), [0, 0, 1, 0, 0]);
        let end = chunks[4].header.video.as_ref().unwrap().end;
        assert!((end - 900_000).abs() <= 9_000, "{jump}: {end}");
    }
}

#[test]
fn stamps_wrap_around_unnoticed() {
    let mut feed = Feed::new(48_000);
    feed.base = i64::from(u32::MAX) - 5_000;
    feed.show(10_000, 2_000);
    let chunks = feed.end();
    assert_eq!(chunks.len(), 5);
    assert_eq!(chunks[4].header.video.as_ref().unwrap().end, 900_000);
    assert_eq!(told(&chunks, |transit| transit.jumps).iter().sum::<u32>(), 0);
}

#[test]
fn a_lasting_lag_is_given_up_and_told() {
    let mut feed = Feed::new(48_000);
    feed.show(6_000, 2_000);
    feed.late = 5_000;
    feed.show(30_000, 2_000);
    let chunks = feed.end();
    assert_eq!(told(&chunks, |transit| transit.resets).iter().sum::<u32>(), 1);
    let breaks: Vec<_> = chunks.iter().filter(|c| c.header.discontinuity).collect();
    assert_eq!(breaks.len(), 1);
    let (video, audio) = (breaks[0].header.video.as_ref().unwrap(), breaks[0].header.audio.as_ref().unwrap());
    assert_eq!(video.start % 90_000, 0);
    assert!((rescale(audio.start, 48_000, 90_000) - video.start).abs() <= 2_000);
    let last = chunks.last().unwrap().header.video.as_ref().unwrap();
    assert_eq!(last.end, 35_000 * 90);
}

#[test]
fn a_stall_that_is_caught_up_with_changes_nothing() {
    let mut feed = Feed::new(48_000);
    feed.show(6_000, 2_000);
    // Nothing arrives for 20 s, then everything at five times its speed.
    for second in 6..30 {
        feed.late = (26_000 - second * 1_000 + (second - 6) * 200).max(0);
        feed.show((second + 1) * 1_000, 2_000);
    }
    feed.late = 0;
    feed.show(60_000, 2_000);
    let chunks = feed.end();
    assert_eq!(told(&chunks, |transit| transit.jumps + transit.resets).iter().sum::<u32>(), 0);
    assert!(chunks.iter().all(|chunk| !chunk.header.discontinuity));
    assert_eq!(chunks.last().unwrap().header.video.as_ref().unwrap().end, 60_000 * 90);
}

#[test]
fn a_pause_is_a_hole_not_a_held_picture() {
    let mut feed = Feed::new(48_000);
    feed.show(5_000, 2_000);
    feed.now = 11_000;
    feed.show(15_000, 2_000);
    let chunks = feed.end();
    let breaks: Vec<_> = chunks.iter().filter(|c| c.header.discontinuity).collect();
    assert_eq!(breaks.len(), 1);
    assert_eq!(breaks[0].header.video.as_ref().unwrap().start, 12_000 * 90);
}

#[test]
fn long_and_open_gops_are_refused_with_their_reason() {
    let mut feed = Feed::new(48_000);
    feed.show(9_990, 20_000);
    assert_eq!(feed.verdict, None);
    feed.show(10_100, 20_000);
    assert_eq!(feed.verdict.as_ref().map(|v| v.code), Some(Code::GopTooLong));

    let mut feed = Feed::new(48_000);
    feed.false_keyframes = true;
    feed.show(10_100, 20_000);
    assert_eq!(feed.verdict.as_ref().map(|v| v.code), Some(Code::OpenGop));

    // Exactly ten seconds is taken: 250 frames at 25.
    let mut feed = Feed::new(48_000);
    feed.show(30_000, 10_000);
    assert_eq!((feed.verdict.clone(), feed.end().len()), (None, 3));
}

#[test]
fn pictures_without_a_start_are_left_out_then_refused() {
    let mut feed = Feed::new(48_000);
    feed.configure_video();
    for n in 0..150 {
        feed.picture_at(n * 33, n * 33, 0, false);
    }
    assert_eq!(feed.assembler.stats().gop.left_out, 150);
    feed.picture_at(10_100, 10_100, 0, false);
    assert_eq!(feed.verdict.as_ref().map(|v| v.code), Some(Code::NoKeyframe));
}

/// A stamp that goes back behind the key frame's is wrong; the picture is not, and others refer to it.
#[test]
fn a_picture_stamped_before_its_key_frame_is_kept() {
    let mut feed = Feed::new(0);
    feed.configure_video();
    for n in 0..60 {
        let wrong = if n % 30 == 1 { 200 } else { 0 };
        feed.picture_at(1_000 + n * 33, 1_000 + n * 33 - wrong, 0, n % 30 == 0);
    }
    let chunks = feed.end();
    let pictures: usize = chunks.iter().map(|chunk| chunk.video_samples().len()).sum();
    assert_eq!((pictures, feed.assembler.stats().gop.left_out), (60, 0));
}

/// By their stamps, and on arrival for a publisher whose clock stands.
#[test]
fn pictures_without_a_configuration_are_refused_soon() {
    for stamped in [true, false] {
        let mut feed = Feed::new(48_000);
        for n in 0..=120 {
            feed.picture_at(n * 33, if stamped { n * 33 } else { 0 }, 0, n % 30 == 0);
            assert_eq!(feed.verdict, None, "{n}");
        }
        feed.picture_at(4_100, if stamped { 4_100 } else { 0 }, 0, true);
        assert_eq!(feed.verdict.as_ref().map(|v| v.code), Some(Code::VideoConfig), "{stamped}");
    }
}

#[test]
fn parameter_sets_in_tags_of_their_own_go_with_the_next_picture() {
    let mut feed = Feed::new(0);
    feed.show(1_000, 2_000);
    feed.raw(at(1_000), Kind::Video, 1_000, vec![0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x06, 0x05]);
    feed.show(2_000, 2_000);
    let chunks = feed.end();
    let samples = chunks[0].video_samples();
    assert_eq!(samples.len(), 60);
    assert_eq!(samples[30][..6], [0, 0, 0, 2, 0x06, 0x05]);
}

#[test]
fn refusals_come_through() {
    let mut feed = Feed::new(48_000);
    feed.raw(at(0), Kind::Video, 0, b"\x90vp09".to_vec());
    assert_eq!(feed.verdict.as_ref().map(|v| v.code), Some(Code::VideoCodec));
    let mut feed = Feed::new(48_000);
    feed.raw(at(0), Kind::Audio, 0, vec![0xaf, 0, 0x12, 0x58]);
    assert_eq!(feed.verdict.as_ref().map(|v| v.code), Some(Code::AudioFormat));
    let mut feed = Feed::new(48_000);
    feed.raw(at(0), Kind::Video, 0, vec![0x17, 0, 0, 0, 0, 1, 2, 3]);
    assert_eq!(feed.verdict.as_ref().map(|v| v.code), Some(Code::VideoProfile));
    let mut feed = Feed::new(48_000);
    feed.raw(at(0), Kind::Video, 0, vec![0x17]);
    assert_eq!((feed.verdict.clone(), feed.assembler.stats().damaged), (None, 1));
}

#[test]
fn two_hours_stay_in_step() {
    let mut feed = Feed::new(44_100);
    feed.keep = 1;
    feed.show(2 * 3600 * 1000, 2_000);
    let chunks = feed.end();
    let header = &chunks.last().unwrap().header;
    let (video, audio) = (header.video.as_ref().unwrap(), header.audio.as_ref().unwrap());
    assert_eq!(video.end, 2 * 3600 * 90_000);
    assert!((audio.end - 2 * 3600 * 44_100).abs() <= 1024);
    assert_eq!(audio.start % 1024, 0, "counted without one correction");
}
