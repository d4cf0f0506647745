//! How long requests wait for the database.

use std::time::Duration;

use crate::error::{Result, StoreError};

tokio::task_local! {
    /// What the request at hand has spent before its work began.
    static SPENT: Duration;
}

/// How long a request is kept waiting, for a connection and for everything that is done on it.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(2);

/// What a call is left at least: a database that answers at all does so within that.
const LEAST: Duration = Duration::from_millis(300);

/// Does the rest of a request of which `spent` went by while its token was looked up and it waited for its turn: a database
/// that falls silent keeps nobody waiting for all of that in turn. SQLite, which is never silent, takes no notice of it.
pub async fn having_spent<T>(spent: Duration, rest: impl Future<Output = T>) -> T {
    SPENT.scope(spent, rest).await
}

/// How long a call of the request at hand may take.
pub fn of_a_call() -> Duration {
    let spent = SPENT.try_with(|spent| *spent).unwrap_or_default();
    REQUEST_DEADLINE.saturating_sub(spent).max(LEAST)
}

/// Does the rest of a request in a task of its own: the server goes on with what it was asked, though whoever asked may go
/// away, and what was taken for it is to be held for as long.
pub async fn in_a_task<T: Send + 'static>(rest: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let spent = SPENT.try_with(|spent| *spent).unwrap_or_default();
    let task = tokio::spawn(having_spent(spent, rest));
    task.await.map_err(|_| StoreError::Unavailable("the call was interrupted".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_spent_is_not_to_be_had_again() {
        assert_eq!(of_a_call(), REQUEST_DEADLINE);
        let call = async { of_a_call() };
        assert_eq!(having_spent(Duration::from_millis(700), call).await, Duration::from_millis(1_300));
        assert_eq!(having_spent(Duration::from_mins(1), async { of_a_call() }).await, LEAST);
        assert_eq!(of_a_call(), REQUEST_DEADLINE);
    }
}
