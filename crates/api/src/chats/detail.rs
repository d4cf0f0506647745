//! `GET /api/v1/private/chats/{chatId}`: everything that the record holds of a chat.

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use convoke_domain::{ChatId, Scope};
use convoke_store::Position;

use crate::{
    auth::Caller,
    chats,
    entity_tag::EntityTag,
    input::Mistakes,
    path, position,
    problem::{Problem, ProblemBody},
    query_string,
    state::ApiState,
};

/// Get a chat
///
/// Everything that the record holds: every title the chat has had, everybody who has ever been in, and every stay of
/// each.
#[utoipa::path(
    tag = "chats",
    security(("bearer" = ["chats:read"])),
    params(
        ("chatId" = ChatId, Path, description = "The chat.", example = "9a983789-1709-4543-aa31-a02867680017"),
        ("If-None-Match" = Option<String>, Header,
            description = "Tags of representations that the client has already (RFC 9110)."),
        ("Convoke-Position" = Option<String>, Header, min_length = 16, max_length = 16, pattern = "^[0-9a-f]{16}$",
            description = "The position that the answer to a write told: what is read is at or after it."),
    ),
    responses(
        (status = 200, description = "The chat.", body = convoke_domain::Chat,
            headers(("ETag" = String, description = "The tag of this representation.")),
            links(
                ("invitation" = (operation_id = "get_chat_invitation",
                    parameters(("chatId" = "$response.body#/id")))),
                ("removal" = (operation_id = "remove_participant", parameters(
                    ("chatId" = "$response.body#/id"), ("participantId" = "$response.body#/participants/1/id")))),
            )),
        (status = 304, description = "The client has this representation already.",
            headers(("ETag" = String, description = "The tag of this representation."))),
        (status = 404, description = "`chat-not-found`.",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
#[get("/chats/{chatId}")]
pub(crate) async fn get_chat(state: web::Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = Caller::with_scope(&request, Scope::ChatsRead)?;
    let (id, position) = parse(&request)?;
    let reader = state.store.as_fresh_as(position::freshness(&state, &caller, position));
    let chat = reader.find_chat(&caller.tenant, id).await?.ok_or_else(chats::not_found)?;
    let tag = EntityTag::of(&chat);
    let known = tag.is_known_to(request.headers());
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((header::ETAG, tag.header_value()))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"));
    // The document goes out as it was stored.
    Ok(if known { answer.finish() } else { answer.content_type("application/json").body(chat.json) })
}

fn parse(request: &HttpRequest) -> Result<(ChatId, Option<Position>), Problem> {
    let mut mistakes = Mistakes::default();
    let id = path::id(request, "chatId", &mut mistakes);
    query_string::must_be_empty(request, &mut mistakes);
    let position = position::sent(request.headers(), &mut mistakes);
    mistakes.accept(id.map(|id| (id, position)))
}
