//! Making a chat's group exactly once, whatever is lost or crashes.
//!
//! Making a group can't be repeated blindly: each call makes another one. So before a call it is written down that there
//! may be a group from now on, and after a call whose outcome is not known, or a crash, the group is looked for before
//! another one is made; and if it is not found, only once it would have turned up by now.

use convoke_domain::Timestamp;
use convoke_provider::{CreateChat, CreatedGroup, Provider, ProviderError};
use convoke_store::{ClaimedOperation, Outcome};
use serde::{Deserialize, Serialize};

use crate::{Inner, attempt::Interruption};

/// How far the making has come, as it is kept with the operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// When a call was first made whose outcome may still turn up.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_call_at: Option<Timestamp>,
    /// When the last such call was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_call_at: Option<Timestamp>,
    /// The group, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<CreatedGroup>,
}

/// Makes the group, or finds the one that was made, and fetches the link into it.
pub async fn make(
    inner: &Inner,
    provider: &dyn Provider,
    operation: &ClaimedOperation,
    title: &str,
    description: Option<&str>,
) -> Result<Outcome, Interruption> {
    let request = CreateChat {
        tenant: operation.lease.tenant.clone(),
        chat_id: operation.chat_id,
        title: title.to_owned(),
        description: description.map(str::to_owned),
    };
    // What an older release wrote and this one can't read is as good as a crash: the group is looked for.
    let progress = operation.progress.as_deref().map(serde_json::from_str::<Progress>);
    let progress = progress.map_or(Progress::default(), |read| {
        read.unwrap_or(Progress { first_call_at: Some(Timestamp::MIN), ..Progress::default() })
    });
    let group = match (&progress.group, progress.first_call_at) {
        (Some(group), _) => group.clone(),
        (None, None) => create(inner, provider, operation, &request, &progress).await?,
        (None, Some(since)) => {
            if let Some(found) = provider.find_created(&request, since).await? {
                tracing::info!("found the group that an earlier call made");
                keep(inner, operation, &progress, &found).await?;
                found
            } else {
                let settled_at = progress.last_call_at.unwrap_or(since).plus(provider.settle_time());
                if inner.environment.now() < settled_at {
                    return Ok(Outcome::Postponed { until: settled_at, counts: false });
                }
                create(inner, provider, operation, &request, &progress).await?
            }
        }
    };
    let invitation = provider.invitation(&group.provider_chat_id).await?;
    Ok(Outcome::ChatMade { group, invitation })
}

async fn create(
    inner: &Inner,
    provider: &dyn Provider,
    operation: &ClaimedOperation,
    request: &CreateChat,
    before: &Progress,
) -> Result<CreatedGroup, Interruption> {
    let now = inner.environment.now();
    let calling = Progress { first_call_at: before.first_call_at.or(Some(now)), last_call_at: Some(now), group: None };
    save(inner, operation, &calling, None).await?;
    match provider.create_chat(request).await {
        Ok(group) => {
            keep(inner, operation, &calling, &group).await?;
            Ok(group)
        }
        Err(error @ ProviderError::Unknown(_)) => Err(error.into()),
        // Nothing was done, so there is nothing to be looked for either.
        Err(error) => {
            save(inner, operation, before, None).await?;
            Err(error.into())
        }
    }
}

async fn keep(
    inner: &Inner,
    operation: &ClaimedOperation,
    progress: &Progress,
    group: &CreatedGroup,
) -> Result<(), Interruption> {
    let progress = Progress { group: Some(group.clone()), ..progress.clone() };
    save(inner, operation, &progress, Some(group)).await
}

async fn save(
    inner: &Inner,
    operation: &ClaimedOperation,
    progress: &Progress,
    group: Option<&CreatedGroup>,
) -> Result<(), Interruption> {
    let text = serde_json::to_string(progress)
        .map_err(|error| convoke_store::StoreError::Inconsistent(format!("progress: {error}")))?;
    let held = inner.store.save_progress(&operation.lease, text, group, inner.environment.now()).await?;
    if held { Ok(()) } else { Err(Interruption::LeaseLost) }
}
