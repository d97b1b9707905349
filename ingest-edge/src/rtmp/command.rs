//! Commands (§7.2): what a client asks, parsed; what the server answers, built.
//!
//! Invariants: a command may lack any argument without harm; names and keys in a [`Command`] are never printed (it has
//! no `Debug`). Messages of the AMF3 types hold AMF0 behind a zero byte, which is how nearly all clients that send them do it, or
//! AMF3 from the first byte on.

use super::amf0::{self, Value};
use super::amf3;
use super::error::ErrorKind;
use super::message::Outgoing;
use super::metadata::client_name;

/// How serious a status is (§7.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusLevel {
    /// Something went as asked.
    Status,
    /// Something the publisher should change, while the publish goes on.
    Warning,
    /// The publish is refused or over.
    Error,
}

impl StatusLevel {
    fn as_str(self) -> &'static str {
        match self {
            StatusLevel::Status => "status",
            StatusLevel::Warning => "warning",
            StatusLevel::Error => "error",
        }
    }
}

/// What a publisher asks to be done with its stream (§7.2.2.6). The edge treats all alike; they are passed on for logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishKind {
    /// Send it on, the default.
    #[default]
    Live,
    /// Also record it anew.
    Record,
    /// Also append to a recording.
    Append,
}

/// What a client asks.
pub(crate) enum Command {
    Connect {
        app: Option<String>,
        client: Option<String>,
        /// It speaks Enhanced RTMP.
        enhanced: bool,
    },
    CreateStream,
    ReleaseStream,
    FcPublish,
    Publish {
        name: String,
        kind: PublishKind,
    },
    FcUnpublish,
    /// The stream id as the number it came as.
    DeleteStream(Option<f64>),
    CloseStream,
    Play,
    /// Answers to commands of ours and probes that want no answer.
    Ignorable,
    Unknown,
}

/// A command and the transaction that an answer must name; 0 wants none.
pub(crate) struct Call {
    pub(crate) transaction: f64,
    pub(crate) command: Command,
}

impl Call {
    /// From the payload of a message of type 20, or of type 17 if `amf3`.
    pub(crate) fn parse(payload: &[u8], amf3: bool) -> Result<Self, ErrorKind> {
        let mut values = decode(payload, amf3).map_err(ErrorKind::CommandEncoding)?.into_iter();
        let Some(Value::String(name)) = values.next() else { return Err(ErrorKind::CommandShape) };
        let transaction = match values.next() {
            Some(Value::Number(number)) => number,
            None | Some(Value::Null | Value::Undefined) => 0.0,
            Some(_) => return Err(ErrorKind::CommandShape),
        };
        let object = values.next().unwrap_or(Value::Null);
        let argument = values.next();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let command = match name.as_str() {
            "connect" => Command::Connect {
                app: text(object.get("app")).or_else(|| {
                    // What is behind the host's slash is the application.
                    let (_, behind) = object.get("tcUrl")?.as_str()?.split_once("://")?;
                    behind.split_once('/').map(|(_, app)| app.to_owned())
                }),
                client: object.get("flashVer").and_then(Value::as_str).map(client_name),
                enhanced: ENHANCED_PROPERTIES.iter().any(|name| object.get(name).is_some()),
            },
            "createStream" => Command::CreateStream,
            "releaseStream" => Command::ReleaseStream,
            "FCPublish" => Command::FcPublish,
            "publish" => Command::Publish {
                name: text(argument.as_ref()).unwrap_or_default(),
                kind: match values.next().as_ref().and_then(Value::as_str) {
                    Some("record") => PublishKind::Record,
                    Some("append") => PublishKind::Append,
                    _ => PublishKind::Live,
                },
            },
            "FCUnpublish" => Command::FcUnpublish,
            "deleteStream" => Command::DeleteStream(match argument {
                Some(Value::Number(id)) => Some(id),
                _ => None,
            }),
            "closeStream" => Command::CloseStream,
            "play" | "play2" => Command::Play,
            "_result" | "_error" | "onStatus" | "_checkbw" => Command::Ignorable,
            _ => Command::Unknown,
        };
        Ok(Self { transaction, command })
    }
}

