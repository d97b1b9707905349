//! The session: commands and their answers, decisions, what is refused and how, media in and around a publish.

use bytes::Bytes;
use media::flv;

use super::super::amf0::{self, Value, encode};
use super::super::command::{PublishKind, StatusLevel};
use super::super::error::{ErrorKind, NotPending};
use super::super::event::{EndReason, Event};
use super::super::limits::Limits;
use super::super::message::type_id;
use super::super::reason::Reason;
use super::aggregates::tag;
use super::peer::{Peer, URL, text};
use super::sender::message;

pub(super) fn video(timestamp: u32) -> Event {
    Event::Video { timestamp, payload: Bytes::from_static(b"frame") }
}

pub(super) fn send_video(peer: &mut Peer, stream_id: u32, timestamp: u32) {
    peer.message(6, &message(type_id::VIDEO, stream_id, timestamp, &b"frame"[..])).unwrap();
}

fn unpublished() -> Event {
    Event::PublishEnded { reason: EndReason::Unpublished }
}

pub(super) fn codes(peer: &mut Peer) -> Vec<String> {
    peer.statuses().into_iter().map(|(name, code, _)| format!("{name} {code}")).collect()
}

#[test]
fn connect_is_answered_in_order() {
    let mut peer = Peer::shaken(Limits::default());
    let object =
        [("app", text("live/")), ("objectEncoding", Value::Number(3.0)), ("tcUrl", text("rtmp://host/live"))];
    let object = object.map(|(name, value)| (name.to_owned(), value)).to_vec();
    peer.command(0, &[text("connect"), Value::Number(1.0), Value::Object(object)]).unwrap();
    let types: Vec<_> = peer.replies.iter().map(|reply| reply.type_id).collect();
    // Set chunk size, between bandwidth and result, is obeyed by the reading side here and not seen.
    assert_eq!(types, [type_id::WINDOW_ACK_SIZE, type_id::SET_PEER_BANDWIDTH, type_id::COMMAND_AMF0]);
    let commands = peer.commands();
    let (stream, values) = &commands[0];
    assert_eq!((*stream, &values[..2]), (0, &[text("_result"), Value::Number(1.0)][..]));
    assert_eq!(values[3].get("code"), Some(&text("NetConnection.Connect.Success")));
    assert_eq!(values[3].get("objectEncoding"), Some(&Value::Number(0.0)));
    assert!(values.iter().all(|value| value.get("fourCcList").is_none()));
    assert_eq!(peer.events(), [Event::Connected { client: String::new() }]);
}

#[test]
fn whoever_speaks_enhanced_rtmp_is_told_what_is_taken() {
    let list = || Value::StrictArray(vec![text("hvc1"), text("vp09")]);
    for property in [("fourCcList", list()), ("capsEx", Value::Number(15.0))] {
        let mut peer = Peer::shaken(Limits::default());
        let object = [("app", text("live")), property].map(|(name, value)| (name.to_owned(), value)).to_vec();
        peer.command(0, &[text("connect"), Value::Number(1.0), Value::Object(object)]).unwrap();
        let (_, values) = &peer.commands()[0];
        let taken = Value::StrictArray(["avc1", "hvc1", "av01", "mp4a", "Opus", ".mp3"].map(text).to_vec());
        assert_eq!(values[2].get("fourCcList"), Some(&taken));
        assert_eq!(values[2].get("capsEx"), Some(&Value::Number(4.0)), "modifiers, and no multitrack");
        let map = |name: &str, coding: &str| values[2].get(name).unwrap().get(coding).cloned();
        for coding in ["avc1", "hvc1", "av01"] {
            assert_eq!(map("videoFourCcInfoMap", coding), Some(Value::Number(1.0)), "{coding}");
        }
        assert_eq!(map("videoFourCcInfoMap", "vp09"), None);
        for coding in ["mp4a", "Opus", ".mp3"] {
            assert_eq!(map("audioFourCcInfoMap", coding), Some(Value::Number(1.0)), "{coding}");
        }
    }
}

