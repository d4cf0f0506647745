//! What every store does, whichever database it is on. A behaviour is a function of a [`world::World`], named in the table
//! below, and runs on each database as a test of its own, with a database of its own. After each, everything that is
//! derived is rebuilt from the events and compared (see [`world::check`]).

mod accounts;
mod backup;
mod events;
mod examine;
mod keys;
mod lanes;
mod lease_model;
mod list_model;
mod lists;
mod opening;
mod operations;
mod operators;
mod outcomes;
mod placements;
mod registration;
mod removals;
mod sandbox;
mod snapshots;
mod stays;
mod together;
mod tokens;
mod upkeep;
mod walks;
mod world;

macro_rules! behaviours {
    ($($room:ident { $($behaviour:ident),+ $(,)? })+) => {
        behaviours!(@on sqlite Sqlite $($room { $($behaviour),+ })+);
        behaviours!(@on postgres Postgres $($room { $($behaviour),+ })+);
    };
    (@on $module:ident $database:ident $($room:ident { $($behaviour:ident),+ })+) => {
        mod $module {
            $(mod $room {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $behaviour() {
                    use crate::world::{Database, World, check};
                    check(Database::$database, async |world: &mut World| crate::$room::$behaviour(world).await).await;
                })+
            })+
        }
    };
}

