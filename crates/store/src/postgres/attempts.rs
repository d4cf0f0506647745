//! Attempts that come along together are written down together: how far they have come, and that a chat's group is made.
//!
//! The statements here are the fast way, for many operations at once. Wherever anything is not as usual, nothing is
//! written, and each operation goes the way of `operations.rs`, in a transaction of its own.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use convoke_domain::{ChatId, ChatStatus, Environment, OperationStatus, ParticipantId, Timestamp};
use convoke_provider::CreatedGroup;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    deadline::REQUEST_DEADLINE,
    events::{self, LockedChat},
    failure::{Failure, Outcome as Done},
    gather::{self, Gathered},
    operations,
    pool::{Pool, UPKEEP_DEADLINE},
    sql::Sql,
};
use crate::{
    DOCUMENT_VERSION, Lease, Outcome,
    document::Stay,
    error::Result,
    intake::{self, RecordChange},
};

/// How many are written down together at most.
const AT_ONCE: usize = 128;

/// Writes down what becomes of attempts.
pub struct Attempts {
    saves: Gathered<Save, bool>,
    makings: Gathered<Making, Option<ChatId>>,
}

/// How far an operation has come.
pub struct Save {
    pub lease: Lease,
    /// Nothing if nothing was begun.
    pub progress: Option<String>,
    /// The group, once there is one.
    pub group: Option<CreatedGroup>,
    pub at: Timestamp,
}

/// A chat's group is made, and with it the operation is at its end.
pub struct Making {
    pub lease: Lease,
    pub group: CreatedGroup,
    pub invitation: String,
    pub at: Timestamp,
}

impl Attempts {
    /// Writes on `runtime`.
    pub fn new(pool: &Pool, environment: &Arc<dyn Environment>, runtime: &Handle) -> Self {
        let of_saves = pool.clone();
        let (of_makings, environment) = (pool.clone(), environment.clone());
        Self {
            saves: Gathered::new(runtime, AT_ONCE, move |batch| {
                let pool = of_saves.clone();
                async move {
                    let (saves, answers) = gather::apart(batch);
                    answers.give(save_all(&pool, &saves).await);
                }
            }),
            makings: Gathered::new(runtime, AT_ONCE, move |batch| {
                let (pool, environment) = (of_makings.clone(), environment.clone());
                async move {
                    let (makings, answers) = gather::apart(batch);
                    answers.give(make_all(&pool, &environment, &makings).await);
                }
            }),
        }
    }

    /// Keeps how far an operation has come; `false` if the lease was lost.
    pub async fn save(&self, save: Save) -> Result<bool> {
        self.saves.make(save, REQUEST_DEADLINE).await
    }

    /// Ends an operation whose group is made; gives the chat, unless the lease was lost.
    pub async fn make(&self, making: Making) -> Result<Option<ChatId>> {
        self.makings.make(making, UPKEEP_DEADLINE).await
    }
}

/// What the server refuses, or does not fit together, one of them is at fault for: then `nothing` was written.
fn unless_refused<T>(outcome: Done<T>, nothing: T) -> Done<T> {
    match outcome {
        Err(failure) if failure.is_servers_own() || matches!(failure, Failure::Store(_)) => {
            tracing::warn!(?failure, "attempts are written down one by one");
            Ok(nothing)
        }
        outcome => outcome,
    }
}

async fn save_all(pool: &Pool, saves: &[Save]) -> Vec<Result<bool>> {
    if saves.len() > 1 {
        let saved = pool.transaction(REQUEST_DEADLINE, |work| async move {
            let are_saved = unless_refused(save_together(&work, saves).await, false)?;
            if are_saved {
                work.commit().await?;
            } else {
                work.roll_back().await?;
            }
            Ok(are_saved)
        });
        match saved.await {
            Ok(true) => return saves.iter().map(|_| Ok(true)).collect(),
            // One has lost its lease, or can't be written as it is: it should harm nobody else.
            Ok(false) => {}
            Err(error) => return saves.iter().map(|_| Err(error.clone())).collect(),
        }
    }
    let mut answers = Vec::new();
    for save in saves {
        let saved = pool.transaction(REQUEST_DEADLINE, |work| async move {
            let group = save.group.as_ref();
            let is_saved =
                operations::save_progress(&work, &save.lease, save.progress.as_deref(), group, save.at).await?;
            if is_saved {
                work.commit().await?;
            } else {
                work.roll_back().await?;
            }
            Ok(is_saved)
        });
        answers.push(saved.await);
    }
    answers
}

