//! AMF3, byte by byte as the specification has it; its bounds; and what can't be read.

use proptest::prelude::*;

use super::super::amf0::{self, Fault, Value};
use super::super::amf3::decode;

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn named(names: &[(&str, Value)]) -> Vec<(String, Value)> {
    names.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

#[test]
fn every_type_is_decoded() {
    let bytes = [
        &b"\x00\x01\x02\x03"[..],
        // 5, the largest of two bytes, -1, the least.
        b"\x04\x05\x04\xFF\x7F\x04\xFF\xFF\xFF\xFF\x04\xC0\x80\x80\x00",
        b"\x05\x3F\xF8\x00\x00\x00\x00\x00\x00",
        // "ab", it again by reference, the empty string, which has none.
        b"\x06\x05ab\x06\x00\x06\x01",
        b"\x07\x05<a\x0B\x05b>",
        b"\x08\x01\x42\x75\xD3\xEF\x79\x80\x00\x00",
        // Dense; with a name as well.
        b"\x09\x05\x01\x04\x01\x04\x02",
        b"\x09\x03\x03n\x01\x01\x03",
        b"\x0C\x07abc",
        b"\x0D\x03\x00\xFF\xFF\xFF\xFF\x0E\x03\x00\xFF\xFF\xFF\xFF\x0F\x03\x01\x3F\xF8\x00\x00\x00\x00\x00\x00",
        b"\x10\x03\x00\x01\x02",
        b"\x11\x03\x00\x06\x00\x04\x01",
    ]
    .concat();
    let expected = [
        Value::Undefined,
        Value::Null,
        Value::Boolean(false),
        Value::Boolean(true),
        Value::Number(5.0),
        Value::Number(16383.0),
        Value::Number(-1.0),
        Value::Number(-268_435_456.0),
        Value::Number(1.5),
        text("ab"),
        text("ab"),
        text(""),
        Value::Xml("<a".to_owned()),
        Value::Xml("b>".to_owned()),
        Value::Date { unix_ms: 1.5e12, zone_minutes: 0 },
        Value::StrictArray(vec![Value::Number(1.0), Value::Number(2.0)]),
        Value::EcmaArray(named(&[("n", Value::Null), ("0", Value::Boolean(true))])),
        Value::Unsupported,
        Value::StrictArray(vec![Value::Number(-1.0)]),
        Value::StrictArray(vec![Value::Number(4_294_967_295.0)]),
        Value::StrictArray(vec![Value::Number(1.5)]),
        Value::StrictArray(vec![Value::Boolean(false)]),
        Value::Unsupported,
    ];
    assert_eq!(decode(&bytes).unwrap(), expected);
}

#[test]
fn objects_refer_to_the_shapes_of_earlier_ones() {
    let bytes = [
        // Class "C" with the sealed field "x"; one more of it; an anonymous dynamic one whose field's name is a reference.
        &b"\x0A\x13\x03C\x03x\x04\x01"[..],
        b"\x0A\x01\x04\x02",
        b"\x0A\x0B\x01\x02\x03\x03y\x02\x01",
        // The first object itself.
        b"\x0A\x00",
    ]
    .concat();
    let of_c =
        |x: f64| Value::TypedObject { class: "C".to_owned(), properties: named(&[("x", Value::Number(x))]) };
    let dynamic = Value::Object(named(&[("x", Value::Boolean(true)), ("y", Value::Boolean(false))]));
    assert_eq!(decode(&bytes).unwrap(), [of_c(1.0), of_c(2.0), dynamic, Value::Reference(0)]);
}

#[test]
fn amf0_switches_to_it_for_one_value() {
    assert_eq!(
        amf0::decode(b"\x05\x11\x06\x05ab\x01\x01").unwrap(),
        [Value::Null, text("ab"), Value::Boolean(true)]
    );
    // References do not reach into another value.
    assert_eq!(amf0::decode(b"\x11\x06\x05ab\x11\x06\x00").unwrap_err().kind, Fault::Reference);
}

#[test]
fn what_can_not_be_read_is_named() {
    for (bytes, fault) in [
        (&b"\x06\x00"[..], Fault::Reference),
        (b"\x0A\x05", Fault::Reference),
        (b"\x0A\x07\x03C", Fault::Externalizable),
        (b"\x12", Fault::Marker(0x12)),
        (b"\x06\x07ab", Fault::Truncated),
        (b"\x0C\xFF\xFF\xFF\xFF", Fault::Truncated),
        (b"\x09\xFF\xFF\xFF\xFF\x01", Fault::Truncated),
        (b"\x0D\xFF\xFF\xFF\xFF\x00", Fault::Truncated),
        (b"\x0A\xFF\xFF\xFF\xFB\x01", Fault::Truncated),
    ] {
        assert_eq!(decode(bytes).unwrap_err().kind, fault, "{bytes:x?}");
    }
}

#[test]
fn depth_values_and_text_are_bounded() {
    assert_eq!(decode(&b"\x09\x03\x01".repeat(20_000)).unwrap_err().kind, Fault::TooDeep);
    assert_eq!(decode(&[1; 5000]).unwrap_err().kind, Fault::TooMany);
    assert_eq!(decode(&[b"\x0D\xFF\x7F\x00", &[0; 65_000][..]].concat()).unwrap_err().kind, Fault::TooMany);
    // One long string, and references to it of two bytes each.
    let long = [b"\x06\x81\xFA\x01", &[b'x'; 16_000][..]].concat();
    let multiplied = [&long[..], &b"\x06\x00".repeat(4000)].concat();
    assert_eq!(decode(&multiplied).unwrap_err().kind, Fault::TooMuchText);
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..0x13_u8], 0..400)) {
        if let Err(error) = decode(&bytes) {
            prop_assert!(error.position <= bytes.len());
        }
    }
}
