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

use convoke_domain::{EventSource, Service, Timestamp};
use convoke_provider::{AccountGroup, AccountStorage, FeedState, ProviderEvent, ProviderEventKind};
use grammers_client::tl;
use grammers_session::updates::{UpdateAndPeers, UpdatesLike};
use tokio::sync::{mpsc, oneshot};

use super::{
    events,
    names::Names,
    offer::Offer,
    people::People,
    schedule::{Pace, Reading, Schedule},
    updates::{Missing, Position, Updates},
};
use crate::{
    call::{Failure, not_sent},
    connection::Connection,
    group_state::GroupState,
};

/// How often it is kept that all is taken in, when nothing happens.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// How often it is looked for groups that were made.
const REFRESH: Duration = Duration::from_secs(5);

/// How often while something comes from a channel that may be a group which is just being made, and for how long after.
const REFRESH_EXPECTING: Duration = Duration::from_millis(250);
const EXPECTING: Duration = Duration::from_secs(5);

/// The time between two readings: many groups are read one after the other.
const BETWEEN_READINGS: Duration = Duration::from_millis(200);

/// How long to wait after a call that failed, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait after a reading that failed, unless Telegram says otherwise.
const AFTER_FAILED_READING: Duration = Duration::from_secs(1);

/// How long to wait after a call that failed at most, unless Telegram says otherwise.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a channel's difference is tried before the others get their turn.
const MAX_FAILURES: u32 = 5;

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
    updates: Updates,
    pub(super) groups: BTreeMap<i64, Group>,
    /// Channels that the account is in, but did not make.
    foreign: HashSet<i64>,
    pub(super) names: Names,
    pub(super) pace: Pace,
    /// The groups whose states are not kept as they are now.
    pub(super) changed: BTreeSet<i64>,
    saved_at: Timestamp,
    refreshed_at: Timestamp,
    /// Until when a group is expected that is just being made.
    expecting_until: Timestamp,
    /// Until when nothing is asked of Telegram.
    paused_until: Timestamp,
    failures: u32,
    read_at: Timestamp,
    /// Readings that Telegram refused, each of which is worth one word to operators.
    pub(super) refused: HashSet<Reading>,
}

/// A group of the account.
pub(super) struct Group {
    pub name: String,
    pub state: GroupState,
    pub schedule: Schedule,
}