/// Clients choose by what they are told, and the list stands apart from the reader of the tags.
#[test]
fn what_is_announced_is_what_is_read() {
    let mut peer = Peer::shaken(Limits::default());
    let object = [("app", text("live")), ("capsEx", Value::Number(0.0))]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    peer.command(0, &[text("connect"), Value::Number(1.0), Value::Object(object)]).unwrap();
    let (_, values) = &peer.commands()[0];
    let video = ["avc1", "hvc1", "av01", "vp08", "vp09", "vvc1"];
    let audio = ["mp4a", "Opus", ".mp3", "ac-3", "ec-3", "fLaC"];
    let body = |four_cc: &str| Bytes::from([b"\x91", four_cc.as_bytes(), b"\0\0\0\x09"].concat());
    let read = video.map(|four_cc| flv::video(&body(four_cc)).is_ok());
    let read = read.into_iter().chain(audio.map(|four_cc| flv::audio(&body(four_cc)).is_ok()));
    for (four_cc, read) in video.into_iter().chain(audio).zip(read) {
        let map = if video.contains(&four_cc) { "videoFourCcInfoMap" } else { "audioFourCcInfoMap" };
        let announced = values[2].get(map).unwrap().get(four_cc).is_some();
        assert_eq!(announced, read, "{four_cc}");
    }
}

#[test]
fn another_application_is_refused_with_the_right_url() {
    for app in ["", "Live", "lives3cret", "app/live/s3cret", "app"] {
        let mut peer = Peer::shaken(Limits::default());
        peer.connect(app).unwrap();
        let statuses = peer.statuses();
        let (name, code, description) = &statuses[0];
        assert_eq!((name.as_str(), code.as_str()), ("_error", "NetConnection.Connect.Rejected"));
        assert!(description.starts_with("wrong-url: "), "{description}");
        assert!(description.contains(URL) && !description.contains("s3cret"), "{description}");
        assert_eq!(peer.events(), [Event::Refused { reason: Reason::WrongUrl }]);
        assert!(peer.closed);
        peer.bytes(&[0xFF; 100]).unwrap();
        assert_eq!(peer.events(), [], "input after the end is ignored");
    }
}

