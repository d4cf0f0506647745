//! What can go wrong in a store.

/// Why a call had no answer. The display is for logs and operators; clients never see it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or not in time. For a write it is not known whether it was done.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// More that takes long is asked for at once than is done at once: nothing of it was begun.
    #[error("too many slow reads at once")]
    Busy,
    /// The database can't be opened as configured.
    #[error("{0}")]
    Open(String),
    /// The database holds something that can't be, or refused a statement that it should take.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(String),
}

/// The result of a call to a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        match &error {
            Error::DatabaseError(
                Kind::UniqueViolation | Kind::ForeignKeyViolation | Kind::NotNullViolation | Kind::CheckViolation,
                _,
            )
            | Error::NotFound
            | Error::DeserializationError(_)
            | Error::SerializationError(_)
            | Error::QueryBuilderError(_)
            | Error::InvalidCString(_) => Self::Inconsistent(error.to_string()),
            // Locked, full, unreadable, read-only, gone: something that time or an operator mends.
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
