//! What the CDN must answer of every kind of object: status, type, life time, sharing with other origins, ranges, revalidation; and
//! that what is not there is a 404 that nobody keeps.

use anyhow::{Context, Result};

use crate::{check::Faults, http, presentation::Presentation};

/// Longest that a live manifest, or an error, may be kept, in seconds.
const SHORT: u64 = 2;
/// Shortest that what never changes must be kept, in seconds: a year.
const LONG: u64 = 31_536_000;
/// What a page of another origin must be able to read.
const EXPOSED: [&str; 3] = ["content-length", "content-range", "date"];
/// Bytes of the range that is asked for.
const RANGE: (usize, usize) = (4, 15);

/// Asks for the manifest, one header and one segment of every track, and what is not there.
///
/// # Errors
/// Every fault found.
pub fn check(client: &http::Client, presentation: &Presentation) -> Result<()> {
    let mut faults = Faults::default();
    let life = if presentation.mpd.dynamic { SHORT } else { LONG };
    let manifest = client.get(&presentation.url)?;
    common(&mut faults, "the manifest", &manifest, &["application/dash+xml"]);
    let age = max_age(&manifest);
    faults.check(age.is_some_and(|seconds| seconds <= life), || format!("the manifest: kept for {age:?} s"));
    revalidation(&mut faults, client, &presentation.url, &manifest)?;
    for track in presentation.mpd.periods.iter().flat_map(|p| &p.tracks) {
        let kind = if track.is_video() { "video" } else { "audio" };
        let types = [format!("{kind}/mp4"), format!("{kind}/iso.segment")];
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        for url in std::iter::once(&track.init).chain(track.segments.last().map(|s| &s.url)) {
            let place = url.rsplit('/').take(2).collect::<Vec<_>>().join(" of ");
            let reply = client.get(url)?;
            common(&mut faults, &place, &reply, &types);
            immutable(&mut faults, &place, &reply);
            ranges(&mut faults, client, url, &place, &reply)?;
            revalidation(&mut faults, client, url, &reply)?;
        }
    }
    for url in presentation.mpd.periods.iter().flat_map(|p| &p.images).filter_map(|t| t.segments.last()) {
        let reply = client.get(&url.url)?;
        common(&mut faults, &url.url, &reply, &["image/jpeg"]);
        immutable(&mut faults, &url.url, &reply);
        revalidation(&mut faults, client, &url.url, &reply)?;
    }
    missing(&mut faults, client, presentation)?;
    faults.into_result(&presentation.url)
}

fn immutable(faults: &mut Faults, place: &str, reply: &http::Reply) {
    let control = reply.header("cache-control").unwrap_or_default();
    faults.check(max_age(reply) >= Some(LONG) && control.contains("immutable"), || {
        format!("{place}: Cache-Control: {control}")
    });
}

fn common(faults: &mut Faults, place: &str, reply: &http::Reply, types: &[&str]) {
    faults.check(reply.status == 200, || format!("{place}: {}", reply.status));
    let kind = reply.header("content-type").unwrap_or_default();
    faults.check(types.contains(&kind), || format!("{place}: Content-Type: {kind}"));
    let length = reply.header("content-length").and_then(|text| text.parse::<usize>().ok());
    faults.check(length == Some(reply.body.len()), || format!("{place}: Content-Length: {length:?}"));
    faults.check(reply.header("etag").is_some_and(|tag| tag.ends_with('"')), || format!("{place}: no ETag"));
    let age = reply.header("age").map_or(Ok(0), str::parse::<u64>);
    faults.check(age.is_ok(), || format!("{place}: Age is no number"));
    shared(faults, place, reply);
}

/// A page of another origin may read it.
fn shared(faults: &mut Faults, place: &str, reply: &http::Reply) {
    let origin = reply.header("access-control-allow-origin");
    faults.check(origin == Some("*"), || format!("{place}: Access-Control-Allow-Origin: {origin:?}"));
    let exposed = reply.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
    for name in EXPOSED {
        faults.check(exposed.split(',').any(|e| e.trim() == name || e.trim() == "*"), || {
            format!("{place}: a page can't read {name}")
        });
    }
}

fn ranges(
    faults: &mut Faults,
    client: &http::Client,
    url: &str,
    place: &str,
    whole: &http::Reply,
) -> Result<()> {
    let (first, last) = RANGE;
    let part = client.get_with(url, &[("range", &format!("bytes={first}-{last}"))])?;
    let range = part.header("content-range").unwrap_or_default();
    faults.check(part.status == 206 && range == format!("bytes {first}-{last}/{}", whole.body.len()), || {
        format!("{place}: a range answers {} {range}", part.status)
    });
    faults.check(whole.body.get(first..=last) == Some(part.body.as_slice()), || {
        format!("{place}: a range has other bytes than the whole")
    });
    let accepts = whole.header("accept-ranges");
    faults.check(accepts == Some("bytes"), || format!("{place}: Accept-Ranges: {accepts:?}"));
    let beyond = client.get_with(url, &[("range", &format!("bytes={}-", whole.body.len() + 9))])?;
    faults
        .check(beyond.status == 416, || format!("{place}: a range beyond its end answers {}", beyond.status));
    shared(faults, place, &part);
    Ok(())
}

fn revalidation(faults: &mut Faults, client: &http::Client, url: &str, reply: &http::Reply) -> Result<()> {
    let tag = reply.header("etag").context("no ETag")?;
    let again = client.get_with(url, &[("if-none-match", tag)])?;
    // A manifest may have changed in between.
    let changed = again.status == 200 && again.header("etag") != Some(tag);
    faults.check(again.status == 304 || changed, || format!("{url}: If-None-Match answers {}", again.status));
    Ok(())
}

/// Who asks too early must be told so, and may ask again at once.
fn missing(faults: &mut Faults, client: &http::Client, presentation: &Presentation) -> Result<()> {
    let named = presentation.mpd.periods.iter().flat_map(|p| &p.tracks).find_map(|t| t.segments.last());
    let url = &named.context("no segment")?.url;
    let folder = url.rsplit_once('/').map_or("", |(folder, _)| folder);
    let url = format!("{folder}/99999999999999.m4s");
    let reply = client.get(&url)?;
    faults.check(reply.status == 404, || format!("{url} is not there, and answers {}", reply.status));
    let kept = max_age(&reply);
    faults.check(kept.unwrap_or(0) <= SHORT, || format!("{url}: its absence is kept for {kept:?} s"));
    let origin = reply.header("access-control-allow-origin");
    faults.check(origin == Some("*"), || format!("{url}: a page can't read that it is not there"));
    Ok(())
}

fn max_age(reply: &http::Reply) -> Option<u64> {
    let control = reply.header("cache-control")?;
    control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok())
}
