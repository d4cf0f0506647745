//! What was read a moment ago and is told again: probes and scrapers come often, to every process.

use std::{fmt::Display, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long what was read is told again.
const FRESH: Duration = Duration::from_secs(2);

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was read last, and when: not by the clock, which may be set back.
#[derive(Debug)]
pub(crate) struct Fresh<T>(Mutex<Option<(Instant, Arc<[T]>)>>);

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Fresh<T> {
    /// What was read a moment ago, or else is read now; nothing if the database does not tell.
    pub async fn get<E: Display>(&self, read: impl Future<Output = Result<Vec<T>, E>>) -> Option<Arc<[T]>> {
        // Held while it is read, so that whoever comes meanwhile does not read it too.
        let mut kept = self.0.lock().await;
        if let Some((read_at, known)) = &*kept
            && read_at.elapsed() < FRESH
        {
            return Some(known.clone());
        }
        let read_at = Instant::now();
        let known: Arc<[T]> = match timeout(PATIENCE, read).await {
            Ok(Ok(known)) => known.into(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "what operators are told can't be read");
                return None;
            }
            Err(_) => return None,
        };
        *kept = Some((read_at, known.clone()));
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn told(fresh: &Fresh<u8>, newest: u8) -> Vec<u8> {
        fresh.get(async { Ok::<_, Infallible>(vec![newest]) }).await.unwrap().to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_is_told_for_two_seconds() {
        let fresh = Fresh::default();
        assert_eq!(told(&fresh, 1).await, [1]);
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert_eq!(told(&fresh, 2).await, [1]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(told(&fresh, 3).await, [3]);
    }
}
