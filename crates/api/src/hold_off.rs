//! Connections on which a request was just refused are not read for a while: to read requests only to refuse them costs a
//! good part of what answering them would, and whoever is refused is asked to wait anyway.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::time::Instant;

/// How long a connection is held off at least, and at most: less than `Retry-After` asks to wait, so that who asks again at
/// once, and is not read until then, may still wait for a turn and be answered before a second is over. With a whole second,
/// one in twenty answers came too late for anybody.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(500);

/// How far apart refusals are to be on one thread, when there are many. One takes some 26 µs, and what it does to caches.
const PACE: Duration = Duration::from_millis(1);

/// By which a connection learns that it is to be left alone for a while. Whoever serves the API puts one into the data of
/// each connection, and heeds it; without it, refusals have no such consequence. Not for connections that proxies share
/// among clients.
#[derive(Debug, Clone, Default)]
pub struct HoldOff(Rc<Cell<Option<Instant>>>);

impl HoldOff {
    /// Until when nothing is to be read, if that is not over yet.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        // Most are never held off: they need not look at the clock.
        self.0.get().filter(|until| *until > Instant::now())
    }

    /// Has the connection left alone from now on: the longer, the more of them there are. When it can't be longer, the
    /// next ones come in between: as many as were refused at once would be back at once otherwise, and again after that.
    pub(crate) fn begin(&self, now: Instant) {
        thread_local! {
            /// When the next refusal of this thread is to be, if they are to keep their distance.
            static NEXT: Cell<Option<Instant>> = const { Cell::new(None) };
        }
        let next = NEXT.get().map_or(now, |next| next.max(now)) + PACE;
        let next = if next > now + LONGEST { now + LONGEST * 3 / 4 } else { next };
        NEXT.set(Some(next));
        self.0.set(Some(next.max(now + SHORTEST)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_more_are_refused_the_longer_each_is_held_off() {
        let now = Instant::now();
        let refused: Vec<_> = (0..3_000).map(|_| HoldOff::default()).inspect(|one| one.begin(now)).collect();
        let times: Vec<_> = refused.iter().map(|one| one.until().unwrap() - now).collect();
        assert_eq!((times[0], times[49], times[199]), (SHORTEST, SHORTEST, PACE * 200));
        assert!(times.iter().all(|time| (SHORTEST..=LONGEST).contains(time)));
        // Whoever comes when the longest time is used up comes back evenly, within the last quarter of it.
        let first = usize::try_from(LONGEST.as_millis()).unwrap();
        let mut late = times[first..].to_vec();
        late.sort();
        assert!(late[0] >= LONGEST * 3 / 4);
        let at_once: Vec<_> = late.chunk_by(|one, other| one == other).map(<[_]>::len).collect();
        assert_eq!(at_once.len(), first / 4 + 1);
        assert!(at_once.iter().max().unwrap() - at_once.iter().min().unwrap() <= 1, "{at_once:?}");
        // Later on nothing of it is left.
        tokio::time::advance(2 * LONGEST).await;
        assert_eq!(refused[2_999].until(), None);
        refused[0].begin(Instant::now());
        assert_eq!(refused[0].until(), Some(Instant::now() + SHORTEST));
    }
}
