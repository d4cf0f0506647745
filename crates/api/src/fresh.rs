//! What was read a moment ago and is told again: probes and scrapers come often, to every process.

use std::{fmt::Display, sync::Arc, time::Duration};

use convoke_domain::Timestamp;
use tokio::{sync::Mutex, time::timeout};

/// How long what was read is told again.
const FRESH: Duration = Duration::from_secs(2);

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was read last, and when.
#[derive(Debug)]
pub(crate) struct Fresh<T>(Mutex<Option<(Timestamp, Arc<[T]>)>>);

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Fresh<T> {
    /// What was read a moment ago, or else is read now; nothing if the database does not tell.
    pub async fn get<E: Display>(
        &self,
        now: Timestamp,
        read: impl Future<Output = Result<Vec<T>, E>>,
    ) -> Option<Arc<[T]>> {
        // Held while it is read, so that whoever comes meanwhile does not read it too.
        let mut kept = self.0.lock().await;
        if let Some((read_at, known)) = &*kept
            && now.since(*read_at) < FRESH
        {
            return Some(known.clone());
        }
        let known: Arc<[T]> = match timeout(PATIENCE, read).await {
            Ok(Ok(known)) => known.into(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "what operators are told can't be read");
                return None;
            }
            Err(_) => return None,
        };
        *kept = Some((now, known.clone()));
        Some(known)
    }
}
