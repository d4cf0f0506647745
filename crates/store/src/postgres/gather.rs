//! Writes that arrive together are made together: one commit for all of them. A lone one waits for nobody: whatever has
//! arrived when the writer looks is the batch.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::pool::late;
use crate::error::{Result, StoreError};

/// How many wait at most; beyond them the answer is that the database does not keep up.
const WAITING: usize = 8_192;
/// How many are written together at most.
const AT_ONCE: usize = 128;
/// How many batches are being written at once: while one is synced to disk, the next one is sent.
const BATCHES: usize = 2;

/// Takes writes of one kind.
pub struct Gathered<W, A> {
    waiting: mpsc::Sender<Waiting<W, A>>,
}

/// A write, and who is told what became of it.
struct Waiting<W, A> {
    write: W,
    answer: oneshot::Sender<Result<A>>,
}

impl<W: Send + 'static, A: Send + 'static> Gathered<W, A> {
    /// Starts the writer on `runtime`; it ends with this. `make` makes a batch of writes and answers each, in their order.
    pub fn start<F>(runtime: &Handle, make: impl Fn(Vec<W>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<Result<A>>> + Send + 'static,
    {
        let (waiting, writes) = mpsc::channel(WAITING);
        runtime.spawn(make_batches(writes, make));
        Self { waiting }
    }

    /// Makes a write together with whatever else is waiting, and returns once it is committed.
    pub async fn make(&self, write: W, deadline: Duration) -> Result<A> {
        let (answer, answered) = oneshot::channel();
        let full = |_| StoreError::Unavailable("too many writes are waiting".to_owned());
        self.waiting.try_send(Waiting { write, answer }).map_err(full)?;
        timeout(deadline, answered).await.map_err(|_| late())?.map_err(|_| late())?
    }
}

async fn make_batches<W: Send + 'static, A: Send + 'static, F>(
    mut waiting: mpsc::Receiver<Waiting<W, A>>,
    make: impl Fn(Vec<W>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Vec<Result<A>>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(BATCHES));
    let mut batch = Vec::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        if waiting.recv_many(&mut batch, AT_ONCE).await == 0 {
            return;
        }
        // Whoever gave up was told that it is not known whether it was done: better that it was not.
        batch.retain(|waiting| !waiting.answer.is_closed());
        let (writes, answers): (Vec<W>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.write, waiting.answer)).unzip();
        let made = make(writes);
        tokio::spawn(async move {
            // Answers that do not come tell their callers that they were interrupted.
            for (answer, outcome) in answers.into_iter().zip(made.await) {
                drop(answer.send(outcome));
            }
            drop(place);
        });
    }
}
