//! Operations: claimed under a lease with a fence, and driven by whoever holds it.

use std::collections::{BTreeSet, HashSet};

use convoke_domain::{
    ChatEventKind, ChatId, Environment, OperationError, OperationId, OperationStatus, OperationType, Service, TenantId,
    Timestamp,
};
use convoke_provider::{AccountId, CreatedGroup, Lane};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    accounts, events,
    failure::Outcome as Done,
    pool::{Pool, UPKEEP_DEADLINE},
    retries,
    schema::operations,
    sql::Sql,
};
use crate::{
    Claim, ClaimedOperation, Lease, OpenOperations, Origin, Outcome, Work,
    error::{Result, StoreError},
    intake,
    lanes::{self, LastServed},
    rows,
};

/// What waits for a worker; the same words as in the index `operations_due`.
const DUE: &str = "state in ('pending', 'waitingForProvider') and next_attempt_at <= $2";

/// How many have not ended, by kind and state.
pub async fn count_open(mut queries: &AsyncPgConnection) -> Done<Vec<OpenOperations>> {
    const COUNT: &str = "select kind, state, count(*), min(next_attempt_at) from operations \
            where state in ('pending', 'waitingForProvider') group by kind, state \
        union all select kind, state, count(*), null from operations where state = 'running' group by kind, state";
    let rows: Vec<(String, String, i64, Option<i64>)> =
        Sql::<(Text, Text, BigInt, Nullable<BigInt>)>::new(COUNT).load(&mut queries).await?;
    Ok(rows.into_iter().map(rows::open_operations).collect::<Result<_>>()?)
}

/// A tenant for whom something is due, and in which lane.
type Queue = (String, String);

/// Claims what is due: one operation of each lane of which one is claimed at a time, then of the others an equal share for
/// each tenant that waits; each time beginning behind the tenant that was served last. Each statement is its own
/// transaction: what is claimed is leased.
pub async fn claim(queries: &AsyncPgConnection, claim: &Claim, last: &LastServed) -> Done<Vec<ClaimedOperation>> {
    let (alone, together): (Vec<&Lane>, Vec<&Lane>) = claim.lanes.iter().partition(|lane| lane.one_at_a_time);
    let mut claimed = claim_alone(queries, claim, alone, last).await?;
    match claim_together(queries, claim, &together, &last.together, &mut claimed).await {
        // What was claimed by then is leased: forgotten, it would wait for its lease to end.
        Err(failure) if !claimed.is_empty() => {
            tracing::warn!(error = %StoreError::from(failure), "a claim broke off; what it has is worked on");
            Ok(claimed)
        }
        whole => whole.map(|()| claimed),
    }
}

/// Adds to what is claimed, up to the limit, an equal share for each tenant that waits in these lanes.
async fn claim_together(
    queries: &AsyncPgConnection,
    claim: &Claim,
    lanes: &[&Lane],
    after: &str,
    claimed: &mut Vec<ClaimedOperation>,
) -> Done<()> {
    let mut after = after.to_owned();
    loop {
        let left = claim.limit - u32::try_from(claimed.len()).unwrap_or(claim.limit);
        if left == 0 {
            return Ok(());
        }
        let queues = due_queues(queries, claim.now, lanes, &after, left).await?;
        let Some((last, _)) = queues.last().cloned() else { return Ok(()) };
        let share = (left / u32::try_from(queues.len()).unwrap_or(1)).max(1);
        let taken = take(queries, claim, queues, share).await?;
        // Others took it, or there is no more.
        if taken.is_empty() {
            return Ok(());
        }
        after = last;
        claimed.extend(taken);
    }
}

