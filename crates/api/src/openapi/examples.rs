//! What requests and answers look like: one story, told through all operations.

use serde_json::{Value, json};

use crate::problem::{InputError, ProblemBody, ProblemKind};
use convoke_domain::{Mistake, MistakeCode};

const CHAT: &str = "9a983789-1709-4543-aa31-a02867680017";
const OPERATION: &str = "3322d043-4f3c-4a85-92fc-4c6876cd9442";
const PARTICIPANT: &str = "5a9b042b-36ca-4aab-ba50-7ceda030d33f";
const OWNER: &str = "ba2cc0a8-841c-49d3-9c30-418e955f06ff";
const REQUEST: &str = "1f6c2f0e-7a52-4d0e-9d0b-6e1f5a0c1c1e";

/// The body of a request of this operation.
pub(super) fn request(operation_id: &str) -> Option<Value> {
    // Without an id: Swagger UI sends the example, and it should go through more than once.
    (operation_id == "register_chat").then(
        || json!({"title": "Title of the chat", "createdBy": "example created by", "description": "example description"}),
    )
}

/// The body of an answer of this operation that is no problem.
pub(super) fn answer(operation_id: &str, status: &str) -> Option<Value> {
    let example = match (operation_id, status) {
        ("register_chat", "201") | ("get_chat", "200") => chat(),
        ("register_chat", "202") => json!({"id": CHAT, "operationId": OPERATION, "status": "provisioning"}),
        ("list_chats", "200") => json!({
            "records": [chat()],
            "_metadata": {"currentPage": 0, "totalPages": 42, "pageSize": 20, "totalRecords": 831},
            "_links": {
                "self": {"href": "/api/v1/private/chats?page=0"},
                "first": {"href": "/api/v1/private/chats?page=0"},
                "last": {"href": "/api/v1/private/chats?page=41"},
                "next": {"href": "/api/v1/private/chats?page=1"},
            },
        }),
        ("get_chat_invitation", "200") => {
            json!({"service": "sandbox", "invitation": "http://localhost:8080/sandbox/q7M2xW4kTz9bNc1VfHd8sA"})
        }
        ("remove_participant", "202") => json!({"id": CHAT, "operationId": OPERATION}),
        ("get_operation", "200") => json!({
            "id": OPERATION,
            "type": "createChat",
            "status": "succeeded",
            "chatId": CHAT,
            "attempts": 1,
            "createdAt": "2024-12-11T08:54:03.000Z",
            "updatedAt": "2024-12-11T08:54:03.412Z",
            "completedAt": "2024-12-11T08:54:03.412Z",
        }),
        ("get_openapi", "200") => json!({"openapi": "3.1.0", "info": {"title": "Convoke", "version": "0.1.0"}}),
        ("get_problem", "200") => json!("<!DOCTYPE html>\n<html lang=\"en\">…</html>"),
        _ => return None,
    };
    Some(example)
}

fn chat() -> Value {
    json!({
        "id": CHAT,
        "isActive": true,
        "status": "active",
        "service": "sandbox",
        "registeredAt": "2024-12-11T08:54:03.000Z",
        "updatedAt": "2024-12-11T09:20:45.120Z",
        "createdBy": "example created by",
        "description": "example description",
        "title": [
            {"value": "Title of the chat", "contentType": "text/plain", "capturedAt": "2024-12-11T08:54:03.000Z"}
        ],
        "participants": [
            {
                "id": OWNER,
                "userProperties": {"username": "convoke"},
                "participations": [{"isActive": true, "joinedAt": "2024-12-11T08:54:03.412Z"}],
            },
            {
                "id": PARTICIPANT,
                "userProperties": {"firstname": "Ada", "lastname": "Lovelace", "username": "ada"},
                "participations": [
                    {
                        "isActive": false,
                        "joinedAt": "2024-12-11T08:54:12.000Z",
                        "leftAt": "2024-12-11T09:10:00.500Z",
                        "endReason": "removed",
                        "removedBy": OWNER,
                    },
                    {"isActive": true, "joinedAt": "2024-12-11T09:20:45.120Z", "invitedBy": OWNER},
                ],
            },
        ],
    })
}

/// A problem of this kind, as the operation of this path answers with it.
pub(super) fn problem(kind: ProblemKind, path: &str) -> Value {
    let instance =
        path.replace("{chatId}", CHAT).replace("{participantId}", PARTICIPANT).replace("{operationId}", OPERATION);
    let instance = instance.replace("{slug}", "no-such-problem");
    let errors = [InputError::at_pointer("/title", Mistake::new(MistakeCode::Required, "must be there"))];
    let body = ProblemBody::new(kind, detail(kind), &instance, REQUEST);
    let body = if kind == ProblemKind::InvalidRequest { body.with_errors(&errors) } else { body };
    serde_json::to_value(body).expect("texts are always written")
}

/// A sentence about a case, as short as those that the service says.
fn detail(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::InvalidRequest => "The request has a mistake; `errors` names it.",
        ProblemKind::Unauthorized => "No valid token was sent.",
        ProblemKind::Forbidden => "The token lacks the scope 'chats:write'.",
        ProblemKind::ParticipantNotFound => "Nobody of this id has ever been in this chat.",
        ProblemKind::OperationNotFound => "There is no such operation.",
        ProblemKind::ChatNotFound => "There is no such chat.",
        ProblemKind::ChatNotActive => "Nobody can be removed: the chat's status is 'closed'.",
        ProblemKind::ParticipantIsOwner => "The account that made the group can't be removed.",
        ProblemKind::ProviderNotConfigured => "This installation is not set up for 'telegram'.",
        ProblemKind::UnsupportedMediaType => "The body must be JSON, with the header `Content-Type: application/json`.",
        other => other.entry().meaning,
    }
}
