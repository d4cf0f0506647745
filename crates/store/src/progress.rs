//! How far something long has come, for whoever wants to see it.

/// What is under way, and how much of it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached<'a> {
    /// The step that is under way, such as `chats` or the name of a migration.
    pub step: &'a str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is, as far as it is known.
    pub total: Option<u64>,
    /// Of what.
    pub unit: Unit,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things of a kind, which the step names.
    Things,
    /// Bytes.
    Bytes,
}

/// Whoever is told. Nobody is `()`.
pub trait Progress: Send + Sync {
    /// This is reached. Told often: it must not take long.
    fn reached(&self, reached: Reached<'_>);
}

impl Progress for () {
    fn reached(&self, _: Reached<'_>) {}
}
