//! What becomes of an operation, by what the provider says.

use std::{sync::Arc, time::Duration};

use convoke_domain::{ChatStatus, Environment as _, OperationErrorCode, OperationStatus};
use convoke_sandbox::{Action, Fault, Sandbox, SandboxSettings};
use convoke_worker::WorkerSettings;

use crate::world::{Backend, World};

pub fn sandbox(world: &World, faults: &[Fault]) -> Arc<Sandbox> {
    let settings = SandboxSettings { faults: faults.to_vec(), ..SandboxSettings::default() };
    Arc::new(Sandbox::new(world.store.clone(), world.environment(), settings))
}

async fn a_provider_that_takes_no_calls_is_called_again_then(backend: Backend) {
    let world = World::new(backend).await;
    let worker = world.run(sandbox(&world, &[Fault::RetryAfter(Duration::from_hours(1))]));
    let begun_at = world.environment.now();
    let (chat, operation) = world.register("Later").await;
    let waiting = world.until(operation, |status| status == OperationStatus::WaitingForProvider).await;
    assert_eq!(waiting.attempts, 0, "what the provider puts off is no attempt");
    let hour = Duration::from_hours(1);
    assert!(waiting.next_attempt_at.unwrap() >= begun_at.plus(hour));
    assert!(waiting.next_attempt_at.unwrap() <= waiting.updated_at.plus(hour));
    assert_eq!(world.chat(chat).await.status, ChatStatus::Provisioning);
    world.environment.advance(Duration::from_secs(3_601));
    assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
    world.is_consistent(chat, ChatStatus::Active).await;
    worker.stop().await;
}

async fn a_refusal_fails_the_chat_and_says_why(backend: Backend) {
    let world = World::new(backend).await;
    let worker = world.run(sandbox(&world, &[Fault::Reject]));
    let (chat, operation) = world.register("Never").await;
    let ended = world.ended(operation).await;
    assert_eq!(ended.status, OperationStatus::Failed);
    let error = ended.error.unwrap();
    assert_eq!(error.code, OperationErrorCode::ProviderRejected);
    assert!(error.detail.contains("refused"), "{}", error.detail);
    assert_eq!((ended.attempts, ended.next_attempt_at), (1, None));
    world.is_consistent(chat, ChatStatus::Failed).await;
    worker.stop().await;
}

async fn attempts_are_used_up(backend: Backend) {
    let world = World::new(backend).await;
    // Both the making and every look for the group are without an answer.
    let faults = [Fault::LostAnswer; 10];
    let settings = WorkerSettings { max_attempts: 3, ..WorkerSettings::default() };
    let worker = world.run_with(sandbox(&world, &faults), settings);
    let (chat, operation) = world.register("Thrice").await;
    let ended = world.ended(operation).await;
    assert_eq!(ended.status, OperationStatus::Failed);
    assert_eq!(ended.error.unwrap().code, OperationErrorCode::AttemptsExhausted);
    assert_eq!(ended.attempts, 3);
    world.is_consistent(chat, ChatStatus::Failed).await;
    worker.stop().await;
}

async fn a_removal_that_is_refused_leaves_the_chat_as_it_is(backend: Backend) {
    let world = World::new(backend).await;
    let provider = sandbox(&world, &[]);
    let worker = world.run(provider.clone());
    let (chat, operation) = world.register("Stays").await;
    world.ended(operation).await;
    let link = world.store.find_invitation(&world.tenant, chat).await.unwrap().unwrap().link.unwrap();
    let group = provider.find_group(link.strip_prefix("/sandbox/").unwrap()).await.unwrap().unwrap();
    let join = Action::Join { username: "bob".into(), firstname: None, lastname: None, invited_by: None };
    provider.act(&group, &join).await.unwrap();
    let joined = world.chat_until(chat, |chat| chat.participants.len() == 2).await;
    provider.add_fault(Fault::Reject);
    let removal = world.remove(chat, joined.participants[1].id).await;
    assert_eq!(world.ended(removal).await.status, OperationStatus::Failed);
    assert!(world.chat(chat).await.participants[1].is_in());
    world.is_consistent(chat, ChatStatus::Active).await;
    worker.stop().await;
}

async fn a_worker_that_stops_gives_its_leases_back(backend: Backend) {
    let world = World::new(backend).await;
    let slow = SandboxSettings { delay: Duration::from_mins(10), ..SandboxSettings::default() };
    let worker = world.run(Arc::new(Sandbox::new(world.store.clone(), world.environment(), slow)));
    let (chat, operation) = world.register("Handed over").await;
    world.until(operation, |status| status == OperationStatus::Running).await;
    worker.stop().await;
    let given_back = world.operation(operation).await;
    assert_eq!((given_back.status, given_back.attempts), (OperationStatus::Pending, 1));
    // No lease has to end first: the clock stands where it stood.
    let next = world.run(sandbox(&world, &[]));
    assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
    world.is_consistent(chat, ChatStatus::Active).await;
    next.stop().await;
}

async fn many_chats_are_made_by_two_workers_each_once(backend: Backend) {
    let world = World::new(backend).await;
    let workers = [world.run(sandbox(&world, &[Fault::LostAnswer; 20])), world.run(sandbox(&world, &[]))];
    let mut registered = Vec::new();
    for number in 0..60 {
        registered.push(world.register(&format!("Chat {number}")).await);
    }
    for (chat, operation) in registered {
        assert_eq!(world.ended(operation).await.status, OperationStatus::Succeeded);
        assert_eq!(world.chat(chat).await.participants.len(), 1);
    }
    assert_eq!(world.store.examine().await.unwrap().findings, []);
    for worker in workers {
        worker.stop().await;
    }
}

on_both!(
    a_provider_that_takes_no_calls_is_called_again_then,
    a_refusal_fails_the_chat_and_says_why,
    attempts_are_used_up,
    a_removal_that_is_refused_leaves_the_chat_as_it_is,
    a_worker_that_stops_gives_its_leases_back,
    many_chats_are_made_by_two_workers_each_once,
);
