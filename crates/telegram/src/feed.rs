//! What happens in the groups, told to the record.

pub mod events;
pub mod members;
pub mod names;
pub mod people;
#[cfg(test)]
mod samples;
pub mod schedule;
