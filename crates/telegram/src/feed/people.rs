//! People as Telegram shows them beside what it tells.

use std::collections::HashMap;

use convoke_domain::UserProperties;
use convoke_provider::SeenPerson;
use grammers_client::tl;

use crate::person;

/// The people whom an answer or an update carries along, by their ids.
#[derive(Debug, Default)]
pub struct People {
    known: HashMap<i64, Known>,
}

#[derive(Debug)]
struct Known {
    properties: UserProperties,
    /// Only the rest of the names of a "min" user is worth anything: what is empty there is not empty.
    is_whole: bool,
}

impl People {
    /// The people of a list that came along with something else.
    pub fn new(users: &[tl::enums::User]) -> Self {
        let mut people = Self::default();
        people.add(users);
        people
    }

    /// Takes in more of them. Somebody who is shown whole once stays so.
    pub fn add(&mut self, users: &[tl::enums::User]) {
        for user in users {
            let (Some(seen), tl::enums::User::User(user)) = (person::seen(user), user) else { continue };
            let is_whole = !user.min && !user.deleted;
            if is_whole || self.known.get(&user.id).is_none_or(|known| !known.is_whole) {
                self.known.insert(user.id, Known { properties: seen.properties, is_whole });
            }
        }
    }

    /// The person of this id, with as much of their names as is known.
    pub fn person(&self, id: i64) -> SeenPerson {
        let properties = self.known.get(&id).map(|known| known.properties.clone()).unwrap_or_default();
        SeenPerson { external_id: id.to_string(), properties }
    }

    /// All the names of the person of this id, if they are shown with all of them.
    pub fn names(&self, id: i64) -> Option<&UserProperties> {
        self.known.get(&id).filter(|known| known.is_whole).map(|known| &known.properties)
    }

    /// Everybody who is shown with all their names.
    pub fn whole(&self) -> impl Iterator<Item = (i64, &UserProperties)> {
        self.known.iter().filter(|(_, known)| known.is_whole).map(|(id, known)| (*id, &known.properties))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::samples::user;

    fn properties(firstname: Option<&str>, lastname: Option<&str>, username: Option<&str>) -> UserProperties {
        let text = |text: Option<&str>| text.map(str::to_owned);
        UserProperties { firstname: text(firstname), lastname: text(lastname), username: text(username) }
    }

    #[test]
    fn names_are_those_that_are_shown() {
        let mut ada = user(7);
        (ada.first_name, ada.last_name, ada.username) = (Some("Ada".into()), Some(String::new()), Some("ada".into()));
        let people = People::new(&[ada.into(), tl::types::UserEmpty { id: 8 }.into()]);
        let expected = properties(Some("Ada"), None, Some("ada"));
        assert_eq!(people.person(7), SeenPerson { external_id: "7".into(), properties: expected });
        let nobody = SeenPerson { external_id: "8".into(), properties: UserProperties::default() };
        assert_eq!(people.person(8), nobody, "an unknown person has an id alone");
    }

    #[test]
    fn the_first_active_of_several_handles_counts() {
        let username = |name: &str, active| {
            tl::types::Username { editable: false, active, deletable: false, expired: false, username: name.into() }
                .into()
        };
        let mut ada = user(7);
        (ada.username, ada.usernames) = (None, Some(vec![username("old", false), username("new", true)]));
        assert_eq!(People::new(&[ada.into()]).person(7).properties.username.as_deref(), Some("new"));
    }

    #[test]
    fn what_is_shown_in_part_never_overwrites_what_is_shown_whole() {
        let (mut whole, mut part) = (user(7), user(7));
        whole.first_name = Some("Ada".into());
        (part.first_name, part.min) = (Some("A.".into()), true);
        for users in [[whole.clone().into(), part.clone().into()], [part.clone().into(), whole.into()]] {
            let people = People::new(&users);
            assert_eq!(people.person(7).properties.firstname.as_deref(), Some("Ada"));
            assert_eq!(people.whole().count(), 1);
        }
        let people = People::new(&[part.into()]);
        assert_eq!(people.person(7).properties.firstname.as_deref(), Some("A."), "better than nothing");
        assert_eq!(people.whole().count(), 0);
    }
}
