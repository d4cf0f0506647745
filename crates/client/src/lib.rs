#![doc = include_str!("../README.md")]
//!
//! Begin with [`Client`], which has a method for each operation of the API; then [`Error`], what can go wrong.

mod builder;
mod client;
mod error;
mod list;
mod operation;
mod problem;
mod registration;
mod retry;
mod send;
mod streams;
mod wait;

pub use convoke_domain as domain;
pub use reqwest;

pub use builder::ClientBuilder;
pub use client::{Client, EntityTag, Invitation, Removal, Tagged};
pub use error::Error;
pub use list::{ChatPage, Link, ListChats, ListLinks, ListMetadata};
pub use operation::Operation;
pub use problem::{InputError, Problem};
pub use registration::{AcceptedChat, NewChat, Registration, SendOptions};
pub use retry::RetryPolicy;