behaviours! {
    registration {
        a_registered_chat_is_there_with_its_first_title,
        what_is_absent_is_left_out,
        a_registration_outlives_the_store,
        the_same_id_with_the_same_registration_is_answered_as_before,
        a_repeated_id_is_compared_with_what_was_accepted_and_not_with_the_title_of_today,
        the_same_id_with_any_other_content_is_taken,
        the_same_id_is_free_in_another_tenant,
        of_many_registrations_of_one_id_at_once_one_is_new,
        many_registrations_at_once_are_all_there,
        a_registration_that_can_not_be_kept_harms_nobody,
        another_tenants_chat_is_not_there,
    }
    keys {
        a_repeated_key_is_answered_as_before,
        a_repeated_key_shows_the_status_of_now,
        a_key_with_another_request_is_reused,
        a_key_is_one_for_each_route_and_tenant,
        a_key_outlives_the_store,
        a_key_that_came_with_a_repeated_id_is_kept,
        a_key_whose_request_was_refused_is_free,
        of_many_requests_with_one_key_at_once_one_is_new,
        of_different_requests_with_one_key_at_once_one_is_new,
        keys_that_are_taken_at_once_in_any_order_are_one_chat_each,
    }
    lists {
        an_empty_tenant_has_an_empty_list,
        the_newest_comes_first_where_nothing_is_said,
        titles_sort_by_code_point,
        absent_creators_come_before_present_ones,
        every_field_sorts_both_ways_with_the_id_as_tie_breaker,
        combined_orders_hold,
        filters_hold_alone_and_together,
        dates_are_inclusive_to_the_millisecond,
        ids_that_are_not_there_match_nothing,
        pages_are_cut_where_they_should_be,
        a_list_shows_the_documents_of_the_details,
        a_list_holds_one_tenants_chats,
    }
    list_model {
        any_page_of_a_crowded_tenant_is_the_one_a_plain_vector_gives,
    }
    snapshots {
        totals_and_records_are_of_one_moment_while_others_write,
    }
    together {
        chats_asked_for_at_once_are_each_the_right_one,
        pages_asked_for_at_once_are_each_the_right_one,
        attempts_that_end_at_once_are_each_what_they_are,
    }
    walks {
        a_walk_sees_each_chat_once_while_others_register,
        a_walk_ends_on_a_full_page,
        a_walk_may_change_its_size_and_filter,
        a_walk_goes_on_behind_any_position,
    }
    events {
        a_renamed_chat_keeps_every_title,
        names_that_are_seen_are_learnt,
        a_closed_chat_ends_every_stay_and_takes_no_more,
        repeated_events_change_nothing,
        late_events_fall_into_their_place,
        events_of_unknown_groups_are_passed_over,
        a_person_has_one_id_in_all_chats_of_a_tenant,
        a_person_who_appears_in_many_chats_at_once_has_one_id,
        overlapping_batches_at_once_make_one_record,
        control_characters_are_left_out,
        whoever_watches_a_chat_is_woken,
    }
    stays {
        somebody_who_joins_is_in_the_record,
        somebody_who_leaves_is_out_and_may_come_again,
        somebody_who_is_removed_is_out_with_who_did_it,
        whoever_brought_somebody_in_is_told,
        members_who_were_told_before_the_chat_is_active_are_kept,
    }
    removals {
        a_removal_is_accepted_as_work_to_be_done,
        what_is_unknown_can_not_be_removed,
        nobody_is_removed_from_a_closed_chat,
        the_owner_can_not_be_removed,
        whoever_is_out_already_gets_a_new_operation_that_has_succeeded,
        whoever_left_while_the_removal_is_under_way_is_out_already,
        a_removal_under_way_is_answered_with_its_operation,
        removals_at_once_agree_on_one_operation,
        a_removal_may_be_asked_for_again_once_the_person_is_back,
        removal_keys_are_kept,
        of_many_removals_with_one_key_at_once_all_get_one_answer,
    }
    operations {
        a_claim_takes_what_is_to_be_done_under_a_lease,
        work_is_told_with_the_request_that_asked_for_it,
        open_operations_are_counted_by_kind_and_state,
        a_claim_takes_only_its_lanes,
        a_claim_takes_only_what_is_due_and_the_longest_due_first,
        a_claim_takes_no_more_than_its_limit,
        one_tenants_queue_does_not_starve_another,
        tenants_are_served_in_turn,
        claims_at_once_share_nothing,
        progress_is_given_to_the_next_claim,
        a_chat_is_made_under_the_title_it_was_registered_with,
        an_extended_lease_is_not_swept,
        an_expired_lease_is_swept_and_the_attempt_counts,
        a_released_lease_counts_as_an_attempt,
        a_stale_lease_changes_nothing,
        whoever_waits_for_work_is_woken,
    }
    lanes {
        a_moved_operation_is_due_in_its_new_lane,
        of_a_lane_one_operation_is_claimed_at_a_time,
        tenants_are_served_in_turn_in_each_lane,
        work_of_a_deleted_account_waits_for_any_account,
        nothing_moves_into_the_lane_of_an_account_that_is_gone,
        what_waits_for_an_account_is_due_when_one_is_saved,
    }
    outcomes {
        a_chat_that_is_made_is_active_with_its_owner_and_invitation,
        a_postponed_attempt_waits_and_counts_if_it_was_one,
        a_creation_that_is_given_up_fails_the_chat,
        a_removal_that_is_given_up_leaves_the_chat_as_it_is,
        a_confirmed_removal_ends_the_stay,
        a_removal_of_somebody_who_is_gone_succeeds_without_events,
        a_removal_tells_the_messengers_names,
        an_outcome_outlives_the_store,
    }
    operators {
        what_is_open_is_listed_waiting_longest_first,
        a_creation_that_failed_is_tried_again_and_its_chat_provisioned,
        what_was_begun_is_known_to_whoever_tries_again,
        only_what_failed_is_tried_again,
        of_many_who_try_again_at_once_one_does,
        a_removal_that_failed_is_tried_again_unless_another_one_is_under_way,
        what_waits_for_an_account_that_is_gone_is_tried_again_by_any,
        what_was_not_begun_is_cancelled,
        what_may_have_been_begun_is_not_cancelled,
        a_removal_that_is_cancelled_leaves_the_participation_as_it_is,
        a_claim_and_a_cancellation_at_once_share_nothing,
        whoever_waits_for_work_is_woken_by_a_retry,
    }
    lease_model {
        leases_follow_a_small_model,
    }
    upkeep {
        operations_are_deleted_once_they_have_been_kept_long_enough,
        keys_are_deleted_once_they_have_been_kept_long_enough,
        a_repeated_id_answers_when_its_operation_is_gone,
        much_that_has_expired_is_deleted_bit_by_bit,
        outdated_documents_are_rendered_when_they_are_read,
        outdated_documents_take_events_and_removals,
        outdated_documents_are_rewritten,
    }
    examine {
        a_wrong_document_is_found,
        a_wrong_column_is_found,
        a_wrong_stay_is_found,
        a_wrong_count_is_found,
        a_lost_event_is_found,
    }
    tokens {
        a_token_is_found_by_its_prefix,
        tokens_are_listed_newest_first,
        a_revoked_token_stays_revoked_as_it_was,
        a_prefix_is_one_tokens,
    }
    sandbox {
        a_group_is_kept_and_found,
        a_chat_has_one_group_at_most,
        a_group_shows_where_its_chat_stands,
        of_many_saves_of_one_version_one_wins,
        events_are_told_in_order_until_they_are_deleted,
        nothing_is_kept_of_a_save_that_came_too_late,
        whoever_waits_for_events_is_woken,
        a_person_keeps_their_id,
    }
    accounts {
        accounts_are_kept_under_their_names,
        an_account_that_is_saved_again_keeps_what_it_is,
        an_account_is_held_by_one_at_a_time,
        of_many_who_want_an_account_at_once_one_gets_it,
        a_lost_account_lease_changes_nothing,
        an_account_lease_outlives_the_store_where_others_may_serve,
        the_state_and_the_secret_are_the_holders_to_change,
        the_feed_and_the_groups_that_it_told_of_are_kept_together,
        a_group_is_its_accounts_while_that_is_kept,
        a_name_is_one_groups,
        whoever_is_in_is_told_by_the_record,
        what_an_account_knows_of_others_is_kept,
        only_an_account_that_is_there_is_deleted,
    }
    placements {
        the_least_used_account_is_chosen,
        an_account_makes_the_groups_of_its_tenants,
        only_usable_accounts_are_chosen,
        a_budget_lasts_for_24_hours,
        an_account_that_has_enough_groups_is_full,
        a_choice_stays_as_long_as_its_account_can_be_used,
        a_choice_counts_until_a_day_after_its_group_is_made,
        choices_are_counted_as_they_count,
        a_group_that_is_made_stays_with_its_account,
        tenants_that_wait_share_what_is_left,
        placements_at_once_keep_to_the_budget,
    }
    opening {
        an_empty_database_is_not_ready_until_it_is_migrated,
        each_migration_is_told,
        many_may_migrate_at_once,
        a_newer_schema_is_accepted,
        what_one_store_writes_another_one_sees,
    }
}
