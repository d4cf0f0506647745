//! The HTTP API: parse, authorise, one store call, answer (`contract.md`).
//!
//! Begin with `chats/register.rs`, the longest way through; every other handler is a shorter one of the same kind.
//! [`frame()`] stands around every request, `auth.rs` before everything private, `problem.rs` knows every error.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use actix_web::{App, HttpServer, middleware::from_fn};
//! # async fn example(state: Arc<convoke_api::ApiState>) -> std::io::Result<()> {
//! HttpServer::new(move || {
//!     App::new().wrap(from_fn(convoke_api::frame)).configure(convoke_api::configure(state.clone()))
//! })
//! .bind("127.0.0.1:8080")?
//! .run()
//! .await
//! # }
//! ```

mod accounts;
mod admin;
mod admission;
mod audit;
mod auth;
mod body;
mod chats;
mod documentation;
mod entity_tag;
mod fallback;
mod figures;
mod frame;
mod fresh;
mod gate;
mod hold_off;
mod idempotency;
mod input;
mod links;
mod measurements;
mod openapi;
mod operations;
#[doc(hidden)]
pub mod parsers;
mod participants;
mod path;
mod position;
mod prefer;
mod problem;
mod problem_page;
mod query_string;
mod rate_limit;
mod recent_writes;
mod request_id;
mod requests;
mod routes;
mod state;
mod swagger_ui;
mod timed_payload;
mod token;
mod token_cache;
mod traces;
mod wait;

pub use accounts::AccountReport;
pub use admin::{configure_admin, configure_stand_in};
pub use admission::Limits;
pub use audit::AUDIT_TARGET;
pub use frame::frame;
pub use hold_off::HoldOff;
pub use measurements::{Recorder, metrics_reference};
pub use openapi::{openapi, openapi_json};
pub use rate_limit::RateLimit;
pub use routes::configure;
pub use state::{AccountLimits, ApiSettings, ApiState, Lifecycle};
pub use token::{PlainToken, mint};
