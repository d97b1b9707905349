//! One page of a bucket's listing, from a sorted index. Pure.
//!
//! Invariants: pages follow the byte order of the keys; following the tokens to the end yields every key, or the
//! common prefix that holds it, exactly once; a page holds at most `max` keys and common prefixes together.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What a listing says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified_ms: i64,
}

/// A `ListObjectsV2` question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    /// Where the page starts.
    pub(crate) after: After,
    /// Keys and common prefixes on the page, at most.
    pub(crate) max: usize,
}

/// Where a page starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum After {
    /// At the first key.
    #[default]
    Nothing,
    /// Behind this key (which need not exist).
    Key(String),
    /// Behind all keys with this prefix.
    Prefix(String),
}

impl After {
    /// The continuation token that [`After::from_token`] reads.
    pub(crate) fn to_token(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Key(key) => Some(hex::encode(format!("k{key}"))),
            Self::Prefix(prefix) => Some(hex::encode(format!("p{prefix}"))),
        }
    }

    /// `None` when the token is none of ours.
    pub(crate) fn from_token(token: &str) -> Option<Self> {
        let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
        match text.strip_prefix('k') {
            Some(key) => Some(Self::Key(key.to_owned())),
            None => text.strip_prefix('p').map(|prefix| Self::Prefix(prefix.to_owned())),
        }
    }

    /// Whether it lies at or behind `key`, so that the page begins later.
    fn lower_bound(&self, prefix: &str) -> Bound<String> {
        let after = match self {
            Self::Nothing => return Bound::Included(prefix.to_owned()),
            Self::Key(key) => key.clone(),
            Self::Prefix(passed) => behind(passed),
        };
        if after.as_str() < prefix { Bound::Included(prefix.to_owned()) } else { Bound::Excluded(after) }
    }
}

/// A string behind every key that starts with `prefix` (short of keys made of the last Unicode scalar).
fn behind(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

/// A page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(String, Listed)>,
    pub(crate) common_prefixes: Vec<String>,
    /// Where the next page starts; `None` on the last page.
    pub(crate) next: Option<After>,
}

/// Answers `query`.
pub(crate) fn page(index: &BTreeMap<String, Listed>, query: &Query) -> Page {
    let mut page = Page::default();
    if query.max == 0 {
        return page;
    }
    let mut last = After::Nothing;
    let mut from = query.after.lower_bound(&query.prefix);
    'scan: loop {
        for (key, listed) in index.range::<String, _>((from.clone(), Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(query.prefix.as_str()) else { break 'scan };
            if page.objects.len() + page.common_prefixes.len() == query.max {
                page.next = Some(last);
                break 'scan;
            }
            let delimiter = query.delimiter.as_deref().filter(|d| !d.is_empty());
            if let Some((delimiter, at)) = delimiter.and_then(|d| Some((d, rest.find(d)?))) {
                let head = rest.get(..at).unwrap_or_default();
                let common = format!("{}{head}{delimiter}", query.prefix);
                from = Bound::Excluded(behind(&common));
                last = After::Prefix(common.clone());
                page.common_prefixes.push(common);
                // All keys under a common prefix are one entry: go on behind them.
                continue 'scan;
            }
            last = After::Key(key.clone());
            page.objects.push((key.clone(), listed.clone()));
        }
        break;
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(keys: &[&str]) -> BTreeMap<String, Listed> {
        let listed = Listed { size: 1, etag: String::new(), modified_ms: 0 };
        keys.iter().map(|k| ((*k).to_owned(), listed.clone())).collect()
    }

    fn all(index: &BTreeMap<String, Listed>, mut query: Query) -> (Vec<String>, Vec<String>) {
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        loop {
            let page = page(index, &query);
            assert!(page.objects.len() + page.common_prefixes.len() <= query.max);
            keys.extend(page.objects.into_iter().map(|(k, _)| k));
            prefixes.extend(page.common_prefixes);
            match page.next {
                Some(next) => query.after = After::from_token(&next.to_token().unwrap()).unwrap(),
                None => return (keys, prefixes),
            }
        }
    }

    #[test]
    fn folders_are_entered_once() {
        let index = index(&["a", "live/x/1", "live/x/2", "live/y/1", "vod/z"]);
        let root = Query { delimiter: Some("/".into()), max: 1, ..Query::default() };
        assert_eq!(all(&index, root), (vec!["a".into()], vec!["live/".into(), "vod/".into()]));
        let live =
            Query { prefix: "live/".into(), delimiter: Some("/".into()), max: 1000, ..Query::default() };
        assert_eq!(all(&index, live), (vec![], vec!["live/x/".into(), "live/y/".into()]));
    }

    #[test]
    fn start_after_is_exclusive_and_need_not_exist() {
        let index = index(&["a", "b", "c"]);
        let after = |key: &str| Query { after: After::Key(key.into()), max: 9, ..Query::default() };
        assert_eq!(all(&index, after("a")).0, ["b", "c"]);
        assert_eq!(all(&index, after("aa")).0, ["b", "c"]);
    }

    #[test]
    fn a_foreign_token_is_none() {
        assert_eq!(After::from_token("zz"), None);
        assert_eq!(After::from_token("00"), None);
    }

    proptest! {
        #[test]
        fn pages_of_any_size_add_up(
            keys in prop::collection::btree_set("[ab/]{1,5}", 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in prop::option::of(Just("/".to_owned())),
            max in 1_usize..5,
        ) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let index = index(&keys);
            let whole = all(&index, Query { prefix: prefix.clone(), delimiter: delimiter.clone(), max: 1000, ..Query::default() });
            let paged = all(&index, Query { prefix: prefix.clone(), delimiter, max, ..Query::default() });
            prop_assert_eq!(&whole, &paged);
            for key in keys.iter().filter(|k| k.starts_with(&prefix)) {
                let places = whole.0.iter().filter(|k| k == key).count()
                    + whole.1.iter().filter(|p| key.starts_with(p.as_str())).count();
                prop_assert_eq!(places, 1, "{}", key);
            }
        }
    }
}
