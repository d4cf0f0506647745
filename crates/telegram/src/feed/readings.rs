//! What is asked of Telegram about a group, at its time: its admin log, its members, whether it is there.

use convoke_domain::{Service, Timestamp};
use convoke_provider::ProviderEvent;
use grammers_client::tl;

use super::{
    account::{AccountFeed, Ended, MAX_EVENTS},
    events,
    members::MemberList,
    people::People,
    schedule::Reading,
};
use crate::call::Failure;

/// How many entries of a log are given at once.
const LOG_PAGE: i32 = 100;

/// How many members are given at once.
const MEMBERS_PAGE: i32 = 200;

/// Whether something could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Not now.
    Failed,
    /// Never, it seems.
    Refused,
}

/// What a log tells that was not taken in yet.
#[derive(Debug, Default)]
struct NewEntries {
    entries: Vec<tl::enums::ChannelAdminLogEvent>,
    people: People,
}

impl AccountFeed {
    /// Reads what is due.
    pub(super) async fn read(&mut self, channel: i64, reading: Reading) -> Result<(), Ended> {
        match reading {
            Reading::Log => self.read_log(channel).await.map(|_| ()),
            Reading::Members => self.compare_members(channel).await,
            Reading::Presence => self.look(channel).await,
        }
    }

    /// Takes in what the admin log tells beyond what was taken in before.
    async fn read_log(&mut self, channel: i64) -> Result<Outcome, Ended> {
        let NewEntries { mut entries, people } = match self.new_entries(channel).await {
            Ok(new) => new,
            Err(failure) => return self.not_read(channel, Reading::Log, &failure).await,
        };
        entries.sort_by_key(id_of);
        let Some(name) = self.groups.get(&channel).map(|group| group.name.clone()) else { return Ok(Outcome::Failed) };
        let mut newest: Option<Timestamp> = None;
        for part in entries.chunks(MAX_EVENTS) {
            let told: Vec<ProviderEvent> =
                part.iter().filter_map(|entry| events::of_log_entry(&name, entry, &people)).collect();
            self.names.heed(channel, &told, &people);
            newest = newest.max(told.iter().map(|event| event.at).max());
            if let (Some(last), Some(group)) = (part.last(), self.groups.get_mut(&channel)) {
                group.state.log_cursor = id_of(last);
                self.changed.insert(channel);
            }
            self.offer(told).await?;
        }
        let now = self.connection.now();
        if let Some(group) = self.groups.get_mut(&channel) {
            group.state.log_read_at = Some(now);
            group.schedule.log_read(group.state.made_at, newest, now, &self.pace);
            self.changed.insert(channel);
        }
        Ok(Outcome::Done)
    }

    /// The entries of the log that were not taken in yet, the newest first.
    async fn new_entries(&mut self, channel: i64) -> Result<NewEntries, Failure> {
        let mut new = NewEntries::default();
        let Some(group) = self.groups.get(&channel) else { return Ok(new) };
        let (input, cursor) = (group.input(channel), group.state.log_cursor);
        let mut max_id = 0;
        loop {
            let request = tl::functions::channels::GetAdminLog {
                channel: input.clone(),
                q: String::new(),
                events_filter: Some(what_matters()),
                admins: None,
                max_id,
                min_id: cursor,
                limit: LOG_PAGE,
            };
            let tl::enums::channels::AdminLogResults::Results(page) = self.connection.invoke(&request).await?;
            self.connection.remember(&page.users, &page.chats).await;
            new.people.add(&page.users);
            let is_full = page.events.len() >= usize::try_from(LOG_PAGE).unwrap_or_default();
            // Whatever its bounds mean, only what lies between them counts.
            let is_new = |id: i64| id > cursor && (max_id == 0 || id < max_id);
            let fresh: Vec<_> = page.events.into_iter().filter(|entry| is_new(id_of(entry))).collect();
            let oldest = fresh.iter().map(id_of).min();
            new.entries.extend(fresh);
            match oldest {
                Some(oldest) if is_full => max_id = oldest,
                _ => return Ok(new),
            }
        }
    }

    /// Compares the list of members with the record.
    ///
    /// Between list and record the log is read, so that what it tells is on record: whoever left is told by it as what
    /// they did, and only what nobody tells is left to the list.
    async fn compare_members(&mut self, channel: i64) -> Result<(), Ended> {
        let list = match self.member_list(channel).await {
            Ok(list) => list,
            Err(failure) => return self.not_read(channel, Reading::Members, &failure).await.map(|_| ()),
        };
        let outcome = self.read_log(channel).await?;
        let now = self.connection.now();
        let Some(group) = self.groups.get_mut(&channel) else { return Ok(()) };
        let name = group.name.clone();
        if outcome == Outcome::Failed {
            group.schedule.failed(Reading::Members, now, &self.pace);
            return Ok(());
        }
        let on_record = match self.connection.context.storage.members_on_record(Service::Telegram, &name).await {
            Ok(on_record) => on_record,
            Err(error) => {
                tracing::warn!(%error, "who is in a group by the record could not be looked up");
                group.schedule.failed(Reading::Members, now, &self.pace);
                return Ok(());
            }
        };
        let mut told = list.differences(&name, &on_record);
        told.extend(list.names(&name, channel, &mut self.names));
        let mut parts = told.chunks(MAX_EVENTS).peekable();
        while let Some(part) = parts.next_if(|part| part.len() == MAX_EVENTS) {
            self.offer(part.to_vec()).await?;
        }
        if let Some(group) = self.groups.get_mut(&channel) {
            group.state.members_read_at = Some(now);
            group.schedule.members_read(now, &self.pace);
            self.changed.insert(channel);
        }
        self.offer(parts.next().unwrap_or_default().to_vec()).await
    }

