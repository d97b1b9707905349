//! Whatever a publisher stamps and sends: chunks stay valid, chained and numbered, and nothing panics.

use proptest::prelude::*;

use super::support::*;

#[derive(Debug, Clone)]
enum Step {
    /// Milliseconds of an orderly show with GOPs of so many ms.
    Show(i64, i64),
    /// The publisher's clock jumps.
    Jump(i64),
    /// Time passes and nothing comes.
    Pause(i64),
    /// The network holds back, or lets go.
    Late(i64),
    Sound(bool),
    Pictures(bool),
    ChangeVideo,
    ChangeAudio,
    /// A picture out of the blue: stamp offset, composition offset, whether an IDR picture.
    Picture(i64, i32, bool),
    Frame(i64),
    Bytes(bool, Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (100i64..6_000, prop_oneof![Just(100i64), Just(1_000), Just(2_000), Just(8_000)]).prop_map(|(l, g)| Step::Show(l, g)),
        1 => prop_oneof![-5_000_000i64..5_000_000, -800i64..800, Just(0x7fff_ffff), Just(0x8000_0000)].prop_map(Step::Jump),
        1 => (0i64..15_000).prop_map(Step::Pause),
        1 => (-500i64..8_000).prop_map(Step::Late),
        1 => any::<bool>().prop_map(Step::Sound),
        1 => any::<bool>().prop_map(Step::Pictures),
        1 => Just(Step::ChangeVideo),
        1 => Just(Step::ChangeAudio),
        2 => (-3_000i64..3_000, prop_oneof![-100i32..300, any::<i16>().prop_map(i32::from), -8_388_608i32..8_388_607], any::<bool>())
            .prop_map(|(ms, c, idr)| Step::Picture(ms, c, idr)),
        2 => (-3_000i64..3_000).prop_map(Step::Frame),
        1 => (any::<bool>(), prop::collection::vec(any::<u8>(), 0..12)).prop_map(|(v, b)| Step::Bytes(v, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_are_valid_and_chained(
        base in prop_oneof![Just(0i64), Just(i64::from(u32::MAX) - 3_000), 0i64..i64::from(u32::MAX)],
        rate in prop_oneof![Just(0i64), Just(44_100), Just(48_000), Just(96_000)],
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let mut feed = Feed::new(rate);
        feed.base = base;
        feed.orderly = false;
        for step in steps {
            let now = feed.now;
            match step {
                Step::Show(length, gop) => feed.show(now + length, gop),
                Step::Jump(by) => feed.base += by,
                Step::Pause(length) => feed.now += length,
                // Arrivals never go back.
                Step::Late(by) => feed.late = (feed.late + by).max(feed.late - 30).max(0),
                Step::Sound(on) => feed.drop_sound = (!on).then_some(0..i64::MAX),
                Step::Pictures(on) => feed.drop_pictures = !on,
                Step::ChangeVideo => {
                    feed.record = if feed.record == P720 { P1080 } else { P720 };
                    feed.configure_video();
                }
                Step::ChangeAudio => {
                    feed.sample_rate = if feed.sample_rate == 44_100 { 48_000 } else { 44_100 };
                    feed.configure_audio();
                }
                Step::Picture(ms, composition, idr) => {
                    feed.picture_at(now + ms, now, i64::from(composition), idr);
                }
                Step::Frame(ms) => feed.sound_at(now + ms, now),
                Step::Bytes(video, bytes) => {
                    feed.raw(at(now), if video { Kind::Video } else { Kind::Audio }, now, bytes);
                }
            }
            let now = feed.now;
            let readable = feed.assembler.tick(at(now)).is_ok();
            feed.drain();
            if !readable {
                break;
            }
        }
        feed.end();
    }
}
