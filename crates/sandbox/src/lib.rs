//! The messenger that lives in the service, with its own pages.
//!
//! It plays two parts that know each other only through its storage, as with any messenger: [`Sandbox`] is the provider
//! that the worker drives, and [`SandboxPages`] are what people see of it, behind the invitation link. What people do
//! there is kept as events beside the group's state and reaches the record through the provider's feed, not directly.

mod action;
mod error;
mod fault;
mod group;
mod pages;
mod provider;
mod sandbox;

pub use action::Action;
pub use error::{Refusal, SandboxError};
pub use fault::{Fault, FaultSyntaxError};
pub use group::{GroupState, MAX_PEOPLE, Member, Moment, Newcomer, OWNER_FIRSTNAME, OWNER_USERNAME};
pub use pages::SandboxPages;
#[doc(hidden)]
pub use pages::read_form;
pub use sandbox::{Group, Sandbox, SandboxSettings};
