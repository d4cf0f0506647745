//! The stream of updates: what Telegram tells by itself, and what is asked for because it was missed.

use std::time::Duration;

use convoke_provider::ProviderEvent;
use grammers_client::tl;
use grammers_session::updates::{UpdateAndPeers, UpdatesLike};

use super::{
    account::{AccountFeed, Ended},
    events,
    people::People,
    updates::{Missing, Updates},
};
use crate::call::Failure;

/// How often a channel's difference is tried before the others get their turn.
const MAX_FAILURES: u32 = 5;

/// For how long a group is expected to be known after something came of it.
const EXPECTING: Duration = Duration::from_secs(5);

impl AccountFeed {
    /// Takes in what Telegram told by itself: it is to be offered before anything else is kept.
    pub(super) async fn take(&mut self, updates: UpdatesLike) -> Vec<ProviderEvent> {
        if matches!(updates, UpdatesLike::ConnectionClosed | UpdatesLike::MalformedUpdates) {
            self.doubt_all_logs();
        }
        let taken = self.updates.take(updates);
        self.told(taken).await
    }

    /// Asks for what is missing of the stream.
    pub(super) async fn fetch(&mut self, missing: Missing) -> Result<(), Ended> {
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
        let events = self.told(taken).await;
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

    /// What updates tell of our groups.
    async fn told(&mut self, (updates, users, chats): UpdateAndPeers) -> Vec<ProviderEvent> {
        self.connection.remember(&users, &chats).await;
        let messages: Vec<tl::enums::Message> = updates.into_iter().filter_map(|(update, _)| message(update)).collect();
        if messages.iter().any(|message| self.may_be_of_a_new_group(message)) {
            self.expecting_until = self.connection.now().plus(EXPECTING);
        }
        let people = People::new(&users);
        let told = messages.iter().flat_map(|message| self.told_by(message, &people)).collect();
        self.note_positions();
        self.updates.take_too_long().into_iter().for_each(|channel| self.doubt_log(channel));
        self.forbidden.extend(chats.iter().filter_map(|chat| match chat {
            tl::enums::Chat::ChannelForbidden(forbidden) => Some(forbidden.id),
            _ => None,
        }));
        told
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
