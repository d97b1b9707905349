//! What codings are called, for people.

/// Of a `FourCC`.
pub(super) fn four_cc(code: [u8; 4]) -> String {
    match &code {
        b"vvc1" => "VVC (vvc1)".to_owned(),
        b"vp09" => "VP9 (vp09)".to_owned(),
        b"vp08" => "VP8 (vp08)".to_owned(),
        b"ac-3" => "AC-3".to_owned(),
        b"ec-3" => "E-AC-3".to_owned(),
        b"fLaC" => "FLAC".to_owned(),
        other if other.iter().all(u8::is_ascii_graphic) => other.iter().map(|b| char::from(*b)).collect(),
        other => format!("of the unknown kind {}", hex::encode(other)),
    }
}

/// Of a `CodecID`.
pub(super) fn old_video(codec: u8) -> String {
    match codec {
        2 => "Sorenson H.263".to_owned(),
        3 | 6 => "Screen Video".to_owned(),
        4 | 5 => "VP6".to_owned(),
        other => format!("of the unknown codec {other}"),
    }
}

/// Of a `SoundFormat`.
pub(super) fn sound_format(format: u8) -> String {
    match format {
        0 | 3 => "PCM".to_owned(),
        1 => "ADPCM".to_owned(),
        4..=6 => "Nellymoser".to_owned(),
        7 => "G.711 A-law".to_owned(),
        8 => "G.711 mu-law".to_owned(),
        11 => "Speex".to_owned(),
        other => format!("of the unknown format {other}"),
    }
}
