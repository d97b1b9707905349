//! AMF0: round trips of everything, limits, and what is malformed.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::super::amf0::{Fault, Value, decode, encode};
use super::super::limits::MAX_AMF_VALUES;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::num::f64::ANY
            .prop_filter("compares to itself", |number| !number.is_nan())
            .prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        Just(Value::Unsupported),
        any::<u16>().prop_map(Value::Reference),
        (0.0..1e13_f64, any::<i16>())
            .prop_map(|(unix_ms, zone_minutes)| Value::Date { unix_ms, zone_minutes }),
        ".{0,20}".prop_map(Value::Xml),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let properties = prop::collection::vec((".{1,8}", inner.clone()), 0..6);
        prop_oneof![
            properties.clone().prop_map(Value::Object),
            properties.clone().prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
            (".{0,8}", properties).prop_map(|(class, properties)| Value::TypedObject { class, properties }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(values in prop::collection::vec(value(), 0..5)) {
        prop_assert_eq!(decode(&encode(&values)).unwrap(), values);
    }

    #[test]
    fn a_cut_message_is_an_error_or_fewer_values(values in prop::collection::vec(value(), 1..4), cut: prop::sample::Index) {
        let whole = encode(&values);
        let cut = cut.index(whole.len());
        match decode(&whole[..cut]) {
            Ok(fewer) => prop_assert!(fewer.len() <= values.len()),
            Err(error) => prop_assert!(error.kind == Fault::Truncated && error.position <= cut),
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..0x12_u8], 0..400)) {
        if let Err(error) = decode(&bytes) {
            prop_assert!(error.position <= bytes.len());
        }
    }
}

#[test]
fn long_strings_use_the_long_form() {
    let long = Value::String("x".repeat(70_000));
    let bytes = encode(std::slice::from_ref(&long));
    assert_eq!(bytes[0], 0x0C);
    assert_eq!(decode(&bytes).unwrap(), [long]);
}

/// The types that other decoders stumble on, byte by byte as the specification has them.
#[test]
fn rare_types_are_decoded() {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0x0B);
    bytes.put_f64(1.5e12);
    bytes.put_i16(0);
    bytes.put_slice(b"\x0C\0\0\0\x02hi");
    bytes.put_slice(b"\x10\0\x03Cls\0\x01a\x05\0\0\x09");
    bytes.put_slice(b"\x07\0\x01");
    bytes.put_slice(b"\x0F\0\0\0\x04<a/>\x06\x0D");
    let expected = [
        Value::Date { unix_ms: 1.5e12, zone_minutes: 0 },
        Value::String("hi".to_owned()),
        Value::TypedObject { class: "Cls".to_owned(), properties: vec![("a".to_owned(), Value::Null)] },
        Value::Reference(1),
        Value::Xml("<a/>".to_owned()),
        Value::Undefined,
        Value::Unsupported,
    ];
    assert_eq!(decode(&bytes).unwrap(), expected);
}

#[test]
fn an_ecma_array_may_end_with_the_input_once_all_announced_is_there() {
    let array = b"\x08\0\0\0\x01\0\x01a\x01\x01";
    assert_eq!(decode(array).unwrap(), [Value::EcmaArray(vec![("a".to_owned(), Value::Boolean(true))])]);
    assert_eq!(decode(b"\x08\0\0\0\x02\0\x01a\x01\x01").unwrap_err().kind, Fault::Truncated);
    // The count is a hint: more, or fewer and the end marker, are fine.
    assert!(decode(b"\x08\0\0\0\0\0\x01a\x01\x01\0\0\x09").is_ok());
    assert!(decode(b"\x08\xFF\xFF\xFF\xFF\0\x01a\x01\x01\0\0\x09").is_ok());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| b"\x03\0\x01a".repeat(depth);
    assert_eq!(decode(&nested(25_000)).unwrap_err().kind, Fault::TooDeep);
    assert_eq!(decode(&b"\x0A\0\0\0\x01".repeat(20_000)).unwrap_err().kind, Fault::TooDeep);
    assert_eq!(decode(&nested(10)).unwrap_err().kind, Fault::Truncated);
}

#[test]
fn the_number_of_values_is_bounded_and_never_allocated_ahead() {
    assert_eq!(decode(&vec![0x05; MAX_AMF_VALUES]).unwrap().len(), MAX_AMF_VALUES);
    assert_eq!(decode(&vec![0x05; MAX_AMF_VALUES + 1]).unwrap_err().kind, Fault::TooMany);
    assert_eq!(decode(b"\x0A\xFF\xFF\xFF\xFF").unwrap_err().kind, Fault::Truncated);
}

#[test]
fn reserved_and_foreign_markers_are_named() {
    assert_eq!(decode(b"\x05\x11\x12").unwrap_err().kind, Fault::Marker(0x12));
    for marker in [0x04, 0x09, 0x0E, 0x12, 0xFF] {
        let error = decode(&[0x05, marker]).unwrap_err();
        assert_eq!((error.kind, error.position), (Fault::Marker(marker), 1));
    }
    assert_eq!(decode(b"\x03\0\0\x05").unwrap_err().kind, Fault::EmptyName);
}
