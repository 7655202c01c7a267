//! `/live`, `/ready` and `/metrics`. Says how this process is, never how a cluster is.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::leader::Leadership;
use crate::metrics::Metrics;

#[derive(Debug, Clone)]
struct Serving {
    metrics: Arc<Metrics>,
    leadership: Leadership,
    warm: watch::Receiver<bool>,
}

/// Serves until `stop` resolves. `warm` is true once all stores are filled.
pub async fn serve(
    listener: TcpListener,
    (metrics, leadership): (Arc<Metrics>, Leadership),
    warm: watch::Receiver<bool>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/live", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(exposition))
        .with_state(Serving { metrics, leadership, warm });
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn ready(State(serving): State<Serving>) -> impl IntoResponse {
    if *serving.warm.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the first lists have not arrived yet\n")
    }
}

async fn exposition(State(serving): State<Serving>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match serving.metrics.render(serving.leadership.holds()) {
        Ok(text) => Ok(([(CONTENT_TYPE, OPEN_METRICS)], text)),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
