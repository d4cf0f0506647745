//! `GET /api/v1/private/chats/{chatId}/invitation`: the link that leads into a chat.

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use convoke_domain::{ChatId, ChatStatus, Scope, Service};
use convoke_store::{ChatInvitation, Freshness, Position};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    admission::Admission,
    auth::Caller,
    chats,
    input::Mistakes,
    path, position,
    prefer::{PREFERENCE_APPLIED, Wait},
    problem::{Problem, ProblemBody, ProblemKind},
    query_string,
    state::ApiState,
    wait,
};

/// The way into a chat.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    /// The messenger.
    #[schema(example = "telegram")]
    service: Service,
    /// The link.
    #[schema(format = "uri", example = "https://t.me/+AbCdEfGhIjKlMnOp")]
    invitation: String,
}

/// Get the invitation to a chat
///
/// The link that leads into the chat, from what is stored; the messenger is not asked. While the chat is being made there
/// is none yet: try again, or send `Prefer: wait=30` and the answer waits for it.
#[utoipa::path(
    tag = "chats",
    security(("bearer" = ["chats:read"])),
    params(
        ("chatId" = ChatId, Path, description = "The chat.", example = "9a983789-1709-4543-aa31-a02867680017"),
        ("Prefer" = Option<String>, Header, example = "wait=10",
            description = "`wait=N`: wait up to N seconds (at most 30) until the chat is active (RFC 7240)."),
        ("Convoke-Position" = Option<String>, Header, min_length = 16, max_length = 16, pattern = "^[0-9a-f]{16}$",
            description = "The position that the answer to a write told: what is read is at or after it."),
    ),
    responses(
        (status = 200, description = "The invitation.", body = Invitation,
            headers(("Preference-Applied" = String, description = "`wait=N`, as it was applied."))),
        (status = 404, description = "`chat-not-found`.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`chat-not-ready`: the chat is still being made.",
            body = ProblemBody, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "After how many seconds to try again."))),
        (status = 410, description = "`chat-closed`: the chat has come to its end, or could not be made.",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
#[get("/chats/{chatId}/invitation")]
pub(crate) async fn get_chat_invitation(
    state: web::Data<ApiState>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::with_scope(&request, Scope::ChatsRead)?;
    let (id, position) = parse(&request)?;
    let wait = Wait::asked_by(&request);
    // Who waits for news does not want to hear of it late.
    let freshness = if wait.is_some() { Freshness::Newest } else { position::freshness(&state, &caller, position) };
    let reader = state.store.as_fresh_as(freshness);
    let look = || async { reader.find_invitation(&caller.tenant, id).await?.ok_or_else(chats::not_found) };
    let found = match wait {
        Some(wait) => {
            Admission::leave(&request);
            wait::until(&state, id, wait, look, |found| found.status != ChatStatus::Provisioning).await?
        }
        None => look().await?,
    };
    let invitation = invitation(&state, found)?;
    let mut answer = HttpResponse::Ok();
    if let Some(wait) = wait {
        answer.insert_header((PREFERENCE_APPLIED, wait.applied()));
    }
    Ok(answer.insert_header((header::CACHE_CONTROL, "no-store")).json(invitation))
}

fn parse(request: &HttpRequest) -> Result<(ChatId, Option<Position>), Problem> {
    let mut mistakes = Mistakes::default();
    let id = path::id(request, "chatId", &mut mistakes);
    query_string::must_be_empty(request, &mut mistakes);
    let position = position::sent(request.headers(), &mut mistakes);
    mistakes.accept(id.map(|id| (id, position)))
}

fn invitation(state: &ApiState, found: ChatInvitation) -> Result<Invitation, Problem> {
    match (found.status, found.link) {
        (ChatStatus::Closed | ChatStatus::Failed, _) => {
            Err(Problem::new(ProblemKind::ChatClosed, "The chat has come to its end, or could not be made."))
        }
        // The sandbox's links are paths of this service, wherever it is reached.
        (ChatStatus::Active, Some(path)) if path.starts_with('/') => {
            Ok(Invitation { service: found.service, invitation: format!("{}{path}", state.settings.public_url) })
        }
        (ChatStatus::Active, Some(link)) => Ok(Invitation { service: found.service, invitation: link }),
        (ChatStatus::Provisioning, _) | (ChatStatus::Active, None) => {
            Err(Problem::new(ProblemKind::ChatNotReady, "The chat is still being made."))
        }
    }
}
