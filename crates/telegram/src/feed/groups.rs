//! The groups of an account: those that are made, those that are doubted, those that are gone.

use std::collections::HashSet;

use convoke_domain::{EventSource, Service};
use convoke_provider::{AccountGroup, ProviderEventKind};
use grammers_client::tl;

use super::{
    account::{AccountFeed, Ended},
    events,
    schedule::Schedule,
};
use crate::group_state::GroupState;

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
    /// Looks for groups that were made, and for those that are closed.
    pub(super) async fn refresh(&mut self) {
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
    pub(super) fn follow_groups(&mut self, groups: Vec<AccountGroup>) {
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

    pub(super) fn doubt_all(&mut self) {
        self.groups.keys().for_each(|channel| self.updates.doubt(*channel));
        self.doubt_all_logs();
    }

    pub(super) fn doubt_all_logs(&mut self) {
        let now = self.connection.now();
        self.groups.values_mut().for_each(|group| group.schedule.doubted(now));
    }

    pub(super) fn doubt_log(&mut self, channel: i64) {
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

    /// Takes over what the makers of groups kept meanwhile, so that it is not overwritten.
    pub(super) async fn heed_makers(&mut self) {
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
}
