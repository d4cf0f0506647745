//! How many requests are worked on at once, and whose turn it is when there are more: load beyond what can be done is
//! refused at once, and whoever makes it waits for itself, not the others for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use convoke_domain::TenantId;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

/// How long a request may wait for its turn: the answer is to be there before anybody wonders, and together with what a
/// database may take (2 s) within the time in which 503 is promised.
const PATIENCE: Duration = Duration::from_millis(300);

/// How many requests of one tenant may wait at most; fewer where not as many get their turn while one of them has patience.
/// Who waits costs less than who is refused again and again, if only it is let in in the end.
const WAITING_OF_ONE: usize = 2048;

/// How many of one tenant may wait in any case: fewer tell nothing of how many get their turn.
const WAITING_OF_ONE_AT_LEAST: usize = 64;

/// How many may wait at most while it is not known how many get their turn.
const WAITING_OF_ONE_AT_FIRST: usize = 1024;

/// How many may wait in all.
const WAITING: usize = 8192;

/// Lets a number of requests in at once. The others wait, the tenants taking turns, and a request that can't get its
/// turn in time is refused.
#[derive(Debug)]
pub(crate) struct Gate {
    places: usize,
    is_on_the_spot: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many places are taken.
    taken: usize,
    /// Who waits, of each tenant by itself; nobody's line is empty.
    lines: HashMap<TenantId, Line>,
    /// The tenants who wait, in the order of their turns.
    turns: VecDeque<TenantId>,
    /// How many wait in all.
    waiting: usize,
}

/// The requests of one tenant that wait.
#[derive(Debug)]
struct Line {
    /// The earliest first.
    waiting: VecDeque<Waiting>,
    /// How many got their turn within the last whole stretch of [`PATIENCE`], once there was one.
    let_in_before: Option<usize>,
    /// When the present stretch began, and how many got their turn in it.
    since: Instant,
    let_in: usize,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    told: oneshot::Sender<Place>,
}

/// A place behind the gate, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Gate>>);

/// There is more to do than can be done in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Gate {
    /// A gate with so many places, at least one. `is_on_the_spot` says that what is behind it mostly waits for nothing.
    pub fn new(places: usize, is_on_the_spot: bool) -> Arc<Self> {
        Arc::new(Self { places: places.max(1), is_on_the_spot, state: Mutex::default() })
    }

    /// Takes a place, waiting for it if need be.
    ///
    /// # Errors
    /// [`Full`] at once if too many wait, or once it has waited too long.
    pub async fn enter(self: &Arc<Self>, tenant: &TenantId) -> Result<Place, Full> {
        let turn = {
            let mut state = self.lock();
            if state.taken < self.places {
                state.taken += 1;
                None
            } else {
                Some(state.queue(tenant, Instant::now())?)
            }
        };
        let Some(turn) = turn else {
            let place = Place(Some(self.clone()));
            if self.is_on_the_spot {
                let_others_line_up().await;
            }
            return Ok(place);
        };
        // Whoever is not let in in time goes; a place that comes at that very moment is handed on.
        timeout(PATIENCE, turn).await.map_err(|_| Full)?.map_err(|_| Full)
    }

    /// Hands a place that has become free to whoever's turn it is.
    fn hand_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.next(Instant::now);
                if next.is_none() {
                    state.taken -= 1;
                }
                next
            };
            let Some(waiting) = next else { return };
            match waiting.told.send(Place(Some(self.clone()))) {
                Ok(()) => return,
                // Who asked has gone away: the place is still to be given.
                Err(mut unused) => unused.0 = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has all requests taken in that have arrived by now. One that is answered without waiting for anything would never be
/// seen at work by the next: the order of their arrival would decide, and not the tenants' turns.
///
/// By a task of its own, since `yield_now` is over when it is polled again, which actix-http does at once.
async fn let_others_line_up() {
    drop(tokio::spawn(async {}).await);
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.hand_on();
        }
    }
}

impl State {
    /// Lines a request up.
    fn queue(&mut self, tenant: &TenantId, now: Instant) -> Result<oneshot::Receiver<Place>, Full> {
        let (told, turn) = oneshot::channel();
        let waiting = Waiting { until: now + PATIENCE, told };
        let is_full = self.waiting >= WAITING;
        let Some(line) = self.lines.get_mut(tenant) else {
            if is_full {
                return Err(Full);
            }
            self.lines.insert(tenant.clone(), Line::new(waiting, now));
            self.turns.push_back(tenant.clone());
            self.waiting += 1;
            return Ok(turn);
        };
        // While no place becomes free, nobody else lets them go.
        self.waiting -= line.let_go(now);
        if is_full || line.waiting.len() >= line.room(now) {
            return Err(Full);
        }
        line.waiting.push_back(waiting);
        self.waiting += 1;
        Ok(turn)
    }

