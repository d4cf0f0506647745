//! `convoke operations list`, `show`, `retry` and `cancel`: an operator's hands. They work beside a running `serve`.

mod shown;

use convoke_domain::{Environment as _, OperationId, OperationType};
use convoke_store::{Cancellation, OperationDetails, OperationFilter, Retry, Store};

use crate::{
    audit,
    command_line::OperationsCommand,
    commands::{open, print},
    environment::SystemEnvironment,
    failure::Failure,
    settings::{Layers, Settings},
};

/// Does what is asked for with operations.
pub async fn operations(layers: &Layers, settings: &Settings, command: OperationsCommand) -> Result<(), Failure> {
    let store = open(layers, settings, settings.database.migrate.0).await?;
    match command {
        OperationsCommand::List { tenant, status, limit, json } => {
            let filter = OperationFilter { tenant, status, limit };
            print(&shown::list(&store.list_operations(&filter).await?, SystemEnvironment.now(), json))
        }
        OperationsCommand::Show { id, json } => {
            print(&shown::one(&find(&*store, id).await?, SystemEnvironment.now(), json))
        }
        OperationsCommand::Retry { id } => retry(&*store, id).await,
        OperationsCommand::Cancel { id } => cancel(&*store, id).await,
    }
}

async fn find(store: &dyn Store, id: OperationId) -> Result<OperationDetails, Failure> {
    store.find_operation_details(id).await?.ok_or_else(|| none(id))
}

fn none(id: OperationId) -> Failure {
    Failure::new(format!("there is no operation {id}; one that ended is deleted after a while"))
}

async fn retry(store: &dyn Store, id: OperationId) -> Result<(), Failure> {
    let OperationDetails { tenant, operation, .. } = find(store, id).await?;
    let refusal = match store.retry_operation(&tenant, id, SystemEnvironment.now()).await? {
        Retry::Accepted => {
            audit::operation_retried(id, &tenant);
            let chat = operation.chat_id;
            let what = match operation.kind {
                OperationType::CreateChat => format!("; the chat {chat} is provisioning again"),
                OperationType::RemoveParticipant => String::new(),
            };
            return print(&format!("The operation {id} is tried again{what}.\n"));
        }
        Retry::NotFound => return Err(none(id)),
        Retry::NotFailed(status) => format!("is {}: only one that failed is tried again", status.as_str()),
        Retry::ChatIs(status) => {
            format!("can't be tried again: its chat {} is {}", operation.chat_id, status.as_str())
        }
        Retry::UnderWay(other) => {
            format!("is not tried again: the removal was asked for anew, as the operation {other}")
        }
    };
    Err(Failure::new(format!("the operation {id} {refusal}")))
}

async fn cancel(store: &dyn Store, id: OperationId) -> Result<(), Failure> {
    let OperationDetails { tenant, operation, .. } = find(store, id).await?;
    let refusal = match store.cancel_operation(&tenant, id, SystemEnvironment.now()).await? {
        Cancellation::Cancelled => {
            audit::operation_cancelled(id, &tenant);
            let chat = operation.chat_id;
            let what = match operation.kind {
                OperationType::CreateChat => format!("; the chat {chat} has failed with it"),
                OperationType::RemoveParticipant => String::new(),
            };
            return print(&format!("The operation {id} is cancelled{what}.\n"));
        }
        Cancellation::NotFound => return Err(none(id)),
        Cancellation::NotWaiting(status) => format!("is {}: only one that waits can be cancelled", status.as_str()),
        Cancellation::HasBegun => "can't be cancelled: the messenger may have done some of it already".to_owned(),
    };
    Err(Failure::new(format!("the operation {id} {refusal}")))
}
