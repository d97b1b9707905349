//! The demo: a picture with a clock and something that moves, and a soft tone with a beep each second, published by ffmpeg like any
//! broadcaster would, as a placeholder (`?filler=1`) that yields to the first real publisher and does not come back. When the live's key is
//! replaced it goes on with the new one.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use media::{id::LiveId, id::StreamKey, ladder::Profile};
use service::clock::Clock;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::data_dir::DataDir;

use super::{
    child::{self, Spec},
    guard::Guard,
    log_file::LogFile,
    pace::Pace,
};

/// Tallest test picture: more would take cores from the encoders and show nothing more.
const HEIGHT_MAX: u32 = 720;
/// Frames a second.
const FPS: u32 = 30;
/// Seconds from IDR to IDR: the usual advice to broadcasters.
const GOP_SECONDS: u32 = 2;
/// Where distributions keep the fonts for the clock.
const FONT_DIRS: [&str; 4] = [
    "/usr/share/fonts/truetype/dejavu",
    "/usr/share/fonts/dejavu",
    "/usr/share/fonts/dejavu-sans-fonts",
    "/usr/share/fonts/TTF",
];

/// What to show where.
#[derive(Debug, Clone)]
pub(crate) struct Demo {
    /// On which live.
    pub(crate) live: LiveId,
    /// The command.
    pub(crate) spec: Spec,
    /// `rtmps://host:port/live`
    rtmps: String,
}

impl Demo {
    /// The demo for a live, published to `rtmps` (`rtmps://host:port/live`).
    #[must_use]
    pub(crate) fn new(ffmpeg: PathBuf, live: LiveId, key: &StreamKey, rtmps: &str, ladder: Profile) -> Self {
        let spec =
            Spec { program: ffmpeg, args: arguments(ladder, font_dir(), ""), env: Vec::new(), redact: None };
        let mut demo = Self { live, spec, rtmps: rtmps.to_owned() };
        demo.set_key(key);
        demo
    }

    /// Publishes with this key from the next start on.
    fn set_key(&mut self, key: &StreamKey) {
        if let Some(url) = self.spec.args.last_mut() {
            *url = format!("{}/{}?filler=1", self.rtmps, key.reveal());
        }
        self.spec.redact = Some(key.reveal().to_owned());
    }

    /// Publishes until the live is taken by a real publisher, its show is ended by the operator or `stop` is cancelled; starts again when
    /// ffmpeg ends before.
    pub(crate) async fn run(
        mut self,
        dir: DataDir,
        guard: &Guard,
        mut taken: watch::Receiver<BTreeSet<LiveId>>,
        stop: CancellationToken,
    ) {
        let log = LogFile::open(dir.file("log").join("demo.log"));
        let never = CancellationToken::new();
        let yielded = CancellationToken::new();
        let live = self.live.clone();
        let publisher = async {
            let mut pace = Pace::default();
            while !yielded.is_cancelled() {
                let born = Instant::now();
                // Without it, the one before is as good as any.
                if let Ok(Some(key)) = dir.key(&live) {
                    self.set_key(&key);
                }
                let failed = match child::start(&self.spec, &log, |_| {}) {
                    Ok(started) => {
                        let pid = started.pid();
                        guard.watch(pid);
                        // It has nothing to finish: a placeholder's end is nobody's loss.
                        let ended = started.ended(&never, &yielded).await;
                        guard.forget(pid);
                        tracing::info!(pid, code = ended.code, "demo publisher ended");
                        ended.has_failed()
                    }
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "demo can't be started");
                        return;
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep(pace.next(born.elapsed(), failed, Clock::default().chance())) => {}
                    () = yielded.cancelled() => {}
                }
            }
        };
        let watcher = async {
            tokio::select! {
                // An error means that the hub is gone, and with it the stack.
                _ = taken.wait_for(|lives| lives.contains(&live)) => {}
                () = stop.cancelled() => {}
            }
            yielded.cancel();
        };
        tokio::join!(publisher, watcher);
    }
}

/// Looks for a program on the search path.
#[must_use]
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The directory with the fonts for the clock.
#[must_use]
pub(crate) fn font_dir() -> Option<&'static Path> {
    FONT_DIRS.iter().map(Path::new).find(|dir| dir.join("DejaVuSans-Bold.ttf").is_file())
}

fn size(ladder: Profile) -> (u32, u32) {
    let top = ladder.rungs().first().map_or(HEIGHT_MAX, |rung| rung.short_side).min(HEIGHT_MAX);
    // Even, as 4:2:0 wants it.
    (top * 16 / 9 / 2 * 2, top)
}

