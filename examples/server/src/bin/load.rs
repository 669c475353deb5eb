//! `load ADDRESS CONNECTIONS SECONDS IMAGE...`: keeps so many connections busy, and says how long the answers took.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Status of an answer, and how long it took.
type Answers = Vec<(u16, Duration)>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds, files @ ..] = &arguments[..] else {
        return Err("load ADDRESS CONNECTIONS SECONDS IMAGE...".into());
    };
    let (connections, seconds): (usize, u64) = (connections.parse()?, seconds.parse()?);
    let requests =
        files.iter().map(|file| request(&std::fs::read(file)?)).collect::<std::io::Result<Vec<_>>>()?;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let answers = std::thread::scope(|scope| {
        let connection = |first| {
            let requests = requests.iter().cycle().skip(first);
            scope.spawn(move || connection(address, requests, end))
        };
        let threads: Vec<_> = (0..connections).map(connection).collect();
        let broken = |_| Err(std::io::Error::other("a thread panicked"));
        let all = threads.into_iter().map(|thread| thread.join().unwrap_or_else(broken));
        all.collect::<Result<Vec<Answers>, _>>().map(|answers| answers.concat())
    })?;
    let good = answers.iter().filter(|(status, _)| *status == 200);
    let mut times: Vec<Duration> = good.map(|(_, time)| *time).collect();
    times.sort();
    let part = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{:.0} answers/s, median {:.1?}, 99 % within {:.1?}, the slowest {:.1?}; not 200: {}",
        times.len() as f64 / start.elapsed().as_secs_f64(),
        part(0.5),
        part(0.99),
        times.last().copied().unwrap_or_default(),
        answers.len() - times.len(),
    );
    Ok(())
}

fn request(image: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write!(bytes, "POST /classify HTTP/1.1\r\nhost: load\r\ncontent-length: {}\r\n\r\n", image.len())?;
    bytes.extend(image);
    Ok(bytes)
}

/// One request after another. A connection that breaks is an error.
fn connection<'a>(
    address: &str,
    mut requests: impl Iterator<Item = &'a Vec<u8>>,
    end: Instant,
) -> std::io::Result<Answers> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_nodelay(true)?;
    let mut answers = Answers::new();
    while let Some(request) = requests.next().filter(|_| Instant::now() < end) {
        let start = Instant::now();
        stream.get_mut().write_all(request)?;
        answers.push((answer(&mut stream)?, start.elapsed()));
    }
    Ok(answers)
}

fn answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<u16> {
    let odd = || std::io::Error::other("no HTTP answer");
    let (mut status, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let line = line.trim_end();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().map_err(|_| odd())?;
        }
        status = status.or(line.split(' ').nth(1).and_then(|code| code.parse().ok()));
        if line.is_empty() {
            stream.read_exact(&mut vec![0; length])?;
            return status.ok_or_else(odd);
        }
    }
}
