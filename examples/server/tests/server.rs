//! The server, from a socket's side.

use std::net::SocketAddr;
use std::sync::mpsc;

use server::pool::{self, Worker};
use server::{Answer, classifiers, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

resnet::resnet! { struct Digits; include "../../specs/digits.yaml", weights: "../../models/digits.safetensors" }

const SEVEN: &[u8] = include_bytes!("../../images/7-handwritten.png");
const BODY_BYTES: usize = 10_000;

struct Server {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn start(workers: Vec<Worker<Answer>>, room: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (queue, threads) = pool::start(workers, room).unwrap();
    let (shutdown, stop) = oneshot::channel();
    let ended = tokio::spawn(async move {
        serve(listener, queue, BODY_BYTES, async { stop.await.unwrap() }).await.unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    Server { address, shutdown, ended }
}

impl Server {
    async fn end(self) {
        self.shutdown.send(()).unwrap();
        self.ended.await.unwrap();
    }
}

/// The whole response, head and body.
async fn request(address: SocketAddr, line: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

async fn classify(address: SocketAddr, body: Vec<u8>) -> String {
    request(address, "POST /classify", &body).await
}

#[tokio::test]
async fn images_and_what_is_none() {
    let server = start(classifiers(&Digits::embedded().unwrap(), 2, 1_000), 64).await;
    let address = server.address;
    let requests: Vec<_> = (0..32).map(|_| tokio::spawn(classify(address, SEVEN.to_vec()))).collect();
    for response in requests {
        let response = response.await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{response}");
        let guesses: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&guesses[0]["class"], &guesses[0]["label"]), (&7.into(), &"7".into()), "{body}");
        assert!(guesses[0]["probability"].as_f64().unwrap() > 0.5, "{body}");
    }
    let many_pixels = b"P5 40 40 255 ".iter().chain(&[0; 1600]).copied().collect();
    for (body, status, message) in [
        (b"no image".to_vec(), 400, "not an image"),
        (Vec::new(), 400, "not an image"),
        (SEVEN[..100].to_vec(), 400, "not an image"),
        (many_pixels, 400, "more than the limit of 1000"),
        (vec![0; BODY_BYTES + 1], 413, "length limit"),
    ] {
        let response = classify(address, body).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
        assert!(response.contains(r#"{"error":""#) && response.contains(message), "{response}");
    }
    assert!(request(address, "GET /health", b"").await.starts_with("HTTP/1.1 200"));
    server.end().await;
}

/// One worker computes, one body waits: the third is refused at once, and the two are answered although the server is asked to end.
#[tokio::test]
async fn a_full_queue_and_a_shutdown() {
    let (started, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (open, gate) = mpsc::channel::<()>();
    let worker: Worker<Answer> = Box::new(move |_| {
        started.send(()).unwrap();
        gate.recv().unwrap();
        Ok(Vec::new())
    });
    let server = start(vec![worker], 1).await;
    let first = tokio::spawn(classify(server.address, SEVEN.to_vec()));
    begun.recv().await.unwrap();
    let mut second = tokio::spawn(classify(server.address, SEVEN.to_vec()));
    let mut third = tokio::spawn(classify(server.address, SEVEN.to_vec()));
    let (refused, waiting) = tokio::select! {
        response = &mut second => (response.unwrap(), third),
        response = &mut third => (response.unwrap(), second),
    };
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    server.shutdown.send(()).unwrap();
    (0..2).for_each(|_| open.send(()).unwrap());
    for response in [first, waiting] {
        let response = response.await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("[]"), "{response}");
    }
    server.ended.await.unwrap();
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let worker: Worker<Answer> =
        Box::new(|body| if body.is_empty() { panic!("as a test") } else { Ok(Vec::new()) });
    let server = start(vec![worker], 1).await;
    assert!(classify(server.address, Vec::new()).await.starts_with("HTTP/1.1 500"));
    assert!(classify(server.address, vec![1]).await.starts_with("HTTP/1.1 200"));
    server.end().await;
}
