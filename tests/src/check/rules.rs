//! What the standards demand beyond what makes a stream playable: the DASH schema, DASH-IF's and CMAF's rules, the promised bit rates.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::Faults;
use crate::{
    boxes, dash,
    mpd::{Track, ticks_to_seconds},
    presentation::Presentation,
    process::run,
};

/// Checks the manifest's text against the DASH schema.
///
/// # Errors
/// When it is not valid, or xmllint is missing.
pub fn schema(presentation: &Presentation) -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("manifest.mpd");
    std::fs::write(&file, &presentation.text)?;
    let schema = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/dash-schema");
    let mut command = Command::new("xmllint");
    command.env("XML_CATALOG_FILES", schema.join("catalog.xml")).args(["--nonet", "--noout", "--schema"]);
    command.arg(schema.join("DASH-MPD.xsd")).arg(&file);
    run("xmllint", &mut command).map(|_| ()).with_context(|| presentation.text.clone())
}

/// Checks what DASH-IF and CMAF demand beyond what makes a stream playable: the manifest's attributes and what they say of each other, the
/// boxes of every object, the bit rates that are promised.
///
/// # Errors
/// Every fault found.
pub fn rules(presentation: &Presentation) -> Result<()> {
    let mut faults = Faults::default();
    let judged = dash::rules(&mut faults, &presentation.text, &presentation.mpd);
    faults.note("the manifest", judged);
    for track in presentation.mpd.periods.iter().flat_map(|p| &p.tracks) {
        let header = presentation.object(&track.init).and_then(boxes::header_layout);
        faults.note(&track.init, header);
        for named in &track.segments {
            let layout = presentation.object(&named.url).and_then(boxes::segment_layout);
            faults.note(&named.url, layout);
        }
        rate(&mut faults, presentation, track);
    }
    faults.into_result(&presentation.url)
}

/// `@bandwidth` is what a connection needs: a buffer filled at that rate, with `minBufferTime` in it at the start, never runs empty
/// (ISO/IEC 23009-1, 5.3.5.4), whichever segment it starts with. Held to a segment's own length instead, which is what HLS's `BANDWIDTH` and
/// players' estimates mean.
fn rate(faults: &mut Faults, presentation: &Presentation, track: &Track) {
    for named in &track.segments {
        let Ok(bytes) = presentation.object(&named.url) else { continue };
        let bits = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(8);
        // A last segment may be shorter than the rate control's buffer.
        let ticks = named.duration.max(track.timescale);
        faults.check(bits.saturating_mul(track.timescale) <= track.bandwidth.saturating_mul(ticks), || {
            let seconds = ticks_to_seconds(named.duration, track.timescale);
            format!(
                "{} t={}: {bits} bits in {seconds:.2} s, bandwidth={}",
                track.id, named.time, track.bandwidth
            )
        });
    }
}
