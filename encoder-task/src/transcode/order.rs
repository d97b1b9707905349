//! Decode times. The encoder reorders pictures; each picture must be decoded no later than it is shown, decode times must grow, and
//! over all chunks of a track they must join to the tick: `start - delay` at the front, `end - delay` at the back, `delay` constant.

use media::time::Ticks;

/// Decode times for pictures that are shown at `shown[k]` when given in decode order, and the end of the last one.
///
/// A constant frame rate whose reorder delay is `delay` gets evenly spaced times. Where a variable rate needs more of a head start
/// than `delay`, pictures are decoded sooner: the times are then uneven, but still grow and still join. `None` if that is
/// impossible (the first picture shown is not the first decoded, two pictures are shown at once, `delay` is too short or the end too early).
pub(super) fn decode_times(shown: &[Ticks], end: Ticks, delay: Ticks) -> Option<(Vec<Ticks>, Ticks)> {
    let mut sorted = shown.to_vec();
    sorted.sort_unstable();
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    if shown.first() != Some(&first) || end <= last || sorted.windows(2).any(|w| w[0] == w[1]) {
        return None;
    }
    let mut times: Vec<Ticks> = sorted.iter().map(|time| time - delay).collect();
    // From the back: no later than it or anything after it is shown, and before the one after it is decoded.
    let (mut shown_next, mut decoded_next) = (Ticks::MAX, end - delay);
    for (time, shown) in times.iter_mut().zip(shown).rev() {
        shown_next = shown_next.min(*shown);
        *time = (*time).min(shown_next).min(decoded_next - 1);
        decoded_next = *time;
    }
    (times.first() == Some(&(first - delay))).then_some((times, end - delay))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn constant_rate_with_b_pictures_is_evenly_spaced() {
        // Shown I P B B P B B: decode order 0 3 1 2 6 4 5, at 30 fps.
        let shown: Vec<Ticks> = [0, 3, 1, 2, 6, 4, 5].iter().map(|n| 90_000 + n * 3000).collect();
        let (times, end) = decode_times(&shown, 90_000 + 7 * 3000, 3000).unwrap();
        assert_eq!(times, (0..7).map(|n| 87_000 + n * 3000).collect::<Vec<_>>());
        assert_eq!(end, 87_000 + 7 * 3000);
    }

    #[test]
    fn a_hole_before_a_b_picture_is_decoded_ahead() {
        // The P picture after a hole is decoded before the B picture in front of the hole is shown.
        let shown = [0, 30_000, 3000, 33_000];
        let (times, end) = decode_times(&shown, 36_000, 3000).unwrap();
        assert_eq!(times, [-3000, 0, 3000, 30_000]);
        assert_eq!(end, 33_000);
    }

    #[test]
    fn impossible_orders_are_refused() {
        assert!(decode_times(&[], 1, 0).is_none());
        assert!(decode_times(&[3000, 0], 6000, 3000).is_none());
        assert!(decode_times(&[0, 0], 6000, 3000).is_none());
        assert!(decode_times(&[0, 3000], 3000, 3000).is_none());
    }

    proptest! {
        #[test]
        fn any_reordering_by_one_at_any_spacing_joins(
            gaps in prop::collection::vec(1i64..20_000, 1..200),
            groups in prop::collection::vec(1usize..=4, 200),
            delay in 2i64..9000,
        ) {
            let mut shown_sorted = vec![0];
            for gap in &gaps {
                shown_sorted.push(shown_sorted[shown_sorted.len() - 1] + gap);
            }
            let end = shown_sorted.pop().unwrap();
            let mut shown = vec![shown_sorted[0]];
            let mut at = 1;
            for group in groups {
                let to = (at + group).min(shown_sorted.len());
                if at >= to { break; }
                shown.push(shown_sorted[to - 1]);
                shown.extend(&shown_sorted[at..to - 1]);
                at = to;
            }
            prop_assert_eq!(shown.len(), shown_sorted.len());
            let (times, last_end) = decode_times(&shown, end, delay).unwrap();
            prop_assert_eq!(times[0], -delay);
            prop_assert_eq!(last_end, end - delay);
            prop_assert!(times.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(times[times.len() - 1] < last_end);
            prop_assert!(times.iter().zip(&shown).all(|(decoded, shown)| decoded <= shown));
        }
    }
}
