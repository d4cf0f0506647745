//! What the client does when things go wrong, against a server that answers as a test tells it to. How it gets on with the
//! real service is in `crates/convoke/tests/all`.

mod lists;
mod problems;
mod repeating;
mod server;
mod waiting;

const CHAT: &str = "9a983789-1709-4543-aa31-a02867680017";
const OTHER_CHAT: &str = "4f0c3f2e-8a57-4d0e-9f0b-6a3f5d1c2e4a";
const PERSON: &str = "0e1b2c3d-1111-4222-8333-444455556666";
const OPERATION: &str = "3322d043-4f3c-4a85-92fc-4c6876cd9442";

fn chat(id: &str, status: &str) -> String {
    let is_active = status == "active";
    format!(
        r#"{{"id":"{id}","isActive":{is_active},"status":"{status}","service":"sandbox","weather":{{"is":"fine"}},
        "registeredAt":"2024-12-11T08:54:03.000Z","updatedAt":"2024-12-11T08:54:03.000Z",
        "title":[{{"value":"Kick-off","contentType":"text/plain","capturedAt":"2024-12-11T08:54:03.000Z","by":"ann"}}],
        "participants":[]}}"#
    )
}

fn accepted() -> String {
    format!(r#"{{"id":"{CHAT}","operationId":"{OPERATION}","status":"provisioning","since":1}}"#)
}

fn operation(status: &str, error: &str) -> String {
    format!(
        r#"{{"id":"{OPERATION}","type":"createChat","status":"{status}","chatId":"{CHAT}","attempts":1,
        "createdAt":"2024-12-11T08:54:03.000Z","updatedAt":"2024-12-11T08:54:04.000Z","lane":"sandbox"{error}}}"#
    )
}

fn problem(code: &str, retryable: bool) -> String {
    format!(
        r#"{{"type":"/problems/{code}","title":"A title","status":500,"detail":"A detail.","instance":"/here",
        "code":"{code}","retryable":{retryable},"requestId":"r1","weather":"fine"}}"#
    )
}
