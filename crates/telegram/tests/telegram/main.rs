//! The connector against a Telegram on loopback, over the real wire protocol and a real database.

mod accounts;
mod conformance;
mod creation;
mod discretion;
mod failures;
mod login;
mod world;
