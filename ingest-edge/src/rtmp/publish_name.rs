//! The publish name: a stream key, and perhaps `?name=value&…` behind it; and what the server URL says of it.
//!
//! Clients split a URL in two: the server's, whose path is the application, and the stream's name. Where they split differs: a key that was
//! pasted into the field for the server, or one whose query has a slash in it, ends up in the application's path. Read together the two
//! say the same wherever the split is.
//!
//! Invariants: the key and the parameters' values are secrets. They have no `Display`, their `Debug` is redacted, and
//! the only way to them is spelled `reveal`. A parsed key is 1 to 256 bytes without control characters.

use std::fmt;

use super::APP;
use super::limits::{MAX_PUBLISH_NAME_BYTES, MAX_PUBLISH_PARAMETERS, MAX_STREAM_KEY_BYTES};

/// A stream key as the publisher gave it; whether it is valid is for others to say.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey(String);

impl StreamKey {
    /// The key itself, to be hashed or sent on over a protected hop; never to be logged.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(redacted)")
    }
}

/// The query parameters of a publish name, percent-decoded, in order. `+` stays `+`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The value of the first parameter called `name`; never to be logged, it may be a token.
    #[must_use]
    pub fn reveal(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parameters({} redacted)", self.0.len())
    }
}

/// Why a publish name holds no stream key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameFault {
    /// There is none.
    Missing,
    /// It, or what is behind it, is too long, has too many parameters, or has control characters.
    Malformed,
}

/// What the application of a `connect` has behind the application's name. May hold a key: it is never printed.
#[derive(Default)]
pub(crate) struct Behind {
    path: String,
    query: String,
}

/// The instance that an application has unless it is given a name, which some clients spell out.
const DEFAULT_INSTANCE: &str = "_definst_";

/// Takes an application apart; `None` if it is not ours.
pub(crate) fn behind_app(app: &str) -> Option<Behind> {
    if app.len() > MAX_PUBLISH_NAME_BYTES {
        return None;
    }
    let (path, query) = app.trim().split_once('?').unwrap_or((app.trim(), ""));
    let path = path.trim_start_matches('/').strip_prefix(APP)?;
    if !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let path = Some(path.trim_matches('/')).filter(|path| *path != DEFAULT_INSTANCE).unwrap_or_default();
    Some(Behind { path: path.to_owned(), query: query.to_owned() })
}

/// Takes a publish name apart. Blanks and slashes around the key, as pasting leaves them, are dropped.
pub(crate) fn parse(behind: &Behind, name: &str) -> Result<(StreamKey, Parameters), NameFault> {
    if name.len() > MAX_PUBLISH_NAME_BYTES {
        return Err(NameFault::Malformed);
    }
    let (key, query) = name.split_once('?').unwrap_or((name, ""));
    let key = key.trim().trim_matches('/');
    let (key, query) = match (behind.path.as_str(), behind.query.as_str()) {
        // The key is in the server URL, whole.
        (path, more) if key.is_empty() => (path, format!("{more}&{query}")),
        // It is there, and its query goes on behind a slash.
        (path, more) if !path.is_empty() && !more.is_empty() => (path, format!("{more}/{name}")),
        (_, more) => (key, format!("{query}&{more}")),
    };
    if key.is_empty() {
        return Err(NameFault::Missing);
    }
    if key.len() > MAX_STREAM_KEY_BYTES || key.chars().any(char::is_control) {
        return Err(NameFault::Malformed);
    }
    let pairs: Vec<_> = query.trim().split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > MAX_PUBLISH_PARAMETERS {
        return Err(NameFault::Malformed);
    }
    let parameters = pairs.into_iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(name), percent_decode(value))
    });
    Ok((StreamKey(key.to_owned()), Parameters(parameters.collect())))
}

/// Percent-decoding (RFC 3986 §2.1); a `%` that begins no escape stands for itself.
fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let escape = after.split_first_chunk::<2>().filter(|_| first == b'%');
        match escape.and_then(|(digits, behind)| Some((hex_byte(*digits)?, behind))) {
            Some((byte, behind)) => {
                decoded.push(byte);
                rest = behind;
            }
            None => decoded.push(first),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_byte(digits: [u8; 2]) -> Option<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(digits[0])? * 16 + value(digits[1])?)
}
