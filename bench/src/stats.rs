//! Medians, ratios, and runs in pairs.

use anyhow::Result;

/// The value below which `share` (0 to 1) of `values` lie, by the nearest rank; `None` of none.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = u32::try_from(sorted.len()).ok().filter(|count| *count > 0)?;
    // The smallest rank that is large enough, counted instead of converted from a float.
    let rank = (1..count).find(|rank| f64::from(*rank) >= share * f64::from(count)).unwrap_or(count);
    sorted.get(usize::try_from(rank).ok()?.checked_sub(1)?).copied()
}

/// The middle value; of an even number, the lower of the two in the middle.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The mean; `None` of none.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
    Some(values.iter().sum::<f64>() / f64::from(count))
}

/// The median of each pair's ratio, first to second: what a machine that is slow for a while does to both of a pair falls out.
#[must_use]
pub fn median_ratio(pairs: &[(f64, f64)]) -> Option<f64> {
    median(&pairs.iter().map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// Runs both sides `count` times, in turn, and each first as often as second.
///
/// # Errors
/// The first of either side.
pub fn paired<T>(
    count: usize,
    mut ours: impl FnMut() -> Result<T>,
    mut theirs: impl FnMut() -> Result<T>,
) -> Result<Vec<(T, T)>> {
    (0..count)
        .map(|n| {
            if n % 2 == 0 {
                let first = ours()?;
                Ok((first, theirs()?))
            } else {
                let first = theirs()?;
                Ok((ours()?, first))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(median(&values), Some(3.0));
        assert_eq!(quantile(&values, 0.95), Some(5.0));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.0));
        assert_eq!(median(&[]), None);
        assert_eq!(mean(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median_ratio(&[(1.0, 2.0), (9.0, 10.0), (7.0, 10.0)]), Some(0.7));
    }

    #[test]
    fn either_side_is_first_in_turn() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                Ok(())
            }
        };
        paired(3, side('a'), side('b')).unwrap();
        assert_eq!(order.into_inner(), "abbaab");
    }
}
