//! Media segments: `styp`, and one fragment of `moof` and `mdat` (ISO 14496-12, 8.8 and 8.16.2).

use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{Encode, FourCC, Mfhd, Moof, Styp, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use super::{PackageError, init::TRACK_ID};

/// `sample_depends_on` = 2 (on no other): a sync sample (8.8.3.1).
const SYNC: u32 = 0x0200_0000;
/// `sample_depends_on` = 1, `sample_is_non_sync_sample` = 1.
const NON_SYNC: u32 = 0x0101_0000;
const BOX_HEADER: usize = 8;

/// One sample, in decode order.
pub(super) struct Sample {
    /// In ticks of the track.
    pub(super) duration: u32,
    /// From decoding to presentation, in ticks of the track.
    pub(super) offset: i32,
    pub(super) data: Bytes,
}

/// What a segment is written from.
pub(super) struct Fragment<'a> {
    pub(super) sequence: u32,
    /// Of the first sample, as media time.
    pub(super) decode_time: u64,
    /// Every sample is a sync sample; else the first one is and no other.
    pub(super) all_sync: bool,
    pub(super) samples: &'a [Sample],
}

pub(super) fn write(fragment: &Fragment<'_>) -> Result<Bytes, PackageError> {
    let payload: usize = fragment.samples.iter().map(|sample| sample.data.len()).sum();
    let mut head = Vec::with_capacity(256 + fragment.samples.len() * 16);
    Styp {
        major_brand: FourCC::new(b"msdh"),
        minor_version: 0,
        compatible_brands: [b"msdh", b"cmfs", b"iso6"].map(FourCC::new).to_vec(),
    }
    .encode(&mut head)?;
    let styp = head.len();
    // The offset to the data is counted from the start of `moof`, whose length it does not change: write, measure, write again.
    let mut moof = moof(fragment, 0)?;
    moof.encode(&mut head)?;
    let offset = head.len() - styp + BOX_HEADER;
    head.truncate(styp);
    if let Some(trun) = moof.traf.first_mut().and_then(|traf| traf.trun.first_mut()) {
        trun.data_offset = Some(i32::try_from(offset).map_err(|_| too_large(offset))?);
    }
    moof.encode(&mut head)?;

    let mdat = payload + BOX_HEADER;
    let mut out = BytesMut::with_capacity(head.len() + mdat);
    out.put_slice(&head);
    out.put_u32(u32::try_from(mdat).map_err(|_| too_large(mdat))?);
    out.put_slice(b"mdat");
    for sample in fragment.samples {
        out.put_slice(&sample.data);
    }
    Ok(out.freeze())
}

fn moof(fragment: &Fragment<'_>, data_offset: i32) -> Result<Moof, PackageError> {
    let samples = fragment.samples;
    let duration = samples.first().map(|first| first.duration);
    let constant = duration.filter(|duration| samples.iter().all(|sample| sample.duration == *duration));
    let mut entries = Vec::with_capacity(samples.len());
    for (n, sample) in samples.iter().enumerate() {
        entries.push(TrunEntry {
            duration: constant.is_none().then_some(sample.duration),
            size: Some(u32::try_from(sample.data.len()).map_err(|_| too_large(sample.data.len()))?),
            flags: (!fragment.all_sync && n == 0).then_some(SYNC),
            cts: (!fragment.all_sync).then_some(sample.offset.into()),
        });
    }
    Ok(Moof {
        mfhd: Mfhd { sequence_number: fragment.sequence },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: TRACK_ID,
                default_base_is_moof: true,
                default_sample_duration: constant,
                default_sample_flags: Some(if fragment.all_sync { SYNC } else { NON_SYNC }),
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: fragment.decode_time }),
            trun: vec![Trun { data_offset: Some(data_offset), samples: entries.into() }],
            ..Traf::default()
        }],
    })
}

fn too_large(value: usize) -> PackageError {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    PackageError::Range { rung: "segment".to_owned(), what: "size", value }
}
