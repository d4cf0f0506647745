//! The one endpoint, `GET /chats/{chatId}/present?at=INSTANT`.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, get,
    http::{
        StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    web,
};
use convoke_domain::{Chat, ChatId, Timestamp};
use serde::Deserialize;

use crate::report::Report;

/// Where Convoke is.
pub struct Convoke {
    url: String,
    client: reqwest::Client,
}

impl Convoke {
    /// Convoke at this address, such as `http://127.0.0.1:8080`.
    pub fn at(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), client: reqwest::Client::new() }
    }

    /// Asks for a chat as whoever calls us.
    async fn chat(&self, id: ChatId, caller: &HttpRequest) -> reqwest::Result<reqwest::Response> {
        let mut request = self.client.get(format!("{}/api/v1/private/chats/{id}", self.url));
        if let Some(token) = caller.headers().get(AUTHORIZATION) {
            request = request.header(AUTHORIZATION.as_str(), token.as_bytes());
        }
        request.send().await
    }
}

#[derive(Deserialize)]
struct Question {
    at: String,
}

/// Tells who was in the chat at the instant.
#[get("/chats/{chat_id}/present")]
pub async fn present(
    convoke: web::Data<Convoke>,
    chat_id: web::Path<String>,
    question: web::Query<Question>,
    request: HttpRequest,
) -> HttpResponse {
    // The domain's own reading of ids and instants, with its words for what is wrong.
    let id: ChatId = match chat_id.parse() {
        Ok(id) => id,
        Err(mistake) => return refused("chatId", &mistake),
    };
    let at: Timestamp = match question.at.parse() {
        Ok(at) => at,
        Err(mistake) => return refused("at", &mistake),
    };
    let answer = match convoke.chat(id, &request).await {
        Ok(answer) => answer,
        Err(error) => return unavailable(&error),
    };
    if answer.status() != reqwest::StatusCode::OK {
        return passed_on(answer).await;
    }
    match answer.bytes().await {
        Ok(body) => match serde_json::from_slice::<Chat>(&body) {
            Ok(chat) => HttpResponse::Ok().json(Report::of(&chat, at)),
            Err(error) => unavailable(&error),
        },
        Err(error) => unavailable(&error),
    }
}

fn refused(what: &str, mistake: &convoke_domain::Mistake) -> HttpResponse {
    HttpResponse::BadRequest().body(format!("{what} {mistake}\n"))
}

/// What went wrong between the two services is for the log, not for the caller.
fn unavailable(error: &dyn std::error::Error) -> HttpResponse {
    eprintln!("who-was-there: {error}");
    HttpResponse::BadGateway().body("Convoke did not answer as it should.\n")
}

/// Convoke's refusal (an RFC 9457 problem), as it is.
async fn passed_on(answer: reqwest::Response) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponseBuilder::new(status);
    for name in [CONTENT_TYPE, WWW_AUTHENTICATE] {
        if let Some(value) = answer.headers().get(name.as_str()) {
            response.insert_header((name, value.as_bytes()));
        }
    }
    match answer.bytes().await {
        Ok(body) => response.body(body),
        Err(error) => unavailable(&error),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpServer, test};

    use super::*;

    const CHAT: &str = include_str!("../../../crates/domain/tests/data/chat_detail.json");
    const PATH: &str = "/chats/9a983789-1709-4543-aa31-a02867680017/present?at=2024-12-11T08:54:15Z";

    /// What stands in for Convoke: it answers the one chat of the API's reference page to whoever has the token.
    async fn detail(id: web::Path<String>, request: HttpRequest) -> HttpResponse {
        if request.headers().get(AUTHORIZATION).is_none_or(|token| token != "Bearer right") {
            let mut refusal = HttpResponse::Unauthorized();
            return refusal
                .insert_header((WWW_AUTHENTICATE, "Bearer"))
                .content_type("application/problem+json")
                .body("{}");
        }
        if id.as_str() == "9a983789-1709-4543-aa31-a02867680017" {
            HttpResponse::Ok().content_type("application/json").body(CHAT)
        } else {
            HttpResponse::NotFound().content_type("application/problem+json").body(r#"{"code": "chat-not-found"}"#)
        }
    }

    fn convoke() -> Convoke {
        let server = HttpServer::new(|| App::new().route("/api/v1/private/chats/{id}", web::get().to(detail)));
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let convoke = Convoke::at(&format!("http://{}/", server.addrs()[0]));
        actix_web::rt::spawn(server.run());
        convoke
    }

    async fn ask(convoke: Convoke, path: &str, token: &str) -> (StatusCode, String, HttpResponse<()>) {
        let app = test::init_service(App::new().app_data(web::Data::new(convoke)).service(present)).await;
        let request = test::TestRequest::get().uri(path).insert_header((AUTHORIZATION, token)).to_request();
        let response = test::call_service(&app, request).await;
        let (head, body) = response.into_parts().1.into_parts();
        let body = actix_web::body::to_bytes(body).await.unwrap_or_default();
        (head.status(), String::from_utf8(body.to_vec()).unwrap(), head)
    }

    #[actix_web::test]
    async fn who_was_in_is_told_from_convokes_answer() {
        let (status, body, _) = ask(convoke(), PATH, "Bearer right").await;
        assert_eq!(status, StatusCode::OK);
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        // Who came at 08:54:21 was not there yet, but is known as the one who invited.
        let expected = serde_json::json!([{
            "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f", "name": "Flood_wait_bot", "since": "2024-12-11T08:54:12.000Z",
            "invitedBy": {"id": "ba2cc0a8-841c-49d3-9c30-418e955f06ff", "name": "JorgeOiz"}
        }]);
        assert_eq!(report["present"], expected);
    }

    #[actix_web::test]
    async fn what_convoke_refuses_is_refused_in_its_words() {
        let (status, _, head) = ask(convoke(), PATH, "Bearer wrong").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(head.headers().get(WWW_AUTHENTICATE).unwrap(), "Bearer");
        let path = PATH.replace("9a983789", "00000000");
        let (status, body, head) = ask(convoke(), &path, "Bearer right").await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, r#"{"code": "chat-not-found"}"#));
        assert_eq!(head.headers().get(CONTENT_TYPE).unwrap(), "application/problem+json");
    }

    #[actix_web::test]
    async fn a_mistaken_question_is_answered_in_the_domains_words() {
        let (status, body, _) = ask(convoke(), "/chats/1/present?at=2024-12-11T09:00:00Z", "Bearer right").await;
        assert_eq!((status, body.as_str()), (StatusCode::BAD_REQUEST, "chatId must be a hyphenated UUID\n"));
        let (status, body, _) = ask(convoke(), &PATH.replace("T08:54:15Z", ""), "Bearer right").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.starts_with("at must be an RFC 3339 date-time"), "{body}");
    }

    #[actix_web::test]
    async fn without_convoke_nothing_is_made_up() {
        // A port that was just given back: nobody listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (status, body, _) = ask(Convoke::at(&format!("http://{free}")), PATH, "Bearer right").await;
        assert_eq!((status, body.as_str()), (StatusCode::BAD_GATEWAY, "Convoke did not answer as it should.\n"));
    }
}
