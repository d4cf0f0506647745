//! What explains the API: the OpenAPI document, Swagger UI, and a page for every kind of problem.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, get, guard, http::header, web};
use utoipa_swagger_ui::Config;

use crate::{
    problem::{Problem, ProblemKind},
    problem_page,
    state::ApiState,
};

/// Swagger UI loads its own files and asks its own service, and nothing else; its style sheet has small pictures within.
/// No script and no style is allowed in the page itself (`crates/browser-tests` sees to it that this is enough).
const SWAGGER_UI_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Swagger UI's page, with a title and a language of our own.
const SWAGGER_UI_PAGE: &str = include_str!("../templates/swagger-ui.html");
/// What mends Swagger UI's own style, and the controls that it leaves without a name.
const SWAGGER_UI_STYLE: &str = include_str!("../templates/swagger-ui.css");
const SWAGGER_UI_SCRIPT: &str = include_str!("../templates/swagger-ui.js");

/// Mounts the routes that the OpenAPI document does not tell of: pages for people.
pub(crate) fn configure(config: &mut web::ServiceConfig, state: &ApiState) {
    let start = if state.settings.swagger_ui { "/swagger-ui/" } else { "/openapi.json" };
    config.service(redirect("/", start)).service(problem_style);
    if state.settings.swagger_ui {
        let swagger = Config::new(["/openapi.json"])
            // The public validator would be asked about every document that is not on localhost.
            .validator_url("none")
            // Without the bar on top, which asks for the address of a document.
            .use_base_layout()
            .display_operation_id(true)
            .display_request_duration(true)
            .try_it_out_enabled(true);
        config.app_data(web::Data::new(swagger)).service(redirect("/swagger-ui", "/swagger-ui/")).service(swagger_ui);
    }
}

fn redirect(from: &str, to: &'static str) -> actix_web::Resource {
    // With the guard outside, other methods go the way of all wrong methods.
    web::resource(from)
        .guard(guard::Get())
        .to(move || async move { HttpResponse::Found().insert_header((header::LOCATION, to)).finish() })
}

/// The OpenAPI document
///
/// This document: every operation with its parameters, answers and problems, as OpenAPI 3.1. It is the same in every
/// installation.
#[utoipa::path(
    tag = "documentation",
    security(()),
    responses((status = 200, description = "The document.", body = Object))
)]
#[get("/openapi.json")]
pub(crate) async fn get_openapi(state: web::Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(state.openapi_json.clone())
}

/// What a problem means
///
/// A page for people that explains one kind of problem and what to do about it. The `type` of every error is the path of
/// its page.
#[utoipa::path(
    tag = "documentation",
    security(()),
    params(("slug" = crate::problem::ProblemCode, Path, description = "The `code` of the error.", example = "chat-not-found")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 404, description = "`not-found`: there is no such kind of problem.",
            body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    )
)]
#[get("/problems/{slug}")]
pub(crate) async fn get_problem(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let slug = request.match_info().get("slug").unwrap_or_default();
    let kind = ProblemKind::from_slug(slug)
        .ok_or_else(|| Problem::new(ProblemKind::NotFound, "There is no problem of this name."))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, problem_page::CONTENT_SECURITY_POLICY))
        .content_type("text/html; charset=utf-8")
        .body(problem_page::about(kind)))
}

#[get("/problems/style.css")]
async fn problem_style() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .content_type("text/css; charset=utf-8")
        .body(problem_page::STYLE)
}

#[get("/swagger-ui/{file:.*}")]
async fn swagger_ui(path: web::Path<String>, config: web::Data<Config<'static>>) -> Result<HttpResponse, Problem> {
    let (content_type, bytes) = match path.as_str() {
        "" | "index.html" => ("text/html; charset=utf-8".to_owned(), SWAGGER_UI_PAGE.into()),
        "convoke.css" => ("text/css; charset=utf-8".to_owned(), SWAGGER_UI_STYLE.into()),
        "convoke.js" => ("text/javascript; charset=utf-8".to_owned(), SWAGGER_UI_SCRIPT.into()),
        path => vendored(path, &config)?,
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, SWAGGER_UI_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type(content_type)
        .body(bytes))
}

/// A file of Swagger UI as it comes: its type and what is in it.
fn vendored(path: &str, config: &web::Data<Config<'static>>) -> Result<(String, web::Bytes), Problem> {
    let file = utoipa_swagger_ui::serve(path, Arc::clone(config)).map_err(|error| {
        tracing::error!(%error, "Swagger UI can't be served");
        Problem::internal()
    })?;
    let file = file.ok_or_else(|| Problem::new(ProblemKind::NotFound, "There is nothing under this path."))?;
    Ok((file.content_type, file.bytes.into_owned().into()))
}