impl Group {
    pub fn input(&self, channel_id: i64) -> tl::enums::InputChannel {
        tl::types::InputChannel { channel_id, access_hash: self.state.access_hash }.into()
    }
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
            names: Names::default(),
            pace,
            changed: BTreeSet::new(),
            saved_at: now,
            refreshed_at: now,
            expecting_until: now,
            paused_until: now,
            failures: 0,
            read_at: now,
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
            told.extend(self.take(updates).await?);
        }
        self.offer(told).await
    }

    /// Asks Telegram for one thing, if there is something to ask for.
    async fn ask(&mut self) -> Result<bool, Ended> {
        let now = self.connection.now();
        if now < self.paused_until {
            return Ok(false);
        }
        if let Some(missing) = self.updates.missing() {
            self.fetch(missing).await?;
            return Ok(true);
        }
        if now >= self.refresh_at(now) {
            self.refresh().await;
        }
        if let Some((at, channel, reading)) = self.next_reading()
            && now >= at
        {
            self.read_at = now;
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
        Some((at.max(self.read_at.plus(BETWEEN_READINGS)), channel, reading))
    }

    /// How long nothing is to be done.
    fn wait(&mut self) -> Duration {
        let now = self.connection.now();
        let wait = if now < self.paused_until {
            self.paused_until.since(now)
        } else {
            let deadline = self.updates.deadline().saturating_duration_since(std::time::Instant::now());
            let reading = self.next_reading().map_or(LONGEST_SLEEP, |(at, ..)| at.since(now));
            deadline.min(reading).min(self.refresh_at(now).since(now))
        };
        wait.clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    /// Takes in what Telegram told by itself.
    async fn take(&mut self, updates: UpdatesLike) -> Result<Vec<ProviderEvent>, Ended> {
        if matches!(updates, UpdatesLike::ConnectionClosed | UpdatesLike::MalformedUpdates) {
            self.doubt_all_logs();
        }
        let taken = self.updates.take(updates);
        self.told(taken).await
    }

    /// Asks for what is missing of the stream.
    async fn fetch(&mut self, missing: Missing) -> Result<(), Ended> {
        let taken = match missing {
            Missing::Common(request) => match self.connection.invoke(&request).await {
                Ok(difference) => {
                    let is_too_long = matches!(difference, tl::enums::updates::Difference::TooLong(_));
                    let taken = self.updates.take_common(difference);
                    if is_too_long {
                        self.doubt_all();
                    }
                    taken
                }
                Err(failure) => return self.account_not_told(&failure).await,
            },
            Missing::Channel(channel, mut request) => {
                let Some(group) = self.groups.get(&channel) else {
                    self.updates.forget_channel();
                    return Ok(());
                };
                request.channel = group.input(channel);
                match self.connection.invoke(&request).await {
                    Ok(difference) => {
                        let is_too_long = matches!(difference, tl::enums::updates::ChannelDifference::TooLong(_));
                        if is_too_long {
                            self.doubt_log(channel);
                        }
                        self.updates.take_channel(difference)
                    }
                    Err(failure) => return self.channel_not_told(channel, &failure).await,
                }
            }
        };
        self.failures = 0;
        let events = self.told(taken).await?;
        self.offer(events).await
    }

    async fn account_not_told(&mut self, failure: &Failure) -> Result<(), Ended> {
        self.pause(failure);
        if matches!(failure, Failure::Rejected(_)) {
            tracing::warn!(?failure, "Telegram does not tell what the account missed; its groups are read instead");
            if let Ok(state) = self.connection.invoke(&tl::functions::updates::GetState {}).await {
                let channels: Vec<_> = self.groups.iter().map(|(channel, group)| (*channel, group.state.pts)).collect();
                self.updates = Updates::from(&state.into(), channels.into_iter());
            }
            self.updates.give_up_common();
            self.doubt_all_logs();
        }
        Ok(())
    }

    async fn channel_not_told(&mut self, channel: i64, failure: &Failure) -> Result<(), Ended> {
        if failure.is_group_gone() {
            self.updates.forget_channel();
            return self.miss_group(channel).await;
        }
        self.pause(failure);
        match failure {
            // What its log tells is then all there is, until something happens in it.
            Failure::Rejected(_) => self.updates.forget_channel(),
            _ if self.failures < MAX_FAILURES => return Ok(()),
            _ => self.updates.give_up(),
        }
        tracing::warn!(?failure, channel, "Telegram does not tell what was missed in a group; its log is read instead");
        self.failures = 0;
        self.doubt_log(channel);
        Ok(())
    }

    /// Asks nothing for a while.
    fn pause(&mut self, failure: &Failure) {
        let pause = match failure {
            Failure::Wait(time) => *time,
            _ => FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE),
        };
        self.failures = self.failures.saturating_add(1);
        self.paused_until = self.connection.now().plus(pause);
    }

    /// Asks nothing for a while, because something could not be read that has its own time to be read again.
    pub(super) fn pause_after_reading(&mut self, failure: &Failure) {
        let pause = if let Failure::Wait(time) = failure { *time } else { AFTER_FAILED_READING };
        self.paused_until = self.connection.now().plus(pause);
    }

    /// What updates tell of our groups.
    async fn told(&mut self, (updates, users, chats): UpdateAndPeers) -> Result<Vec<ProviderEvent>, Ended> {
        self.connection.remember(&users, &chats).await;
        let messages: Vec<tl::enums::Message> = updates.into_iter().filter_map(|(update, _)| message(update)).collect();
        if messages.iter().any(|message| self.may_be_of_a_new_group(message)) {
            self.expecting_until = self.connection.now().plus(EXPECTING);
        }
        let people = People::new(&users);
        let told = messages.iter().flat_map(|message| self.told_by(message, &people)).collect();
        self.note_positions();
        for chat in &chats {
            if let tl::enums::Chat::ChannelForbidden(forbidden) = chat {
                self.miss_group(forbidden.id).await?;
            }
        }
        Ok(told)
    }

    fn told_by(&mut self, message: &tl::enums::Message, people: &People) -> Vec<ProviderEvent> {
        let Some((channel, group)) = channel_of(message).and_then(|id| Some((id, self.groups.get_mut(&id)?))) else {
            return Vec::new();
        };
        let mut told = events::of_message(&group.name, message, people);
        if matches!(message, tl::enums::Message::Service(_)) {
            group.schedule.told(self.connection.now(), &self.pace);
        }
        self.names.heed(channel, &told, people);
        told.extend(events::seen_by_message(&group.name, message, self.names.changed(channel, people), people));
        told
    }

    /// Whether a message comes from a channel that may be a group which is just being made. What it tells is told again
    /// once the group is followed, from its beginning.
    fn may_be_of_a_new_group(&mut self, message: &tl::enums::Message) -> bool {
        let Some(channel) = channel_of(message).filter(|channel| !self.groups.contains_key(channel)) else {
            return false;
        };
        let is_first = self.foreign.insert(channel);
        is_first || matches!(message, tl::enums::Message::Service(_))
    }

    /// Looks for groups that were made, and for those that are closed.
    async fn refresh(&mut self) {
        self.refreshed_at = self.connection.now();
        match self.connection.context.storage.list_groups(self.connection.account).await {
            Ok(groups) => {
                let open: HashSet<&str> = groups.iter().map(|group| group.provider_chat_id.as_str()).collect();
                self.groups.retain(|_, group| open.contains(group.name.as_str()));
                self.follow_groups(groups);
            }
            Err(error) => tracing::warn!(%error, "the groups of an account could not be looked up"),
        }
    }

    /// Follows those of the groups that are not followed yet.
    fn follow_groups(&mut self, groups: Vec<AccountGroup>) {
        let now = self.connection.now();
        for AccountGroup { provider_chat_id: name, state, .. } in groups {
            let (Ok(channel), Ok(state)) = (name.parse(), GroupState::from_text(&state)) else {
                tracing::error!(group = name, "what is kept of a group can't be read: it is not followed");
                continue;
            };
            if let Some(known) = self.groups.get_mut(&channel) {
                known.state.heed_maker(&state);
                continue;
            }
            self.foreign.remove(&channel);
            self.updates.follow(channel, state.pts);
            let schedule = Schedule::new(&state, now, &self.pace);
            self.groups.insert(channel, Group { name, state, schedule });
        }
    }

    /// Notes how far each group was told.
    fn note_positions(&mut self) {
        for (channel, pts) in self.updates.channels() {
            if let Some(group) = self.groups.get_mut(&channel)
                && group.state.pts != Some(pts)
            {
                group.state.pts = Some(pts);
                self.changed.insert(channel);
            }
        }
    }

    fn doubt_all(&mut self) {
        self.groups.keys().for_each(|channel| self.updates.doubt(*channel));
        self.doubt_all_logs();
    }

    fn doubt_all_logs(&mut self) {
        let now = self.connection.now();
        self.groups.values_mut().for_each(|group| group.schedule.doubted(now));
    }

    fn doubt_log(&mut self, channel: i64) {
        let now = self.connection.now();
        if let Some(group) = self.groups.get_mut(&channel) {
            group.schedule.doubted(now);
        }
    }

    /// Notes that a group can't be found, which is looked at again before it counts as gone.
    pub(super) async fn miss_group(&mut self, channel: i64) -> Result<(), Ended> {
        let now = self.connection.now();
        let Some(group) = self.groups.get_mut(&channel).filter(|group| group.state.missing_since.is_none()) else {
            return Ok(());
        };
        group.state.missing_since = Some(now);
        group.schedule.missing(now, &self.pace);
        self.changed.insert(channel);
        self.save().await
    }

    /// It is there after all.
    pub(super) fn find_group(&mut self, channel: i64) {
        let now = self.connection.now();
        if let Some(group) = self.groups.get_mut(&channel) {
            group.state.missing_since = None;
            group.schedule.found();
            group.schedule.doubted(now);
            self.changed.insert(channel);
            self.updates.follow(channel, group.state.pts);
        }
    }

    /// The group is gone for good.
    pub(super) async fn close_group(&mut self, channel: i64) -> Result<(), Ended> {
        let Some(group) = self.groups.get(&channel) else { return Ok(()) };
        let at = group.state.missing_since.unwrap_or(self.connection.now());
        // Behind everything else that the log tells.
        let closed = events::event(&group.name, "log:gone".to_owned(), EventSource::Log, at, ProviderEventKind::Closed);
        self.offer(vec![closed]).await?;
        self.groups.remove(&channel);
        self.names.forget(channel);
        Ok(())
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

    /// Keeps how far all was taken in, where nothing happened. If that fails, there is another time.
    async fn save(&mut self) -> Result<(), Ended> {
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

    /// Takes over what the makers of groups kept meanwhile, so that it is not overwritten.
    async fn heed_makers(&mut self) {
        let storage = self.storage().clone();
        for channel in &self.changed {
            let Some(group) = self.groups.get_mut(channel).filter(|group| !group.state.about_is_clean) else {
                continue;
            };
            if let Ok(Some((_, kept))) = storage.find_group_account(Service::Telegram, &group.name).await
                && let Ok(kept) = GroupState::from_text(&kept.state)
            {
                group.state.heed_maker(&kept);
            }
        }
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

/// The message that an update brings into a channel.
fn message(update: tl::enums::Update) -> Option<tl::enums::Message> {
    match update {
        tl::enums::Update::NewChannelMessage(update) => Some(update.message),
        _ => None,
    }
}

fn channel_of(message: &tl::enums::Message) -> Option<i64> {
    let peer = match message {
        tl::enums::Message::Service(message) => &message.peer_id,
        tl::enums::Message::Message(message) => &message.peer_id,
        tl::enums::Message::Empty(_) => return None,
    };
    match peer {
        tl::enums::Peer::Channel(channel) => Some(channel.channel_id),
        tl::enums::Peer::User(_) | tl::enums::Peer::Chat(_) => None,
    }
}