    /// Whose turn it is: the one who has waited longest, of the tenant who is next.
    fn next(&mut self, now: impl Fn() -> Instant) -> Option<Waiting> {
        let mut looked_at = None;
        while let Some(tenant) = self.turns.pop_front() {
            let now = *looked_at.get_or_insert_with(&now);
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            self.waiting -= line.let_go(now);
            let next = line.waiting.pop_front();
            if next.is_some() {
                self.waiting -= 1;
                line.count(now);
            }
            if line.waiting.is_empty() {
                self.lines.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Line {
    fn new(first: Waiting, now: Instant) -> Self {
        Self { waiting: VecDeque::from([first]), let_in_before: None, since: now, let_in: 0 }
    }

    /// Forgets those who have waited too long; tells how many.
    fn let_go(&mut self, now: Instant) -> usize {
        let gone = self.waiting.iter().take_while(|waiting| waiting.until <= now).count();
        self.waiting.drain(..gone);
        gone
    }

    /// How many may wait: as many as get their turn in time.
    fn room(&mut self, now: Instant) -> usize {
        self.keep_time(now);
        let in_time = self.let_in_before.map_or(WAITING_OF_ONE_AT_FIRST, |before| before.max(self.let_in));
        in_time.clamp(WAITING_OF_ONE_AT_LEAST, WAITING_OF_ONE)
    }

    /// One got its turn.
    fn count(&mut self, now: Instant) {
        self.keep_time(now);
        self.let_in += 1;
    }

    fn keep_time(&mut self, now: Instant) {
        let stretches = now.duration_since(self.since).div_duration_f64(PATIENCE);
        if stretches >= 1.0 {
            self.let_in_before = Some(if stretches < 2.0 { self.let_in } else { 0 });
            (self.since, self.let_in) = (now, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::LocalBoxFuture};

    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    /// Has a request of this tenant line up.
    fn line_up(gate: &Arc<Gate>, name: &str) -> LocalBoxFuture<'static, Result<Place, Full>> {
        let (gate, tenant) = (gate.clone(), tenant(name));
        let mut entering = async move { gate.enter(&tenant).await }.boxed_local();
        assert!(waits(&mut entering), "{name} need not wait");
        entering
    }

    fn waits(entering: &mut LocalBoxFuture<'static, Result<Place, Full>>) -> bool {
        entering.now_or_never().is_none()
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_take_turns() {
        let gate = Gate::new(1, true);
        let first = gate.enter(&tenant("noisy")).await.unwrap();
        let noisy = [line_up(&gate, "noisy"), line_up(&gate, "noisy"), line_up(&gate, "noisy")];
        let quiet = line_up(&gate, "quiet");
        let [one, mut two, mut three] = noisy;
        drop(first);
        let place = one.await.unwrap();
        assert!(waits(&mut two));
        drop(place);
        // Two of the other tenant's came before.
        let place = quiet.await.unwrap();
        assert!(waits(&mut two));
        drop(place);
        let place = two.await.unwrap();
        assert!(waits(&mut three));
        drop(place);
        drop(three.await.unwrap());
        assert_eq!(gate.lock().taken, 0);
    }

    #[tokio::test]
    async fn tenants_take_turns_where_nobody_waits_for_anything() {
        let gate = Gate::new(1, true);
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        for name in ["noisy", "noisy", "noisy", "quiet"] {
            let (gate, done) = (gate.clone(), done.clone());
            tokio::spawn(async move {
                let _place = gate.enter(&tenant(name)).await.unwrap();
                done.send(name).unwrap();
            });
        }
        drop(done);
        let mut names = Vec::new();
        while let Some(name) = order.recv().await {
            names.push(name);
        }
        assert_eq!(names, ["noisy", "noisy", "quiet", "noisy"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_refused() {
        let gate = Gate::new(1, true);
        let place = gate.enter(&tenant("a")).await.unwrap();
        let early = line_up(&gate, "a");
        tokio::time::advance(PATIENCE).await;
        // The next one finds that the time of the first is over.
        let late = line_up(&gate, "a");
        assert_eq!(early.await.unwrap_err(), Full);
        drop(place);
        drop(late.await.unwrap());
        let place = gate.enter(&tenant("a")).await.unwrap();
        let (a, b) = (line_up(&gate, "a"), line_up(&gate, "b"));
        tokio::time::advance(PATIENCE).await;
        drop(place);
        assert_eq!((a.await.unwrap_err(), b.await.unwrap_err()), (Full, Full));
        let state = gate.lock();
        assert_eq!((state.taken, state.waiting), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_refused_at_once_and_is_only_ones_own() {
        let gate = Gate::new(1, true);
        let _place = gate.enter(&tenant("noisy")).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..WAITING_OF_ONE_AT_FIRST {
            waiting.push(line_up(&gate, "noisy"));
        }
        assert_eq!(gate.enter(&tenant("noisy")).await.unwrap_err(), Full);
        let _quiet = line_up(&gate, "quiet");
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_wait_as_get_their_turn_in_time() {
        let gate = Gate::new(1, true);
        let mut place = gate.enter(&tenant("a")).await.unwrap();
        let mut waiting: VecDeque<_> = (0..300).map(|_| line_up(&gate, "a")).collect();
        for next in waiting.drain(..100) {
            drop(place);
            place = next.await.unwrap();
        }
        // Then nobody gets a turn any more.
        for room in [100, WAITING_OF_ONE_AT_LEAST, WAITING_OF_ONE_AT_LEAST] {
            tokio::time::advance(PATIENCE).await;
            let waiting: Vec<_> = (0..room).map(|_| line_up(&gate, "a")).collect();
            assert_eq!(gate.enter(&tenant("a")).await.unwrap_err(), Full);
            drop(waiting);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_no_place_taken() {
        let gate = Gate::new(1, true);
        let place = gate.enter(&tenant("a")).await.unwrap();
        let gone = line_up(&gate, "a");
        let told_but_gone = line_up(&gate, "b");
        let stays = line_up(&gate, "c");
        drop(gone);
        drop(place);
        // By now `b` has the place and does not know it yet.
        drop(told_but_gone);
        drop(stays.await.unwrap());
        let state = gate.lock();
        assert_eq!((state.taken, state.waiting), (0, 0));
    }
}
