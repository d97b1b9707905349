//! `Range` headers (RFC 9110, section 14). Pure.

use std::ops::Range;

/// What a `Range` header asks of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: no header, or one that is ignored (another unit, several ranges, not well-formed).
    Whole,
    /// These bytes, never none.
    Bytes(Range<usize>),
    /// No byte of it: 416.
    Unsatisfiable,
}

/// Reads a `Range` header against a body of `length` bytes.
pub(crate) fn part(header: Option<&str>, length: usize) -> Part {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        // A suffix: the last so many bytes.
        (None, Some(count)) if first.is_empty() => {
            if count == 0 || length == 0 {
                return Part::Unsatisfiable;
            }
            Part::Bytes(length.saturating_sub(count)..length)
        }
        (Some(first), None) if last.is_empty() => span(first, length, length),
        (Some(first), Some(last)) if first <= last => span(first, last.saturating_add(1), length),
        _ => Part::Whole,
    }
}

fn span(first: usize, end: usize, length: usize) -> Part {
    if first >= length { Part::Unsatisfiable } else { Part::Bytes(first..end.min(length)) }
}

fn number(digits: &str) -> Option<usize> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (header, expected) in [
            (None, Part::Whole),
            (Some("bytes=0-3"), Part::Bytes(0..4)),
            (Some("bytes=4-"), Part::Bytes(4..10)),
            (Some("bytes=-3"), Part::Bytes(7..10)),
            (Some("bytes=-30"), Part::Bytes(0..10)),
            (Some("bytes=8-99999999999999999999999"), Part::Bytes(8..10)),
            (Some("bytes=10-"), Part::Unsatisfiable),
            (Some("bytes=-0"), Part::Unsatisfiable),
            (Some("bytes=5-4"), Part::Whole),
            (Some("bytes=0-1,3-4"), Part::Whole),
            (Some("bytes=-"), Part::Whole),
            (Some("items=0-1"), Part::Whole),
        ] {
            assert_eq!(part(header, 10), expected, "{header:?}");
        }
        assert_eq!(part(Some("bytes=0-"), 0), Part::Unsatisfiable);
    }
}
