//! AMF3 values (Action Message Format 3, the specification of January 2013), as far as clients put them into RTMP messages: behind
//! AMF0's switch marker, or from the first byte of a message of type 15 or 17 on that does not begin with zero.
//!
//! Invariants: values become those of [`amf0`](super::amf0), so that commands are read in one way whatever their encoding; what AMF0 has
//! no word for (bytes, dictionaries) is read over and becomes [`Value::Unsupported`]. The bounds are AMF0's: depth, number of values, and
//! bytes of text, which references to strings would otherwise multiply. References to objects are not resolved. Objects that only their
//! class can read ("externalizable") are errors, since nobody can tell where they end.

use std::rc::Rc;

use super::amf0::{Decoder, Error, Fault, Properties, Value};

/// Type markers (§3.1).
mod marker {
    pub(super) const UNDEFINED: u8 = 0x00;
    pub(super) const NULL: u8 = 0x01;
    pub(super) const FALSE: u8 = 0x02;
    pub(super) const TRUE: u8 = 0x03;
    pub(super) const INTEGER: u8 = 0x04;
    pub(super) const DOUBLE: u8 = 0x05;
    pub(super) const STRING: u8 = 0x06;
    pub(super) const XML_DOCUMENT: u8 = 0x07;
    pub(super) const DATE: u8 = 0x08;
    pub(super) const ARRAY: u8 = 0x09;
    pub(super) const OBJECT: u8 = 0x0A;
    pub(super) const XML: u8 = 0x0B;
    pub(super) const BYTE_ARRAY: u8 = 0x0C;
    pub(super) const VECTOR_INT: u8 = 0x0D;
    pub(super) const VECTOR_UINT: u8 = 0x0E;
    pub(super) const VECTOR_DOUBLE: u8 = 0x0F;
    pub(super) const VECTOR_OBJECT: u8 = 0x10;
    pub(super) const DICTIONARY: u8 = 0x11;
}

/// The shape of an object: what instances after the first leave out.
struct Traits {
    class: String,
    dynamic: bool,
    names: Vec<String>,
}

/// What later values may refer to.
#[derive(Default)]
pub(super) struct Tables {
    strings: Vec<Rc<str>>,
    traits: Vec<Rc<Traits>>,
}

/// Decodes values up to the end of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let (mut input, mut tables) = (Decoder::new(bytes), Tables::default());
    let mut values = Vec::new();
    while !input.is_empty() {
        values.push(value(&mut input, &mut tables, 0)?);
    }
    Ok(values)
}

/// Decodes one value.
pub(super) fn value(input: &mut Decoder<'_>, tables: &mut Tables, depth: usize) -> Result<Value, Error> {
    input.enter(depth)?;
    let value = match input.u8()? {
        marker::UNDEFINED => Value::Undefined,
        marker::NULL => Value::Null,
        marker::FALSE => Value::Boolean(false),
        marker::TRUE => Value::Boolean(true),
        marker::INTEGER => {
            // 29 bits, signed.
            let bits = u29(input)?;
            Value::Number(f64::from((bits << 3).cast_signed() >> 3))
        }
        marker::DOUBLE => Value::Number(input.f64()?),
        marker::STRING => Value::String(string(input, tables)?.to_string()),
        marker::XML_DOCUMENT | marker::XML => match inline(input)? {
            Ok(length) => Value::Xml(input.text(length)?),
            Err(reference) => reference,
        },
        marker::DATE => match inline(input)? {
            Ok(_) => Value::Date { unix_ms: input.f64()?, zone_minutes: 0 },
            Err(reference) => reference,
        },
        marker::ARRAY => match inline(input)? {
            Ok(count) => array(input, tables, depth, count)?,
            Err(reference) => reference,
        },
        marker::OBJECT => object(input, tables, depth)?,
        marker::BYTE_ARRAY => match inline(input)? {
            Ok(length) => {
                input.skip(length)?;
                Value::Unsupported
            }
            Err(reference) => reference,
        },
        marker @ (marker::VECTOR_INT
        | marker::VECTOR_UINT
        | marker::VECTOR_DOUBLE
        | marker::VECTOR_OBJECT) => match inline(input)? {
            Ok(count) => vector(input, tables, depth, marker, count)?,
            Err(reference) => reference,
        },
        marker::DICTIONARY => match inline(input)? {
            Ok(count) => {
                let _weak_keys = input.u8()?;
                for _ in 0..count {
                    value(input, tables, depth + 1)?;
                    value(input, tables, depth + 1)?;
                }
                Value::Unsupported
            }
            Err(reference) => reference,
        },
        other => return Err(input.fault(Fault::Marker(other))),
    };
    Ok(value)
}

