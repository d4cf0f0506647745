//! Waiting for a chat on behalf of a client (`Prefer: wait=N`).

use std::{future::Future, time::Duration};

use convoke_domain::ChatId;
use tokio::time::{Instant, timeout};

use crate::{prefer::Wait, problem::Problem, state::ApiState};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Looks at a chat until `look` gives something that `is_settled`, or `wait` is over, or there is no room to wait, or
/// the process is about to stop; returns what was seen last.
///
/// A change in this process wakes the wait at once; another process may make it too, so there is also a look every
/// 50–250 ms. A look that fails ends the wait with its error.
pub(crate) async fn until<T, F: Future<Output = Result<T, Problem>>>(
    state: &ApiState,
    chat_id: ChatId,
    wait: Wait,
    mut look: impl FnMut() -> F,
    is_settled: impl Fn(&T) -> bool,
) -> Result<T, Problem> {
    let deadline = Instant::now() + wait.duration();
    let watched = state.store.changes().watch_chat(chat_id);
    let mut changed = Box::pin(watched.notified());
    // From here on no change is missed, not even one during the look.
    changed.as_mut().enable();
    let mut seen = look().await?;
    let Ok(_slot) = state.wait_slots.try_acquire() else { return Ok(seen) };
    let mut pause = FIRST_PAUSE;
    while !is_settled(&seen) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || state.lifecycle.is_draining() {
            break;
        }
        let stopped = timeout(pause.min(left), async {
            tokio::select! {
                () = &mut changed => false,
                () = state.lifecycle.draining() => true,
            }
        });
        if stopped.await == Ok(true) {
            break;
        }
        changed.set(watched.notified());
        changed.as_mut().enable();
        seen = look().await?;
        pause = (pause + FIRST_PAUSE).min(LONGEST_PAUSE);
    }
    Ok(seen)
}
