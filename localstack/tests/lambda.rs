//! The embedded Lambda with the real SDK on one side and real `lambda_runtime` processes on the other: this test
//! binary starts itself again as the function's process.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::invoke::{InvokeError, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use common::FUNCTION;
use lambda_runtime::{LambdaEvent, service_fn};
use localstack::{LocalAws, Worker, WorkerSpawner};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::mpsc;

/// Tells a process of this binary that it is the function.
const ROLE: &str = "LOCALSTACK_TEST_ROLE";

/// Where the function's process says that it runs `wait`, by connecting.
const SIGNAL: &str = "LOCALSTACK_TEST_SIGNAL";

/// In the tests' own process it does nothing; in a worker's it is the function.
#[tokio::test]
async fn function_process() {
    match std::env::var(ROLE).as_deref() {
        Ok("function") => lambda_runtime::run(service_fn(handle)).await.unwrap(),
        Ok("broken") => std::process::exit(3),
        _ => {}
    }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let (event, context) = event.into_parts();
    match event["do"].as_str() {
        Some("fail") => Err("it does not work".into()),
        Some("die") => std::process::exit(9),
        Some("wait") => {
            let address = std::env::var(SIGNAL)?;
            let signal = tokio::net::TcpStream::connect(address).await?;
            // Until the test closes the connection.
            signal.readable().await?;
            Ok(json!("waited"))
        }
        Some("large") => Ok(json!("x".repeat(7 * 1024 * 1024))),
        _ => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            let left_ms = i128::from(context.deadline) - i128::try_from(now.as_millis())?;
            Ok(json!({
                "event": event,
                "process": std::process::id(),
                "left_ms": i64::try_from(left_ms)?,
                "arn": context.invoked_function_arn,
                "client": context.client_context.map(|c| c.custom),
            }))
        }
    }
}

/// Starts this binary as the function's process; counts how many.
struct Processes {
    role: &'static str,
    signal: String,
    started: AtomicUsize,
}

impl WorkerSpawner for Processes {
    fn spawn(&self, worker: Worker) {
        self.started.fetch_add(1, Ordering::SeqCst);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "function_process", "--nocapture"])
            .env(ROLE, self.role)
            .env(SIGNAL, &self.signal)
            .envs(worker.environment().iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap();
        tokio::spawn(async move {
            tokio::select! {
                _ = child.wait() => {}
                () = worker.stop().cancelled() => child.start_kill().unwrap(),
            }
            let status = child.wait().await.unwrap();
            worker.exited(&status.to_string());
        });
    }
}

struct Bed {
    _dir: TempDir,
    stack: LocalAws,
    client: Client,
    processes: Arc<Processes>,
    /// Connections of functions that wait; dropping one lets it go on.
    waiting: mpsc::Receiver<tokio::net::TcpStream>,
}

impl Bed {
    async fn new(role: &'static str, concurrency: usize, timeout: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let signal = listener.local_addr().unwrap().to_string();
        let (sender, waiting) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(stream).await.is_err() {
                    return;
                }
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let mut config = common::config(&dir);
        config.max_concurrency = concurrency;
        config.function_timeout = timeout;
        let processes = Arc::new(Processes { role, signal, started: AtomicUsize::new(0) });
        let stack = LocalAws::start(config, Arc::clone(&processes) as Arc<dyn WorkerSpawner>).await.unwrap();
        let client = common::lambda(&stack);
        Self { _dir: dir, stack, client, processes, waiting }
    }

    async fn invoke(&self, event: Value) -> InvokeOutput {
        invoke(&self.client, event).await.unwrap()
    }

    fn spawn(&self, event: Value) -> tokio::task::JoinHandle<Result<InvokeOutput, SdkError<InvokeError>>> {
        let client = self.client.clone();
        tokio::spawn(async move { invoke(&client, event).await })
    }
}

async fn invoke(client: &Client, event: Value) -> Result<InvokeOutput, SdkError<InvokeError>> {
    client.invoke().function_name(FUNCTION).payload(Blob::new(event.to_string())).send().await
}

