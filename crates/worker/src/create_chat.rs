//! Making a chat's group exactly once, whatever is lost or crashes.
//!
//! Making a group can't be repeated blindly: each call makes another one. So before a call it is written down that there
//! may be a group from now on, and after a call whose outcome is not known, or a crash, the group is looked for before
//! another one is made; and if it is not found, only once it would have turned up by now.
//!
//! A service that keeps one group of a chat whatever happens is simply asked again, and nothing is written down before.
//!
//! A service with accounts has the group made in the lane of the account that is chosen for it. As long as nothing was
//! begun, that may be another one at every attempt; what was begun is looked for in the lane where it was, and only what
//! is not found there is made by another one.

use std::{collections::BTreeMap, time::Duration};

use convoke_domain::Timestamp;
use convoke_provider::{CreateChat, CreatedGroup, Lane, Provider, ProviderError, Work};
use convoke_store::{ClaimedOperation, Outcome};
use serde::{Deserialize, Serialize};

use crate::{
    Inner,
    attempt::{Interruption, NO_ACCOUNT},
    lanes::{is_in_services_own, moved, other_lane},
};

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
    /// Lanes of accounts that did nothing, and until when they are not to be asked again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    turned_away: BTreeMap<String, Timestamp>,
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
    let step = match (&progress.group, progress.first_call_at) {
        (Some(group), _) => match other_lane(provider, operation, Work::In(&group.provider_chat_id)).await? {
            Some(lane) => Step::Ended(moved(lane)),
            None => Step::Made(group.clone()),
        },
        (None, None) => create(inner, provider, operation, &request, &progress).await?,
        (None, Some(since)) => {
            if let Some(found) = provider.find_created(&request, since).await? {
                tracing::info!("found the group that an earlier call made");
                keep(inner, operation, &progress, &found).await?;
                Step::Made(found)
            } else {
                let settled_at = progress.last_call_at.unwrap_or(since).plus(provider.settle_time());
                if inner.environment.now() < settled_at {
                    return Ok(Outcome::Postponed { until: settled_at, counts: false });
                }
                create(inner, provider, operation, &request, &progress).await?
            }
        }
    };
    match step {
        Step::Made(group) => {
            let invitation = provider.invitation(&group.provider_chat_id).await?;
            Ok(Outcome::ChatMade { group, invitation })
        }
        Step::Ended(outcome) => Ok(outcome),
    }
}

/// What came of the step that makes the group.
enum Step {
    /// There is a group.
    Made(CreatedGroup),
    /// This attempt can't make it.
    Ended(Outcome),
}

/// Makes the group, of which it is known that there is none; where it belongs, if that is another lane.
async fn create(
    inner: &Inner,
    provider: &dyn Provider,
    operation: &ClaimedOperation,
    request: &CreateChat,
    before: &Progress,
) -> Result<Step, Interruption> {
    if let Some(lane) = other_lane(provider, operation, Work::Make(request)).await? {
        return go_to(inner, operation, before, lane).await.map(Step::Ended);
    }
    if provider.keeps_one_group() {
        return Ok(Step::Made(provider.create_chat(request).await?));
    }
    let now = inner.environment.now();
    let first_call_at = before.first_call_at.or(Some(now));
    let calling = Progress { first_call_at, last_call_at: Some(now), ..before.clone() };
    save(inner, operation, &calling, None).await?;
    match provider.create_chat(request).await {
        Ok(group) => {
            keep(inner, operation, &calling, &group).await?;
            Ok(Step::Made(group))
        }
        Err(error @ ProviderError::Unknown(_)) => Err(error.into()),
        // Nothing was done, so there is nothing to be looked for either.
        Err(error) => {
            let wait = match error {
                ProviderError::RetryAfter(wait) => Some(wait),
                ProviderError::AccountUnusable(_) => Some(NO_ACCOUNT),
                ProviderError::Rejected(_) | ProviderError::Unknown(_) => None,
            };
            match wait {
                Some(wait) if !is_in_services_own(operation) => {
                    tracing::info!(%error, "another account may make the group");
                    turn_away(inner, operation, before, wait).await.map(Step::Ended)
                }
                _ => {
                    save(inner, operation, before, None).await?;
                    Err(error.into())
                }
            }
        }
    }
}

/// Moves on to the lane of the account that is to make the group; not before that account takes calls, should it have
/// turned this very work away.
async fn go_to(
    inner: &Inner,
    operation: &ClaimedOperation,
    before: &Progress,
    lane: String,
) -> Result<Outcome, Interruption> {
    if let Some(until) = before.turned_away.get(&lane).filter(|until| **until > inner.environment.now()) {
        return Ok(Outcome::Postponed { until: *until, counts: false });
    }
    if before.first_call_at.is_some() {
        save(inner, operation, &nothing_begun(before), None).await?;
    }
    Ok(moved(lane))
}

/// Moves back to the service's own lane, where another account may be found, and remembers until when this one is not to
/// be asked again: otherwise the work could go to and fro without end.
async fn turn_away(
    inner: &Inner,
    operation: &ClaimedOperation,
    before: &Progress,
    wait: Duration,
) -> Result<Outcome, Interruption> {
    let now = inner.environment.now();
    let mut progress = nothing_begun(before);
    progress.turned_away.retain(|_, until| *until > now);
    progress.turned_away.insert(operation.lane.clone(), now.plus(wait));
    save(inner, operation, &progress, None).await?;
    Ok(moved(Lane::of(operation.service).name))
}

/// What was begun was looked for where it was begun, for as long as it could turn up, and is not there: so nothing of it
/// is to be looked for elsewhere.
fn nothing_begun(before: &Progress) -> Progress {
    Progress { turned_away: before.turned_away.clone(), ..Progress::default() }
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
    // Where nothing was begun nothing is kept: that is what operators may cancel.
    let text = (*progress != Progress::default()).then(|| serde_json::to_string(progress)).transpose();
    let text = text.map_err(|error| convoke_store::StoreError::Inconsistent(format!("progress: {error}")))?;
    let held = inner.store.save_progress(&operation.lease, text, group, inner.environment.now()).await?;
    if held { Ok(()) } else { Err(Interruption::LeaseLost) }
}
