//! Operations: claimed under a lease with a fence, and driven by whoever holds it.

use std::collections::BTreeSet;

use convoke_domain::{
    ChatEventKind, ChatId, Environment, Operation, OperationError, OperationId, OperationStatus, OperationType,
    Service, TenantId, Timestamp,
};
use convoke_provider::{AccountId, CreatedGroup, Lane};
use diesel::{
    SqliteConnection,
    dsl::{count_star, min, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text},
};

use super::{
    accounts, events,
    id::Id,
    people, retries,
    schema::{chat_events, chats, operations, people as people_table},
    sql::Sql,
    threads::Writing,
};
use crate::{
    Claim, ClaimedOperation, Lease, OpenOperations, Origin, Outcome, Work,
    error::Result,
    intake,
    lanes::{self, LastServed},
    rows,
};

const PENDING: &str = OperationStatus::Pending.as_str();
const RUNNING: &str = OperationStatus::Running.as_str();
const WAITING: &str = OperationStatus::WaitingForProvider.as_str();

/// Operations that wait, in the very words of the partial index: SQLite does not use one for values that are bound.
pub fn waits() -> SqlLiteral<Bool> {
    sql("state in ('pending', 'waitingForProvider')")
}

/// Operations that somebody is at, likewise.
fn runs() -> SqlLiteral<Bool> {
    sql("state = 'running'")
}

/// All that somebody is at. Each has a lease, so that they are read off the index of leases.
macro_rules! running {
    () => {
        operations::table.filter(runs()).filter(operations::lease_until.ge(Timestamp::MIN.as_millis()))
    };
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = operations)]
pub struct OperationRow {
    id: Id,
    chat_id: Id,
    kind: String,
    state: String,
    attempts: i32,
    created_at: i64,
    updated_at: i64,
    next_attempt_at: i64,
    completed_at: Option<i64>,
    error: Option<String>,
}

