//! Hand-written SQL for what the query builder can't say. Unlike `diesel::sql_query`, it is prepared once per
//! connection and found again by its text.

use std::{
    fmt::{self, Display},
    marker::PhantomData,
};

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::HasSqlType,
};

/// A statement whose rows have the SQL types `ST`.
pub struct Sql<'a, ST = ()> {
    text: String,
    arguments: Vec<Box<dyn Argument + Send + 'a>>,
    is_prepared: bool,
    rows: PhantomData<fn() -> ST>,
}

/// Stands in a statement's text for an argument.
#[derive(Clone, Copy)]
pub struct Placeholder(usize);

impl Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.0)
    }
}

impl<'a, ST> Sql<'a, ST> {
    /// A statement; `$1` is the first argument that [`Self::bind`] gives.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), arguments: Vec::new(), is_prepared: true, rows: PhantomData }
    }

    /// Adds to the text.
    pub fn push(&mut self, text: impl Display) {
        use std::fmt::Write as _;
        let _ = write!(self.text, "{text}");
    }

    /// Adds an argument, and gives what stands for it in the text.
    pub fn argument<T: 'a, V: ToSql<T, Pg> + Send + 'a>(&mut self, value: V) -> Placeholder
    where
        Pg: HasSqlType<T>,
    {
        self.arguments.push(Box::new(Value(value, PhantomData::<fn() -> T>)));
        Placeholder(self.arguments.len())
    }

    /// The next argument.
    pub fn bind<T: 'a, V: ToSql<T, Pg> + Send + 'a>(mut self, value: V) -> Self
    where
        Pg: HasSqlType<T>,
    {
        self.argument::<T, V>(value);
        self
    }

    /// Has it planned at every call: for texts of which there may be very many, each of which would stay prepared.
    pub const fn unprepared(&mut self) {
        self.is_prepared = false;
    }
}

trait Argument {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Value<T, V>(V, PhantomData<fn() -> T>);

impl<T, V: ToSql<T, Pg>> Argument for Value<T, V>
where
    Pg: HasSqlType<T>,
{
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param_value_only::<T, V>(&self.0)
    }
}

impl<ST> QueryFragment<Pg> for Sql<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if !self.is_prepared {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(&self.text);
        self.arguments.iter().try_for_each(|argument| argument.push(&mut out))
    }
}

impl<ST> QueryId for Sql<'_, ST> {
    type QueryId = ();
    // The text tells statements apart, not the type.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Sql<'_, ST> {
    type SqlType = ST;
}
