//! The settings of the program: a library of their own, so that others than the program can read them too (`crates/fuzz`).

pub mod settings;
