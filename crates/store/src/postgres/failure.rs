//! What went wrong in a unit of work: the database's own words are kept until it is clear what to make of them.

use diesel::result::{DatabaseErrorKind as Kind, Error};

use crate::{StoreError, measure::ErrorType};

/// Why a unit of work did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// What the database, or the way to it, says.
    Database(Error),
    /// What trying again can't change.
    Store(StoreError),
}

/// The result of a unit of work.
pub type Outcome<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// Whether the connection was lost, so that it is not known what was done.
    pub const fn is_lost_connection(&self) -> bool {
        matches!(
            self,
            Self::Database(
                Error::DatabaseError(Kind::UnableToSendCommand | Kind::ClosedConnection, _)
                    | Error::BrokenTransactionManager
            )
        )
    }

    /// Whether the server takes no writes: it was the primary once.
    pub const fn is_read_only(&self) -> bool {
        matches!(self, Self::Database(Error::DatabaseError(Kind::ReadOnlyTransaction, _)))
    }

    /// Whether the server itself refused a statement, so that nothing was done: a deadlock, perhaps, or a row that
    /// somebody else wrote first.
    pub const fn is_servers_own(&self) -> bool {
        matches!(self, Self::Database(Error::DatabaseError(..))) && !self.is_lost_connection()
    }
}

/// What one of many is told whose questions are answered together: what is wrong with it alone fails no other one.
pub fn of_one<T>(outcome: Outcome<T>) -> Outcome<Result<T, StoreError>> {
    match outcome {
        Ok(found) => Ok(Ok(found)),
        Err(Failure::Store(error)) => Ok(Err(error)),
        Err(failure) => Err(failure),
    }
}

impl ErrorType for Failure {
    fn error_type(&self) -> &'static str {
        match self {
            Self::Database(_) if self.is_servers_own() => "refused",
            Self::Database(_) => "unavailable",
            Self::Store(error) => error.error_type(),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => error.into(),
            Failure::Store(error) => error,
        }
    }
}
