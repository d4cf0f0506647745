//! `DELETE /api/v1/private/chats/{chatId}/participants/{participantId}`: a participant is to be removed.

use actix_web::{HttpRequest, HttpResponse, delete, http::header, web};
use convoke_domain::{ChatId, OperationId, ParticipantId, Scope};
use convoke_store::{NewRemoval, Removal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    audit,
    auth::Caller,
    chats, frame,
    idempotency::{self, IDEMPOTENCY_REPLAYED},
    input::Mistakes,
    operations, path, position,
    problem::{Problem, ProblemBody, ProblemKind},
    query_string,
    state::ApiState,
};

/// A removal that was accepted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedRemoval {
    /// The chat.
    #[schema(example = "9a983789-1709-4543-aa31-a02867680017")]
    id: ChatId,
    /// The work that removes the participant.
    #[schema(example = "3322d043-4f3c-4a85-92fc-4c6876cd9442")]
    operation_id: OperationId,
}

/// Remove a participant
///
/// The participant's stay ends when the messenger confirms the removal; follow the operation to see when. Removing
/// somebody who is out already is accepted and done at once; so is asking again while the removal is under way.
#[utoipa::path(
    tag = "participants",
    security(("bearer" = ["chats:write"])),
    params(
        ("chatId" = ChatId, Path, description = "The chat.", example = "9a983789-1709-4543-aa31-a02867680017"),
        ("participantId" = ParticipantId, Path, description = "Whom to remove.",
            example = "5a9b042b-36ca-4aab-ba50-7ceda030d33f"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            description = "A key of the client's own: the same request again under the same key is not done again, but \
                answered as the first one was. Kept for 24 hours at least."),
    ),
    responses(
        (status = 202, description = "The removal is accepted.", body = AcceptedRemoval,
            headers(
                ("Location" = String, description = "Where the operation is."),
                ("Idempotency-Replayed" = String, description = "`true` if the request was accepted before."),
                ("Convoke-Position" = String, description = "Where there are replicas, a position after this write, for the reads that \
                    are to see it."),
            ),
            links(
                ("operation" = (operation_id = "get_operation",
                    parameters(("operationId" = "$response.body#/operationId")))),
                ("chat" = (operation_id = "get_chat", parameters(("chatId" = "$response.body#/id")))),
            )),
        (status = 404, description = "`chat-not-found` or `participant-not-found`.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`chat-not-active`, `participant-is-owner` or `request-in-progress`.",
            body = ProblemBody, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "After how many seconds to try again, if that helps."))),
        (status = 422, description = "`idempotency-key-reused`: another request was made under this key.",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
#[delete("/chats/{chatId}/participants/{participantId}")]
pub(crate) async fn remove_participant(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::with_scope(&request, Scope::ChatsWrite)?;
    let removal = parse(&state, &request)?;
    let (chat_id, participant_id) = (removal.chat_id, removal.participant_id);
    let removed = state.store.request_removal(&caller.tenant, removal).await;
    position::wrote(&state, &caller);
    let mut answer = match removed? {
        Removal::Accepted(operation_id) => {
            audit::removal_requested(&request, &caller, chat_id, participant_id, operation_id);
            answer(chat_id, operation_id, false)
        }
        Removal::RepeatedKey(operation_id) => answer(chat_id, operation_id, true),
        refused => return Err(problem(&refused)),
    };
    position::tell(&state, &mut answer).await;
    Ok(answer)
}

/// Why nobody is to be removed.
fn problem(refused: &Removal) -> Problem {
    match refused {
        Removal::KeyReused => idempotency::reused(),
        Removal::NoSuchChat => chats::not_found(),
        Removal::NoSuchParticipant => {
            Problem::new(ProblemKind::ParticipantNotFound, "Nobody of this id has ever been in this chat.")
        }
        Removal::NotActive(status) => {
            let detail = format!("Nobody can be removed: the chat's status is '{}'.", status.as_str());
            Problem::new(ProblemKind::ChatNotActive, detail)
        }
        Removal::IsOwner => {
            Problem::new(ProblemKind::ParticipantIsOwner, "The account that made the group can't be removed.")
        }
        Removal::Accepted(_) | Removal::RepeatedKey(_) => unreachable!("they are no refusals"),
    }
}

fn parse(state: &ApiState, request: &HttpRequest) -> Result<NewRemoval, Problem> {
    let mut mistakes = Mistakes::default();
    let chat_id = path::id::<ChatId>(request, "chatId", &mut mistakes);
    let participant_id = path::id::<ParticipantId>(request, "participantId", &mut mistakes);
    query_string::must_be_empty(request, &mut mistakes);
    let key = idempotency::key(request.headers(), &mut mistakes);
    let (chat_id, participant_id) = mistakes.accept(chat_id.zip(participant_id))?;
    let route = format!("DELETE {}/participants/{participant_id}", chats::location(chat_id));
    Ok(NewRemoval {
        chat_id,
        participant_id,
        operation_id: OperationId(state.environment.new_ordered_uuid()),
        at: state.environment.now(),
        // The route is the whole request: there is nothing in it that could differ.
        idempotency: idempotency::kept(key, &route, &()),
        origin: Some(frame::origin(request)),
    })
}

fn answer(id: ChatId, operation_id: OperationId, replayed: bool) -> HttpResponse {
    let mut answer = HttpResponse::Accepted();
    answer.insert_header((header::LOCATION, operations::location(operation_id)));
    if replayed {
        answer.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
    answer.json(AcceptedRemoval { id, operation_id })
}
