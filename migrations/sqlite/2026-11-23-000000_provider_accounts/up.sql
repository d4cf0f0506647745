-- Accounts of messengers. Each is held by one process at a time, under a lease with a fence.
create table provider_accounts (
    id             blob   not null primary key,
    service        text   not null,
    name           text   not null, -- what operators call it
    tenants        text   not null, -- whose groups it makes: names, separated by blanks; none: everybody's
    secret         blob, -- what opens it, sealed
    external_id    text, -- the messenger's own name for it
    condition      text   not null,
    reason         text, -- why it can't be used
    cooldown_until bigint, -- until when it takes no calls
    lease_owner    text,
    lease_until    bigint,
    fence          bigint not null, -- grows with every lease; a write of an older one changes nothing
    feed           text, -- how far its feed has been taken in, as the provider writes it
    fed_at         bigint, -- when the feed last told that it is taken in
    unique (service, name)
);

-- Which account makes a chat's group, and once there is one, the group.
create table provider_groups (
    tenant_id        text   not null,
    chat_id          blob   not null,
    account_id       blob   not null, -- of an account that may have been deleted since
    service          text   not null,
    placed_at        bigint not null, -- when the account was chosen, or the group made
    provider_chat_id text,
    state            text, -- what the provider keeps of the group
    primary key (tenant_id, chat_id),
    foreign key (tenant_id, chat_id) references chats (tenant_id, id)
);

create index provider_groups_by_account on provider_groups (account_id, placed_at);
create unique index provider_groups_by_name on provider_groups (service, provider_chat_id)
    where provider_chat_id is not null;

-- What an account needs to speak of others.
create table provider_peers (
    account_id blob not null references provider_accounts (id) on delete cascade,
    name       text not null,
    state      text not null,
    primary key (account_id, name)
);
