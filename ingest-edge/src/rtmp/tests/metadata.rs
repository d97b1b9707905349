//! onMetaData: the fields in use, odd encoders, and what is no metadata.

use super::super::amf0::Value;
use super::super::metadata::Metadata;

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn fields() -> Vec<(String, Value)> {
    [
        ("width", Value::Number(1920.0)),
        ("height", text(" 1080 ")),
        ("framerate", Value::Number(f64::NAN)),
        ("fps", Value::Number(29.97)),
        ("videodatarate", Value::Number(-1.0)),
        ("audiodatarate", Value::Number(160.0)),
        ("audiosamplerate", Value::Number(48000.0)),
        ("stereo", Value::Boolean(true)),
        ("encoder", text(&"obs\n".repeat(100))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

#[test]
fn fields_are_found_and_distrusted() {
    for values in [
        vec![text("@setDataFrame"), text("onMetaData"), Value::EcmaArray(fields())],
        vec![text("onMetaData"), Value::Object(fields())],
    ] {
        let metadata = Metadata::from_values(values).unwrap();
        assert_eq!((metadata.width, metadata.height), (Some(1920.0), Some(1080.0)));
        assert_eq!(metadata.framerate, Some(29.97), "not a number is no number; the other name counts");
        assert_eq!((metadata.videodatarate, metadata.audiodatarate), (None, Some(160.0)));
        assert_eq!((metadata.audiosamplerate, metadata.stereo), (Some(48000.0), Some(true)));
        let encoder = metadata.encoder.unwrap();
        assert_eq!(encoder.len(), 64);
        assert!(!encoder.contains('\n'));
        assert_eq!(metadata.fields.len(), 9);
    }
}

#[test]
fn the_raw_map_is_bounded() {
    let many = (0..500).map(|number| (number.to_string(), Value::Null)).collect();
    let metadata = Metadata::from_values(vec![text("onMetaData"), Value::Object(many)]).unwrap();
    assert_eq!(metadata.fields.len(), 64);
}

#[test]
fn other_data_is_no_metadata() {
    for values in [
        vec![],
        vec![text("@setDataFrame")],
        vec![text("@setDataFrame"), text("onMetaData")],
        vec![text("onMetaData"), Value::Null],
        vec![text("onTextData"), Value::Object(fields())],
        vec![Value::Object(fields())],
    ] {
        assert_eq!(Metadata::from_values(values), None);
    }
}