/// Claims one operation of each of these lanes, up to the limit, of the tenant behind the one that was served last there.
async fn claim_alone(
    mut queries: &AsyncPgConnection,
    claim: &Claim,
    lanes: Vec<&Lane>,
    last: &LastServed,
) -> Done<Vec<ClaimedOperation>> {
    let lanes: Vec<&str> = last.in_turn(lanes).into_iter().map(|lane| lane.name.as_str()).collect();
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let first = |behind: &str| {
        format!("select tenant_id from operations where lane = queue.lane and {DUE}{behind} order by tenant_id limit 1")
    };
    let text = format!(
        "select next.tenant_id, queue.lane from unnest((select $1), (select $3)) with ordinality as queue (lane, after, place) \
        cross join lateral (select coalesce(({}), ({})) as tenant_id) as next where next.tenant_id is not null \
        order by queue.place limit $4",
        first(" and tenant_id > queue.after"),
        first(""),
    );
    let queues: Vec<Queue> = Sql::<(Text, Text)>::new(&text)
        .bind::<Array<Text>, _>(lanes.clone())
        .bind::<BigInt, _>(claim.now.as_millis())
        .bind::<Array<Text>, _>(lanes.iter().map(|lane| last.in_lane(lane)).collect::<Vec<_>>())
        .bind::<BigInt, _>(i64::from(claim.limit))
        .load(&mut queries)
        .await?;
    if queues.is_empty() {
        return Ok(Vec::new());
    }
    take(queries, claim, queues, 1).await
}

/// Up to `limit` tenants for whom something is due, those behind `after` first.
async fn due_queues(
    mut queries: &AsyncPgConnection,
    now: Timestamp,
    lanes: &[&Lane],
    after: &str,
    limit: u32,
) -> Done<Vec<Queue>> {
    let mut found: BTreeSet<Queue> = BTreeSet::new();
    for lane in lanes {
        for from in [after, ""] {
            // From tenant to tenant along the index, without looking at what lies between.
            let text = format!(
                "with recursive waiting (tenant_id) as ( \
                    (select tenant_id from operations where lane = $1 and {DUE} and tenant_id > $3 \
                        order by tenant_id limit 1) \
                    union all \
                    select (select operations.tenant_id from operations \
                        where lane = $1 and {DUE} and operations.tenant_id > waiting.tenant_id \
                        order by operations.tenant_id limit 1) \
                    from waiting where waiting.tenant_id is not null \
                ) select tenant_id from waiting where tenant_id is not null limit $4"
            );
            let tenants: Vec<String> = Sql::<Text>::new(&text)
                .bind::<Text, _>(lane.name.as_str())
                .bind::<BigInt, _>(now.as_millis())
                .bind::<Text, _>(from)
                .bind::<BigInt, _>(i64::from(limit))
                .load(&mut queries)
                .await?;
            let is_enough = tenants.len() >= limit as usize;
            found.extend(tenants.into_iter().map(|tenant| (tenant, lane.name.clone())));
            if is_enough || from.is_empty() {
                break;
            }
        }
    }
    let (before, behind): (Vec<Queue>, Vec<Queue>) =
        found.into_iter().partition(|(tenant, _)| tenant.as_str() <= after);
    Ok(behind.into_iter().chain(before).take(limit as usize).collect())
}

