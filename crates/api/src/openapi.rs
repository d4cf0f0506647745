//! The OpenAPI document. Each operation tells its own part where its handler is; what all of them share is added here,
//! so that it can't be forgotten.

use actix_web::App;
use utoipa::{
    OpenApi, PartialSchema as _,
    openapi::{
        Components, ContentBuilder, HeaderBuilder, ObjectBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder,
        Schema,
        example::{Example, ExampleBuilder},
        path::Operation,
        schema::{SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_actix_web::AppExt as _;

use crate::{
    chats::list::SortOrder,
    problem::{InputError, PROBLEM_JSON, ProblemBody, ProblemCode, ProblemKind},
    routes,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Convoke",
        description = "Registers chats on messengers and keeps the record of who was in them and when.\n\n\
            Errors are problems (RFC 9457, `application/problem+json`); the `type` of each is the path of a page that \
            explains it. Times are RFC 3339, UTC, in milliseconds. Absent values are left out, never `null`.",
        contact(name = "The developers of Convoke"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This installation.")),
    tags(
        (name = "chats", description = "Register chats, read their record, get people in."),
        (name = "participants", description = "Those who are or were in a chat."),
        (name = "operations", description = "Work that outlives the request that asked for it."),
        (name = "documentation", description = "What explains the API."),
    ),
    components(schemas(ProblemBody, ProblemCode, InputError, SortOrder)),
)]
struct ApiDoc;

/// The problems that every private operation can answer with: name of the response, status, what it says, and whether
/// there is a header of its own.
const SHARED_PROBLEMS: [(&str, &str, &str, Option<&str>); 6] = [
    ("InvalidRequest", "400", "`invalid-request`: `errors` names every mistake.", None),
    ("Unauthorized", "401", "`unauthorized`: no valid token was sent.", Some("WWW-Authenticate")),
    ("Forbidden", "403", "`forbidden`: the token lacks the scope that is needed.", Some("WWW-Authenticate")),
    ("TooManyRequests", "429", "`too-many-requests`.", Some("Retry-After")),
    ("InternalError", "500", "`internal-error`: it is in the service's log.", None),
    ("ServiceUnavailable", "503", "`service-unavailable`: try again in a moment.", Some("Retry-After")),
];

/// The document, the same in every installation.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) =
        App::new().into_utoipa_app().openapi(ApiDoc::openapi()).configure(routes::documented).split_for_parts();
    let components = document.components.get_or_insert_default();
    add_security_scheme(components);
    add_shared_components(components);
    components.responses.values_mut().for_each(complete);
    for (path, item) in &mut document.paths.paths {
        let is_private = path.starts_with(crate::frame::PRIVATE);
        for operation in operations(item) {
            if is_private {
                add_shared_problems(operation);
            }
            operation.responses.responses.values_mut().for_each(complete);
        }
    }
    forbid_null(&mut document);
    document
}

/// The document as JSON, in the form in which `openapi/openapi.json` holds it and `/openapi.json` serves it.
///
/// # Panics
/// Never: the document is always written.
#[must_use]
pub fn openapi_json() -> String {
    let mut json = openapi().to_pretty_json().expect("the document is always written");
    json.push('\n');
    json
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut)
}

fn add_security_scheme(components: &mut Components) {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of the form `cvk_…`, as `convoke token create` prints it. It belongs to one tenant and carries \
             scopes: `chats:read`, `chats:write`.",
        ))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
}

fn add_shared_components(components: &mut Components) {
    let request_id = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(64));
    let request_id = HeaderBuilder::new()
        .schema(Some(request_id))
        .description(Some("The request's name: the client's own if it sent one that will do, else a new one."))
        .build();
    components.headers.insert("X-Request-Id".to_owned(), request_id.into());
    for (name, _, description, header) in SHARED_PROBLEMS {
        components.responses.insert(name.to_owned(), problem_response(description, header).into());
    }
}

fn problem_response(description: &str, header: Option<&str>) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content);
    match header {
        Some(name @ "Retry-After") => {
            let header = HeaderBuilder::new()
                .schema(Some(u32::schema()))
                .description(Some("After how many seconds to try again."));
            response.header(name, header.build()).build()
        }
        Some(name) => {
            let header =
                HeaderBuilder::new().schema(Some(String::schema())).description(Some("What is asked for (RFC 6750)."));
            response.header(name, header.build()).build()
        }
        None => response.build(),
    }
}

fn add_shared_problems(operation: &mut Operation) {
    for (name, status, ..) in SHARED_PROBLEMS {
        let shared = RefOr::Ref(Ref::from_response_name(name));
        operation.responses.responses.entry(status.to_owned()).or_insert(shared);
    }
}

/// Gives an answer what every answer has; one that is a problem, an example of each kind that its description names.
fn complete(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let request_id = RefOr::Ref(Ref::new("#/components/headers/X-Request-Id"));
    response.headers.insert("X-Request-Id".to_owned(), request_id);
    if let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM_JSON) {
        let kinds = response.description.split('`').filter_map(ProblemKind::from_slug);
        content.examples = kinds.map(|kind| (kind.entry().slug.to_owned(), example(kind).into())).collect();
    }
}

fn example(kind: ProblemKind) -> Example {
    let entry = kind.entry();
    let body = ProblemBody::new(kind, entry.meaning, "/api/v1/private/chats", "1f6c2f0e-7a52-4d0e-9d0b-6e1f5a0c1c1e");
    let value = serde_json::to_value(body).expect("texts are always written");
    ExampleBuilder::new().summary(entry.title).value(Some(value)).build()
}

/// Absent values are left out, never `null` (`contract.md`), so no schema admits it. What derives the schemas sees an
/// `Option` and thinks otherwise.
fn forbid_null(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    components.schemas.values_mut().for_each(without_null);
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter {
                parameter.schema.iter_mut().for_each(without_null);
            }
        }
    }
}

fn without_null(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            retain_types(&mut object.schema_type);
            object.properties.values_mut().for_each(without_null);
        }
        RefOr::T(Schema::Array(array)) => retain_types(&mut array.schema_type),
        RefOr::T(Schema::OneOf(one_of)) => {
            one_of.items.retain(|item| !is_null(item));
            if let [only] = &one_of.items[..] {
                *schema = only.clone();
            }
        }
        _ => {}
    }
}

fn retain_types(types: &mut SchemaType) {
    if let SchemaType::Array(several) = types {
        several.retain(|kind| *kind != Type::Null);
        if let [only] = &several[..] {
            *types = SchemaType::Type(only.clone());
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}
