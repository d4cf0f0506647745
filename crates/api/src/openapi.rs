//! The OpenAPI document. Each operation tells its own part where its handler is; what all of them share is added here,
//! so that it can't be forgotten.

mod bounds;
mod examples;

use actix_web::App;
use utoipa::{
    OpenApi,
    openapi::{
        Components, ContentBuilder, HeaderBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, Schema,
        example::ExampleBuilder,
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
            explains it. Times are RFC 3339, UTC, in milliseconds. Absent values are left out, never `null`.\n\n\
            Under `/api/v1/private` every request needs a token: without one, 401, whatever the path. A path that is not \
            in this document is 404 `not-found`; one that is, with a method that is not, 405 `method-not-allowed` with \
            the header `Allow`. `HEAD` works as `GET`.\n\n\
            What is sent is held to these schemas: a member or parameter that is not in them is a mistake. What is \
            answered may grow: expect members that are not known yet, and new values where there is a list of them.",
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

const REQUEST_ID: &str = "X-Request-Id";

/// Headers that many answers have, and what they say.
const SHARED_HEADERS: [(&str, &str); 3] = [
    (REQUEST_ID, "The request's name: the client's own if it sent one that will do, else a new one."),
    (
        "RateLimit",
        "How many requests the tenant may make at once by now (`r`), and after how many seconds as many as ever (`t`). Only \
         where the installation limits them, and never without a valid token. A structured field of \
         draft-ietf-httpapi-ratelimit-headers-11.",
    ),
    (
        "RateLimit-Policy",
        "How many requests the tenant may make at once (`q`), and in how many seconds (`w`). There with `RateLimit`.",
    ),
];

/// A problem that many operations can answer with: name of the response, status, what it says, and whether there is a
/// header of its own.
type SharedProblem = (&'static str, &'static str, &'static str, Option<&'static str>);

/// Those that every private operation can answer with.
const SHARED_PROBLEMS: [SharedProblem; 6] = [
    ("InvalidRequest", "400", "`invalid-request`: `errors` names every mistake.", None),
    ("Unauthorized", "401", "`unauthorized`: no valid token was sent.", Some("WWW-Authenticate")),
    ("Forbidden", "403", "`forbidden`: the token lacks the scope that is needed.", Some("WWW-Authenticate")),
    ("TooManyRequests", "429", "`too-many-requests`: the tenant made more than it may.", Some("Retry-After")),
    ("InternalError", "500", "`internal-error`: it is in the service's log.", None),
    ("ServiceUnavailable", "503", "`service-unavailable`: try again in a moment.", Some("Retry-After")),
];

/// Those that every other operation can answer with.
const OF_ALL: &[SharedProblem] = &[SHARED_PROBLEMS[4]];

/// The document, the same in every installation.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) =
        App::new().into_utoipa_app().openapi(ApiDoc::openapi()).configure(routes::documented).split_for_parts();
    let components = document.components.get_or_insert_default();
    add_security_scheme(components);
    add_shared_components(components);
    components.responses.values_mut().for_each(|response| complete(response, "/api/v1/private/chats"));
    bounds::of_components(components);
    for (path, item) in &mut document.paths.paths {
        let shared = if path.starts_with(crate::frame::PRIVATE) { &SHARED_PROBLEMS[..] } else { OF_ALL };
        for operation in operations(item) {
            add_problems(operation, shared);
            operation.responses.responses.values_mut().for_each(|response| complete(response, path));
            operation.parameters.iter_mut().flatten().for_each(|parameter| {
                if let RefOr::T(parameter) = parameter {
                    bounds::of_parameter(parameter);
                }
            });
            add_examples(operation);
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
             scopes: `chats:read`, `chats:write`. Or a JWT of an OpenID Connect issuer that the installation trusts: tenant \
             and scopes are in its claims.",
        ))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
}

fn add_shared_components(components: &mut Components) {
    for (name, what) in SHARED_HEADERS {
        let mut header = HeaderBuilder::new().description(Some(what)).build();
        bounds::of_header(name, &mut header);
        components.headers.insert(name.to_owned(), header.into());
    }
    for (name, _, description, header) in SHARED_PROBLEMS {
        components.responses.insert(name.to_owned(), problem_response(description, header).into());
    }
}

fn problem_response(description: &str, header: Option<&str>) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content);
    let Some(name) = header else { return response.build() };
    let what =
        if name == "Retry-After" { "After how many seconds to try again." } else { "What is asked for (RFC 6750)." };
    response.header(name, HeaderBuilder::new().description(Some(what)).build()).build()
}

fn add_problems(operation: &mut Operation, problems: &[SharedProblem]) {
    for (name, status, ..) in problems {
        let shared = RefOr::Ref(Ref::from_response_name(*name));
        operation.responses.responses.entry((*status).to_owned()).or_insert(shared);
    }
}

/// Gives an answer what every answer has; one that is a problem, an example of each kind that its description names.
fn complete(response: &mut RefOr<Response>, path: &str) {
    let RefOr::T(response) = response else { return };
    for (name, header) in &mut response.headers {
        if let RefOr::T(header) = header {
            bounds::of_header(name, header);
        }
    }
    let is_of_tenant = path.starts_with(crate::frame::PRIVATE);
    for (name, _) in SHARED_HEADERS.iter().filter(|(name, _)| is_of_tenant || *name == REQUEST_ID) {
        response.headers.insert((*name).to_owned(), bounds::shared_header(name));
    }
    if let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM_JSON) {
        let kinds = response.description.split('`').filter_map(ProblemKind::from_slug);
        let example = |kind: ProblemKind| {
            ExampleBuilder::new().summary(kind.entry().title).value(Some(examples::problem(kind, path))).build()
        };
        content.examples = kinds.map(|kind| (kind.entry().slug.to_owned(), example(kind).into())).collect();
    }
}

/// Shows what is sent and what is answered where all is well.
fn add_examples(operation: &mut Operation) {
    let Some(id) = &operation.operation_id else { return };
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content {
                content.example = examples::request(id);
            }
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        for (media_type, content) in &mut response.content {
            if let (RefOr::T(content), true) = (content, media_type != PROBLEM_JSON) {
                content.example = examples::answer(id, status);
            }
        }
    }
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
