//! What explains the API: the OpenAPI document, Swagger UI, and a page for every kind of problem.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, get, guard, http::header, web};
use utoipa_swagger_ui::Config;

use crate::{
    problem::{Problem, ProblemKind},
    problem_page,
    state::ApiState,
};

/// Swagger UI loads its own files; its styles are partly written into elements by its script.
const SWAGGER_UI_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Mounts the routes that the OpenAPI document does not tell of: pages for people.
pub(crate) fn configure(config: &mut web::ServiceConfig, state: &ApiState) {
    let start = if state.settings.swagger_ui { "/swagger-ui/" } else { "/openapi.json" };
    config.service(redirect("/", start)).service(problem_style);
    if state.settings.swagger_ui {
        let swagger = Config::new(["/openapi.json"])
            // The public validator would be asked about every document that is not on localhost.
            .validator_url("none")
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
    params(("slug" = String, Path, description = "The `code` of the error.", example = "chat-not-found")),
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
    let not_found = || Problem::new(ProblemKind::NotFound, "There is nothing under this path.");
    let file = utoipa_swagger_ui::serve(&path, Arc::clone(&config)).map_err(|error| {
        tracing::error!(%error, "Swagger UI can't be served");
        Problem::internal()
    })?;
    let file = file.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, SWAGGER_UI_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type(file.content_type)
        .body(file.bytes.into_owned()))
}
