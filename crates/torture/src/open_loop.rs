//! Load that does not wait for answers: requests are sent when their time has come, whatever became of those before, as
//! many clients that know nothing of each other do. All of it is done on a core of its own, with as little as possible
//! around each request.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    process::Command,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    task::LocalSet,
    time::{sleep, timeout},
};

use crate::Failure;

/// When an answer is too late to be of use.
pub const LATE: Duration = Duration::from_secs(1);
/// How long it is asked before it counts: thousands of connections are made in that time.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long a request waits for a connection before whoever wanted to send it gives up.
const FREE_CONNECTION: Duration = Duration::from_millis(100);
/// How long an answer is waited for at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one tenant's clients ask for, again and again.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Whole requests, sent one after the other.
    pub requests: Vec<Vec<u8>>,
    /// How many a second; without it, each connection asks as soon as it is answered.
    pub rate: Option<f64>,
    /// How many connections there may be; a request for which none is free is not sent.
    pub connections: usize,
}

/// What came of a stream's requests.
#[derive(Debug, Default, Clone)]
pub struct Answers {
    /// From the moment at which a request was to be sent to the answer, in milliseconds: of those answered 2xx, and of those
    /// refused with 429 or 503.
    pub served: Vec<f64>,
    pub refused: Vec<f64>,
    /// How many were not sent, since all connections waited for answers.
    pub held_back: usize,
    /// Another status, or no answer.
    pub failed: Vec<String>,
    /// How long it was asked for.
    pub seconds: f64,
}

impl Answers {
    /// How many a second were served in time.
    pub fn goodput(&self) -> f64 {
        let late = LATE.as_secs_f64() * 1e3;
        self.served.iter().filter(|latency| **latency <= late).count() as f64 / self.seconds
    }

    /// Adds what came of another time.
    pub fn add(&mut self, other: Self) {
        self.served.extend(other.served);
        self.refused.extend(other.refused);
        self.held_back += other.held_back;
        self.failed.extend(other.failed);
        self.seconds += other.seconds;
    }
}

/// The latency that so many in a hundred are not above.
pub fn percentile(latencies: &[f64], in_a_hundred: usize) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * in_a_hundred).div_ceil(100);
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// A request for `path` with this token.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: torture\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// Sends what the streams say to `address` for `seconds`, from this core: each from a thread of its own, the first before
/// all others, as if it came from elsewhere and their client's trouble were not its own.
pub fn send(address: &str, core: usize, seconds: f64, streams: Vec<Stream>) -> Result<Vec<Answers>, Failure> {
    let threads: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(place, stream)| {
            let address = address.to_owned();
            thread::spawn(move || send_one(&address, core, seconds, stream, place > 0))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().map_err(|_| "the load has panicked")?).collect()
}

fn send_one(address: &str, core: usize, seconds: f64, stream: Stream, is_last: bool) -> Result<Answers, Failure> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)?;
    if is_last {
        // From then on the thread runs when no other wants to.
        let thread = gettid().as_raw_nonzero().to_string();
        let told = Command::new("chrt").args(["--idle", "--pid", "0", &thread]).status();
        let told = told.map_err(|error| format!("chrt: {error}"))?;
        if !told.success() {
            return Err("`chrt` does not change the priority of a thread".into());
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, async move {
        let line = Line::new(address, stream, seconds);
        line.clone().send().await;
        line.answers.take()
    }))
}

/// A stream on its way.
struct Line {
    address: String,
    stream: Stream,
    begun: Instant,
    counts_from: Instant,
    end: Instant,
    next: Cell<usize>,
    /// When the requests were to be sent that no connection has taken yet.
    due: RefCell<VecDeque<Instant>>,
    is_due: Notify,
    idle: Cell<usize>,
    connections: Cell<usize>,
    answers: RefCell<Answers>,
}

impl Line {
    fn new(address: &str, stream: Stream, seconds: f64) -> Rc<Self> {
        let begun = Instant::now();
        Rc::new(Self {
            address: address.to_owned(),
            stream,
            begun,
            counts_from: begun + WARM_UP,
            end: begun + WARM_UP + Duration::from_secs_f64(seconds),
            next: Cell::new(0),
            due: RefCell::default(),
            is_due: Notify::new(),
            idle: Cell::new(0),
            connections: Cell::new(0),
            answers: RefCell::new(Answers { seconds, ..Answers::default() }),
        })
    }

