//! Writes that come along together are made together: one commit for all of them. A lone one waits for nobody.
//!
//! While one batch is being written the next one gathers; it goes out as soon as it is worth a commit of its own, at the
//! latest when the one before is through. Whoever asks puts the write into the queue, and nobody is woken unless the batch
//! is to go out now: with many clients that is once a batch instead of once a write.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use super::pool::late;
use crate::error::{Result, StoreError};

/// How many wait at most; beyond them the answer is that the database does not keep up.
const WAITING: usize = 8_192;
/// How many batches are being written at once: while one is synced to disk, the next one is sent.
const BATCHES: usize = 2;

/// Takes writes of one kind.
pub struct Gathered<W, A>(Arc<Inner<W, A>>);

struct Inner<W, A> {
    queue: Mutex<Queue<W, A>>,
    /// How many are written together at most.
    at_once: usize,
    runtime: Handle,
    make: Box<Make<W, A>>,
}

/// Makes the writes of a batch, and answers each.
type Make<W, A> = dyn Fn(Vec<Asked<W, A>>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A write, and who is told what became of it. Whoever is told nothing learns that it was interrupted.
pub struct Asked<W, A> {
    pub write: W,
    answer: oneshot::Sender<Result<A>>,
}

impl<W, A> Asked<W, A> {
    pub fn answer(self, outcome: Result<A>) {
        // Whoever asked may have gone away.
        drop(self.answer.send(outcome));
    }
}

/// Those who wait for the answers of a batch, in its order.
pub struct Answers<A>(Vec<oneshot::Sender<Result<A>>>);

impl<A> Answers<A> {
    pub fn give(self, outcomes: Vec<Result<A>>) {
        for (answer, outcome) in self.0.into_iter().zip(outcomes) {
            drop(answer.send(outcome));
        }
    }
}

/// The writes by themselves, and who is to be told.
pub fn apart<W, A>(batch: Vec<Asked<W, A>>) -> (Vec<W>, Answers<A>) {
    let (writes, answers) = batch.into_iter().map(|asked| (asked.write, asked.answer)).unzip();
    (writes, Answers(answers))
}

/// What waits, and what is being written.
struct Queue<W, A> {
    waiting: Vec<Asked<W, A>>,
    /// How many writes there are in each batch that is being written.
    under_way: Vec<usize>,
    /// How many writes were in the house at once of late, waiting and under way.
    crowd: usize,
}

impl<W, A> Queue<W, A> {
    /// The batch that is to go out now, if one is.
    fn next(&mut self, at_once: usize) -> Option<Vec<Asked<W, A>>> {
        let in_house = self.waiting.len() + self.under_way.iter().sum::<usize>();
        self.crowd = self.crowd.max(in_house);
        let goes_out = match self.under_way.len() {
            0 => !self.waiting.is_empty(),
            // A small one costs nearly as much as a large one: half of those who come again and again are worth it.
            under_way => under_way < BATCHES && self.waiting.len() >= self.crowd.div_ceil(BATCHES),
        };
        if !goes_out {
            return None;
        }
        self.crowd = in_house.max(self.crowd - self.crowd / 8);
        let batch: Vec<_> = self.waiting.drain(..self.waiting.len().min(at_once)).collect();
        self.under_way.push(batch.len());
        Some(batch)
    }
}

impl<W: Send + 'static, A: Send + 'static> Gathered<W, A> {
    /// Writes on `runtime`, at most so many together. `make` makes a batch of writes and answers each of them.
    pub fn new<F>(
        runtime: &Handle,
        at_once: usize,
        make: impl Fn(Vec<Asked<W, A>>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let queue = Queue { waiting: Vec::new(), under_way: Vec::new(), crowd: 0 };
        Self(Arc::new(Inner {
            queue: Mutex::new(queue),
            at_once,
            runtime: runtime.clone(),
            make: Box::new(move |batch| Box::pin(make(batch))),
        }))
    }

    /// Makes a write together with whatever else is waiting, and returns once it is committed.
    pub async fn make(&self, write: W, deadline: Duration) -> Result<A> {
        let (answer, answered) = oneshot::channel();
        self.0.take(Asked { write, answer })?;
        timeout(deadline, answered).await.map_err(|_| late())?.map_err(|_| late())?
    }
}

impl<W: Send + 'static, A: Send + 'static> Inner<W, A> {
    fn take(self: &Arc<Self>, asked: Asked<W, A>) -> Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.waiting.len() >= WAITING {
            return Err(StoreError::Unavailable("too many writes are waiting".to_owned()));
        }
        queue.waiting.push(asked);
        let batch = queue.next(self.at_once);
        drop(queue);
        if let Some(batch) = batch {
            self.send(batch);
        }
        Ok(())
    }

    fn send(self: &Arc<Self>, mut batch: Vec<Asked<W, A>>) {
        let place = Place { of: Arc::clone(self), writes: batch.len() };
        // Whoever gave up was told that it is not known whether it was done: better that it was not.
        batch.retain(|asked| !asked.answer.is_closed());
        if batch.is_empty() {
            return;
        }
        let made = (self.make)(batch);
        self.runtime.spawn(async move {
            made.await;
            drop(place);
        });
    }
}

/// A batch under way; when it ends, however it does, the next one goes out.
struct Place<W: Send + 'static, A: Send + 'static> {
    of: Arc<Inner<W, A>>,
    writes: usize,
}

impl<W: Send + 'static, A: Send + 'static> Drop for Place<W, A> {
    fn drop(&mut self) {
        let mut queue = self.of.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = queue.under_way.iter().position(|writes| *writes == self.writes) {
            queue.under_way.swap_remove(place);
        }
        let batch = queue.next(self.of.at_once);
        drop(queue);
        if let Some(batch) = batch {
            self.of.send(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: usize = 20;

    fn queue() -> Queue<usize, ()> {
        Queue { waiting: Vec::new(), under_way: Vec::new(), crowd: 0 }
    }

    /// Puts writes into the queue one after the other; how large each batch is that goes out meanwhile.
    fn ask(queue: &mut Queue<usize, ()>, writes: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        for write in 0..writes {
            queue.waiting.push(Asked { write, answer: oneshot::channel().0 });
            sizes.extend(queue.next(AT_ONCE).map(|batch| batch.len()));
        }
        sizes
    }

    /// The batch of this size is through; how large the one is that goes out then.
    fn end(queue: &mut Queue<usize, ()>, size: usize) -> Option<usize> {
        let place = queue.under_way.iter().position(|writes| *writes == size).unwrap();
        queue.under_way.swap_remove(place);
        queue.next(AT_ONCE).map(|batch| batch.len())
    }

    #[test]
    fn a_lone_one_waits_for_nobody() {
        let mut queue = queue();
        for _ in 0..3 {
            assert_eq!(ask(&mut queue, 1), [1]);
            assert_eq!(end(&mut queue, 1), None);
        }
    }

    #[test]
    fn two_batches_share_those_who_come_again_and_again() {
        let mut queue = queue();
        // The first two go out by themselves, for nobody else is there yet.
        assert_eq!(ask(&mut queue, 16), [1, 1]);
        assert_eq!(end(&mut queue, 1), Some(14));
        assert_eq!(end(&mut queue, 1), None);
        // Half of the sixteen are waited for, or the end of the batch that is under way.
        assert!(ask(&mut queue, 2).is_empty());
        assert_eq!(end(&mut queue, 14), Some(2));
        // Those who have gone for a while are waited for a little less.
        assert_eq!(ask(&mut queue, 14), [7]);
        assert_eq!(end(&mut queue, 2), None);
        assert_eq!(end(&mut queue, 7), Some(7));
        assert_eq!(ask(&mut queue, 7), [7]);
    }

    #[test]
    fn no_batch_is_larger_than_it_may_be() {
        let mut queue = queue();
        assert_eq!(ask(&mut queue, 50), [1, 1]);
        assert_eq!(end(&mut queue, 1), Some(AT_ONCE));
        assert_eq!(queue.waiting.len(), 28);
    }

    #[tokio::test]
    async fn whoever_is_told_nothing_learns_that_it_was_interrupted() {
        let gathered: Gathered<usize, ()> =
            Gathered::new(&Handle::current(), AT_ONCE, |batch| async move { drop(batch) });
        let asked = gathered.make(1, Duration::from_mins(1)).await;
        assert!(matches!(asked, Err(StoreError::Unavailable(_))), "{asked:?}");
        // And the next batch goes out all the same.
        assert!(gathered.make(2, Duration::from_mins(1)).await.is_err());
    }
}
