//! Many at once: nobody is lost.

use std::{collections::HashSet, sync::Arc};

use convoke_sandbox::Action;
use reqwest::StatusCode;

use crate::support::{Site, World};

fn join(number: usize) -> Action {
    Action::Join { username: format!("person{number}"), firstname: None, lastname: None, invited_by: None }
}

#[tokio::test]
async fn fifty_who_join_at_once_are_all_in() {
    let site = Arc::new(Site::with_chat("One").await);
    let joins: Vec<_> = (0..50)
        .map(|number| {
            let site = site.clone();
            tokio::spawn(async move { site.post("join", &[("username", &format!("person{number}"))]).await.status() })
        })
        .collect();
    for join in joins {
        assert_eq!(join.await.unwrap(), StatusCode::SEE_OTHER);
    }
    assert_eq!(site.people().await.0.len(), 51);
    let events = site.world.storage.events().await;
    let keys: HashSet<_> = events.iter().map(|event| &event.key).collect();
    assert_eq!((events.len(), keys.len()), (50, 50), "each is told under a key of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_lose_nobody() {
    let world = World::new().await;
    let code = world.make("One").await;
    let others = [world.another().await, world.another().await, world.another().await];
    let sandboxes = [&world, &others[0], &others[1], &others[2]].map(|world| world.sandbox.clone());
    let group = world.sandbox.find_group(&code).await.unwrap().unwrap();
    let joins: Vec<_> = (0..40)
        .map(|number| {
            let (sandbox, group) = (sandboxes[number % 4].clone(), group.clone());
            tokio::spawn(async move { sandbox.act(&group, &join(number)).await.map(|event| event.is_some()) })
        })
        .collect();
    for join in joins {
        assert!(join.await.unwrap().unwrap(), "everybody comes in");
    }
    let group = world.sandbox.find_group(&code).await.unwrap().unwrap();
    assert_eq!(group.state.members.iter().filter(|member| member.is_in).count(), 41);
    assert_eq!(group.version, 40);
}

#[tokio::test]
async fn one_who_joins_many_times_at_once_is_in_once() {
    let world = World::new().await;
    let code = world.make("One").await;
    let group = Arc::new(world.sandbox.find_group(&code).await.unwrap().unwrap());
    let joins: Vec<_> = (0..20)
        .map(|_| {
            let (sandbox, group) = (world.sandbox.clone(), group.clone());
            tokio::spawn(async move { sandbox.act(&group, &join(1)).await.unwrap() })
        })
        .collect();
    let mut told = 0;
    for join in joins {
        told += usize::from(join.await.unwrap().is_some());
    }
    assert_eq!(told, 1);
}
