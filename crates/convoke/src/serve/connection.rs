//! A connection with a client that may be slow on purpose. actix-web has a time limit for the head of the first request,
//! the API one for bodies; this is one for everything between the first byte of a request and the last of its answer, so
//! that nobody holds a connection for nothing.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use convoke_api::HoldOff;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// How long a request and its answer may take on their way, and with everything between: the longest wait (30 s), the body
/// (10 s), and time for slow lines.
pub const EXCHANGE: Duration = Duration::from_secs(75);

/// A connection on which nothing may take longer than it should.
pub struct Connection<T> {
    stream: T,
    limit: Duration,
    /// When the request began to arrive whose answer is not out yet, or the answer that is not.
    since: Option<Instant>,
    /// Goes off now and then to look at that: not one for each request, since those are many and quick.
    alarm: Pin<Box<Sleep>>,
    hold_off: HoldOff,
    /// Goes off when there may be reading again.
    end_of_hold_off: Option<Pin<Box<Sleep>>>,
}

impl<T> Connection<T> {
    /// `limit` is how long an exchange may take.
    pub fn new(stream: T, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            since: None,
            alarm: Box::pin(sleep(limit)),
            hold_off: HoldOff::default(),
            end_of_hold_off: None,
        }
    }

    /// By which it is told to read nothing for a while.
    pub fn hold_off(&self) -> HoldOff {
        self.hold_off.clone()
    }

    /// Whether nothing is to be read now; the task is woken when that is over.
    fn is_held_off(&mut self, context: &mut Context<'_>) -> bool {
        let Some(until) = self.hold_off.until() else { return false };
        let alarm = self.end_of_hold_off.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if alarm.deadline() != until {
            alarm.as_mut().reset(until);
        }
        alarm.as_mut().poll(context).is_pending()
    }

    /// An error once an exchange takes too long.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let end = self.since.unwrap_or(now) + self.limit;
            if end <= now {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(end);
        }
        Ok(())
    }

    fn begin(&mut self) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_held_off(context) {
            return Poll::Pending;
        }
        let already_read = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => {
                self.check(context)?;
                Poll::Pending
            }
            read @ Poll::Ready(_) => {
                if buffer.filled().len() > already_read {
                    self.begin();
                }
                read
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.begin();
        let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, bytes) else {
            self.check(context)?;
            return Poll::Pending;
        };
        let written = written?;
        if written == bytes.len() {
            self.since = None;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    fn pair() -> (Connection<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(4);
        (Connection::new(ours, LIMIT), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_trickles_in_is_cut_off() {
        let (mut ours, mut theirs) = pair();
        let trickle = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        let started = Instant::now();
        let mut head = Vec::new();
        let error = ours.read_to_end(&mut head).await.unwrap_err();
        assert_eq!((error.kind(), head.len(), started.elapsed()), (io::ErrorKind::TimedOut, 6, LIMIT));
        drop(ours);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_cut_off() {
        let (mut ours, mut theirs) = pair();
        let trickle = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        let started = Instant::now();
        let error = ours.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
        drop(ours);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_in_time_goes_on_for_as_long_as_it_likes() {
        let (mut ours, mut theirs) = pair();
        for _ in 0..10 {
            // Doing nothing is for others to limit.
            let idle = tokio::time::timeout(2 * LIMIT, ours.read_u8()).await;
            assert!(idle.is_err());
            theirs.write_all(b"a").await.unwrap();
            assert_eq!(ours.read_u8().await.unwrap(), b'a');
            tokio::time::sleep(LIMIT.mul_f64(0.9)).await;
            ours.write_all(b"b").await.unwrap();
            assert_eq!(theirs.read_u8().await.unwrap(), b'b');
        }
    }
}
