//! Hand-written SQL, as PostgreSQL is given it.

use diesel::pg::Pg;

pub use crate::sql::Placeholder;

pub type Sql<'a, ST = ()> = crate::sql::Sql<'a, Pg, ST>;
