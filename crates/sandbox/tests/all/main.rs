//! The sandbox as the worker drives it and as people use it, over real HTTP.

mod concurrency;
mod conformance;
mod group;
mod pages;
mod refusals;
mod support;
