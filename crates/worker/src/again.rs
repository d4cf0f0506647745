//! Loops that go on whatever happens in them. A panic is a mistake of ours, but one event that can't be digested must not
//! end all the rest that a process does.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::pause;

/// How long a loop rests after a panic: what made it panic will mostly be there still.
const REST: Duration = Duration::from_secs(1);

/// Runs a loop until it ends, and begins it anew after a panic. All that a loop goes by is in the database, so nothing is
/// lost with what it had at hand.
pub async fn after_panics<F: Future<Output = ()>>(name: &str, stop: &CancellationToken, run: impl Fn() -> F) {
    // What panicked was told by the hook of panics.
    while AssertUnwindSafe(async { run().await }).catch_unwind().await.is_err() {
        tracing::error!(name, "a loop of the worker panicked; it begins anew");
        pause(REST, stop).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_begins_anew_until_it_ends_by_itself() {
        let begun = Cell::new(0);
        let run = || async {
            begun.set(begun.get() + 1);
            assert!(begun.get() > 3, "on purpose");
        };
        after_panics("test", &CancellationToken::new(), run).await;
        assert_eq!(begun.get(), 4);
    }

    #[tokio::test]
    async fn whoever_is_to_stop_does_not_rest() {
        let (stop, begun) = (CancellationToken::new(), Cell::new(0));
        stop.cancel();
        // It would rest longer than anybody waits, were it not stopped.
        let run = || async {
            begun.set(begun.get() + 1);
            assert!(begun.get() > 100, "on purpose");
        };
        tokio::time::timeout(50 * REST, after_panics("test", &stop, run)).await.expect("it does not rest");
    }
}
