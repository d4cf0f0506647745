//! An HTTP client for one question at a time: as little as there can be between a question and its time.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is kept.
pub struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// From the question's first byte to the answer's last.
    pub time: Duration,
}

impl Client {
    /// Connects to `address`; `token` goes with every question.
    pub fn connect(address: &str, token: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), token: token.to_owned() })
    }

    /// Asks for `path`; anything but a success is a failure.
    pub fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        let answer =
            self.send(&format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n", self.token))?;
        successful(path, answer)
    }

    /// Sends JSON to `path`; anything but a success is a failure.
    pub fn post(&mut self, path: &str, json: &str) -> Result<Answer, Failure> {
        let (token, length) = (&self.token, json.len());
        let answer = self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
            Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
        ))?;
        successful(path, answer)
    }

    fn send(&mut self, request: &str) -> Result<Answer, Failure> {
        let begun = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (0, 0);
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the connection was closed".into());
            }
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest.get(..3).unwrap_or_default().parse()?;
            } else if let Some(rest) = text.strip_prefix("content-length:") {
                length = rest.trim().parse()?;
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body: String::from_utf8(body)?, time: begun.elapsed() })
    }
}

fn successful(path: &str, answer: Answer) -> Result<Answer, Failure> {
    if (200..300).contains(&answer.status) {
        Ok(answer)
    } else {
        Err(format!("{path}: {} {}", answer.status, answer.body).into())
    }
}
