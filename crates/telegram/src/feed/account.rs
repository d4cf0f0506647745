//! The feed of one account: one thing after the other, so that what is kept is always what was recorded.
//!
//! First what Telegram told by itself, then what is missing of it, then one reading that is due. Whatever is found out
//! is offered, and nothing else is done until it is recorded. The feed may be dropped at any point: what was not recorded
//! is found out again.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use convoke_domain::{Service, Timestamp};
use convoke_provider::{AccountStorage, FeedState, ProviderEvent};
use grammers_client::tl;
use grammers_session::updates::UpdatesLike;
use tokio::sync::{mpsc, oneshot};

use super::{
    groups::Group,
    names::Names,
    offer::Offer,
    schedule::{Pace, Reading},
    updates::{Position, Updates},
};
use crate::{
    call::{Failure, not_sent},
    connection::Connection,
};

/// How often it is kept that all is taken in, when nothing happens.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// How often it is looked for groups that were made.
const REFRESH: Duration = Duration::from_secs(5);

/// How often while a group is expected that is just being made.
const REFRESH_EXPECTING: Duration = Duration::from_millis(250);

/// The time between two readings: many groups are read one after the other.
const BETWEEN_READINGS: Duration = Duration::from_millis(200);

/// How long to wait after a call that failed, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait after a reading that failed, unless Telegram says otherwise.
const AFTER_FAILED_READING: Duration = Duration::from_secs(1);

/// How long to wait after a call that failed at most, unless Telegram says otherwise.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long nothing is done at most, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How many updates are taken in at once.
const MAX_UPDATES: usize = 100;

/// How many events are offered at once.
pub const MAX_EVENTS: usize = 200;

/// The feed is at its end: the lease or the connection is gone.
#[derive(Debug)]
pub struct Ended;

/// The feed of one account.
pub struct AccountFeed {
    pub(super) connection: Arc<Connection>,
    offers: mpsc::Sender<Offer>,
    pub(super) updates: Updates,
    pub(super) groups: BTreeMap<i64, Group>,
    /// Channels that the account is in, but did not make.
    pub(super) foreign: HashSet<i64>,
    /// Channels that were told to be closed to us.
    pub(super) forbidden: Vec<i64>,
    pub(super) names: Names,
    pub(super) pace: Pace,
    /// The groups whose states are not kept as they are now.
    pub(super) changed: BTreeSet<i64>,
    saved_at: Timestamp,
    pub(super) refreshed_at: Timestamp,
    /// Until when a group is expected that is just being made.
    pub(super) expecting_until: Timestamp,
    /// Until when nothing is asked of Telegram.
    paused_until: Timestamp,
    /// Until when nothing is read.
    read_not_before: Timestamp,
    pub(super) failures: u32,
    /// Readings that Telegram refused, each of which is worth one word to operators.
    pub(super) refused: HashSet<Reading>,
}

impl AccountFeed {
    /// Goes on where the feed was taken in to; at the very first time, or if it must not go on there, from now on, which
    /// is kept at once.
    ///
    /// # Errors
    /// If the storage or Telegram does not answer.
    pub async fn begin(
        connection: Arc<Connection>,
        offers: mpsc::Sender<Offer>,
        from_now_on: bool,
    ) -> Result<Self, Failure> {
        let storage = &connection.context.storage;
        let accounts = storage.list_accounts(Service::Telegram).await.map_err(not_sent)?;
        let account = accounts.into_iter().find(|account| account.id == connection.account);
        let kept = account.and_then(|account| account.feed).filter(|_| !from_now_on);
        let kept = kept.and_then(|text| Position::from_text(&text).ok()).filter(|position| position.pts > 0);
        let (now, is_new) = (connection.now(), kept.is_none());
        let position = match kept {
            Some(position) => position,
            None => first_position(&connection).await?,
        };
        let pace = Pace::from(&connection.context.settings);
        let mut feed = Self {
            updates: Updates::from(&position, std::iter::empty()),
            connection: connection.clone(),
            offers,
            groups: BTreeMap::new(),
            foreign: HashSet::new(),
            forbidden: Vec::new(),
            names: Names::default(),
            pace,
            changed: BTreeSet::new(),
            saved_at: now,
            refreshed_at: now,
            expecting_until: now,
            paused_until: now,
            read_not_before: now,
            failures: 0,
            refused: HashSet::new(),
        };
        let groups = storage.list_groups(connection.account).await.map_err(not_sent)?;
        feed.follow_groups(groups);
        if is_new && !storage.save_feed(&connection.lease, feed.feed_state(now)).await.map_err(not_sent)? {
            return Err(Failure::NotSent("the account's lease was lost".to_owned()));
        }
        Ok(feed)
    }

    /// Finds out what happens, until the lease or the connection is gone.
    pub async fn run(&mut self, incoming: &mut mpsc::Receiver<UpdatesLike>) -> Ended {
        loop {
            if let Err(ended) = self.step(incoming).await {
                return ended;
            }
        }
    }

