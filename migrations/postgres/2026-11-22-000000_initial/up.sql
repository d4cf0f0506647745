-- Instants are milliseconds since the Unix epoch, UTC: the contract's precision, and the same on both databases.
-- Texts that are sorted or compared sort by code point (collation "C"), as the contract asks for.

-- Bearer tokens. The secret itself is not kept, only its hash; it is found by its public prefix.
create table tokens (
    id         uuid   not null primary key,
    tenant_id  text   not null,
    subject    text   not null,
    scopes     text   not null, -- names, separated by blanks
    prefix     text   not null unique,
    hash       bytea  not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);

create table chats (
    tenant_id         text    not null collate "C",
    id                uuid    not null,
    service           text    not null collate "C",
    provider_chat_id  text             collate "C",
    status            text    not null,
    is_active         boolean not null,
    title             text    not null collate "C", -- the current one
    description       text,
    created_by        text             collate "C",
    registered_at     bigint  not null,
    updated_at        bigint  not null,
    last_event_at     bigint  not null, -- up to where the events are in the document
    version           bigint  not null, -- how often the document was replaced
    invitation        text,
    registration_hash bytea   not null, -- what a repeated registration is compared with
    operation_id      uuid    not null, -- the work that makes its group
    document          text    not null, -- the contract's JSON, finished
    document_version  integer not null, -- the form of that JSON
    primary key (tenant_id, id)
) with (fillfactor = 85);

create index chats_by_registration on chats (tenant_id, registered_at, id);
create index chats_by_activity on chats (tenant_id, is_active, registered_at, id);
create index chats_by_title on chats (tenant_id, title, id);
create index chats_by_creator on chats (tenant_id, created_by nulls first, id);
create unique index chats_by_provider on chats (service, provider_chat_id) where provider_chat_id is not null;
create index chats_by_document_version on chats (document_version);

-- Everything that was ever learnt about a chat. The record is computed from it.
create table chat_events (
    tenant_id   text   not null collate "C",
    chat_id     uuid   not null,
    key         text   not null collate "C",
    source      text   not null,
    at          bigint not null,
    recorded_at bigint not null,
    body        text   not null, -- JSON: what happened
    primary key (tenant_id, chat_id, key),
    foreign key (tenant_id, chat_id) references chats (tenant_id, id)
);

-- Who is behind a participant's id.
create table people (
    tenant_id   text not null collate "C",
    id          uuid not null,
    service     text not null collate "C",
    external_id text not null collate "C",
    primary key (tenant_id, id),
    unique (tenant_id, service, external_id)
);

-- Every stay, derived from the events, for questions by person and by time.
create table participations (
    tenant_id  text    not null collate "C",
    chat_id    uuid    not null,
    person_id  uuid    not null,
    ordinal    integer not null, -- which stay of that person in that chat, from 0
    joined_at  bigint  not null,
    left_at    bigint,
    invited_by uuid,
    end_reason text,
    removed_by uuid,
    primary key (tenant_id, chat_id, person_id, ordinal),
    foreign key (tenant_id, chat_id) references chats (tenant_id, id),
    foreign key (tenant_id, person_id) references people (tenant_id, id)
);

create index participations_by_person on participations (tenant_id, person_id, joined_at);

-- Work that outlives the request that asked for it.
create table operations (
    tenant_id       text    not null collate "C",
    id              uuid    not null,
    chat_id         uuid    not null,
    kind            text    not null,
    person_id       uuid, -- whom to remove
    lane            text    not null collate "C", -- who can drive it
    state           text    not null,
    attempts        integer not null,
    created_at      bigint  not null,
    updated_at      bigint  not null,
    next_attempt_at bigint  not null, -- when it is due, while it waits
    completed_at    bigint,
    lease_owner     text,
    lease_until     bigint,
    fence           bigint  not null, -- grows with every claim; a write of an older one changes nothing
    progress        text, -- JSON: what has been done of it
    error           text, -- JSON: why it was given up
    primary key (tenant_id, id),
    foreign key (tenant_id, chat_id) references chats (tenant_id, id)
) with (fillfactor = 70);

create index operations_due on operations (lane, tenant_id, next_attempt_at)
    where state in ('pending', 'waitingForProvider');
create index operations_leased on operations (lease_until) where state = 'running';
create index operations_completed on operations (completed_at) where completed_at is not null;
create unique index operations_one_removal on operations (tenant_id, chat_id, person_id)
    where kind = 'removeParticipant' and state not in ('succeeded', 'failed');

-- The answer that a key got, to be given again.
create table idempotency_keys (
    tenant_id    text   not null collate "C",
    route        text   not null collate "C", -- method and path
    key          text   not null collate "C",
    request_hash bytea  not null,
    chat_id      uuid   not null,
    operation_id uuid   not null,
    created_at   bigint not null,
    primary key (tenant_id, route, key)
);

create index idempotency_keys_by_age on idempotency_keys (created_at);

-- How many chats were registered in a span of time; level 0 is all time, 1 a day, 2 an hour, 3 a minute, 4 a second.
-- A span is split into those of the next level once it holds more than 5,000 chats.
create table chat_counts (
    tenant_id    text     not null collate "C",
    level        smallint not null,
    bucket_start bigint   not null,
    active       bigint   not null,
    inactive     bigint   not null,
    is_split     boolean  not null,
    primary key (tenant_id, level, bucket_start)
);

-- Changes that are not in chat_counts yet: inserted by writers, so that no two of them wait for one row.
create table chat_count_deltas (
    tenant_id     text   not null collate "C",
    id            uuid   not null,
    registered_at bigint not null,
    active        bigint not null,
    inactive      bigint not null,
    primary key (tenant_id, id)
);

-- Where the sandbox keeps its groups; a chat has one at most, whoever was frozen while making it.
create table sandbox_groups (
    code      text   not null primary key collate "C",
    tenant_id text   not null collate "C",
    chat_id   uuid   not null,
    version   bigint not null,
    state     text   not null,
    unique (tenant_id, chat_id)
);

-- What happened in them and is not in chat_events yet.
create table sandbox_events (
    code    text    not null collate "C",
    version bigint  not null,
    ordinal integer not null,
    body    text    not null,
    primary key (code, version, ordinal)
);
