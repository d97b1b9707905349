//! A stream as a player sees it: a manifest and every object that it names, fetched over HTTP.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    http,
    mpd::{Mpd, Period, Track},
    poll,
};

/// A manifest with its objects.
#[derive(Debug)]
pub struct Presentation {
    /// Where it was fetched.
    pub url: String,
    /// The manifest as it came.
    pub text: String,
    /// The manifest as read.
    pub mpd: Mpd,
    objects: HashMap<String, Vec<u8>>,
}

impl Presentation {
    /// Fetches the manifest at `url` and all that it names.
    ///
    /// # Errors
    /// When the manifest can't be read or any object that it names is not there: a manifest is never ahead of the media.
    pub fn fetch(client: &http::Client, url: &str) -> Result<Self> {
        Self::read(url, |url| client.body(url))
    }

    /// Waits until the live manifest at `url` names so many segments of pictures; fetches it with all that it names.
    ///
    /// # Errors
    /// When it is not there in time, or there is anything else than none before.
    pub fn live(client: &http::Client, url: &str, segments: usize, limit: Duration) -> Result<Self> {
        poll::until(&format!("a live manifest that names {segments} segments"), limit, || {
            let status = client.get(url)?.status;
            anyhow::ensure!(matches!(status, 200 | 404), "{url}: {status}");
            if status == 404 {
                return Ok(None);
            }
            let live = Self::fetch(client, url)?;
            Ok((live.mpd.dynamic && live.mpd.video_segments() >= segments).then_some(live))
        })
    }

    /// Reads the manifest at `url` and all that it names through `get`.
    ///
    /// # Errors
    /// As [`Presentation::fetch`].
    pub fn read(url: &str, get: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Self> {
        let text = String::from_utf8(get(url)?).context("the manifest is not UTF-8")?;
        let mpd = Mpd::parse(url, &text).with_context(|| format!("{url}:\n{text}"))?;
        let mut objects = HashMap::new();
        for track in mpd.periods.iter().flat_map(|p| p.tracks.iter().chain(&p.images)) {
            let init = Some(&track.init).filter(|_| !track.is_image());
            for wanted in init.into_iter().chain(track.segments.iter().map(|s| &s.url)) {
                if !objects.contains_key(wanted) {
                    objects.insert(wanted.clone(), get(wanted)?);
                }
            }
        }
        Ok(Self { url: url.to_owned(), text, mpd, objects })
    }

    /// The bytes of an object that the manifest names.
    ///
    /// # Errors
    /// When the manifest does not name it.
    pub fn object(&self, url: &str) -> Result<&[u8]> {
        self.objects.get(url).map(Vec::as_slice).with_context(|| format!("{url} is not in the manifest"))
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The track `id` of a period.
    ///
    /// # Errors
    /// When the period has none.
    pub fn track<'a>(&self, period: &'a Period, id: &str) -> Result<&'a Track> {
        let track = period.tracks.iter().find(|t| t.id == id);
        track.with_context(|| format!("period {} has no track {id}", period.id))
    }

    /// Writes a track of one period as one file in `folder`: header and segments, one behind the other, as a player appends them.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, period: &Period, track: &Track, folder: &Path) -> Result<PathBuf> {
        let mut bytes = self.object(&track.init)?.to_vec();
        for segment in &track.segments {
            bytes.extend_from_slice(self.object(&segment.url)?);
        }
        let name: String =
            period.id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let file = folder.join(format!("{name}-{}.mp4", track.id));
        fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }
}
