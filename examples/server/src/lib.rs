//! Images in, classes out, over HTTP: see the README beside this crate.

pub mod pool;

use std::future::Future;
use std::num::NonZeroUsize;

use axum::extract::{DefaultBodyLimit, State, rejection::BytesRejection};
use axum::http::{StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use resnet::runtime::Classes;
use resnet::{Classifier, Error, Guess, Image, Network};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use pool::{Queue, Refusal, Worker};

/// The most probable classes of an image.
pub type Answer = Result<Vec<Guess>, Error>;

/// Classes of an answer.
const TOP: usize = 5;

/// So many classifiers of one thread each, for images of at most so many pixels. All share the network's weights.
pub fn classifiers<N: Network + Classes>(net: &N, count: usize, pixels: usize) -> Vec<Worker<Answer>> {
    let classifier = |_| -> Worker<Answer> {
        let mut classifier = Classifier::with_threads(net, NonZeroUsize::MIN);
        Box::new(move |body| {
            let image = Image::decode_with_limit(body, pixels)?;
            Ok(classifier.classify(&image)?.top(TOP))
        })
    };
    (0..count).map(classifier).collect()
}

/// Answers requests until `shutdown` is ready, and then those that it has accepted.
///
/// # Errors
/// What the system says.
pub async fn serve(
    listener: TcpListener,
    queue: Queue<Answer>,
    body_bytes: usize,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/classify", post(classify))
        .route("/health", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(body_bytes))
        .with_state(queue);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn classify(State(queue): State<Queue<Answer>>, body: Result<Bytes, BytesRejection>) -> Response {
    let failed =
        |status: StatusCode, message: &str| (status, Json(json!({ "error": message }))).into_response();
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return failed(rejection.status(), &rejection.body_text()),
    };
    match queue.ask(body).await {
        Ok(Ok(guesses)) => Json(guesses.iter().map(to_json).collect::<Vec<_>>()).into_response(),
        Ok(Err(error @ (Error::Image { .. } | Error::ImageSize { .. }))) => {
            failed(StatusCode::BAD_REQUEST, &error.to_string())
        }
        Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(Refusal::Full) => {
            let busy = failed(StatusCode::SERVICE_UNAVAILABLE, "too many images are waiting");
            ([(RETRY_AFTER, "1")], busy).into_response()
        }
        Err(Refusal::Broken) => failed(StatusCode::INTERNAL_SERVER_ERROR, "the image was not classified"),
    }
}

fn to_json(guess: &Guess) -> Value {
    json!({ "class": guess.class, "label": guess.label, "probability": guess.probability })
}
