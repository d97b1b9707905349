//! AMF0 values (Action Message Format 0, the specification of December 2007): decoding with limits, encoding.
//!
//! Invariants: decoding never recurses deeper than `MAX_AMF_DEPTH`, never makes more than `MAX_AMF_VALUES` values or
//! `MAX_AMF_TEXT_BYTES` of text, and never allocates on an announced count. Every type of the specification is understood, the switch
//! to [`amf3`] among them; the two reserved ones are errors. Text that is not UTF-8 is decoded with replacement
//! characters.
//!
//! **Tolerated**: an ECMA array that ends with the input, without its end marker (some encoders' onMetaData).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::amf3;
use super::limits::{MAX_AMF_DEPTH, MAX_AMF_TEXT_BYTES, MAX_AMF_VALUES};

/// Type markers (§2.1); 4 and 14 are reserved.
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const REFERENCE: u8 = 0x07;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0A;
    pub(super) const DATE: u8 = 0x0B;
    pub(super) const LONG_STRING: u8 = 0x0C;
    pub(super) const UNSUPPORTED: u8 = 0x0D;
    pub(super) const XML: u8 = 0x0F;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
    pub(super) const AVM_PLUS: u8 = 0x11;
}

/// Names and values of an object, in the order they were sent.
pub type Properties = Vec<(String, Value)>;

/// One AMF0 value. Strings and long strings are one type here.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number; AMF0 knows doubles only.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A string or long string.
    String(String),
    /// An anonymous object.
    Object(Properties),
    /// Null.
    Null,
    /// Undefined.
    Undefined,
    /// A reference to an object sent before in the same message; not resolved.
    Reference(u16),
    /// An array with names for indexes.
    EcmaArray(Properties),
    /// An array indexed from 0.
    StrictArray(Vec<Value>),
    /// A date.
    Date {
        /// Milliseconds since the Unix epoch.
        unix_ms: f64,
        /// Time zone in minutes; the specification wants 0.
        zone_minutes: i16,
    },
    /// "Unsupported", which is a value of its own.
    Unsupported,
    /// An XML document, unparsed.
    Xml(String),
    /// An object of a named class.
    TypedObject {
        /// The class's alias.
        class: String,
        /// Its properties.
        properties: Properties,
    },
}

impl Value {
    /// The value of the first property called `name`, if this is an object or an ECMA array that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties()?.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The properties, if this is any kind of object.
    #[must_use]
    pub fn properties(&self) -> Option<&Properties> {
        match self {
            Value::Object(properties)
            | Value::EcmaArray(properties)
            | Value::TypedObject { properties, .. } => Some(properties),
            _ => None,
        }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

/// What was wrong, and where in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at amf byte {position}")]
pub struct Error {
    /// Bytes from the start of the message's AMF part.
    pub position: usize,
    /// What was wrong.
    pub kind: Fault,
}

/// The kinds of malformed AMF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The message ends inside a value.
    #[error("value cut short")]
    Truncated,
    /// Values are nested too deeply.
    #[error("values nested more than {MAX_AMF_DEPTH} deep")]
    TooDeep,
    /// The message has too many values.
    #[error("more than {MAX_AMF_VALUES} values")]
    TooMany,
    /// The message's text, references to it included, is too long.
    #[error("more than {MAX_AMF_TEXT_BYTES} bytes of text")]
    TooMuchText,
    /// AMF3: a reference to what has not been sent.
    #[error("reference to a string or class that was not sent before")]
    Reference,
    /// AMF3: an object in a form that only its class knows.
    #[error("object in a form of its class's own")]
    Externalizable,
    /// A marker that is reserved, unknown, or an object's end outside an object.
    #[error("type marker {0} is not a value's")]
    Marker(u8),
    /// A property with an empty name that is not the object's end.
    #[error("property without a name")]
    EmptyName,
}

/// Decodes values up to the end of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::new(bytes);
    let mut values = Vec::new();
    while !decoder.is_empty() {
        values.push(decoder.value(0)?);
    }
    Ok(values)
}

/// Reads the parts that values are made of, within the bounds.
pub(super) struct Decoder<'a> {
    whole: usize,
    rest: &'a [u8],
    values_left: usize,
    text_left: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { whole: bytes.len(), rest: bytes, values_left: MAX_AMF_VALUES, text_left: MAX_AMF_TEXT_BYTES }
    }
}

