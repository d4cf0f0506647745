//! Collecting every mistake of a request before it is refused.

use convoke_domain::Mistake;

use crate::problem::{InputError, Problem};

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<InputError>);

impl Mistakes {
    /// Adds one.
    pub fn add(&mut self, error: InputError) {
        self.0.push(error);
    }

    /// Takes what was read of a member of the body.
    pub fn at_pointer<T>(&mut self, pointer: &str, read: Result<T, Mistake>) -> Option<T> {
        read.map_err(|mistake| self.add(InputError::at_pointer(pointer, mistake))).ok()
    }

    /// Takes what was read of a parameter of the path or the query.
    pub fn at_parameter<T>(&mut self, name: &str, read: Result<T, Mistake>) -> Option<T> {
        read.map_err(|mistake| self.add(InputError::at_parameter(name, mistake))).ok()
    }

    /// Takes what was read of a header.
    pub fn at_header<T>(&mut self, name: &str, read: Result<T, Mistake>) -> Option<T> {
        read.map_err(|mistake| self.add(InputError::at_header(name, mistake))).ok()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The input, if it is whole and there was no mistake anywhere; else all the mistakes.
    pub fn accept<T>(self, input: Option<T>) -> Result<T, Problem> {
        match input {
            Some(input) if self.0.is_empty() => Ok(input),
            _ => Err(Problem::invalid(self.0)),
        }
    }
}
