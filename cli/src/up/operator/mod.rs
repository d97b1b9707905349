//! The operator's page: `/operator`, and what it draws, `/operator/status`: a snapshot of the stack and its last events.
//!
//! On a listener of its own, on loopback, because it has no password and tells what viewers need not know; the CDN never has it. Whoever
//! deploys to AWS has CloudWatch's dashboard and `gopcast top`. The page is one file without scripts or styles from elsewhere, so that it is there before
//! the player is built and when the bucket is not.
//!
//! Invariant: the stack is only looked at while somebody looks at the page.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use service::{
    clock,
    ops::{self, Answer, Asked},
    table::Table,
};
use tokio::{net::TcpListener, sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{hub::Hub, supervisor::Supervisor};
use crate::watch::Watcher;

/// Where the page is if nothing else is asked for and nothing else is there.
const ADDR_DEFAULT: &str = "127.0.0.1:8081";
/// How often the stack is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after the last question it is still looked at.
const LOOK_FOR: Duration = Duration::from_secs(10);
/// The page.
const PAGE: &str = include_str!("page.html");

/// The page's listener.
#[derive(Debug)]
pub(super) struct Operator {
    listener: TcpListener,
    at: SocketAddr,
}

/// Listens: where asked, else at the usual place, else anywhere.
///
/// # Errors
/// When the address that was asked for is taken.
pub(super) async fn listen(asked: Option<SocketAddr>) -> anyhow::Result<Operator> {
    let listener = match asked {
        Some(asked) => {
            TcpListener::bind(asked).await.with_context(|| super::programs::in_use("--operator", asked))?
        }
        None => match TcpListener::bind(ADDR_DEFAULT).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await?,
        },
    };
    let at = listener.local_addr()?;
    Ok(Operator { listener, at })
}

/// What is between the looks and the answers.
#[derive(Debug)]
struct Shared {
    status: Mutex<Option<String>>,
    asked: Mutex<Option<Instant>>,
    wake: Notify,
}

impl Operator {
    /// Where the page is.
    #[must_use]
    pub(super) fn url(&self) -> String {
        format!("http://{}/operator", self.at)
    }

    /// Serves until `stop`.
    pub(super) async fn serve(
        self,
        table: Table,
        supervisor: Supervisor,
        hub: Arc<Hub>,
        stop: CancellationToken,
    ) {
        let shared =
            Arc::new(Shared { status: Mutex::default(), asked: Mutex::default(), wake: Notify::new() });
        let asked = Arc::clone(&shared);
        let served = ops::serve(self.listener, stop.clone(), move |question| asked.answer(question));
        let looks = async {
            let mut watcher = Watcher::new(table);
            loop {
                shared.look(&mut watcher, &supervisor, &hub).await;
                tokio::time::sleep(LOOK_EVERY).await;
                while !shared.is_watched() {
                    shared.wake.notified().await;
                }
            }
        };
        tokio::select! {
            () = served => {}
            () = looks => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Shared {
    async fn look(&self, watcher: &mut Watcher, supervisor: &Supervisor, hub: &Hub) {
        let status = match watcher.look(&supervisor.endpoints(), clock::now()).await {
            Ok(snapshot) => serde_json::to_value(snapshot).map(|mut status| {
                status["events"] = serde_json::json!(hub.recent());
                status.to_string()
            }),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the stack could not be looked at");
                return;
            }
        };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status.ok();
    }

    fn is_watched(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|asked| asked.elapsed() < LOOK_FOR)
    }

    fn answer(&self, question: Asked<'_>) -> Answer {
        // A page of another site can have its name point here; it can't make the browser say another host.
        if !is_loopback(question.host) {
            return Answer::not_found("this is only for 127.0.0.1 and localhost\n");
        }
        match question.path {
            "/" | "/operator" => Answer::ok("text/html; charset=utf-8", PAGE),
            "/operator/status" => {
                *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                self.wake.notify_one();
                match self.status.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                    Some(status) => Answer::ok(ops::JSON, status),
                    None => Answer::not_found("the stack could not be looked at yet\n"),
                }
            }
            _ => Answer::not_found("there are /operator and /operator/status\n"),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| host.parse::<IpAddr>());
    match name {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.split(':').next() == Some("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_s_own_names_are_answered() {
        for host in ["127.0.0.1:8081", "[::1]:8081", "localhost:8081", "localhost", "127.0.0.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "evil.example:8081", "192.0.2.1:8081", "localhost.evil.example"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("src="));
    }
}
