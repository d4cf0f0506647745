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
/// database may take (2 s) within the time in which 503 is promised (2.5 s).
const PATIENCE: Duration = Duration::from_millis(400);

/// How many requests of one tenant may wait: about as many as one core answers within that time. Whoever waits costs less
/// than being refused again and again, for a refusal is read, checked and answered like everything else.
const WAITING_OF_ONE: usize = 3_072;

/// How many may wait in all: one tenant leaves room for others.
const WAITING: usize = 8_192;

/// Lets a number of requests in at once. The others wait, the tenants taking turns, and a request that can't get its
/// turn in time is refused.
#[derive(Debug)]
pub(crate) struct Gate {
    places: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many places are taken.
    taken: usize,
    /// Who waits, of each tenant the earliest first; nobody's queue is empty.
    queues: HashMap<TenantId, VecDeque<Waiting>>,
    /// The tenants who wait, in the order of their turns.
    turns: VecDeque<TenantId>,
    /// How many wait in all.
    waiting: usize,
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
    /// A gate with so many places, at least one.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places: places.max(1), state: Mutex::default() })
    }

    /// Takes a place, waiting for it if need be.
    ///
    /// # Errors
    /// [`Full`] at once if too many wait, or after 0.4 s.
    pub async fn enter(self: &Arc<Self>, tenant: &TenantId) -> Result<Place, Full> {
        let turn = {
            let mut state = self.lock();
            if state.taken < self.places {
                state.taken += 1;
                return Ok(Place(Some(self.clone())));
            }
            state.queue(tenant, Instant::now())?
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
        self.let_go(tenant, now);
        let is_first = match self.queues.get(tenant) {
            Some(queue) if queue.len() >= WAITING_OF_ONE => return Err(Full),
            Some(_) => false,
            None => true,
        };
        if self.waiting >= WAITING {
            return Err(Full);
        }
        let (told, turn) = oneshot::channel();
        self.queues.entry(tenant.clone()).or_default().push_back(Waiting { until: now + PATIENCE, told });
        self.waiting += 1;
        if is_first {
            self.turns.push_back(tenant.clone());
        }
        Ok(turn)
    }

    /// Forgets those of this tenant who have waited too long: while no place becomes free, nobody else does.
    fn let_go(&mut self, tenant: &TenantId, now: Instant) {
        let Some(queue) = self.queues.get_mut(tenant) else { return };
        while queue.front().is_some_and(|first| first.until <= now) {
            queue.pop_front();
            self.waiting -= 1;
        }
        if queue.is_empty() {
            self.queues.remove(tenant);
            self.turns.retain(|waiting| waiting != tenant);
        }
    }

    /// Whose turn it is: the one who has waited longest, of the tenant who is next.
    fn next(&mut self, now: impl Fn() -> Instant) -> Option<Waiting> {
        let mut looked_at = None;
        while let Some(tenant) = self.turns.pop_front() {
            let now = *looked_at.get_or_insert_with(&now);
            let Some(queue) = self.queues.get_mut(&tenant) else { continue };
            let mut next = None;
            while let Some(first) = queue.pop_front() {
                self.waiting -= 1;
                if first.until > now {
                    next = Some(first);
                    break;
                }
            }
            if queue.is_empty() {
                self.queues.remove(&tenant);
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
        let gate = Gate::new(1);
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

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_refused() {
        let gate = Gate::new(1);
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
        let gate = Gate::new(1);
        let _place = gate.enter(&tenant("noisy")).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..WAITING_OF_ONE {
            waiting.push(line_up(&gate, "noisy"));
        }
        assert_eq!(gate.enter(&tenant("noisy")).await.unwrap_err(), Full);
        let _quiet = line_up(&gate, "quiet");
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_no_place_taken() {
        let gate = Gate::new(1);
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
