//! Requests of which two readers could see different ends (RFC 9112, section 11.2): each is refused, and what is hidden
//! behind it is never taken for a request.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::support::{PATIENCE, Place, answer};

/// What is hidden: it would be answered with a problem of this name in it.
const HIDDEN: &str = "GET /problems/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
const BODY: &str = r#"{"title":"x"}"#;
/// The same in one chunk.
const CHUNKED: &str = "d\r\n{\"title\":\"x\"}\r\n0\r\n\r\n";

/// The headers that make it hard to tell where the body ends, and the body.
const SHAPES: &[(&str, &str)] = &[
    ("Content-Length: 23\r\nTransfer-Encoding: chunked", CHUNKED),
    ("Content-Length: 4\r\nTransfer-Encoding: chunked", CHUNKED),
    ("Transfer-Encoding: chunked\r\nContent-Length: 4", CHUNKED),
    ("Content-Length: 13\r\nContent-Length: 18", BODY),
    ("Content-Length: 13\r\nContent-Length: 13", BODY),
    ("Content-Length: 13, 13", BODY),
    ("Content-Length: +13", BODY),
    ("Content-Length: -1", BODY),
    ("Content-Length: 0xd", BODY),
    ("Content-Length: 1 3", BODY),
    ("Content-Length: ", BODY),
    ("Content-Length: 99999999999999999999999", BODY),
    ("Content-Length : 13", BODY),
    ("Transfer-Encoding : chunked\r\nContent-Length: 13", BODY),
    ("Transfer-Encoding: \u{b}chunked\r\nContent-Length: 13", BODY),
    ("Transfer-Encoding: xchunked\r\nContent-Length: 13", BODY),
    ("Transfer-Encoding: identity\r\nContent-Length: 13", BODY),
    ("Transfer-Encoding: chunked, identity\r\nContent-Length: 13", BODY),
    ("Transfer-Encoding: gzip, chunked", CHUNKED),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\nContent-Length: 13", CHUNKED),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", CHUNKED),
    ("Transfer-Encoding: \"chunked\"\r\nContent-Length: 13", BODY),
    ("Transfer-Encoding:\r\n chunked\r\nContent-Length: 13", BODY),
    ("X-Folded: a\r\n b\r\nContent-Length: 13", BODY),
    ("X-Return: a\rTransfer-Encoding: chunked\r\nContent-Length: 13", BODY),
    ("X-Nothing: a\0b\r\nContent-Length: 13", BODY),
    ("Host: b\r\nContent-Length: 13", BODY),
    ("Transfer-Encoding: chunked", "0xd\r\n{\"title\":\"x\"}\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "+d\r\n{\"title\":\"x\"}\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "fffffffffffffffff\r\n{\"title\":\"x\"}\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "d\n{\"title\":\"x\"}\n0\n\n"),
    ("Transfer-Encoding: chunked", "d\r\n{\"title\":\"x\"}0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "d;a\n{\"title\":\"x\"}\r\n0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "\r\n{\"title\":\"x\"}\r\n0\r\n\r\n"),
];

/// The same of the first line.
const FIRST_LINES: &[&str] = &[
    "GET /problems/not-found\nX: y HTTP/1.1\r\nHost: a",
    "GET  /problems/not-found  HTTP/1.1\r\nHost: a",
    "GET /problems/not-found HTTP/1.2\r\nHost: a",
    "GET /problems/not-found HTTP/1.1",
    "PRI * HTTP/2.0",
];

/// Sends this and what is hidden behind it; gives everything that is answered until the connection is closed.
fn exchange(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{request}{HIDDEN}").as_bytes()).unwrap();
    let mut answered = Vec::new();
    stream.read_to_end(&mut answered).unwrap_or_else(|error| panic!("not closed: {error}: {request:?}"));
    String::from_utf8_lossy(&answered).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_hidden_behind_a_request() {
    let place = Place::new();
    let service = place.start();
    let token = place.token();
    let post = format!(
        "POST /api/v1/private/chats HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n"
    );
    service.api(&token).register("A good one").await;
    let of_bodies = SHAPES.iter().map(|(headers, body)| format!("{post}{headers}\r\n\r\n{body}"));
    let of_lines = FIRST_LINES.iter().map(|line| format!("{line}\r\n\r\n"));
    for request in of_bodies.chain(of_lines) {
        let answered = exchange(&place.public, &request);
        assert!(answered.starts_with("HTTP/1.1 400 "), "{request:?}: {answered}");
        assert_eq!(answered.matches("HTTP/1.").count(), 1, "{request:?}: {answered}");
        assert!(!answered.contains("hidden"), "{request:?}: {answered}");
    }
    let (_, list) = answer(service.api(&token).get("/chats")).await;
    assert_eq!(list["_metadata"]["totalRecords"], 1, "only the good one is registered");
}
