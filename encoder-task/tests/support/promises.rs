//! What every segment of every rung promises, checked with readers that are not ours.

use bytes::Bytes;
use encoder_task::transcode::Plan;
use media::{chunk::Chunk, time::to_media_time};

use super::{Source, boxes, run, stored::Stored};

/// Every promise about segments, on one source.
pub fn check(source: &Source, plan: &Plan) -> (Vec<Chunk>, Stored) {
    let chunks = source.chunks();
    let stored = Stored::make(&chunks, plan);
    let frames = usize::try_from(source.gop).unwrap();
    for (rung, packages) in &stored.tracks {
        assert!(packages.iter().all(|p| p.init == packages[0].init), "{rung}: one initialization segment");
        let mut next = None;
        for (chunk, packaged) in chunks.iter().zip(packages) {
            let read = boxes::read(&packaged.segment_bytes);
            assert!(next.is_none_or(|next| next == read.decode_time), "{rung}: decode times join");
            next = Some(read.decode_time + read.duration());
            assert_eq!(read.duration(), packaged.segment.duration, "{rung}");
            let mut shown = read.shown();
            let earliest = shown.iter().min().copied().unwrap();
            assert_eq!(u64::try_from(earliest).unwrap(), packaged.segment.time, "{rung}: time is S@t");
            assert!(read.samples.iter().all(|s| s.1 >= 0), "{rung}: composition offsets");
            if rung == "audio" {
                assert!(read.samples.iter().all(|s| s.2 == 0x0200_0000));
                let total: usize = chunk.audio_samples().iter().map(Bytes::len).sum();
                assert_eq!(read.payload, total);
                continue;
            }
            assert_eq!(read.samples.len(), frames, "{rung}");
            let (first, others) = read.samples.split_first().unwrap();
            assert!(first.2 == 0x0200_0000 && others.iter().all(|s| s.2 == 0x0101_0000), "{rung}: one IDR");
            let mut wanted: Vec<i64> = chunk.header.video.as_ref().unwrap().pts.clone();
            wanted.iter_mut().for_each(|t| *t = i64::try_from(to_media_time(*t, 90_000).unwrap()).unwrap());
            wanted.sort_unstable();
            shown.sort_unstable();
            assert_eq!(shown, wanted, "{rung}: presentation times");
        }
        let joined = stored.joined(rung);
        let noise = run(
            "ffmpeg",
            &["-v", "error", "-xerror", "-err_detect", "explode", "-i", &joined, "-f", "null", "-"],
        );
        assert_eq!(noise, "", "{rung}: a strict decoder has nothing to say");
        let wanted = if rung == "audio" {
            chunks.iter().map(|c| c.audio_samples().len()).sum()
        } else {
            frames * chunks.len()
        };
        assert_eq!(count_frames(&joined), wanted, "{rung}");
    }
    (chunks, stored)
}

fn count_frames(file: &str) -> usize {
    let entries = ["-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"];
    let text = run("ffprobe", &[&["-v", "error"], &entries[..], &[file]].concat());
    text.trim().parse().unwrap()
}
