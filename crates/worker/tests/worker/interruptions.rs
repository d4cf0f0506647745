//! A step that is interrupted at any point ends right when it is run again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use convoke_domain::{ChatStatus, EndReason, Operation, OperationId, OperationStatus};
use convoke_sandbox::{Action, Fault, Sandbox, SandboxSettings};

use crate::{
    provider::{Interrupted, Interruption},
    world::{Backend, Running, World},
};

/// Longer than a lease.
const LEASE_OVER: Duration = Duration::from_secs(31);

fn sandbox(world: &World) -> Sandbox {
    Sandbox::new(world.store.clone(), world.environment(), SandboxSettings::default())
}

/// Lets a worker run into the interruption until the operation has ended; if its process ends first, another one comes.
/// Gives the one that is left: what it learnt last may still be on its way to the record.
async fn run_interrupted(
    world: &World,
    operation: OperationId,
    interruptions: &[(u32, Interruption)],
    groups_made: &Arc<AtomicU32>,
) -> (Operation, Running) {
    let provider = |interruptions: &[_]| {
        Arc::new(Interrupted::new(sandbox(world), interruptions.to_vec(), Arc::clone(groups_made)))
    };
    let interrupted = provider(interruptions);
    let crashed = Arc::clone(&interrupted.crashed);
    let first = world.run(interrupted);
    let ended = tokio::select! {
        ended = world.ended(operation) => Some(ended),
        () = crashed.notified() => None,
    };
    let Some(ended) = ended else {
        first.crash();
        world.environment.advance(LEASE_OVER);
        let second = world.run(provider(&[]));
        return (world.ended(operation).await, second);
    };
    (ended, first)
}

async fn a_chat_is_made_once(backend: Backend) {
    // An undisturbed creation makes the group and fetches its link; one whose first answer was lost looks for the group
    // in between.
    let lost = (1, Interruption::LostAnswer);
    for (before, at_call) in [(None, 1), (None, 2), (Some(lost), 2), (Some(lost), 3)] {
        for how in Interruption::ALL {
            let interruptions: Vec<_> = before.into_iter().chain([(at_call, how)]).collect();
            let world = World::new(backend).await;
            let groups_made = Arc::new(AtomicU32::new(0));
            let (chat, operation) = world.register("Once").await;
            let (ended, worker) = run_interrupted(&world, operation, &interruptions, &groups_made).await;
            worker.stop().await;
            assert_eq!(ended.status, OperationStatus::Succeeded, "{interruptions:?}");
            assert_eq!(groups_made.load(Ordering::SeqCst), 1, "{interruptions:?}");
            world.is_consistent(chat, ChatStatus::Active).await;
            let link = world.store.find_invitation(&world.tenant, chat).await.unwrap().unwrap().link.unwrap();
            let code = link.strip_prefix("/sandbox/").unwrap();
            assert_eq!(sandbox(&world).find_group(code).await.unwrap().unwrap().state.title, "Once");
        }
    }
}

async fn somebody_is_removed_once(backend: Backend) {
    for how in Interruption::ALL {
        let world = World::new(backend).await;
        let groups_made = Arc::new(AtomicU32::new(0));
        let undisturbed = world.run(Arc::new(sandbox(&world)));
        let (chat, operation) = world.register("Removal").await;
        world.ended(operation).await;
        let link = world.store.find_invitation(&world.tenant, chat).await.unwrap().unwrap().link.unwrap();
        let code = link.strip_prefix("/sandbox/").unwrap().to_owned();
        let group = sandbox(&world).find_group(&code).await.unwrap().unwrap();
        let join = Action::Join { username: "ada".into(), firstname: None, lastname: None, invited_by: None };
        sandbox(&world).act(&group, &join).await.unwrap();
        let joined = world.chat_until(chat, |chat| chat.participants.len() == 2).await;
        undisturbed.stop().await;

        let removal = world.remove(chat, joined.participants[1].id).await;
        let (ended, worker) = run_interrupted(&world, removal, &[(1, how)], &groups_made).await;
        assert_eq!(ended.status, OperationStatus::Succeeded, "{how:?}");
        let removed = world.chat_until(chat, |chat| !chat.participants[1].is_in()).await;
        worker.stop().await;
        let stay = &removed.participants[1].participations;
        assert_eq!(stay.len(), 1, "{how:?}");
        assert_eq!(stay[0].end_reason, Some(EndReason::Removed));
        assert_eq!(stay[0].removed_by, Some(removed.participants[0].id));
        world.is_consistent(chat, ChatStatus::Active).await;
    }
}

async fn whoever_is_back_is_not_removed_again(backend: Backend) {
    let world = World::new(backend).await;
    let provider = Arc::new(sandbox(&world));
    let worker = world.run(provider.clone());
    let (chat, operation) = world.register("Removal").await;
    world.ended(operation).await;
    let link = world.store.find_invitation(&world.tenant, chat).await.unwrap().unwrap().link.unwrap();
    let code = link.strip_prefix("/sandbox/").unwrap();
    let group = async || provider.find_group(code).await.unwrap().unwrap();
    let join = Action::Join { username: "ada".into(), firstname: None, lastname: None, invited_by: None };
    provider.act(&group().await, &join).await.unwrap();
    let joined = world.chat_until(chat, |chat| chat.participants.len() == 2).await;

    // She is removed, which nobody learns at once; should it be tried again before she is back, that is put off.
    provider.add_fault(Fault::LostAnswer);
    provider.add_fault(Fault::RetryAfter(Duration::from_hours(1)));
    let removal = world.remove(chat, joined.participants[1].id).await;
    world.chat_until(chat, |chat| !chat.participants[1].is_in()).await;
    provider.act(&group().await, &join).await.unwrap();
    world.chat_until(chat, |chat| chat.participants[1].is_in()).await;
    let tried_again = |status| {
        if status == OperationStatus::WaitingForProvider {
            world.environment.advance(Duration::from_hours(2));
        }
        status == OperationStatus::Succeeded
    };
    world.until(removal, tried_again).await;
    assert!(group().await.state.members[1].is_in, "she came back after the removal");
    worker.stop().await;
    world.is_consistent(chat, ChatStatus::Active).await;
}

async fn the_intake_goes_on_after_a_panic(backend: Backend) {
    let world = World::new(backend).await;
    let provider = Interrupted::over(Arc::new(sandbox(&world)), Vec::new());
    provider.feed_panics.store(1, Ordering::SeqCst);
    let running = world.run(Arc::new(provider));
    let (chat, operation) = world.register("Intake").await;
    world.ended(operation).await;
    let link = world.store.find_invitation(&world.tenant, chat).await.unwrap().unwrap().link.unwrap();
    let group = sandbox(&world).find_group(link.strip_prefix("/sandbox/").unwrap()).await.unwrap().unwrap();
    let join = Action::Join { username: "ada".into(), firstname: None, lastname: None, invited_by: None };
    sandbox(&world).act(&group, &join).await.unwrap();
    world.chat_until(chat, |chat| chat.participants.len() == 2).await;
    running.stop().await;
    world.is_consistent(chat, ChatStatus::Active).await;
}

on_both!(
    a_chat_is_made_once,
    somebody_is_removed_once,
    whoever_is_back_is_not_removed_again,
    the_intake_goes_on_after_a_panic,
);
