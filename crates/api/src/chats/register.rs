//! `POST /api/v1/private/chats`: a chat is registered. The way through this file is that of every operation: authorise,
//! parse with every mistake collected, one call of the store, the answer.

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header, post, web};
use convoke_domain::{ChatId, ChatStatus, ChatTitle, CreatedBy, Description, OperationId, Scope, Service, TenantId};
use convoke_store::{AcceptedChat, ChatDocument, NewChat, Registration};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    admission::Admission,
    auth::Caller,
    body::{self, JsonObject},
    chats,
    entity_tag::EntityTag,
    frame,
    idempotency::{self, IDEMPOTENCY_REPLAYED},
    input::Mistakes,
    position,
    prefer::{PREFERENCE_APPLIED, Wait},
    problem::{Problem, ProblemBody, ProblemKind},
    query_string,
    state::{ApiSettings, ApiState},
    wait,
};

/// What is sent to register a chat.
// For the document only: the body is read member by member, so that every mistake can be named.
#[derive(ToSchema)]
#[schema(as = NewChat)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it describes the body in the OpenAPI document")]
pub(crate) struct NewChatBody {
    /// The title: 1–255 characters as sent, kept trimmed; no control characters, and not blank. Within the limit of the
    /// service too: Telegram takes 128 UTF-16 code units.
    #[schema(
        min_length = 1,
        max_length = 255,
        example = "Title of the chat",
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    title: String,
    /// Who has the chat registered. Blank is as if it were absent: then it is the token's subject, if that is no longer
    /// than this may be.
    #[schema(max_length = 50, example = "example created by", pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    created_by: Option<String>,
    /// What the chat is about. Line feeds and tabs are allowed, other control characters are not. Within the limit of the
    /// service too: Telegram takes 255 UTF-16 code units.
    #[schema(
        max_length = 255,
        example = "example description",
        pattern = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$"
    )]
    description: Option<String>,
    /// The messenger; without it, the default of the installation.
    #[schema(example = "sandbox")]
    service: Option<Service>,
    /// An id of the client's own choice: a UUID of version 4, new within the tenant. The same registration sent again
    /// under the same id changes nothing and is answered as the first one was.
    #[schema(value_type = Option<String>, format = Uuid, max_length = 36,
        example = "9a983789-1709-4543-aa31-a02867680017",
        pattern = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-4[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$")]
    id: Option<String>,
}

const MEMBERS: [&str; 5] = ["title", "createdBy", "description", "service", "id"];

/// A registration that was accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = AcceptedChat)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedChatBody {
    /// The chat.
    #[schema(example = "9a983789-1709-4543-aa31-a02867680017")]
    id: ChatId,
    /// The work that makes its group.
    #[schema(example = "3322d043-4f3c-4a85-92fc-4c6876cd9442")]
    operation_id: OperationId,
    /// Where the chat stands now.
    #[schema(example = "provisioning")]
    status: ChatStatus,
}

