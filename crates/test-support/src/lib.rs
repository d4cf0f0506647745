//! What tests stand on: a throw-away PostgreSQL with a database for every test, the service as a process, an issuer of
//! tokens, honest and forged, and a clock and chance that can be foretold. Never a dependency of anything that is shipped.
//!
//! ```no_run
//! # async fn example() {
//! use convoke_test_support::{create_database, ensure_template};
//!
//! let template = ensure_template("convoke", "hash-of-the-migrations", |url| async move {
//!     // Apply the migrations to the database at `url`.
//!     # let _ = url;
//!     Ok::<(), String>(())
//! })
//! .await;
//! let database = create_database(Some(&template)).await;
//! // Use `database.url()`; it is dropped with `database`.
//! # }
//! ```

mod chance;
mod cluster;
mod database;
mod environment;
pub mod jwt;
mod postgres_programs;
mod program;
mod standby;

pub use chance::Chance;
pub use cluster::{Cluster, ClusterOptions};
pub use database::{
    POSTGRES_VARIABLE, TestDatabase, connect, create_database, create_database_at, ensure_template, postgres_url,
};
pub use environment::TestEnvironment;
pub use postgres_programs::{HOW_TO_INSTALL, find_programs, unprivileged_user};
pub use program::{Process, Program, ask_status, free_address, free_address_at};
pub use standby::{catch_up, pause_replay, resume_replay};
