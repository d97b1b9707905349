//! The binary itself, under a Lambda Runtime API of a few lines: it takes events in turn and gives replies and function errors.

use std::{process::Stdio, sync::Arc};

use axum::{
    Router,
    extract::{Path, State as Axum},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
    sync::{Mutex, mpsc},
};

use super::common::{SECRET, Stack, TABLE, key};

/// What the function gives back for one event: reply or error, and its body.
type Outcome = (String, Value);

#[derive(Clone)]
struct Api {
    events: Arc<Mutex<mpsc::Receiver<Value>>>,
    outcomes: mpsc::Sender<Outcome>,
}

async fn next(Axum(api): Axum<Api>) -> Response {
    let Some(event) = api.events.lock().await.recv().await else { return std::future::pending().await };
    let headers = [
        ("lambda-runtime-aws-request-id", "request-1"),
        ("lambda-runtime-deadline-ms", "9999999999999"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:gateway"),
    ];
    (headers, event.to_string()).into_response()
}

async fn outcome(Axum(api): Axum<Api>, Path((_, kind)): Path<(String, String)>, body: String) -> StatusCode {
    api.outcomes.send((kind, serde_json::from_str(&body).unwrap())).await.unwrap();
    StatusCode::ACCEPTED
}

/// The next event of this name in the log.
async fn event(log: &mut Lines<BufReader<ChildStdout>>, name: &str) -> Value {
    loop {
        let line: Value = serde_json::from_str(&log.next_line().await.unwrap().unwrap()).unwrap();
        if line["event"] == name {
            return line;
        }
    }
}

#[tokio::test]
async fn the_function_answers_events_and_reports_errors() {
    let stack = Stack::start().await;
    stack.live("demo").await;
    let mut encoder = stack.encoder("one").await;
    let (events, for_function) = mpsc::channel(8);
    let (outcomes, mut of_function) = mpsc::channel(8);
    let app = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(outcome))
        .with_state(Api { events: Arc::new(Mutex::new(for_function)), outcomes });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let mut function = Command::new(env!("CARGO_BIN_EXE_gateway-fn"))
        .env_clear()
        .envs([
            ("GOPCAST_TABLE", TABLE),
            ("GOPCAST_HOP_SECRET", SECRET),
            ("AWS_LAMBDA_RUNTIME_API", &api),
            ("AWS_LAMBDA_FUNCTION_NAME", "gateway"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &stack.endpoint),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(function.stdout.take().unwrap()).lines();

    let hash = key("demo").hash();
    events.send(json!({"event": "open", "connection": "connection-1", "key_hash": hash})).await.unwrap();
    let (kind, opened) = of_function.recv().await.unwrap();
    assert_eq!(
        (kind.as_str(), &opened["outcome"], &opened["publish"]),
        ("response", &json!("opened"), &json!(1))
    );

    let broadcast = &opened["broadcast"];
    let chunk = json!({"event": "chunk", "live": "demo", "broadcast": broadcast, "publish": 1, "seq": 0});
    let accepted = json!({"outcome": "accepted", "warnings": []});
    events.send(chunk.clone()).await.unwrap();
    assert_eq!(of_function.recv().await.unwrap(), ("response".to_owned(), accepted.clone()));
    assert_eq!(encoder.heard().len(), 1);

    // The encoder dies on a warm connection; another takes over, and the log has the event.
    let mut second = stack.encoder("two").await;
    encoder.kill().await;
    events.send(chunk).await.unwrap();
    assert_eq!(of_function.recv().await.unwrap(), ("response".to_owned(), accepted));
    assert_eq!(second.heard().len(), 1);
    let rebound = event(&mut log, "rebound").await;
    let expected = json!({
        "live": "demo", "broadcast": broadcast, "from": "one", "to": "two", "epoch": 2, "reason": "unreachable",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(rebound[name], *value, "{name} of {rebound}");
    }

    let handover = json!({"event": "handover", "live": "demo", "broadcast": broadcast, "epoch": 1});
    events.send(handover).await.unwrap();
    assert_eq!(of_function.recv().await.unwrap(), ("response".to_owned(), json!({"outcome": "moved"})));
    events.send(json!({"event": "sweep"})).await.unwrap();
    let swept = json!({"found": 1, "served": 1, "over": 0, "left": 0});
    assert_eq!(of_function.recv().await.unwrap(), ("response".to_owned(), swept));

    events.send(json!({"event": "fly"})).await.unwrap();
    let (kind, error) = of_function.recv().await.unwrap();
    assert_eq!((kind.as_str(), &error["errorType"]), ("error", &json!("InvalidEvent")));
    assert!(error["errorMessage"].as_str().unwrap().contains("fly"), "{error}");

    // It goes on after an error.
    events.send(json!({"event": "end", "live": "demo"})).await.unwrap();
    let (kind, ending) = of_function.recv().await.unwrap();
    assert_eq!((kind.as_str(), ending), ("response", json!({"outcome": "ending", "broadcast": broadcast})));

    // Nobody is left: the sweep moves the broadcast to the first, whose heartbeat still is believed here, in vain.
    second.kill().await;
    events.send(json!({"event": "sweep"})).await.unwrap();
    let swept = json!({"found": 1, "served": 0, "over": 0, "left": 1});
    assert_eq!(of_function.recv().await.unwrap(), ("response".to_owned(), swept));
    let swept = event(&mut log, "swept").await;
    for (name, value) in [("found", 1), ("served", 0), ("rebound", 1), ("over", 0), ("left", 1)] {
        assert_eq!(swept[name], json!(value), "{name} of {swept}");
    }
    function.kill().await.unwrap();
}

#[tokio::test]
async fn a_function_without_its_settings_says_all_that_is_missing_and_no_secret() {
    let output = Command::new(env!("CARGO_BIN_EXE_gateway-fn"))
        .env_clear()
        .env("GOPCAST_HOP_SECRET", "hunter2")
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    for part in ["GOPCAST_TABLE", "GOPCAST_HOP_SECRET", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("hunter2"));
}
