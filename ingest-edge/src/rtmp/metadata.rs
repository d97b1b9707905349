//! onMetaData: what the encoder says about its own stream.
//!
//! Invariant: nothing here is trusted. Every field is optional, numbers are finite and not negative, and the picture's and
//! sound's true properties come from the codec configuration; this serves diagnosis and first guesses.

use super::amf0::{Properties, Value};
use super::limits::{MAX_CLIENT_NAME_CHARS, MAX_METADATA_FIELDS};

/// The fields in use, and the raw map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Frames per second.
    pub framerate: Option<f64>,
    /// Picture width, pixels.
    pub width: Option<f64>,
    /// Picture height, pixels.
    pub height: Option<f64>,
    /// Video bit rate, kbit/s.
    pub videodatarate: Option<f64>,
    /// Audio bit rate, kbit/s.
    pub audiodatarate: Option<f64>,
    /// Audio sample rate, Hz.
    pub audiosamplerate: Option<f64>,
    /// Whether there are two audio channels.
    pub stereo: Option<bool>,
    /// The encoder's name for itself, at most 64 characters.
    pub encoder: Option<String>,
    /// Everything as sent, at most 64 fields.
    pub fields: Properties,
}

impl Metadata {
    /// From the values of a data message; `None` if it is not onMetaData.
    pub(crate) fn from_values(values: Vec<Value>) -> Option<Self> {
        let mut values = values.into_iter().peekable();
        values.next_if(|value| value.as_str() == Some("@setDataFrame"));
        values.next_if(|value| value.as_str() == Some("onMetaData"))?;
        let fields = match values.next()? {
            Value::Object(properties)
            | Value::EcmaArray(properties)
            | Value::TypedObject { properties, .. } => properties,
            _ => return None,
        };
        Some(Self::from_fields(fields))
    }

    fn from_fields(mut fields: Properties) -> Self {
        fields.truncate(MAX_METADATA_FIELDS);
        let find = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let number = |name: &str| find(name).and_then(as_number);
        Self {
            framerate: number("framerate").or_else(|| number("fps")),
            width: number("width"),
            height: number("height"),
            videodatarate: number("videodatarate"),
            audiodatarate: number("audiodatarate"),
            audiosamplerate: number("audiosamplerate"),
            stereo: match find("stereo") {
                Some(Value::Boolean(stereo)) => Some(*stereo),
                _ => None,
            },
            encoder: find("encoder").and_then(Value::as_str).map(client_name),
            fields,
        }
    }
}

/// A client's free text, cut to a length fit for a log line and without control characters.
pub(crate) fn client_name(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_CLIENT_NAME_CHARS).collect()
}

/// Numbers that some encoders send as text count too.
fn as_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => *number,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}
