//! Operations: reading one.

pub(crate) mod detail;

use convoke_domain::OperationId;

/// Where an operation is.
pub(crate) fn location(id: OperationId) -> String {
    format!("/api/v1/private/operations/{id}")
}
