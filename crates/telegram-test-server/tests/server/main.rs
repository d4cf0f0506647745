//! The test server, used by a real client over real connections.

mod admin_log;
mod client;
mod differences;
mod faults;
mod groups;
mod login;
