//! How long and of what form texts are, where the types that the document is made from don't tell. Only what really is
//! so is promised: what people and messengers write stays as free as they are.

use serde_json::{Value, json};
use utoipa::openapi::{
    Components, Header, KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat,
    path::Parameter,
    schema::{Object, Type},
};

use crate::links::MAX_HEADER_BYTES;

const UUID: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";
const TIMESTAMP: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";
/// What every JSON reader takes for a whole number (RFC 8259, section 6).
const MAX_COUNT: usize = (1 << 53) - 1;
const VISIBLE_ASCII: &str = "^[!-~]+$";

/// Bounds ids and instants, and the members of shared schemas whose bounds are known.
pub(super) fn of_components(components: &mut Components) {
    components.schemas.values_mut().for_each(of_format);
    // As they were registered; a title may be changed on the messenger.
    of_member(components, "Chat", "createdBy", |member| member.max_length = Some(50));
    of_member(components, "Chat", "description", |member| member.max_length = Some(255));
    of_member(components, "TitleEntry", "contentType", |member| member.enum_values = Some(vec![json!("text/plain")]));
    for member in ["totalPages", "totalRecords"] {
        of_member(components, "ListMetadata", member, |member| member.maximum = Some(MAX_COUNT.into()));
    }
    if let Some(participant) = object(components, "Participant") {
        // Reading does without it, so the type can't tell that it is always there.
        participant.required.push("userProperties".to_owned());
    }
}

fn object<'a>(components: &'a mut Components, name: &str) -> Option<&'a mut Object> {
    match components.schemas.get_mut(name) {
        Some(RefOr::T(Schema::Object(object))) => Some(object),
        _ => None,
    }
}

fn of_member(components: &mut Components, schema: &str, member: &str, bound: impl FnOnce(&mut Object)) {
    let member = object(components, schema).and_then(|object| object.properties.get_mut(member));
    match member {
        Some(RefOr::T(Schema::Object(member))) => bound(member),
        _ => panic!("the document has a member {schema} of its own form"),
    }
}

/// What is said to be a UUID or an instant has the one form that this service knows.
fn of_format(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    let form = match object.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)) => Some((UUID, 36)),
        Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) => Some((TIMESTAMP, 24)),
        _ => None,
    };
    if let Some((pattern, length)) = form {
        object.pattern.get_or_insert_with(|| pattern.to_owned());
        object.max_length = Some(length);
    }
    object.properties.values_mut().for_each(of_format);
}

/// The form of a header that an answer has, wherever it has it; described by the answer.
pub(super) fn of_header(name: &str, header: &mut Header) {
    let text = |pattern: &str, length: Option<usize>| {
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).max_length(length)
    };
    let (schema, example) = match name {
        "Convoke-Position" => (text("^[0-9a-f]{16}$", Some(16)), json!("000000000301e5a8")),
        "ETag" => (text("^\"[0-9]+-[0-9]+\"$", Some(48)), json!("\"1-7\"")),
        "Idempotency-Replayed" => {
            (ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])), json!("true"))
        }
        "Link" => (
            text("^</[!-~]*>; rel=\"self\"(, </[!-~]*>; rel=\"(first|last|next|prev)\")*$", Some(MAX_HEADER_BYTES)),
            json!(
                "</api/v1/private/chats?page=0>; rel=\"self\", </api/v1/private/chats?page=0>; rel=\"first\", </api/v1/private/chats?page=41>; rel=\"last\", </api/v1/private/chats?page=1>; rel=\"next\""
            ),
        ),
        "Location" => (
            text("^/api/v1/private/(chats|operations)/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", Some(80)),
            json!("/api/v1/private/chats/9a983789-1709-4543-aa31-a02867680017"),
        ),
        "Preference-Applied" => (text("^wait=([12]?[0-9]|30)$", Some(7)), json!("wait=10")),
        "RateLimit" => (text("^\"tenant\";r=[0-9]+;t=[0-9]+$", Some(64)), json!("\"tenant\";r=99;t=1")),
        "RateLimit-Policy" => (text("^\"tenant\";q=[0-9]+;w=[0-9]+$", Some(64)), json!("\"tenant\";q=100;w=2")),
        "Retry-After" => (
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
                .minimum(Some(0))
                .maximum(Some(86_400)),
            json!(1),
        ),
        "WWW-Authenticate" => (text("^Bearer realm=\"convoke\"", Some(255)), json!("Bearer realm=\"convoke\"")),
        "X-Request-Id" => {
            (text(VISIBLE_ASCII, Some(64)).min_length(Some(1)), json!("1f6c2f0e-7a52-4d0e-9d0b-6e1f5a0c1c1e"))
        }
        _ => panic!("the form of the header {name} is not told"),
    };
    header.schema = Some(schema.into());
    header.example = Some(example);
}

/// Completes a parameter. What would change the answer, if it were sent, is shown as an example of the schema: Swagger UI
/// fills in the examples of parameters by itself.
pub(super) fn of_parameter(parameter: &mut Parameter) {
    let examples: Vec<Value> = match parameter.name.as_str() {
        "Idempotency-Key" => vec![json!("8e03978e-40d5-43e8-bc93-6894a57f9324")],
        "Convoke-Position" => vec![json!("000000000301e5a8")],
        "If-None-Match" => vec![json!("\"1-7\""), json!("*")],
        "isActive" => vec![json!(true)],
        "id" => vec![json!(["9a983789-1709-4543-aa31-a02867680017"])],
        "fromDate" => vec![json!("2024-12-11"), json!("2024-12-11T08:54:03.000Z")],
        "toDate" => vec![json!("2024-12-12"), json!("2024-12-11T09:54:03+01:00")],
        "cursor" => vec![json!(""), json!("193b4f4d5f8.9a98378917094543aa31a02867680017")],
        _ => return,
    };
    match &mut parameter.schema {
        Some(RefOr::T(Schema::Object(object))) => object.examples = examples,
        Some(RefOr::T(Schema::Array(array))) => array.examples = examples,
        _ => {}
    }
}

/// A reference to a header that many answers have.
pub(super) fn shared_header(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}