fn payload(output: &InvokeOutput) -> Value {
    serde_json::from_slice(output.payload().unwrap().as_ref()).unwrap()
}

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().unwrap().status().as_u16()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_serves_one_after_the_other() {
    let bed = Bed::new("function", 4, LONG).await;
    let first = bed.invoke(json!({ "n": 1 })).await;
    assert_eq!((first.status_code(), first.function_error()), (200, None));
    assert_eq!(first.executed_version(), Some("$LATEST"));
    let first = payload(&first);
    assert_eq!(first["event"], json!({ "n": 1 }));
    assert_eq!(first["arn"], "arn:aws:lambda:us-east-1:000000000000:function:gopcast-gateway");
    let left_ms = first["left_ms"].as_i64().unwrap();
    assert!(left_ms > 0 && left_ms <= 60_000, "{left_ms}");
    for n in 2..20 {
        let next = payload(&bed.invoke(json!({ "n": n })).await);
        assert_eq!(next["process"], first["process"]);
    }
    assert_eq!(bed.processes.started.load(Ordering::SeqCst), 1);

    let by_arn = bed.client.invoke().function_name(first["arn"].as_str().unwrap()).payload(Blob::new("1"));
    assert_eq!(payload(&by_arn.send().await.unwrap())["event"], 1);
    bed.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency_has_a_limit_and_events_wait() {
    let mut bed = Bed::new("function", 2, LONG).await;
    let (a, b) = (bed.spawn(json!({ "do": "wait" })), bed.spawn(json!({ "do": "wait" })));
    let (one, two) = (bed.waiting.recv().await.unwrap(), bed.waiting.recv().await.unwrap());
    assert_eq!(bed.processes.started.load(Ordering::SeqCst), 2);

    let error = invoke(&bed.client, json!({})).await.unwrap_err();
    assert_eq!((status(&error), error.code()), (429, Some("TooManyRequestsException")));
    let event = bed
        .client
        .invoke()
        .function_name(FUNCTION)
        .invocation_type(InvocationType::Event)
        .payload(Blob::new(json!({ "do": "wait" }).to_string()))
        .send()
        .await
        .unwrap();
    assert_eq!(event.status_code(), 202);

    drop(one);
    let three = bed.waiting.recv().await.unwrap();
    drop((two, three));
    for task in [a, b] {
        assert_eq!(payload(&task.await.unwrap().unwrap()), "waited");
    }
    assert_eq!(bed.processes.started.load(Ordering::SeqCst), 2);
    bed.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_functions_is_no_http_error() {
    let bed = Bed::new("function", 2, LONG).await;
    let failed = bed.invoke(json!({ "do": "fail" })).await;
    assert_eq!((failed.status_code(), failed.function_error()), (200, Some("Unhandled")));
    assert_eq!(payload(&failed)["errorMessage"], "it does not work");
    let large = bed.invoke(json!({ "do": "large" })).await;
    assert_eq!(large.function_error(), Some("Unhandled"));
    assert_eq!(payload(&large)["errorType"], "Function.ResponseSizeTooLarge");
    bed.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_is_told_at_once_and_the_next_gets_a_new_process() {
    let bed = Bed::new("function", 2, LONG).await;
    let begun = Instant::now();
    let died = bed.invoke(json!({ "do": "die" })).await;
    assert!(begun.elapsed() < LONG, "did not wait for the time-out");
    assert_eq!(died.function_error(), Some("Unhandled"));
    let told = payload(&died);
    assert_eq!(told["errorType"], "Runtime.ExitError");
    assert!(told["errorMessage"].as_str().unwrap().contains("exit status: 9"), "{told}");
    assert_eq!(payload(&bed.invoke(json!(1)).await)["event"], 1);
    assert_eq!(bed.processes.started.load(Ordering::SeqCst), 2);
    bed.stack.shutdown().await;
}

fn kill(pid: u64) {
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_is_told_of_at_once_and_replaced() {
    let mut bed = Bed::new("function", 2, LONG).await;
    // One that runs.
    let pid = payload(&bed.invoke(json!(1)).await)["process"].as_u64().unwrap();
    let running = bed.spawn(json!({ "do": "wait" }));
    let _signal = bed.waiting.recv().await.unwrap();
    let begun = Instant::now();
    kill(pid);
    let told = payload(&running.await.unwrap().unwrap());
    assert_eq!(told["errorType"], "Runtime.ExitError");
    assert!(told["errorMessage"].as_str().unwrap().contains("signal: 9"), "{told}");
    // One that waits for work, again and again: whoever meets its corpse is told, everybody else is served.
    for _ in 0..5 {
        let pid = payload(&bed.invoke(json!(1)).await)["process"].as_u64().unwrap();
        kill(pid);
        let met = payload(&bed.invoke(json!(1)).await);
        assert!(met["event"] == 1 || met["errorType"] == "Runtime.ExitError", "{met}");
        assert_eq!(payload(&bed.invoke(json!(2)).await)["event"], 2);
    }
    assert!(begun.elapsed() < LONG, "nothing waited for a time-out");
    bed.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_out_kills_the_process() {
    let mut bed = Bed::new("function", 1, Duration::from_secs(1)).await;
    let waiting = bed.spawn(json!({ "do": "wait" }));
    let signal = bed.waiting.recv().await.unwrap();
    let told = payload(&waiting.await.unwrap().unwrap());
    assert_eq!(told["errorType"], "Sandbox.Timedout");
    assert!(told["errorMessage"].as_str().unwrap().ends_with("Task timed out after 1.00 seconds"), "{told}");
    // The killed process' connection ends.
    signal.readable().await.unwrap();
    assert_eq!(payload(&bed.invoke(json!(1)).await)["event"], 1);
    assert_eq!(bed.processes.started.load(Ordering::SeqCst), 2);
    bed.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_cannot_start_fails() {
    let bed = Bed::new("broken", 2, LONG).await;
    let told = payload(&bed.invoke(json!(1)).await);
    assert_eq!(told["errorType"], "Runtime.ExitError");
    assert!(told["errorMessage"].as_str().unwrap().contains("exit status: 3"), "{told}");
    assert_eq!(bed.processes.started.load(Ordering::SeqCst), 1);
    bed.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_lambdas() {
    let bed = Bed::new("function", 2, LONG).await;
    let unknown = bed.client.invoke().function_name("another").send().await.unwrap_err();
    assert_eq!((status(&unknown), unknown.code()), (404, Some("ResourceNotFoundException")));

    let sized = |bytes: usize| Blob::new(format!("\"{}\"", "x".repeat(bytes - 2)));
    let call = |kind| bed.client.invoke().function_name(FUNCTION).invocation_type(kind);
    let large =
        call(InvocationType::RequestResponse).payload(sized(6 * 1024 * 1024 + 1)).send().await.unwrap_err();
    assert_eq!((status(&large), large.code()), (413, Some("RequestTooLargeException")));
    let large = call(InvocationType::Event).payload(sized(1024 * 1024 + 1)).send().await.unwrap_err();
    assert_eq!(status(&large), 413);
    let fits = call(InvocationType::Event).payload(sized(1024 * 1024)).send().await.unwrap();
    assert_eq!(fits.status_code(), 202);

    let broken = call(InvocationType::RequestResponse).payload(Blob::new("{")).send().await.unwrap_err();
    assert_eq!((status(&broken), broken.code()), (400, Some("InvalidRequestContentException")));
    assert_eq!(call(InvocationType::DryRun).send().await.unwrap().status_code(), 204);

    let context = "eyJjdXN0b20iOnsiayI6InYifX0="; // {"custom":{"k":"v"}}
    let with = call(InvocationType::RequestResponse).client_context(context).send().await.unwrap();
    assert_eq!(payload(&with)["client"], json!({ "k": "v" }));
    bed.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_ends_processes_and_callers() {
    let mut bed = Bed::new("function", 2, LONG).await;
    let waiting = bed.spawn(json!({ "do": "wait" }));
    let signal = bed.waiting.recv().await.unwrap();
    let begun = Instant::now();
    bed.stack.shutdown().await;
    assert!(begun.elapsed() < LONG);
    assert_eq!(waiting.await.unwrap().map_err(|e| status(&e)).unwrap_err(), 500);
    signal.readable().await.unwrap();
}
