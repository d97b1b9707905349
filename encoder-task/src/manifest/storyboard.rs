//! The storyboard of a Period: an AdaptationSet of images (DASH-IF IOP 4.3, 6.2.6), one per chunk, for players to show above a seek bar.
//!
//! One picture per image: players that have several in one find the wrong one where segments differ in length (dash.js 5.2 counts from
//! time 0, whatever Period and segment). So its timeline is that of the pictures, and a chunk without a tile, or a fill, is a hole in it.

use dash_mpd_core::{AdaptationSet, EssentialProperty, Representation, SegmentTemplate, SegmentTimeline};
use media::{
    ledger::{TILE_RUNG, Tile},
    names::suffix,
    time::{VIDEO_TIMESCALE, to_media_time},
};

use super::{
    ManifestError, Timeline,
    periods::{Entry, Plan},
    write::{rate_of, timeline},
};

/// What says that an AdaptationSet is a storyboard, and how many pictures an image has across and down.
const SCHEME: &str = "http://dashif.org/guidelines/thumbnail_tile";
const ONE: &str = "1x1";
/// Sets of pictures and of sound have 0 and 1.
const ID: &str = "2";

/// Where an entry's tile is: media time and duration.
fn place(entry: &Entry<'_>) -> Result<(u64, u64), ManifestError> {
    let time = to_media_time(entry.start, VIDEO_TIMESCALE).ok_or(ManifestError::BeforeOrigin)?;
    Ok((time, u64::try_from(entry.end - entry.start).unwrap_or(0)))
}

/// What all tiles of a broadcast are declared with, in bit/s: what the largest takes, so that it does not change with the window.
pub(super) fn bandwidth(of: &Timeline<'_>) -> u64 {
    let rate = |entry: &Entry<'_>| {
        let bytes = entry.tile.map(|tile| tile.object.bytes)?;
        let duration = u64::try_from(entry.end - entry.start).unwrap_or(0);
        Some(rate_of(bytes, duration, VIDEO_TIMESCALE.into()))
    };
    of.entries().filter_map(rate).max().unwrap_or(0)
}

/// The storyboard of a Period, of which `entries` are listed; `None` if none of them has a tile.
pub(super) fn set(
    plan: &Plan<'_>,
    entries: &[Entry<'_>],
    bandwidth: u64,
) -> Result<Option<AdaptationSet>, ManifestError> {
    let size = |tile: &Tile| (tile.width, tile.height);
    // Of the whole Period, listed or not: it is the same in every manifest.
    let Some((width, height)) = plan.entries.iter().find_map(|entry| entry.tile).map(size) else {
        return Ok(None);
    };
    // A Representation has one size. Rungs of one format come from sources of one shape: others are a matter of rounding, and left out.
    let shown = entries.iter().filter(|entry| entry.tile.is_some_and(|tile| size(tile) == (width, height)));
    let places = shown.map(place).collect::<Result<Vec<_>, _>>()?;
    if places.is_empty() {
        return Ok(None);
    }
    let offset = to_media_time(plan.origin, VIDEO_TIMESCALE).ok_or(ManifestError::BeforeOrigin)?;
    let representation = Representation {
        id: Some(TILE_RUNG.to_owned()),
        bandwidth: Some(bandwidth),
        width: Some(width.into()),
        height: Some(height.into()),
        essential_property: vec![EssentialProperty {
            schemeIdUri: SCHEME.to_owned(),
            value: Some(ONE.to_owned()),
            ..EssentialProperty::default()
        }],
        SegmentTemplate: Some(SegmentTemplate {
            timescale: Some(VIDEO_TIMESCALE.into()),
            presentationTimeOffset: Some(offset),
            media: Some(format!("$RepresentationID$/$Time${}.jpg", suffix(plan.naming))),
            SegmentTimeline: Some(SegmentTimeline { segments: timeline(places.into_iter()) }),
            ..SegmentTemplate::default()
        }),
        ..Representation::default()
    };
    Ok(Some(AdaptationSet {
        id: Some(ID.to_owned()),
        contentType: Some("image".to_owned()),
        mimeType: Some("image/jpeg".to_owned()),
        representations: vec![representation],
        ..AdaptationSet::default()
    }))
}