/// Leases up to `share` operations of each of these queues.
async fn take(
    mut queries: &AsyncPgConnection,
    claim: &Claim,
    queues: Vec<Queue>,
    share: u32,
) -> Done<Vec<ClaimedOperation>> {
    type Row = (
        (String, Uuid, i64, Uuid, String, String, i32, i64, Option<String>, Option<String>),
        (String, Option<String>, Option<String>, Option<String>),
    );
    type Types = (
        (Text, SqlUuid, BigInt, SqlUuid, Text, Text, Integer, BigInt, Nullable<Text>, Nullable<Text>),
        (Text, Nullable<Text>, Nullable<Text>, Nullable<Text>),
    );
    let text = format!(
        "with due as materialized ( \
            select chosen.tenant_id, chosen.id from unnest((select $1), (select $3)) as queue (tenant_id, lane) cross join lateral ( \
                select operations.tenant_id, operations.id from operations \
                where operations.lane = queue.lane and operations.tenant_id = queue.tenant_id and {DUE} \
                order by operations.next_attempt_at limit $4 for update skip locked) as chosen), \
        taken as ( \
            update operations set state = $5, attempts = attempts + 1, fence = fence + 1, lease_owner = $6, \
                lease_until = $7, updated_at = $2 \
            from due where operations.tenant_id = due.tenant_id and operations.id = due.id returning operations.*) \
        select taken.tenant_id, taken.id, taken.fence, taken.chat_id, taken.kind, taken.lane, taken.attempts, \
            taken.created_at, taken.progress, taken.origin, chats.service, registration.body, chats.provider_chat_id, \
            people.external_id \
        from taken join chats on chats.tenant_id = taken.tenant_id and chats.id = taken.chat_id \
        left join chat_events as registration on registration.tenant_id = taken.tenant_id \
            and registration.chat_id = taken.chat_id and registration.key = $8 \
        left join people on people.tenant_id = taken.tenant_id and people.id = taken.person_id"
    );
    let (tenants, lanes): (Vec<String>, Vec<String>) = queues.into_iter().unzip();
    let rows: Vec<Row> = Sql::<Types>::new(&text)
        .bind::<Array<Text>, _>(tenants)
        .bind::<BigInt, _>(claim.now.as_millis())
        .bind::<Array<Text>, _>(lanes)
        .bind::<BigInt, _>(i64::from(share))
        .bind::<Text, _>(OperationStatus::Running.as_str())
        .bind::<Text, _>(claim.owner.as_str())
        .bind::<BigInt, _>(claim.lease_until.as_millis())
        .bind::<Text, _>(intake::REGISTERED_KEY)
        .load(&mut queries)
        .await?;
    let claimed = |(operation, chat): Row| {
        let (tenant, id, fence, chat_id, kind, lane, attempts, created_at, progress, origin) = operation;
        let (service, registration, group, person) = chat;
        let work = match (OperationType::from_name(&kind), registration, group, person) {
            (Some(OperationType::CreateChat), Some(registration), ..) => creation(&registration)?,
            (Some(OperationType::RemoveParticipant), _, Some(provider_chat_id), Some(external_id)) => {
                Work::RemoveParticipant { provider_chat_id, external_id }
            }
            _ => return Err(rows::inconsistent("operation", &id.to_string())),
        };
        Ok(ClaimedOperation {
            lease: Lease { tenant: rows::tenant(&tenant)?, operation_id: OperationId(id), fence },
            chat_id: ChatId(chat_id),
            service: rows::service(&service)?,
            created_at: Timestamp::from_millis(created_at),
            lane,
            attempts: attempts.unsigned_abs(),
            origin: Origin::read(origin.as_deref()),
            progress,
            work,
        })
    };
    Ok(rows.into_iter().map(claimed).collect::<Result<_>>()?)
}

/// What the chat was registered as; its title of today may be another one.
fn creation(registration: &str) -> Result<Work> {
    match rows::json("event", registration)? {
        ChatEventKind::Registered { title, description, .. } => Ok(Work::CreateChat { title, description }),
        _ => Err(rows::inconsistent("registration", registration)),
    }
}

