//! `GET /api/v1/private/operations/{operationId}`: how work that outlives its request is going.

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use convoke_domain::{ChatId, Operation, OperationId, OperationStatus, OperationType, Scope, Timestamp};
use convoke_store::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    frame,
    input::Mistakes,
    operations, path, position,
    problem::{Problem, ProblemBody, ProblemKind},
    query_string,
    state::ApiState,
};

/// A piece of work, as it stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Operation)]
struct OperationBody<'a> {
    /// The operation.
    id: OperationId,
    /// What is to be done.
    r#type: OperationType,
    /// Where it stands.
    status: OperationStatus,
    /// The chat it is about.
    chat_id: ChatId,
    /// How often it has been tried; times that the messenger itself put off do not count.
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    attempts: u32,
    /// When it was accepted.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// When it is tried next, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    /// Why it was given up: a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemBody<'a>>,
}

/// Get an operation
///
/// How the work that a registration or a removal asked for is going. Operations are kept for some time after their end,
/// by default for 90 days.
#[utoipa::path(
    tag = "operations",
    security(("bearer" = ["chats:read"])),
    params(
        ("operationId" = OperationId, Path, description = "The operation.",
            example = "3322d043-4f3c-4a85-92fc-4c6876cd9442"),
        ("Convoke-Position" = Option<String>, Header, min_length = 16, max_length = 16, pattern = "^[0-9a-f]{16}$",
            description = "The position that the answer to a write told: what is read is at or after it."),
    ),
    responses(
        (status = 200, description = "The operation.", body = OperationBody,
            links(("chat" = (operation_id = "get_chat", parameters(("chatId" = "$response.body#/chatId")))))),
        (status = 404, description = "`operation-not-found`.",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
#[get("/operations/{operationId}")]
pub(crate) async fn get_operation(state: web::Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = Caller::with_scope(&request, Scope::ChatsRead)?;
    let (id, position) = parse(&request)?;
    let reader = state.store.as_fresh_as(position::freshness(&state, &caller, position));
    let operation = reader.find_operation(&caller.tenant, id).await?;
    let operation =
        operation.ok_or_else(|| Problem::new(ProblemKind::OperationNotFound, "There is no such operation."))?;
    Ok(answer(&operation, frame::request_id(&request).as_str()))
}

fn parse(request: &HttpRequest) -> Result<(OperationId, Option<Position>), Problem> {
    let mut mistakes = Mistakes::default();
    let id = path::id(request, "operationId", &mut mistakes);
    query_string::must_be_empty(request, &mut mistakes);
    let position = position::sent(request.headers(), &mut mistakes);
    mistakes.accept(id.map(|id| (id, position)))
}

fn answer(operation: &Operation, request_id: &str) -> HttpResponse {
    let instance = operations::location(operation.id);
    let error = operation.error.as_ref();
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(OperationBody {
        id: operation.id,
        r#type: operation.kind,
        status: operation.status,
        chat_id: operation.chat_id,
        attempts: operation.attempts,
        created_at: operation.created_at,
        updated_at: operation.updated_at,
        next_attempt_at: operation.next_attempt_at,
        completed_at: operation.completed_at,
        error: error.map(|error| ProblemBody::new(error.code.into(), &error.detail, &instance, request_id)),
    })
}
