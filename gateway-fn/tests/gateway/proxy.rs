//! Ways to the table that count what goes over them, or fail.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use service::table::Table;

use super::common::{TABLE, config};

/// Serves `app` on loopback.
async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

async fn forward(client: Client<HttpConnector, Body>, endpoint: String, mut request: Request) -> Response {
    *request.uri_mut() = format!("{endpoint}/").parse().unwrap();
    client.request(request).await.unwrap().map(Body::new)
}

/// The operation that a request asks for.
fn operation(request: &Request) -> String {
    let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap());
    target.and_then(|target| target.split('.').next_back()).unwrap_or_default().to_owned()
}

/// A way to a DynamoDB that counts reads (`counts[0]`) and other calls (`counts[1]`).
pub(crate) async fn counted(endpoint: &str, counts: Arc<[AtomicUsize; 2]>) -> String {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let endpoint = endpoint.to_owned();
    serve(Router::new().fallback(move |request: Request| {
        let read = ["GetItem", "Query"].contains(&operation(&request).as_str());
        counts[usize::from(!read)].fetch_add(1, Ordering::SeqCst);
        forward(client.clone(), endpoint.clone(), request)
    }))
    .await
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is carried out, and its reply is lost.
    ReplyLost,
    /// It is refused: too many at the moment.
    Throttled,
}

/// A way to the table on which calls can be made to fail.
pub(crate) struct Unsure {
    pub(crate) table: Table,
    faults: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
    /// Every so many calls, one is throttled; 0 for none.
    every: Arc<AtomicUsize>,
}

impl Unsure {
    pub(crate) async fn to(endpoint: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let (endpoint, faults) =
            (endpoint.to_owned(), Arc::<Mutex<VecDeque<(&'static str, Fault)>>>::default());
        let (every, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (script, cadence) = (faults.clone(), every.clone());
        let way = serve(Router::new().fallback(move |request: Request| {
            let asked = operation(&request);
            let fault = {
                let mut script = script.lock().unwrap();
                let at = script.iter().position(|(operation, _)| *operation == asked);
                at.and_then(|at| script.remove(at)).map(|(_, fault)| fault)
            };
            let turn =
                count.fetch_add(1, Ordering::SeqCst).checked_rem(cadence.load(Ordering::SeqCst)) == Some(0);
            let (client, endpoint) = (client.clone(), endpoint.clone());
            async move {
                match fault {
                    Some(Fault::ReplyLost) => {
                        let status = forward(client, endpoint, request).await.status();
                        assert_eq!(status, StatusCode::OK, "there was something to lose");
                        StatusCode::INTERNAL_SERVER_ERROR.into_response()
                    }
                    Some(Fault::Throttled) => throttled(),
                    None if turn => throttled(),
                    None => forward(client, endpoint, request).await,
                }
            }
        }))
        .await;
        Self { table: Table::new(&config(&way), TABLE), faults, every }
    }

    /// The next call of `operation` fails so.
    pub(crate) fn fail(&self, operation: &'static str, fault: Fault) {
        self.faults.lock().unwrap().push_back((operation, fault));
    }

    /// From here on one call in so many is throttled.
    pub(crate) fn throttle_each(&self, n: usize) {
        self.every.store(n, Ordering::SeqCst);
    }

    /// Whether all that was to fail has failed.
    pub(crate) fn is_spent(&self) -> bool {
        self.faults.lock().unwrap().is_empty()
    }
}

fn throttled() -> Response {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#;
    (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response()
}
