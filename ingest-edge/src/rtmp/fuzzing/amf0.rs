//! AMF0 and AMF3 values.

use super::super::{
    amf0::{Value, decode, encode},
    amf3,
    limits::{MAX_AMF_DEPTH, MAX_AMF_VALUES},
    metadata::Metadata,
};

/// Longest input: above it the session does not decode.
const LONGEST: usize = 64 * 1024;

/// The values of a message, read as AMF0 and as AMF3.
///
/// Depth and number of values are within their bounds; what was read can be written, and what was written is read and written as the same; cut
/// short it is read or refused; what metadata says in numbers is finite and not negative, and its texts are short.
pub fn amf0(data: &[u8]) {
    let data = &data[..data.len().min(LONGEST)];
    for decode in [decode, amf3::decode] {
        let decoded = decode(data);
        for cut in (0..data.len()).step_by((data.len() / 64).max(1)) {
            let _ = decode(&data[..cut]);
        }
        match decoded {
            Ok(values) => check(values),
            Err(error) => assert!(error.position <= data.len()),
        }
    }
}

fn check(values: Vec<Value>) {
    let mut seen = Seen::default();
    for value in &values {
        seen.walk(value, 1);
    }
    assert!(seen.values <= MAX_AMF_VALUES);
    // Names that AMF0 has no room or no meaning for: empty ones, and bytes that are not UTF-8 grow threefold.
    if !seen.odd_names {
        let written = encode(&values);
        let again = decode(&written).map(|values| encode(&values));
        assert_eq!(again, Ok(written));
    }
    if let Some(metadata) = Metadata::from_values(values) {
        let Metadata { framerate, width, height, videodatarate, audiodatarate, audiosamplerate, .. } =
            metadata;
        let numbers = [framerate, width, height, videodatarate, audiodatarate, audiosamplerate];
        assert!(numbers.into_iter().flatten().all(|number| number.is_finite() && number >= 0.0));
        assert!(metadata.encoder.is_none_or(|name| name.chars().count() <= 64));
        assert!(metadata.fields.len() <= 64);
    }
}

#[derive(Default)]
struct Seen {
    values: usize,
    odd_names: bool,
}

impl Seen {
    fn walk(&mut self, value: &Value, depth: usize) {
        assert!(depth <= MAX_AMF_DEPTH + 1);
        self.values += 1;
        if let Value::TypedObject { class, .. } = value {
            self.odd_names |= class.len() > usize::from(u16::MAX);
        }
        for (name, value) in value.properties().into_iter().flatten() {
            self.odd_names |= name.is_empty() || name.len() > usize::from(u16::MAX);
            self.walk(value, depth + 1);
        }
        if let Value::StrictArray(values) = value {
            values.iter().for_each(|value| self.walk(value, depth + 1));
        }
    }
}
