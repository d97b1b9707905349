//! The multivariant playlist (RFC 8216, 4.3.4).

use std::fmt::Write as _;

use media::ledger::{AUDIO_RUNG, Track};

use super::{Kind, Playing, Playlists, media_playlist::VERSION, rates::stepped};

const GROUP: &str = "sound";
const MILLI: u64 = 1000;

impl Playlists<'_> {
    pub(super) fn multivariant_playlist(&self, kind: Kind, base: &str) -> String {
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
        let uri = |rung: &str| format!("{base}{rung}/{}", kind.file());
        let over = kind == Kind::Replay;
        let audio = self.audio.as_ref().filter(|_| !self.video.is_empty());
        if let Some(audio) = audio {
            let _ = writeln!(
                text,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{GROUP}\",NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES{},URI=\"{}\"",
                channels(audio),
                uri(AUDIO_RUNG)
            );
        }
        // Largest last, as in the MPD; a player that begins with the first one is on screen soonest.
        for playing in self.video.iter().chain(self.audio.iter().filter(|_| self.video.is_empty())) {
            let sound = audio.map_or((0, 0), |audio| told(audio, over));
            let own = told(playing, over);
            let (peak, average) = (own.0 + sound.0, own.1 + sound.1);
            let codecs = codecs(playing, audio);
            let _ = write!(
                text,
                "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\""
            );
            text.push_str(&picture(playing));
            if audio.is_some() {
                let _ = write!(text, ",AUDIO=\"{GROUP}\"");
            }
            if !playing.is_audio {
                text.push_str(",CLOSED-CAPTIONS=NONE");
            }
            let _ = writeln!(text, "\n{}", uri(playing.rung));
        }
        text
    }
}

/// Peak and average bit rate. Once over, as measured. Before that, what is promised (unless it is exceeded) and what was so far, in steps.
fn told(playing: &Playing<'_>, over: bool) -> (u64, u64) {
    let (peak, average) = (playing.rates.peak, playing.rates.average);
    if over {
        return (peak, average);
    }
    let declared = playing.inits.iter().map(|init| u64::from(init.bandwidth)).max().unwrap_or(0);
    let peak = if peak > declared { stepped(peak) } else { declared };
    (peak, stepped(average).min(peak))
}

/// Every format in it, each once, and those of the sound.
fn codecs(playing: &Playing<'_>, audio: Option<&Playing<'_>>) -> String {
    let mut codecs: Vec<&str> = Vec::new();
    for init in playing.inits.iter().chain(audio.into_iter().flat_map(|audio| &audio.inits)) {
        if !codecs.contains(&init.codecs.as_str()) {
            codecs.push(&init.codecs);
        }
    }
    codecs.join(",")
}

/// Size as shown and frame rate: those that it has now.
fn picture(playing: &Playing<'_>) -> String {
    let own = playing.inits.iter().rev().find(|init| init.rung == playing.rung);
    let Some(Track::Video { width, height, sar, frame_rate }) = own.map(|init| &init.track) else {
        return String::new();
    };
    let shown = (u64::from(*width) * u64::from(sar.0) + u64::from(sar.1) / 2) / u64::from(sar.1.max(1));
    let mut text = format!(",RESOLUTION={shown}x{height}");
    if let Some(rate) = frame_rate {
        let milli = (u64::from(rate.num) * MILLI + u64::from(rate.den) / 2) / u64::from(rate.den.max(1));
        let _ = write!(text, ",FRAME-RATE={}.{:03}", milli / MILLI, milli % MILLI);
    }
    text
}

fn channels(audio: &Playing<'_>) -> String {
    let channels = audio.inits.iter().filter_map(|init| match init.track {
        Track::Audio { channels, .. } => Some(channels),
        Track::Video { .. } => None,
    });
    channels.max().map_or_else(String::new, |channels| format!(",CHANNELS=\"{channels}\""))
}
