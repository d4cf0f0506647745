//! A server that gives the answers it was handed, one a connection, and keeps what was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use convoke_client::{Client, RetryPolicy, reqwest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a connection is answered with.
pub enum Reply {
    Answer {
        status: u16,
        headers: &'static str,
        body: String,
    },
    /// The connection ends without an answer.
    Nothing,
    /// The answer breaks off within its body.
    Half,
}

/// An answer without further headers.
pub fn answer(status: u16, body: impl Into<String>) -> Reply {
    answer_with(status, "", body)
}

/// An answer with these header lines, each of which ends with CRLF.
pub fn answer_with(status: u16, headers: &'static str, body: impl Into<String>) -> Reply {
    Reply::Answer { status, headers, body: body.into() }
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and target.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }
}

pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Begins to listen; there are as many answers as connections.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, replies): (_, Vec<Reply>) = (Arc::clone(&asked), replies.into_iter().collect());
        tokio::spawn(async move {
            for reply in replies {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                kept.lock().unwrap().push(request);
                write(&mut stream, reply).await;
            }
        });
        Self { address, asked }
    }

    /// A client that repeats at once, and never pauses long where it is not asked to.
    pub fn client(&self) -> Client {
        self.client_with(RetryPolicy { first_pause: Duration::from_millis(1), ..RetryPolicy::default() })
    }

    pub fn client_with(&self, retry: RetryPolicy) -> Client {
        let http = reqwest::Client::builder().no_proxy();
        Client::builder(&format!("http://{}", self.address)).token("hunter2").retry(retry).http(http).build().unwrap()
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of what was asked so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn read(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request breaks off");
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the body breaks off");
    }
    Asked { line, headers, body: String::from_utf8(bytes[head_end + 4..].to_vec()).unwrap() }
}

async fn write(stream: &mut TcpStream, reply: Reply) {
    let text = match reply {
        Reply::Answer { status, headers, body } => {
            let length = if status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            format!("HTTP/1.1 {status} Told\r\n{headers}{length}Connection: close\r\n\r\n{body}")
        }
        Reply::Nothing => String::new(),
        Reply::Half => "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"id\":".to_owned(),
    };
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}
