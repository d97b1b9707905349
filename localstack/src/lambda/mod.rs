//! The embedded Lambda: one function, the Invoke API for its callers and the Runtime API for its processes.
//!
//! `pool` (which process runs what) and `answer` (what failures say) are pure; `state` is the shell round them;
//! `invoke` and `runtime_api` speak HTTP; `worker` is the seam to whoever starts processes.
//!
//! Unlike AWS: idle processes are kept, asynchronous invocations are not retried when the function fails, and there
//! is one function with one version.

mod answer;
mod invoke;
mod pool;
mod runtime_api;
mod state;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::clock::SharedClock;
use crate::http_server::{Limits, Server};
use pool::WorkerId;
use state::State;
pub use worker::{Worker, WorkerSpawner};

/// How long killed processes may take to be reported as ended when the stack stops.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// The account in ARNs, as local stacks have it.
const ACCOUNT: &str = "000000000000";

/// The memory that the runtime is told of; nothing enforces it.
const MEMORY_MB: &str = "512";

/// The function that is served.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The region in its ARN.
    pub(crate) region: String,
    /// How long an invocation may run.
    pub(crate) timeout: Duration,
    /// Where its processes find the Runtime API.
    pub(crate) runtime_api: SocketAddr,
}

impl Function {
    fn arn(&self) -> String {
        self.arn_of(&self.name)
    }

    fn arn_of(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        format!("arn:aws:lambda:{}:{ACCOUNT}:function:{name}", self.region)
    }

    /// Whether `asked` (a name, a partial ARN or an ARN, with or without the qualifier) means this function.
    fn is_named(&self, asked: &str) -> bool {
        let asked = asked.strip_suffix(":$LATEST").unwrap_or(asked);
        let partial = format!("{ACCOUNT}:function:{}", self.name);
        asked == self.name || asked == partial || asked == self.arn()
    }

    fn environment(&self, worker: WorkerId) -> Vec<(&'static str, String)> {
        let id = worker.spell();
        vec![
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB.to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{id}")),
            // AWS gives host and port; the runtime takes any URL and keeps its path before its own.
            ("AWS_LAMBDA_RUNTIME_API", format!("http://{}/w/{id}", self.runtime_api)),
            ("_HANDLER", "bootstrap".to_owned()),
        ]
    }
}

/// The running service.
#[derive(Debug)]
pub(crate) struct Lambda {
    state: Arc<State>,
    invoke: Server,
    runtime: Server,
    stop: CancellationToken,
    timer: JoinHandle<()>,
}

impl Lambda {
    /// Serves the Invoke API and the Runtime API; processes are asked for when invocations need them.
    pub(crate) fn start(
        function: Function,
        concurrency: usize,
        invoke: TcpListener,
        runtime: TcpListener,
        spawner: Arc<dyn WorkerSpawner>,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let limits = pool::Limits { concurrency, timeout: function.timeout };
        let state = Arc::new(State::new(function, limits, spawner, clock));
        let service = TowerToHyperService::new(invoke::router(Arc::clone(&state)));
        let invoke = Server::start("lambda invoke", invoke, Limits::PROGRAMS, service)?;
        let service = TowerToHyperService::new(runtime_api::router(Arc::clone(&state)));
        let runtime = Server::start("lambda runtime api", runtime, Limits::PROGRAMS, service)?;
        let stop = CancellationToken::new();
        let timer = tokio::spawn(Arc::clone(&state).keep_time(stop.clone()));
        Ok(Self { state, invoke, runtime, stop, timer })
    }

    /// Where the Invoke API listens.
    pub(crate) fn invoke_address(&self) -> SocketAddr {
        self.invoke.address()
    }

    /// Where the Runtime API listens.
    pub(crate) fn runtime_address(&self) -> SocketAddr {
        self.runtime.address()
    }

    /// Fails the invocations in hand, has the processes killed, waits for their end for a bounded time, and closes
    /// both listeners.
    pub(crate) async fn shutdown(self) {
        self.state.stop();
        self.stop.cancel();
        if tokio::time::timeout(KILL_GRACE, self.state.all_ended()).await.is_err() {
            tracing::warn!("function processes were not reported as ended in time");
        }
        self.state.end_polls();
        self.invoke.shutdown().await;
        self.runtime.shutdown().await;
        if let Err(error) = self.timer.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "lambda timer ended early");
        }
    }
}
