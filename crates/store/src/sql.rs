//! Hand-written SQL for what the query builder can't say. Unlike `diesel::sql_query`, it is prepared once per
//! connection and found again by its text.

use std::{
    fmt::{self, Display},
    marker::PhantomData,
};

use diesel::{
    QueryResult,
    backend::Backend,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::HasSqlType,
};

/// A statement for the database `DB`, whose rows have the SQL types `ST`.
pub struct Sql<'a, DB, ST = ()> {
    text: String,
    arguments: Vec<Box<dyn Argument<DB> + Send + 'a>>,
    is_prepared: bool,
    rows: PhantomData<fn() -> ST>,
}

/// Stands in a statement's text for an argument, on PostgreSQL: to SQLite `$1` is a name and not a number.
#[derive(Clone, Copy)]
pub struct Placeholder(usize);

impl Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.0)
    }
}

impl<'a, DB: Backend, ST> Sql<'a, DB, ST> {
    /// A statement; `$1` (`?1` on SQLite) is the first argument that [`Self::bind`] gives.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), arguments: Vec::new(), is_prepared: true, rows: PhantomData }
    }

    /// Adds to the text.
    pub fn push(&mut self, text: impl Display) {
        use std::fmt::Write as _;
        let _ = write!(self.text, "{text}");
    }

    /// The next argument.
    pub fn bind<T: 'a, V: ToSql<T, DB> + Send + 'a>(mut self, value: V) -> Self
    where
        DB: HasSqlType<T>,
    {
        self.arguments.push(Box::new(Value(value, PhantomData::<fn() -> T>)));
        self
    }

    /// Has it planned at every call: for texts of which there may be very many, each of which would stay prepared.
    pub const fn unprepared(&mut self) {
        self.is_prepared = false;
    }
}

impl<'a, ST> Sql<'a, Pg, ST> {
    /// Adds an argument, and gives what stands for it in the text.
    pub fn argument<T: 'a, V: ToSql<T, Pg> + Send + 'a>(&mut self, value: V) -> Placeholder
    where
        Pg: HasSqlType<T>,
    {
        self.arguments.push(Box::new(Value(value, PhantomData::<fn() -> T>)));
        Placeholder(self.arguments.len())
    }
}

/// A statement of the query builder's that is planned at every call, as by [`Sql::unprepared`].
pub struct Unprepared<Q>(pub Q);

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Unprepared<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        self.0.walk_ast(out)
    }
}

impl<Q> QueryId for Unprepared<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Unprepared<Q> {
    type SqlType = Q::SqlType;
}

trait Argument<DB: Backend> {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>;
}

struct Value<T, V>(V, PhantomData<fn() -> T>);

impl<DB: Backend + HasSqlType<T>, T, V: ToSql<T, DB>> Argument<DB> for Value<T, V> {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_bind_param_value_only::<T, V>(&self.0)
    }
}

impl<DB: Backend, ST> QueryFragment<DB> for Sql<'_, DB, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if !self.is_prepared {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(&self.text);
        self.arguments.iter().try_for_each(|argument| argument.push(&mut out))
    }
}

impl<DB, ST> QueryId for Sql<'_, DB, ST> {
    type QueryId = ();
    // The text tells statements apart, not the type.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB, ST> Query for Sql<'_, DB, ST> {
    type SqlType = ST;
}
