//! The worker, over the real sandbox and real databases: what is asked for is done once, whatever interrupts it.

/// Makes each behaviour a test on each database.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name(super::Backend::Sqlite).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name(super::Backend::Postgres).await; })+
        }
    };
}

mod accounts;
mod interruptions;
mod lanes;
mod outcomes;
mod provider;
mod upkeep;
mod world;
