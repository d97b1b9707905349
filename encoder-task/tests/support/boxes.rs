//! What a segment says of itself, read back independently of the writer's structures.

use mp4_atom::{Any, DecodeMaybe, Moof};

/// One media segment, read back. Times in ticks of its track.
#[derive(Debug)]
pub struct Read {
    pub decode_time: u64,
    /// Duration, composition offset, flags, bytes of each sample.
    pub samples: Vec<(u64, i64, u32, usize)>,
    pub payload: usize,
}

impl Read {
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|s| s.0).sum()
    }
    /// Presentation times in decode order.
    pub fn shown(&self) -> Vec<i64> {
        let mut at = i64::try_from(self.decode_time).unwrap();
        self.samples
            .iter()
            .map(|(duration, offset, ..)| {
                let shown = at + offset;
                at += i64::try_from(*duration).unwrap();
                shown
            })
            .collect()
    }
}

pub fn read(segment: &[u8]) -> Read {
    let mut rest = segment;
    let mut kinds = Vec::new();
    let (mut moof, mut payload) = (None, 0);
    let mut data_from = 0;
    let mut moof_from = 0;
    while !rest.is_empty() {
        let from = segment.len() - rest.len();
        match Any::decode_maybe(&mut rest).unwrap().unwrap() {
            Any::Styp(_) => kinds.push("styp"),
            Any::Moof(found) => {
                kinds.push("moof");
                moof_from = from;
                moof = Some(found);
            }
            Any::Mdat(data) => {
                kinds.push("mdat");
                data_from = from + 8;
                payload = data.data.len();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kinds, ["styp", "moof", "mdat"]);
    let Moof { traf, .. } = moof.unwrap();
    assert_eq!(traf.len(), 1);
    let traf = &traf[0];
    assert!(traf.tfhd.default_base_is_moof && traf.trun.len() == 1);
    assert_eq!(usize::try_from(traf.trun[0].data_offset.unwrap()).unwrap(), data_from - moof_from);
    let samples: Vec<_> = traf.trun[0]
        .samples
        .iter()
        .map(|entry| {
            (
                u64::from(entry.duration.or(traf.tfhd.default_sample_duration).unwrap()),
                entry.cts.unwrap_or(0),
                entry.flags.or(traf.tfhd.default_sample_flags).unwrap(),
                usize::try_from(entry.size.unwrap()).unwrap(),
            )
        })
        .collect();
    assert_eq!(samples.iter().map(|s| s.3).sum::<usize>(), payload);
    Read { decode_time: traf.tfdt.as_ref().unwrap().base_media_decode_time, samples, payload }
}
