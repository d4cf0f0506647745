//! Hand-written SQL, as PostgreSQL is given it.
//!
//! Statements that look something up for each of many are given them as `unnest((select $1))` or `any((select $1)::uuid[])`.
//! Of `unnest($1)` the planner would count the elements, find that a statement for three costs less than one for ten, which
//! is what it expects of an array that it does not see, and plan anew each time the statement runs.

use diesel::pg::Pg;

pub use crate::sql::Placeholder;

pub type Sql<'a, ST = ()> = crate::sql::Sql<'a, Pg, ST>;
