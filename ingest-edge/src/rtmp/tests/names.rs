//! Publish names: keys, parameters, and that neither shows.

use proptest::prelude::*;

use super::super::publish_name::{NameFault, parse};

#[test]
fn a_plain_key() {
    let (key, parameters) = parse("demo-key_1/x").unwrap();
    assert_eq!(key.reveal(), "demo-key_1/x");
    assert!(parameters.is_empty());
}

#[test]
fn parameters_are_decoded() {
    let (key, parameters) = parse(" key?a=1&&token=a%20b%2fc+d%zz%4&flag&a=2\r\n").unwrap();
    assert_eq!(key.reveal(), "key");
    assert_eq!(parameters.len(), 4);
    assert_eq!(parameters.reveal("a"), Some("1"));
    assert_eq!(parameters.reveal("token"), Some("a b/c+d%zz%4"));
    assert_eq!(parameters.reveal("flag"), Some(""));
    assert_eq!(parameters.reveal("none"), None);
}

#[test]
fn secrets_do_not_show() {
    let (key, parameters) = parse("s3cret?token=s3cret").unwrap();
    assert!(!format!("{key:?} {parameters:?}").contains("s3cret"));
}

#[test]
fn missing_and_malformed() {
    for name in ["", "  ", "?token=1"] {
        assert_eq!(parse(name).unwrap_err(), NameFault::Missing, "{name:?}");
    }
    let many = format!("k?{}", "a=1&".repeat(17));
    for name in ["a\0b", &"k".repeat(257), &"k?".repeat(1500), &many] {
        assert_eq!(parse(name).unwrap_err(), NameFault::Malformed);
    }
}

proptest! {
    #[test]
    fn any_text_does_no_harm(name in "\\PC{0,40}(\\?[%a-f0-9&=]{0,40})?") {
        if let Ok((key, parameters)) = parse(&name) {
            prop_assert!(!key.reveal().is_empty());
            prop_assert!(parameters.len() <= 16);
        }
    }
}
