//! What the manifests must name: the live timeline while dynamic, the replay once static. The stable one may, static, still name the live
//! timeline, for those who watch the end. Pure.

use std::collections::{BTreeMap, HashMap};

use media::names;

use super::{
    evidence::{Evidence, Manifest, Part, Piece, Report, Role},
    mpd::Mpd,
    playlists,
};

/// Judges every manifest.
pub(super) fn check(evidence: &Evidence, report: &mut Report) {
    let orders =
        Orders { timeline: order(evidence, evidence.shown()), replay: order(evidence, evidence.replay()) };
    for manifest in &evidence.manifests {
        check_manifest(evidence, &orders, manifest, report);
    }
}

/// Whether a manifest names an object.
pub(super) fn is_named(evidence: &Evidence, key: &str) -> bool {
    let found = evidence.manifests.iter().filter_map(|manifest| manifest.found.as_ref()?.as_ref().ok());
    found.flat_map(|mpd| &mpd.tracks).flat_map(|track| &track.segments).any(|segment| segment.key == key)
        || playlists::is_named(evidence, key)
}

struct Orders<'a> {
    timeline: Order<'a>,
    replay: Order<'a>,
}

/// What is to be named, rung by rung, in order.
struct Order<'a> {
    rungs: BTreeMap<&'a str, Vec<Part<'a>>>,
    /// Where each key is in its rung's list.
    places: HashMap<String, usize>,
}

fn order<'a>(evidence: &Evidence, pieces: Vec<Piece<'a>>) -> Order<'a> {
    let (mut rungs, mut places) = (BTreeMap::<&str, Vec<_>>::new(), HashMap::new());
    for piece in pieces {
        for part in evidence.parts(piece) {
            let rung = rungs.entry(part.rung).or_default();
            places.insert(part.key.clone(), rung.len());
            rung.push(part);
        }
    }
    Order { rungs, places }
}

fn check_manifest(evidence: &Evidence, orders: &Orders<'_>, manifest: &Manifest, report: &mut Report) {
    let key = &manifest.key;
    let mpd = match &manifest.found {
        Some(Ok(mpd)) => mpd,
        Some(Err(problem)) => return report.fault(key, problem),
        None => {
            let is_due = manifest.role == Role::Own && evidence.ended.is_some();
            if is_due && !orders.replay.rungs.is_empty() {
                report.fault(key, "it is missing");
            }
            return;
        }
    };
    // Written before the end, and not yet seen after it: only a manifest read after the end must be static.
    if evidence.ended.is_some() && mpd.dynamic {
        report.fault(key, "the broadcast is over and it still says type=\"dynamic\"");
    }
    let against = |order: &Order<'_>, windowed: bool| {
        let mut report = Report::default();
        names_in_order(evidence, order, windowed, key, mpd, &mut report);
        report.faults
    };
    let stable = manifest.role == Role::Stable;
    let faults = if mpd.dynamic {
        against(&orders.timeline, stable)
    } else {
        let faults = against(&orders.replay, false);
        if !faults.is_empty() && stable && against(&orders.timeline, true).is_empty() {
            report
                .notes
                .push(format!("{key}: it still shows how it went on air, with fills; the replay follows"));
            Vec::new()
        } else {
            faults
        }
    };
    report.faults.extend(faults);
}

/// It names what the order has and nothing else, in its order; once over, all of it. `windowed`: it may begin later.
fn names_in_order(
    evidence: &Evidence,
    order: &Order<'_>,
    windowed: bool,
    key: &str,
    mpd: &Mpd,
    report: &mut Report,
) {
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for track in &mpd.tracks {
        let committed = order.rungs.get(track.rung.as_str()).map_or(&[][..], Vec::as_slice);
        // Where this rung's list goes on.
        let next = named.entry(&track.rung).or_insert_with(|| {
            let first = track.segments.first().filter(|_| windowed);
            first.and_then(|first| order.places.get(&first.key)).copied().unwrap_or(0)
        });
        for segment in &track.segments {
            let place = order.places.get(&segment.key).copied();
            let Some((at, recorded)) = place.and_then(|at| Some((at, committed.get(at)?))) else {
                report.fault(key, format!("it names {}, which is in no row of the ledger", segment.key));
                continue;
            };
            if at < *next {
                report.fault(key, format!("it names {} again or out of order", segment.key));
                continue;
            }
            for skipped in &committed[*next..at] {
                report.fault(key, format!("it does not name {}", skipped.key));
            }
            *next = at + 1;
            if recorded.duration != segment.duration {
                let problem = format!(
                    "it gives {} a duration of {}, recorded is {}",
                    segment.key, segment.duration, recorded.duration
                );
                report.fault(key, problem);
            }
            let init = recorded
                .config
                .map(|config| names::init(&evidence.live, &evidence.broadcast, recorded.rung, config));
            if init != track.init {
                let named = track.init.as_deref().unwrap_or("nothing");
                let config = recorded.config.unwrap_or("none");
                report.fault(key, format!("it names {named} for {}, recorded is {config}", segment.key));
            }
        }
    }
    // On air a manifest may be a moment behind the ledger, never ahead; once over, both agree.
    if evidence.ended.is_some() {
        for (rung, committed) in &order.rungs {
            // A rung that was dropped long ago is not in the window.
            let Some(from) = named.get(rung).copied().or((!windowed).then_some(0)) else { continue };
            for missing in &committed[from..] {
                report.fault(key, format!("it does not name {}", missing.key));
            }
        }
    }
}
