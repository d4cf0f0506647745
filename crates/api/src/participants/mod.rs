//! Participants: removing one.

pub(crate) mod remove;