    async fn send(self: Rc<Self>) {
        if let Some(rate) = self.stream.rate {
            self.clone().keep_time(rate).await;
        } else {
            (0..self.stream.connections).for_each(|_| self.connect());
            sleep(self.end.saturating_duration_since(Instant::now())).await;
        }
        // The last answers may still be on their way.
        let give_up = self.end + PATIENCE;
        while self.idle.get() < self.connections.get() && Instant::now() < give_up {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Has each request sent when its time has come: late ones too, for their time is what they are measured from.
    async fn keep_time(self: Rc<Self>, rate: f64) {
        let mut sent = 0_u32;
        loop {
            let now = Instant::now();
            if now >= self.end {
                return;
            }
            let mut due = self.begun + Duration::from_secs_f64(f64::from(sent) / rate);
            while due <= now {
                self.take_up(due);
                sent += 1;
                due = self.begun + Duration::from_secs_f64(f64::from(sent) / rate);
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn take_up(self: &Rc<Self>, due: Instant) {
        let waiting = self.due.borrow().len();
        if waiting >= self.idle.get() {
            if self.connections.get() >= self.stream.connections {
                self.give_up();
            } else {
                self.connect();
            }
        }
        self.due.borrow_mut().push_back(due);
        self.is_due.notify_one();
    }

    /// Lets those go that have waited too long for a connection.
    fn give_up(&self) {
        let mut due = self.due.borrow_mut();
        while due.front().is_some_and(|first| first.elapsed() > FREE_CONNECTION) {
            let counts = due.pop_front().is_some_and(|due| due >= self.counts_from);
            self.answers.borrow_mut().held_back += usize::from(counts);
        }
    }

    fn connect(self: &Rc<Self>) {
        self.connections.set(self.connections.get() + 1);
        tokio::task::spawn_local(self.clone().ask());
    }

    /// One connection's life.
    async fn ask(self: Rc<Self>) {
        let mut stream = None;
        let mut buffer = Vec::with_capacity(64 * 1024);
        loop {
            let Some(due) = self.next_due().await else { break };
            let place = self.next.replace(self.next.get().wrapping_add(1));
            let request = &self.stream.requests[place % self.stream.requests.len()];
            let answered = timeout(PATIENCE, exchange(&self.address, &mut stream, request, &mut buffer)).await;
            let latency = due.elapsed().as_secs_f64() * 1e3;
            let counts = due >= self.counts_from;
            let mut answers = self.answers.borrow_mut();
            match answered {
                Ok(Ok(200..=299 | 429 | 503)) if !counts => {}
                Ok(Ok(200..=299)) => answers.served.push(latency),
                Ok(Ok(429 | 503)) => answers.refused.push(latency),
                Ok(Ok(status)) => answers.failed.push(format!("answered {status}")),
                Ok(Err(ref error)) => answers.failed.push(error.to_string()),
                Err(_) => answers.failed.push(format!("no answer within {PATIENCE:?}")),
            }
            if !matches!(answered, Ok(Ok(_))) {
                stream = None;
            }
        }
        self.idle.set(self.idle.get() + 1);
    }

    /// When the next request of this connection was to be sent, once that has come; none, if the time is over.
    async fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        if self.stream.rate.is_none() {
            return (now < self.end).then_some(now);
        }
        loop {
            self.give_up();
            if let Some(due) = self.due.borrow_mut().pop_front() {
                return Some(due);
            }
            let left = self.end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.idle.set(self.idle.get() + 1);
            // At the end somebody has to look again.
            let _ = timeout(left, self.is_due.notified()).await;
            self.idle.set(self.idle.get() - 1);
        }
    }
}

/// Sends a request and reads its answer to the end; gives the status.
async fn exchange(
    address: &str,
    kept: &mut Option<TcpStream>,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> std::io::Result<u16> {
    let stream = if let Some(stream) = kept {
        stream
    } else {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        kept.insert(stream)
    };
    stream.write_all(request).await?;
    buffer.clear();
    let broken = |why: &str| std::io::Error::other(why.to_owned());
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(broken("the connection was closed"));
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).map_err(|_| broken("no HTTP"))?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| broken("no status"))?;
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
        let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let whole = end + 4 + length;
        while buffer.len() < whole {
            if stream.read_buf(buffer).await? == 0 {
                return Err(broken("the answer was cut off"));
            }
        }
        if closes {
            *kept = None;
        }
        return Ok(status);
    }
}