pub async fn extend(mut queries: &AsyncPgConnection, leases: &[Lease], until: Timestamp) -> Done<Vec<OperationId>> {
    const EXTEND: &str = "update operations set lease_until = $4 \
        from unnest((select $1), (select $2), (select $3)) as lease (tenant_id, id, fence) \
        where operations.tenant_id = lease.tenant_id and operations.id = lease.id \
        and operations.fence = lease.fence and operations.state = 'running' returning operations.id";
    let held: Vec<Uuid> = Sql::<SqlUuid>::new(EXTEND)
        .bind::<Array<Text>, _>(leases.iter().map(|lease| lease.tenant.as_str()).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(leases.iter().map(|lease| lease.operation_id.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(leases.iter().map(|lease| lease.fence).collect::<Vec<_>>())
        .bind::<BigInt, _>(until.as_millis())
        .load(&mut queries)
        .await?;
    let held: HashSet<Uuid> = held.into_iter().collect();
    Ok(leases.iter().map(|lease| lease.operation_id).filter(|id| !held.contains(&id.0)).collect())
}

/// The row, for as long as the lease holds.
const HELD: &str = "operations.tenant_id = $1 and operations.id = $2 and operations.fence = $3 \
    and operations.state = 'running'";

fn on_held<'a, ST>(lease: &'a Lease, text: &str) -> Sql<'a, ST> {
    Sql::new(&text.replace("HELD", HELD))
        .bind::<Text, _>(lease.tenant.as_str())
        .bind::<SqlUuid, _>(lease.operation_id.0)
        .bind::<BigInt, _>(lease.fence)
}

/// Keeps how far an operation has come, within a transaction that the caller ends.
pub async fn save_progress(
    mut queries: &AsyncPgConnection,
    lease: &Lease,
    progress: Option<&str>,
    group: Option<&CreatedGroup>,
    at: Timestamp,
) -> Done<bool> {
    const SAVE: &str = "update operations set progress = $4, updated_at = $5 where HELD";
    if let Some(group) = group {
        // The chat before the operation, as everywhere.
        let Some((chat, _)) = of_lease(queries, lease).await? else { return Ok(false) };
        events::lock(queries, &lease.tenant, chat).await?;
        set_group(queries, &lease.tenant, chat, group, None).await?;
    }
    let save = on_held::<()>(lease, SAVE).bind::<Nullable<Text>, _>(progress).bind::<BigInt, _>(at.as_millis());
    Ok(save.execute(&mut queries).await? == 1)
}

/// The chat that an operation is about and its kind, if the lease holds.
async fn of_lease(mut queries: &AsyncPgConnection, lease: &Lease) -> Done<Option<(ChatId, String)>> {
    let row: Option<(Uuid, String)> = operations::table
        .find((lease.tenant.as_str(), lease.operation_id.0))
        .filter(operations::fence.eq(lease.fence))
        .filter(operations::state.eq(OperationStatus::Running.as_str()))
        .select((operations::chat_id, operations::kind))
        .first(&mut queries)
        .await
        .optional()?;
    Ok(row.map(|(chat, kind)| (ChatId(chat), kind)))
}

async fn set_group(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    chat: ChatId,
    group: &CreatedGroup,
    invitation: Option<&str>,
) -> Done<()> {
    const SET: &str = "update chats set provider_chat_id = $3, invitation = coalesce($4, invitation) \
        where tenant_id = $1 and id = $2";
    Sql::<()>::new(SET)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(chat.0)
        .bind::<Text, _>(group.provider_chat_id.as_str())
        .bind::<Nullable<Text>, _>(invitation)
        .execute(&mut queries)
        .await?;
    Ok(())
}

/// Ends an attempt in a transaction of its own; gives the chat it was about, unless the lease was lost.
pub async fn finish_alone(
    pool: &Pool,
    environment: &dyn Environment,
    lease: &Lease,
    outcome: &Outcome,
    at: Timestamp,
) -> Result<Option<ChatId>> {
    let finished = pool.transaction(UPKEEP_DEADLINE, |work| async move {
        let chat = finish(&work, environment, lease, outcome, at).await?;
        if chat.is_some() {
            work.commit().await?;
        } else {
            work.roll_back().await?;
        }
        Ok(chat)
    });
    finished.await
}

/// Ends an attempt, within a transaction that the caller ends; returns the chat it was about, unless the lease was lost:
/// then the caller rolls back.
async fn finish(
    queries: &AsyncPgConnection,
    environment: &dyn Environment,
    lease: &Lease,
    outcome: &Outcome,
    at: Timestamp,
) -> Done<Option<ChatId>> {
    let Some((chat_id, kind)) = of_lease(queries, lease).await? else { return Ok(None) };
    if let Outcome::Postponed { until, counts } = outcome {
        return Ok(postpone(queries, lease, *until, *counts, at).await?.then_some(chat_id));
    }
    if let Outcome::Moved { lane } = outcome {
        return Ok(move_to(queries, lease, lane, at).await?.then_some(chat_id));
    }
    // The chat before the operation, as everywhere.
    let Some(chat) = events::lock(queries, &lease.tenant, chat_id).await? else { return Ok(None) };
    let (status, error) = match outcome {
        Outcome::GivenUp(error) => (OperationStatus::Failed, Some(error)),
        _ => (OperationStatus::Succeeded, None),
    };
    if !end(queries, lease, status, error, at).await? {
        return Ok(None);
    }
    match outcome {
        Outcome::ChatMade { group, invitation } => {
            let owner = group.owner.external_id.as_str();
            set_group(queries, &lease.tenant, chat_id, group, Some(invitation)).await?;
            let people = BTreeSet::from([owner]);
            let ids = events::people_ids(queries, environment, &lease.tenant, chat.service, &people).await?;
            events::apply(queries, environment, chat, &[intake::group_made(group, ids[owner], at)]).await?;
        }
        Outcome::ParticipantRemoved { events } => {
            // Those of other groups are for the feed to tell.
            let mut own = events.clone();
            own.retain(|event| Some(&event.provider_chat_id) == chat.provider_chat_id.as_ref());
            if !own.is_empty() {
                events::take_in(queries, environment, chat, &own, at).await?;
            }
        }
        Outcome::GivenUp(_) if kind == OperationType::CreateChat.as_str() => {
            retries::fail(queries, environment, chat, at).await?;
        }
        Outcome::GivenUp(_) | Outcome::Postponed { .. } | Outcome::Moved { .. } => {}
    }
    Ok(Some(chat_id))
}

async fn postpone(
    mut queries: &AsyncPgConnection,
    lease: &Lease,
    until: Timestamp,
    counts: bool,
    at: Timestamp,
) -> Done<bool> {
    const POSTPONE: &str = "update operations set state = 'waitingForProvider', next_attempt_at = $4, \
        attempts = attempts - case when $5 then 0 else 1 end, lease_owner = null, lease_until = null, updated_at = $6 \
        where HELD";
    let postpone = on_held::<()>(lease, POSTPONE)
        .bind::<BigInt, _>(until.as_millis())
        .bind::<Bool, _>(counts)
        .bind::<BigInt, _>(at.as_millis());
    Ok(postpone.execute(&mut queries).await? == 1)
}

/// Has the operation wait in another lane; while it moves, the account whose lane it is stays, or is gone before.
async fn move_to(mut queries: &AsyncPgConnection, lease: &Lease, lane: &str, at: Timestamp) -> Done<bool> {
    const MOVE: &str = "update operations set state = 'pending', lane = $4, next_attempt_at = $5, \
        attempts = attempts - 1, lease_owner = null, lease_until = null, updated_at = $5 where HELD";
    let is_gone = match AccountId::of_lane(lane) {
        Some(account) => !accounts::keep(queries, account).await?,
        None => false,
    };
    let moved = on_held::<()>(lease, MOVE)
        .bind::<Text, _>(if is_gone { lanes::services_own(lane) } else { lane })
        .bind::<BigInt, _>(at.as_millis());
    Ok(moved.execute(&mut queries).await? == 1)
}

async fn end(
    mut queries: &AsyncPgConnection,
    lease: &Lease,
    status: OperationStatus,
    error: Option<&OperationError>,
    at: Timestamp,
) -> Done<bool> {
    const END: &str = "update operations set state = $4, completed_at = $5, error = $6, lease_owner = null, \
        lease_until = null, updated_at = $5 where HELD";
    let error = error.map(serde_json::to_string).transpose();
    let error = error.map_err(|error| rows::inconsistent("error", &error.to_string()))?;
    let end = on_held::<()>(lease, END)
        .bind::<Text, _>(status.as_str())
        .bind::<BigInt, _>(at.as_millis())
        .bind::<Nullable<Text>, _>(error);
    Ok(end.execute(&mut queries).await? == 1)
}

/// Has what waits in this lane wait in the service's own, where it is due at once.
pub async fn move_waiting(mut queries: &AsyncPgConnection, lane: &str, service: Service, now: Timestamp) -> Done<()> {
    const MOVE: &str = "update operations set lane = $2, state = 'pending', next_attempt_at = $3, updated_at = $3 \
        where lane = $1 and state in ('pending', 'waitingForProvider')";
    Sql::<()>::new(MOVE)
        .bind::<Text, _>(lane)
        .bind::<Text, _>(service.as_str())
        .bind::<BigInt, _>(now.as_millis())
        .execute(&mut queries)
        .await?;
    Ok(())
}

/// Has what is under way in this lane go on in the service's own, should it have to wait.
pub async fn move_running(mut queries: &AsyncPgConnection, lane: &str, service: Service) -> Done<()> {
    const MOVE: &str = "update operations set lane = $2 where lane = $1 and state = 'running'";
    let moved = Sql::<()>::new(MOVE).bind::<Text, _>(lane).bind::<Text, _>(service.as_str());
    moved.execute(&mut queries).await?;
    Ok(())
}

/// Tenants with unfinished operations of this kind in this lane: those that wait from tenant to tenant along the index,
/// without looking at what lies between, and those under way.
pub async fn waiting_tenants(
    mut queries: &AsyncPgConnection,
    lane: &str,
    kind: OperationType,
) -> Done<BTreeSet<TenantId>> {
    const WAITING: &str = "with recursive waiting (tenant_id) as ( \
            (select tenant_id from operations \
                where lane = $1 and state in ('pending', 'waitingForProvider') and kind = $2 \
                order by tenant_id limit 1) \
            union all \
            select (select operations.tenant_id from operations \
                where lane = $1 and state in ('pending', 'waitingForProvider') and kind = $2 \
                and operations.tenant_id > waiting.tenant_id order by operations.tenant_id limit 1) \
            from waiting where waiting.tenant_id is not null \
        ) select tenant_id from waiting where tenant_id is not null \
        union select tenant_id from operations where state = 'running' and lane = $1 and kind = $2";
    let names: Vec<String> =
        Sql::<Text>::new(WAITING).bind::<Text, _>(lane).bind::<Text, _>(kind.as_str()).load(&mut queries).await?;
    Ok(names.iter().map(|name| rows::tenant(name)).collect::<Result<_>>()?)
}

pub async fn sweep(mut queries: &AsyncPgConnection, now: Timestamp) -> Done<u64> {
    const SWEEP: &str = "update operations set state = 'pending', next_attempt_at = $1, lease_owner = null, \
        lease_until = null, updated_at = $1 where state = 'running' and lease_until < $1";
    let swept = Sql::<()>::new(SWEEP).bind::<BigInt, _>(now.as_millis()).execute(&mut queries).await?;
    Ok(swept as u64)
}

/// Gives back the leases of this owner. Their attempts count: what they called may have been done.
pub async fn release(mut queries: &AsyncPgConnection, owner: &str, now: Timestamp) -> Done<u64> {
    const RELEASE: &str = "update operations set state = 'pending', next_attempt_at = $1, lease_owner = null, \
        lease_until = null, updated_at = $1 where state = 'running' and lease_owner = $2";
    let release = Sql::<()>::new(RELEASE).bind::<BigInt, _>(now.as_millis()).bind::<Text, _>(owner);
    Ok(release.execute(&mut queries).await? as u64)
}