fn arguments(ladder: Profile, fonts: Option<&Path>, url: &str) -> Vec<String> {
    let (width, height) = size(ladder);
    // A quiet chord that breathes, and each second a tenth of a second of beep together with a mark in the picture.
    let sound = "aevalsrc=exprs=0.04*(sin(2*PI*220*t)+0.6*sin(2*PI*330*t))*(0.6+0.4*sin(PI*t/2))\
                 +0.10*sin(2*PI*880*t)*lt(mod(t\\,1)\\,0.1):s=48000:c=mono";
    let arguments = [
        "-hide_banner",
        "-nostdin",
        "-loglevel",
        "warning",
        // One source for both, so that both are paced by the same clock.
        "-re",
        "-f",
        "lavfi",
        "-i",
        &format!("{}[out0];{sound}[out1]", picture(width, height, fonts)),
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-b:v",
        "2500k",
        "-maxrate",
        "2500k",
        "-bufsize",
        "2500k",
        "-g",
        &(FPS * GOP_SECONDS).to_string(),
        "-sc_threshold",
        "0",
        "-c:a",
        "aac",
        "-b:a",
        "128k",
        "-ac",
        "2",
        "-f",
        "flv",
        url,
    ];
    arguments.map(str::to_owned).to_vec()
}

/// The filter graph of the picture. The background is made small and stretched: made large it would take half a core.
fn picture(width: u32, height: u32, fonts: Option<&Path>) -> String {
    let (dot, bar, line) = (height / 30 * 2, height / 3, (height / 120).max(2));
    let text = fonts.map_or(String::new(), |fonts| {
        let fonts = fonts.display();
        format!(
            ",drawtext=fontfile={fonts}/DejaVuSans-Bold.ttf:text='%{{gmtime\\:%H\\\\\\:%M\\\\\\:%S}}':fontsize=h/5:fontcolor=white:x=(w-tw)/2:y=h*0.28\
             ,drawtext=fontfile={fonts}/DejaVuSans.ttf:text='gopcast test picture    UTC    frame %{{frame_num}}':fontsize=h/28:fontcolor=white@0.8:x=w*0.04:y=h*0.91"
        )
    });
    format!(
        "gradients=size=160x90:rate={FPS}:speed=0.015:nb_colors=4:c0=0x141a33:c1=0x4a2545:c2=0x0e4749:c3=0x26213f\
         ,scale={width}:{height}:flags=bicubic,setsar=1,drawbox=x=0:y=ih*0.86:w=iw:h=ih*0.14:color=black@0.35:t=fill[ground];\
         color=c=0xff5a5f:size={dot}x{dot}:rate={FPS}[dot];color=c=white:size={bar}x{line}:rate={FPS}[bar];\
         [ground][bar]overlay=x='-w+mod(t*{bar}\\,W+w)':y=H*0.86-h[swept];\
         [swept][dot]overlay=x='(W-w)*(0.5-0.42*cos(t*PI))':y='H*0.74-h-abs(sin(t*PI))*H*0.14'\
         ,drawbox=x=iw*0.9:y=ih*0.06:w=iw*0.055:h=ih*0.03:color=0xff5a5f:t=fill:enable='lt(mod(t\\,1)\\,0.1)'{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_ladder_and_are_even() {
        assert_eq!(size(Profile::P360), (640, 360));
        assert_eq!(size(Profile::P480), (852, 480));
        assert_eq!(size(Profile::P2160), (1280, 720));
    }

    #[test]
    fn it_is_a_placeholder_and_its_key_stays_out_of_logs() {
        let key = StreamKey::generate([5; 15]);
        let live: LiveId = "demo".parse().unwrap();
        let demo = Demo::new("ffmpeg".into(), live, &key, "rtmps://127.0.0.1:1/live", Profile::P480);
        let url = demo.spec.args.last().unwrap();
        assert_eq!(*url, format!("rtmps://127.0.0.1:1/live/{}?filler=1", key.reveal()));
        assert_eq!(demo.spec.redact.as_deref(), Some(key.reveal()));
        let mut demo = demo;
        let new = StreamKey::generate([6; 15]);
        demo.set_key(&new);
        let all = format!("{:?}", demo.spec.args);
        assert!(all.contains(new.reveal()) && !all.contains(key.reveal()));
    }

    /// The real ffmpeg takes the graph.
    #[test]
    fn ffmpeg_makes_it() {
        let Some(ffmpeg) = find_program("ffmpeg") else { panic!("ffmpeg is missing: run `make setup`") };
        let mut args = arguments(Profile::P360, font_dir(), "-");
        let url = args.pop().unwrap();
        args.extend(["-t".to_owned(), "0.3".to_owned(), url]);
        let made = std::process::Command::new(ffmpeg).args(&args).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success() && made.stdout.starts_with(b"FLV"), "{said}");
    }
}
