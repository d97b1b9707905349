//! Publish names: keys, parameters, and that neither shows.

use proptest::prelude::*;

use super::super::publish_name::{
    Behind, NameFault, Parameters, StreamKey, behind_app, parse as parse_behind,
};

fn parse(name: &str) -> Result<(StreamKey, Parameters), NameFault> {
    parse_behind(&Behind::default(), name)
}

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

/// However a client splits `rtmp://host/live/key?token=a/b&c=1`, and what people paste where.
#[test]
fn a_key_is_found_wherever_the_client_splits_its_url() {
    for (app, name, query) in [
        ("live", "key?token=a/b&c=1", true),
        ("/live/", "/key/?token=a/b&c=1", true),
        ("live/key?token=a", "b&c=1", true),
        ("live?token=a/b&c=1", "key", true),
        ("live/key?token=a/b&c=1", "", true),
        ("live/key", "?token=a/b&c=1", true),
        ("live/key", "", false),
        ("live/key/", "", false),
        ("live/_definst_", "key", false),
        ("live/stage-2/", "key", false),
        (" live ", " key ", false),
    ] {
        let (key, parameters) = parse_behind(&behind_app(app).unwrap(), name).unwrap();
        assert_eq!(key.reveal(), "key", "{app} {name}");
        let expected = if query { (Some("a/b"), Some("1")) } else { (None, None) };
        assert_eq!((parameters.reveal("token"), parameters.reveal("c")), expected, "{app} {name}");
    }
    for app in ["", "/", "Live", "lively", "livekey", "app/live", &format!("live/{}", "k".repeat(2100))] {
        assert!(behind_app(app).is_none(), "{app}");
    }
    assert_eq!(parse_behind(&behind_app("live/").unwrap(), "").unwrap_err(), NameFault::Missing);
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
    fn any_text_does_no_harm(
        app in "live[/?\\PC]{0,40}",
        name in "\\PC{0,40}(\\?[%a-f0-9&=]{0,40})?",
    ) {
        let Some(behind) = behind_app(&app) else { return Ok(()) };
        if let Ok((key, parameters)) = parse_behind(&behind, &name) {
            prop_assert!(!key.reveal().is_empty());
            prop_assert!(parameters.len() <= 16);
        }
    }
}
