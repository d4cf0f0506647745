//! People as Telegram describes them.

use convoke_domain::UserProperties;
use convoke_provider::SeenPerson;
use grammers_client::tl;

/// A person under the names they are described by; none for one who is not there.
pub(crate) fn seen(user: &tl::enums::User) -> Option<SeenPerson> {
    let tl::enums::User::User(user) = user else { return None };
    Some(SeenPerson { external_id: user.id.to_string(), properties: names(user) })
}

fn names(user: &tl::types::User) -> UserProperties {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    UserProperties {
        firstname: given(&user.first_name),
        lastname: given(&user.last_name),
        username: given(&user.username).or_else(|| active_username(user)),
    }
}

/// People may have several usernames; then the first that is in use stands for them.
fn active_username(user: &tl::types::User) -> Option<String> {
    let tl::enums::Username::Username(username) = user.usernames.as_ref()?.iter().find(|username| {
        let tl::enums::Username::Username(username) = username;
        username.active
    })?;
    Some(username.username.clone())
}
