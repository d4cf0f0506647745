//! What people do who need no client of their own for it.

use crate::refusal::Refusal;
use crate::server::TestServer;
use crate::world::{Change, GroupId, UserId, World};

impl TestServer {
    /// Follows an invitation link.
    ///
    /// # Errors
    /// `INVITE_HASH_EXPIRED` for who was removed or where the link is no longer good, `INVITE_REQUEST_SENT` where an
    /// admin decides ([`Self::approve`]), `USER_ALREADY_PARTICIPANT`, `INVITE_HASH_INVALID`.
    pub fn join(&self, user: UserId, link: &str) -> Result<(), Refusal> {
        self.done(|world| world.join(user, link))
    }

    /// Lets somebody in who asked by a link that needs an admin.
    ///
    /// # Errors
    /// `HIDE_REQUESTER_MISSING` if they did not ask.
    pub fn approve(&self, group: GroupId, by: UserId, user: UserId) -> Result<(), Refusal> {
        self.done(|world| world.approve(group, by, user))
    }

    /// An invitation link that needs an admin, made by this user.
    ///
    /// # Errors
    /// `CHANNEL_PRIVATE` if the group is gone.
    pub fn request_link(&self, group: GroupId, by: UserId) -> Result<String, Refusal> {
        Ok(self.world().invite(group, by, true)?.link())
    }

    /// Another plain invitation link, made by this user.
    ///
    /// # Errors
    /// `CHANNEL_PRIVATE` if the group is gone.
    pub fn link(&self, group: GroupId, by: UserId) -> Result<String, Refusal> {
        Ok(self.world().invite(group, by, false)?.link())
    }

    /// Brings somebody in.
    ///
    /// # Errors
    /// `USER_ALREADY_PARTICIPANT`.
    pub fn add(&self, group: GroupId, by: UserId, user: UserId) -> Result<(), Refusal> {
        self.done(|world| world.add(group, by, user))
    }

    /// Leaves.
    ///
    /// # Errors
    /// `USER_NOT_PARTICIPANT`.
    pub fn leave(&self, group: GroupId, user: UserId) -> Result<(), Refusal> {
        self.done(|world| world.leave(group, user))
    }

    /// Removes somebody for good.
    ///
    /// # Errors
    /// `USER_ADMIN_INVALID` for the group's creator.
    pub fn remove(&self, group: GroupId, by: UserId, user: UserId) -> Result<(), Refusal> {
        self.done(|world| world.ban(group, by, user))
    }

    /// Lets somebody come back who was removed.
    ///
    /// # Errors
    /// `CHANNEL_PRIVATE` if the group is gone.
    pub fn unban(&self, group: GroupId, by: UserId, user: UserId) -> Result<(), Refusal> {
        self.done(|world| world.unban(group, by, user))
    }

    /// Gives the group another title.
    ///
    /// # Errors
    /// `CHAT_NOT_MODIFIED`, `CHAT_TITLE_EMPTY` for one that is empty or too long.
    pub fn rename(&self, group: GroupId, by: UserId, title: &str) -> Result<(), Refusal> {
        self.done(|world| world.rename(group, by, title))
    }

    /// Deletes the group for everybody.
    ///
    /// # Errors
    /// `CHANNEL_PRIVATE` if it is gone already.
    pub fn delete(&self, group: GroupId) -> Result<(), Refusal> {
        self.done(|world| world.delete(group))
    }

    /// Gives somebody other names. Nobody is told; the next updates carry them.
    pub fn set_names(&self, user: UserId, first: &str, last: &str, username: &str) {
        if let Some(person) = self.world().people.get_mut(&user) {
            first.clone_into(&mut person.first);
            last.clone_into(&mut person.last);
            username.clone_into(&mut person.username);
        }
    }

    fn done(&self, what: impl FnOnce(&mut World) -> Result<Change, Refusal>) -> Result<(), Refusal> {
        let mut world = self.world();
        let change = what(&mut world)?;
        world.tell(&change, None);
        Ok(())
    }
}
