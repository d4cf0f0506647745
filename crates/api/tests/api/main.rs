//! The contract, walked over real HTTP on real databases.

/// Makes each behaviour a test on each database.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name(crate::service::Backend::Sqlite).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name(crate::service::Backend::Postgres).await; })+
        }
    };
}

mod access;
mod admin;
mod chats;
mod documents;
mod http;
mod issuers;
mod limits;
mod list;
mod operations;
mod panics;
mod participants;
mod register;
mod replicas;
mod schemas;
mod service;
mod tenants;