/// An integer of up to 29 bits in one to four bytes (§1.3.1).
fn u29(input: &mut Decoder<'_>) -> Result<u32, Error> {
    let mut bits = 0;
    for _ in 0..3 {
        let byte = input.u8()?;
        bits = bits << 7 | u32::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Ok(bits);
        }
    }
    Ok(bits << 8 | u32::from(input.u8()?))
}

/// The length or count of a value that follows, or that it is a reference to one that came before.
fn inline(input: &mut Decoder<'_>) -> Result<Result<usize, Value>, Error> {
    let head = u29(input)?;
    Ok(if head & 1 == 1 { Ok(index(head >> 1)) } else { Err(reference(head >> 1)) })
}

fn reference(to: u32) -> Value {
    Value::Reference(u16::try_from(to).unwrap_or(u16::MAX))
}

fn index(of: u32) -> usize {
    usize::try_from(of).unwrap_or(usize::MAX)
}

fn string(input: &mut Decoder<'_>, tables: &mut Tables) -> Result<Rc<str>, Error> {
    let head = u29(input)?;
    if head & 1 == 0 {
        let known = tables.strings.get(index(head >> 1)).cloned();
        let known = known.ok_or_else(|| input.fault(Fault::Reference))?;
        input.charge_text(known.len())?;
        return Ok(known);
    }
    let text: Rc<str> = input.text(index(head >> 1))?.into();
    if !text.is_empty() {
        tables.strings.push(Rc::clone(&text));
    }
    Ok(text)
}

/// Properties up to the empty name.
fn properties(
    input: &mut Decoder<'_>,
    tables: &mut Tables,
    depth: usize,
    to: &mut Properties,
) -> Result<(), Error> {
    loop {
        let name = string(input, tables)?;
        if name.is_empty() {
            return Ok(());
        }
        to.push((name.to_string(), value(input, tables, depth + 1)?));
    }
}

fn values(
    input: &mut Decoder<'_>,
    tables: &mut Tables,
    depth: usize,
    count: usize,
) -> Result<Vec<Value>, Error> {
    // Not allocated ahead: the count is only announced.
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(value(input, tables, depth + 1)?);
    }
    Ok(values)
}

fn array(input: &mut Decoder<'_>, tables: &mut Tables, depth: usize, count: usize) -> Result<Value, Error> {
    let mut named = Properties::new();
    properties(input, tables, depth, &mut named)?;
    let dense = values(input, tables, depth, count)?;
    if named.is_empty() {
        return Ok(Value::StrictArray(dense));
    }
    named.extend(dense.into_iter().enumerate().map(|(n, value)| (n.to_string(), value)));
    Ok(Value::EcmaArray(named))
}

fn object(input: &mut Decoder<'_>, tables: &mut Tables, depth: usize) -> Result<Value, Error> {
    let head = u29(input)?;
    if head & 1 == 0 {
        return Ok(reference(head >> 1));
    }
    let traits = if head & 2 == 0 {
        let known = tables.traits.get(index(head >> 2)).cloned();
        known.ok_or_else(|| input.fault(Fault::Reference))?
    } else if head & 4 != 0 {
        return Err(input.fault(Fault::Externalizable));
    } else {
        let class = string(input, tables)?.to_string();
        let mut names = Vec::new();
        for _ in 0..head >> 4 {
            names.push(string(input, tables)?.to_string());
        }
        let traits = Rc::new(Traits { class, dynamic: head & 8 != 0, names });
        tables.traits.push(Rc::clone(&traits));
        traits
    };
    let mut fields = Properties::new();
    for name in &traits.names {
        input.charge_text(name.len())?;
        fields.push((name.clone(), value(input, tables, depth + 1)?));
    }
    if traits.dynamic {
        properties(input, tables, depth, &mut fields)?;
    }
    Ok(if traits.class.is_empty() {
        Value::Object(fields)
    } else {
        input.charge_text(traits.class.len())?;
        Value::TypedObject { class: traits.class.clone(), properties: fields }
    })
}

fn vector(
    input: &mut Decoder<'_>,
    tables: &mut Tables,
    depth: usize,
    marker: u8,
    count: usize,
) -> Result<Value, Error> {
    let _fixed_length = input.u8()?;
    if marker == marker::VECTOR_OBJECT {
        let _class = string(input, tables)?;
        return values(input, tables, depth, count).map(Value::StrictArray);
    }
    let mut numbers = Vec::new();
    for _ in 0..count {
        input.enter(depth + 1)?;
        numbers.push(Value::Number(match marker {
            marker::VECTOR_INT => f64::from(input.u32()?.cast_signed()),
            marker::VECTOR_UINT => f64::from(input.u32()?),
            _ => input.f64()?,
        }));
    }
    Ok(Value::StrictArray(numbers))
}
