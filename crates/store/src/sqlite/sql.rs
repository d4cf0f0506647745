//! Hand-written SQL, as SQLite is given it: for changes that are made often, since Diesel has updates and upserts planned anew
//! each time, which takes longer than to make them.

use diesel::{RunQueryDsl, SqliteConnection, sqlite::Sqlite};

pub type Sql<'a, ST = ()> = crate::sql::Sql<'a, Sqlite, ST>;

impl<ST> RunQueryDsl<SqliteConnection> for Sql<'_, ST> {}

pub use crate::sql::Unprepared;

impl<Q> RunQueryDsl<SqliteConnection> for Unprepared<Q> {}
