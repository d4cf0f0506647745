//! Who somebody is.

use grammers_tl_types as tl;
use tl::functions::users::{GetFullUser, GetUsers};

use super::{Answer, input_user};
use crate::tl_form;
use crate::world::{Caller, World};

pub fn get_users(world: &World, caller: Caller, call: &GetUsers) -> Answer<Vec<tl::enums::User>> {
    let viewer = world.user(caller)?;
    let found = call.id.iter().filter_map(|input| input_user(world, viewer, input).ok());
    Ok(found.map(|id| tl_form::user(world, viewer, id)).collect())
}

pub fn get_full_user(world: &World, caller: Caller, call: &GetFullUser) -> Answer<tl::enums::users::UserFull> {
    let viewer = world.user(caller)?;
    let id = input_user(world, viewer, &call.id)?;
    Ok(tl::enums::users::UserFull::Full(tl::types::users::UserFull {
        full_user: tl_form::full_user(id),
        chats: Vec::new(),
        users: vec![tl_form::user(world, viewer, id)],
    }))
}
