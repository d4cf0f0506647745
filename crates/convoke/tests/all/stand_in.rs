//! What the admin listener tells while the database is not open.

use std::net::TcpListener;

use reqwest::Method;

use crate::support::{self, Place, answer, eventually};

#[tokio::test]
async fn it_answers_as_the_one_that_comes_after_it() {
    // Somebody takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::on(&format!("postgres://ann@{}/convoke", silent.local_addr().unwrap()));
    let service = place.spawn(&[]);
    eventually("living", || place.run(&["healthcheck", "--live"]).status.success(), || service.stderr());
    let ask = |method: Method, path: &str| {
        support::client().request(method, format!("http://{}{path}", place.admin)).header("X-Request-Id", "r-1")
    };

    for (method, path, status) in [
        (Method::GET, "/livez", 200),
        (Method::HEAD, "/livez", 200),
        (Method::GET, "/readyz", 503),
        (Method::HEAD, "/readyz", 503),
        (Method::GET, "/metrics", 200),
        (Method::POST, "/livez", 405),
        (Method::GET, "/nowhere", 404),
    ] {
        let told = ask(method.clone(), path).send().await.unwrap();
        assert_eq!(
            (told.status().as_u16(), &told.headers()["x-request-id"]),
            (status, &"r-1".parse().unwrap()),
            "{path}"
        );
        assert_eq!(told.headers().contains_key("retry-after"), status == 503, "{method} {path}");
    }
    let (_, readiness) = answer(ask(Method::GET, "/readyz")).await;
    assert_eq!(readiness["reason"], "the database is not open yet");
    let (_, problem) = answer(ask(Method::GET, "/nowhere")).await;
    assert_eq!((problem["code"].as_str(), problem["requestId"].as_str()), (Some("not-found"), Some("r-1")));
    let (_, figures) = answer(ask(Method::GET, "/metrics")).await;
    let figures = figures.as_str().unwrap();
    for figure in ["convoke_ready 0", "convoke_build_info{version="] {
        assert!(figures.lines().any(|line| line.starts_with(figure)), "{figures}");
    }
    service.signal();
    assert!(service.end().success());
}
