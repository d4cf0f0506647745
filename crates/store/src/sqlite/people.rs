//! Who is behind a participant's id.

use convoke_domain::{Environment, ParticipantId, Service, TenantId};
use diesel::{SqliteConnection, prelude::*};

use super::{id::Id, schema::people};
use crate::error::Result;

/// The id of a person, given at the first call.
pub fn id_of(
    connection: &mut SqliteConnection,
    environment: &dyn Environment,
    tenant: &TenantId,
    service: Service,
    external_id: &str,
) -> Result<ParticipantId> {
    let known: Option<Id> = people::table
        .filter(people::tenant_id.eq(tenant.as_str()))
        .filter(people::service.eq(service.as_str()))
        .filter(people::external_id.eq(external_id))
        .select(people::id)
        .get_result(connection)
        .optional()?;
    if let Some(id) = known {
        return Ok(ParticipantId(id.0));
    }
    let id = environment.new_uuid();
    diesel::insert_into(people::table)
        .values((
            people::tenant_id.eq(tenant.as_str()),
            people::id.eq(Id(id)),
            people::service.eq(service.as_str()),
            people::external_id.eq(external_id),
        ))
        .execute(connection)?;
    Ok(ParticipantId(id))
}
