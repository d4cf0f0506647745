drop table sandbox_events, sandbox_groups, chat_count_deltas, chat_counts, idempotency_keys, operations,
    participations, people, chat_events, chats, tokens;
