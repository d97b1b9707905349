//! Logs and events. One JSON object a line on standard output; an *event* is such a line with an `event` field: the things an
//! operator or a supervisor acts on (`publish-started`, `rebound`, `replay-ready`…).

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, fmt,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{config::Env, metrics::defs::ERRORS_LOGGED};

/// The environment variable with the log filter, in `tracing`'s syntax: `info`, `warn,ingest_edge=debug`.
pub const LOG_VAR: &str = "GOPCAST_LOG";
/// Info, but not the AWS SDK's own chatter.
const DEFAULT_FILTER: &str = "info,aws_config=warn,aws_smithy_runtime=warn,hyper_util=warn,rustls=warn";

/// Reads the log's settings.
fn filter(env: &mut Env) -> EnvFilter {
    let filter: String = env.or(LOG_VAR, DEFAULT_FILTER.to_owned());
    EnvFilter::try_new(&filter).unwrap_or_else(|error| {
        env.problem(format!("{LOG_VAR}: {error}"));
        EnvFilter::new(DEFAULT_FILTER)
    })
}

/// Reads the log's settings and starts nothing: for processes that only look at their configuration.
pub fn check(env: &mut Env) {
    filter(env);
}

/// Starts logging for the process, on standard output. `role` is in every line. Call once.
pub fn init(env: &mut Env, role: &'static str) {
    let filter = filter(env);
    let json = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(true);
    // A second call (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(json).with(CountErrors).try_init();
    install_panic_hook(role);
}

/// Counts what an operator should look at.
struct CountErrors;

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            ERRORS_LOGGED.inc();
        }
    }
}

/// A panic is a bug: it is logged like everything else, so that it is seen where the logs are read.
fn install_panic_hook(role: &'static str) {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(role, panic = %info, "panicked");
        default(info);
    }));
}

/// Writes an event: `event!("publish-started", live = %live, publish = 1)`. Names are kebab-case and documented in `docs/EVENTS.md`.
#[macro_export]
macro_rules! event {
    ($name:literal $(, $($fields:tt)*)?) => {
        {
            $crate::metrics::defs::EVENTS.inc($name);
            tracing::info!(event = $name $(, $($fields)*)?)
        }
    };
}
