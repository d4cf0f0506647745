//! The program from outside: started as a user starts it, spoken to over HTTP.

mod commands;
mod configuration;
mod start;
mod stop;
mod story;
mod support;
