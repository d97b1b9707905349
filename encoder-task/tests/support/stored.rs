//! A broadcast as the bucket would hold it: segments, rows and manifest in a directory, for players to read.

use std::{collections::BTreeMap, path::PathBuf, sync::Mutex};

use encoder_task::{
    cmaf::Packaged,
    make::{Output, TimedTile, make},
    manifest::{Input, Scope, State, Timeline, mpd},
    transcode::Plan,
};
use media::{
    chunk::Chunk,
    id::Epoch,
    ledger::{Init, Naming, Object, Row, Segment, TILE_RUNG, Tile},
    time::{VIDEO_TIMESCALE, WallTime, to_media_time},
};
use service::table::Ledger;

pub struct Stored {
    pub dir: tempfile::TempDir,
    pub ledger: Ledger,
    /// Per rung, the packages in order.
    pub tracks: BTreeMap<String, Vec<Packaged>>,
}

impl Stored {
    pub fn make(chunks: &[Chunk], plan: &Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut rows, mut inits, mut tracks) = (Vec::new(), Vec::<Init>::new(), BTreeMap::new());
        for chunk in chunks {
            let given = Mutex::new(Vec::new());
            let made = make(chunk, plan, &|output| given.lock().unwrap().push(output));
            assert!(made.warnings.is_empty(), "{:?}", made.warnings);
            let (mut given, segments) = (given.into_inner().unwrap(), made.packaged.iter().cloned());
            let mut all: Vec<Output> = segments.map(Output::Segment).collect();
            all.extend(made.tile.iter().cloned().map(Output::Tile));
            let rung = |output: &Output| match output {
                Output::Segment(packaged) => packaged.segment.rung.clone(),
                Output::Tile(_) => String::new(),
            };
            given.sort_by_key(rung);
            all.sort_by_key(rung);
            assert!(given == all, "each output is given out once");
            let mut segments: Vec<Segment> = Vec::new();
            for packaged in made.packaged {
                let rung = packaged.segment.rung.clone();
                let folder = dir.path().join(&rung);
                std::fs::create_dir_all(&folder).unwrap();
                let name = format!("init-{}.mp4", packaged.init.config);
                std::fs::write(folder.join(name), &packaged.init_bytes).unwrap();
                let name = format!("{}.m4s", packaged.segment.time);
                std::fs::write(folder.join(name), &packaged.segment_bytes).unwrap();
                if !inits.contains(&packaged.init) {
                    inits.push(packaged.init.clone());
                }
                segments.push(packaged.segment.clone());
                tracks.entry(rung).or_insert_with(Vec::new).push(packaged);
            }
            let video = chunk.header.video.as_ref().unwrap();
            let tile = made.tile.map(|TimedTile { time, jpeg }| {
                assert_eq!(Some(time), to_media_time(video.start, VIDEO_TIMESCALE));
                let folder = dir.path().join(TILE_RUNG);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(format!("{time}.jpg")), &jpeg.bytes).unwrap();
                let object = Object { bytes: jpeg.bytes.len() as u64, sha256: String::new() };
                Tile { width: jpeg.width, height: jpeg.height, contrast: jpeg.contrast, object }
            });
            rows.push(Row {
                pos: chunk.header.pos,
                epoch: Epoch::FIRST,
                start: video.start,
                end: video.end,
                discontinuity: chunk.header.discontinuity,
                late: false,
                naming: Naming::Plain,
                source: Object { bytes: 0, sha256: String::new() },
                segments,
                tile,
                verdict: None,
                committed: chunk.header.received,
            });
        }
        Self { dir, ledger: Ledger { rows, inits, ..Ledger::default() }, tracks }
    }

    pub fn manifest(&self, chunk: &Chunk, state: State) -> String {
        let input = Input {
            live: &chunk.header.live,
            broadcast: &chunk.header.broadcast,
            availability_start: WallTime(1_700_000_000_000_000),
            publish_time: WallTime(1_700_000_060_000_000),
            base_url: None,
        };
        mpd(&input, &Timeline::new(&self.ledger, state), Scope::Full).unwrap()
    }

    /// The path of the static manifest.
    pub fn write_manifest(&self, chunk: &Chunk) -> String {
        let path = self.dir.path().join("manifest.mpd");
        std::fs::write(&path, self.manifest(chunk, State::Over)).unwrap();
        text(path)
    }

    /// The path of a rung's initialization segment and all its media segments as one file.
    pub fn joined(&self, rung: &str) -> String {
        let packages = &self.tracks[rung];
        let mut bytes = packages[0].init_bytes.to_vec();
        packages.iter().for_each(|packaged| bytes.extend_from_slice(&packaged.segment_bytes));
        let path = self.dir.path().join(format!("{rung}.mp4"));
        std::fs::write(&path, bytes).unwrap();
        text(path)
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}