/// Register a chat
///
/// The chat is registered when the answer comes; its group is made after that. Follow `Location` until `status` is
/// `active`, or send `Prefer: wait=30` and the answer waits for it. To be safe against lost answers, send an
/// `Idempotency-Key`, or an `id` of your own, and repeat the request as it was. The path may end with a slash.
#[utoipa::path(
    tag = "chats",
    security(("bearer" = ["chats:write"])),
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            description = "A key of the client's own: the same request again under the same key is not done again, but \
                answered as the first one was. Kept for 24 hours at least."),
        ("Prefer" = Option<String>, Header, example = "wait=10",
            description = "`wait=N`: wait up to N seconds (at most 30) until the chat is active (RFC 7240)."),
    ),
    request_body(content = NewChatBody, description = "The chat to be made. At most 64 KiB."),
    responses(
        (status = 201, description = "The chat is active already: only if `Prefer: wait` was sent.",
            body = convoke_domain::Chat,
            headers(
                ("Location" = String, description = "Where the chat is."),
                ("ETag" = String, description = "The tag of this representation."),
                ("Preference-Applied" = String, description = "`wait=N`, as it was applied."),
                ("Idempotency-Replayed" = String, description = "`true` if the request was accepted before."),
                ("Convoke-Position" = String, description = "Where there are replicas, a position after this write, for the reads that \
                    are to see it."),
            ),
            links(
                ("chat" = (operation_id = "get_chat", parameters(("chatId" = "$response.body#/id")))),
                ("invitation" = (operation_id = "get_chat_invitation",
                    parameters(("chatId" = "$response.body#/id")))),
            )),
        (status = 202, description = "The chat is registered; its group is being made.", body = AcceptedChatBody,
            headers(
                ("Location" = String, description = "Where the chat is."),
                ("Idempotency-Replayed" = String, description = "`true` if the request was accepted before."),
                ("Convoke-Position" = String, description = "Where there are replicas, a position after this write, for the reads that \
                    are to see it."),
            ),
            links(
                ("chat" = (operation_id = "get_chat", parameters(("chatId" = "$response.body#/id")))),
                ("invitation" = (operation_id = "get_chat_invitation",
                    parameters(("chatId" = "$response.body#/id")))),
                ("operation" = (operation_id = "get_operation",
                    parameters(("operationId" = "$response.body#/operationId")))),
            )),
        (status = 409, description = "`provider-not-configured`, `chat-id-taken` or `request-in-progress`.",
            body = ProblemBody, content_type = "application/problem+json",
            headers(("Retry-After" = u32, description = "After how many seconds to try again, if that helps."))),
        (status = 413, description = "`body-too-large`.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`idempotency-key-reused`: another request was made under this key.",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
#[post("/chats")]
pub(crate) async fn register_chat(
    state: web::Data<ApiState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::with_scope(&request, Scope::ChatsWrite)?;
    let body = body::read(&request, payload).await?;
    state.admission.enter(&request, &caller).await?;
    let chat = parse(&state, &caller, &request, &body)?;
    let registration = state.store.register_chat(&caller.tenant, chat).await;
    position::wrote(&state, &caller);
    let (accepted, replayed) = match registration? {
        Registration::New(accepted) | Registration::RepeatedId(accepted) => (accepted, false),
        Registration::RepeatedKey(accepted) => (accepted, true),
        Registration::KeyReused => return Err(idempotency::reused()),
        Registration::IdTaken => {
            let detail = "Another registration was accepted under this id.";
            return Err(Problem::new(ProblemKind::ChatIdTaken, detail));
        }
    };
    let mut answer = match Wait::asked_by(&request) {
        Some(wait) => {
            Admission::leave(&request);
            match wait_for_chat(&state, &caller.tenant, accepted.chat_id, wait).await {
                Some(chat) if chat.status == ChatStatus::Active => active_answer(&accepted, chat, wait, replayed),
                Some(chat) => accepted_answer(&AcceptedChat { status: chat.status, ..accepted }, replayed),
                None => accepted_answer(&accepted, replayed),
            }
        }
        None => accepted_answer(&accepted, replayed),
    };
    position::tell(&state, &mut answer).await;
    Ok(answer)
}

/// Reads the whole request. A service that is not configured is told before anything else in the body is looked at.
fn parse(state: &ApiState, caller: &Caller, request: &HttpRequest, body: &[u8]) -> Result<NewChat, Problem> {
    let mut mistakes = Mistakes::default();
    query_string::must_be_empty(request, &mut mistakes);
    let key = idempotency::key(request.headers(), &mut mistakes);
    let NewChatSent { service, title, created_by, description, id } = read(body, &state.settings, mistakes)?;

    let created_by = created_by.or_else(|| CreatedBy::new(&caller.subject).ok().flatten());
    let idempotency =
        idempotency::kept(key, "POST /api/v1/private/chats", &(&title, &created_by, &description, service, id));
    Ok(NewChat {
        id: id.unwrap_or_else(|| ChatId(state.environment.new_uuid())),
        id_is_clients: id.is_some(),
        service,
        title,
        created_by,
        description,
        operation_id: OperationId(state.environment.new_ordered_uuid()),
        at: state.environment.now(),
        idempotency,
        origin: Some(frame::origin(request)),
    })
}

/// What a body says of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChatSent {
    /// The messenger, or the default one.
    pub service: Service,
    /// The title.
    pub title: ChatTitle,
    /// Who has it registered.
    pub created_by: Option<CreatedBy>,
    /// What it is about.
    pub description: Option<Description>,
    /// The id that the client chose.
    pub id: Option<ChatId>,
}

/// Reads a body, where these mistakes were made outside of it.
pub(crate) fn read(body: &[u8], settings: &ApiSettings, mut mistakes: Mistakes) -> Result<NewChatSent, Problem> {
    let Some(object) = mistakes.at_pointer("", JsonObject::parse(body)) else { return mistakes.accept(None) };
    let outside_is_right = mistakes.is_empty();

    let sent_service = object.text("service", &mut mistakes);
    let named_service = sent_service.and_then(|name| mistakes.at_pointer("/service", name.parse::<Service>()));
    let service_is_wrong = named_service.is_none() && object.has("service");
    // If the service is a mistake itself, the others are held to the limits that every service has.
    let fallback = if service_is_wrong { Service::Sandbox } else { settings.default_service };
    let service = named_service.unwrap_or(fallback);
    if outside_is_right && !service_is_wrong && !settings.configured_services.contains(&service) {
        let detail = format!("This installation is not set up for '{service}'.");
        return Err(Problem::new(ProblemKind::ProviderNotConfigured, detail));
    }

    let title = match object.text("title", &mut mistakes) {
        Some(sent) => mistakes.at_pointer("/title", ChatTitle::new(&sent, service)),
        None if object.has("title") => None,
        None => mistakes.at_pointer("/title", Err(body::missing())),
    };
    let sent_created_by = object.text("createdBy", &mut mistakes);
    let created_by =
        sent_created_by.and_then(|sent| mistakes.at_pointer("/createdBy", CreatedBy::new(&sent))).flatten();
    let sent_description = object.text("description", &mut mistakes);
    let description = sent_description
        .and_then(|sent| mistakes.at_pointer("/description", Description::new(&sent, service)))
        .flatten();
    let sent_id = object.text("id", &mut mistakes);
    let id = sent_id.and_then(|sent| mistakes.at_pointer("/id", ChatId::chosen_by_client(&sent)));
    object.refuse_unknown(&MEMBERS, &mut mistakes);
    let title = mistakes.accept(title)?;
    Ok(NewChatSent { service, title, created_by, description, id })
}

/// The chat once it is no longer being made, or as it is when the wait is over. Nothing if it can't be read: the
/// registration is accepted all the same, and has to be answered as such.
async fn wait_for_chat(state: &ApiState, tenant: &TenantId, id: ChatId, wait: Wait) -> Option<ChatDocument> {
    let look = || async { Ok(state.store.find_chat(tenant, id).await?) };
    let is_settled =
        |chat: &Option<ChatDocument>| chat.as_ref().is_none_or(|chat| chat.status != ChatStatus::Provisioning);
    wait::until(state, id, wait, look, is_settled).await.unwrap_or(None)
}

fn accepted_answer(accepted: &AcceptedChat, replayed: bool) -> HttpResponse {
    let mut answer = HttpResponse::Accepted();
    place(&mut answer, accepted.chat_id, replayed);
    answer.json(AcceptedChatBody { id: accepted.chat_id, operation_id: accepted.operation_id, status: accepted.status })
}

fn active_answer(accepted: &AcceptedChat, chat: ChatDocument, wait: Wait, replayed: bool) -> HttpResponse {
    let mut answer = HttpResponse::Created();
    place(&mut answer, accepted.chat_id, replayed);
    answer
        .insert_header((PREFERENCE_APPLIED, wait.applied()))
        .insert_header((header::ETAG, EntityTag::of(&chat).header_value()))
        .content_type("application/json")
        .body(chat.json)
}

fn place(answer: &mut HttpResponseBuilder, id: ChatId, replayed: bool) {
    answer.insert_header((header::LOCATION, chats::location(id)));
    if replayed {
        answer.insert_header((IDEMPOTENCY_REPLAYED, "true"));
    }
}