    async fn step(&mut self, incoming: &mut mpsc::Receiver<UpdatesLike>) -> Result<(), Ended> {
        let mut came = Vec::new();
        while came.len() < MAX_UPDATES
            && let Ok(updates) = incoming.try_recv()
        {
            came.push(updates);
        }
        if came.is_empty() && !self.ask().await? {
            let wait = self.wait();
            match tokio::time::timeout(wait, incoming.recv()).await {
                Ok(Some(updates)) => came.push(updates),
                Ok(None) => return Err(Ended),
                Err(_) => {}
            }
        }
        let mut told = Vec::new();
        for updates in came {
            told.extend(self.take(updates).await);
        }
        self.offer(told).await
    }

    /// Asks Telegram for one thing, if there is something to ask for.
    async fn ask(&mut self) -> Result<bool, Ended> {
        let now = self.connection.now();
        while let Some(channel) = self.forbidden.pop() {
            self.miss_group(channel).await?;
        }
        if now >= self.refresh_at(now) {
            self.refresh().await;
        }
        if now < self.paused_until {
            return Ok(false);
        }
        if let Some(missing) = self.updates.missing() {
            self.fetch(missing).await?;
            return Ok(true);
        }
        if let Some((at, channel, reading)) = self.next_reading()
            && now >= at
        {
            self.read_not_before = now.plus(BETWEEN_READINGS);
            self.read(channel, reading).await?;
            return Ok(true);
        }
        if now >= self.saved_at.plus(HEARTBEAT) {
            self.save().await?;
        }
        Ok(false)
    }

    fn refresh_at(&self, now: Timestamp) -> Timestamp {
        self.refreshed_at.plus(if now < self.expecting_until { REFRESH_EXPECTING } else { REFRESH })
    }

    /// What is read next, and from when on.
    fn next_reading(&self) -> Option<(Timestamp, i64, Reading)> {
        let next = self.groups.iter().map(|(channel, group)| (group.schedule.next(), *channel));
        let ((at, reading), channel) = next.min_by_key(|((at, _), channel)| (*at, *channel))?;
        Some((at.max(self.read_not_before), channel, reading))
    }

    /// How long nothing is to be done.
    fn wait(&mut self) -> Duration {
        let now = self.connection.now();
        let asking = if now < self.paused_until {
            self.paused_until.since(now)
        } else {
            let deadline = self.updates.deadline().saturating_duration_since(std::time::Instant::now());
            self.next_reading().map_or(deadline, |(at, ..)| deadline.min(at.since(now)))
        };
        asking.min(self.refresh_at(now).since(now)).clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    /// Asks nothing for a while.
    pub(super) fn pause(&mut self, failure: &Failure) {
        let pause = match failure {
            Failure::Wait(time) => *time,
            _ => FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE),
        };
        self.failures = self.failures.saturating_add(1);
        self.paused_until = self.connection.now().plus(pause);
    }

    /// Reads nothing for a while; what could not be read has its own time to be read again.
    pub(super) fn pause_readings(&mut self, failure: &Failure) {
        let pause = if let Failure::Wait(time) = failure { *time } else { AFTER_FAILED_READING };
        self.read_not_before = self.connection.now().plus(pause);
    }

    /// Offers what happened, and waits until it is recorded.
    pub(super) async fn offer(&mut self, events: Vec<ProviderEvent>) -> Result<(), Ended> {
        if events.is_empty() {
            return Ok(());
        }
        self.heed_makers().await;
        let now = self.connection.now();
        let (taken_in, answer) = oneshot::channel();
        let offer = Offer {
            storage: self.storage().clone(),
            lease: self.connection.lease.clone(),
            events,
            state: self.feed_state(now),
            taken_in,
        };
        self.offers.send(offer).await.map_err(|_| Ended)?;
        if !answer.await.unwrap_or(false) {
            return Err(Ended);
        }
        self.is_saved(now);
        Ok(())
    }

    /// Keeps how far all was taken in, where nothing is to be offered any more. If that fails, there is another time.
    pub(super) async fn save(&mut self) -> Result<(), Ended> {
        self.heed_makers().await;
        let now = self.connection.now();
        match self.storage().save_feed(&self.connection.lease, self.feed_state(now)).await {
            Ok(true) => self.is_saved(now),
            Ok(false) => return Err(Ended),
            Err(error) => tracing::warn!(%error, "how far a feed was taken in could not be kept"),
        }
        Ok(())
    }

    fn is_saved(&mut self, now: Timestamp) {
        self.changed.clear();
        self.saved_at = now;
    }

    /// What is kept once everything up to now is recorded.
    fn feed_state(&self, at: Timestamp) -> FeedState {
        let changed = self.changed.iter().filter_map(|channel| self.groups.get(channel));
        let groups = changed.map(|group| (group.name.clone(), group.state.to_text())).collect();
        FeedState { feed: Some(self.updates.position().to_text()), groups, at }
    }

    pub(super) fn storage(&self) -> &Arc<dyn AccountStorage> {
        &self.connection.context.storage
    }
}

/// How far the account's updates are now. A server that does not tell counts from the beginning.
async fn first_position(connection: &Connection) -> Result<Position, Failure> {
    match connection.invoke(&tl::functions::updates::GetState {}).await {
        Ok(state) => Ok(state.into()),
        Err(failure) if failure.is_unsupported() => Ok(Position::BEGINNING),
        Err(failure) => Err(failure),
    }
}