/// The values of a command or data message, `amf3` if it is of the types for AMF3 (15 and 17).
pub(crate) fn decode(payload: &[u8], amf3: bool) -> Result<Vec<Value>, amf0::Error> {
    match payload.strip_prefix(&[0]) {
        Some(amf0) if amf3 => amf0::decode(amf0),
        None if amf3 => amf3::decode(payload),
        _ => amf0::decode(payload),
    }
}

/// The application object of the server's answer to connect: the version string that deployed servers give, since
/// some clients take it apart.
const SERVER_VERSION: &str = "FMS/3,5,7,7009";

/// The capability bits that go with it.
const SERVER_CAPABILITIES: f64 = 31.0;

/// What a client's connect object has if it speaks Enhanced RTMP (v2, "Enhancing NetConnection connect Command").
const ENHANCED_PROPERTIES: [&str; 4] = ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"];

/// The codings that are taken in tags of the enhanced form: what [`media::flv`] reads, and nothing else, for clients choose by it.
const VIDEO_CODINGS: [&str; 3] = ["avc1", "hvc1", "av01"];
const AUDIO_CODINGS: [&str; 3] = ["mp4a", "Opus", ".mp3"];

/// `FourCcInfoMask.CanDecode`.
const CAN_DECODE: f64 = 1.0;

/// `CapsExMask.ModEx`: modifiers are understood, which means skipped. Neither reconnect requests (1), multitrack (2) nor nanosecond
/// timestamps (8).
const CAPS_EX: f64 = 4.0;

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn info(level: StatusLevel, code: &str, description: &str) -> Value {
    object([("level", text(level.as_str())), ("code", text(code)), ("description", text(description))])
}

/// Connect accepted. Whatever encoding the client asked for, the server speaks AMF0. A client that speaks Enhanced RTMP is told which
/// of it the server does; others need not get to know the words.
pub(crate) fn connect_accepted(transaction: f64, enhanced: bool) -> Outgoing {
    let mut server =
        vec![("fmsVer", text(SERVER_VERSION)), ("capabilities", Value::Number(SERVER_CAPABILITIES))];
    if enhanced {
        let all = VIDEO_CODINGS.iter().chain(&AUDIO_CODINGS).map(|coding| text(coding)).collect();
        server.push(("fourCcList", Value::StrictArray(all)));
        server.push((
            "videoFourCcInfoMap",
            object(VIDEO_CODINGS.map(|coding| (coding, Value::Number(CAN_DECODE)))),
        ));
        server.push((
            "audioFourCcInfoMap",
            object(AUDIO_CODINGS.map(|coding| (coding, Value::Number(CAN_DECODE)))),
        ));
        server.push(("capsEx", Value::Number(CAPS_EX)));
    }
    let server = object(server);
    let info = object([
        ("level", text(StatusLevel::Status.as_str())),
        ("code", text("NetConnection.Connect.Success")),
        ("description", text("Connection succeeded.")),
        ("objectEncoding", Value::Number(0.0)),
    ]);
    Outgoing::command(0, &[text("_result"), Value::Number(transaction), server, info])
}

/// A call succeeded; `value` is its result.
pub(crate) fn result(stream_id: u32, transaction: f64, value: Value) -> Outgoing {
    Outgoing::command(stream_id, &[text("_result"), Value::Number(transaction), Value::Null, value])
}

/// A call failed.
pub(crate) fn error(stream_id: u32, transaction: f64, code: &str, description: &str) -> Outgoing {
    let info = info(StatusLevel::Error, code, description);
    Outgoing::command(stream_id, &[text("_error"), Value::Number(transaction), Value::Null, info])
}

/// What a stream's owner is told about it.
pub(crate) fn on_status(stream_id: u32, level: StatusLevel, code: &str, description: &str) -> Outgoing {
    let info = info(level, code, description);
    Outgoing::command(stream_id, &[text("onStatus"), Value::Number(0.0), Value::Null, info])
}

/// The older twin of a publish status, for clients that sent `FCPublish` or `FCUnpublish`: `name` is `onFCPublish` or
/// `onFCUnpublish`. It does not repeat the key, as some servers do.
pub(crate) fn on_fc(name: &str, code: &str, description: &str) -> Outgoing {
    let info = info(StatusLevel::Status, code, description);
    Outgoing::command(0, &[text(name), Value::Number(0.0), Value::Null, info])
}