/// Keeps how far operations have come, within a transaction that the caller ends; `false` if one of them has lost its
/// lease.
async fn save_together(mut queries: &AsyncPgConnection, saves: &[Save]) -> Done<bool> {
    // Chats before operations, as everywhere, and both in the same order always.
    const SAVE: &str = "with input as materialized ( \
            select * from unnest((select $1), (select $2), (select $3), (select $4), (select $5), (select $6)) \
                as input (tenant_id, id, fence, progress, at, group_name)), \
        chat as materialized ( \
            select chats.tenant_id, chats.id, input.group_name from input \
            join operations on operations.tenant_id = input.tenant_id and operations.id = input.id \
                and operations.fence = input.fence and operations.state = 'running' \
            join chats on chats.tenant_id = operations.tenant_id and chats.id = operations.chat_id \
            where input.group_name is not null order by chats.tenant_id, chats.id for no key update of chats), \
        named as (update chats set provider_chat_id = chat.group_name from chat \
            where chats.tenant_id = chat.tenant_id and chats.id = chat.id), \
        saved as (update operations set progress = input.progress, updated_at = input.at from input \
            where operations.tenant_id = input.tenant_id and operations.id = input.id \
                and operations.fence = input.fence and operations.state = 'running' \
                and (select count(*) from chat) >= 0 returning 1) \
        select count(*) from saved";
    let mut saves: Vec<&Save> = saves.iter().collect();
    saves.sort_by_key(|save| (save.lease.tenant.as_str(), save.lease.operation_id.0));
    let name = |save: &&Save| save.group.as_ref().map(|group| group.provider_chat_id.clone());
    let saved: i64 = Sql::<BigInt>::new(SAVE)
        .bind::<Array<Text>, _>(saves.iter().map(|save| save.lease.tenant.as_str()).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(saves.iter().map(|save| save.lease.operation_id.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(saves.iter().map(|save| save.lease.fence).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(saves.iter().map(|save| save.progress.as_deref()).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(saves.iter().map(|save| save.at.as_millis()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(saves.iter().map(name).collect::<Vec<_>>())
        .get_result(&mut queries)
        .await?;
    Ok(usize::try_from(saved) == Ok(saves.len()))
}

async fn make_all(pool: &Pool, environment: &Arc<dyn Environment>, makings: &[Making]) -> Vec<Result<Option<ChatId>>> {
    let environment = environment.as_ref();
    if makings.len() > 1 {
        let made = pool.transaction(UPKEEP_DEADLINE, |work| async move {
            let chats = unless_refused(make_together(&work, environment, makings).await, None)?;
            if chats.is_some() {
                work.commit().await?;
            } else {
                work.roll_back().await?;
            }
            Ok(chats)
        });
        match made.await {
            Ok(Some(chats)) => return chats.into_iter().map(|chat| Ok(Some(chat))).collect(),
            // Something is not as usual with one of them: it should harm nobody else.
            Ok(None) => {}
            Err(error) => return makings.iter().map(|_| Err(error.clone())).collect(),
        }
    }
    let mut answers = Vec::new();
    for making in makings {
        let outcome = Outcome::ChatMade { group: making.group.clone(), invitation: making.invitation.clone() };
        answers.push(operations::finish_alone(pool, environment, &making.lease, &outcome, making.at).await);
    }
    answers
}

/// Ends operations whose groups are made, within a transaction that the caller ends; gives their chats in the order of the
/// operations, or nothing if one of them is not as usual.
async fn make_together(
    queries: &AsyncPgConnection,
    environment: &dyn Environment,
    makings: &[Making],
) -> Done<Option<Vec<ChatId>>> {
    let Some(chats) = lock_together(queries, makings).await? else { return Ok(None) };
    let Some(owners) = owners(queries, makings, &chats).await? else { return Ok(None) };
    let mut made = Vec::new();
    for ((making, chat), owner) in makings.iter().zip(chats).zip(owners) {
        let Some(one) = Made::new(making, &chat, owner)? else { return Ok(None) };
        made.push(one);
    }
    let ids = made.iter().map(|made| made.change.record.chat.id).collect();
    Ok(write_together(queries, environment, &made).await?.then_some(ids))
}

/// Locks the chats of these operations, in the order of the operations; nothing if one of them has lost its lease.
async fn lock_together(mut queries: &AsyncPgConnection, makings: &[Making]) -> Done<Option<Vec<LockedChat>>> {
    const LOCK: &str = "select input.place, chats.id, chats.service, chats.status, chats.provider_chat_id, \
            chats.last_event_at, chats.document, chats.document_version \
        from unnest((select $1), (select $2), (select $3)) with ordinality as input (tenant_id, id, fence, place) \
        join operations on operations.tenant_id = input.tenant_id and operations.id = input.id \
            and operations.fence = input.fence and operations.state = 'running' \
        join chats on chats.tenant_id = operations.tenant_id and chats.id = operations.chat_id \
        order by chats.tenant_id, chats.id for no key update of chats";
    type Row = (i64, Uuid, String, String, Option<String>, i64, String, i32);
    let mut rows: Vec<Row> = Sql::<(BigInt, SqlUuid, Text, Text, Nullable<Text>, BigInt, Text, Integer)>::new(LOCK)
        .bind::<Array<Text>, _>(makings.iter().map(|making| making.lease.tenant.as_str()).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(makings.iter().map(|making| making.lease.operation_id.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(makings.iter().map(|making| making.lease.fence).collect::<Vec<_>>())
        .load(&mut queries)
        .await?;
    if rows.len() != makings.len() {
        return Ok(None);
    }
    rows.sort_by_key(|row| row.0);
    let locked = rows.into_iter().zip(makings).map(|(row, making)| {
        let (_, id, service, status, group, last_event_at, document, form) = row;
        let row = (service, status, group, last_event_at, document, form);
        LockedChat::new(&making.lease.tenant, ChatId(id), row)
    });
    Ok(Some(locked.collect::<Result<_>>()?))
}

/// The ids of those who own the groups; nothing if somebody is not known yet.
async fn owners(
    mut queries: &AsyncPgConnection,
    makings: &[Making],
    chats: &[LockedChat],
) -> Done<Option<Vec<ParticipantId>>> {
    const FIND: &str = "select people.tenant_id, people.service, people.external_id, people.id \
        from unnest((select $1), (select $2), (select $3)) as wanted (tenant_id, service, external_id) \
        join people on people.tenant_id = wanted.tenant_id and people.service = wanted.service \
            and people.external_id = wanted.external_id";
    let person = |(making, chat): (&Making, &LockedChat)| {
        let (tenant, owner) = (making.lease.tenant.as_str().to_owned(), making.group.owner.external_id.clone());
        (tenant, chat.service.as_str().to_owned(), owner)
    };
    let wanted: Vec<_> = makings.iter().zip(chats).map(person).collect();
    // Most often it is one account that makes them all.
    let distinct: BTreeSet<&(String, String, String)> = wanted.iter().collect();
    let rows: Vec<(String, String, String, Uuid)> = Sql::<(Text, Text, Text, SqlUuid)>::new(FIND)
        .bind::<Array<Text>, _>(distinct.iter().map(|person| person.0.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(distinct.iter().map(|person| person.1.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(distinct.iter().map(|person| person.2.as_str()).collect::<Vec<_>>())
        .load(&mut queries)
        .await?;
    let found: HashMap<(String, String, String), Uuid> =
        rows.into_iter().map(|(tenant, service, external, id)| ((tenant, service, external), id)).collect();
    Ok(wanted.iter().map(|person| found.get(person).map(|id| ParticipantId(*id))).collect())
}

/// Everything that is written of a chat whose group is made.
struct Made<'a> {
    making: &'a Making,
    event_key: String,
    event_source: &'static str,
    event_at: i64,
    event_body: String,
    change: RecordChange,
    document: String,
}

impl<'a> Made<'a> {
    /// Nothing if the chat is not one that has only been registered.
    fn new(making: &'a Making, chat: &LockedChat, owner: ParticipantId) -> Result<Option<Self>> {
        let event = intake::group_made(&making.group, owner, making.at);
        let Some(before) = chat.record()?.filter(|_| chat.status == ChatStatus::Provisioning) else { return Ok(None) };
        let known = before.chat.clone();
        let Ok(after) = before.extended(std::slice::from_ref(&event)) else { return Ok(None) };
        let change = RecordChange::between(&known, after)?;
        let is_usual = change.gone.is_empty() && change.counts.is_some();
        let Some(document) = change.document.clone().filter(|_| is_usual) else { return Ok(None) };
        Ok(Some(Self {
            making,
            event_at: event.at.as_millis(),
            event_body: events::body(&event)?,
            event_source: event.source.as_str(),
            event_key: event.key,
            change,
            document,
        }))
    }

    fn stays(&self) -> impl Iterator<Item = (&Self, &Stay)> {
        self.change.stays.iter().map(move |stay| (self, stay))
    }
}

/// Writes it all by one statement; `false` if a lease was lost, or an event was there already.
async fn write_together(
    mut queries: &AsyncPgConnection,
    environment: &dyn Environment,
    made: &[Made<'_>],
) -> Done<bool> {
    // Counts are kept by the second at most, as in `register/rows.rs`.
    const WRITE: &str = "with input as materialized (select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
            $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) as input (tenant_id, operation_id, fence, at, chat_id, \
            group_name, invitation, event_key, event_source, event_at, event_body, last_event_at, status, is_active, \
            title, updated_at, document, registered_at, delta_id, active, inactive)), \
        event as (insert into chat_events (tenant_id, chat_id, key, source, at, recorded_at, body) \
            select tenant_id, chat_id, event_key, event_source, event_at, at, event_body from input \
            on conflict do nothing returning 1), \
        chat as (update chats set provider_chat_id = input.group_name, invitation = input.invitation, \
            last_event_at = input.last_event_at, status = input.status, is_active = input.is_active, \
            title = input.title, updated_at = input.updated_at, document = input.document, document_version = $22, \
            version = version + 1 \
            from input where chats.tenant_id = input.tenant_id and chats.id = input.chat_id), \
        ended as (update operations set state = $23, completed_at = input.at, error = null, lease_owner = null, \
            lease_until = null, updated_at = input.at from input \
            where operations.tenant_id = input.tenant_id and operations.id = input.operation_id \
                and operations.fence = input.fence and operations.state = 'running' returning 1), \
        stay as (insert into participations (tenant_id, chat_id, person_id, ordinal, joined_at) \
            select * from unnest($24, $25, $26, $27, $28)), \
        delta as (insert into chat_count_deltas (tenant_id, id, registered_at, active, inactive) \
            select tenant_id, (array_agg(delta_id))[1], second, sum(active)::bigint, sum(inactive)::bigint \
            from (select *, registered_at - mod(mod(registered_at, 1000) + 1000, 1000) as second from input) as by_second \
            group by tenant_id, second) \
        select (select count(*) from event), (select count(*) from ended)";
    fn column<'a, T>(made: &'a [Made<'a>], of: impl Fn(&'a Made<'a>) -> T) -> Vec<T> {
        made.iter().map(of).collect()
    }
    let stays: Vec<(&Made<'_>, &Stay)> = made.iter().flat_map(Made::stays).collect();
    let counts = |made: &Made<'_>| made.change.counts.unwrap_or_default();
    let (events, ended): (i64, i64) = Sql::<(BigInt, BigInt)>::new(WRITE)
        .bind::<Array<Text>, _>(column(made, |one| one.making.lease.tenant.as_str()))
        .bind::<Array<SqlUuid>, _>(column(made, |one| one.making.lease.operation_id.0))
        .bind::<Array<BigInt>, _>(column(made, |one| one.making.lease.fence))
        .bind::<Array<BigInt>, _>(column(made, |one| one.making.at.as_millis()))
        .bind::<Array<SqlUuid>, _>(column(made, |one| one.change.record.chat.id.0))
        .bind::<Array<Text>, _>(column(made, |one| one.making.group.provider_chat_id.as_str()))
        .bind::<Array<Text>, _>(column(made, |one| one.making.invitation.as_str()))
        .bind::<Array<Text>, _>(column(made, |one| one.event_key.as_str()))
        .bind::<Array<Text>, _>(column(made, |one| one.event_source))
        .bind::<Array<BigInt>, _>(column(made, |one| one.event_at))
        .bind::<Array<Text>, _>(column(made, |one| one.event_body.as_str()))
        .bind::<Array<BigInt>, _>(column(made, |one| one.change.record.last_event_at.as_millis()))
        .bind::<Array<Text>, _>(column(made, |one| one.change.record.chat.status.as_str()))
        .bind::<Array<Bool>, _>(column(made, |one| one.change.record.chat.is_active))
        .bind::<Array<Text>, _>(column(made, |one| one.change.record.chat.current_title().unwrap_or_default()))
        .bind::<Array<BigInt>, _>(column(made, |one| one.change.record.chat.updated_at.as_millis()))
        .bind::<Array<Text>, _>(column(made, |one| one.document.as_str()))
        .bind::<Array<BigInt>, _>(column(made, |one| one.change.record.chat.registered_at.as_millis()))
        .bind::<Array<SqlUuid>, _>(column(made, |_| environment.new_uuid()))
        .bind::<Array<BigInt>, _>(column(made, |one| counts(one).active))
        .bind::<Array<BigInt>, _>(column(made, |one| counts(one).inactive))
        .bind::<Integer, _>(DOCUMENT_VERSION)
        .bind::<Text, _>(OperationStatus::Succeeded.as_str())
        .bind::<Array<Text>, _>(stays.iter().map(|(one, _)| one.making.lease.tenant.as_str()).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(stays.iter().map(|(one, _)| one.change.record.chat.id.0).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(stays.iter().map(|(_, stay)| stay.person.0).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(stays.iter().map(|(_, stay)| stay.ordinal).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(stays.iter().map(|(_, stay)| stay.joined_at.as_millis()).collect::<Vec<_>>())
        .get_result(&mut queries)
        .await?;
    let all = i64::try_from(made.len()).unwrap_or(i64::MAX);
    Ok((events, ended) == (all, all))
}
