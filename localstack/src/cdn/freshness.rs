//! How long a response may be kept: CloudFront's reading of `Cache-Control`. Pure.

use super::rules::Ttl;

/// How long an entry may be used, in seconds from when it was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// Used without asking the origin.
    pub(crate) fresh: u32,
    /// Beyond that, used while one request asks the origin (RFC 5861).
    pub(crate) stale_while_revalidate: u32,
}

/// Applies the bounds of a behaviour to what the origin says (CloudFront Developer Guide, "Specify the amount of time
/// that CloudFront caches objects"): `s-maxage` before `max-age`, both within `min..=max`; `no-cache`, `no-store` and
/// `private` mean the minimum; saying nothing means the default.
pub(crate) fn lifetime(cache_control: Option<&str>, ttl: Ttl) -> Lifetime {
    let (mut max_age, mut shared_max_age, mut stale, mut forbidden) = (None, None, 0, false);
    for directive in cache_control.unwrap_or_default().split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = seconds(value);
        match name.trim().to_ascii_lowercase().as_str() {
            "max-age" => max_age = seconds,
            "s-maxage" => shared_max_age = seconds,
            "stale-while-revalidate" => stale = seconds.unwrap_or(0),
            "no-cache" | "no-store" | "private" => forbidden = true,
            _ => {}
        }
    }
    if forbidden {
        return Lifetime { fresh: ttl.min, stale_while_revalidate: 0 };
    }
    let fresh = shared_max_age.or(max_age).unwrap_or(ttl.default).clamp(ttl.min, ttl.max);
    Lifetime { fresh, stale_while_revalidate: stale }
}

/// RFC 9111, section 1.2.2: a number too large means the largest.
fn seconds(value: &str) -> Option<u32> {
    let digits = value.trim().trim_matches('"');
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_words_within_bounds() {
        let ttl = Ttl { min: 0, default: 5, max: 60 };
        for (said, fresh, stale) in [
            (None, 5, 0),
            (Some("max-age=1, stale-while-revalidate=4"), 1, 4),
            (Some("public, max-age=31536000, immutable"), 60, 0),
            (Some("max-age=9, s-maxage=3"), 3, 0),
            (Some("no-store"), 0, 0),
            (Some("Max-Age = 7"), 7, 0),
            (Some("max-age=99999999999999999999"), 60, 0),
            (Some("max-age=-1"), 5, 0),
            (Some("max-age"), 5, 0),
        ] {
            let expected = Lifetime { fresh, stale_while_revalidate: stale };
            assert_eq!(lifetime(said, ttl), expected, "{said:?}");
        }
        let floor = Ttl { min: 2, default: 5, max: 60 };
        assert_eq!(lifetime(Some("no-cache"), floor).fresh, 2);
        assert_eq!(lifetime(Some("max-age=0"), floor).fresh, 2);
    }
}