#[test]
fn a_whole_publish_in_the_fc_dialect() {
    let mut peer = Peer::connected(Limits::default());
    for (name, transaction) in [("releaseStream", 2.0), ("FCPublish", 3.0), ("createStream", 4.0)] {
        peer.command(0, &[text(name), Value::Number(transaction), Value::Null, text("key")]).unwrap();
    }
    let results: Vec<_> =
        peer.commands().into_iter().map(|(_, values)| (values[1].clone(), values[3].clone())).collect();
    let expected = [(2.0, Value::Null), (3.0, Value::Null), (4.0, Value::Number(1.0))];
    assert_eq!(results, expected.map(|(transaction, value)| (Value::Number(transaction), value)));

    peer.publish(1, "key?token=t").unwrap();
    assert!(peer.replies.is_empty(), "nothing is said before the decision");
    let events = peer.events();
    let [Event::PublishRequested(request)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((request.app.as_str(), request.key.reveal(), request.stream_id), ("live", "key", 1));
    assert_eq!((request.parameters.reveal("token"), request.kind), (Some("t"), PublishKind::Live));

    peer.session.accept_publish(peer.now).unwrap();
    peer.drain();
    assert_eq!(peer.replies[0], message(type_id::USER_CONTROL, 0, 0, vec![0, 0, 0, 0, 0, 1]), "stream begin");
    assert_eq!(codes(&mut peer), ["onFCPublish NetStream.Publish.Start", "onStatus NetStream.Publish.Start"]);
    assert_eq!(peer.session.accept_publish(peer.now), Err(NotPending));

    send_video(&mut peer, 1, 40);
    peer.message(4, &message(type_id::AUDIO, 1, 41, &b"sound"[..])).unwrap();
    let audio = Event::Audio { timestamp: 41, payload: Bytes::from_static(b"sound") };
    assert_eq!(peer.events(), [video(40), audio]);

    peer.session.notify_status(StatusLevel::Warning, "NetStream.Publish.Warning", "Too big.").unwrap();
    peer.drain();
    assert_eq!(codes(&mut peer), ["onStatus NetStream.Publish.Warning"]);

    peer.command(0, &[text("FCUnpublish"), Value::Number(5.0), Value::Null, text("key")]).unwrap();
    assert_eq!(
        codes(&mut peer),
        ["_result ", "onFCUnpublish NetStream.Unpublish.Success", "onStatus NetStream.Unpublish.Success"]
    );
    peer.command(0, &[text("deleteStream"), Value::Number(6.0), Value::Null, Value::Number(1.0)]).unwrap();
    assert_eq!(peer.events(), [unpublished()], "once");
    assert!(!peer.closed);
    assert_eq!(peer.session.notify_status(StatusLevel::Status, "a", "b"), Err(NotPending));
}

#[test]
fn a_publish_ends_by_delete_or_close_of_its_stream_and_may_begin_again() {
    let mut peer = Peer::live(Limits::default());
    peer.command(2, &[text("closeStream"), Value::Number(0.0), Value::Null]).unwrap();
    peer.command(0, &[text("deleteStream"), Value::Number(0.0), Value::Null, Value::Number(2.0)]).unwrap();
    assert_eq!(peer.events(), [], "other streams");
    peer.command(1, &[text("closeStream"), Value::Number(0.0), Value::Null]).unwrap();
    assert_eq!(peer.events(), [unpublished()]);

    peer.publish(1, "key").unwrap();
    peer.session.accept_publish(peer.now).unwrap();
    send_video(&mut peer, 1, 7);
    peer.command(0, &[text("deleteStream"), Value::Number(0.0), Value::Null, Value::Number(1.0)]).unwrap();
    let events = peer.events();
    assert!(
        matches!(&events[..], [Event::PublishRequested(_), seven, ended] if *seven == video(7) && *ended == unpublished())
    );

    // The stream is gone now.
    peer.publish(1, "key").unwrap();
    assert!(peer.closed);
}

/// Some clients ask for no stream, or name none when they publish: other servers do not look at the number.
#[test]
fn a_stream_is_taken_for_granted() {
    for (created, on, meant) in [(0, 0, 0), (0, 1, 1), (2, 0, 2), (2, 1, 1)] {
        let mut peer = Peer::connected(Limits::default());
        for _ in 0..created {
            peer.command(0, &[text("createStream"), Value::Number(2.0), Value::Null]).unwrap();
        }
        peer.publish(on, "key").unwrap();
        peer.session.accept_publish(peer.now).unwrap();
        peer.drain();
        peer.statuses();
        send_video(&mut peer, meant, 5);
        send_video(&mut peer, 0, 6);
        let events = peer.events();
        assert_eq!(events[events.len() - 2..], [video(5), video(6)], "{created} created, on {on}");

        let delete = |stream: u32| {
            [text("deleteStream"), Value::Number(0.0), Value::Null, Value::Number(f64::from(stream))]
        };
        peer.command(0, &delete(meant + 1)).unwrap();
        assert_eq!(peer.events(), [], "another stream");
        peer.command(0, &delete(meant)).unwrap();
        assert_eq!(peer.events(), [unpublished()], "{created} created, on {on}");
    }
}

#[test]
fn refusals_are_said_and_close() {
    let mut peer = Peer::publishing(Limits::default());
    peer.session.refuse_publish("NetStream.Publish.BadName", "Unknown stream key.").unwrap();
    peer.drain();
    let status = peer.statuses().pop().unwrap();
    assert_eq!(status, ("onStatus".into(), "NetStream.Publish.BadName".into(), "Unknown stream key.".into()));
    assert!(peer.closed);
    assert_eq!(peer.session.refuse_publish("a", "b"), Err(NotPending));
}

#[test]
fn no_key_is_refused_with_a_sentence() {
    for name in ["", "?a=b", "a\u{1}b"] {
        let mut peer = Peer::publishing(Limits::default());
        peer.command(1, &[text("closeStream"), Value::Number(0.0), Value::Null]).unwrap();
        peer.statuses();
        peer.publish(1, name).unwrap();
        let (_, code, description) = peer.statuses().pop().unwrap();
        assert_eq!(code, "NetStream.Publish.BadName");
        assert!(description.starts_with("unknown-key: "), "{description}");
        assert!(description.contains(URL) && description.contains("stream key"), "{description}");
        assert!(peer.closed);
    }
}

#[test]
fn a_second_publish_is_refused_and_the_first_goes_on() {
    let mut peer = Peer::live(Limits::default());
    peer.publish(1, "other").unwrap();
    assert_eq!(codes(&mut peer), ["onStatus NetStream.Publish.BadName"]);
    send_video(&mut peer, 1, 1);
    assert_eq!(peer.events(), [video(1)]);
}

#[test]
fn playing_is_refused() {
    let mut peer = Peer::connected(Limits::default());
    peer.command(0, &[text("getStreamLength"), Value::Number(7.0), Value::Null, text("key")]).unwrap();
    assert_eq!(codes(&mut peer), ["_error NetConnection.Call.Failed"]);
    peer.command(1, &[text("play"), Value::Number(0.0), Value::Null, text("key")]).unwrap();
    assert_eq!(codes(&mut peer), ["onStatus NetStream.Play.Failed"]);
    assert!(peer.closed);
}

#[test]
fn unknown_calls_get_an_error_only_if_they_want_an_answer() {
    let mut peer = Peer::connected(Limits::default());
    for (name, transaction) in [("_checkbw", 5.0), ("foo", 0.0), ("_result", 5.0), ("onStatus", 0.0)] {
        peer.command(0, &[text(name), Value::Number(transaction), Value::Null]).unwrap();
    }
    assert_eq!(codes(&mut peer), [""; 0]);
    peer.command(0, &[text("foo"), Value::Number(5.0), Value::Null]).unwrap();
    assert_eq!(codes(&mut peer), ["_error NetConnection.Call.Failed"]);
}

/// Commands with fewer values than usual, which other servers index into.
#[test]
fn short_commands_do_no_harm() {
    for command in ["publish", "deleteStream", "createStream", "FCPublish", "play", "closeStream", "foo"] {
        for values in [vec![text(command)], vec![text(command), Value::Number(4.0)]] {
            Peer::live(Limits::default()).command(1, &values).unwrap();
        }
    }
    let mut peer = Peer::shaken(Limits::default());
    peer.command(0, &[text("connect")]).unwrap();
    assert!(peer.closed);
}

#[test]
fn malformed_commands_end_the_connection() {
    let fault = |peer: &mut Peer, type_id: u8, payload: Vec<u8>| {
        let error = peer.message(3, &message(type_id, 0, 0, payload)).unwrap_err();
        assert!(peer.closed && error.offset > 3073);
        error.kind
    };
    let shaken = || Peer::shaken(Limits::default());
    let command = type_id::COMMAND_AMF0;
    assert_eq!(fault(&mut shaken(), command, vec![]), ErrorKind::CommandShape);
    assert_eq!(fault(&mut shaken(), command, vec![5]), ErrorKind::CommandShape);
    let named = encode(&[text("connect"), text("one")]).to_vec();
    assert_eq!(fault(&mut shaken(), command, named), ErrorKind::CommandShape);
    let publish = encode(&[text("publish"), Value::Number(1.0)]).to_vec();
    assert_eq!(fault(&mut shaken(), command, publish), ErrorKind::CommandBeforeConnect);
    let encoding = |kind, position| ErrorKind::CommandEncoding(amf0::Error { position, kind });
    assert_eq!(fault(&mut shaken(), type_id::COMMAND_AMF3, vec![1, 2]), ErrorKind::CommandShape);
    assert_eq!(fault(&mut shaken(), type_id::COMMAND_AMF3, vec![6]), encoding(amf0::Fault::Truncated, 1));
    assert_eq!(fault(&mut shaken(), command, vec![0x11]), encoding(amf0::Fault::Truncated, 1));

    // 50 to 100 kB of nested values before authentication.
    let mut nested = encode(&[text("connect"), Value::Number(1.0)]).to_vec();
    nested.extend_from_slice(&b"\x03\0\x01a".repeat(12_500));
    let too_deep = fault(&mut shaken(), command, nested.clone());
    assert!(matches!(too_deep, ErrorKind::CommandEncoding(amf0::Error { kind: amf0::Fault::TooDeep, .. })));
    nested.extend_from_slice(&b"\x03\0\x01a".repeat(12_500));
    let length = nested.len();
    assert_eq!(fault(&mut shaken(), command, nested), ErrorKind::CommandTooLarge { length, limit: 65_536 });
}

#[test]
fn amf3_commands_with_amf0_inside_are_understood() {
    let mut peer = Peer::connected(Limits::default());
    let mut payload = vec![0];
    payload.extend_from_slice(&encode(&[text("createStream"), Value::Number(2.0), Value::Null]));
    peer.message(3, &message(type_id::COMMAND_AMF3, 0, 0, payload)).unwrap();
    assert_eq!(peer.commands()[0].1[3], Value::Number(1.0));
}

/// A whole publish in AMF3 from the first byte of each message on, and with AMF3 values behind AMF0's switch marker.
#[test]
fn commands_in_amf3_are_understood() {
    let text = |text: &str| [&[6, u8::try_from(text.len() * 2 + 1).unwrap()], text.as_bytes()].concat();
    // Anonymous, dynamic: app, flashVer, then the end.
    let object =
        [&b"\x0A\x0B\x01\x07app"[..], &text("live"), b"\x11flashVer", &text("test"), b"\x01"].concat();
    let int = |n: u8| vec![4, n];
    let null = || vec![1];
    for bare in [true, false] {
        let mut peer = Peer::shaken(Limits::default());
        let mut send = |stream: u32, values: &[Vec<u8>]| {
            let payload = if bare {
                values.concat()
            } else {
                [vec![0], values.iter().flat_map(|value| [&[0x11], &value[..]].concat()).collect()].concat()
            };
            peer.message(3, &message(type_id::COMMAND_AMF3, stream, 0, payload)).unwrap();
        };
        send(0, &[text("connect"), int(1), object.clone()]);
        send(0, &[text("createStream"), int(2), null()]);
        send(1, &[text("publish"), int(3), null(), text("key"), text("live")]);
        let events = peer.events();
        let [Event::Connected { client }, Event::PublishRequested(request)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((client.as_str(), request.key.reveal()), ("test", "key"));
    }
}

/// The application may be told in tcUrl only, and a key in either.
#[test]
fn careless_clients_get_in() {
    let mut peer = Peer::shaken(Limits::default());
    let object = vec![("tcUrl".to_owned(), text("rtmp://host:1935/live/key"))];
    peer.command(0, &[text("connect"), Value::Number(1.0), Value::Object(object)]).unwrap();
    peer.publish(1, "").unwrap();
    let events = peer.events();
    let [_, Event::PublishRequested(request)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((request.key.reveal(), request.stream_id), ("key", 1));

    // Data on stream 0, of a publish on stream 1.
    let mut peer = Peer::live(Limits::default());
    let values = [text("@setDataFrame"), text("onMetaData"), Value::Object(vec![])];
    peer.message(4, &message(type_id::DATA_AMF0, 0, 0, encode(&values))).unwrap();
    assert!(matches!(&peer.events()[..], [Event::Metadata(_)]));
}

#[test]
fn a_request_can_be_taken_back() {
    let mut peer = Peer::publishing(Limits::default());
    peer.events.clear();
    send_video(&mut peer, 1, 0);
    peer.command(0, &[text("deleteStream"), Value::Number(0.0), Value::Null, Value::Number(1.0)]).unwrap();
    assert_eq!(peer.events(), [unpublished()], "and what was held back is gone");
    assert_eq!(peer.session.accept_publish(peer.now), Err(NotPending));
}

#[test]
fn media_outside_the_publish_is_dropped() {
    let mut peer = Peer::live(Limits::default());
    send_video(&mut peer, 2, 0);
    let dropped = Event::Ignored { message_type: type_id::VIDEO, reason: "media outside a publish" };
    assert_eq!(peer.events(), [dropped]);
    peer.message(6, &message(type_id::AUDIO, 1, 0, vec![])).unwrap();
    assert_eq!(peer.events(), [], "empty messages are no media");
}

#[test]
fn metadata_comes_through_and_bad_data_is_skipped() {
    let mut peer = Peer::live(Limits::default());
    let fields = vec![("width".to_owned(), Value::Number(1280.0))];
    let values = [text("@setDataFrame"), text("onMetaData"), Value::EcmaArray(fields)];
    let mut amf3 = vec![0];
    amf3.extend_from_slice(&encode(&values));
    peer.message(4, &message(type_id::DATA_AMF0, 1, 0, encode(&values))).unwrap();
    peer.message(4, &message(type_id::DATA_AMF3, 1, 0, amf3)).unwrap();
    let events = peer.events();
    assert_eq!(events.len(), 2);
    for event in events {
        assert!(matches!(&event, Event::Metadata(metadata) if metadata.width == Some(1280.0)), "{event:?}");
    }
    for (type_id, payload) in [
        (type_id::DATA_AMF0, encode(&[text("@setDataFrame")])),
        (type_id::DATA_AMF0, Bytes::from_static(b"\x03\0\x05")),
        (type_id::DATA_AMF0, Bytes::from(vec![5; 70_000])),
        (type_id::DATA_AMF3, Bytes::from_static(b"\x0A\x01")),
        (type_id::DATA_AMF3, Bytes::new()),
    ] {
        peer.message(4, &message(type_id, 1, 0, payload)).unwrap();
        let events = peer.events();
        assert!(matches!(&events[..], [Event::Ignored { message_type, .. }] if *message_type == type_id));
    }
}

#[test]
fn aggregates_are_split() {
    let mut peer = Peer::live(Limits::default());
    let payload =
        [tag(9, 10, b"frame"), tag(8, 20, b"sound"), tag(22, 30, b"no"), tag(9, 50, b"frame")].concat();
    peer.message(6, &message(type_id::AGGREGATE, 1, 1000, payload.clone())).unwrap();
    let ignored = Event::Ignored { message_type: 22, reason: "unknown tag in an aggregate" };
    let audio = Event::Audio { timestamp: 1010, payload: Bytes::from_static(b"sound") };
    assert_eq!(peer.events(), [video(1000), audio, ignored, video(1040)]);
    let cut = message(type_id::AGGREGATE, 1, 1000, payload[..15].to_vec());
    let error = peer.message(6, &cut).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AggregateTruncated { position: 0, length: 15 });
    let (_, code, description) = peer.statuses().pop().unwrap();
    assert_eq!(code, "NetStream.Failed");
    let says = "protocol: The encoder does not keep to RTMP: aggregate message cut short at its byte 0 of 15. Update it.";
    assert_eq!(description, says);
}

#[test]
fn pings_are_answered_and_odd_control_messages_survive() {
    let mut peer = Peer::connected(Limits::default());
    peer.message(2, &message(type_id::USER_CONTROL, 0, 0, vec![0, 6, 1, 2, 3, 4])).unwrap();
    assert_eq!(peer.replies, [message(type_id::USER_CONTROL, 0, 0, vec![0, 7, 1, 2, 3, 4])]);
    peer.replies.clear();
    for payload in [vec![], vec![0], vec![0, 6, 1], vec![0, 3, 0, 0, 0, 1, 0, 0, 0, 9], vec![0, 99]] {
        peer.message(2, &message(type_id::USER_CONTROL, 0, 0, payload)).unwrap();
    }
    peer.message(2, &message(type_id::ACKNOWLEDGEMENT, 0, 0, vec![])).unwrap();
    peer.message(2, &message(type_id::SET_PEER_BANDWIDTH, 0, 0, vec![0, 0, 0, 1, 0])).unwrap();
    assert!(peer.replies.is_empty() && peer.events().is_empty());
    peer.message(2, &message(99, 0, 0, vec![1])).unwrap();
    assert_eq!(peer.events(), [Event::Ignored { message_type: 99, reason: "unknown message type" }]);
    let error = peer.message(2, &message(type_id::WINDOW_ACK_SIZE, 0, 0, vec![1])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ControlTruncated { message_type: 5, length: 1 });
}