impl Decoder<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Counts one more value at this depth.
    pub(super) fn enter(&mut self, depth: usize) -> Result<(), Error> {
        if depth >= MAX_AMF_DEPTH {
            return Err(self.fault(Fault::TooDeep));
        }
        self.values_left = self.values_left.checked_sub(1).ok_or_else(|| self.fault(Fault::TooMany))?;
        Ok(())
    }

    /// Counts text that is made.
    pub(super) fn charge_text(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.text_left.checked_sub(bytes);
        self.text_left = left.ok_or_else(|| self.fault(Fault::TooMuchText))?;
        Ok(())
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), Error> {
        let Some((_, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.fault(Fault::Truncated));
        };
        self.rest = rest;
        Ok(())
    }

    pub(super) fn fault(&self, kind: Fault) -> Error {
        Error { position: self.whole - self.rest.len(), kind }
    }

    fn truncated<T>(&self, read: Result<T, bytes::TryGetError>) -> Result<T, Error> {
        read.map_err(|_| self.fault(Fault::Truncated))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        let read = self.rest.try_get_u8();
        self.truncated(read)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        let read = self.rest.try_get_u16();
        self.truncated(read)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        let read = self.rest.try_get_u32();
        self.truncated(read)
    }

    pub(super) fn f64(&mut self) -> Result<f64, Error> {
        let read = self.rest.try_get_f64();
        self.truncated(read)
    }

    pub(super) fn text(&mut self, length: usize) -> Result<String, Error> {
        self.charge_text(length)?;
        let Some((text, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.fault(Fault::Truncated));
        };
        self.rest = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn string(&mut self) -> Result<String, Error> {
        let length = self.u16()?;
        self.text(usize::from(length))
    }

    fn long_string(&mut self) -> Result<String, Error> {
        let length = self.u32()?;
        self.text(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.enter(depth)?;
        let at_marker = self.rest;
        let value = match self.u8()? {
            marker::NUMBER => Value::Number(self.f64()?),
            marker::BOOLEAN => Value::Boolean(self.u8()? != 0),
            marker::STRING => Value::String(self.string()?),
            marker::OBJECT => Value::Object(self.properties(depth, None)?),
            marker::NULL => Value::Null,
            marker::UNDEFINED => Value::Undefined,
            marker::REFERENCE => Value::Reference(self.u16()?),
            marker::ECMA_ARRAY => {
                let count = self.u32()?;
                Value::EcmaArray(self.properties(depth, Some(count))?)
            }
            marker::STRICT_ARRAY => {
                let count = self.u32()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::StrictArray(values)
            }
            marker::DATE => {
                let unix_ms = self.f64()?;
                let zone = self.rest.try_get_i16();
                Value::Date { unix_ms, zone_minutes: self.truncated(zone)? }
            }
            marker::LONG_STRING => Value::String(self.long_string()?),
            marker::UNSUPPORTED => Value::Unsupported,
            marker::XML => Value::Xml(self.long_string()?),
            marker::TYPED_OBJECT => {
                let class = self.string()?;
                Value::TypedObject { class, properties: self.properties(depth, None)? }
            }
            // One value in AMF3, its references its own.
            marker::AVM_PLUS => amf3::value(self, &mut amf3::Tables::default(), depth + 1)?,
            other => {
                self.rest = at_marker;
                return Err(self.fault(Fault::Marker(other)));
            }
        };
        Ok(value)
    }

    /// Properties up to the end marker. `announced` is an ECMA array's count, a mere hint (§2.10) that only serves to
    /// tell a missing end marker from a message cut short.
    fn properties(&mut self, depth: usize, announced: Option<u32>) -> Result<Properties, Error> {
        let mut properties = Properties::new();
        loop {
            let all_there = announced
                .is_some_and(|count| usize::try_from(count).is_ok_and(|count| count <= properties.len()));
            if self.rest.is_empty() && all_there {
                return Ok(properties);
            }
            let name = self.string()?;
            if name.is_empty() {
                return match self.u8()? {
                    marker::OBJECT_END => Ok(properties),
                    _ => Err(self.fault(Fault::EmptyName)),
                };
            }
            let value = self.value(depth + 1)?;
            properties.push((name, value));
        }
    }
}

/// Encodes `values` one after the other.
pub(crate) fn encode(values: &[Value]) -> Bytes {
    let mut output = BytesMut::with_capacity(256);
    for value in values {
        encode_value(value, &mut output);
    }
    output.freeze()
}

fn encode_value(value: &Value, output: &mut BytesMut) {
    match value {
        Value::Number(number) => {
            output.put_u8(marker::NUMBER);
            output.put_f64(*number);
        }
        Value::Boolean(boolean) => output.put_slice(&[marker::BOOLEAN, u8::from(*boolean)]),
        Value::String(text) => match u16::try_from(text.len()) {
            Ok(length) => {
                output.put_u8(marker::STRING);
                output.put_u16(length);
                output.put_slice(text.as_bytes());
            }
            Err(_) => encode_long(marker::LONG_STRING, text, output),
        },
        Value::Object(properties) => {
            output.put_u8(marker::OBJECT);
            encode_properties(properties, output);
        }
        Value::Null => output.put_u8(marker::NULL),
        Value::Undefined => output.put_u8(marker::UNDEFINED),
        Value::Reference(index) => {
            output.put_u8(marker::REFERENCE);
            output.put_u16(*index);
        }
        Value::EcmaArray(properties) => {
            output.put_u8(marker::ECMA_ARRAY);
            output.put_u32(count(properties.len()));
            encode_properties(properties, output);
        }
        Value::StrictArray(values) => {
            output.put_u8(marker::STRICT_ARRAY);
            output.put_u32(count(values.len()));
            for value in values {
                encode_value(value, output);
            }
        }
        Value::Date { unix_ms, zone_minutes } => {
            output.put_u8(marker::DATE);
            output.put_f64(*unix_ms);
            output.put_i16(*zone_minutes);
        }
        Value::Unsupported => output.put_u8(marker::UNSUPPORTED),
        Value::Xml(text) => encode_long(marker::XML, text, output),
        Value::TypedObject { class, properties } => {
            output.put_u8(marker::TYPED_OBJECT);
            encode_name(class, output);
            encode_properties(properties, output);
        }
    }
}

fn encode_properties(properties: &Properties, output: &mut BytesMut) {
    for (name, value) in properties {
        encode_name(name, output);
        encode_value(value, output);
    }
    output.put_slice(&[0, 0, marker::OBJECT_END]);
}

fn encode_long(marker: u8, text: &str, output: &mut BytesMut) {
    output.put_u8(marker);
    output.put_u32(count(text.len()));
    output.put_slice(text.as_bytes());
}

/// Names have a 16-bit length and no long form; a longer one is cut, which none of ours is.
fn encode_name(name: &str, output: &mut BytesMut) {
    let cut = name.floor_char_boundary(usize::from(u16::MAX));
    output.put_u16(u16::try_from(cut).unwrap_or(u16::MAX));
    output.put_slice(&name.as_bytes()[..cut]);
}

/// Counts and lengths beyond 32 bits cannot be built from bounded input.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