    /// The list of members, as far as it is given.
    async fn member_list(&mut self, channel: i64) -> Result<MemberList, Failure> {
        let mut list = MemberList::new(self.connection.now());
        let Some(input) = self.groups.get(&channel).map(|group| group.input(channel)) else { return Ok(list) };
        let mut offset = 0;
        loop {
            let request = tl::functions::channels::GetParticipants {
                channel: input.clone(),
                filter: tl::types::ChannelParticipantsSearch { q: String::new() }.into(),
                offset,
                limit: MEMBERS_PAGE,
                hash: 0,
            };
            let page = match self.connection.invoke(&request).await? {
                tl::enums::channels::ChannelParticipants::Participants(page) => page,
                tl::enums::channels::ChannelParticipants::NotModified => return Ok(list),
            };
            self.connection.remember(&page.users, &page.chats).await;
            list.add(&page);
            offset += i32::try_from(page.participants.len()).unwrap_or(MEMBERS_PAGE);
            if page.participants.is_empty() || list.is_whole() {
                return Ok(list);
            }
        }
    }

    /// Looks for a group that could not be found, for the second time.
    async fn look(&mut self, channel: i64) -> Result<(), Ended> {
        match self.chats_of(channel).await {
            Ok(chats) => {
                let is_there =
                    |chat: &tl::enums::Chat| matches!(chat, tl::enums::Chat::Channel(found) if found.id == channel);
                if chats.iter().any(is_there) {
                    self.find_group(channel);
                    Ok(())
                } else {
                    self.close_group(channel).await
                }
            }
            Err(failure) if failure.is_group_gone() => self.close_group(channel).await,
            Err(failure) => self.not_read(channel, Reading::Presence, &failure).await.map(|_| ()),
        }
    }

    /// What Telegram shows of the group.
    async fn chats_of(&mut self, channel: i64) -> Result<Vec<tl::enums::Chat>, Failure> {
        let Some(input) = self.groups.get(&channel).map(|group| group.input(channel)) else { return Ok(Vec::new()) };
        let request = tl::functions::channels::GetFullChannel { channel: input.clone() };
        match self.connection.invoke(&request).await {
            Ok(tl::enums::messages::ChatFull::Full(full)) => Ok(full.chats),
            Err(failure) if failure.is_unsupported() => {
                let request = tl::functions::channels::GetChannels { id: vec![input] };
                match self.connection.invoke(&request).await? {
                    tl::enums::messages::Chats::Chats(found) => Ok(found.chats),
                    tl::enums::messages::Chats::Slice(found) => Ok(found.chats),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// What could not be read is read at another time.
    async fn not_read(&mut self, channel: i64, reading: Reading, failure: &Failure) -> Result<Outcome, Ended> {
        if failure.is_group_gone() {
            self.miss_group(channel).await?;
            return Ok(Outcome::Failed);
        }
        let (now, pace) = (self.connection.now(), self.pace);
        let Some(group) = self.groups.get_mut(&channel) else { return Ok(Outcome::Failed) };
        if matches!(failure, Failure::Rejected(_)) {
            group.schedule.refused(reading, now, &pace);
            if self.refused.insert(reading) {
                tracing::warn!(?failure, ?reading, group = group.name, "Telegram refuses to have a group read");
            }
            return Ok(Outcome::Refused);
        }
        group.schedule.failed(reading, now, &pace);
        self.pause_readings(failure);
        Ok(Outcome::Failed)
    }
}

fn id_of(entry: &tl::enums::ChannelAdminLogEvent) -> i64 {
    let tl::enums::ChannelAdminLogEvent::Event(entry) = entry;
    entry.id
}

/// The kinds of entries that tell of coming, going and titles.
fn what_matters() -> tl::enums::ChannelAdminLogEventsFilter {
    tl::types::ChannelAdminLogEventsFilter {
        join: true,
        leave: true,
        invite: true,
        ban: true,
        unban: true,
        kick: true,
        unkick: true,
        promote: false,
        demote: false,
        info: true,
        settings: false,
        pinned: false,
        edit: false,
        delete: false,
        group_call: false,
        invites: true,
        send: false,
        forums: false,
        sub_extend: false,
        edit_rank: false,
    }
    .into()
}
