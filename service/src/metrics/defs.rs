//! The registry: every metric, once. The comment above each is its meaning in `docs/METRICS.md` and in Prometheus's help.
//!
//! To add one: an entry here, and the page's row (`cargo test -p service metrics` prints it). CloudWatch takes money for each that is
//! [`Sent::Cloud`](super::Sent) and each service that has it (0.30 USD a month, list price of November 2026): what only helps while one
//! looks is `Local`.

use super::{Counter, Def, Gauge, Histogram, Labelled, Metric, Role::*, Sent::*, Unit::*};

/// Times of calls and steps, in seconds: 1 ms to 30 s.
const TIMES: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0];
/// Times that viewers wait, in seconds.
const LATENCIES: &[f64] = &[0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, 60.0];
/// Lengths of GOPs, in seconds.
const LENGTHS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
/// Sizes of chunks, in bytes: 16 KiB to 64 MiB.
const SIZES: &[f64] = &[
    16384.0, 65536.0, 262144.0, 524288.0, 1048576.0, 2097152.0, 4194304.0, 8388608.0, 16777216.0, 67108864.0,
];
/// Numbers of things.
const COUNTS: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
/// Shares of real time.
const RATIOS: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 4.0];

macro_rules! metrics {
    (@new counter $def:expr) => { Counter::new($def) };
    (@new labelled($label:literal) $def:expr) => { Labelled::new($def, $label) };
    (@new gauge $def:expr) => { Gauge::new($def) };
    (@new histogram($bounds:ident) $def:expr) => { Histogram::new($def, $bounds) };
    (@type counter) => { Counter };
    (@type labelled) => { Labelled };
    (@type gauge) => { Gauge };
    (@type histogram) => { Histogram };
    (@wrap counter $name:ident) => { Metric::Counter(&$name) };
    (@wrap labelled $name:ident) => { Metric::Labelled(&$name) };
    (@wrap gauge $name:ident) => { Metric::Gauge(&$name) };
    (@wrap histogram $name:ident) => { Metric::Histogram(&$name) };
    ($(#[doc = $meaning:literal] $kind:ident $(($arg:tt))? $name:ident = $text:literal, $unit:ident, [$($role:ident),+], $sent:ident;)*) => {
        $(
            #[doc = $meaning]
            pub static $name: metrics!(@type $kind) = metrics!(@new $kind $(($arg))? Def {
                name: $text,
                unit: $unit,
                roles: &[$($role),+],
                sent: $sent,
                meaning: $meaning.trim_ascii(),
            });
        )*
        /// Every metric.
        pub static ALL: &[Metric] = &[$(metrics!(@wrap $kind $name)),*];
    };
}

metrics! {
    /// Events, by name; what each means is in EVENTS.md. CloudWatch counts them from the log lines.
    labelled("event") EVENTS = "events", Count, [Edge, Gateway, Encoder], Local;
    /// Lines of level ERROR that were logged.
    counter ERRORS_LOGGED = "errors_logged", Count, [Edge, Gateway, Encoder], Local;
    /// Calls to S3, DynamoDB or the gateway that failed and were made again, by what was being done.
    labelled("what") CALLS_RETRIED = "calls_retried", Count, [Edge, Encoder], Cloud;

    /// Connections that are open, those of port scanners included.
    gauge CONNECTIONS = "connections", Count, [Edge], Cloud;
    /// Publishers on air.
    gauge PUBLISHERS = "publishers", Count, [Edge], Cloud;
    /// Connections that were turned away because there were too many, by which bound: `all`, `address`.
    labelled("bound") CONNECTIONS_REFUSED = "connections_refused", Count, [Edge], Cloud;
    /// Connections that were closed, before they had shown a valid key, for newcomers who would else have been turned away.
    counter CONNECTIONS_DISPLACED = "connections_displaced", Count, [Edge], Local;
    /// Connections that ended by a fault before they had asked to publish, by layer: `tls`, `rtmp`. Port scanners, mostly.
    labelled("layer") HANDSHAKES_FAILED = "handshakes_failed", Count, [Edge], Cloud;
    /// Bytes read from publishers, of RTMP.
    counter BYTES_IN = "received", Bytes, [Edge], Cloud;
    /// Publishes that were refused, by code.
    labelled("code") REFUSED = "refused", Count, [Edge], Local;
    /// Publishes that gopcast ended, by code.
    labelled("code") STOPPED = "stopped", Count, [Edge], Local;
    /// Warnings to broadcasters, by code.
    labelled("code") WARNED = "warned", Count, [Edge], Local;
    /// Sizes of the chunks that were stored.
    histogram(SIZES) CHUNK_SIZE = "chunk_size", Bytes, [Edge], Local;
    /// Lengths of the chunks that were stored: the publishers' keyframe intervals.
    histogram(LENGTHS) CHUNK_LENGTH = "chunk_length", Seconds, [Edge], Cloud;
    /// Chunks that were stored.
    counter CHUNKS_STORED = "chunks_stored", Count, [Edge], Cloud;
    /// Time to store a chunk, all tries included.
    histogram(TIMES) CHUNK_PUT = "chunk_put", Seconds, [Edge], Cloud;
    /// Time from a stored chunk's turn to be told until an encoder has taken it in charge, all tries included.
    histogram(TIMES) CHUNK_TELL = "chunk_tell", Seconds, [Edge], Cloud;
    /// Chunks in memory that are not stored yet.
    gauge BACKLOG_CHUNKS = "backlog_chunks", Count, [Edge], Cloud;
    /// Bytes of those chunks.
    gauge BACKLOG_BYTES = "backlog", Bytes, [Edge], Cloud;
    /// How long a chunk had waited in memory when it was stored: the backlog's age.
    histogram(TIMES) BACKLOG_AGE = "backlog_age", Seconds, [Edge], Cloud;

    /// Events that were handled, by which event: `open`, `chunk`…
    labelled("event") INVOCATIONS = "invocations", Count, [Gateway], Local;
    /// Events that are to be sent again, by why: `retry` (no encoder could take it), `failed` (the table could not be asked, or in time).
    labelled("why") UNANSWERED = "events_unanswered", Count, [Gateway], Cloud;
    /// Time for an event.
    histogram(TIMES) EVENT_TIME = "event_time", Seconds, [Gateway], Local;
    /// Broadcasts that were bound to another encoder, by reason.
    labelled("reason") REBINDS = "rebinds_by_reason", Count, [Gateway], Local;
    /// Time for an encoder to answer a notice.
    histogram(TIMES) NOTICE_TIME = "notice_time", Seconds, [Gateway], Local;
    /// Notices that an encoder did not answer.
    counter NOTICES_FAILED = "notices_failed", Count, [Gateway], Cloud;
    /// Broadcasts on air, as the last sweep found them.
    histogram(COUNTS) ON_AIR = "on_air", Count, [Gateway], Cloud;

    /// Broadcasts that are served.
    gauge BROADCASTS = "broadcasts", Count, [Encoder], Cloud;
    /// What the encoder can transcode, as it measured at its start.
    gauge CAPACITY = "capacity", PixelsPerSecond, [Encoder], Local;
    /// Share of the encoder's places for chunks that were at work, since the last heartbeat: 1 is all of them, all the time.
    gauge LOAD = "load", Ratio, [Encoder], Cloud;
    /// The encoder is shutting down, or cut off from its storage: 1.
    gauge UNREADY = "unready", Count, [Encoder], Cloud;
    /// Chunks that wait for a place to be transcoded.
    gauge CHUNKS_WAITING = "chunks_waiting", Count, [Encoder], Cloud;
    /// Time to fetch a chunk.
    histogram(TIMES) STAGE_FETCH = "stage_fetch", Seconds, [Encoder], Local;
    /// Time that a chunk waited for a place to be transcoded.
    histogram(TIMES) STAGE_WAIT = "stage_wait", Seconds, [Encoder], Cloud;
    /// Time to transcode and package a chunk.
    histogram(TIMES) STAGE_TRANSCODE = "stage_transcode", Seconds, [Encoder], Cloud;
    /// Time that storing a chunk's segments takes beyond transcoding, during which most of them are stored.
    histogram(TIMES) STAGE_PUT = "stage_put", Seconds, [Encoder], Local;
    /// Time to commit a chunk's row.
    histogram(TIMES) STAGE_COMMIT = "stage_commit", Seconds, [Encoder], Local;
    /// Time to render and swap both manifests.
    histogram(TIMES) STAGE_MANIFEST = "stage_manifest", Seconds, [Encoder], Local;
    /// Seconds of transcoding for each second of pictures. Above the number of places, the encoder falls behind.
    histogram(RATIOS) TRANSCODE_RATIO = "transcode_ratio", Ratio, [Encoder], Cloud;
    /// Time from a chunk's last byte at the edge until a manifest names it.
    histogram(LATENCIES) RECEIVED_TO_LISTED = "received_to_listed", Seconds, [Encoder], Cloud;
    /// How far behind the edge a viewer is who plays as the manifest suggests: its delay, or what the last chunk needed if that is more. An estimate.
    histogram(LATENCIES) GLASS_TO_GLASS = "glass_to_glass", Seconds, [Encoder], Cloud;
    /// Chunks that were committed.
    counter CHUNKS_COMMITTED = "chunks_committed", Count, [Encoder], Cloud;
    /// Bytes of segments that were stored.
    counter SEGMENT_BYTES = "segments_stored", Bytes, [Encoder], Local;
    /// Chunks that could have no row in the ledger: lost to the replay. Any is a fault.
    counter CHUNKS_LOST = "chunks_lost", Count, [Encoder], Cloud;
    /// Sessions that ended because another encoder has the broadcast.
    counter FENCED = "fenced", Count, [Encoder], Cloud;
    /// Sessions that failed and were taken up anew.
    counter SESSIONS_FAILED = "sessions_failed", Count, [Encoder], Cloud;
    /// Heartbeats that could not be written.
    counter HEARTBEATS_FAILED = "heartbeats_failed", Count, [Encoder], Cloud;
    /// Rungs that were left out of a chunk to keep up.
    counter RUNGS_SHED = "rungs_shed", Count, [Encoder], Cloud;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.def().prometheus_name()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for metric in ALL {
            let def = metric.def();
            assert!(def.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", def.name);
            assert!(def.meaning.ends_with('.') || def.meaning.ends_with('…'), "{}", def.meaning);
        }
    }
}