pub fn find(connection: &mut SqliteConnection, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>> {
    let row = operations::table.find((tenant.as_str(), Id(id.0))).select(OperationRow::as_select());
    row.get_result(connection).optional()?.map(OperationRow::into_operation).transpose()
}

impl OperationRow {
    pub fn into_operation(self) -> Result<Operation> {
        let status = OperationStatus::from_name(&self.state).ok_or_else(|| rows::inconsistent("state", &self.state))?;
        let waits = matches!(status, OperationStatus::Pending | OperationStatus::WaitingForProvider);
        Ok(Operation {
            id: OperationId(self.id.0),
            kind: OperationType::from_name(&self.kind).ok_or_else(|| rows::inconsistent("kind", &self.kind))?,
            status,
            chat_id: ChatId(self.chat_id.0),
            attempts: self.attempts.unsigned_abs(),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            next_attempt_at: waits.then(|| Timestamp::from_millis(self.next_attempt_at)),
            completed_at: rows::timestamp(self.completed_at),
            error: self.error.map(|error| rows::json("error", &error)).transpose()?,
        })
    }
}

/// How many have not ended, by kind and state.
pub fn count_open(connection: &mut SqliteConnection) -> Result<Vec<OpenOperations>> {
    type Row = (String, String, i64, Option<i64>);
    let waiting = operations::table
        // Every lane, so that they are read off the index of those that wait.
        .filter(waits())
        .filter(operations::lane.ge(""))
        .group_by((operations::kind, operations::state))
        .select((operations::kind, operations::state, count_star(), min(operations::next_attempt_at)));
    let running = running!().group_by(operations::kind).select((operations::kind, count_star()));
    let mut rows: Vec<Row> = waiting.load(connection)?;
    let running: Vec<(String, i64)> = running.load(connection)?;
    rows.extend(running.into_iter().map(|(kind, number)| (kind, RUNNING.to_owned(), number, None)));
    rows.into_iter().map(rows::open_operations).collect()
}

/// Claims what is due: one operation of each lane of which one is claimed at a time, then of the others an equal share for
/// each tenant that waits; each time beginning behind the tenant that was served last.
pub fn claim(connection: &mut SqliteConnection, claim: &Claim, last: &LastServed) -> Result<Vec<ClaimedOperation>> {
    let (alone, together): (Vec<&Lane>, Vec<&Lane>) = claim.lanes.iter().partition(|lane| lane.one_at_a_time);
    let (limit, now) = (claim.limit as usize, claim.now);
    let mut claimed = Vec::new();
    for lane in last.in_turn(alone) {
        if claimed.len() == limit {
            break;
        }
        for tenant in due_tenants(connection, now, &[lane], 1, last.in_lane(&lane.name))? {
            for id in due(connection, now, &[lane], &tenant, 1)? {
                claimed.push(take(connection, claim, &tenant, id)?);
            }
        }
    }
    let left = limit - claimed.len();
    let tenants = due_tenants(connection, now, &together, left, &last.together)?;
    let share = (left / tenants.len().max(1)).max(1);
    for tenant in tenants {
        for id in due(connection, now, &together, &tenant, share)? {
            claimed.push(take(connection, claim, &tenant, id)?);
        }
    }
    Ok(claimed)
}

/// Up to `limit` operations of a tenant that are due, those that have been for longest first. Lane by lane, so that each
/// is read off the index.
fn due(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lanes: &[&Lane],
    tenant: &str,
    limit: usize,
) -> Result<Vec<Id>> {
    let mut due: Vec<(i64, Id)> = Vec::new();
    for lane in lanes {
        let of_lane = operations::table
            .filter(operations::lane.eq(&lane.name))
            .filter(operations::tenant_id.eq(tenant))
            .filter(waits())
            .filter(operations::next_attempt_at.le(now.as_millis()))
            .order((operations::next_attempt_at, operations::id))
            .select((operations::next_attempt_at, operations::id))
            .limit(i64::try_from(limit).unwrap_or(i64::MAX));
        due.extend(of_lane.load::<(i64, Id)>(connection)?);
    }
    due.sort_unstable();
    due.dedup();
    Ok(due.into_iter().take(limit).map(|(_, id)| id).collect())
}

/// Up to `limit` tenants for which something is due, those behind `after` first.
fn due_tenants(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lanes: &[&Lane],
    limit: usize,
    after: &str,
) -> Result<Vec<String>> {
    let mut tenants: Vec<String> = Vec::new();
    let mut position = after.to_owned();
    let mut wrapped = false;
    while tenants.len() < limit {
        match next_due_tenant(connection, now, lanes, &position)? {
            Some(tenant) if wrapped && tenant.as_str() > after => break,
            Some(tenant) => {
                position.clone_from(&tenant);
                tenants.push(tenant);
            }
            None if wrapped => break,
            None => {
                wrapped = true;
                position = String::new();
            }
        }
    }
    Ok(tenants)
}

/// The first tenant behind this position for which something is due.
fn next_due_tenant(
    connection: &mut SqliteConnection,
    now: Timestamp,
    lanes: &[&Lane],
    position: &str,
) -> Result<Option<String>> {
    let mut next: Option<String> = None;
    for lane in lanes {
        let of_lane: Option<String> = operations::table
            .filter(operations::lane.eq(&lane.name))
            .filter(operations::tenant_id.gt(position))
            .filter(waits())
            .filter(operations::next_attempt_at.le(now.as_millis()))
            .order(operations::tenant_id)
            .select(operations::tenant_id)
            .first(connection)
            .optional()?;
        next = match (next, of_lane) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(next)
}

fn take(connection: &mut SqliteConnection, claim: &Claim, tenant: &str, id: Id) -> Result<ClaimedOperation> {
    type Row = (String, Id, Option<Id>, String, i32, i64, i64, Option<String>, Option<String>);
    type Types = (Text, Binary, Nullable<Binary>, Text, Integer, BigInt, BigInt, Nullable<Text>, Nullable<Text>);
    let take = Sql::<Types>::new(
        "update operations set state = 'running', attempts = attempts + 1, fence = fence + 1, lease_owner = ?3, \
        lease_until = ?4, updated_at = ?5 where tenant_id = ?1 and id = ?2 \
        returning kind, chat_id, person_id, lane, attempts, fence, created_at, progress, origin",
    );
    let row: Row = take
        .bind::<Text, _>(tenant)
        .bind::<Binary, _>(id)
        .bind::<Text, _>(&claim.owner)
        .bind::<BigInt, _>(claim.lease_until.as_millis())
        .bind::<BigInt, _>(claim.now.as_millis())
        .get_result(connection)?;
    let (kind, chat, person, lane, attempts, fence, created_at, progress, origin) = row;
    let (service, group): (String, Option<String>) =
        chats::table.find((tenant, chat)).select((chats::service, chats::provider_chat_id)).get_result(connection)?;
    let work = match (OperationType::from_name(&kind), person, group) {
        (Some(OperationType::CreateChat), _, _) => creation(connection, tenant, chat)?,
        (Some(OperationType::RemoveParticipant), Some(person), Some(provider_chat_id)) => {
            let person = people_table::table.find((tenant, person)).select(people_table::external_id);
            Work::RemoveParticipant { provider_chat_id, external_id: person.get_result(connection)? }
        }
        _ => return Err(rows::inconsistent("operation", &id.0.to_string())),
    };
    Ok(ClaimedOperation {
        lease: Lease { tenant: rows::tenant(tenant)?, operation_id: OperationId(id.0), fence },
        chat_id: ChatId(chat.0),
        service: rows::service(&service)?,
        created_at: Timestamp::from_millis(created_at),
        lane,
        attempts: attempts.unsigned_abs(),
        origin: Origin::read(origin.as_deref()),
        progress,
        work,
    })
}

/// What the chat was registered as; its title of today may be another one.
fn creation(connection: &mut SqliteConnection, tenant: &str, chat: Id) -> Result<Work> {
    let registration = chat_events::table.find((tenant, chat, intake::REGISTERED_KEY)).select(chat_events::body);
    let body: String = registration.get_result(connection)?;
    match rows::json("event", &body)? {
        ChatEventKind::Registered { title, description, .. } => Ok(Work::CreateChat { title, description }),
        _ => Err(rows::inconsistent("registration of chat", &chat.0.to_string())),
    }
}

/// The row, for as long as the lease holds.
macro_rules! held {
    ($lease:expr) => {
        operations::table
            .filter(operations::tenant_id.eq($lease.tenant.as_str()))
            .filter(operations::id.eq(Id($lease.operation_id.0)))
            .filter(operations::fence.eq($lease.fence))
            .filter(operations::state.eq(RUNNING))
    };
}

pub fn extend(connection: &mut SqliteConnection, leases: &[Lease], until: Timestamp) -> Result<Vec<OperationId>> {
    let mut lost = Vec::new();
    for lease in leases {
        let extend = diesel::update(held!(lease)).set(operations::lease_until.eq(until.as_millis()));
        if extend.execute(connection)? == 0 {
            lost.push(lease.operation_id);
        }
    }
    Ok(lost)
}

pub fn save_progress(
    connection: &mut SqliteConnection,
    lease: &Lease,
    progress: Option<&str>,
    group: Option<&CreatedGroup>,
    at: Timestamp,
) -> Result<bool> {
    let chat: Option<Id> = diesel::update(held!(lease))
        .set((operations::progress.eq(progress), operations::updated_at.eq(at.as_millis())))
        .returning(operations::chat_id)
        .get_result(connection)
        .optional()?;
    if let (Some(chat), Some(group)) = (chat, group) {
        diesel::update(chats::table.find((lease.tenant.as_str(), chat)))
            .set(chats::provider_chat_id.eq(&group.provider_chat_id))
            .execute(connection)?;
    }
    Ok(chat.is_some())
}

/// The messenger that a chat is on.
fn service_of(connection: &mut SqliteConnection, tenant: &TenantId, chat: Id) -> Result<Service> {
    let name: String = chats::table.find((tenant.as_str(), chat)).select(chats::service).get_result(connection)?;
    rows::service(&name)
}

/// Ends an attempt; returns the chat it was about, unless the lease was lost.
pub fn finish(
    writing: &mut Writing<'_>,
    environment: &dyn Environment,
    lease: &Lease,
    outcome: &Outcome,
    at: Timestamp,
) -> Result<Option<ChatId>> {
    let connection = &mut *writing.connection;
    let row: Option<(Id, String)> =
        held!(lease).select((operations::chat_id, operations::kind)).get_result(connection).optional()?;
    let Some((chat, kind)) = row else { return Ok(None) };
    let (tenant, chat_id) = (&lease.tenant, ChatId(chat.0));
    match outcome {
        Outcome::ChatMade { group, invitation } => {
            let service = service_of(connection, tenant, chat)?;
            let owner = people::id_of(connection, environment, tenant, service, &group.owner.external_id)?;
            Sql::<()>::new("update chats set provider_chat_id = ?3, invitation = ?4 where tenant_id = ?1 and id = ?2")
                .bind::<Text, _>(tenant.as_str())
                .bind::<Binary, _>(chat)
                .bind::<Text, _>(&group.provider_chat_id)
                .bind::<Text, _>(invitation)
                .execute(connection)?;
            events::apply(writing, tenant, chat_id, &[intake::group_made(group, owner, at)])?;
            end(writing.connection, lease, OperationStatus::Succeeded, None, at)?;
        }
        Outcome::ParticipantRemoved { events } => {
            let service = service_of(connection, tenant, chat)?;
            if let Some(first) = events.first() {
                events::take_in(writing, environment, service, &first.provider_chat_id, events, at)?;
            }
            end(writing.connection, lease, OperationStatus::Succeeded, None, at)?;
        }
        Outcome::Postponed { until, counts } => {
            diesel::update(held!(lease))
                .set((
                    operations::state.eq(WAITING),
                    operations::next_attempt_at.eq(until.as_millis()),
                    operations::attempts.eq(operations::attempts - i32::from(!counts)),
                    operations::lease_owner.eq(None::<String>),
                    operations::lease_until.eq(None::<i64>),
                    operations::updated_at.eq(at.as_millis()),
                ))
                .execute(connection)?;
        }
        Outcome::Moved { lane } => {
            let is_gone = match AccountId::of_lane(lane) {
                Some(account) => !accounts::exists(connection, account)?,
                None => false,
            };
            diesel::update(held!(lease))
                .set((
                    operations::state.eq(PENDING),
                    operations::lane.eq(if is_gone { lanes::services_own(lane) } else { lane }),
                    operations::next_attempt_at.eq(at.as_millis()),
                    operations::attempts.eq(operations::attempts - 1),
                    operations::lease_owner.eq(None::<String>),
                    operations::lease_until.eq(None::<i64>),
                    operations::updated_at.eq(at.as_millis()),
                ))
                .execute(connection)?;
        }
        Outcome::GivenUp(error) => {
            if kind == OperationType::CreateChat.as_str() {
                retries::fail(writing, tenant, chat_id, at)?;
            }
            end(writing.connection, lease, OperationStatus::Failed, Some(error), at)?;
        }
    }
    Ok(Some(chat_id))
}

fn end(
    connection: &mut SqliteConnection,
    lease: &Lease,
    status: OperationStatus,
    error: Option<&OperationError>,
    at: Timestamp,
) -> Result<()> {
    let error = error.map(serde_json::to_string).transpose();
    let error = error.map_err(|error| rows::inconsistent("error", &error.to_string()))?;
    let end = Sql::<()>::new(
        "update operations set state = ?4, error = ?5, completed_at = ?6, updated_at = ?6, lease_owner = null, \
        lease_until = null where tenant_id = ?1 and id = ?2 and fence = ?3 and state = 'running'",
    );
    end.bind::<Text, _>(lease.tenant.as_str())
        .bind::<Binary, _>(Id(lease.operation_id.0))
        .bind::<BigInt, _>(lease.fence)
        .bind::<Text, _>(status.as_str())
        .bind::<Nullable<Text>, _>(error)
        .bind::<BigInt, _>(at.as_millis())
        .execute(connection)?;
    Ok(())
}

/// Has what waits in this lane wait in the service's own, where it is due at once.
pub fn move_waiting(connection: &mut SqliteConnection, lane: &str, service: Service, now: Timestamp) -> Result<()> {
    diesel::update(operations::table.filter(operations::lane.eq(lane)).filter(waits()))
        .set((
            operations::lane.eq(service.as_str()),
            operations::state.eq(PENDING),
            operations::next_attempt_at.eq(now.as_millis()),
            operations::updated_at.eq(now.as_millis()),
        ))
        .execute(connection)?;
    Ok(())
}

/// Has what is under way in this lane go on in the service's own, should it have to wait.
pub fn move_running(connection: &mut SqliteConnection, lane: &str, service: Service) -> Result<()> {
    diesel::update(running!().filter(operations::lane.eq(lane)))
        .set(operations::lane.eq(service.as_str()))
        .execute(connection)?;
    Ok(())
}

/// Tenants with unfinished operations of this kind in this lane.
pub fn waiting_tenants(
    connection: &mut SqliteConnection,
    lane: &str,
    kind: OperationType,
) -> Result<BTreeSet<TenantId>> {
    let under_way = running!()
        .filter(operations::lane.eq(lane))
        .filter(operations::kind.eq(kind.as_str()))
        .select(operations::tenant_id);
    let mut names: BTreeSet<String> = under_way.load(connection)?.into_iter().collect();
    // From tenant to tenant along the index, without looking at what lies between.
    let mut position = String::new();
    while let Some(tenant) = operations::table
        .filter(operations::lane.eq(lane))
        .filter(operations::tenant_id.gt(&position))
        .filter(waits())
        .filter(operations::kind.eq(kind.as_str()))
        .order(operations::tenant_id)
        .select(operations::tenant_id)
        .first::<String>(connection)
        .optional()?
    {
        position.clone_from(&tenant);
        names.insert(tenant);
    }
    names.iter().map(|name| rows::tenant(name)).collect()
}

pub fn sweep(connection: &mut SqliteConnection, now: Timestamp) -> Result<u64> {
    let expired = operations::table.filter(runs()).filter(operations::lease_until.lt(now.as_millis()));
    let swept = diesel::update(expired)
        .set((
            operations::state.eq(PENDING),
            operations::next_attempt_at.eq(now.as_millis()),
            operations::lease_owner.eq(None::<String>),
            operations::lease_until.eq(None::<i64>),
            operations::updated_at.eq(now.as_millis()),
        ))
        .execute(connection)?;
    Ok(swept as u64)
}

/// Gives back the leases of this owner, or all there are. Their attempts count: what they called may have been done.
pub fn release(connection: &mut SqliteConnection, owner: Option<&str>, now: Timestamp) -> Result<u64> {
    let everybodys = owner.is_none().into_sql::<Nullable<Bool>>();
    let owned = operations::table.filter(runs()).filter(operations::lease_owner.eq(owner).or(everybodys));
    let released = diesel::update(owned)
        .set((
            operations::state.eq(PENDING),
            operations::next_attempt_at.eq(now.as_millis()),
            operations::lease_owner.eq(None::<String>),
            operations::lease_until.eq(None::<i64>),
            operations::updated_at.eq(now.as_millis()),
        ))
        .execute(connection)?;
    Ok(released as u64)
}
