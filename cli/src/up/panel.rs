//! What is said when the stack is ready: one JSON line for scripts (a contract, pinned by a test), a panel for people.

use std::fmt::Write as _;

use media::id::LiveId;
use serde::Serialize;

use crate::stack::{DynamoDb, Lambda, Process, S3, Stack};

/// A live as the ready line has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LiveReady {
    /// Its name.
    pub(crate) live: LiveId,
    /// Its stream key; `None` when it was created elsewhere and is known by its hash only.
    pub(crate) key: Option<String>,
    /// Where it is watched.
    pub(crate) watch: String,
    /// Its manifest.
    pub(crate) mpd: String,
}

/// The ready line.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    ready: bool,
    rtmps: &'a str,
    rtmp: Option<&'a str>,
    http: &'a str,
    ca: &'a str,
    s3: &'a S3,
    dynamodb: &'a DynamoDb,
    lambda: &'a Lambda,
    lives: &'a [LiveReady],
    processes: &'a [Process],
}

/// The ready line.
///
/// # Errors
/// Never in practice: all of it is text.
pub(crate) fn json(stack: &Stack, lives: &[LiveReady]) -> serde_json::Result<String> {
    serde_json::to_string(&Ready {
        ready: true,
        rtmps: &stack.rtmps,
        rtmp: stack.rtmp.as_deref(),
        http: &stack.http,
        ca: stack.ca.as_deref().unwrap_or_default(),
        s3: &stack.s3,
        dynamodb: &stack.dynamodb,
        lambda: &stack.lambda,
        lives,
        processes: &stack.processes,
    })
}

/// What the panel says beyond the stack itself.
#[derive(Debug)]
pub(crate) struct About<'a> {
    /// The data directory.
    pub(crate) data: &'a std::path::Path,
    /// The live with the demo picture, if there is one.
    pub(crate) demo: Option<&'a LiveId>,
    /// Whether the web pages are there.
    pub(crate) pages: bool,
}

/// The panel.
#[must_use]
pub(crate) fn human(stack: &Stack, lives: &[LiveReady], about: &About<'_>) -> String {
    let mut out = String::from("\n  gopcast is ready\n");
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "{}", format!("    {name:<12} {value}").trim_end());
    };
    for live in lives {
        let demo = if about.demo == Some(&live.live) { "   (test picture on air)" } else { "" };
        row("", "");
        row("live", &format!("{}{demo}", live.live));
        if about.pages {
            row("watch", &live.watch);
        }
        row("manifest", &live.mpd);
        row("server", &stack.rtmps);
        if let Some(rtmp) = &stack.rtmp {
            row("", &format!("{rtmp}   (without TLS)"));
        }
        let rotate = format!("(not known here; `gopcast live rotate-key {}` makes a new one)", live.live);
        row("stream key", live.key.as_deref().unwrap_or(&rotate));
    }
    row("", "");
    if !about.pages {
        row("no pages", "the player is not built: run `make build`; the manifests play in any DASH player");
    }
    row("front page", &stack.http);
    if let Some(operator) = &stack.operator {
        row("operator", operator);
    }
    row("ladder", stack.ladder.name());
    row("data", &about.data.display().to_string());
    row("logs", &about.data.join("log").display().to_string());
    if let Some(key) = lives.first().and_then(|live| live.key.as_deref()) {
        let _ = write!(
            out,
            "\n  Publish with ffmpeg\n    ffmpeg -re -i FILE -c:v libx264 -preset veryfast -g 60 -c:a aac -f flv {}/{key}\n",
            stack.rtmps
        );
        // OBS checks the certificate against the system's store, so without TLS is simpler on one machine.
        let (server, trust) = match &stack.rtmp {
            Some(rtmp) => (rtmp.as_str(), String::new()),
            None => (
                stack.rtmps.as_str(),
                format!(
                    "\n    OBS must trust {}; or start with `--rtmp 127.0.0.1:1935` and leave TLS out",
                    stack.ca.as_deref().unwrap_or_default()
                ),
            ),
        };
        let _ = write!(
            out,
            "\n  Publish with OBS\n    Settings > Stream: Service Custom, Server {server}, Stream Key as above\n    \
             Settings > Output: Keyframe Interval 2 s{trust}\n"
        );
    }
    out.push_str("\n  Ctrl-C stops everything in order. What was on air stays as a replay.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> Stack {
        let process = |role: &str, id: &str, pid| Process { role: role.to_owned(), id: id.to_owned(), pid };
        Stack {
            pid: Some(9),
            rtmps: "rtmps://127.0.0.1:1943/live".to_owned(),
            rtmp: None,
            http: "http://127.0.0.1:8080".to_owned(),
            ca: Some("/d/ca.pem".to_owned()),
            s3: S3 { endpoint: Some("http://127.0.0.1:1".to_owned()), bucket: "b".to_owned() },
            dynamodb: DynamoDb { endpoint: Some("http://127.0.0.1:2".to_owned()), table: "t".to_owned() },
            lambda: Lambda { endpoint: Some("http://127.0.0.1:3".to_owned()), function: "f".to_owned() },
            ladder: media::ladder::Profile::P720,
            processes: vec![process("ingest-edge", "edge-1", 1), process("gateway-fn", "gateway-1", 2)],
            operator: Some("http://127.0.0.1:8081/operator".to_owned()),
            region: None,
        }
    }

    fn lives(key: Option<&str>) -> Vec<LiveReady> {
        let live: LiveId = "demo".parse().unwrap();
        let (watch, mpd) = (stack().watch_url(&live), stack().mpd_url(&live));
        vec![LiveReady { live, key: key.map(str::to_owned), watch, mpd }]
    }

    #[test]
    fn the_ready_line_is_the_contract_to_the_letter() {
        assert_eq!(
            json(&stack(), &lives(Some("sk_x"))).unwrap(),
            concat!(
                r#"{"ready":true,"rtmps":"rtmps://127.0.0.1:1943/live","rtmp":null,"http":"http://127.0.0.1:8080","ca":"/d/ca.pem","#,
                r#""s3":{"endpoint":"http://127.0.0.1:1","bucket":"b"},"dynamodb":{"endpoint":"http://127.0.0.1:2","table":"t"},"#,
                r#""lambda":{"endpoint":"http://127.0.0.1:3","function":"f"},"#,
                r#""lives":[{"live":"demo","key":"sk_x","watch":"http://127.0.0.1:8080/watch/demo","mpd":"http://127.0.0.1:8080/live/demo/manifest.mpd"}],"#,
                r#""processes":[{"role":"ingest-edge","id":"edge-1","pid":1},{"role":"gateway-fn","id":"gateway-1","pid":2}]}"#
            )
        );
    }

    #[test]
    fn the_panel_says_how_to_watch_and_publish() {
        let demo: LiveId = "demo".parse().unwrap();
        let about = About { data: std::path::Path::new("/d"), demo: Some(&demo), pages: true };
        let text = human(&stack(), &lives(Some("sk_x")), &about);
        for part in [
            "http://127.0.0.1:8080/watch/demo",
            "-f flv rtmps://127.0.0.1:1943/live/sk_x",
            "Server rtmps://127.0.0.1:1943/live",
            "OBS must trust /d/ca.pem",
            "test picture on air",
            "Ctrl-C",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = human(&stack(), &lives(None), &About { pages: false, demo: None, ..about });
        assert!(text.contains("rotate-key demo") && text.contains("make build"), "{text}");
    }
}
