//! The sandbox as the worker drives it.

use std::time::Duration;

use async_trait::async_trait;
use convoke_domain::{Service, Timestamp};
use convoke_provider::{
    Checkpoint, CreateChat, CreatedGroup, EventBatch, NewSandboxGroup, Provider, ProviderError, ProviderEvent,
};

use crate::{Fault, GroupState, Sandbox, SandboxError};

/// How many events are told at once.
const BATCH: u32 = 500;

/// How far the clocks of two processes may lie apart when it is asked what was made since an instant.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

impl From<SandboxError> for ProviderError {
    fn from(error: SandboxError) -> Self {
        match error {
            // Whether a write whose answer failed was carried out is not known.
            SandboxError::Storage(_) | SandboxError::Busy | SandboxError::Unreadable(_) => {
                Self::Unknown(error.to_string())
            }
            SandboxError::NoSuchGroup | SandboxError::Refused(_) => Self::Rejected(error.to_string()),
        }
    }
}

impl Sandbox {
    /// Does `call` as the settings want it: late, and wrong where it is to go wrong.
    async fn behave<T>(&self, call: impl Future<Output = Result<T, SandboxError>> + Send) -> Result<T, ProviderError> {
        let fault = self.take_fault();
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        match fault {
            Some(Fault::RetryAfter(time)) => Err(ProviderError::RetryAfter(time)),
            Some(Fault::Reject) => Err(ProviderError::Rejected("the sandbox was told to reject this call".into())),
            Some(Fault::LostAnswer) => {
                call.await?;
                Err(ProviderError::Unknown("the sandbox was told to lose this answer".into()))
            }
            None => Ok(call.await?),
        }
    }

    async fn make_group(&self, request: &CreateChat) -> Result<CreatedGroup, SandboxError> {
        let state = self.new_group(request).await?;
        let group = NewSandboxGroup {
            code: self.new_code(),
            tenant: request.tenant.clone(),
            chat_id: request.chat_id,
            state: serde_json::to_string(&state)?,
        };
        let made = created(&group.code, &state);
        let Err(error) = self.storage.insert_group(group).await else { return Ok(made) };
        // A chat has one group at most: an earlier call may have made it.
        match self.storage.find_group_of(&request.tenant, request.chat_id).await? {
            Some(kept) => Ok(created(&kept.code, &serde_json::from_str(&kept.state)?)),
            None => Err(error.into()),
        }
    }

    async fn find_made(&self, request: &CreateChat, since: Timestamp) -> Result<Option<CreatedGroup>, SandboxError> {
        let Some(group) = self.storage.find_group_of(&request.tenant, request.chat_id).await? else {
            return Ok(None);
        };
        let state: GroupState = serde_json::from_str(&group.state)?;
        let is_new = state.made_at >= since.minus(CLOCK_TOLERANCE);
        Ok(is_new.then(|| created(&group.code, &state)))
    }

    async fn link(&self, code: &str) -> Result<String, SandboxError> {
        let group = self.find_group(code).await?.ok_or(SandboxError::NoSuchGroup)?;
        Ok(format!("/sandbox/{}", group.code))
    }
}

fn created(code: &str, state: &GroupState) -> CreatedGroup {
    CreatedGroup { provider_chat_id: code.to_owned(), owner: state.owner().as_seen(), made_at: state.made_at }
}

#[async_trait]
impl Provider for Sandbox {
    fn service(&self) -> Service {
        Service::Sandbox
    }

    /// Whatever was made is there at once, or never will be.
    fn settle_time(&self) -> Duration {
        Duration::ZERO
    }

    fn keeps_one_group(&self) -> bool {
        true
    }

    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError> {
        self.behave(self.make_group(request)).await
    }

    async fn find_created(
        &self,
        request: &CreateChat,
        since: Timestamp,
    ) -> Result<Option<CreatedGroup>, ProviderError> {
        self.behave(self.find_made(request, since)).await
    }

    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError> {
        self.behave(self.link(provider_chat_id)).await
    }

    async fn remove_participant(
        &self,
        provider_chat_id: &str,
        external_id: &str,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        let removal = self.change(provider_chat_id, |group, moment| group.state.remove(external_id, moment));
        self.behave(removal).await.map(|event| event.into_iter().collect())
    }

    async fn next_events(&self) -> Result<EventBatch, ProviderError> {
        loop {
            let pending = self.storage.pending_events(BATCH).await.map_err(SandboxError::from)?;
            if pending.is_empty() {
                self.storage.events_kept().await;
                continue;
            }
            let (names, texts): (Vec<_>, Vec<_>) = pending.into_iter().unzip();
            let events = texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>();
            let events = events.map_err(SandboxError::from)?;
            let checkpoint = serde_json::to_string(&names).map_err(SandboxError::from)?;
            return Ok(EventBatch { events, checkpoint: Checkpoint(checkpoint) });
        }
    }

    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError> {
        let names = serde_json::from_str(&checkpoint.0).map_err(SandboxError::from)?;
        Ok(self.storage.delete_events(names).await.map_err(SandboxError::from)?)
    }
}
