//! Every route, registered once: actix-web and the OpenAPI document both take it from here.

use std::sync::Arc;

use actix_web::{middleware::from_fn, web};
use utoipa_actix_web::{scope, service_config::ServiceConfig};

use crate::{
    auth::authenticate, chats, documentation, fallback::fallback, frame, operations, participants, state::ApiState,
};

/// Mounts the API; the application is to be wrapped in [`crate::frame()`]. The default service is the API's too; what is
/// mounted before keeps its paths.
pub fn configure(state: Arc<ApiState>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        documentation::configure(config, &state);
        documented(&mut ServiceConfig::new(config));
        config.default_service(web::to(fallback));
        frame::mount_state(config, state);
    }
}

/// The routes that the OpenAPI document tells of.
pub(crate) fn documented(config: &mut ServiceConfig) {
    config
        .service(
            scope::scope(frame::PRIVATE)
                .service(chats::register::register_chat)
                .service(chats::list::list_chats)
                .service(chats::detail::get_chat)
                .service(chats::invitation::get_chat_invitation)
                .service(participants::remove::remove_participant)
                .service(operations::detail::get_operation)
                .default_service(web::to(fallback))
                .wrap(from_fn(authenticate)),
        )
        .service(documentation::get_openapi)
        .service(documentation::get_problem);
}
