//! A small service beside Convoke: who was in a chat at a given instant, since when, by whose invitation, and what the
//! chat was called then. It shows how another service reuses the domain crate (docs/reuse.md).

mod report;
mod service;

use std::{env, io};

use actix_web::{App, HttpServer, web};

use service::Convoke;

#[actix_web::main]
async fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(convoke), bind, None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: who-was-there CONVOKE_URL [BIND]"));
    };
    let bind = bind.unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let convoke = web::Data::new(Convoke::at(&convoke));
    let server = HttpServer::new(move || App::new().app_data(convoke.clone()).service(service::present)).bind(&bind)?;
    eprintln!("http://{bind}/chats/{{chatId}}/present?at={{instant}}");
    server.run().await
}
