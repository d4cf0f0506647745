//! The pages behind invitation links: `/sandbox/{code}` shows a chat, and forms on it post to `/sandbox/{code}/join`,
//! `/leave`, `/rename` and `/close` (`contract.md`, "The sandbox provider").
//!
//! What a request may be refused for is looked at in this order: path (404), method (405), cross-site post (403), chat
//! (404), size and type of the body (413, 415), its fields (400), then what the chat allows (410, 404, 400, 409).

mod answer;
mod body;
mod form;
mod origin;
mod problem;
mod view;

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    middleware::from_fn,
    web,
};
use convoke_domain::Mistake;

use self::{form::Verb, origin::PublicUrl, problem::Problem};
use crate::{Action, Group, Sandbox};

const STYLE: &str = include_str!("../assets/style.css");
const ICON: &str = include_str!("../assets/icon.svg");

/// The pages of the sandbox, to be mounted in an actix application.
#[derive(Debug, Clone)]
pub struct SandboxPages {
    shared: web::Data<Shared>,
}

/// What every request has at hand.
#[derive(Debug)]
struct Shared {
    sandbox: Arc<Sandbox>,
    public_url: PublicUrl,
}

impl SandboxPages {
    /// The pages of this sandbox, reached from outside under `public_url`.
    #[must_use]
    pub fn new(sandbox: Arc<Sandbox>, public_url: &str) -> Self {
        Self { shared: web::Data::new(Shared { sandbox, public_url: PublicUrl::new(public_url) }) }
    }

    /// Mounts everything below `/sandbox`, for `App::configure`.
    pub fn configure(&self, config: &mut web::ServiceConfig) {
        let scope = web::scope("/sandbox")
            .app_data(self.shared.clone())
            .wrap(from_fn(answer::finish))
            .service(readable("/style.css", style))
            .service(readable("/icon.svg", icon))
            .service(readable("/{code}", show))
            .service(postable(Verb::Join))
            .service(postable(Verb::Leave))
            .service(postable(Verb::Rename))
            .service(postable(Verb::Close))
            .default_service(web::to(nowhere));
        config.service(scope);
    }
}

/// A path that is read, and does nothing else.
fn readable<F, Args>(path: &str, handler: F) -> actix_web::Resource
where
    F: actix_web::Handler<Args> + Copy,
    Args: actix_web::FromRequest + 'static,
    F::Output: actix_web::Responder + 'static,
{
    web::resource(path).route(web::get().to(handler)).route(web::head().to(handler)).default_service(web::to(
        |request: HttpRequest| async move { answer::refuse(&request, &Problem::method_not_allowed("GET, HEAD")) },
    ))
}

/// A path that forms post to, and nothing else.
fn postable(verb: Verb) -> actix_web::Resource {
    let handler = move |request: HttpRequest, body: web::Payload, shared: web::Data<Shared>| async move {
        match act(verb, &request, body, &shared).await {
            Ok(back) => HttpResponse::SeeOther().insert_header((header::LOCATION, back)).finish(),
            Err(problem) => answer::refuse(&request, &problem),
        }
    };
    web::resource(format!("/{{code}}/{}", verb.as_str())).route(web::post().to(handler)).default_service(web::to(
        |request: HttpRequest| async move { answer::refuse(&request, &Problem::method_not_allowed("POST")) },
    ))
}

async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", STYLE)
}

async fn icon() -> HttpResponse {
    asset("image/svg+xml", ICON)
}

fn asset(content_type: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(body)
}

/// Every path that is none.
async fn nowhere(request: HttpRequest) -> HttpResponse {
    answer::refuse(&request, &Problem::not_found("There is nothing here."))
}

/// Shows a chat.
async fn show(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    let page = match find(&request, &shared).await {
        Ok(group) => view::chat_page(&group, &shared.public_url).map_err(|error| Problem::internal(&error)),
        Err(problem) => Err(problem),
    };
    match page {
        Ok(html) => answer::html(StatusCode::OK, html),
        Err(problem) => answer::refuse(&request, &problem),
    }
}

/// What a form asks for that is posted to `{link}/{verb}`: for those who try it with whatever there is (`crates/fuzz`).
///
/// # Errors
/// All its mistakes, with the fields in which they were made; none of them if there is no such form.
#[doc(hidden)]
pub fn read_form(verb: &str, body: &[u8]) -> Result<Action, Vec<(String, Mistake)>> {
    let verbs = [Verb::Join, Verb::Leave, Verb::Rename, Verb::Close];
    let verb = verbs.into_iter().find(|known| known.as_str() == verb).ok_or_else(Vec::new)?;
    let named =
        |mistakes: Vec<problem::FieldMistake>| mistakes.into_iter().map(|one| (one.field, one.mistake)).collect();
    form::read(verb, body).map_err(named)
}

/// Does what a form asks for. Returns where to go then: back to the chat.
async fn act(verb: Verb, request: &HttpRequest, payload: web::Payload, shared: &Shared) -> Result<String, Problem> {
    // Read whatever becomes of it: a client that sends everything before it reads would not see a refusal otherwise.
    let body = body::read(request.headers(), payload).await;
    if !origin::is_own(request.headers(), &shared.public_url) {
        return Err(Problem::cross_site());
    }
    let group = find(request, shared).await?;
    let back = shared.public_url.path_of(&group.code);
    let done = async {
        let action = form::read(verb, &body?).map_err(Problem::invalid)?;
        shared.sandbox.act(&group, &action).await.map_err(|error| Problem::from_error(&error))
    };
    done.await.map_err(|problem| problem.with_way_back(&back))?;
    Ok(back)
}

/// The chat that the path names.
async fn find(request: &HttpRequest, shared: &Shared) -> Result<Group, Problem> {
    let code = request.match_info().get("code").unwrap_or_default();
    let group = shared.sandbox.find_group(code).await.map_err(|error| Problem::from_error(&error))?;
    group.ok_or_else(|| Problem::not_found("No chat has this link. It may have been copied in part only."))
}
