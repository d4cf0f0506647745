//! The program from outside: started as a user starts it, spoken to over HTTP.

mod backup;
mod client;
mod commands;
mod configuration;
mod documents;
mod metrics;
mod operations;
mod over_telegram;
mod secrets;
mod smuggling;
mod stand_in;
mod start;
mod stop;
mod story;
mod support;
mod telegram;
mod tour;
mod traces;
mod upkeep;
