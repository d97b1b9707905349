//! AMF0 values.

use super::super::{
    amf0::{Value, decode, encode},
    limits::{MAX_AMF_DEPTH, MAX_AMF_VALUES},
    metadata::Metadata,
};

/// Longest input: above it the session does not decode.
const LONGEST: usize = 64 * 1024;

/// The AMF0 part of a message.
///
/// Depth and number of values are within their bounds; what was read can be written, and what was written is read and written as the same; cut
/// short it is read or refused; what metadata says in numbers is finite and not negative, and its texts are short.
pub fn amf0(data: &[u8]) {
    let data = &data[..data.len().min(LONGEST)];
    let decoded = decode(data);
    if let Err(error) = &decoded {
        assert!(error.position <= data.len());
    }
    for cut in (0..data.len()).step_by((data.len() / 64).max(1)) {
        let _ = decode(&data[..cut]);
    }
    let Ok(values) = decoded else { return };
    let mut count = 0;
    for value in &values {
        walk(value, 1, &mut count);
    }
    assert!(count <= MAX_AMF_VALUES);
    let written = encode(&values);
    // Names with bytes that are not UTF-8 grow threefold, past what a name may have.
    if data.len() < 20_000 {
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

fn walk(value: &Value, depth: usize, count: &mut usize) {
    assert!(depth <= MAX_AMF_DEPTH);
    *count += 1;
    if let Some(properties) = value.properties() {
        for (name, value) in properties {
            assert!(!name.is_empty());
            walk(value, depth + 1, count);
        }
    }
    if let Value::StrictArray(values) = value {
        values.iter().for_each(|value| walk(value, depth + 1, count));
    }
}
