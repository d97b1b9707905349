//! OBS itself, on a screen that nobody looks at: a film in a loop, and the stream begun by its command line.
//!
//! Its settings are files in a directory of its own; nothing of the user's is read or written.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    process::{Lines, Process},
    source::Source,
};

/// From the start of a virtual screen, or of OBS, to what is waited for: it draws without a graphics card here.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// From the order to stop to the end of the process.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// The profile, and the collection of scenes.
const NAME: &str = "show";
/// What OBS takes for the version that wrote a scene: 29.0.2.
const VERSION: u32 = 29 << 24 | 2;

/// A running OBS.
pub struct Obs {
    obs: Process,
    _screen: Process,
    _folder: TempDir,
}

/// Whether this machine has OBS and a virtual screen.
#[must_use]
pub fn has_obs() -> bool {
    ["obs", "Xvfb"].iter().all(|program| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    })
}

impl Obs {
    /// Starts it, streaming `source` in a loop to `server` (as typed into its settings) with `key`, in GOPs of 2 s.
    ///
    /// # Errors
    /// When it, or its screen, does not start.
    pub fn start(source: &Source, server: &str, key: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("gopcast-obs-")?;
        settings(folder.path(), source, server, key)?;
        let mut screen = Command::new("Xvfb");
        screen.args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"]);
        let screen = Process::start("Xvfb", &mut screen)?;
        let number =
            screen.out.wait("the number of the screen", 0, STARTS_WITHIN, |line| line.parse::<u32>().ok())?;
        let mut command = Command::new("obs");
        command
            .args(["--startstreaming", "--multi", "--disable-updater", "--disable-missing-files-check"])
            .args(["--profile", NAME, "--collection", NAME])
            .env("DISPLAY", format!(":{number}"))
            .env("QT_QPA_PLATFORM", "xcb")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env("XDG_RUNTIME_DIR", folder.path().join("run"))
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null());
        let obs = Process::start("obs", &mut command)?;
        Ok(Self { obs, _screen: screen, _folder: folder })
    }

    /// Waits until its log says `what`; the rest of that line.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn says(&self, what: &str) -> Result<String> {
        self.log().wait(what, 0, STARTS_WITHIN, |line| {
            line.split_once(what).map(|(_, rest)| rest.trim().to_owned())
        })
    }

    /// Ends it as its window is closed: it ends the stream with a goodbye. Gives how many pictures it has put out by its own account.
    ///
    /// # Errors
    /// When it does not end, or does not say how many.
    pub fn stop(mut self) -> Result<u64> {
        self.obs.signal(Signal::SIGINT)?;
        let pictures = self.says("Total frames output: ")?;
        let pictures = pictures.split(' ').next().unwrap_or_default().parse();
        self.obs.wait(STOPS_WITHIN)?;
        pictures.with_context(|| self.log().text())
    }

    /// Its log.
    fn log(&self) -> &Lines {
        &self.obs.out
    }
}

/// Writes what its dialogs would.
fn settings(folder: &Path, source: &Source, server: &str, key: &str) -> Result<()> {
    let config = folder.join("config/obs-studio");
    let profile = config.join("basic/profiles").join(NAME);
    let scenes = config.join("basic/scenes");
    for folder in [&profile, &scenes, &folder.join("run")] {
        fs::create_dir_all(folder)?;
    }
    let file = source.mp4()?;
    let format = &source.format;
    let (width, height) = (format.width, format.height);
    let global = format!(
        "[General]\nFirstRun=true\nLastVersion={VERSION}\nEnableAutoUpdates=false\nConfirmOnExit=false\n\n\
         [Basic]\nProfile={NAME}\nProfileDir={NAME}\nSceneCollection={NAME}\nSceneCollectionFile={NAME}\n"
    );
    // The second is where it is from version 31 on.
    for file in ["global.ini", "user.ini"] {
        fs::write(config.join(file), &global)?;
    }
    fs::write(
        profile.join("basic.ini"),
        format!(
            "[General]\nName={NAME}\n\n[Output]\nMode=Simple\nReconnect=false\n\n\
             [SimpleOutput]\nVBitrate=1500\nABitrate=128\nStreamEncoder=x264\nPreset=ultrafast\n\
             UseAdvanced=true\nx264Settings=keyint={}\n\n\
             [Video]\nBaseCX={width}\nBaseCY={height}\nOutputCX={width}\nOutputCY={height}\nFPSType=0\nFPSCommon={}\n\n\
             [Audio]\nSampleRate={}\nChannelSetup=Stereo\n",
            format.gop, format.frames, format.sample_rate
        ),
    )?;
    let service = json!({"type": "rtmp_custom", "settings": {"server": server, "key": key}});
    fs::write(profile.join("service.json"), service.to_string())?;
    let film = json!({
        "name": "Film", "id": "ffmpeg_source", "versioned_id": "ffmpeg_source", "prev_ver": VERSION, "mixers": 255,
        "settings": {"is_local_file": true, "local_file": file, "looping": true, "hw_decode": false},
    });
    let scene = json!({
        "name": "Scene", "id": "scene", "versioned_id": "scene", "prev_ver": VERSION,
        "settings": {"id_counter": 1, "items": [{"id": 1, "name": "Film", "visible": true}]},
    });
    let collection = json!({
        "name": NAME, "current_scene": "Scene", "current_program_scene": "Scene", "scene_order": [{"name": "Scene"}],
        "sources": [film, scene],
    });
    fs::write(scenes.join(format!("{NAME}.json")), collection.to_string())?;
    Ok(())
}
