//! As much of Telegram as the tests of the connector need, on loopback, over the real wire protocol: with a pre-shared
//! auth key, several users who act in it, and faults by script.
//!
//! ```
//! use convoke_telegram_test_server::{Fault, TestServer};
//!
//! let telegram = TestServer::start();
//! let ada = telegram.new_user("Ada", "Lovelace", "ada");
//! let _for_a_client = telegram.session(ada);
//! telegram.script("channels.createChannel", 1, Fault::LoseAnswer);
//! assert!(telegram.groups().is_empty());
//! ```

mod connection;
mod look;
mod methods;
mod people;
mod refusal;
mod script;
mod server;
mod session_string;
mod tl_form;
mod wire;
mod world;

pub use look::{Call, GroupView};
pub use refusal::Refusal;
pub use script::Fault;
pub use server::TestServer;
pub use world::{GroupId, KeyFacts, UserId};
