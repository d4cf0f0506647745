//! What explains the API: the OpenAPI document, Swagger UI (`swagger_ui.rs`), and a page for every kind of problem.

use actix_web::{HttpRequest, HttpResponse, get, guard, http::header, web};

use crate::{
    problem::{Problem, ProblemKind},
    problem_page,
    state::ApiState,
    swagger_ui,
};

/// Mounts the routes that the OpenAPI document does not tell of: pages for people.
pub(crate) fn configure(config: &mut web::ServiceConfig, state: &ApiState) {
    let start = if state.settings.swagger_ui { "/swagger-ui/" } else { "/openapi.json" };
    config.service(redirect("/", start)).service(problem_style);
    if state.settings.swagger_ui {
        config.service(redirect("/swagger-ui", "/swagger-ui/")).service(swagger_ui::swagger_ui);
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
