//! The tables, as `migrations/sqlite` makes them; a test compares.

diesel::table! {
    tokens (id) {
        id -> Binary,
        tenant_id -> Text,
        subject -> Text,
        scopes -> Text,
        prefix -> Text,
        hash -> Binary,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    chats (tenant_id, id) {
        tenant_id -> Text,
        id -> Binary,
        service -> Text,
        provider_chat_id -> Nullable<Text>,
        status -> Text,
        is_active -> Bool,
        title -> Text,
        description -> Nullable<Text>,
        created_by -> Nullable<Text>,
        registered_at -> BigInt,
        updated_at -> BigInt,
        last_event_at -> BigInt,
        version -> BigInt,
        invitation -> Nullable<Text>,
        registration_hash -> Binary,
        operation_id -> Binary,
        document -> Text,
        document_version -> Integer,
    }
}

diesel::table! {
    chat_events (tenant_id, chat_id, key) {
        tenant_id -> Text,
        chat_id -> Binary,
        key -> Text,
        source -> Text,
        at -> BigInt,
        recorded_at -> BigInt,
        body -> Text,
    }
}

diesel::table! {
    people (tenant_id, id) {
        tenant_id -> Text,
        id -> Binary,
        service -> Text,
        external_id -> Text,
    }
}

diesel::table! {
    participations (tenant_id, chat_id, person_id, ordinal) {
        tenant_id -> Text,
        chat_id -> Binary,
        person_id -> Binary,
        ordinal -> Integer,
        joined_at -> BigInt,
        left_at -> Nullable<BigInt>,
        invited_by -> Nullable<Binary>,
        end_reason -> Nullable<Text>,
        removed_by -> Nullable<Binary>,
    }
}

diesel::table! {
    operations (tenant_id, id) {
        tenant_id -> Text,
        id -> Binary,
        chat_id -> Binary,
        kind -> Text,
        person_id -> Nullable<Binary>,
        lane -> Text,
        state -> Text,
        attempts -> Integer,
        created_at -> BigInt,
        updated_at -> BigInt,
        next_attempt_at -> BigInt,
        completed_at -> Nullable<BigInt>,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        fence -> BigInt,
        progress -> Nullable<Text>,
        error -> Nullable<Text>,
        origin -> Nullable<Text>,
    }
}

diesel::table! {
    idempotency_keys (tenant_id, route, key) {
        tenant_id -> Text,
        route -> Text,
        key -> Text,
        request_hash -> Binary,
        chat_id -> Binary,
        operation_id -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    chat_counts (tenant_id, level, bucket_start) {
        tenant_id -> Text,
        level -> SmallInt,
        bucket_start -> BigInt,
        active -> BigInt,
        inactive -> BigInt,
        is_split -> Bool,
    }
}

diesel::table! {
    sandbox_groups (code) {
        code -> Text,
        tenant_id -> Text,
        chat_id -> Binary,
        version -> BigInt,
        state -> Text,
    }
}

diesel::table! {
    sandbox_events (code, version, ordinal) {
        code -> Text,
        version -> BigInt,
        ordinal -> Integer,
        body -> Text,
    }
}

diesel::table! {
    provider_accounts (id) {
        id -> Binary,
        service -> Text,
        name -> Text,
        tenants -> Text,
        secret -> Nullable<Binary>,
        external_id -> Nullable<Text>,
        condition -> Text,
        reason -> Nullable<Text>,
        cooldown_until -> Nullable<BigInt>,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        fence -> BigInt,
        feed -> Nullable<Text>,
        fed_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    provider_groups (tenant_id, chat_id) {
        tenant_id -> Text,
        chat_id -> Binary,
        account_id -> Binary,
        service -> Text,
        placed_at -> BigInt,
        provider_chat_id -> Nullable<Text>,
        state -> Nullable<Text>,
    }
}

diesel::table! {
    provider_peers (account_id, name) {
        account_id -> Binary,
        name -> Text,
        state -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    chats,
    chat_events,
    people,
    participations,
    operations,
    idempotency_keys,
    sandbox_groups,
    provider_accounts,
    provider_groups,
    provider_peers,
);
