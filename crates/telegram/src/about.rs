//! The description without the mark by which a lost group is found: set behind everybody's back, for nothing depends
//! on it.

use std::{collections::VecDeque, time::Duration};

use convoke_provider::AccountGroup;
use grammers_client::tl;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    call::{Failure, not_sent},
    connection::Connection,
    group_state::GroupState,
};

/// How long to wait after a description could not be set, unless Telegram says otherwise.
const AGAIN: Duration = Duration::from_mins(1);

/// What Telegram says where the description is as it is to be.
const AS_IT_IS: [&str; 2] = ["CHAT_ABOUT_NOT_MODIFIED", "CHAT_NOT_MODIFIED"];

/// Sets the descriptions of the account's groups, those that were left over first, then those whose names come, until
/// nobody has names any more. What fails is done later: at the next connection at the latest.
pub(crate) async fn set_all(connection: &Connection, mut names: mpsc::UnboundedReceiver<String>) {
    let groups = connection.context.storage.list_groups(connection.account).await.unwrap_or_default();
    let mut left: VecDeque<String> =
        groups.iter().filter(|group| is_marked(group)).map(|group| group.provider_chat_id.clone()).collect();
    let mut failed = VecDeque::new();
    loop {
        let name = match left.pop_front() {
            Some(name) => name,
            None => match next(&mut names, &mut failed).await {
                Some(name) => name,
                None => return,
            },
        };
        match set(connection, &name).await {
            Ok(()) => {}
            Err(Failure::Wait(time)) => {
                left.push_back(name);
                tokio::time::sleep(time).await;
            }
            // The others need not wait for this one.
            Err(_) => failed.push_back((Instant::now() + AGAIN, name)),
        }
    }
}

/// The next name that comes, or that of a group whose description could not be set a while ago.
async fn next(names: &mut mpsc::UnboundedReceiver<String>, failed: &mut VecDeque<(Instant, String)>) -> Option<String> {
    let Some((again_at, _)) = failed.front() else { return names.recv().await };
    tokio::select! {
        name = names.recv() => name,
        () = tokio::time::sleep_until(*again_at) => failed.pop_front().map(|(_, name)| name),
    }
}

fn is_marked(group: &AccountGroup) -> bool {
    GroupState::from_text(&group.state).is_ok_and(|state| !state.about_is_clean)
}

async fn set(connection: &Connection, provider_chat_id: &str) -> Result<(), Failure> {
    let _turn = connection.turn().await;
    let group = connection.group(provider_chat_id).await?;
    if group.state.about_is_clean {
        return Ok(());
    }
    let about = group.state.description.clone().unwrap_or_default();
    let call = tl::functions::messages::EditChatAbout { peer: group.peer(), about };
    match connection.invoke(&call).await {
        Ok(_) => {}
        Err(failure) if AS_IT_IS.iter().any(|name| failure.is(name)) => {}
        // What Telegram refuses once it refuses for ever; the mark does no harm.
        Err(failure @ Failure::Rejected(_)) => tracing::info!(?failure, "a description keeps its mark"),
        Err(failure) => return Err(failure),
    }
    // Read again, for the feed may have kept more meanwhile.
    let mut group = connection.group(provider_chat_id).await?;
    (group.state.about_is_clean, group.state.description) = (true, None);
    let kept = AccountGroup { state: group.state.to_text(), ..group.kept };
    connection.context.storage.save_account_group(&connection.lease, kept).await.map_err(not_sent)?;
    Ok(())
}
